"""`tocsin oncall now`: who holds each role."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

import typer

from tocsin.runtime.client import Json
from tocsin.runtime.commands.terminal import URL_DEFAULT, Form, Output, Url, clean, console_at, say_columns, say_json, warn

app = typer.Typer(help="See who is on call.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def oncall() -> None:
    """See who is on call."""


@app.command("now")
def now(
    at: Annotated[str | None, typer.Option("--at", help="Another instant, like 2026-11-23T02:00:00+09:00.")] = None,
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Show who holds each role."""
    answer = console_at(url).get("/api/v1/oncall", {} if at is None else {"at": at})
    if form is Form.JSON:
        say_json(answer)
        return
    rows = list(_rows(answer))
    say_columns(("ROLE", "WHO"), [(role, who or "nobody") for role, who in rows])
    empty = [role for role, who in rows if not who]
    if empty:
        warn(f"nobody holds {', '.join(empty)}: pages for it go to the next rung at once")


def _rows(answer: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    roles = answer.get("roles", answer)
    for item in roles:
        name = item["role"] if isinstance(item, dict) else item
        people = item["people"] if isinstance(item, dict) else roles[item]
        yield clean(name), ", ".join(_person(person) for person in people)


def _person(person: Json) -> str:
    if not isinstance(person, dict):
        return clean(person)
    key, name = clean(person.get("person") or person.get("key")), clean(person.get("name"))
    return f"{name} ({key})" if name and name != key else key
