"""The frame of the answer page in three languages: `words_for(locale)` gives the words of one.

Owns the choice of the language and `PageWords`, what every language must be able to say. One class per language in a file of its own. What
an incident says itself (title, labels, names) is never translated; a method that takes such text takes it clean and only joins it to ours.
Where the words stand is in `console/answerview.py` and `console/pages/`. What the notifier writes is in `notifier/words/`; names of roles
and states are shared with it (`tocsin/runtime/languages.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

from console.words.chinese import Chinese
from console.words.english import English
from console.words.korean import Korean
from console.words.why import Why
from tocsin.runtime.languages import ENGLISH, LANGUAGES, language_of

__all__ = ["PageWords", "Why", "words_for", "words_for_browser"]

ACCEPTED_MAX: Final = 10
"""Languages of a browser that are looked at."""


class PageWords(Protocol):
    """What a language can say. `lang` is for HTML. Instants (`at`, `since`, `until`) are given as `time` writes them."""

    lang: str
    gap: str
    """Between sentences."""
    reader: tuple[str, str]
    """What stands before and after the reader's name."""

    def time(self, there: datetime, *, is_today: bool) -> str:
        """An instant on the reader's wall clock with the name of the zone, and the date unless it is today."""

    def ago(self, minutes: int) -> str:
        """How long ago, to the minute."""

    def since(self, at: str, ago: str) -> str:
        """When it began."""

    def severity(self, severity: int) -> str:
        """The severity, with its sign."""

    def state(self, state: str) -> str:
        """A state of an incident."""

    # Who has it, and what follows from it: sentences.
    nobody: str

    def yours(self, until: str) -> str:
        """The reader has it."""

    asked_again: str

    def held(self, holder: str, since: str, until: str) -> str:
        """Another has it."""

    assigned: str
    climbs_on: str
    nobody_else: str

    def over(self, at: str, by: str) -> str:
        """It is resolved; `by` is a name, `by_itself` or `by_monitoring`."""

    by_itself: str
    by_monitoring: str
    nothing_left: str

    def suppressed(self, reason: str) -> str:
        """It pages nobody."""

    nobody_paged: str
    clear: str
    resolves_itself: str

    def snoozed(self, until: str) -> str:
        """It is snoozed."""

    nobody_until: str

    # Buttons.
    take: str
    keep: str
    take_now: str
    take_over: str

    def take_all(self, count: int) -> str:
        """Takes all that nobody has."""

    def take_only(self, number: str) -> str:
        """Takes one of several."""

    # The rest of the page.
    together: str
    runbook: str
    hears: str
    next: str
    alerts: str
    """Before the counts, with what parts them."""

    def told(self, at: str) -> str:
        """When somebody's page went out."""

    unreached: str
    being_told: str
    emergency: str

    def next_people(self, people: Sequence[str], roles: Sequence[str], at: str) -> str:
        """Who is paged next: names, keys of roles, and when."""

    def counts(self, firing: int, resolved: int) -> str:
        """How many alerts fire and how many are over."""

    def alert_state(self, status: str) -> str:
        """The status of one alert."""

    def more(self, count: int) -> str:
        """Alerts that are not shown."""

    # Pages that say one thing.
    to_answer: str
    to_read: str

    def refused(self, why: Why, incident: str) -> tuple[str, str]:
        """Title and text, by `Why`; `incident` is its number, empty when it is not known."""


_BY_LANGUAGE: Final[Mapping[str, PageWords]] = {"en": English(), "ko": Korean(), "zh": Chinese()}


def words_for(locale: str) -> PageWords:
    """Return the words for a reader's locale."""
    return _BY_LANGUAGE[language_of(locale)]


def words_for_browser(accept_language: str) -> PageWords:
    """Return the words for whoever is not known: the first of the browser's languages that there are words for."""
    for part in accept_language.split(",", ACCEPTED_MAX)[:ACCEPTED_MAX]:
        language = part.partition(";")[0].strip().partition("-")[0].lower()
        if language in LANGUAGES:
            return _BY_LANGUAGE[language]
    return _BY_LANGUAGE[ENGLISH]
