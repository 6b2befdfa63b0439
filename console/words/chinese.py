"""The words of the answer page in Simplified Chinese, after those of the pages that lead to it (`notifier/words/chinese.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from console.words.why import Why
from tocsin.runtime.languages import role_name, state_name

_SEVERITIES: Final = {1: "▲ 一级", 2: "■ 二级", 3: "● 三级", 4: "○ 四级（低）"}
_ALERTS: Final = {"firing": "触发中", "resolved": "已恢复"}
_HOME: Final = frozenset({"Asia/Shanghai", "Asia/Chongqing", "Asia/Harbin", "PRC"})
_EXPIRED: Final = "链接已过期"
_REFUSED: Final = {
    Why.OTHER_SITE: ("请求不是来自本页面", "请重新打开呼叫中的链接，并按下页面上的按钮。未作任何更改。"),
    Why.NOT_A_LINK: ("链接无效", "链接可能不完整。请从收到的呼叫中重新打开，或在其中查看编号。"),
    Why.NO_PERSON: (_EXPIRED, "该链接的接收人已不在规则中。"),
    Why.NOT_KEPT: (_EXPIRED, "该故障已不再保留。"),
    Why.AWAY: ("呼叫系统暂时无法响应", "无人回应时会呼叫下一级。请稍后重试，重复操作没有影响。"),
    Why.FAILED: ("操作未成功", "请重新打开呼叫中的链接，确认当前状态。"),
}


class Chinese:
    """Simplified Chinese."""

    lang = "zh-Hans"
    gap = ""
    reader = ("", "")
    nobody = "尚无人认领。"
    asked_again = "到期前会再次询问；无人回应则继续呼叫下一级。"
    assigned = "已指派给你。"
    climbs_on = "解决之前会继续呼叫。"
    nobody_else = "在此之前不会呼叫其他人。"
    by_itself, by_monitoring = "自动", "监控"
    nothing_left = "无需再处理。"
    nobody_paged = "不会为此呼叫任何人。"
    clear = "告警已全部恢复。"
    resolves_itself = "若保持恢复，将自动解决。"
    nobody_until = "在此之前不会呼叫任何人。"
    take, keep, take_now, take_over = "认领", "继续处理", "由我认领", "由我接手"
    together, runbook, hears, next, alerts = "同时呼叫的故障", "打开处理手册", "通知情况", "下一级", "告警："
    unreached, being_told, emergency = "未能联系上", "正在通知", "紧急联系人"
    to_answer = "要认领，请打开收到的呼叫中的链接。"
    to_read = "要查看内容，请使用 API 令牌查询："

    def time(self, there: datetime, *, is_today: bool) -> str:
        """`北京时间01:45`, elsewhere `02:45 KST`: CST is said of three zones."""
        time = there.strftime("%H:%M" if is_today else "%Y-%m-%d %H:%M")
        return "北京时间" + time if str(there.tzinfo) in _HOME else time + there.strftime(" %Z")

    def ago(self, minutes: int) -> str:
        return f"{_length(minutes)}前" if minutes else "刚刚"

    def since(self, at: str, ago: str) -> str:
        return f"{at}发生（{ago}）"

    def severity(self, severity: int) -> str:
        return _SEVERITIES[severity]

    def state(self, state: str) -> str:
        return state_name("zh", state)

    def yours(self, until: str) -> str:
        return f"已由你认领，至{until}。"

    def held(self, holder: str, since: str, until: str) -> str:
        return f"已由{holder}于{since}认领，至{until}。"

    def over(self, at: str, by: str) -> str:
        return f"已解决（{by}，{at}）。"

    def suppressed(self, reason: str) -> str:
        return f"已抑制：{reason}。"

    def snoozed(self, until: str) -> str:
        return f"已暂停，至{until}。"

    def take_all(self, count: int) -> str:
        return f"全部认领（{count}起）"

    def take_only(self, number: str) -> str:
        return f"只认领 {number}"

    def told(self, at: str) -> str:
        return f"已于{at}通知"

    def next_people(self, people: Sequence[str], roles: Sequence[str], at: str) -> str:
        return f"{'、'.join(people) or '无人值班'}（{'、'.join(role_name('zh', role) for role in roles)}），{at}"

    def counts(self, firing: int, resolved: int) -> str:
        return "，".join(f"{count}条{word}" for count, word in ((firing, "触发中"), (resolved, "已恢复")) if count) or "无"

    def alert_state(self, status: str) -> str:
        return _ALERTS.get(status, status)

    def more(self, count: int) -> str:
        return f"另有{count}条"

    def refused(self, why: Why, incident: str) -> tuple[str, str]:
        return (_EXPIRED, f"该链接用于 {incident}。新的呼叫中有新的链接。") if why is Why.EXPIRED else _REFUSED[why]


def _length(minutes: int) -> str:
    counts = ((minutes // 1_440, "天"), (minutes // 60 % 24, "小时"), (minutes % 60, "分钟"))
    return "".join(f"{count}{unit}" for count, unit in counts if count)
