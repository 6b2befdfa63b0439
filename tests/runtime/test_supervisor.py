"""The supervisor over real processes: small children that report over a socket, the real embedded store, real signals."""

import asyncio
import json
import os
import signal
import stat
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tocsin.runtime.commands.serve import admin_token, split_arguments
from tocsin.runtime.supervisor import Backoff

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 30.0

# Says what happens to it on one connection; `stubborn` ignores SIGTERM, `brief` ends at once.
CHILD = textwrap.dedent("""
    import os, signal, socket, sys

    name, port, store = sys.argv[1:4]
    post = socket.create_connection(("127.0.0.1", int(port)))

    def say(what):
        post.sendall(f"{what}\\n".encode())

    def term(*_):
        say("term")
        if store:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(store)
                client.sendall(b"PING\\r\\n")
                say("store " + client.recv(7).decode().strip())
        if name != "stubborn":
            os._exit(0)

    signal.signal(signal.SIGTERM, term)
    signal.signal(signal.SIGINT, lambda *_: say("int"))
    signal.signal(signal.SIGHUP, lambda *_: say("hup"))
    say(f"{name} {os.getpid()}")
    while name != "brief":
        signal.pause()
""")

SUPERVISOR = textwrap.dedent("""
    import asyncio, json, os, sys
    from pathlib import Path
    from tocsin.runtime.clock import SystemClock
    from tocsin.runtime.commands.embedded import EmbeddedStore
    from tocsin.runtime.log import configure_logging, get_logger
    from tocsin.runtime.supervisor import Backoff, Child, Supervisor

    names, port, directory, child = sys.argv[1:5]
    store = EmbeddedStore(Path(directory)) if directory else None
    socket = f"{directory}/store.sock" if directory else ""

    async def children():
        commands = {name: (sys.executable, "-c", child, name, port, socket) for name in names.split(",")}
        if "absent" in commands:
            commands["absent"] = ("/nowhere/absent",)
        return [Child(name, command, os.environ) for name, command in commands.items()]

    async def main():
        configure_logging(fmt="json")
        backoff = Backoff(first_s=0.01, max_s=0.04)
        return await Supervisor(
            children, store=store, monotonic=SystemClock().monotonic, log=get_logger(), backoff=backoff, stop_limit_s=1.0
        ).run()

    raise SystemExit(asyncio.run(main()))
""")


@dataclass
class Post:
    """Where children report to."""

    port: int = 0
    said: asyncio.Queue[tuple[str, int, str]] = field(default_factory=asyncio.Queue)
    lines: int = 0
    quiet: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.quiet.set()

    async def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lines += 1
        self.quiet.clear()
        try:
            name, pid = (await reader.readline()).decode().split()
            self.said.put_nowait((name, int(pid), "up"))
            while line := await reader.readline():
                self.said.put_nowait((name, int(pid), line.decode().strip()))
            self.said.put_nowait((name, int(pid), "gone"))
        finally:
            writer.close()
            self.lines -= 1
            if not self.lines:
                self.quiet.set()

    async def heard(self, count: int) -> list[tuple[str, int, str]]:
        async with asyncio.timeout(LIMIT_S):
            return [await self.said.get() for _ in range(count)]


@dataclass
class Supervised:
    """A supervisor in a process of its own."""

    process: asyncio.subprocess.Process
    post: Post

    async def up(self, count: int) -> dict[str, int]:
        """The pids of the first children, by name."""
        return {name: pid for name, pid, what in await self.post.heard(count) if what == "up"}

    async def logged(self, event: str) -> dict[str, object]:
        """The next event of this name in the log."""
        assert self.process.stderr is not None
        async with asyncio.timeout(LIMIT_S):
            while line := await self.process.stderr.readline():
                found = json.loads(line) if line.startswith(b"{") else {}  # a child may write there too
                if found.get("event") == event:
                    return dict(found)
        raise AssertionError(f"the supervisor ended without saying {event}")

    async def ended(self) -> int:
        async with asyncio.timeout(LIMIT_S):
            await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def supervised(names: str, directory: Path | None = None) -> AsyncIterator[Supervised]:
    post = Post()
    server = await asyncio.start_server(post.receive, "127.0.0.1", 0)
    post.port = server.sockets[0].getsockname()[1]
    arguments = [names, str(post.port), "" if directory is None else str(directory), CHILD]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SUPERVISOR, *arguments, cwd=ROOT, stderr=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        yield Supervised(process, post)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.communicate()
        server.close()
        async with asyncio.timeout(LIMIT_S):
            await post.quiet.wait()


async def test_a_role_that_is_killed_comes_back_while_the_others_go_on() -> None:
    async with supervised("a,b") as it:
        pids = await it.up(2)
        os.kill(pids["a"], signal.SIGKILL)
        gone, back = await it.post.heard(2)
        assert gone == ("a", pids["a"], "gone")
        assert back[0] == "a"
        assert back[1] != pids["a"]
        assert it.post.said.empty()


