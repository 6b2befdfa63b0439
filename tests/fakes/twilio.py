"""Twilio: its REST API on a free loopback port, and the requests it makes itself, signed as it signs them.

async with Twilio(SID, TOKEN) as twilio:
    account = TwilioAccount(SID, TOKEN, "+15005550006", api_url=twilio.url)
    twilio.told["Messages"].append(Told(status=429, body=twilio.error(429, 20429)))
    ...
    message = await twilio.message(1)                     # once it has arrived
    await twilio.status(message, "delivered")             # calls back, at `public` mapped to `callback_port`
    call = await twilio.phone_call(1)                     # and for calls: what is said, and keys
    await twilio.press(call, "4")
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree as ET

import aiohttp
from aiohttp import web

from tests.fakes.chatserver import Call, ChatServer

PUBLIC = "https://pager.example.com"
"""The address under which Twilio thinks to reach us."""
TWIML_CHARACTERS_MAX = 4_000
URL_CHARACTERS_MAX = 4_000


@dataclass(slots=True)
class Created:
    """A message or a call as it was asked for; `twiml` is what a call has carried out last."""

    sid: str
    form: Mapping[str, str]
    twiml: ET.Element = field(default_factory=lambda: ET.Element("Response"))

    @property
    def said(self) -> str:
        """What a call says now, from the first word to the last."""
        return " ".join(each.text or "" for each in self.twiml.iter("Say"))

    @property
    def gather(self) -> ET.Element | None:
        """Where a call waits for a key."""
        return self.twiml.find("Gather")


@dataclass(frozen=True, slots=True)
class Answered:
    """What we answered a request of Twilio's."""

    status: int
    text: str

    @property
    def message(self) -> str:
        """The text message in it."""
        return ET.fromstring(self.text).findtext("Message") or ""


class Twilio(ChatServer):
    """The server. `opted_out` and `unknown` are numbers it refuses."""

    def __init__(self, sid: str, token: str, public: str = PUBLIC) -> None:
        super().__init__()
        self.sid, self.token, self.public = sid, token, public
        self.callback_port = 0
        self.created: list[tuple[str, Created]] = []
        self.opted_out: set[str] = set()
        self.unknown: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def routes(self, app: web.Application) -> None:
        app.router.add_post("/2010-04-01/Accounts/{sid}/{resource}.json", self._create)

    def error(self, status: int, code: int) -> dict[str, Any]:
        """The body of a refusal; its text repeats numbers, as Twilio's does."""
        more = f"https://www.twilio.com/docs/errors/{code}"
        return {"code": code, "message": f"refused, with secrets: {self.token} +821011112222", "more_info": more, "status": status}

    async def message(self, number: int) -> Created:
        """The message with this number, counted from 1."""
        return await self._nth("Messages", number)

    async def phone_call(self, number: int) -> Created:
        """The call with this number, counted from 1."""
        return await self._nth("Calls", number)

    async def _nth(self, resource: str, number: int) -> Created:
        await self.until(lambda: len([1 for each, _ in self.created if each == resource]) >= number)
        return [created for each, created in self.created if each == resource][number - 1]

    async def _create(self, request: web.Request) -> web.StreamResponse:
        resource, sid = request.match_info["resource"], request.match_info["sid"]
        form = dict(parse_qsl(await request.text(), keep_blank_values=True))
        wanted = "Basic " + base64.b64encode(f"{self.sid}:{self.token}".encode()).decode()

        def usual() -> tuple[int, Any]:
            if sid != self.sid or request.headers.get("Authorization") != wanted:
                return 401, self.error(401, 20003)
            code = self._fault(resource, form)
            if code:
                return 400, self.error(400, code)
            made = Created(f"{'SM' if resource == 'Messages' else 'CA'}{len(self.created):032x}", form)
            if resource == "Calls":
                made.twiml = ET.fromstring(form["Twiml"])
            self.created.append((resource, made))
            return 201, {"sid": made.sid, "status": "queued", "to": form["To"]}

        return await self.answer(request, Call(resource, form, request.headers), usual)

    def _fault(self, resource: str, form: Mapping[str, str]) -> int:
        urls = [value for name, value in form.items() if name.endswith("Callback")]
        if not form.get("To", "").startswith("+") or form["To"] in self.unknown:
            return 21211
        if form["To"] in self.opted_out:
            return 21610
        if any(len(url) > URL_CHARACTERS_MAX or (urlsplit(url).hostname or "localhost") in ("localhost", "127.0.0.1") for url in urls):
            return 21609
        if resource == "Messages":
            return 0 if form.get("Body") and (form.get("From") or form.get("MessagingServiceSid")) else 21602
        return 0 if form.get("From", "").startswith("+") and 0 < len(form.get("Twiml", "")) <= TWIML_CHARACTERS_MAX else 21205

    # --- what Twilio does by itself ----------------------------------------------------------------------------------------------------

    async def status(self, message: Created, status: str, **more: str) -> Answered:
        """Call back about a message."""
        fields = {"MessageSid": message.sid, "MessageStatus": status, "SmsStatus": status, "To": message.form["To"], **more}
        return await self.post(message.form["StatusCallback"], fields)

    async def reply(self, sender: str, body: str, **more: str) -> Answered:
        """A person writes to our number."""
        fields = {"MessageSid": "SM" + "f" * 32, "From": sender, "To": "+15005550006", "Body": body, "NumMedia": "0", **more}
        return await self.post(f"{self.public}/callbacks/sms/inbound", fields)

    async def press(self, call: Created, digit: str) -> Answered:
        """The person who is called presses a key."""
        assert call.gather is not None, f"the call waits for no key: {call.said}"
        found = await self.post(call.gather.attrib["action"], {"CallSid": call.sid, "CallStatus": "in-progress", "Digits": digit})
        if found.status == 200:
            call.twiml = ET.fromstring(found.text)
        return found

    async def machine(self, call: Created, answered_by: str) -> Answered:
        """Say who or what answered a call."""
        return await self.post(call.form["AsyncAmdStatusCallback"], {"CallSid": call.sid, "AnsweredBy": answered_by})

    async def end(self, call: Created, status: str = "completed") -> Answered:
        """A call is over."""
        return await self.post(call.form["StatusCallback"], {"CallSid": call.sid, "CallStatus": status, "CallDuration": "17"})

    async def post(self, url: str, fields: Mapping[str, str], *, token: str | None = None, signed_url: str | None = None) -> Answered:
        """POST a form to a public address of ours, signed with the account's token or another, over that address or another."""
        assert url.startswith(self.public), url
        local = f"http://127.0.0.1:{self.callback_port}" + url.removeprefix(self.public)
        headers = {"X-Twilio-Signature": sign(token or self.token, signed_url or url, fields)}
        async with aiohttp.ClientSession() as session, session.post(local, data=fields, headers=headers) as response:
            return Answered(response.status, await response.text())


def sign(token: str, url: str, fields: Mapping[str, str]) -> str:
    """X-Twilio-Signature, written again from Twilio's description so that ours is compared with something."""
    text = url
    for name in sorted(fields):
        text += name + fields[name]
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()
