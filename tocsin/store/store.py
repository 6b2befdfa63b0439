"""The store as the roles see it: append, commit, claim, begin, load. No policy: it writes what was decided.

Every call has the client's time limit and may raise `StoreAway`; its caller treats that as "unknown" and repeats, because every write here
may be repeated: a commit is guarded by versions and cursor, a claim comes back by itself, an append is recognised by what it holds.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import orjson
import structlog
from redis.asyncio import Redis

from tocsin.policy.model import Incident
from tocsin.policy.rules import shard_of_number
from tocsin.store import codec, keys
from tocsin.store.commit import Commit, Holder, commit_arguments
from tocsin.store.roster import RosterBook
from tocsin.store.wire import Answer, Argument, Call, Command, Script, StoreAway, StoreFull, Wire

__all__ = ["Store", "StoreAway", "StoreFull"]

SCHEMA = 1

log = structlog.get_logger(__name__)

CLAIMING_ROLE = "notifier"
"""The one role that claims timers and pages."""

DEAD_LETTERS_MAX = 10_000
"""Dead letters kept; the oldest go first, which the metric of dead letters makes visible."""


class Fenced(Exception):
    """Another process has taken over this role: this one must stop at once."""


class LayoutMismatch(Exception):
    """The store was laid out by another version or with another number of shards."""


@dataclass(frozen=True, slots=True)
class Committed:
    """Everything was written."""


@dataclass(frozen=True, slots=True)
class Stale:
    """Nothing was written: these incidents have changed since they were read."""

    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CursorMoved:
    """Nothing was written: the intake cursor stands elsewhere."""

    cursor: str


@dataclass(frozen=True, slots=True)
class SeqMoved:
    """Nothing was written: other incidents were numbered meanwhile."""

    seq: int


@dataclass(frozen=True, slots=True)
class GroupTaken:
    """Nothing was written: another incident holds these grouping keys."""

    group_keys: tuple[str, ...]


CommitResult = Committed | Stale | CursorMoved | SeqMoved | GroupTaken


@dataclass(frozen=True, slots=True)
class Entry:
    """One intake entry: its stream id, the integration-independent pairs of alert key and record, and when ingest took it (ms UTC).

    `fault` says why the entry cannot be read; then the one record is all of it.
    """

    id: str
    received_at: int
    alerts: Sequence[tuple[str, bytes]]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Claimed:
    """Something due: its member (a number or a page id), when it was due, until when it is ours, and its incident.

    `begun` counts a page's earlier attempts that may have arrived.
    """

    member: str
    due_at: int
    until: int
    incident: Incident
    begun: int = 0


@dataclass(frozen=True, slots=True)
class PublishedRules:
    """The rules in force, as text."""

    version: int
    text: str
    file_name: str


class Store:
    """One connection pool to one store. Roles that must not disturb each other have one each."""

    def __init__(self, client: Redis, *, shards: int, origin: str = "") -> None:
        self._wire = Wire(client)
        self._commit, self._claiming, self._begin = map(Script, ("commit", "claim", "begin"))
        self._take_over, self._publish, self._append = map(Script, ("take_over", "publish_rules", "append"))
        self._ring = Script("ring")
        self._reader = codec.IncidentReader()
        self.roster = RosterBook(self._wire)
        self.shards = shards
        self.origin = origin
        self.at = tuple(keys.ShardKeys(shard) for shard in range(shards))

    @property
    def client(self) -> Redis:
        """The client itself, for the start-up checks."""
        return self._wire.client

    async def close(self) -> None:
        """Give the connections back."""
        await self._wire.close()

    # --- start-up ------------------------------------------------------------------------------------------------------------------

    async def ensure_layout(self) -> None:
        """Write the layout of a new store, or check that of an old one. Raises LayoutMismatch."""
        found = _pairs(await self._wire.call("HGETALL", keys.LAYOUT))
        if len(found) < 2:  # a full store takes no new fields, and a role must be able to start on it
            await self._wire.call("HSETNX", keys.LAYOUT, "shards", self.shards)
            await self._wire.call("HSETNX", keys.LAYOUT, "schema", SCHEMA)
            found = _pairs(await self._wire.call("HGETALL", keys.LAYOUT))
        shards, schema = int(found[b"shards"]), int(found[b"schema"])
        if (shards, schema) != (self.shards, SCHEMA):
            raise LayoutMismatch(
                f"the store is laid out for {shards} shards in schema {schema}, this process for {self.shards} shards in schema {SCHEMA}"
            )

    async def take_over(self, role: str) -> tuple[Holder, ...]:
        """Become the holder of a role on every shard; whoever held it is refused from now on, and what it had claimed is due again."""
        holders = []
        for at in self.at:
            names = [at.meta, at.claims, at.timers, at.outbox]
            fence = await self._wire.run(self._take_over, names, [Holder(role, 0).field, "1" if role == CLAIMING_ROLE else "", ""])
            holders.append(Holder(role, int(fence)))
        return tuple(holders)

    async def take_up_claims(self, holders: Sequence[Holder]) -> None:
        """Make what the present holder of every shard had claimed due again, for it may have lost the answers. Raises Fenced."""
        for at, holder in zip(self.at, holders, strict=True):
            names = [at.meta, at.claims, at.timers, at.outbox]
            if await self._wire.run(self._take_over, names, [holder.field, "1", holder.fence]) < 0:
                raise Fenced(holder.role)

    async def clock_floor(self) -> int:
        """Return the latest instant (ms UTC) that any shard has seen: time must not run backwards from there."""
        found = await self._wire.call_many([("HGET", at.meta, "clock") for at in self.at])
        return max((int(value) for value in found if value), default=0)

    # --- intake --------------------------------------------------------------------------------------------------------------------

    async def append(self, entries: Sequence[tuple[int, Sequence[Argument]]]) -> dict[int, int]:
        """Append entries (shard, fields) durably, in one write; return how many entries each of those shards now holds.

        Raises StoreAway and StoreFull; then none, some or all may have been written.
        """
        appended = Counter(shard for shard, _ in entries)
        commands: list[Command] = [("XADD", self.at[shard].intake, "*", *fields) for shard, fields in entries]
        rings: list[Call] = [(self._ring, [self.at[shard].intake], [keys.INTAKE_BELL, count]) for shard, count in appended.items()]
        answers = await self._wire.run_behind(commands, rings)
        return dict(zip(appended, answers, strict=True))

    async def backlog(self) -> int:
        """Return how many intake entries wait in all shards."""
        return sum(await self._wire.call_many([("XLEN", at.intake) for at in self.at]))

    async def read_intake(self, after: Sequence[str], count_max: int) -> list[list[Entry]]:
        """Return, for each shard, up to `count_max` entries behind its cursor, oldest first."""
        commands = [("XRANGE", at.intake, f"({cursor}", "+", "COUNT", count_max) for at, cursor in zip(self.at, after, strict=True)]
        answers = await self._wire.call_many(commands)
        return [_entries(answer) for answer in answers]

    async def add_dead_letter(self, integration: str, reason: str, raw: bytes, now: int) -> None:
        """Keep what could not be read."""
        fields: list[Argument] = ["integration", integration, "reason", reason, "raw", raw, "at", now]
        await self._wire.call("XADD", keys.DEAD_LETTERS, "MAXLEN", "~", DEAD_LETTERS_MAX, "*", *fields)

    async def set_aside(self, integration: str, reason: str, raw: bytes, now: int) -> None:
        """Keep what cannot be read and is in the store already; unlike `add_dead_letter` also when the store is full."""
        fields: list[Argument] = ["integration", integration, "reason", reason, "raw", raw, "at", now]
        await self._wire.run(self._append, [keys.DEAD_LETTERS], [DEAD_LETTERS_MAX, *fields])

    async def forward(self, entries: Sequence[tuple[int, Sequence[Argument]]]) -> None:
        """Append entries (shard, fields) that stand in another shard's intake already; unlike `append` also when the store is full."""
        for shard, fields in entries:
            await self._wire.run(self._append, [self.at[shard].intake], ["", *fields])
        await self._wire.call("PUBLISH", keys.INTAKE_BELL, "1")

    # --- incidents -----------------------------------------------------------------------------------------------------------------

    async def commit(self, commit: Commit) -> CommitResult:
        """Write a batch of decisions, or nothing. Raises Fenced when another process holds the role."""
        names, arguments = commit_arguments(commit)
        answer = await self._wire.run(self._commit, names, arguments)
        rest = [part.decode() for part in answer[1:]]
        match answer[0]:
            case b"OK":
                return Committed()
            case b"STALE":
                return Stale(tuple(int(number) for number in rest))
            case b"CURSOR":
                return CursorMoved(rest[0])
            case b"SEQ":
                return SeqMoved(int(rest[0]))
            case b"GROUP":
                return GroupTaken(tuple(rest))
            case _:
                raise Fenced(commit.holder.role if commit.holder else "")

    async def load(self, number: int) -> Incident | None:
        """Return an incident, None when there is none of that number."""
        return (await self.load_many([number])).get(number)

    async def load_many(self, numbers: Iterable[int]) -> dict[int, Incident]:
        """Return the incidents of these numbers that exist."""
        by_shard: dict[int, list[int]] = {}
        for number in numbers:
            by_shard.setdefault(shard_of_number(number, self.shards), []).append(number)
        answers = await self._wire.call_many([("HMGET", self.at[shard].incidents, *wanted) for shard, wanted in by_shard.items()])
        documents = (document for answer in answers for document in answer if document is not None)
        return {incident.number: incident for incident in map(self._reader.read, documents)}

    async def scan_incidents(self, shard: int, *, count: int = 2_000) -> AsyncIterator[list[Incident]]:
        """Yield all incidents of a shard in batches; one that changes meanwhile may come twice."""
        cursor: Argument = 0
        while cursor != b"0":
            cursor, found = await self._wire.call("HSCAN", self.at[shard].incidents, cursor, "COUNT", count)
            yield [incident for document in _pairs(found).values() if (incident := self._readable(document)) is not None]

    async def load_alerts(self, numbers: Sequence[int]) -> list[dict[str, bytes]]:
        """Return, for each incident, its alerts: alert key -> record."""
        names = [self.at[shard_of_number(number, self.shards)].alerts(number) for number in numbers]
        answers = await self._wire.call_many([("HGETALL", name) for name in names])
        return [{key.decode(): record for key, record in _pairs(answer).items()} for answer in answers]

    async def versions(self, shard: int) -> dict[int, int]:
        """Return the version of every incident of a shard."""
        found = _pairs(await self._wire.call("HGETALL", self.at[shard].versions))
        return {int(number): int(version) for number, version in found.items()}

    async def groups(self, shard: int) -> dict[str, int]:
        """Return the newest incident, not closed, of every grouping key of a shard."""
        found = _pairs(await self._wire.call("HGETALL", self.at[shard].groups))
        return {key.decode(): int(number) for key, number in found.items()}

    async def cursor_and_seq(self, shard: int) -> tuple[str, int]:
        """Return the intake cursor and the number of incidents numbered so far."""
        cursor, seq = await self._wire.call("HMGET", self.at[shard].meta, "cursor", "seq")
        return (cursor or b"0-0").decode(), int(seq or 0)

    async def read_history(self, shard: int, after: str, count_max: int) -> list[tuple[str, bytes, bytes]]:
        """Return (stream id, payload, chain hash) of up to `count_max` entries behind `after`, oldest first."""
        found = await self._wire.call("XRANGE", self.at[shard].history, f"({after}", "+", "COUNT", count_max)
        return [(entry_id.decode(), fields[1], fields[3]) for entry_id, fields in found]

    async def read_history_entries(self, shard: int, ids: Sequence[str]) -> list[bytes]:
        """Return the payloads of the history entries of these stream ids, in their order; one that is gone is left out."""
        answers = await self._wire.call_many([("XRANGE", self.at[shard].history, each, each) for each in ids])
        return [fields[1] for found in answers for _, fields in found]

    # --- timers and pages ----------------------------------------------------------------------------------------------------------

    async def claim_timers(self, shard: int, holder: Holder, now: int, lease_ms: int, most: int) -> list[Claimed]:
        """Take due incidents until `now + lease_ms`. Raises Fenced."""
        return await self._claim(self.at[shard].timers, shard, holder, now, lease_ms, most)

    async def claim_pages(self, shard: int, holder: Holder, now: int, lease_ms: int, most: int) -> list[Claimed]:
        """Take due pages until `now + lease_ms`. Raises Fenced."""
        return await self._claim(self.at[shard].outbox, shard, holder, now, lease_ms, most)

    async def _claim(self, key: str, shard: int, holder: Holder, now: int, lease_ms: int, most: int) -> list[Claimed]:
        at = self.at[shard]
        until = now + lease_ms
        answer = await self._wire.run(
            self._claiming, [key, at.incidents, at.meta, at.claims, at.begun], [holder.field, holder.fence, now, until, most]
        )
        if answer[0] != b"OK":
            raise Fenced(holder.role)
        found = zip(answer[1::4], answer[2::4], answer[3::4], answer[4::4], strict=True)
        # One incident has many pages: each document is read once.
        incidents = {document: self._readable(document) for document in {*answer[3::4]} if document is not None}
        return [
            Claimed(member.decode(), int(float(score)), until, incident, int(begun or 0))
            for member, score, document, begun in found
            if (incident := incidents.get(document)) is not None
        ]

    def _readable(self, document: bytes) -> Incident | None:
        """Return the incident of a document, or None, loudly: one that cannot be read must not hide the others."""
        try:
            return self._reader.read(document)
        except ValueError as error:
            log.error("incident_unreadable", document=document[:40].decode(errors="replace"), why=type(error).__name__)
            return None

    async def begin_pages(self, shard: int, holder: Holder, until: int, page_ids: Sequence[str]) -> list[int]:
        """Ask, immediately before the provider is called, which pages may go out.

        Returns for each page the attempts begun with this one whose outcome may have been a delivery, or 0: no longer wanted, or no longer
        ours. Raises Fenced.
        """
        at = self.at[shard]
        answer = await self._wire.run(self._begin, [at.outbox, at.begun, at.meta], [holder.field, holder.fence, until, *page_ids])
        if answer[0] != b"OK":
            raise Fenced(holder.role)
        return [int(count) for count in answer[1:]]

    async def next_due(self) -> int | None:
        """Return the earliest due time (ms UTC) of all timers and pages."""
        names = [name for at in self.at for name in (at.timers, at.outbox)]
        answers = await self._wire.call_many([("ZRANGE", name, 0, 0, "WITHSCORES") for name in names])
        return min((_score(answer) for answer in answers if answer), default=None)

    async def missing(self, shard: int, *, timers: Sequence[int], pages: Sequence[str]) -> tuple[list[int], list[str]]:
        """Return which of these incidents have no timer, and which of these pages are not in the outbox."""
        at = self.at[shard]
        commands: list[Command] = [("ZSCORE", at.timers, number) for number in timers]
        commands += [("ZSCORE", at.outbox, page) for page in pages]
        scores = await self._wire.call_many(commands)
        without_timer = [number for number, score in zip(timers, scores, strict=False) if score is None]
        return without_timer, [page for page, score in zip(pages, scores[len(timers) :], strict=True) if score is None]

    async def mend(self, shard: int, *, timers: Mapping[int, int], pages: Mapping[str, int]) -> None:
        """Put back timers and pages that are missing; what is there already stays as it is."""
        at = self.at[shard]
        commands: list[Command] = [("ZADD", at.timers, "NX", due_at, number) for number, due_at in timers.items()]
        commands += [("ZADD", at.outbox, "NX", due_at, page) for page, due_at in pages.items()]
        await self._wire.call_many(commands)

    async def drop_pages(self, shard: int, pages: Sequence[str]) -> None:
        """Take pages out of the outbox that no incident knows."""
        at = self.at[shard]
        await self._wire.call_many([("ZREM", at.outbox, *pages), ("HDEL", at.claims, *pages), ("HDEL", at.begun, *pages)])

    async def overdue(self, before: int) -> int:
        """Return how many timers were due before an instant (ms UTC) and have not been claimed."""
        return sum(await self._wire.call_many([("ZCOUNT", at.timers, "-inf", before) for at in self.at]))

    # --- what every shard must know ------------------------------------------------------------------------------------------------

    async def publish_rules(self, text: str, file_name: str, now: int) -> int:
        """Put rules in force (checked by the caller); return their version. The same text keeps its version."""
        digest = sha256(text.encode()).hexdigest()
        return int(await self._wire.run(self._publish, [keys.RULES], [digest, text, file_name, now, keys.CHANGES]))

    async def published_rules(self) -> PublishedRules | None:
        """Return the rules in force, None when none were published yet."""
        version, text, name = await self._wire.call("HMGET", keys.RULES, "version", "text", "file_name")
        return None if text is None else PublishedRules(int(version), text.decode(), name.decode())

    async def versions_in_force(self) -> tuple[int | None, int]:
        """Return the version of the rules, None when none were published yet, and that of the roster."""
        rules, roster = await self._wire.call_many([("HGET", keys.RULES, "version"), ("HGET", keys.ROSTER, "version")])
        return None if rules is None else int(rules), int(roster or 0)

    async def beat(self, role: str, now: int) -> None:
        """Say that a role works."""
        await self._wire.call("HSET", keys.HEARTBEATS, role, now)

    async def heartbeats(self) -> dict[str, int]:
        """Return when each role last said that it works (ms UTC)."""
        found = _pairs(await self._wire.call("HGETALL", keys.HEARTBEATS))
        return {role.decode(): int(at) for role, at in found.items()}

    async def put_token(self, token_sha256: str, record: Mapping[str, object]) -> None:
        """Keep an API token's hash and what it may do."""
        await self._wire.call("HSET", keys.TOKENS, token_sha256, orjson.dumps(record))

    async def token(self, token_sha256: str) -> dict[str, object] | None:
        """Return what an API token may do."""
        found = await self._wire.call("HGET", keys.TOKENS, token_sha256)
        return None if found is None else orjson.loads(found)

    async def note_sends(self, notes: Mapping[str, bytes]) -> None:
        """Keep the last sends of accounts and contacts (by hashed name); empty bytes: there are none any more."""
        kept = [part for name, note in notes.items() if note for part in (name, note)]
        gone = [name for name, note in notes.items() if not note]
        commands: list[Command] = [("HSET", keys.SENDS, *kept)] if kept else []
        await self._wire.call_many(commands + ([("HDEL", keys.SENDS, *gone)] if gone else []))

    async def noted_sends(self) -> dict[str, bytes]:
        """Return what `note_sends` has kept."""
        return {name.decode(): note for name, note in _pairs(await self._wire.call("HGETALL", keys.SENDS)).items()}

    async def signing_key(self) -> str:
        """Return the key that signs answer links; the first caller makes it."""
        found = await self._wire.call("GET", keys.SIGNING_KEY)
        if found is None:
            await self._wire.call("SETNX", keys.SIGNING_KEY, secrets.token_urlsafe(32))
            found = await self._wire.call("GET", keys.SIGNING_KEY)
        assert found is not None
        return str(found.decode())

    async def ping(self) -> None:
        """Raise StoreAway unless the store answers and takes writes."""
        await self._wire.call("PING")


def _entries(answer: Answer) -> list[Entry]:
    return [_entry(entry_id.decode(), fields) for entry_id, fields in answer]


def _entry(entry_id: str, fields: Sequence[bytes]) -> Entry:
    try:
        alerts = [(key.decode(), record) for key, record in zip(fields[2::2], fields[3::2], strict=True)]
        return Entry(entry_id, int(fields[1]), alerts)
    except ValueError as error:
        return Entry(entry_id, 0, [("", b" ".join(fields))], fault=f"{type(error).__name__}: {error}")


def _pairs(answer: Answer) -> dict[bytes, bytes]:
    return dict(zip(answer[::2], answer[1::2], strict=True))


def _score(answer: Answer) -> int:
    """Return the score of a one-member answer."""
    return int(float(answer[1]))
