"""What comes of pages: refused, unreachable, late, twice; the next contact, the next rung, and how many copies there may be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.policy.world import CSE, DUTY, HOUR, LADDER, MANAGER, MINUTE, NIGHT, Story, firing, make_rules
from tests.simulation.policy_invariants import PENDING_MAX
from tocsin.policy import events as ev
from tocsin.policy.incident import Reason, outbox_changes
from tocsin.policy.ladder import AMBIGUOUS_MAX, BACKOFF_MAX_MS, FAILING_AFTER, backoff_ms
from tocsin.policy.model import PAGES_KEPT_MAX, Page, PageKind, PageStatus, State


def two_contacts() -> Story:
    """park has duty: a webhook at once, a mail after 5 minutes."""
    story = Story(make_rules(holders={DUTY: ("park",)}))
    story.opens(1)
    return story


def page_of(story: Story, person: str, contact: int = 0) -> Page:
    return next(p for p in reversed(story.incident.pages) if (p.person, p.contact) == (person, contact))


def unreachable(page: Page, *, ambiguous: bool = False, retry_after_ms: int = 0) -> ev.PageUnreachable:
    return ev.PageUnreachable(page.id, "503", ambiguous, retry_after_ms)


def fails(story: Story, person: str, times: int, contact: int = 0) -> None:
    """Let attempts fail, each as soon as it is due."""
    for _ in range(times):
        page = page_of(story, person, contact)
        story.now = max(story.now, page.due_at)
        story.happens(unreachable(page))


# --- contacts ---


def test_each_contact_has_its_own_time_after_the_rung() -> None:
    story = two_contacts()
    story.after(10 * MINUTE)
    assert story.people_told() == [(0, "park"), (5, "park")]


def test_a_refusal_brings_the_next_contact_forward_at_once() -> None:
    story = two_contacts()
    story.happens(ev.PageRefused(page_of(story, "park").id, "no such hook"))
    assert page_of(story, "park", 1).due_at == NIGHT
    assert story.reasons[-1] is Reason.PAGE_REFUSED


def test_three_failures_bring_the_next_contact_forward_and_the_first_goes_on_being_tried() -> None:
    story = two_contacts()
    fails(story, "park", FAILING_AFTER - 1)
    assert page_of(story, "park", 1).due_at == NIGHT + 5 * MINUTE
    fails(story, "park", 1)
    assert page_of(story, "park", 1).due_at == story.now
    assert page_of(story, "park", 0).status is PageStatus.PENDING


def test_a_minute_without_success_brings_the_next_contact_forward() -> None:
    story = two_contacts()
    story.now += MINUTE
    story.happens(unreachable(page_of(story, "park")))
    assert page_of(story, "park", 1).due_at == story.now


def test_a_provider_that_asks_for_a_long_pause_has_failed() -> None:
    story = two_contacts()
    story.happens(unreachable(page_of(story, "park"), retry_after_ms=24 * HOUR))
    assert page_of(story, "park", 1).due_at == NIGHT
    alone = Story()
    alone.opens(1)
    assert alone.happens(unreachable(page_of(alone, "kim"), retry_after_ms=24 * HOUR)).reason is Reason.PERSON_UNREACHED
    alone.after(0)
    assert alone.people_told() == [(0, "lee")]


# --- a rung that reaches nobody ---


def test_a_rung_that_reaches_nobody_makes_the_next_one_due_at_once() -> None:
    story = Story()
    story.opens(1)
    decision = story.happens(ev.PageRefused(page_of(story, "kim").id, "no such hook"))
    assert decision.reason is Reason.PERSON_UNREACHED
    story.until(NIGHT + 30 * MINUTE)
    assert story.people_told() == [(0, "lee")], "lee's own time pages nobody a second time"


def test_a_rung_that_somebody_heard_of_does_not_hurry_the_next() -> None:
    story = Story(make_rules(holders={DUTY: ("kim", "choi")}))
    story.opens(1)
    story.happens(ev.PageSent(page_of(story, "choi").id))
    story.happens(ev.PageRefused(page_of(story, "kim").id, "no such hook"))
    assert story.people_told() == []
    assert story.incident.next_rung == 1


@pytest.mark.parametrize("order", [("kim", "lee", "choi"), ("choi", "lee", "kim"), ("lee", "choi", "kim")])
def test_several_rungs_paged_together_that_reach_nobody_hurry_the_next_whichever_fails_last(order: tuple[str, ...]) -> None:
    story = Story(down={"kim", "lee", "choi"})
    story.opens(1)
    story.sleep(HOUR)
    for person in order:
        story.happens(ev.PageRefused(page_of(story, person).id, "gone"))
    story.after(0)
    assert story.people_told() == [(60, "jeong")]


def test_a_lowered_severity_does_not_lose_a_page_that_reaches_nobody() -> None:
    story = Story(down={"kim", "lee"})
    story.opens(1)
    story.until(NIGHT + 30 * MINUTE)
    story.happens(ev.SeveritySet("choi", 2))
    story.happens(ev.PageRefused(page_of(story, "lee").id, "gone"))
    story.after(0)
    assert story.people_told() == [(30, "choi")], "lee's rung of the new table would only be skipped"


def test_when_the_last_rung_reaches_nobody_the_emergency_contacts_hear_once_in_each_repeat() -> None:
    story = Story(make_rules(ladder=replace(LADDER, last_resort=())), down={"jeong"})
    story.opens(1)
    story.until(NIGHT + 2 * HOUR)
    fails(story, "jeong", 5)
    assert len([p for p in story.incident.pages if p.person == "emergency"]) == 1
    story.until(NIGHT + 150 * MINUTE)
    fails(story, "jeong", 4)
    story.after(0)
    assert [person for _, person in story.people_told()] == ["kim", "lee", "choi", "emergency", "emergency"]


def test_a_holder_who_cannot_be_reached_does_not_hurry_the_ladder() -> None:
    story = Story()
    story.opens(3)
    story.after(0)
    story.happens(ev.Acknowledged("lee"))
    story.alerts(firing(1), joined=1)
    assert story.happens(ev.PageRefused(page_of(story, "lee").id, "gone")).reason is Reason.PAGE_REFUSED
    assert story.state() is State.ACKNOWLEDGED


# --- copies ---


def test_three_attempts_without_an_answer_give_the_contact_up() -> None:
    story = two_contacts()
    for _ in range(AMBIGUOUS_MAX):
        page = page_of(story, "park")
        story.now = max(story.now, page.due_at)
        story.happens(unreachable(page, ambiguous=True))
    assert story.reasons[-1] in (Reason.PAGE_GIVEN_UP, Reason.PERSON_UNREACHED)
    assert Reason.PAGE_GIVEN_UP in story.reasons
    assert page_of(story, "park").status is PageStatus.FAILED
    assert story.happens(unreachable(page_of(story, "park"), ambiguous=True)).reason is Reason.IGNORED


def test_a_definite_failure_is_tried_for_as_long_as_it_is_wanted() -> None:
    story = Story(make_rules(ladder=replace(LADDER, repeat_last_ms=30 * MINUTE)))
    story.opens(1)
    fails(story, "kim", 25)
    assert page_of(story, "kim").status is PageStatus.PENDING
    assert story.happens(ev.PageSent(page_of(story, "kim").id)).changed


def test_the_note_that_it_is_over_is_given_up_after_three_failures() -> None:
    story = Story()
    story.opens(1)
    story.after(0)
    story.happens(ev.Resolved("lee"))
    fails(story, "kim", FAILING_AFTER)
    assert story.reasons[-1] is Reason.PAGE_GIVEN_UP
    assert story.outbox == {}


def test_days_without_a_provider_do_not_pile_up_pages() -> None:
    story = Story(make_rules(ladder=replace(LADDER, repeat_last_ms=MINUTE)), down={"jeong"})
    story.opens(1)
    story.after(24 * HOUR)
    assert len(story.pending("jeong")) == 1
    assert len(story.incident.pages) <= PAGES_KEPT_MAX + PENDING_MAX
    story.down.clear()
    told = len(story.told)
    story.after(0)
    assert [t.person for t in story.told[told:]] == ["jeong"], "one page, not one for each repeat"


def test_a_later_contact_is_not_put_off_by_rungs_that_follow_each_other_faster() -> None:
    ladder = replace(LADDER, repeat_last_ms=MINUTE, rungs=(((one := LADDER.rungs[0][0]),), (one,), (one,), ()), last_resort=())
    story = Story(make_rules(ladder=ladder, holders={DUTY: ("park",)}))
    story.opens(1)
    story.until(NIGHT + 5 * MINUTE)
    assert story.incident.pages[-1].contact == 1
    sent = [(p.contact, p.settled_at) for p in story.incident.pages if p.status is PageStatus.SENT and p.contact == 1]
    assert sent == [(1, NIGHT + 5 * MINUTE)]


# --- outcomes that come late ---


def test_a_page_that_was_withdrawn_while_it_was_sent_is_recorded_as_sent() -> None:
    story = Story()
    story.opens(1)
    page = page_of(story, "kim")
    story.happens(ev.Acknowledged("lee"))
    assert story.happens(ev.PageSent(page.id, "250 ok")).reason is Reason.PAGE_SENT
    assert page_of(story, "kim").receipt == "250 ok"
    assert story.happens(ev.PageSent(page.id)).reason is Reason.IGNORED


def test_a_failure_that_is_known_only_after_the_acknowledgement_wakes_nobody() -> None:
    story = Story()
    story.opens(1)
    page = page_of(story, "kim")
    story.happens(ev.Acknowledged("lee"))
    assert story.happens(ev.PageRefused(page.id, "gone")).reason is Reason.IGNORED
    assert story.happens(unreachable(page)).reason is Reason.IGNORED
    assert story.outbox == {}


def test_a_success_after_a_failure_of_the_same_page_is_ignored() -> None:
    story = Story()
    story.opens(1)
    page = page_of(story, "kim")
    story.happens(ev.PageRefused(page.id, "gone"))
    assert story.happens(ev.PageSent(page.id)).reason is Reason.IGNORED


def test_ids_are_never_used_again_over_repeats_reopenings_and_trimming() -> None:
    story = Story(make_rules(ladder=replace(LADDER, repeat_last_ms=MINUTE)))
    story.opens(1)  # `Story` asserts it at every step
    for _ in range(4):
        story.after(3 * HOUR).clears()
        story.after(10 * MINUTE).fires_again()
    assert len(story.ids) > 200
    assert len([p for p in story.incident.pages if p.status is not PageStatus.PENDING]) <= PAGES_KEPT_MAX + 10


# --- small arithmetic ---


@given(page_id=st.text(max_size=20), attempts=st.integers(1, 1000))
def test_attempts_are_spread_and_never_more_than_a_minute_apart(page_id: str, attempts: int) -> None:
    wait_ms = backoff_ms(page_id, attempts)
    assert 750 <= wait_ms <= BACKOFF_MAX_MS
    assert wait_ms == backoff_ms(page_id, attempts)
    assert backoff_ms(page_id, attempts + 2) >= wait_ms or attempts > 4


def test_what_the_outbox_learns_is_only_what_changed() -> None:
    story = two_contacts()
    before = story.incident
    noted = story.happens(ev.Noted("kim", "hm")).incident
    assert outbox_changes(before, noted).due == {}
    failed = story.happens(unreachable(page_of(story, "park"))).incident
    assert list(outbox_changes(noted, failed).due) == [page_of(story, "park").id]
    acknowledged = story.happens(ev.Acknowledged("park")).incident
    assert set(outbox_changes(failed, acknowledged).withdrawn) == {p.id for p in before.pages}
    assert outbox_changes(failed, acknowledged).due == {}


def test_a_person_on_two_rungs_is_paged_once_over_each_contact_after_a_pause() -> None:
    story = Story(make_rules(holders={DUTY: ("park",), CSE: ("park",), MANAGER: ("park",)}))
    story.opens(1)
    story.sleep(5 * HOUR)
    pages = [p for p in story.incident.pages if p.status is not PageStatus.CANCELLED and p.person == "park"]
    assert sorted(p.contact for p in pages if p.step == pages[-1].step) == [0, 1]
    assert {p.kind for p in pages} == {PageKind.PAGE}
    assert story.now - NIGHT == 5 * HOUR
