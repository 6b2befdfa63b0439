"""Slack's Web API, interactive requests and Socket Mode as far as a pager uses them, with its errors in the bodies of a 200.

    async with Slack(TOKEN, app_token=APP_TOKEN, signing_secret=SECRET) as slack:
        slack.people["U1"] = "Kim"                                      # members; `slack.channels` are those our app is in
        ...
        message = await slack.message(1)
        await slack.press(message, "Take it", by="U1")                  # over the socket; False: nobody answered in time
        await slack.press_over_http(url, message, "Take it", by="U1")   # as a signed request

It checks tokens, channels, time stamps and the limits of blocks, and keeps text as Slack does: escaped.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from tests.fakes.chatserver import Call, ChatServer

ANSWER_LIMIT_S = 3.0
_BARE_AMPERSAND = re.compile(r"&(?!amp;|lt;|gt;)")


@dataclass(slots=True)
class SlackMessage:
    """A message as it stands now."""

    channel: str
    ts: str
    text: str
    blocks: list[dict[str, Any]] = field(default_factory=list)
    thread_ts: str = ""
    broadcast: bool = False
    edits: int = 0

    def block(self, block_id: str) -> dict[str, Any] | None:
        return next((block for block in self.blocks if block.get("block_id") == block_id), None)

    @property
    def head(self) -> str:
        block = self.block("head")
        return "" if block is None else str(block["text"]["text"])

    @property
    def state(self) -> str:
        block = self.block("state")
        return "" if block is None else str(block["elements"][0]["text"])

    @property
    def buttons(self) -> list[dict[str, Any]]:
        block = self.block("answer")
        return [] if block is None else list(block["elements"])

    @property
    def labels(self) -> list[str]:
        return [button["text"]["text"] for button in self.buttons]

    def button(self, label: str) -> dict[str, Any]:
        [found] = [button for button in self.buttons if button["text"]["text"] == label]
        return found


class Refusal(Exception):
    """An error of Slack's, by its code."""


