"""The `webhook+http://` and `webhook+https://` contacts: a page as JSON in a POST, signed where there is a secret.

    POST /kim HTTP/1.1
    Content-Type: application/json
    Idempotency-Key: INC-42.1.kim.0
    Tocsin-Signature: t=1763866447,v1=5257a869...      HMAC-SHA256 over "<t>.<body>", hex

2xx is delivered; 408, 429 and 5xx are tried again; every other answer is a refusal. What failed before the request
could leave (name, connection, TLS) is definite; what broke afterwards without an answer is ambiguous: the receiver may
have the page, and will know a second copy by its Idempotency-Key. Addresses often carry a secret in their path, so
reasons name the host and nothing more.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import aiohttp
from yarl import URL

from notifier.channels.outcome import Outcome, Refused, Sent, Unreachable
from notifier.message import PageMessage, page_body

TOTAL_LIMIT_S = 10.0
CONNECT_LIMIT_S = 3.0
"""Name, connection and TLS together."""
ANSWER_BYTES_MAX = 64 * 1024
ANSWER_LIMIT_S = 2.0
"""For the rest of an answer whose status has decided already: it is read so that the connection can be used again."""
KEEP_ALIVE_S = 4.0
"""Less than the 5 s after which Node.js closes an idle connection (the shortest common default): we close first."""
CONNECTIONS_MAX = 100
RETRY_AFTER_S_MAX = 3600.0


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
        self._timeout = aiohttp.ClientTimeout(total=total_limit_s, connect=connect_limit_s, sock_connect=connect_limit_s)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, to: str, message: PageMessage) -> Outcome:
        try:
            url = URL(to.removeprefix("webhook+"))
            where = _host(url)
        except ValueError:
            return Refused("the address is not a URL")
        body = json.dumps(page_body(message), ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
        try:
            return await self._post(url, where, body, self._headers(to, message.page_id, body))
        except aiohttp.InvalidURL:
            return Refused("the address is not a URL")
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError, aiohttp.ClientSSLError) as error:
            return Unreachable(_reason("no connection to", where, error), ambiguous=False)
        except TimeoutError:
            return Unreachable(f"no answer from {where} within {self._timeout.total:g} s", ambiguous=True)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Unreachable(_reason("no whole answer from", where, error), ambiguous=True)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _post(self, url: URL, where: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        async with self._open().post(url, data=body, headers=headers, allow_redirects=False) as response:
            outcome = self._judge(response, where)
            await _read_out(response)
            return outcome

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=KEEP_ALIVE_S),
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                headers={"User-Agent": "Tocsin"},
            )
        return self._session

    def _headers(self, to: str, page_id: str, body: bytes) -> Mapping[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": quote(page_id, safe="!#$&'()*+,-./:;=?@[]^_`{|}~"),  # as it is, unless a header could not carry it
        }
        secret = self._secrets.get(to)
        if secret:
            headers["Tocsin-Signature"] = sign(body, secret=secret, at_s=self._wall_clock() // 1000)
        return headers

    def _judge(self, response: aiohttp.ClientResponse, where: str) -> Outcome:
        status = response.status
        reason = f"{where} answered {status}"
        if 200 <= status < 300:
            return Sent(receipt=f"HTTP {status}")
        if status in {408, 429} or status >= 500:
            pause_s = retry_after_s(response.headers.get("Retry-After"), now_ms=self._wall_clock())
            return Unreachable(reason, ambiguous=status >= 500, retry_after_s=pause_s)
        if 300 <= status < 400:
            return Refused(reason + ": redirects are not followed")
        return Refused(reason)


def sign(body: bytes, *, secret: str, at_s: int) -> str:
    """The value of Tocsin-Signature: who holds the secret can tell that the body is ours and how old it is."""
    digest = hmac.new(secret.encode(), str(at_s).encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"


def retry_after_s(value: str | None, *, now_ms: int) -> float | None:
    """Retry-After, in seconds or as an HTTP date, clamped to an hour; None for what says nothing."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        wanted_s = float(value[:10])
    else:
        try:
            until = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        if until.tzinfo is None:  # "-0000" in place of GMT
            until = until.replace(tzinfo=UTC)
        wanted_s = (until - datetime.fromtimestamp(now_ms / 1000, UTC)).total_seconds()
    return min(max(wanted_s, 0.0), RETRY_AFTER_S_MAX)


def _host(url: URL) -> str:
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("not an http URL")
    return f"{url.host}:{url.port}"


def _reason(what: str, where: str, error: Exception) -> str:
    """Names the kind of failure; the texts of aiohttp's own errors may hold the whole address."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    kind = getattr(cause, "strerror", None) or type(cause).__name__
    return f"{what} {where}: {kind}"


async def _read_out(response: aiohttp.ClientResponse) -> None:
    """Reads what is left so that the connection can be kept; a status received stands, whatever happens to the rest."""
    try:
        async with asyncio.timeout(ANSWER_LIMIT_S):
            left = ANSWER_BYTES_MAX
            while left > 0 and (chunk := await response.content.read(left)):
                left -= len(chunk)
    except (aiohttp.ClientError, TimeoutError, OSError):
        left = 0
    if left <= 0:
        response.close()
