"""What people have changed about who is on call, as values: overrides, absences, swaps.

Owns their shape and when each counts. `oncall.py` alone resolves them together with the rotations; the store keeps them as one small
document with a version, followed by every process. Intervals are half-open: `from_at` counts, `until_at` does not.

Rules that hold everywhere:
- An override speaks about what the rotation says, never about the result of another override. The newest wins (`made_at`; of equals the
  later in the list).
- `replaces` limits an override to the shifts of that person: those of the person's own turns and those in which the person stands in.
- An absence makes room for the next in turn. It ends an override to that person that was made before it; an override made after it (or at
  the same instant) stands, because whoever made it could know.
- A swap is two overrides, which count from the moment at which both have agreed.
- Overrides to people whom the rules do not name do not count.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple


class OverrideKind(enum.StrEnum):
    """How an override came about; all of them mean the same to the calendar."""

    OVERRIDE = "override"
    TAKE = "take"
    COVER = "cover"
    SWAP = "swap"


class AbsenceKind(enum.StrEnum):
    """Why somebody is not there: away for minutes, or on leave."""

    AWAY = "away"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Override:
    """In this interval `person` is on shift in place of whom the rotation names, or only of `replaces`."""

    id: str
    schedule: str
    person: str
    from_at: int
    until_at: int
    replaces: str | None = None
    kind: OverrideKind = OverrideKind.OVERRIDE
    why: str = ""
    by: str = ""
    made_at: int = 0


@dataclass(frozen=True, slots=True)
class Absence:
    """In this interval `person` is not there, whatever the duty."""

    id: str
    person: str
    from_at: int
    until_at: int
    why: str = ""
    by: str = ""
    made_at: int = 0
    kind: AbsenceKind = AbsenceKind.AWAY


class Turn(NamedTuple):
    """What one person gives away in a swap: the shifts of `person` in this interval."""

    person: str
    from_at: int
    until_at: int


@dataclass(frozen=True, slots=True)
class Swap:
    """A proposal: each takes the other's turn. `agreed` names who has agreed; `agreed_at` is when the second did."""

    id: str
    schedule: str
    first: Turn
    second: Turn
    proposed_by: str
    agreed: tuple[str, ...] = ()
    why: str = ""
    made_at: int = 0
    agreed_at: int | None = None

    @property
    def counts(self) -> bool:
        """Whether both have agreed."""
        return self.first.person in self.agreed and self.second.person in self.agreed

    def overrides(self) -> tuple[Override, ...]:
        """Return what the swap means once both have agreed; nothing before."""
        if not self.counts:
            return ()
        made_at = self.made_at if self.agreed_at is None else self.agreed_at
        sides = ((self.second.person, self.first), (self.first.person, self.second))
        return tuple(
            Override(
                f"{self.id}/{number}",
                self.schedule,
                person,
                turn.from_at,
                turn.until_at,
                turn.person,
                OverrideKind.SWAP,
                self.why,
                self.proposed_by,
                made_at,
            )
            for number, (person, turn) in enumerate(sides, start=1)
        )


@dataclass(frozen=True)
class Roster:
    """Everything that people have changed, at one version. Without slots: what is asked again and again is kept beside it."""

    version: int = 0
    overrides: tuple[Override, ...] = ()
    absences: tuple[Absence, ...] = ()
    swaps: tuple[Swap, ...] = ()

    @cached_property
    def _newest_first(self) -> dict[str, tuple[Override, ...]]:
        """Map each schedule to its overrides, those of agreed swaps included, the newest first."""
        every = [*self.overrides, *(override for swap in self.swaps for override in swap.overrides())]
        every.sort(key=lambda override: override.made_at)
        found: dict[str, list[Override]] = {}
        for override in reversed(every):
            if override.from_at < override.until_at:
                found.setdefault(override.schedule, []).append(override)
        return {schedule: tuple(overrides) for schedule, overrides in found.items()}

    @cached_property
    def _absent(self) -> dict[str, tuple[Absence, ...]]:
        found: dict[str, list[Absence]] = {}
        for absence in self.absences:
            if absence.from_at < absence.until_at:
                found.setdefault(absence.person, []).append(absence)
        return {person: tuple(absences) for person, absences in found.items()}

    def overrides_of(self, schedule: str) -> tuple[Override, ...]:
        """Return what counts for a schedule, the newest first."""
        return self._newest_first.get(schedule, ())

    def overrides_at(self, schedule: str, at: int) -> tuple[Override, ...]:
        """Return the overrides that hold at an instant, the newest first."""
        return tuple(each for each in self._newest_first.get(schedule, ()) if each.from_at <= at < each.until_at)

    def is_absent(self, person: str, at: int) -> bool:
        """Whether somebody is away at an instant."""
        return any(each.from_at <= at < each.until_at for each in self._absent.get(person, ()))

    def stands(self, override: Override, at: int) -> bool:
        """Whether the override's person is there for it: not away, or away by an absence that is older than the override."""
        absences = self._absent.get(override.person, ())
        return not any(each.from_at <= at < each.until_at and each.made_at > override.made_at for each in absences)

    def during(self, schedule: str, from_at: int, to_at: int) -> Roster:
        """Return what of it can matter to a schedule in an interval, so that a long record costs a short question nothing."""
        return Roster(
            self.version,
            tuple(each for each in reversed(self.overrides_of(schedule)) if each.from_at < to_at and each.until_at > from_at),
            tuple(each for each in self.absences if each.from_at < to_at and each.until_at > from_at),
        )
