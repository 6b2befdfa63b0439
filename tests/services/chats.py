"""What the tests of answers over chats share: the team with chat contacts, an incident on a real store, and a channel that listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from notifier.answers import Answers
from notifier.channels.outcome import Answering
from notifier.compose import view_of
from notifier.message import PageMessage
from tests.notifier.chatpages import PAGE
from tests.services.world import World
from tocsin.policy.model import Incident


def with_contacts(account: str, **contacts: str) -> Callable[[str], str]:
    """The edit of the rules that gives people a first contact five minutes before the others, and the file an account."""

    def edit(rules: str) -> str:
        for person, to in contacts.items():
            rules = rules.replace(f"name: {person.capitalize()}, contacts: [", f"name: {person.capitalize()}, contacts: [{{to: '{to}'}}, ")
            rules = rules.replace(f"/{person}/1'}}", f"/{person}/1', after: 5m}}")
        return rules + f"channels: {{{account}}}\n"

    return edit


async def opened(world: World, *names: str) -> list[Incident]:
    correlator = await world.correlator()
    for name in names:
        await world.report(name)
    await correlator.tick(world.clock.now_ms())
    return await world.incidents()


async def answers_of(world: World) -> Answers:
    deps = await world.deps("notifier")
    return Answers(deps, await deps.store.signing_key())


def page_about(*incidents: Incident, **fields: object) -> PageMessage:
    """The page to kim that the notifier would send about these incidents."""
    views = tuple(view_of(incident, "https://tocsin.example.com") for incident in incidents)
    numbers = tuple(incident.number for incident in incidents)
    message = replace(PAGE, incident=views[0], others=views if len(views) > 1 else (), numbers=numbers)
    return replace(message, **fields)  # type: ignore[arg-type]  # a test names fields of PageMessage


@asynccontextmanager
async def listening(channel: Answering) -> AsyncIterator[None]:
    """The channel fetches answers until the block ends."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(channel.listen())
        try:
            yield
        finally:
            task.cancel()
