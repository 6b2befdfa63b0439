"""Sends requests and takes what they cost in time, at little cost of its own.

Owns a client of HTTP/1.1 that knows just enough: whole requests as bytes, kept-alive connections, one request under way on each, answers by
status and Content-Length. Both products are fed by the same one. What the requests say is in `bodies.py`.

Read `post_all` (as fast as the answers come, for rates) and `Paced` (so many a second whatever the answers do, for latencies).
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Self, cast

CONTENT_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)\r\n")
ANSWER_BYTES_MAX = 1_048_576
CONNECT_S = 5.0
ANSWER_S = 60.0
"""An answer that takes longer than this ends the measurement."""


class TrafficFailed(Exception):
    """The product closed a connection, answered something unreadable, or did not answer."""


@dataclass(slots=True)
class Sent:
    """What came of a stream of requests: answers by status, and when (monotonic seconds) the first went out and the last was answered."""

    statuses: Counter[int] = field(default_factory=Counter)
    began_s: float = 0.0
    ended_s: float = 0.0

    @property
    def refused(self) -> int:
        """How many were not answered 2xx."""
        return sum(count for status, count in self.statuses.items() if not 200 <= status < 300)


class Line(asyncio.Protocol):
    """One connection, one request at a time: `send`, then `answered` is called with the status of the answer."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._waits = False
        self.answered: Callable[[int], None] = lambda _status: None
        self.failed: Callable[[str], None] = lambda _why: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, request: bytes) -> None:
        assert self._transport is not None, "not connected yet"
        assert not self._waits, "the last answer is not in yet"
        self._waits = True
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
            self._rest = b""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._keep(data)
            return
        found = CONTENT_LENGTH.search(data, 0, end + 2)
        length = int(found[1]) if found is not None else 0
        if len(data) < end + 4 + length:
            self._keep(data)
            return
        if not self._waits or len(data) > end + 4 + length or not data.startswith(b"HTTP/1.1 "):
            self._fail(f"an unexpected answer: {data[:60]!r}")
            return
        self._waits = False
        self.answered(int(data[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waits:
            self._fail(f"the connection was closed before the answer: {exc}")

    def close(self) -> None:
        self._waits = False
        if self._transport is not None:
            self._transport.close()

    def _keep(self, data: bytes) -> None:
        self._rest = data
        if len(data) > ANSWER_BYTES_MAX:
            self._fail("an answer larger than is read here")

    def _fail(self, why: str) -> None:
        self.close()
        self.failed(why)


@asynccontextmanager
async def lines(port: int, count: int) -> AsyncIterator[list[Line]]:
    """Open connections, and close them at the end."""
    loop = asyncio.get_running_loop()
    opened: list[Line] = []
    try:
        for _ in range(count):
            async with asyncio.timeout(CONNECT_S):
                _, line = await loop.create_connection(Line, "127.0.0.1", port)
            opened.append(line)
        yield opened
    finally:
        for line in opened:
            line.close()


async def post_all(port: int, requests: Iterator[bytes], *, connections: int) -> Sent:
    """Send every request, the next on a connection as soon as its last one is answered. Raises TrafficFailed."""
    sent = Sent()
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    async with lines(port, connections) as opened:
        open_now = len(opened)

        def fail(why: str) -> None:
            if not done.done():
                done.set_exception(TrafficFailed(why))

        def pump(line: Line) -> Callable[[int], None]:
            def next_one(status: int) -> None:
                nonlocal open_now
                sent.statuses[status] += 1
                request = next(requests, None)
                if request is not None:
                    line.send(request)
                    return
                open_now -= 1
                if open_now == 0 and not done.done():
                    done.set_result(None)

            return next_one

        sent.began_s = monotonic()
        for line in opened:
            line.answered, line.failed = pump(line), fail
            request = next(requests, None)
            assert request is not None, "fewer requests than connections"
            line.send(request)
        await done
        sent.ended_s = monotonic()
    return sent


@dataclass(slots=True)
class Paced:
    """Requests at a steady pace: each goes out at its time, on a free connection or a new one, whether or not earlier ones are answered.

    `sent_s` and `answered_s` are monotonic seconds by the name of the request.
    """

    port: int
    sent_s: dict[str, float] = field(default_factory=dict)
    answered_s: dict[str, float] = field(default_factory=dict)
    refused: Counter[int] = field(default_factory=Counter)
    _free: list[Line] = field(default_factory=list)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        self._free = await self._stack.enter_async_context(lines(self.port, 8))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def run(self, named: Sequence[tuple[str, bytes]], per_second: float) -> None:
        """Send all at the pace and return when all are answered. Raises TrafficFailed."""
        start = monotonic()
        async with asyncio.TaskGroup() as group:
            for index, (name, request) in enumerate(named):
                await asyncio.sleep(max(0.0, start + index / per_second - monotonic()))
                line = self._free.pop() if self._free else (await self._stack.enter_async_context(lines(self.port, 1)))[0]
                group.create_task(self._one(line, name, request))

    async def _one(self, line: Line, name: str, request: bytes) -> None:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def answered(status: int) -> None:
            self.answered_s[name] = monotonic()
            answer.set_result(status)

        line.answered = answered
        line.failed = lambda why: answer.set_exception(TrafficFailed(why))
        self.sent_s[name] = monotonic()
        line.send(request)
        async with asyncio.timeout(ANSWER_S):
            status = await answer
        if not 200 <= status < 300:
            self.refused[status] += 1
        self._free.append(line)

    def waits_ms(self) -> list[float]:
        """How long each request took to be answered."""
        return [(self.answered_s[name] - sent_s) * 1000 for name, sent_s in self.sent_s.items()]
