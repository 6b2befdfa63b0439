"""`tocsin oncall ...`: who is on call, and changing it.

Whoever acts is the token; whose duty it is, is said with `--person` (or TOCSIN_PERSON). Times are taken as they are written and read by the
console on the clock of the schedule or person, never on this machine's; what comes of a change is said in the console's words.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

import typer

from tocsin.runtime.client import Json, Misused
from tocsin.runtime.commands import swap
from tocsin.runtime.commands.terminal import URL_DEFAULT, Form, Output, Url, clean, console_at, local_time, say, say_columns, say_json, warn

app = typer.Typer(help="See who is on call, and change it.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(swap.app, name="swap")

Name = Annotated[str, typer.Argument(metavar="SCHEDULE", help="The schedule, by its name in the rules.")]
Person = Annotated[str, typer.Option("--person", "-p", envvar="TOCSIN_PERSON", help="Whose duty it is, by the key in the rules.")]
From = Annotated[
    str | None, typer.Option("--from", help="2026-02-17T14:00 or 14:00 on the schedule's clock, or with a zone; without it, now.")
]
Until = Annotated[str | None, typer.Option("--until", help="Likewise; without it and --for, to the end of the shift.")]
For = Annotated[str | None, typer.Option("--for", "-d", help="How long, like 90m, instead of --until.")]
Why = Annotated[str | None, typer.Option("--why", "-c", help="Kept in the history.")]

ABSENCE_PREFIXES: Final = ("ABS-", "LEAVE-")


@app.callback()
def oncall() -> None:
    """See who is on call, and change it."""


# --- reading ----------------------------------------------------------------------------------------------------------------------------


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
    for item in answer["roles"]:
        yield clean(item["role"]), ", ".join(_named(person["person"], person["name"]) for person in item["people"])


def _named(key: object, name: object) -> str:
    return f"{clean(name)} ({clean(key)})" if name and name != key else clean(key)


@app.command("list")
def list_shifts(
    schedule: Annotated[str | None, typer.Argument(metavar="SCHEDULE", help="Its shifts; without it, all schedules.")] = None,
    begin: Annotated[str | None, typer.Option("--from", help="From when; now without it.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="To when; 14 days on without it.")] = None,
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Show the shifts of a schedule, with everything that people have changed, or all schedules."""
    path = "/api/v1/schedules" if schedule is None else f"/api/v1/schedules/{quote(schedule, safe='')}"
    query = {name: text for name, text in (("from", begin), ("to", end)) if text is not None}
    if schedule is None and query:
        raise Misused("--from and --to show a part of one schedule: name it")
    answer = console_at(url).get(path, query)
    if form is Form.JSON:
        say_json(answer)
    elif schedule is None:
        say_columns(("SCHEDULE", "ZONE", "ON DUTY", "UNTIL", "NEXT"), [_schedule_row(item) for item in answer["items"]])
    else:
        say_columns(("FROM", "UNTIL", "WHO", "WHY"), list(_shift_rows(answer)))
        if answer["gaps"]:
            warn("where nobody is on duty, pages go to the next rung at once")


def _schedule_row(item: Mapping[str, Json]) -> tuple[str, ...]:
    present, following = item["now"], item["next"]
    until = "-" if present is None else zoned(present["until"], item["time_zone"])
    who = "nobody" if present is None else _named(present["person"], present["name"])
    return clean(item["name"]), clean(item["time_zone"]), who, until, "-" if following is None else clean(following["person"])


def _shift_rows(answer: Mapping[str, Json]) -> Iterator[tuple[str, ...]]:
    zone = answer["time_zone"]
    spans = [(shift["from"], shift) for shift in answer["shifts"]] + [(gap["from"], gap) for gap in answer["gaps"]]
    for _, span in sorted(spans, key=lambda pair: str(pair[0])):
        who = _named(span["person"], span["name"]) if "person" in span else "nobody"
        yield zoned(span["from"], zone), zoned(span["until"], zone), who, _why(span)


def _why(span: Mapping[str, Json]) -> str:
    if "cause" not in span:
        return "gap"
    others = ", ".join(clean(person) for person in span["instead_of"])
    return clean(span["cause"]) + (f" in place of {others}" if others else "")


