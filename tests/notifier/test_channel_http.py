"""What holds for every channel that posts to a provider's web address, and the sender that they share; against real servers."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from notifier.channels import Channel, Channels, ChannelsConfig, Refused, Sent, Unreachable
from notifier.channels.http import HttpAnswer, HttpSender, judged
from notifier.message import PageMessage
from tests.fakes.hooks import Dingtalk, Feishu, Hook, Ntfy, Teams, Wecom
from tests.fakes.receiver import Answer, Receiver
from tests.notifier.pages import HOSTILE, MANY, NOW_MS, PAGE, RESOLVED, TOKEN

HIDDEN = ("hidden", "SEC1", TOKEN)


@pytest.fixture(params=[Teams, Ntfy, Dingtalk, Wecom, Feishu], ids=lambda made: made.scheme)
async def hook(request: pytest.FixtureRequest) -> AsyncIterator[Hook]:
    made: Callable[..., Hook] = request.param
    async with made(wall_clock=lambda: NOW_MS, secret="SEC1") as hook:
        yield hook


@pytest.fixture
async def channel(hook: Hook) -> AsyncIterator[Channel]:
    channels = Channels(ChannelsConfig(wall_clock=lambda: NOW_MS, secrets={hook.contact(): "SEC1"}))
    channel = channels.for_contact(hook.contact())
    assert channel is not None
    assert channel.name == hook.scheme
    yield channel
    await channels.close()


async def test_a_page_is_taken(hook: Hook, channel: Channel) -> None:
    outcome = await channel.send(hook.contact(), PAGE)
    assert isinstance(outcome, Sent)
    (post,) = hook.taken
    text = post.raw.decode()
    assert "INC-42" in text
    assert "38%" in text
    assert PAGE.acknowledge_url in text


async def test_what_is_over_is_told_and_asks_for_no_answer(hook: Hook, channel: Channel) -> None:
    assert isinstance(await channel.send(hook.contact(), RESOLVED), Sent)
    assert "Take it" not in hook.taken[0].raw.decode()


@pytest.mark.parametrize("page", [HOSTILE, MANY], ids=["hostile", "a hundred incidents"])
async def test_no_page_is_too_strange_or_too_long(hook: Hook, channel: Channel, page: PageMessage) -> None:
    assert isinstance(await channel.send(hook.contact(), page), Sent)
    assert PAGE.acknowledge_url in hook.taken[0].raw.decode()


async def test_no_text_of_a_stranger_becomes_a_header(hook: Hook, channel: Channel) -> None:
    await channel.send(hook.contact(), HOSTILE)
    assert "X-Evil" not in hook.posts[0].headers


async def test_a_provider_that_is_busy_says_when(hook: Hook, channel: Channel) -> None:
    hook.tell(status=429, headers={"Retry-After": "17"})
    assert await channel.send(hook.contact(), PAGE) == Unreachable(f"{hook.where} answered 429", ambiguous=False, retry_after_s=17.0)


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_fault_of_the_provider_is_ambiguous(hook: Hook, channel: Channel, status: int) -> None:
    hook.tell(status=status, body=b"<html>hidden</html>")
    assert await channel.send(hook.contact(), PAGE) == Unreachable(f"{hook.where} answered {status}", ambiguous=True)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_what_the_provider_will_never_take_is_a_refusal(hook: Hook, channel: Channel, status: int) -> None:
    hook.tell(status=status, body=b"no")
    assert await channel.send(hook.contact(), PAGE) == Refused(f"{hook.where} answered {status}")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(hook: Hook, channel: Channel, status: int) -> None:
    hook.tell(status=status, body=b"", headers={"Location": f"http://{hook.where}/elsewhere"})
    assert isinstance(await channel.send(hook.contact(), PAGE), Refused)
    assert len(hook.posts) == 1


async def test_an_answer_that_comes_byte_by_byte_is_understood(hook: Hook, channel: Channel) -> None:
    hook.tell(**_says_something(hook), bytewise=True)
    assert isinstance(await channel.send(hook.contact(), PAGE), Sent)


async def test_a_connection_cut_before_the_answer_is_ambiguous(hook: Hook, channel: Channel) -> None:
    hook.tell(cut=True)
    outcome = await channel.send(hook.contact(), PAGE)
    assert isinstance(outcome, Unreachable)
    assert outcome.ambiguous
    assert len(hook.posts) == 1


async def test_a_provider_that_is_down_certainly_did_not_get_it(hook: Hook, channel: Channel) -> None:
    await hook.stop()
    outcome = await channel.send(hook.contact(), PAGE)
    assert isinstance(outcome, Unreachable)
    assert not outcome.ambiguous


async def test_tls_that_fails_is_definite(hook: Hook, channel: Channel) -> None:
    outcome = await channel.send(hook.contact().replace("+http:", "+https:"), PAGE)
    assert isinstance(outcome, Unreachable)
    assert not outcome.ambiguous


@pytest.mark.parametrize("half", [True, False], ids=["half an answer", "no answer"])
async def test_an_answer_that_does_not_end_is_given_up_in_time(hook: Hook, half: bool) -> None:
    config = ChannelsConfig(wall_clock=lambda: NOW_MS, secrets={hook.contact(): "SEC1"}, send_limit_s=0.3)
    channels = Channels(config)
    channel = channels.for_contact(hook.contact())
    assert channel is not None
    if half:
        hook.tell(**_says_something(hook), stall=True)
    else:
        hook.tell(hold=asyncio.Event())
    outcome = await channel.send(hook.contact(), PAGE)
    await channels.close()
    assert outcome == Unreachable(f"no answer from {hook.where} within 0.3 s", ambiguous=True)


def _says_something(hook: Hook) -> dict[str, object]:
    """A workflow usually answers with nothing, which cannot come in parts."""
    return {"status": 202, "body": {"run": "08585"}} if isinstance(hook, Teams) else {}


async def test_the_proxy_of_the_environment_is_not_used(hook: Hook, channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9/")
    assert isinstance(await channel.send(hook.contact(), PAGE), Sent)


async def test_no_reason_holds_a_secret(hook: Hook, channel: Channel) -> None:
    reasons: list[str] = []
    leak = {"errcode": 1, "code": 1, "errmsg": f"no such robot {hook.path} SEC1", "msg": f"{hook.path}", "error": hook.path}
    for told in ({"status": 400, "body": leak}, {"status": 200, "body": leak}, {"status": 500, "body": leak}, {"cut": True}):
        hook.tell(**told)
        outcome = await channel.send(hook.contact(), PAGE)
        reasons += [] if isinstance(outcome, Sent) else [outcome.reason]
    await hook.stop()
    for to in (hook.contact(), f"{hook.scheme}+http://hidden-token@[::1/hidden", f"{hook.scheme}+http://nowhere.invalid/hidden?key=hidden"):
        outcome = await channel.send(to, PAGE)
        assert not isinstance(outcome, Sent)
        reasons.append(outcome.reason)
    assert len(reasons) >= 6
    assert not [reason for reason in reasons for hidden in HIDDEN if hidden in reason]


# --- the sender -------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(monotonic=lambda: 0.0) as receiver:
        yield receiver


@pytest.fixture
async def sender() -> AsyncIterator[HttpSender]:
    sender = HttpSender(wall_clock=lambda: NOW_MS, total_limit_s=5.0)
    yield sender
    await sender.close()


async def test_an_answer_is_given_whole_whatever_its_status(receiver: Receiver, sender: HttpSender) -> None:
    receiver.answers += [
        Answer(status=403, body=b'{"ok": false}', headers={"X-Run": "7", "Retry-After": "3"}),
        Answer(body=b"[1]"),
        Answer(body=b"[" * 60_000),
    ]
    url = f"http://127.0.0.1:{receiver.port}/hidden"
    answer = await sender.post_json(url, {"text": "결제\ud800"})
    assert isinstance(answer, HttpAnswer)
    assert (answer.status, answer.json(), answer.pause_s, answer.headers["x-run"]) == (403, {"ok": False}, 3.0, "7")
    assert receiver.pages[0].raw == '{"text":"결제?"}'.encode()
    for _ in range(2):
        answer = await sender.post_json(url, {}, whole=True)
        assert isinstance(answer, HttpAnswer)
        assert answer.json() is None


async def test_a_status_stands_when_the_rest_of_its_answer_does_not_come(receiver: Receiver, sender: HttpSender) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nhalf")
        writer.close()

    server = await asyncio.start_server(half, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    answer = await sender.call("POST", url, whole=True)
    server.close()
    assert isinstance(answer, HttpAnswer)
    assert (answer.status, answer.body) == (503, b"half")


async def test_a_call_may_have_a_limit_of_its_own(receiver: Receiver, sender: HttpSender) -> None:
    receiver.otherwise = Answer(hold=asyncio.Event())
    answer = await sender.post_json(f"http://127.0.0.1:{receiver.port}/", {}, limit_s=0.2)
    assert answer == Unreachable(f"no answer from 127.0.0.1:{receiver.port} within 0.2 s", ambiguous=True)


@pytest.mark.parametrize("url", ["", "http://", "ftp://127.0.0.1/", "http://h:99999/", "mailto:kim@example.com", "http://[::1/"])
async def test_what_is_no_web_address_is_refused(sender: HttpSender, url: str) -> None:
    assert judged(await sender.call("POST", url)) == Refused("the address is not a URL")


def test_neither_body_nor_headers_are_printed() -> None:
    assert "hidden" not in repr(HttpAnswer("h:443", 200, b"hidden", None, {"X": "hidden"}))
