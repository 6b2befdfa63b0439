"""Where answers over channels come in: one task for each channel that fetches them, one route for all that providers call back.

When the rules change, the channels are other ones: their predecessors stop listening before the new ones begin, because two at one mailbox
or one bot take each other's messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from aiohttp import web

from notifier.answers import CALLBACKS
from notifier.channels import Answering
from tocsin.runtime.service import Deps

PAUSE_S = 5.0
"""Before a channel whose listening failed listens again."""


class Listening:
    """The listening side of a notifier's channels. `channels` gives those in force."""

    def __init__(self, deps: Deps, channels: Callable[[], Mapping[str, Answering]]) -> None:
        self._deps = deps
        self._channels = channels
        self._changed = asyncio.Event()

    def add_routes(self, app: web.Application) -> None:
        """Add the route of the callbacks."""
        app.router.add_route("*", f"{CALLBACKS}/{{channel}}", self.callback)
        app.router.add_route("*", f"{CALLBACKS}/{{channel}}/{{rest:.*}}", self.callback)

    def channels_changed(self) -> None:
        """Let go of the old channels and listen to the new ones."""
        self._changed.set()

    async def callback(self, request: web.Request) -> web.StreamResponse:
        """Hand a provider's request to its channel, which checks that it is the provider's."""
        channel = self._channels().get(request.match_info["channel"])
        if channel is None:
            raise web.HTTPNotFound
        return await channel.callback(request)

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            self._changed.clear()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._listen(name, channel)) for name, channel in self._channels().items()]
                await self._changed.wait()
                for task in tasks:
                    task.cancel()

    async def _listen(self, name: str, channel: Answering) -> None:
        while True:
            try:
                await channel.listen()
                return
            except Exception:  # top of a tick: a fault of one channel stops no other
                self._deps.log.exception("listening_failed", channel=name)
                await self._deps.clock.wait(PAUSE_S, asyncio.Event())
