"""Held, arrived, not arrived, never heard of again: what follows, and what the messages that are edited in place say of it."""

from __future__ import annotations

import pytest

from tests.policy.world import DUTY, HOUR, MINUTE, NIGHT, SECOND, Story, make_rules
from tocsin.policy import events as ev
from tocsin.policy.delivery import HELD_MAX_MS
from tocsin.policy.incident import Reason
from tocsin.policy.model import Page, PageStatus, State


def two_contacts(severity: int = 1) -> Story:
    """park has duty: a message at once, a call after 5 minutes."""
    story = Story(make_rules(holders={DUTY: ("park",)}))
    story.opens(severity)
    return story


def page_of(story: Story, person: str, contact: int = 0) -> Page:
    return next(p for p in reversed(story.incident.pages) if (p.person, p.contact) == (person, contact))


# --- held ---


def test_a_held_page_is_due_when_its_turn_comes_and_the_record_says_why() -> None:
    story = two_contacts(2)
    decision = story.happens(ev.PageHeld(page_of(story, "park").id, "sms takes 10 a second", NIGHT + 40 * SECOND))
    assert (decision.reason, decision.inputs["why"]) == (Reason.PAGE_HELD, "sms takes 10 a second")
    page = page_of(story, "park")
    assert (page.due_at, page.attempts, page.status) == (NIGHT + 40 * SECOND, 0, PageStatus.PENDING)
    story.after(HOUR - 1)
    assert story.people_told() == [(40 / 60, "park"), (5, "park")]


def test_a_page_of_severity_1_is_never_held_longer_than_two_minutes_all_together() -> None:
    story = two_contacts(1)
    page = page_of(story, "park")
    story.happens(ev.PageHeld(page.id, "limit", NIGHT + HOUR))
    assert page_of(story, "park").due_at == NIGHT + HELD_MAX_MS
    story.now += 90 * SECOND
    story.happens(ev.PageHeld(page.id, "limit", NIGHT + HOUR))
    assert page_of(story, "park").due_at == NIGHT + HELD_MAX_MS
    story.now += 60 * SECOND
    story.happens(ev.PageHeld(page.id, "limit", NIGHT + HOUR))
    assert page_of(story, "park").due_at == story.now


# --- receipts ---


def sends(story: Story, person: str, contact: int = 0, receipt_within_ms: int = MINUTE) -> Page:
    page = page_of(story, person, contact)
    story.now = max(story.now, page.due_at)
    story.happens(ev.PageSent(page.id, f"SM{contact}", receipt_within_ms))
    return page_of(story, person, contact)


def test_no_receipt_within_its_time_brings_the_next_contact_at_once() -> None:
    story = two_contacts()
    assert sends(story, "park").receipt_due_at == NIGHT + MINUTE
    assert story.incident.due_at == NIGHT + MINUTE
    story.after(MINUTE)
    assert story.people_told() == [(1, "park")]
    assert Reason.RECEIPT_MISSING in story.reasons


def test_a_receipt_in_time_leaves_the_contacts_their_times() -> None:
    story = two_contacts()
    page = sends(story, "park")
    story.now += 20 * SECOND
    assert story.happens(ev.PageDelivered(page.id)).reason is Reason.PAGE_DELIVERED
    assert page_of(story, "park").delivered_at == NIGHT + 20 * SECOND
    story.until(NIGHT + 10 * MINUTE)
    assert story.people_told() == [(5, "park")]


def test_a_message_that_did_not_arrive_brings_the_next_contact_at_once() -> None:
    story = two_contacts()
    page = sends(story, "park")
    story.now += SECOND
    assert story.happens(ev.PageUndelivered(page.id, "handset off")).reason is Reason.PAGE_UNDELIVERED
    story.after(0)
    assert story.people_told() == [(1 / 60, "park")]
    assert page_of(story, "park").status is PageStatus.FAILED


@pytest.mark.parametrize("how", ["missing", "undelivered"])
def test_when_no_contact_is_left_the_next_rung_is_paged_as_if_the_page_had_failed(how: str) -> None:
    story = Story()
    story.opens(1)
    page = sends(story, "kim")
    if how == "missing":
        story.after(MINUTE)
    else:
        story.happens(ev.PageUndelivered(page.id, "no such number"))
        story.after(0)
    assert [person for _, person in story.people_told()] == ["lee"]


# --- passing on ---


def test_passing_on_pages_the_next_rung_at_once() -> None:
    story = Story()
    story.opens(1)
    story.after(0)
    decision = story.happens(ev.PassedOn("kim", via="tel"))
    assert (decision.reason, decision.actor, decision.inputs["paged"]) == (Reason.PASSED_ON, "kim", ("lee",))
    story.until(NIGHT + HOUR)
    assert story.people_told() == [(0, "kim"), (0, "lee"), (60, "choi")]


def test_passing_on_what_another_holds_changes_nothing() -> None:
    story = Story()
    story.opens(1)
    story.happens(ev.Acknowledged("lee"))
    assert story.happens(ev.PassedOn("kim")).reason is Reason.ALREADY_SO
    assert story.state() is State.ACKNOWLEDGED
