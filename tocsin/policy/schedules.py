"""Schedules, their layers and the roles that they fill, as values.

Owns their shape. Who is on shift is decided in `oncall.py` alone, when a turn begins in `rotation.py`, when a window is open in `hours.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.policy.hours import Hours, Window
from tocsin.policy.rotation import Every


@dataclass(frozen=True, slots=True)
class Layer:
    """People taking turns, counted from `starts`: local date and time, in the layer's zone or the schedule's.

    It ends at `until` (local as well) and applies only while one of the windows of `restrict` is open, if there are any; the turns are
    counted all the while.
    """

    rotation: tuple[str, ...]
    every: Every
    starts: str
    time_zone: str | None = None
    until: str | None = None
    restrict: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """Who takes turns in a role; a later layer wins where it applies. `hours` are those of its `holidays`, None without.

    Who comes on duty, and who goes off, is told `handover_notice_ms` before; 0: nobody is.
    """

    name: str
    time_zone: str
    layers: tuple[Layer, ...]
    holidays: str = ""
    hours: Hours | None = None
    handover_notice_ms: int = 0


@dataclass(frozen=True, slots=True)
class RoleCase:
    """Who holds a role while a window is open."""

    window: Window
    time_zone: str
    people: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Role:
    """A duty on the ladder, held by people, by whoever is on shift in schedules, and by those of the first case that is open."""

    name: str
    people: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()
    by_time: tuple[RoleCase, ...] = ()
