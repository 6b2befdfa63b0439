"""Wall clocks and day kinds, against `whenever` over every zone whose clocks change."""

import os
import time
from collections.abc import Iterator
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from whenever import Instant, PlainDateTime

from tests.policy import naive
from tests.policy.duties import DAY, HOUR, at
from tests.policy.naive import changes, plain
from tocsin.policy.hours import DayKind, Holidays, Hours, Span, Window, day_kind, kind_at, kind_edges
from tocsin.policy.rotation import Every, hand_overs, turn_at, turn_begins
from tocsin.policy.wallclock import DAY_MS, MINUTE_MS, date_of, day_at, day_of, instant_of, wall_at, wall_of, weekday


def test_every_wall_time_around_every_change_of_every_zone_is_the_instant_that_whenever_says() -> None:
    compared = 0
    for zone, change in changes():
        for step in (-DAY, -2 * HOUR, -HOUR, -HOUR // 2, -1, 0, 1, HOUR // 4, HOUR // 2, HOUR - 1, HOUR, 3 * HOUR // 2, 2 * HOUR, DAY):
            moment = change + step
            wall = wall_at(moment, zone)
            assert plain(wall) == naive.zoned(moment, zone).to_plain(), (zone, moment)
            for each in (wall, wall + HOUR, wall - HOUR):
                assert instant_of(each, zone) == naive.instant(plain(each), zone), (zone, each)
                compared += 1
    assert compared > 40_000


def test_a_later_wall_time_is_never_an_earlier_instant() -> None:
    for zone, change in changes():
        walls = range(wall_at(change, zone) - 3 * HOUR, wall_at(change, zone) + 3 * HOUR, 15 * MINUTE_MS)
        instants = [instant_of(wall, zone) for wall in walls]
        assert instants == sorted(instants), (zone, change)


def test_a_day_never_goes_back_though_the_clock_is_set_back_over_midnight() -> None:
    for zone, change in changes():
        days = [day_at(moment, zone) for moment in range(change - 26 * HOUR, change + 26 * HOUR, 15 * MINUTE_MS)]
        assert days == sorted(days), (zone, change)


def test_a_day_that_a_zone_leaves_out_has_no_length() -> None:
    skipped = day_of(date(2011, 12, 30))  # Samoa went from the 29th to the 31st
    assert instant_of(skipped * DAY_MS, "Pacific/Apia") == instant_of((skipped + 1) * DAY_MS, "Pacific/Apia")
    hourly = [turn_begins("2011-12-29T00:00:00", Every(hours=1), turn, "Pacific/Apia") for turn in range(72)]
    assert hourly == sorted(hourly)
    assert hourly[24] == hourly[48]
    assert turn_at("2011-12-29T00:00:00", Every(hours=1), "Pacific/Apia", hourly[24]) == 48


@given(st.integers(-200_000, 200_000))
def test_days_have_the_dates_and_weekdays_of_the_calendar(day: int) -> None:
    assert day_of(date_of(day)) == day
    assert weekday(day) == date_of(day).weekday()


EVERY = st.one_of(st.integers(1, 400).map(lambda hours: Every(hours=hours)), st.integers(1, 30).map(lambda months: Every(months=months)))


@given(st.dates(date(2019, 1, 1), date(2024, 12, 31)), st.integers(0, 95), EVERY, st.integers(0, 400))
def test_F0_H1_a_turn_begins_where_whenever_puts_it(day: date, quarter: int, every: Every, turn: int) -> None:
    starts = f"{day.isoformat()}T{quarter // 4:02}:{quarter % 4 * 15:02}:00"
    expected = naive.instant(naive.later(PlainDateTime(starts), every, turn), "UTC")
    assert turn_begins(starts, every, turn, "UTC") == expected


@given(st.data())
def test_F0_H1_the_turn_at_an_instant_is_what_counting_them_one_by_one_gives(data: st.DataObject) -> None:
    zone, change = data.draw(st.sampled_from(changes()))
    every = data.draw(EVERY)
    before = data.draw(st.integers(0, 400)) * DAY
    starts = plain(wall_at(change - before, zone) // (15 * MINUTE_MS) * 15 * MINUTE_MS).format_iso()
    begins = naive.turns_begin(starts, every, zone, change + 3 * DAY)
    for moment in range(change - 3 * HOUR, change + 3 * HOUR, 15 * MINUTE_MS):
        begun = sum(1 for each in begins if each <= moment)
        assert turn_at(starts, every, zone, moment) == (begun - 1 if begun else None)
    expected = {each for each in begins if change - DAY <= each < change + DAY}
    assert set(hand_overs(starts, every, zone, change - DAY, change + DAY)) == expected


def test_F0_H1_a_monthly_rotation_on_the_29th_to_the_31st_is_right_over_years() -> None:
    for day in (29, 30, 31):
        starts = f"2020-01-{day}T09:00:00"
        begins = naive.turns_begin(starts, Every(months=1), "Europe/Berlin", at("2036-01-01T00:00", "Europe/Berlin"))
        assert len(begins) == 192
        for turn, begin in enumerate(begins):
            found = [turn_at(starts, Every(months=1), "Europe/Berlin", moment) for moment in (begin - 1, begin)]
            assert found == [turn - 1 if turn else None, turn]


@pytest.fixture(params=["America/Los_Angeles", "Asia/Kathmandu"])
def process_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The zone of the process, which means nothing to a schedule."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def test_F1_M4_the_zone_of_the_process_means_nothing(process_zone: str) -> None:
    assert os.environ["TZ"] == process_zone
    assert instant_of(wall_of("2026-03-29T09:00"), "Europe/Berlin") == Instant.from_utc(2026, 3, 29, 7).timestamp(unit="millisecond")
    assert weekday(day_at(Instant.from_utc(2026, 1, 4, 15).timestamp(unit="millisecond"), "Asia/Seoul")) == 0


OFFICE = Window((0, 1, 2, 3, 4), (Span(9 * HOUR, 18 * HOUR),))
CHINA = Holidays("CN", {day_of(date(2026, 2, 17)): "春节"}, frozenset({day_of(date(2026, 2, 14))}), 2020, 2040)


@pytest.mark.parametrize(
    ("local", "kind"),
    [
        ("2026-02-12T08:59:59.999", DayKind.NIGHT),
        ("2026-02-12T09:00", DayKind.WORKING),
        ("2026-02-12T17:59:59.999", DayKind.WORKING),
        ("2026-02-12T18:00", DayKind.NIGHT),
        ("2026-02-14T10:00", DayKind.WORKING),  # a Saturday that is worked in exchange
        ("2026-02-14T20:00", DayKind.NIGHT),
        ("2026-02-15T10:00", DayKind.WEEKEND),
        ("2026-02-17T00:00", DayKind.HOLIDAY),
        ("2026-02-17T10:00", DayKind.HOLIDAY),
        ("2026-02-18T00:00", DayKind.NIGHT),
        ("2026-05-04T10:00", DayKind.HOLIDAY),  # of the company
        ("2026-05-03T10:00", DayKind.WORKING),  # a Sunday that the company works
    ],
)
def test_an_instant_is_working_night_weekend_or_holiday(local: str, kind: DayKind) -> None:
    company, worked = frozenset({day_of(date(2026, 5, 4))}), frozenset({day_of(date(2026, 5, 3))})
    hours = Hours("shanghai", "Asia/Shanghai", (OFFICE,), CHINA, company, worked)
    assert kind_at(hours, at(local, "Asia/Shanghai")) is kind


def test_a_day_that_the_file_says_is_worked_is_worked_though_the_country_has_a_holiday() -> None:
    seollal = day_of(date(2026, 2, 17))
    hours = Hours("shanghai", "Asia/Shanghai", (OFFICE,), CHINA, working_days=frozenset({seollal}))
    assert day_kind(hours, seollal) is DayKind.WORKING


def test_hours_past_midnight_are_working_to_their_end_and_kinds_change_only_at_edges() -> None:
    plant = Hours("plant", "Asia/Seoul", (Window((0, 1, 2, 3, 4), (Span(22 * HOUR, 30 * HOUR),)),))
    assert kind_at(plant, at("2026-01-10T05:59")) is DayKind.WORKING  # of Friday
    assert kind_at(plant, at("2026-01-10T06:00")) is DayKind.WEEKEND
    assert kind_at(plant, at("2026-01-12T05:00")) is DayKind.NIGHT  # nobody works the night of Sunday
    begin, end = at("2026-01-05T00:00"), at("2026-01-12T00:00")
    edges = set(kind_edges(plant, begin, end))
    moved = {moment for moment in range(begin, end, 15 * MINUTE_MS) if kind_at(plant, moment) is not kind_at(plant, moment - 1)}
    assert moved <= edges
