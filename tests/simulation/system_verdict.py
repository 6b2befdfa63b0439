"""What can be said at the end of a day only: that nothing that was accepted is lost, and that every rung came.

The store is read with plain commands, after the last process has ended. The ladder is read from the town's own table, not from the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.invariants import all_incidents, ask, broken
from tests.simulation.system_providers import ARRIVES
from tests.simulation.system_referee import STORMY_LATE_MS, Referee
from tests.simulation.system_town import LADDERS, LAST_RESORT, REPEAT_MINUTES, TEAMS
from tocsin.policy.decision import Reason
from tocsin.policy.model import Alert, AlertStatus, Incident, State
from tocsin.store import codec, keys
from tocsin.store.store import Store

MINUTE_MS = 60_000
PLAIN = frozenset(
    reason.value
    for reason in (
        Reason.OPENED,
        Reason.ALERTS_JOINED,
        Reason.ALERTS_CLEARED,
        Reason.RUNG_DUE,
        Reason.RUNG_SKIPPED,
        Reason.NOBODY_TO_PAGE,
        Reason.LAST_RUNG_REPEATED,
        Reason.PAGE_SENT,
        Reason.PAGE_REFUSED,
        Reason.PAGE_RETRIED,
        Reason.PAGE_GIVEN_UP,
        Reason.PAGE_HELD,
        Reason.PAGE_DELIVERED,
        Reason.PAGE_UNDELIVERED,
        Reason.RECEIPT_MISSING,
        Reason.PERSON_UNREACHED,
        Reason.NOTED,
    )
)
"""An incident that has lived through nothing else has climbed its ladder by the table."""

FORCED = frozenset({Reason.PERSON_UNREACHED.value, Reason.NOBODY_TO_PAGE.value})


async def judge(store: Store, referee: Referee, accepted: Mapping[str, Alert], garbage: int, now: int) -> None:
    """Look at the store and at the referee's picture; tell the referee what is wrong."""
    for what in await broken(store):
        referee.fault(what)
    referee.outstanding()
    incidents = await all_incidents(store)
    if incidents != referee.incidents:
        different = [n for n in incidents.keys() | referee.incidents.keys() if incidents.get(n) != referee.incidents.get(n)]
        referee.fault(f"the store holds other incidents than were committed: {different}")
    await _alerts_are_there(store, referee, incidents, accepted, now)
    letters = int(await ask(store, "XLEN", keys.DEAD_LETTERS))
    if letters < garbage:
        referee.fault(f"{garbage} entries could not be read, {letters} dead letters are kept")
    _copies(referee)
    for incident in incidents.values():
        _climbed(referee, incident, now)
    for shard in range(store.shards):
        waiting = int(await ask(store, "XLEN", store.at[shard].intake))
        if waiting:
            referee.fault(f"shard {shard}: {waiting} entries were never applied")


async def _alerts_are_there(
    store: Store, referee: Referee, incidents: Mapping[int, Incident], accepted: Mapping[str, Alert], now: int
) -> None:
    """Every alert answered 2xx is in an incident; one that fires is in exactly one that is not closed, unless a person ended it."""
    numbers = sorted(incidents)
    found = await store.load_alerts(numbers)
    homes: dict[str, list[tuple[Incident, Alert]]] = {}
    for number, records in zip(numbers, found, strict=True):
        for key, record in records.items():
            homes.setdefault(key, []).append((incidents[number], codec.read_alert(key, record)))
    for key, last in accepted.items():
        at_home = homes.get(key, [])
        name = f"alert {dict(last.labels)}"
        if not at_home:
            if last.status is AlertStatus.FIRING:
                referee.fault(f"{name} was accepted and is in no incident")
            continue
        live = [i for i, alert in at_home if i.is_live and alert.status is AlertStatus.FIRING]
        if len(live) > 1:
            referee.fault(f"{name} fires in {[i.id for i in live]}")
        kept = [i for i, alert in at_home if i.state is not State.CLOSED and alert.status is AlertStatus.FIRING]
        by_hand = any(entry["reason"] == Reason.RESOLVED_BY_PERSON for i, _ in at_home for entry in referee.entries[i.number])
        if last.status is AlertStatus.FIRING and last.ends_at > now and not kept and not by_hand:
            referee.fault(f"{name} fires since its last report and no incident that is not closed says so")
        if last.status is AlertStatus.RESOLVED and live:
            referee.fault(f"{name} is over and {live[0].id} says that it fires")


