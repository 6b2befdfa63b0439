"""The `feishu+https://` contact: a custom bot of a Feishu or Lark group.

    POST /open-apis/bot/v2/hook/TOKEN
    {"timestamp": "1795370047", "sign": "...", "msg_type": "interactive", "card": {...}}
    -> 200 {"code": 0, "msg": "success", "data": {}}                          (older: {"StatusCode": 0, "StatusMessage": "success"})

The signature is in the body: base64 of HMAC-SHA256 over nothing, with "<timestamp in s>\\n<secret>" as key. Errors come with status 200 or
400: `code` decides. 100 messages a minute and 5 a second, 20 KB. All foreign text stands in `plain_text` elements, which mention nobody and
know no markup; the buttons are links. Codes: custom bots of open.feishu.cn,
as public clients have them (2026-11); not tried against the provider.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Final

from notifier.channels.http import TOTAL_LIMIT_S, HttpSender
from notifier.channels.outcome import Outcome
from notifier.channels.robots import Codes, judged_by_code, links
from notifier.message import PageMessage
from notifier.rendering.chat import card
from tocsin.policy.model import State

PAUSE_S: Final = 60.0

_CODES: Final = Codes(
    names=("code", "StatusCode"),
    limited=frozenset({11232, 230020, 99991400}),
    pause_s=PAUSE_S,
    known={
        19001: "the bot's address is not valid",
        19021: "the signature is not valid: secret or clock",
        19022: "our address is not on the bot's list",
        19024: "the bot wants a keyword that the text does not hold",
        9499: "a field is not as Feishu wants it",
    },
)
_COLOURS: Final = {1: "red", 2: "orange", 3: "blue"}


class FeishuChannel:
    """Sends to bots. `secrets` by the contact's whole address: with one, messages are signed. `wall_clock` in ms UTC."""

    name = "feishu"

    def __init__(self, *, wall_clock: Callable[[], int], secrets: Mapping[str, str], total_limit_s: float = TOTAL_LIMIT_S) -> None:
        self._wall_clock = wall_clock
        self._secrets = secrets
        self._http = HttpSender(wall_clock=wall_clock, total_limit_s=total_limit_s)

    async def send(self, to: str, message: PageMessage) -> Outcome:
        payload: dict[str, object] = {"msg_type": "interactive", "card": feishu_card(message)}
        secret = self._secrets.get(to)
        if secret:
            at_s = self._wall_clock() // 1000
            payload = {"timestamp": str(at_s), "sign": sign(secret, at_s=at_s)} | payload
        return judged_by_code(await self._http.post_json(to.partition("+")[2], payload, whole=True), _CODES)

    async def close(self) -> None:
        await self._http.close()


def feishu_card(message: PageMessage) -> dict[str, object]:
    """The page as an interactive card; far below 20 KB, because every part of it has its limit."""
    found = card(message)
    over = message.incident.state in {State.RESOLVED, State.CLOSED}
    text = "\n".join(line for line in (found.state_line, *found.lines) if line)
    buttons = [{"tag": "button", "text": _plain(label), "type": "default", "url": url} for label, url in links(message, found)]
    elements: list[dict[str, object]] = [{"tag": "div", "text": _plain(text)}] if text else []
    if buttons:
        elements.append({"tag": "action", "actions": buttons})
    return {
        "config": {"wide_screen_mode": True},
        "header": {"title": _plain(found.headline), "template": "green" if over else _COLOURS.get(message.incident.severity, "grey")},
        "elements": elements,
    }


def sign(secret: str, *, at_s: int) -> str:
    """The bot's signature for an instant, valid for an hour."""
    return base64.b64encode(hmac.new(f"{at_s}\n{secret}".encode(), b"", hashlib.sha256).digest()).decode()


def _plain(text: str) -> dict[str, object]:
    return {"tag": "plain_text", "content": text}
