"""`tocsin drill SERVICE`: pages the people of a service for practice, and shows live who was paged over what and who answered.

It ends when somebody has answered, with Ctrl-C, or by itself ten minutes after the ladder's last rung.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from tocsin.runtime.client import Console, Json, Misused, Unreachable
from tocsin.runtime.commands.terminal import Form, clean, console_at, local_time, say, say_json, warn

POLL_S: Final = 0.5
POLLS_MAX: Final = round(24 * 3_600 / POLL_S)
FAILURES_MAX: Final = 10
"""Looks in a row that may fail before it is given up; the drill goes on without us."""

EXIT_FAILED: Final = 1
OVER: Final = frozenset({"resolved", "closed"})


def begin(service: str | None, severity: int, why: str, url: str, form: Form) -> int:
    """Begin a drill and follow it; 0 when somebody answered, 1 when nobody did."""
    if not service:
        raise Misused("name the service whose ladder is to be climbed, or --end ID")
    console = console_at(url)
    drill = console.post("/api/v1/drills", {"service": service, "severity": severity, "why": why})
    path = f"/api/v1/drills/{quote(str(drill['id']), safe='')}"
    if form is Form.SIMPLE:
        say(f"{clean(drill['id'])}  {clean(drill['title'])}  severity {drill['severity']}  {clean(drill['url'])}")
        warn("Ctrl-C ends it")
    try:
        drill = _follow(console, path, drill, form)
    except KeyboardInterrupt:
        warn("ending the drill")
    drill = console.post(f"{path}/end", {})
    return _report(drill, form)


def end(drill_id: str, url: str, form: Form) -> int:
    """End a drill that was begun elsewhere, and say what came of it."""
    name = f"INC-{drill_id}" if drill_id.isdigit() else drill_id.upper()
    return _report(console_at(url).post(f"/api/v1/drills/{quote(name, safe='')}/end", {}), form)


def _follow(console: Console, path: str, drill: Json, form: Form) -> Json:
    """Show pages as their state changes, until somebody has answered or it is over."""
    shown: dict[str, str] = {}
    failures = 0
    for _ in range(POLLS_MAX):
        if form is Form.SIMPLE:
            _say_news(drill, shown)
        if drill["answered_by"] is not None or drill["state"] in OVER:
            break
        time.sleep(POLL_S)
        try:
            drill = console.get(path)
            failures = 0
        except Unreachable:
            failures += 1
            if failures >= FAILURES_MAX:
                warn(f"the drill goes on; `tocsin drill --end {clean(drill['id'])}` ends it")
                raise
    return drill


def _say_news(drill: Mapping[str, Json], shown: dict[str, str]) -> None:
    for page in drill["pages"]:
        line = _page_line(page)
        key = f"{page['kind']} {page['rung']} {page['person']} {page['contact']} {page['due_after_s']}"
        if line and shown.get(key) != line:
            shown[key] = line
            say(line)


def _page_line(page: Mapping[str, Json]) -> str:
    """What became of a page; nothing while it only waits for its turn, or was withdrawn."""
    role = f" as {clean(page['role'])}" if page["role"] else ""
    whom = f"{clean(page['name'])} ({clean(page['person'])}){role} over {clean(page['channel'])}"
    if page["delivered_after_s"] is not None:
        return f"{_time(page['delivered_after_s'])}  arrived: {whom}"
    if page["sent_after_s"] is not None:
        return f"{_time(page['sent_after_s'])}  paged: {whom}"
    if page["status"] == "failed":
        return f"{_time(page['due_after_s'])}  not reached: {whom}: {clean(page['reason']) or 'no reason given'}"
    return ""


def _time(seconds: Json) -> str:
    whole = max(0, int(seconds))
    return f"+{whole // 3600:d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _report(drill: Mapping[str, Json], form: Form) -> int:
    answered = drill["answered_by"] is not None
    if form is Form.JSON:
        say_json(drill)
    elif answered:
        reached = len({page["person"] for page in drill["pages"] if page["sent_after_s"] is not None})
        who = clean(drill["answered_name"]) or clean(drill["answered_by"])
        say(f"{_time(drill['answered_after_s'])}  answered by {who} ({clean(drill['answered_by'])}); {reached} paged; the drill is over")
    else:
        say(f"nobody answered; the drill that began at {local_time(drill['opened_at'])} is over")
    return 0 if answered else EXIT_FAILED
