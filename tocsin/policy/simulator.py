"""A whole pager in memory: alerts, people and time go in, incidents and pages come out, as fast as they can be computed.

    world = Simulator(rules, start)
    world.report([alert])                      # what ingest would have taken, now
    world.advance(start + 30 * 60_000)         # every timer and page on its millisecond
    world.act(1, Acknowledged("kim"))
    world.handed                               # who was paged, when, for what

It is the correlator's `Fold` and the one `decide`, without store, network and clock: policy tests, backtests and explanations cannot
disagree with the roles, because there is nothing here that decides. What happens at one instant happens in this order: timers, pages,
alerts that expire, and then what the caller does.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tocsin.policy.events import Event, Opening, PageSent, TimerDue
from tocsin.policy.fold import EXPIRED, AlertBook, Fold
from tocsin.policy.incident import Decision, decide, open_incident, outbox_changes
from tocsin.policy.model import Alert, AlertStatus, Incident, Page, PageStatus, State
from tocsin.policy.rules import Rules, incident_number

EXPIRIES_MAX = 1_000

Provider = Callable[[Page, Incident, int], Event | None]
"""What comes of an attempt at an instant (ms UTC): an event of the page, or None for a provider that says nothing for a minute."""

SILENCE_MS = 60_000

Observer = Callable[[Decision], None]


@dataclass(frozen=True, slots=True)
class Handed:
    """A page that a provider took, at `at` (ms UTC), with the incident as it was then."""

    at: int
    page: Page
    incident: Incident


def takes_all(page: Page, incident: Incident, at: int) -> Event | None:
    """A provider that takes every page at once."""
    return PageSent(page.id)


class Simulator:
    """One world. `now` only moves by `advance`; `rules` may be replaced at any time, as a reload does.

    `lazy`: what only counts alerts of an incident that fires anyway waits for its next change, as in the correlator in a storm.
    """

    def __init__(
        self, rules: Rules, now: int, *, provider: Provider = takes_all, observe: Observer | None = None, lazy: bool = False
    ) -> None:
        self.rules = rules
        self.now = now
        self.handed: list[Handed] = []
        self.opened = 0
        self._provider = provider
        self._observe = observe
        self._flush = not lazy
        self._book = AlertBook(1)
        self._alerts: dict[str, Alert] = {}
        self._keys: dict[int, set[str]] = {}
        self._due: list[tuple[int, int, int, str]] = []

    @property
    def incidents(self) -> dict[int, Incident]:
        """The incidents that are not closed, by number."""
        return self._book.incidents

    @property
    def book(self) -> AlertBook:
        """What is remembered of every alert and incident; to be read."""
        return self._book

    def alerts_of(self, number: int) -> list[Alert]:
        """Return the last report of each alert of an incident."""
        return [self._alerts[key] for key in sorted(self._keys.get(number, ()))]

    def incident_of(self, key: str) -> int | None:
        """Return the number of the incident that an alert belongs to; None when it has none, or that is closed."""
        ref = self._book.alerts.get(key)
        return None if ref is None else ref.number

    # --- what happens to it --------------------------------------------------------------------------------------------------------

    def report(self, alerts: Iterable[Alert]) -> dict[str, int]:
        """Take reports of alerts, as one batch; return what they counted as (`joined`, `repeated`, `cleared` ...)."""
        return self._fold((alert, "reported") for alert in alerts)

    def act(self, number: int, event: Event) -> Decision:
        """Let an event happen to an incident. Raises KeyError for one that is not there."""
        decision = decide(self._book.incidents[number], event, self.now, self.rules)
        if decision.changed:
            self._keep(decision)
        return decision

    def open(self, opening: Callable[[int], Opening]) -> Decision:
        """Open an incident that no alert opens: `opening` makes the event of the number it is given."""
        seq = self._book.seq[0]
        self._book.seq[0] = seq + 1
        decision = open_incident(opening(incident_number(seq, 0, 1)), self.now, self.rules)
        self._keep(decision)
        return decision

    def advance(self, until: int) -> None:
        """Let time pass up to an instant (ms UTC), that instant included."""
        while (at := self.next_at()) is not None and at <= until:
            self.now = max(self.now, at)
            self._step()
        self.now = max(self.now, until)

    # --- time ----------------------------------------------------------------------------------------------------------------------

    def next_at(self) -> int | None:
        """Return when (ms UTC) something may be due next; None when nothing ever is."""
        due = self._due[0][0] if self._due else None
        ends = self._book.next_end()
        return ends if due is None else due if ends is None else min(due, ends)

    def _step(self) -> None:
        """Do the first thing that is due."""
        if not self._due or self._due[0][0] > self.now:
            self._expire()
            return
        _, _, number, page_id = heapq.heappop(self._due)
        incident = self._book.incidents.get(number)
        if incident is None:
            return
        if page_id:
            self._attempt(incident, page_id)
        elif incident.due_at is not None and incident.due_at <= self.now:
            self.act(number, TimerDue())

    def _attempt(self, incident: Incident, page_id: str) -> None:
        page = next((p for p in incident.pages if p.id == page_id and p.status is PageStatus.PENDING), None)
        if page is None or page.due_at > self.now:
            return  # withdrawn, or moved to a later instant, which has its own entry
        event = self._provider(page, incident, self.now)
        if event is None:
            heapq.heappush(self._due, (self.now + SILENCE_MS, 1, incident.number, page_id))
            return
        if isinstance(event, PageSent):
            self.handed.append(Handed(self.now, page, incident))
        decision = self.act(incident.number, event)
        if any(p.id == page_id and p.status is PageStatus.PENDING and p.due_at == page.due_at for p in decision.incident.pages):
            heapq.heappush(self._due, (self.now + SILENCE_MS, 1, incident.number, page_id))  # it still waits: as after silence

    def _expire(self) -> None:
        due = self._book.expired(self.now, EXPIRIES_MAX)
        if not due:
            return
        over = (self._alerts[key]._replace(status=AlertStatus.RESOLVED, ends_at=ref.ends_at) for key, ref in due)
        self._fold((alert, EXPIRED) for alert in over)

    # --- folding and keeping -------------------------------------------------------------------------------------------------------

    def _fold(self, reports: Iterable[tuple[Alert, str]]) -> dict[str, int]:
        news: dict[str, Alert] = {}
        fold = Fold(self._book, 0, self.now, self.rules, lambda key, _: news[key])
        for alert, how in reports:
            news[alert.key] = alert
            fold.take(alert.key, alert.ends_at, _body(alert), b"", how)
        folded = fold.finish(flush=self._flush)
        for number, records in folded.records.items():
            self._keys.setdefault(number, set()).update(records)
            self._alerts.update({key: news[key] for key in records})
        self._book.apply(folded)
        for decision in folded.decisions:
            self._keep(decision, learnt=True)
        return folded.counts

    def _keep(self, decision: Decision, *, learnt: bool = False) -> None:
        """Follow a decision: its timer, its pages, and who wants to know."""
        after = decision.incident
        self.opened += decision.before is None
        due_before = None if decision.before is None else decision.before.due_at
        if after.due_at is not None and (after.due_at != due_before or after.due_at <= self.now):
            heapq.heappush(self._due, (after.due_at, 0, after.number, ""))
        for page_id, at in outbox_changes(decision.before, after).due.items():
            heapq.heappush(self._due, (at, 1, after.number, page_id))
        if not learnt:
            self._book.learn(after)
        if self._observe is not None:
            self._observe(decision)
        if after.state is State.CLOSED:
            keys = self._keys.pop(after.number, set())
            self._book.forget(after.number, keys)
            for key in keys - self._book.alerts.keys():
                self._alerts.pop(key, None)


def _body(alert: Alert) -> bytes:
    """What two reports of one alert share while nothing changed, as the store's records have it."""
    return repr((alert.status, sorted(alert.labels.items()), sorted(alert.annotations.items()))).encode()
