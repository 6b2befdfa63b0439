"""One HTTP call of a provider, and what its answer says about delivery. What all channels over HTTP share.

Owns the session and its limits, how far a failed call came, and the judging of statuses. Does not know any provider: a channel
writes the body and reads what the answer says.

    answer = await sender.post_json(url, {"text": "..."}, whole=True)
    match answer:
        case HttpAnswer(): ...                      # whatever the status: `judged(answer)`, or the channel's own reading of the body
        case Refused() | Unreachable(): ...         # no answer; `judged` hands it through

What failed before the request could leave (name, connection, TLS) is definite; what broke afterwards without an answer is ambiguous.
Addresses often hold a secret, so reasons name host and port and nothing more. Redirects are not followed, and the proxies of the
environment not used: a page goes where the administrator's file says. Targets inside the own network are therefore allowed, for nobody
else can name one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
from yarl import URL

from notifier.channels.outcome import Outcome, Refused, Sent, Unreachable

TOTAL_LIMIT_S: Final = 10.0
CONNECT_LIMIT_S: Final = 3.0
"""Name, connection and TLS together."""
ANSWER_BYTES_MAX: Final = 64 * 1024
ANSWER_LIMIT_S: Final = 2.0
"""For the rest of an answer whose status has decided already: it is read so that the connection can be used again."""
KEEP_ALIVE_S: Final = 4.0
"""Less than the 5 s after which Node.js closes an idle connection (the shortest common default): we close first."""
CONNECTIONS_MAX: Final = 100
RETRY_AFTER_S_MAX: Final = 3600.0

NOT_A_URL: Final = Refused("the address is not a URL")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back. `where` is host and port; `body` has at most ANSWER_BYTES_MAX; `pause_s` is its Retry-After, clamped to an hour.

    The names of `headers` are looked up whatever their case.
    """

    where: str
    status: int
    body: bytes = field(default=b"", repr=False)
    pause_s: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def json(self) -> Mapping[str, object] | None:
        """Return the body when it is a JSON object, else None."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None


class HttpSender:
    """The HTTP calls of one channel, their connections kept. `wall_clock` in ms UTC, for a Retry-After that is a date."""

    def __init__(
        self, *, wall_clock: Callable[[], int], total_limit_s: float = TOTAL_LIMIT_S, connect_limit_s: float = CONNECT_LIMIT_S
    ) -> None:
        self._wall_clock = wall_clock
        self._total_limit_s = total_limit_s
        self._connect_limit_s = connect_limit_s
        self._session: aiohttp.ClientSession | None = None

    async def post_json(
        self,
        url: str,
        payload: object,
        headers: Mapping[str, str] | None = None,
        *,
        whole: bool = False,
        limit_s: float | None = None,
    ) -> HttpAnswer | Refused | Unreachable:
        """POST a value as JSON; see `call`."""
        headers = {"Content-Type": "application/json", **(headers or {})}
        return await self.call("POST", url, body=json_bytes(payload), headers=headers, whole=whole, limit_s=limit_s)

    async def call(
        self,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        whole: bool = False,
        limit_s: float | None = None,
        bytes_max: int = ANSWER_BYTES_MAX,
    ) -> HttpAnswer | Refused | Unreachable:
        """Send one request; return the answer, whatever its status, or why there is none.

        `whole`: the body of a 2xx decides too, so an answer that breaks off is none; otherwise the status stands and the body is what came
        within two seconds. `limit_s` in place of the sender's own limit, and `bytes_max` of a `whole` body, are for long polling.
        """
        limit_s = self._total_limit_s if limit_s is None else limit_s
        try:
            target = URL(url)
            where = _host(target)
        except ValueError:
            return NOT_A_URL
        timeout = aiohttp.ClientTimeout(total=limit_s, connect=self._connect_limit_s, sock_connect=self._connect_limit_s)
        try:
            async with self._open().request(
                method, target, data=body or None, headers=headers, allow_redirects=False, timeout=timeout
            ) as response:
                ok = 200 <= response.status < 300
                content = await (_read_whole(response, bytes_max) if whole and ok else _read_out(response))
                pause_s = retry_after_s(response.headers.get("Retry-After"), now_ms=self._wall_clock())
                return HttpAnswer(where, response.status, content, pause_s, response.headers)
        except aiohttp.InvalidURL:
            return NOT_A_URL
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError, aiohttp.ClientSSLError) as error:
            return Unreachable(_reason("no connection to", where, error), ambiguous=False)
        except TimeoutError:
            return Unreachable(f"no answer from {where} within {limit_s:g} s", ambiguous=True)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Unreachable(_reason("no whole answer from", where, error), ambiguous=True)

    async def close(self) -> None:
        """Close kept connections; calls still under way fail as unreachable."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=KEEP_ALIVE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                headers={"User-Agent": "Tocsin", "Accept-Encoding": "identity"},
            )
        return self._session


def judged(answer: HttpAnswer | Refused | Unreachable, receipt: str | None = None) -> Outcome:
    """What a status says: 2xx is delivered (`receipt` names it, else the status); 408, 429 and 5xx may pass; all else is a refusal."""
    if not isinstance(answer, HttpAnswer):
        return answer
    reason = f"{answer.where} answered {answer.status}"
    if answer.ok:
        return Sent(receipt or f"HTTP {answer.status}")
    if answer.status in {408, 429} or answer.status >= 500:
        return Unreachable(reason, ambiguous=answer.status >= 500, retry_after_s=answer.pause_s)
    if 300 <= answer.status < 400:
        return Refused(reason + ": redirects are not followed")
    return Refused(reason)


def json_bytes(payload: object) -> bytes:
    """Compact JSON in UTF-8; halves of surrogate pairs, which UTF-8 cannot hold, become question marks."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


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


async def _read_whole(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    """The body, cut at its limit; raises what `call` catches when it breaks off."""
    content = bytearray()
    while len(content) < bytes_max and (chunk := await response.content.read(bytes_max - len(content))):
        content += chunk
    if len(content) >= bytes_max:
        response.close()
    return bytes(content)


async def _read_out(response: aiohttp.ClientResponse) -> bytes:
    """What is left within the limits, so that the connection can be kept; a status received stands, whatever happens to the rest."""
    content = bytearray()
    whole = False
    try:
        async with asyncio.timeout(ANSWER_LIMIT_S):
            while len(content) < ANSWER_BYTES_MAX and not whole:
                chunk = await response.content.read(ANSWER_BYTES_MAX - len(content))
                content += chunk
                whole = not chunk
    except (aiohttp.ClientError, TimeoutError, OSError):
        pass
    if not whole:
        response.close()
    return bytes(content)
