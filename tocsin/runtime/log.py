"""Logs: one line per event on standard error, as logfmt or JSON.

    configure_logging(level="info", fmt="logfmt", role="ingest")
    get_logger().info("rules_swapped", version=7)

Owns how an event becomes a line: hostile text (alerts bring it) is escaped to ASCII without control characters, passwords in URLs and
fields with the name of a secret are stars, and what libraries log the standard way comes out in the same form. Does not own what is logged.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("logfmt", "json")
STARS: Final = "****"

TEXT_LENGTH_MAX: Final = 8_192
"""Characters of one field; a longer text is cut, with a mark."""

_SECRET_FIELD = re.compile(r"(?:^|_)(?:token|password|secret|key|authorization|smtp)$")
_PUBLIC_KEYS = frozenset({"group_key", "alert_key"})
_PASSWORD_IN_URL = re.compile(r"(?<=://)[^/@\s]*@")

_Processor = Callable[[WrappedLogger, str, EventDict], EventDict]


def get_logger(**fields: object) -> FilteringBoundLogger:
    """Return a logger whose events carry `fields`."""
    logger: FilteringBoundLogger = structlog.get_logger(**fields)
    return logger


def configure_logging(*, level: str = "info", fmt: str = "logfmt", role: str = "", stream: TextIO | None = None) -> None:
    """Set how this process logs: from `level` up, as `fmt`, the role's name in every line, to standard error or to `stream`."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    output = sys.stderr if stream is None else stream
    before: list[_Processor] = [structlog.processors.add_log_level, _add_role(role)]
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    after: list[Any] = [stamp, structlog.processors.format_exc_info, _mask, _escape_all if fmt == "logfmt" else _cut_all, _renderer(fmt)]
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *before, *after],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(output),
        cache_logger_on_first_use=False,
    )
    _take_over_standard_logging(output, max(threshold, logging.WARNING), before, after)


def _take_over_standard_logging(output: TextIO, threshold: int, before: list[_Processor], after: list[Any]) -> None:
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *before],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *after],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)


def _add_role(role: str) -> _Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        if role:
            event.setdefault("role", role)
        return event

    return add


def _mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for name, value in event.items():
        if _SECRET_FIELD.search(name) and name not in _PUBLIC_KEYS:
            event[name] = STARS
        elif isinstance(value, str) and "://" in value:
            event[name] = _PASSWORD_IN_URL.sub(f"{STARS}@", value)
    return event


def _renderer(fmt: str) -> Callable[..., str | bytes]:
    if fmt == "json":
        return structlog.processors.JSONRenderer(sort_keys=False, default=str)  # the standard encoder escapes to ASCII
    return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "role", "event"], drop_missing=True, bool_as_flag=False)


def _escape_all(_logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> EventDict:
    for name, value in event.items():
        if not isinstance(value, bool | int | float | None):
            event[name] = _escaped(_cut(str(value)))
    return event


def _cut_all(_logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> EventDict:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = _cut(value)
    return event


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_LENGTH_MAX else f"{text[:TEXT_LENGTH_MAX]}... ({len(text)} characters)"


def _escaped(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped_character(character) for character in text)


def _escaped_character(character: str) -> str:
    if character == "\n" or (character.isascii() and character.isprintable()):
        return character  # the renderer writes \n for a line break
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
