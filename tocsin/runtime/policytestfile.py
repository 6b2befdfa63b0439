"""A file of policy tests, from its text to the values of `policytests.py`: whole or not at all.

    rule_file: alert_rules.yaml
    tests:
      - name: nobody answers at night
        start: 2026-02-17T02:00:00+09:00
        events:
          - {at: 0s, fire: {alertname: DBDown, severity: critical}}
          - {at: 50m, acknowledge: {by: kim}}
        expect:
          - {at: 0s, page: kim}
          - {at: 30m, page: lee, role: customer-service-engineer}
          - {from: 50m, to: 1h15m, no_page: true}
          - {at: 1h, incidents: {open: 0, acknowledged: 1}}

Owns times, names that the rules must know, and which keys go together; the keys themselves are in `policytestschema.py`. Every problem of a
file is reported at once, with its line and column. Reads no file by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timezone
from pathlib import Path as FilePath
from typing import Final, TypeVar

from tocsin.policy import events as ev
from tocsin.policy.durations import DURATION_MS_MAX, DurationError, parse_duration_ms
from tocsin.policy.model import PageKind, State
from tocsin.policy.roster import Absence, Override
from tocsin.policy.rules import EMERGENCY_PERSON, Rules
from tocsin.runtime import policytestschema as shapes
from tocsin.runtime.policytests import (
    Acted,
    Cleared,
    CountsExpected,
    Expected,
    Fired,
    PageExpected,
    PolicyTest,
    RosterChanged,
    SilenceExpected,
    StateExpected,
    Step,
    Suite,
    Target,
    What,
)
from tocsin.runtime.ruleschema import Shape, read_shape, unknown_key
from tocsin.runtime.rulesfile import RulesInvalid
from tocsin.runtime.yamltree import Document, Path, Plain, Problem, did_you_mean, read_yaml, shown

LASTS_MS_MAX: Final = 20 * 365 * 86_400_000
"""The longest a test may last."""

FIRST_START: Final = datetime(2000, 1, 1, tzinfo=UTC)
LAST_START: Final = datetime(2100, 1, 1, tzinfo=UTC)

_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.]+(?:[Zz]|[-+][0-9]{2}:[0-9]{2})")
_INCIDENT = re.compile(r"(?:INC-)?([1-9][0-9]{0,8})")

S = TypeVar("S", bound=Shape)


def read_suite(text: str, *, file: str, environment: Mapping[str, str], load: Callable[[str], Rules]) -> Suite:
    """Read a file of tests and the rules that it names, relative to itself.

    `load` returns the rules of a file, or raises RulesInvalid, OSError or UnicodeDecodeError.
    """
    document = read_yaml(text, file=file, environment=environment)
    if document.value is None and document.problems:
        return Suite(file, None, (), tuple(document.problems))
    shape = read_shape(shapes.FileShape, document.value, document, ())
    if shape is None:
        return Suite(file, None, (), _in_order(document))
    try:
        rules = load(str(FilePath(file).parent / shape.rule_file))
    except RulesInvalid as error:
        return Suite(file, None, (), _in_order(document), error.problems)
    except OSError as error:
        document.add(("rule_file",), f"{shown(shape.rule_file)} cannot be read ({error.strerror})")
        return Suite(file, None, (), _in_order(document))
    except UnicodeDecodeError:
        document.add(("rule_file",), f"{shown(shape.rule_file)} is not UTF-8")
        return Suite(file, None, (), _in_order(document))
    tests = [_read_test(document, index, rules) for index in range(len(shape.tests))]
    found = tuple(test for test in tests if test is not None)
    if not shape.tests:
        document.add(("tests",), "is empty, expected a list of tests")
    _check_names(document, found)
    return Suite(file, rules, found, _in_order(document))


def _in_order(document: Document) -> tuple[Problem, ...]:
    return tuple(sorted(set(document.problems)))


def _check_names(document: Document, tests: Iterable[PolicyTest]) -> None:
    first: dict[str, PolicyTest] = {}
    for test in tests:
        other = first.setdefault(test.name, test)
        if other is not test:
            document.add(("tests",), f"a second test is called {shown(test.name)}, the first is in line {other.place[0]}", at=test.place)


def _read_test(document: Document, index: int, rules: Rules) -> PolicyTest | None:
    path: Path = ("tests", index)
    value = _value_at(document.value, path)
    shape = read_shape(shapes.TestShape, value, document, path)
    if shape is None or not isinstance(value, dict):
        return None
    start = _start(document, (*path, "start"), shape.start)
    if start is None:
        return None
    start_at = round(start.timestamp() * 1000)
    reader = _Reader(document, rules, start_at)
    steps = [reader.step((*path, "events", each)) for each in range(len(shape.events))]
    expected = [reader.expectation((*path, "expect", each)) for each in range(len(shape.expect))]
    end_at = start_at if shape.until is None else reader.instant(shape.until, (*path, "until"))
    known = tuple(each for each in expected if each is not None)
    done = tuple(sorted((each for each in steps if each is not None), key=lambda each: each.at))
    if not known and not document.problems:
        document.add((*path, "expect"), "expects nothing: write at least one page, no_page, incidents or state", at=document.place(path))
    end_at = max([end_at, *(each.at for each in done), *(_last_look(each) for each in known)])
    zone = start.tzinfo
    assert isinstance(zone, timezone), "a text names an offset"
    return PolicyTest(shape.name, start_at, end_at, zone, done, known, shape.pages_complete, document.place((*path, "name")))


def _last_look(expected: Expected) -> int:
    """Return the last instant (ms UTC) that an expectation speaks of."""
    return expected.to_at - 1 if isinstance(expected, SilenceExpected) else expected.at


def _start(document: Document, path: Path, text: str) -> datetime | None:
    start = _instant(text)
    if start is None:
        document.add(path, f"{shown(text)} is not an instant with its zone. Write 2026-02-17T02:00:00+09:00")
    elif not FIRST_START <= start < LAST_START:
        document.add(path, f"expected a year from {FIRST_START.year} to {LAST_START.year - 1}")
    else:
        return start
    return None


def _instant(text: str) -> datetime | None:
    """Read an RFC 3339 instant."""
    try:
        return datetime.fromisoformat(text.upper()) if _INSTANT.fullmatch(text) else None
    except ValueError:
        return None


def _value_at(value: Plain, path: Path) -> Plain:
    for part in path:
        if isinstance(value, dict):
            value = value.get(str(part))
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
        else:
            return None
    return value


class _Reader:
    """Reads the events and expectations of one test. A problem is added to the document, and what it belongs to left out."""

    def __init__(self, document: Document, rules: Rules, start_at: int) -> None:
        self._document = document
        self._rules = rules
        self._start_at = start_at

    # --- entries ---

    def step(self, path: Path) -> Step | None:
        """Read one event."""
        key = self._kind(path, shapes.EVENTS, "event")
        if key is None:
            return None
        if key in shapes.ALERT_EVENTS:
            alert = self._shape(shapes.AlertEvent, path)
            return None if alert is None else self._step(alert.at, key, path, lambda at: self._alert(alert, key, at, path))
        if key in shapes.PERSON_EVENTS:
            person = self._shape(shapes.PersonEvent, path)
            return None if person is None else self._step(person.at, key, path, lambda _: self._act(person, path))
        roster = self._shape(shapes.RosterEvent, path)
        return None if roster is None else self._step(roster.at, key, path, lambda at: self._roster(roster, at, path))

    def expectation(self, path: Path) -> Expected | None:
        """Read one expectation."""
        match self._kind(path, shapes.EXPECTATIONS, "expectation"):
            case "page":
                page = self._shape(shapes.PageShape, path)
                return None if page is None else self._page(page, path)
            case "no_page":
                silence = self._shape(shapes.SilenceShape, path)
                return None if silence is None else self._silence(silence, path)
            case "incidents":
                counts = self._shape(shapes.IncidentsShape, path)
                return None if counts is None else self._counts(counts, path)
            case "state":
                state = self._shape(shapes.StateShape, path)
                return None if state is None else self._state(state, path)
            case _:
                return None

    def instant(self, text: str, path: Path) -> int:
        """Read a duration from the start, or an instant that is not before it; the start with a problem when it is neither."""
        written = _instant(text)
        after_ms = self._duration(text, path) if written is None else round(written.timestamp() * 1000) - self._start_at
        if after_ms < 0:
            self._document.add(path, f"{shown(text)} is before the start of the test")
        elif after_ms > LASTS_MS_MAX:
            self._document.add(path, "is more than 20 years after the start of the test")
        else:
            return self._start_at + after_ms
        return self._start_at

    # --- parts that several have ---

    def _shape(self, shape: type[S], path: Path) -> S | None:
        return read_shape(shape, _value_at(self._document.value, path), self._document, path)

    def _kind(self, path: Path, kinds: tuple[str, ...], what: str) -> str | None:
        """Return which of the keys that say what an entry is it has: exactly one."""
        entry = _value_at(self._document.value, path)
        if not isinstance(entry, dict):
            self._document.add(path, f"expected a mapping such as {{at: 30m, {kinds[0]}: ...}}")
            return None
        found = [key for key in kinds if key in entry]
        if len(found) == 1:
            return found[0]
        strange = [key for key in entry if key not in kinds and did_you_mean(key, kinds)]
        if found:
            self._document.add(path, f"has {' and '.join(found)}, expected one of them")
        elif strange:
            self._document.add((*path, strange[0]), unknown_key(strange[0], kinds), at=self._document.key_place((*path, strange[0])))
        else:
            self._document.add(path, f"says of no {what} what it is, expected one of {', '.join(kinds)}")
        return None

    def _duration(self, text: str, path: Path) -> int:
        try:
            return parse_duration_ms(text)
        except DurationError as error:
            self._document.add(path, str(error))
            return 0

    def _known(self, kind: str, name: str | None, known: Iterable[str], path: Path) -> None:
        names = tuple(known)
        if name is not None and name not in names:
            few = f", the rules have {', '.join(shown(each) for each in names[:8])}{' ...' if len(names) > 8 else ''}"
            self._document.add(path, f"unknown {kind} {shown(name)}{did_you_mean(name, names) or few}")

    def _person(self, name: str | None, path: Path) -> None:
        self._known("person", name, self._rules.people, path)

    def _number(self, text: str | None, path: Path) -> int | None:
        found = None if text is None else _INCIDENT.fullmatch(text)
        if text is not None and found is None:
            self._document.add(path, f"{shown(text)} is no incident. Write 2 or INC-2 for the second that opened")
        return None if found is None else int(found[1])

    # --- events ---

    def _step(self, at: str, key: str, path: Path, make: Callable[[int], What | None]) -> Step | None:
        at_ms = self.instant(at, (*path, "at"))
        what = make(at_ms)
        return None if what is None else Step(at_ms, key, what, self._document.place(path))

    def _alert(self, shape: shapes.AlertEvent, key: str, at: int, path: Path) -> What | None:
        labels = shape.fire if key == "fire" else shape.resolve
        if not labels:
            self._document.add((*path, key), "expected the labels of an alert, such as {alertname: DBDown, severity: critical}")
            return None
        if key == "resolve":
            if shape.for_ is not None:
                self._document.add((*path, "for"), "belongs to fire: how long the alert fires")
            return Cleared(labels)
        return Fired(labels, None if shape.for_ is None else at + self._duration(shape.for_, (*path, "for")))

    def _act(self, shape: shapes.PersonEvent, path: Path) -> What | None:
        event = self._event(shape, path)
        if event is None:
            return None
        if event.actor != shapes.SOMEBODY:
            self._person(event.actor, (*path, next(key for key in shapes.PERSON_EVENTS if getattr(shape, key) is not None), "by"))
        return Acted(event, Target(self._number(shape.incident, (*path, "incident")), shape.labels))

    def _event(self, shape: shapes.PersonEvent, path: Path) -> ev.Event | None:
        match shape:
            case shapes.PersonEvent(acknowledge=shapes.AcknowledgeShape() as it):
                for_ms = None if it.for_ is None else self._duration(it.for_, (*path, "acknowledge", "for"))
                return ev.Acknowledged(it.by, for_ms, it.note)
            case shapes.PersonEvent(resolved=shapes.ResolvedShape() as it):
                return ev.Resolved(it.by, it.note)
            case shapes.PersonEvent(note=shapes.NoteShape() as it):
                return ev.Noted(it.by, it.text)
            case shapes.PersonEvent(snooze=shapes.SnoozeShape() as it):
                return ev.Snoozed(it.by, self._duration(it.for_, (*path, "snooze", "for")))
            case shapes.PersonEvent(assign=shapes.AssignShape() as it):
                self._person(it.to, (*path, "assign", "to"))
                return ev.Assigned(it.by, it.to)
            case shapes.PersonEvent(severity=shapes.SeverityShape() as it):
                return ev.SeveritySet(it.by, it.level, it.why)
            case shapes.PersonEvent(reopen=shapes.ByShape() as it):
                return ev.Reopened(it.by)
            case shapes.PersonEvent(pass_on=shapes.ByShape() as it):
                return ev.PassedOn(it.by)
            case _:
                key = next(key for key in shapes.PERSON_EVENTS if key in shape.model_fields_set)
                self._document.add((*path, key), "says nothing, expected a mapping such as {by: kim}")
                return None

    def _roster(self, shape: shapes.RosterEvent, at: int, path: Path) -> What | None:
        key = "override" if shape.override is not None else "away"
        span = shape.override or shape.away
        if span is None:
            self._document.add((*path, key), "says nothing, expected a mapping such as {person: kim, for: 20m}")
            return None
        inside = (*path, key)
        self._person(span.person, (*inside, "person"))
        from_at = at if span.from_ is None else self.instant(span.from_, (*inside, "from"))
        until_at = self._until(span, from_at, inside)
        if until_at <= from_at:
            return None
        id_ = f"line {self._document.place(path)[0]}"
        if not isinstance(span, shapes.OverrideShape):
            return RosterChanged(Absence(id_, span.person, from_at, until_at, by=span.person, made_at=at))
        self._known("schedule", span.schedule, self._rules.schedules, (*inside, "schedule"))
        self._person(span.replaces, (*inside, "replaces"))
        return RosterChanged(Override(id_, span.schedule, span.person, from_at, until_at, span.replaces, by=span.person, made_at=at))

    def _until(self, span: shapes.SpanShape, from_at: int, path: Path) -> int:
        """Return when a span ends (ms UTC); its beginning, with a problem, when it does not say."""
        if (span.until is None) == (span.for_ is None):
            self._document.add(path, "expected one of for and until")
            return from_at
        if span.until is not None:
            until_at = self.instant(span.until, (*path, "until"))
        else:
            until_at = from_at + self._duration(span.for_ or "", (*path, "for"))
        if until_at <= from_at or until_at - from_at > DURATION_MS_MAX:
            self._document.add(path, "ends before it begins")
        return until_at

    # --- expectations ---

    def _page(self, shape: shapes.PageShape, path: Path) -> Expected:
        at = self.instant(shape.at, (*path, "at"))
        self._known("person", shape.page, (*self._rules.people, EMERGENCY_PERSON), (*path, "page"))
        self._known("role", shape.role, (*self._rules.roles, EMERGENCY_PERSON), (*path, "role"))
        contact, channel = self._contact(shape, path)
        return PageExpected(
            at,
            shape.page,
            self._document.place(path),
            shape.role,
            None if shape.kind is None else PageKind(shape.kind),
            contact,
            channel,
            self._number(shape.incident, (*path, "incident")),
        )

    def _contact(self, shape: shapes.PageShape, path: Path) -> tuple[int | None, str | None]:
        person = self._rules.people.get(shape.page)
        if shape.contact is None or person is None:
            return None, None
        kinds = [contact.to.partition(":")[0] for contact in person.contacts]
        if shape.contact.isdecimal():
            if not 1 <= int(shape.contact) <= len(kinds):
                self._document.add((*path, "contact"), f"{shape.page} has {len(kinds)} contacts, expected 1 to {len(kinds)}")
            return int(shape.contact) - 1, None
        if shape.contact not in kinds:
            self._document.add((*path, "contact"), f"{shape.page} has no such contact, expected a number from 1 or {', '.join(kinds)}")
        return None, shape.contact

    def _silence(self, shape: shapes.SilenceShape, path: Path) -> Expected:
        from_at = self.instant(shape.from_, (*path, "from"))
        to_at = self.instant(shape.to, (*path, "to"))
        if not shape.no_page:
            self._document.add((*path, "no_page"), "expected true: what is to be paged is expected with page")
        if to_at <= from_at:
            self._document.add((*path, "to"), "expected an instant after from")
        self._person(shape.person, (*path, "person"))
        return SilenceExpected(from_at, to_at, self._document.place(path), shape.person)

    def _counts(self, shape: shapes.IncidentsShape, path: Path) -> Expected:
        found = {state: getattr(shape.incidents, state.value) for state in State}
        counts = {state: count for state, count in found.items() if count is not None}
        if not counts:
            self._document.add((*path, "incidents"), f"expected a number for one of {', '.join(State)}")
        for state, count in counts.items():
            if count < 0:
                self._document.add((*path, "incidents", state.value), "expected 0 or more")
        return CountsExpected(self.instant(shape.at, (*path, "at")), counts, self._document.place(path))

    def _state(self, shape: shapes.StateShape, path: Path) -> Expected:
        self._known("service", shape.service, [service.name for service in self._rules.services], (*path, "service"))
        self._person(shape.by, (*path, "by"))
        target = Target(self._number(shape.incident, (*path, "incident")), shape.labels, shape.service)
        at = self.instant(shape.at, (*path, "at"))
        return StateExpected(at, State(shape.state), target, self._document.place(path), shape.severity, shape.by)
