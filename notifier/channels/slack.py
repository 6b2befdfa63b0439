"""The `slack:` contact: one message for each incident, with buttons, changed in place; later pages ring in its thread.

`slack:U...` is a member (the message goes into the conversation with our app), `slack:C...` a channel. Slack says most faults in the body
of a 200: `{"ok": false, "error": "channel_not_found"}`. What people press is in `slack_answers.py`, the socket over which it may come in
`slack_socket.py`, which alone knows slack-sdk and is imported only where there is an app token.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import web

from notifier.answers import Answers
from notifier.channels.chatmessages import Bundles, names_several
from notifier.channels.http import HttpAnswer, HttpSender, json_bytes, judged
from notifier.channels.outcome import Outcome, Refused, Sent, Unreachable
from notifier.channels.slack_answers import Json, LinkRefused, SlackAnswers, receipt_of
from notifier.channels.slack_blocks import content, words_only
from notifier.message import PageMessage
from notifier.rendering.chat import card
from tocsin.policy.accounts import SlackAccount
from tocsin.policy.model import PageKind

TOTAL_LIMIT_S: Final = 10.0
REFRESH_LIMIT_S: Final = 3.0
"""For what only keeps messages up to date, after the page has gone out."""
PAUSE_S: Final = 5.0
LINK_REFUSED_PAUSE_S: Final = 60.0
"""A token that Slack does not take now will hardly be taken in five seconds."""

_BLOCKS_NOT_TAKEN: Final = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long"})
_THREAD_GONE: Final = frozenset({"thread_not_found", "cannot_reply_to_message", "message_not_found"})
_SLOW_DOWN: Final = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_MAY_PASS: Final = frozenset({"service_unavailable", "request_timeout", "team_added_to_org", "accesslimited"})
_MAY_HAVE_HAPPENED: Final = frozenset({"internal_error", "fatal_error"})
"""Of which Slack says that some of it may have succeeded. docs.slack.dev, chat.postMessage, errors"""
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a message is, read from its receipt."""

    channel: str
    ts: str
    several: bool

    @property
    def receipt(self) -> str:
        return receipt_of(self.channel, self.ts, several=self.several)


