"""What would happen to an alert: from its labels and an instant to every step, each in a sentence with the line of the rule it rests on.

    explanation = explain({"alertname": "DBDown", "severity": "critical"}, at, rules)

Decides nothing. Severity, service and group are asked of the rules; when which rung is paged and to whom is read off a `Simulator` in
which the alert fires at that instant, every provider takes every page, and nobody answers. So an explanation cannot disagree with what the
roles do. Why something happened to a real incident is explained in `why.py`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from tocsin.policy import oncall
from tocsin.policy.durations import format_duration
from tocsin.policy.dutyreasons import local_time, who_holds
from tocsin.policy.incident import Decision
from tocsin.policy.ladder import can_be_paged, contact_of
from tocsin.policy.matchers import Matcher, matcher_text, matches_all
from tocsin.policy.model import LOW, Alert, AlertStatus, Incident, Page, PageKind, PageStatus
from tocsin.policy.rules import DEFAULT_SEVERITY, EMERGENCY_PERSON, GROUP_BY_ALL, Contact, Rules, Service
from tocsin.policy.simulator import Simulator

FIRST_AT: Final = 0
LAST_AT: Final = 7_258_118_400_000
"""1970 and 2200: what can be asked about. Calendars go no further with any sense."""

SERVICES_TRIED_MAX: Final = 20
"""Services above the one that matches of which it is said why they do not; the others are counted."""

PAGES_MAX: Final = 200
"""Pages that one explanation holds."""

VALUE_SHOWN_MAX: Final = 80

_NOT_ACTED_ON: Final = "read, not acted on"


class About(enum.StrEnum):
    """What a step of an explanation speaks of."""

    SEVERITY = "severity"
    SERVICE = "service"
    GROUP = "group"
    PLAN = "plan"
    INHIBITION = "inhibition"
    RUNG = "rung"
    ROLE = "role"
    PAGE = "page"
    GAP = "gap"
    LAST_RESORT = "last resort"
    ANSWER = "answer"
    EVENT = "event"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Step:
    """One sentence. `place` is `FILE:LINE` of its rule, `at` (ms UTC) when it happens, `entry` a version in the history."""

    about: About
    said: str
    place: str = ""
    at: int | None = None
    entry: int | None = None


@dataclass(frozen=True, slots=True)
class PlannedRung:
    """A rung as it would be paged: `at` (ms UTC), by which people; none when nobody holds its roles."""

    index: int
    after_ms: int
    at: int
    roles: tuple[str, ...]
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlannedPage:
    """A page as it would be handed to its provider: over which contact (counted from 0; never its address), held until when and why."""

    at: int
    person: str
    contact: int
    channel: str
    rung: int | None
    role: str
    held_until: int | None = None
    held_why: str = ""
    limit: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would happen to an alert with these labels at `at` (ms UTC) when nobody answers, up to the first repeat of the last rung."""

    at: int
    labels: Mapping[str, str]
    severity: int
    service: str
    ladder: str
    group: Mapping[str, str]
    rules_version: int
    steps: tuple[Step, ...]
    rungs: tuple[PlannedRung, ...] = ()
    pages: tuple[PlannedPage, ...] = ()


def explain(labels: Mapping[str, str], at: int, rules: Rules) -> Explanation:
    """Return what would happen to an alert that fires at an instant (ms UTC) from FIRST_AT to LAST_AT."""
    assert FIRST_AT <= at <= LAST_AT, at
    severity, service = rules.severity_of(labels), rules.service_of(labels)
    path = _service_path(service, rules)
    names = tuple(sorted(labels)) if service.group_by == (GROUP_BY_ALL,) else service.group_by
    group = {name: labels.get(name, "") for name in names}
    course = _Course(labels, at, rules)
    steps = [
        *_severity_steps(labels, rules),
        *_service_steps(labels, service, path, rules),
        Step(About.GROUP, _group_words(service, group), rules.places.of(*path)),
        *_plan_steps(service, severity, path, rules),
        *_inhibitions(labels, rules),
        *course.steps(service, severity),
    ]
    return Explanation(
        at=at,
        labels=labels,
        severity=severity,
        service=service.name,
        ladder=service.plan.ladder.name,
        group=group,
        rules_version=rules.version,
        steps=tuple(steps),
        rungs=tuple(course.rungs),
        pages=course.pages(),
    )


# --- which rules match ------------------------------------------------------------------------------------------------------------------


