"""The embedded store: one Valkey (or Redis) server on a data directory, started and watched by the supervisor.

Owns its life: exactly one server per directory (a second start is refused, a live orphan of a killed launcher is
adopted), its own session so that Ctrl-C does not reach it, SIGTERM from the kernel when the launcher dies, a wait as
long as loading takes, repair of a damaged tail, SIGTERM and wait at the end. Restarting after a death, with backoff, is
the supervisor's; whether any store is durable is `durability`'s; clients are made by `connection`.

Read `start` from the top: hold the directory, settle an earlier server, launch until it answers. The parts are
`server_directory` (files and locks), `server_process` (the process), `server_config` (settings), `log_repair`.
"""

from __future__ import annotations

import asyncio
import enum
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

import structlog
from redis.asyncio import Redis
from redis.exceptions import BusyLoadingError, RedisError, ResponseError

from tocsin.store.connection import connect
from tocsin.store.log_repair import repair_damaged_tail
from tocsin.store.server_config import DURABLE, find_binary, half_of_memory, render
from tocsin.store.server_directory import DirectoryInUse, ServerDirectory, ServerRecord
from tocsin.store.server_process import ServerProcess

BALLAST_BYTES: Final = 64 * 1024 * 1024
CLIENTS_MAX: Final = 1024
POLL_S: Final = 0.02
PROBE_TIMEOUT_S: Final = 1.0
PROGRESS_S: Final = 5.0
PROGRESS_POLLS: Final = round(PROGRESS_S / POLL_S)
DYING_GRACE_POLLS: Final = round(3.0 / POLL_S)
"""An orphan that was told to end is given this long before it is adopted after all."""
ORPHAN_POLLS_MAX: Final = round(30.0 / POLL_S)
"""After this many polls of an earlier server that neither answers nor ends, the start is refused."""
CLUSTER_POLLS_MAX: Final = round(30.0 / POLL_S)
CLUSTER_SLOTS: Final = 16384

log = structlog.get_logger(__name__)


class StartFailed(Exception):
    """The embedded server ended before it could serve."""


class NotStarted(Exception):
    """The embedded server has not been started."""


class _Answer(enum.Enum):
    READY = enum.auto()
    LOADING = enum.auto()
    NONE = enum.auto()


