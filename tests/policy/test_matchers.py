import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tocsin.policy.matchers import (
    Matcher,
    MatcherError,
    MatchOp,
    make_matcher,
    matcher_text,
    matches_all,
    parse_matcher,
    parse_matchers,
)
from tocsin.runtime.regex import compile_regex

VECTORS = json.loads((Path(__file__).parents[1] / "data/alertmanager/matchers.json").read_text(encoding="utf-8"))
# As the server does: a label with an empty value is no label.
ALERTS = [{name: value for name, value in labels.items() if value} for labels in VECTORS["alerts"]]


def parsed(text: str) -> Matcher:
    return parse_matcher(text, compile_regex)


def all_parsed(text: str) -> tuple[Matcher, ...]:
    return parse_matchers(text, compile_regex)


def parts(*matchers: Matcher) -> list[tuple[str, str, str]]:
    return [(matcher.name, matcher.op.value, matcher.value) for matcher in matchers]


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: repr(vector["input"]))
def test_a_filter_finds_what_alertmanager_0_33_finds(vector: dict[str, Any]) -> None:
    expected = vector["0.33.1"]
    if expected["status"] != 200:
        with pytest.raises(MatcherError):
            parsed(vector["input"])
        return
    matcher = parsed(vector["input"])
    assert [index for index, labels in enumerate(ALERTS) if matcher.matches(labels)] == expected["matched_i"]


READINGS = [
    ('foo="bar"', ("foo", "=", "bar")),
    ("\tfoo\n=\f\r bar \n", ("foo", "=", "bar")),
    ("foo:bar_1!=x", ("foo:bar_1", "!=", "x")),
    ("foo=", ("foo", "=", "")),
    ("foo=~", ("foo", "=~", "")),
    ("foo==bar", ("foo", "=", "=bar")),
    ("foo=a\nb", ("foo", "=", "a\nb")),
    ('foo="a\nb"', ("foo", "=", "a\nb")),
    ("foo=\xa0bar", ("foo", "=", "\xa0bar")),
    ("foo=bar,", ("foo", "=", "bar,")),
    ("foo='a'", ("foo", "=", "'a'")),
    ('foo=a"', None),
    ('foo="', None),
    ('foo="a"b"', None),
    ('foo="a\\"', None),
    ("foo=a\\", ("foo", "=", "a\\")),
    (r'foo="\t"', ("foo", "=", r"\t")),
    (r'foo="\x\\n\"\n"', ("foo", "=", '\\x\\n"\n')),
    (r'"foo"="\t\x41\101\u00e9\U0001F642\xf0\x9f\x99\x82"', ("foo", "=", "\tAAé🙂🙂")),
    (r'"a\"b"=c', ('a"b', "=", "c")),
    ('"foo"="bar",', ("foo", "=", "bar")),
    (' {"foo"=bar} ', ("foo", "=", "bar")),
    ('서비스!~"결제.*"', ("서비스", "!~", "결제.*")),
    ("a.b=c-d", ("a.b", "=", "c-d")),
    ('""=x', ("", "=", "x")),
    (r'foo=~"\U0001F642"', ("foo", "=~", "🙂")),
    (r'"foo"="\d"', None),
    (r'"foo"="\'"', None),
    (r'"foo"="\xff"', None),
    (r'"foo"="\777"', None),
    (r'"foo"="\ud800"', None),
    (r'"foo"="\U00110000"', None),
    ('"foo"="a\nb"', None),
    ('"foo"=bar baz', None),
    ('"foo"=`bar`', None),
    ('"foo"=', None),
    ('"foo"!bar', None),
    ('"foo"=a,"bar"=b', None),
    ("foo=a}", None),
    ("{foo=a", None),
    ("{foo=a}", None),
    ("foo=~a{2}", None),
    ("foo~bar", None),
    ("foo=\ud800", None),
    ("foo\x1c=bar", ("foo\x1c", "=", "bar")),
]


