"""The `telegram:` contact: a page as a message of a bot, with buttons, changed in place.

The first page about an incident is a message; a later one replies to it, so that the phone rings again, and brings the first up to date. A
page of kind `update` only changes. A bot's message has no name that the sender gives, so a call without an answer may have been delivered.
What people answer is in `telegram_answers.py`.

The bot's token is part of every address, so reasons name the host alone, and of Telegram's own words only phrases that are known to us.
Messages are plain text: nothing in a title can become a mention, a link or a format.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import web

from notifier.answers import Answers
from notifier.channels.chatmessages import Bundles, names_several
from notifier.channels.http import HttpAnswer, HttpSender, json_bytes
from notifier.channels.outcome import Outcome, Refused, Sent, Unreachable
from notifier.channels.telegram_answers import (
    PAUSE_S,
    POLL_S,
    STATE_APART,
    Json,
    Row,
    TelegramAnswers,
    button_rows,
    receipt_of,
    retry_after_s,
)
from notifier.message import PageMessage
from notifier.rendering.chat import Card, card
from tocsin.policy.accounts import TelegramAccount
from tocsin.policy.model import PageKind
from tocsin.runtime.text import cut

TOTAL_LIMIT_S: Final = 10.0
REFRESH_LIMIT_S: Final = 3.0
"""For what only keeps messages up to date, after the page has gone out."""
TEXT_CHARACTERS_MAX: Final = 4_096
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
"""Updates hold what people wrote, and the messages they answered. An answer that is cut cannot be read, and would come for ever."""

_KNOWN: Final = (
    "chat not found",
    "bot was blocked by the user",
    "user is deactivated",
    "bot can't initiate conversation with a user",
    "bot was kicked",
    "group chat was upgraded to a supergroup chat",
    "not enough rights to send text messages",
    "message to edit not found",
    "message can't be edited",
)
"""Phrases of Telegram's that may stand in a reason; anything else may repeat what we sent."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a message is, read from its receipt."""

    chat: int
    message: int
    several: bool

    @property
    def receipt(self) -> str:
        return receipt_of(self.chat, self.message, several=self.several)


class TelegramChannel:
    """Sends over one bot and hears what people answer; without an account every page is refused, with that reason."""

    name = "telegram"

    def __init__(
        self,
        account: TelegramAccount | None,
        *,
        wall_clock: Callable[[], int],
        answers: Answers | None = None,
        total_limit_s: float = TOTAL_LIMIT_S,
        poll_s: float = POLL_S,
        pause_s: float = PAUSE_S,
    ) -> None:
        """`poll_s` is how long Telegram keeps a question for answers open, `pause_s` the pause after a failure."""
        self._account = account
        self._answers = answers
        self._total_limit_s = total_limit_s
        self._bundles = Bundles(wall_clock)
        self._heard = None
        if account is not None and answers is not None:
            self._heard = TelegramAnswers(self._call, answers, self._bundles, poll_s=poll_s, pause_s=pause_s)
        self._sender = HttpSender(wall_clock=wall_clock, total_limit_s=total_limit_s)

    async def send(self, to: str, message: PageMessage) -> Outcome:
        if self._account is None:
            return Refused("no Telegram account is set: channels.telegram")
        if message.kind is PageKind.UPDATE:
            return await self._update(message)
        root = _place_of(message.thread)
        chat = to.partition(":")[2].strip()
        fields: dict[str, object] = {"chat_id": chat, "disable_notification": message.kind is PageKind.RESOLVED}
        if root is not None:
            fields["reply_parameters"] = {"message_id": root.message, "allow_sending_without_reply": True}
        outcome = await self._write("sendMessage", fields, message, self._total_limit_s)
        if isinstance(outcome, Sent):
            self._bundles.remember(outcome.receipt or "", message)
            if root is not None:
                await self._refresh(root, message)
        return outcome

    async def listen(self) -> None:
        """Fetch answers for ever; return at once when there is no bot, or nobody to give them to."""
        if self._heard is not None:
            await self._heard.listen()

    async def callback(self, request: web.Request) -> web.StreamResponse:
        """Nothing: Telegram's answers are fetched."""
        raise web.HTTPNotFound

    async def close(self) -> None:
        await self._sender.close()

    async def _update(self, message: PageMessage) -> Outcome:
        place = _place_of(message.edits)
        if place is None:
            return Refused("the page has no message to change")
        return await self._change(place, message, self._total_limit_s)

    async def _refresh(self, root: _Place, message: PageMessage) -> None:
        """Bring the first message up to date; the page itself has gone out, so that this fails is only seen in the log."""
        outcome = await self._change(root, message, REFRESH_LIMIT_S)
        if not isinstance(outcome, Sent):
            _log.info("telegram_message_not_changed", page=message.page_id, why=outcome.reason)

    async def _change(self, place: _Place, news: PageMessage, limit_s: float) -> Outcome:
        fields = {"chat_id": place.chat, "message_id": place.message}

        async def edit(shown: PageMessage) -> Outcome:
            return await self._write("editMessageText", fields, shown, limit_s)

        return await self._bundles.change(place.receipt, news, edit, several=place.several)

    async def _write(self, method: str, fields: Json, message: PageMessage, limit_s: float) -> Outcome:
        """Send or change a message. When Telegram does not take the link of a button, which needs a public name, it stands in the text."""
        shown = card(message)
        private = not str(fields["chat_id"]).startswith(("-", "@"))
        link = shown.open_url if private else message.incident.url
        fields = {**fields, "link_preview_options": {"is_disabled": True}}
        first = {"text": _text(shown, ""), "reply_markup": {"inline_keyboard": self._keyboard(message, shown, link)}}
        answer = await self._call(method, fields | first, limit_s)
        if link and "button url" in _description(answer):
            second = {"text": _text(shown, link), "reply_markup": {"inline_keyboard": self._keyboard(message, shown, "")}}
            answer = await self._call(method, fields | second, limit_s)
        return _judged(answer, several=names_several(message))

    def _keyboard(self, message: PageMessage, shown: Card, link: str) -> list[Row]:
        rows: list[Row] = []
        if self._answers is not None and message.numbers:
            if shown.take:
                rows += button_rows(self._answers, shown.take, message.numbers, takes=True)
            if shown.resolve:
                rows += button_rows(self._answers, shown.resolve, message.numbers, takes=False)
        if link and shown.open:
            rows.append([{"text": shown.open, "url": link}])
        return rows

    async def _call(self, method: str, payload: Json, limit_s: float) -> HttpAnswer | Refused | Unreachable:
        assert self._account is not None, "there is no account to call with"
        url = f"{self._account.api_url.rstrip('/')}/bot{self._account.token}/{method}"
        body, headers = json_bytes(payload), {"Content-Type": "application/json"}
        return await self._sender.call("POST", url, body=body, headers=headers, whole=True, limit_s=limit_s, bytes_max=ANSWER_BYTES_MAX)


