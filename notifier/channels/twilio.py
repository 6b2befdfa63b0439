"""Twilio's interface: one request that creates a message or a call, and the requests by which it tells us what became of it.

Owns the account's authentication, what an error of Twilio means, and the proof that a callback is Twilio's: X-Twilio-Signature over the
exact public address and the form's fields, compared in constant time before anything is made of them. Does not know what is said
(`twilio_sms`, `twilio_voice`). Why no package of theirs: docs/decisions/0019-twilio-without-its-package.md.

A callback's address carries what it is about, signed by us, so nothing need be remembered between a page and what is heard of it:

    POST /callbacks/sms/status/WyJzdGF0dXMi....<27 characters>
    MessageSid=SM...&MessageStatus=delivered&...
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import ClassVar, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from xml.etree import ElementTree as ET

import structlog
from aiohttp import web
from itsdangerous import BadData
from itsdangerous.encoding import base64_decode, base64_encode

from notifier.answers import CALLBACKS, Answers
from notifier.channels.http import HttpAnswer, HttpSender, judged
from notifier.channels.outcome import Outcome, Refused, Sent, Unreachable
from notifier.message import PageMessage
from tocsin.policy.accounts import TwilioAccount
from tocsin.store.wire import StoreAway

API_VERSION: Final = "2010-04-01"
ACT_LIMIT_S: Final = 8.0
"""Twilio waits 15 s for an answer."""
CALLBACK_BYTES_MAX: Final = 64 * 1024
CALLBACK_READ_S: Final = 5.0
CALLBACK_FIELDS_MAX: Final = 200
CODE_DIGITS_MAX: Final = 9

TOO_MANY: Final = {20429: None, 21611: 5.0, 14107: 5.0}
"""Errors that pass, whatever their status (too many requests, the number's queue is full, too many messages), and the pause."""

MEANINGS: Final = {
    20003: "the account's sid or token is wrong",
    20005: "the account is not active",
    21201: "nobody is called",
    21210: "the sender's number is not verified",
    21211: "the number is not valid",
    21212: "the sender is not valid",
    21214: "the number cannot be reached",
    21215: "the account may not call this country",
    21216: "the account may not call this number",
    21408: "the account may not send to this country",
    21608: "a trial account sends to verified numbers only",
    21610: "its owner has opted out by replying STOP",
    21612: "this sender cannot reach this number",
    21614: "the number takes no text messages",
    30002: "the account is suspended",
    30003: "the phone is off or out of reach",
    30004: "its carrier blocks the message",
    30005: "the number is unknown",
    30006: "it is a landline, or its carrier cannot be reached",
    30007: "its carrier filtered the message",
    30008: "for an unknown reason",
}
"""What an operator should know of an error; the number alone stands for every other. twilio.com/docs/api/errors, read in November 2026."""

Fields = Mapping[str, str]

_log = structlog.get_logger(__name__)


class TwilioApi:
    """Creates messages and calls over one account."""

    def __init__(self, account: TwilioAccount, *, wall_clock: Callable[[], int], total_limit_s: float) -> None:
        self._url = f"{account.api_url.rstrip('/')}/{API_VERSION}/Accounts/{account.account_sid}"
        credentials = base64.b64encode(f"{account.account_sid}:{account.auth_token}".encode()).decode()
        self._headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/x-www-form-urlencoded"}
        self._sender = HttpSender(wall_clock=wall_clock, total_limit_s=total_limit_s)

    async def create(self, resource: str, form: Sequence[tuple[str, str]], *, confirms: bool) -> Outcome:
        """Create one of `Messages` or `Calls`; the receipt is its sid."""
        body = urlencode(form, errors="replace").encode()
        answer = await self._sender.call("POST", f"{self._url}/{resource}.json", body=body, headers=self._headers, whole=True)
        return _judge(answer, confirms=confirms) if isinstance(answer, HttpAnswer) else answer

    async def close(self) -> None:
        """Close kept connections; calls still under way fail as unreachable."""
        await self._sender.close()


def _judge(answer: HttpAnswer, *, confirms: bool) -> Outcome:
    content = answer.json() or {}
    if answer.ok:
        sid = content.get("sid")
        if isinstance(sid, str) and sid:
            return Sent(sid, confirms=confirms)
        return Unreachable(f"{answer.where} answered {answer.status} without a sid", ambiguous=True)
    found = content.get("code")
    code = found if isinstance(found, int) else 0
    reason = f"{answer.where} answered {answer.status}" + error_words(code)
    if code in TOO_MANY:
        return Unreachable(reason, ambiguous=False, retry_after_s=answer.pause_s or TOO_MANY[code])
    match judged(answer):
        case Unreachable(_, ambiguous, retry_after_s):
            return Unreachable(reason, ambiguous, retry_after_s)
        case _:
            return Refused(reason)


def error_words(code: int) -> str:
    """Return an error as the end of a reason; empty for none. Never Twilio's own text, which repeats numbers."""
    if not code:
        return ""
    return f", error {code}" + (f": {MEANINGS[code]}" if code in MEANINGS else "")


def read_code(text: str) -> int:
    """Return the number of an error as a form has it, 0 when it is none."""
    return int(text) if text.isdecimal() and len(text) <= CODE_DIGITS_MAX else 0


class TwilioCallbacks:
    """Where Twilio calls back about one channel's messages. `answers` None: nowhere."""

    def __init__(self, channel: str, account: TwilioAccount, answers: Answers | None) -> None:
        self._channel = channel
        self._auth_token = account.auth_token
        self._answers = answers

    @property
    def reachable(self) -> bool:
        """Whether Twilio can call back at all: it refuses pages whose callbacks lead to this machine."""
        return self._answers is not None and _is_public(self._answers.callback_url(self._channel))

    def url(self, what: str, *about: str) -> str:
        """Return the address of a callback that carries what it is about."""
        assert self._answers is not None, "asked for only where there are answers"
        text = base64_encode(json.dumps([what, *about], ensure_ascii=False, separators=(",", ":"))).decode()
        return self._answers.callback_url(f"{self._channel}/{what}/{self._answers.sign(text)}")

    def about(self, request: web.Request) -> tuple[str, Sequence[str]]:
        """Return what a callback is and what it is about (nothing for one without a signature of ours, such as an inbound message)."""
        what, _, signed = request.match_info.get("rest", "").partition("/")
        if not signed:
            return what, ()
        text = self._answers.unsign(signed) if self._answers is not None else None
        try:
            found = json.loads(base64_decode(text or ""))
        except (ValueError, BadData):
            found = []
        if not isinstance(found, list) or found[:1] != [what]:
            raise web.HTTPForbidden(text="this address was not made here\n")
        return what, [str(each) for each in found[1:]]

    async def read(self, request: web.Request) -> Fields:
        """Return the form of a request that Twilio has signed. Raises HTTPForbidden for every other."""
        if request.method != "POST":
            raise web.HTTPMethodNotAllowed(request.method, ["POST"])
        fields = _fields(await _body(request))
        assert self._answers is not None, "a channel without answers is not called back"
        _, _, path = request.raw_path.partition(f"{CALLBACKS}/")
        url = self._answers.callback_url(path)
        given = request.headers.get("X-Twilio-Signature", "").encode("utf-8", "surrogateescape")
        # Twilio leaves out or adds the scheme's own port, depending on the product.
        good = [hmac.compare_digest(signature(self._auth_token, each, fields).encode(), given) for each in _with_and_without_port(url)]
        if not any(good):
            raise web.HTTPForbidden(text="X-Twilio-Signature is not that of this account and address\n")
        return dict(fields)


class TwilioChannel:
    """What the channels over one account have in common. `answers` None: it only sends."""

    name: ClassVar[str]

    def __init__(self, account: TwilioAccount, *, wall_clock: Callable[[], int], total_limit_s: float, answers: Answers | None) -> None:
        self._account = account
        self._api = TwilioApi(account, wall_clock=wall_clock, total_limit_s=total_limit_s)
        self._callbacks = TwilioCallbacks(self.name, account, answers)
        self._answers = answers

    async def close(self) -> None:
        """Close kept connections; sends still under way fail as unreachable."""
        await self._api.close()

    async def listen(self) -> None:
        """Nothing to fetch: Twilio calls."""

    async def callback(self, request: web.Request) -> web.StreamResponse:
        """Take a request that Twilio has signed; every other is refused."""
        if self._answers is None:
            raise web.HTTPNotFound
        fields = await self._callbacks.read(request)
        what, about = self._callbacks.about(request)
        return await self.called_back(what, about, fields, self._answers)

    async def called_back(self, what: str, about: Sequence[str], fields: Fields, answers: Answers) -> web.Response:
        """Do what a request of Twilio's is for. Raises HTTPNotFound for what this channel knows nothing of."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class PagesSaid:
    """The pages in one message to one person: what a callback is about."""

    pages: tuple[str, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """The incidents, the gravest first."""
        return tuple(int(page.split(".", 1)[0].removeprefix("INC-")) for page in self.pages)

    @property
    def person(self) -> str:
        """Who was paged."""
        return self.pages[0].split(".", 2)[2].rpartition(".")[0]

    @staticmethod
    def of(message: PageMessage) -> PagesSaid:
        """Return those of a message."""
        return PagesSaid(message.pages or (message.page_id,))

    def packed(self) -> tuple[str, ...]:
        """Return them short, for an address has at most 4,000 characters: the person and the contact once, then each incident and step."""
        return (self.pages[0].split(".", 2)[2], *(".".join(page.split(".", 2)[:2]).removeprefix("INC-") for page in self.pages))

    @staticmethod
    def unpacked(packed: Sequence[str]) -> PagesSaid:
        """Undo `packed`, of which our signature says that it is ours."""
        return PagesSaid(tuple(f"INC-{each}.{packed[0]}" for each in packed[1:]))


async def tell(answers: Answers, said: PagesSaid, *, receipt: str, failed: str | None, corrects: bool = True) -> None:
    """Say that pages arrived, or why they did not; `corrects` an earlier word that they did not. Raises HTTPServiceUnavailable while the
    store is away."""
    try:
        async with asyncio.timeout(ACT_LIMIT_S):
            for page in said.pages:
                await (answers.arrived(page, receipt, corrects=corrects) if failed is None else answers.failed(page, failed))
    except (StoreAway, TimeoutError):
        _log.warning("receipt_not_recorded", page=said.pages[0], why="the store does not answer")
        raise web.HTTPServiceUnavailable(headers={"Retry-After": "5"}) from None


def signature(auth_token: str, url: str, fields: Sequence[tuple[str, str]]) -> str:
    """Return X-Twilio-Signature: base64 of HMAC-SHA1 over the address and the fields, sorted by name, nothing between names and values.

    twilio.com/docs/usage/security, "Validating requests".
    """
    text = url + "".join(name + value for name, value in sorted(set(fields)))
    return base64.b64encode(hmac.new(auth_token.encode(), text.encode("utf-8", "surrogateescape"), hashlib.sha1).digest()).decode()


def twiml(root: ET.Element) -> str:
    """Return what Twilio is to do, as XML: whatever strangers wrote is text in it."""
    return ET.tostring(root, encoding="unicode")


def carried_out(root: ET.Element) -> web.Response:
    """Return an answer that Twilio carries out."""
    return web.Response(text=twiml(root), content_type="text/xml")


async def _body(request: web.Request) -> str:
    content = bytearray()
    try:
        async with asyncio.timeout(CALLBACK_READ_S):
            async for chunk in request.content.iter_any():
                content += chunk
                if len(content) > CALLBACK_BYTES_MAX:
                    raise web.HTTPRequestEntityTooLarge(CALLBACK_BYTES_MAX, len(content))
        return content.decode("ascii")
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except ValueError:
        raise web.HTTPBadRequest(text="the body is no form\n") from None


def _fields(body: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body, keep_blank_values=True, max_num_fields=CALLBACK_FIELDS_MAX)
    except ValueError:
        raise web.HTTPBadRequest(text=f"the form has more than {CALLBACK_FIELDS_MAX} fields\n") from None


def _with_and_without_port(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = {"https": 443, "http": 80}.get(parts.scheme, 443) if parts.port is None else parts.port
    return urlunsplit(parts._replace(netloc=host)), urlunsplit(parts._replace(netloc=f"{host}:{port}"))


def _is_public(url: str) -> bool:
    """Whether an address can lead here from elsewhere; a private network's may, through a tunnel, a loopback one never."""
    host = urlsplit(url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return "." in host and not host.endswith((".localhost", ".local"))
    return not (address.is_loopback or address.is_unspecified or address.is_link_local)
