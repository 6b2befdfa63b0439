"""A mailbox: enough of IMAP4rev1 (RFC 3501) and IDLE (RFC 2177) on a free loopback port for a client that fetches unseen mails.

async with MailboxServer("tocsin", "hush") as server:
    ImapMailbox(server.url()) ...
    server.deliver(raw)                                   # tells whoever idles
    await server.seen(1)                                  # waits until so many mails are marked as seen
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote

WAIT_LIMIT_S = 15.0


@dataclass(slots=True)
class _Mail:
    raw: bytes
    is_seen: bool = False


class MailboxServer:
    """The server: one user, one folder. `idles` False: it does not know IDLE. `cut_next`: the next command's connection is closed."""

    def __init__(self, user: str, password: str, *, idles: bool = True) -> None:
        self.mails: list[_Mail] = []
        self.logins = 0
        self.refused = 0
        self.cut_next = False
        self.longest_fetched = 0
        self.port = 0
        self._user, self._password = user, password
        self._idles = idles
        self._changed = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._session, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()

    def url(self) -> str:
        return f"imap://{quote(self._user, safe='')}:{quote(self._password, safe='')}@127.0.0.1:{self.port}/INBOX"

    async def deliver(self, raw: bytes) -> None:
        async with self._changed:
            self.mails.append(_Mail(raw))
            self._changed.notify_all()

    async def seen(self, count: int) -> None:
        async with asyncio.timeout(WAIT_LIMIT_S), self._changed:
            await self._changed.wait_for(lambda: sum(mail.is_seen for mail in self.mails) >= count)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            writer.write(b"* OK ready\r\n")
            while line := await reader.readline():
                tag, _, rest = line.decode().strip().partition(" ")
                if self.cut_next:
                    self.cut_next = False
                    break
                if not await self._answer(tag, rest, reader, writer):
                    break
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, tag: str, command: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        upper = command.upper()
        if upper.startswith("LOGIN"):
            if f'"{self._password}"' not in command and not command.endswith(self._password):
                self.refused += 1
                writer.write(f"{tag} NO [AUTHENTICATIONFAILED] wrong\r\n".encode())
                return True
            self.logins += 1
        elif upper == "CAPABILITY":
            writer.write(b"* CAPABILITY IMAP4rev1" + (b" IDLE" if self._idles else b"") + b"\r\n")
        elif upper.startswith(("SELECT", "EXAMINE")):
            writer.write(f"* {len(self.mails)} EXISTS\r\n* OK [UIDVALIDITY 1] fine\r\n".encode())
        elif upper.startswith("UID SEARCH"):
            uids = " ".join(str(uid) for uid, mail in enumerate(self.mails, 1) if not mail.is_seen)
            writer.write(f"* SEARCH {uids}".rstrip().encode() + b"\r\n")
        elif upper.startswith("UID FETCH"):
            self._fetch(upper, writer)
        elif upper.startswith("UID STORE"):
            await self._store(upper)
        elif upper == "IDLE":
            await self._idle(reader, writer)
        elif upper == "LOGOUT":
            writer.write(f"* BYE\r\n{tag} OK bye\r\n".encode())
            return False
        writer.write(f"{tag} OK done\r\n".encode())
        return True

    def _fetch(self, command: str, writer: asyncio.StreamWriter) -> None:
        part = re.search(r"<0\.([0-9]+)>", command)
        for uid in self._uids(command):
            whole = self.mails[uid - 1].raw
            raw, what = (whole, "BODY[]") if part is None else (whole[: int(part[1])], "BODY[]<0>")
            self.longest_fetched = max(self.longest_fetched, len(raw))
            writer.write(f"* {uid} FETCH (UID {uid} FLAGS () {what} {{{len(raw)}}}\r\n".encode() + raw + b")\r\n")

    async def _store(self, command: str) -> None:
        async with self._changed:
            for uid in self._uids(command):
                self.mails[uid - 1].is_seen = True
            self._changed.notify_all()

    def _uids(self, command: str) -> list[int]:
        found = re.match(r"UID (?:FETCH|STORE) ([0-9,]+)", command)
        assert found is not None, command
        return [int(uid) for uid in found[1].split(",")]

    async def _idle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"+ idling\r\n")
        await writer.drain()
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(self._tell(writer))
            await reader.readline()
            telling.cancel()

    async def _tell(self, writer: asyncio.StreamWriter) -> None:
        """Tell of every new mail."""
        count = len(self.mails)
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda known=count: len(self.mails) > known)  # type: ignore[misc]
            count = len(self.mails)
            writer.write(f"* {count} EXISTS\r\n".encode())
            await writer.drain()
