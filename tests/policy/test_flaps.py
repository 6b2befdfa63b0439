"""Alerts that go and come back: when it is over, when it begins again, and who is woken by it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.policy.world import DUTY, HOUR, MINUTE, NIGHT, PLAN, QUIET, Story, firing, make_rules
from tocsin.policy import events as ev
from tocsin.policy.incident import Reason
from tocsin.policy.model import PageKind, PageStatus, State


def over(story: Story) -> Story:
    """Open at severity 1, page, clear after a minute, resolve."""
    story.opens(1)
    story.after(MINUTE).clears()
    story.after(5 * MINUTE)
    assert story.reasons[-2:] == [Reason.RESOLVED_BY_ALERTS, Reason.PAGE_SENT]
    return story


def test_it_is_resolved_when_everything_has_been_clear_long_enough_and_not_before(story: Story) -> None:
    story.opens(1)
    story.after(MINUTE).clears()
    story.after(5 * MINUTE - 1)
    assert story.state() is State.OPEN
    story.after(1)
    assert story.state() is State.RESOLVED
    assert story.people_told(PageKind.RESOLVED) == [(6, "kim")]


def test_while_everything_is_clear_the_ladder_waits(story: Story) -> None:
    story.opens(1)
    story.until(NIGHT + 29 * MINUTE).clears()
    story.until(NIGHT + 33 * MINUTE)
    assert story.people_told() == [(0, "kim")]
    story.fires_again()
    story.after(0)
    assert story.people_told() == [(0, "kim"), (33, "lee")]
    assert Reason.FIRED_AGAIN in story.reasons


def test_a_blip_neither_resolves_nor_pages_again(story: Story) -> None:
    story.opens(1)
    for _ in range(5):
        story.after(MINUTE).clears()
        story.after(MINUTE).fires_again()
    assert story.people_told() == [(0, "kim")]
    assert story.incident.flaps == 5


def test_an_acknowledged_incident_resolves_and_keeps_its_owner_when_it_comes_back(story: Story) -> None:
    story.opens(1)
    story.after(0)
    story.happens(ev.Acknowledged("kim", HOUR))
    story.after(MINUTE).clears()
    story.after(6 * MINUTE)
    assert story.state() is State.RESOLVED
    decision = story.fires_again()
    assert (decision.reason, decision.inputs["kept_by"]) == (Reason.REOPENED_BY_ALERTS, "kim")
    story.after(0)
    assert story.people_told(PageKind.REOPENED) == [(7, "kim")]
    assert story.state() is State.ACKNOWLEDGED
    story.until(NIGHT + HOUR)
    assert story.state() is State.OPEN


@pytest.mark.parametrize("holder", ["token-of-a-program", "ghost"])
def test_a_holder_who_cannot_be_paged_does_not_keep_what_comes_back(story: Story, holder: str) -> None:
    story.opens(1)
    story.happens(ev.Acknowledged(holder, 8 * HOUR))
    story.clears()
    story.after(6 * MINUTE)
    story.fires_again()
    story.after(0)
    assert story.state() is State.OPEN
    assert story.people_told(PageKind.REOPENED) == [(6, "kim")]


def test_the_first_return_pages_the_foot_of_the_ladder_again(story: Story) -> None:
    over(story).fires_again()
    story.until(NIGHT + 36 * MINUTE)
    assert story.people_told(PageKind.REOPENED) == [(6, "kim")]
    assert story.people_told() == [(0, "kim"), (36, "lee")]


def test_the_next_returns_are_paged_only_once_they_have_lasted(story: Story) -> None:
    over(story).fires_again()
    story.after(MINUTE).clears()
    story.after(6 * MINUTE)
    again = story.now
    assert story.fires_again().inputs["settle_ms"] == 2 * MINUTE
    story.after(2 * MINUTE - 1)
    woken = [t for t in story.told if t.at >= again and t.kind is not PageKind.RESOLVED]
    assert woken == []
    story.after(1)
    assert [t.person for t in story.told if t.at == again + 2 * MINUTE] == ["kim"]


def test_a_flap_within_the_settle_window_wakes_nobody_and_nobody_is_told_twice_that_it_is_over(story: Story) -> None:
    over(story).fires_again()
    story.after(0).clears()
    story.after(5 * MINUTE)
    told = len(story.told)
    for _ in range(6):
        story.after(10 * MINUTE).fires_again()
        story.after(MINUTE).clears()
        story.after(5 * MINUTE)
        assert story.state() is State.RESOLVED
    assert story.told[told:] == []


def test_an_unsent_note_that_it_is_over_is_withdrawn_when_it_is_not(story: Story) -> None:
    story.opens(1)
    story.after(0).clears()
    story.down.add("kim")
    story.after(6 * MINUTE)
    assert [p.kind for p in story.pending()] == [PageKind.RESOLVED]
    story.fires_again()
    assert PageKind.RESOLVED not in [p.kind for p in story.pending()]


def test_a_person_reopens_and_it_is_paged_though_nothing_fires(story: Story) -> None:
    over(story)
    assert story.happens(ev.Reopened("lee", note="no, it is not")).reason is Reason.REOPENED_BY_PERSON
    story.after(31 * MINUTE)
    assert [p for _, p in story.people_told(PageKind.REOPENED)] == ["kim"]
    assert story.people_told()[-1] == (36, "lee")
    assert story.happens(ev.Reopened("lee")).reason is Reason.ALREADY_SO


def test_the_later_contacts_of_a_page_wait_while_it_is_clear_and_keep_their_time_when_it_is_back() -> None:
    story = Story(make_rules(holders={DUTY: ("park",)}, contacts={"park": (0, 5 * MINUTE, 20 * MINUTE)}))
    story.opens(1)
    story.after(MINUTE).clears()
    assert [(p.due_at - NIGHT) / MINUTE > 5 for p in story.pending()] == [True, True]
    story.after(MINUTE).fires_again()
    story.until(NIGHT + 25 * MINUTE)
    assert story.people_told() == [(0, "park"), (5, "park"), (20, "park")]


def test_the_later_contacts_of_a_page_that_is_over_are_not_tried() -> None:
    story = Story(make_rules(holders={DUTY: ("park",)}))
    story.opens(1)
    story.after(MINUTE).clears()
    story.after(HOUR)
    assert story.people_told() == [(0, "park")]
    assert [p.status for p in story.incident.pages if p.contact == 1] == [PageStatus.CANCELLED]


def test_what_comes_back_worse_is_paged_at_its_new_severity(story: Story) -> None:
    story.opens(3)
    story.after(MINUTE).clears()
    story.after(6 * MINUTE)
    story.alerts(firing(1), refired=1)
    assert story.incident.severity == 1
    story.after(30 * MINUTE)
    assert [p for _, p in story.people_told(PageKind.REOPENED)] == ["kim"]
    assert story.people_told()[-1] == (37, "lee")


def test_an_alert_that_clears_after_a_person_resolved_changes_counts_only(story: Story) -> None:
    story.opens(1)
    story.happens(ev.Resolved("kim"))
    assert story.clears().reason is Reason.ALERTS_CLEARED
    assert story.state() is State.RESOLVED


def test_an_acknowledgement_that_ended_while_it_was_clear_has_ended_when_it_fires_again() -> None:
    story = Story(make_rules(plan=replace(PLAN, resolve_after_ms=2 * HOUR)))
    story.opens(1)
    story.after(0)
    story.happens(ev.Acknowledged("kim"))
    story.after(MINUTE).clears()
    story.after(HOUR)
    assert story.state() is State.ACKNOWLEDGED
    story.fires_again()
    story.after(0)
    assert story.state() is State.OPEN
    assert story.people_told(PageKind.REMINDER) == []
    assert story.people_told()[-1][1] in ("lee", "choi")


def test_it_clears_in_the_instant_it_opens_and_nobody_is_woken(story: Story) -> None:
    story.opens(1)
    story.alerts(QUIET, resolved=1, cleared=1)
    story.after(HOUR)
    assert story.told == []
    assert story.state() is State.RESOLVED


def test_it_clears_in_the_instant_it_opens_and_is_paged_when_it_comes_back(story: Story) -> None:
    story.opens(1)
    story.clears()
    story.after(MINUTE).fires_again()
    story.after(0)
    assert story.people_told() == [(1, "kim")]
