"""The `sms:` contacts over Twilio: a page as one text message, its receipts, and what people reply.

Owns the three requests: ours that sends, Twilio's that says what became of it (`/callbacks/sms/status/...`), and Twilio's with a reply
(`/callbacks/sms/inbound`, to be entered for the number at Twilio). Words are the renderings', a reply is read by `notifier/replies.py`.

Status callbacks come out of order and more than once; only `delivered`, `undelivered` and `failed` say anything, and the policy takes the
first of them that matters. Who replied is proven by the number: it must be the `sms:` contact of exactly one person.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree as ET

import structlog
from aiohttp import web

from notifier.answers import Answers
from notifier.channels.outcome import Outcome
from notifier.channels.twilio import ACT_LIMIT_S, Fields, PagesSaid, TwilioChannel, carried_out, error_words, read_code, tell
from notifier.message import PageMessage
from notifier.rendering.answered import answered_line
from notifier.rendering.sms import sms_text
from notifier.replies import Reply, Wish, read_reply
from notifier.words import words_for
from tocsin.policy.rules import EMERGENCY_PERSON, Person
from tocsin.runtime.text import clean, cut
from tocsin.store.wire import StoreAway

VALIDITY_S: Final = 900
"""What waited longer at Twilio is not sent: a page of an hour ago says what no longer holds."""
ARRIVED: Final = frozenset({"delivered", "read"})
NOT_ARRIVED: Final = frozenset({"undelivered", "failed", "canceled"})
REPLY_CHARACTERS_MAX: Final = 300
LISTED_MAX: Final = 10
"""Incidents named to somebody who did not say which."""
QUOTED_CHARACTERS_MAX: Final = 20
"""Of a reply without a number, to say which could not be carried out."""
CANNOT_REPLY: Final = ("+86",)
"""Where neither links nor replies are carried."""

_log = structlog.get_logger(__name__)


class TwilioSmsChannel(TwilioChannel):
    """Sends and takes text messages over one account. `answers` None: it only sends."""

    name = "sms"

    async def send(self, to: str, message: PageMessage) -> Outcome:
        number = to.partition(":")[2]
        heard = self._callbacks.reachable
        carried = not number.startswith(CANNOT_REPLY)
        text = sms_text(message, can_reply=heard and carried and self._can_answer(message), with_link=carried)
        sender = "MessagingServiceSid" if self._account.sender.startswith("MG") else "From"
        form = [("To", number), (sender, self._account.sender), ("Body", text), ("ValidityPeriod", str(VALIDITY_S))]
        if heard:
            form.append(("StatusCallback", self._callbacks.url("status", *PagesSaid.of(message).packed())))
        return await self._api.create("Messages", form, confirms=heard)

    def _can_answer(self, message: PageMessage) -> bool:
        """A name takes no replies, and the emergency contact's number is nobody's in the rules."""
        return self._account.sender.startswith(("+", "MG")) and message.person != EMERGENCY_PERSON

    async def called_back(self, what: str, about: Sequence[str], fields: Fields, answers: Answers) -> web.Response:
        """Take a receipt or a reply."""
        match what, about:
            case "status", [_, _, *_]:
                return await self._status(fields, PagesSaid.unpacked(about), answers)
            case "inbound", []:
                return await self._inbound(fields, answers)
            case _:
                raise web.HTTPNotFound

    async def _status(self, fields: Fields, said: PagesSaid, answers: Answers) -> web.Response:
        status, code = fields.get("MessageStatus", ""), fields.get("ErrorCode", "")
        if status in ARRIVED or status in NOT_ARRIVED:
            failed = status + error_words(read_code(code)) if status in NOT_ARRIVED else None
            await tell(answers, said, receipt=fields.get("MessageSid", ""), failed=failed)
        return web.Response(status=204)

    async def _inbound(self, fields: Fields, answers: Answers) -> web.Response:
        """Act on a reply and answer it. STOP and START are Twilio's own matter, which it says in OptOutType."""
        if fields.get("OptOutType") in ("STOP", "START"):
            return _message("")
        key = answers.person_at(f"sms:{fields.get('From', '')}")
        person = None if key is None else answers.person(key)
        if key is None or person is None:
            _log.warning("reply_refused", channel=self.name, why="the number is no sms: contact of exactly one person")
            return _message(words_for("en").answered_stranger(f"sms:{fields.get('From', '')}"))
        reply = read_reply(fields.get("Body", ""))
        try:
            async with asyncio.timeout(ACT_LIMIT_S):
                text = await _act(reply, key, person, answers)
        except (StoreAway, TimeoutError):
            _log.warning("reply_not_taken", channel=self.name, person=key, why="the store does not answer")
            named = ", ".join(f"INC-{number}" for number in reply.numbers) or cut(clean(fields.get("Body", "")), QUOTED_CHARACTERS_MAX)
            text = words_for(person.locale).answered_busy(named)
        return _message(cut(text, REPLY_CHARACTERS_MAX))


def _message(text: str) -> web.Response:
    """A message to who wrote, or none."""
    root = ET.Element("Response")
    if text:
        ET.SubElement(root, "Message").text = text
    return carried_out(root)


async def _act(reply: Reply, key: str, person: Person, answers: Answers) -> str:
    """Do what a reply asks; return what its writer is told."""
    words = words_for(person.locale)
    numbers = reply.numbers
    if reply.wish is Wish.UNCLEAR or not numbers:
        waiting = await answers.waiting_for(key)
        if waiting == ():
            return words.reply_nothing
        if waiting is None or len(waiting) > 1 or reply.wish is not Wish.TAKE:
            return words.reply_which([f"INC-{number}" for number in (waiting or ())[:LISTED_MAX]])
        numbers = waiting
    do = answers.resolve if reply.wish is Wish.RESOLVE else answers.take
    return answered_line(await do(numbers, key, "sms"), person.locale, person.time_zone)
