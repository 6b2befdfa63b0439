"""The regex engine: RE2, the language of Alertmanager's and Prometheus' regexes, in time linear in the text.

Owns the binding to google-re2 and its limits. Does not own what a pattern is used for: `tocsin.policy.matchers` takes
`compile_regex` as a parameter. Differences from Go's engine that remain: RE2 here also knows `\\C`.
"""

import functools

import re2

from tocsin.policy.matchers import RegexPattern

REGEX_LENGTH_MAX = 1_000
"""Characters of one pattern. People write tens; what is longer is a list that belongs into a label."""

REGEX_CACHE_MAX = 4_096
"""Compiled patterns kept. Beyond it the least used is compiled again when it is asked for, some 20 us."""


class RegexError(ValueError):
    """The pattern is not a regular expression of RE2."""


class _Pattern:
    """An RE2 pattern, anchored by `fullmatch`. `.` does not match a newline unless the pattern says (?s), as in Go."""

    __slots__ = ("_fullmatch",)

    def __init__(self, pattern: str) -> None:
        self._fullmatch = re2.compile(pattern, _options()).fullmatch

    def fullmatch(self, text: str, /) -> object | None:
        try:
            found: object | None = self._fullmatch(text)
        except UnicodeEncodeError:  # half a surrogate pair: Go reads it as the replacement character
            found = self._fullmatch(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
        return found


class _Words:
    """A pattern that only names words, `critical|page`, as most do: a look-up, where RE2 takes thirty times as long."""

    __slots__ = ("_words",)

    def __init__(self, pattern: str) -> None:
        self._words = frozenset(pattern.split("|"))

    def fullmatch(self, text: str, /) -> object | None:
        return text if text in self._words else None


def _only_names_words(pattern: str) -> bool:
    """Whether no character of a pattern means anything but itself, save the bars between the words."""
    return bool(pattern) and all(word and all(c.isascii() and (c.isalnum() or c in "_-") for c in word) for word in pattern.split("|"))


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False  # it writes to standard error
    options.never_capture = True  # only yes or no is wanted
    options.encoding = re2.Options.Encoding.UTF8
    return options


@functools.lru_cache(maxsize=REGEX_CACHE_MAX)
def compile_regex(pattern: str) -> RegexPattern:
    """Compile `pattern`, or raise RegexError with a text for the one who wrote it."""
    if len(pattern) > REGEX_LENGTH_MAX:
        raise RegexError(f"it has {len(pattern)} characters, at most {REGEX_LENGTH_MAX} are taken")
    if _only_names_words(pattern):
        return _Words(pattern)
    try:
        return _Pattern(pattern)
    except UnicodeEncodeError:
        raise RegexError("it holds half of a surrogate pair, which is not text") from None
    except re2.error as error:
        raise RegexError(_reason(error)) from None


def matches_nothing(pattern: str) -> bool:
    """Whether RE2 sees that no text can match a pattern: what is left of it is the one instruction that fails."""
    try:
        size: int = re2.compile(pattern, _options()).programsize
    except (re2.error, UnicodeEncodeError):
        return False
    return size == 1


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else "RE2 refuses it"
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
