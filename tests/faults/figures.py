"""What a fault test measured: a named figure of a row of the catalogue, with the bound that it is held to.

Owns the figure's shape and how it travels: as a property of the test's report, which `python -m tests.faults` collects. A test says

    figure(1, "answered and missing", len(missing), at_most=0)

and fails there when the figure is beyond its bound. Bounds of latencies have slack, because machines are shared; counts have none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

PROPERTY: Final = "figure"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number; `at_most` or `at_least` is its bound, neither means that it is only told."""

    row: int
    name: str
    value: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def holds(self) -> bool:
        return (self.at_most is None or self.value <= self.at_most) and (self.at_least is None or self.value >= self.at_least)

    @property
    def shown(self) -> str:
        """As people read it: `answered and missing 0 (at most 0)`."""
        bound = f" (at most {_number(self.at_most)})" if self.at_most is not None else ""
        bound += f" (at least {_number(self.at_least)})" if self.at_least is not None else ""
        return f"{self.name} {_number(self.value)}{' ' if self.unit else ''}{self.unit}{bound}"

    def larger(self, other: Figure) -> Figure:
        """Of two measurements of one figure the larger: a worse one, or, where more is better, the longer of two runs."""
        return max(self, other, key=lambda figure: figure.value)

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value not in (None, "")}

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> Figure:
        return Figure(**found)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:.3g}"


class Figures(Protocol):
    """The fixture `figure`."""

    def __call__(
        self, row: int, name: str, value: float, unit: str = "", *, at_most: float | None = None, at_least: float | None = None
    ) -> None: ...


def recording(record_property: Callable[[str, object], None]) -> Figures:
    """Note figures on the report of the running test, and hold each to its bound."""

    def figure(row: int, name: str, value: float, unit: str = "", *, at_most: float | None = None, at_least: float | None = None) -> None:
        found = Figure(row, name, value, unit, at_most, at_least)
        record_property(PROPERTY, found.to_json())
        assert found.holds, f"row {row}: {found.shown}"

    return figure
