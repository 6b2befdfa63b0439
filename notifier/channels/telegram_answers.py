"""What people answer over Telegram: its buttons and replies, fetched by long polling.

Owns the buttons' form (64 bytes each), who a press comes from, and when an answer counts as received: only after it was acted on. After a
crash it comes again, and acting twice is harmless. Who pressed is who Telegram says it was: the number of that account must be a contact of
exactly one person. A changed client can send any data with a press, which is why a button's value is signed.

    {"update_id": 7, "callback_query": {"id": "q1", "from": {"id": 12}, "data": "!t2a.<signature>",
                                        "message": {"message_id": 5, "chat": {"id": 12}, "text": "...", "reply_markup": {...}}}}
    {"update_id": 8, "message": {"message_id": 9, "from": {"id": 12}, "chat": {"id": 12}, "text": "ack", "reply_to_message": {...}}}
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from notifier.answers import Answered, Answers
from notifier.channels.buttons import Action, parts, read_button, write_button
from notifier.channels.chatmessages import Bundles, stranger_line
from notifier.channels.http import HttpAnswer
from notifier.channels.outcome import Refused, Unreachable
from notifier.rendering import answered_line
from notifier.replies import Wish, read_reply
from notifier.words import words_for
from tocsin.policy.model import State
from tocsin.policy.rules import Person
from tocsin.runtime.text import cut
from tocsin.store.wire import StoreAway

POLL_S: Final = 50.0
"""How long Telegram keeps a question for answers open."""
POLL_SLACK_S: Final = 10.0
UPDATES_MAX: Final = 20
"""In one answer of Telegram's."""
PAUSE_S: Final = 5.0
PAUSE_S_MAX: Final = 600.0
"""The longest pause that Telegram may ask of us."""
SHOW_LIMIT_S: Final = 3.0
"""For showing what an answer came to; it has been acted on by then."""
BUTTON_BYTES_MAX: Final = 64
TOAST_CHARACTERS_MAX: Final = 200

STATE_APART: Final = "\n\n"
"""Before the line that says who has it. Nothing else of ours has an empty line, and foreign text has no lines."""

_log = structlog.get_logger(__name__)

Json = Mapping[str, object]
Call = Callable[[str, Json, float], Awaitable[HttpAnswer | Refused | Unreachable]]
"""Calls a method with a payload within so many seconds."""
Row = list[dict[str, str]]


def button_rows(answers: Answers, label: str, numbers: Sequence[int], *, takes: bool) -> list[Row]:
    """Return the buttons that take or resolve incidents: one, or one for all and one for each part that a button can name."""
    one, of_all = (Action.TAKE, Action.TAKE_ALL) if takes else (Action.RESOLVE, Action.RESOLVE_ALL)
    found = parts(answers, numbers, BUTTON_BYTES_MAX)
    if len(found) <= 1:
        return [[_button(answers, label, one, part)] for part in found]
    return [[_button(answers, label, of_all, found[0])], *([_button(answers, _name(part), one, part)] for part in found)]


def _button(answers: Answers, label: str, action: Action, numbers: Sequence[int]) -> dict[str, str]:
    return {"text": label, "callback_data": write_button(answers, action, numbers)}


def _name(numbers: Sequence[int]) -> str:
    return f"INC-{numbers[0]}" if len(numbers) == 1 else f"INC-{numbers[0]} … INC-{numbers[-1]} ({len(numbers)})"


@dataclass(frozen=True, slots=True)
class _Message:
    """A message of ours that was answered, as Telegram gives it back."""

    chat: int
    id: int
    text: str
    keyboard: tuple[Row, ...]

    def numbers(self, answers: Answers, *, takes: bool | None) -> tuple[int, ...]:
        """Return the incidents that its buttons name; `takes` None: buttons of either kind."""
        buttons = [read_button(answers, button.get("callback_data", "")) for row in self.keyboard for button in row]
        wanted = [button for button in buttons if button is not None and takes in (None, button.action.takes)]
        return tuple(sorted({number for button in wanted for number in button.numbers}))


@dataclass(frozen=True, slots=True)
class _Answer:
    """What an account `by` wants done. `query` is the press, empty for a reply, which is then the message `reply`."""

    by: int
    to: _Message
    takes: bool
    numbers: tuple[int, ...]
    query: str = ""
    reply: int = 0


