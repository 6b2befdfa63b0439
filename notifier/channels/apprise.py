"""The `apprise:` contact: any of the services that the library Apprise knows, as one more place to tell. Needs the extra `apprise`.

    apprise:gotify://push.example.com/TOKEN           what stands after the first colon is Apprise's own URL

Apprise says yes or no: no status, no name of the message, no Retry-After, no button. So a no is ambiguous, and nobody can answer here but
by the link. It is imported when the first page goes out over it (half a second and more), in a thread.

Apprise blocks, and a service that answers one byte at a time holds it for ever; it cannot be stopped from outside. Each send therefore has
a thread of its own, at most THREADS_MAX and one for each address: a hung address has itself to wait for, and what finds no thread is told
so at once. The threads are daemons, so that none of them holds up the end of the process.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
import re
import threading
from dataclasses import dataclass
from typing import Any, Final

from notifier.channels.outcome import Outcome, Refused, Sent, Unreachable
from notifier.channels.robots import links
from notifier.message import PageMessage
from notifier.rendering.chat import card
from tocsin.policy.model import State

TOTAL_LIMIT_S: Final = 10.0
THREADS_MAX: Final = 16
BUSY_PAUSE_S: Final = 10.0

NOT_INSTALLED: Final = Refused("Apprise is not installed: it is the extra `apprise` (pip install 'tocsin[apprise]')")

_TALKATIVE: Final = ("apprise", "urllib3")
"""Loggers that name addresses, with their secrets."""
_SERVICE: Final = re.compile(r"([A-Za-z][A-Za-z0-9]{1,29})://")
"""The scheme of Apprise's own URL, all of it that may be told."""
_KINDS: Final = {1: "failure", 2: "warning"}


@dataclass(frozen=True, slots=True)
class _Text:
    title: str
    body: str
    kind: str


class AppriseChannel:
    """Hands pages to Apprise, each in a thread of its own."""

    name = "apprise"

    def __init__(self, *, total_limit_s: float = TOTAL_LIMIT_S, threads_max: int = THREADS_MAX) -> None:
        self._total_limit_s = total_limit_s
        self._threads_max = threads_max
        self._busy: set[str] = set()

    async def send(self, to: str, message: PageMessage) -> Outcome:
        if importlib.util.find_spec("apprise") is None:
            return NOT_INSTALLED
        url = to.partition(":")[2]
        found = _SERVICE.match(url)
        if found is None:
            return Refused("this is not an Apprise URL")
        service = found[1]
        if to in self._busy:
            return Unreachable(f"Apprise is still busy with an earlier page to this {service} address", False, BUSY_PAUSE_S)
        if len(self._busy) >= self._threads_max:
            return Unreachable(f"Apprise is busy with {self._threads_max} pages, the most at once", False, BUSY_PAUSE_S)
        try:
            async with asyncio.timeout(self._total_limit_s):
                return await self._start(to, url, service, _text(message))
        except TimeoutError:
            return Unreachable(f"Apprise ({service}) did not come back within {self._total_limit_s:g} s", ambiguous=True)

    async def close(self) -> None:
        """Threads that hang end with the process."""

    def _start(self, to: str, url: str, service: str, text: _Text) -> asyncio.Future[Outcome]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Outcome] = loop.create_future()

        def finish(outcome: Outcome) -> None:
            self._busy.discard(to)
            if not done.done():  # nobody waits any more
                done.set_result(outcome)

        def work() -> None:
            outcome = _notify(url, service, text)
            try:
                loop.call_soon_threadsafe(finish, outcome)
            except RuntimeError:  # the loop has ended meanwhile
                return

        self._busy.add(to)
        threading.Thread(target=work, name="apprise", daemon=True).start()
        return done


def _notify(url: str, service: str, text: _Text) -> Outcome:
    """Send with Apprise; blocks as long as it likes."""
    try:
        apprise: Any = importlib.import_module("apprise")
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        asset = apprise.AppriseAsset(
            app_id="Tocsin",
            async_mode=False,
            http_redirects=False,
            interpret_emojis=False,
            pem_autogen=False,
            pgp_autogen=False,
            service_timeout=0,  # with a limit of its own it would wait in this thread for another
            storage_mode="memory",
        )
        sender = apprise.Apprise(asset=asset)
        if not sender.add(url):
            return Refused(f"Apprise does not take this {service} address")
        sent = sender.notify(body=text.body, title=text.title, notify_type=text.kind, body_format=apprise.NotifyFormat.TEXT)
    except Exception as error:  # top of a request: whatever a plugin raises, the thread must come back
        return Unreachable(f"Apprise ({service}) failed: {type(error).__name__}", ambiguous=True)
    return Sent(receipt=None) if sent else Unreachable(f"Apprise ({service}) could not send it, or cannot tell", ambiguous=True)


def _text(message: PageMessage) -> _Text:
    found = card(message)
    lines = (found.state_line, *found.lines, *(word + ": " + url for word, url in links(message, found)))
    over = message.incident.state in {State.RESOLVED, State.CLOSED}
    kind = "success" if over else _KINDS.get(message.incident.severity, "info")
    return _Text(found.headline, "\n".join(line for line in lines if line) or found.headline, kind)