async def test_a_role_that_cannot_even_be_started_does_not_keep_the_others_from_running() -> None:
    async with supervised("a,absent") as it:
        assert (await it.logged("role_died"))["role"] == "absent"
        assert "a" in await it.up(1)


async def test_a_role_that_dies_at_once_is_started_ever_more_slowly() -> None:
    async with supervised("brief") as it:
        pauses = [(await it.logged("role_died"))["again_in_s"] for _ in range(4)]
        assert pauses == [0.01, 0.02, 0.04, 0.04]


@pytest.mark.parametrize(
    ("last_s", "lived_s", "pause_s"), [(None, 0.0, 0.1), (0.1, 0.0, 0.2), (6.4, 59.0, 10.0), (10.0, 59.0, 10.0), (10.0, 60.0, 0.1)]
)
def test_the_pause_doubles_up_to_ten_seconds_and_is_forgotten_after_a_minute_of_life(
    last_s: float | None, lived_s: float, pause_s: float
) -> None:
    assert Backoff().after(last_s, lived_s) == pause_s


async def test_sigterm_ends_the_roles_first_and_the_store_last(data_dir: Path) -> None:
    async with supervised("a,b", data_dir) as it:
        await it.up(2)
        it.process.terminate()
        said = {(name, what) for name, _, what in await it.post.heard(6)}
        assert said == {(name, what) for name in ("a", "b") for what in ("term", "store +PONG", "gone")}
        assert await it.ended() == 0
        assert not (data_dir / "server.json").exists(), "the store was not stopped"


async def test_ctrl_c_reaches_only_the_supervisor_and_a_second_one_does_not_hurt_the_store(data_dir: Path) -> None:
    async with supervised("a", data_dir) as it:
        await it.up(1)
        os.killpg(it.process.pid, signal.SIGINT)
        os.killpg(it.process.pid, signal.SIGINT)
        assert [what for _, _, what in await it.post.heard(3)] == ["term", "store +PONG", "gone"]
        assert await it.ended() == 0
        assert not (data_dir / "server.json").exists(), "the store was not stopped"


async def test_a_role_that_does_not_end_is_ended_by_force_and_the_exit_code_says_so() -> None:
    async with supervised("stubborn") as it:
        await it.up(1)
        it.process.terminate()
        assert [what for _, _, what in await it.post.heard(2)] == ["term", "gone"]
        assert await it.ended() == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux ends the children")
async def test_roles_and_store_end_with_a_supervisor_that_is_killed(data_dir: Path) -> None:
    async with supervised("a", data_dir) as it:
        await it.up(1)
        store = os.pidfd_open(json.loads((data_dir / "server.json").read_text())["pid"])
        it.process.kill()
        assert (await it.post.heard(1))[0][2] == "term"
        dead = asyncio.Event()
        asyncio.get_running_loop().add_reader(store, dead.set)
        async with asyncio.timeout(LIMIT_S):
            await dead.wait()
        asyncio.get_running_loop().remove_reader(store)
        os.close(store)


async def test_a_store_that_is_killed_comes_back_at_its_address_and_the_roles_go_on(data_dir: Path) -> None:
    async with supervised("a", data_dir) as it:
        before = await it.logged("store_launched")
        pids = await it.up(1)
        os.kill(json.loads((data_dir / "server.json").read_text())["pid"], signal.SIGKILL)
        after = await it.logged("store_launched")
        await it.logged("store_ready")
        assert after["url"] == before["url"]
        assert after["pid"] != before["pid"]
        assert it.post.said.empty()
        os.kill(pids["a"], signal.SIGTERM)
        assert (await it.post.heard(2))[1][2] == "store +PONG"


async def test_a_second_supervisor_on_the_same_directory_is_refused(data_dir: Path) -> None:
    async with supervised("a", data_dir) as first:
        await first.up(1)
        async with supervised("b", data_dir) as second:
            assert "in use" in str((await second.logged("not_started"))["problem"])
            assert await second.ended() == 1
        assert first.post.said.empty()


async def test_sighup_is_passed_on_to_the_roles() -> None:
    async with supervised("a,b") as it:
        await it.up(2)
        it.process.send_signal(signal.SIGHUP)
        assert {(name, what) for name, _, what in await it.post.heard(2)} == {("a", "hup"), ("b", "hup")}


def test_the_administrators_token_is_made_once_and_nobody_else_may_read_it(data_dir: Path) -> None:
    file = data_dir / "admin-token"
    token = admin_token(file)
    assert len(token) >= 43
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert admin_token(file) == token


def test_roles_and_flags_may_stand_in_any_order() -> None:
    words, flags = split_arguments(["ingest", "--log.level", "debug", "console", "--log.format=json"])
    assert words == ["ingest", "console"]
    assert flags == ["--log.level", "debug", "--log.format=json"]
