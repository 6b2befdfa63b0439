"""What people write, durations and matchers: any text is read or refused by name; what was read is written so that it reads the same."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pytest
from hypothesis import example
from hypothesis import strategies as st

from tests.fuzz.budget import Budget
from tocsin.policy.durations import DURATION_MS_MAX, DurationError, format_duration, parse_duration_ms
from tocsin.policy.matchers import Matcher, MatcherError, MatchOp, make_matcher, matcher_text, parse_matcher, parse_matchers
from tocsin.runtime.regex import REGEX_LENGTH_MAX, RegexError, compile_regex

VECTORS = json.loads((Path(__file__).parents[1] / "data/alertmanager/matchers.json").read_text(encoding="utf-8"))["vectors"]
WRITTEN = [vector["input"] for vector in VECTORS]
PIECES = [
    *WRITTEN,
    "{",
    "}",
    ",",
    "=",
    "!=",
    "=~",
    "!~",
    '"',
    "\\",
    "'",
    "`",
    "\\n",
    "\\x41",
    "\\u00e9",
    "\\ud800",
    "\\777",
    "(",
    "[",
    "a{1001}",
    "\0",
]
PIECES += ["foo", "a.b", "서비스", "🙂", "\ud800", "\u3000", "\x85", " ", "\n", "(?i)", "\\C", "\\Q", "\\pN", "x" * 1001]

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", bound=ValueError)

texts = st.text() | st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=8).map("".join)
words = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
duration_texts = st.text() | st.lists(
    st.sampled_from([*"ywdhms", "ms", "0", "1", "007", "9" * 19, "٣", " ", "-", "+", ".", "_", "e"]), max_size=10
).map("".join)


def outcome(refusal: type[R], read: Callable[P, T], *given: P.args, **more: P.kwargs) -> T | R:
    """What was read, or the one refusal that the reader documents; any other exception is a fault."""
    try:
        return read(*given, **more)
    except refusal as refused:
        return refused


def test_any_text_is_a_duration_that_is_written_back_or_is_refused_by_name(budget: Budget) -> None:
    @example(text="9" * 64 + "y")
    @example(text="1_0s")
    @example(text="\ud800")
    def holds(text: str) -> None:
        found_ms = outcome(DurationError, parse_duration_ms, text)
        if isinstance(found_ms, DurationError):
            assert str(found_ms).isprintable()
            assert "Write" in str(found_ms)
            return
        assert 0 <= found_ms <= DURATION_MS_MAX
        assert re.fullmatch(r"0|([0-9]+[ywdhms]+)+", text)
        assert parse_duration_ms(format_duration(found_ms)) == found_ms

    budget.spend(holds, text=duration_texts)


def test_every_duration_is_written_so_that_it_reads_the_same(budget: Budget) -> None:
    def holds(duration_ms: int) -> None:
        assert parse_duration_ms(format_duration(duration_ms)) == duration_ms

    budget.spend(holds, duration_ms=st.integers(0, DURATION_MS_MAX))


def same(one: Matcher, other: Matcher) -> bool:
    return (one.name, one.op, one.value) == (other.name, other.op, other.value)


def test_any_text_is_matchers_that_are_written_back_or_is_refused_where_it_is_wrong(budget: Budget) -> None:
    @example(text='"a\\"="x"')
    @example(text="a=~\\C")
    @example(text="a=~" + "(" * 1_000)
    def holds(text: str) -> None:
        found = outcome(MatcherError, parse_matchers, text, compile_regex)
        if isinstance(found, MatcherError):
            assert 0 <= found.position <= len(text)
            assert found.message
            return
        for matcher in found:
            assert same(parse_matcher(matcher_text(matcher), compile_regex), matcher)
            assert isinstance(matcher.matches({matcher.name: matcher.value}), bool)
        together = "{" + ",".join(map(matcher_text, found)) + "}"
        assert all(map(same, parse_matchers(together, compile_regex), found))

    budget.spend(holds, text=texts)


def test_one_matcher_is_the_same_alone_and_in_a_list(budget: Budget) -> None:
    @example(text="foo=a,b=c")
    def holds(text: str) -> None:
        alone = outcome(MatcherError, parse_matcher, text, compile_regex)
        if isinstance(alone, MatcherError):
            assert 0 <= alone.position <= len(text)
            return
        assert same(parse_matcher(matcher_text(alone), compile_regex), alone)
        (listed,) = parse_matchers(matcher_text(alone), compile_regex)
        assert same(listed, alone)

    budget.spend(holds, text=texts)


def test_every_matcher_is_written_so_that_it_reads_the_same(budget: Budget) -> None:
    @example(name="", op=MatchOp.EQUAL, value="")
    @example(name='a"\\\n', op=MatchOp.NOT_EQUAL, value='a"\\\n')
    def holds(name: str, op: MatchOp, value: str) -> None:
        made = outcome(MatcherError, make_matcher, name, op, value, compile_regex)
        if isinstance(made, MatcherError):
            assert op.is_regex
            assert made.position == 0
            return
        assert same(parse_matcher(matcher_text(made), compile_regex), made)
        (listed,) = parse_matchers("{" + matcher_text(made) + ",}", compile_regex)
        assert same(listed, made)
        assert made.matches({name: value}) is (op is MatchOp.EQUAL) or op.is_regex

    budget.spend(holds, name=words, op=st.sampled_from(MatchOp), value=words)


def test_any_pattern_is_compiled_or_refused_and_looks_at_any_text(budget: Budget) -> None:
    atoms = [
        "a",
        ".",
        "*",
        "+",
        "?",
        "(",
        ")",
        "[",
        "]",
        "{2}",
        "{1000}",
        "|",
        "^",
        "$",
        "\\",
        "(?:",
        "(?P<x>",
        "\\pL",
        "\\x{10FFFF}",
        "\\C",
        "\0",
    ]
    patterns = st.text() | st.lists(st.sampled_from(atoms) | st.text(max_size=2), max_size=12).map("".join)

    @example(pattern="(((a{100}){100}){100})", text="a")
    @example(pattern="\ud800", text="\ud800")
    @example(pattern=".", text="\ud83d\ude42")
    @example(pattern="x" * (REGEX_LENGTH_MAX + 1), text="")
    def holds(pattern: str, text: str) -> None:
        compiled = outcome(RegexError, compile_regex, pattern)
        if isinstance(compiled, RegexError):
            assert str(compiled)
            return
        compiled.fullmatch(text)

    budget.spend(holds, pattern=patterns, text=st.text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: repr(vector["input"]))
def test_what_alertmanager_reads_is_written_so_that_it_reads_the_same(vector: dict[str, Any]) -> None:
    if vector["0.33.1"]["status"] == 200:
        found = parse_matcher(vector["input"], compile_regex)
        assert same(parse_matcher(matcher_text(found), compile_regex), found)
    else:
        with pytest.raises(MatcherError):
            parse_matcher(vector["input"], compile_regex)
