"""The frame's words: every language has all of them, and none speaks another."""

import inspect
import re
from collections.abc import Iterator

import pytest

from notifier.words import Words, words_for
from tocsin.policy.model import PageKind, State

LOCALES = ("en", "ko", "zh")
SEOUL = "Asia/Seoul"
OPENED_AT = 1_795_370_047_000  # 2026-11-22T17:54:07Z, 02:54:07 the next day in Seoul

# What may stand in Korean and Chinese: abbreviations, names of zones, what the caller gave (lower case below), units of no language.
FOREIGN = re.compile(r"KST|UTC|CST|Asia/Seoul|CS|INC|x+")
GIVEN: dict[str, object] = {"str": "x", "int": 2, "int | None": 2, "float": 4000.0, "Sequence[str]": ("x", "x")}


def everything_said(words: Words) -> Iterator[tuple[str, str]]:
    """Every text of a language, with its name; times of a known instant, every kind of page in every state."""
    for name in Words.__annotations__:
        value = getattr(words, name)
        if isinstance(value, str) and name not in {"lang", "voice"}:
            yield name, value
    for name, method in inspect.getmembers(Words, inspect.isfunction):
        if name.startswith("_"):
            continue
        wanted = {key: parameter.annotation for key, parameter in inspect.signature(method).parameters.items() if key != "self"}
        for given in arguments(wanted):
            yield f"{name}({given})", getattr(words, name)(**given)


def arguments(wanted: dict[str, str]) -> Iterator[dict[str, object]]:
    known: dict[str, list[object]] = {
        "kind": [kind.value for kind in PageKind],
        "state": [state.value for state in State],
        "at": [OPENED_AT],
        "now": [OPENED_AT, OPENED_AT + 100_000_000],
        "time_zone": [SEOUL],
        "severity": [1, 2, 3, 4],
        "key": ["duty-engineer", "customer-service-engineer", "technical-support-lead", "general-manager"],
        "role": ["duty-engineer"],
        "roles": [("technical-support-lead", "general-manager")],
        "length_s": [0, 1080, 90_061],
    }
    found: list[dict[str, object]] = [{}]
    for name, kind in wanted.items():
        values = known.get(name, [GIVEN[kind]])
        found = [{**one, name: value} for one in found for value in values]
    yield from found


@pytest.mark.parametrize("locale", LOCALES)
def test_every_language_has_every_word(locale: str) -> None:
    words = words_for(locale)
    wanted = [*Words.__annotations__, *(name for name, _ in inspect.getmembers(Words, inspect.isfunction) if not name.startswith("_"))]
    assert [name for name in wanted if not hasattr(words, name)] == []
    assert [name for name in Words.__annotations__ if getattr(words, name) == ""] == []


@pytest.mark.parametrize("locale", ["ko", "zh"])
def test_no_english_stands_in_another_language(locale: str) -> None:
    said = dict(everything_said(words_for(locale)))
    english = {name: text for name, text in said.items() if re.search("[A-Za-z]", FOREIGN.sub("", text))}
    assert english == {}


def test_no_korean_stands_in_chinese_nor_chinese_in_korean() -> None:
    assert not [text for _, text in everything_said(words_for("zh")) if re.search("[가-힣]", text)]
    assert not [text for _, text in everything_said(words_for("ko")) if re.search("[一-鿿]", text)]
    assert not [text for _, text in everything_said(words_for("en")) if not text.isascii()]


@pytest.mark.parametrize(
    ("locale", "lang"),
    [
        ("en", "en"),
        ("en-GB", "en"),
        ("ko", "ko"),
        ("ko-KR", "ko"),
        ("ko_KR", "ko"),
        ("KO", "ko"),
        ("zh", "zh-Hans"),
        ("zh-CN", "zh-Hans"),
        ("zh-Hans", "zh-Hans"),
        ("zh-TW", "zh-Hans"),
        ("zh-Hant", "zh-Hans"),
        ("zh_Hant_TW", "zh-Hans"),
        ("ja", "en"),
        ("kok", "en"),
        ("", "en"),
        ("../../etc/passwd", "en"),
    ],
)
def test_a_locale_finds_its_language_and_any_other_gets_english(locale: str, lang: str) -> None:
    assert words_for(locale).lang == lang


