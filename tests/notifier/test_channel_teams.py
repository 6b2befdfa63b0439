"""Workflows of Teams, against a stand-in that takes what they take. What holds for every web address is in test_channel_http.py."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from notifier.channels import Outcome, Refused, Sent, Unreachable
from notifier.channels.http import json_bytes
from notifier.channels.teams import MESSAGE_BYTES_MAX, TeamsChannel, teams_message
from tests.fakes.hooks import Teams
from tests.notifier.pages import EVIL, HOSTILE, MANY, NOW_MS, PAGE, RESOLVED


@pytest.fixture
async def workflow() -> AsyncIterator[Teams]:
    async with Teams(wall_clock=lambda: NOW_MS) as workflow:
        yield workflow


@pytest.fixture
async def channel() -> AsyncIterator[TeamsChannel]:
    channel = TeamsChannel(wall_clock=lambda: NOW_MS)
    yield channel
    await channel.close()


async def test_a_page_is_a_card_with_links_for_buttons(workflow: Teams, channel: TeamsChannel) -> None:
    assert await channel.send(workflow.contact(), PAGE) == Sent("HTTP 202")
    message = workflow.taken[0].body
    card = message["attachments"][0]["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert "INC-42" in card["body"][0]["inlines"][0]["text"]
    assert card["body"][0]["inlines"][0]["color"] == "attention"
    assert [(action["type"], action["url"]) for action in card["actions"]] == [
        ("Action.OpenUrl", PAGE.acknowledge_url),
        ("Action.OpenUrl", PAGE.incident.url),
    ]
    assert len(message["summary"]) <= 150


async def test_what_is_over_is_green_and_only_opens(workflow: Teams, channel: TeamsChannel) -> None:
    await channel.send(workflow.contact(), RESOLVED)
    card = workflow.taken[0].body["attachments"][0]["content"]
    assert card["body"][0]["inlines"][0]["color"] == "good"
    assert [action["url"] for action in card["actions"]] == [PAGE.incident.url]


async def test_the_name_of_the_run_is_the_receipt(workflow: Teams, channel: TeamsChannel) -> None:
    workflow.tell(status=202, body=b"", headers={"X-Ms-Workflow-Run-Id": "08584"})
    assert await channel.send(workflow.contact(), PAGE) == Sent("08584")


async def test_no_text_of_a_stranger_stands_where_markdown_is_read(workflow: Teams, channel: TeamsChannel) -> None:
    await channel.send(workflow.contact(), HOSTILE)
    types = [kind for kind, text in _texts(workflow.taken[0].body["attachments"][0]["content"]["body"]) if "evil" in text or "**" in text]
    assert types
    assert set(types) == {"TextRun"}


def _texts(value: Any) -> list[tuple[str, str]]:
    """Every text of a card with the type of the element that it stands in."""
    if isinstance(value, dict):
        found = [(value.get("type", ""), text) for text in value.values() if isinstance(text, str)]
        return found + [each for inner in value.values() for each in _texts(inner)]
    return [each for inner in value for each in _texts(inner)] if isinstance(value, list) else []


@pytest.mark.parametrize("title", ["disk full", EVIL, "가" * 20_000, "\\" * 20_000])
def test_no_card_is_longer_than_teams_takes(title: str) -> None:
    person = replace(HOSTILE, told=tuple(title for _ in range(200)), others=MANY.others, numbers=MANY.numbers)
    for page in (person, replace(person, incident=replace(PAGE.incident, title=title))):
        assert len(json_bytes(teams_message(page))) <= MESSAGE_BYTES_MAX


async def test_a_signature_that_is_not_valid_is_a_refusal(workflow: Teams, channel: TeamsChannel) -> None:
    assert await channel.send(workflow.contact().replace("sig=", "sig=x"), PAGE) == Refused(f"{workflow.where} answered 401")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"1", Sent("HTTP 200")),
        (
            b"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId tcid=0",
            Unreachable("{} answered 200, but Teams 429", ambiguous=False, retry_after_s=60.0),
        ),
        (
            b"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 413 with ContextId tcid=0",
            Refused("{} answered 200, but Teams 413"),
        ),
        (
            b"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 502",
            Unreachable("{} answered 200, but Teams 502", ambiguous=True),
        ),
        (b"Webhook Message Delivery Failed.", Unreachable("{} answered 200, but Teams failed", ambiguous=True)),
    ],
)
async def test_an_old_connector_that_says_failed_with_200_is_believed(
    workflow: Teams, channel: TeamsChannel, text: bytes, expected: Outcome
) -> None:
    workflow.tell(body=text)
    if not isinstance(expected, Sent):
        expected = replace(expected, reason=expected.reason.format(workflow.where))
    assert await channel.send(workflow.contact(), PAGE) == expected
