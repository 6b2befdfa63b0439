"""A backtest: recorded alerts through a whole pager in memory, and what that would have meant for people.

    test = Backtest(rules, answered_after_ms=300_000)
    test.take(at, alerts)                      # in the order of time, as they were recorded
    outcome = test.finish()

Owns what is counted, and the one assumption that a recording of alerts needs: whoever is paged answers after a while (`answered_after_ms`).
Decides nothing: that is `simulator.py`, which is the roles' own fold and decide. `differences` compares two rules files.

A night is 22:00 to 07:00 in the person's zone and has the date on which it began. What wakes is a page at night; pages of one minute wake
once. A reminder to somebody who has it ("still on it?") is counted apart: it finds a person at work.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tocsin.policy.events import Acknowledged, Event
from tocsin.policy.incident import Decision
from tocsin.policy.model import Alert, AlertStatus, Incident, Page, PageKind, PageStatus, State
from tocsin.policy.rules import Rules
from tocsin.policy.simulator import Handed, Simulator, takes_all
from tocsin.policy.wallclock import DAY_MS, HOUR_MS, MINUTE_MS, wall_at, weekday

STALE_AFTER_MS = 24 * HOUR_MS
"""How long an alert fires that is not heard of again, from a source that the rules do not name."""

NIGHT_FROM_MS, NIGHT_TO_MS = 22 * HOUR_MS, 7 * HOUR_MS

RINGS = frozenset({PageKind.PAGE, PageKind.REOPENED})
ANSWERED = RINGS | {PageKind.REMINDER}


@dataclass(slots=True)
class Load:
    """What fell to one person. `night`, `weekend` and `day` are pages and add up; `wakes` has the wake-ups of each night (a day)."""

    pages: int = 0
    day: int = 0
    night: int = 0
    weekend: int = 0
    minutes: int = 0
    """Minutes in which the person was paged: what comes at once is one interruption."""
    reminders: int = 0
    wakes: dict[int, int] = field(default_factory=dict)
    _last_minute: int = -1

    @property
    def woken(self) -> int:
        """How often the person was woken."""
        return sum(self.wakes.values())

    def page(self, at: int, zone: str) -> None:
        """Count a page at an instant (ms UTC), in the order of time."""
        wall = wall_at(at, zone)
        in_day = wall % DAY_MS
        is_night = in_day >= NIGHT_FROM_MS or in_day < NIGHT_TO_MS
        minute = at // MINUTE_MS
        is_new = minute != self._last_minute
        self._last_minute = minute
        self.pages += 1
        self.minutes += is_new
        if is_night:
            self.night += 1
            night = (wall - NIGHT_TO_MS) // DAY_MS
            self.wakes[night] = self.wakes.get(night, 0) + is_new
        elif weekday(wall // DAY_MS) >= 5:
            self.weekend += 1
        else:
            self.day += 1


@dataclass(slots=True)
class Seen:
    """One incident: when it opened (ms UTC), the alert that opened it, and the worst severity that it reached."""

    opened_at: int
    opened_by: str
    title: str
    service: str
    severity: int
    pages: int = 0

    @property
    def identity(self) -> tuple[int, str]:
        """What is the same incident under other rules: the same alert opened it at the same instant."""
        return self.opened_at, self.opened_by


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a recording under one rules file. Instants are ms UTC, None of an empty one."""

    from_at: int | None
    to_at: int | None
    reports: int
    alerts: int
    incidents: tuple[Seen, ...]
    pages: int
    people: Mapping[str, Load]

    @property
    def interruptions(self) -> int:
        """Minutes in which somebody was paged, over all people."""
        return sum(load.minutes for load in self.people.values())

    def by_service(self) -> dict[tuple[str, int], int]:
        """Count the incidents of each service and (worst) severity."""
        counts: dict[tuple[str, int], int] = {}
        for seen in self.incidents:
            counts[seen.service, seen.severity] = counts.get((seen.service, seen.severity), 0) + 1
        return counts

    def longest_night(self) -> tuple[str, int, int] | None:
        """Return (person, night, wake-ups) of the worst night; the earliest of equals."""
        nights = [(-count, night, person) for person, load in self.people.items() for night, count in load.wakes.items()]
        if not nights:
            return None
        count, night, person = min(nights)
        return person, night, -count


