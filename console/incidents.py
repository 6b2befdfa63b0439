"""The one way in which the console changes an incident: load, decide, commit.

The commit that acknowledges also withdraws the unsent pages and moves the timer, so neither correlator nor notifier need be alive. What
another process changed between load and commit makes the commit refuse; then it is decided again from what is there.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from console.desk import Desk
from console.problems import Refused, Unusable
from tocsin.policy import events as ev
from tocsin.policy.incident import Decision, Reason, decide, open_incident
from tocsin.policy.rules import incident_number, shard_of_number
from tocsin.store.commit import Commit
from tocsin.store.store import Committed, GroupTaken, SeqMoved, Stale

DECIDED_AGAIN_MAX = 20
"""Others may change an incident so often in a row before a person is told to try again."""


async def act(desk: Desk, number: int, event: ev.Event) -> Decision:
    """Let an event happen to an incident, durably; return what came of it. Acting twice gives the same answer, without a second entry.

    Raises Refused: 404 when there is no such incident, 409 when its state (or another incident of its group) does not allow it, 503 when it
    changes too often. Raises StoreAway.
    """
    shard = shard_of_number(number, desk.store.shards)
    async with desk.turns.turn_at(number):
        for _ in range(DECIDED_AGAIN_MAX):
            incident = await desk.store.load(number)
            if incident is None:
                raise Refused(404, "there is no such incident")
            now = desk.clock.now_ms()
            decision = decide(incident, event, now, desk.rules)
            if decision.refused:
                raise Refused(409, f"the incident is {incident.state}, which does not allow this", state=incident.state)
            if not decision.changed:
                return decision
            result = await desk.store.commit(Commit(shard, now, [decision], origin=desk.store.origin))
            match result:
                case Committed():
                    _record(desk, decision)
                    return decision
                case Stale():
                    desk.deps.metrics.commits_repeated.labels("stale").inc()
                case GroupTaken(group_keys):
                    raise await _group_taken(desk, shard, group_keys[0], decision)
                case _:
                    raise AssertionError(f"a commit of one decision answered {type(result).__name__}")
    raise Refused(503, "the incident is changing too fast; try again")


async def open_by_hand(desk: Desk, *, title: str, severity: int, service: str, requester: str, text: str, actor: str) -> Decision:
    """Open an incident for a person. Raises Unusable for an unknown service, Refused (503), StoreAway."""
    if desk.rules.service_named(service) is None:
        raise Unusable.field("service", "there is no service of this name in the rules")

    def opening(number: int) -> ev.Opening:
        return ev.OpenedByPerson(number, f"hand:{number}", service, title, severity, actor, requester, text)

    return await open_new(desk, title, opening)


async def open_new(desk: Desk, title: str, opening: Callable[[int], ev.Opening]) -> Decision:
    """Open an incident of the next free number, durably. Raises Refused (503) when many are being opened at once, StoreAway."""
    shards = desk.store.shards
    now = desk.clock.now_ms()
    shard = zlib.crc32(f"{title}{now}".encode()) % shards
    async with desk.turns.turn_at(shard):
        for _ in range(DECIDED_AGAIN_MAX):
            _, seq = await desk.store.cursor_and_seq(shard)
            decision = open_incident(opening(incident_number(seq, shard, shards)), now, desk.rules)
            commit = Commit(shard, now, [decision], seq=(seq, seq + 1), origin=desk.store.origin)
            result = await desk.store.commit(commit)
            match result:
                case Committed():
                    desk.deps.metrics.incidents_opened.labels(str(decision.incident.severity)).inc()
                    _record(desk, decision)
                    return decision
                case SeqMoved():
                    desk.deps.metrics.commits_repeated.labels("seq").inc()
                case _:
                    raise AssertionError(f"a commit of a new incident answered {type(result).__name__}")
    raise Refused(503, "many incidents are being opened; try again")


async def _group_taken(desk: Desk, shard: int, group_key: str, decision: Decision) -> Refused:
    holder = (await desk.store.groups(shard)).get(group_key)
    name = None if holder is None else f"INC-{holder}"
    before = decision.before
    state = None if before is None else before.state
    return Refused(409, f"{name or 'another incident'} has taken over its alerts; work on that one", state=state, incident=name)


def _record(desk: Desk, decision: Decision) -> None:
    after = decision.incident
    if decision.reason is Reason.ACKNOWLEDGED:
        desk.deps.metrics.acknowledge_seconds.observe((after.changed_at - after.opened_at) / 1000)
    desk.deps.log.info("incident_changed", incident=after.id, version=after.version, reason=str(decision.reason), actor=decision.actor)
