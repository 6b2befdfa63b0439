"""The `tel:` contacts over Twilio: a page as a call that reads it out and waits for a key.

Owns the call from ringing to hanging up. What is said travels with the call as TwiML, so a person hears the page even while nothing of
ours can be reached; each key comes to `/callbacks/tel/key/...` (after 4: `/taken/...`), the end of the call to `/status/...`, and what
answered it to `/machine/...`. All that a callback needs stands in its signed address.

    4  take it (all of a bundle)      5  pass it on: the next rung now      *  again      6  (after 4) it is over

Only a key acknowledges. A machine that answers, nobody, or a line that is busy is a page that did not arrive: the next contact at once. A
person who listens and hangs up has got the page and has not taken it: the ladder goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

import structlog
from aiohttp import web

from notifier.answers import Answered, Answers
from notifier.channels.outcome import Outcome
from notifier.channels.twilio import ACT_LIMIT_S, Fields, PagesSaid, TwilioChannel, carried_out, tell, twiml
from notifier.message import PageMessage
from notifier.rendering.answered import answered_line
from notifier.rendering.voice import VoiceScript, voice_script
from notifier.words import words_for
from tocsin.policy.model import State
from tocsin.policy.rules import EMERGENCY_PERSON, Person
from tocsin.store.wire import StoreAway

RING_S: Final = 30
"""Mailboxes often answer after that."""
KEY_WAIT_S: Final = 6
"""After the last word."""
CALL_S_MAX: Final = 240
"""Who asks for it again and again is cut off some time."""
PAUSE_S: Final = 2
"""Between the first time and the second."""

NOT_ARRIVED: Final = {"busy": "the line was busy", "no-answer": "nobody answered", "failed": "the call failed", "canceled": "canceled"}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Said:
    """What a call says, and about which pages; travels in the addresses of its keys."""

    language: str
    say: str
    keys: str
    about: PagesSaid

    @staticmethod
    def of(script: VoiceScript, message: PageMessage) -> _Said:
        return _Said(script.language, script.say, script.keys, PagesSaid.of(message))

    def packed(self) -> tuple[str, ...]:
        return self.language, self.say, self.keys, *self.about.packed()

    @staticmethod
    def unpacked(packed: Sequence[str]) -> _Said:
        language, say, keys, *about = packed
        return _Said(language, say, keys, PagesSaid.unpacked(about))


class TwilioVoiceChannel(TwilioChannel):
    """Calls over one account. `answers` None: it only speaks."""

    name = "tel"

    async def send(self, to: str, message: PageMessage) -> Outcome:
        script = voice_script(message)
        said, heard = _Said.of(script, message), self._callbacks.reachable
        root = self._asked(said) if heard and script.resolve_keys else _told(said)
        form = [("To", to.partition(":")[2]), ("From", self._account.sender), ("Twiml", twiml(root))]
        form += [("Timeout", str(RING_S)), ("TimeLimit", str(CALL_S_MAX))]
        if heard:
            about = said.about.packed()
            form += [
                ("StatusCallback", self._callbacks.url("status", *about)),
                ("StatusCallbackEvent", "completed"),
                ("MachineDetection", "Enable"),
                ("AsyncAmd", "true"),  # the person hears the first word at once
                ("AsyncAmdStatusCallback", self._callbacks.url("machine", *about)),
            ]
        return await self._api.create("Calls", form, confirms=heard)

    async def called_back(self, what: str, about: Sequence[str], fields: Fields, answers: Answers) -> web.Response:
        """Take a key, the end of a call, or what answered it."""
        match what, about:
            case "key", [_, _, _, _, _, *_]:
                return await self._key(fields, _Said.unpacked(about), answers)
            case "taken", [_, _, _, _, _, *_]:
                return await self._key_after_taking(fields, _Said.unpacked(about), answers)
            case "status" | "machine", [_, _, *_]:
                return await self._ended(fields, PagesSaid.unpacked(about), answers)
            case _:
                raise web.HTTPNotFound

    # --- what becomes of a call ------------------------------------------------------------------------------------------------------

    async def _ended(self, fields: Fields, about: PagesSaid, answers: Answers) -> web.Response:
        answered_by, status = fields.get("AnsweredBy", ""), fields.get("CallStatus", "")
        failed = NOT_ARRIVED.get(status)
        if answered_by.startswith(("machine", "fax")):
            failed = "a machine answered"
        if failed is not None or status == "completed":
            # A call that a machine took ends like any other: that it is over does not say that a person heard it.
            await tell(answers, about, receipt=fields.get("CallSid", ""), failed=failed, corrects=False)
        return web.Response(status=204)

    async def _key(self, fields: Fields, said: _Said, answers: Answers) -> web.Response:
        person = _called(said.about.person, answers)
        digit = fields.get("Digits", "")
        if person is None or digit not in ("4", "5"):
            return carried_out(self._asked(said))
        do = answers.take if digit == "4" else answers.pass_on
        answered = await _within_limit(do(said.about.numbers, said.about.person, self.name), said.about)
        await self._has_heard(fields, said.about, answers)
        line = (answered_line if digit == "4" else _passed_on_line)(answered, person.locale, person.time_zone)
        if any(one.outcome == "busy" for one in answered):
            return carried_out(self._asked(said, first=line))
        if digit == "4" and any(one.state is State.ACKNOWLEDGED and one.holder == person.name for one in answered):
            return carried_out(self._asked_if_over(said, line, person))
        return carried_out(_heard_out(said, line))

    async def _key_after_taking(self, fields: Fields, said: _Said, answers: Answers) -> web.Response:
        person = _called(said.about.person, answers)
        if person is None or fields.get("Digits") != "6":
            return carried_out(_heard_out(said, ""))
        answered = await _within_limit(answers.resolve(said.about.numbers, said.about.person, self.name), said.about)
        line = answered_line(answered, person.locale, person.time_zone)
        if any(one.outcome == "busy" for one in answered):
            return carried_out(self._asked_if_over(said, line, person))
        return carried_out(_heard_out(said, line))

    async def _has_heard(self, fields: Fields, about: PagesSaid, answers: Answers) -> None:
        """Who presses a key has got the page, whatever took the call for a machine. The key counts even when this cannot be written."""
        try:
            await tell(answers, about, receipt=fields.get("CallSid", ""), failed=None)
        except web.HTTPServiceUnavailable:
            _log.warning("receipt_not_recorded", channel=self.name, page=about.pages[0])

    # --- what is said ----------------------------------------------------------------------------------------------------------------

    def _asked(self, said: _Said, first: str = "") -> ET.Element:
        """The page twice, and a key at any moment."""
        root = ET.Element("Response")
        gather = _gather(root, self._callbacks.url("key", *said.packed()))
        for text in (first, said.say, said.keys):
            _say(gather, said, text)
        ET.SubElement(gather, "Pause", length=str(PAUSE_S))
        for text in (said.say, said.keys):
            _say(gather, said, text)
        return root

    def _asked_if_over(self, said: _Said, line: str, person: Person) -> ET.Element:
        root = ET.Element("Response")
        gather = _gather(root, self._callbacks.url("taken", *said.packed()))
        for text in (line, words_for(person.locale).say_resolve):
            _say(gather, said, text)
        return root


def _called(key: str, answers: Answers) -> Person | None:
    """Who was called; None when the rules have lost them since. The emergency contact is nobody in the rules and may answer as well."""
    return Person(key, answers.name_of(key), "en", "UTC", ()) if key == EMERGENCY_PERSON else answers.person(key)


async def _within_limit(doing: Awaitable[tuple[Answered, ...]], about: PagesSaid) -> tuple[Answered, ...]:
    try:
        async with asyncio.timeout(ACT_LIMIT_S):
            return await doing
    except (StoreAway, TimeoutError):
        _log.warning("key_not_taken", page=about.pages[0], why="the store does not answer")
        return tuple(Answered(f"INC-{number}", "busy") for number in about.numbers)


def _passed_on_line(answered: Sequence[Answered], locale: str, time_zone: str) -> str:
    """What became of passing on; an incident that is not open has somebody, or is over, and that is said as after every answer."""
    words = words_for(locale)
    passed = [one.incident for one in answered if one.outcome == "done"]
    stuck = [one.incident for one in answered if one.outcome == "already" and one.state is State.OPEN]
    others = [one for one in answered if one.incident not in (*passed, *stuck)]
    lines = [words.answered_passed_on(", ".join(passed)) if passed else "", words.answered_nobody_paged(", ".join(stuck)) if stuck else ""]
    return " ".join(line for line in (*lines, answered_line(others, locale, time_zone)) if line)


def _told(said: _Said) -> ET.Element:
    """The page twice, and no keys: nobody could be told of them."""
    root = ET.Element("Response")
    _say(root, said, said.say)
    ET.SubElement(root, "Pause", length=str(PAUSE_S))
    _say(root, said, said.say)
    return root


def _heard_out(said: _Said, line: str) -> ET.Element:
    root = ET.Element("Response")
    _say(root, said, line)
    ET.SubElement(root, "Hangup")
    return root


def _gather(root: ET.Element, action: str) -> ET.Element:
    """One key; also # and *, which would else end the input."""
    return ET.SubElement(root, "Gather", numDigits="1", finishOnKey="", timeout=str(KEY_WAIT_S), action=action, method="POST")


def _say(parent: ET.Element, said: _Said, text: str) -> None:
    if text:
        ET.SubElement(parent, "Say", language=said.language).text = text
