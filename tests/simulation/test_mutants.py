"""The hunters find what is planted: the quickest here, all of them with `make mutants` (`mutants_run.py`)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.mutants_run import LIMIT_S, ROOT, hunt, planted

QUICK = (
    "begin does not ask whether the page is still wanted",
    "versions are not compared",
    "a number is used twice",
    "a page is recorded as sent before it is",
    "pages go out without begin",
    "the notifier oversleeps",
    "an acknowledgement has no end",
)
"""Each found by the first seeds: some seconds of work."""


def test_there_are_enough_and_each_has_a_name_of_its_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 20
    assert {mutant.name for mutant in MUTANTS}.issuperset(QUICK)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_what_a_mutant_changes_is_there(mutant: Mutant) -> None:
    text = (ROOT / mutant.file).read_text(encoding="utf-8")
    assert planted(mutant, text) != text


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.timeout(LIMIT_S)
def test_a_planted_bug_is_found(name: str, counted: Callable[[str, int], None]) -> None:
    counted("mutants planted in this run", 1)
    [mutant] = [mutant for mutant in MUTANTS if mutant.name == name]
    done = hunt(mutant)
    assert done.killed, done.line()
    counted("mutants killed in this run", 1)
