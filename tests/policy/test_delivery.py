"""Held, arrived, not arrived, never heard of again: what follows. What messages say of it afterwards: `test_edited_messages.py`."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from tests.policy.world import DUTY, HOUR, LADDER, MINUTE, NIGHT, SECOND, Story, firing, make_rules
from tocsin.policy import events as ev
from tocsin.policy.delivery import HELD_MAX_MS, held_until_max
from tocsin.policy.incident import DRILL_AFTER_LAST_RUNG_MS, NOTICE_LASTS_MS, Reason, open_incident
from tocsin.policy.model import Incident, Page, PageKind, PageStatus, State
from tocsin.policy.rules import Contact
from tocsin.store import codec


def two_contacts(severity: int = 1) -> Story:
    """park has duty: a message at once, a call after 5 minutes."""
    story = Story(make_rules(holders={DUTY: ("park",)}))
    story.opens(severity)
    return story


# --- held ---


def test_a_held_page_is_due_when_its_turn_comes_and_the_record_says_why() -> None:
    story = two_contacts(2)
    decision = story.happens(ev.PageHeld(story.page_of("park").id, "sms takes 10 a second", NIGHT + 40 * SECOND))
    assert (decision.reason, decision.inputs["why"]) == (Reason.PAGE_HELD, "sms takes 10 a second")
    page = story.page_of("park")
    assert (page.due_at, page.attempts, page.status) == (NIGHT + 40 * SECOND, 0, PageStatus.PENDING)
    story.after(HOUR - 1)
    assert story.people_told() == [(40 / 60, "park"), (5, "park")]


def test_a_page_of_severity_1_is_never_held_longer_than_two_minutes_all_together() -> None:
    story = two_contacts(1)
    page = story.page_of("park")
    story.happens(ev.PageHeld(page.id, "limit", NIGHT + HOUR))
    assert story.page_of("park").due_at == NIGHT + HELD_MAX_MS
    story.now += 90 * SECOND
    story.happens(ev.PageHeld(page.id, "limit", NIGHT + HOUR))
    assert story.page_of("park").due_at == NIGHT + HELD_MAX_MS
    story.now += 60 * SECOND
    story.happens(ev.PageHeld(page.id, "limit", NIGHT + HOUR))
    assert story.page_of("park").due_at == story.now


def test_it_fires_again_and_what_a_limit_holds_still_is() -> None:
    story = two_contacts(2)
    story.happens(ev.PageHeld(story.page_of("park").id, "limit", NIGHT + 3 * MINUTE))
    story.after(MINUTE).clears()
    story.after(30 * SECOND)
    story.alerts(firing(2), refired=1)
    assert story.page_of("park").due_at == NIGHT + 3 * MINUTE


def test_a_row_of_pages_of_severity_1_is_not_held_for_ever() -> None:
    story = Story(make_rules(ladder=replace(LADDER, repeat_last_ms=MINUTE)), down={"jeong"})
    story.opens(1)
    story.until(NIGHT + 2 * HOUR)
    begin = story.now
    for _ in range(3):
        page = story.page_of("jeong")
        if page.due_at <= story.now:
            story.happens(ev.PageHeld(page.id, "limit", story.now + HOUR))
        story.after(MINUTE)
    page = story.page_of("jeong")
    assert page.due_at <= begin + HELD_MAX_MS + MINUTE
    story.happens(ev.PageHeld(page.id, "limit", story.now + HOUR))
    assert story.page_of("jeong").due_at == story.now, "a new page has no time of its own"


def test_how_long_a_page_may_be_held_is_known_before_it_is() -> None:
    story = two_contacts(1)
    page = story.page_of("park")
    assert held_until_max(story.incident, page, NIGHT) == NIGHT + HELD_MAX_MS
    story.happens(ev.PageHeld(page.id, "limit", NIGHT + MINUTE))
    assert held_until_max(story.incident, story.page_of("park"), NIGHT + MINUTE) == NIGHT + HELD_MAX_MS
    mild = two_contacts(2)
    assert held_until_max(mild.incident, mild.page_of("park"), NIGHT) is None


# --- receipts ---


def sends(story: Story, person: str, contact: int = 0, receipt_within_ms: int = MINUTE) -> Page:
    page = story.page_of(person, contact)
    story.now = max(story.now, page.due_at)
    story.happens(ev.PageSent(page.id, f"SM{contact}", receipt_within_ms))
    return story.page_of(person, contact)


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
    assert story.page_of("park").delivered_at == NIGHT + 20 * SECOND
    story.until(NIGHT + 10 * MINUTE)
    assert story.people_told() == [(5, "park")]


def test_a_message_that_did_not_arrive_brings_the_next_contact_at_once() -> None:
    story = two_contacts()
    page = sends(story, "park")
    story.now += SECOND
    assert story.happens(ev.PageUndelivered(page.id, "handset off")).reason is Reason.PAGE_UNDELIVERED
    story.after(0)
    assert story.people_told() == [(1 / 60, "park")]
    assert story.page_of("park").status is PageStatus.FAILED


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


def test_a_receipt_that_comes_before_the_record_of_the_attempt_counts() -> None:
    story = two_contacts()
    page = story.page_of("park")
    story.happens(ev.PageDelivered(page.id))
    assert story.page_of("park").status is PageStatus.SENT
    story.happens(ev.PageSent(page.id, "SM7", MINUTE))
    after = story.page_of("park")
    assert (after.receipt, after.attempts, after.receipt_due_at, after.delivered_at) == ("SM7", 1, None, NIGHT)
    assert story.happens(ev.PageSent(page.id, "SM8", MINUTE)).reason is Reason.IGNORED


def test_receipts_that_come_twice_or_after_the_end_leave_no_trace() -> None:
    story = two_contacts()
    page = sends(story, "park")
    story.happens(ev.PageDelivered(page.id))
    assert story.happens(ev.PageDelivered(page.id)).reason is Reason.IGNORED
    assert story.happens(ev.PageUndelivered(page.id, "failed")).reason is Reason.IGNORED, "what has arrived stays so"
    second = sends(story, "park", 1)
    story.happens(ev.Resolved("park"))
    assert story.happens(ev.PageDelivered(second.id)).reason is Reason.IGNORED


def test_a_receipt_that_comes_late_makes_the_page_count_as_heard() -> None:
    story = Story(make_rules(holders={DUTY: ("park",)}))
    story.opens(1)
    first = sends(story, "park")
    story.down.add("park")
    story.after(MINUTE)
    story.happens(ev.PageDelivered(first.id))
    story.happens(ev.PageRefused(story.page_of("park", 1).id, "gone"))
    assert story.reasons[-1] is Reason.PAGE_REFUSED, "the next rung is not hurried"


def test_no_word_and_then_a_failure_hurries_the_ladder_once() -> None:
    story = Story(make_rules(contacts={"lee": (0,)}), down={"lee"})
    story.opens(1)
    page = sends(story, "kim")
    story.after(MINUTE)
    assert story.reasons[-1] is Reason.PERSON_UNREACHED
    assert story.decisions[-1].inputs["because"] == Reason.RECEIPT_MISSING
    assert story.happens(ev.PageUndelivered(page.id, "handset off")).inputs["why"] == "handset off"
    assert story.incident.next_rung == 2


def test_no_word_and_then_a_failure_brings_one_contact_forward_and_not_two() -> None:
    story = Story(make_rules(holders={DUTY: ("park",)}, contacts={"park": (0, 5 * MINUTE, 20 * MINUTE)}))
    story.opens(1)
    page = sends(story, "park")
    story.after(MINUTE)
    story.happens(ev.PageUndelivered(page.id, "handset off"))
    assert story.people_told() == [(1, "park")]
    assert story.page_of("park", 2).due_at == NIGHT + 20 * MINUTE


def test_an_answer_ends_the_wait_for_receipts() -> None:
    for answer in (ev.Acknowledged("park"), ev.Acknowledged("lee"), ev.Resolved("lee"), ev.Snoozed("lee", HOUR)):
        story = two_contacts()
        sends(story, "park")
        story.happens(answer)
        assert story.page_of("park").receipt_due_at is None
        story.after(5 * MINUTE)
        assert story.people_told() == []


def test_while_it_is_clear_no_receipt_is_missed_and_when_it_is_back_it_is() -> None:
    story = two_contacts()
    sends(story, "park")
    story.clears()
    story.after(3 * MINUTE)
    assert Reason.RECEIPT_MISSING not in story.reasons
    story.fires_again()
    story.after(0)
    assert story.people_told() == [(3, "park")]


def test_a_ladder_until_resolved_goes_on_looking_for_who_may_not_have_heard() -> None:
    story = Story(make_rules(ladder=replace(LADDER, until="resolved"), holders={DUTY: ("park",)}))
    story.opens(1)
    sends(story, "park")
    story.happens(ev.Acknowledged("lee"))
    story.after(MINUTE)
    assert story.people_told() == [(1, "park")]


def test_the_reminder_that_does_not_arrive_goes_to_the_next_contact_of_the_holder() -> None:
    story = two_contacts()
    story.happens(ev.Acknowledged("park"))
    story.until(NIGHT + 25 * MINUTE - 1)
    story.down.add("park")
    story.after(1)
    page = story.page_of("park", 0, PageKind.REMINDER)
    story.happens(ev.PageSent(page.id, receipt_within_ms=20 * SECOND))
    story.down.clear()
    story.after(20 * SECOND)
    assert [at for at, _ in story.people_told(PageKind.REMINDER)] == [25 + 1 / 3]


def test_tests_and_closing_notes_await_no_receipt() -> None:
    rules = make_rules()
    story = Story(rules)
    story.keeps(open_incident(ev.TestRequested(1, "test:1", "web", "a test", "park", 0, "park"), NIGHT, rules))
    page = sends(story, "park")
    assert page.receipt_due_at is None
    assert story.happens(ev.PageDelivered(page.id)).reason is Reason.PAGE_DELIVERED, "but it is recorded"


# --- contacts that go on ringing ---


def test_a_contact_goes_on_ringing_until_somebody_answers() -> None:
    story = Story(make_rules(contacts={"kim": (Contact("tel:+82", repeat_ms=3 * MINUTE, times=5),)}))
    story.opens(1)
    story.until(NIGHT + 7 * MINUTE)
    assert story.people_told() == [(0, "kim"), (3, "kim"), (6, "kim")]
    story.happens(ev.Acknowledged("lee"))
    story.until(NIGHT + 29 * MINUTE)
    assert len(story.people_told()) == 3


def test_it_rings_so_often_and_no_more_and_a_ring_that_fails_does_not_hurry_the_ladder() -> None:
    story = Story(make_rules(contacts={"kim": (Contact("tel:+82", repeat_ms=3 * MINUTE, times=3),)}))
    story.opens(1)
    story.after(MINUTE)
    story.happens(ev.PageRefused(story.page_of("kim").id, "gone"))
    assert story.incident.next_rung == 1
    other = Story(story.rules)
    other.opens(1)
    other.until(NIGHT + 29 * MINUTE)
    assert other.people_told() == [(0, "kim"), (3, "kim"), (6, "kim")]


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


def test_a_holder_who_passes_it_on_lets_it_go() -> None:
    story = Story()
    story.opens(1)
    story.after(0)
    story.happens(ev.Acknowledged("kim"))
    story.after(10 * MINUTE)
    story.happens(ev.PassedOn("kim", via="slack"))
    story.after(0)
    assert (story.state(), story.incident.assignee) == (State.OPEN, None)
    assert story.people_told() == [(0, "kim"), (10, "lee")]


def test_who_passes_it_on_gets_no_more_pages_of_it() -> None:
    story = two_contacts()
    story.after(0)
    story.happens(ev.PassedOn("park"))
    story.until(NIGHT + 20 * MINUTE)
    assert story.people_told() == [(0, "park"), (0, "lee")]


def test_passing_on_at_the_end_of_the_ladder_pages_its_last_rung_again() -> None:
    story = Story()
    story.opens(1)
    story.until(NIGHT + 125 * MINUTE)
    story.happens(ev.PassedOn("kim"))
    story.after(0)
    assert story.people_told()[-1] == (125, "jeong")


def test_what_is_clear_or_has_no_ladder_is_passed_on_to_nobody() -> None:
    story = Story()
    story.opens(1)
    story.after(0).clears()
    assert story.happens(ev.PassedOn("kim")).reason is Reason.ALREADY_SO
    low = Story()
    low.opens(4)
    assert low.happens(ev.PassedOn("kim")).reason is Reason.NOBODY_TO_PAGE


def test_passing_on_ends_a_snooze() -> None:
    story = Story()
    story.opens(1)
    story.after(0)
    story.happens(ev.Snoozed("kim", 8 * HOUR))
    story.happens(ev.PassedOn("kim"))
    story.after(0)
    assert story.people_told() == [(0, "kim"), (0, "lee")]


def test_a_page_that_went_out_in_the_end_does_not_say_why_it_had_failed_before() -> None:
    story = Story(make_rules(), down={"kim"})
    story.opens(1)
    page = story.page_of("kim")
    story.happens(ev.PageUnreachable(page.id, "no connection", False, attempt=1))
    assert story.page_of("kim").reason == "no connection"
    story.happens(ev.PageSent(page.id))
    assert (story.page_of("kim").status, story.page_of("kim").reason) == (PageStatus.SENT, "")


CHAT = {"kim": (Contact("slack:U1"), Contact("tel:+82", 5 * MINUTE)), "lee": (Contact("telegram:7"),)}


def chat() -> Story:
    """kim and lee read chats; both were paged, then nobody answered for half an hour."""
    story = Story(make_rules(contacts=CHAT))
    story.opens(1)
    story.until(NIGHT + 31 * MINUTE)
    return story


# --- notices and drills ---


def told(*people: str, **contacts: tuple[int, ...]) -> Story:
    rules = make_rules(contacts=contacts)
    story = Story(rules, down=set(people))
    event = ev.PersonTold(1, "handover:duty:1", "web", "Your duty begins", people, PageKind.HANDOVER, "From 09:00 on", "tocsin")
    story.keeps(open_incident(event, NIGHT, rules))
    return story


def test_a_notice_goes_to_one_contact_of_each_and_ends_when_everybody_has_it() -> None:
    story = told("kim", "park", "ghost", "stranger")
    assert story.decisions[0].inputs == {
        "service": "web",
        "ladder": "standard",
        "paged": ("kim", "park"),
        "cannot_be_paged": ("ghost", "stranger"),
    }
    assert (story.incident.severity, story.incident.source, story.incident.text) == (4, "handover", "From 09:00 on")
    story.happens(ev.PageSent(story.page_of("park").id))
    assert story.state() is State.OPEN
    story.after(MINUTE)
    story.down.clear()
    story.after(0)
    assert story.people_told(PageKind.HANDOVER) == [(1, "kim")]
    assert (story.state(), story.reasons[-1]) == (State.RESOLVED, Reason.ENDED_BY_ITSELF)
    assert story.people_told(PageKind.RESOLVED) == []


def test_a_notice_over_a_chat_stays_as_it_was_said_when_everybody_has_it() -> None:
    rules = make_rules(contacts=CHAT)
    story = Story(rules)
    event = ev.PersonTold(1, "handover:duty:1", "web", "Your duty begins", ("kim", "lee"), PageKind.HANDOVER, "From 09:00 on", "tocsin")
    story.keeps(open_incident(event, NIGHT, rules))
    story.after(MINUTE)
    assert story.state() is State.RESOLVED
    assert [t.kind for t in story.told] == [PageKind.HANDOVER, PageKind.HANDOVER]


def test_a_notice_that_fails_goes_to_the_next_contact() -> None:
    story = told("park")
    story.happens(ev.PageRefused(story.page_of("park").id, "gone"))
    assert story.page_of("park", 1).due_at == NIGHT
    story.down.clear()
    story.after(0)
    assert story.state() is State.RESOLVED


def test_a_notice_that_may_not_have_arrived_goes_to_the_next_contact() -> None:
    story = told("park")
    story.happens(ev.PageSent(story.page_of("park").id, receipt_within_ms=MINUTE))
    story.down.clear()
    story.after(MINUTE)
    assert story.people_told(PageKind.HANDOVER) == [(1, "park")]
    assert story.state() is State.RESOLVED


def test_a_notice_ends_when_it_has_arrived() -> None:
    story = told("park")
    story.happens(ev.PageSent(story.page_of("park").id, receipt_within_ms=MINUTE))
    story.happens(ev.PageDelivered(story.page_of("park").id))
    story.after(0)
    assert story.state() is State.RESOLVED


def test_a_notice_that_reaches_nobody_ends_after_an_hour() -> None:
    story = told("park")
    story.after(NOTICE_LASTS_MS - 1)
    assert story.state() is State.OPEN
    story.after(1)
    assert story.state() is State.RESOLVED
    assert story.outbox == {}


def drill(severity: int = 1) -> Story:
    rules = make_rules()
    story = Story(rules)
    story.keeps(open_incident(ev.DrillRequested(1, "drill:1", "web", "fire", severity, "lee"), NIGHT, rules))
    return story


def test_a_drill_climbs_the_real_ladder_and_ends_by_itself() -> None:
    story = drill()
    assert (story.incident.title, story.incident.source) == ("DRILL: fire", "drill")
    story.until(NIGHT + 2 * HOUR + DRILL_AFTER_LAST_RUNG_MS)
    assert story.people_told() == [(0, "kim"), (30, "lee"), (60, "choi"), (120, "jeong")]
    assert story.state() is State.RESOLVED
    assert story.reasons.count(Reason.ENDED_BY_ITSELF) == 1


def test_a_drill_ends_though_somebody_holds_it_and_when_a_person_ends_it() -> None:
    story = drill()
    story.after(0)
    story.happens(ev.Acknowledged("kim", 8 * HOUR))
    story.until(NIGHT + 2 * HOUR + DRILL_AFTER_LAST_RUNG_MS)
    assert story.state() is State.RESOLVED
    other = drill(3)
    other.happens(ev.Acknowledged("kim"))
    other.happens(ev.Resolved("lee"))
    other.after(24 * HOUR)
    assert other.people_told() == []
    assert Reason.ENDED_BY_ITSELF not in other.reasons


def test_a_drill_that_is_reopened_gets_its_time_anew() -> None:
    story = drill()
    story.until(NIGHT + 3 * HOUR)
    story.happens(ev.Reopened("lee"))
    assert story.incident.ends_at == NIGHT + 5 * HOUR + DRILL_AFTER_LAST_RUNG_MS


# --- documents of before ---


NEW_OF_PAGES = ("receipt_due_at", "receipt_missed", "delivered_at", "held_at", "held_until", "edits", "ring")


def as_it_was_written_before(incident: Incident) -> bytes:
    version, length, rest = codec.incident_document(incident).split(b" ", 2)
    plan, values = rest[: int(length)], orjson.loads(rest[int(length) :])
    del values["ends_at"]
    for page in values["pages"]:
        for name in NEW_OF_PAGES:
            del page[name]
    return b"%b %b %b%b" % (version, length, plan, orjson.dumps(values))


def test_an_incident_that_was_written_before_there_were_receipts_is_read() -> None:
    story = two_contacts()
    story.after(0)
    assert codec.IncidentReader().read(as_it_was_written_before(story.incident)) == story.incident


def test_the_history_of_a_night_with_receipts_holds_and_updates_adds_up() -> None:
    story = chat()
    story.happens(ev.PageHeld(story.page_of("kim").id, "limit", story.now + HOUR))
    story.happens(ev.Acknowledged("lee"))
    story.alerts(firing(1), joined=1)
    story.after(2 * HOUR)
    story.happens(ev.PassedOn("kim"))
    story.after(HOUR)
    assert story.replayed() == story.incident
    assert codec.IncidentReader().read(codec.incident_document(story.incident)) == story.incident