def zoned(instant: str, zone: str) -> str:
    """`Tue 2026-02-17 14:00 KST` of an RFC 3339 instant: on the schedule's clock, whatever this machine's is."""
    try:
        return f"{datetime.fromisoformat(instant).astimezone(ZoneInfo(zone)):%a %Y-%m-%d %H:%M %Z}"
    except (ValueError, LookupError, OSError):
        return clean(instant)


@app.command("changes")
def changes(url: Url = URL_DEFAULT, form: Output = Form.SIMPLE) -> None:
    """Show what people have changed that is not over: overrides, absences, swaps."""
    console = console_at(url)
    found = {name: console.get(f"/api/v1/{name}")["items"] for name in ("overrides", "absences", "swaps")}
    if form is Form.JSON:
        say_json(found)
        return
    rows = [_entry_row(each) for name in ("overrides", "absences") for each in found[name]]
    if rows:
        say_columns(("ID", "FROM", "UNTIL", "WHAT", "BY", "WHY"), rows)
    for each in found["swaps"]:
        say(f"{clean(each['id'])}  {'; '.join(clean(line) for line in each['says'])}")
    if not rows and not found["swaps"]:
        warn("nobody has changed anything")


def _entry_row(each: Mapping[str, Json]) -> tuple[str, ...]:
    zone = each["time_zone"]
    return clean(each["id"]), zoned(each["from"], zone), zoned(each["until"], zone), _what(each), clean(each["by"]), clean(each["why"])


def _what(each: Mapping[str, Json]) -> str:
    if "schedule" not in each:
        return f"{clean(each['person'])} is away ({clean(each['kind'])})"
    place = f" in place of {clean(each['replaces'])}" if each.get("replaces") else ""
    return f"{clean(each['person'])} on {clean(each['schedule'])}{place} ({clean(each['kind'])})"


