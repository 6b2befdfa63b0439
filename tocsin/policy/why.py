"""Why somebody was paged about an incident, and why somebody was not: read back from its history, sentence by sentence.

    explanation = explain_incident(incident, entries, now, rules, person="lee", at=...)

Decides nothing and guesses nothing: every decision left its reason and its inputs in the history, and each sentence names the entry that
it quotes. The ladder is the one the incident opened with. Who held a role is asked of `oncall.py` with the present rules and roster, which
keeps overrides and absences beyond their end; where the rules have changed since, a sentence says so.

Read `explain_incident` first, then `_was_paged` and `_was_not_paged`; `_Moment` is where the incident stood.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tocsin.policy import ladder, oncall
from tocsin.policy.decision import Reason
from tocsin.policy.durations import format_duration
from tocsin.policy.dutyreasons import local_time, may_hold, who_holds
from tocsin.policy.explain import About, Step
from tocsin.policy.model import LOW, HistoryEntry, Incident, PageKind, PageStatus, Rung
from tocsin.policy.rules import EMERGENCY_PERSON, Rules

MINUTE_MS: Final = 60_000
"""How long after the instant that was asked for counts as that instant: people read times to the minute."""

STEPS_MAX: Final = 400

_OPENED: Final = (Reason.OPENED, Reason.OPENED_BY_PERSON, Reason.TEST_REQUESTED, Reason.DRILL_REQUESTED, Reason.PERSON_TOLD)
_REOPENED: Final = (Reason.REOPENED_BY_ALERTS, Reason.REOPENED_BY_PERSON)
_RESOLVED: Final = (Reason.RESOLVED_BY_ALERTS, Reason.RESOLVED_BY_PERSON, Reason.ENDED_BY_ITSELF)

_CAUSES: Final[Mapping[str, str]] = {
    Reason.OPENED: "the incident opened",
    Reason.OPENED_BY_PERSON: "{actor} opened the incident by hand",
    Reason.TEST_REQUESTED: "{actor} asked for a test of the contact",
    Reason.DRILL_REQUESTED: "{actor} asked for a drill",
    Reason.PERSON_TOLD: "it is a notice to the person",
    Reason.FIRED_AGAIN: "alerts fired again after all had been clear",
    Reason.REOPENED_BY_ALERTS: "alerts fired again and reopened the incident",
    Reason.REOPENED_BY_PERSON: "{actor} reopened the incident",
    Reason.SEVERITY_RAISED: "the severity was raised from {from} to {to}",
    Reason.SEVERITY_LOWERED: "the severity was lowered from {from} to {to}",
    Reason.RUNG_DUE: "the rung fell due and nobody had answered",
    Reason.RUNG_SKIPPED: "the rung fell due and nobody had answered",
    Reason.NOBODY_TO_PAGE: "the ladder was exhausted",
    Reason.LAST_RUNG_REPEATED: "the ladder was exhausted, nobody had answered, and its last rung is paged again",
    Reason.REMINDED: "the acknowledgement was about to end",
    Reason.ACKNOWLEDGEMENT_ENDED: "the acknowledgement of {held_by} ended and the ladder went on",
    Reason.SNOOZE_ENDED: "the snooze ended and the ladder went on",
    Reason.PERSON_UNREACHED: "the page before reached nobody ({because}), so the next was due at once",
    Reason.ASSIGNED: "{actor} assigned the incident",
    Reason.PASSED_ON: "{actor} passed it on, so the next rung was due at once",
    **dict.fromkeys(_RESOLVED, "the incident was resolved, and whoever had been paged is told so"),
}

_OUTCOMES: Final[Mapping[str, str]] = {
    Reason.PAGE_SENT: "the provider took it (attempt {attempt})",
    Reason.PAGE_DELIVERED: "the provider says that it arrived",
    Reason.PAGE_REFUSED: "the provider refused it: {why}",
    Reason.PAGE_RETRIED: "an attempt failed and is repeated: {why}",
    Reason.PAGE_GIVEN_UP: "the contact was given up: {why}",
    Reason.PAGE_HELD: "it was held: {why}",
    Reason.PAGE_UNDELIVERED: "the provider says that it did not arrive: {why}",
    Reason.RECEIPT_MISSING: "the provider did not say in time that it arrived",
}

_REACHED_LATE_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class IncidentExplanation:
    """Why people were paged, or one was not. `answer` is the one sentence; `quoted` are the entries that the steps name, in order."""

    incident: str
    person: str | None
    at: int | None
    answer: str
    rules_version: int
    opened_under: int
    steps: tuple[Step, ...]
    quoted: tuple[HistoryEntry, ...]


@dataclass(frozen=True, slots=True)
class _Moment:
    """Where an incident stood after some of its entries; `..._by` is the version that made it so."""

    severity: int = LOW
    triggered_at: int = 0
    opened_at: int = 0
    holder: str | None = None
    held_until: int | None = None
    held_by: int = 0
    snoozed_until: int | None = None
    snoozed_by: int = 0
    clear_by: int = 0
    resolved_by: int = 0
    closed_by: int = 0


def explain_incident(
    incident: Incident, entries: Sequence[HistoryEntry], now: int, rules: Rules, *, person: str | None = None, at: int | None = None
) -> IncidentExplanation:
    """Return why people were paged, or one person was or was not, at all or within the minute from `at` (ms UTC).

    `entries` are the incident's history, oldest first; only their reasons and inputs are read.
    """
    account = _Account(incident, tuple(entries), now, rules)
    answer, steps = account.of_person(person, at) if person is not None else account.of_everybody(at)
    if rules.version != incident.rules_version:
        words = f"opened under version {incident.rules_version} of the rules and keeps that ladder; people and roles are those of version"
        steps = [*steps, Step(About.STATE, f"the incident {words} {rules.version}, in force now")]
    steps = steps[:STEPS_MAX]
    named = {step.entry for step in steps}
    quoted = tuple(entry for entry in entries if entry.version in named)
    return IncidentExplanation(incident.id, person, at, answer, rules.version, incident.rules_version, tuple(steps), quoted)


@dataclass(frozen=True, slots=True)
class _Account:
    """An incident, its history, and the rules by which who held a role is found out."""

    incident: Incident
    entries: tuple[HistoryEntry, ...]
    now: int
    rules: Rules

    # --- the questions -------------------------------------------------------------------------------------------------------------

    def of_everybody(self, at: int | None) -> tuple[str, list[Step]]:
        """Return who was paged and why, and of everybody else on the ladder why not."""
        paged = [(entry, person) for entry in self.entries for person in _paged(entry) if self._counts(entry, person, at)]
        when = "" if at is None else f" at {self._clock(at, None)}"
        steps = [step for entry, person in paged for step in self._was_paged(entry, person)]
        people = tuple(dict.fromkeys(person for _, person in paged))
        moment = self._moment(self._end_of(at))
        others = [person for person in self._on_ladder(moment) if person not in people]
        steps += [step for person in others for step in self._was_not_paged(person, at)]
        if not people:
            return f"nobody was paged about {self.incident.id}{when}", steps
        return f"{', '.join(people)} {'was' if len(people) == 1 else 'were'} paged about {self.incident.id}{when}", steps

    def of_person(self, person: str, at: int | None) -> tuple[str, list[Step]]:
        """Return why a person was paged, or was not."""
        paged = [entry for entry in self.entries if person in _paged(entry) and self._counts(entry, person, at)]
        when = "" if at is None else f" at {self._clock(at, person)}"
        if paged:
            cause = _filled(_CAUSES.get(str(paged[0].reason), str(paged[0].reason)), paged[0])
            again = "" if len(paged) == 1 else f", and {len(paged) - 1} more time{'s' if len(paged) > 2 else ''}"
            answer = f"{person} was paged about {self.incident.id}{when or self._said_at(paged[0], person)} because {cause}{again}"
            return answer, [step for entry in paged for step in self._was_paged(entry, person)]
        steps = self._was_not_paged(person, at)
        why = f": {steps[0].said}" if steps else ""
        return f"{person} was not paged about {self.incident.id}{when}{why}", steps

    def _said_at(self, entry: HistoryEntry, person: str) -> str:
        return f" at {self._clock(entry.at, person)}"

    def _clock(self, at: int, person: str | None) -> str:
        known = None if person is None else self.rules.people.get(person)
        return local_time(at, "UTC" if known is None else known.time_zone)

    def _end_of(self, at: int | None) -> int:
        return self.now if at is None else at + MINUTE_MS - 1

    def _counts(self, entry: HistoryEntry, person: str, at: int | None) -> bool:
        """Whether a decision to page somebody, or what went out of it, belongs to the minute that was asked for."""
        if at is None or at <= entry.at < at + MINUTE_MS:
            return True
        return any(
            at <= each.at < at + MINUTE_MS
            for each in self._outcomes(entry, person)
            if str(each.reason) in (Reason.PAGE_SENT, Reason.PAGE_HELD)
        )

    # --- why -----------------------------------------------------------------------------------------------------------------------

    def _was_paged(self, entry: HistoryEntry, person: str) -> Iterator[Step]:
        """Tell of one decision to page a person: the cause, the rung and role, and what came of the pages."""
        reason = str(entry.reason)
        late_ms = entry.inputs.get("late_ms")
        late = f", {format_duration(late_ms)} late" if isinstance(late_ms, int) and late_ms >= _REACHED_LATE_MS else ""
        words = f"{person} was paged because {_filled(_CAUSES.get(reason, reason), entry)}{late}"
        yield Step(About.ANSWER, words, "", entry.at, entry.version)
        if person == EMERGENCY_PERSON:
            yield Step(About.LAST_RESORT, "nobody else was left: the emergency contacts", self.rules.places.of("emergency"), entry.at)
        yield from self._role_steps(entry, person)
        until = entry.inputs.get("quiet_until")
        if isinstance(until, Mapping) and person in until:
            place = self.rules.places.of("people", person, "quiet")
            words = f"{person} wants quiet then: held until {self._clock(int(until[person]), person)}"
            yield Step(About.STATE, words, place, entry.at, entry.version)
        for each in self._outcomes(entry, person):
            contact = _page_of(each).rpartition(".")[2]
            number = f"contact {int(contact) + 1}: " if contact.isdigit() else ""
            yield Step(About.EVENT, f"{number}{_filled(_OUTCOMES[str(each.reason)], each)}", "", each.at, each.version)
        yield from self._unsent(entry, person)

    def _unsent(self, entry: HistoryEntry, person: str) -> Iterator[Step]:
        """Say of the pages of a person's newest paging that wait or were withdrawn, which the history has no entry of their own for."""
        if any(person in _paged(each) for each in self.entries if each.version > entry.version):
            return
        newest = max((page.step for page in self.incident.pages if page.person == person and page.kind in ladder.ABOUT_IT), default=-1)
        for page in self.incident.pages:
            if (page.person, page.step) != (person, newest):
                continue
            if page.status is PageStatus.CANCELLED:
                words = f"contact {page.contact + 1}: withdrawn before it was sent: {page.reason}"
                yield Step(About.EVENT, words, "", page.settled_at)
            elif page.status is PageStatus.PENDING:
                why = f", held: {page.reason}" if page.held_until is not None else ""
                yield Step(About.EVENT, f"contact {page.contact + 1}: waits until {self._clock(page.due_at, person)}{why}", "", page.due_at)

    def _role_steps(self, entry: HistoryEntry, person: str) -> Iterator[Step]:
        """Say over which rung and role a decision came to a person."""
        moment = self._moment_after(entry)
        table = self._table(moment)
        known = False
        for index in _indices(entry):
            rung = table[index] if index < len(table) else Rung(0, ())
            for role in rung.roles:
                held = [each for each in who_holds(role, entry.at, self.rules) if each.person == person and each.holds]
                if held:
                    known = True
                    yield Step(About.RUNG, self._rung_words(index, rung, moment), self._rung_place(moment), entry.at, entry.version)
                    yield from (Step(About.ROLE, each.said, each.place, entry.at) for each in held)
        if entry.inputs.get("last_resort"):
            for role in self.incident.plan.ladder.last_resort:
                if person in oncall.holders(role, entry.at, self.rules):
                    known = True
                    place = self.rules.places.of("ladders", self.incident.plan.ladder.name, "last_resort")
                    yield Step(About.LAST_RESORT, f"{person} holds {role}, the last resort of the ladder", place, entry.at, entry.version)
        if _indices(entry) and not known and person != EMERGENCY_PERSON:
            words = f"by the rules and the calendar of now {person} holds none of its roles: they were others then"
            yield Step(About.ROLE, words, "", entry.at, entry.version)

    def _outcomes(self, entry: HistoryEntry, person: str) -> list[HistoryEntry]:
        """Return what came of the pages of a decision: everything about pages to the person, up to the next decision to page them."""
        edits = {page.id for page in self.incident.pages if page.kind is PageKind.UPDATE}
        found: list[HistoryEntry] = []
        for each in self.entries:
            if each.version <= entry.version:
                continue
            if person in _paged(each):
                break
            page = _page_of(each)
            if str(each.reason) in _OUTCOMES and _person_of(page) == person and page not in edits:
                found.append(each)
        return found

    # --- why not -------------------------------------------------------------------------------------------------------------------

    def _was_not_paged(self, person: str, at: int | None) -> list[Step]:
        """Tell why a person was not paged, the plainest reason first."""
        moment = self._moment(self._end_of(at))
        known = self.rules.people.get(person)
        if known is None:
            return [Step(About.ANSWER, f"there is nobody called {person} in the rules in force now")]
        steps: list[Step] = []
        if not known.contacts:
            steps.append(Step(About.ANSWER, f"{person} has no contact and cannot be paged", self.rules.places.of("people", person)))
        steps += self._ladder_reasons(person, moment, self._end_of(at))
        if at is not None:
            steps += self._other_times(person)
        return steps

    def _ladder_reasons(self, person: str, moment: _Moment, until: int) -> list[Step]:
        ladder_name = self.incident.plan.ladder.name
        table = self._table(moment)
        if not table:
            place = self.rules.places.of("ladders", ladder_name)
            return [Step(About.ANSWER, f"severity {moment.severity} has no rungs in {ladder_name}: it pages nobody", place)]
        steps: list[Step] = []
        for index, rung in enumerate(table):
            for role in rung.roles:
                asked_at = self._asked_at(index, rung, moment, until)
                if person in may_hold(role, self.rules) or person in oncall.holders(role, asked_at, self.rules):
                    steps += self._rung_reasons(person, index, rung, role, moment, until)
        if not steps:
            roles = ", ".join(dict.fromkeys(role for rung in table for role in rung.roles))
            words = f"{person} holds no role of the ladder {ladder_name} for severity {moment.severity} ({roles})"
            steps.append(Step(About.ANSWER, words, self._rung_place(moment)))
        return steps

    def _rung_reasons(self, person: str, index: int, rung: Rung, role: str, moment: _Moment, until: int) -> Iterator[Step]:
        """Say of one rung, whose role may be the person's, why it did not come to the person."""
        climb = self._climb_of(index, until)
        at = self._asked_at(index, rung, moment, until)
        held = who_holds(role, at, self.rules)
        words = self._rung_words(index, rung, moment)
        if person not in oncall.holders(role, at, self.rules):
            others = ", ".join(each.person for each in held if each.holds and each.person) or "nobody"
            yield Step(
                About.ANSWER, f"{role} was held by {others} when {words} {'was' if climb else 'is'} due", self._rung_place(moment), at
            )
            yield from (Step(About.ROLE if each.holds else About.GAP, each.said, each.place, at) for each in held)
        elif climb is None:
            yield self._not_reached(person, index, rung, moment, until)
            yield from (Step(About.ROLE, each.said, each.place, at) for each in held if each.person == person)
        elif role in _texts(climb, "already_paged"):
            said = f"{role} had been paged already when {words} was due, and is not paged again"
            yield Step(About.ANSWER, said, self._rung_place(moment), climb.at, climb.version)
        elif person not in _paged(climb):
            said = (
                f"{words} paged {', '.join(_paged(climb)) or 'nobody'}; by the calendar of now {person} holds {role}: it was changed since"
            )
            yield Step(About.ANSWER, said, self._rung_place(moment), climb.at, climb.version)

    def _not_reached(self, person: str, index: int, rung: Rung, moment: _Moment, until: int) -> Step:
        """Say what kept a rung from being paged by an instant, in the zone of the person who asks."""
        words, place = self._rung_words(index, rung, moment), self._rung_place(moment)
        due = self._due_at(index, rung, moment)
        stopped = self._stopped(moment, person)
        if stopped is not None:
            return replace(stopped, said=f"{words} was not paged: {stopped.said}", place=place)
        if due > until:
            return Step(About.ANSWER, f"{words} is due at {self._clock(due, person)}, which is later", place, due)
        return Step(About.ANSWER, f"{words} has not been paged yet", place, due)

    def _stopped(self, moment: _Moment, person: str) -> Step | None:
        """Return what held the ladder at a moment, None when it was climbing."""
        goes_on = self.incident.plan.ladder.until == "resolved"
        if moment.closed_by or moment.resolved_by:
            version = moment.closed_by or moment.resolved_by
            return Step(About.ANSWER, f"the incident was {'closed' if moment.closed_by else 'resolved'}", "", self._at(version), version)
        if moment.clear_by:
            return Step(About.ANSWER, "all its alerts were clear", "", self._at(moment.clear_by), moment.clear_by)
        if self.incident.suppressed is not None:
            return Step(About.ANSWER, f"it was suppressed: {self.incident.suppressed}")
        if moment.held_by and not goes_on:
            until = "" if moment.held_until is None else f", which held until {self._clock(moment.held_until, person)}"
            return Step(About.ANSWER, f"{moment.holder} had acknowledged it{until}", "", self._at(moment.held_by), moment.held_by)
        if moment.snoozed_by:
            until = "" if moment.snoozed_until is None else f" until {self._clock(moment.snoozed_until, person)}"
            return Step(About.ANSWER, f"it was snoozed{until}", "", self._at(moment.snoozed_by), moment.snoozed_by)
        return None

    def _other_times(self, person: str) -> Iterator[Step]:
        for entry in self.entries:
            if person in _paged(entry):
                yield Step(About.EVENT, f"{person} was paged at another time, {self._clock(entry.at, person)}", "", entry.at, entry.version)

    # --- where it stood ------------------------------------------------------------------------------------------------------------

    def _start(self) -> _Moment:
        """Return what is assumed before the first entry, which opens the incident unless the history is longer than what was read."""
        return _Moment(severity=self.incident.severity, triggered_at=self.incident.triggered_at, opened_at=self.incident.opened_at)

    def _moment(self, until: int) -> _Moment:
        moment = self._start()
        for entry in self.entries:
            if entry.at <= until:
                moment = _after(moment, entry)
        return moment

    def _moment_after(self, entry: HistoryEntry) -> _Moment:
        moment = self._start()
        for each in self.entries:
            moment = _after(moment, each)
            if each.version == entry.version:
                break
        return moment

    def _table(self, moment: _Moment) -> tuple[Rung, ...]:
        return self.incident.plan.ladder.rungs[moment.severity - 1]

    def _on_ladder(self, moment: _Moment) -> list[str]:
        people = {person for rung in self._table(moment) for role in rung.roles for person in may_hold(role, self.rules)}
        return sorted(person for person in people if person in self.rules.people)

    def _climb_of(self, index: int, until: int) -> HistoryEntry | None:
        """Return the last decision up to an instant that paged a rung of the present clock."""
        found: HistoryEntry | None = None
        moment = self._start()
        for entry in self.entries:
            before, moment = moment, _after(moment, entry)
            if entry.at > until:
                break
            if moment.triggered_at != before.triggered_at or moment.severity != before.severity:
                found = None
            if index in _indices(entry):
                found = entry
        return found

    def _due_at(self, index: int, rung: Rung, moment: _Moment) -> int:
        """Return when a rung was or is due: exactly for the incident as it stands, else counted from its trigger."""
        exact = ladder.rung_due_at(self.incident, index) if moment == self._moment(self.now) else None
        return exact if exact is not None else max(moment.triggered_at + rung.after_ms, moment.opened_at + self.incident.plan.wait_ms)

    def _asked_at(self, index: int, rung: Rung, moment: _Moment, until: int) -> int:
        """Return the instant for which the question is who held a rung's roles: when it was paged, else when it is due."""
        climb = self._climb_of(index, until)
        return self._due_at(index, rung, moment) if climb is None else climb.at

    def _at(self, version: int) -> int | None:
        return next((entry.at for entry in self.entries if entry.version == version), None)

    def _rung_words(self, index: int, rung: Rung, moment: _Moment) -> str:
        after = "at once" if rung.after_ms == 0 else f"after {format_duration(rung.after_ms)}"
        return f"rung {index + 1} of severity {moment.severity} ({after}: {', '.join(rung.roles)})"

    def _rung_place(self, moment: _Moment) -> str:
        """Return the line of the rungs, if the rules in force still have the ladder that the incident opened with."""
        own = self.incident.plan.ladder
        if self.rules.ladders.get(own.name) != own:
            return ""
        return self.rules.places.of("ladders", own.name, "rungs", str(moment.severity))


