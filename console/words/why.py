"""Why a page is not shown, or nothing was done: each language has a title and a text for it."""

from __future__ import annotations

from enum import Enum, auto


class Why(Enum):
    """A reason that people are told; the status of the answer is the caller's."""

    OTHER_SITE = auto()
    NOT_A_LINK = auto()
    EXPIRED = auto()
    NO_PERSON = auto()
    NOT_KEPT = auto()
    AWAY = auto()
    FAILED = auto()
