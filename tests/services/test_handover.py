"""Who comes on duty, and who goes off, is told before; and whoever stands beside a gap, a week before."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from notifier.handover import Handovers, due_hand_overs
from tests.services.world import HOUR, MINUTE, NOW, World
from tocsin.policy import oncall
from tocsin.policy.model import Incident, PageKind, State
from tocsin.policy.roster import Absence, Override
from tocsin.policy.rosterchange import RosterChange
from tocsin.policy.rules import Rules
from tocsin.store.roster import Notice

DAY = 24 * HOUR
# NOW is Friday, 15 January 2027, 08:00 UTC, 17:00 in Seoul. Kim and Lee take turns of a day, handing over at 18:00 in Seoul.
SCHEDULE = """
schedules:
  desk:
    time_zone: Asia/Seoul
    handover_notice: {notice}
    layers: [{{rotation: [kim, lee], every: 1d, starts: 2027-01-14T18:00{restrict}}}]
"""
HAND_OVER = NOW + HOUR


def with_schedule(notice: str = "15m", restrict: str = "") -> Callable[[str], str]:
    def edit(text: str) -> str:
        people = text.replace("name: Kim,", "name: Kim, time_zone: Asia/Seoul,").replace("name: Lee,", "name: Lee, time_zone: Asia/Seoul,")
        return people.replace("duty: {people: [kim]}", "duty: {schedule: desk}") + SCHEDULE.format(notice=notice, restrict=restrict)

    return edit


async def handovers(world: World, notice: str = "15m", restrict: str = "") -> Handovers:
    """The loop of a notifier that has just started."""
    world.write_rules(edit=with_schedule(notice, restrict))
    return Handovers(await world.deps("notifier"))


def present(world: World) -> Rules:
    return world.rules[-1].rules


async def look(world: World, loop: Handovers) -> int:
    return await loop.tick(world.clock.now_ms())


async def notices(world: World, kind: PageKind = PageKind.HANDOVER) -> list[Incident]:
    found = [incident for incident in await world.incidents() if incident.source == kind.value]
    return sorted(found, key=lambda incident: incident.opened_at)


def told(incident: Incident) -> set[str]:
    return {page.person for page in incident.pages}


async def change(world: World, **changes: Any) -> None:
    """Somebody changes the roster, and every process follows."""
    roster = await world.console.roster.load()
    assert await world.console.roster.change(roster, RosterChange("test", "kim", world.clock.now_ms(), **changes)) is not None
    for rules in world.rules:
        await rules.follow()


def override(world: World, person: str, from_at: int, until_at: int, name: str = "OVR-1") -> Override:
    return Override(name, "desk", person, from_at, until_at, made_at=world.clock.now_ms(), by="kim")


async def test_who_comes_on_duty_and_who_goes_off_is_told_before_and_once(world: World) -> None:
    loop = await handovers(world)
    world.clock.advance(HOUR - 15 * MINUTE - 1)
    assert await look(world, loop) == 0
    world.clock.advance(1)
    assert await look(world, loop) == 1
    [notice] = await notices(world)
    assert told(notice) == {"kim", "lee"}
    assert notice.severity == 4
    assert notice.text == "Lee comes on duty for desk at Fri 15 Jan 18:00 KST; Kim goes off."
    world.clock.advance(MINUTE)
    assert await look(world, loop) == 0


async def test_F11_the_notice_arrives_over_the_next_contact_when_the_first_fails_and_resolves_by_itself(world: World) -> None:
    world.write_rules(edit=lambda text: re.sub(r"'[^']*/kim/1'", "'webhook+http://127.0.0.1:9/kim'", with_schedule()(text)))
    async with world.notifier() as notifier:
        world.clock.advance(HOUR - 15 * MINUTE)
        await Handovers(await world.deps("other")).tick(world.clock.now_ms())
        await world.settle(notifier)
        await world.advance(notifier, 10 * MINUTE)
        paths = [path for path, _ in world.arrived()]
        assert "/lee/1" in paths
        assert "/kim/2" in paths
        await world.advance(notifier, HOUR)
    [notice] = await notices(world)
    assert notice.state is State.RESOLVED
    page = next(page for page in world.receiver.pages if page.path == "/lee/1")
    assert page.body["kind"] == "handover"
    assert "Lee comes on duty" in page.body["text"]


async def test_of_two_notifiers_one_makes_the_notice_also_when_the_first_died_before_it_could_remember(world: World) -> None:
    loop = await handovers(world)
    world.clock.advance(HOUR - 10 * MINUTE)
    await look(world, loop)
    await world.console.roster.forget(list(await world.console.roster.notices()))
    other = Handovers(await world.deps("other"))
    await look(world, other)
    assert len(await notices(world)) == 1


@pytest.mark.parametrize(("minutes", "count"), [(59, 1), (61, 0)])
async def test_a_notifier_that_was_down_makes_late_notices_up_to_an_hour_late_and_says_so(world: World, minutes: int, count: int) -> None:
    loop = await handovers(world)
    world.clock.advance(HOUR - 15 * MINUTE + minutes * MINUTE)
    assert await look(world, loop) == count
    for notice in await notices(world):
        assert notice.text == "Lee came on duty for desk at Fri 15 Jan 18:00 KST; Kim went off. This notice is 59m late."


async def test_nobody_is_told_of_a_turn_that_passes_from_a_person_to_the_same(world: World) -> None:
    world.write_rules(edit=lambda text: with_schedule()(text).replace("[kim, lee]", "[kim]"))
    loop = Handovers(await world.deps("notifier"))
    world.clock.advance(HOUR)
    await look(world, loop)
    assert await notices(world) == []


async def test_without_a_notice_in_the_rules_nobody_is_told(world: World) -> None:
    world.write_rules(edit=lambda text: with_schedule()(text).replace("    handover_notice: 15m\n", ""))
    loop = Handovers(await world.deps("notifier"))
    world.clock.advance(HOUR)
    await look(world, loop)
    assert await notices(world) == []


# --- what people change ------------------------------------------------------------------------------------------------------------


async def test_F10_after_an_override_the_notice_names_whom_pages_reach(world: World) -> None:
    loop = await handovers(world)
    await change(world, overrides=(override(world, "max", HAND_OVER, HAND_OVER + 2 * HOUR),))
    world.clock.advance(HOUR - 15 * MINUTE)
    await look(world, loop)
    [notice] = [each for each in await notices(world) if "kim" in told(each)]
    assert "Max comes on duty" in notice.text
    assert oncall.holders("duty", HAND_OVER, present(world)) == ("max",)
    spoken = {person for each in await notices(world) for person in told(each)}
    assert spoken == {"kim", "max"}, "Lee does not come on duty"


async def test_F10_who_was_told_something_else_is_told_of_the_change(world: World) -> None:
    loop = await handovers(world)
    world.clock.advance(HOUR - 15 * MINUTE)
    await look(world, loop)
    world.clock.advance(MINUTE)
    await change(world, overrides=(override(world, "max", HAND_OVER, HAND_OVER + 2 * HOUR),))
    assert await look(world, loop) == 1
    later = (await notices(world))[1:]
    said = {person: each.text for each in later for person in told(each)}
    assert said["lee"] == "Changed: Max comes on duty for desk at Fri 15 Jan 18:00 KST; Kim goes off."
    assert said["kim"] == said["lee"]
    assert said["max"] == "Max comes on duty for desk at Fri 15 Jan 09:00 UTC; Kim goes off.", "on his own clock"
    assert await look(world, loop) == 0


async def test_F10_an_announced_hand_over_that_does_not_take_place_is_called_off(world: World) -> None:
    loop = await handovers(world)
    world.clock.advance(HOUR - 15 * MINUTE)
    await look(world, loop)
    world.clock.advance(MINUTE)
    await change(world, overrides=(override(world, "kim", HAND_OVER - 5 * MINUTE, HAND_OVER + 2 * HOUR),))
    assert await look(world, loop) == 1
    last = (await notices(world))[-1]
    assert last.text == "Called off: no hand-over of desk at Fri 15 Jan 18:00 KST; Kim is on duty then."
    assert told(last) == {"kim", "lee"}
    assert await look(world, loop) == 0
    await change(world, removed=("OVR-1",))
    assert await look(world, loop) == 1, "it takes place after all"


async def test_who_takes_a_shift_at_once_and_whoever_had_it_are_told_at_once(world: World) -> None:
    loop = await handovers(world, notice="2h")
    await look(world, loop)
    before = len(await notices(world))
    world.clock.advance(2 * HOUR)
    now = world.clock.now_ms()
    await change(world, overrides=(override(world, "max", now, now + HOUR),))
    world.clock.advance(5_000)
    await look(world, loop)
    texts = [each.text for each in (await notices(world))[before:]]
    assert any(text.startswith("Max came on duty for desk at Fri 15 Jan 19:00 KST; Lee went off.") for text in texts), texts
    assert not any("late" in text for text in texts), "nobody could know it earlier"


async def test_a_shift_that_is_given_back_early_is_told_of_at_once_and_nobody_hears_that_it_was_late(world: World) -> None:
    loop = await handovers(world)
    now = world.clock.now_ms()
    given = override(world, "max", now, now + 40 * MINUTE)
    await change(world, overrides=(given,))
    await look(world, loop)
    world.clock.advance(4 * MINUTE)
    await change(world, overrides=(replace(given, until_at=world.clock.now_ms()),))
    world.clock.advance(5_000)
    await look(world, loop)
    assert (await notices(world))[-1].text == "Kim came on duty for desk at Fri 15 Jan 17:04 KST; Max went off."


async def test_stepping_away_is_a_hand_over_too(world: World) -> None:
    loop = await handovers(world)
    now = world.clock.now_ms()
    await change(world, absences=(Absence("ABS-1", "kim", now, now + 20 * MINUTE, made_at=now),))
    world.clock.advance(1_000)
    await look(world, loop)
    assert [each.text for each in await notices(world)] == ["Lee came on duty for desk at Fri 15 Jan 17:00 KST; Kim went off."]
    world.clock.advance(6 * MINUTE)
    await look(world, loop)
    assert (await notices(world))[-1].text == "Kim comes on duty for desk at Fri 15 Jan 17:20 KST; Lee goes off."


async def test_readers_of_another_language_are_told_in_theirs(world: World) -> None:
    world.write_rules(edit=lambda text: with_schedule()(text).replace("name: Lee,", "name: 이서연, locale: ko,"))
    loop = Handovers(await world.deps("notifier"))
    world.clock.advance(HOUR - 15 * MINUTE)
    await look(world, loop)
    said = {person: each.text for each in await notices(world) for person in told(each)}
    assert said["kim"].startswith("이서연 comes on duty")
    assert said["lee"].endswith("18:00 KST desk 당직: 이서연 님의 당직이 시작됩니다 (이전 담당: Kim 님).")


async def test_a_schedule_that_left_the_rules_is_not_spoken_of(world: World) -> None:
    loop = await handovers(world)
    world.clock.advance(HOUR - 15 * MINUTE)
    await look(world, loop)
    await world.change_rules()
    world.clock.advance(MINUTE)
    assert await look(world, loop) == 0


async def test_what_was_said_is_forgotten_when_it_no_longer_matters(world: World) -> None:
    loop = await handovers(world)
    world.clock.advance(HOUR)
    await look(world, loop)
    assert f"handover:desk:{HAND_OVER}" in await world.console.roster.notices()
    world.clock.advance(3 * DAY)
    await look(world, loop)
    assert f"handover:desk:{HAND_OVER}" not in await world.console.roster.notices()


async def test_a_month_of_looks_tells_of_every_hand_over_once(world: World) -> None:
    """Looked at with an uneven step, remembering as the store does."""
    await handovers(world, notice="30m")
    rules, made, count = present(world), dict[str, Notice](), dict[int, int]()
    now = NOW
    while now < NOW + 30 * DAY:
        for due in due_hand_overs(rules, now, made):
            made[due.name] = due.notice
            count[due.at] = count.get(due.at, 0) + 1
            assert due.at - 30 * MINUTE <= now <= due.at
        now += 7 * MINUTE + 13_001
    assert set(count.values()) == {1}
    hand_overs = oncall.hand_overs_of(rules.schedules["desk"], NOW, now, rules)
    assert len(hand_overs) == 30
    assert set(count) >= {each.at for each in hand_overs}


# --- gaps --------------------------------------------------------------------------------------------------------------------------

NOT_ON_SUNDAYS = ", restrict: [{days: 'monday:saturday'}]"


async def test_whoever_stands_beside_a_gap_is_warned_of_it_a_week_before_and_once(world: World) -> None:
    loop = await handovers(world, restrict=NOT_ON_SUNDAYS)
    await look(world, loop)
    [warning] = await notices(world, PageKind.NOTICE)
    assert "nobody holds duty" in warning.title
    assert "would reach nobody but the last resort" in warning.text, "with what follows from it"
    assert told(warning) <= {"kim", "lee"}
    for _ in range(5):
        world.clock.advance(HOUR)
        assert await look(world, loop) == 0 or len(await notices(world, PageKind.NOTICE)) == 1
    assert len(await notices(world, PageKind.NOTICE)) == 1


async def test_a_gap_under_way_that_was_warned_of_is_not_warned_of_again(world: World) -> None:
    loop = await handovers(world, restrict=NOT_ON_SUNDAYS)
    await look(world, loop)
    world.clock.advance(2 * DAY)  # Sunday afternoon in Seoul
    assert oncall.holders("duty", world.clock.now_ms(), present(world)) == ()
    await look(world, loop)
    assert len(await notices(world, PageKind.NOTICE)) == 1


async def test_the_numbers_say_who_holds_a_role_and_how_long_nobody_is_on_duty(world: World) -> None:
    world.write_rules(edit=with_schedule(restrict=NOT_ON_SUNDAYS))
    deps = await world.deps("notifier")
    await Handovers(deps).tick(NOW)
    value = deps.metrics.registry.get_sample_value
    assert value("tocsin_oncall_people", {"duty": "duty"}) == 1
    assert value("tocsin_oncall_gap_seconds", {"schedule": "desk"}) == 2 * 24 * 3600, "two Sundays in fourteen days"
    assert value("tocsin_oncall_findings", {"kind": "empty-role"}) == 1
