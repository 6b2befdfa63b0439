"""What a call says."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.message import IncidentView, NextRung, PageMessage
from notifier.rendering.voice import FIRST_KEY_S, speech_s, spoken, voice_script
from tocsin.policy.model import PageKind

OPENED_AT = 1_795_370_047_000
MINUTE = 60_000

INCIDENT = IncidentView(
    id="INC-2041",
    title="error rate 38%",
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
KOREAN = replace(ENGLISH, locale="ko", incident=replace(INCIDENT, service="결제API", title="오류율 38%"))
CHINESE = replace(ENGLISH, locale="zh-CN", incident=replace(INCIDENT, service="支付API", title="错误率38%"))
LONG = {
    "en": "errors of the payments database keep growing ",
    "ko": "결제 데이터베이스 오류가 계속 늘어나고 있음 ",
    "zh-CN": "支付数据库错误持续增加",
}


@pytest.mark.parametrize(
    ("message", "language", "say", "keys"),
    [
        (
            ENGLISH,
            "en-US",
            "Severity one. Incident 2 0 4 1. payments A P I, error rate 38%. Open 18 minutes.",
            "Press 4 to take it, 5 to pass it on, star to repeat.",
        ),
        (
            KOREAN,
            "ko-KR",
            "심각도 1. 번호 2 0 4 1. 결제 A P I, 오류율 38%. 18분째입니다.",
            "맡으시려면 4번, 다음 사람에게 넘기시려면 5번, 다시 들으시려면 별표를 눌러 주십시오.",
        ),
        (
            CHINESE,
            "zh-CN",
            "一级故障。 编号 2 0 4 1。 支付 A P I，错误率38%。 已持续18分钟。",
            "认领请按4，转给下一位请按5，重听请按星号。",
        ),
    ],
)
def test_a_call_says_what_is_broken_and_then_the_keys(message: PageMessage, language: str, say: str, keys: str) -> None:
    script = voice_script(message)
    assert (script.language, script.say, script.keys) == (language, say, keys)
    assert script.said_s <= FIRST_KEY_S


@pytest.mark.parametrize("message", [ENGLISH, KOREAN, CHINESE])
def test_the_key_that_resolves_is_offered_only_after_it_is_taken(message: PageMessage) -> None:
    script = voice_script(message)
    assert "6" not in script.keys
    assert "6" in script.resolve_keys


@pytest.mark.parametrize("message", [ENGLISH, KOREAN, CHINESE])
def test_without_anybody_next_nothing_can_be_passed_on(message: PageMessage) -> None:
    keys = voice_script(replace(message, next_rung=None)).keys
    assert "5" not in keys
    assert "4" in keys


@pytest.mark.parametrize("message", [ENGLISH, KOREAN, CHINESE])
def test_what_is_over_can_only_be_heard_again(message: PageMessage) -> None:
    script = voice_script(replace(message, kind=PageKind.RESOLVED, incident=replace(message.incident, state="resolved")))
    assert not re.search("[456]", script.keys + script.resolve_keys)
    assert script.keys


def test_several_incidents_are_counted_the_gravest_is_named_and_one_key_takes_all() -> None:
    bundle = replace(ENGLISH, others=(INCIDENT,) * 5, numbers=(1, 2, 3, 4, 5))
    script = voice_script(bundle)
    assert script.say.startswith("5 incidents. The worst: Severity one. payments A P I, error rate 38%.")
    assert script.keys.startswith("Press 4 to take all 5,")


@pytest.mark.parametrize("message", [ENGLISH, KOREAN, CHINESE])
@pytest.mark.parametrize("kind", [kind for kind in PageKind if kind not in {PageKind.HANDOVER, PageKind.NOTICE}])
def test_a_long_title_is_cut_so_that_the_first_key_comes_in_time(message: PageMessage, kind: PageKind) -> None:
    long = replace(message.incident, title=LONG[message.locale] * 40, service=LONG[message.locale] * 3)
    for others in ((), (long,) * 12):
        script = voice_script(replace(message, kind=kind, incident=long, others=others, numbers=tuple(range(1, len(others) + 2))))
        assert script.said_s <= FIRST_KEY_S
        assert len(script.say) > 20


def test_a_title_is_cut_between_words_and_abbreviations_are_not_parted() -> None:
    title = "error rate of the CPU CPU CPU CPU CPU CPU CPU CPU"
    say = voice_script(replace(ENGLISH, incident=replace(INCIDENT, title=title))).say
    assert re.search(r"error rate of the( C P U)+\.$", say)


def test_a_long_number_is_left_out_before_the_title_is() -> None:
    say = voice_script(
        replace(ENGLISH, incident=replace(INCIDENT, id="INC-42949672964294967296", title="payments are down for everybody"))
    ).say
    assert "9 6 7" not in say
    assert "payments are down" in say


def test_a_notice_is_read_out() -> None:
    script = voice_script(replace(ENGLISH, kind=PageKind.HANDOVER, said="You are on duty\nfrom 09:00"))
    assert (script.say, script.keys, script.resolve_keys) == ("Handover. You are on duty from 09:00.", "Press star to repeat.", "")


def test_an_exercise_says_so_first() -> None:
    drill = replace(ENGLISH, incident=replace(INCIDENT, title="DRILL: error rate 38%"))
    assert voice_script(drill).say.startswith("This is a drill. Severity one.")
    assert voice_script(replace(drill, locale="ko")).say.startswith("훈련입니다.")
    assert voice_script(replace(drill, locale="zh")).say.startswith("这是演练。")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("payments-api", "payments A P I"),
        ("KubePodCrashLooping", "Kube Pod Crash Looping"),
        ("HTTPServer down", "H T T P Server down"),
        ("DB_main.eu-west-1", "D B main eu west 1"),
        ("HTTP 503 on node-17", "H T T P 5 0 3 on node 17"),
        ("latency 0.5 s at 09:30, again", "latency 0.5 s at 09:30 again"),
        ("결제API 오류", "결제 A P I 오류"),
        ("支付API错误", "支付 A P I 错误"),
        ("<Say>x</Say> & {{7*7}} $(id) =1+1", "Say x Say 7 7 I D 1 1"),
        ("a\u202eb\x1b[2J\ud800\u200b", "ab 2 J"),
        ("⚠️🔥", ""),
        ("", ""),
    ],
)
def test_foreign_text_is_said_as_words(text: str, says: str) -> None:
    assert spoken(text) == says


@given(
    title=st.text(max_size=400),
    service=st.text(max_size=80),
    message=st.sampled_from([ENGLISH, KOREAN, CHINESE]),
    kind=st.sampled_from(PageKind),
    number=st.integers(1, 2**32),
    several=st.integers(0, 100),
    length_ms=st.integers(0, 10**10),
)
def test_any_call_comes_to_its_first_key_in_time(
    title: str, service: str, message: PageMessage, kind: PageKind, number: int, several: int, length_ms: int
) -> None:
    incident = replace(message.incident, id=f"INC-{number}", title=title, service=service)
    others = (incident,) * several if several > 1 else ()
    script = voice_script(replace(message, kind=kind, incident=incident, others=others, said=title, written_at=OPENED_AT + length_ms))
    assert script.said_s <= FIRST_KEY_S
    assert script.keys
    assert not set('<>&{}"$=@\r\n\x00') & set(script.say)
    script.say.encode()


def test_speech_is_estimated_rather_too_long_than_too_short() -> None:
    # 25 words at 150 a minute are 10 s; 40 syllables of Korean at 5 a second 8 s; 40 of Chinese at 4 a second 10 s.
    assert 9 < speech_s("the error rate of the payment service has been growing since the last change and " * 2) < 16
    assert speech_s("가" * 40) == pytest.approx(8)
    assert speech_s("中" * 40) == pytest.approx(9.6)
    assert speech_s("2 0 4 1") == pytest.approx(1.32)
