"""On-call days of a house, drawn from a seed: what monitoring, people, providers and the calendar do, and a pager in memory answers.

    done = simulate(seed=17, days=14)          # raises AssertionError with what does not hold

The pager is `tocsin.policy.simulator`, which is the shipped fold and decide. What happens is drawn from `random.Random(seed)` alone: one
seed gives one `digest`. Everything is checked after every step: `policy_invariants.py`, `policy_reference.py`.
"""

from __future__ import annotations

import argparse
import heapq
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from hashlib import sha1
from random import Random

from tests.simulation.policy_house import DAY, HOUR, MINUTE, SECOND, SERVICES, change_roster, change_rules, draw_house
from tests.simulation.policy_invariants import Watch
from tests.simulation.policy_reference import Reference
from tocsin.policy import events as ev
from tocsin.policy.delivery import held_until_max
from tocsin.policy.incident import Decision, Reason
from tocsin.policy.ladder import contact_of
from tocsin.policy.model import Alert, AlertStatus, Incident, Page, PageKind, State
from tocsin.policy.simulator import Simulator
from tocsin.policy.wallclock import DAY_MS, wall_at

ACTIONS_MAX = 400_000
"""Far more than a world has: one that does not come to an end is a fault."""

FIRED, RESOLVED = AlertStatus.FIRING, AlertStatus.RESOLVED

DAYS = 21
"""Days of a world, unless one asks for others."""


@dataclass(slots=True)
class Done:
    """What was simulated."""

    days: int
    steps: int = 0
    decisions: int = 0
    pages: int = 0
    incidents: int = 0
    digest: str = ""


