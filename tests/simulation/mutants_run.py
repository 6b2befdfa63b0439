"""Plants every mutant in its turn into a copy of the tree and lets its hunter look for it.

    python -m tests.simulation.mutants_run                # all, two at a time
    python -m tests.simulation.mutants_run fence          # those with this in their name

Prints for each the seeds that were needed, and at the end "n of n killed"; the exit code is 1 when one survives. The simulations must have
passed on the tree as it is: a hunter that fails without a mutant proves nothing.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.mutants import MUTANTS, Mutant, Named, Policy, System

ROOT = Path(__file__).parents[2]
COPIED = ("ingest", "correlator", "notifier", "console", "tocsin", "tests", "pyproject.toml", "alert_rules.yaml")
LIMIT_S = 1200.0
AT_ONCE = 2
POLICY = """
import sys
from tests.simulation.policy_world import DAYS, simulate
for seed in range(int(sys.argv[1])):
    try:
        simulate(seed, DAYS)
    except AssertionError as error:
        print(f"seed {seed}, promises broken: {error}")
        sys.exit(1)
"""


@dataclass(frozen=True, slots=True)
class Hunt:
    """What became of a mutant; `seeds` that were needed, 1 for a named test."""

    mutant: Mutant
    killed: bool
    seeds: int
    found: str

    def line(self) -> str:
        """Return how it is told."""
        by = type(self.mutant.hunter).__name__.lower()
        if not self.killed:
            return f"SURVIVED  {self.mutant.name} ({by}): {self.found}"
        needed = "" if isinstance(self.mutant.hunter, Named) else f", {self.seeds} seeds"
        return f"killed    {self.mutant.name} ({by}{needed}): {self.found}"


class NotThere(Exception):
    """The text that a mutant changes is not in its file, or more than once."""


def planted(mutant: Mutant, text: str) -> str:
    """Return the file with the mutant in it. Raises NotThere."""
    for there, instead in mutant.changes:
        if text.count(there) != 1:
            raise NotThere(f"{mutant.name}: {mutant.file} holds {text.count(there)} times {there!r}")
        text = text.replace(there, instead)
    return text


def hunt(mutant: Mutant) -> Hunt:
    """Plant a mutant and let its hunter look for it."""
    with tempfile.TemporaryDirectory(prefix="tocsin-mutant-") as name:
        copy = Path(name)
        for part in COPIED:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / part, copy / part)
        file = copy / mutant.file
        file.write_text(planted(mutant, file.read_text(encoding="utf-8")), encoding="utf-8")
        try:
            done = subprocess.run(_command(mutant), cwd=copy, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            return Hunt(mutant, killed=False, seeds=0, found=f"not within {LIMIT_S:g} s")
    return _judged(mutant, done.returncode, done.stdout + done.stderr)


def _command(mutant: Mutant) -> list[str]:
    match mutant.hunter:
        case System(seeds_max):
            return [sys.executable, "-m", "tests.simulation.system", "--seeds", f"0:{seeds_max}", "--stop-at-first"]
        case Policy(seeds_max):
            return [sys.executable, "-c", POLICY, str(seeds_max)]
        case Named(test):
            return [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider", test]


def _judged(mutant: Mutant, code: int, output: str) -> Hunt:
    lines = [line for line in output.splitlines() if line.strip()]
    if isinstance(mutant.hunter, Named):
        found = next((line for line in lines if line.startswith("FAILED")), lines[-1] if lines else "")
        return Hunt(mutant, killed=code == 1 and found.startswith("FAILED"), seeds=1, found=found[:160])
    seed = re.search(r"^seed (\d+), .*promises broken.*$", output, re.MULTILINE)
    if seed is None:
        return Hunt(mutant, killed=False, seeds=mutant.hunter.seeds_max, found=lines[-1][:300] if lines else f"exit code {code}")
    behind = output[seed.end() :].strip().splitlines()
    found = behind[0].strip() if isinstance(mutant.hunter, System) and behind else seed[0].partition("broken: ")[2]
    return Hunt(mutant, killed=code == 1, seeds=int(seed[1]) + 1, found=found[:160])


def hunt_all(mutants: Sequence[Mutant]) -> list[Hunt]:
    """Hunt all, and tell of each as soon as it is done."""
    for mutant in mutants:
        planted(mutant, (ROOT / mutant.file).read_text(encoding="utf-8"))
    hunts: list[Hunt] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in pool.map(hunt, mutants):
            hunts.append(done)
            print(done.line(), flush=True)  # noqa: T201  a program for the terminal
    return hunts


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of names")
    wanted = parser.parse_args().names
    hunts = hunt_all([mutant for mutant in MUTANTS if not wanted or any(part in mutant.name for part in wanted)])
    killed = sum(each.killed for each in hunts)
    print(f"mutants: {killed} of {len(hunts)} killed")  # noqa: T201  a program for the terminal
    return 0 if killed == len(hunts) else 1


if __name__ == "__main__":
    sys.exit(main())
