"""A body's bytes as JSON, as Go's decoder would read them, because that is what the senders were tested with.

The quick reader refuses a few things that Go accepts: invalid UTF-8 and lone surrogates (they become U+FFFD) and anything behind the first
value (it is ignored). Only a body that it refuses is read again, tolerantly. Of keys that come twice the last wins in both.
"""

from __future__ import annotations

import re
from json import JSONDecoder
from typing import Final, NoReturn

import orjson

from ingest.refused import BodyRefused

DEPTH_MAX: Final = 200
"""Objects and lists inside each other, in the tolerant reading."""

VALUES_COUNTED_FROM_BYTES: Final = 1_048_576
"""Smaller bodies cannot hold enough values to matter."""

_BLANK: Final = re.compile(r"[ \t\n\r]*")
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def read_document(body: bytes, *, values_max: int) -> object:
    """Return the JSON value of a body. Raises BodyRefused: not JSON (400), or more than about `values_max` values (413)."""
    if len(body) > VALUES_COUNTED_FROM_BYTES and sum(map(body.count, (b",", b"{", b"["))) > values_max:
        raise BodyRefused(f"the body holds more than {values_max} values", status=413)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return _read_tolerantly(body)


def _read_tolerantly(body: bytes) -> object:
    text = body.decode("utf-8", "replace")
    start = _BLANK.match(text)
    assert start is not None
    try:
        value, _ = _DECODER.raw_decode(text, start.end())
        return _cleaned(value, 0)
    except ValueError as error:
        raise BodyRefused(f"the body is not JSON: {error}") from None
    except RecursionError:
        raise BodyRefused(f"the body is not JSON: nested more than {DEPTH_MAX} deep") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


_DECODER: Final = JSONDecoder(parse_constant=_refuse_constant)


def _cleaned(value: object, depth: int) -> object:
    if depth > DEPTH_MAX:
        raise RecursionError
    if isinstance(value, str):
        return _without_surrogates(value)
    if isinstance(value, list):
        return [_cleaned(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(name): _cleaned(item, depth + 1) for name, item in value.items()}
    return value


def _without_surrogates(text: str) -> str:
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)