@app.command("history")
def history(
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many, the newest first.")] = 50,
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Show who changed what, when and why."""
    answer = console_at(url).get("/api/v1/roster/history", {"limit": str(limit)})
    if form is Form.JSON:
        say_json(answer)
        return
    rows = [
        (local_time(each["at"]), clean(each["by"]), clean(each["act"]).replace("_", " "), _touched(each), clean(each["why"]))
        for each in answer["items"]
    ]
    say_columns(("WHEN", "BY", "WHAT", "WHICH", "WHY"), rows)


def _touched(change: Mapping[str, Json]) -> str:
    spans = [each for name in ("overrides", "absences") for each in change[name]]
    if len(spans) == 1:
        each, zone = spans[0], spans[0]["time_zone"]
        return f"{clean(each['id'])}: {_what(each)}, {zoned(each['from'], zone)} - {zoned(each['until'], zone)}"
    found = [clean(each["id"]) for each in (*spans, *change["swaps"])]
    found += [clean(each) for each in change["removed"]]
    return ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")


# --- changing ---------------------------------------------------------------------------------------------------------------------------


@app.command("override")
def override(
    schedule: Name,
    person: Annotated[str, typer.Argument(metavar="PERSON", help="Who is on duty instead, by the key in the rules.")],
    begin: From = None,
    until: Until = None,
    lasts: For = None,
    replaces: Annotated[str | None, typer.Option("--replaces", help="Only in place of this person.")] = None,
    why: Why = None,
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Put somebody on duty for a time."""
    body = {"schedule": schedule, "person": person, "replaces": replaces, "why": why, **_span(begin, until, lasts)}
    _change("/api/v1/overrides", body, url, form)


@app.command("take")
def take(
    schedule: Name,
    person: Person,
    begin: From = None,
    until: Until = None,
    lasts: For = None,
    why: Why = None,
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Take a shift: the rest of the present one, or another."""
    body = {"schedule": schedule, "person": person, "kind": "take", "why": why, **_span(begin, until, lasts)}
    _change("/api/v1/overrides", body, url, form)


@app.command("cover")
def cover(
    schedule: Name,
    person: Person,
    by: Annotated[str, typer.Option("--by", help="Who stands in, by the key in the rules.")],
    begin: From = None,
    until: Until = None,
    lasts: For = None,
    why: Why = None,
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Have somebody stand in for you: in your shifts of this time, and in nobody else's."""
    body = {"schedule": schedule, "person": by, "replaces": person, "kind": "cover", "why": why, **_span(begin, until, lasts)}
    _change("/api/v1/overrides", body, url, form)


@app.command("away")
def away(
    lasts: Annotated[str, typer.Argument(metavar="DURATION", help="How long, like 20m.")],
    person: Person,
    begin: From = None,
    why: Why = None,
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Step away: pages go straight to the next person."""
    _change("/api/v1/absences", {"person": person, "why": why, **_span(begin, None, lasts)}, url, form)


@app.command("back")
def back(person: Person, url: Url = URL_DEFAULT, form: Output = Form.SIMPLE) -> None:
    """Be there again before the time is over. Leave of a calendar is not touched."""
    console = console_at(url)
    at = console.get("/api/v1/oncall")["at"]
    found = console.get("/api/v1/absences", {"person": person})["items"]
    ended = [
        console.delete(f"/api/v1/absences/{quote(str(each['id']), safe='')}")
        for each in found
        if each["kind"] == "away" and each["from"] <= at
    ]
    if form is Form.JSON:
        say_json(ended)
        return
    for each in ended:
        _say_lines(each["says"])
    if not ended:
        say(f"{clean(person)} was not away")


@app.command("leave")
def leave(
    file: Annotated[str, typer.Option("--ics", metavar="FILE", help="An ICS calendar with the leave; - is standard input.")],
    person: Person,
    calendar: Annotated[str, typer.Option(help="Its name here; importing it again replaces what it brought.")] = "leave",
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Import leave from a calendar: who is on leave is not on duty."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise Misused(f"{file}: {error.strerror}") from error
    query = {"person": person, "calendar": calendar}
    answer = console_at(url).post_file("/api/v1/absences/ics", query, content, "text/calendar")
    if form is Form.JSON:
        say_json(answer)
        return
    _say_lines(answer["says"])
    say(f"{len(answer['added'])} added, {answer['kept']} as before, {answer['removed']} gone")
    for each in answer["ignored"]:
        warn(clean(each))


@app.command("undo")
def undo(
    entry: Annotated[str, typer.Argument(metavar="ID", help="OVR-7 or ABS-8, as `changes` shows them.")],
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Take an override or an absence back; one that has begun ends now."""
    if not entry.upper().startswith(("OVR-", *ABSENCE_PREFIXES)):
        raise Misused(
            f"{clean(entry)}: expected an id such as OVR-7 or ABS-8; a swap is declined (`tocsin oncall swap decline`) or swapped back"
        )
    what = "absences" if entry.upper().startswith(ABSENCE_PREFIXES) else "overrides"
    answer = console_at(url).delete(f"/api/v1/{what}/{quote(entry, safe='')}")
    if form is Form.JSON:
        say_json(answer)
    else:
        _say_lines(answer["says"])


@app.command("calendar")
def calendar_address(
    person: Annotated[str | None, typer.Option("--person", "-p", help="The shifts of this person.")] = None,
    schedule: Annotated[str | None, typer.Option("--schedule", help="The shifts of this schedule.")] = None,
    rotate: Annotated[bool, typer.Option("--rotate", help="Make every address that was given out invalid.")] = False,
    url: Url = URL_DEFAULT,
    form: Output = Form.SIMPLE,
) -> None:
    """Print the address at which a calendar program finds shifts; whoever knows it may read them."""
    body = {"person": person, "schedule": schedule, "rotate": rotate}
    answer = console_at(url).post("/api/v1/calendars", {name: value for name, value in body.items() if value is not None})
    if form is Form.JSON:
        say_json(answer)
    else:
        say(clean(answer["url"]))


def _span(begin: str | None, until: str | None, lasts: str | None) -> dict[str, str | None]:
    return {"from": begin, "until": until, "for": lasts}


def _change(path: str, body: Mapping[str, object], url: str, form: Form) -> None:
    answer = console_at(url).post(path, {name: value for name, value in body.items() if value is not None})
    if form is Form.JSON:
        say_json(answer)
        return
    _say_lines(answer["says"])
    warn(f"{clean(answer['id'])}: `tocsin oncall undo {clean(answer['id'])}` takes it back")


def _say_lines(lines: Sequence[object]) -> None:
    for line in lines:
        say(clean(line))