@dataclass
class PolicyWorld:
    """One house and what happens in it. `tell` hears of every decision."""

    seed: int
    days: int
    tell: Callable[[int, Decision], None] | None = None
    watch: Watch = field(default_factory=Watch)
    references: dict[int, Reference] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)
    away: dict[str, int] = field(default_factory=dict)
    """Kind of contact -> until when (ms UTC) its provider does not answer."""

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)
        house = draw_house(self.rng)
        self.zone, self.starts_at = house.zone, house.starts_at
        self.ends_at = house.starts_at + self.days * DAY_MS
        self.pager = Simulator(house.rules, house.starts_at, provider=self._provides, observe=self._sees)
        self.sleepers = {person for person in house.rules.people if self.rng.random() < 0.3}
        self.done = Done(self.days)
        self._digest = sha1(usedforsecurity=False)
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._planned = 0
        self._overslept_ms = 0
        for day in range(self.days):
            self._plan_day(self.starts_at + day * DAY_MS)

    # --- the loop ------------------------------------------------------------------------------------------------------------------

    def run(self) -> Done:
        """Let all the days pass. Raises AssertionError."""
        while True:
            planned_at = self._agenda[0][0] if self._agenda else None
            due_at = self.pager.next_at()
            if due_at is not None and (planned_at is None or due_at <= planned_at):
                if due_at > self.ends_at:
                    break
                self.pager.advance(due_at)
                self._overslept_ms = 0
            elif planned_at is not None and planned_at <= self.ends_at:
                _, _, act = heapq.heappop(self._agenda)
                self.pager.advance(planned_at)
                act()
                self.pager.advance(self.pager.now)
            else:
                break
            self.done.steps += 1
            assert self.done.steps < ACTIONS_MAX, "a world without end"
            if self.done.steps % 8 == 0:
                self.watch.quiet(self.pager.book, self.pager.now, unanswered=self.unanswered)
        self.watch.quiet(self.pager.book, self.pager.now, unanswered=self.unanswered)
        self.done.decisions = self.watch.checked
        self.done.incidents = self.pager.opened
        self.done.digest = self._digest.hexdigest()
        return self.done

    def _at(self, at: int, act: Callable[[], None]) -> None:
        self._planned += 1
        heapq.heappush(self._agenda, (max(at, self.pager.now), self._planned, act))

    def _sees(self, decision: Decision) -> None:
        now, after = self.pager.now, decision.incident
        if self.tell is not None:
            self.tell(now, decision)
        self.watch.decided(decision, now, self.pager.rules)
        if decision.before is None:
            self.references[after.number] = Reference.of(decision, self.pager.rules)
        else:
            self.references[after.number].follow(decision, self.pager.rules, overslept_ms=self._overslept_ms)
        if after.state is State.CLOSED:
            del self.references[after.number]
        self._digest.update(f"{now} {after.number} {after.version} {decision.reason} {decision.inputs}".encode())

    # --- a day of it ---------------------------------------------------------------------------------------------------------------

    def _plan_day(self, begin: int) -> None:
        rng = self.rng
        for _ in range(rng.choice([0, 1, 1, 2])):
            self._at(begin + rng.randrange(DAY), self._something_breaks)
        if rng.random() < 0.03:
            self._at(begin + rng.randrange(DAY), self._storm)
        for _ in range(rng.choice([0, 1, 1])):
            self._at(begin + rng.randrange(DAY), self._somebody_acts)
        if rng.random() < 0.3:
            self._at(begin + rng.randrange(DAY), self._the_roster_changes)
        if rng.random() < 0.06:
            self._at(begin + rng.randrange(DAY), self._the_rules_change)
        if rng.random() < 0.2:
            self._at(begin + rng.randrange(DAY), self._a_provider_goes_away)
        if rng.random() < 0.1:
            self._at(begin + rng.randrange(DAY), self._the_pager_sleeps)
        if rng.random() < 0.1:
            self._at(begin + rng.randrange(DAY), self._opened_by_hand)

    def _the_roster_changes(self) -> None:
        self.pager.rules = change_roster(self.rng, self.pager.rules, self.pager.now)

    def _the_rules_change(self) -> None:
        self.pager.rules = change_rules(self.rng, self.pager.rules)

    def _a_provider_goes_away(self) -> None:
        kind = self.rng.choice(["log", "mailto", "slack", "sms", "tel", "webhook+https"])
        self.away[kind] = self.pager.now + self.rng.choice([MINUTE, 20 * MINUTE, 3 * HOUR])

    def _the_pager_sleeps(self) -> None:
        """Nothing is done for a while; then everything that fell due, at once."""
        self._overslept_ms = self.rng.choice([SECOND, 90 * SECOND, 45 * MINUTE, 5 * HOUR])
        self.pager.now += self._overslept_ms
        self.pager.advance(self.pager.now)
        self._overslept_ms = 0

    def _opened_by_hand(self) -> None:
        rng = self.rng
        service, level, drill = rng.choice(SERVICES), rng.choice([1, 2, 3]), rng.random() < 0.3
        self.pager.open(
            lambda n: (
                ev.DrillRequested(n, f"drill:{n}", service, "fire", level, "lee")
                if drill
                else ev.OpenedByPerson(n, f"hand:{n}", service, "it smells of smoke", level, "lee")
            )
        )

    # --- monitoring ----------------------------------------------------------------------------------------------------------------

    def _something_breaks(self) -> None:
        """One to a few alerts of a group fire, are repeated, become graver or milder, flap, and clear, or are never heard of again."""
        rng = self.rng
        labels = {"team": rng.choice(SERVICES), "alertname": rng.choice(["DiskFull", "Errors", "Slow", "Down"])}
        level = rng.choice([1, 1, 2, 3, 3, 4])
        nodes = rng.sample(range(6), rng.choice([1, 1, 2, 4]))
        alerts = [self._alert({**labels, "node": f"n{node}", "severity": str(level)}) for node in nodes]
        self._reported(alerts)
        lasts = rng.choice([10 * SECOND, 3 * MINUTE, 20 * MINUTE, HOUR, 3 * HOUR, 9 * HOUR])
        cycles = rng.choice([1, 1, 1, 1, 1, 2, 5])
        at = self.pager.now
        for _ in range(cycles):
            if lasts > 30 * MINUTE:
                self._at(at + rng.randrange(lasts), lambda: self._reported(self._again(alerts)))
            if rng.random() < 0.2:
                graver = self._alert({**labels, "node": "n9", "severity": str(rng.choice([1, 1, 2, 4]))})
                self._fires_for_a_while(graver, at + rng.randrange(lasts), at + rng.randrange(lasts))
            if rng.random() < 0.1:
                self._at(at + rng.randrange(lasts), lambda: self._reported(alerts))  # late: an old beginning
            at += lasts
            if rng.random() < 0.9:
                self._at(at, lambda: self._reported(self._over(alerts)))
            at += rng.choice([30 * SECOND, 4 * MINUTE, 10 * MINUTE, 90 * MINUTE])
            if cycles > 1:
                self._at(at, lambda: self._reported(self._again(alerts)))
        if cycles > 1:
            self._at(at + lasts, lambda: self._reported(self._over(alerts)))
            self._at(at + lasts + 20 * SECOND, lambda: self._late_news(alerts))

    def _late_news(self, alerts: list[Alert]) -> None:
        """A report of the first beginning, which was long on its way, just after all of it has cleared."""
        self.watch.late_news(alerts, self.pager.book, self.pager.now, lambda: self.pager.report(alerts))

    def _fires_for_a_while(self, alert: Alert, begin: int, end: int) -> None:
        self._at(begin, lambda: self._reported(self._again([alert])))
        self._at(end, lambda: self._reported(self._over([alert])))

    def _storm(self) -> None:
        rng = self.rng
        names = rng.sample(["NodeDown", "NetDown", "Latency", "Queue"], rng.randint(1, 4))
        alerts = [
            self._alert({"team": rng.choice(SERVICES), "alertname": rng.choice(names), "node": f"s{i}", "severity": str(rng.randint(1, 3))})
            for i in range(rng.choice([30, 80]))
        ]
        for part in range(0, len(alerts), 20):
            self._at(self.pager.now + part * SECOND, partial(self._reported, alerts[part : part + 20]))
        self._at(self.pager.now + rng.choice([10 * MINUTE, 2 * HOUR]), lambda: self._reported(self._over(alerts)))

    def _alert(self, labels: dict[str, str]) -> Alert:
        now = self.pager.now
        good_for = self.rng.choice([5 * MINUTE, 4 * HOUR, DAY, DAY])
        return Alert(f"seoul/{sorted(labels.items())}", "seoul", FIRED, labels, {}, now, now + good_for)

    def _again(self, alerts: list[Alert]) -> list[Alert]:
        now = self.pager.now
        return [alert._replace(starts_at=now, ends_at=now + (alert.ends_at - alert.starts_at)) for alert in alerts]

    def _over(self, alerts: list[Alert]) -> list[Alert]:
        return [alert._replace(status=RESOLVED, ends_at=self.pager.now) for alert in alerts]

    def _reported(self, alerts: list[Alert]) -> None:
        if self.rng.random() < 0.1:
            alerts = [*alerts, *alerts]  # a sender that did not hear the answer says it again
        self.pager.report(alerts)
        last = {alert.key: alert for alert in alerts}
        self.watch.reported(last.values(), self.pager.book, self.pager.now)

    # --- providers -----------------------------------------------------------------------------------------------------------------

    def _provides(self, page: Page, incident: Incident, now: int) -> ev.Event | None:
        rng = self.rng
        if page.id in self.unanswered:
            self.unanswered.discard(page.id)
        else:
            self.watch.begins(page, incident, now)
        contact = contact_of(page, self.pager.rules)
        if contact is None:
            return ev.PageRefused(page.id, "the contact is gone")
        kind = contact.to.partition(":")[0]
        if self.away.get(kind, 0) > now:
            lost = rng.random() < 0.3
            if lost:
                self.watch.may_have_arrived(page)
            return ev.PageUnreachable(page.id, "no answer" if lost else "refused", lost, rng.choice([0, 0, 30 * SECOND]))
        drawn = rng.random()
        if drawn < 0.03:
            return ev.PageRefused(page.id, "gone")
        if drawn < 0.06:
            return ev.PageUnreachable(page.id, "503", ambiguous=False)
        if drawn < 0.09:
            self.watch.may_have_arrived(page)
            return ev.PageUnreachable(page.id, "timeout", ambiguous=True)
        if drawn < 0.11:
            self.unanswered.add(page.id)
            return None
        held_at_most = held_until_max(incident, page, now)
        if drawn < 0.13 and (held_at_most is None or held_at_most > now):
            return ev.PageHeld(page.id, "limit", now + rng.choice([MINUTE, 10 * MINUTE]))
        self.watch.may_have_arrived(page)
        self.done.pages += 1
        self._rings(page, incident, now)
        return ev.PageSent(page.id, "r", self._receipt_of(kind, page, incident, now))

    def _receipt_of(self, kind: str, page: Page, incident: Incident, now: int) -> int:
        """Decide whether the provider says that the page arrived, when, and how often; return within what time it promised to."""
        if kind not in ("sms", "tel"):
            return 0
        rng, number = self.rng, incident.number
        drawn = rng.random()
        late = now + rng.choice([1, 10 * SECOND, 59 * SECOND, MINUTE, 5 * MINUTE])
        if drawn < 0.7:
            for _ in range(rng.choice([1, 1, 2])):
                self._at(late, lambda: self._acts(number, ev.PageDelivered(page.id, "r")))
        elif drawn < 0.85:
            self._at(late, lambda: self._acts(number, ev.PageUndelivered(page.id, "unknown subscriber")))
        return MINUTE

    # --- people --------------------------------------------------------------------------------------------------------------------

    def _rings(self, page: Page, incident: Incident, now: int) -> None:
        """Whoever is paged may hear it, and does something after a while."""
        rng = self.rng
        if page.kind not in (PageKind.PAGE, PageKind.REOPENED, PageKind.REMINDER):
            return
        asleep = not 8 * HOUR <= wall_at(now, self.zone) % DAY_MS < 23 * HOUR or page.person in self.sleepers
        if rng.random() < (0.75 if asleep else 0.45):
            return
        number, person = incident.number, page.person
        delay = rng.choice([0, 20 * SECOND, 3 * MINUTE, 12 * MINUTE, 31 * MINUTE])
        self._at(now + delay, lambda: self._answers(number, person))

    def _answers(self, number: int, person: str) -> None:
        rng = self.rng
        drawn = rng.random()
        event: ev.Event
        if drawn < 0.62:
            event = ev.Acknowledged(person, rng.choice([None, None, None, 5 * MINUTE, 3 * HOUR]))
        elif drawn < 0.70:
            event = ev.PassedOn(person)
        elif drawn < 0.75:
            event = ev.Snoozed(person, rng.choice([MINUTE, 40 * MINUTE, 5 * HOUR]))
        elif drawn < 0.85:
            event = ev.Resolved(person)
        elif drawn < 0.90:
            event = ev.Assigned(person, rng.choice(list(self.pager.rules.people)))
        else:
            event = ev.Noted(person, "looking")
        self._acts(number, event)
        if isinstance(event, ev.Acknowledged) and rng.random() < 0.4:
            # Twice, near its end, by another, or it is over.
            at = self.pager.now + rng.choice([0, 2 * MINUTE, 27 * MINUTE, 55 * MINUTE])
            seconds: list[ev.Event] = [event, ev.Acknowledged("choi"), ev.Resolved(person), ev.Resolved("jeong")]
            self._at(at, partial(self._acts, number, rng.choice(seconds)))

    def _somebody_acts(self) -> None:
        """Without having been asked, on anything that there is."""
        rng = self.rng
        numbers = sorted(self.pager.incidents)
        if not numbers:
            return
        number, person = rng.choice(numbers), rng.choice(["kim", "park", "lee", "stranger"])
        events: list[ev.Event] = [
            ev.Acknowledged(person),
            ev.SeveritySet(person, rng.randint(1, 4)),
            ev.SeveritySet(person, rng.randint(1, 3)),
            ev.Snoozed(person, 2 * HOUR),
            ev.PassedOn(person),
            ev.Assigned(person, rng.choice(["kim", person, "ghost"])),
            ev.Resolved(person),
            ev.Reopened(person),
            ev.Reopened(person),
        ]
        self._acts(number, rng.choice(events))

    def _acts(self, number: int, event: ev.Event) -> None:
        incident = self.pager.incidents.get(number)
        if incident is None:
            return  # closed, and gone
        if isinstance(event, ev.Reopened) and not self._may_be_reopened(incident):
            return
        was_due_at = incident.due_at
        decision = self.pager.act(number, event)
        if decision.reason in (Reason.REFUSED, Reason.ALREADY_SO, Reason.IGNORED):
            assert not decision.changed, f"7: {decision.reason} changes nothing"
            assert self.pager.incidents[number].due_at == was_due_at

    def _may_be_reopened(self, incident: Incident) -> bool:
        """The store refuses it once another incident has the group, and its alerts go there after `reopen_within`."""
        holds = self.pager.book.groups.get(incident.group_key) == incident.number
        return holds and self.pager.now - (incident.resolved_at or 0) <= incident.plan.reopen_within_ms


