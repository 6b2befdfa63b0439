"""The `teams+https://` contact: a workflow of Microsoft Teams ("When a Teams webhook request is received") that posts an Adaptive Card.

    POST /workflows/...?sig=...
    {"type": "message", "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": {...}}]}
    -> 202, the workflow's run in x-ms-workflow-run-id

202 says that the workflow took it; whether it could post is only in its own run history. Buttons are links: a workflow has nowhere to send
a press. All foreign text stands in runs of text (`TextRun`), the only part of a card in which Teams reads no Markdown. A message has 28 KB.
The connectors before the workflows answered 200 with the failure as text, which is understood too.
Sources: Adaptive Cards for workflows, RichTextBlock, as public copies of the vendor's pages have them (2026-11);
not tried against the provider.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from notifier.channels.http import TOTAL_LIMIT_S, HttpAnswer, HttpSender, json_bytes, judged
from notifier.channels.outcome import Outcome, Refused, Unreachable
from notifier.channels.robots import links
from notifier.message import PageMessage
from notifier.rendering.chat import card
from tocsin.policy.model import State

MESSAGE_BYTES_MAX: Final = 28 * 1024
PAUSE_S: Final = 60.0

_FAILED: Final = re.compile(rb"delivery failed(?:.{0,200}?HTTP error ([0-9]{3}))?", re.IGNORECASE | re.DOTALL)
_COLOURS: Final = {1: "attention", 2: "warning", 3: "accent"}


class TeamsChannel:
    """Posts cards to workflows; the signature in the address is all that they ask for."""

    name = "teams"

    def __init__(self, *, wall_clock: Callable[[], int], total_limit_s: float = TOTAL_LIMIT_S) -> None:
        self._http = HttpSender(wall_clock=wall_clock, total_limit_s=total_limit_s)

    async def send(self, to: str, message: PageMessage) -> Outcome:
        answer = await self._http.post_json(to.partition("+")[2], teams_message(message), whole=True)
        if not isinstance(answer, HttpAnswer):
            return answer
        failure = _FAILED.search(answer.body) if answer.ok else None
        if failure is not None:
            return _judged_connector(answer, int(failure[1] or 0))
        return judged(answer, answer.headers.get("x-ms-workflow-run-id"))

    async def close(self) -> None:
        await self._http.close()


def teams_message(message: PageMessage) -> dict[str, object]:
    """The page as a message with one card; without the facts when it would be too long with them."""
    whole = _message(message, facts=True)
    return whole if len(json_bytes(whole)) <= MESSAGE_BYTES_MAX else _message(message, facts=False)


def _message(message: PageMessage, *, facts: bool) -> dict[str, object]:
    found = card(message)
    over = message.incident.state in {State.RESOLVED, State.CLOSED}
    colour = "good" if over else _COLOURS.get(message.incident.severity, "default")
    body = [
        _text([found.headline], size="large", weight="bolder", color=colour),
        *(_text([line]) for line in (found.state_line, *found.lines) if line),
        *(_text([name + ": ", value], isSubtle=True) for name, value in (found.facts if facts else ())),
    ]
    content: dict[str, object] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": found.banner,
        "msteams": {"width": "Full"},
        "body": body,
        "actions": [{"type": "Action.OpenUrl", "title": title, "url": url} for title, url in links(message, found)],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
    return {"type": "message", "summary": found.banner, "attachments": [attachment]}


def _text(parts: Iterable[str], **style: object) -> dict[str, object]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": part, **style} for part in parts]}


def _judged_connector(answer: HttpAnswer, status: int) -> Outcome:
    """What an old connector means by its 200: the status that it got from Teams itself."""
    reason = f"{answer.where} answered {answer.status}, but Teams {status or 'failed'}"
    if status == 429:
        return Unreachable(reason, ambiguous=False, retry_after_s=answer.pause_s or PAUSE_S)
    if 400 <= status < 500:
        return Refused(reason)
    return Unreachable(reason, ambiguous=True)
