"""The sms contacts over Twilio, against a stand-in on a real socket. Receipts and replies: tests/services/test_phone_answers.py."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from notifier.channels import Channels, ChannelsConfig
from notifier.channels.outcome import Refused, Sent, Unreachable
from notifier.channels.twilio import signature
from notifier.channels.twilio_sms import TwilioSmsChannel
from notifier.rendering.sms import encoding_of, segments
from tests.fakes.chatserver import Told
from tests.fakes.twilio import Twilio
from tests.notifier.pages import HOSTILE, NOW_MS, PAGE
from tocsin.policy.accounts import Accounts, TwilioAccount

SID, TOKEN = "AC" + "0" * 32, "very-secret-token"
TO = "sms:+821012345678"


@pytest.fixture
async def twilio() -> AsyncIterator[Twilio]:
    async with Twilio(SID, TOKEN) as server:
        yield server


@pytest.fixture
async def channel(twilio: Twilio) -> AsyncIterator[TwilioSmsChannel]:
    channel = channel_at(twilio)
    yield channel
    await channel.close()


def channel_at(twilio: Twilio, *, token: str = TOKEN, sender: str = "+15005550006", limit_s: float = 5.0) -> TwilioSmsChannel:
    account = TwilioAccount(SID, token, sender, twilio.url)
    return TwilioSmsChannel(account, wall_clock=lambda: NOW_MS, total_limit_s=limit_s, answers=None)


async def test_a_page_is_one_text_message_whose_sid_is_the_receipt(twilio: Twilio, channel: TwilioSmsChannel) -> None:
    outcome = await channel.send(TO, PAGE)
    message = await twilio.message(1)
    assert outcome == Sent(message.sid, confirms=False), "Twilio is told of no callback, so no receipt can come"
    assert message.form["To"] == "+821012345678"
    assert message.form["From"] == "+15005550006"
    assert message.form["ValidityPeriod"] == "900"
    assert "INC-42" in message.form["Body"]
    assert segments(message.form["Body"]) == 1
    assert "StatusCallback" not in message.form


async def test_nobody_is_asked_to_reply_where_no_reply_can_arrive(twilio: Twilio, channel: TwilioSmsChannel) -> None:
    await channel.send(TO, PAGE)
    assert "reply" not in (await twilio.message(1)).form["Body"]


async def test_a_number_in_china_gets_neither_link_nor_request_to_reply(twilio: Twilio, channel: TwilioSmsChannel) -> None:
    await channel.send("sms:+8613800138000", replace(PAGE, locale="zh"))
    body = (await twilio.message(1)).form["Body"]
    assert "example.com" not in body
    assert segments(body) == 1


async def test_a_messaging_service_sends_in_place_of_a_number(twilio: Twilio) -> None:
    channel = channel_at(twilio, sender="MG" + "1" * 32)
    await channel.send(TO, PAGE)
    await channel.close()
    form = (await twilio.message(1)).form
    assert form["MessagingServiceSid"] == "MG" + "1" * 32
    assert "From" not in form


@pytest.mark.parametrize("locale", ["en", "ko", "zh"])
async def test_hostile_text_is_one_harmless_segment(twilio: Twilio, channel: TwilioSmsChannel, locale: str) -> None:
    assert isinstance(await channel.send(TO, replace(HOSTILE, locale=locale)), Sent)
    body = (await twilio.message(1)).form["Body"]
    assert segments(body) == 1
    assert "INC-42" in body
    assert body.isprintable()
    assert encoding_of(body) in ("GSM-7", "UCS-2")


async def test_a_number_that_cannot_be_or_wants_no_more_is_refused_with_what_that_means(twilio: Twilio, channel: TwilioSmsChannel) -> None:
    twilio.unknown.add("+821012345678")
    where = f"127.0.0.1:{twilio.port}"
    assert await channel.send(TO, PAGE) == Refused(f"{where} answered 400, error 21211: the number is not valid")
    twilio.unknown.clear()
    twilio.opted_out.add("+821012345678")
    assert await channel.send(TO, PAGE) == Refused(f"{where} answered 400, error 21610: its owner has opted out by replying STOP")
    assert not twilio.created


async def test_a_wrong_token_is_refused_and_shown_nowhere(twilio: Twilio) -> None:
    channel = channel_at(twilio, token="other-secret")
    with capture_logs() as logs:
        outcome = await channel.send(TO, PAGE)
    await channel.close()
    assert outcome == Refused(f"127.0.0.1:{twilio.port} answered 401, error 20003: the account's sid or token is wrong")
    assert "other-secret" not in str(logs) + str(outcome) + repr(channel.__dict__)


@pytest.mark.parametrize(
    ("told", "pause_s"),
    [
        (Told(status=429, body={"code": 20429, "message": "Too Many Requests"}, headers={"Retry-After": "7"}), 7.0),
        (Told(status=429, body=b"slow down"), None),
        (Told(status=400, body={"code": 21611, "message": "queue full"}), 5.0),
        (Told(status=400, body={"code": 20429, "message": "?"}, headers={"Retry-After": "3"}), 3.0),
    ],
)
async def test_too_much_at_once_is_certainly_not_sent_and_waits_as_long_as_said(
    twilio: Twilio, channel: TwilioSmsChannel, told: Told, pause_s: float | None
) -> None:
    twilio.told["Messages"].append(told)
    outcome = await channel.send(TO, PAGE)
    assert isinstance(outcome, Unreachable)
    assert not outcome.ambiguous
    assert outcome.retry_after_s == pause_s


@pytest.mark.parametrize("status", [500, 503])
async def test_a_fault_of_twilios_may_have_sent(twilio: Twilio, channel: TwilioSmsChannel, status: int) -> None:
    twilio.told["Messages"].append(Told(status=status, body={"code": 20500}))
    assert await channel.send(TO, PAGE) == Unreachable(f"127.0.0.1:{twilio.port} answered {status}, error 20500", ambiguous=True)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"sid": 7}'])
async def test_a_2xx_without_a_sid_may_have_sent(twilio: Twilio, channel: TwilioSmsChannel, body: bytes) -> None:
    twilio.told["Messages"].append(Told(body=body))
    outcome = await channel.send(TO, PAGE)
    assert isinstance(outcome, Unreachable)
    assert outcome.ambiguous


async def test_a_connection_cut_after_the_request_left_may_have_sent(twilio: Twilio, channel: TwilioSmsChannel) -> None:
    twilio.told["Messages"].append(Told(cut=True))
    outcome = await channel.send(TO, PAGE)
    assert isinstance(outcome, Unreachable)
    assert outcome.ambiguous
    assert len(twilio.created) == 1


async def test_an_answer_in_single_bytes_is_understood_and_one_that_stalls_ends_at_the_limit(twilio: Twilio) -> None:
    channel = channel_at(twilio, limit_s=0.3)
    twilio.told["Messages"] += [Told(bytewise=True), Told(stall=True), Told(hold=asyncio.Event())]
    assert isinstance(await channel.send(TO, PAGE), Sent)
    for _ in range(2):
        outcome = await channel.send(TO, PAGE)
        assert outcome == Unreachable(f"no answer from 127.0.0.1:{twilio.port} within 0.3 s", ambiguous=True)
    await channel.close()


async def test_a_server_that_is_down_certainly_sent_nothing(twilio: Twilio, channel: TwilioSmsChannel) -> None:
    await twilio.stop()
    outcome = await channel.send(TO, PAGE)
    assert isinstance(outcome, Unreachable)
    assert not outcome.ambiguous
    assert SID not in outcome.reason
    assert TOKEN not in outcome.reason


async def test_the_rules_say_which_way_a_number_is_reached(twilio: Twilio) -> None:
    account = TwilioAccount(SID, TOKEN, "+15005550006", twilio.url)
    channels = Channels(ChannelsConfig(wall_clock=lambda: NOW_MS, accounts=Accounts(sms=account)))
    channel = channels.for_contact(TO)
    assert isinstance(channel, TwilioSmsChannel)
    assert channels.for_contact("tel:+821012345678") is None
    await channels.close()


def test_the_signature_is_that_of_twilios_own_examples() -> None:
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    caller = [("Caller", "+14158675310"), ("From", "+14158675310")]
    fields = [("To", "+18005551212"), ("Digits", "1234"), *caller, ("CallSid", "CA1234567890ABCDE")]
    assert signature("12345", url, fields) == "GvWf1cFY/Q7PnoempGyD5oXAezc="  # docs, "Webhooks security"
    repeated = [("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234"), ("Digits", "1234")]
    assert signature("12345", url, repeated) == "IK+Dwps556ElfBT0I3Rgjkr1wJU="  # the tests of their helper library
