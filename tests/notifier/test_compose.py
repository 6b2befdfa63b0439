"""What a message is given beside its words: what an answer takes, which thread it belongs to, what it changes, who has it."""

from __future__ import annotations

from dataclasses import replace

from notifier.compose import DuePage, compose, urgency_of
from notifier.message import PageMessage
from tests.policy.world import MINUTE, NIGHT, Story, make_rules
from tocsin.policy.events import MONITORING, TIMER, Acknowledged, PageSent
from tocsin.policy.model import Incident, Page, PageKind
from tocsin.policy.rules import EMERGENCY_PERSON


def message(due: list[DuePage]) -> PageMessage:
    return compose(due, 1, NIGHT, make_rules(), external_url="https://tocsin.example.com", answer_token="token")


def opened() -> Story:
    story = Story()
    story.opens()
    return story


def first_page(incident: Incident) -> Page:
    return incident.pages[0]


def test_an_answer_takes_all_incidents_of_a_bundle_up_to_what_a_link_holds() -> None:
    incident = opened().incident
    many = [DuePage(first_page(incident), replace(incident, number=number)) for number in range(1, 31)]
    assert message(many[:3]).numbers == (1, 2, 3)
    assert message(many).numbers == tuple(range(1, 21))
    assert message(many).token == "token"
    assert len(message(many).others) == 30


def test_later_pages_about_an_incident_belong_to_the_thread_of_the_first_over_that_contact() -> None:
    story = opened()
    page = first_page(story.incident)
    assert message([DuePage(page, story.incident)]).thread == ""
    story.attempt(page, PageSent(page.id, "1700.1"))
    again = replace(page, id="later", step=9)
    assert message([DuePage(again, story.incident)]).thread == "1700.1"
    assert message([DuePage(replace(again, contact=5), story.incident)]).thread == "", "another contact has another thread"


def test_a_change_names_the_message_it_changes_and_who_has_it() -> None:
    story = opened()
    page = first_page(story.incident)
    story.attempt(page, PageSent(page.id, "1700.1"))
    story.after(MINUTE)
    story.happens(Acknowledged("lee"))
    update = replace(page, id="update", kind=PageKind.UPDATE, edits=page.id)
    found = message([DuePage(update, story.incident)])
    assert found.edits == "1700.1"
    assert (found.held_at, found.held_until) == (NIGHT + MINUTE, story.incident.acknowledged_until)
    assert found.holder == make_rules().people["lee"].name
    assert (found.ended_at, found.ended_by) == (None, "")


def test_what_is_over_by_itself_is_nobodys_deed() -> None:
    story = opened()
    page = replace(first_page(story.incident), kind=PageKind.RESOLVED)
    ended = [message([DuePage(page, replace(story.incident, resolved_by=by))]).ended_by for by in (MONITORING, TIMER, "lee")]
    assert ended == ["", "", make_rules().people["lee"].name]


def test_who_is_called_goes_before_tests_and_these_before_what_is_over() -> None:
    incident = opened().incident
    page = first_page(incident)
    kinds = [PageKind.PAGE, PageKind.TEST, PageKind.NOTICE, PageKind.RESOLVED, PageKind.UPDATE]
    assert [urgency_of(DuePage(replace(page, kind=kind), incident)) for kind in kinds] == [1, 4, 4, 5, 5]
    assert urgency_of(DuePage(replace(page, person=EMERGENCY_PERSON), replace(incident, severity=3))) == 1
