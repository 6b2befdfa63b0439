"""Carries out a policy test: its events happen to a whole pager in memory, and everything that follows is written down.

Owns the order of what happens, which incident an event means, and the record of it (`Record`). Decides nothing: that is `Simulator`, which
is the roles' own `Fold` and `decide`. What is said of the record is for `policytestverdict.py`.

What happens at one instant happens in this order: what is due then (timers, pages, alerts that end), then the test's events as they stand
in the file, each followed by what is due because of it. Expectations speak of how it is after all of that.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, assert_never

from tocsin.policy.decision import Decision
from tocsin.policy.durations import format_duration
from tocsin.policy.events import Reopened
from tocsin.policy.model import Alert, AlertStatus, Incident, State
from tocsin.policy.roster import Absence, Override
from tocsin.policy.rosterchange import RosterChange, changed
from tocsin.policy.rules import Rules
from tocsin.policy.simulator import Handed, Simulator
from tocsin.runtime.policytests import Acted, Cleared, Fired, PolicyTest, RosterChanged, Step, Target
from tocsin.runtime.reasonwords import decision_words
from tocsin.runtime.text import clean
from tocsin.runtime.yamltree import Place

DECISIONS_MAX: Final = 50_000
"""Decisions of one test, some seconds; three years of an incident every third day take 4,000."""

NAMED_MAX: Final = 5
"""Incidents that a message names."""

SOURCE: Final = "test"
"""The integration that all alerts of a test come from."""

FOR_EVER: Final = 2**62
"""The end of an alert that fires until the test says otherwise."""

LIVE: Final = (State.OPEN, State.ACKNOWLEDGED)

_TIERS: Final = (LIVE, (State.RESOLVED,), (State.CLOSED,))
"""Among which incidents the one is looked for that a test means without saying which: those that need people come first."""


class TooLong(Exception):
    """More happens in a test than one test may do."""


class NoSuchIncident(Exception):
    """Nothing, or more than one incident, is what an event or expectation means; the text says which there are."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What is not as the test says. `at` is ms UTC."""

    at: int
    place: Place
    message: str


