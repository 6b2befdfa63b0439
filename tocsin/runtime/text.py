"""Text that strangers wrote, made fit to stand in ours: `clean` takes out what cannot be seen, `cut` shortens.

The one home of both, for pages, the console's pages and the terminal. Escaping for HTML, Slack or XML is the business of who writes those.
"""

from __future__ import annotations

import unicodedata

_JOINERS = "\u200c\u200d"  # written in Persian and in emoji, harmless without bidi marks
_UNSEEN = frozenset({"Cc", "Cf", "Cs"})


def clean(text: str) -> str:
    """One line: no control, bidi or other invisible characters, no halves of surrogate pairs, single spaces."""
    return " ".join("".join(character for character in text if _is_shown(character)).split())


def cut(text: str, characters_max: int, *, mark: str = "…") -> str:
    """The text, or its beginning and a mark; a letter keeps its accents and an emoji what it is joined to."""
    if len(text) <= characters_max:
        return text
    end = max(characters_max - len(mark), 0)
    while end > 0 and (unicodedata.category(text[end]).startswith("M") or "\u200d" in text[end - 1 : end + 1]):
        end -= 1
    return (text[:end].rstrip() + mark)[:characters_max]


def _is_shown(character: str) -> bool:
    """Whether it prints or parts words; line and paragraph separators count as white space, as str.split has it."""
    return character.isspace() or character in _JOINERS or unicodedata.category(character) not in _UNSEEN
