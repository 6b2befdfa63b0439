"""Folds alerts into incidents: the correlator's core, without store or clock.

`AlertBook` knows, for every alert that an incident still cares for, which incident that is and what was last reported: a repeat is one
look-up. `Fold` takes one batch of news for one shard and turns it into decisions, without touching the book; `AlertBook.apply` makes the
book follow once they are committed. A batch that could not be committed is simply folded again.

An alert that belongs to an incident stays with it, whatever newer rules say. Alerts close one by one: never by the status of a group, never
because a list does not name them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from tocsin.policy.events import AlertsChanged, OpenedByAlerts
from tocsin.policy.incident import Decision, decide, open_incident
from tocsin.policy.model import Alert, AlertStatus, Incident, State
from tocsin.policy.rules import Rules, group_key, incident_number, shard_of_group, shard_of_number

LATE_NEWS_MS = 60_000
"""How long after an alert cleared a report of an older episode counts as late news instead of a new fault."""

PERSIST_END_PART = 4
"""The stored end of a firing alert is renewed once it lags by this part of the time it is good for."""

PERSIST_END_MIN_MS = 60_000

EXPIRED = "expired"
"""How an alert clears that was not reported in time: by our own clock, whatever its sender's clock says."""

DEFERRED_MAX = 1_000
"""Incidents whose waiting counts one batch takes up; the next tick takes the others."""

TITLE_MAX = 200

ParseAlert = Callable[[str, bytes], Alert]
"""Makes an alert of its key and its record."""

Tally = list[int]
"""Firing alerts by severity (four numbers), then resolved ones."""


@dataclass(slots=True)
class AlertRef:
    """What the book remembers of one alert. `digest` recognises a repeat; it means nothing in another process."""

    number: int
    digest: int
    firing: bool
    severity: int
    starts_at: int
    ends_at: int
    stored_end_at: int
    cleared_at: int = 0


@dataclass(slots=True)
class _Change:
    """What one batch does to one incident."""

    tally: Tally
    labels: Mapping[str, str]
    opening: Alert | None = None
    service: str = ""
    group: str = ""
    joined: int = 0
    refired: int = 0
    cleared: int = 0
    how: str = "reported"


