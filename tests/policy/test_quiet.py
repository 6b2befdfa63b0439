"""People who want no page at certain times: what waits until when, what never does, and what the record says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.policy.world import DUTY, HOUR, LADDER, MINUTE, NIGHT, UNTIL_SEVEN, Story, firing, make_rules
from tocsin.policy import events as ev
from tocsin.policy.hours import Span, Window, is_open
from tocsin.policy.incident import Reason, open_incident
from tocsin.policy.ladder import FAILING_AFTER
from tocsin.policy.model import PageKind
from tocsin.policy.quiet import not_before, quiet_until
from tocsin.policy.rules import Person, Quiet

SEVEN = NIGHT + 5 * HOUR
"""Seven in the morning, when kim wants to hear of it; the stories begin at two."""


def quiet_kim(**changes: object) -> Story:
    return Story(make_rules(quiet={"kim": (UNTIL_SEVEN,)}, **changes))  # type: ignore[arg-type]


def test_a_page_that_falls_into_the_quiet_time_waits_until_it_ends() -> None:
    story = quiet_kim()
    decision = story.opens(3)
    assert decision.inputs["quiet_until"] == {"kim": SEVEN}
    story.until(SEVEN)
    assert [(at, who) for at, who in story.people_told() if who == "kim"] == [(300, "kim")]


def test_a_rung_whose_people_are_all_quiet_counts_as_paged_and_the_record_says_so() -> None:
    story = quiet_kim()
    assert story.opens(3).inputs["everybody_quiet"] is True
    assert story.incident.next_rung == 1
    story.until(NIGHT + 2 * HOUR)
    assert story.people_told() == [(120, "lee")], "the next rung keeps its own time"


def test_the_others_of_a_rung_are_not_affected() -> None:
    story = quiet_kim(holders={DUTY: ("kim", "choi")})
    decision = story.opens(3)
    assert decision.inputs["quiet_until"] == {"kim": SEVEN}
    assert "everybody_quiet" not in decision.inputs
    story.after(0)
    assert story.people_told() == [(0, "choi")]


@pytest.mark.parametrize("severity", [1, 2])
def test_what_is_graver_than_the_person_said_is_not_held(severity: int) -> None:
    story = quiet_kim()
    story.opens(severity)
    story.after(0)
    assert story.people_told() == [(0, "kim")]


def test_severity_1_is_never_held_even_if_the_rules_say_so() -> None:
    story = Story(make_rules(quiet={"kim": (Quiet(Window(), (1, 2, 3)),)}))
    story.opens(1)
    story.after(0)
    assert story.people_told() == [(0, "kim")]


def test_what_becomes_graver_is_paged_at_once_though_the_rung_counted_as_paged() -> None:
    story = quiet_kim()
    story.opens(3)
    story.after(10 * MINUTE)
    story.alerts(firing(1), joined=1)
    story.after(0)
    assert story.people_told() == [(10, "kim")]


def test_what_becomes_milder_waits_from_then_on() -> None:
    story = quiet_kim(contacts={"kim": (0, 30 * MINUTE)})
    story.opens(1)
    story.after(MINUTE)
    story.happens(ev.SeveritySet("lee", 3))
    story.until(SEVEN)
    assert [at for at, who in story.people_told() if who == "kim"] == [0, 300]


def test_the_contacts_keep_their_distances() -> None:
    story = quiet_kim(contacts={"kim": (0, 5 * MINUTE, 20 * MINUTE)})
    story.opens(3)
    assert [p.due_at for p in story.pending("kim")] == [SEVEN, SEVEN + 5 * MINUTE, SEVEN + 20 * MINUTE]


def test_a_contact_that_fails_brings_no_other_forward_into_the_quiet_time() -> None:
    story = quiet_kim(contacts={"kim": (0, 5 * MINUTE)})
    story.now = NIGHT - 4 * HOUR - MINUTE  # a minute before ten
    story.opens(3)
    story.now += 2 * MINUTE
    story.happens(ev.PageRefused(story.page_of("kim").id, "gone"))
    assert story.page_of("kim", 1).due_at == SEVEN


def test_a_retry_that_falls_into_the_quiet_time_waits() -> None:
    story = quiet_kim()
    story.now = NIGHT - 4 * HOUR - 1
    story.opens(3)
    story.happens(ev.PageUnreachable(story.page_of("kim").id, "503", ambiguous=False))
    assert story.page_of("kim").due_at == SEVEN


def test_it_fires_again_and_who_is_quiet_still_is() -> None:
    story = quiet_kim()
    story.opens(3)
    story.after(MINUTE).clears()
    story.after(MINUTE).fires_again(3)
    assert story.page_of("kim").due_at == SEVEN


def test_reminders_and_closing_notes_wait_too() -> None:
    story = quiet_kim()
    story.now = NIGHT - 5 * HOUR  # nine in the evening
    story.opens(3)
    story.after(0)
    story.happens(ev.Acknowledged("kim"))
    story.after(3 * HOUR)
    assert story.people_told(PageKind.REMINDER) == []
    story.happens(ev.Resolved("lee"))
    story.until(SEVEN)
    assert story.people_told(PageKind.RESOLVED) == [(300, "kim")]


def test_tests_and_notices_of_duty_are_not_held() -> None:
    rules = make_rules(quiet={"kim": (Quiet(UNTIL_SEVEN.window, (2, 3, 4)),)})
    told = ev.PersonTold(1, "handover:1", "web", "duty", ("kim",), PageKind.HANDOVER, "Your duty begins", "tocsin")
    for opening in (ev.TestRequested(1, "test:1", "web", "a test", "kim", 0, "kim"), told):
        story = Story(rules)
        story.keeps(open_incident(opening, NIGHT, rules))
        story.after(0)
        assert [t.at for t in story.told] == [NIGHT]


def test_a_repeat_does_not_pile_up_pages_behind_the_quiet_time() -> None:
    story = Story(make_rules(ladder=replace(LADDER, repeat_last_ms=MINUTE), quiet={"jeong": (UNTIL_SEVEN,)}))
    story.now = NIGHT - 9 * HOUR
    story.opens(3)
    story.until(NIGHT + HOUR)
    assert len(story.pending("jeong")) == 1
    assert story.page_of("jeong").due_at == SEVEN


def test_a_person_who_is_quiet_and_cannot_be_reached_in_the_morning_is_followed_by_the_next() -> None:
    story = quiet_kim(contacts={"kim": (0, 5 * MINUTE)})
    story.opens(3)
    story.until(SEVEN - 1)
    for _ in range(FAILING_AFTER):
        page = story.page_of("kim")
        story.now = max(story.now, page.due_at)
        story.happens(ev.PageUnreachable(page.id, "503", ambiguous=False))
    assert story.page_of("kim", 1).due_at <= story.now
    assert Reason.PAGE_RETRIED in story.reasons


def test_an_acknowledgement_withdraws_what_waits_for_the_morning() -> None:
    story = quiet_kim()
    story.opens(3)
    story.happens(ev.Acknowledged("lee"))
    story.until(NIGHT + 90 * MINUTE)
    assert story.outbox == {}


# --- the arithmetic ---


NIGHTLY = Window((), (Span(22 * HOUR, 31 * HOUR),))
WEEKEND = Window((5, 6))
EVENING = Window((), (Span(18 * HOUR, 22 * HOUR),))


def person(*windows: Window, zone: str = "Asia/Seoul") -> Person:
    return Person("kim", "Kim", "ko", zone, (), tuple(Quiet(window, (3,)) for window in windows))


def test_windows_that_follow_each_other_are_one_quiet_time() -> None:
    friday = NIGHT + 3 * 24 * HOUR + 17 * HOUR  # 2026-02-20T19:00
    assert quiet_until(person(NIGHTLY, WEEKEND, EVENING), 3, friday) == NIGHT + 6 * 24 * HOUR + 5 * HOUR


def test_a_quiet_time_that_never_ends_is_none() -> None:
    assert quiet_until(person(Window()), 3, NIGHT) is None
    assert not_before(person(Window()), 3, NIGHT) == NIGHT


@given(
    at=st.integers(NIGHT, NIGHT + 400 * 24 * HOUR),
    zone=st.sampled_from(["Asia/Seoul", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    windows=st.sets(st.sampled_from([NIGHTLY, WEEKEND, EVENING]), min_size=1),
)
def test_the_quiet_time_ends_at_the_first_instant_that_is_not_quiet(at: int, zone: str, windows: set[Window]) -> None:
    somebody = person(*windows, zone=zone)
    end = not_before(somebody, 3, at)
    assert end >= at
    assert not any(is_open(window, zone, end) for window in windows)
    assert end == at or any(is_open(window, zone, end - 1) for window in windows)
    assert end == at or any(is_open(window, zone, (at + end) // 2) for window in windows)
