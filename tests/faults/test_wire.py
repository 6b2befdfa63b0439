"""The connection to the store: answers in pieces, answers too many, calls cancelled, scripts forgotten (rows 17 to 20)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from redis.asyncio import Redis

from tests.e2e.product import CLOCK, pause
from tests.faults.figures import Figures
from tests.invariants import ask
from tests.services.world import World
from tocsin.policy.events import Acknowledged
from tocsin.policy.model import State
from tocsin.store.connection import connect
from tocsin.store.server import EmbeddedServer

FEW, CALLS = 1_000, 10_000
CLIENTS = 8
STALE_ROUNDS = 50
CANCELLED = 1_000
STOP_MAX_S = 10.0
TURNS = 24
ECHO = "#!lua\nreturn {KEYS[1], ARGV[1]}"


class Mangler:
    """A line to the store that hands answers on byte by byte, or puts an answer before them that nobody asked for."""

    def __init__(self, url: str) -> None:
        self._path = unquote(urlsplit(url).path)
        self._clients: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        finally:
            self._server.close()
            for client in self._clients:
                client.transport.abort()

    async def send_stale(self) -> None:
        """Every client that is connected gets an answer to nothing."""
        for client in self._clients:
            if not client.transport.is_closing():
                client.write(b"$5\r\nstale\r\n")
                await client.drain()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_unix_connection(self._path)
        self._clients.append(writer)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forward(reader, upstream))
                group.create_task(self._dribble(upstream_reader, writer))
        except* OSError:
            pass
        finally:
            upstream.close()
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            upstream.write(data)
            await upstream.drain()
        upstream.close()

    async def _dribble(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            for at in range(len(data)):
                client.write(data[at : at + 1])
                await asyncio.sleep(0)  # the loop sends this byte before the next


@pytest.fixture
async def store_url(data_dir: Path) -> AsyncIterator[str]:
    server = EmbeddedServer(data_dir, ballast_bytes=0)
    await server.start()
    yield server.url
    await server.stop()


async def _echo(client: Redis, word: str) -> bool:
    """Whether the answer is the right one."""
    answer: object = await client.eval(ECHO, 1, "key", word)
    return answer == [b"key", word.encode()]


@pytest.mark.parametrize("calls", [FEW, pytest.param(CALLS, marks=pytest.mark.faults_long)])
async def test_answers_that_come_byte_by_byte_are_the_right_ones(store_url: str, figure: Figures, calls: int) -> None:
    wrong = 0
    async with Mangler(store_url).running() as url:
        client = connect(url, max_connections=CLIENTS, timeout_s=30.0)

        async def call(first: int) -> int:
            return sum([not await _echo(client, f"word{number}") for number in range(first, calls, CLIENTS)])

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call(first)) for first in range(CLIENTS)]
        wrong = sum(task.result() for task in tasks)
        await client.aclose()
    figure(17, "calls", calls, at_least=FEW)
    figure(17, "wrong answers", wrong, at_most=0)


async def test_an_answer_that_nobody_asked_for_shifts_no_other(store_url: str, figure: Figures) -> None:
    mangler = Mangler(store_url)
    wrong = 0
    async with mangler.running() as url:
        client = connect(url, max_connections=4)
        for turn in range(STALE_ROUNDS):
            async with asyncio.TaskGroup() as group:
                answers = [group.create_task(_echo(client, f"{turn}-{number}")) for number in range(4)]
            wrong += sum(not answer.result() for answer in answers)
            await mangler.send_stale()
            await pause(0.01)  # until it lies in the idle connections
        wrong += not await _echo(client, "last")
        await client.aclose()
    figure(18, "answers that nobody asked for", STALE_ROUNDS * 4)
    figure(18, "wrong answers", wrong, at_most=0)


async def test_calls_cancelled_at_any_moment_leave_right_answers_and_no_connection_behind(store_url: str, figure: Figures) -> None:
    generator = random.Random(19)
    beside = connect(store_url, max_connections=1)
    client = connect(store_url, max_connections=CLIENTS)
    wrong = cancelled = 0

    async def cancelled_at_random(number: int) -> None:
        nonlocal wrong, cancelled
        async with asyncio.TaskGroup() as group:
            task = group.create_task(_echo(client, f"doomed{number}"))
            for _ in range(generator.randrange(25)):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        cancelled += task.cancelled()
        wrong += not task.cancelled() and not task.result()
        wrong += not await _echo(client, f"after{number}")

    async def worker(first: int) -> None:
        for number in range(first, CANCELLED, CLIENTS // 2):
            await cancelled_at_random(number)

    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(worker(first)) for first in range(CLIENTS // 2)]
    assert all(task.done() for task in workers)
    stopped_s = await _stop_endless_work(client)
    connected = (await beside.info("clients"))["connected_clients"]
    await client.aclose()
    await beside.aclose()
    figure(19, "calls cancelled", cancelled, at_least=CANCELLED // 10)
    figure(19, "wrong answers", wrong, at_most=0)
    figure(19, "connections beyond the pool's", max(0, connected - CLIENTS - 1), at_most=0)
    figure(19, "until endless work has stopped", stopped_s, "s", at_most=STOP_MAX_S)


async def _stop_endless_work(client: Redis) -> float:
    """How long it takes to stop tasks that never end by themselves."""

    async def endless() -> None:
        while True:
            await _echo(client, "on and on")

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(endless()) for _ in range(CLIENTS)]
        await pause(0.1)
        began = CLOCK.monotonic()
        for task in tasks:
            task.cancel()
    return CLOCK.monotonic() - began


async def test_scripts_that_are_forgotten_all_the_time_fail_no_call(world: World, figure: Figures) -> None:
    flushes = failed = 0
    correlator = await world.correlator()
    over = asyncio.Event()

    async def flush() -> None:
        nonlocal flushes
        while not over.is_set():
            await ask(world.console, "SCRIPT", "FLUSH")
            flushes += 1

    async with world.notifier() as notifier, asyncio.TaskGroup() as group:
        group.create_task(flush())
        try:
            for n in range(TURNS):
                await world.report(f"A{n % (TURNS // 2)}", node=str(n))
                await correlator.tick(world.clock.now_ms())
                await notifier.tick(world.clock.now_ms())
                if n % 5 == 0 and (alive := [i for i in await world.incidents() if i.state is State.OPEN]):
                    await world.act(alive[0].number, Acknowledged("kim"))
                world.clock.advance(1_000)
        finally:
            over.set()
        await world.settle(notifier)
    incidents = await world.incidents()
    failed += TURNS // 2 - len(incidents)
    told = {one["id"] for page in world.receiver.pages for one in page.body.get("incidents", [page.body["incident"]])}
    failed += sum(incident.id not in told and incident.state is State.OPEN for incident in incidents)
    figure(20, "times forgotten", flushes, at_least=TURNS)
    figure(20, "calls that failed or did nothing", failed, at_most=0)
