"""What hand-over notices and gap warnings say, in the languages of pages.

Owns the sentences; the frame (what a page begins with) and the times are those of `notifier/words/`. Names come from the rules file and are
cleaned where the page is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from notifier.words import words_for
from tocsin.policy.durations import format_duration


@dataclass(frozen=True, slots=True)
class HandOverSaid:
    """A hand-over as its reader hears of it: names and times in words, empty where there is nobody or nothing to say."""

    schedule: str
    time: str
    before: str
    after: str
    is_past: bool = False
    late: str = ""


class Sentences(Protocol):
    """What a language says of hand-overs."""

    def body(self, said: HandOverSaid) -> str:
        """The whole sentence."""

    def changed(self, text: str) -> str:
        """That an earlier notice no longer holds, and what holds instead."""

    def called_off(self, schedule: str, time: str, stays: str) -> str:
        """That there is no hand-over after all."""


class English:
    """English."""

    def body(self, said: HandOverSaid) -> str:
        comes, goes = ("came", "went") if said.is_past else ("comes", "goes")
        late = f" This notice is {said.late} late." if said.late else ""
        if not said.after:
            return f"{said.before} {goes} off duty for {said.schedule} at {said.time}; nobody follows.{late}"
        off = f"; {said.before} {goes} off" if said.before else ""
        return f"{said.after} {comes} on duty for {said.schedule} at {said.time}{off}.{late}"

    def changed(self, text: str) -> str:
        return f"Changed: {text}"

    def called_off(self, schedule: str, time: str, stays: str) -> str:
        who = f"{stays} is on duty" if stays else "nobody is on duty"
        return f"Called off: no hand-over of {schedule} at {time}; {who} then."


class Korean:
    """Korean."""

    def body(self, said: HandOverSaid) -> str:
        late = f" 이 안내는 {said.late} 늦게 전달되었습니다." if said.late else ""
        if not said.after:
            ends = "끝났으며" if said.is_past else "끝나며"
            return f"{said.time} {said.schedule} 당직: {said.before} 님의 당직이 {ends} 다음 담당자가 없습니다.{late}"
        begins = "시작되었습니다" if said.is_past else "시작됩니다"
        before = f" (이전 담당: {said.before} 님)" if said.before else ""
        return f"{said.time} {said.schedule} 당직: {said.after} 님의 당직이 {begins}{before}.{late}"

    def changed(self, text: str) -> str:
        return f"변경: {text}"

    def called_off(self, schedule: str, time: str, stays: str) -> str:
        who = f"{stays} 님이 담당합니다" if stays else "담당자가 없습니다"
        return f"취소: {time} {schedule} 인수인계가 없습니다. 그 시각에는 {who}."


class Chinese:
    """Simplified Chinese."""

    def body(self, said: HandOverSaid) -> str:
        late = f"本通知迟到 {said.late}。" if said.late else ""
        done = "已" if said.is_past else ""
        if not said.after:
            return f"{said.time} {said.schedule} 值班：{said.before} {done}结束值班，无人接班。{late}"
        off = f"，{said.before} {done}交班" if said.before else ""
        return f"{said.time} {said.schedule} 值班：{said.after} {done}开始值班{off}。{late}"

    def changed(self, text: str) -> str:
        return f"变更：{text}"

    def called_off(self, schedule: str, time: str, stays: str) -> str:
        who = f"由 {stays} 值班" if stays else "无人值班"
        return f"取消：{time} {schedule} 不交接，届时{who}。"


_BY_LANGUAGE: Final[dict[str, Sentences]] = {"en": English(), "ko": Korean(), "zh": Chinese()}


def sentences_for(locale: str) -> Sentences:
    """Return the sentences of the language in which a reader's pages are written."""
    return _BY_LANGUAGE[words_for(locale).lang.partition("-")[0]]


def time_words(at: int, time_zone: str, locale: str) -> str:
    """Say an instant (ms UTC) on the reader's clock, with the day."""
    return words_for(locale).short_time(at, time_zone)


def length_words(length_ms: int) -> str:
    """Say how long, to the minute."""
    return format_duration(max(length_ms - length_ms % 60_000, 60_000))
