"""Reads the body of a request: its encoding, its size, and how long its sender may take.

The listener decompresses while it reads, a piece at a time, so that a body that unfolds to more than the limit is refused as soon as it
does. The usual body has arrived before its handler runs, and is taken without waiting.
"""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import StreamReader, web

from ingest.refused import BodyRefused
from tocsin.runtime.settings import MIB, Settings

BIG_BYTES: Final = MIB
"""From here on a body counts against the bodies read at once."""

PLAIN: Final = frozenset({"", "identity"})
_DECOMPRESSED: Final = PLAIN | {"gzip", "deflate"}


class BodyLate(Exception):
    """The sender took too long, or too many big bodies are on their way."""


class BodyReader:
    """Reads bodies within the limits of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._bytes_max = settings.body_bytes_max
        self._read_timeout_s = settings.read_timeout_s
        self._big = asyncio.Semaphore(settings.bodies_at_once_max)

    async def read(self, request: web.Request) -> bytes:
        """Return the body. Raises BodyRefused (400, 413, 415) and BodyLate."""
        encoding = request.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in _DECOMPRESSED:
            raise BodyRefused("Content-Encoding: expected gzip, deflate or none", status=415)
        length = request.content_length
        if length is not None and length > self._bytes_max:
            raise self._too_big()
        try:
            if request.content.is_eof() and (length is None or length < BIG_BYTES) and encoding in PLAIN:
                return request.content.read_nowait()
            async with asyncio.timeout(self._read_timeout_s):
                return await self._read_pieces(request.content)
        except TimeoutError:
            raise BodyLate(f"the body did not arrive within {self._read_timeout_s:g} s") from None
        except web.RequestPayloadError:
            raise BodyRefused("the body is cut off, or not what its Content-Encoding says") from None

    async def _read_pieces(self, content: StreamReader) -> bytes:
        body = bytearray()
        while len(body) < BIG_BYTES:
            piece = await content.readany()
            if not piece:
                return bytes(body)
            body += piece
        async with self._big:
            while piece := await content.readany():
                body += piece
                if len(body) > self._bytes_max:
                    raise self._too_big()
        return bytes(body)

    def _too_big(self) -> BodyRefused:
        return BodyRefused(f"the body is larger than {self._bytes_max} bytes", status=413)
