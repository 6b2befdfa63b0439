"""The words of a page."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.message import (
    ONE_LINE_CHARACTERS_MAX,
    SUBJECT_CHARACTERS_MAX,
    IncidentView,
    NextRung,
    PageMessage,
    RungView,
    html,
    one_line,
    page_body,
    plain_text,
    subject,
)
from tocsin.policy.model import PageKind
from tocsin.runtime.text import clean, cut

OPENED_AT = 1_795_370_047_000  # 2026-11-22T17:54:07Z, 02:54:07 the next day in Seoul

PAYMENTS = IncidentView(
    id="INC-42",
    title="errors 38%",
    severity=1,
    service="payments",
    state="open",
    opened_at=OPENED_AT,
    firing=3,
    resolved=1,
    labels={"alertname": "Errors", "cluster": "a"},
    url="https://tocsin.example.com/incidents/INC-42",
    runbook="https://runbooks.example.com/payments",
)
SEARCH = replace(PAYMENTS, id="INC-43", title="slow", severity=2, service="search", labels={}, url="")
PAGE = PageMessage(
    page_id="INC-42.1.kim.0",
    kind=PageKind.PAGE,
    attempt=1,
    incident=PAYMENTS,
    others=(),
    rung=RungView(after="30m", role="customer-service-engineer", index=1),
    person="kim",
    person_name="김민수",
    time_zone="Asia/Seoul",
    locale="en",
    late_by_s=0.2,
    told=("Park", "Lee"),
    next_rung=NextRung(roles=("technical-support-lead",), people=(), due_at=1_795_373_647_000),
    acknowledge_url="https://tocsin.example.com/a/TOKEN",
)
HOSTILE = "x\r\nBcc: all@example.com\x1b[2J\u202egnp\u2066\ud800<script>{0.__class__}{{7*7}}%s &amp;"


def test_the_json_is_that_of_the_contract() -> None:
    assert page_body(PAGE) == {
        "version": 1,
        "page_id": "INC-42.1.kim.0",
        "kind": "page",
        "attempt": 1,
        "incident": {
            "id": "INC-42",
            "title": "errors 38%",
            "severity": 1,
            "service": "payments",
            "state": "open",
            "opened_at": "2026-11-22T17:54:07.000Z",
            "alerts": {"firing": 3, "resolved": 1},
            "labels": {"alertname": "Errors", "cluster": "a"},
            "url": "https://tocsin.example.com/incidents/INC-42",
        },
        "rung": {"after": "30m", "role": "customer-service-engineer", "index": 1},
        "person": "kim",
        "late_by_s": 0.2,
        "text": "S1 INC-42 payments: errors 38%, since Mon 23 Nov 02:54 KST",
        "acknowledge_url": "https://tocsin.example.com/a/TOKEN",
    }


def test_incidents_that_fall_due_together_are_all_named() -> None:
    together = replace(PAGE, others=(PAYMENTS, SEARCH))
    body = page_body(together)
    incidents = body["incidents"]
    assert isinstance(incidents, list)
    assert [incident["id"] for incident in incidents] == ["INC-42", "INC-43"]
    assert one_line(together) == "S1 INC-42 payments: errors 38%, since Mon 23 Nov 02:54 KST, and 1 more"
    assert subject(together) == "[S1] payments: errors 38% (INC-42) and 1 more"
    assert "S2 INC-43: search: slow, since Mon 23 Nov 02:54 KST" in plain_text(together)


def test_a_page_that_no_rung_asked_for_has_none() -> None:
    assert page_body(replace(PAGE, rung=None))["rung"] is None
    assert "Paged: 김민수\n" in plain_text(replace(PAGE, rung=None))


@pytest.mark.parametrize(
    ("kind", "state", "begins"),
    [
        (PageKind.PAGE, "open", "S1 INC-42 "),
        (PageKind.REMINDER, "open", "Still: S1 INC-42 "),
        (PageKind.REMINDER, "acknowledged", "Still on it? S1 INC-42 "),
        (PageKind.REOPENED, "open", "Reopened: S1 INC-42 "),
        (PageKind.RESOLVED, "resolved", "Resolved: S1 INC-42 "),
        (PageKind.TEST, "open", "Test: S1 INC-42 "),
        (PageKind.EMERGENCY, "open", "EMERGENCY: S1 INC-42 "),
    ],
)
def test_a_page_says_of_what_kind_it_is(kind: PageKind, state: str, begins: str) -> None:
    message = replace(PAGE, kind=kind, incident=replace(PAYMENTS, state=state))
    assert one_line(message).startswith(begins)
    assert plain_text(message).startswith(begins)


def test_every_kind_of_page_has_words() -> None:
    for kind in PageKind:
        assert one_line(replace(PAGE, kind=kind))


def test_what_is_over_was_opened_then() -> None:
    assert one_line(replace(PAGE, incident=replace(PAYMENTS, state="resolved"))).endswith(", opened Mon 23 Nov 02:54 KST")


@pytest.mark.parametrize(
    ("late_by_s", "says"),
    [
        (4.9, None),
        (5.0, "5 s late"),
        (59.9, "59 s late"),
        (754, "12 min late"),
        (3600, "1 h late"),
        (7500, "2 h 5 min late"),
        (90_000, "1 d 1 h late"),
        (86_460, "1 d late"),
    ],
)
def test_a_late_page_says_how_late_it_is(late_by_s: float, says: str | None) -> None:
    line = one_line(replace(PAGE, late_by_s=late_by_s))
    assert line.endswith(", " + says) if says else "late" not in line


@pytest.mark.parametrize(
    ("time_zone", "shown"),
    [
        ("Asia/Seoul", "Mon 23 Nov 02:54 KST"),
        ("Europe/Berlin", "Sun 22 Nov 18:54 CET"),
        ("America/Sao_Paulo", "Sun 22 Nov 14:54 UTC-03"),
        ("UTC", "Sun 22 Nov 17:54 UTC"),
        ("Mars/Olympus", "Sun 22 Nov 17:54 UTC"),
        ("../etc/passwd", "Sun 22 Nov 17:54 UTC"),
        ("", "Sun 22 Nov 17:54 UTC"),
    ],
)
def test_times_are_the_readers_and_name_the_zone(time_zone: str, shown: str) -> None:
    assert one_line(replace(PAGE, time_zone=time_zone)).endswith("since " + shown)


def test_a_mail_names_the_zone_in_full() -> None:
    assert "Since: Mon 23 Nov 2026 02:54:07 KST (Asia/Seoul)\n" in plain_text(PAGE)
    assert "Since: Sun 22 Nov 2026 17:54:07 UTC\n" in plain_text(replace(PAGE, time_zone="UTC"))


def test_a_mail_says_who_was_told_what_comes_next_and_how_to_take_it() -> None:
    text = plain_text(PAGE)
    assert text.splitlines()[0] == one_line(PAGE)
    for line in (
        "Acknowledge: https://tocsin.example.com/a/TOKEN",
        "Incident: INC-42, severity 1, open",
        "Alerts: 3 firing, 1 resolved",
        "Paged: 김민수 as customer service engineer, rung 2 of the ladder (after 30 min)",
        "Also told: Park, Lee",
        "Next: technical support lead at 03:54 KST",
        "Runbook: https://runbooks.example.com/payments",
        "Open: https://tocsin.example.com/incidents/INC-42",
        "  cluster: a",
        "Page INC-42.1.kim.0",
    ):
        assert line in text.splitlines()


def test_a_second_attempt_says_that_it_is_the_same_page() -> None:
    assert "Page INC-42.1.kim.0, attempt 2 of the same page\n" in plain_text(replace(PAGE, attempt=2))


def test_without_a_link_no_button_is_drawn() -> None:
    bare = replace(PAGE, acknowledge_url="")
    assert "Acknowledge" not in plain_text(bare)
    assert "Acknowledge" not in html(bare)


def test_the_subject_carries_severity_service_title_and_number() -> None:
    assert subject(PAGE) == "[S1] payments: errors 38% (INC-42)"
    assert subject(replace(PAGE, kind=PageKind.RESOLVED)) == "Resolved: [S1] payments: errors 38% (INC-42)"


@given(
    title=st.text(max_size=400),
    service=st.text(max_size=200),
    kind=st.sampled_from([kind for kind in PageKind if kind not in {PageKind.HANDOVER, PageKind.NOTICE}]),
    late_by_s=st.floats(0, 1e7),
    several=st.booleans(),
)
def test_one_line_and_subject_keep_their_limits_and_the_number(
    title: str, service: str, kind: PageKind, late_by_s: float, several: bool
) -> None:
    incident = replace(PAYMENTS, id="INC-4294967296", title=title, service=service)
    message = replace(PAGE, kind=kind, incident=incident, late_by_s=late_by_s, others=(incident, SEARCH) * 50 if several else ())
    line, mail_subject = one_line(message), subject(message)
    assert len(line) <= ONE_LINE_CHARACTERS_MAX
    assert len(mail_subject) <= SUBJECT_CHARACTERS_MAX
    assert "S1 INC-4294967296" in line
    assert ", since Mon 23 Nov 02:54 KST" in line
    assert "(INC-4294967296)" in mail_subject
    assert (line, mail_subject) == (clean(line), clean(mail_subject))
    json.dumps(page_body(message), ensure_ascii=False).encode()


def test_a_title_too_long_ends_in_an_ellipsis_before_the_time() -> None:
    line = one_line(replace(PAGE, incident=replace(PAYMENTS, title="error " * 100)))
    assert len(line) == ONE_LINE_CHARACTERS_MAX
    assert line.endswith(" err…, since Mon 23 Nov 02:54 KST")


def test_a_cut_parts_no_letter_from_its_accent_and_no_emoji() -> None:
    assert cut("abcdefgh", 4) == "abc…"
    assert cut("abc", 3) == "abc"
    assert cut("abe\u0301d", 4) == "ab…"
    assert cut("ab\U0001f469\u200d\U0001f4bbcd", 5) == "ab…"
    assert cut("\u0301" * 9, 3) == "…"


def test_hostile_text_loses_what_cannot_be_seen() -> None:
    assert clean(HOSTILE) == "x Bcc: all@example.com[2Jgnp<script>{0.__class__}{{7*7}}%s &amp;"
    assert clean("a\u2028b\u2029c\u200bd\ufeff") == "a b cd"
    assert clean("क्\u200dष") == "क्\u200dष"
    assert clean("") == ""


def test_hostile_text_stays_text_everywhere() -> None:
    incident = replace(PAYMENTS, title=HOSTILE, service=HOSTILE, labels={HOSTILE: HOSTILE}, runbook="javascript:alert(1)")
    message = replace(PAGE, incident=incident, others=(incident, incident), person_name=HOSTILE, told=(HOSTILE,))
    for text in (one_line(message), subject(message), plain_text(message), html(message)):
        assert not {"\r", "\x1b", "\u202e", "\u2066", "\ud800"} & set(text)
        assert "{0.__class__}{{" in text
    assert "\n" not in one_line(message) + subject(message)
    assert "<script>" not in html(message)
    assert "&lt;script&gt;" in html(message)
    assert "&amp;amp;" in html(message)
    assert 'href="javascript:' not in html(message)
    body = json.dumps(page_body(message), ensure_ascii=False).encode()
    assert b"\\u001b" not in body


def test_an_attribute_cannot_be_broken_out_of() -> None:
    incident = replace(PAYMENTS, url='https://example.com/"onclick="alert(1)')
    assert '"onclick="' not in html(replace(PAGE, incident=incident))


def test_many_labels_are_counted_rather_than_shown() -> None:
    many = replace(PAGE, incident=replace(PAYMENTS, labels={f"label_{n:02}": "v" * 5000 for n in range(40)}))
    text = plain_text(many)
    assert "  label_29: " in text
    assert "label_30" not in text
    assert "  …: and 10 more" in text
    assert max(map(len, text.splitlines())) < 300


def test_many_incidents_are_all_in_the_json_and_counted_in_a_mail() -> None:
    storm = replace(PAGE, others=tuple(replace(SEARCH, id=f"INC-{n}") for n in range(100, 170)))
    incidents = page_body(storm)["incidents"]
    assert isinstance(incidents, list)
    assert len(incidents) == 70
    text = plain_text(storm)
    assert "  S2 INC-149: " in text
    assert "INC-150" not in text
    assert "  …: and 20 more" in text


def test_a_long_link_is_never_cut() -> None:
    url = "https://runbooks.example.com/" + "p" * 500
    assert f'href="{url}"' in html(replace(PAGE, incident=replace(PAYMENTS, runbook=url)))


KOREAN = replace(
    PAGE,
    locale="ko",
    late_by_s=754,
    incident=replace(PAYMENTS, title="오류율 38%"),
    next_rung=NextRung(("general-manager",), ("박지훈",), OPENED_AT),
)
CHINESE = replace(KOREAN, locale="zh-CN", time_zone="Asia/Shanghai", person_name="王小明")


@pytest.mark.parametrize(
    ("message", "line", "mail_subject"),
    [
        (KOREAN, "[심각1] INC-42 payments: 오류율 38%, 11-23(월) 02:54 KST부터, 12분 늦음", "[심각1] payments: 오류율 38% (INC-42)"),
        (
            CHINESE,
            "【一级】INC-42 payments: 오류율 38%，北京时间11月23日 周一 01:54起，延迟12分钟",
            "【一级】payments: 오류율 38% (INC-42)",
        ),
    ],
)
def test_a_mail_speaks_the_language_of_its_reader(message: PageMessage, line: str, mail_subject: str) -> None:
    assert (one_line(message), subject(message)) == (line, mail_subject)
    assert plain_text(message).splitlines()[0] == line
    assert line in html(message)


def test_a_korean_mail_greets_and_breaks_no_words() -> None:
    text = plain_text(KOREAN, can_reply=True).splitlines()
    for line in (
        "확인하고 맡기: https://tocsin.example.com/a/TOKEN",
        "김민수 님, 링크를 열면 인시던트가 표시되기만 합니다. 열린 화면의 버튼을 누르셔야 담당자로 등록됩니다.",
        "또는 이 메일에 ‘확인’이라고 회신해 주십시오.",
        "인시던트: INC-42, 심각도 1, 미확인",
        "호출 대상: 김민수 (CS 엔지니어, 2단계, 30분 후)",
        "다음 호출: 총괄(본부장) (박지훈), 02:54 KST",
        "전달: 12분 늦음",
    ):
        assert line in text
    assert 'lang="ko"' in html(KOREAN)
    assert "keep-all" in html(KOREAN)
    assert "keep-all" not in html(CHINESE)


def test_a_chinese_mail_says_the_same() -> None:
    text = plain_text(CHINESE).splitlines()
    for line in (
        "认领: https://tocsin.example.com/a/TOKEN",
        "故障: INC-42，一级，未认领",
        "发生时间: 北京时间2026年11月23日 周一 01:54:07",
        "呼叫对象: 王小明（客服工程师，第2级，30分钟后）",
        "下一级: 总经理（박지훈），北京时间01:54",
    ):
        assert line in text
    assert 'lang="zh-Hans"' in html(CHINESE)


@pytest.mark.parametrize("locale", ["en", "ko", "zh"])
@pytest.mark.parametrize("kind", list(PageKind))
def test_every_kind_of_page_can_be_mailed_in_every_language(kind: PageKind, locale: str) -> None:
    message = replace(PAGE, kind=kind, locale=locale, said="one\ntwo")
    assert subject(message)
    assert "Page" in plain_text(message) or "호출" in plain_text(message) or "呼叫" in plain_text(message)
    assert json.dumps(page_body(message))


def test_only_where_replies_are_read_does_a_mail_ask_for_one() -> None:
    assert "reply" not in plain_text(PAGE)
    assert "Or reply to this mail with the word ack." in plain_text(PAGE, can_reply=True)
    assert "with the word ack" in html(PAGE, can_reply=True)


def test_a_handover_mail_is_its_text_and_has_nothing_to_take() -> None:
    told = replace(
        PAGE, kind=PageKind.HANDOVER, incident=replace(PAYMENTS, title="You are on duty"), said="From 09:00\n\n<b>INC-7</b> is open"
    )
    assert subject(told) == "Handover: You are on duty"
    assert plain_text(told).splitlines()[:5] == ["Handover: You are on duty", "", "From 09:00", "", "<b>INC-7</b> is open"]
    assert "&lt;b&gt;INC-7" in html(told)
    assert "Acknowledge" not in plain_text(told) + html(told)


def test_a_handover_mail_says_its_sentence_once() -> None:
    told = replace(
        PAGE, kind=PageKind.HANDOVER, incident=replace(PAYMENTS, title="Lee comes on duty."), said="Lee comes on duty. INC-7 is open."
    )
    assert plain_text(told).count("Lee comes on duty.") == 1
    assert html(told).count("Lee comes on duty.") == 1
    assert "INC-7 is open." in plain_text(told)


def test_the_subject_of_an_exercise_begins_with_that() -> None:
    drill = replace(PAGE, incident=replace(PAYMENTS, title="DRILL: errors 38%"))
    assert subject(drill) == "DRILL: [S1] payments: errors 38% (INC-42)"
    assert one_line(drill).startswith("DRILL: S1 INC-42 payments: errors 38%")


def test_who_has_it_stands_in_the_mail() -> None:
    held = replace(
        PAGE, incident=replace(PAYMENTS, state="acknowledged"), holder="Lee", held_at=OPENED_AT, held_until=OPENED_AT + 1_800_000
    )
    assert "Status: Taken by Lee 02:54 KST, until 03:24 KST" in plain_text(held).splitlines()


def test_a_name_as_long_as_a_book_is_cut() -> None:
    long = replace(PAGE, person_name="n" * 5000, holder="h" * 5000, told=("t" * 5000,), incident=replace(PAYMENTS, service="s" * 5000))
    assert max(map(len, plain_text(long).splitlines())) < 400
