"""What people answer over Telegram, from the button on the phone to the incident in a real store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from notifier.answers import Answers
from notifier.channels.outcome import Sent
from notifier.channels.telegram import TelegramChannel
from notifier.message import PageMessage
from tests.fakes.chatserver import Told
from tests.fakes.proxy import Proxy
from tests.fakes.telegram import ChatMessage, Telegram
from tests.services.chats import answers_of, listening, opened, page_about, with_contacts
from tests.services.world import NOW, World, until_true
from tocsin.policy.accounts import TelegramAccount
from tocsin.policy.model import State

TOKEN = "123:very-secret"
KIM, LEE, STRANGER = 7, 8, 66
ACCOUNT = "telegram: {token: '123:very-secret'}"


@pytest.fixture
async def telegram(world: World) -> AsyncIterator[Telegram]:
    world.write_rules(edit=with_contacts(ACCOUNT, kim=f"telegram:{KIM}", lee=f"telegram:{LEE}"))
    async with Telegram(TOKEN) as server:
        server.people |= {KIM: "Kim", LEE: "Lee", STRANGER: "Mallory"}
        yield server


@asynccontextmanager
async def hearing(telegram: Telegram, answers: Answers) -> AsyncIterator[TelegramChannel]:
    channel = TelegramChannel(TelegramAccount(TOKEN, telegram.url), wall_clock=lambda: NOW, answers=answers, poll_s=5.0, pause_s=0.05)
    async with listening(channel):
        yield channel
    await channel.close()


async def sent(telegram: Telegram, channel: TelegramChannel, page: PageMessage, to: int = KIM) -> ChatMessage:
    outcome = await channel.send(f"telegram:{to}", page)
    assert isinstance(outcome, Sent), outcome
    return telegram.messages[-1]


async def state_of(world: World, number: int) -> tuple[State, str | None]:
    incident = await world.console.load(number)
    assert incident is not None
    return incident.state, incident.acknowledged_by


async def test_the_button_takes_the_incident_for_who_pressed_and_says_so_in_the_message(world: World, telegram: Telegram) -> None:
    [incident] = await opened(world, "A")
    async with hearing(telegram, await answers_of(world)) as channel:
        message = await sent(telegram, channel, page_about(incident))
        await telegram.press(message, "Take it", by=KIM)
        await telegram.edited(message)
    assert await state_of(world, incident.number) == (State.ACKNOWLEDGED, "kim")
    assert "Kim" in await telegram.toast(1)
    assert "Kim" in message.text.rpartition("\n\n")[2]
    assert message.labels == ["Resolve", "Open"]


async def test_pressing_twice_is_no_fault_and_the_second_button_resolves(world: World, telegram: Telegram) -> None:
    [incident] = await opened(world, "A")
    async with hearing(telegram, await answers_of(world)) as channel:
        message = await sent(telegram, channel, page_about(incident))
        data = message.button("Take it")["callback_data"]
        for _ in range(2):
            await telegram.press_data(message, data, by=KIM)
        await telegram.toast(2)
        version = (await world.incident()).version
        await telegram.press_data(message, data, by=KIM)
        await telegram.toast(3)
        assert (await world.incident()).version == version
        await telegram.press(message, "Resolve", by=KIM)
        await telegram.toast(4)
        await telegram.until(lambda: message.labels == ["Open"])
    assert (await world.incident()).state is State.RESOLVED


async def test_the_press_counts_for_who_pressed_and_not_for_whom_the_message_was(world: World, telegram: Telegram) -> None:
    [incident] = await opened(world, "A")
    telegram.people[-100] = "the team's group"
    async with hearing(telegram, await answers_of(world)) as channel:
        message = await sent(telegram, channel, page_about(incident), to=-100)
        await telegram.press(message, "Take it", by=LEE)
        await telegram.edited(message)
    assert await state_of(world, incident.number) == (State.ACKNOWLEDGED, "lee")


async def test_a_stranger_changes_nothing_and_is_told_why(world: World, telegram: Telegram) -> None:
    [incident] = await opened(world, "A")
    async with hearing(telegram, await answers_of(world)) as channel:
        message = await sent(telegram, channel, page_about(incident))
        await telegram.press(message, "Take it", by=STRANGER)
        assert "telegram:66" in await telegram.toast(1)
        await telegram.reply(message, "ack", by=STRANGER)
        assert "telegram:66" in (await telegram.message(2)).text
    assert await state_of(world, incident.number) == (State.OPEN, None)
    assert message.labels == ["Take it", "Open"]


@pytest.mark.parametrize("data", ["!t1.AAAAAAAAAAAAAAAAAAAAAAAAAAA", "!t1", "t", "x" * 64, "!t1k.é"])
async def test_data_that_we_did_not_sign_does_nothing(world: World, telegram: Telegram, data: str) -> None:
    [incident] = await opened(world, "A")
    async with hearing(telegram, await answers_of(world)) as channel:
        message = await sent(telegram, channel, page_about(incident))
        await telegram.press_data(message, data, by=KIM)
        assert await telegram.toast(1) == ""
    assert await state_of(world, incident.number) == (State.OPEN, None)


@pytest.mark.parametrize("word", ["ack", "Ack!", "확인", "认领", " ACK "])
async def test_a_reply_to_the_page_takes_it(world: World, telegram: Telegram, word: str) -> None:
    [incident] = await opened(world, "A")
    async with hearing(telegram, await answers_of(world)) as channel:
        message = await sent(telegram, channel, page_about(incident))
        await telegram.reply(message, word, by=KIM)
        await telegram.edited(message)
        assert "Kim" in (await telegram.message(2)).text
    assert await state_of(world, incident.number) == (State.ACKNOWLEDGED, "kim")


async def test_other_words_and_words_that_are_no_reply_are_left_alone(world: World, telegram: Telegram) -> None:
    [incident] = await opened(world, "A")
    async with hearing(telegram, await answers_of(world)) as channel:
        message = await sent(telegram, channel, page_about(incident))
        await telegram.reply(message, "who has this?", by=KIM)
        await telegram.write("ack", by=KIM, chat=KIM)
        await telegram.update({"message": {"chat": 3, "text": ["odd"]}})
        await telegram.update({"edited_channel_post": None})
        await telegram.until(lambda: not telegram.updates)
    assert len(telegram.messages) == 1
    assert await state_of(world, incident.number) == (State.OPEN, None)


async def test_who_starts_the_bot_is_told_the_contact_to_write_into_the_rules(world: World, telegram: Telegram) -> None:
    async with hearing(telegram, await answers_of(world)):
        await telegram.write("/start", by=KIM, chat=KIM)
        assert (await telegram.message(1)).text == "telegram:7"


@pytest.mark.parametrize("count", [5, 40])
async def test_one_button_takes_a_whole_bundle(world: World, telegram: Telegram, count: int) -> None:
    incidents = await opened(world, *(f"A{number}" for number in range(count)))
    async with hearing(telegram, await answers_of(world)) as channel:
        message = await sent(telegram, channel, page_about(*incidents))
        await telegram.press(message, f"Take all {count}", by=KIM)
        await telegram.edited(message)
    assert {incident.acknowledged_by for incident in await world.incidents()} == {"kim"}
    assert "Resolve" in message.labels


async def test_a_part_of_a_large_bundle_can_be_taken_alone(world: World, telegram: Telegram) -> None:
    incidents = await opened(world, *(f"A{number}" for number in range(40)))
    async with hearing(telegram, await answers_of(world)) as channel:
        message = await sent(telegram, channel, page_about(*incidents))
        part = message.labels[1]
        await telegram.press(message, part, by=KIM)
        await telegram.toast(1)
    taken = [incident for incident in await world.incidents() if incident.acknowledged_by == "kim"]
    assert 0 < len(taken) < 40
    assert part.endswith(f"({len(taken)})")
    assert "Take all 40" in message.labels, "the rest can still be taken"


async def test_an_answer_is_acted_on_once_the_store_is_back(world: World, telegram: Telegram, shared_url: str) -> None:
    [incident] = await opened(world, "A")
    async with Proxy(shared_url) as proxy:
        deps = await world.deps("notifier", proxy.url)
        answers = Answers(deps, await deps.store.signing_key())
        async with hearing(telegram, answers) as channel:
            message = await sent(telegram, channel, page_about(incident))
            proxy.go_away()
            await telegram.press(message, "Take it", by=KIM)
            polls = telegram.polls
            await telegram.until(lambda: telegram.polls > polls + 2)
            assert telegram.updates, "not confirmed, so Telegram keeps it"
            proxy.come_back()
            await telegram.edited(message)
    assert await state_of(world, incident.number) == (State.ACKNOWLEDGED, "kim")


async def test_what_was_pressed_while_no_notifier_ran_counts_when_one_starts(world: World, telegram: Telegram) -> None:
    [incident] = await opened(world, "A")
    answers = await answers_of(world)
    async with hearing(telegram, answers) as channel:
        message = await sent(telegram, channel, page_about(incident))
    await telegram.press(message, "Take it", by=KIM)
    async with hearing(telegram, answers):
        await telegram.edited(message)
    assert await state_of(world, incident.number) == (State.ACKNOWLEDGED, "kim")


async def test_faults_of_fetching_are_waited_out_and_show_no_secret(world: World, telegram: Telegram) -> None:
    [incident] = await opened(world, "A")
    telegram.webhook = True
    telegram.told["getUpdates"] += [
        Told(status=500, body=b"x"),
        Told(body=b"{"),
        Told(status=429, body={"ok": False, "parameters": {"retry_after": 0}}),
        Told(status=401, body={"ok": False}),
    ]
    with capture_logs() as logs:
        async with hearing(telegram, await answers_of(world)) as channel:
            await telegram.until(lambda: telegram.polls > 0)
            telegram.webhook = False
            message = await sent(telegram, channel, page_about(incident))
            await telegram.press(message, "Take it", by=KIM)
            await telegram.edited(message)
            await telegram.stop()
            await until_true(lambda: _failed(logs))
    assert any(line.get("conflict") for line in logs)
    assert "very-secret" not in str(logs)


async def _failed(logs: object) -> bool:
    return "no connection to" in str(logs) or "no whole answer from" in str(logs)


async def test_a_press_that_was_never_shown_still_counts(world: World, telegram: Telegram) -> None:
    [incident] = await opened(world, "A")
    telegram.told["answerCallbackQuery"].append(Told(status=400, body={"ok": False, "description": "Bad Request: query is too old"}))
    telegram.told["editMessageText"].append(Told(cut=True))
    async with hearing(telegram, await answers_of(world)) as channel:
        message = await sent(telegram, channel, page_about(incident))
        await telegram.press(message, "Take it", by=KIM)
        await telegram.edited(message)
        await telegram.until(lambda: not telegram.updates)
    assert await state_of(world, incident.number) == (State.ACKNOWLEDGED, "kim")


async def test_a_page_in_korean_is_answered_in_korean(world: World, telegram: Telegram) -> None:
    edit = with_contacts(ACCOUNT, kim=f"telegram:{KIM}")
    world.write_rules(edit=lambda rules: edit(rules).replace("name: Kim,", "name: 김민수, locale: ko, time_zone: Asia/Seoul,"))
    [incident] = await opened(world, "A")
    async with hearing(telegram, await answers_of(world)) as channel:
        message = await sent(telegram, channel, page_about(incident, locale="ko"))
        await telegram.press(message, message.labels[0], by=KIM)
        assert "김민수" in await telegram.toast(1)
