import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.runtime.regex import REGEX_LENGTH_MAX, RegexError, compile_regex


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "missing )"),
        ("a{1001}", "invalid repetition size"),
        (r"(?=a)", "invalid perl operator"),
        (r"(a)\1", "invalid escape sequence"),
        ("a)(b", "unexpected )"),
        ("\ud800", "surrogate"),
        ("a" * (REGEX_LENGTH_MAX + 1), "at most 1000"),
    ],
)
def test_a_bad_pattern_is_refused_with_its_reason_and_nothing_on_standard_error(
    pattern: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RegexError, match=reason.replace("(", r"\(").replace(")", r"\)")):
        compile_regex(pattern)
    assert capfd.readouterr().err == ""


def test_a_pattern_of_the_longest_length_is_taken() -> None:
    assert compile_regex("a" * REGEX_LENGTH_MAX).fullmatch("a" * REGEX_LENGTH_MAX)


def test_a_pattern_is_compiled_once() -> None:
    assert compile_regex("db-[0-9]+") is compile_regex("db-[0-9]+")


def test_half_a_surrogate_pair_in_a_text_is_the_replacement_character() -> None:
    assert compile_regex("a\ufffdb").fullmatch("a\ud83db")
    assert compile_regex("a🙂b").fullmatch("a🙂b")


@given(
    words=st.lists(st.text(alphabet="abcXYZ019_-", min_size=1, max_size=4), min_size=1, max_size=4),
    text=st.text(alphabet="abcXYZ019_-|\n", max_size=5),
)
def test_a_pattern_that_only_names_words_matches_what_re2_would(words: list[str], text: str) -> None:
    pattern = "|".join(words)
    for found in (text, *words, words[0] + "\n"):
        assert (compile_regex(pattern).fullmatch(found) is None) is (compile_regex(f"(?:{pattern})").fullmatch(found) is None)
