"""The tel contacts over Twilio: how a call is asked for. Keys and what becomes of a call: tests/services/test_phone_answers.py."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from notifier.channels.outcome import Refused, Sent, Unreachable
from notifier.channels.twilio_voice import RING_S, TwilioVoiceChannel
from notifier.rendering.voice import voice_script
from tests.fakes.chatserver import Told
from tests.fakes.twilio import Twilio
from tests.notifier.pages import HOSTILE, NOW_MS, PAGE
from tocsin.policy.accounts import TwilioAccount

SID, TOKEN = "AC" + "0" * 32, "very-secret-token"
TO = "tel:+821012345678"


@pytest.fixture
async def twilio() -> AsyncIterator[Twilio]:
    async with Twilio(SID, TOKEN) as server:
        yield server


@pytest.fixture
async def channel(twilio: Twilio) -> AsyncIterator[TwilioVoiceChannel]:
    account = TwilioAccount(SID, TOKEN, "+15005550006", twilio.url)
    channel = TwilioVoiceChannel(account, wall_clock=lambda: NOW_MS, total_limit_s=5.0, answers=None)
    yield channel
    await channel.close()


async def test_a_page_is_a_call_that_carries_its_own_words(twilio: Twilio, channel: TwilioVoiceChannel) -> None:
    outcome = await channel.send(TO, PAGE)
    call = await twilio.phone_call(1)
    assert outcome == Sent(call.sid, confirms=False)
    assert call.form["To"] == "+821012345678"
    assert call.form["Timeout"] == str(RING_S)
    assert call.said.count(voice_script(PAGE).say) == 2
    assert "Url" not in call.form, "nothing of ours need be reached for the page to be heard"


async def test_no_key_is_offered_where_none_can_arrive(twilio: Twilio, channel: TwilioVoiceChannel) -> None:
    await channel.send(TO, PAGE)
    call = await twilio.phone_call(1)
    assert call.gather is None
    assert "Press" not in call.said
    assert not {"StatusCallback", "AsyncAmdStatusCallback", "MachineDetection"} & set(call.form)


@pytest.mark.parametrize(("locale", "language"), [("en", "en-US"), ("ko", "ko-KR"), ("zh", "zh-CN")])
async def test_a_call_speaks_the_language_of_who_is_called_and_hostile_words_stay_words(
    twilio: Twilio, channel: TwilioVoiceChannel, locale: str, language: str
) -> None:
    assert isinstance(await channel.send(TO, replace(HOSTILE, locale=locale)), Sent)
    call = await twilio.phone_call(1)
    assert {each.attrib["language"] for each in call.twiml.iter("Say")} == {language}
    assert {each.tag for each in call.twiml.iter()} == {"Response", "Say", "Pause"}


async def test_a_number_that_is_not_valid_is_refused_and_a_busy_account_waits(twilio: Twilio, channel: TwilioVoiceChannel) -> None:
    twilio.unknown.add("+821012345678")
    assert await channel.send(TO, PAGE) == Refused(f"127.0.0.1:{twilio.port} answered 400, error 21211: the number is not valid")
    twilio.told["Calls"].append(Told(status=429, body=twilio.error(429, 20429), headers={"Retry-After": "2"}))
    outcome = await channel.send(TO, PAGE)
    assert outcome == Unreachable(f"127.0.0.1:{twilio.port} answered 429, error 20429", ambiguous=False, retry_after_s=2.0)


async def test_a_connection_cut_after_the_request_left_may_have_called(twilio: Twilio, channel: TwilioVoiceChannel) -> None:
    twilio.told["Calls"].append(Told(cut=True))
    outcome = await channel.send(TO, PAGE)
    assert isinstance(outcome, Unreachable)
    assert outcome.ambiguous
