"""`python -m ingest` as a process of its own: what it survives, how it stops, and that what it answered is on disk."""

import asyncio
import gzip
import io
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.faults.figures import Figures
from tests.ingest.conftest import LIMIT_S, WITH_KEYS, Ingesting, running_ingest, stored_alerts
from tocsin.store.connection import connect
from tocsin.store.server import EmbeddedServer
from tocsin.store.store import Store

ROOT = Path(__file__).resolve().parents[2]
MB = 1_000_000
KEY = {"Authorization": "Bearer key-of-seoul", "Content-Type": "application/json"}
EVENTS = "/webhook/events"


@dataclass(frozen=True)
class Process:
    """A running ingest process."""

    process: asyncio.subprocess.Process
    url: str
    client: aiohttp.ClientSession

    @property
    def resident_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1000

    async def post(self, body: bytes, **headers: str) -> int:
        async with self.client.post(f"{self.url}{EVENTS}", data=io.BytesIO(body), headers=KEY | headers) as answer:
            await answer.read()
            return answer.status

    async def until_ready(self) -> None:
        while True:
            try:
                async with self.client.get(f"{self.url}/-/ready") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                assert self.process.returncode is None, "it ended"
            await asyncio.sleep(0)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port: int = held.getsockname()[1]
        return port


@asynccontextmanager
async def ingest_process(server: EmbeddedServer, tmp_path: Path) -> AsyncIterator[Process]:
    (tmp_path / "rules.yaml").write_text(WITH_KEYS)
    address = f"127.0.0.1:{free_port()}"
    flags = {"storage.url": server.url, "config.file": str(tmp_path / "rules.yaml"), "ingest.listen-address": address}
    arguments = [word for flag, value in flags.items() for word in (f"--{flag}", value)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ingest", *arguments, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT), "TOCSIN_STORE_SHARDS": "4"}
    )
    try:
        async with asyncio.timeout(LIMIT_S), aiohttp.ClientSession() as client:
            running = Process(process, f"http://{address}", client)
            await running.until_ready()
            yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


CORPUS: tuple[tuple[bytes, dict[str, str], int], ...] = (
    (b"not JSON", {}, 400),
    (b'[{"labels": {"a": NaN}}]', {}, 400),
    (b"[" * MB, {}, 400),
    (b'{"labels":{"a":"b"},"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", {}, 400),
    (rb'[{"labels": {"a": "\udfff\ud800"}}]', {}, 200),
    (b'[{"labels": {"a": "\xff"}}]', {}, 200),
    (b'{"labels": {"a": 1}}', {}, 200),
    (b"\x1f\x8b\x08\x00 no gzip", {"Content-Encoding": "gzip"}, 400),
    (gzip.compress(b"[" + b" " * 200 * MB, 1), {"Content-Encoding": "gzip"}, 413),
    (gzip.compress(b'[{"labels": {"a": "b"}}]'), {"Content-Encoding": "gzip"}, 200),
    (b"x", {"Content-Encoding": "lzma"}, 415),
    (b'{"labels": {"a": "' + b"x" * 10 * MB + b'"}}', {}, 200),
    (json.dumps([7 if n == 250 else {"labels": {"n": str(n)}} for n in range(500)]).encode(), {}, 200),
    (b"[" + b"7," * 19_999 + b"7]", {}, 200),
    (b'{"labels": {"a": "b"}}', {"Authorization": "Bearer wrong"}, 401),
)


async def test_no_bad_input_ends_or_swells_the_process(server: EmbeddedServer, store: Store, tmp_path: Path, figure: Figures) -> None:
    async with ingest_process(server, tmp_path) as ingest:
        await ingest.post(b'{"labels": {"n": "first"}}')
        before = ingest.resident_mb
        for _ in range(3):
            for body, headers, expected in CORPUS:
                assert await ingest.post(body, **headers) == expected, body[:60]
            for at in store.at:
                await store.client.delete(at.intake)  # what the correlator would do
        assert await ingest.post(b'{"labels": {"n": "last"}}') == 200
        figure(44, "memory grown", ingest.resident_mb - before, "MB", at_most=70)


async def test_sigterm_ends_it_cleanly_after_answering(server: EmbeddedServer, store: Store, tmp_path: Path) -> None:
    async with ingest_process(server, tmp_path) as ingest:
        assert await ingest.post(b'{"labels": {"n": "1"}}') == 200
        ingest.process.send_signal(signal.SIGTERM)
        assert await ingest.process.wait() == 0
        assert [alert.integration for alert in await stored_alerts(store)] == ["seoul"]


async def test_every_alert_answered_before_the_store_was_killed_is_there_afterwards(data_dir: Path, tmp_path: Path) -> None:
    server = EmbeddedServer(data_dir, ballast_bytes=0, maxmemory_bytes=256 * MB)
    await server.start()
    store = Store(connect(server.url, max_connections=4), shards=4)
    answered: set[str] = set()
    refused: set[int] = set()
    enough = asyncio.Event()
    away = asyncio.Event()

    async def push(worker: int) -> None:
        for n in range(100_000):
            name = f"{worker}-{n}"
            answer = await site.post(EVENTS, {"labels": {"n": name}})
            if answer.status == 200:
                answered.add(name)
                if len(answered) >= 500:
                    enough.set()
            else:
                refused.add(answer.status)
                assert answer.headers["Retry-After"] == "1"
                if enough.is_set():
                    away.set()
                    return

    try:
        async with running_ingest(store, tmp_path / "rules.yaml") as site:
            async with asyncio.TaskGroup() as group:
                for worker in range(16):
                    group.create_task(push(worker))
                await enough.wait()
                os.kill(server.pid, signal.SIGKILL)
                await away.wait()
            assert refused == {503}
            assert site.role.not_ready() == "the store does not answer"
            await server.wait()
            await server.start()
            await site.until_ready()
            assert (await site.post(EVENTS, {"labels": {"n": "after"}})).status == 200
            stored = {alert.labels["n"] for alert in await site.stored()}
        assert answered | {"after"} <= stored
    finally:
        await store.close()
        await server.stop()


@pytest.mark.parametrize("body", [b'{"labels"', b""])
async def test_a_sender_that_stops_half_way_is_let_go(body: bytes, ingesting: Ingesting) -> None:
    async with ingesting(read_timeout_s=0.2) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(site.url.rpartition(":")[2]))
        writer.write(b"POST /webhook/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + body)
        answer = await reader.readuntil(b" s")
        assert answer.startswith(b"HTTP/1.1 503 "), answer
        assert b"Retry-After: 1" in answer
        assert b"0.2 s" in answer
        writer.close()
        assert await site.stored() == []
