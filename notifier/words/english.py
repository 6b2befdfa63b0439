"""The words of a page in English."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from notifier.words.instants import is_same_day, largest_units, local

_BEGINS: Final = {
    "reminder": "Still: ",
    "reopened": "Reopened: ",
    "resolved": "Resolved: ",
    "test": "Test: ",
    "emergency": "EMERGENCY: ",
    "handover": "Handover: ",
    "notice": "Notice: ",
}
_SAY_BEGINS: Final = {
    "reminder": "Still open.",
    "reopened": "Open again.",
    "resolved": "Resolved.",
    "test": "This is a test.",
    "emergency": "Emergency.",
    "handover": "Handover.",
    "notice": "Notice.",
}
_NUMBERS: Final = {1: "one", 2: "two", 3: "three", 4: "four"}
_SPOKEN: Final = {"d": "day", "h": "hour", "min": "minute", "s": "second"}
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_OVER: Final = frozenset({"resolved", "closed"})


class English:
    """English; also what readers of every language get that has no words here."""

    lang = "en"
    voice = "en-US"
    comma = ", "
    stop = "."
    drill = "DRILL: "
    incident, title, service, opened, alerts, paged = "Incident", "Title", "Service", "Since", "Alerts", "Paged"
    status, lateness, also_told, next_step, runbook, link = "Status", "Delivery", "Also told", "Next", "Runbook", "Open"
    together, labels = "Fell due together", "Labels"
    acknowledge, take, keep, resolve, open = "Acknowledge", "Take it", "I still have it", "Resolve", "Open"

    def begins(self, kind: str, state: str) -> str:
        return "Still on it? " if kind == "reminder" and state == "acknowledged" else _BEGINS.get(kind, "")

    def mark(self, severity: int) -> str:
        return f"S{severity} "

    def subject_mark(self, severity: int) -> str:
        return f"[S{severity}] "

    def state(self, state: str) -> str:
        return state

    def role(self, key: str) -> str:
        return key.replace("-", " ")

    def take_all(self, count: int) -> str:
        return f"Take all {count}"

    def acknowledge_hint(self, name: str) -> str:
        return "The link only shows the incident; the button there takes it."

    def reply_hint(self) -> str:
        return "Or reply to this mail with the word ack."

    def clock(self, at: int, time_zone: str) -> str:
        there = local(at, time_zone)
        return f"{there.time:%H:%M} {there.zone}"

    def short_time(self, at: int, time_zone: str) -> str:
        """`Mon 23 Nov 02:54 KST`."""
        there = local(at, time_zone)
        time = there.time
        return f"{_DAYS[time.weekday()]} {time.day} {_MONTHS[time.month - 1]} {time:%H:%M} {there.zone}"

    def long_time(self, at: int, time_zone: str) -> str:
        """`Mon 23 Nov 2026 02:54:07 KST (Asia/Seoul)`."""
        there = local(at, time_zone)
        time = there.time
        place = f" ({there.place})" if there.place else ""
        return f"{_DAYS[time.weekday()]} {time.day} {_MONTHS[time.month - 1]} {time.year} {time:%H:%M:%S} {there.zone}{place}"

    def since(self, state: str, time: str) -> str:
        return ("opened " if state in _OVER else "since ") + time

    def standing(self, state: str, length_s: int, time: str) -> str:
        """`18 min, since Mon 23 Nov 02:54 KST`."""
        if state in _OVER:
            return "Opened " + time
        return ("Less than a minute" if length_s < 60 else _length(length_s)) + ", since " + time

    def late(self, late_by_s: float) -> str:
        return _length(int(late_by_s)) + " late"

    def and_more(self, count: int) -> str:
        return f"and {count} more"

    def severity(self, number: str, severity: int, state: str) -> str:
        return f"{number}, severity {severity}" + (", " + self.state(state) if state else "")

    def counts(self, firing: int, resolved: int) -> str:
        return f"{firing} firing, {resolved} resolved"

    def person(self, name: str, role: str, index: int | None, after_s: int) -> str:
        if index is None:
            return name
        after = "after " + _length(after_s) if after_s else "at once"
        return f"{name} as {self.role(role)}, rung {index + 1} of the ladder ({after})"

    def next(self, roles: Sequence[str], people: Sequence[str], time: str) -> str:
        named = ", ".join(self.role(role) for role in roles)
        return named + (f" ({', '.join(people)})" if people else "") + " at " + time

    def page(self, page_id: str, attempt: int) -> str:
        return "Page " + page_id + (f", attempt {attempt} of the same page" if attempt > 1 else "")

    def taken(self, holder: str, since: str, until: str) -> str:
        return "Taken by " + holder + (" " + since if since else "") + (", until " + until if until else "")

    def ended(self, by: str, time: str) -> str:
        return "Resolved" + (" by " + by if by else "") + (" " + time if time else "")

    def answered_taken(self, numbers: str, holder: str, until: str) -> str:
        return f"{numbers}: taken by {holder}" + (" until " + until if until else "") + "."

    def answered_state(self, numbers: str, state: str) -> str:
        return f"{numbers}: {state}."

    def answered_refused(self, numbers: str, state: str) -> str:
        return f"{numbers}: " + (f"{state} already, " if state else "") + "nothing was changed."

    def answered_missing(self, numbers: str) -> str:
        return f"{numbers}: there is no such incident."

    def answered_busy(self, numbers: str) -> str:
        return f"{numbers}: could not be changed just now. Please try again."

    def answered_stranger(self, address: str) -> str:
        return f"Nothing was changed: {address} is not the contact of exactly one person. Ask who keeps the rules to add it."

    def answered_passed_on(self, numbers: str) -> str:
        return f"{numbers}: passed on to the next."

    def answered_nobody_paged(self, numbers: str) -> str:
        return f"{numbers}: nobody else is paged now."

    reply_nothing = "Nothing of yours is waiting for an answer."

    def reply_which(self, numbers: Sequence[str]) -> str:
        return "Which one? Reply with its number" + (": " + ", ".join(numbers) if numbers else "") + "."

    sms_bytes_max = 0
    sms_sign_in = " Ack: sign in"

    def sms_begins(self, kind: str, state: str) -> str:
        return self.begins(kind, state)

    def sms_mark(self, severity: int) -> str:
        return f"S{severity} "

    def sms_time(self, at: int, now: int, time_zone: str) -> str:
        return " " + (self.clock(at, time_zone) if is_same_day(at, now, time_zone) else self.short_time(at, time_zone)) + "."

    def sms_more(self, count: int) -> str:
        return f" +{count} more"

    def sms_reply(self, number: str) -> str:
        return f" Ack: reply {number}"

    def sms_link(self, link: str) -> str:
        return f" Ack: {link}"

    def sms_either(self, number: str, link: str) -> str:
        return f" Ack: reply {number} or {link}"

    def sms_next(self, minutes: int) -> str:
        return ""

    say_drill = "This is a drill."
    say_repeat = "star to repeat"
    say_resolve = "Press 6 if it is resolved."

    def say_begins(self, kind: str, state: str) -> str:
        return "Are you still on it?" if kind == "reminder" and state == "acknowledged" else _SAY_BEGINS.get(kind, "")

    def say_severity(self, severity: int) -> str:
        return f"Severity {_NUMBERS.get(severity, str(severity))}."

    def say_number(self, digits: str) -> str:
        return f"Incident {digits}."

    def say_several(self, count: int) -> str:
        return f"{count} incidents. The worst:"

    def say_length(self, length_s: int) -> str:
        return "Open " + " ".join(f"{count} {_SPOKEN[unit]}{'' if count == 1 else 's'}" for count, unit in largest_units(length_s)) + "."

    def say_take(self, count: int) -> str:
        return f"4 to take all {count}" if count > 1 else "4 to take it"

    say_next = "5 to pass it on"

    def say_keys(self, keys: Sequence[str]) -> str:
        return "Press " + ", ".join(keys) + "." if keys else ""


def _length(length_s: int) -> str:
    return " ".join(f"{count} {unit}" for count, unit in largest_units(length_s))