def _severity_steps(labels: Mapping[str, str], rules: Rules) -> Iterator[Step]:
    for index, rule in enumerate(rules.severities):
        place = rules.places.of("severities", index)
        if matches_all(rule.matchers, labels):
            yield Step(About.SEVERITY, f"severity {rule.level}: {_texts(rule.matchers)}", place)
            return
        yield Step(About.SEVERITY, f"not severity {rule.level} by this rule: {_failing(rule.matchers, labels)}", place)
    yield Step(About.SEVERITY, f"severity {DEFAULT_SEVERITY}: no rule of the severities matches", rules.places.of("severities"))


def _service_steps(labels: Mapping[str, str], service: Service, path: tuple[str | int, ...], rules: Rules) -> Iterator[Step]:
    above = rules.services[: next((i for i, each in enumerate(rules.services) if each is service), 0)]
    for index, each in enumerate(above[:SERVICES_TRIED_MAX]):
        yield Step(About.SERVICE, f"not {each.name}: {_failing(each.matchers, labels)}", rules.places.of("services", index))
    if len(above) > SERVICES_TRIED_MAX:
        yield Step(About.SERVICE, f"nor any of {len(above) - SERVICES_TRIED_MAX} more services above it")
    why = _texts(service.matchers) if service.matchers else "it takes what no service above it takes"
    yield Step(About.SERVICE, f"service {service.name}: {why}", rules.places.of(*path))


def _service_path(service: Service, rules: Rules) -> tuple[str | int, ...]:
    index = next((i for i, each in enumerate(rules.services) if each is service), None)
    return ("services",) if index is None else ("services", index)


def _texts(matchers: tuple[Matcher, ...]) -> str:
    return ", ".join(matcher_text(each) for each in matchers) or "the rule takes every alert"


def _failing(matchers: tuple[Matcher, ...], labels: Mapping[str, str]) -> str:
    """Say which matcher does not hold, and what it found."""
    failing = next(each for each in matchers if not each.matches(labels))
    value = labels.get(failing.name)
    found = f'{failing.name} is "{cut(value)}"' if value else f"there is no label {failing.name}"
    return f"{matcher_text(failing)} does not hold, {found}"


def cut(text: str) -> str:
    """Return a text that came from outside, short enough for a sentence."""
    return text if len(text) <= VALUE_SHOWN_MAX else text[: VALUE_SHOWN_MAX - 3] + "..."


def _group_words(service: Service, group: Mapping[str, str]) -> str:
    if not group:
        return f"all alerts of {service.name} are one incident"
    values = ", ".join(f'{name}="{cut(value)}"' if value else f"no {name}" for name, value in group.items())
    return f"one incident with the alerts of {service.name} that have {values}"


def _plan_steps(service: Service, severity: int, path: tuple[str | int, ...], rules: Rules) -> Iterator[Step]:
    plan, ladder = service.plan, service.plan.ladder
    place = rules.places.of(*path)
    if plan.wait_ms:
        yield Step(About.PLAN, f"nobody is paged for the first {format_duration(plan.wait_ms)}: it may clear by itself", place)
    resolves, reopens = format_duration(plan.resolve_after_ms), format_duration(plan.reopen_within_ms)
    closes = format_duration(plan.close_after_ms)
    words = f"resolves when all its alerts have been clear for {resolves}, an alert reopens it within {reopens}, it closes {closes} later"
    yield Step(About.PLAN, words, place)
    ladder_place = rules.places.of("ladders", ladder.name)
    if severity == LOW:
        yield Step(About.PLAN, f"severity {LOW} opens an incident and pages nobody", ladder_place)
        return
    if not ladder.rungs[severity - 1]:
        return
    holds = format_duration(ladder.acknowledged_for_ms[severity - 1])
    until = "until it is resolved, whoever has it" if ladder.until == "resolved" else f"until it is acknowledged, which holds for {holds}"
    yield Step(About.PLAN, f"climbs the ladder {ladder.name} {until}", ladder_place)


def _inhibitions(labels: Mapping[str, str], rules: Rules) -> Iterator[Step]:
    """Inhibitions are checked with the file and not acted on yet: the sentence says so for as long as that holds."""
    for index, rule in enumerate(rules.inhibit):
        same = f" and the same {', '.join(rule.equal)}" if rule.equal else ""
        place = rules.places.of("inhibit", index)
        if matches_all(rule.target, labels):
            words = (
                f"is named as what is quiet while an alert with {_texts(rule.source)}{same} fires: {_NOT_ACTED_ON}, it pages all the same"
            )
            yield Step(About.INHIBITION, words, place)
        if matches_all(rule.source, labels):
            words = f"is named as what quietens alerts with {_texts(rule.target)}{same}: {_NOT_ACTED_ON}, they page all the same"
            yield Step(About.INHIBITION, words, place)


