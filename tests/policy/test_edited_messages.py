"""Messages that are edited in place say how it stands: the first of a contact and the newest, one change for each, and nothing rings."""

from __future__ import annotations

from dataclasses import replace

from tests.policy.world import HOUR, LADDER, MINUTE, NIGHT, Story, make_rules
from tocsin.policy import events as ev
from tocsin.policy.delivery import LATER_EDITED_MAX
from tocsin.policy.incident import Reason
from tocsin.policy.ladder import FAILING_AFTER
from tocsin.policy.model import PAGES_KEPT_MAX, PageKind
from tocsin.policy.rules import Contact

CHAT = {"kim": (Contact("slack:U1"), Contact("tel:+82", 5 * MINUTE)), "lee": (Contact("telegram:7"),)}


def chat() -> Story:
    """kim and lee read chats; both were paged, then nobody answered for half an hour."""
    story = Story(make_rules(contacts=CHAT))
    story.opens(1)
    story.until(NIGHT + 31 * MINUTE)
    return story


def updates(story: Story) -> list[tuple[str, int, str]]:
    """Take (person, contact, edits) of the updates that wait, and let them be sent."""
    found = [(p.person, p.contact, p.edits) for p in story.pending() if p.kind is PageKind.UPDATE]
    story.after(0)
    return found


BOTH = [("kim", 0, "INC-1.0.kim.0"), ("lee", 0, "INC-1.1.lee.0")]


def test_who_takes_it_lets_go_of_it_and_ends_it_shows_in_every_message_that_is_edited() -> None:
    story = chat()
    story.happens(ev.Acknowledged("lee"))
    assert updates(story) == BOTH
    story.happens(ev.Assigned("kim", "kim"))
    assert updates(story) == BOTH, "taken over"
    story.happens(ev.Noted("kim", "looking"))
    assert updates(story) == []
    story.until(story.incident.acknowledged_until or 0)
    all_three = [BOTH[0], ("kim", 0, story.page_of("kim", 0, PageKind.REMINDER).id), BOTH[1]]
    assert [t.person for t in story.told if t.kind is PageKind.UPDATE][-3:] == ["kim", "kim", "lee"], "the acknowledgement ended"
    story.happens(ev.Resolved("choi"))
    assert updates(story) == all_three
    story.happens(ev.Reopened("choi"))
    assert updates(story) == all_three


def test_contacts_that_are_not_edited_get_no_update_and_those_get_the_closing_note_as_well() -> None:
    story = chat()
    story.happens(ev.Resolved("choi"))
    kinds = sorted((p.person, p.contact, p.kind) for p in story.pending())
    assert kinds == [
        ("kim", 0, PageKind.RESOLVED),
        ("kim", 0, PageKind.UPDATE),
        ("lee", 0, PageKind.RESOLVED),
        ("lee", 0, PageKind.UPDATE),
    ]


def test_a_newer_update_takes_the_place_of_one_that_was_not_sent() -> None:
    story = chat()
    story.down |= {"kim", "lee"}
    story.happens(ev.Acknowledged("lee"))
    story.happens(ev.Resolved("lee"))
    waiting = [p for p in story.pending("kim") if p.kind is PageKind.UPDATE]
    assert [p.step for p in waiting] == [story.incident.steps - 1]


def test_an_update_that_cannot_be_sent_is_given_up_and_wakes_nobody() -> None:
    story = chat()
    story.down |= {"kim", "lee"}
    story.happens(ev.Acknowledged("choi"))
    for _ in range(FAILING_AFTER):
        page = story.page_of("kim", 0, PageKind.UPDATE)
        story.now = max(story.now, page.due_at)
        story.happens(ev.PageUnreachable(page.id, "503", ambiguous=False))
    assert story.reasons[-1] is Reason.PAGE_GIVEN_UP
    assert {p.kind for p in story.pending()} == {PageKind.UPDATE}


def test_a_snooze_withdraws_pages_and_not_what_the_messages_say() -> None:
    story = chat()
    story.down |= {"kim", "lee"}
    story.happens(ev.Acknowledged("choi", MINUTE))
    story.happens(ev.Snoozed("choi", MINUTE))
    assert [p.kind for p in story.pending("kim")] == [PageKind.UPDATE]


