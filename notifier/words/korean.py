"""The words of a page in Korean: 하십시오체 in mails and calls, short nouns where characters count.

Written after the words of Korean on-call products (인시던트, 온콜, 담당); a native reader should still look over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from notifier.words.instants import is_same_day, largest_units, local
from tocsin.runtime.languages import role_name, state_name

_BEGINS: Final = {
    "reminder": "계속: ",
    "reopened": "재발: ",
    "resolved": "해결: ",
    "test": "테스트: ",
    "emergency": "긴급: ",
    "handover": "인수인계: ",
    "notice": "안내: ",
}
_SAY_BEGINS: Final = {
    "reminder": "아직 해결되지 않았습니다.",
    "reopened": "다시 발생했습니다.",
    "resolved": "해결되었습니다.",
    "test": "테스트 호출입니다.",
    "emergency": "긴급 호출입니다.",
    "handover": "인수인계 안내입니다.",
    "notice": "안내입니다.",
}
_UNITS: Final = {"d": "일", "h": "시간", "min": "분", "s": "초"}
_DAYS: Final = "월화수목금토일"
_OVER: Final = frozenset({"resolved", "closed"})
_HOME: Final = "Asia/Seoul"


class Korean:
    """Korean."""

    lang = "ko"
    voice = "ko-KR"
    comma = ", "
    stop = "."
    drill = "[훈련] "
    incident, title, service, opened, alerts, paged = "인시던트", "제목", "서비스", "발생", "알람", "호출 대상"
    status, lateness, also_told, next_step, runbook, link = "현황", "전달", "함께 호출", "다음 호출", "런북", "보기"
    together, labels = "함께 발생한 인시던트", "레이블"
    acknowledge, take, keep, resolve, open = "확인하고 맡기", "확인하고 맡기", "계속 담당", "해결", "열기"

    def begins(self, kind: str, state: str) -> str:
        return "아직 담당 중이십니까? " if kind == "reminder" and state == "acknowledged" else _BEGINS.get(kind, "")

    def mark(self, severity: int) -> str:
        return f"[심각{severity}] "

    def subject_mark(self, severity: int) -> str:
        return f"[심각{severity}] "

    def state(self, state: str) -> str:
        return state_name("ko", state)

    def role(self, key: str) -> str:
        return role_name("ko", key)

    def take_all(self, count: int) -> str:
        return f"{count}건 모두 맡기"

    def acknowledge_hint(self, name: str) -> str:
        return f"{name} 님, 링크를 열면 인시던트가 표시되기만 합니다. 열린 화면의 버튼을 누르셔야 담당자로 등록됩니다."

    def reply_hint(self) -> str:
        return "또는 이 메일에 ‘확인’이라고 회신해 주십시오."

    def clock(self, at: int, time_zone: str) -> str:
        there = local(at, time_zone)
        return f"{there.time:%H:%M} {there.zone}"

    def short_time(self, at: int, time_zone: str) -> str:
        """`11-23(월) 02:54 KST`."""
        there = local(at, time_zone)
        return f"{there.time:%m-%d}({_DAYS[there.time.weekday()]}) {there.time:%H:%M} {there.zone}"

    def long_time(self, at: int, time_zone: str) -> str:
        """`2026-11-23(월) 02:54:07 KST (Asia/Seoul)`."""
        there = local(at, time_zone)
        place = f" ({there.place})" if there.place else ""
        return f"{there.time:%Y-%m-%d}({_DAYS[there.time.weekday()]}) {there.time:%H:%M:%S} {there.zone}{place}"

    def since(self, state: str, time: str) -> str:
        return time + (" 발생" if state in _OVER else "부터")

    def standing(self, state: str, length_s: int, time: str) -> str:
        """`18분째 (11-23(월) 02:54 KST부터)`."""
        if state in _OVER:
            return time + " 발생"
        return ("방금 발생" if length_s < 60 else _length(length_s) + "째") + f" ({time}부터)"

    def late(self, late_by_s: float) -> str:
        return _length(int(late_by_s)) + " 늦음"

    def and_more(self, count: int) -> str:
        return f"외 {count}건"

    def severity(self, number: str, severity: int, state: str) -> str:
        return f"{number}, 심각도 {severity}" + (", " + self.state(state) if state else "")

    def counts(self, firing: int, resolved: int) -> str:
        return f"발생 중 {firing}, 해결 {resolved}"

    def person(self, name: str, role: str, index: int | None, after_s: int) -> str:
        if index is None:
            return name
        return f"{name} ({self.role(role)}, {index + 1}단계, {_length(after_s) + ' 후' if after_s else '즉시'})"

    def next(self, roles: Sequence[str], people: Sequence[str], time: str) -> str:
        named = ", ".join(self.role(role) for role in roles)
        return named + (f" ({', '.join(people)})" if people else "") + ", " + time

    def page(self, page_id: str, attempt: int) -> str:
        return "호출 " + page_id + (f", 같은 호출의 {attempt}번째 시도" if attempt > 1 else "")

    def taken(self, holder: str, since: str, until: str) -> str:
        times = ", ".join(time for time in (since and since + "부터", until and until + "까지") if time)
        return holder + " 담당" + (f" ({times})" if times else "")

    def ended(self, by: str, time: str) -> str:
        known = ", ".join(part for part in (by, time) if part)
        return "해결됨" + (f" ({known})" if known else "")

    def answered_taken(self, numbers: str, holder: str, until: str) -> str:
        return f"{numbers}: {holder} 담당" + (f", {until}까지" if until else "") + "."

    def answered_state(self, numbers: str, state: str) -> str:
        return f"{numbers}: {self.state(state)}."

    def answered_refused(self, numbers: str, state: str) -> str:
        return f"{numbers}: " + (f"이미 {self.state(state)}. " if state else "") + "변경된 것이 없습니다."

    def answered_missing(self, numbers: str) -> str:
        return f"{numbers}: 없는 인시던트입니다."

    def answered_busy(self, numbers: str) -> str:
        return f"{numbers}: 지금은 처리하지 못했습니다. 다시 시도해 주십시오."

    def answered_stranger(self, address: str) -> str:
        return f"변경된 것이 없습니다. {address}: 한 사람의 연락처로 등록되어 있지 않습니다. 규칙 관리자에게 등록을 요청해 주십시오."

    def answered_passed_on(self, numbers: str) -> str:
        return f"{numbers}: 다음 담당자를 호출합니다."

    def answered_nobody_paged(self, numbers: str) -> str:
        return f"{numbers}: 지금 더 호출할 사람이 없습니다."

    reply_nothing = "답변을 기다리는 인시던트가 없습니다."

    def reply_which(self, numbers: Sequence[str]) -> str:
        return "어느 건입니까? 번호로 회신해 주십시오" + (": " + ", ".join(numbers) if numbers else "") + "."

    sms_bytes_max = 90
    sms_sign_in = " 확인:로그인"

    def sms_begins(self, kind: str, state: str) -> str:
        return "[담당유지?]" if kind == "reminder" and state == "acknowledged" else _BEGINS.get(kind, "").replace(": ", " ")

    def sms_mark(self, severity: int) -> str:
        return f"[심각{severity}]"

    def sms_time(self, at: int, now: int, time_zone: str) -> str:
        there = local(at, time_zone)
        day = "" if is_same_day(at, now, time_zone) else f"{there.time:%m-%d} "
        return f" {day}{there.time:%H:%M}" + ("" if there.place == _HOME else there.zone)

    def sms_more(self, count: int) -> str:
        return f" 외{count}건"

    def sms_reply(self, number: str) -> str:
        return f" 확인:{number} 회신"

    def sms_link(self, link: str) -> str:
        return f" 확인:{link}"

    def sms_either(self, number: str, link: str) -> str:
        return f" 확인:{number} 회신 {link}"

    def sms_next(self, minutes: int) -> str:
        return ""

    say_drill = "훈련입니다."
    say_next = "다음 사람에게 넘기시려면 5번"
    say_repeat = "다시 들으시려면 별표"
    say_resolve = "해결되었으면 6번을 눌러 주십시오."

    def say_begins(self, kind: str, state: str) -> str:
        return "아직 담당 중이십니까?" if kind == "reminder" and state == "acknowledged" else _SAY_BEGINS.get(kind, "")

    def say_severity(self, severity: int) -> str:
        return f"심각도 {severity}."

    def say_number(self, digits: str) -> str:
        return f"번호 {digits}."

    def say_several(self, count: int) -> str:
        return f"모두 {count}건, 가장 심각한 건은"

    def say_length(self, length_s: int) -> str:
        return _length(length_s) + "째입니다."

    def say_take(self, count: int) -> str:
        return f"{count}건 모두 맡으시려면 4번" if count > 1 else "맡으시려면 4번"

    def say_keys(self, keys: Sequence[str]) -> str:
        """The particle follows the last letter: 별표를, 4번을."""
        if not keys:
            return ""
        has_final = (ord(keys[-1][-1]) - ord("가")) % 28 != 0
        return ", ".join(keys) + ("을" if has_final else "를") + " 눌러 주십시오."


def _length(length_s: int) -> str:
    return " ".join(f"{count}{_UNITS[unit]}" for count, unit in largest_units(length_s))
