"""A page as a card, and what is said to who answered it."""

from dataclasses import replace

import pytest

from notifier.answers import Answered
from notifier.message import IncidentView, NextRung, PageMessage, RungView
from notifier.rendering import answered_line, answered_lines, stranger_line
from notifier.rendering.chat import BANNER_CHARACTERS_MAX, HEADLINE_CHARACTERS_MAX, LINES_CHARACTERS_MAX, card
from tocsin.policy.model import PageKind, State

OPENED_AT = 1_795_370_047_000  # 2026-11-22T17:54:07Z, 02:54:07 the next day in Seoul
MINUTE = 60_000

INCIDENT = IncidentView(
    id="INC-41",
    title="errors 38%",
    severity=1,
    service="payments",
    state="open",
    opened_at=OPENED_AT,
    firing=3,
    resolved=1,
    labels={},
    url="https://tocsin.example.com/i/INC-41",
    runbook=None,
)
PAGE = PageMessage(
    page_id="INC-41.1.kim.0",
    kind=PageKind.PAGE,
    attempt=1,
    incident=INCIDENT,
    others=(),
    rung=RungView(after="30m", role="customer-service-engineer", index=1),
    person="kim",
    person_name="김민수",
    time_zone="Asia/Seoul",
    locale="en",
    late_by_s=754,
    told=("Park", "Lee"),
    next_rung=NextRung(roles=("technical-support-lead",), people=("Choi",), due_at=OPENED_AT + 60 * MINUTE),
    acknowledge_url="https://tocsin.example.com/a/TOKEN",
    token="TOKEN",
    numbers=(41,),
    written_at=OPENED_AT + 18 * MINUTE,
)
HELD = replace(
    PAGE,
    incident=replace(INCIDENT, state="acknowledged"),
    holder="Lee",
    held_at=OPENED_AT + 11 * MINUTE,
    held_until=OPENED_AT + 41 * MINUTE,
)


def bundle_of(count: int) -> PageMessage:
    others = tuple(replace(INCIDENT, id=f"INC-{number}", title="slow " * 40) for number in range(41, 41 + count))
    return replace(PAGE, incident=others[0], others=others, numbers=tuple(range(41, 41 + count)))


def test_a_card_says_what_is_broken_since_when_who_knows_and_who_is_next() -> None:
    shown = card(PAGE)
    assert shown.headline == "S1 INC-41 payments: errors 38%"
    assert shown.banner == "S1 INC-41 payments: errors 38%, since Mon 23 Nov 02:54 KST, 12 min late"
    assert shown.lines == (
        "18 min, since Mon 23 Nov 02:54 KST",
        "Also told: Park, Lee",
        "Next: technical support lead (Choi) at 03:54 KST",
        "12 min late",
    )
    assert ("Alerts", "3 firing, 1 resolved") in shown.facts
    assert (shown.state_line, shown.take, shown.resolve, shown.open) == ("", "Take it", "", "Open")


@pytest.mark.parametrize(
    ("locale", "lines", "take"),
    [
        (
            "ko",
            ("18분째 (11-23(월) 02:54 KST부터)", "함께 호출: Park, Lee", "다음 호출: 기술지원팀장 (Choi), 03:54 KST", "12분 늦음"),
            "확인하고 맡기",
        ),
        (
            "zh-CN",
            ("已持续18分钟（11月23日 周一 02:54 KST起）", "已通知: Park, Lee", "下一级: 技术支持主管（Choi），03:54 KST", "延迟12分钟"),
            "认领",
        ),
    ],
)
def test_a_card_speaks_the_language_of_its_reader(locale: str, lines: tuple[str, ...], take: str) -> None:
    shown = card(replace(PAGE, locale=locale))
    assert (shown.lines, shown.take) == (lines, take)


def test_what_somebody_has_says_who_since_when_and_until_when() -> None:
    shown = card(HELD)
    assert shown.state_line == "Taken by Lee 03:05 KST, until 03:35 KST"
    assert (shown.take, shown.resolve) == ("", "Resolve")
    assert card(replace(HELD, locale="ko")).state_line == "Lee 담당 (03:05 KST부터, 03:35 KST까지)"
    assert card(replace(HELD, locale="zh")).state_line == "已由Lee于03:05 KST认领，至03:35 KST"


