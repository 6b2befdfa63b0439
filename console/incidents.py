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
from tocsin.policy.incident import Decision, open_incident
from tocsin.policy.rules import incident_number
from tocsin.runtime import acting
from tocsin.runtime.acting import DECIDED_AGAIN_MAX
from tocsin.store.commit import Commit
from tocsin.store.store import Committed, SeqMoved


async def act(desk: Desk, number: int, event: ev.Event) -> Decision:
    """Let an event happen to an incident, durably; return what came of it. Acting twice gives the same answer, without a second entry.

    Raises Refused: 404 when there is no such incident, 409 when its state (or another incident of its group) does not allow it, 503 when it
    changes too often. Raises StoreAway.
    """
    async with desk.turns.turn_at(number):
        acted = await acting.act(desk.deps, number, event)
    match acted:
        case Decision():
            return acted
        case acting.Missing():
            raise Refused(404, "there is no such incident")
        case acting.NotAllowed(state, group_taken=True, holder=holder):
            name = None if holder is None else f"INC-{holder}"
            raise Refused(409, f"{name or 'another incident'} has taken over its alerts; work on that one", state=state, incident=name)
        case acting.NotAllowed(state):
            raise Refused(409, f"the incident is {state}, which does not allow this", state=state)
        case acting.Contended():
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
                    acting.record(desk.deps, decision)
                    return decision
                case SeqMoved():
                    desk.deps.metrics.commits_repeated.labels("seq").inc()
                case _:
                    raise AssertionError(f"a commit of a new incident answered {type(result).__name__}")
    raise Refused(503, "many incidents are being opened; try again")
