"""The telegram contacts, against a stand-in of the Bot API on a real socket. Answers: tests/services/test_telegram_answers.py."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from notifier.channels.outcome import Refused, Sent, Unreachable
from notifier.channels.telegram import TelegramChannel
from notifier.message import PageMessage
from tests.fakes.chatserver import Told
from tests.fakes.telegram import Telegram
from tests.notifier.chatpages import HOSTILE, LINK, NOW_MS, PAGE, bundle, taken, view
from tocsin.policy.accounts import TelegramAccount
from tocsin.policy.model import PageKind

TOKEN = "123:very-secret"
KIM = 7


@pytest.fixture
async def telegram() -> AsyncIterator[Telegram]:
    async with Telegram(TOKEN) as server:
        server.people[KIM] = "Kim"
        yield server


@pytest.fixture
async def channel(telegram: Telegram) -> AsyncIterator[TelegramChannel]:
    channel = channel_at(telegram)
    yield channel
    await channel.close()


def channel_at(telegram: Telegram, *, token: str = TOKEN, limit_s: float = 5.0) -> TelegramChannel:
    return TelegramChannel(TelegramAccount(token, telegram.url), wall_clock=lambda: NOW_MS, total_limit_s=limit_s)


def receipt_of(outcome: object) -> str:
    assert isinstance(outcome, Sent), outcome
    assert outcome.receipt
    assert not outcome.confirms
    return outcome.receipt


async def test_a_page_is_a_message_that_says_what_is_broken_and_links_to_it(telegram: Telegram, channel: TelegramChannel) -> None:
    receipt = receipt_of(await channel.send("telegram:7", PAGE))
    message = await telegram.message(1)
    assert receipt == f"7/{message.id}"
    assert "INC-42" in message.text.splitlines()[0]
    assert "Errors 38%" in message.text
    assert message.button("Open") == {"text": "Open", "url": LINK}
    call = await telegram.call("sendMessage", 1)
    assert call.body["link_preview_options"] == {"is_disabled": True}
    assert "parse_mode" not in call.body


async def test_a_group_is_not_given_the_link_that_acts_for_one_person(telegram: Telegram, channel: TelegramChannel) -> None:
    telegram.people[-100] = "a group"
    await channel.send("telegram:-100", PAGE)
    message = await telegram.message(1)
    assert message.button("Open")["url"] == PAGE.incident.url
    assert LINK not in str((await telegram.call("sendMessage", 1)).body)


async def test_an_update_changes_the_message_and_rings_nobody(telegram: Telegram, channel: TelegramChannel) -> None:
    receipt = receipt_of(await channel.send("telegram:7", PAGE))
    assert receipt_of(await channel.send("telegram:7", taken(PAGE, receipt))) == receipt
    assert len(telegram.messages) == 1
    assert "Lee" in telegram.messages[0].text
    assert telegram.messages[0].edits == 1


async def test_an_update_that_changes_nothing_is_no_fault(telegram: Telegram, channel: TelegramChannel) -> None:
    receipt = receipt_of(await channel.send("telegram:7", PAGE))
    update = taken(PAGE, receipt)
    assert receipt_of(await channel.send("telegram:7", update)) == receipt
    assert receipt_of(await channel.send("telegram:7", update)) == receipt
    assert telegram.messages[0].edits == 1


async def test_an_update_of_a_message_that_is_gone_is_refused(telegram: Telegram, channel: TelegramChannel) -> None:
    outcome = await channel.send("telegram:7", taken(PAGE, "7/4711"))
    assert outcome == Refused(f"127.0.0.1:{telegram.port} answered 400: message to edit not found")
    assert isinstance(await channel.send("telegram:7", taken(PAGE, "nonsense")), Refused)


async def test_a_later_page_rings_again_under_the_first_and_brings_that_up_to_date(telegram: Telegram, channel: TelegramChannel) -> None:
    receipt = receipt_of(await channel.send("telegram:7", PAGE))
    later = replace(PAGE, kind=PageKind.REOPENED, thread=receipt, incident=view(title="Errors 50%"))
    assert receipt_of(await channel.send("telegram:7", later)) != receipt
    first, second = telegram.messages
    assert second.reply_to == first.id
    assert second.text.startswith("Reopened")
    assert "Errors 50%" in first.text
    assert "Reopened" not in first.text


async def test_only_the_closing_note_is_silent(telegram: Telegram, channel: TelegramChannel) -> None:
    for kind in (PageKind.PAGE, PageKind.REMINDER, PageKind.RESOLVED):
        receipt_of(await channel.send("telegram:7", replace(PAGE, kind=kind)))
    assert [call.body["disable_notification"] for call in telegram.of("sendMessage")] == [False, False, True]


async def test_a_page_goes_out_although_the_message_it_answers_was_deleted(telegram: Telegram, channel: TelegramChannel) -> None:
    receipt_of(await channel.send("telegram:7", replace(PAGE, thread="7/4711")))
    assert (await telegram.message(1)).reply_to is None


async def test_a_page_that_went_out_is_sent_whatever_becomes_of_the_first_message(telegram: Telegram, channel: TelegramChannel) -> None:
    receipt = receipt_of(await channel.send("telegram:7", PAGE))
    telegram.told["editMessageText"].append(Told(status=500, body={"ok": False}))
    receipt_of(await channel.send("telegram:7", replace(PAGE, thread=receipt)))


async def test_a_link_that_telegram_does_not_take_stands_in_the_text(telegram: Telegram, channel: TelegramChannel) -> None:
    local = "http://localhost:9096/a/TOKEN"
    receipt_of(await channel.send("telegram:7", replace(PAGE, acknowledge_url=local)))
    message = await telegram.message(1)
    assert local in message.text
    assert message.labels == []


async def test_hostile_text_stays_plain_and_cannot_pretend_to_be_our_last_line(telegram: Telegram, channel: TelegramChannel) -> None:
    receipt_of(await channel.send("telegram:7", replace(PAGE, incident=view(title=HOSTILE), told=(HOSTILE,), holder=HOSTILE)))
    text = (await telegram.message(1)).text
    assert "\u202e" not in text
    assert "\x00" not in text
    assert "\n\n" not in text.rpartition("\n\n")[0]
    assert "@here" not in text
    call = await telegram.call("sendMessage", 1)
    assert not {"parse_mode", "entities"} & set(call.body)


async def test_a_bundle_is_changed_one_incident_at_a_time(telegram: Telegram, channel: TelegramChannel) -> None:
    page = bundle(42, 43)
    receipt = receipt_of(await channel.send("telegram:7", page))
    one = replace(taken(PAGE, receipt), incident=view(42, state="acknowledged"))
    assert receipt_of(await channel.send("telegram:7", one)) == receipt
    text = telegram.messages[0].text
    assert "INC-43" in text.splitlines()[0], "what is still open comes first"
    assert "Lee" not in text
    two = replace(taken(PAGE, receipt), incident=view(43, state="acknowledged"), numbers=(43,))
    assert receipt_of(await channel.send("telegram:7", two)) == receipt
    assert "Lee" in telegram.messages[0].text


async def test_a_bundle_that_another_notifier_sent_is_left_as_it_is(telegram: Telegram, channel: TelegramChannel) -> None:
    receipt = receipt_of(await channel.send("telegram:7", bundle(42, 43)))
    other = channel_at(telegram)
    assert receipt_of(await other.send("telegram:7", taken(PAGE, receipt))) == receipt
    await other.close()
    assert telegram.messages[0].edits == 0


# --- faults ---------------------------------------------------------------------------------------------------------------------------


async def test_without_an_account_every_page_is_refused_with_that_reason() -> None:
    channel = TelegramChannel(None, wall_clock=lambda: NOW_MS)
    assert await channel.send("telegram:7", PAGE) == Refused("no Telegram account is set: channels.telegram")
    await channel.listen()
    await channel.close()


async def test_a_chat_that_is_not_there_and_one_that_blocked_us_are_refused(telegram: Telegram, channel: TelegramChannel) -> None:
    assert await channel.send("telegram:8", PAGE) == Refused(f"127.0.0.1:{telegram.port} answered 400: chat not found")
    telegram.blocked.add(KIM)
    assert await channel.send("telegram:7", PAGE) == Refused(f"127.0.0.1:{telegram.port} answered 403: bot was blocked by the user")


async def test_a_refusal_that_repeats_what_we_sent_is_not_repeated_in_the_reason(telegram: Telegram, channel: TelegramChannel) -> None:
    said = {"ok": False, "error_code": 400, "description": f"Bad Request: cannot parse {LINK}"}
    telegram.told["sendMessage"].append(Told(status=400, body=said))
    assert await channel.send("telegram:7", PAGE) == Refused(f"127.0.0.1:{telegram.port} answered 400")


async def test_a_wrong_token_is_refused_and_shown_nowhere(telegram: Telegram) -> None:
    channel = channel_at(telegram, token="999:other-secret")
    with capture_logs() as logs:
        outcome = await channel.send("telegram:7", PAGE)
    await channel.close()
    assert outcome == Refused(f"127.0.0.1:{telegram.port} answered 401: the bot's token is not accepted")
    assert "other-secret" not in str(logs) + repr(channel.__dict__)


@pytest.mark.parametrize("where", ["body", "header"])
async def test_too_many_requests_wait_as_long_as_telegram_says(telegram: Telegram, channel: TelegramChannel, where: str) -> None:
    body = {"ok": False, "error_code": 429, "description": "Too Many Requests: retry after 17"}
    told = {
        "body": Told(status=429, body=body | {"parameters": {"retry_after": 17}}),
        "header": Told(status=429, body=b"slow down", headers={"Retry-After": "17"}),
    }
    telegram.told["sendMessage"].append(told[where])
    outcome = await channel.send("telegram:7", PAGE)
    assert outcome == Unreachable(f"127.0.0.1:{telegram.port} answered 429", ambiguous=False, retry_after_s=17.0)


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_fault_of_telegrams_may_have_delivered(telegram: Telegram, channel: TelegramChannel, status: int) -> None:
    telegram.told["sendMessage"].append(Told(status=status, body=b"<html>Bad Gateway</html>"))
    outcome = await channel.send("telegram:7", PAGE)
    assert outcome == Unreachable(f"127.0.0.1:{telegram.port} answered {status}", ambiguous=True)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"ok":', b'{"ok": false}'])
async def test_a_2xx_without_a_result_may_have_delivered(telegram: Telegram, channel: TelegramChannel, body: bytes) -> None:
    telegram.told["sendMessage"].append(Told(body=body))
    outcome = await channel.send("telegram:7", PAGE)
    assert isinstance(outcome, Unreachable)
    assert outcome.ambiguous


async def test_a_connection_cut_after_the_message_was_taken_may_have_delivered(telegram: Telegram, channel: TelegramChannel) -> None:
    telegram.told["sendMessage"].append(Told(cut=True))
    outcome = await channel.send("telegram:7", PAGE)
    assert isinstance(outcome, Unreachable)
    assert outcome.ambiguous
    assert TOKEN not in outcome.reason
    assert len(telegram.messages) == 1


async def test_an_answer_that_stalls_ends_at_the_limit_and_one_in_single_bytes_is_understood(telegram: Telegram) -> None:
    channel = channel_at(telegram, limit_s=0.3)
    telegram.told["sendMessage"].append(Told(stall=True))
    assert await channel.send("telegram:7", PAGE) == Unreachable(f"no answer from 127.0.0.1:{telegram.port} within 0.3 s", ambiguous=True)
    await channel.close()
    patient = channel_at(telegram)
    telegram.told["sendMessage"].append(Told(bytewise=True))
    receipt_of(await patient.send("telegram:7", PAGE))
    await patient.close()


async def test_a_silent_server_is_given_up_at_the_limit(telegram: Telegram) -> None:
    channel = channel_at(telegram, limit_s=0.2)
    release = asyncio.Event()
    telegram.told["sendMessage"].append(Told(hold=release))
    outcome = await channel.send("telegram:7", PAGE)
    release.set()
    await channel.close()
    assert isinstance(outcome, Unreachable)
    assert outcome.ambiguous


async def test_a_server_that_is_down_certainly_did_not_get_the_page(telegram: Telegram, channel: TelegramChannel) -> None:
    await telegram.stop()
    outcome = await channel.send("telegram:7", PAGE)
    assert isinstance(outcome, Unreachable)
    assert not outcome.ambiguous
    assert TOKEN not in outcome.reason


@pytest.mark.parametrize("locale", ["en", "ko", "zh"])
async def test_the_longest_page_fits_into_a_message(telegram: Telegram, channel: TelegramChannel, locale: str) -> None:
    views = tuple(view(number, title="장애" * 500) for number in range(1, 101))
    page: PageMessage = replace(PAGE, locale=locale, incident=views[0], others=views, numbers=tuple(range(1, 101)), told=("x" * 500,) * 50)
    receipt_of(await channel.send("telegram:7", page))
