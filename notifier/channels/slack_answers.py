"""What people press in Slack: who it was, what it does to the incidents, and what the message shows afterwards.

Owns the signature of requests and whose word a press is. It comes over the socket or as a signed request to `/callbacks/slack`; both bring

    {"type": "block_actions", "user": {"id": "U024BE7LH"}, "channel": {"id": "D0G9QPY56"},
     "message": {"ts": "1503435956.000247", "text": "...", "blocks": [...]},
     "actions": [{"action_id": "take", "value": "!t2a kim.<signature>"}]}

A press is acted on first and answered then, because whoever is told that it worked may go back to bed; Slack waits 3 s, and shows the
person a fault when there is no answer. The message is changed after that. Who pressed is the person with the contact `slack:<user>`; in a
conversation with our app alone, also the person for whom the message was, if that conversation is their contact.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

import structlog
from aiohttp import web

from notifier.answers import Answered, Answers
from notifier.channels.buttons import Action, Button, read_button, write_button
from notifier.channels.chatmessages import Bundles, stranger_line
from notifier.channels.http import HttpAnswer
from notifier.channels.outcome import Refused, Unreachable
from notifier.channels.slack_blocks import button, changed, escape
from notifier.rendering import answered_line
from notifier.words import words_for
from tocsin.policy.model import State
from tocsin.policy.rules import Person
from tocsin.store.wire import StoreAway

ACT_LIMIT_S: Final = 2.0
"""Slack gives 3 s from the press to the answer."""
SHOW_LIMIT_S: Final = 3.0
SIGNATURE_AGE_S_MAX: Final = 300

_log = structlog.get_logger(__name__)

Json = Mapping[str, object]
Call = Callable[[str, Json, float], Awaitable[HttpAnswer | Refused | Unreachable]]
"""Calls a method of the Web API with a payload within so many seconds."""


class LinkRefused(Exception):
    """Slack gives no address for a socket; `pause_s` until it is asked again."""

    def __init__(self, why: str, pause_s: float) -> None:
        super().__init__(why)
        self.pause_s = pause_s


@dataclass(frozen=True, slots=True)
class _Press:
    """A button of ours that the member `user` pressed in the message `ts`."""

    user: str
    channel: str
    ts: str
    text: str
    blocks: tuple[Json, ...]
    button: Button


@dataclass(frozen=True, slots=True)
class Acted:
    """What a press came to: for a person, or for a stranger (`person` None), for whom nothing happened."""

    press: _Press
    person: Person | None
    answered: tuple[Answered, ...] = ()


@dataclass(frozen=True, slots=True)
class NotActed:
    """It could not be done in time, perhaps in part. It must not be answered: Slack then shows the person that it did not work."""


class SlackAnswers:
    """Acts on presses. One for each app; without a signing secret it takes no requests."""

    def __init__(self, call: Call, answers: Answers, bundles: Bundles, *, signing_secret: str, wall_clock: Callable[[], int]) -> None:
        self._call = call
        self._answers = answers
        self._bundles = bundles
        self._signing_secret = signing_secret
        self._wall_clock = wall_clock

    async def callback(self, request: web.Request) -> web.StreamResponse:
        """Take a request of Slack's: check that it is, act, answer, then show."""
        if request.method != "POST":
            raise web.HTTPMethodNotAllowed(request.method, ["POST"])
        if not self._signing_secret:
            raise web.HTTPNotFound
        raw = await request.read()
        if not is_signed(self._signing_secret, request.headers, raw, self._wall_clock() // 1000):
            _log.warning("slack_request_not_signed")
            raise web.HTTPUnauthorized
        payload = _payload(raw)
        acted = None if payload is None else await self.act(payload)
        if isinstance(acted, NotActed):
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "1"})
        response = web.Response()
        await response.prepare(request)
        await response.write_eof()  # Slack has its answer; the rest may take longer than it waits
        if acted is not None:
            await self.show(acted)
        return response

    async def act(self, payload: Json) -> Acted | NotActed | None:
        """Do what a press asks; None when it asks nothing of us."""
        press = self._press(payload)
        if press is None:
            return None
        person = self._person(press)
        if person is None:
            _log.warning("slack_answer_of_stranger", channel=press.channel)
            return Acted(press, None)
        act = self._answers.take if press.button.action.takes else self._answers.resolve
        try:
            async with asyncio.timeout(ACT_LIMIT_S):
                answered = await act(press.button.numbers, person.key, "slack")
        except (StoreAway, TimeoutError) as error:
            _log.warning("slack_answer_not_taken", person=person.key, why=type(error).__name__)
            return NotActed()
        self._bundles.answered(receipt_of(press.channel, press.ts, several=True), answered)
        return Acted(press, person, answered)

    def _press(self, payload: Json) -> _Press | None:
        actions = payload.get("actions")
        action = actions[0] if isinstance(actions, list) and actions and isinstance(actions[0], dict) else {}
        found = read_button(self._answers, _text(action, "value"))
        if payload.get("type") != "block_actions" or found is None:
            return None
        message = _mapping(payload, "message")
        blocks = message.get("blocks")
        return _Press(
            user=_text(_mapping(payload, "user"), "id"),
            channel=_text(_mapping(payload, "channel"), "id"),
            ts=_text(message, "ts"),
            text=_text(message, "text"),
            blocks=tuple(block for block in blocks if isinstance(block, dict)) if isinstance(blocks, list) else (),
            button=found,
        )

    def _person(self, press: _Press) -> Person | None:
        key = self._answers.person_at(f"slack:{press.user}")
        if key is not None:
            return self._answers.person(key)
        meant = self._answers.person(press.button.person) if press.button.person else None
        if meant is None or not press.channel.startswith("D"):
            return None
        contacts = {contact.to.lower() for contact in meant.contacts}
        return meant if {f"slack:{press.channel}".lower(), f"slack:{press.user}".lower()} & contacts else None

    # --- showing what came of it -----------------------------------------------------------------------------------------------------

    async def show(self, acted: Acted) -> None:
        """Change the message, and tell who pressed what they must know."""
        press, person = acted.press, acted.person
        if person is None:
            await self._whisper(press, stranger_line(f"slack:{press.user}"))
            return
        line = answered_line(acted.answered, person.locale, person.time_zone)
        if any(each.outcome not in {"done", "already"} for each in acted.answered):
            await self._whisper(press, line)
        if press.blocks and press.ts and not any(each.outcome == "busy" for each in acted.answered):
            blocks = changed(press.blocks, line, self._buttons_after(acted, person))
            update = {"channel": press.channel, "ts": press.ts, "text": press.text, "blocks": blocks, "link_names": False, "parse": "none"}
            await self._told("chat.update", update)

    def _buttons_after(self, acted: Acted, person: Person) -> Sequence[dict[str, object]]:
        held = [int(each.incident.removeprefix("INC-")) for each in acted.answered if each.state is State.ACKNOWLEDGED]
        if not held:
            return []
        value = write_button(self._answers, Action.RESOLVE, held, acted.press.button.person)
        return [button(words_for(person.locale).resolve, Action.RESOLVE, value)]

    async def _whisper(self, press: _Press, text: str) -> None:
        await self._told("chat.postEphemeral", {"channel": press.channel, "user": press.user, "text": escape(text), "parse": "none"})

    async def _told(self, method: str, payload: Json) -> None:
        found = await self._call(method, payload, SHOW_LIMIT_S)
        body = found.json() if isinstance(found, HttpAnswer) else None
        if body is None or body.get("ok") is not True:
            why = f"{found.where} answered {found.status}" if isinstance(found, HttpAnswer) else found.reason
            _log.info("slack_answer_not_shown", method=method, why=why)


