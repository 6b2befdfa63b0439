"""The console as a role: its routes, its one loop, and whether it can do its work."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Final

from aiohttp import web

from console import endpoint
from console.api import ROUTES
from console.auth import LinkKey, Tokens
from console.desk import Desk
from console.feedcache import FeedCache
from console.followers import Followers
from console.reading import Reading
from console.readmodel import ReadModel
from console.turns import StoreTurns
from tocsin.runtime.service import Deps
from tocsin.store.bell import Changed, Message

READ_MODEL: Final = "console/readmodel.sqlite3"
"""Below the storage path."""


class Console:
    """Answers people. Everything it knows is in the store or rebuilt from it."""

    name = "console"

    def __init__(self, deps: Deps) -> None:
        turns = StoreTurns()
        path = deps.settings.storage_path / READ_MODEL
        reading = Reading(lambda: ReadModel(path), deps.store, turns, clock=deps.clock, metrics=deps.metrics, log=deps.log)
        self.desk = Desk(
            deps=deps,
            turns=turns,
            tokens=Tokens(deps.store, turns, deps.clock, deps.settings.admin_token.reveal()),
            reading=reading,
            followers=Followers(deps.settings.event_streams_max),
            link_key=LinkKey(deps.store),
            feeds=FeedCache(),
        )
        self._is_open = False

    def add_routes(self, app: web.Application) -> None:
        """Add the API and the answer page."""
        endpoint.add_routes(app, self.desk, ROUTES, is_open=lambda: self._is_open)

    async def start(self) -> None:
        """Open the read model and fetch the key of the answer links. Raises StoreAway to be tried again."""
        await self.desk.link_key.get()
        await self.desk.reading.start()
        self._is_open = True

    def early_loops(self) -> Sequence[Callable[[], Coroutine[None, None, None]]]:
        """Nothing to do before the store answers."""
        return []

    def loops(self) -> Sequence[Callable[[], Coroutine[None, None, None]]]:
        """Keep the read model abreast of the store."""
        self.desk.reading.check_store()
        return [self.desk.reading.run]

    def on_change(self, message: Message) -> None:
        """Incidents changed somewhere."""
        if isinstance(message, Changed):
            self.desk.reading.wake()

    def on_gap(self) -> None:
        """The store may be another one now."""
        self.desk.reading.check_store()

    def not_ready(self) -> str | None:
        """Say why people cannot be answered."""
        return self.desk.reading.away

    async def drain(self) -> None:
        """Let the followers go; requests under way end by themselves."""
        self.desk.followers.is_closing = True
        self.desk.reading.tell()


def build(deps: Deps) -> Console:
    """Return the console of a process."""
    return Console(deps)
