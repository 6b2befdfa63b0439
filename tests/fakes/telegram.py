"""Telegram's Bot API as far as a pager uses it: messages with buttons, edits, long polling, and its errors.

    async with Telegram(TOKEN) as telegram:
        telegram.people[7] = "Kim"                                          # who has started the bot; any other chat is not found
        ...
        message = await telegram.message(1)
        await telegram.press(message, "Take it", by=7)                      # as a person does; the bot hears of it by getUpdates
        await telegram.reply(message, "ack", by=7)

It checks what the real one checks: the token, the chat, the length of texts and buttons, the form of links, edits that change nothing, and
that only one asks for updates at a time.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from tests.fakes.chatserver import Call, ChatServer

TEXT_MAX = 4_096
BUTTON_BYTES_MAX = 64
TOAST_MAX = 200
BOT = {"id": 999, "is_bot": True, "first_name": "Tocsin", "username": "tocsin_bot"}


@dataclass(slots=True)
class ChatMessage:
    """A message as it stands in the chat now."""

    chat: int
    id: int
    text: str
    keyboard: list[list[dict[str, str]]] = field(default_factory=list)
    reply_to: int | None = None
    edits: int = 0

    @property
    def labels(self) -> list[str]:
        return [button["text"] for row in self.keyboard for button in row]

    def button(self, label: str) -> dict[str, str]:
        [found] = [button for row in self.keyboard for button in row if button["text"] == label]
        return found

    def body(self) -> dict[str, Any]:
        kind = "private" if self.chat > 0 else "group"
        return {
            "message_id": self.id,
            "from": BOT,
            "chat": {"id": self.chat, "type": kind},
            "date": 1,
            "text": self.text,
            "reply_markup": {"inline_keyboard": self.keyboard},
        }


class Refusal(Exception):
    """An answer other than ok."""

    def __init__(self, status: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.status, self.parameters = status, parameters


class Telegram(ChatServer):
    """The server, for one bot."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self.token = token
        self.people: dict[int, str] = {}
        self.blocked: set[int] = set()
        self.webhook = False
        self.messages: list[ChatMessage] = []
        self.toasts: list[dict[str, Any]] = []
        self.updates: list[dict[str, Any]] = []
        self.polls = 0
        self._numbers = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def routes(self, app: web.Application) -> None:
        app.router.add_post("/bot{token}/{method}", self._called)

    async def message(self, number: int) -> ChatMessage:
        """The message with this number, counted from 1, once it is there."""
        await self.until(lambda: len(self.messages) >= number)
        return self.messages[number - 1]

    async def edited(self, message: ChatMessage, times: int = 1) -> ChatMessage:
        await self.until(lambda: message.edits >= times)
        return message

    async def toast(self, number: int) -> str:
        """What the person who pressed is shown, once it is."""
        await self.until(lambda: len(self.toasts) >= number)
        return str(self.toasts[number - 1].get("text", ""))

    # --- what people do --------------------------------------------------------------------------------------------------------------

    async def press(self, message: ChatMessage, label: str, *, by: int) -> None:
        await self.press_data(message, message.button(label)["callback_data"], by=by)

    async def press_data(self, message: ChatMessage, data: str, *, by: int) -> None:
        """A press as a changed client could send it: with any data."""
        query = {"id": f"q{len(self.updates)}", "from": self._user(by), "message": message.body(), "chat_instance": "1", "data": data}
        await self.update({"callback_query": query})

    async def reply(self, message: ChatMessage, text: str, *, by: int) -> None:
        await self.write(text, by=by, chat=message.chat, reply_to_message=message.body())

    async def write(self, text: str, *, by: int, chat: int, **more: Any) -> None:
        self._numbers += 1
        body = {"message_id": self._numbers, "from": self._user(by), "chat": {"id": chat}, "date": 1, "text": text}
        await self.update({"message": body | more})

    async def update(self, body: dict[str, Any]) -> None:
        self._numbers += 1
        self.updates.append({"update_id": self._numbers, **body})
        await self.changed()

    def _user(self, by: int) -> dict[str, Any]:
        return {"id": by, "is_bot": False, "first_name": self.people.get(by, "A stranger")}

    # --- what the bot asks -------------------------------------------------------------------------------------------------------------

    async def _called(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        call = Call(method, json.loads(await request.read() or b"{}"), request.headers)
        if request.match_info["token"] != self.token:
            return web.json_response({"ok": False, "error_code": 401, "description": "Unauthorized"}, status=401)
        if method == "getUpdates" and not self.told[method]:
            return await self._poll(call)
        return await self.answer(request, call, lambda: self._usual(call))

    def _usual(self, call: Call) -> tuple[int, Any]:
        acts = {
            "sendMessage": self._send,
            "editMessageText": self._edit,
            "answerCallbackQuery": self._toast,
        }
        try:
            return 200, {"ok": True, "result": acts[call.method](call.body)}
        except Refusal as refusal:
            return refusal.status, _error(refusal)

    async def _poll(self, call: Call) -> web.StreamResponse:
        self.calls.append(call)
        self.polls += 1
        mine = self.polls
        offset = call.body.get("offset", 0)
        self.updates = [update for update in self.updates if update["update_id"] >= offset]
        await self.changed()
        if self.webhook:
            what = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
            return web.json_response(_error(Refusal(409, what)), status=409)
        try:
            async with asyncio.timeout(call.body.get("timeout", 0)), self._changed:
                await self._changed.wait_for(lambda: self.updates or self.polls != mine or self._stopping.is_set())
        except TimeoutError:
            pass
        if self.polls != mine:
            what = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
            return web.json_response(_error(Refusal(409, what)), status=409)
        return web.json_response({"ok": True, "result": self.updates[:100]})

    def _send(self, body: Any) -> dict[str, Any]:
        chat = int(body["chat_id"])
        if chat not in self.people:
            raise Refusal(400, "Bad Request: chat not found")
        if chat in self.blocked:
            raise Refusal(403, "Forbidden: bot was blocked by the user")
        self._numbers += 1
        keyboard = _checked(body)
        reply_to = body.get("reply_parameters", {}).get("message_id")
        if reply_to is not None and all(message.id != reply_to for message in self.messages):
            if not body["reply_parameters"].get("allow_sending_without_reply"):
                raise Refusal(400, "Bad Request: message to be replied not found")
            reply_to = None
        message = ChatMessage(chat, self._numbers, body["text"], keyboard, reply_to)
        self.messages.append(message)
        return message.body()

    def _edit(self, body: Any) -> dict[str, Any]:
        wanted = (int(body["chat_id"]), body["message_id"])
        message = next((each for each in self.messages if (each.chat, each.id) == wanted), None)
        if message is None:
            raise Refusal(400, "Bad Request: message to edit not found")
        keyboard = _checked(body)
        if (message.text, message.keyboard) == (body["text"], keyboard):
            same = (
                "specified new message content and reply markup are exactly the same as a current content and reply markup of the message"
            )
            raise Refusal(400, f"Bad Request: message is not modified: {same}")
        message.text, message.keyboard = body["text"], keyboard
        message.edits += 1
        return message.body()

    def _toast(self, body: Any) -> bool:
        if len(body.get("text", "")) > TOAST_MAX:
            raise Refusal(400, "Bad Request: MESSAGE_TOO_LONG")
        self.toasts.append(body)
        return True


def _checked(body: Any) -> list[list[dict[str, str]]]:
    """The keyboard of a message that Telegram would take."""
    if not body["text"].strip():
        raise Refusal(400, "Bad Request: message text is empty")
    if len(body["text"]) > TEXT_MAX:
        raise Refusal(400, "Bad Request: message is too long")
    keyboard: list[list[dict[str, str]]] = body.get("reply_markup", {}).get("inline_keyboard", [])
    for button in (button for row in keyboard for button in row):
        if not button["text"] or len(button) != 2:
            raise Refusal(400, "Bad Request: can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
        if "callback_data" in button and not 1 <= len(button["callback_data"].encode()) <= BUTTON_BYTES_MAX:
            raise Refusal(400, "Bad Request: BUTTON_DATA_INVALID")
        if "url" in button and "." not in (urlsplit(button["url"]).hostname or ""):
            raise Refusal(400, f"Bad Request: inline keyboard button URL '{button['url']}' is invalid: Wrong HTTP URL")
    return keyboard


def _error(refusal: Refusal) -> dict[str, Any]:
    found: dict[str, Any] = {"ok": False, "error_code": refusal.status, "description": str(refusal)}
    return found | ({"parameters": refusal.parameters} if refusal.parameters else {})