@pytest.mark.parametrize(("text", "expected"), READINGS)
def test_one_matcher_is_read_as_in_the_fallback_mode(text: str, expected: tuple[str, str, str] | None) -> None:
    if expected is None:
        with pytest.raises(MatcherError):
            parsed(text)
    else:
        assert parts(parsed(text)) == [expected]


LISTS = [
    ("", []),
    ("{}", []),
    (" { } ", []),
    ("{", []),
    ('{a="b",c=~"d"}', [("a", "=", "b"), ("c", "=~", "d")]),
    ('a="b", c!="d" ,', [("a", "=", "b"), ("c", "!=", "d")]),
    ("{foo=~a{2}}", [("foo", "=~", "a{2}")]),
    ('foo="a,b",c=d', [("foo", "=", "a,b"), ("c", "=", "d")]),
    (r'foo="a\",b",c=d', [("foo", "=", 'a",b'), ("c", "=", "d")]),
    ("foo=bar}", [("foo", "=", "bar")]),
    ("a=b,\u3000c=d\u3000", [("a", "=", "b"), ("c", "=", "d")]),
    ('{"a.b"=c,서비스="결제",}', [("a.b", "=", "c"), ("서비스", "=", "결제")]),
    (r'{foo="\t","a.b"=c}', [("foo", "=", "\t"), ("a.b", "=", "c")]),
    ('{"a.b"=c', None),
    ('"a.b"=c}', None),
    ("}{", None),
    (",", None),
    ("a=b,,c=d", None),
    ('{"a.b"=c}d=e', None),
    ('"a.b"=c d=e', None),
]


@pytest.mark.parametrize(("text", "expected"), LISTS)
def test_a_list_of_matchers_may_stand_in_braces(text: str, expected: list[tuple[str, str, str]] | None) -> None:
    if expected is None:
        with pytest.raises(MatcherError):
            all_parsed(text)
    else:
        assert parts(*all_parsed(text)) == expected


ERRORS = [
    ("foo", 3, "expected an operator here"),
    ("=bar", 0, "expected a label name here"),
    ('foo="bar', 4, "not closed"),
    ('team="a"b"', 9, "not closed"),
    ('team="a"b', 8, "expected the end"),
    ('foo=~"("', 5, "not a regular expression: missing )"),
    ("foo=a}", 5, "unexpected }"),
    ("{foo=a}", 0, "unexpected {"),
    (r'"foo"="a\d"', 8, r"\d is not an escape"),
    ('"foo"!bar', 5, "expected an operator"),
    ("f'oo=bar", 1, "' must stand inside double quotes"),
    ("foo=~" + "a" * 1001, 5, "1001 characters, at most 1000"),
]


@pytest.mark.parametrize(("text", "position", "message"), ERRORS)
def test_an_error_says_what_was_expected_and_where(text: str, position: int, message: str) -> None:
    with pytest.raises(MatcherError) as caught:
        parsed(text)
    assert (caught.value.position, message in caught.value.message) == (position, True), caught.value.message
    assert str(caught.value) == caught.value.message


def test_an_error_in_a_list_counts_from_the_beginning_of_the_text() -> None:
    with pytest.raises(MatcherError) as caught:
        all_parsed('{team="a", foo=~"("}')
    assert caught.value.position == 16


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ('x=""', {}, True),
        ('x=""', {"x": "1"}, False),
        ('x!=""', {}, False),
        ('x!="a"', {}, True),
        ('x=~"a|"', {}, True),
        ('x!~"a"', {}, True),
        ('x=~"a"', {"x": "a\n"}, False),
        ('x=~"a$"', {"x": "a\n"}, False),
        ('x=~"a|ab"', {"x": "ab"}, True),
        ('x=~"a.b"', {"x": "a\nb"}, False),
        ('x=~"(?s)a.b"', {"x": "a\nb"}, True),
        ('x=~"(?i)ÉTÉ"', {"x": "été"}, True),
        ('x=~"결.*"', {"x": "결제"}, True),
        ('x=~"..."', {"x": "a🙂서"}, True),
        ('x=~"a."', {"x": "a\ud800"}, True),
        ('x=~"(a+)+b"', {"x": "a" * 10_000}, False),
    ],
)
def test_labels_match_at_both_ends_and_an_absent_one_counts_as_empty(text: str, labels: dict[str, str], expected: bool) -> None:
    assert parsed(text).matches(labels) is expected


