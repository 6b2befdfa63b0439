"""The `dingtalk+https://` contact: a custom robot of a DingTalk group.

    POST /robot/send?access_token=TOKEN&timestamp=1795370047500&sign=...     sign: base64 of HMAC-SHA256 with the robot's secret as key
    {"msgtype": "text", "text": {"content": "..."}, "at": {"isAtAll": false}}                          over "<timestamp>\\n<secret>"
    -> 200 {"errcode": 0, "errmsg": "ok"}

Errors come with status 200: `errcode` decides. Over 20 messages a minute the robot is blocked for ten minutes (code 130101 or 410100,
or a body that says `"punish": "deny"`). The message is plain text: DingTalk's Markdown cannot be escaped reliably, and only `at` mentions
people.
Codes: custom robots of open.dingtalk.com, as public clients have them (2026-11); not tried against the provider.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Final

from yarl import URL

from notifier.channels.http import NOT_A_URL, TOTAL_LIMIT_S, HttpAnswer, HttpSender
from notifier.channels.outcome import Outcome, Unreachable
from notifier.channels.robots import Codes, judged_by_code, plain_text
from notifier.message import PageMessage

CONTENT_BYTES_MAX: Final = 20_000
BLOCKED_S: Final = 600.0

_CODES: Final = Codes(
    names=("errcode",),
    limited=frozenset({130101, 410100, 90030}),
    pause_s=BLOCKED_S,
    known={
        310000: "the robot's security settings refuse it",
        300001: "the robot's token is not valid",
        300005: "the robot's token is not valid",
        400101: "the robot's token is not valid",
        400013: "the group is no more",
        400102: "the robot is stopped",
        400106: "the robot is no more",
    },
    hints=(
        ("sign", "the signature is not valid: secret or clock"),
        ("timestamp", "the signature is not valid: secret or clock"),
        ("keyword", "the robot wants a keyword that the text does not hold"),
        ("关键词", "the robot wants a keyword that the text does not hold"),
        ("whitelist", "our address is not on the robot's list"),
        ("白名单", "our address is not on the robot's list"),
    ),
)


class DingtalkChannel:
    """Sends to robots. `secrets` by the contact's whole address: with one, requests are signed. `wall_clock` in ms UTC."""

    name = "dingtalk"

    def __init__(self, *, wall_clock: Callable[[], int], secrets: Mapping[str, str], total_limit_s: float = TOTAL_LIMIT_S) -> None:
        self._wall_clock = wall_clock
        self._secrets = secrets
        self._http = HttpSender(wall_clock=wall_clock, total_limit_s=total_limit_s)

    async def send(self, to: str, message: PageMessage) -> Outcome:
        address = to.partition("+")[2]
        secret = self._secrets.get(to)
        if secret:
            at_ms = self._wall_clock()
            try:
                address = str(URL(address).update_query(timestamp=str(at_ms), sign=sign(secret, at_ms=at_ms)))
            except ValueError:
                return NOT_A_URL
        content = plain_text(message, bytes_max=CONTENT_BYTES_MAX)
        payload = {"msgtype": "text", "text": {"content": content}, "at": {"isAtAll": False}}
        answer = await self._http.post_json(address, payload, whole=True)
        if isinstance(answer, HttpAnswer) and (answer.json() or {}).get("punish") == "deny":
            return Unreachable(f"{answer.where} answered {answer.status}: too many messages", ambiguous=False, retry_after_s=BLOCKED_S)
        return judged_by_code(answer, _CODES)

    async def close(self) -> None:
        await self._http.close()


def sign(secret: str, *, at_ms: int) -> str:
    """The robot's signature for an instant, valid for an hour; it still has to be encoded for the query."""
    digest = hmac.new(secret.encode(), f"{at_ms}\n{secret}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
