"""Commands on the wire: the one place where the client's loosely typed answers come in, and where its errors become ours."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha1
from importlib.resources import files
from typing import Any

from hiredis import pack_command
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, OutOfMemoryError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

Argument = str | bytes | int
Command = Sequence[Argument]
# Answers are whatever the server sends for the command: the functions of store.py read them, nobody else sees them.
Answer = Any

AWAY = ("BUSY", "LOADING", "MISCONF", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS")
"""Error codes that mean "not now", not "never"."""


EXCHANGE_LIMIT_S = 2.0
POOL_WAIT_S = 1.0


class StoreAway(Exception):
    """The store did not answer in time, refused the connection or is loading. Whether a write happened is unknown."""


class StoreFull(Exception):
    """The store refuses new data for lack of memory. Acknowledgements and the ladder go on."""


class Script:
    """A script of this package, known to the server by its SHA-1."""

    def __init__(self, name: str) -> None:
        self.text = files("tocsin.store").joinpath("scripts", f"{name}.lua").read_text(encoding="utf-8")
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()


Call = tuple[Script, Sequence[str], Sequence[Argument]]
"""A script with its KEYS and ARGV."""


class Wire:
    """Sends commands and scripts over one pool. Raises StoreAway and StoreFull; what means a fault of ours passes through.

    Commands are packed by hiredis and a list of them goes out in one write: the client's own packing in Python cost half of the CPU of a
    storm. The time limit holds for a whole exchange, which is why the connections have none for a single read.
    """

    def __init__(self, client: Redis) -> None:
        self.client = client
        settings = dict(client.connection_pool.connection_kwargs)
        self._limit_s: float = settings.pop("socket_timeout", None) or EXCHANGE_LIMIT_S
        self._pool = BlockingConnectionPool(
            max_connections=client.connection_pool.max_connections,
            timeout=POOL_WAIT_S,
            connection_class=client.connection_pool.connection_class,
            socket_timeout=None,
            **settings,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.disconnect()
        await self.client.aclose()

    async def call(self, *command: Argument) -> Answer:
        """Send one command."""
        [answer] = await self.call_many([command])
        return answer

    async def call_many(self, commands: Sequence[Command]) -> list[Answer]:
        """Send commands in one write, each atomic by itself; the first error of any is raised after all have been answered."""
        if not commands:
            return []
        packed = b"".join([pack_command(command) for command in commands])  # type: ignore[arg-type]
        with answering():
            async with asyncio.timeout(self._limit_s):
                answers = await self._exchange(packed, len(commands))
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
        return answers

    async def _exchange(self, packed: bytes, count: int) -> list[Answer]:
        """Write, then read as many answers. A connection whose exchange did not end is closed: its next reader would get our answers."""
        connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.send_packed_command(packed, check_health=False)
            answers: list[Answer] = []
            for _ in range(count):
                try:
                    answers.append(await connection.read_response(timeout=math.inf))
                except ResponseError as error:
                    answers.append(error)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            await self._pool.release(connection)
        return answers

    async def run(self, script: Script, names: Sequence[str], arguments: Sequence[Argument]) -> Answer:
        """Run a script by its hash; a server that does not know it (restart, flush) is given its text."""
        [answer] = await self.run_behind([], [(script, names, arguments)])
        return answer

    async def run_behind(self, commands: Sequence[Command], calls: Sequence[Call]) -> list[Answer]:
        """Send commands and behind them scripts, all in one write; return the scripts' answers.

        When the server does not know a script, the scripts (and they alone) are sent again with their text.
        """
        by_hash: list[Command] = [("EVALSHA", script.sha, len(names), *names, *arguments) for script, names, arguments in calls]
        try:
            answers = await self.call_many([*commands, *by_hash])
        except NoScriptError:
            answers = await self.call_many([("EVAL", script.text, len(names), *names, *arguments) for script, names, arguments in calls])
        return answers[-len(calls) :]


@contextmanager
def answering() -> Iterator[None]:
    """Turn the client's errors into StoreAway and StoreFull."""
    try:
        yield
    except OutOfMemoryError as error:
        raise StoreFull(str(error)) from error
    except (RedisConnectionError, RedisTimeoutError, TimeoutError, OSError) as error:
        raise StoreAway(f"{type(error).__name__}: {error}") from error
    except ResponseError as error:
        if str(error).startswith(AWAY):
            raise StoreAway(str(error)) from error
        raise
    except RedisError as error:
        raise StoreAway(f"{type(error).__name__}: {error}") from error
