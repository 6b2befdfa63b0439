"""A TCP proxy before the store that loses what it is told to lose. Real sockets, no knowledge of the protocol but a marker to look for.

    async with Proxy(server.url) as proxy:
        store = Store(connect(proxy.url, max_connections=4), shards=4)
        proxy.lose_answer(Script("commit").sha)     # the next request with this text is applied, its answer never arrives
        proxy.lose_request(Script("begin").sha)     # the next request with this text never reaches the store

A lost answer is read to its first byte and dropped: the store has applied the request, for sure, when the connection is cut.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

CHUNK_BYTES = 64 * 1024


@dataclass(slots=True)
class _Loss:
    marker: bytes
    applied: bool


@dataclass(slots=True)
class _Line:
    """One client's connection; `doomed` once its next answer is to be lost."""

    client: asyncio.StreamWriter
    upstream: asyncio.StreamWriter
    doomed: bool = False

    def cut(self) -> None:
        self.client.transport.abort()
        self.upstream.close()


class Proxy:
    """Listens on a free loopback port. While it is away it cuts every connection, as a store that is down does."""

    def __init__(self, upstream_url: str) -> None:
        self.answers_lost = 0
        self.requests_lost = 0
        self._away = False
        self._last: int | None = None
        self._upstream = urlsplit(upstream_url)
        self._losses: deque[_Loss] = deque()
        self._lines: list[_Line] = []
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()

    def lose_answer(self, marker: str, times: int = 1) -> None:
        self._losses += [_Loss(marker.encode(), applied=True) for _ in range(times)]

    def lose_request(self, marker: str, times: int = 1) -> None:
        self._losses += [_Loss(marker.encode(), applied=False) for _ in range(times)]

    def die_after(self, requests: int) -> None:
        """Let so many more requests through; the next is applied, its answer is lost, and from then on the store is away."""
        self._last = requests

    def go_away(self) -> None:
        self._away = True
        self.cut()

    def come_back(self) -> None:
        self._away = False

    def forgive(self) -> None:
        """Lose nothing more."""
        self._losses.clear()

    def cut(self) -> None:
        """Cut every connection there is."""
        for line in self._lines:
            line.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._away:
            writer.transport.abort()
            return
        upstream_reader, upstream = await self._connect()
        line = _Line(writer, upstream)
        self._lines.append(line)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forward(reader, line))
                group.create_task(self._return(upstream_reader, line))
        except* OSError:
            pass
        finally:
            self._lines.remove(line)
            line.cut()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._upstream.scheme == "unix":
            return await asyncio.open_unix_connection(unquote(self._upstream.path))
        return await asyncio.open_connection(self._upstream.hostname, self._upstream.port)

    async def _forward(self, reader: asyncio.StreamReader, line: _Line) -> None:
        while data := await reader.read(CHUNK_BYTES):
            loss = next((loss for loss in self._losses if loss.marker in data), None)
            if loss is not None:
                self._losses.remove(loss)
                if not loss.applied:
                    self.requests_lost += 1
                    break
                line.doomed = True
            if self._last is not None:
                line.doomed = line.doomed or self._last <= 0
                self._away = self._away or self._last <= 0
                self._last -= 1
            line.upstream.write(data)
            await line.upstream.drain()
        line.cut()

    async def _return(self, reader: asyncio.StreamReader, line: _Line) -> None:
        while data := await reader.read(CHUNK_BYTES):
            if line.doomed:
                self.answers_lost += 1
                break
            line.client.write(data)
            await line.client.drain()
        line.cut()
