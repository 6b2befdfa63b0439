"""A mail server: real SMTP on a free loopback port, on the test's own loop, that records mails and answers as told.

async with MailServer() as server:
    account = MailAccount(smtp=server.url(), sender="Tocsin <tocsin@example.com>")
    server.at_recipient.append("550 5.1.1 no such user")
    server.after_data.append(CUT)
    ...
    mail = await server.mail(1)                           # waits until it has arrived
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from typing import Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

CUT = "cut"
"""In place of an answer: the connection is closed without one."""
SILENCE = "silence"
"""In place of an answer: none, and the connection stays open."""
WAIT_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """One mail as it came over the wire."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    over_tls: bool
    user: str | None

    def parsed(self) -> EmailMessage:
        message = message_from_bytes(self.raw, policy=SMTP_POLICY)
        assert isinstance(message, EmailMessage)
        return message


class MailServer:
    """The server. With `tls_context` it offers STARTTLS; with `passwords` it asks nobody but lets those log in."""

    def __init__(self, *, tls_context: ssl.SSLContext | None = None, passwords: dict[str, str] | None = None) -> None:
        self.mails: list[ReceivedMail] = []
        self.logins: list[str] = []
        self.at_recipient: deque[str] = deque()
        self.after_data: deque[str] = deque()
        self.port = 0
        self._tls_context = tls_context
        self._passwords = passwords or {}
        self._arrived = asyncio.Condition()
        self._stopped = asyncio.Event()
        self._sessions: list[SMTP] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._session, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._stopped.set()
        self._server.close()
        for session in self._sessions:
            if session.transport is not None:
                session.transport.close()
        await self._server.wait_closed()

    def url(self, credentials: str = "", scheme: str = "smtp", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{credentials + '@' if credentials else ''}{host}:{self.port}"

    async def mail(self, number: int, limit_s: float = WAIT_LIMIT_S) -> ReceivedMail:
        """The mail with this number, counted from 1, once it has arrived."""
        assert number >= 1, "mails are counted from 1"
        await self.wait_for(lambda: len(self.mails) >= number, limit_s)
        return self.mails[number - 1]

    async def wait_for(self, predicate: Callable[[], bool], limit_s: float = WAIT_LIMIT_S) -> None:
        async with asyncio.timeout(limit_s), self._arrived:
            await self._arrived.wait_for(predicate)

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        if self.at_recipient:
            return await self._answer(server, self.at_recipient.popleft())
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        user: object = session.auth_data
        channel: asyncio.BaseTransport | None = server.transport
        mail = ReceivedMail(
            sender=envelope.mail_from or "",
            recipients=tuple(envelope.rcpt_tos),
            raw=envelope.content,
            over_tls=channel is not None and channel.get_extra_info("sslcontext") is not None,
            user=user.decode() if isinstance(user, bytes) else None,
        )
        async with self._arrived:
            self.mails.append(mail)
            self._arrived.notify_all()
        told = self.after_data.popleft() if self.after_data else f"250 2.0.0 Ok: queued as 4F2A{len(self.mails)}"
        return await self._answer(server, told)

    async def _answer(self, server: SMTP, told: str) -> str:
        if told == SILENCE:
            await self._stopped.wait()
        if told in {CUT, SILENCE}:
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
            return "421 4.3.2 closing"
        return told

    def _session(self) -> SMTP:
        session = SMTP(
            self,
            hostname="mail.example.com",
            tls_context=self._tls_context,
            authenticator=self._log_in,
            auth_require_tls=self._tls_context is not None,
            loop=asyncio.get_running_loop(),
        )
        self._sessions.append(session)
        return session

    def _log_in(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
        assert isinstance(data, LoginPassword)
        user = data.login.decode()
        self.logins.append(user)
        known = self._passwords.get(user) == data.password.decode()
        return AuthResult(success=known, handled=False, auth_data=data.login)
