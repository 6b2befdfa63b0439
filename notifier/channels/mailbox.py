"""Where replies come in: a mailbox that is looked into over IMAP, or mails that are handed to us over SMTP.

Both give the raw mails to one function, which may raise StoreAway: then the mailbox keeps the mail as unseen, and the sending server is
told to come again, so that no answer is lost. The mailbox is for this alone: what was looked at is marked as seen.
"""

from __future__ import annotations

import asyncio
import imaplib
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final
from urllib.parse import unquote, urlsplit

import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session
from imap_tools import AND, BaseMailBox, ImapToolsError, MailBox, MailboxFetchError, MailBoxUnencrypted

from tocsin.store.wire import StoreAway

TakeIn = Callable[[bytes], Awaitable[None]]

LOOK_EVERY_S: Final = 10.0
"""Between two looks into a mailbox whose server cannot tell us of a new mail."""
IDLE_S: Final = 30.0
"""How long the server is waited for to tell before it is asked: a connection that is dead is noticed then."""
AFTER_FAULT_S: Final = 15.0
CONNECT_LIMIT_S: Final = 10.0
MAILS_AT_ONCE: Final = 50
MAIL_BYTES_MAX: Final = 1024 * 1024
"""A reply with its quotes and a picture in the signature; over SMTP more is refused, of a mailbox's mail no more is read."""
SESSIONS_MAX: Final = 50
SESSION_S: Final = 60.0
RECIPIENTS_MAX: Final = 10

_FAULTS: Final = (OSError, EOFError, ValueError, ImapToolsError, imaplib.IMAP4.error)

_log = structlog.get_logger(__name__)


