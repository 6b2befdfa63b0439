"""The words of a page in Simplified Chinese: short, and without 您 where characters count.

Written after the words of Chinese on-call products (故障, 告警, 认领, 升级, 值班); a native reader should still look over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from notifier.words.instants import Local, is_same_day, largest_units, local
from tocsin.runtime.languages import role_name, state_name

_BEGINS: Final = {
    "reminder": "仍未解决：",
    "reopened": "重新打开：",
    "resolved": "已解决：",
    "test": "测试：",
    "emergency": "紧急：",
    "handover": "交接班：",
    "notice": "通知：",
}
_SAY_BEGINS: Final = {
    "reminder": "故障仍未解决。",
    "reopened": "故障重新打开。",
    "resolved": "故障已解决。",
    "test": "这是测试呼叫。",
    "emergency": "紧急呼叫。",
    "handover": "交接班通知。",
    "notice": "通知。",
}
_SEVERITIES: Final = {1: "一级", 2: "二级", 3: "三级", 4: "四级"}
_UNITS: Final = {"d": "天", "h": "小时", "min": "分钟", "s": "秒"}
_DAYS: Final = "一二三四五六日"
_OVER: Final = frozenset({"resolved", "closed"})
_HOME: Final = frozenset({"Asia/Shanghai", "Asia/Chongqing", "Asia/Harbin", "PRC"})


class Chinese:
    """Simplified Chinese."""

    lang = "zh-Hans"
    voice = "zh-CN"
    comma = "，"
    stop = "。"
    drill = "【演练】"
    incident, title, service, opened, alerts, paged = "故障", "标题", "服务", "发生时间", "告警", "呼叫对象"
    status, lateness, also_told, next_step, runbook, link = "状态", "送达", "已通知", "下一级", "处理手册", "查看"
    together, labels = "同时发生的故障", "标签"
    acknowledge, take, keep, resolve, open = "认领", "认领", "继续处理", "标记为已解决", "查看"

    def begins(self, kind: str, state: str) -> str:
        return "仍在处理吗？" if kind == "reminder" and state == "acknowledged" else _BEGINS.get(kind, "")

    def mark(self, severity: int) -> str:
        return f"【{_severity(severity)}】"

    def subject_mark(self, severity: int) -> str:
        return f"【{_severity(severity)}】"

    def state(self, state: str) -> str:
        return state_name("zh", state)

    def role(self, key: str) -> str:
        return role_name("zh", key)

    def take_all(self, count: int) -> str:
        return f"全部认领（{count}起）"

    def acknowledge_hint(self, name: str) -> str:
        return "打开链接只会显示故障，按下页面上的按钮才算认领。"

    def reply_hint(self) -> str:
        return "也可以直接回复本邮件“认领”。"

    def clock(self, at: int, time_zone: str) -> str:
        there = local(at, time_zone)
        return _zoned(there, f"{there.time:%H:%M}")

    def short_time(self, at: int, time_zone: str) -> str:
        """`北京时间11月23日 周一 01:54`, elsewhere `11月23日 周一 02:54 KST`."""
        there = local(at, time_zone)
        return _zoned(there, f"{_day(there)} {there.time:%H:%M}")

    def long_time(self, at: int, time_zone: str) -> str:
        """`北京时间2026年11月23日 周一 01:54:07`, elsewhere `2026年11月23日 周一 02:54:07 KST（Asia/Seoul）`."""
        there = local(at, time_zone)
        place = f"（{there.place}）" if there.place and there.place not in _HOME else ""
        return _zoned(there, f"{there.time.year}年{_day(there)} {there.time:%H:%M:%S}") + place

    def since(self, state: str, time: str) -> str:
        return time + ("发生" if state in _OVER else "起")

    def standing(self, state: str, length_s: int, time: str) -> str:
        """`已持续18分钟（11月23日 周一 02:54 KST起）`."""
        if state in _OVER:
            return time + "发生"
        return ("刚刚发生" if length_s < 60 else "已持续" + _length(length_s)) + f"（{time}起）"

    def late(self, late_by_s: float) -> str:
        return "延迟" + _length(int(late_by_s))

    def and_more(self, count: int) -> str:
        return f"另有{count}起"

    def severity(self, number: str, severity: int, state: str) -> str:
        return f"{number}，{_severity(severity)}" + ("，" + self.state(state) if state else "")

    def counts(self, firing: int, resolved: int) -> str:
        return f"{firing}条触发中，{resolved}条已恢复"

    def person(self, name: str, role: str, index: int | None, after_s: int) -> str:
        if index is None:
            return name
        return f"{name}（{self.role(role)}，第{index + 1}级，{_length(after_s) + '后' if after_s else '立即'}）"

    def next(self, roles: Sequence[str], people: Sequence[str], time: str) -> str:
        named = "、".join(self.role(role) for role in roles)
        return named + (f"（{'、'.join(people)}）" if people else "") + "，" + time

    def page(self, page_id: str, attempt: int) -> str:
        return "呼叫 " + page_id + (f"，同一呼叫的第{attempt}次发送" if attempt > 1 else "")

    def taken(self, holder: str, since: str, until: str) -> str:
        return f"已由{holder}" + (f"于{since}" if since else "") + "认领" + (f"，至{until}" if until else "")

    def ended(self, by: str, time: str) -> str:
        known = "，".join(part for part in (by, time) if part)
        return "已解决" + (f"（{known}）" if known else "")

    def answered_taken(self, numbers: str, holder: str, until: str) -> str:
        return f"{numbers}：已由{holder}认领" + (f"，至{until}" if until else "") + "。"

    def answered_state(self, numbers: str, state: str) -> str:
        return f"{numbers}：{self.state(state)}。"

    def answered_refused(self, numbers: str, state: str) -> str:
        return f"{numbers}：" + (f"{self.state(state)}，" if state else "") + "未作更改。"

    def answered_missing(self, numbers: str) -> str:
        return f"{numbers}：没有这个故障。"

    def answered_busy(self, numbers: str) -> str:
        return f"{numbers}：暂时无法处理，请重试。"

    def answered_stranger(self, address: str) -> str:
        return f"未作更改：{address} 不是唯一一个人的联系方式，请联系规则管理员添加。"

    def answered_passed_on(self, numbers: str) -> str:
        return f"{numbers}：正在呼叫下一位。"

    def answered_nobody_paged(self, numbers: str) -> str:
        return f"{numbers}：现在没有其他人可呼叫。"

    reply_nothing = "没有等待回复的故障。"

    def reply_which(self, numbers: Sequence[str]) -> str:
        return "是哪一个？请回复编号" + ("：" + "、".join(numbers) if numbers else "") + "。"

    sms_bytes_max = 0
    sms_sign_in = " 请登录认领"

    def sms_begins(self, kind: str, state: str) -> str:
        return self.begins(kind, state)

    def sms_mark(self, severity: int) -> str:
        return self.mark(severity)

    def sms_time(self, at: int, now: int, time_zone: str) -> str:
        there = local(at, time_zone)
        day = "" if is_same_day(at, now, time_zone) else f"{there.time.month}月{there.time.day}日"
        return f" {day}{there.time:%H:%M}" + ("" if there.place in _HOME else there.zone) + "起"

    def sms_more(self, count: int) -> str:
        return f" 等{count + 1}起"

    def sms_reply(self, number: str) -> str:
        return f" 认领:回复{number}"

    def sms_link(self, link: str) -> str:
        return f" 认领:{link}"

    def sms_either(self, number: str, link: str) -> str:
        return f" 认领:回复{number}或 {link}"

    def sms_next(self, minutes: int) -> str:
        return f"{minutes}分钟未认领将升级"

    say_drill = "这是演练。"
    say_next = "转给下一位请按5"
    say_repeat = "重听请按星号"
    say_resolve = "如已解决请按6。"

    def say_begins(self, kind: str, state: str) -> str:
        return "仍在处理吗？" if kind == "reminder" and state == "acknowledged" else _SAY_BEGINS.get(kind, "")

    def say_severity(self, severity: int) -> str:
        return f"{_severity(severity)}故障。"

    def say_number(self, digits: str) -> str:
        return f"编号 {digits}。"

    def say_several(self, count: int) -> str:
        return f"共{count}起，最严重的是"

    def say_length(self, length_s: int) -> str:
        return f"已持续{_length(length_s)}。"

    def say_take(self, count: int) -> str:
        return f"{count}起全部认领请按4" if count > 1 else "认领请按4"

    def say_keys(self, keys: Sequence[str]) -> str:
        return "，".join(keys) + "。" if keys else ""


def _severity(severity: int) -> str:
    return _SEVERITIES.get(severity, f"{severity}级")


def _day(there: Local) -> str:
    return f"{there.time.month}月{there.time.day}日 周{_DAYS[there.time.weekday()]}"


def _zoned(there: Local, text: str) -> str:
    """CST is said of three zones: in China the time is 北京时间."""
    return "北京时间" + text if there.place in _HOME else f"{text} {there.zone}"


def _length(length_s: int) -> str:
    return "".join(f"{count}{_UNITS[unit]}" for count, unit in largest_units(length_s))
