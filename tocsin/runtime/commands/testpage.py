"""`tocsin test-page PERSON`: does a page reach them? Sends one that belongs to no incident, and waits for what comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from tocsin.policy.durations import DurationError, parse_duration_ms
from tocsin.runtime.client import Console, Json, Misused
from tocsin.runtime.commands.terminal import Form, clean, console_at, say, say_json, warn

WAIT_S: Final = 60.0
WAIT_MS_MAX: Final = 300_000
"""A test ends by itself after five minutes."""

POLL_S: Final = 0.2
EXIT_FAILED: Final = 1
SETTLED: Final = frozenset({"sent", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom to page over which contacts, and how long to wait for an answer."""

    person: str
    contact: int | None
    every: bool
    wait: str

    def wait_s(self) -> float:
        """How long to wait once it is sent. Raises Misused."""
        try:
            wait_ms = parse_duration_ms(self.wait)
        except DurationError as error:
            raise Misused(f"--wait: {error}") from None
        if wait_ms > WAIT_MS_MAX:
            raise Misused("--wait: a test ends by itself after 5m, so at most that")
        return wait_ms / 1000


def test_page(wanted: Wanted, url: str, form: Form) -> int:
    """Send, wait, say how it went; 0 when providers took every page, 1 when one failed or nothing was heard of it in a minute."""
    if wanted.every and wanted.contact is not None:
        raise Misused("--all pages over every contact: leave --contact out")
    console, wait_s = console_at(url), wanted.wait_s()
    pages: list[Json] = []
    # People count from 1, the API as the rules' lists do, from 0.
    number, last = (wanted.contact or 1) - 1, (wanted.contact or 1) - 1
    while number <= last:
        page = _follow(console, console.post("/api/v1/test-pages", {"person": wanted.person, "contact": number}), wait_s)
        pages.append(page)
        if form is Form.SIMPLE:
            _say(page, waited=wait_s > 0)
        if wanted.every:
            last = int(page["contacts"]) - 1
        number += 1
    if form is Form.JSON:
        say_json(pages if wanted.every else pages[0])
    return 0 if all(page["status"] == "sent" for page in pages) else EXIT_FAILED


def _follow(console: Console, page: Json, wait_s: float) -> Json:
    path = f"/api/v1/test-pages/{quote(str(page['id']), safe='')}"
    page = _poll(console, path, page, WAIT_S, lambda found: found["status"] in SETTLED)
    if wait_s > 0 and page["status"] == "sent":
        page = _poll(console, path, page, wait_s, lambda found: found.get("answered_after_s") is not None)
    return page


def _poll(console: Console, path: str, page: Json, limit_s: float, is_done: Callable[[Json], bool]) -> Json:
    for _ in range(round(limit_s / POLL_S)):
        if is_done(page):
            break
        time.sleep(POLL_S)
        page = console.get(path)
    return page


def _say(page: Mapping[str, Json], *, waited: bool) -> None:
    who = f"{clean(page['person'])} over {clean(page.get('channel')) or 'a contact that the rules no longer have'}"
    match page["status"]:
        case "sent":
            receipt = f" ({clean(page['receipt'])})" if page.get("receipt") else ""
            say(f"sent to {who}{_after(page, 'after_s')}{receipt}{_came_of_it(page, waited=waited)}")
        case "failed" | "cancelled":
            warn(f"not sent to {who}: {clean(page.get('reason')) or 'no reason given'}")
        case _:
            warn(f"nothing was heard of the page to {who} for {WAIT_S:g} s: is the notifier running? `tocsin doctor` looks")


def _came_of_it(page: Mapping[str, Json], *, waited: bool) -> str:
    said = ""
    if page.get("delivered_after_s") is not None:
        said += f", arrived{_after(page, 'delivered_after_s')}"
    elif page.get("awaits_receipt"):
        said += ", not known yet whether it arrived"
    if page.get("answered_after_s") is not None:
        said += f", answered by {clean(page.get('answered_by'))}{_after(page, 'answered_after_s')}"
    elif waited:
        said += ", not answered"
    return said


def _after(page: Mapping[str, Json], name: str) -> str:
    seconds = page.get(name)
    return f" after {seconds:.1f} s" if isinstance(seconds, int | float) else ""