def test_a_page_over_the_same_contact_does_not_take_the_place_of_an_update() -> None:
    story = Story(make_rules(ladder=replace(LADDER, repeat_last_ms=MINUTE), contacts={"jeong": (Contact("slack:U1"),)}))
    story.opens(1)
    story.until(NIGHT + 2 * HOUR)
    story.down.add("jeong")
    story.happens(ev.Acknowledged("kim", MINUTE))
    story.after(3 * MINUTE)
    assert story.reasons[-1] is Reason.LAST_RUNG_REPEATED
    assert sorted(p.kind for p in story.pending("jeong")) == [PageKind.PAGE, PageKind.UPDATE]


def test_a_message_that_went_out_while_it_was_taken_is_brought_up_to_date() -> None:
    story = Story(make_rules(contacts=CHAT))
    story.opens(1)
    page = story.page_of("kim")
    story.happens(ev.Acknowledged("lee"))
    assert updates(story) == []
    story.happens(ev.PageSent(page.id, "ts1"))
    assert updates(story) == [("kim", 0, page.id)]


def test_the_first_message_of_a_contact_is_not_forgotten_over_many_repeats() -> None:
    story = Story(make_rules(ladder=replace(LADDER, repeat_last_ms=MINUTE), contacts={"jeong": (Contact("slack:U1"),)}))
    story.opens(1)
    story.until(NIGHT + 2 * HOUR - 1)
    story.down.add("jeong")
    story.after(1)
    first = story.page_of("jeong")
    story.happens(ev.PageSent(first.id, "ts1"))
    story.down.clear()
    story.after(3 * HOUR)
    assert len(story.incident.pages) <= PAGES_KEPT_MAX + 10
    story.happens(ev.Acknowledged("kim"))
    assert updates(story)[0] == ("jeong", 0, first.id)


def paged_often(times: int) -> Story:
    """jeong holds the last rung, reads a chat, and is paged again every minute."""
    story = Story(make_rules(ladder=replace(LADDER, repeat_last_ms=MINUTE), contacts={"jeong": (Contact("slack:U1"),)}))
    story.opens(1)
    story.until(NIGHT + 2 * HOUR - 1)
    for count in range(times):
        story.down.add("jeong")
        story.until(NIGHT + 2 * HOUR + count * MINUTE)
        story.happens(ev.PageSent(story.page_of("jeong").id, f"ts{count}"))
    return story


def test_who_was_paged_again_sees_in_every_message_that_somebody_took_it() -> None:
    story = paged_often(3)
    messages = [p.id for p in story.incident.pages if p.person == "jeong"]
    story.down.clear()
    story.happens(ev.Acknowledged("kim"))
    waiting = story.pending("jeong")
    assert [page.edits for page in waiting] == messages
    assert len({page.id for page in waiting}) == 3
    rung = story.people_told()
    assert updates(story) == [("jeong", 0, message) for message in messages]
    story.happens(ev.Resolved("kim"))
    assert updates(story) == [("jeong", 0, message) for message in messages], "and the closing note is not one of them"
    assert story.people_told() == rung, "nothing rings"


def test_of_many_messages_the_first_and_the_newest_are_changed() -> None:
    story = paged_often(LATER_EDITED_MAX + 3)
    messages = [p.id for p in story.incident.pages if p.person == "jeong"]
    story.happens(ev.Acknowledged("kim"))
    assert [page.edits for page in story.pending("jeong")] == [messages[0], *messages[-LATER_EDITED_MAX:]]


def test_pages_that_went_out_in_one_message_change_it_once() -> None:
    story = Story(make_rules(contacts={"kim": (Contact("slack:U1"),)}))
    story.opens(1)
    story.happens(ev.PageSent(story.page_of("kim").id, "ts1"))
    story.happens(ev.Acknowledged("kim"))
    story.down.add("kim")
    story.after(25 * MINUTE)
    story.happens(ev.PageSent(story.page_of("kim", 0, PageKind.REMINDER).id, "ts1"))
    story.happens(ev.Resolved("kim"))
    assert [page.edits for page in story.pending("kim") if page.kind is PageKind.UPDATE] == ["INC-1.0.kim.0"]


def test_a_change_that_was_under_way_when_a_newer_one_took_its_place_is_made_again_for_its_message_alone() -> None:
    story = paged_often(2)
    first, second = [p.id for p in story.incident.pages if p.person == "jeong"]
    story.happens(ev.Acknowledged("kim"))
    stale = story.pending("jeong")[0]
    story.happens(ev.Resolved("kim"))
    story.happens(ev.PageSent(stale.id, "ts0"))
    assert sorted(page.edits for page in story.pending("jeong") if page.kind is PageKind.UPDATE) == [first, second]
