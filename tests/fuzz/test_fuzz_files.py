"""Files that people hand in, policy tests and calendars of leave: each is read, or refused with where and why."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hypothesis import example
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from console.leavecalendar import LeaveInvalid, read_leave
from tests.fuzz.budget import Budget
from tests.fuzz.test_fuzz_rules import SCALARS, read_file
from tocsin.policy.rules import Rules
from tocsin.runtime.policytestfile import read_suite
from tocsin.runtime.rulesfile import load_rules

ROOT: Final = Path(__file__).resolve().parents[2]
NOW: Final = 1_795_357_982_247
DAY_MS: Final = 86_400_000
SHIPPED_TESTS: Final = (ROOT / "policy_tests.yaml").read_text(encoding="utf-8")
SHIPPED_RULES: Final = load_rules(
    (ROOT / "alert_rules.yaml").read_text(encoding="utf-8"), file_name="r.yaml", environment={}, read_file=read_file
)


@st.composite
def broken_lines(draw: DrawFn, text: str, pieces: list[str]) -> str:
    """A good text, a few of whose lines are changed, gone, doubled or cut."""
    lines = text.split("\n")
    begin = draw(st.integers(0, len(lines) - 1))
    lines = lines[:12] + lines[begin : begin + 30]
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(lines) - 1))
        line, place = lines[at], draw(st.integers(0, len(lines[at])))
        match draw(st.sampled_from(["value", "value", "part", "out", "double", "cut", "put in"])):
            case "value":
                lines[at] = (
                    line[: line.find(":") + 1] + draw(st.sampled_from(["", " "])) + draw(st.sampled_from(pieces) | st.text(max_size=6))
                )
            case "part":
                lines[at] = line[:place] + draw(st.sampled_from(pieces)) + line[place + draw(st.integers(0, 8)) :]
            case "out":
                lines = lines[:at] + lines[at + 1 :] or [""]
            case "double":
                lines[at:at] = lines[at : at + draw(st.integers(1, 6))]
            case "cut":
                lines[at] = line[:place]
            case _:
                lines.insert(at, draw(st.sampled_from(pieces)))
    return "\n".join(lines)


def shipped_rules(name: str) -> Rules:
    if not name.endswith("alert_rules.yaml"):
        raise FileNotFoundError(2, "No such file or directory", name)
    return SHIPPED_RULES


FOR_EVER: Final = "{name: a, start: 9999-12-31T23:59:59-12:00, events: [], expect: [{at: 292y, page: kim}]}"


def test_any_text_is_policy_tests_or_says_line_by_line_why_not(budget: Budget) -> None:
    @example(text="")
    @example(text=f"rule_file: alert_rules.yaml\ntests: [{FOR_EVER}]")
    def holds(text: str) -> None:
        suite = read_suite(text, file="t.yaml", environment={}, load=shipped_rules)
        assert suite.tests or suite.problems
        for problem in suite.problems:
            assert str(problem).isprintable()
            assert problem.line >= 1
            assert problem.column >= 1

    texts = broken_lines(
        SHIPPED_TESTS, [*SCALARS, "{at: 1h, page: kim}", "{at: 0s, fire: {}}", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"]
    )
    budget.spend(holds, text=texts | st.text(max_size=40))


CALENDAR: Final = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//x//EN
BEGIN:VEVENT
UID:a@x
DTSTART;VALUE=DATE:20261201
DTEND;VALUE=DATE:20261205
SUMMARY:Holiday
END:VEVENT
BEGIN:VEVENT
UID:b@x
DTSTART;TZID=Europe/Berlin:20261201T090000
DURATION:PT8H
RRULE:FREQ=WEEKLY;BYDAY=MO,FR;UNTIL=20270301T000000Z
EXDATE;TZID=Europe/Berlin:20261207T090000
SUMMARY:School
END:VEVENT
BEGIN:VEVENT
UID:b@x
RECURRENCE-ID;TZID=Europe/Berlin:20261211T090000
DTSTART:20261211T120000Z
DTEND:20261211T130000Z
END:VEVENT
END:VCALENDAR
"""
ICS: Final = [
    "20269999",
    "00010101",
    "99991231T235959Z",
    "20261201T250000",
    "P1D",
    "-P1D",
    "PT",
    "P99999999999W",
    "FREQ=YEARLY",
    "FREQ=SECONDLY",
    "FREQ=WEEKLY;INTERVAL=0",
]
ICS_MORE: Final = [
    "FREQ=DAILY;COUNT=99999999999",
    "COUNT=-1",
    "BYDAY=XX",
    "UNTIL=x",
    ";TZID=Mars/Olympus",
    ";TZID=",
    ";VALUE=DATE-TIME",
    "BEGIN:VEVENT",
    "END:VEVENT",
    "END:VCALENDAR",
]
ICS_OTHER: Final = [
    "BEGIN:VCALENDAR",
    "BEGIN:VTIMEZONE",
    "RDATE:20261201",
    "STATUS:CANCELLED",
    "DTSTART:",
    "DTSTART:20261201",
    ":",
    ";",
    ";=:",
    '"',
    "\0",
    " ",
    "\\n",
    "\r",
    "FREQ=MONTHLY;BYDAY=1MO",
]


def test_any_calendar_is_leave_or_is_refused(budget: Budget) -> None:
    @example(text=CALENDAR.replace("20261205", "99991231"), zone="Etc/GMT+12")
    @example(text=CALENDAR.replace("DURATION:PT8H", "DURATION:P9999999W"), zone="UTC")
    @example(text=CALENDAR.replace("20261201T090000", "00010101T000000"), zone="Pacific/Kiritimati")
    def holds(text: str, zone: str) -> None:
        try:
            found = read_leave(text.encode("utf-8", "surrogatepass"), zone, NOW, NOW + 400 * DAY_MS)
        except LeaveInvalid as refused:
            why = str(refused)
        else:
            assert all(span.from_at < span.until_at for span in found.spans)
            return
        assert why

    texts = broken_lines(CALENDAR, [*ICS, *ICS_MORE, *ICS_OTHER]) | st.text(max_size=40)
    budget.spend(holds, text=texts, zone=st.sampled_from(["Asia/Seoul", "Etc/GMT+12", "Pacific/Kiritimati"]))