@pytest.mark.parametrize(
    ("locale", "short", "long"),
    [
        ("en", "Mon 23 Nov 02:54 KST", "Mon 23 Nov 2026 02:54:07 KST (Asia/Seoul)"),
        ("ko", "11-23(월) 02:54 KST", "2026-11-23(월) 02:54:07 KST (Asia/Seoul)"),
        ("zh", "11月23日 周一 02:54 KST", "2026年11月23日 周一 02:54:07 KST（Asia/Seoul）"),
    ],
)
def test_a_time_is_written_as_its_readers_write_it_and_names_the_zone(locale: str, short: str, long: str) -> None:
    words = words_for(locale)
    assert (words.short_time(OPENED_AT, SEOUL), words.long_time(OPENED_AT, SEOUL)) == (short, long)
    assert words.clock(OPENED_AT, SEOUL) == "02:54 KST"


def test_chinese_time_is_beijing_time_because_cst_is_said_of_three_zones() -> None:
    words = words_for("zh")
    assert words.clock(OPENED_AT, "Asia/Shanghai") == "北京时间01:54"
    assert "CST" not in words.long_time(OPENED_AT, "Asia/Shanghai")
    assert words.clock(OPENED_AT, "America/Chicago") == "11:54 CST"


@pytest.mark.parametrize(
    ("locale", "length_s", "says"),
    [
        ("en", 1080, "18 min, since T"),
        ("en", 59, "Less than a minute, since T"),
        ("en", 7500, "2 h 5 min, since T"),
        ("ko", 1080, "18분째 (T부터)"),
        ("ko", 3600, "1시간째 (T부터)"),
        ("ko", 0, "방금 발생 (T부터)"),
        ("zh", 1080, "已持续18分钟（T起）"),
        ("zh", 90_000, "已持续1天1小时（T起）"),
        ("zh", -5, "刚刚发生（T起）"),
    ],
)
def test_how_long_it_has_been_comes_first(locale: str, length_s: int, says: str) -> None:
    assert words_for(locale).standing("open", length_s, "T") == says


@pytest.mark.parametrize(("locale", "says"), [("en", "12 min late"), ("ko", "12분 늦음"), ("zh", "延迟12分钟")])
def test_how_late_a_page_is_is_said_in_every_language(locale: str, says: str) -> None:
    assert words_for(locale).late(754) == says


def test_a_role_that_the_words_do_not_know_keeps_its_name() -> None:
    for locale in LOCALES:
        assert words_for(locale).role("db-lead") == "db lead"
    assert words_for("ko").role("general-manager") == "총괄(본부장)"
    assert words_for("zh").role("technical-support-lead") == "技术支持主管"


def test_text_messages_address_nobody_formally() -> None:
    said = [text for name, text in everything_said(words_for("zh")) if name.startswith("sms")]
    assert said
    assert not [text for text in said if "您" in text]
    said = [text for name, text in everything_said(words_for("ko")) if name.startswith("sms")]
    assert not [text for text in said if "니다" in text or "십시오" in text or "님" in text]


def test_only_the_greeting_of_a_korean_mail_says_nim() -> None:
    polite = {name.partition("(")[0] for name, text in everything_said(words_for("ko")) if re.search(r"님|x 님", text)}
    assert polite == {"acknowledge_hint"}


def test_the_particle_of_the_keys_follows_the_last_letter() -> None:
    words = words_for("ko")
    assert words.say_keys(["맡으시려면 4번", "다시 들으시려면 별표"]).endswith("별표를 눌러 주십시오.")
    assert words.say_keys(["맡으시려면 4번"]).endswith("4번을 눌러 주십시오.")