def simulate(seed: int, days: int, tell: Callable[[int, Decision], None] | None = None) -> Done:
    """Let the days of a seed pass. Raises AssertionError with what does not hold, the seed, and the command that shows it again."""
    world = PolicyWorld(seed, days, tell)
    try:
        return world.run()
    except (AssertionError, KeyError, IndexError, ValueError, TypeError) as error:
        day = (world.pager.now - world.starts_at) // DAY_MS + 1
        again = f"python -m tests.simulation.policy_world {seed} --days {days}"
        raise AssertionError(f"seed {seed}, day {day}, {type(error).__name__}: {error}\nagain: {again}") from error


def main() -> None:
    """Show every decision of a seed, up to what does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.policy_world", description=main.__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--incident", type=int, help="only the decisions about this one, by its number")
    arguments = parser.parse_args()

    def tell(now: int, decision: Decision) -> None:
        after = decision.incident
        if arguments.incident in (None, after.number):
            at = datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="milliseconds")
            held = f"severity {after.severity}, rung {after.next_rung}, due {after.due_at}"
            say(f"{at} {after.id} v{after.version} {after.state} ({held}) {decision.event} {decision.reason} {dict(decision.inputs)}")

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")

    try:
        say(str(simulate(arguments.seed, arguments.days, tell)))
    except AssertionError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
