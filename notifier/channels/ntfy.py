"""The `ntfy+https://` contact: a topic of ntfy.sh or of an ntfy server of one's own.

    ntfy+https://ntfy.example.com/kim-pages          the topic is the last part of the address
    POST https://ntfy.example.com/
    Authorization: Bearer tk_...                      when the contact has a secret: the access token
    {"topic": "kim-pages", "title": "...", "message": "...", "priority": 5, "click": "...", "actions": [...]}
    -> 200 {"id": "hwQ2YpKdmg", "time": 1795370047, "event": "message", "topic": "kim-pages", ...}

"Take it" is a POST of the phone to the answer link, which acts without a form (console/answer.py); a tap on the page opens it. JSON and
not headers, so that no text of anybody's becomes a header. Text is shown as it is: Markdown is off unless asked for. The message has 4,096
bytes (more would become an attached file), the title 60 characters, which is what a phone shows. Sources: docs.ntfy.sh/publish,
server/errors.go of ntfy, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from yarl import URL

from notifier.channels.http import NOT_A_URL, TOTAL_LIMIT_S, HttpAnswer, HttpSender, judged
from notifier.channels.outcome import Outcome, Refused, Unreachable
from notifier.message import PageMessage, is_link
from notifier.rendering.chat import card
from tocsin.policy.model import PageKind, State
from tocsin.runtime.text import cut

TITLE_CHARACTERS_MAX: Final = 60
MESSAGE_BYTES_MAX: Final = 4_000
TAKE_ALL: Final = "action=acknowledge_all"
"""What the button of a page of several incidents posts to its answer page."""
DAILY_LIMIT: Final = 42908
"""Too many messages today: the next one will hardly be taken sooner than in an hour."""
DAILY_PAUSE_S: Final = 3600.0
PAUSE_S: Final = 10.0
"""After any other limit: a server gives a visitor back one request in 5 s by default."""

_PRIORITIES: Final = {1: 5, 2: 4}
_CALM: Final = frozenset({PageKind.RESOLVED, PageKind.UPDATE, PageKind.HANDOVER, PageKind.NOTICE})
_TAGS: Final = {1: "rotating_light", 2: "warning"}


class NtfyChannel:
    """Publishes to topics. `secrets` by the contact's whole address: access tokens. `wall_clock` in ms UTC."""

    name = "ntfy"

    def __init__(self, *, wall_clock: Callable[[], int], secrets: Mapping[str, str], total_limit_s: float = TOTAL_LIMIT_S) -> None:
        self._secrets = secrets
        self._http = HttpSender(wall_clock=wall_clock, total_limit_s=total_limit_s)

    async def send(self, to: str, message: PageMessage) -> Outcome:
        secret = self._secrets.get(to)
        try:
            address = URL(to.partition("+")[2])
            server, _, topic = address.path.rstrip("/").rpartition("/")
            root = address.with_path(server + "/")
            if secret:
                root = root.with_user(None)  # the token is the stronger proof, and a request carries only one
        except ValueError:
            return NOT_A_URL
        headers = {"Authorization": "Bearer " + secret} if secret else {}
        return _judged(await self._http.post_json(str(root), ntfy_message(message, topic), headers, whole=True))

    async def close(self) -> None:
        await self._http.close()


def ntfy_message(message: PageMessage, topic: str) -> dict[str, object]:
    """The page as ntfy publishes it."""
    found = card(message)
    title = cut(found.headline, TITLE_CHARACTERS_MAX)
    lines = [found.headline if title != found.headline else "", found.state_line, *found.lines]
    text = "\n".join(line for line in lines if line).encode(errors="replace")[:MESSAGE_BYTES_MAX].decode(errors="ignore")
    actions: list[dict[str, object]] = []
    if found.take and is_link(message.acknowledge_url):
        take: dict[str, object] = {"action": "http", "label": found.take, "url": message.acknowledge_url, "method": "POST", "clear": True}
        actions.append(take | {"body": TAKE_ALL} if len(message.numbers) > 1 else take)
    if found.open_url:
        actions.append({"action": "view", "label": found.open, "url": found.open_url})
    severity, over = message.incident.severity, message.incident.state in {State.RESOLVED, State.CLOSED}
    calm = over or message.kind in _CALM
    body: dict[str, object] = {
        "topic": topic,
        "title": title,
        "message": text or found.headline,
        "priority": 3 if calm else _PRIORITIES.get(severity, 3),
        "tags": ["white_check_mark"] if over else [] if calm or severity not in _TAGS else [_TAGS[severity]],
        "actions": actions,
    }
    return body | ({"click": found.open_url} if found.open_url else {})


def _judged(answer: HttpAnswer | Refused | Unreachable) -> Outcome:
    if not isinstance(answer, HttpAnswer):
        return answer
    body = answer.json() or {}
    if answer.ok:
        name = body.get("id")
        if isinstance(name, str) and name:
            return judged(answer, name)
        return Unreachable(f"{answer.where} answered {answer.status}, but not as ntfy does", ambiguous=True)
    if answer.status == 429:
        pause_s = DAILY_PAUSE_S if body.get("code") == DAILY_LIMIT else answer.pause_s or PAUSE_S
        return Unreachable(f"{answer.where} answered 429", ambiguous=False, retry_after_s=pause_s)
    return judged(answer)
