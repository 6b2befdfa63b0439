"""Answers that are not what was asked for, as application/problem+json (RFC 9457).

A problem names the field and what would be right; it never repeats what the caller sent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_S = 1
FIELD_ERRORS_MAX = 20

_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")


class FieldError(BaseModel):
    """One field that cannot be used, and why."""

    model_config = ConfigDict(extra="forbid")

    field: str
    detail: str


class Problem(BaseModel):
    """What went wrong, by RFC 9457. `state` is the incident's when the state is the reason; `incident` names another one in the way."""

    model_config = ConfigDict(extra="forbid")

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    state: str | None = None
    incident: str | None = None
    errors: list[FieldError] | None = None


class Refused(Exception):
    """The request is answered with a problem."""

    def __init__(self, status: int, detail: str, *, state: str | None = None, incident: str | None = None) -> None:
        super().__init__(detail)
        self.problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, state=state, incident=incident)
        self.headers: dict[str, str] = {}
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.headers["Retry-After"] = str(RETRY_AFTER_S)
        if status == HTTPStatus.UNAUTHORIZED:
            self.headers["WWW-Authenticate"] = 'Bearer realm="tocsin"'


class Unusable(Refused):
    """Fields of the query or the body cannot be used: 422 with each of them."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(422, "; ".join(f"{error.field}: {error.detail}" for error in errors))
        self.problem.errors = list(errors)

    @classmethod
    def field(cls, name: str, detail: str) -> Unusable:
        """Return the refusal of a single field."""
        return cls([FieldError(field=name, detail=detail)])

    @classmethod
    def by(cls, error: ValidationError) -> Unusable:
        """Return the refusal that a model's validation amounts to."""
        details = error.errors(include_url=False, include_context=False, include_input=False)
        return cls([FieldError(field=_field(found["loc"]), detail=_detail(found)) for found in details[:FIELD_ERRORS_MAX]])


def _field(location: Sequence[object]) -> str:
    # The name of an unknown field is the caller's text: it is repeated only when it looks like a name.
    parts = [str(part) for part in location]
    return ".".join(part if _FIELD.fullmatch(part) else "?" for part in parts) or "body"


def _detail(found: Any) -> str:
    if found["type"] == "extra_forbidden":
        return "there is no such field"
    if found["type"] == "missing":
        return "must be given"
    return str(found["msg"]).removeprefix("Value error, ")


def problem_response(refused: Refused) -> web.Response:
    """Return a refusal as an HTTP answer."""
    body = orjson.dumps(refused.problem.model_dump(exclude_none=True))
    return web.Response(status=refused.problem.status, body=body, content_type=PROBLEM_JSON, headers=refused.headers)
