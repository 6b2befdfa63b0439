"""How what people change about who is on call is laid onto a roster: one value for each change, one function that applies it.

Owns what a change is and what it leaves out. Knows nothing of permissions, texts or the store: the console makes changes, the store keeps
them as history, and applying that history from its beginning gives the present roster.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeVar

from tocsin.policy.roster import Absence, Override, Roster, Swap

ENDED_KEPT_MS: Final = 35 * 86_400_000
"""How long an entry stays in the roster after its end; the history keeps it for ever."""

ENTRIES_MAX: Final = 2_000
"""Entries a roster holds at most: each is asked at every page."""


@dataclass(frozen=True, slots=True)
class RosterChange:
    """One act of one person: what it adds (or, by their id, replaces), what it takes away, and who, why and when (ms UTC)."""

    act: str
    by: str
    at: int
    why: str = ""
    overrides: tuple[Override, ...] = ()
    absences: tuple[Absence, ...] = ()
    swaps: tuple[Swap, ...] = ()
    removed: tuple[str, ...] = ()


class RosterFull(ValueError):
    """There would be more entries than a roster may hold."""


class _Entry(Protocol):
    @property
    def id(self) -> str: ...


E = TypeVar("E", bound=_Entry)


def changed(roster: Roster, change: RosterChange) -> Roster:
    """Return the next version of a roster; what ended long ago leaves it. Raises RosterFull."""
    overrides = tuple(each for each in _laid(roster.overrides, change.overrides, change.removed) if _is_kept(each.until_at, change.at))
    absences = tuple(each for each in _laid(roster.absences, change.absences, change.removed) if _is_kept(each.until_at, change.at))
    swaps = tuple(each for each in _laid(roster.swaps, change.swaps, change.removed) if _is_kept(ended_at(each), change.at))
    if len(overrides) + len(absences) + len(swaps) > ENTRIES_MAX:
        raise RosterFull(f"a roster holds at most {ENTRIES_MAX} entries")
    return Roster(roster.version + 1, overrides, absences, swaps)


def replayed(changes: Iterable[RosterChange]) -> Roster:
    """Return the roster that all changes, oldest first, add up to."""
    roster = Roster()
    for change in changes:
        roster = changed(roster, change)
    return roster


def entries(roster: Roster) -> int:
    """Return how many entries a roster holds."""
    return len(roster.overrides) + len(roster.absences) + len(roster.swaps)


def ended_at(swap: Swap) -> int:
    """Return when the later turn of a swap is over."""
    return max(swap.first.until_at, swap.second.until_at)


def cut_short(entry: Override | Absence, now: int) -> Override | Absence | None:
    """Return an entry that ends now: what has been stays as it was. None when it has not begun, or has ended."""
    return replace(entry, until_at=now) if entry.from_at < now < entry.until_at else None


def _laid(present: tuple[E, ...], new: tuple[E, ...], removed: tuple[str, ...]) -> tuple[E, ...]:
    given = {each.id: each for each in new}
    stay = [given.pop(each.id, each) for each in present if each.id not in removed]
    return (*stay, *given.values())


def _is_kept(until_at: int, now: int) -> bool:
    return until_at > now - ENDED_KEPT_MS
