"""The words of the answer page in Korean, after those of the pages that lead to it (`notifier/words/korean.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from console.words.why import Why
from tocsin.runtime.languages import role_name, state_name

_SEVERITIES: Final = {1: "▲ 심각도 1", 2: "■ 심각도 2", 3: "● 심각도 3", 4: "○ 심각도 4 (낮음)"}
_ALERTS: Final = {"firing": "발생 중", "resolved": "해결"}
_EXPIRED: Final = "만료된 링크입니다"
_REFUSED: Final = {
    Why.OTHER_SITE: (
        "이 화면에서 보낸 요청이 아닙니다",
        "호출의 링크를 다시 열어 그 화면의 버튼을 눌러 주십시오. 변경된 것이 없습니다.",
    ),
    Why.NOT_A_LINK: (
        "올바른 링크가 아닙니다",
        "링크가 잘렸을 수 있습니다. 받으신 호출에서 다시 열거나, 거기에서 번호를 확인해 주십시오.",
    ),
    Why.NO_PERSON: (_EXPIRED, "링크를 받으신 분이 더 이상 규칙에 없습니다."),
    Why.NOT_KEPT: (_EXPIRED, "이 인시던트는 더 이상 보관되어 있지 않습니다."),
    Why.AWAY: (
        "지금은 호출 시스템이 응답하지 못합니다",
        "아무도 답하지 않으면 다음 담당자가 호출됩니다. 잠시 후 다시 시도해 주십시오. 두 번 누르셔도 괜찮습니다.",
    ),
    Why.FAILED: ("처리하지 못했습니다", "호출의 링크를 다시 열어 현재 상태를 확인해 주십시오."),
}


class Korean:
    """Korean."""

    lang = "ko"
    gap = " "
    reader = ("", " 님")
    nobody = "아직 담당자가 없습니다."
    asked_again = "그 전에 다시 여쭙고, 답이 없으면 다음 호출로 이어집니다."
    assigned = "담당자로 지정되어 있습니다."
    climbs_on = "해결될 때까지 호출이 계속됩니다."
    nobody_else = "그때까지 다른 사람은 호출되지 않습니다."
    by_itself, by_monitoring = "자동", "모니터링"
    nothing_left = "더 하실 일이 없습니다."
    nobody_paged = "이 건으로는 아무도 호출되지 않습니다."
    clear = "알람이 모두 해결되었습니다."
    resolves_itself = "이대로 유지되면 저절로 해결 처리됩니다."
    nobody_until = "그때까지 아무도 호출되지 않습니다."
    take, keep, take_now, take_over = "확인하고 맡기", "계속 담당", "이제 제가 맡기", "담당 넘겨받기"
    together, runbook, hears, next, alerts = "함께 호출된 인시던트", "런북 열기", "호출 현황", "다음 호출", "알람: "
    unreached, being_told, emergency = "연락되지 않음", "호출하는 중", "긴급 연락처"
    to_answer = "답하시려면 받으신 호출의 링크를 열어 주십시오."
    to_read = "내용을 보시려면 API 토큰으로 조회해 주십시오."

    def time(self, there: datetime, *, is_today: bool) -> str:
        """`03:45 KST`."""
        return there.strftime("%H:%M %Z" if is_today else "%Y-%m-%d %H:%M %Z")

    def ago(self, minutes: int) -> str:
        return f"{_length(minutes)} 전" if minutes else "방금"

    def since(self, at: str, ago: str) -> str:
        return f"{at} 발생 ({ago})"

    def severity(self, severity: int) -> str:
        return _SEVERITIES[severity]

    def state(self, state: str) -> str:
        return state_name(self.lang, state)

    def yours(self, until: str) -> str:
        return f"{until}까지 담당하고 계십니다."

    def held(self, holder: str, since: str, until: str) -> str:
        return f"{holder} 담당 ({since}부터, {until}까지)."

    def over(self, at: str, by: str) -> str:
        return f"{at} 해결됨 ({by})."

    def suppressed(self, reason: str) -> str:
        return f"호출 억제됨: {reason}."

    def snoozed(self, until: str) -> str:
        return f"{until}까지 보류되었습니다."

    def take_all(self, count: int) -> str:
        return f"{count}건 모두 맡기"

    def take_only(self, number: str) -> str:
        return f"{number}만 맡기"

    def told(self, at: str) -> str:
        return f"{at} 호출됨"

    def next_people(self, people: Sequence[str], roles: Sequence[str], at: str) -> str:
        return f"{', '.join(people) or '담당자 없음'} ({', '.join(role_name(self.lang, role) for role in roles)}), {at}"

    def counts(self, firing: int, resolved: int) -> str:
        return ", ".join(f"{word} {count}" for count, word in ((firing, "발생 중"), (resolved, "해결")) if count) or "없음"

    def alert_state(self, status: str) -> str:
        return _ALERTS.get(status, status)

    def more(self, count: int) -> str:
        return f"외 {count}건"

    def refused(self, why: Why, incident: str) -> tuple[str, str]:
        return (_EXPIRED, f"{incident}의 링크였습니다. 새 호출에는 새 링크가 있습니다.") if why is Why.EXPIRED else _REFUSED[why]


def _length(minutes: int) -> str:
    counts = ((minutes // 1_440, "일"), (minutes // 60 % 24, "시간"), (minutes % 60, "분"))
    return " ".join(f"{count}{unit}" for count, unit in counts if count)
