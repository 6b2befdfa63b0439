"""Commands on the wire: the one place where the client's loosely typed answers come in, and where its errors become ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha1
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, OutOfMemoryError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

Argument = str | bytes | int
Command = Sequence[Argument]
# Answers are whatever the server sends for the command: the functions of store.py read them, nobody else sees them.
Answer = Any

AWAY = ("LOADING", "MISCONF", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS")
"""Error codes that mean "not now", not "never"."""


class StoreAway(Exception):
    """The store did not answer in time, refused the connection or is loading. Whether a write happened is unknown."""


class StoreFull(Exception):
    """The store refuses new data for lack of memory. Acknowledgements and the ladder go on."""


class Script:
    """A script of this package, known to the server by its SHA-1."""

    def __init__(self, name: str) -> None:
        self.text = files("tocsin.store").joinpath("scripts", f"{name}.lua").read_text(encoding="utf-8")
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class Wire:
    """Sends commands and scripts over one pool. Raises StoreAway and StoreFull; what means a fault of ours passes through."""

    def __init__(self, client: Redis) -> None:
        self.client = client

    async def call(self, *command: Argument) -> Answer:
        """Send one command."""
        with answering():
            return await self.client.execute_command(*_raw(command))  # type: ignore[no-untyped-call]

    async def call_many(self, commands: Sequence[Command]) -> list[Answer]:
        """Send commands in one write, each atomic by itself; the first error of any is raised after all have been answered."""
        pipe = self.client.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*_raw(command))
        with answering():
            return await pipe.execute()

    async def run(self, script: Script, names: Sequence[str], arguments: Sequence[Argument]) -> Answer:
        """Run a script by its hash; a server that does not know it (restart, flush) is given its text."""
        try:
            return await self.call("EVALSHA", script.sha, len(names), *names, *arguments)
        except NoScriptError:
            return await self.call("EVAL", script.text, len(names), *names, *arguments)


def _raw(command: Command) -> Command:
    """Name the command in bytes: the client then hands over the server's answer instead of a dictionary that would merge equal fields."""
    return (str(command[0]).encode(), *command[1:])


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