class ImapMailbox:
    """Looks into one mailbox: imaps://user:password@host[:port]/FOLDER (INBOX when none is named)."""

    def __init__(self, url: str, *, look_every_s: float = LOOK_EVERY_S, after_fault_s: float = AFTER_FAULT_S) -> None:
        """Raises ValueError, naming the field and never the password, for an address that cannot be used."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("imap", "imaps") or not parts.hostname or not parts.username:
            raise ValueError("channels.mail.imap: expected imaps://user:password@host[:port]/FOLDER")
        self._is_tls = parts.scheme == "imaps"
        self._host, self._port = parts.hostname, port or (993 if self._is_tls else 143)
        self._user, self._password = unquote(parts.username), unquote(parts.password or "")
        self._folder = unquote(parts.path.lstrip("/")) or "INBOX"
        self._look_every_s, self._after_fault_s = look_every_s, after_fault_s
        self._box: BaseMailBox | None = None
        self._is_idle_known = False

    @property
    def where(self) -> str:
        """Host and port, for logs."""
        return f"{self._host}:{self._port}"

    async def run(self, take_in: TakeIn) -> None:
        """Take in every unseen mail, for ever."""
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mailbox")
        try:
            while True:
                await self._look(thread, take_in)
        finally:
            self._cut()
            thread.submit(self._drop)
            thread.shutdown(wait=False)

    async def _look(self, thread: ThreadPoolExecutor, take_in: TakeIn) -> None:
        """Take in what is unseen, then wait for more."""
        loop = asyncio.get_running_loop()
        try:
            mails = await loop.run_in_executor(thread, self._unseen)
            seen = await self._take(mails, take_in)
            await loop.run_in_executor(thread, self._mark, seen)
            if len(seen) == len(mails) and await loop.run_in_executor(thread, self._wait):
                return
        except _FAULTS as error:
            _log.warning("mailbox_away", where=self.where, why=type(error).__name__)
            await loop.run_in_executor(thread, self._drop)
            await asyncio.sleep(self._after_fault_s)
        else:
            await asyncio.sleep(self._look_every_s)

    async def _take(self, mails: list[tuple[str, bytes]], take_in: TakeIn) -> list[str]:
        """Take mails in until the store is away; return which are done."""
        done: list[str] = []
        for uid, raw in mails:
            try:
                await take_in(raw)
            except StoreAway as error:
                _log.warning("reply_waits", why=str(error))
                break
            done.append(uid)
        return done

    # --- in the thread -------------------------------------------------------------------------------------------------------------

    def _open(self) -> BaseMailBox:
        if self._box is None:
            make = MailBox if self._is_tls else MailBoxUnencrypted
            box = make(self._host, self._port, timeout=CONNECT_LIMIT_S)
            box.login(self._user, self._password, initial_folder=self._folder)
            self._is_idle_known = "IDLE" in box.client.capabilities
            self._box = box
            _log.info("mailbox_opened", where=self.where)
        return self._box

    def _unseen(self) -> list[tuple[str, bytes]]:
        box = self._open()
        return [(uid, _raw(box, uid)) for uid in box.uids(AND(seen=False))[:MAILS_AT_ONCE]]

    def _mark(self, uids: list[str]) -> None:
        if uids:
            self._open().flag(uids, "\\Seen", value=True)

    def _wait(self) -> bool:
        """Wait until the server tells of something; False when it cannot."""
        if not self._is_idle_known:
            return False
        self._open().idle.wait(timeout=IDLE_S)
        return True

    def _drop(self) -> None:
        if self._box is not None:
            with suppress(*_FAULTS):
                self._box.client.shutdown()
            self._box = None

    # --- from outside --------------------------------------------------------------------------------------------------------------

    def _cut(self) -> None:
        """End whatever the thread waits for."""
        if self._box is not None:
            with suppress(OSError):
                self._box.client.socket().shutdown(socket.SHUT_RDWR)


def _raw(box: BaseMailBox, uid: str) -> bytes:
    """Return a mail as it lies in the mailbox, its first `MAIL_BYTES_MAX` bytes, empty when it is gone.

    Not through the library's own messages: those are parsed, and a mail of a stranger's that cannot be written again would come for ever.
    """
    status, found = box.client.uid("FETCH", uid, f"(BODY.PEEK[]<0.{MAIL_BYTES_MAX}>)")
    if status != "OK":
        raise MailboxFetchError((status, found), "OK")
    return next((bytes(each[1]) for each in found if isinstance(each, tuple)), b"")


class _Session(SMTP):
    """One connection of a mail server that hands us replies; beyond `SESSIONS_MAX` it is told to come again."""

    open_now = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        type(self).open_now += 1
        if self.open_now > SESSIONS_MAX and isinstance(transport, asyncio.Transport):
            transport.write(b"421 4.3.2 too many connections, try again later\r\n")
            transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        type(self).open_now -= 1
        super().connection_lost(error)


class SmtpListener:
    """Takes mails for one address over SMTP: a mail server relays them to us. It relays nothing itself."""

    def __init__(self, listen: str, address: str) -> None:
        """`listen` is host:port. Raises ValueError, naming the field."""
        host, _, port = listen.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65_535:
            raise ValueError("channels.mail.listen: expected host:port, as in 127.0.0.1:2525")
        self._host, self._port = host.strip("[]"), int(port)
        self._address = address.lower()
        self._take_in: TakeIn | None = None
        self.port = 0

    async def run(self, take_in: TakeIn) -> None:
        """Listen for ever."""
        self._take_in = take_in
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._session, self._host, self._port)
        self.port = server.sockets[0].getsockname()[1]
        _log.info("mail_listening", address=f"{self._host}:{self.port}")
        async with server:
            await server.serve_forever()

    def _session(self) -> SMTP:
        return _Session(self, data_size_limit=MAIL_BYTES_MAX, enable_SMTPUTF8=True, timeout=SESSION_S, ident="Tocsin")

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802 aiosmtpd's name
        """Take mail for our own address only."""
        if address.lower() != self._address:
            return "550 5.1.1 nobody of this address is here"
        if len(envelope.rcpt_tos) >= RECIPIENTS_MAX:
            return "452 4.5.3 too many recipients"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 aiosmtpd's name
        """Act on a mail before it is answered for."""
        assert self._take_in is not None
        content = envelope.content or b""
        try:
            await self._take_in(content if isinstance(content, bytes) else content.encode())
        except StoreAway as error:
            _log.warning("reply_waits", why=str(error))
            return "451 4.3.0 try again later"
        return "250 OK"