@dataclass(frozen=True, slots=True)
class Folded:
    """What a batch comes to: decisions to commit, records to write, and what the book must learn afterwards."""

    shard: int
    decisions: list[Decision]
    records: dict[int, dict[str, bytes]]
    replaces: dict[str, int]
    seq: tuple[int, int] | None
    refs: dict[str, AlertRef]
    tallies: dict[int, Tally]
    foreign: list[tuple[int, str, bytes]]
    counts: dict[str, int]
    deferred: dict[int, _Change]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write but a cursor."""
        return not (self.decisions or self.records)


class AlertBook:
    """Every alert of every incident that is not closed, over all shards."""

    def __init__(self, shards: int) -> None:
        self.shards = shards
        self.alerts: dict[str, AlertRef] = {}
        self.incidents: dict[int, Incident] = {}
        self.tallies: dict[int, Tally] = {}
        self.groups: dict[str, int] = {}
        self.seq = [0] * shards
        self.quiet: set[int] = set()
        self.deferred: dict[int, _Change] = {}
        self._ends: list[tuple[int, str]] = []

    def learn(self, incident: Incident) -> None:
        """Follow an incident that somebody else changed, or that was loaded."""
        number = incident.number
        self.incidents[number] = incident
        if incident.is_live:
            self.quiet.discard(number)
        else:
            self.quiet.add(number)
        if incident.state is State.CLOSED:
            if self.groups.get(incident.group_key) == number:
                del self.groups[incident.group_key]
        elif number >= self.groups.get(incident.group_key, 0):
            self.groups[incident.group_key] = number

    def load(self, incident: Incident, alerts: Iterable[tuple[Alert, int]], rules: Rules) -> None:
        """Take up an incident of the store with its alerts, each with the digest of its body."""
        self.learn(incident)
        tally: Tally = [0, 0, 0, 0, 0]
        labels = incident.labels
        for alert, digest in alerts:
            firing = alert.status is AlertStatus.FIRING
            severity = rules.severity_of(alert.labels)
            labels = common_labels(labels, alert.labels)
            tally[severity - 1 if firing else 4] += 1
            ref = self.alerts.get(alert.key)
            if ref is not None and self._stays(ref, incident, alert):
                continue
            ref = AlertRef(incident.number, digest, firing, severity, alert.starts_at, alert.ends_at, alert.ends_at)
            self.alerts[alert.key] = ref
            if firing:
                heapq.heappush(self._ends, (alert.ends_at, alert.key))
        self.tallies[incident.number] = tally
        if (sum(tally[:4]), tally[4]) != (incident.firing, incident.resolved):
            # What waited at a crash; whether it may still reopen a resolved incident is for `Fold` to say.
            joined = max(0, sum(tally) - incident.firing - incident.resolved)
            self.deferred[incident.number] = _Change(tally, labels, joined=joined)

    def _stays(self, ref: AlertRef, incident: Incident, alert: Alert) -> bool:
        """Whether an alert that two incidents have a record of belongs to the one already known: the live one, else the one resolved later.

        It left the other long after that was resolved. Numbers do not tell: those of two shards are not in the order of time.
        """
        known = self.incidents[ref.number]
        mine = (known.is_live, known.resolved_at or 0, ref.ends_at, ref.number)
        return mine > (incident.is_live, incident.resolved_at or 0, alert.ends_at, incident.number)

    def forget(self, number: int, keys: Iterable[str]) -> None:
        """Drop a closed incident and those of these alerts that are still its own."""
        for key in keys:
            ref = self.alerts.get(key)
            if ref is not None and ref.number == number:
                del self.alerts[key]
        self.incidents.pop(number, None)
        self.tallies.pop(number, None)
        self.deferred.pop(number, None)
        self.quiet.discard(number)

    def next_end(self) -> int | None:
        """Return when (ms UTC) the next firing alert may expire; it may have been renewed since."""
        return self._ends[0][0] if self._ends else None

    def expired(self, now: int, most: int) -> list[tuple[str, AlertRef]]:
        """Return up to `most` firing alerts that have not been reported in time. Those that are still firing afterwards come again."""
        found: list[tuple[str, AlertRef]] = []
        while self._ends and self._ends[0][0] <= now and len(found) < most:
            _, key = heapq.heappop(self._ends)
            ref = self.alerts.get(key)
            if ref is None or not ref.firing:
                continue
            if ref.ends_at > now:
                heapq.heappush(self._ends, (ref.ends_at, key))
            else:
                found.append((key, ref))
        for key, _ in found:
            heapq.heappush(self._ends, (now + LATE_NEWS_MS, key))
        return found

    def apply(self, folded: Folded) -> None:
        """Make the book follow a batch that was committed."""
        for key, ref in folded.refs.items():
            old = self.alerts.get(key)
            self.alerts[key] = ref
            if ref.firing and (old is None or not old.firing or ref.ends_at < old.ends_at):
                heapq.heappush(self._ends, (ref.ends_at, key))
        self.tallies.update(folded.tallies)
        for number in folded.tallies:
            self.deferred.pop(number, None)
        self.deferred.update(folded.deferred)
        for decision in folded.decisions:
            self.learn(decision.incident)
        if folded.seq is not None:
            self.seq[folded.shard] = folded.seq[1]


class Fold:
    """One batch of news for one shard. Feed it with `take`, then `finish`."""

    def __init__(self, book: AlertBook, shard: int, now: int, rules: Rules, parse: ParseAlert) -> None:
        self._book = book
        self._shard = shard
        self._now = now
        self._rules = rules
        self._parse = parse
        self._refs: dict[str, AlertRef] = {}
        self._changes: dict[int, _Change] = {}
        self._groups: dict[str, int] = {}
        self._records: dict[int, dict[str, bytes]] = {}
        self._replaces: dict[str, int] = {}
        self._foreign: list[tuple[int, str, bytes]] = []
        self._opened = 0
        self.counts: dict[str, int] = {}

    def take(self, key: str, ends_at: int, body: bytes, record: bytes, how: str = "reported") -> None:
        """Take one report of an alert: `record` is what the store will keep of it, `body` the part that a repeat shares."""
        ref = self._refs.get(key) or self._book.alerts.get(key)
        digest = hash(body)
        if ref is not None and ref.digest == digest and ref.number not in self._book.quiet:
            self._repeat(key, ref, ends_at, record)
            return
        if ref is not None and shard_of_number(ref.number, self._book.shards) != self._shard:
            if self._is_live_or_recent(ref):
                self._forward(shard_of_number(ref.number, self._book.shards), key, record)
                return
            ref = None
        alert = self._parse(key, record)
        if alert.status is AlertStatus.FIRING:
            self._fires(alert, ref, digest, record)
        else:
            self._clears(alert, ref, digest, record, how)

    def _is_live_or_recent(self, ref: AlertRef) -> bool:
        return self._is_live(ref.number) or self._may_reopen(ref.number)

    def _is_live(self, number: int) -> bool:
        """Whether the incident is live, or will be when this batch is decided: it opens in it, or alerts fire again in it."""
        change = self._changes.get(number)
        if change is not None and (change.joined or change.refired):
            return True
        incident = self._book.incidents.get(number)
        return incident is not None and incident.is_live

    def _may_reopen(self, number: int) -> bool:
        incident = self._book.incidents.get(number)
        if incident is None or incident.state is not State.RESOLVED:
            return False
        return self._now - (incident.resolved_at or 0) <= incident.plan.reopen_within_ms

    def _just_resolved(self, number: int) -> bool:
        incident = self._book.incidents[number]
        return self._now - (incident.resolved_at or 0) <= incident.plan.resolve_after_ms

    def _repeat(self, key: str, ref: AlertRef, ends_at: int, record: bytes) -> None:
        """A repeat changes nothing but how long the alert is good for, and that is written only now and then.

        Those of an incident in another shard are forwarded like all its news: else a repeat would overtake what was forwarded before it.
        """
        home = shard_of_number(ref.number, self._book.shards)
        if home != self._shard:
            self._forward(home, key, record)
            return
        self._count("repeated")
        if not ref.firing:
            return
        ref.ends_at = max(ref.ends_at, ends_at)
        lag_ms = ends_at - ref.stored_end_at
        if lag_ms < PERSIST_END_MIN_MS or lag_ms < (ends_at - self._now) // PERSIST_END_PART:
            return
        # In a copy, because what the store has is known only once the batch is committed.
        self._refs[key] = AlertRef(ref.number, ref.digest, True, ref.severity, ref.starts_at, ref.ends_at, ends_at)
        self._records.setdefault(ref.number, {})[key] = record

    def _forward(self, shard: int, key: str, record: bytes) -> None:
        self._foreign.append((shard, key, record))
        self._count("forwarded")

    def _fires(self, alert: Alert, ref: AlertRef | None, digest: int, record: bytes) -> None:
        is_live = ref is not None and self._is_live(ref.number)
        if ref is None or not (is_live or self._may_reopen(ref.number)):
            self._joins(alert, digest, record)
        elif is_live and ref.firing:
            self._renew(alert, ref, digest, record)
        elif ref.firing and self._just_resolved(ref.number):
            # Resolved by a person while it still fires: the sender's repeats are given the time to learn of it, then it reopens.
            self._count("after_resolve")
        elif not ref.firing and alert.starts_at < ref.starts_at and self._now - ref.cleared_at < LATE_NEWS_MS:
            self._count("late")
        else:
            self._fires_again(alert, ref, digest, record)

    def _renew(self, alert: Alert, ref: AlertRef, digest: int, record: bytes) -> None:
        """The alert fires on with other annotations: its record changes, its incident does not."""
        self._refs[alert.key] = AlertRef(ref.number, digest, True, ref.severity, alert.starts_at, alert.ends_at, alert.ends_at)
        self._records.setdefault(ref.number, {})[alert.key] = record
        self._count("renewed")

    def _fires_again(self, alert: Alert, ref: AlertRef, digest: int, record: bytes) -> None:
        change = self._change(ref.number)
        severity = self._rules.severity_of(alert.labels)
        change.tally[ref.severity - 1 if ref.firing else 4] -= 1
        change.tally[severity - 1] += 1
        change.refired += 1
        change.labels = common_labels(change.labels, alert.labels)
        self._keep(alert, ref.number, digest, severity, record)
        self._count("refired")

    def _joins(self, alert: Alert, digest: int, record: bytes) -> None:
        service = self._rules.service_of(alert.labels)
        group = group_key(service, alert.labels)
        shard = shard_of_group(group, self._book.shards)
        if shard != self._shard:
            # Ingest had other rules, or its incident ended on the way here: one group must not open in two shards.
            self._forward(shard, alert.key, record)
            return
        severity = self._rules.severity_of(alert.labels)
        number = self._holder_of(group)
        if number is None:
            number = self._number_new(group)
            self._changes[number] = _Change([0, 0, 0, 0, 0], alert.labels, opening=alert, service=service.name, group=group)
        change = self._change(number)
        change.tally[severity - 1] += 1
        change.joined += 1
        change.labels = common_labels(change.labels, alert.labels)
        self._keep(alert, number, digest, severity, record)
        self._count("joined")

    def _holder_of(self, group: str) -> int | None:
        number = self._groups.get(group) or self._book.groups.get(group)
        if number is None or self._is_live(number) or self._may_reopen(number):
            return number
        if number in self._book.incidents:
            self._replaces[group] = number
        return None

    def _number_new(self, group: str) -> int:
        number = incident_number(self._book.seq[self._shard] + self._opened, self._shard, self._book.shards)
        self._opened += 1
        self._groups[group] = number
        return number

    def _clears(self, alert: Alert, ref: AlertRef | None, digest: int, record: bytes, how: str) -> None:
        if ref is None or (ref.number not in self._changes and ref.number not in self._book.incidents):
            self._count("resolved_unknown")
            return
        if ref.firing and alert.ends_at < ref.starts_at and how != EXPIRED:
            self._count("late")
            return
        if not ref.firing:
            self._count("repeated")
            return
        change = self._change(ref.number)
        change.tally[ref.severity - 1] -= 1
        change.tally[4] += 1
        change.cleared += 1
        change.how = how
        self._refs[alert.key] = AlertRef(
            ref.number, digest, False, ref.severity, ref.starts_at, alert.ends_at, alert.ends_at, cleared_at=self._now
        )
        self._records.setdefault(ref.number, {})[alert.key] = record
        self._count("cleared")

    def _keep(self, alert: Alert, number: int, digest: int, severity: int, record: bytes) -> None:
        self._refs[alert.key] = AlertRef(number, digest, True, severity, alert.starts_at, alert.ends_at, alert.ends_at)
        self._records.setdefault(number, {})[alert.key] = record

    def _change(self, number: int) -> _Change:
        change = self._changes.get(number)
        if change is None:
            incident = self._book.incidents[number]
            tally = list(self._book.tallies.get(number, (0, 0, 0, 0, 0)))
            waiting = self._book.deferred.get(number)
            if waiting is None:
                change = _Change(tally, incident.labels)
            else:
                joined, refired, cleared = waiting.joined, waiting.refired, waiting.cleared
                change = _Change(tally, waiting.labels, joined=joined, refired=refired, cleared=cleared, how=waiting.how)
            if not incident.is_live:
                # Somebody resolved it meanwhile: what waited does not reopen it, whatever else comes in this batch.
                change.joined = change.refired = 0
            self._changes[number] = change
        return change

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def finish(self, *, flush: bool = True) -> Folded:
        """Decide what the news means for each incident.

        Without `flush`, changes that only count (more alerts of an incident that fires anyway) wait for a later batch: in a storm an
        incident then changes a few times a second instead of with every batch. Their alerts are written all the same.
        """
        decisions: list[Decision] = []
        deferred: dict[int, _Change] = {}
        if flush:
            self._take_up_deferred()
        for number, change in self._changes.items():
            if not flush and self._only_counts(number, change):
                deferred[number] = change
            else:
                decisions += self._decide(number, change)
        first = self._book.seq[self._shard]
        return Folded(
            shard=self._shard,
            decisions=decisions,
            records=self._records,
            replaces=self._replaces,
            seq=(first, first + self._opened) if self._opened else None,
            refs=self._refs,
            tallies={number: change.tally for number, change in self._changes.items()},
            foreign=self._foreign,
            counts=self.counts,
            deferred=deferred,
        )

    def _take_up_deferred(self) -> None:
        """Take up what waits for this shard, in bounded batches: after a restart it may be every incident there is."""
        ours = (n for n in self._book.deferred if shard_of_number(n, self._book.shards) == self._shard)
        for number in list(islice(ours, DEFERRED_MAX)):
            self._change(number)

    def _only_counts(self, number: int, change: _Change) -> bool:
        """Whether a change concerns neither the state nor the severity of its incident, nor anybody who might be paged."""
        incident = self._book.incidents.get(number)
        if incident is None or not incident.is_live or incident.clear_since is not None or change.refired:
            return False
        return any(change.tally[:4]) and change.tally[incident.severity - 1] > 0 and not any(change.tally[: incident.severity - 1])

    def _decide(self, number: int, change: _Change) -> Iterator[Decision]:
        event = AlertsChanged(
            _four(change.tally), change.tally[4], change.labels, change.joined, change.refired, change.cleared, change.how
        )
        if change.opening is None:
            decision = decide(self._book.incidents[number], event, self._now, self._rules)
            if decision.changed:
                yield decision
            return
        alert = change.opening
        firing = event.firing
        if not any(firing):
            # It fired and cleared within the batch: it has been an incident all the same.
            level = self._refs[alert.key].severity
            firing = _four([int(level == i) for i in range(1, 5)])
        opening = OpenedByAlerts(number, change.group, change.service, title_of(alert), change.labels, firing)
        opened = open_incident(opening, self._now, self._rules)
        yield opened
        if firing != event.firing or change.tally[4]:
            yield decide(opened.incident, event, self._now, self._rules)


def _four(tally: list[int]) -> tuple[int, int, int, int]:
    return tally[0], tally[1], tally[2], tally[3]


def common_labels(common: Mapping[str, str], labels: Mapping[str, str]) -> Mapping[str, str]:
    """Return the pairs that both have; `common` itself when it has no others."""
    if common is labels or common.items() <= labels.items():
        return common
    return {name: value for name, value in common.items() if labels.get(name) == value}


def title_of(alert: Alert) -> str:
    """Return what people call the incident: the summary that its rule gives it, else the alert's name."""
    annotations = alert.annotations
    text = annotations.get("summary") or annotations.get("title") or alert.labels.get("alertname") or annotations.get("description")
    if not text:
        text = ", ".join(f"{name}={value}" for name, value in sorted(alert.labels.items()))
    text = " ".join(text.split())
    return text if len(text) <= TITLE_MAX else text[: TITLE_MAX - 1] + "…"