def _copies(referee: Referee) -> None:
    for page, attempts in referee.attempts.items():
        copies = sum(each.kind in ARRIVES for each in attempts)
        definite = sum(each.kind in ("refused", "not_there", "busy") or (each.kind == "taken" and each.recorded) for each in attempts)
        if copies > 1 + len(attempts) - definite:
            referee.fault(f"{page}: {copies} copies of {[each.kind for each in attempts]}")


def _climbed(referee: Referee, incident: Incident, now: int) -> None:
    """Every rung of a ladder that nobody stopped was begun at its time, not before, and each of its steps reached a provider."""
    entries = referee.entries[incident.number]
    opened: dict[str, Any] = entries[0]
    if opened["reason"] != Reason.OPENED or incident.severity > 3:
        return
    end = next((entry["at"] for entry in entries if entry["reason"] not in PLAIN), now)
    severity = opened["changes"]["severity"]
    rungs = LADDERS[TEAMS.get(incident.service, "standard")][severity]
    steps: list[tuple[int, int, str, bool]] = []
    seen: set[str] = set()
    for entry in entries:
        if entry["at"] >= end:
            break
        forced = entry["reason"] in FORCED or bool(entry["inputs"].get("nobody_in") or entry["inputs"].get("last_resort"))
        for page in entry["changes"].get("pages", ()):
            if page["id"] not in seen:
                seen.add(page["id"])
                if page["rung"] is not None:
                    steps.append((page["rung"], entry["at"], page["id"], forced))
    allowed = STORMY_LATE_MS
    for index, (minutes, role) in enumerate(rungs):
        due = opened["at"] + minutes * MINUTE_MS
        if role == "nobody":
            continue
        begun = [(at, page, forced) for rung, at, page, forced in steps if rung == index]
        early = [page for at, page, forced in begun if at < due and not forced]
        if early:
            referee.fault(f"{incident.id}: rung {index} of severity {severity} was due at {due}, {early} came before")
        late_after = due + allowed + referee.excused_ms(now - due)
        if late_after < end and not any(at <= late_after for at, _, _ in begun):
            referee.fault(f"{incident.id}: rung {index} of severity {severity} was due at {due} and never began")
    _goes_on(referee, incident, rungs, steps, opened["at"], end)


def _goes_on(
    referee: Referee,
    incident: Incident,
    rungs: tuple[tuple[int, str], ...],
    steps: list[tuple[int, int, str, bool]],
    opened_at: int,
    end: int,
) -> None:
    """Past the last rung it is paged again and again, and the last resort with it."""
    first = opened_at + (rungs[-1][0] + REPEAT_MINUTES) * MINUTE_MS
    late_after = first + STORMY_LATE_MS + referee.excused_ms(end - first)
    if late_after >= end:
        return
    manager = "jeong"
    assert LAST_RESORT == "manager"
    if not any(page.split(".")[2] == manager and at >= opened_at + rungs[-1][0] * MINUTE_MS for _, at, page, _ in steps):
        referee.fault(f"{incident.id}: the ladder is exhausted and the last resort was not paged")
    times = [at for rung, at, _, _ in steps if rung == len(rungs) - 1]
    wanted = (end - first) // (REPEAT_MINUTES * MINUTE_MS + STORMY_LATE_MS)
    if len(set(times)) < 1 + wanted // 2:
        referee.fault(f"{incident.id}: the last rung was paged at {times} only, until {end}")
