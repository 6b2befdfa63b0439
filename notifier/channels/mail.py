"""The `mailto:` contact: a page as a mail of two parts, over real SMTP.

One connection for each page: mail is the slow channel, and a connection of its own tells exactly how far a failed send
came. Before DATA nothing has been handed over; a connection lost after it is ambiguous. STARTTLS is used when it is
offered, and a password leaves only over TLS (or to this machine itself).

Every copy of a page carries the same Message-ID, so that a mailbox can drop the second; pages of one incident refer to
one made-up root, which is what mail programs thread by. Where the account has a way in (`imap`, `listen`), a reply of
"ack" takes what the page names: `mail_replies.py` reads it, `mailbox.py` is where it comes in.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, parseaddr
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote, urlsplit

import aiosmtplib
import structlog
from aiohttp import web

from notifier.answers import Answers
from notifier.channels.mail_replies import Asked, MailUnreadable, answer_mail, proof_ids
from notifier.channels.mailbox import ImapMailbox, SmtpListener
from notifier.channels.outcome import Outcome, Refused, Sent, Unreachable
from notifier.message import PageMessage, html, plain_text, subject
from tocsin.policy.accounts import MailAccount
from tocsin.runtime.text import clean, cut

TOTAL_LIMIT_S = 15.0
QUIT_LIMIT_S = 1.0
ANSWER_CHARACTERS_MAX = 200
MARK_CHARACTERS = 12
"""Of a page's own mark in the Message-ID of a mail that may be replied to; the rest of it is the proof."""
MESSAGE_ID_DOMAIN_MAX = 36
"""The email package encodes a References line over 78 characters, and then no mail program can read it."""

_log = structlog.get_logger(__name__)

