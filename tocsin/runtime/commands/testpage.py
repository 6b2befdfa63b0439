"""`tocsin test-page PERSON`: does a page reach them? Sends one that belongs to no incident, and waits for what comes of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from tocsin.runtime.client import Json
from tocsin.runtime.commands.terminal import Form, clean, console_at, say, say_json, warn

WAIT_S: Final = 60.0
POLL_S: Final = 0.2
POLLS_MAX: Final = round(WAIT_S / POLL_S)
EXIT_FAILED: Final = 1
SETTLED: Final = frozenset({"sent", "failed", "cancelled"})


def test_page(person: str, contact: int | None, url: str, form: Form) -> int:
    """Send it, wait, say how it went; 0 when a provider took it, 1 when it failed or nothing was heard of it in a minute."""
    console = console_at(url)
    body: dict[str, object] = {"person": person}
    if contact is not None:
        body["contact"] = contact - 1  # people count from 1, the API as the rules' lists do, from 0
    page = console.post("/api/v1/test-pages", body)
    path = f"/api/v1/test-pages/{quote(str(page['id']), safe='')}"
    for _ in range(POLLS_MAX):
        if page["status"] in SETTLED:
            break
        time.sleep(POLL_S)
        page = console.get(path)
    if form is Form.JSON:
        say_json(page)
    else:
        _say(page)
    return 0 if page["status"] == "sent" else EXIT_FAILED


def _say(page: Mapping[str, Json]) -> None:
    who = f"{clean(page['person'])} over {clean(page.get('channel')) or 'a contact that the rules no longer have'}"
    match page["status"]:
        case "sent":
            receipt = f" ({clean(page['receipt'])})" if page.get("receipt") else ""
            say(f"sent to {who}{_took(page)}{receipt}")
        case "failed" | "cancelled":
            warn(f"not sent to {who}: {clean(page.get('reason')) or 'no reason given'}")
        case _:
            warn(f"nothing was heard of the page to {who} for {WAIT_S:g} s: is the notifier running? `tocsin doctor` looks")


def _took(page: Mapping[str, Json]) -> str:
    seconds = page.get("after_s")
    return f" after {seconds:.1f} s" if isinstance(seconds, int | float) else ""
