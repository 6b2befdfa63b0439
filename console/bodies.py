"""What the API takes: queries and bodies, strict, each turned at once into what the policy works with.

Every field has a limit. Unknown fields are errors; a problem never repeats what was sent.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from console.auth import RESERVED_NAMES, Role
from console.readmodel import Position, Wanted
from tocsin.policy.durations import DurationError, parse_duration_ms
from tocsin.policy.model import State

FOR_MS_MAX: Final = 30 * 86_400_000
"""The longest acknowledgement or snooze: 30 days."""

FOR_MS_MIN: Final = 1_000
LIST_MAX: Final = 500
"""Incidents in one answer; the setting console.list-items-max may say less."""


def _no_controls(text: str) -> str:
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text if character not in "\n\t"):
        raise ValueError("contains control characters")
    return text


def _one_line(text: str) -> str:
    if "\n" in text or "\t" in text:
        raise ValueError("must be one line")
    if not text.strip():
        raise ValueError("is empty")
    return _no_controls(text).strip()


def _duration(text: str) -> str:
    try:
        found_ms = parse_duration_ms(text)
    except DurationError:
        raise ValueError("is not a duration; write 30m, 1h or 1h30m") from None
    if not FOR_MS_MIN <= found_ms <= FOR_MS_MAX:
        raise ValueError("must be from 1s to 30d")
    return text


_INSTANT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?([Zz]|[+ -][0-9]{2}:[0-9]{2})")


def _instant(text: str) -> str:
    try:
        instant_ms(text)
    except (ValueError, OverflowError):
        raise ValueError("is not a time with a zone; write 2026-02-17T02:00:00Z or 2026-02-17T11:00:00+09:00") from None
    return text


def instant_ms(text: str) -> int:
    """Read RFC 3339 with a zone as ms UTC. A plus sign that a query turned into a space is taken as one. Raises ValueError."""
    if _INSTANT.fullmatch(text) is None:
        raise ValueError("not RFC 3339")
    found = datetime.fromisoformat(text.upper().replace(" ", "+"))
    return (found - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


OneLine = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_one_line)]
LongText = Annotated[str, Field(max_length=10_000), AfterValidator(_no_controls)]
Duration = Annotated[str, Field(max_length=64, examples=["1h"]), AfterValidator(_duration)]
Instant = Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"}), AfterValidator(_instant)]


class Sent(BaseModel):
    """Something a caller sends."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class OpenBody(Sent):
    """An incident opened by hand."""

    title: OneLine
    severity: int = Field(ge=1, le=4)
    service: str = Field(max_length=200)
    requester: Annotated[str, Field(max_length=200), AfterValidator(_no_controls)] = ""
    text: LongText = ""


class AcknowledgeBody(Sent):
    """`for` how long; without it, the ladder's time for the severity."""

    note: LongText = ""
    for_: Duration | None = Field(default=None, alias="for")


class NoteOnlyBody(Sent):
    """A note that goes with the act."""

    note: LongText = ""


class SnoozeBody(Sent):
    """`for` how long nobody is paged."""

    for_: Duration = Field(alias="for")


class AssignBody(Sent):
    """`to` whom: a key of `people` in the rules."""

    to: str = Field(max_length=200)


class NoteBody(Sent):
    """A note for the history; `public` ones may be shown to the requester."""

    text: Annotated[str, Field(min_length=1, max_length=10_000), AfterValidator(_no_controls)]
    public: bool = False


class SeverityBody(Sent):
    """The severity that it shall have, and why."""

    level: int = Field(ge=1, le=4)
    reason: Annotated[str, Field(max_length=1_000), AfterValidator(_no_controls)] = ""


def _token_name(name: str) -> str:
    if name in RESERVED_NAMES:
        raise ValueError("is reserved: the history uses it for somebody else")
    return name


class TokenBody(Sent):
    """A new token; it acts under its name, so a token with a person's key acts as that person."""

    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\w][\w.@+-]*$"), AfterValidator(_token_name)]
    role: Role


class TestPageBody(Sent):
    """Who shall be paged, over which of the contacts (their order in the rules, from 0)."""

    person: str = Field(max_length=200)
    contact: int = Field(default=0, ge=0, le=100)


class OnCallQuery(Sent):
    """At which instant; now without it."""

    at: Instant | None = None


def _states(text: str) -> str:
    if not all(part in set(State) for part in text.split(",")):
        raise ValueError(f"must be one or several of {', '.join(State)}, separated by commas")
    return text


def _severities(text: str) -> str:
    if re.fullmatch(r"[1-4](,[1-4])*", text) is None:
        raise ValueError("must be one or several of 1, 2, 3, 4, separated by commas")
    return text


def _cursor(text: str) -> str:
    read_cursor(text)
    return text


def make_cursor(position: Position) -> str:
    """Return the opaque cursor of a position."""
    return base64.urlsafe_b64encode(f"{position.opened_at}.{position.number}".encode()).decode().rstrip("=")


def read_cursor(text: str) -> Position:
    """Return the position of a cursor. Raises ValueError."""
    try:
        found = re.fullmatch(rb"([0-9]{1,15})\.([0-9]{1,15})", base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):
        found = None
    if found is None:
        raise ValueError("is not a cursor of this list")
    return Position(int(found[1]), int(found[2]))


class ListQuery(Sent):
    """Which incidents. `state` and `severity` may name several, separated by commas; `q` is looked for in number, title and labels."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    state: Annotated[str, Field(max_length=64), AfterValidator(_states)] | None = None
    severity: Annotated[str, Field(max_length=16), AfterValidator(_severities)] | None = None
    service: str | None = Field(default=None, max_length=200)
    q: str | None = Field(default=None, max_length=200)
    limit: int = Field(default=50, ge=1, le=LIST_MAX)
    cursor: Annotated[str, Field(max_length=64), AfterValidator(_cursor)] | None = None

    def wanted(self, limit_max: int) -> Wanted:
        """Return what the read model is asked; one more than fits, to see whether there is a next page."""
        return Wanted(
            states=tuple(self.state.split(",")) if self.state else (),
            severities=tuple(int(level) for level in self.severity.split(",")) if self.severity else (),
            service=self.service or "",
            text=(self.q or "").strip(),
            after=read_cursor(self.cursor) if self.cursor else None,
            limit=min(self.limit, limit_max) + 1,
        )


def for_ms(text: str | None) -> int | None:
    """Return a checked duration in ms."""
    return None if text is None else parse_duration_ms(text)
