"""How commands speak: results on standard output, everything else on standard error, nothing that a terminal would obey.

Owns the options that all client commands share, columns, times in the local zone, and the cleaning of text that came from alerts.
"""

from __future__ import annotations

import enum
import json
import os
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

import typer

from tocsin.runtime import text
from tocsin.runtime.client import DEFAULT_URL, Console, Json, find_token


class Form(enum.StrEnum):
    """How a result is printed."""

    SIMPLE = "simple"
    JSON = "json"


Url = Annotated[str, typer.Option("--url", envvar="TOCSIN_URL", help="The console. The token comes from TOCSIN_TOKEN.")]
Output = Annotated[Form, typer.Option("--output", "-o", help="simple is for people, json for programs.")]

URL_DEFAULT: Final = DEFAULT_URL


def console_at(url: str) -> Console:
    """The console at `url` with the token of the environment."""
    return Console(url.rstrip("/"), find_token(url, os.environ))


def say(line: str) -> None:
    """One line of the result."""
    typer.echo(line)


def warn(line: str) -> None:
    """One line for the person, never part of the result."""
    typer.echo(f"tocsin: {line}", err=True)


def say_json(value: Json) -> None:
    """The result as JSON."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def clean(value: object) -> str:
    """What came from outside as one harmless line: no control characters, no change of direction; nothing of None."""
    return "" if value is None else text.clean(str(value))


def local_time(instant: str | None) -> str:
    """`2026-11-23 03:12:07 KST` of an RFC 3339 instant, in the zone of this machine; "-" of nothing."""
    if not instant:
        return "-"
    try:
        return f"{datetime.fromisoformat(instant).astimezone():%Y-%m-%d %H:%M:%S %Z}"
    except ValueError:
        return clean(instant)


def say_columns(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows below their headings, each column as wide as its widest text; the last one is left ragged."""
    lines = [headings, *rows]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(headings) - 1)]
    for line in lines:
        cells = [cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=False)]
        say("  ".join([*cells, line[-1]]).rstrip())


def _width(cell: str) -> int:
    """Columns it takes in a terminal: Korean and Chinese letters take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else not unicodedata.combining(letter) for letter in cell)
