"""What happens to an incident, told as stories: who hears of it, when, and what stops it."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from tests.policy.world import (
    CSE,
    DUTY,
    HOUR,
    LADDER,
    LEAD,
    MANAGER,
    MINUTE,
    NIGHT,
    PLAN,
    QUIET,
    SECOND,
    STANDARD,
    Story,
    firing,
    make_rules,
)
from tocsin.policy import events as ev
from tocsin.policy.incident import TRANSITIONS, Reason, decide, open_incident
from tocsin.policy.model import PageKind, PageStatus, Rung, State

UNTIL_RESOLVED = replace(LADDER, until="resolved")
EVENTS = get_args(ev.Event)


# --- the table ---


def test_every_state_and_event_has_a_decision() -> None:
    assert set(TRANSITIONS) == {(state, event) for state in State for event in EVENTS}


def in_state(state: State) -> Story:
    story = Story()
    story.opens()
    story.after(MINUTE)
    if state is State.ACKNOWLEDGED:
        story.happens(ev.Acknowledged("kim"))
    if state in (State.RESOLVED, State.CLOSED):
        story.happens(ev.Resolved("kim"))
    if state is State.CLOSED:
        story.after(6 * 24 * HOUR)
    assert story.state() is state
    return story


PERSONAL: dict[type[ev.Event], ev.Event] = {
    ev.Acknowledged: ev.Acknowledged("kim"),
    ev.Resolved: ev.Resolved("kim"),
    ev.Reopened: ev.Reopened("kim"),
    ev.Snoozed: ev.Snoozed("kim", HOUR),
    ev.Assigned: ev.Assigned("kim", "lee"),
    ev.PassedOn: ev.PassedOn("kim"),
    ev.Noted: ev.Noted("kim", "looking"),
    ev.SeveritySet: ev.SeveritySet("kim", 3),
}
REFUSED = {
    State.OPEN: set[type[ev.Event]](),
    State.ACKNOWLEDGED: set[type[ev.Event]](),
    State.RESOLVED: {ev.Acknowledged, ev.Snoozed, ev.Assigned, ev.PassedOn, ev.SeveritySet},
    State.CLOSED: {ev.Acknowledged, ev.Resolved, ev.Reopened, ev.Snoozed, ev.Assigned, ev.PassedOn, ev.SeveritySet},
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", PERSONAL.values(), ids=lambda event: type(event).__name__)
def test_a_person_is_refused_exactly_what_the_state_does_not_allow(state: State, event: ev.Event) -> None:
    decision = in_state(state).happens(event)
    assert decision.refused == (type(event) in REFUSED[state])
    assert not (decision.refused and decision.changed)
    assert not decision.refused or decision.inputs["state"] is state


LATE_NEWS = (
    ev.AlertsChanged(firing(1), 0, {}, joined=1),
    ev.TimerDue(),
    ev.PageSent("INC-1.0.kim.0"),
    ev.PageRefused("INC-1.0.kim.0", "gone"),
    ev.PageUnreachable("INC-1.0.kim.0", "503", ambiguous=True),
    ev.PageHeld("INC-1.0.kim.0", "limit", NIGHT),
    ev.PageDelivered("INC-1.0.kim.0"),
    ev.PageUndelivered("INC-1.0.kim.0", "handset off"),
)


@pytest.mark.parametrize("event", LATE_NEWS, ids=lambda event: type(event).__name__)
def test_a_closed_incident_ignores_late_news(event: ev.Event) -> None:
    story = in_state(State.CLOSED)
    decision = story.happens(event)
    assert decision.reason is Reason.IGNORED
    assert not decision.changed


@pytest.mark.parametrize("state", State)
def test_a_timer_that_is_not_due_changes_nothing(state: State) -> None:
    story = in_state(state)
    assert story.happens(ev.TimerDue()).reason is Reason.IGNORED


def test_an_unknown_page_changes_nothing() -> None:
    story = in_state(State.OPEN)
    for event in (ev.PageSent("INC-1.9.x.0"), ev.PageRefused("INC-1.9.x.0", ""), ev.PageUnreachable("INC-1.9.x.0", "", ambiguous=False)):
        assert story.happens(event).reason is Reason.IGNORED


def test_time_never_runs_backwards_for_an_incident() -> None:
    story = in_state(State.OPEN)
    decision = decide(story.incident, ev.Noted("kim", "from a slow clock"), NIGHT - HOUR, story.rules)
    assert decision.incident.changed_at == story.incident.changed_at


# --- acknowledging ---


def test_acknowledging_withdraws_what_was_not_sent(story: Story) -> None:
    story.opens()
    decision = story.happens(ev.Acknowledged("lee", note="on it"))
    assert decision.inputs["note"] == "on it"
    assert story.outbox == {}
    assert story.incident.assignee == "lee"


def test_acknowledging_twice_is_the_same_answer_again(story: Story) -> None:
    story.opens()
    story.happens(ev.Acknowledged("kim"))
    for again in (ev.Acknowledged("kim"), ev.Acknowledged("lee"), ev.Acknowledged("lee", for_ms=HOUR), ev.Acknowledged("kim", 30 * MINUTE)):
        assert story.happens(again).reason is Reason.ALREADY_SO
    assert story.incident.acknowledged_by == "kim"


def test_the_holder_moves_the_end_and_near_it_anybody_does(story: Story) -> None:
    story.opens()
    story.happens(ev.Acknowledged("kim"))
    assert story.happens(ev.Acknowledged("kim", 2 * HOUR)).reason is Reason.ACKNOWLEDGEMENT_EXTENDED
    assert story.incident.acknowledged_until == NIGHT + 2 * HOUR
    story.after(HOUR + 56 * MINUTE)
    assert story.happens(ev.Acknowledged("lee")).reason is Reason.ACKNOWLEDGEMENT_EXTENDED
    assert story.incident.acknowledged_by == "lee"
    assert story.incident.acknowledged_until == story.now + 30 * MINUTE


def test_the_holder_is_reminded_before_the_end_and_then_the_ladder_goes_on(story: Story) -> None:
    story.opens(1)
    story.after(MINUTE)
    story.happens(ev.Acknowledged("kim"))
    story.after(24 * MINUTE)
    assert story.people_told(PageKind.REMINDER) == []
    story.after(6 * MINUTE)
    assert story.people_told(PageKind.REMINDER) == [(26, "kim")]
    assert Reason.ACKNOWLEDGEMENT_ENDED in story.reasons
    # One rung (30 min) was overdue at the end (31 min): at once. The others keep their time.
    story.until(NIGHT + 3 * HOUR)
    assert story.people_told() == [(0, "kim"), (31, "lee"), (60, "choi"), (120, "jeong"), (150, "jeong"), (180, "jeong")]


def test_rungs_that_fell_due_while_it_was_held_come_one_by_one_with_their_own_distances(story: Story) -> None:
    story.opens(1)
    story.after(0)
    story.happens(ev.Acknowledged("kim", 3 * HOUR))
    story.until(NIGHT + 5 * HOUR)
    assert story.people_told() == [(0, "kim"), (180, "lee"), (210, "choi"), (270, "jeong"), (300, "jeong")]


def test_a_short_acknowledgement_is_not_followed_by_a_reminder_at_once(story: Story) -> None:
    story.opens()
    story.happens(ev.Acknowledged("kim", 4 * MINUTE))
    story.after(10 * MINUTE)
    assert story.people_told(PageKind.REMINDER) == []
    assert story.state() is State.OPEN


def test_a_reminder_that_comes_after_the_end_is_not_sent(story: Story) -> None:
    story.opens()
    story.after(0)
    story.happens(ev.Acknowledged("kim"))
    story.sleep(HOUR)
    assert story.people_told(PageKind.REMINDER) == []
    assert story.people_told()[-2:] == [(60, "lee"), (60, "choi")]


def test_after_a_pause_of_ours_everybody_overdue_is_paged_at_once_and_each_once() -> None:
    story = Story(make_rules(holders={CSE: ("lee",), LEAD: ("lee",)}))
    story.opens(1)
    story.sleep(3 * HOUR)
    assert story.people_told() == [(180, "kim"), (180, "lee"), (180, "jeong")]
    [lee] = [p for p in story.incident.pages if p.person == "lee"]
    assert (lee.rung, lee.role, lee.rung_due_at) == (2, LEAD, NIGHT + HOUR)


def test_the_end_of_an_acknowledgement_after_a_lowered_severity_pages_the_next_who_has_not_heard(story: Story) -> None:
    story.opens(1)
    story.after(0)
    story.happens(ev.Acknowledged("kim", 3 * HOUR))
    story.happens(ev.SeveritySet("kim", 2))
    story.after(3 * HOUR)
    assert story.people_told() == [(0, "kim"), (180, "lee")], (
        "kim's rung is overdue too, but kim has heard: it is not where the ladder stands"
    )
    story.after(2 * HOUR)
    assert story.people_told() == [(0, "kim"), (180, "lee"), (240, "choi")]


# --- snoozing ---


def test_a_snooze_is_quiet_and_ends(story: Story) -> None:
    story.opens(1)
    story.after(0)
    story.happens(ev.Snoozed("kim", 90 * MINUTE))
    story.until(NIGHT + 3 * HOUR)
    assert story.people_told() == [(0, "kim"), (90, "lee"), (120, "choi"), (180, "jeong")]
    assert Reason.SNOOZE_ENDED in story.reasons


def test_a_snoozed_incident_that_clears_and_fires_again_stays_quiet(story: Story) -> None:
    story.opens(1)
    story.after(0)
    story.happens(ev.Snoozed("kim", 4 * HOUR))
    story.until(NIGHT + 29 * MINUTE).clears()
    story.until(NIGHT + 31 * MINUTE).fires_again()
    story.until(NIGHT + 4 * HOUR - 1)
    assert story.people_told() == [(0, "kim")]
    story.until(NIGHT + 4 * HOUR)
    assert story.people_told() == [(0, "kim"), (240, "lee")]


def test_snoozing_what_somebody_holds_moves_the_end_of_the_hold(story: Story) -> None:
    story.opens(1)
    story.happens(ev.Acknowledged("kim"))
    story.happens(ev.Snoozed("kim", 3 * HOUR))
    story.until(NIGHT + 3 * HOUR - 1)
    assert story.people_told() == []
    assert story.state() is State.ACKNOWLEDGED
    story.after(1)
    assert story.people_told() == [(180, "lee")]


def test_a_raise_ends_a_snooze_and_begins_at_the_foot_of_the_ladder_for_whoever_snoozed_relied_on_quiet(story: Story) -> None:
    story.opens(3)
    story.after(MINUTE)
    story.happens(ev.Snoozed("lee", 8 * HOUR))
    story.alerts(firing(1), joined=1)
    story.after(30 * MINUTE)
    assert story.people_told() == [(0, "kim"), (1, "kim"), (31, "lee")]


def test_lowering_does_not_end_a_snooze(story: Story) -> None:
    story.opens(1)
    story.after(0)
    story.happens(ev.Snoozed("kim", 8 * HOUR))
    story.happens(ev.SeveritySet("kim", 2))
    story.until(NIGHT + 8 * HOUR - 1)
    assert story.people_told() == [(0, "kim")]
    story.after(1)
    assert story.people_told() == [(0, "kim"), (480, "lee")]


# --- severity ---


def test_a_raise_starts_the_new_clock_and_does_not_page_again_who_has_heard(story: Story) -> None:
    story.opens(3)
    story.until(NIGHT + 10 * MINUTE)
    assert story.alerts(firing(1), joined=1).reason is Reason.SEVERITY_RAISED
    story.until(NIGHT + 130 * MINUTE)
    assert story.people_told() == [(0, "kim"), (40, "lee"), (70, "choi"), (130, "jeong")]
    assert Reason.RUNG_SKIPPED not in story.reasons


def test_a_rung_whose_people_have_heard_is_skipped_with_a_record(story: Story) -> None:
    story.opens(2)
    story.until(NIGHT + HOUR)
    story.alerts(firing(1), joined=1)
    story.until(NIGHT + 90 * MINUTE)
    assert story.people_told() == [(0, "kim"), (60, "lee")]
    assert story.reasons[-1] is Reason.RUNG_SKIPPED
    assert story.decisions[-1].inputs["already_paged"] == (CSE,)


def test_severity_4_raised_to_1_pages_from_the_foot(story: Story) -> None:
    story.opens(4)
    story.after(HOUR)
    story.alerts(firing(1), joined=1)
    story.after(30 * MINUTE)
    assert story.people_told() == [(60, "kim"), (90, "lee")]


def test_a_lowered_severity_counts_from_the_opening_and_unpages_nobody(story: Story) -> None:
    story.opens(1)
    story.until(NIGHT + 31 * MINUTE)
    assert story.alerts(firing(2), cleared=1).reason is Reason.SEVERITY_LOWERED
    story.until(NIGHT + 4 * HOUR)
    assert story.people_told() == [(0, "kim"), (30, "lee"), (120, "choi"), (240, "jeong")]


def test_a_lowered_severity_of_a_reopened_incident_counts_from_the_reopening(story: Story) -> None:
    story.opens(1)
    story.after(MINUTE).clears()
    story.after(40 * MINUTE)
    assert story.state() is State.RESOLVED
    story.fires_again()
    again = story.now
    story.after(MINUTE)
    told = len(story.people_told())
    story.happens(ev.SeveritySet("lee", 2))
    story.until(again + HOUR - 1)
    assert len(story.people_told()) == told, "or lee and choi would be woken by a lowered severity"
    story.after(1)
    assert story.people_told()[told:] == [(101, "lee")]


def test_a_pinned_severity_falls_for_no_alert_and_rises_only_for_one_that_fires_anew(story: Story) -> None:
    story.opens(1)
    story.happens(ev.SeveritySet("kim", 3, why="only the test host"))
    story.alerts(firing(1), cleared=1)
    assert story.incident.severity == 3, "an alert that clears does not raise it"
    story.alerts(firing(1, 2), joined=1)
    assert story.incident.severity == 1
    story.alerts(firing(3), cleared=1)
    assert story.incident.severity == 1


def test_a_raise_pages_the_holder_at_once_and_shortens_the_hold(story: Story) -> None:
    story.opens(3)
    story.after(MINUTE)
    story.happens(ev.Acknowledged("lee"))
    story.after(MINUTE)
    story.alerts(firing(1), joined=1)
    story.after(0)
    assert story.people_told()[-1] == (2, "lee")
    assert story.incident.acknowledged_until == NIGHT + 32 * MINUTE


@pytest.mark.parametrize("holder", ["token-of-a-program", "ghost"])
def test_a_raise_under_a_holder_who_cannot_be_paged_goes_to_the_ladder_at_once(story: Story, holder: str) -> None:
    story.opens(4)
    story.happens(ev.Acknowledged(holder, 8 * HOUR))
    story.after(MINUTE)
    story.alerts(firing(1), joined=1)
    story.after(0)
    assert story.people_told() == [(1, "kim")]


def test_alerts_that_join_what_somebody_holds_page_nobody(story: Story) -> None:
    story.opens(1)
    story.happens(ev.Acknowledged("kim"))
    assert story.alerts(firing(1, 3), joined=2).reason is Reason.ALERTS_JOINED
    story.after(20 * MINUTE)
    assert story.told == []
    assert story.incident.firing == 3


def test_setting_the_severity_it_has_changes_nothing(story: Story) -> None:
    story.opens(2)
    assert story.happens(ev.SeveritySet("kim", 2)).reason is Reason.ALREADY_SO


def test_setting_the_severity_of_what_is_clear_pages_nobody_until_it_fires_again(story: Story) -> None:
    story.opens(3)
    story.after(MINUTE).clears()
    story.happens(ev.SeveritySet("kim", 1))
    story.after(2 * MINUTE)
    assert story.people_told() == [(0, "kim")]


# --- nobody there ---


def test_a_rung_that_resolves_to_nobody_makes_the_next_one_due_at_once() -> None:
    story = Story(make_rules(holders={DUTY: (), CSE: ("ghost",)}))
    decision = story.opens(1)
    assert decision.inputs["nobody_in"] == (DUTY, CSE)
    story.after(0)
    assert story.people_told() == [(0, "choi")]
    story.until(NIGHT + 2 * HOUR)
    assert story.people_told() == [(0, "choi"), (120, "jeong")]


def test_a_ladder_that_reaches_nobody_pages_the_last_resort_again_and_again() -> None:
    ladder = replace(LADDER, last_resort=("watch",))
    story = Story(make_rules(ladder=ladder, holders={DUTY: (), CSE: (), LEAD: (), MANAGER: (), "watch": ("kim",)}))
    assert story.opens(3).inputs["last_resort"] is True
    story.after(HOUR)
    assert story.people_told() == [(0, "kim"), (30, "kim"), (60, "kim")]


def test_when_the_last_resort_is_nobody_the_emergency_contacts_are_paged() -> None:
    nobody = dict.fromkeys((DUTY, CSE, LEAD, MANAGER), ())
    story = Story(make_rules(holders=nobody, emergency=("log:", "mailto:ops@example.com")))
    story.opens(1)
    story.after(30 * MINUTE)
    assert story.people_told() == [(0, "emergency"), (0, "emergency"), (30, "emergency"), (30, "emergency")]


def test_an_incident_that_can_page_nobody_at_all_goes_on_asking() -> None:
    story = Story(make_rules(holders=dict.fromkeys((DUTY, CSE, LEAD, MANAGER), ()), emergency=()))
    story.opens(1)
    story.after(HOUR)
    assert story.reasons.count(Reason.NOBODY_TO_PAGE) == 2
    assert story.incident.due_at == NIGHT + 90 * MINUTE


def test_the_emergency_contacts_are_left_alone_while_the_last_rung_has_somebody() -> None:
    story = Story(make_rules(ladder=replace(LADDER, last_resort=())))
    story.opens(1)
    story.after(6 * HOUR)
    assert {person for _, person in story.people_told()} == {"kim", "lee", "choi", "jeong"}


def test_a_severity_without_rungs_pages_nobody_as_the_rules_file_warns() -> None:
    story = Story(make_rules(ladder=replace(LADDER, rungs=(STANDARD[0], STANDARD[1], (), ()))))
    story.opens(3)
    story.after(24 * HOUR)
    assert story.told == []
    story.alerts(firing(1), joined=1)
    story.after(0)
    assert [t.person for t in story.told] == ["kim"]


def test_a_role_that_nobody_held_at_the_opening_is_paged_after_a_raise() -> None:
    story = Story(make_rules(holders={DUTY: ()}))
    story.opens(3)
    story.after(MINUTE)
    story.rules = make_rules()
    story.alerts(firing(1), joined=1)
    story.after(0)
    assert story.people_told() == [(0, "lee"), (1, "kim")]


# --- until resolved ---


def test_a_ladder_until_resolved_goes_on_while_it_is_acknowledged() -> None:
    story = Story(make_rules(ladder=UNTIL_RESOLVED))
    story.opens(1)
    story.after(MINUTE)
    story.happens(ev.Acknowledged("kim", 5 * HOUR))
    story.until(NIGHT + 2 * HOUR)
    assert story.people_told() == [(0, "kim"), (30, "lee"), (60, "choi"), (120, "jeong")]
    story.happens(ev.Resolved("kim"))
    told = len(story.told)
    story.after(HOUR)
    assert {t.kind for t in story.told[told:]} == {PageKind.RESOLVED}


def test_an_acknowledgement_leaves_the_rungs_of_a_ladder_until_resolved_to_people_who_have_not_heard() -> None:
    story = Story(make_rules(ladder=UNTIL_RESOLVED), down={"lee"})
    story.opens(1)
    story.after(31 * MINUTE)
    story.happens(ev.Acknowledged("kim"))
    story.down.clear()
    story.after(0)
    assert story.people_told() == [(0, "kim"), (31, "lee")]


def test_the_end_of_an_acknowledgement_withdraws_no_page_that_somebody_still_needs() -> None:
    story = Story(make_rules(ladder=UNTIL_RESOLVED), down={"lee"})
    story.opens(1)
    story.after(0)
    story.happens(ev.Acknowledged("kim", 40 * MINUTE))
    story.after(41 * MINUTE)
    assert story.state() is State.OPEN
    story.down.clear()
    story.after(0)
    assert story.people_told() == [(0, "kim"), (41, "lee")]


def test_a_snooze_holds_a_ladder_until_resolved_too() -> None:
    story = Story(make_rules(ladder=UNTIL_RESOLVED))
    story.opens(1)
    story.after(0)
    story.happens(ev.Acknowledged("kim"))
    story.happens(ev.Snoozed("kim", 90 * MINUTE))
    story.until(NIGHT + 90 * MINUTE - 1)
    assert story.people_told() == [(0, "kim")]
    story.until(NIGHT + 2 * HOUR)
    assert story.people_told() == [(0, "kim"), (90, "lee"), (120, "choi")]


def test_a_raise_while_a_ladder_until_resolved_is_held_climbs_the_new_table() -> None:
    story = Story(make_rules(ladder=UNTIL_RESOLVED))
    story.opens(3)
    story.after(0)
    story.happens(ev.Acknowledged("kim"))
    story.alerts(firing(1), joined=1)
    story.after(30 * MINUTE)
    assert story.people_told() == [(0, "kim"), (0, "kim"), (30, "lee")]


# --- the rest of what people do ---


def test_an_assignment_pages_who_is_to_have_it(story: Story) -> None:
    story.opens(1)
    story.after(0)
    assert story.happens(ev.Assigned("kim", "choi")).reason is Reason.ASSIGNED
    assert story.happens(ev.Assigned("lee", "choi")).reason is Reason.ALREADY_SO
    story.after(0)
    assert story.people_told() == [(0, "kim"), (0, "choi")]


def test_assigning_to_oneself_or_to_a_stranger_pages_nobody(story: Story) -> None:
    story.opens(4)
    story.happens(ev.Assigned("kim", "kim"))
    story.happens(ev.Assigned("kim", "a contractor"))
    story.after(0)
    assert story.told == []


def test_who_takes_over_what_another_holds_is_reminded_of_it(story: Story) -> None:
    story.opens(1)
    story.happens(ev.Acknowledged("kim"))
    story.happens(ev.Assigned("lee", "lee"))
    assert story.incident.acknowledged_by == "lee"
    story.after(25 * MINUTE)
    assert story.people_told(PageKind.REMINDER) == [(25, "lee")]


def test_a_note_is_kept_in_the_history_even_after_the_end() -> None:
    story = in_state(State.CLOSED)
    decision = story.happens(ev.Noted("kim", "it was the disk", public=True))
    assert decision.changed
    assert story.replayed() == story.incident


def test_an_incident_opened_by_hand_climbs_like_any_other_and_never_clears_by_itself(story: Story) -> None:
    assert story.opens_by_hand(2).reason is Reason.OPENED_BY_PERSON
    story.until(NIGHT + 2 * HOUR)
    assert story.people_told() == [(0, "kim"), (60, "lee"), (120, "choi")]


def test_a_test_page_goes_to_one_contact_of_one_person_and_ends_by_itself() -> None:
    rules = make_rules()
    story = Story(rules)
    story.keeps(open_incident(ev.TestRequested(1, "test:1", "web", "a test", "park", 1, "park"), NIGHT, rules))
    story.after(10 * MINUTE)
    assert [(t.person, t.kind) for t in story.told] == [("park", PageKind.TEST)]
    assert story.state() is State.RESOLVED
    assert story.reasons[0] is Reason.TEST_REQUESTED


def test_those_who_were_paged_are_told_that_it_is_over_but_not_who_ended_it(story: Story) -> None:
    story.opens(1)
    story.until(NIGHT + HOUR)
    story.happens(ev.Resolved("lee", note="rebooted"))
    story.after(0)
    assert story.people_told(PageKind.RESOLVED) == [(60, "kim"), (60, "choi")]


def test_a_page_that_went_out_while_it_was_resolved_is_followed_by_the_all_clear(story: Story) -> None:
    story.opens(1)
    [page] = story.pending()
    story.happens(ev.Resolved("lee"))
    story.after(SECOND)
    story.happens(ev.PageSent(page.id))
    story.after(0)
    assert story.people_told(PageKind.RESOLVED) == [(1 / 60, "kim")]


def test_a_resolved_incident_closes_in_time_and_then_waits_for_nothing() -> None:
    story = in_state(State.CLOSED)
    assert story.incident.closed_at == NIGHT + MINUTE + PLAN.close_after_ms
    assert story.reasons[-1] is Reason.CLOSED


def test_waiting_lets_an_alert_clear_by_itself_before_anybody_is_paged() -> None:
    rules = make_rules(plan=replace(PLAN, wait_ms=3 * MINUTE))
    story = Story(rules)
    story.opens(1)
    story.after(2 * MINUTE).clears()
    story.after(HOUR)
    assert story.told == []
    assert story.state() is State.RESOLVED
    other = Story(rules)
    other.opens(1)
    other.after(HOUR)
    assert other.people_told() == [(3, "kim"), (30, "lee"), (60, "choi")]


def test_a_ladder_whose_first_rung_comes_later_waits_for_it() -> None:
    late = (Rung(10 * MINUTE, (DUTY,)),)
    story = Story(make_rules(ladder=replace(LADDER, rungs=(late, late, late, ()))))
    story.opens(2)
    story.after(HOUR)
    assert story.people_told() == [(10, "kim"), (40, "jeong"), (40, "kim")]


# --- the record ---


def test_the_history_of_a_long_night_adds_up_to_the_present(story: Story) -> None:
    story.opens(3)
    story.after(10 * MINUTE)
    story.happens(ev.Acknowledged("kim"))
    story.alerts(firing(1, 2), joined=1)
    story.after(2 * HOUR).clears()
    story.after(HOUR)
    story.fires_again()
    story.after(HOUR)
    story.happens(ev.Assigned("kim", "lee"))
    story.happens(ev.Resolved("lee"))
    story.after(6 * 24 * HOUR)
    assert story.state() is State.CLOSED
    assert story.replayed() == story.incident
    assert [d.incident.version for d in story.decisions] == list(range(1, len(story.decisions) + 1))
    assert all(p.status is not PageStatus.PENDING for p in story.incident.pages)


def test_an_empty_change_of_alerts_is_not_a_change_of_severity(story: Story) -> None:
    story.opens(2)
    assert story.alerts(firing(2), resolved=1).reason is Reason.ALERTS_CLEARED
    assert story.alerts(QUIET, resolved=1, cleared=1).reason is Reason.ALL_CLEAR
    assert story.alerts(QUIET, resolved=2, cleared=1).reason is Reason.ALERTS_CLEARED


def everything_that_happens() -> set[Reason]:
    """Return the reasons of one night in which everything happens."""
    seen: set[Reason] = set()
    story = Story(make_rules(holders={CSE: ()}))
    story.opens(3)
    story.after(0)
    seen |= {
        story.happens(event).reason
        for event in (
            ev.Reopened("kim"),
            ev.Noted("kim", "hm"),
            ev.Assigned("lee", "kim"),
            ev.TimerDue(),
            ev.Snoozed("kim", MINUTE),
        )
    }
    story.after(MINUTE)
    story.alerts(firing(3, 2), joined=1)
    story.alerts(firing(3), cleared=1)
    story.happens(ev.Acknowledged("kim"))
    story.happens(ev.Acknowledged("kim", HOUR))
    story.alerts(firing(1, 2), joined=1)
    story.alerts(firing(3), cleared=1)
    story.after(24 * HOUR)
    story.happens(ev.SeveritySet("lee", 1))
    story.after(HOUR)
    story.down.add("jeong")
    story.after(HOUR)
    for _ in range(3):
        page = story.pending("jeong")[-1]
        story.now = max(story.now, page.due_at)
        story.happens(ev.PageUnreachable(page.id, "time-out", ambiguous=True))
    story.clears()
    story.after(MINUTE)
    story.fires_again(1)
    story.after(MINUTE)
    story.clears()
    story.after(HOUR)
    seen.add(story.happens(ev.Acknowledged("kim")).reason)
    story.fires_again(1)
    story.happens(ev.Resolved("kim"))
    story.happens(ev.Reopened("kim"))
    story.happens(ev.Resolved("kim"))
    story.after(6 * 24 * HOUR)
    seen |= set(story.reasons)
    nobody = Story(make_rules(holders=dict.fromkeys((DUTY, CSE, LEAD, MANAGER), ()), emergency=()))
    nobody.opens_by_hand(1)
    nobody.after(30 * MINUTE)
    heard = Story()
    heard.opens(2)
    heard.until(NIGHT + HOUR)
    heard.alerts(firing(1), joined=1)
    heard.after(30 * MINUTE)
    rules = make_rules(contacts={"kim": (0, MINUTE)})
    refused = Story(rules)
    refused.opens(1)
    first, second = refused.pending("kim")
    refused.happens(ev.PageUnreachable(first.id, "503", ambiguous=False))
    for _ in range(3):
        refused.happens(ev.PageUnreachable(first.id, "time-out", ambiguous=True))
    refused.happens(ev.PageRefused(second.id, "gone"))
    also = Story(rules)
    also.opens(1)
    also.happens(ev.PageRefused(also.pending("kim")[0].id, "gone"))
    test = open_incident(ev.TestRequested(1, "test:1", "web", "a test", "park", 1, "park"), NIGHT, rules)
    nights = (nobody, heard, refused, also, what_receipts_do())
    return seen.union({test.reason}, *(night.reasons for night in nights))


def what_receipts_do() -> Story:
    """Return a drill in which pages are held, arrive, get lost, are never heard of and are passed on, and which nobody ends."""
    rules = make_rules(contacts={"kim": (0, 0), "lee": (0, 5 * MINUTE)})
    story = Story(rules)
    story.keeps(open_incident(ev.DrillRequested(1, "drill:1", "web", "fire", 1, "lee"), NIGHT, rules))
    first, second = story.pending("kim")
    story.happens(ev.PageHeld(first.id, "limit", NIGHT + SECOND))
    for page in (first, second):
        story.happens(ev.PageSent(page.id, receipt_within_ms=MINUTE))
    story.happens(ev.PageUndelivered(first.id, "handset off"))
    story.happens(ev.PageDelivered(second.id))
    story.happens(ev.PassedOn("kim"))
    page = story.pending("lee")[0]
    story.happens(ev.PageSent(page.id, receipt_within_ms=MINUTE))
    story.down.add("choi")
    story.after(30 * MINUTE)
    story.happens(ev.Acknowledged("choi"))
    story.after(24 * HOUR)
    told = ev.PersonTold(1, "notice:1", "web", "your duty", ("kim",), PageKind.HANDOVER, "Your duty begins", "tocsin")
    other = Story(rules)
    story.decisions.insert(0, other.keeps(open_incident(told, NIGHT, rules)))
    return story


def test_every_reason_is_reached() -> None:
    missing = set(Reason) - everything_that_happens()
    assert not missing, f"no test gives the reason {', '.join(sorted(missing))}"
