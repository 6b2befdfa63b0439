"""How pagers go wrong: the faults that the audit of another one named, by their tags, shown not to be ours.

Those of calendars (F0 to F2, F4 to F6, F8 to F10, F22, H1, H2, L1, M2, M4) stand with the calendar in tests/policy, the hand-over notice
(F11) with the notices; `test_every_fault_of_the_catalogue_has_its_test` holds them together.
"""

from __future__ import annotations

import ast
import asyncio
import random
import re
from collections import Counter
from collections.abc import Awaitable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from notifier.service import Notifier
from tests.fakes.proxy import Proxy
from tests.services.conftest import MakeWorld
from tests.services.world import HOUR, MINUTE, World
from tocsin.policy.events import Acknowledged
from tocsin.policy.ladder import agenda
from tocsin.policy.model import PageKind, State
from tocsin.policy.oncall import shifts
from tocsin.policy.roster import Override, Roster
from tocsin.policy.rules import Rules
from tocsin.runtime.rulesfile import load_rules
from tocsin.store.store import Fenced
from tocsin.store.wire import Script, StoreAway

CATALOGUE = set(re.findall(r"\S+", "F0 F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 F11 F13 F14 F15 F16 F17 F18 F19 F22 H1 H2 H3 L1 L2 L4 M1 M2 M3 M4"))

LONG = "      1: {0s: duty, 30m: lead, 2h: manager}"


def test_every_fault_of_the_catalogue_has_its_test() -> None:
    names: list[str] = []
    for file in Path(__file__).parents[1].rglob("test_*.py"):
        tree = ast.parse(file.read_text("utf-8"))
        names += [n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n.name.startswith("test_")]
    shown = {tag for name in names for tag in re.findall(r"(?<=_)[FHLM][0-9]{1,2}(?=_)", name)}
    assert shown >= CATALOGUE


@pytest.mark.parametrize("seed", range(8))
async def test_F13_F7_L2_workers_that_overlap_page_once(world: World, seed: int) -> None:
    """Ticks of one notifier and of the one that replaces it, started together and mixed by the seed, over the same timers."""
    generator = random.Random(seed)
    correlator = await world.correlator()
    async with world.notifier("first") as first, world.notifier("second") as second:
        for n in range(4):
            await world.report(f"A{n}")
        await correlator.tick(world.clock.now_ms())
        for _ in range(4):
            workers = [first, second, first, second, second]
            generator.shuffle(workers)
            async with asyncio.TaskGroup() as group:
                for worker in workers:
                    group.create_task(tick_unless_fenced(world, worker))
            await world.idle(second)
            await world.settle(second)
            world.clock.advance(10 * MINUTE)
    assert set(world.receiver.copies().values()) == {1}
    told = Counter((one["id"], page.path) for page in world.receiver.pages for one in page.body.get("incidents", [page.body["incident"]]))
    assert set(told.values()) == {1}, "each incident over each contact once, bundled or not"
    assert {path for _, path in told} == {"/kim/1", "/kim/2", "/lee/1"}


async def tick_unless_fenced(world: World, notifier: Notifier) -> None:
    try:
        await notifier.tick(world.clock.now_ms())
    except* Fenced:
        pass


async def test_F14_after_a_crash_behind_any_single_write_every_open_incident_has_an_owner(world_at: MakeWorld, shared_url: str) -> None:
    """Each call of a paging in its turn loses its answer and its process dies; a new one finds everything by itself."""
    lost = 0
    for victim in range(40):
        async with world_at(shared_url) as world, Proxy(shared_url) as proxy:
            await world.warm_up()
            correlator = await world.correlator(url=proxy.url)
            async with world.notifier("doomed", url=proxy.url) as doomed:
                await world.report("DiskFull")
                proxy.die_after(victim)
                for turn in (correlator.tick, doomed.tick, doomed.tick):
                    await come_through(turn(world.clock.now_ms()))
                    await let_rest(world, doomed)
                lost += proxy.answers_lost
            await (await world.correlator()).tick(world.clock.now_ms())
            assert (await world.incident()).due_at is not None, f"call {victim}"
            async with world.notifier("heir") as heir:
                await world.settle(heir)
                await world.advance(heir, 31 * MINUTE)
            paths = [path for path, _ in world.arrived()]
            assert 1 <= paths.count("/kim/1") <= 2, f"call {victim}"
            assert paths.count("/lee/1") == 1, f"call {victim}"
            await world.check()
        if not proxy.answers_lost:
            break
    assert lost >= 5, "every call of the paging was lost once"


async def come_through(turn: Awaitable[object]) -> None:
    try:
        await turn
    except StoreAway:
        pass
    except BaseExceptionGroup as group:
        if group.split(StoreAway)[1] is not None:
            raise


