"""The catalogue is complete, its tests exist, and the page says what was measured."""

from __future__ import annotations

import ast
from functools import cache

from tests.faults.registry import ROWS, WANTED
from tests.faults.report import PAGE, ROOT, put_in, read_results, table


@cache
def functions_of(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_row_of_the_catalogue_is_there_once() -> None:
    assert [row.number for row in ROWS] == list(WANTED)


def test_every_named_test_exists() -> None:
    missing = []
    for row in ROWS:
        assert row.tests, row.number
        for test in row.tests:
            path, _, name = test.partition("[")[0].partition("::")
            if not (ROOT / path).exists() or name not in functions_of(path):
                missing.append(f"row {row.number}: {test}")
    assert not missing


def test_the_page_shows_what_was_measured() -> None:
    """`python -m tests.faults.report` writes it."""
    page = PAGE.read_text(encoding="utf-8")
    assert put_in(page, table(read_results())) == page


def test_what_was_measured_holds() -> None:
    results = read_results()
    assert set(results) == set(WANTED)
    beyond = [f"row {number}: {figure.shown}" for number, result in results.items() for figure in result.figures if not figure.holds]
    assert not beyond
    assert not [number for number, result in results.items() if result.outcome == "failed"]


def test_every_test_that_the_page_names_exists() -> None:
    """Names of tests stand in backticks and begin with test_."""
    words = PAGE.read_text(encoding="utf-8").split("`")[1::2]
    last = {word.rpartition(" ")[2] for word in words}
    named = {word for word in last if word.startswith("test_") and word != "test_" and not word.endswith((".py", "/"))}
    known = {name for path in (ROOT / "tests").rglob("test_*.py") for name in functions_of(path.relative_to(ROOT).as_posix())}
    assert named <= known, named - known
