"""The `log:` contact: a page in the notifier's log and, for who sits before it, on the terminal.

The log line carries what may be kept for years. The acknowledge link, which lets its holder act as the person paged, is
only printed on standard output when that is a terminal (or when told so): output that is collected is a log too.
"""

from __future__ import annotations

import sys
from typing import TextIO

import structlog

from notifier.channels.outcome import Outcome, Sent, Unreachable
from notifier.message import PageMessage, next_line, one_line, paged
from notifier.words import words_for
from tocsin.runtime.text import clean

_log = structlog.get_logger(__name__)


class LogChannel:
    """Writes pages down. `links` None: acknowledge links only on a terminal; `output` None: standard output."""

    name = "log"

    def __init__(self, *, links: bool | None = None, output: TextIO | None = None) -> None:
        self._links = links
        self._output = output

    async def send(self, to: str, message: PageMessage) -> Outcome:
        output = self._output or sys.stdout
        try:
            _log.warning("page", **_fields(message))
            output.write(_block(message, link=output.isatty() if self._links is None else self._links))
            output.flush()
        except (OSError, ValueError) as error:  # ValueError: standard output was closed
            return Unreachable("standard output: " + type(error).__name__, ambiguous=True)
        return Sent(receipt=None)

    async def close(self) -> None:
        """Standard output is not ours to close."""


def _fields(message: PageMessage) -> dict[str, object]:
    return {
        "page": message.page_id,
        "kind": message.kind.value,
        "attempt": message.attempt,
        "incident": message.incident.id,
        "severity": message.incident.severity,
        "service": clean(message.incident.service),
        "person": message.person,
        "rung": None if message.rung is None else message.rung.index,
        "late_by_s": round(message.late_by_s, 3),
        "text": one_line(message),
    }


def _block(message: PageMessage, *, link: bool) -> str:
    words = words_for(message.locale)
    lines = [
        one_line(message),
        words.paged + ": " + paged(message),
    ]
    if message.next_rung:
        lines.append(words.next_step + ": " + next_line(message))
    if link and message.acknowledge_url:
        lines.append(words.acknowledge + ": " + clean(message.acknowledge_url))
    elif message.incident.url:
        lines.append(words.link + ": " + clean(message.incident.url))
    return "\n".join(["", *("  | " + line for line in lines), "", ""])
