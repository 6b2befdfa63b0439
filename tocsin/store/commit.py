"""What one commit writes in one shard, laid out as the arguments of `scripts/commit.lua`.

Everything is read off the decisions: documents, versions, timer, pages, history, and whose group it is. Nobody can write an incident
without its history entry, or a page without its incident.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from tocsin.policy.incident import Decision, outbox_changes
from tocsin.policy.model import Incident, State
from tocsin.store import codec, keys
from tocsin.store.wire import Argument


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds a role: the newest fence of a shard is the only one whose writes are taken."""

    role: str
    fence: int

    @property
    def field(self) -> str:
        """The field of the shard's `meta` that must hold the fence."""
        return f"fence:{self.role}"


@dataclass(frozen=True, slots=True)
class Commit:
    """One batch for one shard. Several decisions on one incident stand in their order, each continuing the one before.

    `replaces` maps a grouping key to the incident that held it until now, for incidents that open in place of a resolved one.
    `cursor` is (expected, new), `seq` likewise. `not_delivered` are pages whose begun attempt is known not to have arrived, so it does not
    count as a copy.
    """

    shard: int
    now: int
    decisions: Sequence[Decision]
    holder: Holder | None = None
    alerts: Mapping[int, Mapping[str, bytes]] = field(default_factory=dict)
    replaces: Mapping[str, int] = field(default_factory=dict)
    cursor: tuple[str, str] | None = None
    seq: tuple[int, int] | None = None
    not_delivered: Sequence[str] = ()
    origin: str = ""


def commit_arguments(commit: Commit) -> tuple[list[str], list[Argument]]:
    """Return KEYS and ARGV of the commit script."""
    at = keys.ShardKeys(commit.shard)
    first, last = _first_and_last(commit.decisions)
    existing = [(n, before.version) for n, before in first.items() if before is not None]
    groups = _group_changes(commit, first, last)
    timers: list[Argument] = []
    untimed: list[Argument] = []
    outbox: list[Argument] = []
    withdrawn: list[Argument] = []
    documents: list[Argument] = []
    versions: list[Argument] = []
    for number, after in last.items():
        documents += (number, codec.incident_document(after))
        versions += (number, after.version)
        if after.due_at is None:
            untimed.append(number)
        else:
            timers += (after.due_at, number)
        changes = outbox_changes(first[number], after)
        for page_id, due_at in changes.due.items():
            outbox += (due_at, page_id)
        withdrawn += changes.withdrawn
    cursor = commit.cursor or ("", "")
    seq = commit.seq or ("", "")
    fence = (commit.holder.field, commit.holder.fence) if commit.holder else ("", "")
    arguments: list[Argument] = [*fence, commit.now, *cursor, _after(cursor[1]), *seq, keys.CHANGES, _message(commit, last)]
    lists: list[Sequence[Argument]] = [
        [number for number, _ in existing],
        [version for _, version in existing],
        [key for key, _, _ in groups],
        [holder for _, holder, _ in groups],
        [successor for _, _, successor in groups],
        documents,
        versions,
        timers,
        untimed,
        outbox,
        withdrawn,
        list(commit.not_delivered),
        [*last, *outbox[1::2], *withdrawn],
        [codec.history_payload(decision) for decision in commit.decisions],
    ]
    lists += [[part for pair in records.items() for part in pair] for records in commit.alerts.values()]
    for values in lists:
        arguments.append(len(values))
        arguments += values
    names = [at.meta, at.incidents, at.versions, at.timers, at.outbox, at.begun, at.history, at.groups, at.intake, at.claims]
    return names + [at.alerts(number) for number in commit.alerts], arguments


def _first_and_last(decisions: Sequence[Decision]) -> tuple[dict[int, Incident | None], dict[int, Incident]]:
    first: dict[int, Incident | None] = {}
    last: dict[int, Incident] = {}
    for decision in decisions:
        number = decision.incident.number
        if number in first:
            assert decision.before is last[number], "decisions on one incident must follow each other"
        else:
            first[number] = decision.before
        assert decision.incident.version == (decision.before.version if decision.before else 0) + 1
        last[number] = decision.incident
    return first, last


def _group_changes(
    commit: Commit, first: Mapping[int, Incident | None], last: Mapping[int, Incident]
) -> list[tuple[str, Argument, Argument]]:
    """List (grouping key, number that must hold it, number that holds it afterwards)."""
    changes: list[tuple[str, Argument, Argument]] = []
    for number, after in last.items():
        before = first[number]
        if before is None:
            changes.append((after.group_key, commit.replaces.get(after.group_key, ""), number))
        elif after.state is State.CLOSED and before.state is not State.CLOSED:
            changes.append((after.group_key, number, ""))
        elif before.state is State.RESOLVED and after.is_live:
            changes.append((after.group_key, number, number))
    return changes


def _after(entry_id: str) -> str:
    """Return the id that follows an entry's: trimming keeps what stands from there on."""
    if not entry_id:
        return ""
    milliseconds, _, sequence = entry_id.partition("-")
    return f"{milliseconds}-{int(sequence) + 1}"


def _message(commit: Commit, last: Mapping[int, Incident]) -> bytes | str:
    if not last:
        return ""
    incidents = [(number, after.version) for number, after in last.items()]
    return orjson.dumps({"shard": commit.shard, "origin": commit.origin, "incidents": incidents})