def test_an_end_on_another_day_is_named_with_its_day() -> None:
    assert card(replace(HELD, held_until=OPENED_AT + 24 * 60 * MINUTE)).state_line.endswith(", until Tue 24 Nov 02:54 KST")


def test_who_is_asked_whether_they_still_have_it_can_say_so() -> None:
    shown = card(replace(HELD, kind=PageKind.REMINDER))
    assert shown.headline.startswith("Still on it? S1 INC-41")
    assert (shown.take, shown.resolve) == ("I still have it", "Resolve")


@pytest.mark.parametrize(("by", "says"), [("Lee", "Resolved by Lee 03:54 KST"), ("", "Resolved 03:54 KST")])
def test_what_is_over_offers_nothing_but_to_look(by: str, says: str) -> None:
    over = replace(HELD, incident=replace(INCIDENT, state="resolved"), ended_by=by, ended_at=OPENED_AT + 60 * MINUTE)
    shown = card(over)
    assert (shown.state_line, shown.take, shown.resolve, shown.open) == (says, "", "", "Open")


def test_several_incidents_are_named_and_taken_at_once() -> None:
    shown = card(bundle_of(3))
    assert shown.take == "Take all 3"
    assert shown.lines[1].startswith("S1 INC-42 payments: slow")
    assert shown.lines[2].startswith("S1 INC-43 payments: slow")
    assert card(replace(bundle_of(3), locale="ko")).take == "3건 모두 맡기"


def test_more_incidents_than_there_is_room_for_are_counted() -> None:
    shown = card(bundle_of(100))
    assert sum(map(len, shown.lines)) + len(shown.lines) - 1 <= LINES_CHARACTERS_MAX
    named = sum(line.startswith("S1 INC-") for line in shown.lines)
    assert f"and {99 - named} more" in shown.lines
    assert "12 min late" in shown.lines


def test_an_incident_still_open_in_a_bundle_can_be_taken() -> None:
    mixed = replace(HELD, others=(HELD.incident, replace(INCIDENT, id="INC-42")), numbers=(42,))
    assert (card(mixed).take, card(mixed).resolve) == ("Take it", "")


def test_without_anything_to_answer_with_there_is_no_button() -> None:
    bare = replace(PAGE, acknowledge_url="", token="", numbers=())
    assert (card(bare).take, card(bare).open_url) == ("", INCIDENT.url)
    assert card(replace(bare, incident=replace(INCIDENT, url="javascript:alert(1)"))).open_url == ""


def test_the_emergency_page_offers_nothing_to_take_for_the_store_is_away() -> None:
    assert card(replace(PAGE, kind=PageKind.EMERGENCY)).take == ""


@pytest.mark.parametrize("kind", [PageKind.HANDOVER, PageKind.NOTICE])
def test_a_notice_says_what_it_was_given_and_no_alarm(kind: PageKind) -> None:
    told = replace(
        PAGE, kind=kind, incident=replace(INCIDENT, title="You are on duty", severity=4), said="From 09:00\n\nLee hands over\n- INC-7"
    )
    shown = card(told)
    assert shown.headline == ("Handover: " if kind is PageKind.HANDOVER else "Notice: ") + "You are on duty"
    assert shown.lines == ("From 09:00", "Lee hands over", "- INC-7")
    assert (shown.facts, shown.state_line, shown.take, shown.resolve) == ((), "", "", "")
    assert "S4" not in shown.banner


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        ("Lee comes on duty.", ()),
        ("Lee comes on duty. INC-7 is open.", ("INC-7 is open.",)),
        ("Lee comes on duty.\nINC-7 is open.", ("INC-7 is open.",)),
        ("Lee comes on duty.x", ("Lee comes on duty.x",)),
    ],
)
def test_a_notice_says_its_sentence_once(said: str, lines: tuple[str, ...]) -> None:
    told = replace(PAGE, kind=PageKind.HANDOVER, incident=replace(INCIDENT, title="Lee comes on duty."), said=said)
    assert card(told).headline == "Handover: Lee comes on duty."
    assert card(told).lines == lines


def test_a_sentence_that_the_headline_has_no_room_for_stands_whole_below_it() -> None:
    title = "Lee comes on duty, " + "and on and " * 12
    told = replace(PAGE, kind=PageKind.HANDOVER, incident=replace(INCIDENT, title=title), said=title)
    assert len(card(told).headline) <= 120
    assert title.strip() in " ".join(card(told).lines)