def receipt_of(channel: str, ts: str, *, several: bool) -> str:
    """Return the name of a message: `<channel>:<time stamp>`, with a `+` when it is about several incidents."""
    return f"{channel}:{ts}" + ("+" if several else "")


def is_signed(secret: str, headers: Mapping[str, str], raw: bytes, now_s: int) -> bool:
    """Whether Slack sent this within the last minutes: HMAC-SHA256 over `v0:<time stamp>:<body>`."""
    stamp, signature = headers.get("X-Slack-Request-Timestamp", ""), headers.get("X-Slack-Signature", "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12) or abs(now_s - int(stamp)) > SIGNATURE_AGE_S_MAX:
        return False
    expected = "v0=" + hmac.new(secret.encode(), f"v0:{stamp}:".encode() + raw, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode(errors="replace"))


def _payload(raw: bytes) -> Json | None:
    """Return what stands in the form field `payload`, None when that is not a JSON object."""
    try:
        fields = parse_qs(raw.decode(), strict_parsing=True, max_num_fields=10)
        found = json.loads(fields["payload"][0])
    except (ValueError, KeyError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _mapping(body: Json, key: str) -> Json:
    found = body.get(key)
    return found if isinstance(found, dict) else {}


def _text(body: Json, key: str) -> str:
    found = body.get(key)
    return found if isinstance(found, str) else ""
