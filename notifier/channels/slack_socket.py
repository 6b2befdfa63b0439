"""Slack's Socket Mode: what people press comes over a socket that we open, so nothing of ours need be reachable.

The only file that knows slack-sdk, which keeps the socket up: pings, Slack's own requests to reconnect, reconnecting. Owns what it leaves
open: its addresses for sockets are asked for through our own sender (limits, no proxies of the environment), what it logs goes out without
its texts (they may hold a socket's secret address), and a client that does not come back by itself is replaced.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp
import structlog
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from notifier.channels.slack_answers import Acted, LinkRefused, NotActed, SlackAnswers

CONNECT_PAUSES_MAX: Final = 4
"""A client that is not connected after so many pauses is replaced."""
AWAY_CHECKS_MAX: Final = 6
"""A client found away so often in a row, looked at each `pause_s`, is replaced: it may be trying an address that is used up."""
CLOSE_LIMIT_S: Final = 2.0
ANSWER_LIMIT_S: Final = 2.0
WORKERS: Final = 4
"""Presses that are acted on at once."""

OpenLink = Callable[[], Awaitable[str]]

_log = structlog.get_logger(__name__)


class _Client(SocketModeClient):
    """slack-sdk's client, asking for its addresses over our sender."""

    def __init__(self, open_link: OpenLink, pause_s: float) -> None:
        super().__init__(app_token="", logger=_library_log(), ping_interval=pause_s)
        self.proxy = None  # slack-sdk takes those of the environment
        self.presses: asyncio.Queue[SocketModeRequest] = asyncio.Queue()
        self.socket_mode_request_listeners.append(self._keep)
        self._open_link = open_link

    async def _keep(self, _client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        self.presses.put_nowait(request)

    async def issue_new_wss_url(self) -> str:
        try:
            return await self._open_link()
        except LinkRefused as refused:
            _log.warning("slack_socket_refused", why=str(refused), pause_s=refused.pause_s)
            await asyncio.sleep(refused.pause_s)
            raise


async def listen_over_socket(answers: SlackAnswers, open_link: OpenLink, *, pause_s: float) -> None:
    """Keep a socket open and act on what is pressed, until cancelled. `pause_s` between pings, and after a failure."""
    while True:
        client = _Client(open_link, pause_s)
        try:
            client.wss_uri = await client.issue_new_wss_url()
            async with asyncio.timeout(CONNECT_PAUSES_MAX * pause_s):
                await client.connect()  # type: ignore[no-untyped-call]  # slack-sdk has no types here
            _log.info("slack_socket_opened")
            async with asyncio.TaskGroup() as group:
                workers = [group.create_task(_serve(client, answers)) for _ in range(WORKERS)]
                await _until_lost(client, pause_s)
                for worker in workers:
                    worker.cancel()
            _log.warning("slack_socket_lost")
        except LinkRefused:
            pass  # logged and waited out where it was asked for
        except TimeoutError:
            _log.warning("slack_socket_not_opened", limit_s=CONNECT_PAUSES_MAX * pause_s)
        finally:
            await _close(client)


async def _until_lost(client: SocketModeClient, pause_s: float) -> None:
    away = 0
    while away < AWAY_CHECKS_MAX:
        await asyncio.sleep(pause_s)
        away = 0 if await client.is_connected() else away + 1


async def _serve(client: _Client, answers: SlackAnswers) -> None:
    while True:
        request = await client.presses.get()
        acted = await answers.act(request.payload) if request.type == "interactive" else None
        if isinstance(acted, NotActed):
            continue
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                await client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            _log.warning("slack_press_not_answered", why=type(error).__name__)
        if isinstance(acted, Acted):
            await answers.show(acted)


async def _close(client: SocketModeClient) -> None:
    try:
        async with asyncio.timeout(CLOSE_LIMIT_S):
            await client.close()  # type: ignore[no-untyped-call]  # as above
    except (aiohttp.ClientError, OSError) as error:
        _log.info("slack_socket_not_closed", why=type(error).__name__)


class _Named(logging.Handler):
    """Tells where slack-sdk complains and of what kind of error, and nothing of its text."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        _log.warning("slack_socket_complained", place=record.funcName, kind=kind)


def _library_log() -> logging.Logger:
    logger = logging.Logger("slack_socket", logging.WARNING)  # noqa: LOG001  of this client alone, not of the process
    logger.addHandler(_Named())
    return logger
