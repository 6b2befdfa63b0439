"""Ten thousand on-call days on the pure core, in every run of the tests.

A failure says its seed, and the command that shows every decision up to it. TOCSIN_SWEEP=N simulates N times as many days, TOCSIN_SEED=S
begins with another seed.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.simulation.policy_world import DAYS, simulate

ON_CALL_DAYS_MIN = 10_000
SWEEP = int(os.environ.get("TOCSIN_SWEEP", "1"))
FIRST_SEED = int(os.environ.get("TOCSIN_SEED", "0"))
PARTS = 24
SEEDS = -(-ON_CALL_DAYS_MIN * SWEEP // (DAYS * PARTS))
"""Seeds of one part."""


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.timeout(120 * SWEEP)
def test_whatever_happens_in_a_house_everything_holds(part: int, counted: Callable[[str, int], None]) -> None:
    first = FIRST_SEED + part * SEEDS
    for seed in range(first, first + SEEDS):
        done = simulate(seed, DAYS)
        counted("on-call days of the policy simulation", done.days)
        counted("steps", done.steps)
        counted("decisions", done.decisions)
        counted("incidents", done.incidents)
        counted("pages that a provider took", done.pages)


@pytest.mark.parametrize("seed", [FIRST_SEED, FIRST_SEED + 1])
def test_the_same_seed_gives_the_same_days(seed: int) -> None:
    assert simulate(seed, DAYS) == simulate(seed, DAYS)


def test_another_seed_gives_other_days() -> None:
    assert simulate(FIRST_SEED, 3).digest != simulate(FIRST_SEED + 1, 3).digest


def test_a_failure_says_its_seed_and_the_command_that_shows_it_again() -> None:
    def refuse(_now: int, decision: object) -> None:
        raise AssertionError("a planted one")

    with pytest.raises(
        AssertionError, match=r"seed 5, day \d+, AssertionError: a planted one\nagain: python -m tests.simulation.policy_world 5"
    ):
        simulate(5, DAYS, refuse)
