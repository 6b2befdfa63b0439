"""Where the pages of both products go: answers 200 at once and notes when each incident was first heard of.

Owns a server of HTTP/1.1 that knows just enough. Incidents of a measurement are told apart by a word such as `probe-12` in the page's text,
whatever the format of the product, and however many incidents share a message.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Self, cast

from bench.traffic import CONTENT_LENGTH

PERSON = re.compile(rb'"person": ?"(fan-\d+)"')
PROBE = re.compile(rb"\b(?:probe|late)-\d+-\d+\b")
RUNG = re.compile(rb'"index": ?(\d+)')
LATE = re.compile(rb'"late_by_s": ?([\d.]+)')
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"


@dataclass(slots=True)
class Receiver:
    """`first_s` are monotonic seconds by probe; `rung_s` the same for pages of later rungs, `late_s` what those say.

    `person_s` and `person_late_s` are the same for the first page of each person of a fan-out.
    """

    first_s: dict[str, float] = field(default_factory=dict)
    rung_s: dict[str, float] = field(default_factory=dict)
    late_s: dict[str, float] = field(default_factory=dict)
    person_s: dict[str, float] = field(default_factory=dict)
    person_late_s: dict[str, float] = field(default_factory=dict)
    messages: int = 0
    port: int = 0
    _server: asyncio.Server | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(lambda: _Caller(self), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    def take(self, body: bytes) -> None:
        """Note a page."""
        now = monotonic()
        self.messages += 1
        found = RUNG.search(body)
        is_later = found is not None and int(found[1]) > 0
        noted = self.rung_s if is_later else self.first_s
        said = LATE.search(body)
        person = PERSON.search(body)
        if person is not None and said is not None and person[1].decode() not in self.person_s:
            self.person_s[person[1].decode()] = now
            self.person_late_s[person[1].decode()] = float(said[1])
        for probe in PROBE.findall(body):
            noted.setdefault(probe.decode(), now)
            if is_later and said is not None:
                self.late_s.setdefault(probe.decode(), float(said[1]))
        self._news.set()

    async def heard_of(self, probes: set[str], *, limit_s: float, later_rung: bool = False) -> set[str]:
        """Wait until all of these were paged; return those that were not within the limit."""
        noted = self.rung_s if later_rung else self.first_s
        try:
            async with asyncio.timeout(limit_s):
                while not probes <= noted.keys():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return probes - noted.keys()
        return set()

    async def reached(self, people: int, *, limit_s: float) -> int:
        """Wait until so many people of a fan-out were paged; return how many were within the limit."""
        try:
            async with asyncio.timeout(limit_s):
                while len(self.person_s) < people:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass
        return len(self.person_s)


@asynccontextmanager
async def silent_port() -> AsyncIterator[int]:
    """A provider that takes connections and requests and never answers."""
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


class _Caller(asyncio.Protocol):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._transport: asyncio.Transport | None = None
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            found = CONTENT_LENGTH.search(self._data, 0, end + 2)
            whole = end + 4 + (int(found[1]) if found is not None else 0)
            if len(self._data) < whole:
                return
            body, self._data = self._data[end + 4 : whole], self._data[whole:]
            assert self._transport is not None
            self._transport.write(ANSWER)
            self._receiver.take(body)
