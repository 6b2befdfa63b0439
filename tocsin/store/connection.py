"""Clients of the store with the settings that were measured to be safe.

Owns how a connection behaves: RESP2 (with RESP3 the pool no longer notices unread replies and every later answer is
shifted by one), no retry inside the client (it would repeat an XADD whose answer was late), time limits, and a pool
that waits a second for a free connection instead of failing at once. What to repeat, and until when, the callers
decide. hiredis parses when it is installed. A cancelled command ends as cancelled, also on Python 3.11.

Give the intake and the acknowledgements a client each, so that a storm cannot use up the other's connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

CONNECT_TIMEOUT_S: Final = 2.0
POOL_WAIT_S: Final = 1.0


class _Cancellable(AbstractConnection):
    """redis-py sends with `asyncio.wait_for`, which before Python 3.12 loses a cancellation that arrives just as the command is written:
    the loop that was to end goes on for ever (https://github.com/python/cpython/issues/86296).
    """

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        task = asyncio.current_task()
        asked_before = 0 if task is None else task.cancelling()
        await super().send_packed_command(command, check_health)
        if task is not None and task.cancelling() > asked_before:
            await self.disconnect(nowait=True)  # nobody will read the answer
            raise asyncio.CancelledError


class _Tcp(_Cancellable, Connection):
    pass


class _Tls(_Cancellable, SSLConnection):
    pass


class _Unix(_Cancellable, UnixDomainSocketConnection):
    pass


CANCELLABLE: Final[dict[str, type[AbstractConnection]]] = {"redis": _Tcp, "rediss": _Tls, "unix": _Unix}


def connect(url: str, *, max_connections: int, timeout_s: float = 2.0) -> Redis:
    """A client for commands; each fails after `timeout_s`. Connects at the first command. `await client.aclose()`.

    Raises ValueError for a URL that is not redis://, rediss:// or unix://.
    """
    return _client(url, max_connections=max_connections, timeout_s=timeout_s)


def connect_blocking(url: str, *, max_connections: int) -> Redis:
    """A client for blocking reads and subscriptions: a command may take for ever, so the caller sets the limit."""
    return _client(url, max_connections=max_connections, timeout_s=None)


def _client(url: str, *, max_connections: int, timeout_s: float | None) -> Redis:
    scheme = urlsplit(url).scheme
    if scheme not in CANCELLABLE:
        raise ValueError(f"store URL must begin with redis://, rediss:// or unix://, not {scheme or 'nothing'}://")
    settings: dict[str, Any] = {
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": timeout_s,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
    }
    if scheme != "unix":
        settings["socket_keepalive"] = True  # a blocking read on a dead link must end some day
    pool = BlockingConnectionPool.from_url(url, max_connections=max_connections, timeout=POOL_WAIT_S, **settings)
    pool.connection_class = CANCELLABLE[scheme]
    return Redis.from_pool(pool)
