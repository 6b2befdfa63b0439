"""How long a fuzz test runs and with which seed: the time of a run, shared out equally.

    def test_any_text_is_read_or_refused(budget: Budget) -> None:
        @example(text="what once failed")
        def holds(text: str) -> None: ...

        budget.spend(holds, text=texts)

Hypothesis counts examples; a run here has a time. So a property is run in rounds, each with the next seed, until the test's share is used
up. What fails names its seed: a run that begins with this seed fails in its first round. A whole run never depends on what an earlier
one found: what was found stands beside the property as an `@example`.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Final, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from tocsin.runtime.clock import SystemClock

SECONDS: Final = 25.0
"""Of one run of all fuzz tests, when TOCSIN_FUZZ_SECONDS says nothing: what `make test` gives them."""

SEED: Final = 1
"""Of the first round, when TOCSIN_FUZZ_SEED says nothing: a change that fails here has itself to blame, not the day."""

EXAMPLES_PER_ROUND: Final = 50
CALL_LIMIT_S: Final = 20.0

T = TypeVar("T")

Property = Callable[..., None]
Inputs = Mapping[str, SearchStrategy[Any]]

_SLOW_OR_LARGE: Final = tuple(HealthCheck)
_ALL: Final = tuple(Phase)
_WITHOUT_SHRINKING: Final = (Phase.explicit, Phase.generate)


@dataclass(slots=True)
class Budget:
    """What one test may spend, and what it did: `examples` counts."""

    test: str
    seconds: float
    first_seed: int
    examples: int = 0
    rounds_done: int = 0
    _clock: SystemClock = field(default_factory=SystemClock)

    def rounds(self) -> Iterator[int]:
        """Yield the seeds of the rounds while there is time; one round is always run."""
        began = self._clock.monotonic()
        while not self.rounds_done or self._clock.monotonic() - began < self.seconds:
            yield self.first_seed + self.rounds_done
            self.rounds_done += 1

    def spend(self, holds: Property, **inputs: SearchStrategy[Any]) -> None:
        """Run a property until the time is used up."""
        for found in self.rounds():
            self.run(found, holds, inputs)

    def run(self, round_seed: int, holds: Property, inputs: Inputs, *, examples: int = EXAMPLES_PER_ROUND, shrink: bool = True) -> None:
        """Run a property once. Not to be shrunk is what needs a service for each try: the service has a time limit."""
        run = settings(
            max_examples=examples,
            phases=_ALL if shrink else _WITHOUT_SHRINKING,
            database=None,
            deadline=None,
            suppress_health_check=_SLOW_OR_LARGE,
        )
        # Tests differ, and rounds must: the same numbers in another property are other examples.
        mixed = round_seed * 0x1_0000_0000 + zlib.crc32(self.test.encode())
        try:
            seed(mixed)(run(given(**inputs)(self._counting(holds))))()
        except BaseException as error:  # pytest's own failures are no Exception
            error.add_note(f"again: TOCSIN_FUZZ_SEED={round_seed} .venv/bin/python -m pytest '{self.test}'")
            raise

    def _counting(self, holds: Property) -> Property:
        @wraps(holds)
        def counting(**found: Any) -> None:
            self.examples += 1
            holds(**found)

        return counting

    async def run_beside(self, round_seed: int, holds: Property, inputs: Inputs, *, examples: int = EXAMPLES_PER_ROUND) -> None:
        """Run a property in a thread, while this loop serves what it asks (`answered`)."""
        await asyncio.to_thread(self.run, round_seed, holds, inputs, examples=examples, shrink=False)


def answered(loop: asyncio.AbstractEventLoop, asked: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine comes to in the loop of another thread: how a property asks what is served there."""
    return asyncio.run_coroutine_threadsafe(asked, loop).result(CALL_LIMIT_S)
