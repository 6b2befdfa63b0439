"""What comes of reading a body: alerts, and what had to be rejected, alert by alert.

Owns the loop over the alerts of a body and the words for what was wrong with one of them. Does not know any sender's format: a format is
two functions, one that finds the alerts in the document and one that reads a single alert (`alertmanager.py`, `apiv2.py`, `events.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from ingest.fields import FieldReader, Object, kind_of
from ingest.refused import MALFORMED, AlertRefused
from tocsin.policy.model import Alert
from tocsin.policy.rules import Integration

EXCERPT_BYTES_MAX: Final = 8_192
"""Bytes of an alert that could not be read which are kept."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """An alert that was not accepted: its place in the body, what was wrong, and how it began."""

    index: int
    reason: str
    excerpt: bytes
    code: int = MALFORMED


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a body, or a part of it, says."""

    alerts: list[Alert] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Source:
    """Who reports, when we took it, and the reader that keeps to the limits."""

    integration: Integration
    now_ms: int
    resolve_timeout_ms: int
    fields: FieldReader


ReadAlert = Callable[[Object, Source], Alert]
"""Reads one alert, or raises AlertRefused."""


def parse_alerts(items: Sequence[object], source: Source, read_alert: ReadAlert, *, first: int = 0, of: str = "alerts") -> Parsed:
    """Read each of `items`, which begin with number `first` of the list `of`; one that is bad does not spoil the others."""
    parsed = Parsed()
    accept = parsed.alerts.append
    for index, item in enumerate(items, first):
        try:
            if type(item) is not dict:
                raise AlertRefused(f"expected an object, got {kind_of(item)}")
            accept(read_alert(item, source))
        except AlertRefused as refused:
            dot = "" if type(item) is not dict else "."
            parsed.rejected.append(Rejected(index, f"{of}[{index}]{dot}{refused}", excerpt_of(item), refused.code))
    return parsed


def excerpt_of(item: object) -> bytes:
    """Return the beginning of an item as JSON."""
    try:
        return orjson.dumps(item)[:EXCERPT_BYTES_MAX]
    except orjson.JSONEncodeError:
        return b"(nested too deeply to be shown)"