class Slack(ChatServer):
    """The server, for one app in one workspace."""

    def __init__(self, token: str, *, app_token: str = "", signing_secret: str = "") -> None:
        super().__init__()
        self.token, self.app_token, self.signing_secret = token, app_token, signing_secret
        self.people: dict[str, str] = {}
        self.channels: set[str] = set()
        self.messages: list[SlackMessage] = []
        self.ephemerals: list[Mapping[str, Any]] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.opened = 0
        self._tickets: set[str] = set()
        self._acknowledged: set[str] = set()
        self._numbers = 0

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/"

    def routes(self, app: web.Application) -> None:
        app.router.add_post("/api/{method}", self._called)
        app.router.add_get("/link", self._socket)

    async def stop(self) -> None:
        for socket in list(self.sockets):
            await socket.close()
        await super().stop()

    async def message(self, number: int) -> SlackMessage:
        """The message with this number, counted from 1, once it is there."""
        await self.until(lambda: len(self.messages) >= number)
        return self.messages[number - 1]

    async def edited(self, message: SlackMessage, times: int = 1) -> SlackMessage:
        await self.until(lambda: message.edits >= times)
        return message

    async def whisper(self, number: int) -> Mapping[str, Any]:
        """What only the person who pressed sees, once it is there."""
        await self.until(lambda: len(self.ephemerals) >= number)
        return self.ephemerals[number - 1]

    async def connected(self, times: int = 1) -> None:
        await self.until(lambda: self.opened >= times and self.sockets)

    # --- what people do --------------------------------------------------------------------------------------------------------------

    def pressed(self, message: SlackMessage, button: Mapping[str, Any], *, by: str) -> dict[str, Any]:
        """The payload that Slack makes of a press."""
        self._numbers += 1
        body: dict[str, Any] = {"ts": message.ts, "text": message.text, "blocks": message.blocks, "type": "message"}
        return {
            "type": "block_actions",
            "user": {"id": by, "username": self.people.get(by, "a stranger"), "team_id": "T1"},
            "container": {"type": "message", "message_ts": message.ts, "channel_id": message.channel, "is_ephemeral": False},
            "channel": {"id": message.channel, "name": "directmessage"},
            "message": body | ({"thread_ts": message.thread_ts} if message.thread_ts else {}),
            "actions": [{**button, "block_id": "answer", "action_ts": f"{self._numbers}.0"}],
        }

    async def press(self, message: SlackMessage, label: str, *, by: str) -> bool:
        """A press over the socket; whether our app answered within Slack's time."""
        return await self.send_envelope("interactive", self.pressed(message, message.button(label), by=by))

    async def send_envelope(self, kind: str, payload: Mapping[str, Any], limit_s: float = ANSWER_LIMIT_S) -> bool:
        self._numbers += 1
        envelope = f"envelope-{self._numbers}"
        await self.sockets[-1].send_json({"type": kind, "envelope_id": envelope, "payload": payload, "accepts_response_payload": False})
        try:
            async with asyncio.timeout(limit_s), self._changed:
                await self._changed.wait_for(lambda: envelope in self._acknowledged)
        except TimeoutError:
            return False
        return True

    async def press_over_http(self, url: str, message: SlackMessage, label: str, *, by: str, at_s: int, secret: str | None = None) -> int:
        """A press as a signed request, at an instant by Slack's clock; the status that it was answered with."""
        payload = self.pressed(message, message.button(label), by=by)
        return await self.request(url, urlencode({"payload": json.dumps(payload)}).encode(), at_s=at_s, secret=secret)

    async def request(self, url: str, raw: bytes, *, at_s: int, secret: str | None = None) -> int:
        key = self.signing_secret if secret is None else secret
        signature = "v0=" + hmac.new(key.encode(), f"v0:{at_s}:".encode() + raw, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Slack-Request-Timestamp": str(at_s),
            "X-Slack-Signature": signature,
        }
        timeout = aiohttp.ClientTimeout(total=ANSWER_LIMIT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.post(url, data=raw, headers=headers) as response:
            return response.status

    # --- what our app asks ---------------------------------------------------------------------------------------------------------------

    async def _called(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        call = Call(method, json.loads(await request.read() or b"{}"), request.headers)
        return await self.answer(request, call, lambda: self._usual(call))

    def _usual(self, call: Call) -> tuple[int, Any]:
        acts = {
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "chat.postEphemeral": self._whisper,
            "apps.connections.open": self._open,
        }
        token = self.app_token if call.method == "apps.connections.open" else self.token
        if call.headers.get("Authorization") != f"Bearer {token}":
            return 200, {"ok": False, "error": "invalid_auth"}
        try:
            return 200, {"ok": True, **acts[call.method](call.body)}
        except Refusal as refusal:
            return 200, {"ok": False, "error": str(refusal)}

    def _post(self, body: Any) -> dict[str, Any]:
        channel = self._channel(body["channel"])
        thread_ts = body.get("thread_ts", "")
        if thread_ts and self._find(channel, thread_ts) is None:
            raise Refusal("thread_not_found")
        self._numbers += 1
        message = SlackMessage(channel, f"1503435956.{self._numbers:06}", "", [], thread_ts, bool(body.get("reply_broadcast")))
        self._fill(message, body)
        self.messages.append(message)
        return {"channel": channel, "ts": message.ts, "message": {"text": message.text}}

    def _update(self, body: Any) -> dict[str, Any]:
        message = self._find(body["channel"], body["ts"])
        if message is None:
            raise Refusal("message_not_found")
        self._fill(message, body)
        message.edits += 1
        return {"channel": message.channel, "ts": message.ts, "text": message.text}

    def _whisper(self, body: Any) -> dict[str, Any]:
        self._channel(body["channel"])
        self.ephemerals.append(body)
        return {"message_ts": "1.0"}

    def _open(self, _body: Any) -> dict[str, Any]:
        self._numbers += 1
        ticket = f"ticket-{self._numbers}"
        self._tickets.add(ticket)
        return {"url": f"ws://127.0.0.1:{self.port}/link?ticket={ticket}"}

    def _channel(self, name: str) -> str:
        if name in self.people:
            return "D" + name[1:]
        if name in self.channels or (name.startswith("D") and "U" + name[1:] in self.people):
            return name
        raise Refusal("channel_not_found")

    def _find(self, channel: str, ts: str) -> SlackMessage | None:
        return next((each for each in self.messages if (each.channel, each.ts) == (channel, ts)), None)

    def _fill(self, message: SlackMessage, body: Any) -> None:
        blocks = json.loads(json.dumps(body.get("blocks", [])))
        if not body.get("text") or len(blocks) > 50 or not all(_is_good(block) for block in blocks):
            raise Refusal("invalid_blocks" if body.get("text") else "no_text")
        message.text, message.blocks = body["text"], blocks

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("ticket", "") not in self._tickets:
            return web.Response(status=403)
        self._tickets.discard(request.query["ticket"])
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "hello", "num_connections": 1})
        self.sockets.append(socket)
        self.opened += 1
        await self.changed()
        async for frame in socket:
            if frame.type is aiohttp.WSMsgType.TEXT:
                self._acknowledged.add(json.loads(frame.data)["envelope_id"])
                await self.changed()
        self.sockets.remove(socket)
        await self.changed()
        return socket


def _is_good(block: dict[str, Any]) -> bool:
    """Whether Slack takes a block; it keeps the text escaped."""
    match block["type"]:
        case "header":
            return _is_text(block["text"], 150)
        case "section":
            return _is_text(block["text"], 3_000)
        case "context":
            return len(block["elements"]) <= 10 and all(_is_text(each, 2_000) for each in block["elements"])
        case "actions":
            return 1 <= len(block["elements"]) <= 25 and all(_is_button(each) for each in block["elements"])
        case _:
            return False


def _is_button(button: dict[str, Any]) -> bool:
    fits = len(button.get("value", "")) <= 2_000 and len(button.get("url", "")) <= 3_000
    return button["type"] == "button" and _is_text(button["text"], 75) and fits


def _is_text(text: dict[str, Any], characters_max: int) -> bool:
    shown = text["text"].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    good = text["type"] == "plain_text" and 1 <= len(shown) <= characters_max
    text["text"] = _BARE_AMPERSAND.sub("&amp;", text["text"]).replace("<", "&lt;").replace(">", "&gt;")
    return good
