"""`tocsin incident ...`: what a person on call does with incidents, over the console's API.

Acting twice is not an error. Commands that take several incidents try each and report each; the exit code is that of the first that failed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Final

import typer

from tocsin.runtime.client import ClientError, Console, Json, ServerEvent, Unreachable, incident_path
from tocsin.runtime.commands.terminal import URL_DEFAULT, Form, Output, Url, clean, console_at, local_time, say, say_columns, say_json, warn

app = typer.Typer(help="List and answer incidents.", no_args_is_help=True, rich_markup_mode=None)

WATCH_FAILURES_MAX: Final = 5
"""A stream that cannot be opened so often in a row, a second apart, is given up."""
WATCH_PAUSE_S: Final = 1.0

Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="INC-42, or 42.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="INC-42, or 42.")]
Note = Annotated[str | None, typer.Option("--note", "-c", help="Kept in the history.")]


@app.command("list")
def list_incidents(
    state: Annotated[str, typer.Option(help="open, acknowledged, resolved, closed; several with commas; all.")] = "open,acknowledged",
    severity: Annotated[str | None, typer.Option(help="1 to 4, 1 is the worst; several with commas.")] = None,
    service: Annotated[str | None, typer.Option(help="Of this service only.")] = None,
    text: Annotated[str | None, typer.Option("--text", "-q", help="Words that stand in it.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most so many.")] = 50,
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Show incidents, newest first."""
    query = {"state": "" if state == "all" else state, "service": service, "q": text, "severity": severity, "limit": limit}
    answer = console_at(url).get("/api/v1/incidents", {name: str(value) for name, value in query.items() if value})
    if form is Form.JSON:
        say_json(answer)
        return
    if not answer["items"]:
        warn("no incidents" if state == "all" else f"no incidents that are {state.replace(',', ' or ')}")
        return
    say_columns(("ID", "SEV", "STATE", "OPENED", "WHO", "SERVICE", "TITLE"), [_row(incident) for incident in answer["items"]])
    if answer.get("next"):
        warn(f"there are more: --limit shows up to 500, here are {len(answer['items'])}")


def _row(incident: Mapping[str, Json]) -> tuple[str, ...]:
    state = incident["state"] + (" (suppressed)" if incident.get("suppressed") else "")
    who = incident.get("assignee") or incident.get("acknowledged_by") or "-"
    shown = (
        incident["id"],
        incident["severity"],
        state,
        local_time(incident.get("opened_at")),
        who,
        incident["service"],
        incident["title"],
    )
    return tuple(clean(value) for value in shown)


@app.command("show")
def show(incident_id: Id, url: Url = URL_DEFAULT, form: Output = Form.SIMPLE) -> None:
    """Show one incident with its alerts, pages and history."""
    incident = console_at(url).get(incident_path(incident_id))
    if form is Form.JSON:
        say_json(incident)
    else:
        for line in describe(incident):
            say(line)


def describe(incident: Mapping[str, Json]) -> list[str]:
    """The lines that tell a person about an incident."""
    ladder = incident.get("ladder") or {}
    lines = [f"{incident['id']}  severity {incident['severity']}  {incident['state']}  {clean(incident['title'])}"]
    facts = {
        "service": clean(incident.get("service")),
        "requester": clean(incident.get("requester")),
        "text": clean(incident.get("text")),
        "runbook": clean(incident.get("runbook")),
        "opened": local_time(incident.get("opened_at")),
        "acknowledged": _acknowledged(incident),
        "snoozed until": local_time(incident.get("snoozed_until")),
        "resolved": local_time(incident.get("resolved_at")),
        "closed": local_time(incident.get("closed_at")),
        "assignee": clean(incident.get("assignee")),
        "suppressed": clean(incident.get("suppressed")),
        "next": f"{clean(ladder.get('next_role')) or 'somebody'} at {local_time(ladder['next_at'])}" if ladder.get("next_at") else "",
        "labels": ", ".join(f"{clean(name)}={clean(value)}" for name, value in (incident.get("labels") or {}).items()),
        "link": clean(incident.get("url")),
    }
    lines += [f"  {name:<15}{value}" for name, value in facts.items() if value not in {"", "-"}]
    for title, line in (("alerts", _alert_line), ("pages", _page_line), ("history", _history_line)):
        if incident.get(title):
            lines += ["", f"  {title}:", *(f"    {line(item)}" for item in incident[title])]
    return lines


def _acknowledged(incident: Mapping[str, Json]) -> str:
    if not incident.get("acknowledged_at"):
        return ""
    until = f", until {local_time(incident['acknowledged_until'])}" if incident.get("acknowledged_until") else ""
    return f"{local_time(incident['acknowledged_at'])} by {clean(incident.get('acknowledged_by'))}{until}"


def _alert_line(alert: Mapping[str, Json]) -> str:
    labels = ", ".join(f"{clean(name)}={clean(value)}" for name, value in alert["labels"].items())
    return f"{clean(alert['status']):<9} since {local_time(alert['starts_at'])}  {labels}"


def _page_line(page: Mapping[str, Json]) -> str:
    when = local_time(page.get("settled_at") or page["due_at"])
    said = (page["status"], page["kind"], page["person"], page.get("channel"), page.get("role"), page.get("reason"))
    return f"{when}  {'  '.join(clean(text) for text in said if text)}"


def _history_line(entry: Mapping[str, Json]) -> str:
    inputs = ", ".join(f"{clean(name)}={clean(value)}" for name, value in (entry.get("inputs") or {}).items())
    said = f"{local_time(entry['at'])}  {clean(entry['actor'])}  {clean(entry['event'])}  {clean(entry['reason'])}"
    return f"{said}  ({inputs})" if inputs else said


