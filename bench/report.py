"""The figures as one table: medians, the ratio, the goal, and whether it was met; and as JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Final

from bench.products import alertmanager_program
from bench.workloads import Figures

OURS, THEIRS = "Tocsin", "Alertmanager"
MIB: Final = 1_048_576

Summary = Callable[[Sequence[float]], float]


def percentile(share: float) -> Summary:
    """The value that `share` of all do not exceed."""

    def of(values: Sequence[float]) -> float:
        ordered = sorted(values)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return of


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table. `ratio_min` is a goal for ours/theirs, `ours_max` one for ours alone."""

    title: str
    measure: str
    unit: str
    summary: Summary = median
    divisor: float = 1.0
    digits: int = 0
    ratio_min: float | None = None
    ours_max: float | None = None
    compare: bool = False


P50, P99 = percentile(0.5), percentile(0.99)

ROWS: Final = (
    Row("repeats of 10,000 alerts, 100 a body", "repeats.rate", "alerts/s", ratio_min=1.4, compare=True),
    Row("storm of 50,000 in 500 services, 100 a body", "storm.rate", "alerts/s", ratio_min=1.2, compare=True),
    Row("one alert a request", "singles.rate", "alerts/s", ratio_min=0.5, compare=True),
    Row("  processor time, repeats", "repeats.cpu", "us/alert", digits=1, compare=True),
    Row("  processor time, storm", "storm.cpu", "us/alert", digits=1, compare=True),
    Row("  load generator and receiver, storm", "storm.generator", "us/alert", digits=1),
    Row("  alerts of the storm for each change of an incident", "storm.folded", "", digits=1),
    Row("  processor time, one a request", "singles.cpu", "us/alert", digits=1, compare=True),
    Row("POST to 2xx, idle, p99", "idle.page.answer.ms", "ms", P99, digits=1),
    Row("POST to page, idle, p50", "idle.page.ms", "ms", P50, digits=1),
    Row("POST to page, idle, p99", "idle.page.ms", "ms", P99, digits=1, ours_max=20),
    Row("  pages that did not come within a minute", "idle.page.lost", "", sum, ours_max=0),
    Row("POST to 2xx beside the storm, p99", "beside.page.answer.ms", "ms", P99, digits=1),
    Row("POST to page beside the storm, p50", "beside.page.ms", "ms", P50, digits=1),
    Row("POST to page beside the storm, p99", "beside.page.ms", "ms", P99, digits=1, ours_max=200),
    Row("  pages that did not come within a minute", "beside.page.lost", "", sum, ours_max=0),
    Row("  the storm itself, answered", "beside.answered", "alerts/s", compare=True),
    Row("acknowledgement beside the storm, p50", "beside.acknowledge.ms", "ms", P50, digits=1),
    Row("acknowledgement beside the storm, p99", "beside.acknowledge.ms", "ms", P99, digits=1, ours_max=100),
    Row("rung late, 100,000 timers pending, p50", "rung.late.ms", "ms", P50, digits=1),
    Row("rung late, 100,000 timers pending, p99", "rung.late.ms", "ms", P99, digits=1, ours_max=250),
    Row("  seen from outside, p99", "rung.seen.ms", "ms", P99, digits=1),
    Row("1,000 people paged at once", "fanout.1000.rate", "pages/s"),
    Row("  due to handed over, p50", "fanout.1000.late.ms", "ms", P50),
    Row("  due to handed over, p99", "fanout.1000.late.ms", "ms", P99),
    Row("  the same beside a provider that never answers", "fanout.1000.beside.rate", "pages/s"),
    Row("10,000 people paged at once", "fanout.10000.rate", "pages/s"),
    Row("  POST to the first page", "fanout.10000.first.ms", "ms"),
    Row("  due to handed over, p50", "fanout.10000.late.ms", "ms", P50),
    Row("  due to handed over, p99", "fanout.10000.late.ms", "ms", P99),
    Row("  people not paged within a minute", "fanout.10000.lost", "", sum, ours_max=0),
    Row("memory, idle (PSS)", "idle.pss", "MiB", divisor=MIB, ours_max=300),
    Row("memory, idle (RSS, shared pages counted twice)", "idle.rss", "MiB", divisor=MIB),
    Row("memory of an open incident (PSS)", "crowd.each", "kB", divisor=1000, digits=2),
    Row("incidents opened", "crowd.opened", "incidents/s"),
    Row("restart with 100,000 open, SIGTERM", "restart.SIGTERM.s", "s", digits=1, ours_max=10),
    Row("restart with 100,000 open, SIGKILL", "restart.SIGKILL.s", "s", digits=1, ours_max=10),
)

