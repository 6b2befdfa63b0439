"""Clients of the store with the settings that were measured to be safe.

Owns how a connection behaves: RESP2 (with RESP3 the pool no longer notices unread replies and every later answer is
shifted by one), no retry inside the client (it would repeat an XADD whose answer was late), time limits, and a pool
that waits a second for a free connection instead of failing at once. What to repeat, and until when, the callers
decide. hiredis parses when it is installed.

Give the intake and the acknowledgements a client each, so that a storm cannot use up the other's connections.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

CONNECT_TIMEOUT_S: Final = 2.0
POOL_WAIT_S: Final = 1.0
SCHEMES: Final = ("redis", "rediss", "unix")


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
    if scheme not in SCHEMES:
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
    return Redis.from_pool(pool)
