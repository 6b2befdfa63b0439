"""The rules file: any text gives rules or is refused with the line and column of everything that is wrong, and never takes long."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import process_time
from typing import Final

from hypothesis import example
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tests.fuzz.budget import Budget
from tocsin.policy.rules import Rules
from tocsin.runtime.rulesfile import RulesInvalid, load_rules

ROOT = Path(__file__).resolve().parents[2]
FILES: Final = [
    (ROOT / name).read_text(encoding="utf-8")
    for name in ("tests/data/rules/contract.yaml", "tests/data/rules/small.yaml", "alert_rules.yaml")
]
ENVIRONMENT: Final[Mapping[str, str]] = {"KEY_PROMETHEUS_SEOUL": "a key", "EMPTY": "", "HALF": "\ud800", "LINES": "a\nb: c"}

TEXT_S: Final = 5.0
"""The most processor time that one text may take, whatever else the machine does."""

SCALARS = [
    "",
    "~",
    "0",
    "-1",
    "1",
    "5",
    "9" * 30,
    "1.5",
    ".nan",
    "true",
    "no",
    "null",
    "0s",
    "30m",
    "1h30m",
    "999y",
    "2026-02-30",
    "2026-01-05T09:00",
]
SCALARS += [
    "24:00",
    "09:00-17:00",
    "Asia/Seoul",
    "Mars/Olympus",
    "../etc/passwd",
    "KR",
    "kim",
    "duty",
    "duty-engineer",
    "standard",
    "payments",
    "[]",
    "{}",
]
SCALARS += [
    "[kim, kim]",
    "{0s: duty}",
    "{a: {b: {c: {d: e}}}}",
    "'severity=\"critical\"'",
    "'a=~\"(\"'",
    "'{a=\"b\"}'",
    "'mailto:'",
    "'webhook+https://['",
]
SCALARS += [
    "'sms:+82'",
    "'tel:1'",
    "'slack:'",
    "'apprise:x'",
    "'ntfy+https://x/y'",
    "'${NOT_THERE}'",
    "'${HALF}'",
    "'${LINES}'",
    "${",
    "&a [*a]",
    "*a",
    "!!python/object:x y",
]
SCALARS += [
    '"\\ud800"',
    '"\\0"',
    '"\\x"',
    "|\n  text",
    ">-",
    "\u2028",
    "\ufeff",
    "\t",
    "? a",
    "<<: *a",
    "- - - -",
    "---",
    "...",
    "%YAML 1.1",
    "#",
    "서비스",
    "🙂",
    "\x85",
]
KEYS = [
    "version",
    "severities",
    "services",
    "ladders",
    "roles",
    "schedules",
    "people",
    "channels",
    "integrations",
    "inhibit",
    "emergency",
    "hours",
    "rungs",
]
KEYS += [
    "layers",
    "rotation",
    "every",
    "starts",
    "restrict",
    "contacts",
    "to",
    "after",
    "matchers",
    "level",
    "name",
    "group_by",
    "until",
    "time_zone",
    "holidays",
    "<<",
]
KEYS += [
    "key",
    "key_file",
    "smtp",
    "from",
    "source",
    "target",
    "equal",
    "acknowledged_for",
    "last_resort",
    "remind_before_end",
    "repeat_last",
    "quiet",
    "people",
    "schedule",
]


@st.composite
def texts(draw: DrawFn) -> str:
    """A file that is good, a few of whose lines are not."""
    lines = draw(st.sampled_from(FILES)).split("\n")
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(lines) - 1))
        line = lines[at]
        before, colon, _ = line.partition(":")
        match draw(st.sampled_from(["value", "value", "value", "key", "out", "double", "indent", "move", "insert", "cut", "character"])):
            case "value":
                lines[at] = f"{before}: {draw(st.sampled_from(SCALARS) | st.text(max_size=8))}" if colon else line
            case "key":
                lines[at] = line[: len(line) - len(line.lstrip(" -"))] + draw(st.sampled_from(KEYS)) + ":" + line.partition(":")[2]
            case "out":
                del lines[at : at + draw(st.integers(1, 6))]
                lines = lines or [""]
            case "double":
                lines[at:at] = lines[at : at + draw(st.integers(1, 12))] * draw(st.integers(1, 3))
            case "indent":
                lines[at] = draw(st.sampled_from([" ", "  ", "    ", "\t", "- "])) + line
            case "move":
                lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(at))
            case "insert":
                lines.insert(at, draw(st.sampled_from(KEYS)) + ": " + draw(st.sampled_from(SCALARS)))
            case "cut":
                lines[at] = line[: draw(st.integers(0, len(line)))]
            case _:
                place = draw(st.integers(0, len(line)))
                lines[at] = (
                    line[:place] + draw(st.sampled_from([*"{}[]&*!|>%@`'\",:#?-\\\0", "\ud800", "\x07", "${", "\u2028"])) + line[place:]
                )
    return "\n".join(lines)


def read_file(name: str) -> str:
    """What `*_file` finds: one that is there, one that is no text, and nothing else."""
    if name == "secret":
        return "a secret\n"
    if name == "binary":
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
    raise FileNotFoundError(2, "No such file or directory", name)


def outcome(text: str) -> Rules | RulesInvalid:
    try:
        return load_rules(text, file_name="r.yaml", environment=ENVIRONMENT, read_file=read_file)
    except RulesInvalid as refused:
        return refused


def test_any_text_gives_rules_or_is_refused_by_line_and_column(budget: Budget) -> None:
    @example(text="")
    @example(text="\ufeffversion: 1")
    @example(text="a: " + "[" * 5_000)
    @example(text="a: " + "!" * 2_000_000)
    @example(
        text="a: &a ["
        + "x," * 50
        + "]\n"
        + "\n".join(f"b{n}: &b{n} [{('*b' + str(n - 1) + ', ') * 9}]" if n else "b0: &b0 [*a, *a]" for n in range(8))
    )
    def holds(text: str) -> None:
        began = process_time()
        found = outcome(text)
        assert process_time() - began < TEXT_S
        if isinstance(found, Rules):
            assert found.services
            assert found.service_of({"alertname": "x", "severity": "critical"}) in found.services
            return
        assert found.problems
        lines = text.count("\n") + text.count("\r") + text.count("\x85") + text.count("\u2028") + text.count("\u2029") + 2
        for problem in found.problems:
            assert problem.message
            assert str(problem).isprintable()
            assert 1 <= problem.line <= lines
            assert problem.column >= 1
            assert str(problem).startswith(f"r.yaml:{problem.line}:{problem.column}: ")

    budget.spend(holds, text=texts() | st.text(max_size=60))
