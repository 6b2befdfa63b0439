"""Durations as Prometheus writes them: `1h30m`, `45s`, `500ms`, `0`. A day has 24 hours, a week 7 days, a year 365.

Owns the two directions between such a text and integer milliseconds. Does not own calendar steps ("tomorrow at nine"):
those are date arithmetic in a time zone, never a duration.
"""

import re

DURATION_MS_MAX = 9_223_372_036_854
"""The longest duration, about 292 years: Prometheus counts nanoseconds in 64 bits."""

_TEXT_LENGTH_MAX = 64

_UNITS_MS = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]+){unit})?" for unit in _UNITS_MS))
_UNITS_IN_ANY_ORDER = re.compile(r"(?:[0-9]+(?:ms|[ywdhms]))+")
_NUMBER = re.compile(r"[0-9]+")


class DurationError(ValueError):
    """This is not a duration; the text says what to write instead."""


def parse_duration_ms(text: str) -> int:
    """Read a duration, each unit at most once and the larger before the smaller; raises DurationError."""
    if text == "0":
        return 0
    found = _DURATION.fullmatch(text) if 0 < len(text) <= _TEXT_LENGTH_MAX else None
    if found is None:
        raise DurationError(f"{_shown(text)} is not a duration. {_advice(text)}")
    duration_ms = sum(int(count) * _UNITS_MS[unit] for unit, count in found.groupdict().items() if count)
    if duration_ms > DURATION_MS_MAX:
        raise DurationError(f"{_shown(text)} is too long a duration. Write at most 292y.")
    return duration_ms


def format_duration(duration_ms: int) -> str:
    """Write a duration as Prometheus does: 90 minutes are `1h30m`; years and weeks only where they come out even."""
    if duration_ms == 0:
        return "0s"
    sign, rest_ms = ("-", -duration_ms) if duration_ms < 0 else ("", duration_ms)
    parts = [sign]
    for unit, unit_ms in _UNITS_MS.items():
        if unit in ("y", "w") and rest_ms % unit_ms:
            continue
        count, rest_ms = divmod(rest_ms, unit_ms)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def _shown(text: str) -> str:
    short = text if len(text) <= _TEXT_LENGTH_MAX else text[: _TEXT_LENGTH_MAX - 3] + "..."
    return '"' + "".join(character if character.isprintable() else "?" for character in short) + '"'


def _advice(text: str) -> str:
    if len(text) > _TEXT_LENGTH_MAX:
        return f"Write at most {_TEXT_LENGTH_MAX} characters."
    if _NUMBER.fullmatch(text):
        return f"It has no unit. Write {text}s, {text}m or {text}h."
    if _UNITS_IN_ANY_ORDER.fullmatch(text):
        return "Write each unit once, in the order y w d h m s ms, as in 1h30m."
    return "Write 30m, 1h or 1h30m."