# --- what would be handed to whom -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Course:
    """The incident that would open, in a world where nobody answers, up to the first repeat of its last rung."""

    labels: Mapping[str, str]
    at: int
    rules: Rules
    decisions: list[tuple[int, Decision]] = field(default_factory=list)
    rungs: list[PlannedRung] = field(default_factory=list)
    world: Simulator = field(init=False)

    def __post_init__(self) -> None:
        self.world = Simulator(self.rules, self.at, observe=lambda decision: self.decisions.append((self.world.now, decision)))
        plan = self.rules.service_of(self.labels).plan
        rungs = plan.ladder.rungs[self.rules.severity_of(self.labels) - 1]
        # The first repeat comes this long after the last rung; a rung that reaches nobody only makes that sooner.
        last_ms = max((rung.after_ms for rung in rungs), default=0)
        until = self.at + max(last_ms, plan.wait_ms) + plan.ladder.repeat_last_ms
        alert = Alert("explained", "", AlertStatus.FIRING, self.labels, {}, self.at, until + 1)
        self.world.report([alert])
        self.world.advance(until)
        self.decisions = list(self._until_first_repeat())
        self.rungs += self._planned()

    def _until_first_repeat(self) -> Iterator[tuple[int, Decision]]:
        """Leave out what is only said again: a ladder that reaches nobody repeats its end before the time of its last rung."""
        is_exhausted = False
        for at, decision in self.decisions:
            yield at, decision
            if is_exhausted and decision.inputs.get("last_resort"):
                return
            is_exhausted = is_exhausted or bool(decision.inputs.get("last_resort"))

    @property
    def incident(self) -> Incident:
        return self.decisions[-1][1].incident

    def _planned(self) -> Iterator[PlannedRung]:
        seen: set[int] = set()
        for at, decision in self.decisions:
            for index in _indices(decision):
                if index not in seen:
                    seen.add(index)
                    rung = decision.incident.rungs[index]
                    people = dict.fromkeys(person for role in rung.roles for person in oncall.holders(role, at, self.rules))
                    reached = tuple(person for person in people if can_be_paged(person, self.rules))
                    yield PlannedRung(index, rung.after_ms, at, rung.roles, reached)

    def pages(self) -> tuple[PlannedPage, ...]:
        """Return every page that would go out by then, and those that wait for their turn."""
        end_at = self.decisions[-1][0]
        handed = [(each.at, each.page) for each in self.world.handed if each.page.kind is PageKind.PAGE and each.at <= end_at]
        gone = {page.id for _, page in handed}
        waiting = [
            (page.due_at, page)
            for page in self.incident.pages
            if page.status is PageStatus.PENDING and page.kind is PageKind.PAGE and page.id not in gone
        ]
        return tuple(self._page(at, page) for at, page in sorted([*handed, *waiting], key=lambda each: each[0])[:PAGES_MAX])

    def _page(self, at: int, page: Page) -> PlannedPage:
        contact = contact_of(page, self.rules) or Contact("")
        limit = "" if contact.limit is None else f"{contact.limit.count} in {format_duration(contact.limit.per_ms)}"
        channel = contact.to.partition(":")[0]
        return PlannedPage(
            at, page.person, page.contact, channel, page.rung, page.role, page.held_until, page.reason if page.held_until else "", limit
        )

    def steps(self, service: Service, severity: int) -> Iterator[Step]:
        """Tell the ladder rung by rung: when, who holds its roles and why, what goes to whom over what."""
        ladder = service.plan.ladder
        if not ladder.rungs[severity - 1]:
            if severity != LOW:
                words = f"severity {severity} has no rungs in the ladder {ladder.name}: nobody is paged"
                yield Step(About.GAP, words, self.rules.places.of("ladders", ladder.name, "rungs"), self.at)
            return
        pages = self.pages()
        told: set[int] = set()
        for at, decision in self.decisions:
            indices = [index for index in _indices(decision) if index not in told]
            told.update(indices)
            for index in indices:
                yield from self._rung(decision, index, severity, at)
            yield from self._empty(decision, indices, at)
            if decision.inputs.get("last_resort"):
                yield from self._last_resort(decision, ladder.name, at)
            if indices or decision.inputs.get("last_resort"):
                yield from self._step_pages(decision, at, pages)
        if len(pages) == PAGES_MAX:
            yield Step(About.GAP, f"more than {PAGES_MAX} pages: the later ones are left out")

    def _rung(self, decision: Decision, index: int, severity: int, at: int) -> Iterator[Step]:
        ladder = decision.incident.plan.ladder
        rung = decision.incident.rungs[index]
        after = "at once" if rung.after_ms == 0 else f"after {format_duration(rung.after_ms)}"
        due = self.at + max(rung.after_ms, decision.incident.plan.wait_ms)
        early = ", now because the one before it reaches nobody" if at < due else ""
        words = f"rung {index + 1}, {after}: {', '.join(rung.roles)}{early}"
        path = ("ladders", ladder.name, "rungs", str(severity))
        yield Step(About.RUNG, words, self.rules.places.of(*path), at)
        for role in rung.roles:
            for each in who_holds(role, at, self.rules):
                yield Step(About.GAP if each.is_gap else About.ROLE, each.said, each.place, at)

    def _empty(self, decision: Decision, indices: list[int], at: int) -> Iterator[Step]:
        nobody = set(_names(decision, "nobody_in"))
        for index in indices:
            roles = decision.incident.rungs[index].roles
            if roles and nobody.issuperset(roles):
                words = f"rung {index + 1} reaches nobody: what comes after it is due at once"
                yield Step(About.GAP, words, "", at)

    def _step_pages(self, decision: Decision, at: int, pages: tuple[PlannedPage, ...]) -> Iterator[Step]:
        """Say what goes to each person of this climb, contact by contact."""
        for person in _names(decision, "paged"):
            planned = [page for page in decision.incident.pages if page.person == person and page.step == decision.incident.steps - 1]
            for page in planned:
                goes_at = next((p.at for p in pages if (p.person, p.contact) == (person, page.contact) and p.at >= at), page.due_at)
                yield Step(About.PAGE, self._page_words(page, at, goes_at), self._contact_place(page), goes_at)

    def _page_words(self, page: Page, at: int, goes_at: int) -> str:
        contact = contact_of(page, self.rules) or Contact("")
        who = "the emergency contacts" if page.person == EMERGENCY_PERSON else page.person
        words = f"{who}: contact {page.contact + 1}, {contact.to.partition(':')[0]}"
        if page.held_until is not None:
            person = self.rules.people.get(page.person)
            zone = "UTC" if person is None else person.time_zone
            return f"{words}, held until {local_time(page.due_at, zone)} ({page.reason})"
        words += f", {format_duration(goes_at - at)} later unless somebody has answered" if goes_at > at else ""
        words += f", {contact.times} times {format_duration(contact.repeat_ms)} apart until somebody answers" if contact.times > 1 else ""
        if contact.limit is not None:
            words += f", which takes {contact.limit.count} in {format_duration(contact.limit.per_ms)}: what is beyond that waits"
        return words

    def _contact_place(self, page: Page) -> str:
        if page.person == EMERGENCY_PERSON:
            return self.rules.places.of("emergency")
        return self.rules.places.of("people", page.person, "contacts", page.contact)

    def _last_resort(self, decision: Decision, ladder: str, at: int) -> Iterator[Step]:
        place = self.rules.places.of("ladders", ladder, "last_resort") or self.rules.places.of("ladders", ladder)
        people = _names(decision, "paged")
        every_ms = decision.incident.plan.ladder.repeat_last_ms
        again = f", again every {format_duration(every_ms)}" if every_ms else ""
        if not people:
            yield Step(About.GAP, f"the ladder is exhausted and nobody is left to page{again}", place, at)
            return
        roles = ", ".join(decision.incident.plan.ladder.last_resort) or "none"
        yield Step(About.LAST_RESORT, f"the ladder is exhausted: {', '.join(people)} (last resort: {roles}){again}", place, at)
        for role in decision.incident.plan.ladder.last_resort:
            yield from (Step(About.GAP, each.said, each.place, at) for each in who_holds(role, at, self.rules) if each.is_gap)


def _indices(decision: Decision) -> tuple[int, ...]:
    found = decision.inputs.get("rungs", ())
    assert isinstance(found, tuple)
    return found


def _names(decision: Decision, name: str) -> tuple[str, ...]:
    found = decision.inputs.get(name, ())
    assert isinstance(found, tuple)
    return found
