"""The correlator: reads the intake, folds it into incidents, commits.

One process owns all shards, under a fence: its alert book knows every alert, so an alert whose rules have moved it to another shard is
forwarded to the incident it belongs to. The book is only ever as new as the last commit; whatever the store refuses is loaded again and
folded again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass

from aiohttp import web

from tocsin.policy.fold import AlertBook, Fold, Folded
from tocsin.policy.model import Alert, AlertStatus, Incident, State
from tocsin.policy.rules import shard_of_number
from tocsin.runtime.service import Deps
from tocsin.store import codec
from tocsin.store.bell import Changed, IntakeRung, Message
from tocsin.store.commit import Commit, Holder
from tocsin.store.store import Committed, CursorMoved, Entry, GroupTaken, SeqMoved, Stale
from tocsin.store.wire import StoreAway, StoreFull

EXPIRY_GRACE_MS = 5 * 60_000
"""After the intake, the store or this process was away, no alert expires for this long: its sender could not renew it."""

INTAKE_SILENT_MS = 15_000
"""An ingest that has not said for this long that it works counts as down."""

FLUSH_MS = 1_000
"""While more news waits, an incident's counts are written this often at most; openings, raises, clears and reopenings at once."""

EXPIRIES_MAX = 2_000
"""Alerts that expire in one tick; the rest follows in the next."""

PACE_S = 0.004
"""The shortest time from one tick with entries to the next; the first alert after a rest is taken at once."""

STORE_RETRY_S = 0.2
WATCH_S = 5.0

ALERTS_MAX = 2_000
"""Alerts folded in one commit of a shard: if each opens an incident, the store is busy with it for a quarter of a second and no longer."""

REFOLDS_MAX = 20
"""How often a batch is folded again because somebody else changed an incident, before the tick gives up and starts anew."""


class Unfoldable(Exception):
    """A batch holds something that cannot be folded."""


@dataclass(frozen=True, slots=True)
class Tick:
    """What one tick did."""

    entries: int
    expired: int


def build(deps: Deps) -> Correlator:
    """Make the role."""
    return Correlator(deps)


