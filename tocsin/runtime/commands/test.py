"""`tocsin test FILE...`: does the on-call policy do what its tests say? One line per test; for a failure, expected against got, and why.

Owns what is printed and the exit code; the tests are read and run by `policytestfile.py`, `policytestrun.py` and `policytestverdict.py`.
Neither store nor network nor real time.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from tocsin.policy.rules import Rules
from tocsin.runtime.clock import SystemClock
from tocsin.runtime.commands.terminal import Form, clean, say, say_json, warn
from tocsin.runtime.policytestfile import read_suite
from tocsin.runtime.policytestrun import Failure, PolicyRun, Record
from tocsin.runtime.policytests import PolicyTest, Suite
from tocsin.runtime.policytestverdict import verdict
from tocsin.runtime.rulesfile import load_rules
from tocsin.runtime.yamltree import Problem

EXIT_USAGE: Final = 2
EXIT_NOT_FOUND: Final = 3
EXIT_RULES_INVALID: Final = 4
EXIT_FAILED: Final = 7

STANDARD_INPUT: Final = "-"

_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of one test."""

    test: PolicyTest
    record: Record
    failures: tuple[Failure, ...]
    took_s: float


@dataclass(frozen=True, slots=True)
class RanSuite:
    """What came of one file; its tests are not run while anything is wrong with it or its rules."""

    suite: Suite
    ran: tuple[Ran, ...]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the file and the rules."""
        return (*self.suite.problems, *self.suite.rule_problems)


class StandIns(Mapping[str, str]):
    """The environment, and the files of secrets, in a place that does not have them: tests of a policy need no secret of it.

    `used` names what was not there.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.used: dict[str, None] = {}

    def __getitem__(self, name: str) -> str:
        value = self._environment.get(name)
        return self._stand_in(f"${{{name}}}", name) if value is None else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._environment)

    def __len__(self) -> int:
        return len(self._environment)

    def load(self, path: str) -> Rules:
        """Read and check a rules file. Raises RulesInvalid, OSError, UnicodeDecodeError."""
        return load_rules(_read_text(path), file_name=path, environment=self, read_file=self._read_secret)

    def _read_secret(self, name: str) -> str:
        try:
            return _read_text(name)
        except OSError:
            return self._stand_in(name, Path(name).name)

    def _stand_in(self, what: str, name: str) -> str:
        self.used[what] = None
        return f"stand-in-for-{name}"


def run_files(files: Sequence[str], form: Form, *, only: str | None, junit: Path | None, verbose: bool) -> int:
    """Run the tests of some files and print what came of them; return the exit code.

    `only` is a part of the names of the tests to run; `junit` is where a report for a build server is written.
    """
    stand_ins = StandIns(os.environ)
    suites = [_run(_read(name, stand_ins), only) for name in files]
    for name in stand_ins.used:
        warn(f"{clean(name)} is not there; the rules are tested with a stand-in")
    if form is Form.JSON:
        say_json([_as_json(each, verbose=verbose) for each in suites])
    else:
        for each in suites:
            _say(each, verbose=verbose)
    if junit is not None:
        try:
            junit.write_bytes(junit_report(suites))
        except OSError as error:
            warn(f"{junit}: cannot be written ({error.strerror})")
            return EXIT_USAGE
    return _exit_code(suites, only)


def _read(name: str, stand_ins: StandIns) -> Suite:
    file = "stdin" if name == STANDARD_INPUT else name
    try:
        text = sys.stdin.buffer.read().decode("utf-8") if name == STANDARD_INPUT else _read_text(name)
    except OSError as error:
        return Suite(file, None, (), (Problem(file, 1, 1, "", f"cannot be read ({error.strerror})"),))
    except UnicodeDecodeError as error:
        return Suite(file, None, (), (Problem(file, 1, 1, "", f"is not UTF-8 (byte {error.start + 1})"),))
    return read_suite(text, file=file, environment=os.environ, load=stand_ins.load)


def _read_text(name: str) -> str:
    return Path(name).read_text(encoding="utf-8")


