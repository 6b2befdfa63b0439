"""The answer page speaks its reader's language: the frame is Korean or Chinese throughout, and what an incident says stays as it is."""

import inspect
import re
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from console.words import PageWords, Why, words_for, words_for_browser
from tests.console.conftest import HOUR, MINUTE, Site
from tocsin.policy import events as ev
from tocsin.policy.model import Incident, State

LOCALES = ("ko", "zh")
LANGS = {"en": "en", "ko": "ko", "zh": "zh-Hans"}
LATIN = re.compile(r"[A-Za-z]+")
OURS = re.compile(r"INC-\d+|KST|CST|\bCS\b|API|Tocsin")
"""What may stand in Korean and Chinese: the number, names of zones, abbreviations."""

GIVEN: dict[str, list[object]] = {
    "why": list(Why),
    "incident": ["INC-7"],
    "there": [datetime(2026, 2, 17, 2, 55, tzinfo=ZoneInfo(zone)) for zone in ("Asia/Seoul", "Asia/Shanghai")],
    "is_today": [True, False],
    "minutes": [0, 5, 60, 1_501],
    "severity": [1, 2, 3, 4],
    "state": [state.value for state in State],
    "status": ["firing", "resolved"],
    "count": [2],
    "firing": [0, 3],
    "resolved": [0, 1],
    "people": [(), ("7", "8")],
    "roles": [("duty-engineer", "customer-service-engineer"), ("technical-support-lead", "general-manager")],
}


def everything_said(words: PageWords) -> Iterator[str]:
    """Every text of a language; what a caller gives is digits."""
    for name in PageWords.__annotations__:
        if name != "lang":
            said = getattr(words, name)
            yield from said if isinstance(said, tuple) else (said,)
    for name, method in inspect.getmembers(PageWords, inspect.isfunction):
        if name.startswith("_"):
            continue
        found: list[dict[str, object]] = [{}]
        for key in inspect.signature(method).parameters:
            if key != "self":
                found = [{**one, key: value} for one in found for value in GIVEN.get(key, ["7"])]
        for given in found:
            said = getattr(words, name)(**given)
            yield from said if isinstance(said, tuple) else (said,)


@pytest.mark.parametrize("locale", LOCALES)
def test_no_word_of_a_language_is_of_another(locale: str) -> None:
    said = list(everything_said(words_for(locale)))
    assert len(said) > 60
    assert [text for text in said if LATIN.search(OURS.sub("", text))] == []
    if locale == "zh":
        assert [text for text in said if re.search(r"[가-힣]", text)] == []


def test_every_language_has_every_word() -> None:
    for words in (words_for("en"), words_for("ko"), words_for("zh")):
        assert all(isinstance(text, str) for text in everything_said(words))
    assert words_for("en-GB") is words_for("fr") is words_for("")
    assert words_for("zh_TW") is words_for("zh")


async def reads(site: Site, locale: str) -> None:
    """Let kim read that language."""
    file = site.deps.settings.config_file
    assert file is not None
    file.write_text(file.read_text().replace("name: 김민수, locale: en", f"name: 김민수, locale: {locale}"))
    assert (await site.post("/-/reload")).status == 200


def frame_of(page: str) -> str:
    """Return what a page says without what the incident, its alerts and names say."""
    text = re.sub(r"<[^>]*>", " ", re.sub(r"<bdi>.*?</bdi>|<h1.*?</h1>|<title>.*?</title>", " ", page, flags=re.DOTALL))
    return re.sub(r"\s+", " ", text)


async def says(site: Site, link: str, locale: str, *, status: int = 200) -> str:
    """Return the frame of a page, in which there is nothing of another language."""
    answer = await site.get(link, by=None)
    assert answer.status == status
    assert f'<html lang="{LANGS[locale]}">' in answer.text
    frame = frame_of(answer.text)
    if locale != "en":
        assert not LATIN.search(OURS.sub("", frame)), frame
    return frame


async def told(site: Site, incident: Incident) -> None:
    await site.happen(incident.number, ev.PageSent(f"{incident.id}.0.kim.0"))


@pytest.mark.parametrize("locale", LOCALES)
async def test_no_english_stands_in_the_frame_whatever_becomes_of_the_incident(site: Site, locale: str) -> None:
    await reads(site, locale)
    incident, other = await site.fire(title="오류율 38%", alerts=12), await site.fire("DiskFull")
    await told(site, incident)
    single, both = await site.link(incident, "kim", hours=99), await site.link(incident, "kim", other, hours=99)
    frames = {"open": await says(site, single, locale), "bundle": await says(site, both, locale)}
    await site.happen(incident.number, ev.Acknowledged("lee"))
    frames["held"] = await says(site, both, locale)
    site.clock.advance(26 * MINUTE)
    frames["ending"] = await says(site, single, locale)
    await site.request("POST", single)
    frames["mine"] = await says(site, single, locale)
    await site.happen(incident.number, ev.Snoozed("kim", HOUR))
    frames["snoozed"] = await says(site, single, locale)
    await site.happen(incident.number, ev.Resolved("lee"))
    site.clock.advance(30 * HOUR)
    frames["over"] = await says(site, single, locale)
    assert len(set(frames.values())) == len(frames)


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        (
            "ko",
            (
                "▲ 심각도 1",
                "미확인",
                "02:55 KST 발생 (10분 전)",
                "아직 담당자가 없습니다.",
                "확인하고 맡기",
                "다음 호출",
                "(CS 엔지니어), 03:25 KST",
            ),
        ),
        ("zh", ("▲ 一级", "未认领", "02:55 KST发生（10分钟前）", "尚无人认领。", "认领", "下一级", "（客服工程师），03:25 KST")),
        ("en", ("▲ Severity 1", "not acknowledged", "since 02:55 KST (10m ago)", "Nobody has it yet.", "I have it", "Next")),
    ],
)
async def test_the_page_speaks_its_readers_language(site: Site, locale: str, words: tuple[str, ...]) -> None:
    await reads(site, locale)
    incident = await site.fire()
    site.clock.advance(10 * MINUTE)
    frame = await says(site, await site.link(incident, "kim"), locale)
    assert [each for each in words if each not in frame] == []


@pytest.mark.parametrize("locale", [*LOCALES, "en"])
async def test_an_expired_link_says_so_in_its_readers_language(site: Site, locale: str) -> None:
    await reads(site, locale)
    incident = await site.fire()
    link = await site.link(incident, "kim", hours=1)
    site.clock.advance(HOUR)
    assert incident.id in await says(site, link, locale, status=410)


@pytest.mark.parametrize(
    ("accepted", "lang"),
    [
        ("ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        ("fr-FR, zh-CN;q=0.9", "zh-Hans"),
        ("fr", "en"),
        ("", "en"),
        (";,,;q=x" * 500, "en"),
    ],
)
async def test_who_is_not_known_is_answered_in_the_language_of_the_browser(site: Site, accepted: str, lang: str) -> None:
    assert words_for_browser(accepted).lang == lang
    for path, status in (("/a/nonsense", 404), ("/i/INC-7", 200)):
        answer = await site.get(path, by=None, headers={"Accept-Language": accepted})
        assert answer.status == status
        assert f'<html lang="{lang}">' in answer.text
