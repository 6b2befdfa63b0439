"""The whole product as processes: `tocsin serve` on free ports and a directory of its own, spoken to as people and programs do.

Owns starting, ending and killing what it started (by number, everything, also when a test fails), the way to its API, its log and its
memory. Also the one place where these tests wait for something that does not report itself (`until`), and the rules they run with.
Whoever pages are sent to is a `tests.fakes.receiver.Receiver`.

    async with Product(data_dir, rules) as product:
        await product.fire("DiskFull", severity="critical")
        product.kill("notifier")
        await product.until_ready()
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import aiohttp

from tests.fakes.receiver import ReceivedPage, Receiver
from tocsin.runtime.clock import SystemClock
from tocsin.store.server_process import EXEC_SHIM

T = TypeVar("T")

ROLES: Final = ("ingest", "correlator", "notifier", "console")
STORE, SUPERVISOR = "store", "supervisor"
ADMIN_TOKEN: Final = "e2e-administrator-0123456789"
LOOK_S: Final = 0.05
START_LIMIT_S: Final = 45.0
"""For a start on a machine that does other work; what the product promises is asserted where a test measures it."""
STOP_LIMIT_S: Final = 30.0
ANSWER_LIMIT_S: Final = 15.0
CLOCK: Final = SystemClock()
INHERITED: Final = ("PATH", "PYTHONPATH", "HOME", "LANG", "TMPDIR")
"""Of our own environment: nothing that would configure what we start."""


async def pause(seconds: float) -> None:
    """Let time pass between two looks, or between two alerts of a stream. Nothing is ever concluded from a pause alone."""
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), seconds)


async def until(look: Callable[[], Awaitable[T | None]], what: str, limit_s: float = 15.0) -> T:
    """What `look` finds, once it finds something that is true; at the limit the test fails and says for what it waited."""
    try:
        async with asyncio.timeout(limit_s):
            while not (found := await look()):
                await pause(LOOK_S)
            return found
    except TimeoutError:
        raise AssertionError(f"not within {limit_s:g} s: {what}") from None


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [server.getsockname()[1] for server in held]
    finally:
        for server in held:
            server.close()


class Program:
    """A process that we started, its output in a file. The kernel asks it to end when the tests die (Linux)."""

    def __init__(self, argv: Sequence[str], *, directory: Path, log: Path, environment: Mapping[str, str] | None = None) -> None:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(EXEC_SHIM), str(os.getpid()), *argv],
                cwd=directory,
                env=inherited | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.argv = tuple(argv)
        self.log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self._process.poll() is None:
            self._process.send_signal(number)

    async def ended(self, limit_s: float = STOP_LIMIT_S) -> int:
        """Its exit code, once it has ended; at the limit the test fails."""

        async def look() -> tuple[int] | None:
            code = self._process.poll()
            return None if code is None else (code,)

        return (await until(look, f"the end of {Path(self.argv[0]).name} (pid {self.pid})", limit_s))[0]

    async def end(self) -> None:
        """SIGTERM, and SIGKILL to whatever does not obey: the test is over."""
        family = family_of(self.pid)
        self.signal(signal.SIGTERM)
        try:
            await self.ended()
        except AssertionError:
            self.signal(signal.SIGKILL)
            self._process.wait(timeout=STOP_LIMIT_S)
        kill_all(family[1:])


def family_of(pid: int) -> list[int]:
    """A process and everything below it; none when it has ended."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        fields = _stat(int(stat.parent.name))
        if fields and fields[0] not in "ZX":
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [pid] if _stat(pid) else []
    for member in found:
        found += parents.get(member, [])
    return found


