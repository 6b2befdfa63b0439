"""H2: an answer costs the same however long the schedule has run. Processor time, so that a busy machine does not matter."""

import time
from dataclasses import replace

from tests.policy.duties import DAY, HOUR, at, rules_of
from tocsin.policy.hours import DayKind, Hours, Span, Window
from tocsin.policy.oncall import holders, on_shift, shift_at, shifts
from tocsin.policy.roster import Absence, Override, Roster
from tocsin.policy.rotation import Every
from tocsin.policy.schedules import Layer, Role, Schedule

PEOPLE = tuple(f"person-{number}" for number in range(50))
OFFICE = Hours("office", "Europe/Berlin", (Window((0, 1, 2, 3, 4), (Span(9 * HOUR, 18 * HOUR),)),))
NIGHT = Window(on=(DayKind.NIGHT,), hours=OFFICE)
BEGIN = at("2026-01-01T00:00", "Europe/Berlin")
LATE = at("2036-01-01T00:00", "Europe/Berlin")
SCHEDULE = Schedule(
    "duty",
    "Europe/Berlin",
    (
        Layer(PEOPLE, Every(hours=1), "2026-01-01T00:00:00"),
        Layer(PEOPLE, Every(hours=7), "2026-01-01T00:30:00", restrict=(NIGHT,)),
    ),
)
RECORD = Roster(
    1,
    tuple(Override(f"o{n}", "duty", PEOPLE[n % 50], BEGIN + n * DAY, BEGIN + n * DAY + HOUR, made_at=n) for n in range(1_000)),
    tuple(Absence(f"a{n}", PEOPLE[n % 50], BEGIN + n * DAY, BEGIN + n * DAY + HOUR, made_at=n) for n in range(1_000)),
)
RULES = rules_of(SCHEDULE, roles=[Role("duty", schedules=("duty",))], people=PEOPLE)


def test_H2_who_holds_a_role_after_ten_years_of_hourly_turns_of_fifty_people_is_known_at_once() -> None:
    moments = [LATE + 37 * 60_000 * number for number in range(500)]
    started = time.process_time()
    found = {holders("duty", moment, RULES) for moment in moments}
    assert (time.process_time() - started) / len(moments) < 0.002
    assert len(found) == 50


def test_H2_a_record_of_a_thousand_changes_costs_a_question_little() -> None:
    rules = replace(RULES, roster=RECORD)
    on_shift(SCHEDULE, LATE, rules)
    started = time.process_time()
    for number in range(200):
        on_shift(SCHEDULE, BEGIN + number * 5 * DAY, rules)
    assert (time.process_time() - started) / 200 < 0.005


def test_H2_a_month_of_shifts_and_the_shift_of_now_after_ten_years_take_milliseconds() -> None:
    rules = replace(RULES, roster=RECORD)
    started = time.process_time()
    month = shifts(SCHEDULE, LATE, LATE + 31 * DAY, rules)
    shift_at(SCHEDULE, LATE, rules)
    assert time.process_time() - started < 0.5
    assert len(month) > 400


def test_H2_ten_years_of_hourly_turns_can_be_listed_and_cost_in_proportion() -> None:
    started = time.process_time()
    everything = shifts(SCHEDULE, BEGIN, LATE, RULES)
    assert time.process_time() - started < 20
    assert everything[-1].to_at == LATE
