"""The `wecom+https://` contact: a message robot of a WeCom (WeChat Work) group.

    POST /cgi-bin/webhook/send?key=KEY
    {"msgtype": "text", "text": {"content": "...", "mentioned_list": []}}
    -> 200 {"errcode": 0, "errmsg": "ok"}

Errors come with status 200: `errcode` decides. 20 messages a minute, 2,048 bytes of text (4,096 is the limit of its Markdown, which cannot
be escaped and does not show in WeChat). `<@name>` mentions people even in text, so no `<` of anybody's is left as it is.
Codes: pages 91770 and 90313 of the vendor's documentation, as public clients have
them (2026-11); not tried against the provider.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from notifier.channels.http import TOTAL_LIMIT_S, HttpSender
from notifier.channels.outcome import Outcome
from notifier.channels.robots import Codes, judged_by_code, plain_text
from notifier.message import PageMessage

CONTENT_BYTES_MAX: Final = 2_048
PAUSE_S: Final = 60.0

_LESS_THAN: Final = "\uff1c"
"""Reads as `<` and begins no mention; three bytes for one."""

_CODES: Final = Codes(
    names=("errcode",),
    limited=frozenset({45009, 45033}),
    pause_s=PAUSE_S,
    known={
        93000: "the robot's key is not valid or the robot was removed",
        40058: "a field is not as WeCom wants it",
        45002: "the message is too long",
        44004: "the message is empty",
    },
)


class WecomChannel:
    """Sends to robots; the key in the address is all that they ask for."""

    name = "wecom"

    def __init__(self, *, wall_clock: Callable[[], int], total_limit_s: float = TOTAL_LIMIT_S) -> None:
        self._http = HttpSender(wall_clock=wall_clock, total_limit_s=total_limit_s)

    async def send(self, to: str, message: PageMessage) -> Outcome:
        payload = {"msgtype": "text", "text": {"content": _content(message), "mentioned_list": []}}
        return judged_by_code(await self._http.post_json(to.partition("+")[2], payload, whole=True), _CODES)

    async def close(self) -> None:
        await self._http.close()


def _content(message: PageMessage) -> str:
    """The text with no mention in it, within its limit; what has many `<` is written shorter to have room for their long form."""
    text = plain_text(message, bytes_max=CONTENT_BYTES_MAX)
    if "<" in text:
        text = plain_text(message, bytes_max=CONTENT_BYTES_MAX - 2 * text.count("<"))
    return text.replace("<", _LESS_THAN)