HEAD: Final = ("what", "unit", OURS, THEIRS, "ratio", "goal", "met")


def table(figures: Figures) -> str:
    """The lines of everything that was measured."""
    lines = [cells for row in ROWS if (cells := _cells(row, figures)) is not None]
    widths = [max(len(line[column]) for line in [HEAD, *lines]) for column in range(len(HEAD))]
    ruled = [HEAD, tuple("-" * width for width in widths), *lines]
    return "\n".join("| " + " | ".join(_laid(cell, widths[i], i) for i, cell in enumerate(line)) + " |" for line in ruled)


def _laid(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column < 2 else cell.rjust(width)


def _cells(row: Row, figures: Figures) -> tuple[str, ...] | None:
    found = figures.values.get(row.measure, {})
    if not found.get(OURS) and not found.get(THEIRS):
        return None
    ours, theirs = (row.summary(found[name]) / row.divisor if found.get(name) else None for name in (OURS, THEIRS))
    ratio = ours / theirs if ours is not None and theirs and row.compare else None
    goal, met = _judged(row, ours, ratio)
    shown = [f"{value:,.{row.digits}f}" if value is not None else "-" for value in (ours, theirs)]
    return (row.title, row.unit, *shown, f"{ratio:.2f}" if ratio is not None else "", goal, met)


def _judged(row: Row, ours: float | None, ratio: float | None) -> tuple[str, str]:
    if row.ratio_min is not None:
        goal, met = f">= {row.ratio_min:g} x", ratio is not None and ratio >= row.ratio_min
    elif row.ours_max is not None:
        goal, met = f"<= {row.ours_max:g} {row.unit}".rstrip(), ours is not None and ours <= row.ours_max
    else:
        return "", ""
    return goal, "yes" if met else "NO"


def shares(figures: Figures) -> str:
    """Where Tocsin's processor time and memory go, by process."""
    lines = []
    for measure, unit, divisor in (
        ("repeats.cpu", "us/alert", 1.0),
        ("storm.cpu", "us/alert", 1.0),
        ("singles.cpu", "us/alert", 1.0),
        ("fanout.1000.cpu", "us/page", 1.0),
        ("fanout.10000.cpu", "us/page", 1.0),
        ("idle.pss", "MiB", MIB),
        ("crowd.pss", "MiB", MIB),
    ):
        parts = {
            name.removeprefix(f"{measure}."): median(found[OURS]) / divisor
            for name, found in figures.values.items()
            if name.startswith(f"{measure}.") and found.get(OURS)
        }
        if parts:
            lines.append(f"{measure} ({unit}): " + ", ".join(f"{name} {value:.1f}" for name, value in sorted(parts.items())))
    return "\n".join(lines)


def surroundings(folder: Path) -> dict[str, str]:
    """What the figures depend on: machine, versions, what an fsync costs there, and how busy it was before."""
    version = subprocess.run([alertmanager_program(), "--version"], capture_output=True, text=True, check=False, timeout=10)
    words = (version.stdout + version.stderr).split()
    return {
        "processors": str(os.cpu_count()),
        "python": platform.python_version(),
        "alertmanager": words[words.index("version") + 1] if "version" in words else "unknown",
        "fsync_ms": f"{_fsync_ms(folder):.2f}",
        "load_before": f"{os.getloadavg()[0]:.2f}",
    }


def _fsync_ms(folder: Path) -> float:
    took = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(200):
            file.write(b"x" * 500)
            file.flush()
            began = monotonic()
            os.fdatasync(file.fileno())
            took.append((monotonic() - began) * 1000)
    return median(took)


def write_json(file: Path, figures: Figures, around: dict[str, str]) -> None:
    """Write every value of every run."""
    file.write_text(json.dumps({"surroundings": around, "faults": figures.faults, "values": figures.values}, indent=1), encoding="utf-8")
