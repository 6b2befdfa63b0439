"""A thousand people at once through a provider that takes ten messages a second: the gravest first, services in turn, nothing lost."""

from __future__ import annotations

from collections import Counter

from notifier.accountqueue import WAIT_MAX_MS
from notifier.service import Notifier
from tests.fakes.receiver import ReceivedPage
from tests.services.records import page_records
from tests.services.world import NOW, World
from tocsin.policy.model import PageStatus
from tocsin.policy.rules import group_key, shard_of_group

SECOND = 1_000
PER_SECOND = 10
NOISY, TEAMS, TEAM = 200, 80, 10
GRAVE = 8
"""Services: `noisy` with 200 people and 80 teams of 10; the incidents of the first 8 teams are of severity 1, all others of severity 2."""
PEOPLE = NOISY + TEAMS * TEAM


def thousand(world: World) -> None:
    """Write the rules of a thousand people, one contact each."""
    teams = {"noisy": NOISY} | {f"t{n}": TEAM for n in range(TEAMS)}
    contact = world.receiver.contact
    people = [f"  {team}-{n}: {{contacts: [{{to: '{contact(f'/{team}/{n}')}'}}]}}" for team, size in teams.items() for n in range(size)]
    roles = [f"  {team}: {{people: [{', '.join(f'{team}-{n}' for n in range(size))}]}}" for team, size in teams.items()]
    rungs = "{1: {0s: %s, 1d: %s}, 2: {0s: %s, 1d: %s}, 3: {0s: %s}}"
    ladders = [f"  {team}: {{rungs: {rungs.replace('%s', team)}, last_resort: [{team}]}}" for team in teams]
    services = [f"  - {{name: {team}, matchers: ['team=\"{team}\"'], ladder: {team}}}" for team in teams]
    lines = [
        "version: 1",
        "severities:",
        "  - {level: 1, matchers: ['severity=\"critical\"']}",
        "  - {level: 2, matchers: ['severity=\"warning\"']}",
        f"channels: {{webhook: {{limit: {PER_SECOND}/1s}}}}",
        "people:",
        *people,
        "roles:",
        *roles,
        "ladders:",
        *ladders,
        "services:",
        *services,
        "  - {name: everything-else, ladder: noisy}",
    ]
    world.rules_file.write_text("\n".join(lines) + "\n", encoding="utf-8")


async def fire(world: World) -> None:
    """An incident for every service at the same instant."""
    correlator = await world.correlator()
    await report(world, "Noise", "noisy", "warning")
    for n in range(TEAMS):
        await report(world, f"Fire{n}", f"t{n}", "critical" if n < GRAVE else "warning")
    await correlator.tick(world.clock.now_ms())
    assert len(await world.incidents()) == TEAMS + 1


async def report(world: World, name: str, team: str, severity: str) -> None:
    labels = {"alertname": name, "severity": severity, "team": team}
    rules = world.rules[0].rules
    shard = shard_of_group(group_key(rules.service_of(labels), labels), world.shards)
    await world.report(name, shard=shard, severity=severity, team=team)


async def pass_by(world: World, notifier: Notifier, seconds: int) -> None:
    await world.advance(notifier, seconds * SECOND, SECOND)


def service_of(page: ReceivedPage) -> str:
    return page.path.split("/")[1]


def is_grave(page: ReceivedPage) -> bool:
    return bool(page.body["incident"]["severity"] == 1)


async def test_a_thousand_people_through_ten_a_second(world: World) -> None:
    thousand(world)
    async with world.notifier() as notifier:
        await fire(world)
        await world.settle(notifier)
        await pass_by(world, notifier, PEOPLE // PER_SECOND + 10)
    pages = world.receiver.pages
    assert len({page.path for page in pages}) == len(pages) == PEOPLE, "each once, nobody forgotten"
    a_second = Counter(page.at_s for page in pages)
    assert max(a_second.values()) <= PER_SECOND
    assert max(page.at_s for page in pages) <= PEOPLE / PER_SECOND + 5

    grave = [is_grave(page) for page in pages]
    assert grave == sorted(grave, reverse=True), "severity 1 first"
    assert sum(grave) == GRAVE * TEAM

    rest = pages[GRAVE * TEAM :]
    others = TEAMS - GRAVE
    for served in (others, 3 * others, 6 * others):
        counts = Counter(service_of(page) for page in rest[:served])
        assert counts["noisy"] <= served / others + 2, "the noisy service goes in turn with the others"
        assert max(counts.values()) - min(counts.values()) <= 3
    assert {service_of(page) for page in rest[-100:]} == {"noisy"}, "when nobody else waits it has all to itself"
    await holds_are_told(world)


async def holds_are_told(world: World) -> None:
    """Everyone who had to wait stands in the history with the reason and an instant at which the page did come, or nearly."""
    held = await page_records(world, "page_held")
    came = {page.body["page_id"]: NOW + round(page.at_s * SECOND) for page in world.receiver.pages}
    waited = {page for page, at in came.items() if at > NOW + WAIT_MAX_MS + 2 * SECOND}
    assert waited <= {record.page for record in held}
    assert all(f"takes {PER_SECOND} a second; " in record.why and record.why.endswith(" before it") for record in held)
    last = {record.page: record for record in held}
    assert all(abs(came[page] - record.until) <= 5 * SECOND for page, record in last.items())
    assert len(held) <= 1.05 * len(last), "a turn that is named is a turn that comes"


async def test_who_falls_ill_while_a_thousand_wait_goes_first(world: World) -> None:
    thousand(world)
    async with world.notifier() as notifier:
        await fire(world)
        await world.settle(notifier)
        await pass_by(world, notifier, 30)
        before = len(world.receiver.pages)
        correlator = await world.correlator()
        await report(world, "Heart", "t50", "critical")
        await correlator.tick(world.clock.now_ms())
        await world.settle(notifier)
        await pass_by(world, notifier, 3)
        urgent = [page for page in world.receiver.pages[before:] if page.body["incident"]["title"] == "Heart"]
    assert {page.path for page in urgent} == {f"/t50/{n}" for n in range(TEAM)}
    assert all(len(page.body.get("incidents", [0])) in (1, 2) for page in urgent)


async def test_a_notifier_that_dies_in_the_middle_of_a_thousand_forgets_nobody_and_tells_nobody_twice(world: World) -> None:
    thousand(world)
    async with world.notifier() as notifier:
        await fire(world)
        await world.settle(notifier)
        await pass_by(world, notifier, 30)
    assert 200 < len(world.receiver.pages) < 400
    async with world.notifier() as notifier:
        await world.settle(notifier)
        await pass_by(world, notifier, 15)
    async with world.notifier() as notifier:
        await world.settle(notifier)
        await pass_by(world, notifier, PEOPLE // PER_SECOND)
    assert len({page.path for page in world.receiver.pages}) == PEOPLE
    assert max(world.receiver.copies().values()) == 1
    a_second = Counter(page.at_s for page in world.receiver.pages)
    assert max(a_second.values()) <= PER_SECOND, "a limit holds over restarts"
    assert all(p.status is PageStatus.SENT for incident in await world.incidents() for p in incident.pages)
