"""The slack contacts, against a stand-in of the Web API on a real socket. Answers: tests/services/test_slack_answers.py."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from notifier.channels.outcome import Refused, Sent, Unreachable
from notifier.channels.slack import SlackChannel
from tests.fakes.chatserver import Told
from tests.fakes.slack import Slack
from tests.notifier.chatpages import HOSTILE, LINK, NOW_MS, PAGE, bundle, taken, view
from tocsin.policy.accounts import SlackAccount
from tocsin.policy.model import PageKind

TOKEN = "xoxb-very-secret"


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    async with Slack(TOKEN) as server:
        server.people["U1"] = "Kim"
        server.channels.add("C9")
        yield server


@pytest.fixture
async def channel(slack: Slack) -> AsyncIterator[SlackChannel]:
    channel = channel_at(slack)
    yield channel
    await channel.close()


def channel_at(slack: Slack, *, token: str = TOKEN, limit_s: float = 5.0) -> SlackChannel:
    return SlackChannel(SlackAccount(token, api_url=slack.api_url), wall_clock=lambda: NOW_MS, total_limit_s=limit_s)


def receipt_of(outcome: object) -> str:
    assert isinstance(outcome, Sent), outcome
    assert outcome.receipt
    assert not outcome.confirms
    return outcome.receipt


async def test_a_page_is_a_message_to_the_member_that_says_what_is_broken(slack: Slack, channel: SlackChannel) -> None:
    receipt = receipt_of(await channel.send("slack:U1", PAGE))
    message = await slack.message(1)
    assert receipt == f"D1:{message.ts}", "the conversation's own id, with which the message can be changed"
    assert "INC-42" in message.head
    assert "Errors 38%" in message.head
    assert message.button("Open")["url"] == LINK
    assert 0 < len(message.text) <= 150, "the phone's banner"
    call = await slack.call("chat.postMessage", 1)
    assert call.body["channel"] == "U1"
    assert not call.body["unfurl_links"]
    assert not call.body["unfurl_media"]


async def test_a_channel_is_not_given_the_link_that_acts_for_one_person(slack: Slack, channel: SlackChannel) -> None:
    receipt_of(await channel.send("slack:C9", PAGE))
    assert (await slack.message(1)).button("Open")["url"] == PAGE.incident.url
    assert LINK not in str((await slack.call("chat.postMessage", 1)).body)


async def test_an_update_changes_the_message_and_posts_nothing(slack: Slack, channel: SlackChannel) -> None:
    receipt = receipt_of(await channel.send("slack:U1", PAGE))
    assert receipt_of(await channel.send("slack:U1", taken(PAGE, receipt))) == receipt
    assert receipt_of(await channel.send("slack:U1", taken(PAGE, receipt))) == receipt
    [message] = slack.messages
    assert "Lee" in message.state
    assert message.edits == 2


async def test_an_update_of_a_message_that_is_gone_is_refused(slack: Slack, channel: SlackChannel) -> None:
    outcome = await channel.send("slack:U1", taken(PAGE, "D1:1.2"))
    assert outcome == Refused(f"127.0.0.1:{slack.port} answered message_not_found")
    assert isinstance(await channel.send("slack:U1", taken(PAGE, "")), Refused)


@pytest.mark.parametrize(("kind", "rings"), [(PageKind.PAGE, True), (PageKind.REMINDER, True), (PageKind.RESOLVED, False)])
async def test_a_later_page_rings_in_the_thread_and_brings_the_first_up_to_date(
    slack: Slack, channel: SlackChannel, kind: PageKind, rings: bool
) -> None:
    receipt = receipt_of(await channel.send("slack:U1", PAGE))
    later = replace(PAGE, kind=kind, thread=receipt, incident=view(title="Errors 50%"))
    assert receipt_of(await channel.send("slack:U1", later)) != receipt
    first, second = slack.messages
    assert second.thread_ts == first.ts
    assert second.broadcast == rings
    assert second.channel == first.channel
    assert "Errors 50%" in first.head
    assert first.edits == 1


async def test_a_page_goes_out_although_its_thread_is_gone(slack: Slack, channel: SlackChannel) -> None:
    receipt_of(await channel.send("slack:U1", replace(PAGE, thread="D1:1.2")))
    assert (await slack.message(1)).thread_ts == ""


async def test_a_page_that_went_out_is_sent_whatever_becomes_of_the_first_message(slack: Slack, channel: SlackChannel) -> None:
    receipt = receipt_of(await channel.send("slack:U1", PAGE))
    slack.told["chat.update"].append(Told(status=500, body=b"x"))
    receipt_of(await channel.send("slack:U1", replace(PAGE, thread=receipt)))


async def test_a_page_whose_blocks_slack_does_not_take_goes_out_in_words(slack: Slack, channel: SlackChannel) -> None:
    slack.told["chat.postMessage"].append(Told(body={"ok": False, "error": "invalid_blocks"}))
    receipt_of(await channel.send("slack:U1", PAGE))
    message = await slack.message(1)
    assert "INC-42" in message.text
    assert LINK in message.text
    assert not message.blocks


async def test_hostile_text_calls_nobody_and_links_nowhere(slack: Slack, channel: SlackChannel) -> None:
    receipt_of(await channel.send("slack:U1", replace(PAGE, incident=view(title=HOSTILE), told=(HOSTILE,), holder=HOSTILE)))
    body = (await slack.call("chat.postMessage", 1)).body
    assert "<" not in str(body["blocks"]) + body["text"]
    assert "@here" not in str(body)
    assert "\u202e" not in str(body)
    texts = [block["text"] for block in body["blocks"] if "text" in block]
    assert {text["type"] for text in texts} == {"plain_text"}
    assert not any(text["emoji"] for text in texts)
    assert body["parse"] == "none"


@pytest.mark.parametrize("locale", ["en", "ko", "zh"])
async def test_the_longest_page_keeps_within_slacks_limits(slack: Slack, channel: SlackChannel, locale: str) -> None:
    views = tuple(view(number, title="&장애" * 500) for number in range(1, 101))
    page = replace(PAGE, locale=locale, incident=views[0], others=views, numbers=tuple(range(1, 101)), told=("<x>" * 500,) * 50)
    receipt_of(await channel.send("slack:U1", page))
    assert len(slack.messages[0].head.replace("&amp;", "&")) <= 120


async def test_a_bundle_is_changed_one_incident_at_a_time(slack: Slack, channel: SlackChannel) -> None:
    receipt = receipt_of(await channel.send("slack:U1", bundle(42, 43)))
    one = replace(taken(PAGE, receipt), incident=view(42, state="acknowledged"))
    assert receipt_of(await channel.send("slack:U1", one)) == receipt
    assert "INC-43" in slack.messages[0].head, "what is still open comes first"
    assert slack.messages[0].state == ""
    two = replace(taken(PAGE, receipt), incident=view(43, state="acknowledged"), numbers=(43,))
    assert receipt_of(await channel.send("slack:U1", two)) == receipt
    assert "Lee" in slack.messages[0].state


async def test_a_bundle_that_another_notifier_sent_is_left_as_it_is(slack: Slack, channel: SlackChannel) -> None:
    receipt = receipt_of(await channel.send("slack:U1", bundle(42, 43)))
    other = channel_at(slack)
    assert receipt_of(await other.send("slack:U1", taken(PAGE, receipt))) == receipt
    await other.close()
    assert slack.messages[0].edits == 0


# --- faults ---------------------------------------------------------------------------------------------------------------------------


async def test_without_an_account_every_page_is_refused_with_that_reason() -> None:
    channel = SlackChannel(None, wall_clock=lambda: NOW_MS)
    assert await channel.send("slack:U1", PAGE) == Refused("no Slack account is set: channels.slack")
    await channel.listen()
    await channel.close()


async def test_a_member_that_slack_does_not_know_is_refused(slack: Slack, channel: SlackChannel) -> None:
    assert await channel.send("slack:U404", PAGE) == Refused(f"127.0.0.1:{slack.port} answered channel_not_found")


async def test_a_wrong_token_is_refused_and_shown_nowhere(slack: Slack) -> None:
    channel = channel_at(slack, token="xoxb-other-secret")
    with capture_logs() as logs:
        outcome = await channel.send("slack:U1", PAGE)
    await channel.close()
    assert outcome == Refused(f"127.0.0.1:{slack.port} answered invalid_auth")
    assert "other-secret" not in str(logs) + repr(channel.__dict__)


@pytest.mark.parametrize(
    ("code", "ambiguous"),
    [("ratelimited", False), ("service_unavailable", False), ("internal_error", True), ("fatal_error", True)],
)
async def test_what_may_pass_is_tried_again(slack: Slack, channel: SlackChannel, code: str, ambiguous: bool) -> None:
    slack.told["chat.postMessage"].append(Told(body={"ok": False, "error": code}, headers={"Retry-After": "17"}))
    outcome = await channel.send("slack:U1", PAGE)
    assert outcome == Unreachable(f"127.0.0.1:{slack.port} answered {code}", ambiguous, retry_after_s=17.0)


@pytest.mark.parametrize("code", ["account_inactive", "not_in_channel", "is_archived", "missing_scope", "no_such_code_yet"])
async def test_any_other_error_is_a_refusal(slack: Slack, channel: SlackChannel, code: str) -> None:
    slack.told["chat.postMessage"].append(Told(body={"ok": False, "error": code}))
    assert await channel.send("slack:U1", PAGE) == Refused(f"127.0.0.1:{slack.port} answered {code}")


async def test_an_error_that_is_no_code_is_not_repeated(slack: Slack, channel: SlackChannel) -> None:
    slack.told["chat.postMessage"].append(Told(body={"ok": False, "error": f"see {LINK}"}))
    assert await channel.send("slack:U1", PAGE) == Refused(f"127.0.0.1:{slack.port} answered unknown_error")


@pytest.mark.parametrize("body", [b"", {"ok": False, "error": "ratelimited"}])
async def test_too_many_requests_wait_as_long_as_slack_says(slack: Slack, channel: SlackChannel, body: object) -> None:
    slack.told["chat.postMessage"].append(Told(status=429, body=body, headers={"Retry-After": "30"}))
    outcome = await channel.send("slack:U1", PAGE)
    assert isinstance(outcome, Unreachable)
    assert not outcome.ambiguous
    assert outcome.retry_after_s == 30.0


@pytest.mark.parametrize(("status", "ambiguous"), [(500, True), (503, True), (408, False)])
async def test_a_fault_of_slacks_is_judged_by_its_status(slack: Slack, channel: SlackChannel, status: int, ambiguous: bool) -> None:
    slack.told["chat.postMessage"].append(Told(status=status, body=b"<html>"))
    outcome = await channel.send("slack:U1", PAGE)
    assert outcome == Unreachable(f"127.0.0.1:{slack.port} answered {status}", ambiguous)


@pytest.mark.parametrize("status", [302, 400, 404])
async def test_a_server_that_is_not_slack_is_refused(slack: Slack, channel: SlackChannel, status: int) -> None:
    slack.told["chat.postMessage"].append(Told(status=status, body=b"x", headers={"Location": slack.api_url}))
    assert isinstance(await channel.send("slack:U1", PAGE), Refused)
    assert not slack.messages


@pytest.mark.parametrize("body", [b"", b"[]", b'{"ok":', b'{"ok": "yes"}'])
async def test_a_2xx_without_a_result_may_have_delivered(slack: Slack, channel: SlackChannel, body: bytes) -> None:
    slack.told["chat.postMessage"].append(Told(body=body))
    outcome = await channel.send("slack:U1", PAGE)
    assert isinstance(outcome, Unreachable)
    assert outcome.ambiguous


async def test_a_connection_cut_after_the_message_was_taken_may_have_delivered(slack: Slack, channel: SlackChannel) -> None:
    slack.told["chat.postMessage"].append(Told(cut=True))
    outcome = await channel.send("slack:U1", PAGE)
    assert isinstance(outcome, Unreachable)
    assert outcome.ambiguous
    assert len(slack.messages) == 1


async def test_an_answer_that_stalls_ends_at_the_limit_and_one_in_single_bytes_is_understood(slack: Slack) -> None:
    channel = channel_at(slack, limit_s=0.3)
    slack.told["chat.postMessage"].append(Told(stall=True))
    assert await channel.send("slack:U1", PAGE) == Unreachable(f"no answer from 127.0.0.1:{slack.port} within 0.3 s", ambiguous=True)
    await channel.close()
    patient = channel_at(slack)
    slack.told["chat.postMessage"].append(Told(bytewise=True))
    receipt_of(await patient.send("slack:U1", PAGE))
    await patient.close()


async def test_a_silent_server_is_given_up_at_the_limit(slack: Slack) -> None:
    channel = channel_at(slack, limit_s=0.2)
    release = asyncio.Event()
    slack.told["chat.postMessage"].append(Told(hold=release))
    outcome = await channel.send("slack:U1", PAGE)
    release.set()
    await channel.close()
    assert isinstance(outcome, Unreachable)
    assert outcome.ambiguous


async def test_a_server_that_is_down_certainly_did_not_get_the_page(slack: Slack, channel: SlackChannel) -> None:
    await slack.stop()
    outcome = await channel.send("slack:U1", PAGE)
    assert isinstance(outcome, Unreachable)
    assert not outcome.ambiguous
    assert TOKEN not in outcome.reason


def test_a_notifier_without_slack_does_not_load_its_library() -> None:
    code = "import sys, notifier.channels.slack; sys.exit(any(name.startswith('slack_sdk') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
