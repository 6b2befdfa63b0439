"""The embedded server's life: started, killed, orphaned, refused, repaired, stopped. Real servers, real signals."""

import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as StoreAway
from redis.exceptions import ResponseError

from tests.faults.figures import Figures
from tocsin.runtime.clock import SystemClock
from tocsin.store.connection import connect
from tocsin.store.log_repair import LogDamaged, only_tail_is_damaged
from tocsin.store.server import EmbeddedServer, StartFailed
from tocsin.store.server_directory import DirectoryInUse
from tocsin.store.server_process import ServerProcess, start_token

ROOT = Path(__file__).resolve().parents[2]
INCR = "appendonlydir/appendonly.aof.1.incr.aof"
FIFTY_MB = 50 * 1024 * 1024
LIMIT_S = 20.0

LAUNCHER = """
    import asyncio, sys
    from pathlib import Path
    from tocsin.store.server import EmbeddedServer

    async def main() -> None:
        server = EmbeddedServer(Path(sys.argv[1]), ballast_bytes=0, dies_with_launcher=sys.argv[2] == "dies")
        await server.start()
        print(server.pid, flush=True)
        await server.wait()
        print("store died", flush=True)

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        sys.stdin.readline()
"""


def embedded(data_dir: Path, **options: object) -> EmbeddedServer:
    return EmbeddedServer(data_dir, ballast_bytes=0, maxmemory_bytes=FIFTY_MB, **options)  # type: ignore[arg-type]


@asynccontextmanager
async def serving(data_dir: Path, **options: object) -> AsyncIterator[EmbeddedServer]:
    server = embedded(data_dir, **options)
    async with asyncio.timeout(LIMIT_S):
        await server.start()
    try:
        yield server
    finally:
        async with asyncio.timeout(LIMIT_S):
            await server.stop()


async def write(server: EmbeddedServer, **values: str) -> None:
    client = connect(server.url, max_connections=1)
    try:
        for key, value in values.items():
            await client.set(key, value)
    finally:
        await client.aclose()


async def read(server: EmbeddedServer, key: str) -> str | None:
    client = connect(server.url, max_connections=1)
    try:
        value = await client.get(key)
    finally:
        await client.aclose()
    return value.decode() if isinstance(value, bytes) else value


async def kill(server: EmbeddedServer) -> int | None:
    os.kill(server.pid, signal.SIGKILL)
    async with asyncio.timeout(LIMIT_S):
        return await server.wait()


