"""Why somebody was paged about an incident, and why somebody was not: from its history, with the entries that say so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.policy.test_explain import HOUR, HOUSE, MINUTE, NIGHT, RULES, house, line
from tocsin.policy import events as ev
from tocsin.policy.explain import About
from tocsin.policy.incident import Decision
from tocsin.policy.model import Alert, AlertStatus, HistoryEntry, Incident, Page, PageKind, State
from tocsin.policy.roster import Absence, Roster
from tocsin.policy.rules import Rules
from tocsin.policy.simulator import Simulator, takes_all
from tocsin.policy.why import IncidentExplanation, explain_incident

Provider = Callable[[Page, Incident, int], ev.Event | None]


class Case:
    """One incident of severity 1 from 02:00 on, and its history as the store would have it."""

    def __init__(self, rules: Rules | None = None, *, severity: str = "critical", provider: Provider = takes_all) -> None:
        self.rules = rules or RULES
        self.entries: list[HistoryEntry] = []
        self.last: Incident | None = None
        self.world = Simulator(self.rules, NIGHT, provider=provider, observe=self._keep)
        self.report(severity)

    def report(self, severity: str, status: AlertStatus = AlertStatus.FIRING) -> None:
        labels = {"alertname": "Slow", "severity": severity}
        self.world.report([Alert(severity, "", status, labels, {}, NIGHT, NIGHT + 1_000 * HOUR)])

    def _keep(self, decision: Decision) -> None:
        self.last = decision.incident
        number, version = decision.incident.number, decision.incident.version
        entry = HistoryEntry(number, version, self.world.now, decision.actor, decision.event, str(decision.reason), dict(decision.inputs))
        self.entries.append(entry)

    def at(self, minutes: int, event: ev.Event | None = None) -> Case:
        self.world.advance(NIGHT + minutes * MINUTE)
        if event is not None:
            self.world.act(1, event)
        return self

    def clear(self, severity: str = "critical") -> Case:
        self.world.report(
            [Alert(severity, "", AlertStatus.RESOLVED, {"alertname": "Slow", "severity": severity}, {}, NIGHT, self.world.now)]
        )
        return self

    def why(self, person: str | None = None, minutes: int | None = None, rules: Rules | None = None) -> IncidentExplanation:
        assert self.last is not None
        when = None if minutes is None else NIGHT + minutes * MINUTE
        return explain_incident(self.last, self.entries, self.world.now, rules or self.rules, person=person, at=when)


def words(explanation: IncidentExplanation) -> str:
    return "\n".join([explanation.answer, *(f"{step.place} {step.said}" for step in explanation.steps)])


def test_who_held_the_first_role_was_paged_because_the_incident_opened() -> None:
    explanation = Case().at(10).why("kim")
    assert explanation.answer == "kim was paged about INC-1 at 2026-02-17 02:00 Asia/Seoul because the incident opened"
    assert f"house.yaml:{line('1: {0s')} rung 1 of severity 1 (at once: duty)" in words(explanation)
    assert f"house.yaml:{line('rotation')} kim has the turn in the schedule nights" in words(explanation)
    assert (explanation.quoted[0].version, explanation.quoted[0].reason) == (1, "opened")
    assert any(step.about is About.EVENT and "contact 1: the provider took it" in step.said for step in explanation.steps)


def test_a_later_rung_says_that_it_fell_due_and_nobody_had_answered() -> None:
    explanation = Case().at(45).why("lee")
    assert "because the rung fell due and nobody had answered" in explanation.answer
    assert "rung 2 of severity 1 (after 30m: engineer)" in words(explanation)
    assert "lee is named in engineer" in words(explanation)


def test_whose_rung_is_still_to_come_was_not_paged_because_it_is_due_later() -> None:
    explanation = Case().at(10).why("lee")
    assert explanation.answer.startswith(
        "lee was not paged about INC-1: rung 2 of severity 1 (after 30m: engineer) is due at 2026-02-17 02:30"
    )


def test_an_acknowledgement_is_why_the_next_was_not_paged_and_it_is_quoted() -> None:
    explanation = Case().at(10, ev.Acknowledged("kim")).at(35).why("lee")
    assert "was not paged: kim had acknowledged it, which held until 2026-02-17 02:40 Asia/Seoul" in explanation.answer
    assert [entry.reason for entry in explanation.quoted] == ["acknowledged"]


def test_when_the_acknowledgement_ended_the_next_was_paged_because_of_that() -> None:
    explanation = Case().at(10, ev.Acknowledged("kim")).at(45).why("lee")
    assert "because the acknowledgement of kim ended and the ladder went on" in explanation.answer


def test_a_contact_that_waited_when_it_was_acknowledged_was_withdrawn() -> None:
    explanation = Case().at(2, ev.Acknowledged("kim")).at(10).why("kim")
    assert "contact 2: withdrawn before it was sent: acknowledged by kim" in words(explanation)


def test_a_snooze_is_why_nobody_else_was_paged() -> None:
    explanation = Case().at(10, ev.Snoozed("kim", 2 * HOUR)).at(60).why("lee")
    assert "it was snoozed until 2026-02-17 04:10 Asia/Seoul" in explanation.answer


def test_clear_alerts_are_why_nobody_else_was_paged_and_a_resolve_likewise() -> None:
    case = Case().at(28).clear().at(31)
    assert "was not paged: all its alerts were clear" in case.why("lee").answer
    assert "was not paged: the incident was resolved" in case.at(60).why("lee").answer


def test_who_was_not_on_duty_is_told_who_was() -> None:
    explanation = Case().at(10).why("park")
    assert explanation.answer.startswith(
        "park was not paged about INC-1: duty was held by kim when rung 1 of severity 1 (at once: duty) was due"
    )
    assert "kim has the turn in the schedule nights" in words(explanation)


def test_who_was_away_is_told_so() -> None:
    roster = Roster(1, (), (Absence("ABS-1", "kim", NIGHT - HOUR, NIGHT + 5 * HOUR, "asleep"),))
    case = Case(house(roster=roster)).at(10)
    assert "kim would have the turn in nights and is away: away until 2026-02-17 07:00 Asia/Seoul (asleep)" in words(case.why("kim"))
    assert "park stands in in the schedule nights" in words(case.why("park"))


def test_who_holds_no_role_of_the_ladder_is_told_which_roles_it_has() -> None:
    rules = house(HOUSE.replace("  choi: ", "  jeong: {contacts: ['log:']}\n  choi: "))
    assert (
        Case(rules).at(10).why("jeong").answer.endswith("jeong holds no role of the ladder standard for severity 1 (duty, engineer, lead)")
    )
    assert "there is nobody called ghost in the rules" in Case(rules).at(10).why("ghost").answer


def test_a_person_without_a_contact_cannot_be_paged() -> None:
    rules = house(HOUSE.replace("choi: {contacts: ['log:']}", "choi: {}"))
    assert "choi has no contact and cannot be paged" in Case(rules).at(90).why("choi").answer


def test_quiet_time_says_until_when_the_page_was_held() -> None:
    explanation = Case(severity="warning").at(61).why("lee")
    assert "lee wants quiet then: held until 2026-02-17 07:00 Asia/Seoul" in words(explanation)
    assert "contact 1: waits until 2026-02-17 07:00 Asia/Seoul, held: quiet time" in words(explanation)


def test_a_contact_that_failed_is_why_the_next_contact_and_then_the_next_person_was_paged() -> None:
    def refuses_kim(page: Page, incident: Incident, now: int) -> ev.Event | None:
        return ev.PageRefused(page.id, "404 no such member") if page.person == "kim" else ev.PageSent(page.id)

    case = Case(provider=refuses_kim).at(1)
    assert "contact 1: the provider refused it: 404 no such member" in words(case.why("kim"))
    assert "because the page before reached nobody (page_refused), so the next was due at once" in case.why("lee").answer


def test_a_limit_that_held_a_page_is_told_with_its_reason() -> None:
    case = Case(severity="warning", provider=lambda page, _, now: ev.PageHeld(page.id, "this contact takes 5 in 15m", now + HOUR)).at(1)
    assert "contact 1: it was held: this contact takes 5 in 15m" in words(case.why("kim"))


def test_a_role_that_was_paged_before_a_raise_is_not_paged_again() -> None:
    case = Case(severity="warning").at(10)
    case.report("critical")
    explanation = case.at(15).why("kim", 10)
    assert "duty had been paged already when rung 1 of severity 1 (at once: duty) was due" in explanation.answer


def test_a_minute_asks_about_the_pages_of_that_minute_alone() -> None:
    case = Case().at(90)
    assert case.why(minutes=30).answer == "lee was paged about INC-1 at 2026-02-16 17:30 UTC"
    assert case.why(minutes=40).answer == "nobody was paged about INC-1 at 2026-02-16 17:40 UTC"
    early = case.why("lee", 10)
    assert early.answer.startswith("lee was not paged about INC-1 at 2026-02-17 02:10 Asia/Seoul: rung 2")
    assert "lee was paged at another time, 2026-02-17 02:30 Asia/Seoul" in words(early)


def test_without_a_person_everybody_on_the_ladder_is_told_of() -> None:
    explanation = Case().at(45).why()
    assert explanation.answer == "kim, lee were paged about INC-1"
    assert "rung 3 of severity 1 (after 1h: lead) is due at" in words(explanation)
    assert "duty was held by kim" in words(explanation)


def test_the_last_rung_again_and_reminders_say_what_they_are() -> None:
    assert "the ladder was exhausted, nobody had answered, and its last rung is paged again" in words(Case().at(85).why("choi"))
    assert "the acknowledgement was about to end" in words(Case().at(0, ev.Acknowledged("kim")).at(26).why("kim", 25))


def test_assigning_and_passing_on_name_who_did_it() -> None:
    assert "because kim assigned the incident" in Case().at(3, ev.Assigned("kim", "choi")).at(5).why("choi").answer
    assert "because kim passed it on" in Case().at(3, ev.PassedOn("kim")).at(5).why("lee").answer


def test_a_reopening_starts_the_ladder_and_the_account_of_it_again() -> None:
    case = Case().at(10).clear().at(20)
    case.report("critical")
    explanation = case.at(25).why("kim", 20)
    assert "because alerts fired again and reopened the incident" in explanation.answer
    assert "rung 2 of severity 1 (after 30m: engineer) is due at 2026-02-17 02:50 Asia/Seoul" in case.why("lee").answer


def test_rules_that_changed_since_are_named_and_their_lines_are_not_quoted() -> None:
    case = Case().at(45)
    newer = replace(house(HOUSE.replace("30m: engineer", "20m: engineer")), version=7)
    explanation = case.why("lee", rules=newer)
    assert "opened under version 0 of the rules and keeps that ladder; people and roles are those of version 7" in words(explanation)
    assert " rung 2 of severity 1 (after 30m: engineer)" in words(explanation), "the ladder it opened with, without a line"


def test_a_history_longer_than_what_was_read_still_gives_an_answer() -> None:
    case = Case().at(200)
    assert case.last is not None
    explanation = explain_incident(case.last, case.entries[-3:], case.world.now, case.rules, person="park")
    assert "duty was held by kim" in explanation.answer


def test_every_entry_that_is_named_is_quoted() -> None:
    explanation = Case().at(10, ev.Acknowledged("kim")).at(100).why()
    assert {step.entry for step in explanation.steps if step.entry is not None} == {entry.version for entry in explanation.quoted}


def test_no_question_about_an_incident_raises() -> None:
    case = Case().at(5, ev.Acknowledged("a program")).at(20, ev.Resolved("kim")).at(30, ev.Reopened("lee")).at(40, ev.SeveritySet("kim", 4))
    case.at(50, ev.SeveritySet("kim", 2)).at(60, ev.Noted("kim", "{why} {actor}")).clear().at(9_000)
    for person in (None, "kim", "park", "lee", "choi", "ghost"):
        for minutes in (None, -10, 0, 5, 20, 30, 50, 55, 8_000):
            assert case.why(person, minutes).answer


def test_word_that_it_is_over_is_explained_as_that() -> None:
    case = Case().at(10, ev.Resolved("park")).at(12)
    assert "because the incident was resolved, and whoever had been paged is told so" in case.why("kim", 10).answer


ACTIONS = st.sampled_from(
    [
        ev.Acknowledged("kim"),
        ev.Acknowledged("lee", 20 * MINUTE),
        ev.Snoozed("kim", 40 * MINUTE),
        ev.PassedOn("kim"),
        ev.Assigned("kim", "choi"),
        ev.SeveritySet("kim", 1),
        ev.SeveritySet("kim", 2),
        ev.SeveritySet("kim", 4),
        ev.Resolved("kim"),
        ev.Reopened("lee"),
        None,
    ]
)


@given(
    severity=st.sampled_from(["critical", "warning", "odd"]),
    story=st.lists(st.tuples(st.integers(1, 90), ACTIONS), max_size=8),
    refused=st.sampled_from(["", "kim", "lee"]),
)
def test_whatever_went_out_is_explained_and_what_did_not_is_not_claimed(
    severity: str, story: list[tuple[int, ev.Event | None]], refused: str
) -> None:
    def provider(page: Page, incident: Incident, now: int) -> ev.Event:
        return ev.PageRefused(page.id, "no") if page.person == refused else ev.PageSent(page.id)

    case = Case(severity=severity, provider=provider)
    minute = 0
    for after, action in story:
        minute += after
        case.at(minute)
        if case.world.incidents and case.world.incidents[1].state is not State.CLOSED:
            case.at(minute, action)
    case.at(minute + 30)
    heard = {(page.at, page.page.person) for page in case.world.handed if page.page.kind is not PageKind.UPDATE}
    for when, person in heard:
        explanation = case.why(person, (when - NIGHT) // MINUTE)
        assert explanation.answer.startswith(f"{person} was paged"), explanation.answer
    for person in ("kim", "park", "lee", "choi"):
        answer = case.why(person).answer
        touched = any(each[1] == person for each in heard) or person == refused
        assert touched or answer.startswith(f"{person} was not paged") or "quiet" in words(case.why(person)), answer
