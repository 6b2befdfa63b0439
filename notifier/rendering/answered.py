"""What a person reads, or hears, after answering a page."""

from __future__ import annotations

from collections.abc import Sequence

from notifier.answers import Answered
from notifier.message import NAME_CHARACTERS_MAX
from notifier.words import Words, words_for
from tocsin.policy.model import State
from tocsin.runtime.text import clean, cut

NUMBERS_SHOWN_MAX = 5


def answered_line(answered: Answered | Sequence[Answered], locale: str, time_zone: str) -> str:
    """One line of everything that `answered_lines` says."""
    return " ".join(answered_lines((answered,) if isinstance(answered, Answered) else answered, locale, time_zone))


def answered_lines(answered: Sequence[Answered], locale: str, time_zone: str) -> tuple[str, ...]:
    """A line for all incidents that came to the same, those that could not be answered first."""
    words = words_for(locale)
    alike: dict[str, list[str]] = {}
    for one in sorted(answered, key=lambda each: each.outcome in {"done", "already"}):
        alike.setdefault(_sentence(one, words, time_zone), []).append(clean(one.incident))
    return tuple(sentence.replace(_NUMBERS, _named(numbers, words), 1) for sentence, numbers in alike.items())


def stranger_line(address: str, locale: str = "en") -> str:
    """To somebody whose address is nobody's contact: that nothing was done, and what to tell the administrator."""
    return words_for(locale).answered_stranger(cut(clean(address), NAME_CHARACTERS_MAX))


_NUMBERS = "\0"  # stands where the numbers come; no text that was cleaned holds it


def _sentence(answered: Answered, words: Words, time_zone: str) -> str:
    state = "" if answered.state is None else answered.state.value
    match answered.outcome:
        case "missing":
            return words.answered_missing(_NUMBERS)
        case "busy":
            return words.answered_busy(_NUMBERS)
        case "refused":
            return words.answered_refused(_NUMBERS, state)
        case "done" | "already" if answered.state is State.ACKNOWLEDGED and answered.holder:
            until = "" if answered.until is None else words.clock(answered.until, time_zone)
            return words.answered_taken(_NUMBERS, cut(clean(answered.holder), NAME_CHARACTERS_MAX), until)
        case _:
            return words.answered_state(_NUMBERS, state)


def _named(numbers: Sequence[str], words: Words) -> str:
    shown = ", ".join(numbers[:NUMBERS_SHOWN_MAX])
    more = len(numbers) - NUMBERS_SHOWN_MAX
    return shown + " " + words.and_more(more) if more > 0 else shown
