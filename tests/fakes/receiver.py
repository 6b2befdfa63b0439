"""A page's receiver: a real HTTP server on a free loopback port that records what it gets and answers as told.

    async with Receiver(clock.monotonic) as receiver:
        contact = receiver.contact("/kim")                    # webhook+http://127.0.0.1:<port>/kim
        receiver.answers.append(Answer(status=503))           # for the next request; afterwards `receiver.otherwise`
        ...
        first = await receiver.page(1)                        # waits until it has arrived
        assert first.body["incident"]["severity"] == 1

A page is recorded when its body is whole, before it is answered. `stop` and `start` keep the port: a receiver that is
down for a while.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web
from multidict import CIMultiDictProxy

WAIT_LIMIT_S = 10.0
PAGES_MAX = 100_000


@dataclass(frozen=True, slots=True)
class ReceivedPage:
    """One POST. `at_s` is its arrival on the receiver's monotonic clock; `body` is the JSON of CONTRACT.md."""

    path: str
    headers: CIMultiDictProxy[str]
    raw: bytes
    body: Mapping[str, Any]
    at_s: float
    peer_port: int

    @property
    def key(self) -> str:
        return self.headers["Idempotency-Key"]


@dataclass(frozen=True, slots=True)
class Answer:
    """How one request is answered: after `hold` is set, by cutting the connection, one byte at a time, or plainly."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    hold: asyncio.Event | None = None
    cut: bool = False
    byte_by_byte: bool = False


class Receiver:
    """The server. `monotonic` gives the instants of arrival, in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.pages: list[ReceivedPage] = []
        self.answers: deque[Answer] = deque()
        self.otherwise = Answer()
        self.port = 0
        self._monotonic = monotonic
        self._arrived = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_post("/{path:.*}", self._receive)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Closes the port and every connection; kept-alive ones too."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def contact(self, path: str = "/page") -> str:
        """The address to write into the rules."""
        return f"webhook+http://127.0.0.1:{self.port}{path}"

    async def page(self, number: int, limit_s: float = WAIT_LIMIT_S) -> ReceivedPage:
        """The page with this number, counted from 1, once it has arrived."""
        assert number >= 1, "pages are counted from 1"
        pages = await self.wait_for(lambda pages: len(pages) >= number, limit_s)
        return pages[number - 1]

    async def wait_for(
        self, predicate: Callable[[Sequence[ReceivedPage]], object], limit_s: float = WAIT_LIMIT_S
    ) -> tuple[ReceivedPage, ...]:
        """All pages so far, once the predicate holds for them; at the limit the test fails and says what arrived."""
        try:
            async with asyncio.timeout(limit_s), self._arrived:
                await self._arrived.wait_for(lambda: bool(predicate(self.pages)))
        except TimeoutError:
            seen = ", ".join(f"{page.path} {page.body.get('text')!r}" for page in self.pages[-20:])
            raise AssertionError(f"not within {limit_s:g} s; {len(self.pages)} pages: {seen or 'none'}") from None
        return tuple(self.pages)

    def to(self, person: str) -> tuple[ReceivedPage, ...]:
        """The pages of one person so far."""
        return tuple(page for page in self.pages if page.body.get("person") == person)

    def copies(self) -> Counter[str]:
        """How often each page arrived, by Idempotency-Key."""
        return Counter(page.key for page in self.pages)

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        at_s = self._monotonic()
        peer = request.transport.get_extra_info("peername") if request.transport else ("", 0)
        page = ReceivedPage(path=request.path, headers=request.headers, raw=raw, body=json.loads(raw), at_s=at_s, peer_port=peer[1])
        answer = self.answers.popleft() if self.answers else self.otherwise
        async with self._arrived:
            assert len(self.pages) < PAGES_MAX, "a test that is paged without end"
            self.pages.append(page)
            self._arrived.notify_all()
        if answer.hold is not None:
            await answer.hold.wait()
        if answer.cut and request.transport is not None:
            request.transport.abort()
        elif answer.byte_by_byte:
            await _dribble(request, answer)
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


async def _dribble(request: web.Request, answer: Answer) -> None:
    """Writes the whole answer, its head included, byte by byte, and closes the connection."""
    headers = {**answer.headers, "Content-Length": str(len(answer.body)), "Connection": "close"}
    head = f"HTTP/1.1 {answer.status} Told\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    for byte in (head + "\r\n").encode() + answer.body:
        if request.transport is None or request.transport.is_closing():
            return
        request.transport.write(bytes([byte]))
        await asyncio.sleep(0)  # the loop sends this byte before the next is written
    if request.transport is not None:
        request.transport.close()