def test_an_exercise_begins_with_the_word_and_says_it_once() -> None:
    drill = replace(PAGE, incident=replace(INCIDENT, title="DRILL: errors 38%"))
    assert card(drill).headline == "DRILL: S1 INC-41 payments: errors 38%"
    assert card(replace(drill, locale="ko")).headline == "[훈련] [심각1] INC-41 payments: errors 38%"
    assert card(replace(drill, locale="zh")).headline == "【演练】【一级】INC-41 payments: errors 38%"


def test_a_true_incident_in_a_bundle_is_never_called_an_exercise() -> None:
    drill = replace(INCIDENT, id="INC-40", title="DRILL: errors")
    assert not card(replace(PAGE, incident=drill, others=(drill, INCIDENT))).headline.startswith("DRILL")


@pytest.mark.parametrize("call", ["@channel", "@here", "@everyone", "@all", "@Channel", "@所有人"])
def test_no_text_of_an_alert_calls_a_whole_channel(call: str) -> None:
    hostile = replace(INCIDENT, title=f"look {call}", service=call, labels={"x": call})
    shown = card(replace(PAGE, incident=hostile, told=(call,), holder=call))
    assert call.lower() not in str(shown).lower()


def test_addresses_keep_their_at_sign() -> None:
    assert "ops@example.com" in card(replace(PAGE, incident=replace(INCIDENT, title="mail to ops@example.com fails"))).headline


def test_long_text_keeps_the_limits_and_the_number() -> None:
    shown = card(replace(PAGE, incident=replace(INCIDENT, title="t" * 5000, service="s" * 500), told=("n" * 3000,)))
    assert len(shown.headline) <= HEADLINE_CHARACTERS_MAX
    assert len(shown.banner) <= BANNER_CHARACTERS_MAX
    assert sum(map(len, shown.lines)) <= LINES_CHARACTERS_MAX
    assert "INC-41" in shown.headline
    assert shown.banner.endswith("12 min late")


TAKEN = Answered("INC-41", "done", State.ACKNOWLEDGED, "Lee", OPENED_AT + 41 * MINUTE)


@pytest.mark.parametrize(
    ("locale", "says"),
    [
        ("en", "INC-41: taken by Lee until 03:35 KST."),
        ("ko", "INC-41: Lee 담당, 03:35 KST까지."),
        ("zh", "INC-41：已由Lee认领，至03:35 KST。"),
    ],
)
def test_who_took_it_reads_that_and_until_when(locale: str, says: str) -> None:
    assert answered_line(TAKEN, locale, "Asia/Seoul") == says


@pytest.mark.parametrize(
    ("answered", "says"),
    [
        (replace(TAKEN, outcome="already"), "INC-41: taken by Lee until 03:35 KST."),
        (Answered("INC-41", "done", State.RESOLVED), "INC-41: resolved."),
        (Answered("INC-41", "refused", State.CLOSED), "INC-41: closed already, nothing was changed."),
        (Answered("INC-41", "refused", None), "INC-41: nothing was changed."),
        (Answered("INC-41", "missing"), "INC-41: there is no such incident."),
        (Answered("INC-41", "busy"), "INC-41: could not be changed just now. Please try again."),
    ],
)
def test_every_outcome_of_an_answer_has_its_words(answered: Answered, says: str) -> None:
    assert answered_line(answered, "en", "Asia/Seoul") == says


def test_incidents_that_came_to_the_same_are_said_together_and_what_failed_comes_first() -> None:
    answered = [replace(TAKEN, incident=f"INC-{number}") for number in range(41, 48)] + [Answered("INC-48", "missing")]
    assert answered_lines(answered, "en", "Asia/Seoul") == (
        "INC-48: there is no such incident.",
        "INC-41, INC-42, INC-43, INC-44, INC-45 and 2 more: taken by Lee until 03:35 KST.",
    )
    assert answered_lines([], "en", "UTC") == ()


def test_a_name_that_looks_like_our_mark_changes_nothing() -> None:
    assert answered_line(replace(TAKEN, holder="\0\0"), "en", "UTC").startswith("INC-41: taken by ")


def test_a_stranger_is_told_that_nothing_happened() -> None:
    assert stranger_line("slack:U1\n<!channel>").startswith("Nothing was changed: slack:U1 <!channel> is not")
    assert stranger_line("slack:U1", "ko").startswith("변경된 것이 없습니다.")
