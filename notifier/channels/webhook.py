"""The `webhook+http://` and `webhook+https://` contacts: a page as JSON in a POST, signed where there is a secret.

    POST /kim HTTP/1.1
    Content-Type: application/json
    Idempotency-Key: INC-42.1.kim.0
    Tocsin-Signature: t=1763866447,v1=5257a869...      HMAC-SHA256 over "<t>.<body>", hex

2xx is delivered; 408, 429 and 5xx are tried again; every other answer is a refusal. After an ambiguous attempt the receiver may
have the page, and will know a second copy by its Idempotency-Key.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from urllib.parse import quote

from notifier.channels.http import CONNECT_LIMIT_S, TOTAL_LIMIT_S, HttpSender, json_bytes, judged
from notifier.channels.outcome import Outcome
from notifier.message import PageMessage, page_body


class WebhookChannel:
    """POSTs pages. `secrets` by the contact's whole address, `wall_clock` in ms UTC for the instant that is signed."""

    name = "webhook"

    def __init__(
        self,
        *,
        wall_clock: Callable[[], int],
        secrets: Mapping[str, str],
        total_limit_s: float = TOTAL_LIMIT_S,
        connect_limit_s: float = CONNECT_LIMIT_S,
    ) -> None:
        self._wall_clock = wall_clock
        self._secrets = secrets
        self._http = HttpSender(wall_clock=wall_clock, total_limit_s=total_limit_s, connect_limit_s=connect_limit_s)

    async def send(self, to: str, message: PageMessage) -> Outcome:
        body = json_bytes(page_body(message))
        headers = self._headers(to, message.page_id, body)
        return judged(await self._http.call("POST", to.removeprefix("webhook+"), body=body, headers=headers))

    async def close(self) -> None:
        await self._http.close()

    def _headers(self, to: str, page_id: str, body: bytes) -> Mapping[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": quote(page_id, safe="!#$&'()*+,-./:;=?@[]^_`{|}~"),  # as it is, unless a header could not carry it
        }
        secret = self._secrets.get(to)
        if secret:
            headers["Tocsin-Signature"] = sign(body, secret=secret, at_s=self._wall_clock() // 1000)
        return headers


def sign(body: bytes, *, secret: str, at_s: int) -> str:
    """The value of Tocsin-Signature: who holds the secret can tell that the body is ours and how old it is."""
    digest = hmac.new(secret.encode(), str(at_s).encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"
