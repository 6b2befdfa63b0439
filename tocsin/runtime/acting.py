"""How a process lets an event happen to an incident on behalf of a person: load, decide, commit, and again when another was faster.

The console does it for the API and for answer links, the notifier for answers that come over a channel. The commit that acknowledges also
withdraws the unsent pages and moves the timer, so no other process need be alive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tocsin.policy.events import Event, Opening
from tocsin.policy.incident import Decision, Reason, decide, open_incident
from tocsin.policy.model import State
from tocsin.policy.rules import incident_number, shard_of_group, shard_of_number
from tocsin.runtime.service import Deps
from tocsin.store.commit import Commit
from tocsin.store.store import Committed, GroupTaken, SeqMoved, Stale

DECIDED_AGAIN_MAX = 20
"""Others may change an incident so often in a row before a person is told to try again."""


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no such incident."""


@dataclass(frozen=True, slots=True)
class NotAllowed:
    """The state does not allow it; `holder` is the number of the incident that has taken over its alerts, when that is why."""

    state: State
    group_taken: bool = False
    holder: int | None = None


@dataclass(frozen=True, slots=True)
class Contended:
    """The incident is changing too fast; nothing was written."""


Acted = Decision | Missing | NotAllowed | Contended


async def act(deps: Deps, number: int, event: Event) -> Acted:
    """Let an event happen to an incident, durably. A decision that changes nothing means that it is so already. Raises StoreAway."""
    shard = shard_of_number(number, deps.store.shards)
    for _ in range(DECIDED_AGAIN_MAX):
        incident = await deps.store.load(number)
        if incident is None:
            return Missing()
        now = deps.clock.now_ms()
        decision = decide(incident, event, now, deps.rules.rules)
        if decision.refused:
            return NotAllowed(incident.state)
        if not decision.changed:
            return decision
        result = await deps.store.commit(Commit(shard, now, [decision], origin=deps.store.origin))
        match result:
            case Committed():
                record(deps, decision)
                return decision
            case Stale():
                deps.metrics.commits_repeated.labels("stale").inc()
            case GroupTaken(group_keys):
                holder = (await deps.store.groups(shard)).get(group_keys[0])
                return NotAllowed(incident.state, group_taken=True, holder=holder)
            case _:
                raise AssertionError(f"a commit of one decision answered {type(result).__name__}")
    return Contended()


@dataclass(frozen=True, slots=True)
class AlreadyOpen:
    """An incident of this grouping key is there already; nothing was written."""


async def open_once(deps: Deps, group_key: str, opening: Callable[[int], Opening]) -> Decision | AlreadyOpen | Contended:
    """Open an incident unless one of its grouping key is there that is not closed.

    Raises StoreAway, after which it may have been opened: doing it again is no error.
    """
    shards = deps.store.shards
    shard = shard_of_group(group_key, shards)
    for _ in range(DECIDED_AGAIN_MAX):
        _, seq = await deps.store.cursor_and_seq(shard)
        now = deps.clock.now_ms()
        decision = open_incident(opening(incident_number(seq, shard, shards)), now, deps.rules.rules)
        result = await deps.store.commit(Commit(shard, now, [decision], seq=(seq, seq + 1), origin=deps.store.origin))
        match result:
            case Committed():
                deps.metrics.incidents_opened.labels(str(decision.incident.severity)).inc()
                record(deps, decision)
                return decision
            case GroupTaken():
                return AlreadyOpen()
            case SeqMoved():
                deps.metrics.commits_repeated.labels("seq").inc()
            case _:
                raise AssertionError(f"a commit of a new incident answered {type(result).__name__}")
    return Contended()


def record(deps: Deps, decision: Decision) -> None:
    """Count and log a committed decision of a person."""
    after = decision.incident
    if decision.reason is Reason.ACKNOWLEDGED:
        deps.metrics.acknowledge_seconds.observe((after.changed_at - after.opened_at) / 1000)
    deps.log.info("incident_changed", incident=after.id, version=after.version, reason=str(decision.reason), actor=decision.actor)
