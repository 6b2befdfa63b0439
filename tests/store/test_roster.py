"""Who is on call, as people have changed it: one document for all processes, and a history that adds up to it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from tests.invariants import ask, keyspace
from tests.store.conftest import RULES
from tocsin.policy.roster import Absence, AbsenceKind, Override, OverrideKind, Roster, Swap, Turn
from tocsin.policy.rosterchange import ENDED_KEPT_MS, ENTRIES_MAX, RosterChange, RosterFull, changed, entries, replayed
from tocsin.runtime.clock import ManualClock
from tocsin.runtime.inforce import RulesInForce
from tocsin.runtime.metrics import Metrics
from tocsin.store import keys
from tocsin.store.bell import Bell, Message, RosterChanged, RulesPublished
from tocsin.store.roster import Notice, UnknownRoster
from tocsin.store.store import Store

NOW = 1_800_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR
LIMIT_S = 20.0


def override(name: str, until_at: int = NOW + HOUR, person: str = "lee") -> Override:
    return Override(name, "duty", person, NOW, until_at, "kim", OverrideKind.COVER, "the dentist 치과", "kim", NOW)


def added(name: str, at: int = NOW, until_at: int = NOW + HOUR) -> RosterChange:
    return RosterChange("override_added", "kim", at, "the dentist 치과", overrides=(override(name, until_at),))


async def in_force(store: Store, directory: Path) -> RulesInForce:
    file = directory / "rules.yaml"
    if not file.exists():
        file.write_text(RULES)
    return RulesInForce(store, ManualClock(NOW), Metrics(), structlog.get_logger(), file=file, environment={})


async def test_everything_that_people_change_comes_back_as_it_was(store: Store) -> None:
    assert await store.roster.load() == Roster()
    turns = Turn("kim", NOW, NOW + HOUR), Turn("lee", NOW + DAY, NOW + DAY + HOUR)
    change = RosterChange(
        "many",
        "kim",
        NOW,
        overrides=(override("OVR-1"),),
        absences=(Absence("ABS-1", "kim", NOW, NOW + HOUR, "lunch", "kim", NOW, AbsenceKind.LEAVE),),
        swaps=(Swap("SWP-1", "duty", *turns, "kim", ("kim", "lee"), "wedding", NOW, NOW + 1),),
    )
    after = await store.roster.change(Roster(), change)
    assert after == Roster(1, change.overrides, change.absences, change.swaps)
    assert await store.roster.load() == after
    assert (await store.versions_in_force())[1] == 1


async def test_of_two_who_change_the_same_version_one_is_told_to_look_again(store: Store) -> None:
    seen = await store.roster.load()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(store.roster.change(seen, added(f"OVR-{n}"))) for n in range(4)]
    assert sorted(task.result() is None for task in tasks) == [False, True, True, True]
    assert len((await store.roster.load()).overrides) == 1
    assert len(await store.roster.history(10)) == 1


async def test_the_history_says_what_who_why_and_when_and_adds_up_to_the_present(store: Store) -> None:
    roster = Roster()
    for n in range(5):
        after = await store.roster.change(roster, added(f"OVR-{n}", NOW + n))
        assert after is not None
        roster = after
    last = RosterChange("override_removed", "lee", NOW + 9, "back again", removed=("OVR-1",))
    assert await store.roster.change(roster, last) is not None
    history = await store.roster.history(100)
    assert [entry.version for entry in history] == [6, 5, 4, 3, 2, 1], "the newest first"
    assert (history[0].change.by, history[0].change.why, history[0].change.at) == ("lee", "back again", NOW + 9)
    assert replayed(entry.change for entry in reversed(history)) == await store.roster.load()
    older = await store.roster.history(2, before=history[1].id)
    assert [entry.version for entry in older] == [4, 3]
    assert await store.roster.broken_links() == []


async def test_whoever_edits_the_history_is_found_out(store: Store) -> None:
    roster = await store.roster.change(Roster(), added("OVR-1"))
    assert roster is not None
    await ask(store, "XADD", keys.ROSTER_HISTORY, "*", "e", b"{}", "h", b"0" * 40)
    await store.roster.change(roster, added("OVR-2"))
    assert len(await store.roster.broken_links()) == 2


async def test_a_document_of_another_shape_is_not_guessed_at(store: Store) -> None:
    await ask(store, "HSET", keys.ROSTER, "version", 3, "document", b"9 {}")
    with pytest.raises(UnknownRoster):
        await store.roster.load()


def test_what_ended_long_ago_leaves_the_roster_at_the_next_change_and_never_before() -> None:
    roster = changed(Roster(), added("OVR-1", until_at=NOW + HOUR))
    assert entries(changed(roster, added("OVR-2", NOW + ENDED_KEPT_MS + HOUR - 1, NOW + 2 * ENDED_KEPT_MS))) == 2
    assert entries(changed(roster, added("OVR-2", NOW + ENDED_KEPT_MS + HOUR, NOW + 2 * ENDED_KEPT_MS))) == 1


async def test_a_full_roster_refuses_loudly_and_writes_nothing(store: Store) -> None:
    many = RosterChange("many", "kim", NOW, overrides=tuple(override(f"OVR-{n}") for n in range(ENTRIES_MAX)))
    full = await store.roster.change(Roster(), many)
    assert full is not None
    before = await keyspace(store)
    with pytest.raises(RosterFull, match="2000"):
        await store.roster.change(full, added("OVR-X"))
    assert await keyspace(store) == before


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 80), st.booleans()), max_size=30))
def test_replaying_any_history_gives_the_same_roster(acts: list[tuple[str, int, bool]]) -> None:
    roster, changes, at = Roster(), list[RosterChange](), NOW
    for name, days, is_added in acts:
        at += days * DAY // 4
        change = added(name, at, at + days * DAY) if is_added else RosterChange("removed", "kim", at, removed=(name,))
        roster = changed(roster, change)
        changes.append(change)
        ids = [each.id for each in roster.overrides]
        assert len(ids) == len(set(ids))
    assert replayed(changes) == roster


async def test_every_process_follows_the_roster_without_reading_the_rules_again(store: Store, url: str, tmp_path: Path) -> None:
    rules = await in_force(store, tmp_path)
    await rules.start()
    before = rules.rules
    swapped: list[int] = []
    rules.on_swap = lambda new: swapped.append(new.roster.version)
    heard: list[Message] = []
    ready, rung = asyncio.Event(), asyncio.Event()

    def on_message(message: Message) -> None:
        heard.append(message)
        rung.set()

    bell = Bell(url, intake=False, on_message=on_message, on_gap=ready.set)
    async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
        listening = group.create_task(bell.run())
        await ready.wait()
        await store.roster.change(await store.roster.load(), added("OVR-1"))
        await rung.wait()
        listening.cancel()
    assert heard == [RosterChanged(1)]
    assert not any(isinstance(message, RulesPublished) for message in heard)
    await ask(store, "HDEL", keys.RULES, "text")  # whoever reads the text now finds none
    await rules.follow()
    assert [each.id for each in rules.rules.roster.overrides] == ["OVR-1"]
    assert rules.rules.services is before.services, "the rules are the ones that were loaded"
    assert swapped == [1]
    await rules.follow()
    assert swapped == [1], "nothing new, nothing swapped"


async def test_new_rules_keep_the_roster(store: Store, tmp_path: Path) -> None:
    rules = await in_force(store, tmp_path)
    await rules.start()
    await store.roster.change(await store.roster.load(), added("OVR-1"))
    await rules.follow()
    (tmp_path / "rules.yaml").write_text(RULES + "# edited\n")
    await rules.reload()
    assert (rules.rules.version, rules.rules.roster.version) == (2, 1)


async def test_a_roster_that_cannot_be_read_does_not_keep_a_process_from_paging(store: Store, tmp_path: Path) -> None:
    rules = await in_force(store, tmp_path)
    await rules.start()
    await store.roster.change(await store.roster.load(), added("OVR-1"))
    await rules.follow()
    await ask(store, "HSET", keys.ROSTER, "version", 2, "document", b"9 {}")
    await rules.follow()
    assert [each.id for each in rules.rules.roster.overrides] == ["OVR-1"], "the last one that could be read counts"
    fresh = await in_force(store, tmp_path)
    await fresh.start()
    assert fresh.rules.roster == Roster(2)


async def test_a_notice_is_remembered_until_it_is_forgotten(store: Store) -> None:
    one, other = Notice("kim>lee", ("kim", "lee"), NOW + DAY), Notice("", (), NOW, 2)
    await store.roster.remember("handover:duty:1", one)
    await store.roster.remember("handover:당직:2", other)
    assert await store.roster.notices() == {"handover:duty:1": one, "handover:당직:2": other}
    await store.roster.forget(["handover:duty:1"])
    await store.roster.forget([])
    assert await store.roster.notices() == {"handover:당직:2": other}


async def test_turning_a_feed_makes_its_old_address_invalid(store: Store) -> None:
    assert await store.roster.feed_generation("person:kim") == 0
    assert await store.roster.rotate_feed("person:kim") == 1
    assert await store.roster.feed_generation("person:kim") == 1
