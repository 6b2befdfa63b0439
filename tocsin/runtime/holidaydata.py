"""Public holidays of a country or region, from the `holidays` package into a frozen value of dates.

Owns the only use of that package: the policy sees numbers of days. It is imported when a file names holidays, and a country is read once
for a process. Names are in the country's own language, whatever the environment says.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Final

from tocsin.policy.hours import Holidays
from tocsin.policy.wallclock import date_of, day_of

FIRST_YEAR: Final = 2020
LAST_YEAR: Final = 2040

YEARS_RUNNING: Final = 5
"""So many years in a row with worked weekends make a year without any doubtful."""


class RegionUnknown(ValueError):
    """There are no holidays of this country or region; `known` are the codes that come nearest in kind."""

    def __init__(self, region: str, known: tuple[str, ...]) -> None:
        super().__init__(f"unknown country or region {region}")
        self.known = known


@cache
def holidays_of(region: str) -> Holidays:
    """Return the holidays of `KR`, `CN`, `US-CA` ..., those that the package knows between 2020 and 2040; raises RegionUnknown."""
    import holidays  # noqa: PLC0415  most files name none, and the import takes a sixth of a second

    country, dash, part = region.partition("-")
    supported = holidays.list_supported_countries()
    if country not in supported:
        raise RegionUnknown(region, tuple(supported))
    if dash and part not in supported[country]:
        raise RegionUnknown(region, tuple(f"{country}-{each}" for each in supported[country]))
    kind = getattr(holidays, country)
    first, last = max(FIRST_YEAR, kind.start_year), min(LAST_YEAR, kind.end_year)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of years without data, which we do not ask for
        found = kind(subdiv=part or None, years=range(first, last + 1), language=kind.default_language)
    working = frozenset(day_of(day) for day in found.weekend_workdays if first <= day.year <= last)
    incomplete = _incomplete({date_of(day).year for day in working}, first, last)
    return Holidays(region, {day_of(day): name for day, name in found.items()}, working, first, last, incomplete)


def _incomplete(years_with: set[int], first: int, last: int) -> tuple[int, ...]:
    """Return the years at the end that have no worked weekends though every year before had: their exchange days are not published."""
    if not years_with:
        return ()
    newest = max(years_with)
    running = range(newest - YEARS_RUNNING + 1, newest + 1)
    return tuple(range(newest + 1, last + 1)) if running[0] >= first and all(year in years_with for year in running) else ()