class EmbeddedServer:
    """The server on `data_dir`; `start`, then `url`, `wait` for its death (and `start` again), `stop`.

    Start it from the main thread: the kernel ends the server when the thread that started it ends. With
    `dies_with_launcher=False` (and always where there is no prctl) it outlives a killed launcher, and the next start
    adopts it. `cluster_enabled` is a one-node cluster on a loopback port, for tests.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        binary: Path | None = None,
        maxmemory_bytes: int | None = None,
        maxclients: int = CLIENTS_MAX,
        ballast_bytes: int = BALLAST_BYTES,
        cluster_enabled: bool = False,
        dies_with_launcher: bool = True,
        extra_settings: Mapping[str, str] | None = None,
    ) -> None:
        self._directory = ServerDirectory(Path(data_dir).absolute())
        self._binary = binary
        self._maxmemory_bytes = maxmemory_bytes
        self._maxclients = maxclients
        self._ballast_bytes = ballast_bytes
        self._cluster_enabled = cluster_enabled
        self._dies_with_launcher = dies_with_launcher
        self._extra_settings = dict(extra_settings or {})
        self._process: ServerProcess | None = None
        self._url = ""
        self._log_offset = 0

    @property
    def url(self) -> str:
        """Where clients connect, as redis-py writes it: unix:///path, or redis://127.0.0.1:port for a cluster."""
        self._running()
        return self._url

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._running().pid

    @property
    def adopted(self) -> bool:
        """Whether the server was found running, left by a launcher that had been killed."""
        return self._running().adopted

    async def start(self) -> None:
        """Return when the server answers, however long its log takes to load; also after its death.

        Raises DirectoryInUse (another launcher), LogDamaged (a person must decide), StartFailed, BinaryMissing. After a
        cancelled start call `stop`.
        """
        if self._process is not None and self._process.alive():
            raise StartFailed(f"the server with pid {self._process.pid} runs already: stop it first")
        self._process = None
        self._directory.hold()
        try:
            lock_fd = await self._settle_earlier_server()
            if lock_fd is not None:
                try:
                    await self._launch_until_ready(lock_fd)
                finally:
                    os.close(lock_fd)  # the server holds its own copy: the lock now lives as long as it does
            if self._cluster_enabled:
                await self._assign_slots()
        except BaseException:
            self._abandon()
            raise
        if not self._directory.lay_ballast(self._ballast_bytes) and self._ballast_bytes:
            log.warning("store_ballast_skipped", bytes=self._ballast_bytes, path=str(self._directory.path))

    async def stop(self) -> None:
        """SIGTERM, then wait until everything is on disk; never SIGKILL. Nothing happens when it is not running."""
        if self._process is None:
            return
        self._process.terminate()
        while self._process.alive():
            try:
                async with asyncio.timeout(PROGRESS_S):
                    await self._process.gone()
            except TimeoutError:
                log.warning("store_stop_awaited", pid=self._process.pid)
        log.info("store_stopped", pid=self._process.pid)
        self._process = None
        self._directory.forget_record()
        self._directory.release()

    async def wait(self) -> int | None:
        """Return when the server has died: its exit code (negative: a signal), or None when it had been adopted."""
        return await self._running().gone()

    def _abandon(self) -> None:
        """After a start that failed or was cancelled: end what we launched, leave what we found.

        A server that has not ended yet keeps the directory held; `stop` waits for it.
        """
        if self._process is not None and not self._process.adopted and self._process.alive():
            self._process.terminate()
        else:
            self._process = None
            self._directory.release()

    def _running(self) -> ServerProcess:
        if self._process is None:
            raise NotStarted(NotStarted.__doc__)
        return self._process

    async def _settle_earlier_server(self) -> int | None:
        """The lock a new server will inherit, or None after adopting the one that lives here.

        A rewrite child of a killed server holds the lock a little longer than its parent; it ends by itself.
        """
        polls = 0
        while True:
            lock_fd = self._directory.try_server_lock()
            if lock_fd is not None:
                return lock_fd
            record = self._directory.read_record()
            orphan = None if record is None else ServerProcess.find(record.pid, record.started)
            if record is not None and orphan is not None:
                grace = DYING_GRACE_POLLS if record.dies_with_launcher else 0
                answer = await _probe(record.url, orphan.pid) if polls >= grace else _Answer.NONE
                if answer is _Answer.READY:
                    self._process, self._url = orphan, record.url
                    log.warning("store_adopted", pid=orphan.pid, url=record.url)
                    return None
                if answer is _Answer.LOADING:
                    polls = 0  # loading has no limit; told to end, it ends only after that
            pid = "unknown" if orphan is None else orphan.pid
            if polls >= ORPHAN_POLLS_MAX:
                raise DirectoryInUse(f"an earlier server (pid {pid}) on {self._directory.path} neither answers nor ends")
            if polls % PROGRESS_POLLS == 0:
                log.info("store_earlier_server_awaited", pid=pid, path=str(self._directory.path))
            polls += 1
            await asyncio.sleep(POLL_S)

    async def _launch_until_ready(self, lock_fd: int) -> None:
        """Launch; after a refused start free space or repair the tail, each at most once, and launch again."""
        binary = (self._binary or find_binary()).absolute()  # a link stays a link: it looks at its name
        if self._directory.nearly_full():
            self._give_up_ballast()
        repaired = False
        while True:
            self._launch(binary, lock_fd)
            code = await self._ready_or_dead()
            if code is None:
                return
            said = self._directory.log_since(self._log_offset)
            if ("No space left on device" in said or self._directory.nearly_full()) and self._give_up_ballast():
                continue
            repair = None if repaired else await repair_damaged_tail(self._directory.path, binary)
            if repair is None:
                last_lines = "\n".join(said.strip().splitlines()[-5:])
                raise StartFailed(f"{binary.name} ended with code {code}; its log ends:\n{last_lines}")
            repaired = True
            log.error("store_log_tail_cut", file=str(repair.file), bytes=repair.bytes_cut, copy=str(repair.copy))

    def _give_up_ballast(self) -> bool:
        dropped = self._directory.drop_ballast()
        if dropped:
            log.critical("store_ballast_dropped", path=str(self._directory.path), reason="the disk is full")
        return dropped

    def _launch(self, binary: Path, lock_fd: int) -> None:
        listening, socket_dir = self._choose_address()
        settings = {
            **dict(DURABLE),
            "dir": str(self._directory.path),
            "maxmemory": str(self._maxmemory_bytes or half_of_memory()),
            "maxclients": str(self._maxclients),
            **listening,
            **self._extra_settings,
        }
        log_fd = self._directory.open_log()
        try:
            self._log_offset = os.fstat(log_fd).st_size
            self._process = ServerProcess.launch(
                binary,
                config=render(settings.items()),
                lock_fd=lock_fd,
                log_fd=log_fd,
                dies_with_launcher=self._dies_with_launcher,
            )
        finally:
            os.close(log_fd)
        self._directory.write_record(
            ServerRecord(
                pid=self._process.pid,
                started=self._process.started,
                url=self._url,
                socket_dir=None if socket_dir is None else str(socket_dir),
                dies_with_launcher=self._dies_with_launcher and self._process.tied_to_launcher,
            )
        )
        log.info("store_launched", pid=self._process.pid, binary=str(binary), url=self._url)

    def _choose_address(self) -> tuple[dict[str, str], Path | None]:
        """Set the URL; the settings that say where to listen, and the private socket directory if one was made."""
        if self._cluster_enabled:
            port, bus_port = _free_ports(2)
            self._url = f"redis://127.0.0.1:{port}"
            return {
                "bind": "127.0.0.1",
                "port": str(port),
                "cluster-enabled": "yes",
                "cluster-port": str(bus_port),
                "cluster-config-file": "nodes.conf",
            }, None
        path, socket_dir = self._directory.choose_socket()
        self._url = f"unix://{quote(os.fsencode(path))}"
        return {"port": "0", "unixsocket": str(path), "unixsocketperm": "700"}, socket_dir

    async def _ready_or_dead(self) -> int | None:
        """None when the server answers, else its exit code. Loading has no limit; progress is logged."""
        process = self._running()
        polls = 0
        while process.alive():
            answer = await _probe(self._url, process.pid)
            if answer is _Answer.READY:
                log.info("store_ready", pid=process.pid)
                return None
            polls += 1
            if polls % PROGRESS_POLLS == 0:
                log.info("store_start_awaited", pid=process.pid, answer=answer.name, **await _loading_progress(self._url))
            await asyncio.sleep(POLL_S)
        code = await process.gone()
        return -1 if code is None else code

    async def _assign_slots(self) -> None:
        client = connect(self._url, max_connections=1)
        try:
            if int((await _cluster(client, "INFO"))["cluster_slots_assigned"]) < CLUSTER_SLOTS:
                await _cluster(client, "ADDSLOTSRANGE", 0, CLUSTER_SLOTS - 1)
            for _ in range(CLUSTER_POLLS_MAX):  # a node that has just begun stays read-only for two seconds
                if (await _cluster(client, "INFO"))["cluster_state"] == "ok":
                    return
                await asyncio.sleep(POLL_S)
            raise StartFailed("the one-node cluster did not become ready")
        finally:
            await client.aclose()


