"""`make faults`: every fault of the registry, one after the other, and a table of what was measured.

    python -m tests.faults                 all rows, those that take minutes too
    python -m tests.faults --rows 1,2,9    some rows
    python -m tests.faults --quick         what `make test` runs of them

What was measured is kept in docs/reliability.json (rows that were not run keep what they had), and the table of docs/reliability.md is
written from that. Exit code 1 when a row failed; a row that could not be made here is told and counted.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from tests.faults.figures import PROPERTY, Figure
from tests.faults.registry import ROWS, Row
from tests.faults.report import PAGE, Result, largest, measured, put_in, read_results, table, write_results


@dataclass(eq=False)  # the plugin manager hashes its plugins
class Collector:
    """A plugin that keeps what each test came to, by its node id."""

    outcomes: dict[str, str] = field(default_factory=dict)
    took_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    figures: dict[str, list[Figure]] = field(default_factory=lambda: defaultdict(list))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.took_s[report.nodeid] += report.duration
        if report.when == "call" or report.outcome != "passed":
            before = self.outcomes.get(report.nodeid)
            self.outcomes[report.nodeid] = "failed" if "failed" in (before, report.outcome) else report.outcome
        if report.when == "call":
            found = [value for name, value in report.user_properties if name == PROPERTY]
            self.figures[report.nodeid] += [Figure.from_json(value) for value in found]  # type: ignore[arg-type]  # as the fixture wrote them

    def result(self, row: Row) -> Result | None:
        """What the row's tests came to; None when none of them ran."""
        nodes = [node for node in self.outcomes if any(node == test or node.partition("[")[0] == test for test in row.tests)]
        if not nodes:
            return None
        outcomes = [self.outcomes[node] for node in nodes]
        ran = [outcome for outcome in outcomes if outcome != "skipped"]
        outcome = "failed" if "failed" in outcomes else "passed" if ran else "skipped"
        figures = largest([figure for node in nodes for figure in self.figures[node] if figure.row == row.number])
        return Result(outcome, len(ran), len(outcomes) - len(ran), sum(self.took_s[node] for node in nodes), figures)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="every fault, and what was measured")
    parser.add_argument("--rows", default="", help="numbers, with commas between them")
    parser.add_argument("--quick", action="store_true", help="leave out what takes longer than `make test` has")
    parser.add_argument("--keep", action="store_true", help="write no file")
    asked = parser.parse_args(argv)
    numbers = {int(number) for number in asked.rows.split(",") if number}
    rows = [row for row in ROWS if not numbers or row.number in numbers]
    tests = list(dict.fromkeys(test for row in rows for test in row.tests))
    collector = Collector()
    marked = "not faults_long" if asked.quick else ""
    pytest.main(["-q", "-p", "no:randomly", "-m", marked, *tests], plugins=[collector])
    results = {row.number: result for row in rows if (result := collector.result(row)) is not None}
    if results and not asked.keep:
        merged = read_results() | results
        write_results(merged)
        PAGE.write_text(put_in(PAGE.read_text(encoding="utf-8"), table(merged)), encoding="utf-8")
    return _tell(rows, results)


def _tell(rows: Sequence[Row], results: dict[int, Result]) -> int:
    """Print the table for the terminal; the exit code."""
    lines = []
    for row in rows:
        result = results.get(row.number)
        outcome = "NOT RUN" if result is None else result.outcome.upper() if result.outcome != "passed" else "ok"
        took = "" if result is None else f"{result.took_s:.0f} s"
        lines.append(f"{row.number:>3}  {outcome:<8} {took:>6}  {row.fault}: {measured(result)}")
    counts = {kind: sum(result.outcome == kind for result in results.values()) for kind in ("passed", "failed", "skipped")}
    cases = sum(result.cases for result in results.values())
    skipped = sum(result.skipped for result in results.values())
    lines.append(
        f"faults: {counts['passed']} of {len(rows)} rows hold, {counts['failed']} failed, {counts['skipped']} could not be made here"
    )
    lines.append(f"        {cases} cases ran, {skipped} were skipped")
    sys.stdout.write("\n" + "\n".join(lines) + "\n")
    return 0 if counts["failed"] == 0 and len(results) == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
