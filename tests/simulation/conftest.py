"""The counts that a run of the simulations ends with: how many days, steps and decisions, printed under the tests' summary.

    def test_...(counted: Counted) -> None:
        counted("policy: on-call days", 500)

Every test adds its own; equal names add up. A line is printed for each name in the order in which they were first counted.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

Counted = Callable[[str, int], None]

_COUNTS: pytest.StashKey[dict[str, int]] = pytest.StashKey()


@pytest.fixture
def counted(request: pytest.FixtureRequest) -> Counted:
    """Add to a count that is printed at the end of the run."""
    counts = request.config.stash.setdefault(_COUNTS, {})

    def count(name: str, more: int) -> None:
        counts[name] = counts.get(name, 0) + more

    return count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the counts."""
    counts = config.stash.get(_COUNTS, {})
    if counts:
        terminalreporter.section("simulated")
        for name, count in counts.items():
            terminalreporter.line(f"{count:>14,} {name}")
