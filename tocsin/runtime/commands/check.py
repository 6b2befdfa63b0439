"""`tocsin check FILE...`: can a rules file be used, and if not, where is it wrong and why."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tocsin.policy.rules import Rules
from tocsin.runtime.clock import SystemClock
from tocsin.runtime.commands.terminal import Form, clean, say, say_json
from tocsin.runtime.rulesfile import Problem, check_rules

EXIT_RULES_INVALID = 4
STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of one file; `found` says what is in a good one."""

    file: str
    found: str
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether the file can be used."""
        return not self.problems


def check(files: list[str], form: Form) -> int:
    """Print what is right and wrong with each file; 0, or 4 when any cannot be used."""
    results = [check_file(name) for name in files]
    if form is Form.JSON:
        say_json([asdict(result) | {"ok": result.ok} for result in results])
    else:
        for result in results:
            _say(result)
    return 0 if all(result.ok for result in results) else EXIT_RULES_INVALID


def check_file(name: str) -> Checked:
    """Read and check one file, or standard input for `-`."""
    file_name = "stdin" if name == STANDARD_INPUT else name
    try:
        raw = sys.stdin.buffer.read() if name == STANDARD_INPUT else Path(name).read_bytes()
        text = raw.decode("utf-8")
    except OSError as error:
        return _unreadable(file_name, f"cannot be read ({error.strerror})")
    except UnicodeDecodeError as error:
        return _unreadable(file_name, f"is not UTF-8 (byte {error.start + 1})")
    rules, problems, warnings = check_rules(
        text, file_name=file_name, environment=os.environ, read_file=_read_secret, now=SystemClock().now_ms()
    )
    return Checked(file_name, "" if rules is None else _found(rules), problems, warnings)


def _unreadable(file_name: str, why: str) -> Checked:
    return Checked(file_name, "", (Problem(file_name, 1, 1, "", why),), ())


def _read_secret(name: str) -> str:
    return Path(name).read_text(encoding="utf-8")


def _found(rules: Rules) -> str:
    counted = (
        ("service", len(rules.services)),
        ("ladder", len(rules.ladders)),
        ("role", len(rules.roles)),
        ("person", len(rules.people)),
        ("integration", len(rules.integrations)),
    )
    plural = {"person": "people"}
    return ", ".join(f"{count} {name if count == 1 else plural.get(name, name + 's')}" for name, count in counted)


def _say(result: Checked) -> None:
    say(f"{clean(result.file)}: SUCCESS: {result.found}" if result.ok else f"{clean(result.file)}: FAILED")
    for problem in result.problems:
        say(clean(problem))
    for warning in result.warnings:
        say(f"{clean(warning)} (warning)")
