"""`tocsin token create`: a token for a person or a program. It is shown once; the console keeps only its hash."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from tocsin.runtime.commands.terminal import URL_DEFAULT, Form, Output, Url, console_at, say, say_json, warn

app = typer.Typer(help="Make API tokens.", no_args_is_help=True, rich_markup_mode=None)


class TokenRole(enum.StrEnum):
    """What the token may do."""

    ADMINISTRATOR = "administrator"
    SUPERVISOR = "supervisor"
    AGENT = "agent"
    VIEWER = "viewer"


# One command would become the whole of `token`: the callback keeps `create` a word of its own.
@app.callback()
def token() -> None:
    """Make API tokens."""


@app.command("create")
def create(
    name: Annotated[str, typer.Option(help="Who will use it: the key of a person in the rules, or the name of a program.")],
    role: Annotated[TokenRole, typer.Option(help="What it may do.")],
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Make a token and print it, this once."""
    answer = console_at(url).post("/api/v1/tokens", {"name": name, "role": role.value})
    if form is Form.JSON:
        say_json(answer)
    else:
        say(answer["token"])
        warn("keep it now, it is not shown again; commands read it from TOCSIN_TOKEN")
