"""What the calls about who is on call take, strict, and how a time that a person typed is read.

A time is RFC 3339 with a zone, a local date and time, or a local time of day. Local means the zone of the schedule or of the person,
which the answer names: never that of a browser or of this machine.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field

from console.bodies import Duration, LongText, OneLine, Sent, for_ms, instant_ms
from console.problems import Unusable
from tocsin.policy.roster import OverrideKind
from tocsin.policy.wallclock import DAY_MS, instant_of, wall_at, wall_of

SPAN_MS_MAX: Final = 366 * DAY_MS
"""The longest override, absence or turn, and the longest part of a schedule in one answer."""

AHEAD_MS_MAX: Final = 800 * DAY_MS
"""How far ahead anything may begin."""

HISTORY_MAX: Final = 200

_WALL: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?")
_TIME_OF_DAY: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_EXAMPLE_ZONE: Final = "UTC"


def _time(text: str) -> str:
    try:
        time_ms(text, _EXAMPLE_ZONE, after=0)
    except (ValueError, OverflowError):
        raise ValueError(
            "is not a time; write 2026-02-17T14:00:00+09:00, or 2026-02-17T14:00 or 14:00 on the clock of the schedule or person"
        ) from None
    return text


def time_ms(text: str, zone: str, *, after: int) -> int:
    """Read a time that a person typed as ms UTC; a time of day is the first one later than `after`. Raises ValueError."""
    if _WALL.fullmatch(text):
        return instant_of(wall_of(text.replace(" ", "T")), zone)
    if (found := _TIME_OF_DAY.fullmatch(text)) is None:
        return instant_ms(text)
    time = DAY_MS if found[1] is None else (int(found[1]) * 60 + int(found[2])) * 60_000
    day = wall_at(after, zone) // DAY_MS - 1
    while (at := instant_of(day * DAY_MS + time, zone)) <= after:
        day += 1
    return at


Time = Annotated[str, Field(max_length=40, examples=["2026-02-17T14:00", "2026-02-17T14:00:00+09:00", "14:00"]), AfterValidator(_time)]
Key = Annotated[str, Field(min_length=1, max_length=200)]


class Span(Sent):
    """From when until when; `for` may stand in place of `until`. Without `from` it is now."""

    from_: Time | None = Field(default=None, alias="from")
    until: Time | None = None
    for_: Duration | None = Field(default=None, alias="for")

    def begins(self, zone: str, now: int) -> int:
        """Return when it begins: what has been stays as it was, so never before now."""
        return now if self.from_ is None else max(now, _read("from", self.from_, zone, now))

    def ends(self, zone: str, from_at: int, *, prefix: str = "") -> int | None:
        """Return when it ends, None when the caller did not say. Raises Unusable."""
        if self.until is not None and self.for_ is not None:
            raise Unusable.field(f"{prefix}for", "stands beside until; write one of them")
        if self.for_ is not None:
            return from_at + (for_ms(self.for_) or 0)
        if self.until is None:
            return None
        if self.until == self.from_:
            raise Unusable.field(f"{prefix}until", "is the same as from: that would be no time at all")
        return _read(f"{prefix}until", self.until, zone, from_at)


def _read(field: str, text: str, zone: str, after: int) -> int:
    try:
        return time_ms(text, zone, after=after)
    except (ValueError, OverflowError):
        raise Unusable.field(field, "is not a time of the calendar") from None


def require_span(from_at: int, until_at: int, now: int, *, prefix: str = "") -> None:
    """Raise Unusable unless this is a span that somebody can mean: not empty, not over, not too long and not too far away."""
    if until_at <= from_at and until_at > now:
        raise Unusable.field(f"{prefix}until", "must be later than from")
    if until_at <= now:
        raise Unusable.field(f"{prefix}until", "is over already: what has been cannot be changed")
    if until_at - from_at > SPAN_MS_MAX:
        raise Unusable.field(f"{prefix}until", f"is more than {SPAN_MS_MAX // DAY_MS} days after from")
    if from_at - now > AHEAD_MS_MAX:
        raise Unusable.field(f"{prefix}from", f"is more than {AHEAD_MS_MAX // DAY_MS} days ahead")


class OverrideBody(Span):
    """In this time `person` is on duty in place of whom the schedule names, or only in place of `replaces`.

    Without `until` and `for`: to the end of the shift that is on when it begins.
    """

    schedule: Key
    person: Key
    replaces: Key | None = None
    why: LongText = ""
    kind: Literal["override", "take", "cover"] = "override"

    @property
    def override_kind(self) -> OverrideKind:
        """The kind as the policy names it."""
        return OverrideKind(self.kind)


class AbsenceBody(Span):
    """In this time `person` is not there, whatever the duty: `until` or `for` must be given."""

    person: Key
    why: LongText = ""


class TurnBody(Span):
    """What one person gives away: the shift that is on at the instant `at`, or the shifts between `from` and `until`."""

    person: Key
    at: Time | None = None


class SwapBody(Sent):
    """Each takes the other's turn, once both have agreed."""

    schedule: Key
    first: TurnBody
    second: TurnBody
    why: LongText = ""


class AgreeBody(Sent):
    """Who agrees."""

    person: Key


class WhyBody(Sent):
    """Why."""

    why: LongText = ""


class OverridesQuery(Sent):
    """Of one schedule or person; what has ended only when it is asked for."""

    schedule: str | None = Field(default=None, max_length=200)
    person: str | None = Field(default=None, max_length=200)
    ended: Literal["true", "false"] = "false"


class AbsencesQuery(Sent):
    """Of one person; what has ended only when it is asked for."""

    person: str | None = Field(default=None, max_length=200)
    ended: Literal["true", "false"] = "false"


class ShiftsQuery(Sent):
    """Which part of a schedule; without it, the next fourteen days."""

    from_: Time | None = Field(default=None, alias="from")
    until: Time | None = None
    to: Time | None = None


class RosterHistoryQuery(Sent):
    """The newest changes first; `cursor` goes on behind the last one of an answer."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    limit: int = Field(default=50, ge=1, le=HISTORY_MAX)
    cursor: str | None = Field(default=None, max_length=40, pattern=r"^[1-9][0-9]{0,14}-(0|[1-9][0-9]{0,18})$")


class LeaveQuery(Sent):
    """Whose leave it is, and under which name this calendar is known here: importing it again replaces what it brought before."""

    person: Key
    calendar: OneLine = "leave"


class FeedBody(Sent):
    """The calendar of a person or of a schedule; `rotate` makes every address that was given out invalid."""

    person: Key | None = None
    schedule: Key | None = None
    rotate: bool = False
