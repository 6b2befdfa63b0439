"""A page as one segment of a text message."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.message import IncidentView, NextRung, PageMessage
from notifier.rendering.sms import encoding_of, euc_kr_bytes, segments, sms_text
from tocsin.policy.model import PageKind

OPENED_AT = 1_795_370_047_000  # 2026-11-22T17:54:07Z, 02:54:07 the next day in Seoul
MINUTE = 60_000

INCIDENT = IncidentView(
    id="INC-2041",
    title="error rate 38% (limit 5%)",
    severity=1,
    service="payments-api",
    state="open",
    opened_at=OPENED_AT,
    firing=3,
    resolved=1,
    labels={},
    url="https://t.example.com/i/INC-2041",
    runbook=None,
)
ENGLISH = PageMessage(
    page_id="INC-2041.1.kim.0",
    kind=PageKind.PAGE,
    attempt=1,
    incident=INCIDENT,
    others=(),
    rung=None,
    person="kim",
    person_name="김민수",
    time_zone="Asia/Seoul",
    locale="en",
    late_by_s=0,
    told=(),
    next_rung=NextRung(roles=("technical-support-lead",), people=(), due_at=OPENED_AT + 48 * MINUTE),
    acknowledge_url="https://p.example.co/k7Q2mX",
    numbers=(2041,),
    written_at=OPENED_AT + 18 * MINUTE,
)
KOREAN = replace(ENGLISH, locale="ko", incident=replace(INCIDENT, service="결제API", title="오류율38%"))
CHINESE = replace(ENGLISH, locale="zh-CN", time_zone="Asia/Shanghai", incident=replace(INCIDENT, service="支付API", title="错误率38%"))
REAL_LINK = "https://tocsin.example.com/a/7f9.6a1f3c80.a2lt.aaaaaaaaaaaaaaaaaaaaaa"


def test_an_english_message_has_all_of_it_in_one_segment() -> None:
    text = sms_text(ENGLISH, can_reply=True)
    assert text == "S1 INC-2041 payments-api: error rate 38% (limit 5%) 02:54 KST. Ack: reply 2041 or p.example.co/k7Q2mX"
    assert (encoding_of(text), segments(text)) == ("GSM-7", 1)


def test_a_korean_message_fits_a_segment_and_the_ninety_bytes_of_a_gateway() -> None:
    text = sms_text(KOREAN, can_reply=True)
    assert text == "[심각1]INC-2041 결제API: 오류율38% 02:54 확인:2041 회신 p.example.co/k7Q2mX"
    assert (encoding_of(text), segments(text)) == ("UCS-2", 1)
    assert euc_kr_bytes(text) == len(text.encode("euc-kr")) <= 90


def test_a_chinese_message_has_neither_link_nor_reply_where_none_is_let_through() -> None:
    assert sms_text(CHINESE, with_link=False) == "【一级】INC-2041 支付API: 错误率38% 01:54起 请登录认领,30分钟未认领将升级"


@pytest.mark.parametrize("message", [ENGLISH, KOREAN, CHINESE])
def test_every_message_says_how_to_take_it(message: PageMessage) -> None:
    assert "2041" in sms_text(message, can_reply=True, with_link=False).partition("2041")[2]
    assert "p.example.co/k7Q2mX" in sms_text(message, can_reply=False, with_link=True)
    assert "p.example.co" not in sms_text(message, can_reply=False, with_link=False)


def test_a_link_that_is_too_long_for_the_segment_is_left_out_whole() -> None:
    assert sms_text(replace(ENGLISH, acknowledge_url=REAL_LINK)).endswith(" Ack: " + REAL_LINK.removeprefix("https://"))
    korean = sms_text(replace(KOREAN, acknowledge_url=REAL_LINK))
    assert korean.endswith(" 확인:t.example.com/i/INC-2041")
    assert sms_text(replace(KOREAN, acknowledge_url=REAL_LINK, incident=replace(KOREAN.incident, url=""))).endswith(" 확인:로그인")


def test_nothing_stands_right_after_a_link() -> None:
    assert "k7Q2mX 30分钟未认领将升级" in sms_text(CHINESE)


def test_the_zone_is_named_where_it_is_not_the_languages_own() -> None:
    assert "02:54 확인" in sms_text(KOREAN, can_reply=True)
    assert "18:54CET 확인" in sms_text(replace(KOREAN, time_zone="Europe/Berlin"), can_reply=True)
    assert "02:54KST起" in sms_text(replace(CHINESE, time_zone="Asia/Seoul"))


def test_a_time_of_another_day_has_its_day() -> None:
    later = OPENED_AT + 30 * 60 * MINUTE
    assert " Mon 23 Nov 02:54 KST. " in sms_text(replace(ENGLISH, written_at=later))
    assert " 11-23 02:54 " in sms_text(replace(KOREAN, written_at=later))
    assert " 11月23日01:54起" in sms_text(replace(CHINESE, written_at=later))


@pytest.mark.parametrize("message", [ENGLISH, KOREAN, CHINESE])
def test_what_is_over_asks_for_nothing(message: PageMessage) -> None:
    over = replace(message, kind=PageKind.RESOLVED, incident=replace(message.incident, state="resolved"))
    text = sms_text(over, can_reply=True)
    assert text.count("2041") == 1
    assert "example.co" not in text


def test_the_emergency_page_asks_for_nothing() -> None:
    assert "Ack" not in sms_text(replace(ENGLISH, kind=PageKind.EMERGENCY), can_reply=True)


def test_up_to_three_incidents_can_be_taken_by_one_reply() -> None:
    def bundle(count: int) -> PageMessage:
        others = tuple(replace(INCIDENT, id=f"INC-{41 + index}") for index in range(count))
        return replace(ENGLISH, incident=others[0], others=others, numbers=tuple(range(41, 41 + count)))

    assert sms_text(bundle(3), can_reply=True, with_link=False).endswith(" +2 more 02:54 KST. Ack: reply 41 42 43")
    assert sms_text(bundle(4), can_reply=True).endswith(" +3 more 02:54 KST. Ack: reply 41 or p.example.co/k7Q2mX")


def test_a_notice_is_its_text() -> None:
    notice = replace(ENGLISH, kind=PageKind.HANDOVER, said="You are on duty\nfrom 09:00 KST")
    assert sms_text(notice, can_reply=True) == "Handover: You are on duty from 09:00 KST"
    assert segments(sms_text(replace(notice, said="word " * 200))) == 1


def test_an_exercise_says_so_first() -> None:
    drill = replace(KOREAN, incident=replace(KOREAN.incident, title="DRILL: 오류율38%"))
    assert sms_text(drill).startswith("[훈련] [심각1]INC-2041 결제API: 오류율38%")


def test_the_signature_that_a_gateway_wants_counts() -> None:
    long = replace(CHINESE, incident=replace(CHINESE.incident, title="支付错误率持续升高" * 9))
    text = sms_text(long, with_link=False, prefix="【某某公司】")
    assert text.startswith("【某某公司】【一级】INC-2041 支付API: 支付错误率")
    assert text.endswith(" 01:54起 请登录认领,30分钟未认领将升级")
    assert segments(text) == 1


def test_typographic_marks_do_not_halve_the_room() -> None:
    text = sms_text(replace(ENGLISH, incident=replace(INCIDENT, title="“disk” – 99% full… don’t wait")), can_reply=True)
    assert encoding_of(text) == "GSM-7"
    assert '"disk" - 99% full.. don\'t wait' in text


def test_only_service_and_title_are_cut() -> None:
    text = sms_text(replace(ENGLISH, incident=replace(INCIDENT, title="errors " * 60)), can_reply=True)
    assert len(text) <= 160
    assert text.startswith("S1 INC-2041 payments-api: errors errors")
    assert ".. 02:54 KST. Ack: reply 2041 or p.example.co/k7Q2mX" in text


@given(
    title=st.text(max_size=300),
    service=st.text(max_size=80),
    message=st.sampled_from([ENGLISH, KOREAN, CHINESE]),
    kind=st.sampled_from([PageKind.PAGE, PageKind.REMINDER, PageKind.REOPENED, PageKind.TEST]),
    state=st.sampled_from(["open", "acknowledged"]),
    can_reply=st.booleans(),
    with_link=st.booleans(),
    url=st.sampled_from(["https://p.example.co/k7Q2mX", REAL_LINK, ""]),
    several=st.booleans(),
)
def test_any_page_is_one_segment_with_its_number_and_how_to_take_it(
    title: str,
    service: str,
    message: PageMessage,
    kind: PageKind,
    state: str,
    can_reply: bool,
    with_link: bool,
    url: str,
    several: bool,
) -> None:
    incident = replace(message.incident, id="INC-4294967296", title=title, service=service, state=state)
    others = (incident,) * 50 if several else ()
    page = replace(message, kind=kind, incident=incident, others=others, numbers=(4294967296,), acknowledge_url=url)
    text = sms_text(page, can_reply=can_reply, with_link=with_link)
    assert segments(text) == 1
    assert text == " ".join(text.split())
    assert "INC-4294967296" in text
    if can_reply:
        assert "4294967296" in text.partition("INC-4294967296")[2]
    elif not with_link:
        assert any(words in text for words in ("sign in", "로그인", "请登录"))
    if message is KOREAN:
        assert euc_kr_bytes(text) <= 90
    text.encode()


@pytest.mark.parametrize(
    ("text", "encoding", "count"),
    [
        ("", "GSM-7", 1),
        ("a" * 160, "GSM-7", 1),
        ("a" * 161, "GSM-7", 2),
        ("a" * 306, "GSM-7", 2),
        ("a" * 307, "GSM-7", 3),
        ("{" * 80, "GSM-7", 1),
        ("{" * 81, "GSM-7", 2),
        ("é" * 160, "GSM-7", 1),
        ("ê" * 70, "UCS-2", 1),
        ("가" * 70, "UCS-2", 1),
        ("가" * 71, "UCS-2", 2),
        ("가" * 134, "UCS-2", 2),
        ("가" * 135, "UCS-2", 3),
        ("😀" * 35, "UCS-2", 1),
        ("😀" * 36, "UCS-2", 2),
        ("a" + "😀" * 66, "UCS-2", 2),
        ("😀" * 67, "UCS-2", 3),  # 33 in each of two: no pair is parted
    ],
)
def test_segments_are_counted_as_networks_count_them(text: str, encoding: str, count: int) -> None:
    assert (encoding_of(text), segments(text)) == (encoding, count)