def _stat(pid: int) -> list[str]:
    """What /proc says of a process, from its state on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def kill_all(pids: Sequence[int]) -> None:
    """SIGKILL to each of them that lives."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def tocsin_command() -> list[str]:
    """The installed command, else the module that it calls."""
    beside = Path(sys.executable).with_name("tocsin")
    return [str(beside)] if beside.exists() else [sys.executable, "-P", "-m", "tocsin.runtime.cli"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class Product:
    """`tocsin serve` with all four roles and the embedded store; `flags` are added to its command."""

    def __init__(self, directory: Path, rules: str, *flags: str, environment: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.rules_file = directory / "rules.yaml"
        self.rules_file.write_text(rules, encoding="utf-8")
        self.log_file = directory / "log"
        self.ports = dict(zip(ROLES, free_ports(len(ROLES)), strict=True))
        self.token = ADMIN_TOKEN
        self._flags = flags
        self._environment = {"TOCSIN_ADMIN_TOKEN": ADMIN_TOKEN} | dict(environment or {})
        self._program: Program | None = None
        self._session: aiohttp.ClientSession | None = None
        self._seen_pids: set[int] = set()

    # --- its life ------------------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_LIMIT_S))
        try:
            await self.start()
        except BaseException:
            await self._clean_up()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            print(f"the end of the product's log:\n{self.log[-6000:]}")  # noqa: T201  pytest shows it beside the failure
        await self._clean_up()

    async def start(self) -> None:
        """Launch it and return once every role is ready."""
        self.launch()
        await self.until_ready(START_LIMIT_S)

    def launch(self) -> None:
        argv = [*tocsin_command(), "serve", "--config.file", str(self.rules_file), "--storage.path", str(self.directory / "data")]
        for role, port in self.ports.items():
            argv += [f"--{role}.listen-address", f"127.0.0.1:{port}"]
        self._program = Program([*argv, *self._flags], directory=self.directory, log=self.log_file, environment=self._environment)

    async def _clean_up(self) -> None:
        if self._session is not None:
            await self._session.close()
        self._seen_pids.update(self.pids)
        await self.program.end()
        kill_all([pid for pid in self._seen_pids if self._is_ours(pid)])

    def _is_ours(self, pid: int) -> bool:
        """Whether a process that we saw below us before is still that one: the number may have gone to somebody else."""
        with suppress(OSError):
            return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(self.directory.resolve())
        return False

    @property
    def program(self) -> Program:
        assert self._program is not None, "not started"
        return self._program

    @property
    def pids(self) -> list[int]:
        """Its processes, the supervisor first."""
        found = family_of(self.program.pid)
        self._seen_pids.update(found)
        return found

    def pid(self, name: str) -> int | None:
        """The process of a role, the store, or the supervisor; None while there is none."""
        return next((pid for pid in self.pids if process_name(pid) == name), None)

    def kill(self, name: str) -> int:
        """SIGKILL to one of its processes; return which number it had."""
        pid = self.pid(name)
        assert pid is not None, f"{name} does not run"
        os.kill(pid, signal.SIGKILL)
        return pid

    def kill_everything(self) -> None:
        """SIGKILL to all processes at once."""
        kill_all(self.pids)

    async def stop(self) -> tuple[int, float]:
        """SIGTERM; return the exit code and how many seconds it took."""
        began = CLOCK.monotonic()
        self.program.signal(signal.SIGTERM)
        code = await self.program.ended()
        return code, CLOCK.monotonic() - began

    async def until_ready(self, limit_s: float = START_LIMIT_S) -> None:
        """Return once every role answers 200 on `/-/ready`."""
        for role in ROLES:

            async def look(role: str = role) -> bool:
                assert self.program.exit_code is None, f"it has ended with {self.program.exit_code}:\n{self.log[-3000:]}"
                return await self.is_ready(role)

            await until(look, f"{role} is ready", limit_s)

    async def is_ready(self, role: str) -> bool:
        try:
            return (await self.call(role, "GET", "/-/ready")).status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def until_again(self, name: str, killed: int) -> None:
        """Return once the process that had the number `killed` runs again and every role is ready."""

        async def look() -> bool:
            return self.pid(name) not in (None, killed)

        await until(look, f"{name} is started again")
        await self.until_ready()

    # --- HTTP ----------------------------------------------------------------------------------------------------------------------

    def url(self, role: str) -> str:
        return f"http://127.0.0.1:{self.ports[role]}"

    async def call(self, role: str, method: str, path: str, *, headers: Mapping[str, str] | None = None, **options: Any) -> Answer:
        """One request to a role's listener. Raises aiohttp.ClientError."""
        return await self.request(method, f"{self.url(role)}{path}", headers=headers, **options)

    async def request(self, method: str, url: str, **options: Any) -> Answer:
        assert self._session is not None, "not entered"
        async with self._session.request(method, url, allow_redirects=False, **options) as response:
            return Answer(response.status, await response.read())

    async def get(self, path: str, *, token: str | None = None) -> Any:
        """The JSON of the console's API at `path`, which must be 200."""
        answer = await self.call("console", "GET", path, headers={"Authorization": f"Bearer {token or self.token}"})
        assert answer.status == 200, f"{path}: {answer.status} {answer.text}"
        return answer.json

    async def post(self, path: str, body: object = None, *, token: str | None = None) -> Answer:
        """A POST to the console's API."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return await self.call("console", "POST", path, headers=headers, json={} if body is None else body)

    async def fire(self, alertname: str, *, status: str = "firing", **labels: str) -> None:
        """One alert by `/webhook/events`, which must be taken."""
        event = {"labels": {"alertname": alertname, **labels}, "status": status, "annotations": {"summary": f"{alertname} is wrong"}}
        answer = await self.call("ingest", "POST", "/webhook/events", json=event)
        assert answer.json == {"accepted": 1, "rejected": 0}, answer.text

    async def incidents(self, query: str = "") -> list[dict[str, Any]]:
        """Every incident that the console lists, in the order of their numbers."""
        found: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await self.get(f"/api/v1/incidents?limit=500{query}{f'&cursor={cursor}' if cursor else ''}")
            found += page["items"]
            cursor = page["next"]
        return sorted(found, key=lambda incident: int(incident["id"].removeprefix("INC-")))

    async def incident(self, incident_id: str) -> dict[str, Any]:
        detail: dict[str, Any] = await self.get(f"/api/v1/incidents/{incident_id}")
        return detail

    async def until_state(self, incident_id: str, state: str, limit_s: float = 15.0) -> dict[str, Any]:
        """The incident, once it has come to a state."""

        async def look() -> dict[str, Any] | None:
            incident = await self.incident(incident_id)
            return incident if incident["state"] == state else None

        return await until(look, f"{incident_id} is {state}", limit_s)

    async def metric(self, role: str, name: str) -> float:
        """The sum of a metric's samples."""
        text = (await self.call(role, "GET", "/metrics")).text
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^\n]*}})? (\S+)$", text, re.MULTILINE))

    # --- what it leaves behind -----------------------------------------------------------------------------------------------------

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""

    def memory_mb(self) -> dict[str, float]:
        """Memory of its processes in MB (a page that several share counts once), by name."""
        found: dict[str, float] = {}
        for pid in self.pids:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii", errors="replace")
            [pss] = re.findall(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
            found[process_name(pid)] = int(pss) * 1024 / 1e6
        return found


def process_name(pid: int) -> str:
    """The role, `store`, `supervisor`, or the program's own name; empty when it has ended."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ").split()
    except OSError:
        return ""
    if words[-2:-1] == ["-m"] and words[-1] in ROLES:
        return words[-1]
    program = Path(words[0]).name if words else ""
    return STORE if program.startswith(("valkey", "redis")) else SUPERVISOR if "serve" in words else program


# --- rules and pages -------------------------------------------------------------------------------------------------------------------

LADDER: Final = ("duty-engineer", "customer-service-engineer", "technical-support-lead", "general-manager")
"""The roles of the ladder's rungs, from the first on."""

PEOPLE: Final = ("kim", "lee", "choi", "jeong")
"""Who holds them."""


def rules_text(receiver: Receiver, rungs: Mapping[int, Sequence[str]], **changes: Any) -> str:
    """Rules with one service and one ladder: the times of its rungs by severity, one role and one person for each. JSON, which is YAML."""
    ladder = {
        "rungs": {level: dict(zip(afters, LADDER, strict=False)) for level, afters in rungs.items()},
        "acknowledged_for": {1: "30m", 2: "1h", 3: "2h"},
        "repeat_last": "1h",
        "last_resort": [LADDER[0]],
    }
    found: dict[str, Any] = {
        "version": 1,
        "severities": [{"level": 1, "matchers": ['severity="critical"']}, {"level": 2, "matchers": ['severity="warning"']}],
        "services": [{"name": "everything-else", "ladder": "short", "group_by": ["alertname"], "resolve_after": "0s", "settle": "0s"}],
        "ladders": {"short": ladder},
        "roles": {role: {"people": [person]} for role, person in zip(LADDER, PEOPLE, strict=True)},
        "people": {person: {"name": person.title(), "contacts": [{"to": receiver.contact(f"/{person}")}]} for person in PEOPLE},
    }
    return json.dumps(found | changes, indent=1, ensure_ascii=False)


def named_in(page: ReceivedPage) -> frozenset[str]:
    """The incidents that a page speaks of: one, or several that fell due together."""
    return frozenset(incident["id"] for incident in page.body.get("incidents") or [page.body["incident"]])


def paged(receiver: Receiver, incident_id: str) -> list[str]:
    """Who was paged for an incident so far, in order."""
    return [page.body["person"] for page in receiver.pages if page.body["kind"] == "page" and incident_id in named_in(page)]