def _text(shown: Card, link: str) -> str:
    """The whole message; what stands after the empty line is who has it (`STATE_APART`)."""
    body = "\n".join([shown.headline, *shown.lines, *([link] if link else [])])
    apart = STATE_APART + shown.state_line if shown.state_line else ""
    return cut(body, TEXT_CHARACTERS_MAX - len(apart)) + apart


def _judged(answer: HttpAnswer | Refused | Unreachable, *, several: bool) -> Outcome:
    """What an answer says about delivery: `{"ok": true, "result": {...}}`, or an error with a description that is not for repeating."""
    if not isinstance(answer, HttpAnswer):
        return answer
    body = answer.json()
    reason = f"{answer.where} answered {answer.status}"
    if answer.ok and body is not None and body.get("ok") is True:
        place = _place_in(body.get("result"), several=several)
        return Sent(None if place is None else place.receipt, confirms=False)
    if answer.ok or answer.status >= 500:
        return Unreachable(reason if not answer.ok else f"{reason} without a result", ambiguous=True, retry_after_s=answer.pause_s)
    said = _description(answer)
    if answer.status == 429:
        return Unreachable(reason, ambiguous=False, retry_after_s=retry_after_s(answer))
    if "message is not modified" in said:
        return Sent(None, confirms=False)
    if answer.status == 401:
        return Refused(f"{reason}: the bot's token is not accepted")
    known = next((phrase for phrase in _KNOWN if phrase in said), "")
    return Refused(f"{reason}: {known}" if known else reason)


def _description(answer: HttpAnswer | Refused | Unreachable) -> str:
    body = answer.json() if isinstance(answer, HttpAnswer) and not answer.ok else None
    found = None if body is None else body.get("description")
    return found.lower() if isinstance(found, str) else ""


def _place_in(result: object, *, several: bool) -> _Place | None:
    if not isinstance(result, dict) or not isinstance(result.get("chat"), dict):
        return None
    chat, message = result["chat"].get("id"), result.get("message_id")
    return _Place(chat, message, several) if isinstance(chat, int) and isinstance(message, int) else None


def _place_of(receipt: str) -> _Place | None:
    chat, _, message = receipt.removesuffix("+").partition("/")
    try:
        return _Place(int(chat), int(message), receipt.endswith("+"))
    except ValueError:
        return None