class TelegramAnswers:
    """Fetches answers for ever. One for each bot."""

    def __init__(self, call: Call, answers: Answers, bundles: Bundles, *, poll_s: float = POLL_S, pause_s: float = PAUSE_S) -> None:
        self._call = call
        self._answers = answers
        self._bundles = bundles
        self._poll_s = poll_s
        self._pause_s = pause_s

    async def listen(self) -> None:
        """Fetch and act until cancelled."""
        offset = 0
        while True:
            payload: dict[str, object] = {
                "timeout": int(self._poll_s),
                "limit": UPDATES_MAX,
                "allowed_updates": ["callback_query", "message"],
            }
            found = await self._call("getUpdates", payload | ({"offset": offset} if offset else {}), self._poll_s + POLL_SLACK_S)
            updates = _updates(found)
            if updates is None:
                pause_s = self._pause_of(found)
                _log.warning("telegram_answers_not_fetched", why=_why(found), pause_s=pause_s, conflict=_status(found) == 409)
                await asyncio.sleep(pause_s)
                continue
            for update in updates:
                try:
                    await self._take(update)
                except StoreAway as error:
                    _log.warning("telegram_answer_waits", update=_int(update, "update_id"), why=str(error))
                    await asyncio.sleep(self._pause_s)
                    break
                offset = max(offset, _int(update, "update_id") + 1)

    def _pause_of(self, found: HttpAnswer | Refused | Unreachable) -> float:
        """How long to leave Telegram alone; longer where a person must put it right: a wrong token, another who fetches the answers."""
        if _status(found) in {401, 404, 409}:
            return 6 * self._pause_s
        asked = retry_after_s(found) if isinstance(found, HttpAnswer) else None
        return self._pause_s if asked is None else min(max(asked, 0.1), PAUSE_S_MAX)

    async def _take(self, update: Json) -> None:
        """Act on one update and show what came of it. Raises StoreAway: nothing is lost, for it was not confirmed."""
        message = _mapping(update, "message")
        if _text(message, "text").partition("@")[0] == "/start":
            await self._tell_address(message)
            return
        answer = self._pressed(_mapping(update, "callback_query")) or self._replied(message)
        query = _text(_mapping(update, "callback_query"), "id")
        if answer is None:
            if query:
                _log.warning("telegram_press_not_ours", update=_int(update, "update_id"))
                await self._show("answerCallbackQuery", {"callback_query_id": query})
            return
        key = self._answers.person_at(f"telegram:{answer.by}")
        person = None if key is None else self._answers.person(key)
        if person is None:
            _log.warning("telegram_answer_of_stranger", update=_int(update, "update_id"))
            await self._tell(answer, stranger_line(f"telegram:{answer.by}"), alert=True)
            return
        act = self._answers.take if answer.takes else self._answers.resolve
        answered = await act(answer.numbers, person.key, "telegram")
        self._bundles.answered(receipt_of(answer.to.chat, answer.to.id, several=True), answered)
        await self._report(answer, answered, person)

    def _pressed(self, query: Json) -> _Answer | None:
        button = read_button(self._answers, _text(query, "data"))
        if button is None:
            return None
        message = _message(_mapping(query, "message"))
        numbers = set(button.numbers)
        if button.action.of_all:
            numbers |= set(message.numbers(self._answers, takes=button.action.takes))
        by = _int(_mapping(query, "from"), "id")
        return _Answer(by, message, button.action.takes, tuple(sorted(numbers)), query=_text(query, "id"))

    def _replied(self, message: Json) -> _Answer | None:
        """A reply to a page of ours: the page's buttons say what it is about; a number in the reply, which of them is meant."""
        reply = read_reply(_text(message, "text"))
        page = _message(_mapping(message, "reply_to_message"))
        numbers = page.numbers(self._answers, takes=None)
        if reply.numbers:
            numbers = tuple(number for number in numbers if number in reply.numbers)
        if reply.wish is Wish.UNCLEAR or not numbers:
            return None
        by = _int(_mapping(message, "from"), "id")
        return _Answer(by, page, takes=reply.wish is Wish.TAKE, numbers=numbers, reply=_int(message, "message_id"))

    # --- showing what came of it -----------------------------------------------------------------------------------------------------

    async def _report(self, answer: _Answer, answered: Sequence[Answered], person: Person) -> None:
        line = answered_line(answered, person.locale, person.time_zone)
        await self._tell(answer, line, alert=any(each.outcome not in {"done", "already"} for each in answered))
        keyboard = self._keyboard_after(answer, answered, person)
        if keyboard is not None and answer.to.text:
            text = answer.to.text.partition(STATE_APART)[0] + STATE_APART + line
            place = {"chat_id": answer.to.chat, "message_id": answer.to.id, "link_preview_options": {"is_disabled": True}}
            await self._show("editMessageText", place | {"text": text, "reply_markup": {"inline_keyboard": keyboard}})

    def _keyboard_after(self, answer: _Answer, answered: Sequence[Answered], person: Person) -> list[Row] | None:
        """Return the message's buttons now, None while it should stay as it is: something of it is still to be taken."""
        if any(each.outcome == "busy" for each in answered) or set(answer.to.numbers(self._answers, takes=None)) - set(answer.numbers):
            return None
        held = [int(each.incident.removeprefix("INC-")) for each in answered if each.state is State.ACKNOWLEDGED]
        links = [[button for button in row if "url" in button] for row in answer.to.keyboard]
        resolve = button_rows(self._answers, words_for(person.locale).resolve, held, takes=False) if held else []
        return [*resolve, *(row for row in links if row)]

    async def _tell(self, answer: _Answer, text: str, *, alert: bool) -> None:
        if answer.query:
            toast = {"callback_query_id": answer.query, "text": cut(text, TOAST_CHARACTERS_MAX), "show_alert": alert}
            await self._show("answerCallbackQuery", toast)
        else:
            reply = {"message_id": answer.reply, "allow_sending_without_reply": True}
            await self._show("sendMessage", {"chat_id": answer.to.chat, "text": text, "reply_parameters": reply})

    async def _tell_address(self, message: Json) -> None:
        """Who starts the bot is told what to write into the rules: a chat's number stands nowhere else."""
        chat = _int(_mapping(message, "chat"), "id")
        await self._show("sendMessage", {"chat_id": chat, "text": f"telegram:{chat}"})

    async def _show(self, method: str, payload: Json) -> None:
        found = await self._call(method, payload, SHOW_LIMIT_S)
        if not (isinstance(found, HttpAnswer) and found.ok):
            _log.info("telegram_answer_not_shown", method=method, why=_why(found))