def _after(moment: _Moment, entry: HistoryEntry) -> _Moment:
    """Return where the incident stood after an entry, as far as pages are concerned."""
    reason, inputs = str(entry.reason), entry.inputs
    if reason in _OPENED:
        severity = inputs.get("severity")
        moment = _Moment(severity=severity if isinstance(severity, int) else LOW, triggered_at=entry.at, opened_at=entry.at)
    elif reason in _REOPENED:
        kept = inputs.get("kept_by")
        moment = replace(_Moment(), severity=moment.severity, triggered_at=entry.at, opened_at=moment.opened_at)
        moment = replace(moment, holder=str(kept), held_by=entry.version) if kept else moment
    elif reason in (Reason.SEVERITY_RAISED, Reason.SEVERITY_LOWERED):
        moment = _with_severity(moment, entry)
    elif reason in (Reason.ACKNOWLEDGED, Reason.ACKNOWLEDGEMENT_EXTENDED):
        moment = replace(moment, holder=entry.actor, held_until=_instant(inputs.get("until")), held_by=entry.version)
        moment = replace(moment, snoozed_until=None, snoozed_by=0)
    elif reason in (Reason.ACKNOWLEDGEMENT_ENDED, Reason.PASSED_ON):
        moment = replace(moment, holder=None, held_until=None, held_by=0, snoozed_until=None, snoozed_by=0)
    elif reason == Reason.SNOOZED and moment.held_by:
        moment = replace(moment, held_until=_instant(inputs.get("until")), held_by=entry.version)
    elif reason == Reason.SNOOZED:
        moment = replace(moment, snoozed_until=_instant(inputs.get("until")), snoozed_by=entry.version)
    elif reason == Reason.SNOOZE_ENDED:
        moment = replace(moment, snoozed_until=None, snoozed_by=0)
    elif reason in _RESOLVED:
        moment = replace(moment, resolved_by=entry.version)
    elif reason == Reason.CLOSED:
        moment = replace(moment, closed_by=entry.version)
    if reason == Reason.ALL_CLEAR:
        moment = replace(moment, clear_by=entry.version)
    elif inputs.get("firing") and entry.event == "AlertsChanged":
        moment = replace(moment, clear_by=0)
    return moment