@asynccontextmanager
async def launcher(data_dir: Path, fate: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """Another process with a started server, in a process group of its own; yields it and the server's pid."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        textwrap.dedent(LAUNCHER),
        str(data_dir),
        fate,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    async with asyncio.timeout(LIMIT_S):
        lines = [await process.stdout.readline()]
        while not lines[-1].strip().isdigit():
            assert lines[-1], f"the launcher died: {lines}"
            lines.append(await process.stdout.readline())
    pid = int(lines[-1])
    orphan = ServerProcess.find(pid, start_token(pid) or "")
    try:
        yield process, pid
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
        if orphan is not None:
            orphan.terminate()
            async with asyncio.timeout(LIMIT_S):
                await orphan.gone()


async def test_a_started_server_answers_on_a_private_socket_and_no_port(data_dir: Path) -> None:
    async with serving(data_dir) as server:
        client = connect(server.url, max_connections=1)
        assert server.url.startswith("unix://")
        assert (await client.config_get("port"))["port"] == "0"
        assert (await client.config_get("appendfsync"))["appendfsync"] == "always"
        assert (await client.config_get("maxmemory-policy"))["maxmemory-policy"] == "noeviction"
        assert (data_dir / "store.sock").stat().st_mode & 0o777 == 0o700
        await client.aclose()


async def test_kill_9_of_the_server_keeps_every_answered_write(data_dir: Path) -> None:
    async with serving(data_dir) as server:
        client = connect(server.url, max_connections=8)
        answered: list[int] = []

        async def writer(first: int) -> None:
            for number in range(first, 1_000_000, 8):
                try:
                    await client.set(f"write:{number}", "1")
                except (StoreAway, ResponseError):
                    return
                answered.append(number)
                if len(answered) == 1_000:
                    os.kill(server.pid, signal.SIGKILL)

        async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as writers:
            for first in range(8):
                writers.create_task(writer(first))
        assert await server.wait() == -signal.SIGKILL
        await server.start()
        assert len(answered) >= 1_000
        assert await client.exists(*(f"write:{number}" for number in answered)) == len(answered)
        await client.aclose()


async def test_a_stopped_server_keeps_its_data_and_leaves_nothing_running(data_dir: Path) -> None:
    async with serving(data_dir) as server:
        await write(server, incident="open")
        pid = server.pid
    assert start_token(pid) is None
    async with serving(data_dir) as server:
        assert await read(server, "incident") == "open"


async def test_a_second_start_on_the_directory_is_refused_naming_the_holder(data_dir: Path) -> None:
    async with serving(data_dir) as server:
        await write(server, incident="open")
        with pytest.raises(DirectoryInUse, match=rf"pid {os.getpid()}\b"):
            await embedded(data_dir).start()
        assert await read(server, "incident") == "open"


async def test_a_server_ends_with_its_killed_launcher_and_the_next_start_replaces_it(data_dir: Path) -> None:
    async with launcher(data_dir, "dies") as (process, orphan_pid):
        process.kill()
        await process.wait()
        async with serving(data_dir) as server:
            assert server.pid != orphan_pid
            assert not server.adopted


async def test_a_server_that_outlived_its_launcher_is_adopted(data_dir: Path) -> None:
    async with launcher(data_dir, "stays") as (process, orphan_pid):
        process.kill()
        await process.wait()
        async with serving(data_dir) as server:
            assert (server.pid, server.adopted) == (orphan_pid, True)
            await write(server, incident="open")
            with pytest.raises(DirectoryInUse, match=rf"pid {os.getpid()}\b"):
                await embedded(data_dir).start()
        assert start_token(orphan_pid) is None
    async with serving(data_dir) as server:
        assert await read(server, "incident") == "open"


async def test_an_adopted_server_that_dies_is_noticed_and_replaced(data_dir: Path) -> None:
    async with launcher(data_dir, "stays") as (process, orphan_pid):
        process.kill()
        await process.wait()
        async with serving(data_dir) as server:
            assert await kill(server) is None
            await server.start()
            assert server.pid != orphan_pid


async def test_ctrl_c_does_not_reach_the_server(data_dir: Path) -> None:
    async with launcher(data_dir, "dies") as (process, pid):
        assert process.stdout is not None
        line = b""
        for _ in range(3):  # a person presses again when nothing comes of it: Python 3.11 may lose a cancellation
            os.killpg(process.pid, signal.SIGINT)
            with suppress(TimeoutError):
                async with asyncio.timeout(LIMIT_S):
                    line = await process.stdout.readline()
                    break
        assert line == b"interrupted\n"
        client = connect(f"unix://{data_dir}/store.sock", max_connections=1)
        assert (await client.info("server"))["process_id"] == pid
        await client.aclose()


@pytest.mark.parametrize("name", ["with space", 'with "quote" and \\', "日誌 ?#%20"])
async def test_a_directory_may_have_any_name(data_dir: Path, name: str) -> None:
    async with serving(data_dir / name) as server:
        await write(server, incident="open")
        assert (data_dir / name / INCR).exists()


async def test_a_path_too_long_for_a_socket_gets_a_private_short_one(data_dir: Path) -> None:
    deep = data_dir / ("d" * 120)
    async with serving(deep) as server:
        socket = Path(server.url.removeprefix("unix://"))
        assert socket.parent.stat().st_mode & 0o777 == 0o700
        await write(server, incident="open")
        assert await kill(server) == -signal.SIGKILL
        await server.start()
        assert server.url == f"unix://{socket}", "clients look for it where it was"
        assert await read(server, "incident") == "open"
        socket = Path(server.url.removeprefix("unix://"))
    assert not socket.parent.exists()


async def test_the_start_waits_while_the_log_loads(data_dir: Path) -> None:
    async with serving(data_dir) as server:
        await write(server, **{f"key{number}": "v" for number in range(400)})
    slow = {"key-load-delay": "2000", "loading-process-events-interval-bytes": "1024"}
    async with serving(data_dir, extra_settings=slow) as server:
        assert await read(server, "key399") == "v"


async def test_a_tail_of_nul_bytes_is_cut_and_copied(data_dir: Path, figure: Figures) -> None:
    async with serving(data_dir) as server:
        await write(server, incident="open")
    log = data_dir / INCR
    whole = log.read_bytes()
    log.write_bytes(whole + bytes(5_000))
    since_s = SystemClock().monotonic()
    async with serving(data_dir) as server:
        figure(5, "until it answers", SystemClock().monotonic() - since_s, "s", at_most=10.0)
        figure(
            5,
            "bytes of the tail that were cut and copied",
            (data_dir / "damaged" / f"{log.name}.1").stat().st_size - len(whole),
            at_least=5_000,
        )
        assert await read(server, "incident") == "open"
        assert log.read_bytes().startswith(whole)
        assert (data_dir / "damaged" / f"{log.name}.1").read_bytes() == whole + bytes(5_000)


@pytest.mark.parametrize("padding", [0, 4096])
async def test_a_transaction_cut_off_by_a_power_failure_is_dropped_whole(data_dir: Path, padding: int) -> None:
    async with serving(data_dir) as server:
        await write(server, incident="open")
        client = connect(server.url, max_connections=1)
        async with client.pipeline(transaction=True) as block:
            for key in ("first", "second"):
                block.set(key, "half")  # type: ignore[unused-awaitable] # queued
            await block.execute()
        await client.aclose()
    log = data_dir / INCR
    log.write_bytes(log.read_bytes()[:-7] + bytes(padding))
    async with serving(data_dir) as server:
        await write(server, later="kept")
    async with serving(data_dir) as server:
        assert [await read(server, key) for key in ("incident", "first", "later")] == ["open", None, "kept"]


async def test_damage_in_the_middle_of_the_log_is_left_to_a_person(data_dir: Path) -> None:
    async with serving(data_dir) as server:
        await write(server, first="1", second="2", third="3")
    log = data_dir / INCR
    damaged = bytearray(log.read_bytes())
    at = damaged.index(b"second")
    damaged[at - 4 : at] = bytes(4)
    log.write_bytes(damaged)
    with pytest.raises(LogDamaged, match="complete records follow"):
        await embedded(data_dir).start()
    assert log.read_bytes() == damaged


@pytest.mark.parametrize(
    ("rest", "tail"),
    [
        (bytes(100), True),
        (b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$10\r\n12", True),
        (b"*1\r\n$5\r\nMULTI\r\n*2\r\n$3\r\nDEL\r\n$1\r\na\r\n" + bytes(9), True),
        (b"*1\r\n$5\r\nMULTI\r\n\0\0*2\r\n$3\r\nDEL\r\n$1\r\na\r\n", False),
        (bytes(9) + b"*2\r\n$3\r\nDEL\r\n$1\r\na\r\n", False),
        (b"*1\r\n$5\r\nMULTI\r\n*1\r\n$4\r\nEXEC\r\n" + bytes(9), False),
    ],
)
def test_only_what_was_never_answered_counts_as_tail(rest: bytes, tail: bool) -> None:
    assert only_tail_is_damaged(rest) is tail


async def test_a_server_that_cannot_start_says_why_and_frees_the_directory(data_dir: Path) -> None:
    with pytest.raises(StartFailed, match="no-such-setting"):
        await embedded(data_dir, extra_settings={"no-such-setting": "1"}).start()
    async with serving(data_dir) as server:
        await write(server, incident="open")


async def test_a_cancelled_start_leaves_no_server_behind(data_dir: Path) -> None:
    async with serving(data_dir) as server:
        await write(server, **{f"key{number}": "v" for number in range(100)})
    slow = {"key-load-delay": "10000", "loading-process-events-interval-bytes": "1024"}
    cancelled = embedded(data_dir, extra_settings=slow)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await cancelled.start()
    async with asyncio.timeout(LIMIT_S):
        await cancelled.stop()
    async with serving(data_dir) as server:
        assert await read(server, "key99") == "v"


async def test_the_ballast_is_laid_once_the_server_runs(data_dir: Path) -> None:
    server = EmbeddedServer(data_dir, ballast_bytes=4096, maxmemory_bytes=FIFTY_MB)
    await server.start()
    assert (data_dir / "ballast").stat().st_size == 4096
    await server.stop()


async def test_a_one_node_cluster_serves_every_slot(data_dir: Path) -> None:
    async with serving(data_dir, cluster_enabled=True) as server:
        assert server.url.startswith("redis://127.0.0.1:")
        await write(server, **{"{s01}:incident": "open", "{s02}:incident": "open"})
        assert await kill(server) == -signal.SIGKILL
        await server.start()
        assert await read(server, "{s02}:incident") == "open"


async def test_debians_redis_server_serves_as_well(data_dir: Path, real_binary: Callable[[str], Path]) -> None:
    binary = real_binary("redis-server")
    async with serving(data_dir, binary=binary) as server:
        await write(server, incident="open")
    log = data_dir / INCR
    log.write_bytes(log.read_bytes() + bytes(4096))
    async with serving(data_dir, binary=binary) as server:
        assert await read(server, "incident") == "open"


async def test_a_rewrite_under_way_when_the_server_is_killed_only_delays_the_next_start(data_dir: Path) -> None:
    async with serving(data_dir) as server:
        client = connect(server.url, max_connections=1)
        await client.config_set("rdb-key-save-delay", "500")
        await client.mset({f"key{number}": "v" for number in range(1_000)})
        await client.bgrewriteaof()
        await client.aclose()
        assert await kill(server) == -signal.SIGKILL
        await server.start()
        assert await read(server, "key999") == "v"