_PORTS = {"smtp": 25, "smtps": 465}
_QUEUE_ID = re.compile(r"(?:queued as|\bid=)\s*<?([\w.:-]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Server:
    """An account taken apart. Ports when none is named: 465 with TLS, 587 with a password, else 25."""

    host: str
    port: int
    tls: bool
    user: str | None
    password: str = field(repr=False)
    sender: Address
    reply_to: str = ""

    @property
    def where(self) -> str:
        return f"{self.host}:{self.port}"


class MailChannel:
    """Sends mails over one account, and takes replies; None: every mail is refused, with that reason."""

    name = "mail"

    def __init__(
        self,
        account: MailAccount | None,
        *,
        wall_clock: Callable[[], int],
        tls_context: ssl.SSLContext | None = None,
        total_limit_s: float = TOTAL_LIMIT_S,
        answers: Answers | None = None,
    ) -> None:
        """Raises ValueError, naming the field and never the password, for an account that cannot be used."""
        self._server = None if account is None else _server(account)
        self._imap = ImapMailbox(account.imap) if account is not None and account.imap else None
        self.listener = SmtpListener(account.listen, self._reply_to) if account is not None and account.listen else None
        self._answers = answers if self._imap is not None or self.listener is not None else None
        self._wall_clock = wall_clock
        self._tls_context = tls_context
        self._total_limit_s = total_limit_s

    async def send(self, to: str, message: PageMessage) -> Outcome:
        if self._server is None:
            return Refused("no mail account is set: channels.mail")
        try:
            recipient = _recipient(to, clean(message.person_name))
        except (ValueError, MessageError, IndexError):
            return Refused("the contact is not a mail address we can send to")
        mail = compose(message, sender=self._server.sender, recipient=recipient, now_ms=self._wall_clock(), answers=self._answers)
        if self._answers is not None:
            mail["Reply-To"] = self._reply_to
        return await self._hand_over(self._server, recipient.addr_spec, mail.as_bytes())

    @property
    def _reply_to(self) -> str:
        """The address that replies are sent to."""
        assert self._server is not None
        return self._server.reply_to or self._server.sender.addr_spec

    async def listen(self) -> None:
        """Take replies, for ever."""
        if self._answers is None:
            return
        async with asyncio.TaskGroup() as group:
            if self._imap is not None:
                group.create_task(self._imap.run(self.take_in))
            if self.listener is not None:
                group.create_task(self.listener.run(self.take_in))

    async def callback(self, request: web.Request) -> web.StreamResponse:
        """Replies come as mails, not as requests."""
        raise web.HTTPNotFound

    async def take_in(self, raw: bytes) -> None:
        """Do what a mail asks for, and tell its writer what came of it. Raises StoreAway."""
        assert self._answers is not None
        try:
            told = await answer_mail(raw, self._answers)
        except MailUnreadable as error:
            _log.warning("mail_unreadable", why=str(error), bytes=len(raw))
            return
        if told is None:
            _log.info("mail_is_no_answer", bytes=len(raw))
            return
        asked, line = told
        _log.info("mail_answered", person=asked.person.key, wish=asked.reply.wish.value, incidents=list(asked.numbers))
        await self._tell(asked, line)

    async def _tell(self, asked: Asked, line: str) -> None:
        """Mail what came of an answer to the person's own address, once; that it fails is only logged."""
        to = next((contact.to for contact in asked.person.contacts if contact.to.startswith("mailto:")), None)
        if to is None or self._server is None:
            return
        try:
            recipient = _recipient(to, clean(asked.person.name))
        except (ValueError, MessageError, IndexError):
            return
        mail = EmailMessage(policy=SMTP_POLICY)
        mail["From"] = self._server.sender
        mail["To"] = recipient
        mail["Subject"] = cut(clean(line), ANSWER_CHARACTERS_MAX)
        mail["Date"] = format_datetime(datetime.fromtimestamp(self._wall_clock() // 1000, UTC))
        mail["Auto-Submitted"] = "auto-replied"
        mail["X-Auto-Response-Suppress"] = "All"
        mail.set_content(line + "\n")
        outcome = await self._hand_over(self._server, recipient.addr_spec, mail.as_bytes())
        if not isinstance(outcome, Sent):
            _log.warning("reply_not_told", person=asked.person.key, why=outcome.reason)

    async def close(self) -> None:
        """Nothing is kept: every mail has a connection of its own."""

    async def _hand_over(self, server: _Server, recipient: str, mail: bytes) -> Outcome:
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls,
            tls_context=self._tls_context,
            local_hostname=_own_name(),
            timeout=self._total_limit_s,
        )
        in_data = False
        try:
            async with asyncio.timeout(self._total_limit_s):
                await client.connect()
                if server.user is not None:
                    if client.get_transport_info("sslcontext") is None and not _is_loopback(server.host):
                        return Refused(f"{server.where} offers no TLS and a password is not sent in the clear")
                    await client.login(server.user, server.password)
                await client.mail(server.sender.addr_spec)
                await client.rcpt(recipient)
                in_data = True
                answer = await client.data(mail)
            await _leave(client)
            return Sent(receipt=_receipt(answer.message))
        except aiosmtplib.SMTPResponseException as error:
            return _judge(error, server.where)
        except TimeoutError:
            return Unreachable(f"no answer from {server.where} within {self._total_limit_s:g} s", ambiguous=in_data)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            what = "connection lost after DATA to" if in_data else "no mail session with"
            return Unreachable(f"{what} {server.where}: {_kind(error)}", ambiguous=in_data)
        finally:
            client.close()


def compose(message: PageMessage, *, sender: Address, recipient: Address, now_ms: int, answers: Answers | None = None) -> EmailMessage:
    """The mail: headers through the email package's policy, which refuses line breaks in their values.

    With `answers` its ids prove, in a reply, whom it was written to and about which incidents.
    """
    incident = message.incident
    opened = str(incident.opened_at)  # makes ids unique where incident numbers began again with an empty store
    root = _message_id(sender.domain, "incident", incident.id, opened)
    mail = EmailMessage(policy=SMTP_POLICY)
    mail["From"] = sender
    mail["To"] = recipient
    mail["Subject"] = subject(message)
    mail["Date"] = format_datetime(datetime.fromtimestamp(now_ms // 1000, UTC))
    page_id, *named = _page_ids(message, sender.domain, opened, answers)
    mail["Message-ID"] = page_id
    mail["In-Reply-To"] = root
    mail["References"] = " ".join([root, *named])
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    if incident.severity == 1:
        mail["Importance"] = "high"
        mail["X-Priority"] = "1"
    can_reply = answers is not None
    mail.set_content(plain_text(message, can_reply=can_reply))
    mail.add_alternative(html(message, can_reply=can_reply), subtype="html")
    return mail


def _page_ids(message: PageMessage, domain: str, opened: str, answers: Answers | None) -> Sequence[str]:
    """The Message-ID, the same on every copy; then what proves the incidents of a page that names several."""
    whole = _message_id(domain, "page", message.page_id, message.kind.value, opened)
    if answers is None or not message.numbers:
        return [whole]
    mark, host = whole[1 : 1 + MARK_CHARACTERS], whole.rpartition("@")[2].rstrip(">")
    return proof_ids(answers, message.person, message.numbers, mark, host)


def _server(account: MailAccount) -> _Server:
    url = _parsed(account.smtp)
    name, address = parseaddr(account.sender)
    try:
        sender = Address(display_name=name, addr_spec=address)
    except (ValueError, MessageError, IndexError):  # IndexError: the email package, for odd texts
        raise ValueError("channels.mail.from: not a mail address") from None
    if not sender.domain or not address.isascii():
        raise ValueError("channels.mail.from: a mail address of ASCII letters with a domain is expected")
    user = unquote(url.username) if url.username else None
    port = url.port or (587 if user and url.scheme == "smtp" else _PORTS[url.scheme])
    return _Server(
        host=url.hostname or "",
        port=port,
        tls=url.scheme == "smtps",
        user=user,
        password=unquote(url.password or ""),
        sender=sender,
        reply_to=parseaddr(account.reply_to)[1],
    )


def _parsed(smtp: str) -> SplitResult:
    expected = "channels.mail.smtp: expected smtp://[user:password@]host[:port] or smtps://..."
    try:
        url = urlsplit(smtp)
        _ = url.port  # raises for a port that is no number
    except ValueError:
        raise ValueError(expected) from None
    if url.scheme not in _PORTS or not url.hostname:
        raise ValueError(expected)
    return url


def _recipient(to: str, display_name: str) -> Address:
    address = unquote(to.partition(":")[2].partition("?")[0]).strip()
    local, _, domain = address.rpartition("@")
    if not local.isascii() or not local or not domain:
        raise ValueError("the local part must be ASCII")
    spec = local + "@" + domain.encode("idna").decode()
    if clean(spec) != spec or " " in spec:
        raise ValueError("white space or control characters")
    return Address(display_name=display_name, addr_spec=spec)


def _message_id(domain: str, *of: str) -> str:
    """Always the same for the same page or incident, and short (see MESSAGE_ID_DOMAIN_MAX)."""
    digest = hashlib.sha256("\0".join(of).encode(errors="replace")).hexdigest()[:24]
    return f"<{digest}@{domain if len(domain) <= MESSAGE_ID_DOMAIN_MAX else 'tocsin.invalid'}>"


def _own_name() -> str:
    """What EHLO says: our host name when it is a full one, else an address literal (RFC 5321 4.1.4); no look-up."""
    name = socket.gethostname()
    return name if "." in name and name == clean(name) and " " not in name else "[127.0.0.1]"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _judge(error: aiosmtplib.SMTPResponseException, where: str) -> Outcome:
    """An answer is definite: 5xx will stay so, anything else may pass."""
    reason = f"{where} answered {error.code} {cut(clean(error.message), ANSWER_CHARACTERS_MAX)}"
    return Refused(reason) if 500 <= error.code < 600 else Unreachable(reason, ambiguous=False)


def _receipt(answer: str) -> str:
    """The id under which the server queued the mail, or its whole answer where none is recognised."""
    found = _QUEUE_ID.search(answer)
    return found[1] if found else cut(clean(answer), ANSWER_CHARACTERS_MAX)


def _kind(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    return getattr(cause, "strerror", None) or type(cause).__name__


async def _leave(client: aiosmtplib.SMTP) -> None:
    """Says QUIT; the mail is handed over already, whatever becomes of this."""
    with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
        await client.quit(timeout=QUIT_LIMIT_S)