async def _cluster(client: Redis, word: str, *arguments: int) -> dict[str, str]:
    answer = await client.execute_command(f"CLUSTER {word}", *arguments)  # type: ignore[no-untyped-call] # as shipped
    return answer if isinstance(answer, dict) else {}


async def _probe(url: str, pid: int) -> _Answer:
    """What the server answers, if it is this process that answers."""
    client = connect(url, max_connections=1, timeout_s=PROBE_TIMEOUT_S)
    try:
        try:
            await client.ping()
        except BusyLoadingError:
            return _Answer.LOADING
        except ResponseError:
            pass  # alive but out of sorts (MISCONF): durability says what is wrong
        return _Answer.READY if (await client.info("server"))["process_id"] == pid else _Answer.NONE
    except BusyLoadingError:
        return _Answer.LOADING
    except (RedisError, OSError, TimeoutError):
        return _Answer.NONE
    finally:
        await client.aclose()


async def _loading_progress(url: str) -> dict[str, object]:
    client = connect(url, max_connections=1, timeout_s=PROBE_TIMEOUT_S)
    try:
        info = await client.info("persistence")
    except (RedisError, OSError, TimeoutError):
        return {}
    finally:
        await client.aclose()
    return {name: info[name] for name in ("loading_loaded_perc", "loading_eta_seconds") if name in info}


def _free_ports(count: int) -> list[int]:
    """Loopback ports that are free now; all are held until the last is known."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [held.getsockname()[1] for held in sockets]
    finally:
        for held in sockets:
            held.close()