def _with_severity(moment: _Moment, entry: HistoryEntry) -> _Moment:
    level = entry.inputs.get("to")
    raised = str(entry.reason) == Reason.SEVERITY_RAISED
    moment = replace(moment, severity=level if isinstance(level, int) else moment.severity)
    return replace(moment, triggered_at=entry.at, snoozed_until=None, snoozed_by=0) if raised else moment


def _instant(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _texts(entry: HistoryEntry, name: str) -> tuple[str, ...]:
    found = entry.inputs.get(name, ())
    return tuple(str(each) for each in found) if isinstance(found, list | tuple) else ()


def _paged(entry: HistoryEntry) -> tuple[str, ...]:
    """Return whom a decision paged: by a rung or a reminder, by giving it to somebody, or to say that it is over."""
    given_to = str(entry.inputs.get("to", "")) if str(entry.reason) == Reason.ASSIGNED else ""
    return _texts(entry, "paged") or _texts(entry, "told") or ((given_to,) if given_to and given_to != entry.actor else ())


def _indices(entry: HistoryEntry) -> tuple[int, ...]:
    found = entry.inputs.get("rungs", ())
    return tuple(each for each in found if isinstance(each, int)) if isinstance(found, list | tuple) else ()


def _page_of(entry: HistoryEntry) -> str:
    return str(entry.inputs.get("page", ""))


def _person_of(page_id: str) -> str:
    """Return the person in `INC-42.1.kim.0`."""
    parts = page_id.split(".")
    return parts[2] if len(parts) == 4 else ""


def _filled(words: str, entry: HistoryEntry) -> str:
    """Put an entry's actor and inputs into words that name them."""
    for name, value in {"actor": entry.actor, **entry.inputs}.items():
        words = words.replace(f"{{{name}}}", str(value))
    return words
