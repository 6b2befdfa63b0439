"""The command `tocsin`: which commands there are, and what their exit codes mean.

0 done, 1 failed, 2 usage, 3 not found, 4 rules invalid, 5 server unreachable, 6 refused, 7 problems found. Commands import what they need
when they run: `tocsin --version` and `tocsin incident ack` start fast.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from tocsin.runtime.client import ClientError
from tocsin.runtime.commands import incident, oncall, testpage, tokens
from tocsin.runtime.commands.terminal import URL_DEFAULT, Form, Output, Url, warn

app = typer.Typer(
    name="tocsin",
    help="Tocsin takes alerts, folds them into incidents and pages people until someone answers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(incident.app, name="incident")
app.add_typer(oncall.app, name="oncall")
app.add_typer(tokens.app, name="token")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tocsin {version('tocsin')}")
        raise typer.Exit


@app.callback()
def tocsin(
    show_version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Options of `tocsin` itself."""


# Flags and their help come from settings.py, where each is defined once: the arguments reach `serve` as they are.
@app.command(
    "serve",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    help="Run everything (`tocsin serve`) or some roles (`tocsin serve ingest`); --help lists all flags.",
)
def serve_command(context: typer.Context) -> None:
    """Run Tocsin."""
    raise typer.Exit(_serve(context.args))


def _serve(arguments: Sequence[str]) -> int:
    from tocsin.runtime.commands.serve import serve

    return serve(arguments)


@app.command("check")
def check_command(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Rules files; - is standard input.")],
    form: Output = Form.SIMPLE,
) -> None:
    """Say whether rules files can be used, and where they are wrong."""
    from tocsin.runtime.commands.check import check

    raise typer.Exit(check(files, form))


@app.command("test")
def policy_tests_command(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files of policy tests; - is standard input.")],
    run: Annotated[str | None, typer.Option("--run", metavar="NAME", help="Only tests whose name holds this.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Also write JUnit XML, for a build server.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print all that happens in each test.")] = False,
    form: Output = Form.SIMPLE,
) -> None:
    """Run policy tests: given these events, is this who is paged, and when?"""
    from tocsin.runtime.commands.test import run_files

    raise typer.Exit(run_files(files, form, only=run, junit=junit, verbose=verbose))


@app.command("explain")
def explain_command(
    about: Annotated[list[str], typer.Argument(metavar="LABEL...|INCIDENT", help="'severity=\"critical\"' ..., or INC-42.")],
    at: Annotated[str | None, typer.Option("--at", help="When, like 2026-11-23T02:00:00+09:00; of an incident also 03:12.")] = None,
    person: Annotated[str | None, typer.Option("--person", help="Why this one was, or was not, paged about the incident.")] = None,
    rules: Annotated[str | None, typer.Option("--rules", metavar="FILE", help="By this file, without a server.")] = None,
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Say what would happen to an alert, or why an incident paged whom."""
    from tocsin.runtime.commands.explain import explain

    raise typer.Exit(explain(about, at=at, person=person, rules=rules, url=url, form=form))


@app.command("simulate")
def simulate_command(
    alerts: Annotated[
        str, typer.Option("--alerts", metavar="FILE", help="Recorded alerts, one JSON object in each line; - is standard input.")
    ],
    rules: Annotated[
        str | None, typer.Option("--rules", metavar="FILE", help="The rules file; else TOCSIN_CONFIG_FILE or alert_rules.yaml.")
    ] = None,
    against: Annotated[str | None, typer.Option(metavar="FILE", help="Other rules: show what --rules would change.")] = None,
    answered_after: Annotated[str, typer.Option(help="How long after a page its person answers, like 5m; or never.")] = "5m",
    go_on: Annotated[str, typer.Option(help="How long to go on after the last alert, like 8h.")] = "0s",
    form: Output = Form.SIMPLE,
) -> None:
    """Replay recorded alerts through a rules file: incidents, pages for each person, nights."""
    from tocsin.runtime.commands.simulate import Asked, simulate

    raise typer.Exit(simulate(Asked(alerts, rules, against, answered_after, go_on), form))


@app.command("replay")
def replay_command(
    incident_id: Annotated[str, typer.Argument(metavar="ID", help="INC-42, or 42.")],
    at: Annotated[
        str | None, typer.Option("--at", help="The incident as it was at this time, like 03:12 or 2026-11-23T03:12:00+09:00.")
    ] = None,
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Show an incident step by step from its history, and whether the steps add up to how it stands."""
    from tocsin.runtime.commands.replay import replay

    raise typer.Exit(replay(incident_id, at, url, form))


@app.command("test-page")
def page_somebody(
    person: Annotated[str, typer.Argument(metavar="PERSON", help="Whom to page, by the key in the rules.")],
    contact: Annotated[int | None, typer.Option(min=1, help="Which of their contacts, counted from 1; without it the first.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All of their contacts, one after the other.")] = False,
    wait: Annotated[str, typer.Option(help="How long to wait, once it is sent, until it arrived and was answered, like 2m.")] = "0s",
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Send a test page the whole real way and say how it went."""
    raise typer.Exit(testpage.test_page(testpage.Wanted(person, contact, every, wait), url, form))


@app.command("drill")
def drill_command(
    service: Annotated[str | None, typer.Argument(metavar="SERVICE", help="Whose ladder is climbed, by its name in the rules.")] = None,
    severity: Annotated[int, typer.Option(min=1, max=3, help="Whose rungs are climbed; 1 is the worst.")] = 1,
    why: Annotated[str, typer.Option(help="Stands in the title, behind DRILL.")] = "",
    end: Annotated[str | None, typer.Option("--end", metavar="ID", help="End this drill; no other is begun.")] = None,
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Page the people of a service for practice, and follow it until somebody answers; Ctrl-C ends it."""
    from tocsin.runtime.commands import drill

    raise typer.Exit(drill.end(end, url, form) if end is not None else drill.begin(service, severity, why, url, form))


@app.command("doctor")
def doctor_command(url: Url = URL_DEFAULT, form: Output = Form.SIMPLE) -> None:
    """Look for what would keep a page from being sent: each finding with its consequence and remedy."""
    from tocsin.runtime.commands.doctor import doctor

    raise typer.Exit(doctor(url, form))


def main() -> None:
    """Run `tocsin`; every failure is one line on standard error and an exit code."""
    try:
        if sys.argv[1:2] == ["serve"]:  # past typer, which loads pydantic: 8 MB in a process that lives for years
            sys.exit(_serve(sys.argv[2:]))
        app()
    except ClientError as error:
        warn(str(error))
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