def _run(suite: Suite, only: str | None) -> RanSuite:
    if suite.rules is None or suite.problems:
        return RanSuite(suite, ())
    clock = SystemClock()
    ran: list[Ran] = []
    for each in suite.tests:
        if only is None or only.casefold() in each.name.casefold():
            begun = clock.monotonic()
            record = PolicyRun(each, suite.rules).run()
            ran.append(Ran(each, record, verdict(record), clock.monotonic() - begun))
    return RanSuite(suite, tuple(ran))


def _exit_code(suites: Sequence[RanSuite], only: str | None) -> int:
    ran = [each for suite in suites for each in suite.ran]
    failed = sum(bool(each.failures) for each in ran)
    if any(suite.suite.problems for suite in suites):
        return EXIT_USAGE
    if any(suite.suite.rule_problems for suite in suites):
        return EXIT_RULES_INVALID
    if not ran:
        warn(f"no test's name holds {clean(only)}")
        return EXIT_NOT_FOUND
    if failed:
        warn(f"{failed} of {len(ran)} {'test' if len(ran) == 1 else 'tests'} failed")
    return EXIT_FAILED if failed else 0


# --- for people --------------------------------------------------------------------------------------------------------------------


def _say(suite: RanSuite, *, verbose: bool) -> None:
    for problem in suite.problems:
        say(clean(problem))
    for ran in suite.ran:
        say(f"{'FAILED' if ran.failures else 'ok'} {clean(ran.test.name)}")
        for failure in ran.failures:
            say(f"  {_failure(suite.suite.file, ran, failure)}")
        if verbose:
            for line in ran.record.timeline():
                say(f"    {line}")


def _failure(file: str, ran: Ran, failure: Failure) -> str:
    line, column = failure.place
    return f"{clean(file)}:{line}:{column}: {ran.record.when(failure.at)}  {clean(failure.message)}"


# --- for programs ------------------------------------------------------------------------------------------------------------------


def _as_json(suite: RanSuite, *, verbose: bool) -> dict[str, object]:
    return {
        "file": suite.suite.file,
        "ok": not suite.problems and not any(ran.failures for ran in suite.ran),
        "problems": [
            {"file": each.file, "line": each.line, "column": each.column, "path": each.path, "message": each.message}
            for each in suite.problems
        ],
        "tests": [_test_as_json(ran, verbose=verbose) for ran in suite.ran],
    }


def _test_as_json(ran: Ran, *, verbose: bool) -> dict[str, object]:
    failures = [
        {"at": ran.record.when(each.at), "line": each.place[0], "column": each.place[1], "message": each.message} for each in ran.failures
    ]
    found: dict[str, object] = {"name": ran.test.name, "ok": not ran.failures, "failures": failures}
    return found | {"timeline": ran.record.timeline()} if verbose else found


def junit_report(suites: Sequence[RanSuite]) -> bytes:
    """Write JUnit XML: a suite for each file, a case for each test; a file that could not be run is a case that is in error."""
    root = ET.Element("testsuites")
    for suite in suites:
        ran, file = suite.ran, _xml(suite.suite.file)
        counts = {"tests": len(ran) + bool(suite.problems), "failures": sum(bool(each.failures) for each in ran)}
        numbers = {name: str(count) for name, count in (counts | {"errors": int(bool(suite.problems)), "skipped": 0}).items()}
        took = f"{sum(each.took_s for each in ran):.3f}"
        element = ET.SubElement(root, "testsuite", {"name": file, **numbers, "time": took})
        if suite.problems:
            case = ET.SubElement(element, "testcase", {"name": "the file and its rules", "classname": file, "time": "0.000"})
            lines = [_xml(clean(problem)) for problem in suite.problems]
            ET.SubElement(case, "error", {"message": lines[0], "type": "invalid"}).text = "\n".join(lines)
        for each in ran:
            case = ET.SubElement(
                element, "testcase", {"name": _xml(clean(each.test.name)), "classname": file, "time": f"{each.took_s:.3f}"}
            )
            if each.failures:
                lines = [_xml(_failure(suite.suite.file, each, failure)) for failure in each.failures]
                text = "\n".join([*lines, "", *(_xml(line) for line in each.record.timeline())])
                ET.SubElement(case, "failure", {"message": lines[0], "type": "expectation"}).text = text
    report: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return report + b"\n"


def _xml(text: str) -> str:
    """Leave out what XML 1.0 cannot hold."""
    return _NOT_XML.sub("\ufffd", text)
