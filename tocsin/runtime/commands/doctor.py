"""`tocsin doctor`: everything that would keep a page from being sent, each with its consequence and its remedy.

What only a running console can see comes from it (`GET /api/v1/doctor`: the durability of the store). What this machine can see is looked
at here, from the same environment as `tocsin serve`, when the console is on this machine. A finding is fatal (exit code 7) or a warning.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from tocsin.runtime.client import ADMIN_TOKEN_FILE, LOCAL_HOSTS, ClientError, Console
from tocsin.runtime.clock import SystemClock
from tocsin.runtime.commands.check import check_file
from tocsin.runtime.commands.first_steps import not_ready, reachable
from tocsin.runtime.commands.serve import ROLES
from tocsin.runtime.commands.terminal import Form, clean, console_at, say, say_json, warn
from tocsin.runtime.settings import Settings, SettingsInvalid

EXIT_PROBLEMS: Final = 7
CLOCK_OFF_MAX_S: Final = 5.0
FREE_LOW_BYTES: Final = 1024**3
FREE_LOW_SHARE: Final = 0.10
FREE_FATAL_BYTES: Final = 256 * 1024**2
CLOCK_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. A good one has neither consequence nor remedy to show."""

    name: str
    ok: bool
    severity: Literal["fatal", "warning"]
    what: str
    consequence: str = ""
    remedy: str = ""


def doctor(url: str, form: Form) -> int:
    """Look at everything and print it; 0, or 7 when anything is fatally wrong."""
    console = console_at(url)
    findings = list(_look(console))
    if form is Form.JSON:
        say_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            _say(finding)
        _sum_up(findings)
    return EXIT_PROBLEMS if any(not finding.ok and finding.severity == "fatal" for finding in findings) else 0


def _look(console: Console) -> Iterator[Finding]:
    if urlsplit(console.url).hostname in LOCAL_HOSTS:
        try:
            settings = Settings.from_environment(os.environ)
        except SettingsInvalid as error:
            what = "; ".join(error.problems)
            yield Finding(
                "settings", False, "fatal", what, "`tocsin serve` does not start with this environment", "put the variables right"
            )
        else:
            yield from _look_here(settings)
    yield from _clock(console.url)
    yield from _ask_console(console)


def _look_here(settings: Settings) -> Iterator[Finding]:
    yield from _rules(settings)
    for role in ROLES:
        yield _role(role, settings)
    yield from _disk(settings.storage_path)
    yield from _external_url(settings)
    yield from _token_file(settings.storage_path / ADMIN_TOKEN_FILE)


def _rules(settings: Settings) -> Iterator[Finding]:
    if settings.config_file is None:
        return
    checked = check_file(str(settings.config_file))
    if not checked.ok:
        yield Finding(
            "rules",
            False,
            "fatal",
            f"{checked.problems[0]} ({len(checked.problems)} problems)" if len(checked.problems) > 1 else str(checked.problems[0]),
            "a reload is refused and the next start fails",
            f"put it right until `tocsin check {checked.file}` says SUCCESS, or set TOCSIN_CONFIG_FILE to the file in use",
        )
        return
    yield Finding("rules", True, "fatal", f"{checked.file}: {checked.found}")
    for warning in checked.warnings:
        yield Finding(
            "rules", False, "warning", str(warning), "somebody may not be reached", "change the rules, or leave it if it is meant"
        )


def _role(role: str, settings: Settings) -> Finding:
    host, port = reachable(settings, role)
    why = asyncio.run(not_ready(host, port))
    if why is None:
        return Finding(role, True, "fatal", f"ready on {host}:{port}")
    consequence = {
        "ingest": "no alert comes in",
        "correlator": "alerts wait and open no incident",
        "notifier": "nobody is paged",
        "console": "nobody can acknowledge",
    }[role]
    return Finding(
        role, False, "fatal", f"{host}:{port}: {why}", consequence, f"start it with `tocsin serve`, or see what the log of {role} says"
    )


def _disk(storage_path: Path) -> Iterator[Finding]:
    try:
        usage = shutil.disk_usage(storage_path)
    except OSError as error:
        what = f"{storage_path}: {error.strerror}"
        yield Finding(
            "disk", False, "warning", what, "free space cannot be seen from here", "set TOCSIN_STORAGE_PATH as for `tocsin serve`"
        )
        return
    what = f"{storage_path}: {usage.free / 1024**3:.1f} GiB free of {usage.total / 1024**3:.1f}"
    fatal = usage.free < FREE_FATAL_BYTES
    low = usage.free < FREE_LOW_BYTES or usage.free < FREE_LOW_SHARE * usage.total
    consequence = "when the disk is full the store ends, and takes no alerts until there is room"
    remedy = "make room, or move the data to a larger disk"
    yield Finding("disk", not (fatal or low), "fatal" if fatal else "warning", what, consequence, remedy)


def _external_url(settings: Settings) -> Iterator[Finding]:
    local = urlsplit(settings.external_url).hostname in LOCAL_HOSTS
    what = f"links in pages begin with {settings.external_url}"
    consequence = "the links in pages open on this machine only; nobody can acknowledge from a phone"
    yield Finding("external-url", not local, "warning", what, consequence, "set --web.external-url (TOCSIN_WEB_EXTERNAL_URL)")


def _token_file(file: Path) -> Iterator[Finding]:
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError:
        return
    what = f"{file} has mode {mode:04o}"
    consequence = "others on this machine can act as administrator"
    yield Finding("admin-token", not mode & 0o077, "fatal", what, consequence, f"chmod 600 {file}, and replace the token")


def _clock(url: str) -> Iterator[Finding]:
    """The console's clock (the Date of its answer, in whole seconds) against ours."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(parts.hostname or "", parts.port, timeout=CLOCK_TIMEOUT_S)
        try:
            connection.request("HEAD", parts.path.rstrip("/") + "/-/healthy")
            said = connection.getresponse().getheader("Date", "")
        finally:
            connection.close()
        off_s = parsedate_to_datetime(said).timestamp() - SystemClock().now_ms() / 1000
    except (OSError, http.client.HTTPException, ValueError):
        return  # that it does not answer is another finding
    what = f"the console's clock and this machine's differ by {abs(off_s):.0f} s"
    consequence = "times in pages mislead, and senders with another clock resolve or expire alerts wrongly"
    yield Finding("clock", abs(off_s) <= CLOCK_OFF_MAX_S, "warning", what, consequence, "have both machines follow a time server")


def _ask_console(console: Console) -> Iterator[Finding]:
    try:
        findings = console.get("/api/v1/doctor")["findings"]
    except ClientError as error:
        yield Finding(
            "console-api", False, "fatal", str(error), "the store and what the console sees could not be looked at", "see the message"
        )
        return
    for found in findings:
        severity: Literal["fatal", "warning"] = "fatal" if found["severity"] == "fatal" else "warning"
        yield Finding(found["name"], bool(found["ok"]), severity, found["what"], found.get("consequence", ""), found.get("remedy", ""))


def _say(finding: Finding) -> None:
    verdict = "ok" if finding.ok else finding.severity.upper()
    say(f"{verdict:<8} {clean(finding.name):<22} {clean(finding.what)}")
    if not finding.ok:
        say(f"{'':<31} so: {clean(finding.consequence)}")
        say(f"{'':<31} do: {clean(finding.remedy)}")


def _sum_up(findings: list[Finding]) -> None:
    wrong = [finding.severity for finding in findings if not finding.ok]
    warn(f"{len(findings)} looked at, {wrong.count('fatal')} wrong, {wrong.count('warning')} doubtful")
