"""`python -m bench`: runs the workloads, Tocsin and Alertmanager in turn, and prints one table. docs/performance.md says how to read it."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from time import monotonic

from bench import report
from bench.products import Make, ProductFailed
from bench.traffic import TrafficFailed
from bench.workloads import WORKLOADS, Figures, Run, Workload

RUNS, QUICK_RUNS = 5, 2


def main() -> int:
    """Measure and print; 0 when everything could be measured, whether or not goals were met."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C: what was started is ended
    folder = Path(tempfile.mkdtemp(prefix="tocsin-bench-", dir=arguments.directory))
    try:
        around = report.surroundings(folder)
        print(", ".join(f"{name} {value}" for name, value in around.items()), file=sys.stderr)
        figures = Figures()
        chosen = [workload for workload in WORKLOADS if arguments.only in (None, workload.name)]
        asyncio.run(_measure(chosen, arguments.runs or (QUICK_RUNS if arguments.quick else RUNS), folder, figures))
    except ProductFailed as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(report.table(figures))
    print(report.shares(figures))
    for fault in figures.faults:
        print(f"FAILED {fault}")
    if arguments.json is not None:
        report.write_json(arguments.json, figures, around)
    return 1 if figures.faults else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Tocsin beside Alertmanager, measured on this machine.")
    parser.add_argument("--only", choices=[workload.name for workload in WORKLOADS], help="one workload")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RUNS} runs of each instead of {RUNS}")
    parser.add_argument("--runs", type=int, help="so many runs of each")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every value of every run")
    parser.add_argument("--directory", type=Path, help="where the data goes: a real disk, because fsync is part of what is measured")
    parser.add_argument("--keep", action="store_true", help="keep the data and logs of the products")
    return parser.parse_args()


async def _measure(workloads: list[Workload], runs: int, folder: Path, figures: Figures) -> None:
    for workload in workloads:
        for number in range(min(runs, workload.runs_max)):
            # In turn, and the first one changes, so that a slow minute of the machine strikes both.
            for make in workload.makes if number % 2 == 0 else workload.makes[::-1]:
                await _measure_one(workload, make, folder, number, figures)


async def _measure_one(workload: Workload, make: Make, folder: Path, number: int, figures: Figures) -> None:
    name = getattr(make, "__name__", "?")
    place = folder / f"{workload.name}-{number}-{name}"
    began = monotonic()
    try:
        await workload.measure(Run(make, place, number, figures))
        outcome = "measured"
        if deaths := _deaths(place / "log"):
            outcome = "FAILED"
            figures.faults.append(f"{workload.name}, run {number}, {name}: measured, but{deaths}")
    except (ProductFailed, TrafficFailed, OSError, TimeoutError, ExceptionGroup) as error:
        outcome = "FAILED"
        figures.faults.append(f"{workload.name}, run {number}, {name}: {_first(error)}{_deaths(place / 'log')}")
    print(f"{workload.name} run {number} {name}: {outcome} in {monotonic() - began:.1f} s", file=sys.stderr, flush=True)


def _deaths(log: Path) -> str:
    """What the log says of processes that died meanwhile."""
    count = log.read_text(encoding="utf-8", errors="replace").count("event=role_died") if log.exists() else 0
    return f" ({count} deaths of roles; --keep keeps the log)" if count else ""


def _first(error: Exception) -> str:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    raise SystemExit(main())
