"""The seam to the store: every call of a simulated process goes through here, and here it is delayed, lost, doubled or the end of it.

`ServerLine` is the real server, asked with a blocking exchange: an effect happens at one instant and all effects have one order. `Seam` is
what the network does to one process: it draws from the seed when a request arrives, whether its answer comes back, and whether the process
lives on. `seam_client` gives a `Store` a client whose connections are seams; the store's own code above it runs as it is shipped.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote, urlsplit

import hiredis
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, OutOfMemoryError, ResponseError

from tests.simulation.system_timeline import NOBODY, Timeline
from tocsin.store import keys
from tocsin.store.bell import Message, read_message
from tocsin.store.wire import Answer, Script

CONNECTIONS_MAX = 32
SCRIPTS = ("append", "begin", "change_roster", "claim", "commit", "publish_rules", "ring", "take_over")
RINGING = frozenset({"append", "commit", "change_roster", "publish_rules", "ring", "PUBLISH"})
WRITING = frozenset({*RINGING, "begin", "take_over", "XADD"})


@dataclass(frozen=True, slots=True)
class Request:
    """One command of an exchange: a script by its name, its KEYS and ARGV, or a plain command."""

    name: str
    names: list[bytes]
    arguments: list[bytes]


@dataclass(slots=True)
class Weather:
    """How often what goes wrong, as probabilities of one call that matters; what only looks suffers a twentieth of it."""

    fail_before: float = 0.0
    fail_after: float = 0.0
    late: float = 0.0
    kill_before: float = 0.0
    kill_after: float = 0.0
    bell_lost: float = 0.0
    store_away: bool = False


class ServerLine:
    """The server behind a Unix socket, one exchange at a time, and its bell."""

    def __init__(self, url: str) -> None:
        self._scripts = {Script(name).sha.encode(): name for name in SCRIPTS}
        self._line, self._reader = _open(url), _reader()
        self._bell, self._bell_reader = _open(url), _reader()
        self.call(b"FLUSHALL")
        for name in SCRIPTS:
            self.call(b"SCRIPT", b"LOAD", Script(name).text.encode())
        self._bell.sendall(_packed(b"SUBSCRIBE", keys.CHANGES.encode(), keys.INTAKE_BELL.encode()))
        self._heard(until=b"subscribe", times=2)

    def close(self) -> None:
        self._line.close()
        self._bell.close()

    def call(self, *command: bytes) -> Answer:
        """Ask past everything that is simulated."""
        return self.call_many([command])[0]

    def call_many(self, commands: Sequence[tuple[bytes, ...]]) -> list[Answer]:
        """Ask several questions in one exchange."""
        answers = self.exchange(b"".join(_packed(*command) for command in commands), len(commands))
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def exchange(self, packed: bytes, count: int) -> list[Answer]:
        self._line.sendall(packed)
        return [_next(self._line, self._reader) for _ in range(count)]

    def requests(self, packed: bytes) -> list[Request]:
        """Read what a process has written."""
        reader = hiredis.Reader()
        reader.feed(packed)
        found: list[Request] = []
        while (command := reader.gets()) is not False:
            name = command[0]
            if name == b"EVALSHA":
                count = int(command[2])
                found.append(Request(self._scripts[command[1]], command[3 : 3 + count], command[3 + count :]))
            else:
                found.append(Request(name.decode(), command[1:2], command[2:]))
        return found

    def messages(self) -> list[Message]:
        """Return what the bell has said since: a ping on its connection comes back behind it."""
        self._bell.sendall(_packed(b"PING"))
        return [read_message(channel, data) for _, channel, data in self._heard(until=b"pong", times=1)]

    def _heard(self, *, until: bytes, times: int) -> list[list[bytes]]:
        found: list[list[bytes]] = []
        while times:
            answer = _next(self._bell, self._bell_reader)
            if answer[0] == until:
                times -= 1
            else:
                found.append(answer)
        return found


def _packed(*command: bytes) -> bytes:
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]
    return packed


def _open(url: str) -> socket.socket:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(30.0)
    line.connect(unquote(urlsplit(url).path))
    return line


def _reader() -> hiredis.Reader:
    return hiredis.Reader(replyError=_fault)


def _next(line: socket.socket, reader: hiredis.Reader) -> Answer:
    while (answer := reader.gets()) is False:
        data = line.recv(1 << 16)
        assert data, "the server of the simulation is gone"
        reader.feed(data)
    return answer


def _fault(text: str) -> Exception:
    if text.startswith("NOSCRIPT"):
        return NoScriptError(text)
    return OutOfMemoryError(text) if text.startswith("OOM") else ResponseError(text)


class Living(Protocol):
    """What a seam must know of its process."""

    name: str
    dead: bool

    def die(self) -> None:
        """Be killed."""


@dataclass(slots=True)
class Network:
    """What all seams share. `saw` is told of every effect in its order, `rings` of every message of the bell."""

    timeline: Timeline
    server: ServerLine
    weather: Weather
    generator: random.Random
    saw: Callable[[Living, Sequence[Request], Sequence[Answer]], None]
    rings: Callable[[Message], None]
    faults: Counter[str] = field(default_factory=Counter)
    effects: int = 0


class Seam:
    """The network of one process."""

    def __init__(self, network: Network, process: Living) -> None:
        self._network = network
        self._process = process

    def send(self, packed: bytes) -> asyncio.Future[list[Answer]]:
        """Put a request on its way; the future is what comes back."""
        network = self._network
        requests = network.server.requests(packed)
        answer: asyncio.Future[list[Answer]] = network.timeline.create_future()
        there, back, fault = self._draw(any(request.name in WRITING for request in requests))
        network.timeline.call_later(there, self._arrive, packed, requests, answer, back, fault, context=NOBODY)
        return answer

    def _draw(self, matters: bool) -> tuple[float, float, str]:
        """Return how long the request and its answer take, and what goes wrong."""
        network, draw = self._network, self._network.generator.random
        weather, weight = network.weather, 1.0 if matters else 0.05
        there, back = 0.0001 + 0.003 * draw() ** 3, 0.0001 + 0.002 * draw() ** 3
        luck = draw() / weight
        fault = ""
        for name in ("fail_before", "fail_after", "late", "kill_before", "kill_after"):
            chance: float = getattr(weather, name)
            if 0 <= luck < chance:
                fault = name
            luck -= chance
        if fault == "late":
            there = 0.05 + 3.5 * draw()  # beyond two seconds the process has given up, and the request is applied all the same
        return there, back, fault

    def _arrive(self, packed: bytes, requests: list[Request], answer: asyncio.Future[list[Answer]], back: float, fault: str) -> None:
        network, process = self._network, self._process
        if process.dead:
            return
        if network.weather.store_away:
            fault = "fail_before"
        if fault:
            network.faults[fault] += 1
        if fault in ("fail_before", "kill_before"):
            self._end(answer, fault)
            return
        answers = network.server.exchange(packed, len(requests))
        network.effects += 1
        network.saw(process, requests, answers)
        if any(request.name in RINGING for request in requests):
            for message in network.server.messages():
                network.rings(message)
        if fault in ("fail_after", "kill_after"):
            self._end(answer, fault)
        else:
            network.timeline.call_later(back, _give, answer, answers, context=NOBODY)

    def _end(self, answer: asyncio.Future[list[Answer]], fault: str) -> None:
        if fault.startswith("kill"):
            self._process.die()
        elif not answer.done():
            answer.set_exception(RedisConnectionError(f"simulated: {fault}"))
            answer.exception()  # seen, also when nobody waits for it any more

    @property
    def dead(self) -> bool:
        return self._process.dead


def _give(answer: asyncio.Future[list[Answer]], answers: list[Answer]) -> None:
    if not answer.done():
        answer.set_result(answers)


class SeamConnection:
    """A connection as the store's pool wants it, whose other end is a seam."""

    def __init__(self, *, seam: Seam, **_settings: object) -> None:
        self._seam = seam
        self._call: asyncio.Future[list[Answer]] | None = None
        self._answers: deque[Answer] = deque()

    async def connect(self) -> None:
        if self._seam.dead:
            raise RedisConnectionError("killed")

    async def can_read(self) -> bool:
        return False

    def should_reconnect(self) -> bool:
        return False

    async def re_auth(self) -> None:
        return

    async def disconnect(self, nowait: bool = False) -> None:
        if self._call is not None and not self._call.done():
            self._call.cancel()
        self._call = None
        self._answers.clear()

    async def send_packed_command(self, packed: bytes, check_health: bool = True) -> None:
        self._call = self._seam.send(packed)

    async def read_response(self, timeout: float = 0.0) -> Answer:  # noqa: ASYNC109  as the pool calls it
        if not self._answers:
            assert self._call is not None
            self._answers.extend(await self._call)
        answer = self._answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer


def seam_client(network: Network, process: Living) -> Redis:
    """Return a client for `Store` whose every call goes through the seam of a process."""
    pool = BlockingConnectionPool(
        connection_class=SeamConnection,  # type: ignore[arg-type]
        max_connections=CONNECTIONS_MAX,
        seam=Seam(network, process),
    )
    return Redis.from_pool(pool)
