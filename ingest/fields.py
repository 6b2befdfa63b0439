"""The fields that alerts of every format share: label sets, annotations, instants, URLs, within the limits of the settings.

Owns types, limits and the messages that name a field. A text over its limit is cut with a mark and counted; a label set over its limits
is refused. The checks of the usual alert are a few calls over whole sets; `_walk` looks at each text only when those find something.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from ingest.refused import NOT_THERE, NOT_VALID, AlertRefused
from tocsin.runtime.settings import Settings

Object = dict[str, Any]
"""A JSON object: whatever the sender put there."""

CUT_MARK: Final = "…[cut]"
_CUT_MARK_BYTES: Final = len(CUT_MARK.encode())

UTF8_BYTES_MAX: Final = 4
"""Bytes of one character."""

INSTANT_CHARS_MAX: Final = 64

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS: Final = 86_400_000
INSTANT_MIN: Final = -719_161 * _DAY_MS
INSTANT_MAX: Final = 2_932_895 * _DAY_MS
"""The instants that every zone's calendar can show, 0001-01-02 to 9999-12-30: "for ever" at -12:00 would be the year 10000."""

_NOTHING: Final[dict[str, str]] = {}
_KINDS: Final = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


class FieldReader:
    """Reads the fields of alerts; `texts_cut` counts what was over its limit."""

    __slots__ = ("_annotation_bytes_max", "_instants", "_labels_max", "_name_bytes_max", "_value_bytes_max", "texts_cut")

    def __init__(self, settings: Settings) -> None:
        self._labels_max = settings.labels_per_alert_max
        self._name_bytes_max = settings.label_name_bytes_max
        self._value_bytes_max = settings.label_value_bytes_max
        self._annotation_bytes_max = settings.annotation_bytes_max
        self._instants: dict[str, int] = {}
        self.texts_cut = 0

    def labels(self, found: object) -> tuple[dict[str, str], dict[str, str]]:
        """Return the label set without empty values, and the same with values at their full length, from which the key is made.

        Raises AlertRefused.
        """
        if type(found) is not dict:
            if found is None:
                raise AlertRefused("labels: is required", NOT_THERE)
            raise AlertRefused(f"labels: expected an object, got {kind_of(found)}")
        try:
            names, values = "".join(found), "".join(found.values())
        except TypeError:
            return self._walk_labels(found)  # some value is not text: the walk says which
        if (
            names
            and _fits(values, self._value_bytes_max)
            and (_fits(names, self._name_bytes_max) or max(map(len, found)) * UTF8_BYTES_MAX <= self._name_bytes_max)
            and len(found) <= self._labels_max
            and "" not in found.values()
            and "" not in found
        ):
            return found, found
        return self._walk_labels(found)

    def annotations(self, found: object) -> dict[str, str]:
        """Return the annotations; null is none. Raises AlertRefused."""
        if found is None:
            return _NOTHING
        if type(found) is not dict:
            raise AlertRefused(f"annotations: expected an object, got {kind_of(found)}")
        try:
            if _fits("".join(found), self._name_bytes_max) and _fits("".join(found.values()), self._annotation_bytes_max):
                return found
        except TypeError:
            pass  # some value is not text: the walk says which
        cut = {}
        for name, value in found.items():
            text = "" if value is None else self._text(f"annotations.{shown(name)}", value)
            cut[self._cut(name, self._name_bytes_max)] = self._cut(text, self._annotation_bytes_max)
        return cut

    def text(self, item: Object, name: str) -> str:
        """Return a text field, "" when it is missing or null, cut to the length of an annotation. Raises AlertRefused."""
        found = item.get(name)
        if found is None:
            return ""
        text = self._text(name, found)
        return self._cut(text, self._annotation_bytes_max)

    def instant(self, item: Object, name: str) -> int | None:
        """Return an instant (ms UTC), None when it is missing, empty or Go's zero time. Raises AlertRefused."""
        found = item.get(name)
        if found is None or found == "":
            return None
        if type(found) is not str:
            raise AlertRefused(f"{name}: expected a time such as 2026-11-22T09:00:00Z, got {kind_of(found)}")
        known = self._instants.get(found)  # the alerts of a body have many of their times in common
        if known is not None:
            return known
        if found.startswith("0001-"):
            return None
        try:
            self._instants[found] = read = read_instant(found)
            return read
        except ValueError:
            raise AlertRefused(f"{name}: expected a time such as 2026-11-22T09:00:00Z, got {shown(found)}") from None

    def _walk_labels(self, found: Object) -> tuple[dict[str, str], dict[str, str]]:
        full: dict[str, str] = {}
        for name, value in found.items():
            text = "" if value is None else self._text(f"labels.{shown(name)}", value)
            if not text:
                continue  # a label without a value is no label, in Prometheus and here
            if not name:
                raise AlertRefused("labels: a label has an empty name", NOT_VALID)
            if len(name) > self._name_bytes_max or len(name.encode()) > self._name_bytes_max:
                raise AlertRefused(f"labels.{shown(name)}: the name is longer than {self._name_bytes_max} bytes")
            full[name] = text
        if not full:
            raise AlertRefused("labels: at least one label with a value is required", NOT_VALID)
        if len(full) > self._labels_max:
            raise AlertRefused(f"labels: {len(full)} labels, {self._labels_max} is the limit")
        before = self.texts_cut
        cut = {name: self._cut(text, self._value_bytes_max) for name, text in full.items()}
        return (cut, full) if self.texts_cut > before else (full, full)

    def _text(self, path: str, value: object) -> str:
        if type(value) is not str:
            raise AlertRefused(f"{path}: expected text, got {kind_of(value)}")
        return value

    def _cut(self, text: str, bytes_max: int) -> str:
        if _fits(text, bytes_max):
            return text
        short = cut_text(text, bytes_max)
        self.texts_cut += short is not text
        return short


def _fits(text: str, bytes_max: int) -> bool:
    """Whether a text surely has at most so many bytes; it is not encoded to find out."""
    return len(text) <= bytes_max and (text.isascii() or len(text) * UTF8_BYTES_MAX <= bytes_max)


def cut_text(text: str, bytes_max: int) -> str:
    """Return a text of at most `bytes_max` bytes: itself, or its beginning with a mark."""
    if len(text) <= bytes_max and len(text.encode()) <= bytes_max:
        return text
    room = max(0, bytes_max - _CUT_MARK_BYTES)
    return text[:room].encode()[:room].decode("utf-8", "ignore") + CUT_MARK


def read_instant(text: str) -> int:
    """Return the instant (ms UTC) of an RFC 3339 time with any number of fraction digits; without a zone it is UTC. Raises ValueError.

    One that not every calendar can show is the first or the last that all can.
    """
    if len(text) > INSTANT_CHARS_MAX:
        raise ValueError("too long for a time")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    return min(max(INSTANT_MIN, (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000), INSTANT_MAX)


def kind_of(value: object) -> str:
    """Return what a JSON value is, as people say it."""
    return _KINDS.get(type(value), "something else")


def shown(text: str, chars_max: int = 60) -> str:
    """Return a foreign text as it may stand in a message: short and printable."""
    short = text if len(text) <= chars_max else f"{text[:chars_max]}…"
    return short if short.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in short)
