"""The console over HTTP, as the command line sees it: one request, one answer, or one exception that says what to do.

Owns where the console and its token are found and what its status codes mean. Uses the standard library only, because `tocsin incident ack`
must start fast; proxies of the environment are not asked, because a pager's own console is not behind one. Every wait has a limit.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

DEFAULT_URL: Final = "http://127.0.0.1:9096"
DEFAULT_STORAGE_PATH: Final = "data"
ADMIN_TOKEN_FILE: Final = "admin-token"  # noqa: S105  a file name
LOCAL_HOSTS: Final = frozenset({"127.0.0.1", "::1", "localhost"})
TIMEOUT_S: Final = 10.0
STREAM_SILENCE_S: Final = 60.0
"""A stream that says nothing for this long is taken for dead; the console sends a comment every few seconds."""
ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024

# What the console sends is JSON of many shapes; the commands read the fields that CONTRACT.md names.
Json = Any


class ClientError(Exception):
    """The command could not be done; `exit_code` tells scripts why."""

    exit_code = 1


class Misused(ClientError):
    """The console does not understand what was asked."""

    exit_code = 2


class NotFound(ClientError):
    """There is no such thing."""

    exit_code = 3


class Unreachable(ClientError):
    """The console, or the store behind it, does not answer."""

    exit_code = 5


class RefusedByConsole(ClientError):
    """The state or the role of the token does not allow it."""

    exit_code = 6


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One server-sent event."""

    id: str
    kind: str
    data: str


@dataclass(frozen=True, slots=True)
class Console:
    """A console at `url`, spoken to with `token` (None: without)."""

    url: str
    token: str | None = None

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        """The JSON at `path`. Raises ClientError."""
        return self._ask("GET", path if not query else f"{path}?{urlencode(query)}", None)

    def post(self, path: str, body: Mapping[str, object]) -> Json:
        """The JSON answered to `body`. Raises ClientError."""
        return self._ask("POST", path, json.dumps(body).encode())

    def post_file(self, path: str, query: Mapping[str, str], content: bytes, media_type: str) -> Json:
        """The JSON answered to a file. Raises ClientError."""
        return self._ask("POST", f"{path}?{urlencode(query)}", content, media_type)

    def delete(self, path: str) -> Json:
        """The JSON answered when something is taken back. Raises ClientError."""
        return self._ask("DELETE", path, None)

    def events(self, path: str, *, last_id: str | None = None) -> Iterator[ServerEvent]:
        """The events of a stream until it ends or falls silent. Raises ClientError."""
        headers = {"Accept": "text/event-stream"} | ({} if last_id is None else {"Last-Event-ID": last_id})
        with self._answer("GET", path, None, headers, timeout_s=STREAM_SILENCE_S) as answer:
            _require_success(answer, self)
            yield from parse_events(answer)

    def _ask(self, method: str, path: str, body: bytes | None, media_type: str = "application/json") -> Json:
        headers = {"Accept": "application/json"} | ({} if body is None else {"Content-Type": media_type})
        with self._answer(method, path, body, headers, timeout_s=TIMEOUT_S) as answer:
            content = _require_success(answer, self)
        if not content:
            return None
        try:
            return json.loads(content)
        except ValueError as error:
            raise ClientError(f"{self.url} answered something that is not JSON: is it Tocsin's console?") from error

    @contextmanager
    def _answer(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], *, timeout_s: float
    ) -> Iterator[http.client.HTTPResponse]:
        parts = urlsplit(self.url)
        connection = _connection(self.url, timeout_s)
        sent = dict(headers)
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        try:
            connection.request(method, parts.path.rstrip("/") + path, body=body, headers=sent)
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Unreachable(f"{self.url} does not answer ({why}): is `tocsin serve` running, is --url (TOCSIN_URL) right?") from error
        finally:
            connection.close()


def parse_events(lines: Iterator[bytes] | http.client.HTTPResponse) -> Iterator[ServerEvent]:
    """The events in the lines of a `text/event-stream`; comments are dropped."""
    last_id, kind, data = "", "message", list[str]()
    for raw in lines:
        line = raw.decode("utf-8", errors="replace").rstrip("\r\n")
        if not line:
            if data:
                yield ServerEvent(last_id, kind, "\n".join(data))
            kind, data = "message", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            kind = value
        elif name == "id":
            last_id = value


def incident_path(incident_id: str, *more: str) -> str:
    """`/api/v1/incidents/INC-42/acknowledge`; a bare number is taken for its incident."""
    name = f"INC-{incident_id}" if incident_id.isdigit() else incident_id.upper()
    return "/".join(["/api/v1/incidents", quote(name, safe=""), *more])


def find_token(url: str, environment: Mapping[str, str]) -> str | None:
    """TOCSIN_TOKEN; else, for a console on this machine only, the token that `tocsin serve` wrote, when we may read it."""
    given = environment.get("TOCSIN_TOKEN", "").strip()
    if given:
        return given
    if urlsplit(url).hostname not in LOCAL_HOSTS:
        return None
    file = Path(environment.get("TOCSIN_STORAGE_PATH") or DEFAULT_STORAGE_PATH) / ADMIN_TOKEN_FILE
    try:
        return file.read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _connection(url: str, timeout_s: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as error:
        raise Misused(f"{url} has no usable port") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Misused(f"{url or 'the empty string'} is no address of a console: write --url {DEFAULT_URL}")
    if parts.scheme == "https":
        return http.client.HTTPSConnection(parts.hostname, port, timeout=timeout_s, context=ssl.create_default_context())
    return http.client.HTTPConnection(parts.hostname, port, timeout=timeout_s)


def _require_success(answer: http.client.HTTPResponse, console: Console) -> bytes:
    """The body of a 2xx (empty for a stream, which is read on); anything else becomes the exception for whoever must act."""
    if 200 <= answer.status < 300:
        return b"" if answer.getheader("Content-Type", "").startswith("text/event-stream") else answer.read(ANSWER_BYTES_MAX)
    said = _problem(answer.read(65536))
    match answer.status:
        case 401:
            hint = "the token is not valid" if console.token else "no token was given"
            raise RefusedByConsole(f"{console.url} refuses: {hint}; set TOCSIN_TOKEN (`tocsin token create` makes one)")
        case 403 | 409:
            raise RefusedByConsole(said or "refused")
        case 404:
            raise NotFound(said or "not found")
        case 400 | 413 | 415 | 422:
            raise Misused(said or "the console does not understand the request")
        case 503:
            raise Unreachable(f"{console.url} cannot serve now: {said or 'not ready'}")
        case status:
            raise ClientError(f"{console.url} answered {status}{': ' if said else ''}{said}")


def _problem(body: bytes) -> str:
    """What an `application/problem+json` body says in one line."""
    try:
        problem = json.loads(body)
    except ValueError:
        return body.decode("utf-8", errors="replace").strip().partition("\n")[0][:300]
    return str(problem.get("detail") or problem.get("title") or "") if isinstance(problem, dict) else ""
