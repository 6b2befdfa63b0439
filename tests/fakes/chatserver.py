"""What the stand-ins of chat providers share: a real HTTP server on a free loopback port that records calls and can be told to fail.

    server.told["chat.postMessage"].append(Told(status=429, headers={"Retry-After": "7"}))        # for the next call of that method
    ...
    call = await server.call("chat.postMessage", 1)                                               # waits until it has arrived

A provider's stand-in adds its routes and gives each request to `answer`, with what it would answer by itself.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

WAIT_LIMIT_S = 10.0
CALLS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the provider's API."""

    method: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """How one call is answered in place of what the provider would say.

    `body` None: the provider does what it is asked and answers as usual; then `cut` closes the connection in place of the answer, `stall`
    stops it after the first byte of the body, `bytewise` sends it in single bytes, and `hold` keeps it until the event is set.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    stall: bool = False
    bytewise: bool = False
    hold: asyncio.Event | None = None


class ChatServer:
    """The server. `port` is known once it has started; `stop` and `start` keep it."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.told: defaultdict[str, deque[Told]] = defaultdict(deque)
        self.port = 0
        self._changed = asyncio.Condition()
        self._stopping = asyncio.Event()
        self._runner: web.AppRunner | None = None

    def routes(self, app: web.Application) -> None:
        """Add the provider's own routes."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self._stopping.clear()
        app = web.Application()
        self.routes(app)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        self._stopping.set()
        await self.changed()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def changed(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def until(self, holds: Callable[[], object], limit_s: float = WAIT_LIMIT_S) -> None:
        """Wait until a condition on what the server has seen holds; at the limit the test fails and says what was called."""
        try:
            async with asyncio.timeout(limit_s), self._changed:
                await self._changed.wait_for(lambda: bool(holds()))
        except TimeoutError:
            seen = ", ".join(call.method for call in self.calls[-20:])
            raise AssertionError(f"not within {limit_s:g} s; calls: {seen or 'none'}") from None

    def of(self, method: str) -> list[Call]:
        """The calls of one method so far."""
        return [call for call in self.calls if call.method == method]

    async def call(self, method: str, number: int) -> Call:
        """The call of a method with this number, counted from 1, once it has arrived and was answered."""
        await self.until(lambda: len(self.of(method)) >= number)
        return self.of(method)[number - 1]

    async def answer(self, request: web.Request, call: Call, usual: Callable[[], tuple[int, Any]]) -> web.StreamResponse:
        """Answer one call: as told, else as usual."""
        assert len(self.calls) < CALLS_MAX, "a test that calls without end"
        queue = self.told[call.method]
        told = queue.popleft() if queue else Told()
        status, body = usual() if told.body is None and told.status == 200 else (told.status, told.body)
        self.calls.append(call)
        await self.changed()
        if told.hold is not None:
            await told.hold.wait()
        if told.cut and request.transport is not None:
            request.transport.abort()
        if told.stall or told.bytewise:
            return await self._slowly(request, status, body, told)
        if isinstance(body, bytes):
            return web.Response(status=status, body=body, headers=told.headers)
        return web.json_response(body, status=status, headers=told.headers)

    async def _slowly(self, request: web.Request, status: int, body: Any, told: Told) -> web.StreamResponse:
        whole = web.json_response(body).body
        assert isinstance(whole, bytes)
        response = web.StreamResponse(status=status, headers={**told.headers, "Content-Length": str(len(whole))})
        await response.prepare(request)
        for index in range(len(whole)):
            await response.write(whole[index : index + 1])
            if told.stall:
                await self._stopping.wait()
                break
            await asyncio.sleep(0)
        return response