def receipt_of(chat: int, message: int, *, several: bool) -> str:
    """Return the name of a message: `<chat>/<message>`, with a `+` when it is about several incidents."""
    return f"{chat}/{message}" + ("+" if several else "")


def retry_after_s(answer: HttpAnswer) -> float | None:
    """Return how long Telegram wants to be left alone, in seconds; None when it does not say."""
    asked = _int(_mapping(answer.json() or {}, "parameters"), "retry_after")
    return float(asked) if asked > 0 else answer.pause_s


def _updates(found: HttpAnswer | Refused | Unreachable) -> Sequence[Json] | None:
    """Return the updates of an answer in their order, None when it holds none that can be read."""
    body = found.json() if isinstance(found, HttpAnswer) and found.ok else None
    result = None if body is None else body.get("result")
    if not isinstance(result, list):
        return None
    return sorted((each for each in result if isinstance(each, dict)), key=lambda each: _int(each, "update_id"))


def _status(found: HttpAnswer | Refused | Unreachable) -> int:
    return found.status if isinstance(found, HttpAnswer) else 0


def _why(found: HttpAnswer | Refused | Unreachable) -> str:
    return f"{found.where} answered {found.status}" if isinstance(found, HttpAnswer) else found.reason


def _message(body: Json) -> _Message:
    rows = _mapping(body, "reply_markup").get("inline_keyboard")
    keyboard = tuple(
        [{str(k): v for k, v in button.items() if isinstance(v, str)} for button in row if isinstance(button, dict)]
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, list)
    )
    return _Message(_int(_mapping(body, "chat"), "id"), _int(body, "message_id"), _text(body, "text"), keyboard)


def _mapping(body: Json, key: str) -> Json:
    found = body.get(key)
    return found if isinstance(found, dict) else {}


def _text(body: Json, key: str) -> str:
    found = body.get(key)
    return found if isinstance(found, str) else ""


def _int(body: Json, key: str) -> int:
    found = body.get(key)
    return found if isinstance(found, int) else 0