class SlackChannel:
    """Sends as one app and hears what people press; without an account every page is refused, with that reason."""

    name = "slack"

    def __init__(
        self,
        account: SlackAccount | None,
        *,
        wall_clock: Callable[[], int],
        answers: Answers | None = None,
        total_limit_s: float = TOTAL_LIMIT_S,
        pause_s: float = PAUSE_S,
    ) -> None:
        """`wall_clock` in ms UTC, for the age of signed requests; `pause_s` after a failure of the socket."""
        self._account = account
        self._answers = answers
        self._total_limit_s = total_limit_s
        self._pause_s = pause_s
        self._bundles = Bundles(wall_clock)
        self._sender = HttpSender(wall_clock=wall_clock, total_limit_s=total_limit_s)
        self._heard = None
        if account is not None and answers is not None:
            self._heard = SlackAnswers(self._call, answers, self._bundles, signing_secret=account.signing_secret, wall_clock=wall_clock)

    async def send(self, to: str, message: PageMessage) -> Outcome:
        if self._account is None:
            return Refused("no Slack account is set: channels.slack")
        if message.kind is PageKind.UPDATE:
            return await self._update(message)
        contact = to.partition(":")[2].strip()
        root = _place_of(message.thread)
        if root is None:
            outcome, _ = await self._post({"channel": contact}, message)
        else:
            # In the thread for order, and in the conversation too: a reply in a thread rings with few. The closing note may be quiet.
            thread = {"channel": root.channel, "thread_ts": root.ts, "reply_broadcast": message.kind is not PageKind.RESOLVED}
            outcome, code = await self._post(thread, message)
            if code in _THREAD_GONE:
                outcome, _ = await self._post({"channel": contact}, message)
        if isinstance(outcome, Sent):
            self._bundles.remember(outcome.receipt or "", message)
            if root is not None:
                await self._refresh(root, message)
        return outcome

    async def listen(self) -> None:
        """Hear what is pressed over a socket for ever; return at once when there is no app token: then it comes by `callback`."""
        if self._heard is None or self._account is None or not self._account.app_token:
            return
        from notifier.channels.slack_socket import listen_over_socket  # noqa: PLC0415  slack-sdk: only who uses it pays for it

        await listen_over_socket(self._heard, self._open_link, pause_s=self._pause_s)

    async def callback(self, request: web.Request) -> web.StreamResponse:
        """Take a signed request: somebody pressed a button."""
        if self._heard is None:
            raise web.HTTPNotFound
        return await self._heard.callback(request)

    async def close(self) -> None:
        await self._sender.close()

    # --- messages ------------------------------------------------------------------------------------------------------------------------

    async def _update(self, message: PageMessage) -> Outcome:
        place = _place_of(message.edits)
        if place is None:
            return Refused("the page has no message to change")
        return await self._change(place, message, self._total_limit_s)

    async def _refresh(self, root: _Place, message: PageMessage) -> None:
        """Bring the first message up to date; the page itself has gone out, so that this fails is only seen in the log."""
        outcome = await self._change(root, message, REFRESH_LIMIT_S)
        if not isinstance(outcome, Sent):
            _log.info("slack_message_not_changed", page=message.page_id, why=outcome.reason)

    async def _post(self, fields: Json, message: PageMessage) -> tuple[Outcome, str]:
        quiet = {"unfurl_links": False, "unfurl_media": False, "link_names": False, "mrkdwn": False, "parse": "none"}
        return await self._write("chat.postMessage", {**fields, **quiet}, message, self._total_limit_s)

    async def _change(self, place: _Place, news: PageMessage, limit_s: float) -> Outcome:
        fields = {"channel": place.channel, "ts": place.ts, "link_names": False, "parse": "none"}

        async def edit(shown: PageMessage) -> Outcome:
            return (await self._write("chat.update", fields, shown, limit_s))[0]

        return await self._bundles.change(place.receipt, news, edit, several=place.several)

    async def _write(self, method: str, fields: Json, message: PageMessage, limit_s: float) -> tuple[Outcome, str]:
        """Send or change a message; return what came of it, and Slack's error. Blocks that Slack does not take are left out."""
        shown = card(message)
        private = not str(fields["channel"]).startswith(("C", "G"))
        link = shown.open_url if private else message.incident.url
        whole = content(shown, message, link=link, answers=self._answers, private=private)
        outcome, code = _judged(await self._call(method, {**fields, **whole}, limit_s), several=names_several(message))
        if code in _BLOCKS_NOT_TAKEN:
            _log.error("slack_blocks_not_taken", page=message.page_id, error=code)
            words = words_only(shown, link=link)
            outcome, code = _judged(await self._call(method, {**fields, **words}, limit_s), several=names_several(message))
        return outcome, code

    async def _call(self, method: str, payload: Json, limit_s: float) -> HttpAnswer | Refused | Unreachable:
        assert self._account is not None, "there is no account to call with"
        return await self._post_as(self._account.token, method, payload, limit_s)

    async def _post_as(self, token: str, method: str, payload: Json, limit_s: float) -> HttpAnswer | Refused | Unreachable:
        assert self._account is not None, "there is no account to call with"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json; charset=utf-8"}
        url = f"{self._account.api_url.rstrip('/')}/{method}"
        return await self._sender.call("POST", url, body=json_bytes(payload), headers=headers, whole=True, limit_s=limit_s)

    async def _open_link(self) -> str:
        """Return the address of a new socket. Raises LinkRefused."""
        assert self._account is not None, "there is no account to listen with"
        answer = await self._post_as(self._account.app_token, "apps.connections.open", {}, self._total_limit_s)
        body = answer.json() if isinstance(answer, HttpAnswer) else None
        url = None if body is None else body.get("url")
        if isinstance(url, str) and url.startswith(("wss://", "ws://")):
            return url
        match _judged(answer, several=False)[0]:
            case Unreachable(reason, _, retry_after_s):
                raise LinkRefused(reason, retry_after_s or self._pause_s)
            case Refused(reason):
                raise LinkRefused(reason, min(LINK_REFUSED_PAUSE_S, 12 * self._pause_s))
            case Sent():
                raise LinkRefused("the answer holds no address", self._pause_s)


def _judged(answer: HttpAnswer | Refused | Unreachable, *, several: bool) -> tuple[Outcome, str]:
    """What an answer says about delivery, and Slack's own word for what went wrong, empty when it has none."""
    body = answer.json() if isinstance(answer, HttpAnswer) else None
    if not isinstance(answer, HttpAnswer) or (body is None and not answer.ok):
        return judged(answer), ""
    if body is None or not isinstance(body.get("ok"), bool):
        return Unreachable(f"{answer.where} answered {answer.status} without a result", ambiguous=True), ""
    if body["ok"]:
        channel, ts = body.get("channel"), body.get("ts")
        place = _Place(channel, ts, several) if isinstance(channel, str) and isinstance(ts, str) else None
        return Sent(None if place is None else place.receipt, confirms=False), ""
    error = body.get("error")
    code = error if isinstance(error, str) and _CODE.fullmatch(error) else "unknown_error"
    reason = f"{answer.where} answered {code}"
    if answer.status == 429 or code in _SLOW_DOWN:
        return Unreachable(reason, ambiguous=False, retry_after_s=answer.pause_s), code
    if answer.status >= 500 or code in _MAY_HAVE_HAPPENED:
        return Unreachable(reason, ambiguous=True, retry_after_s=answer.pause_s), code
    if code in _MAY_PASS:
        return Unreachable(reason, ambiguous=False, retry_after_s=answer.pause_s), code
    return Refused(reason), code


def _place_of(receipt: str) -> _Place | None:
    channel, _, ts = receipt.removesuffix("+").partition(":")
    return _Place(channel, ts, receipt.endswith("+")) if channel and ts else None