def test_every_matcher_of_a_list_must_hold() -> None:
    matchers = all_parsed('team="payments",severity=~"critical|page"')
    assert matches_all(matchers, {"team": "payments", "severity": "page"})
    assert not matches_all(matchers, {"team": "payments", "severity": "info"})
    assert matches_all((), {"team": "payments"})


def test_matchers_are_equal_by_what_they_say() -> None:
    assert parsed('foo=~"a.*"') == parsed(" foo =~ a.* ") == make_matcher("foo", MatchOp.REGEX, "a.*", compile_regex)
    assert len({parsed('foo=~"a"'), parsed("foo=~a"), parsed("foo=a")}) == 2


def test_a_pattern_that_does_not_compile_is_refused_from_parts_too() -> None:
    with pytest.raises(MatcherError, match="not a regular expression"):
        make_matcher("foo", MatchOp.NOT_REGEX, "(", compile_regex)


texts = st.text(alphabet=st.one_of(st.characters(codec="utf-8"), st.sampled_from(" \t\n{}!=~,\\\"'`abn\xa0\x1c")))
anything = st.text(alphabet=st.one_of(st.sampled_from(" \t\n{}!=~,\\\"'`abfox01\u3000"), st.characters()))
matchers = st.builds(
    make_matcher,
    texts,
    st.sampled_from([MatchOp.EQUAL, MatchOp.NOT_EQUAL]),
    texts,
    st.just(compile_regex),
)


@given(matchers)
@example(make_matcher("foo", MatchOp.EQUAL, "}", compile_regex))
@example(make_matcher("a b", MatchOp.EQUAL, '\\",\n', compile_regex))
def test_the_canonical_text_reads_back_as_the_same_matcher(matcher: Matcher) -> None:
    assert parsed(matcher_text(matcher)) == matcher
    assert all_parsed(matcher_text(matcher)) == (matcher,)


@given(st.lists(matchers, max_size=4))
def test_canonical_texts_joined_in_braces_read_back_as_the_same_list(several: list[Matcher]) -> None:
    text = "{" + ",".join(matcher_text(matcher) for matcher in several) + "}"
    assert all_parsed(text) == tuple(several)


@given(texts, st.from_regex(r"[a-z.|*+()\\\[\]\"]{0,12}", fullmatch=True))
def test_a_regex_matcher_reads_back_from_its_canonical_text(name: str, pattern: str) -> None:
    try:
        matcher = make_matcher(name, MatchOp.REGEX, pattern, compile_regex)
    except MatcherError:
        return
    assert parsed(matcher_text(matcher)) == matcher


def outcome(parse: Callable[[str], tuple[Matcher, ...]], text: str) -> tuple[Matcher, ...] | MatcherError:
    try:
        return parse(text)
    except MatcherError as error:
        return error


@given(anything)
@example('foo="a\\,"')
@example('"\\')
@example("{\ud800}")
def test_any_text_is_a_matcher_or_an_error_at_a_place_in_it(text: str) -> None:
    for parse in (lambda text: (parsed(text),), all_parsed):
        found = outcome(parse, text)
        if isinstance(found, MatcherError):
            assert 0 <= found.position <= len(text)
            assert found.message
        else:
            assert all_parsed(",".join(matcher_text(matcher) for matcher in found)) == found


@given(texts, st.dictionaries(texts, texts, max_size=4), texts)
def test_a_negated_matcher_says_the_opposite(name: str, labels: dict[str, str], value: str) -> None:
    yes = make_matcher(name, MatchOp.EQUAL, value, compile_regex)
    no = make_matcher(name, MatchOp.NOT_EQUAL, value, compile_regex)
    assert yes.matches(labels) is not no.matches(labels)
    assert yes.matches(labels) is (labels.get(name, "") == value)
