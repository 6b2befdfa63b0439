"""`tocsin oncall swap ...`: two people take each other's shift, once both have agreed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import quote

import typer

from tocsin.runtime.client import Json
from tocsin.runtime.commands.terminal import URL_DEFAULT, Form, Output, Url, clean, console_at, say, say_json, warn

app = typer.Typer(help="Take each other's shift; both must agree.", no_args_is_help=True, rich_markup_mode=None)

Id = Annotated[str, typer.Argument(metavar="ID", help="SWP-7, as `list` shows it.")]
Person = Annotated[str, typer.Option("--person", "-p", envvar="TOCSIN_PERSON", help="Who swaps, by the key in the rules.")]
At = Annotated[str, typer.Option("--at", help="A time in your shift: 2026-02-20T12:00 on the schedule's clock, or with a zone.")]


@app.command("propose")
def propose(
    schedule: Annotated[str, typer.Argument(metavar="SCHEDULE", help="The schedule, by its name in the rules.")],
    person: Person,
    at: At,
    other: Annotated[str, typer.Option("--with", help="With whom, by the key in the rules.")],
    their_at: Annotated[str, typer.Option("--their-at", help="A time in their shift, likewise.")],
    why: Annotated[str, typer.Option("--why", "-c", help="Kept in the history.")] = "",
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Propose a swap of two whole shifts. Whoever proposes their own has agreed."""
    turns = {"first": {"person": person, "at": at}, "second": {"person": other, "at": their_at}}
    _say(console_at(url).post("/api/v1/swaps", {"schedule": schedule, "why": why, **turns}), form)


@app.command("list")
def list_swaps(url: Url = URL_DEFAULT, form: Output = Form.SIMPLE) -> None:
    """Show swaps that are not over."""
    items = console_at(url).get("/api/v1/swaps")["items"]
    if form is Form.JSON:
        say_json(items)
        return
    for each in items:
        _say(each, form)
    if not items:
        warn("there are no swaps")


@app.command("agree")
def agree(swap: Id, person: Person, url: Url = URL_DEFAULT, form: Output = Form.SIMPLE) -> None:
    """Agree to a swap."""
    _say(console_at(url).post(f"/api/v1/swaps/{quote(swap, safe='')}/agree", {"person": person}), form)


@app.command("decline")
def decline(
    swap: Id,
    why: Annotated[str, typer.Option("--why", "-c", help="Kept in the history.")] = "",
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Decline a swap: everybody keeps their own shift."""
    _say(console_at(url).post(f"/api/v1/swaps/{quote(swap, safe='')}/decline", {"why": why}), form)


def _say(answer: Mapping[str, Json], form: Form) -> None:
    if form is Form.JSON:
        say_json(answer)
        return
    for line in answer["says"]:
        say(f"{clean(answer['id'])}  {clean(line)}")