@dataclass(slots=True)
class Record:
    """All that happened in a test. `failures` are events that could not happen."""

    test: PolicyTest
    rules: list[tuple[int, Rules]]
    decisions: list[Decision] = field(default_factory=list)
    of_incident: dict[int, list[Decision]] = field(default_factory=dict)
    made: dict[str, Decision] = field(default_factory=dict)
    labels: dict[int, list[Mapping[str, str]]] = field(default_factory=dict)
    handed: list[Handed] = field(default_factory=list)
    events: list[tuple[int, Decision | str]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    is_cut_short: bool = False

    def when(self, at: int) -> str:
        """Write an instant as tests do: so long after the start."""
        return format_duration(at - self.test.start_at)

    def timeline(self) -> list[str]:
        """Write everything that happened, a line each: so long after the start, the date and time, what and why."""
        lines: list[str] = []
        for at, event in self.events:
            text = event if isinstance(event, str) else self._told(event, at)
            wall = datetime.fromtimestamp(0, self.test.zone) + timedelta(milliseconds=at)
            lines.append(f"{self.when(at):>10}  {wall:%a %Y-%m-%d %H:%M:%S}  {text}")
        return lines

    def _told(self, decision: Decision, at: int) -> str:
        incident = decision.incident
        title = f" {clean(incident.title)}:" if decision.before is None else ""
        return f"{incident.id}{title} {decision_words(decision, self.when, at=at)}"

    def rules_at(self, at: int) -> Rules:
        """Return the rules in force at an instant, with who had changed the roster by then."""
        return self.rules[bisect_right(self.rules, at, key=lambda each: each[0]) - 1][1]

    def last_decision(self, number: int, at: int) -> Decision | None:
        """Return the last decision on an incident up to an instant."""
        found = self.of_incident.get(number, [])
        index = bisect_right(found, at, key=lambda each: each.incident.changed_at)
        return found[index - 1] if index else None

    def incidents_at(self, at: int) -> list[Incident]:
        """Return every incident as it stood at an instant, in the order in which they opened."""
        found = (self.last_decision(number, at) for number in self.of_incident)
        return [decision.incident for decision in found if decision is not None]

    def one(self, target: Target, at: int, *, first: Sequence[State] = LIVE) -> Incident:
        """Return the one incident that is meant, as it stood at an instant; raises NoSuchIncident.

        Of those that fit, the ones in the states of `first` are looked at first, then the live, the resolved, the closed.
        """
        known = self.incidents_at(at)
        found = [incident for incident in known if self._fits(incident, target)]
        if not found:
            raise NoSuchIncident(f"no such incident (there {_named(known)})" if known else "no incident has opened")
        for states in (first, *_TIERS):
            tier = [incident for incident in found if incident.state in states]
            if len(tier) == 1:
                return tier[0]
            if tier:
                raise NoSuchIncident(f"which one? There {_named(tier)}. Write incident: {tier[-1].number}, or labels of one of its alerts")
        raise AssertionError("an incident has one of the four states")

    def _fits(self, incident: Incident, target: Target) -> bool:
        labels = target.labels
        return (
            target.number in (None, incident.number)
            and target.service in (None, incident.service)
            and (labels is None or any(labels.items() <= each.items() for each in self.labels.get(incident.number, ())))
        )

    def fail(self, at: int, place: Place, message: str) -> None:
        """Note what is wrong."""
        self.failures.append(Failure(at, place, message))


class PolicyRun:
    """One test on one world."""

    def __init__(self, test: PolicyTest, rules: Rules) -> None:
        self._test = test
        self._world = Simulator(rules, test.start_at, observe=self._observe)
        self._fired: dict[str, Mapping[str, str]] = {}
        self.record = Record(test, [(test.start_at, rules)])

    def run(self) -> Record:
        """Let everything happen until the test ends."""
        try:
            for step in self._test.steps:
                self._world.advance(step.at)
                self._do(step)
                self._world.advance(step.at)
            self._world.advance(self._test.end_at)
        except TooLong:
            message = f"more than {DECISIONS_MAX} decisions: answer the pages of this test, or let it end earlier"
            self.record.fail(self._world.now, self._test.place, message)
            self.record.is_cut_short = True
        self.record.handed = self._world.handed
        return self.record

    def _observe(self, decision: Decision) -> None:
        incident = decision.incident
        record = self.record
        if len(record.decisions) >= DECISIONS_MAX:
            raise TooLong
        record.decisions.append(decision)
        record.of_incident.setdefault(incident.number, []).append(decision)
        steps = 0 if decision.before is None else decision.before.steps
        record.made.update({page.id: decision for page in incident.pages if page.step >= steps})
        record.events.append((incident.changed_at, decision))

    # --- events ---

    def _do(self, step: Step) -> None:
        match step.what:
            case Fired():
                self._fire(step.what)
            case Cleared():
                self._clear(step, step.what)
            case Acted():
                self._act(step, step.what)
            case RosterChanged(entry=entry):
                self._change_roster(step, entry)
            case _:
                assert_never(step.what)

    def _fire(self, fired: Fired) -> None:
        ends_at = FOR_EVER if fired.ends_at is None else fired.ends_at
        key = _key(fired.labels)
        self._fired[key] = fired.labels
        self._world.report([Alert(key, SOURCE, AlertStatus.FIRING, fired.labels, {}, self._world.now, ends_at)])
        number = self._world.incident_of(key)
        assert number is not None, "an alert that fires belongs to an incident"
        labels = self.record.labels.setdefault(number, [])
        if fired.labels not in labels:
            labels.append(fired.labels)

    def _clear(self, step: Step, cleared: Cleared) -> None:
        key, now = _key(cleared.labels), self._world.now
        counts = self._world.report([Alert(key, SOURCE, AlertStatus.RESOLVED, cleared.labels, {}, now, now)])
        if "cleared" not in counts:
            fired = "; ".join(_text(labels) for labels in self._fired.values()) or "none"
            why = "does not fire any more" if key in self._fired else f"never fired (those that did: {fired})"
            self.record.fail(step.at, step.place, f"resolve: the alert {_text(cleared.labels)} {why}")

    def _act(self, step: Step, acted: Acted) -> None:
        record, event = self.record, acted.event
        try:
            incident = record.one(acted.target, step.at, first=(State.RESOLVED,) if isinstance(event, Reopened) else LIVE)
        except NoSuchIncident as error:
            record.fail(step.at, step.place, f"{step.key}: {error}")
            return
        if incident.state is State.CLOSED:
            record.fail(step.at, step.place, f"{step.key}: {incident.id} is closed, and nothing changes it any more")
            return
        decision = self._world.act(incident.number, event)
        if decision.refused:
            record.fail(step.at, step.place, f"{step.key} by {clean(event.actor)} is refused: {incident.id} is {incident.state}")
        elif not decision.changed:
            record.events.append((step.at, decision))

    def _change_roster(self, step: Step, entry: Override | Absence) -> None:
        overrides, absences = ((entry,), ()) if isinstance(entry, Override) else ((), (entry,))
        change = RosterChange(step.key, entry.person, step.at, overrides=overrides, absences=absences)
        self._world.rules = replace(self._world.rules, roster=changed(self._world.rules.roster, change))
        self.record.rules.append((step.at, self._world.rules))
        until = f"from {self.record.when(entry.from_at)} until {self.record.when(entry.until_at)}"
        self.record.events.append((step.at, f"{step.key}: {entry.person} {until}"))


def _key(labels: Mapping[str, str]) -> str:
    return repr(sorted(labels.items()))


def _text(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{clean(name)}: {clean(value)}" for name, value in labels.items()) + "}"


def _named(incidents: Sequence[Incident]) -> str:
    names = ", ".join(f"{each.id} ({clean(each.title)}, {each.state})" for each in incidents[:NAMED_MAX])
    more = f" and {len(incidents) - NAMED_MAX} more" if len(incidents) > NAMED_MAX else ""
    return f"{'is' if len(incidents) == 1 else 'are'} {names}{more}"