@pytest.mark.parametrize("last_h", [8, 24])
async def test_F16_a_ladder_of_many_hours_is_climbed_to_its_end(world: World, last_h: int) -> None:
    """No reaper goes by age: the last rung comes, and goes on being paged."""
    world.write_rules(edit=lambda text: text.replace(LONG, f"      1: {{0s: duty, 4h: lead, {last_h}h: manager}}"))
    correlator = await world.correlator()
    await world.report("DiskFull", for_ms=100 * HOUR)
    await correlator.tick(world.clock.now_ms())
    async with world.notifier() as notifier:
        await world.settle(notifier)
        await world.advance(notifier, last_h * HOUR + 61 * MINUTE, 10 * MINUTE)
    minutes = [minute for path, minute in world.arrived() if path == "/max/1"]
    assert minutes[:3] == [last_h * 60, last_h * 60 + 30, last_h * 60 + 60]


async def test_H3_every_store_call_fails_once_and_the_ladder_is_completed(world_at: MakeWorld, shared_url: str) -> None:
    async with world_at(shared_url) as world, Proxy(shared_url) as proxy:
        await world.warm_up()
        correlator = await world.correlator(url=proxy.url)
        await world.report("DiskFull", for_ms=100 * HOUR)
        await correlator.tick(world.clock.now_ms())
        async with world.notifier(url=proxy.url) as notifier:
            for step in range(26):
                for name in ("claim", "begin", "commit"):
                    (proxy.lose_answer if step % 2 else proxy.lose_request)(Script(name).sha)
                for _ in range(6):
                    try:
                        await notifier.tick(world.clock.now_ms())
                    except StoreAway:
                        notifier.on_gap()
                    await let_rest(world, notifier)
                world.clock.advance(5 * MINUTE)
            proxy.forgive()
            await world.settle(notifier)
        paths = {path for path, _ in world.arrived()}
        assert {"/lee/1", "/max/1"} <= paths
        assert {"/kim/1", "/kim/2"} & paths
        assert max(world.receiver.copies().values()) <= 3
        assert (await world.incident()).state is State.OPEN


async def let_rest(world: World, notifier: Notifier) -> None:
    """Let sends end; what waits for the store meanwhile is left waiting."""
    for _ in range(200):
        if notifier.lanes.under_way == 0:
            return
        await asyncio.sleep(0)


async def test_F15_an_acknowledgement_by_anybody_on_any_alert_of_a_group_stops_everyone(world: World) -> None:
    correlator = await world.correlator()
    for node in "abc":
        await world.report("DiskFull", node=node)
    await correlator.tick(world.clock.now_ms())
    async with world.notifier() as notifier:
        await world.advance(notifier, 31 * MINUTE)
        before = len(world.receiver.pages)
        await world.act((await world.incident()).number, Acknowledged("lee", for_ms=8 * HOUR))
        await world.report("DiskFull", node="d")
        await correlator.tick(world.clock.now_ms())
        await world.advance(notifier, 7 * HOUR, 10 * MINUTE)
    rung = [page for page in world.receiver.pages[before:] if page.body["kind"] == PageKind.PAGE]
    assert rung == []
    incident = await world.incident()
    planned = agenda(incident)
    assert planned is not None
    assert incident.due_at == planned[0]


def test_F17_F18_F19_M1_M3_L4_the_time_on_call_is_derived_from_the_shifts_and_adds_up() -> None:
    """There is no ledger to be left open or closed for the wrong one: hours are counted off the shifts, whatever was changed."""
    day = 24 * HOUR
    start = 1_800_000_000_000 // day * day
    changed = Override("o1", "duty", "park", start + 3 * day + HOUR, start + 4 * day, why="", by="kim", made_at=start)
    for roster in (Roster(), Roster(1, (changed,))):
        rules = two_people(roster)
        duty = rules.schedules["duty"]
        found = shifts(duty, start, start + 28 * day, rules)
        assert all(a.to_at == b.from_at for a, b in pairwise(found)), "no hour is counted twice, none is left out"
        worked = {person: sum(s.to_at - s.from_at for s in found if s.person == person) for person in ("kim", "park")}
        assert sum(worked.values()) == 28 * day
        # Whoever asks in the middle of a shift gets the part that has been worked, without anybody closing an entry.
        until_now = shifts(duty, start, start + 3 * day + 2 * HOUR, rules)
        assert sum(s.to_at - s.from_at for s in until_now) == 3 * day + 2 * HOUR


def two_people(roster: Roster) -> Rules:
    """Return rules with one schedule of two people taking days."""
    text = (
        "version: 1\nladders: {only: {rungs: {1: {0s: a}, 2: {0s: a}, 3: {0s: a}}, last_resort: [a]}}\n"
        "roles: {a: {schedule: duty}}\npeople: {kim: {contacts: ['log:']}, park: {contacts: ['log:']}}\n"
        "schedules: {duty: {time_zone: Asia/Seoul, layers: [{rotation: [kim, park], every: 1d, starts: 2020-01-05T09:00}]}}\n"
        "services: [{name: all, ladder: only}]\n"
    )
    return replace(load_rules(text, file_name="r.yaml", environment={}, read_file=str), roster=roster)
