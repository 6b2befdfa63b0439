"""What a button in a chat carries: what it does, to which incidents, and for whom the message was. Signed, and small.

    !t2a-5-1.<27 characters>      take these three: numbers in base 36, each after the first as the step from the one before
    !T2a-5-1.<27 characters>      take these and all that the other buttons of the message name
    !r2a kim.<27 characters>      resolve this one; the message was for kim

A signature says that we made it, not who pressed: that is the provider's to say. The mark `!` keeps a value apart from the other texts that
are signed with the same key. Telegram takes 64 bytes for a button, so a bundle that needs more is spread over several.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from notifier.answers import Answers

NUMBERS_MAX: Final = 100
"""Incidents that one message may name."""

_MARK: Final = "!"
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


class Action(enum.StrEnum):
    """What a button does. `TAKE_ALL` takes what the message's other buttons name as well."""

    TAKE = "t"
    TAKE_ALL = "T"
    RESOLVE = "r"
    RESOLVE_ALL = "R"

    @property
    def takes(self) -> bool:
        """Whether it takes rather than resolves."""
        return self in {Action.TAKE, Action.TAKE_ALL}

    @property
    def of_all(self) -> bool:
        """Whether the message's other buttons count too."""
        return self in {Action.TAKE_ALL, Action.RESOLVE_ALL}


@dataclass(frozen=True, slots=True)
class Button:
    """A button of ours, read back. `numbers` are sorted; `person` is empty where the button does not say whose message it is in."""

    action: Action
    numbers: tuple[int, ...]
    person: str = ""


def write_button(answers: Answers, action: Action, numbers: Iterable[int], person: str = "") -> str:
    """Return the value of a button."""
    text = f"{_MARK}{action.value}{_pack(numbers)}"
    return answers.sign(f"{text} {person}" if person else text)


def read_button(answers: Answers, value: str) -> Button | None:
    """Return what a button's value says, None when it is not one that we wrote."""
    text = answers.unsign(value)
    if text is None or not text.startswith(_MARK):
        return None
    packed, _, person = text[2:].partition(" ")
    try:
        return Button(Action(text[1:2]), _unpack(packed), person)
    except ValueError:
        return None


def parts(answers: Answers, numbers: Sequence[int], bytes_max: int) -> list[tuple[int, ...]]:
    """Part numbers so that each part fits into one button without a person."""
    room = bytes_max - len(write_button(answers, Action.TAKE, ()))
    found: list[tuple[int, ...]] = []
    for number in sorted(set(numbers))[:NUMBERS_MAX]:
        if found and len(_pack((*found[-1], number))) <= room:
            found[-1] = (*found[-1], number)
        else:
            found.append((number,))
    return found


def _pack(numbers: Iterable[int]) -> str:
    ordered = sorted(set(numbers))
    steps = [number - before for before, number in zip([0, *ordered], ordered, strict=False)]
    return "-".join(_base36(step) for step in steps)


def _unpack(packed: str) -> tuple[int, ...]:
    numbers: list[int] = []
    for step in packed.split("-"):
        numbers.append((numbers[-1] if numbers else 0) + int(step, 36))
    return tuple(numbers)


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = _DIGITS[rest] + digits
    return digits or "0"
