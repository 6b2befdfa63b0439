"""Pages over chats through the whole notifier: kim has Telegram, lee Slack, and what one of them does shows in the other's message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from notifier.service import Notifier
from tests.fakes.slack import Slack
from tests.fakes.telegram import Telegram
from tests.services.chats import with_contacts
from tests.services.world import MINUTE, World
from tocsin.policy.model import PageStatus, State

SECOND = 1_000  # a notifier that starts holds Telegram's pages so long, because its predecessor may have sent as many as the bot may
KIM, TOKEN, APP_TOKEN = 7, "123:secret", "xapp-secret"


@pytest.fixture
async def telegram() -> AsyncIterator[Telegram]:
    async with Telegram(TOKEN) as server:
        server.people[KIM] = "Kim"
        yield server


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    async with Slack("xoxb-secret", app_token=APP_TOKEN) as server:
        server.people["U200"] = "Lee"
        yield server


@asynccontextmanager
async def paging(world: World, telegram: Telegram, slack: Slack, *names: str) -> AsyncIterator[Notifier]:
    """A notifier that sends and listens; alerts of these names have fired and their first pages are out."""
    accounts = (
        f"telegram: {{token: '{TOKEN}', api_url: '{telegram.url}'}}, "
        f"slack: {{token: xoxb-secret, app_token: {APP_TOKEN}, api_url: '{slack.api_url}'}}"
    )
    world.write_rules(edit=with_contacts(accounts, kim=f"telegram:{KIM}", lee="slack:U200"))
    correlator = await world.correlator()
    for name in names:
        await world.report(name)
    await correlator.tick(world.clock.now_ms())
    async with world.notifier(web_external_url="https://tocsin.example.com") as notifier, asyncio.TaskGroup() as group:
        listeners = [group.create_task(channel.listen()) for channel in notifier.lanes.channels.answering().values()]
        try:
            await slack.connected()
            await world.advance(notifier, SECOND, SECOND)
            yield notifier
        finally:
            for listener in listeners:
                listener.cancel()


async def test_who_presses_has_it_and_the_message_says_so(world: World, telegram: Telegram, slack: Slack) -> None:
    async with paging(world, telegram, slack, "A") as notifier:
        [message] = telegram.messages
        assert message.labels == ["Take it", "Open"]
        assert message.button("Open")["url"].startswith("https://tocsin.example.com/a/")
        await telegram.press(message, "Take it", by=KIM)
        await telegram.edited(message)
        await world.settle(notifier)
    incident = await world.incident()
    assert (incident.state, incident.acknowledged_by) == (State.ACKNOWLEDGED, "kim")
    assert "Taken by Kim" in message.text
    assert message.labels == ["Resolve", "Open"]
    assert len(telegram.messages) == 1
    assert all(page.status is not PageStatus.PENDING for page in incident.pages)


async def test_what_one_takes_in_slack_the_other_sees_in_telegram(world: World, telegram: Telegram, slack: Slack) -> None:
    async with paging(world, telegram, slack, "A") as notifier:
        await world.advance(notifier, 30 * MINUTE)
        [message] = slack.messages
        assert await slack.press(message, "Take it", by="U200")
        await slack.edited(message)
        await world.settle(notifier)
        assert "Taken by Lee" in telegram.messages[0].text
        assert "Taken by Lee" in message.state
        assert await slack.press(message, "Resolve", by="U200")
        await world.settle(notifier)
        await telegram.until(lambda: "Resolved" in telegram.messages[0].text)
        assert telegram.messages[0].labels == ["Open"]
    assert (await world.incident()).state is State.RESOLVED


async def test_several_at_once_are_one_message_and_one_press(world: World, telegram: Telegram, slack: Slack) -> None:
    async with paging(world, telegram, slack, "A", "B", "C") as notifier:
        [message] = telegram.messages
        await telegram.press(message, "Take all 3", by=KIM)
        await telegram.edited(message)
        await world.settle(notifier)
        assert {incident.acknowledged_by for incident in await world.incidents()} == {"kim"}
        assert "Taken by Kim" in message.text
        assert message.labels == ["Resolve", "Open"]
        assert message.edits == 2, "by the press, and once by what followed from it"


async def test_a_reminder_rings_under_the_first_message(world: World, telegram: Telegram, slack: Slack) -> None:
    async with paging(world, telegram, slack, "A") as notifier:
        [first] = telegram.messages
        await telegram.press(first, "Take it", by=KIM)
        await telegram.edited(first)
        await world.advance(notifier, 26 * MINUTE)
        [_, reminder] = telegram.messages
        assert reminder.reply_to == first.id
        assert reminder.labels[-1] == "Open"
        await telegram.press(reminder, reminder.labels[0], by=KIM)
        await telegram.edited(reminder)
        await world.settle(notifier)
    incident = await world.incident()
    assert incident.acknowledged_until is not None
    assert incident.acknowledged_until > world.clock.now_ms() + 25 * MINUTE, "kim is still on it"


async def test_every_message_to_one_person_says_that_it_is_over_and_none_rings(world: World, telegram: Telegram, slack: Slack) -> None:
    async with paging(world, telegram, slack, "A") as notifier:
        [first] = telegram.messages
        await telegram.press(first, "Take it", by=KIM)
        await telegram.edited(first)
        await world.advance(notifier, 26 * MINUTE)
        [_, reminder] = telegram.messages
        assert "Resolve" not in reminder.text
        edits = first.edits
        await telegram.press(first, "Resolve", by=KIM)
        await telegram.edited(first, edits + 1)
        await world.settle(notifier)
        await telegram.until(lambda: "Resolved by Kim" in reminder.text)
        for message in (first, reminder):
            assert message.labels == ["Open"]
            assert "Next" not in message.text
        assert len(telegram.messages) == 2, "who resolved it gets no closing note"


async def test_a_telegram_that_refuses_brings_the_next_contact_at_once(world: World, telegram: Telegram, slack: Slack) -> None:
    telegram.blocked.add(KIM)
    async with paging(world, telegram, slack, "A"):
        assert world.arrived() == [("/kim/1", 0)]
