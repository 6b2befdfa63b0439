"""What people press in Slack, from the button to the incident in a real store, over the socket and as signed requests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from notifier.answers import Answers
from notifier.channels.outcome import Sent
from notifier.channels.slack import SlackChannel
from notifier.channels.slack_answers import is_signed
from notifier.message import PageMessage
from tests.fakes.chatserver import Told
from tests.fakes.proxy import Proxy
from tests.fakes.slack import Slack, SlackMessage
from tests.services.chats import answers_of, listening, opened, page_about, with_contacts
from tests.services.world import NOW, World
from tocsin.policy.accounts import SlackAccount
from tocsin.policy.model import State

TOKEN, APP_TOKEN, SECRET = "xoxb-very-secret", "xapp-very-secret", "sign-very-secret"
ACCOUNT = "slack: {token: 'xoxb-very-secret'}"
NOW_S = NOW // 1000


@pytest.fixture
async def slack(world: World) -> AsyncIterator[Slack]:
    world.write_rules(edit=with_contacts(ACCOUNT, kim="slack:U100", lee="slack:U200", max="slack:D300"))
    async with Slack(TOKEN, app_token=APP_TOKEN, signing_secret=SECRET) as server:
        server.people |= {"U100": "Kim", "U200": "Lee", "U300": "Max", "U6666": "Mallory"}
        server.channels.add("C9")
        yield server


def channel_at(slack: Slack, answers: Answers, *, app_token: str = "", secret: str = "") -> SlackChannel:
    account = SlackAccount(TOKEN, app_token, secret, slack.api_url)
    return SlackChannel(account, wall_clock=lambda: NOW, answers=answers, pause_s=0.05)


@asynccontextmanager
async def on_socket(slack: Slack, answers: Answers) -> AsyncIterator[SlackChannel]:
    channel = channel_at(slack, answers, app_token=APP_TOKEN)
    before = slack.opened
    async with listening(channel):
        await slack.connected(before + 1)
        yield channel
    await channel.close()


@asynccontextmanager
async def on_requests(slack: Slack, answers: Answers, secret: str = SECRET) -> AsyncIterator[tuple[SlackChannel, str]]:
    """The channel behind a listener of its own, and the address to give Slack."""
    channel = channel_at(slack, answers, secret=secret)
    app = web.Application()
    app.router.add_route("*", "/callbacks/slack", channel.callback)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield channel, f"http://127.0.0.1:{runner.addresses[0][1]}/callbacks/slack"
    await runner.cleanup()
    await channel.close()


async def sent(slack: Slack, channel: SlackChannel, page: PageMessage, to: str = "U100") -> SlackMessage:
    outcome = await channel.send(f"slack:{to}", page)
    assert isinstance(outcome, Sent), outcome
    return slack.messages[-1]


async def holder_of(world: World, number: int) -> str | None:
    incident = await world.console.load(number)
    assert incident is not None
    return incident.acknowledged_by


# --- over the socket ------------------------------------------------------------------------------------------------------------------


async def test_the_button_takes_the_incident_for_who_pressed_and_says_so_in_the_message(world: World, slack: Slack) -> None:
    [incident] = await opened(world, "A")
    async with on_socket(slack, await answers_of(world)) as channel:
        message = await sent(slack, channel, page_about(incident))
        assert message.labels == ["Take it", "Open"]
        assert await slack.press(message, "Take it", by="U100")
        assert await holder_of(world, incident.number) == "kim", "taken before Slack was answered"
        await slack.edited(message)
        assert "Kim" in message.state
        assert message.labels == ["Resolve", "Open"]
        assert await slack.press(message, "Resolve", by="U100")
        await slack.edited(message, 2)
        assert message.labels == ["Open"]
    assert (await world.incident()).state is State.RESOLVED


async def test_pressing_twice_is_no_fault(world: World, slack: Slack) -> None:
    [incident] = await opened(world, "A")
    async with on_socket(slack, await answers_of(world)) as channel:
        message = await sent(slack, channel, page_about(incident))
        pressed = slack.pressed(message, message.button("Take it"), by="U100")
        assert await slack.send_envelope("interactive", pressed)
        version = (await world.incident()).version
        assert await slack.send_envelope("interactive", pressed)
        await slack.edited(message, 2)
    assert (await world.incident()).version == version


async def test_in_a_channel_the_press_counts_for_who_pressed(world: World, slack: Slack) -> None:
    [incident] = await opened(world, "A")
    async with on_socket(slack, await answers_of(world)) as channel:
        message = await sent(slack, channel, page_about(incident), to="C9")
        assert await slack.press(message, "Take it", by="U200")
    assert await holder_of(world, incident.number) == "lee"


async def test_a_stranger_changes_nothing_and_is_told_why_alone(world: World, slack: Slack) -> None:
    [incident] = await opened(world, "A")
    async with on_socket(slack, await answers_of(world)) as channel:
        message = await sent(slack, channel, page_about(incident), to="C9")
        assert await slack.press(message, "Take it", by="U6666")
        whisper = await slack.whisper(1)
    assert whisper["user"] == "U6666"
    assert "slack:U6666" in whisper["text"]
    assert await holder_of(world, incident.number) is None
    assert message.edits == 0


async def test_a_person_known_by_the_conversation_alone_may_answer_there_and_nowhere_else(world: World, slack: Slack) -> None:
    [incident] = await opened(world, "A")
    async with on_socket(slack, await answers_of(world)) as channel:
        message = await sent(slack, channel, page_about(incident, person="max"), to="D300")
        value = message.button("Take it")["value"]
        assert await slack.send_envelope("interactive", slack.pressed(message, {"action_id": "take", "value": value}, by="U6666"))
        assert await holder_of(world, incident.number) == "max", "the conversation is max's contact, whoever Slack says its member is"
        shared = await sent(slack, channel, page_about(incident), to="C9")
        assert await slack.send_envelope("interactive", slack.pressed(shared, {"action_id": "take", "value": value}, by="U6666"))
        await slack.whisper(1)
    assert (await world.incident()).acknowledged_by == "max"


@pytest.mark.parametrize("value", ["", "!t1", "!t1.AAAAAAAAAAAAAAAAAAAAAAAAAAA", "INC-1", "é", 7, None])
async def test_a_value_that_we_did_not_sign_does_nothing(world: World, slack: Slack, value: object) -> None:
    [incident] = await opened(world, "A")
    async with on_socket(slack, await answers_of(world)) as channel:
        message = await sent(slack, channel, page_about(incident))
        pressed = slack.pressed(message, {"action_id": "take", "value": value}, by="U100")
        assert await slack.send_envelope("interactive", pressed), "answered all the same"
    assert await holder_of(world, incident.number) is None


@pytest.mark.parametrize("payload", [{}, {"type": "view_submission"}, {"type": "block_actions", "actions": []}, {"actions": "x"}])
async def test_what_is_no_press_is_answered_and_left_alone(world: World, slack: Slack, payload: dict[str, object]) -> None:
    async with on_socket(slack, await answers_of(world)):
        assert await slack.send_envelope("interactive", payload)
        assert await slack.send_envelope("slash_commands", payload)


async def test_one_button_takes_a_whole_bundle(world: World, slack: Slack) -> None:
    incidents = await opened(world, *(f"A{number}" for number in range(40)))
    async with on_socket(slack, await answers_of(world)) as channel:
        message = await sent(slack, channel, page_about(*incidents))
        assert await slack.press(message, "Take all 40", by="U100")
        await slack.edited(message)
        assert {incident.acknowledged_by for incident in await world.incidents()} == {"kim"}
        assert message.labels == ["Resolve", "Open"]


async def test_while_the_store_is_away_slack_is_not_told_that_it_worked(world: World, slack: Slack, shared_url: str) -> None:
    [incident] = await opened(world, "A")
    async with Proxy(shared_url) as proxy:
        deps = await world.deps("notifier", proxy.url)
        async with on_socket(slack, Answers(deps, await deps.store.signing_key())) as channel:
            message = await sent(slack, channel, page_about(incident))
            proxy.go_away()
            pressed = slack.pressed(message, message.button("Take it"), by="U100")
            assert not await slack.send_envelope("interactive", pressed, limit_s=1.0)
            assert message.edits == 0
            proxy.come_back()
            assert await slack.press(message, "Take it", by="U100")
    assert await holder_of(world, incident.number) == "kim"


async def test_a_socket_that_slack_closes_is_opened_again(world: World, slack: Slack) -> None:
    [incident] = await opened(world, "A")
    async with on_socket(slack, await answers_of(world)) as channel:
        message = await sent(slack, channel, page_about(incident))
        await slack.sockets[-1].send_json({"type": "disconnect", "reason": "refresh_requested"})
        await slack.connected(2)
        assert await slack.press(message, "Take it", by="U100")
    assert await holder_of(world, incident.number) == "kim"


async def test_a_socket_that_is_refused_is_tried_again_and_shows_no_secret(world: World, slack: Slack) -> None:
    slack.told["apps.connections.open"] += [
        Told(body={"ok": False, "error": "invalid_auth"}),
        Told(status=429, body={"ok": False, "error": "ratelimited"}, headers={"Retry-After": "0"}),
        Told(body={"ok": True}),
        Told(body={"ok": True, "url": f"ws://127.0.0.1:{slack.port}/link?ticket=very-secret-and-used-up"}),
    ]
    channel = channel_at(slack, await answers_of(world), app_token=APP_TOKEN)
    with capture_logs() as logs:
        async with listening(channel):
            await slack.connected()
    await channel.close()
    assert len(slack.of("apps.connections.open")) == 5
    assert any("invalid_auth" in str(line) for line in logs)
    assert "very-secret" not in str(logs)


# --- as signed requests -----------------------------------------------------------------------------------------------------------------


async def test_a_signed_request_takes_the_incident(world: World, slack: Slack) -> None:
    [incident] = await opened(world, "A")
    async with on_requests(slack, await answers_of(world)) as (channel, url):
        message = await sent(slack, channel, page_about(incident))
        assert await slack.press_over_http(url, message, "Take it", by="U100", at_s=NOW_S - 299) == 200
        assert await holder_of(world, incident.number) == "kim"
        await slack.edited(message)
        assert "Kim" in message.state


@pytest.mark.parametrize(("secret", "late_s"), [("another", 0), ("", 0), (None, 301), (None, -301)])
async def test_a_request_that_slack_did_not_sign_or_not_now_does_nothing(
    world: World, slack: Slack, secret: str | None, late_s: int
) -> None:
    [incident] = await opened(world, "A")
    async with on_requests(slack, await answers_of(world)) as (channel, url):
        message = await sent(slack, channel, page_about(incident))
        assert await slack.press_over_http(url, message, "Take it", by="U100", at_s=NOW_S - late_s, secret=secret) == 401
    assert await holder_of(world, incident.number) is None


@pytest.mark.parametrize("raw", [b"", b"payload", b"payload=", b"payload=[]", b"payload=%7B", b"\xff\xfe=1", b"a=1&" * 50])
async def test_a_signed_request_that_says_nothing_is_answered(world: World, slack: Slack, raw: bytes) -> None:
    async with on_requests(slack, await answers_of(world)) as (_, url):
        assert await slack.request(url, raw, at_s=NOW_S) == 200


@pytest.mark.parametrize("stamp", ["", "soon", "9" * 400, "-1", "٣"])
async def test_an_odd_time_stamp_is_no_signature(stamp: str) -> None:
    assert not is_signed(SECRET, {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": "v0=é"}, b"", NOW_S)


async def test_without_a_signing_secret_no_request_is_taken(world: World, slack: Slack) -> None:
    async with on_requests(slack, await answers_of(world), secret="") as (_, url):
        assert await slack.request(url, b"payload=%7B%7D", at_s=NOW_S, secret="") == 404


async def test_getting_the_address_does_nothing(world: World, slack: Slack) -> None:
    async with (
        on_requests(slack, await answers_of(world)) as (_, url),
        aiohttp.ClientSession() as session,
        session.get(url) as response,
    ):
        assert response.status == 405


async def test_while_the_store_is_away_the_request_is_refused_and_may_be_repeated(world: World, slack: Slack, shared_url: str) -> None:
    [incident] = await opened(world, "A")
    async with Proxy(shared_url) as proxy:
        deps = await world.deps("notifier", proxy.url)
        async with on_requests(slack, Answers(deps, await deps.store.signing_key())) as (channel, url):
            message = await sent(slack, channel, page_about(incident))
            proxy.go_away()
            assert await slack.press_over_http(url, message, "Take it", by="U100", at_s=NOW_S) == 503
            proxy.come_back()
            assert await slack.press_over_http(url, message, "Take it", by="U100", at_s=NOW_S) == 200
    assert await holder_of(world, incident.number) == "kim"


async def test_a_press_whose_message_cannot_be_changed_still_counts(world: World, slack: Slack) -> None:
    [incident] = await opened(world, "A")
    slack.told["chat.update"].append(Told(body={"ok": False, "error": "cant_update_message"}))
    async with on_requests(slack, await answers_of(world)) as (channel, url):
        message = await sent(slack, channel, page_about(incident))
        assert await slack.press_over_http(url, message, "Take it", by="U100", at_s=NOW_S) == 200
        await slack.call("chat.update", 1)
    assert await holder_of(world, incident.number) == "kim"
