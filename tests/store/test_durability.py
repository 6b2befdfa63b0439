"""What the checks say of good and bad stores, the cure of the truncated-log fault, and how clients behave."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as StoreAway
from redis.exceptions import TimeoutError as StoreLate

from tocsin.store.connection import connect, connect_blocking
from tocsin.store.durability import Finding, check_durability, heal_truncated_log
from tocsin.store.server import EmbeddedServer

INCR = "appendonlydir/appendonly.aof.1.incr.aof"
LIMIT_S = 20.0


@asynccontextmanager
async def store(data_dir: Path, binary: Path | None = None) -> AsyncIterator[tuple[EmbeddedServer, Redis]]:
    server = EmbeddedServer(data_dir, binary=binary, ballast_bytes=0, maxmemory_bytes=50 * 1024 * 1024)
    async with asyncio.timeout(LIMIT_S):
        await server.start()
    client = connect(server.url, max_connections=4)
    try:
        yield server, client
    finally:
        await client.aclose()
        async with asyncio.timeout(LIMIT_S):
            await server.stop()


async def faults(client: Redis) -> dict[str, Finding]:
    return {finding.name: finding for finding in await check_durability(client) if not finding.ok}


async def test_the_embedded_store_has_no_fault(data_dir: Path) -> None:
    async with store(data_dir) as (_, client):
        assert await faults(client) == {}
        names = {finding.name for finding in await check_durability(client)}
        assert {"appendonly", "appendfsync", "maxmemory-policy", "aof_last_write_status", "version"} <= names


@pytest.mark.parametrize(
    ("setting", "value", "severity"),
    [
        ("appendonly", "no", "fatal"),
        ("appendfsync", "everysec", "fatal"),
        ("appendfsync", "no", "fatal"),
        ("maxmemory-policy", "allkeys-lru", "fatal"),
        ("maxmemory", "0", "warning"),
    ],
)
async def test_a_store_that_may_lose_writes_is_named(data_dir: Path, setting: str, value: str, severity: str) -> None:
    async with store(data_dir) as (_, client):
        await client.config_set(setting, value)
        found = await faults(client)
        assert list(found) == [setting]
        assert found[setting].severity == severity
        assert found[setting].consequence
        assert found[setting].remedy


async def test_a_store_that_hides_its_settings_is_a_warning(data_dir: Path) -> None:
    async with store(data_dir) as (server, client):
        await client.execute_command("ACL", "SETUSER", "managed", "on", ">secret", "~*", "+@all", "-config")  # type: ignore[no-untyped-call]
        managed = connect(f"{server.url}?username=managed&password=secret", max_connections=1)
        found = await faults(managed)
        await managed.aclose()
        assert {name: finding.severity for name, finding in found.items()} == {"appendfsync": "warning"}


async def test_a_sound_server_is_not_asked_to_rewrite_its_log(data_dir: Path) -> None:
    async with store(data_dir) as (_, client):
        assert await heal_truncated_log(client) is False
        assert (await client.info("persistence"))["aof_rewrites"] == 0


async def test_redis_keeps_writes_behind_a_cut_off_log(data_dir: Path, real_binary: Callable[[str], Path]) -> None:
    binary = real_binary("redis-server")
    async with store(data_dir, binary) as (_, client):
        await client.eval("#!lua\nredis.call('SET', KEYS[1], '1') redis.call('SET', KEYS[2], '2')", 2, "a", "b")
    log = data_dir / INCR
    log.write_bytes(log.read_bytes()[:-7])
    async with store(data_dir, binary) as (_, client):
        assert (await faults(client))["truncated-log"].severity == "warning"
        assert await heal_truncated_log(client) is True
        await client.set("later", "kept")
    async with store(data_dir, binary) as (_, client):
        assert await client.get("later") == b"kept"


async def test_the_log_is_rewritten_once_per_server_run(data_dir: Path, real_binary: Callable[[str], Path]) -> None:
    async with store(data_dir, real_binary("redis-server")) as (server, client):
        async with asyncio.TaskGroup() as roles:  # four processes connect at once
            for _ in range(4):
                roles.create_task(heal_truncated_log(client))
        assert (await client.info("persistence"))["aof_rewrites"] == 1
        await heal_truncated_log(client)
        assert (await client.info("persistence"))["aof_rewrites"] == 1
        os.kill(server.pid, signal.SIGKILL)
        await server.wait()
        await server.start()
        await heal_truncated_log(client)
        assert (await client.info("persistence"))["aof_rewrites"] == 1


async def test_a_late_answer_is_an_error_and_the_command_is_not_repeated(data_dir: Path) -> None:
    async with store(data_dir) as (server, client):
        hasty = connect(server.url, max_connections=1, timeout_s=0.2)
        await hasty.ping()
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(StoreLate):
                await hasty.xadd("stream", {"field": "value"})
        finally:
            os.kill(server.pid, signal.SIGCONT)
        await client.ping()
        assert await client.xlen("stream") <= 1
        await hasty.aclose()


async def test_a_pool_in_use_makes_the_next_caller_wait_and_then_fail(data_dir: Path) -> None:
    async with store(data_dir) as (server, _):
        narrow = connect(server.url, max_connections=1)
        async with narrow.pipeline() as held:
            await held.watch("key")
            with pytest.raises(StoreAway):
                await narrow.ping()
        assert await narrow.ping()
        await narrow.aclose()


async def test_a_blocking_read_may_outlast_the_command_limit(data_dir: Path) -> None:
    async with store(data_dir) as (server, client):
        reader = connect_blocking(server.url, max_connections=1)
        async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as tasks:

            async def wait_for_entry() -> None:
                assert await reader.xread({"stream": "$"}, block=10_000)

            tasks.create_task(wait_for_entry())
            while not (await client.info("clients"))["blocked_clients"]:
                pass
            await client.xadd("stream", {"field": "value"})
        await reader.aclose()


@pytest.mark.parametrize("url", ["valkey://127.0.0.1", "127.0.0.1:6379", ""])
def test_a_url_the_client_does_not_know_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="redis://"):
        _ = connect(url, max_connections=1)
