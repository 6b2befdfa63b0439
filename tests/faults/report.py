"""What the faults came to: the file of measured figures, and the table in docs/reliability.md that is made of it.

`python -m tests.faults` writes the file; `python -m tests.faults.report` writes the table; test_registry.py checks that the page holds
what comes out here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.faults.figures import Figure
from tests.faults.registry import ROWS, Row

ROOT: Final = Path(__file__).resolve().parent.parent.parent
RESULTS: Final = ROOT / "docs" / "reliability.json"
PAGE: Final = ROOT / "docs" / "reliability.md"


@dataclass(frozen=True, slots=True)
class Result:
    """What the tests of a row came to: `passed`, `failed` or `skipped`; how many cases ran, in how many seconds."""

    outcome: str
    cases: int
    skipped: int
    took_s: float
    figures: tuple[Figure, ...]

    def to_json(self) -> dict[str, Any]:
        figures = [figure.to_json() for figure in self.figures]
        return {"outcome": self.outcome, "cases": self.cases, "skipped": self.skipped, "took_s": round(self.took_s, 1), "figures": figures}

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> Result:
        return Result(**{**found, "figures": tuple(map(Figure.from_json, found["figures"]))})


def largest(figures: list[Figure]) -> tuple[Figure, ...]:
    """The largest of each figure by name, in the order of their first measurement."""
    found: dict[str, Figure] = {}
    for figure in figures:
        found[figure.name] = figure.larger(found.get(figure.name, figure))
    return tuple(found.values())


def read_results() -> dict[int, Result]:
    if not RESULTS.exists():
        return {}
    return {int(number): Result.from_json(result) for number, result in json.loads(RESULTS.read_text(encoding="utf-8")).items()}


def write_results(results: Mapping[int, Result]) -> None:
    found = {str(number): results[number].to_json() for number in sorted(results)}
    RESULTS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def measured(result: Result | None) -> str:
    """The figures of a row in words."""
    if result is None:
        return "not run"
    told = "; ".join(figure.shown for figure in result.figures) or "asserted by the test"
    return told if result.outcome == "passed" else f"{result.outcome}: {told}"


def table(results: Mapping[int, Result]) -> str:
    """The rows with what must hold, what is allowed, what was measured, and the tests."""
    lines = ["| # | fault | injected by | must hold | allowed | measured | tests |", "|---|---|---|---|---|---|---|"]
    for row in ROWS:
        cells = (str(row.number), row.fault, row.injection, row.invariant, row.bound, measured(results.get(row.number)), _tests(row))
        lines += [f"| {' | '.join(cells)} |"]
    return "\n".join(lines)


def _tests(row: Row) -> str:
    """Each by its file and name, without the cases."""
    names = dict.fromkeys(test.partition("[")[0].removeprefix("tests/").replace("::", ": ") for test in row.tests)
    return "<br>".join(f"`{name}`" for name in names)


def put_in(page: str, found: str) -> str:
    """The page with a table between its marks."""
    pattern = r"(<!-- faults: .*?-->\n).*?(<!-- end of faults -->)"
    return re.sub(pattern, lambda marks: f"{marks[1]}{found}\n{marks[2]}", page, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(put_in(PAGE.read_text(encoding="utf-8"), table(read_results())), encoding="utf-8")
