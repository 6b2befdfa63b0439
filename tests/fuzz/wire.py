"""What strangers write: words that may be answers, and requests byte by byte, as no client library would make them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

LIMIT_S: Final = 15.0

ANSWERS = [
    "4",
    "5",
    "6",
    "ack",
    "ok",
    "resolve",
    "확인",
    "已解决",
    "1",
    "INC-1",
    "INC-1 INC-2",
    "-1",
    "٤",
    "⁴",
    "9" * 30,
    "\0",
    "",
    "ack 1 2 3 4 5 6 7 8 9",
    "STOP",
]
words: SearchStrategy[str] = st.sampled_from(ANSWERS) | st.text(max_size=30)

header_bytes: SearchStrategy[bytes] = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            b"",
            b"\xff",
            b"\xed\xa0\x80",
            b"http://[",
            b"http://[::1",
            b"null",
            b"https://evil.example",
            "가".encode(),
            b"v0=" + b"0" * 64,
            b"9" * 30,
        ]
    ),
).map(lambda value: value.translate(None, b"\0\r\n"))
"""Values that the listener lets through: what is not allowed in a header at all, it refuses by itself."""

target_bytes: SearchStrategy[bytes] = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([b"%00", b"%ff", b"%ed%a0%80", b"\xff", b"../..", b"%2e%2e%2f", b"a/b", b"?x=%ff", b";", b"//", b"%", b"A" * 600]),
).map(lambda value: value.translate(None, b"\0\r\n \t#"))


async def status_of(port: int, method: str, target: bytes, headers: Mapping[str, bytes], body: bytes) -> int:
    """Return the status of the answer, 0 when the listener just closed."""
    async with asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            lines = [method.encode() + b" " + target + b" HTTP/1.1", b"Host: pager.example.com", b"Connection: close"]
            lines += [name.encode() + b": " + value for name, value in headers.items()]
            writer.write(b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body]))
            answer = await reader.read()
        except ConnectionResetError:
            return 0
        finally:
            writer.close()
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0