class Backtest:
    """One recording under one rules file. Feed it in the order of time; an instant before the last one counts as that."""

    def __init__(self, rules: Rules, *, answered_after_ms: int | None) -> None:
        self._rules = rules
        self._answered_after_ms = answered_after_ms
        self._stale = {each.name: each.stale_after_ms for each in rules.integrations}
        self._pager: Simulator | None = None
        self._from_at: int | None = None
        self._reports = 0
        self._pages = 0
        self._alerts: set[int] = set()
        self._answers: list[tuple[int, int, str]] = []
        self._fresh: list[int] = []
        self._going: dict[int, Seen] = {}
        self._over: list[Seen] = []
        self._people: dict[str, Load] = {}

    def take(self, at: int, alerts: Sequence[Alert]) -> None:
        """Take reports that came at an instant (ms UTC). One that fires and ends at 0 is good for its integration's `stale_after`."""
        pager = self._advanced(at)
        now = pager.now
        self._reports += len(alerts)
        pager.report([self._dated(alert, now) for alert in alerts])
        self._alerts.update(hash(alert.key) for alert in alerts)  # the keys themselves would be most of the memory
        if self._fresh:
            for alert in reversed(alerts):
                number = pager.incident_of(alert.key)
                if number in self._fresh:
                    self._going[number].opened_by = alert.key
            self._fresh.clear()

    def act(self, at: int, key: str, event: Event) -> None:
        """Let somebody act at an instant (ms UTC) on the incident that an alert belongs to; nothing happens when there is none."""
        pager = self._advanced(at)
        number = pager.incident_of(key)
        if number in pager.incidents:
            pager.act(number, event)

    def finish(self, *, go_on_ms: int = 0) -> Outcome:
        """Do what is due by the last report, and for `go_on_ms` after it; return what came of it all."""
        pager = self._pager
        if pager is not None:
            self._advanced(pager.now + go_on_ms)
        incidents = sorted([*self._over, *self._going.values()], key=lambda seen: seen.identity)
        to_at = None if pager is None else pager.now
        people = dict(sorted(self._people.items()))
        return Outcome(self._from_at, to_at, self._reports, len(self._alerts), tuple(incidents), self._pages, people)

    # --- time ----------------------------------------------------------------------------------------------------------------------

    def _advanced(self, at: int) -> Simulator:
        """Return the pager at an instant, with everything done that was due by then; answers come before what is due with them."""
        pager = self._pager
        if pager is None:
            pager = self._pager = Simulator(self._rules, at, provider=self._provides, observe=self._sees, lazy=True)
            self._from_at = at
        while True:
            due_at = pager.next_at()
            if self._answers and self._answers[0][0] <= at and (due_at is None or self._answers[0][0] <= due_at):
                answer_at, number, person = heapq.heappop(self._answers)
                pager.now = max(pager.now, answer_at)
                self._answer(pager, number, person)
            elif due_at is not None and due_at <= at:
                pager.advance(due_at)
            else:
                break
        pager.advance(at)
        for handed in pager.handed:
            self._count(handed)
        pager.handed.clear()
        return pager

    def _provides(self, page: Page, incident: Incident, at: int) -> Event | None:
        if page.kind in ANSWERED and self._answered_after_ms is not None and page.person in self._rules.people:
            heapq.heappush(self._answers, (at + self._answered_after_ms, incident.number, page.person))
        return takes_all(page, incident, at)

    def _answer(self, pager: Simulator, number: int, person: str) -> None:
        incident = pager.incidents.get(number)
        if incident is not None and incident.is_live:
            pager.act(number, Acknowledged(person))

    def _dated(self, alert: Alert, now: int) -> Alert:
        if alert.status is AlertStatus.FIRING and alert.ends_at <= now:
            return alert._replace(ends_at=now + self._stale.get(alert.integration, STALE_AFTER_MS))
        return alert

    # --- counting ------------------------------------------------------------------------------------------------------------------

    def _sees(self, decision: Decision) -> None:
        after = decision.incident
        if decision.before is None:
            self._going[after.number] = Seen(after.opened_at, "", after.title, after.service, after.severity)
            self._fresh.append(after.number)
        elif after.state is State.CLOSED:
            self._over.append(self._going.pop(after.number))
        elif after.severity < decision.before.severity:
            seen = self._going[after.number]
            seen.severity = min(seen.severity, after.severity)

    def _count(self, handed: Handed) -> None:
        page, incident = handed.page, handed.incident
        if page.kind not in ANSWERED:
            return
        if any(p.status is PageStatus.SENT and p.step == page.step and p.person == page.person for p in incident.pages):
            return  # another contact of a page that the person has had
        load = self._people.get(page.person)
        if load is None:
            load = self._people[page.person] = Load()
        if page.kind is PageKind.REMINDER:
            load.reminders += 1
            return
        self._pages += 1
        seen = self._going.get(incident.number)
        if seen is not None:
            seen.pages += 1
        person = self._rules.people.get(page.person)
        load.page(handed.at, "UTC" if person is None else person.time_zone)


# --- two rules files ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NightChange:
    """One night of one person, with how often the person was woken before and after."""

    person: str
    night: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Differences:
    """What other rules would have made of a recording: incidents new, gone, or of another severity or service; nights that differ."""

    new: tuple[Seen, ...]
    gone: tuple[Seen, ...]
    graver: tuple[tuple[Seen, Seen], ...]
    milder: tuple[tuple[Seen, Seen], ...]
    moved: tuple[tuple[Seen, Seen], ...]
    nights: tuple[NightChange, ...]


def differences(before: Outcome, after: Outcome) -> Differences:
    """Compare what came of one recording under two rules files."""
    old = {seen.identity: seen for seen in before.incidents}
    new = {seen.identity: seen for seen in after.incidents}
    both = [(old[identity], new[identity]) for identity in sorted(old.keys() & new.keys())]
    return Differences(
        new=tuple(new[identity] for identity in sorted(new.keys() - old.keys())),
        gone=tuple(old[identity] for identity in sorted(old.keys() - new.keys())),
        graver=tuple(pair for pair in both if pair[1].severity < pair[0].severity),
        milder=tuple(pair for pair in both if pair[1].severity > pair[0].severity),
        moved=tuple(pair for pair in both if pair[1].service != pair[0].service),
        nights=tuple(_nights(before, after)),
    )


def _nights(before: Outcome, after: Outcome) -> Iterator[NightChange]:
    for person in sorted(before.people.keys() | after.people.keys()):
        old, new = before.people.get(person, Load()).wakes, after.people.get(person, Load()).wakes
        for night in sorted(old.keys() | new.keys()):
            if old.get(night, 0) != new.get(night, 0):
                yield NightChange(person, night, old.get(night, 0), new.get(night, 0))
