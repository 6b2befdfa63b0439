"""What follows from matchers without an alert to try them on: that a list of them can never hold, and that one list implies another.

Owns the reasoning. It never says more than it can prove: a pattern is only looked into when it names words (`critical|page`), when its
language is empty, or when it takes everything. `lint.py` makes warnings of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from tocsin.policy.matchers import Matcher, MatchOp, matcher_text
from tocsin.runtime.regex import matches_nothing

VALUES_MAX: Final = 100
"""Words of a pattern that are looked at one by one."""

_ALL: Final = frozenset({".*", "(.*)", "^.*$", "(?s).*"})
_WORD: Final = r"(?:[^\\.+*?()\[\]{}^$|]|\\[^A-Za-z0-9\\])*"
_WORDS: Final = re.compile(rf"{_WORD}(?:\|{_WORD})*")
_GROUPED: Final = re.compile(r"\^?\((?:\?:)?([^()]*)\)\$?")
_ANCHORED: Final = re.compile(r"\^?([^|^$]*[^|^$\\])\$?")
_BEHIND_THE_END: Final = re.compile(r"(?<!\\)\$[A-Za-z0-9_-](?![?*{])|(?<![\\?*}\[])[A-Za-z0-9_-]\^")


def words_of(pattern: str) -> frozenset[str] | None:
    """Return the texts that a pattern takes when it only names them, None when it does more."""
    for form in (_GROUPED, _ANCHORED):
        found = form.fullmatch(pattern)
        if found is not None and _WORDS.fullmatch(found[1]):
            pattern = found[1]
            break
    if not _WORDS.fullmatch(pattern) or pattern.count("|") >= VALUES_MAX:
        return None
    return frozenset(re.sub(r"\\(.)", r"\1", word) for word in re.split(r"(?<!\\)\|", pattern))


def values_of(matchers: Sequence[Matcher], name: str) -> frozenset[str] | None:
    """Return the values of a label with which every matcher on it holds, None when they cannot be counted."""
    own = [each for each in matchers if each.name == name]
    for each in own:
        named = frozenset({each.value}) if each.op is MatchOp.EQUAL else words_of(each.value) if each.op is MatchOp.REGEX else None
        if named is not None:
            return frozenset(value for value in named if all(other.matches({name: value}) for other in own))
    return None


def never_holds(matchers: Sequence[Matcher]) -> tuple[int, str] | None:
    """Return the index of a matcher because of which no alert can match, and why; None when some may."""
    for index, each in enumerate(matchers):
        if each.op is MatchOp.REGEX and is_empty(each.value):
            return index, f"{matcher_text(each)} matches no text at all"
        if each.op is MatchOp.NOT_REGEX and each.value in _ALL:
            return index, f"{matcher_text(each)} excludes every text"
        others = [other for other in matchers[:index] if other.name == each.name]
        for other in others:
            if {each.op, other.op} == {MatchOp.REGEX, MatchOp.NOT_REGEX} and each.value == other.value:
                return index, f"{matcher_text(each)} is the opposite of {matcher_text(other)}"
        if others and values_of([*others, each], each.name) == frozenset():
            return index, f"{matcher_text(each)} and {' and '.join(matcher_text(other) for other in others)} cannot both hold"
    return None


def is_empty(pattern: str) -> bool:
    """Whether no text matches a pattern, as far as can be seen: an empty class, or a letter behind the end or before the beginning."""
    plain = not any(part in pattern for part in ("|", "(", "[", "\\Q"))
    return matches_nothing(pattern) or (plain and _BEHIND_THE_END.search(pattern) is not None)


def implied(matcher: Matcher, by: Sequence[Matcher]) -> bool:
    """Whether a matcher holds for every alert for which all of a list do. False when that cannot be seen."""
    if matcher.op is MatchOp.REGEX and matcher.value in _ALL:
        return True
    own = [each for each in by if each.name == matcher.name]
    if matcher in own:
        return True
    values = values_of(own, matcher.name)
    if values is not None:
        return all(matcher.matches({matcher.name: value}) for value in values)
    excluded = frozenset({matcher.value}) if matcher.op is MatchOp.NOT_EQUAL else None
    if matcher.op is MatchOp.NOT_REGEX:
        excluded = words_of(matcher.value)
    if matcher.op is MatchOp.REGEX and matcher.value == ".+":
        excluded = frozenset({""})
    return excluded is not None and all(any(not each.matches({matcher.name: value}) for each in own) for value in excluded)


def implies(later: Sequence[Matcher], earlier: Sequence[Matcher]) -> bool:
    """Whether every alert that the later list matches is matched by the earlier one as well."""
    return all(implied(each, later) for each in earlier)


def alternatives(matchers: Sequence[Matcher]) -> Iterator[tuple[str, tuple[tuple[Matcher, ...], ...]]]:
    """Yield, for each label of which several values may hold, the list once for each of them: together they are the same."""
    for name in dict.fromkeys(each.name for each in matchers):
        values = values_of(matchers, name)
        if values is not None and len(values) > 1:
            rest = [each for each in matchers if each.name != name]
            pinned = replace(matchers[0], name=name, op=MatchOp.EQUAL, value="", pattern=None)
            yield name, tuple((*rest, replace(pinned, value=value)) for value in sorted(values))
