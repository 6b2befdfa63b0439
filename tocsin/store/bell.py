"""Hears that something changed: the subscription to the store's channels.

A message only says "look now"; the truth is in the store. After a lost connection everything may have changed, and `on_gap` says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from tocsin.store import keys
from tocsin.store.connection import connect_blocking
from tocsin.store.wire import StoreAway, answering

RETRY_S = 0.5
"""Pause before subscribing again."""

SILENCE_S = 30.0
"""How long to listen before making sure, by a ping, that the connection still lives."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Incidents of a shard that somebody committed: number -> version."""

    shard: int
    origin: str
    versions: dict[int, int]


@dataclass(frozen=True, slots=True)
class RulesPublished:
    """New rules are in force."""

    version: int


@dataclass(frozen=True, slots=True)
class RosterChanged:
    """Somebody has changed who is on call."""

    version: int


@dataclass(frozen=True, slots=True)
class IntakeRung:
    """Ingest has appended."""


Message = Changed | RulesPublished | RosterChanged | IntakeRung


class Bell:
    """Listens until cancelled and hands every message to `on_message`; `on_gap` is called whenever messages may have been missed."""

    def __init__(self, url: str, *, intake: bool, on_message: Callable[[Message], None], on_gap: Callable[[], None]) -> None:
        self._client = connect_blocking(url, max_connections=2)
        self._channels = [keys.CHANGES, keys.INTAKE_BELL] if intake else [keys.CHANGES]
        self._on_message = on_message
        self._on_gap = on_gap

    async def run(self) -> None:
        """Listen for ever, over any number of connections."""
        try:
            while True:
                try:
                    await self._listen()
                except StoreAway:
                    await asyncio.sleep(RETRY_S)
        finally:
            await self._client.aclose()

    async def _listen(self) -> None:
        subscription = self._client.pubsub(ignore_subscribe_messages=True)
        try:
            with answering():
                await subscription.subscribe(*self._channels)
                self._on_gap()
                while True:
                    message = await subscription.get_message(timeout=SILENCE_S)
                    if message is None:
                        await subscription.ping()
                    elif message["type"] == "message":
                        self._on_message(read_message(message["channel"], message["data"]))
        finally:
            await subscription.aclose()  # type: ignore[no-untyped-call]


def read_message(channel: bytes, data: bytes) -> Message:
    """Return what a message on a channel says."""
    if channel == keys.INTAKE_BELL.encode():
        return IntakeRung()
    found = orjson.loads(data)
    if "rules" in found:
        return RulesPublished(found["rules"])
    if "roster" in found:
        return RosterChanged(found["roster"])
    return Changed(found["shard"], found["origin"], dict(found["incidents"]))
