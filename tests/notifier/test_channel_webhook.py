"""The webhook contacts, against a real HTTP server."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from notifier.channels import Channels, ChannelsConfig, Outcome, Refused, Sent, Unreachable
from notifier.channels.http import ANSWER_BYTES_MAX, retry_after_s
from notifier.channels.webhook import WebhookChannel
from notifier.message import IncidentView, PageMessage, RungView, page_body
from tests.fakes.receiver import Answer, Receiver
from tocsin.policy.model import PageKind

NOW_MS = 1_795_370_047_500
PAGE = PageMessage(
    page_id="INC-42.1.kim.0",
    kind=PageKind.PAGE,
    attempt=1,
    incident=IncidentView(
        id="INC-42",
        title="결제 오류 38%",
        severity=1,
        service="payments",
        state="open",
        opened_at=1_795_370_047_000,
        firing=3,
        resolved=0,
        labels={"cluster": "a"},
        url="https://tocsin.example.com/incidents/INC-42",
        runbook=None,
    ),
    others=(),
    rung=RungView(after="30m", role="customer-service-engineer", index=1),
    person="kim",
    person_name="김민수",
    time_zone="Asia/Seoul",
    locale="ko",
    late_by_s=0.0,
    told=(),
    next_rung=None,
    acknowledge_url="https://tocsin.example.com/a/TOKEN",
)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(monotonic=lambda: 0.0) as receiver:
        yield receiver


@pytest.fixture
async def channel() -> AsyncIterator[WebhookChannel]:
    channel = WebhookChannel(wall_clock=lambda: NOW_MS, secrets={})
    yield channel
    await channel.close()


async def test_a_page_is_posted_as_the_contract_says(receiver: Receiver, channel: WebhookChannel) -> None:
    assert await channel.send(receiver.contact("/kim?x=1"), PAGE) == Sent(receipt="HTTP 200")
    page = await receiver.page(1)
    assert page.path == "/kim"
    assert page.body == page_body(PAGE)
    assert page.headers["Content-Type"] == "application/json"
    assert page.headers["Idempotency-Key"] == "INC-42.1.kim.0"
    assert "Tocsin-Signature" not in page.headers


async def test_a_contact_with_a_secret_gets_a_signature_it_can_check(receiver: Receiver) -> None:
    contact = receiver.contact("/kim")
    channels = Channels(ChannelsConfig(wall_clock=lambda: NOW_MS, secrets={contact: "열쇠"}))
    for to in (contact, receiver.contact("/park")):
        channel = channels.for_contact(to)
        assert channel is not None
        await channel.send(to, PAGE)
    await channels.close()
    signed, unsigned = receiver.pages
    t, v1 = (part.partition("=")[2] for part in signed.headers["Tocsin-Signature"].split(","))
    assert t == "1795370047"
    assert v1 == hmac.new("열쇠".encode(), t.encode() + b"." + signed.raw, hashlib.sha256).hexdigest()
    assert "Tocsin-Signature" not in unsigned.headers


async def test_the_configuration_never_prints_a_secret() -> None:
    assert "hush" not in repr(ChannelsConfig(wall_clock=lambda: 0, secrets={"webhook+http://h/": "hush"}))


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_every_2xx_is_delivered(receiver: Receiver, channel: WebhookChannel, status: int) -> None:
    receiver.answers.append(Answer(status=status, body=b""))
    assert await channel.send(receiver.contact(), PAGE) == Sent(receipt=f"HTTP {status}")


@pytest.mark.parametrize(("status", "ambiguous"), [(408, False), (429, False), (500, True), (503, True), (599, True)])
async def test_what_may_pass_is_tried_again(receiver: Receiver, channel: WebhookChannel, status: int, ambiguous: bool) -> None:
    receiver.answers.append(Answer(status=status, headers={"Retry-After": "17"}))
    outcome = await channel.send(receiver.contact(), PAGE)
    assert outcome == Unreachable(f"127.0.0.1:{receiver.port} answered {status}", ambiguous, retry_after_s=17.0)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 422, 425])
async def test_any_other_4xx_is_a_refusal_for_good(receiver: Receiver, channel: WebhookChannel, status: int) -> None:
    receiver.answers.append(Answer(status=status))
    outcome = await channel.send(receiver.contact("/secret-path"), PAGE)
    assert outcome == Refused(f"127.0.0.1:{receiver.port} answered {status}")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed(receiver: Receiver, channel: WebhookChannel, status: int) -> None:
    receiver.answers.append(Answer(status=status, headers={"Location": f"http://127.0.0.1:{receiver.port}/inside"}))
    assert isinstance(await channel.send(receiver.contact(), PAGE), Refused)
    assert len(receiver.pages) == 1


@pytest.mark.parametrize(
    ("value", "expected_s"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("9" * 400, 3600.0),
        ("1e3", None),
        ("٣", None),
        ("Sun, 22 Nov 2026 17:55:07 GMT", 60.0),
        ("Sun, 22 Nov 2026 17:55:07 -0000", 60.0),
        ("Sun, 22 Nov 2026 10:00:00 GMT", 0.0),
        ("Tue, 22 Nov 2033 10:00:00 GMT", 3600.0),
        ("Sun, 99 Nov 2026 17:55:07 GMT", None),
        ("Sun, 22 Nov 99999999999 17:55:07 GMT", None),
    ],
)
def test_retry_after_is_read_and_clamped_to_an_hour(value: str | None, expected_s: float | None) -> None:
    assert retry_after_s(value, now_ms=1_795_370_047_000) == expected_s


async def test_a_receiver_that_is_down_certainly_did_not_get_the_page(channel: WebhookChannel) -> None:
    receiver = Receiver(monotonic=lambda: 0.0)
    await receiver.start()
    await receiver.stop()
    outcome = await channel.send(receiver.contact("/hidden"), PAGE)
    assert isinstance(outcome, Unreachable)
    assert not outcome.ambiguous
    assert f"127.0.0.1:{receiver.port}" in outcome.reason
    assert "hidden" not in outcome.reason


async def test_a_name_that_does_not_exist_is_not_ambiguous(channel: WebhookChannel) -> None:
    outcome = await channel.send("webhook+http://nowhere.invalid/x", PAGE)
    assert isinstance(outcome, Unreachable)
    assert not outcome.ambiguous


async def test_a_failed_tls_handshake_is_not_ambiguous(receiver: Receiver, channel: WebhookChannel) -> None:
    outcome = await channel.send(f"webhook+https://127.0.0.1:{receiver.port}/x", PAGE)
    assert isinstance(outcome, Unreachable)
    assert not outcome.ambiguous
    assert not receiver.pages


async def test_a_connection_cut_after_the_request_left_is_ambiguous(receiver: Receiver, channel: WebhookChannel) -> None:
    receiver.answers.append(Answer(cut=True))
    outcome = await channel.send(receiver.contact("/hidden"), PAGE)
    assert isinstance(outcome, Unreachable)
    assert outcome.ambiguous
    assert "hidden" not in outcome.reason
    assert len(receiver.pages) == 1


async def test_no_answer_within_the_limit_is_ambiguous(receiver: Receiver) -> None:
    channel = WebhookChannel(wall_clock=lambda: NOW_MS, secrets={}, total_limit_s=0.2)
    receiver.otherwise = Answer(hold=asyncio.Event())
    outcome = await channel.send(receiver.contact(), PAGE)
    await channel.close()
    assert outcome == Unreachable(f"no answer from 127.0.0.1:{receiver.port} within 0.2 s", ambiguous=True)


async def test_a_connection_that_is_never_made_is_not_ambiguous() -> None:
    asked = asyncio.Event()

    async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked.wait()
        writer.close()

    server = await asyncio.start_server(keep_silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    channel = WebhookChannel(wall_clock=lambda: NOW_MS, secrets={}, connect_limit_s=0.2)
    outcome = await channel.send(f"webhook+https://127.0.0.1:{port}/", PAGE)  # the TLS handshake is never answered
    asked.set()
    server.close()
    await channel.close()
    assert isinstance(outcome, Unreachable)
    assert not outcome.ambiguous


async def test_what_is_not_http_is_ambiguous(channel: WebhookChannel) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example.com ESMTP\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    outcome = await channel.send(f"webhook+http://127.0.0.1:{port}/", PAGE)
    server.close()
    assert isinstance(outcome, Unreachable)
    assert outcome.ambiguous


async def test_an_answer_that_comes_byte_by_byte_is_understood(receiver: Receiver, channel: WebhookChannel) -> None:
    receiver.answers.append(Answer(status=202, body=b'{"ok": true}', byte_by_byte=True))
    assert await channel.send(receiver.contact(), PAGE) == Sent(receipt="HTTP 202")


async def test_an_endless_answer_is_not_read_to_its_end(receiver: Receiver, channel: WebhookChannel) -> None:
    receiver.answers.append(Answer(body=b"x" * (64 * ANSWER_BYTES_MAX)))
    assert await channel.send(receiver.contact(), PAGE) == Sent(receipt="HTTP 200")
    assert await channel.send(receiver.contact(), PAGE) == Sent(receipt="HTTP 200")
    first, second = receiver.pages
    assert first.peer_port != second.peer_port


async def test_a_connection_is_kept_for_the_next_page(receiver: Receiver, channel: WebhookChannel) -> None:
    for _ in range(3):
        await channel.send(receiver.contact(), PAGE)
    assert len({page.peer_port for page in receiver.pages}) == 1


async def test_a_kept_connection_that_the_receiver_closed_loses_no_page(receiver: Receiver, channel: WebhookChannel) -> None:
    assert isinstance(await channel.send(receiver.contact(), PAGE), Sent)
    await receiver.stop()
    await receiver.start()
    outcome: Outcome = await channel.send(receiver.contact(), PAGE)
    if isinstance(outcome, Unreachable):  # the close had not been seen yet: said, and tried again
        outcome = await channel.send(receiver.contact(), PAGE)
    assert isinstance(outcome, Sent)
    assert receiver.copies() == {"INC-42.1.kim.0": 2}


@pytest.mark.parametrize(
    "to",
    ["webhook+http://", "webhook+https:///x", "webhook+http://h:99999/", "webhook+http://[::1/", "webhook+ftp://h/"],
)
async def test_an_address_that_is_no_url_is_refused(channel: WebhookChannel, to: str) -> None:
    assert await channel.send(to, PAGE) == Refused("the address is not a URL")


async def test_a_page_id_no_header_can_carry_is_escaped(receiver: Receiver, channel: WebhookChannel) -> None:
    assert isinstance(await channel.send(receiver.contact(), replace(PAGE, page_id="INC-1.0.김\r\nX: y.0")), Sent)
    page = await receiver.page(1)
    assert page.key == "INC-1.0.%EA%B9%80%0D%0AX:%20y.0"
    assert "X" not in page.headers


async def test_the_proxy_of_the_environment_is_not_used(
    receiver: Receiver, channel: WebhookChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9/")
    assert isinstance(await channel.send(receiver.contact(), PAGE), Sent)


async def test_the_receiver_says_what_arrived_when_waiting_was_in_vain(receiver: Receiver, channel: WebhookChannel) -> None:
    await channel.send(receiver.contact("/kim"), PAGE)
    with pytest.raises(AssertionError, match=r"1 pages: /kim '.*INC-42"):
        await receiver.wait_for(lambda pages: len(pages) > 1, limit_s=0.05)