class Correlator:
    """The role. `tick` is one turn of its loop."""

    name = "correlator"

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._store = deps.store
        self._book = AlertBook(deps.store.shards)
        self._holders: tuple[Holder, ...] = ()
        self._cursors: list[str] = []
        self._dirty: set[int] = set()
        self._wake = asyncio.Event()
        self._hold_expiry_until = 0
        self._all_dirty = False
        self._lost = False
        self._doubtful: set[int] = set()
        self._draining = False
        self._flushed_at = [0] * deps.store.shards

    # --- what every role has -------------------------------------------------------------------------------------------------------

    def add_routes(self, app: web.Application) -> None:
        """Nothing beyond health and metrics."""

    async def start(self) -> None:
        """Take over every shard and load the book from the store."""
        self._holders = await self._store.take_over(self.name)
        await self._load_book()
        self._hold_expiry(self._deps.clock.now_ms())

    def early_loops(self) -> Sequence[Callable[[], Coroutine[None, None, None]]]:
        """Without a store there is nothing to fold."""
        return ()

    def loops(self) -> Sequence[Callable[[], Coroutine[None, None, None]]]:
        """Folding, and watching whether the intake lives."""
        return (self._run, self._watch_intake)

    def on_change(self, message: Message) -> None:
        """Wake for new entries; incidents that others changed are loaded again when an alert of theirs comes."""
        match message:
            case IntakeRung():
                self._wake.set()
            case Changed() if message.origin != self._store.origin:
                known = self._book.incidents
                self._dirty.update(n for n, version in message.versions.items() if n in known and known[n].version < version)
            case _:
                pass

    def on_gap(self) -> None:
        """Everything may have changed."""
        self._all_dirty = True
        self._wake.set()

    def not_ready(self) -> str | None:
        """Ready once the book is loaded."""
        return "loading the alerts of open incidents" if not self._cursors else None

    async def drain(self) -> None:
        """A tick in progress finishes; entries that wait are applied by the next process."""
        self._draining = True
        self._wake.set()

    # --- the loop ------------------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        settings = self._deps.settings
        while not self._draining:
            now = self._deps.clock.now_ms()
            started = self._deps.clock.monotonic()
            try:
                done = await self.tick(now)
            except (StoreAway, StoreFull) as error:
                self._deps.log.warning("store_away", why=str(error))
                self._hold_expiry(now)
                self._all_dirty = True
                await self._deps.clock.wait(STORE_RETRY_S, asyncio.Event())
                continue
            if done.entries == 0:
                await self._deps.clock.wait(settings.idle_s, self._wake)
            else:
                await self._pace(self._deps.clock.monotonic() - started)
            self._wake.clear()

    async def _pace(self, took_s: float) -> None:
        """While alerts keep coming, let a few gather: a tick costs the same for one as for twenty."""
        if took_s < PACE_S:
            await self._deps.clock.wait(PACE_S - took_s, asyncio.Event())

    async def tick(self, now: int) -> Tick:
        """Apply one bounded batch of every shard, and let alerts expire whose time is over."""
        if self._lost:
            await self._load_book()
        if self._all_dirty:
            await self._find_changed()
        await self._settle_doubts()
        found = await self._store.read_intake(self._cursors, self._deps.settings.tick_entries_max)
        batches = [_bounded(entries) for entries in found]
        expired = await self._expired(now)
        waiting = {shard_of_number(number, self._store.shards) for number in self._book.deferred}
        async with asyncio.TaskGroup() as group:
            applying = [
                group.create_task(self._apply(shard, entries, expired.get(shard, []), now))
                for shard, entries in enumerate(batches)
                if entries or expired.get(shard) or shard in waiting
            ]
        for away in filter(None, [task.result() for task in applying]):
            raise away
        return Tick(sum(len(entries) for entries in batches), sum(len(alerts) for alerts in expired.values()))

    async def _apply(self, shard: int, entries: list[Entry], expired: list[tuple[str, bytes]], now: int) -> StoreAway | StoreFull | None:
        """Apply a shard's batch. A store that is away is returned, not raised: nothing that another shard commits is cancelled for it."""
        try:
            await self._apply_or_set_aside(shard, entries, expired, now)
        except (StoreAway, StoreFull) as error:
            return error
        return None

    async def _apply_or_set_aside(self, shard: int, entries: list[Entry], expired: list[tuple[str, bytes]], now: int) -> None:
        try:
            await self._fold_and_commit(shard, entries, expired, now)
        except (Unfoldable, ValueError, KeyError, AssertionError, TypeError) as error:
            # A poisoned entry must not stop its shard: the entries are applied one by one, and the bad one is set aside.
            self._deps.metrics.ticks_failed.labels(self.name).inc()
            self._deps.log.exception("batch_failed", shard=shard, entries=len(entries), error=str(error))
            for entry in entries:
                await self._apply_alone(shard, entry, now)

    async def _apply_alone(self, shard: int, entry: Entry, now: int) -> None:
        try:
            await self._fold_and_commit(shard, [entry], [], now)
        except (Unfoldable, ValueError, KeyError, AssertionError, TypeError) as error:
            self._deps.metrics.dead_letters.labels("correlator").inc()
            self._deps.log.exception("entry_set_aside", shard=shard, entry=entry.id, error=str(error))
            raw = b"\n".join(record for _, record in entry.alerts)
            await self._store.set_aside("correlator", f"{type(error).__name__}: {error}", raw, now)
            cursor = (self._cursors[shard], entry.id)
            result = await self._store.commit(Commit(shard, now, [], self._holders[shard], cursor=cursor, origin=self._store.origin))
            if isinstance(result, Committed):
                self._cursors[shard] = entry.id
            else:
                self._lost = True

    async def _fold_and_commit(self, shard: int, entries: list[Entry], expired: list[tuple[str, bytes]], now: int) -> None:
        flush = not entries or now - self._flushed_at[shard] >= FLUSH_MS
        for _ in range(REFOLDS_MAX):
            if self._lost:
                return
            await self._load_dirty(shard)
            folded = self._fold(shard, entries, expired, now, flush=flush)
            await self._forward(folded, now)
            if folded.is_empty and not entries:
                return
            if await self._commit(shard, folded, entries, now):
                if flush and folded.decisions:
                    self._flushed_at[shard] = now
                return
        raise StoreAway(f"shard {shard} changes faster than it can be folded")

    def _fold(self, shard: int, entries: list[Entry], expired: list[tuple[str, bytes]], now: int, *, flush: bool) -> Folded:
        fold = Fold(self._book, shard, now, self._deps.rules.rules, codec.read_alert)
        take, split = fold.take, codec.split_alert_record
        try:
            for key, record in expired:
                take(key, *split(record), record, "expired")
            for entry in entries:
                if entry.fault:
                    raise Unfoldable(entry.fault)
                for key, record in entry.alerts:
                    take(key, *split(record), record)
            return fold.finish(flush=flush)
        except Exception as error:  # top of a tick: whatever an entry does to the policy, it does not end the process
            raise Unfoldable(f"{type(error).__name__}: {error}") from error

    async def _commit(self, shard: int, folded: Folded, entries: list[Entry], now: int) -> bool:
        """Write a folded batch; False when it must be folded again."""
        cursor = (self._cursors[shard], entries[-1].id) if entries else None
        commit = Commit(
            shard=shard,
            now=now,
            decisions=folded.decisions,
            holder=self._holders[shard],
            alerts=folded.records,
            replaces=folded.replaces,
            cursor=cursor,
            seq=folded.seq,
            origin=self._store.origin,
        )
        try:
            result = await self._store.commit(commit)
        except StoreAway:
            # It may have been applied all the same. With entries the cursor will tell; without, only the incidents can.
            self._doubtful.update(folded.records, (decision.incident.number for decision in folded.decisions))
            raise
        match result:
            case Committed():
                if cursor is not None:
                    self._cursors[shard] = cursor[1]
                self._book.apply(folded)
                self._observe(folded, entries, now)
                return True
            case Stale(numbers):
                self._dirty.update(numbers)
            case SeqMoved(seq):
                self._book.seq[shard] = seq
            case GroupTaken(group_keys):
                await self._learn_groups(shard, group_keys)
            case CursorMoved():
                # Only an answer that was lost can have moved it: the batch is applied already. The book is loaded anew before the next
                # tick, not now, while other shards commit from it.
                self._lost = True
                return True
        self._deps.metrics.commits_repeated.labels(type(result).__name__.lower()).inc()
        return False

    def _observe(self, folded: Folded, entries: list[Entry], now: int) -> None:
        metrics = self._deps.metrics
        for what, count in folded.counts.items():
            metrics.alerts_folded.labels(what).inc(count)
        for decision in folded.decisions:
            if decision.before is None:
                metrics.incidents_opened.labels(str(decision.incident.severity)).inc()
        if entries:
            metrics.intake_lag_seconds.set(max(0, now - entries[-1].received_at) / 1000)

    # --- keeping the book true -----------------------------------------------------------------------------------------------------

    async def _load_book(self) -> None:
        """Read every incident that is not closed, with its alerts."""
        # What changes while it is read is found by its version in the next tick.
        self._lost, self._all_dirty = False, True
        self._dirty.clear()
        self._doubtful.clear()
        book = AlertBook(self._store.shards)
        cursors: list[str] = []
        rules = self._deps.rules.rules
        for shard in range(self._store.shards):
            cursor, seq = await self._store.cursor_and_seq(shard)
            cursors.append(cursor)
            book.seq[shard] = seq
            async for incidents in self._store.scan_incidents(shard):
                kept = [incident for incident in incidents if incident.state is not State.CLOSED]
                alerts = await self._store.load_alerts([incident.number for incident in kept])
                for incident, records in zip(kept, alerts, strict=True):
                    book.load(incident, (_read(key, record) for key, record in records.items()), rules)
        self._book = book
        self._cursors = cursors
        self._deps.log.info("book_loaded", incidents=len(book.incidents), alerts=len(book.alerts))

    async def _settle_doubts(self) -> None:
        """Load the incidents of commits whose answer was lost, with their alerts: they may have been applied."""
        if not self._doubtful:
            return
        loaded = list((await self._store.load_many(self._doubtful)).values())
        alerts = await self._store.load_alerts([incident.number for incident in loaded])
        for incident, records in zip(loaded, alerts, strict=True):
            self._book.deferred.pop(incident.number, None)
            self._book.load(incident, (_read(key, record) for key, record in records.items()), self._deps.rules.rules)
        self._doubtful.clear()

    async def _find_changed(self) -> None:
        """Compare versions with the store: messages may have been missed."""
        self._all_dirty = False
        for shard in range(self._store.shards):
            for number, version in (await self._store.versions(shard)).items():
                known = self._book.incidents.get(number)
                if known is not None and known.version != version:
                    self._dirty.add(number)

    async def _load_dirty(self, shard: int) -> None:
        """Load again the shard's incidents that others changed."""
        wanted = {number for number in self._dirty if shard_of_number(number, self._store.shards) == shard}
        if not wanted:
            return
        self._dirty -= wanted  # before it is read: what changes meanwhile is dirty again
        try:
            loaded = await self._store.load_many(wanted)
        except StoreAway:
            self._dirty |= wanted
            raise
        for incident in loaded.values():
            await self._learn(incident)

    async def _learn(self, incident: Incident) -> None:
        known = self._book.incidents.get(incident.number)
        if known is not None and known.version >= incident.version:
            return
        self._book.learn(incident)
        if incident.state is State.CLOSED:
            [records] = await self._store.load_alerts([incident.number])
            self._book.forget(incident.number, records)

    async def _learn_groups(self, shard: int, refused: Sequence[str]) -> None:
        """Somebody else moved a group: take the store's word for the whole shard, also that nobody holds the group any more."""
        groups = await self._store.groups(shard)
        for group in refused:
            held = self._book.groups.pop(group, None)
            if held is not None:
                self._dirty.add(held)
        self._book.groups.update(groups)
        unknown = [number for number in groups.values() if number not in self._book.incidents]
        for incident in (await self._store.load_many(unknown)).values():
            [records] = await self._store.load_alerts([incident.number])
            self._book.load(incident, (_read(key, record) for key, record in records.items()), self._deps.rules.rules)

    async def _forward(self, folded: Folded, now: int) -> None:
        """Pass news on to the shard of the incident it belongs to, before the cursor moves past it: twice is harmless, never is not."""
        if folded.foreign:
            await self._store.forward([(shard, ["t", now, key, record]) for shard, key, record in folded.foreign])

    # --- expiry --------------------------------------------------------------------------------------------------------------------

    async def _expired(self, now: int) -> dict[int, list[tuple[str, bytes]]]:
        """Return, by shard, reports that alerts are over which nobody has renewed in time."""
        if now < self._hold_expiry_until:
            return {}
        due = self._book.expired(now, EXPIRIES_MAX)
        if not due:
            return {}
        numbers = sorted({ref.number for _, ref in due})
        alerts = dict(zip(numbers, await self._store.load_alerts(numbers), strict=True))
        reports: dict[int, list[tuple[str, bytes]]] = {}
        for key, ref in due:
            record = alerts[ref.number].get(key)
            if record is not None:
                alert = codec.read_alert(key, record)._replace(status=AlertStatus.RESOLVED, ends_at=ref.ends_at)
                shard = shard_of_number(ref.number, self._store.shards)
                reports.setdefault(shard, []).append((key, codec.alert_record(alert, codec.alert_body(alert))))
        return reports

    def _hold_expiry(self, now: int) -> None:
        self._hold_expiry_until = now + EXPIRY_GRACE_MS

    async def _watch_intake(self) -> None:
        """While no ingest says that it works, senders cannot renew their alerts: their clock stands still."""
        while True:
            now = self._deps.clock.now_ms()
            try:
                beat = (await self._store.heartbeats()).get("ingest", 0)
                self._deps.metrics.intake_backlog.set(await self._store.backlog())
            except StoreAway:
                beat = 0
            if now - beat > INTAKE_SILENT_MS:
                self._hold_expiry(now)
            await self._deps.clock.wait(WATCH_S, asyncio.Event())


def _bounded(entries: list[Entry]) -> list[Entry]:
    """Return the first entries, at least one, that hold no more alerts than a commit may."""
    alerts = 0
    for index, entry in enumerate(entries):
        alerts += len(entry.alerts)
        if alerts > ALERTS_MAX:
            return entries[: max(1, index)]
    return entries


def _read(key: str, record: bytes) -> tuple[Alert, int]:
    return codec.read_alert(key, record), hash(codec.split_alert_record(record)[1])
