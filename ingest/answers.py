"""What senders are told. Two dialects: problem documents for the webhooks, Alertmanager's own answers for API v2.

API v2 has two shapes of error: `{"code": 602, "message": "..."}` when the request is not well formed, a bare JSON string when one of its
alerts is not valid. amtool decodes the second as a string and nothing else. No answer holds a secret: the sender writes it to its log.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, Protocol

import orjson
from aiohttp import web

from ingest.bodies import PLAIN
from ingest.parsed import Rejected
from ingest.refused import MALFORMED, NOT_VALID, BodyRefused

REASONS_TOLD_MAX: Final = 20
"""Rejected alerts that an answer names; the dead letters and the log hold more."""

RETRY: Final = {"Retry-After": "1"}
CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="tocsin"'}


class Answers(Protocol):
    """The answers of one dialect."""

    def check(self, request: web.Request) -> None:
        """Look at the headers. Raises BodyRefused."""

    def taken(self, accepted: int, rejected: Sequence[Rejected]) -> web.Response:
        """Everything valid is on disk."""

    def refused(self, refused: BodyRefused) -> web.Response:
        """The body can never be accepted."""

    def unauthorized(self, why: str) -> web.Response:
        """The sender may not push."""

    def unavailable(self, why: str) -> web.Response:
        """It may work in a second."""


class WebhookAnswers:
    """`{"accepted": n, "rejected": m}`, or a problem document."""

    def check(self, request: web.Request) -> None:
        """Accept any headers: senders name all kinds of content types."""

    def taken(self, accepted: int, rejected: Sequence[Rejected]) -> web.Response:
        body: dict[str, object] = {"accepted": accepted, "rejected": len(rejected)}
        if rejected:
            body["problems"] = [one.reason for one in rejected[:REASONS_TOLD_MAX]]
        return web.Response(body=orjson.dumps(body), content_type="application/json")

    def refused(self, refused: BodyRefused) -> web.Response:
        return _problem(refused.status, str(refused), {})

    def unauthorized(self, why: str) -> web.Response:
        return _problem(401, why, CHALLENGE)

    def unavailable(self, why: str) -> web.Response:
        return _problem(503, why, RETRY)


class ApiV2Answers:
    """The answers of Alertmanager 0.33, status by status."""

    def check(self, request: web.Request) -> None:
        """Accept JSON only, and not compressed. Raises BodyRefused."""
        if request.content_type != "application/json":
            raise BodyRefused(f'unsupported media type "{request.content_type}", only [application/json] are allowed', status=415, code=415)
        if request.headers.get("Content-Encoding", "").lower() not in PLAIN:
            raise BodyRefused("compressed bodies are not read here")

    def taken(self, accepted: int, rejected: Sequence[Rejected]) -> web.Response:
        if not rejected:
            return web.Response()
        gravest = min(rejected, key=lambda one: (one.code == NOT_VALID, one.code != MALFORMED))
        if gravest.code == NOT_VALID:
            return _v2(400, "\n".join(one.reason for one in rejected[:REASONS_TOLD_MAX]))
        if gravest.code == MALFORMED:
            return _v2(400, {"code": 400, "message": _unparsed(gravest.reason)})
        return _v2(422, {"code": gravest.code, "message": gravest.reason})

    def refused(self, refused: BodyRefused) -> web.Response:
        return _v2(
            refused.status, {"code": refused.code, "message": _unparsed(str(refused)) if refused.code == MALFORMED else str(refused)}
        )

    def unauthorized(self, why: str) -> web.Response:
        return _v2(401, {"code": 401, "message": why}, CHALLENGE)

    def unavailable(self, why: str) -> web.Response:
        return _v2(503, {"code": 503, "message": why}, RETRY)


def _problem(status: int, detail: str, headers: dict[str, str]) -> web.Response:
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/problem+json", headers=headers)


def _v2(status: int, body: object, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body) + b"\n", content_type="application/json", headers=headers)


def _unparsed(why: str) -> str:
    return f'parsing alerts body from "" failed, because {why}'