@app.command("ack")
def acknowledge(
    ids: Ids,
    note: Note = None,
    lasts: Annotated[str | None, typer.Option("--for", "-d", help="How long, like 30m or 2h; else as the ladder says.")] = None,
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Say "I have it": the ladder stops."""
    _act_on_each(ids, url, form, "acknowledge", {"note": note, "for": lasts})


@app.command("resolve")
def resolve(ids: Ids, note: Note = None, url: Url = URL_DEFAULT, form: Output = Form.SIMPLE) -> None:
    """Say that it is over."""
    _act_on_each(ids, url, form, "resolve", {"note": note})


@app.command("reopen")
def reopen(ids: Ids, url: Url = URL_DEFAULT, form: Output = Form.SIMPLE) -> None:
    """Say that it is not over after all."""
    _act_on_each(ids, url, form, "reopen", {})


@app.command("snooze")
def snooze(
    ids: Ids,
    lasts: Annotated[str, typer.Option("--for", "-d", help="How long, like 30m or 2h.")],
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Keep the ladder still for a while."""
    _act_on_each(ids, url, form, "snooze", {"for": lasts})


@app.command("assign")
def assign(
    ids: Ids,
    to: Annotated[str, typer.Option("--to", help="The person, by the key in the rules.")],
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Give it to somebody."""
    _act_on_each(ids, url, form, "assign", {"to": to})


@app.command("note")
def add_note(
    incident_id: Id,
    text: Annotated[str, typer.Argument(help="What there is to say.")],
    public: Annotated[bool, typer.Option("--public", help="Whoever asked for help may read it.")] = False,
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Write something into the history."""
    _act_on_each([incident_id], url, form, "note", {"text": text, "public": public})


@app.command("severity")
def change_severity(
    incident_id: Id,
    level: Annotated[int, typer.Argument(min=1, max=4, help="1 is the worst, 4 pages nobody.")],
    reason: Annotated[str | None, typer.Option("--reason", "-c", help="Kept in the history.")] = None,
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Make it graver or milder."""
    _act_on_each([incident_id], url, form, "severity", {"level": level, "reason": reason})


@app.command("open")
def open_incident(
    title: Annotated[str, typer.Argument(help="What is wrong, in one line.")],
    service: Annotated[str, typer.Option(help="Whose it is, by its name in the rules.")],
    severity: Annotated[int, typer.Option(min=1, max=4, help="1 is the worst.")] = 3,
    requester: Annotated[str | None, typer.Option(help="Who told us.")] = None,
    text: Annotated[str | None, typer.Option(help="More about it.")] = None,
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Open an incident by hand."""
    body = {"title": title, "severity": severity, "service": service, "requester": requester, "text": text}
    incident = console_at(url).post("/api/v1/incidents", _given(body))
    if form is Form.JSON:
        say_json(incident)
    else:
        say(_outcome(incident))


@app.command("watch")
def watch(url: Url = URL_DEFAULT, form: Output = Form.SIMPLE) -> None:
    """Show what happens as it happens, until Ctrl-C; -o json prints one event per line."""
    console = console_at(url)
    try:
        follow(console, lambda event: _say_event(event, form))
    except KeyboardInterrupt:
        raise typer.Exit from None


def follow(console: Console, on_event: Callable[[ServerEvent], None], *, pause_s: float = WATCH_PAUSE_S) -> None:
    """Hand over every event; a stream that breaks is taken up behind the last one. Raises ClientError when it cannot be opened any more."""
    last_id: str | None = None
    failures = 0
    while True:
        try:
            for event in console.events("/api/v1/events", last_id=last_id):
                last_id = event.id or last_id
                failures = 0
                on_event(event)
        except Unreachable:
            failures += 1
            if failures >= WATCH_FAILURES_MAX:
                raise
        time.sleep(pause_s)


def _say_event(event: ServerEvent, form: Form) -> None:
    try:
        data = json.loads(event.data)
    except ValueError:
        return
    if form is Form.JSON:
        typer.echo(json.dumps(data, ensure_ascii=False))
        return
    if isinstance(data, dict) and "incident" in data:
        said = (data["incident"], data.get("state"), data.get("event"), data.get("reason"), data.get("actor"))
        say(f"{local_time(data.get('at'))}  {'  '.join(clean(text) for text in said if text)}")


def _act_on_each(ids: Sequence[str], url: str, form: Form, action: str, body: Mapping[str, object]) -> None:
    """POST the action to each incident; report each; end with the exit code of the first that failed."""
    console = console_at(url)
    done: list[Json] = []
    exit_code = 0
    for incident_id in ids:
        try:
            incident = console.post(incident_path(incident_id, action), _given(body))
        except ClientError as error:
            exit_code = exit_code or error.exit_code
            done.append({"id": incident_id, "error": str(error)})
            warn(f"{clean(incident_id)}: {clean(error)}")
            if isinstance(error, Unreachable):
                break
        else:
            done.append(incident)
            if form is Form.SIMPLE:
                say(_outcome(incident))
    if form is Form.JSON:
        say_json(done)
    raise typer.Exit(exit_code)


def _given(body: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in body.items() if value is not None}


def _outcome(incident: Mapping[str, Json]) -> str:
    state = incident["state"]
    if state == "acknowledged":
        state = f"acknowledged by {clean(incident.get('acknowledged_by'))}"
        if incident.get("acknowledged_until"):
            state += f" until {local_time(incident['acknowledged_until'])}"
    return f"{incident['id']}  severity {incident['severity']}  {state}  {clean(incident['title'])}"
