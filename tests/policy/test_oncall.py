from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.policy.oncall import holders, on_shift
from tocsin.policy.rules import Emergency, Layer, Person, Role, Rules, Schedule

SEOUL = Schedule("duty", "Asia/Seoul", (Layer(("kim", "park"), 7, "2026-01-05T09:00:00"),))


def at(text: str, zone: str = "Asia/Seoul", fold: int = 0) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


def rules_of(roles: tuple[Role, ...], schedules: tuple[Schedule, ...] = (SEOUL,)) -> Rules:
    people = ("kim", "park", "lee")
    return Rules(
        version=0,
        severities=(),
        services=(),
        ladders={},
        roles={role.name: role for role in roles},
        schedules={schedule.name: schedule for schedule in schedules},
        people={key: Person(key, key, "en", "UTC", ()) for key in people},
        integrations=(),
        inhibit=(),
        emergency=Emergency(),
    )


@pytest.mark.parametrize(
    ("local", "person"),
    [
        ("2026-01-05T09:00", "kim"),
        ("2026-01-12T08:59:59", "kim"),
        ("2026-01-12T09:00", "park"),
        ("2026-01-19T08:59:59", "park"),
        ("2026-01-19T09:00", "kim"),
        ("2026-12-28T09:00", "park"),
    ],
)
def test_two_people_take_turns_by_the_week(local: str, person: str) -> None:
    assert on_shift(SEOUL, at(local)) == person


def test_nobody_is_on_duty_before_the_first_layer_begins() -> None:
    assert on_shift(SEOUL, at("2026-01-05T09:00") - 1) is None
    assert holders("duty", at("2026-01-05T08:59"), rules_of((Role("duty", schedule="duty"),))) == ()


# Zone, the local day on which a week's turn ends, and how many hours that week has.
CHANGES = [
    ("Europe/Berlin", "2026-03-30", 167),
    ("Europe/Berlin", "2026-10-26", 169),
    ("America/New_York", "2026-03-09", 167),
    ("America/New_York", "2026-11-02", 169),
    ("Australia/Lord_Howe", "2026-04-06", 168.5),
    ("Asia/Seoul", "2026-03-30", 168),
]


@pytest.mark.parametrize(("zone", "day", "hours"), CHANGES)
def test_the_hand_over_stays_at_nine_whatever_the_clocks_do(zone: str, day: str, hours: float) -> None:
    start = datetime.fromisoformat(f"{day}T09:00")
    before = start.fromordinal(start.toordinal() - 7).replace(hour=9)
    schedule = Schedule("duty", zone, (Layer(("kim", "park"), 7, before.isoformat()),))
    begins, ends = at(before.isoformat(), zone), at(f"{day}T09:00", zone)
    assert (ends - begins) / 3_600_000 == hours
    assert [on_shift(schedule, moment) for moment in (begins - 1, begins, ends - 1, ends)] == [None, "kim", "kim", "park"]


def test_a_daily_turn_at_an_hour_that_the_clock_skips_begins_when_the_clock_has_passed_it() -> None:
    schedule = Schedule("duty", "Europe/Berlin", (Layer(("kim", "park"), 1, "2026-03-28T02:30:00"),))
    skipped = at("2026-03-29T03:00", "Europe/Berlin")
    assert on_shift(schedule, skipped - 1) == "kim"
    assert on_shift(schedule, skipped) == "park"


def test_a_later_layer_wins_from_its_start_on() -> None:
    late = Layer(("lee",), 7, "2026-02-02T09:00:00")
    schedule = Schedule("duty", "Asia/Seoul", (*SEOUL.layers, late))
    begins = at("2026-02-02T09:00")
    assert on_shift(schedule, begins - 1) == on_shift(SEOUL, begins - 1)
    assert {on_shift(schedule, begins + week * 604_800_000) for week in range(5)} == {"lee"}


def test_a_role_is_held_by_its_people_and_by_whoever_is_on_shift_each_once() -> None:
    rules = rules_of((Role("both", ("lee", "kim"), "duty"), Role("listed", ("lee", "lee", "gone")), Role("empty")))
    moment = at("2026-01-06T00:00")
    assert holders("both", moment, rules) == ("lee", "kim")
    assert holders("both", at("2026-01-13T00:00"), rules) == ("lee", "kim", "park")
    assert holders("listed", moment, rules) == ("lee",)
    assert holders("empty", moment, rules) == ()
    assert holders("unknown", moment, rules) == ()


@given(
    st.sampled_from(["Asia/Seoul", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "UTC"]),
    st.integers(1, 30),
    st.lists(st.sampled_from(["kim", "park", "lee"]), min_size=1, max_size=5),
    st.datetimes(datetime(2026, 1, 6), datetime(2060, 1, 1)),  # noqa: DTZ001  instants of UTC, made aware below
)
def test_once_begun_somebody_is_always_on_shift(zone: str, every_days: int, people: list[str], moment: datetime) -> None:
    schedule = Schedule("duty", zone, (Layer(tuple(people), every_days, "2026-01-01T09:00:00"),))
    assert on_shift(schedule, round(moment.replace(tzinfo=UTC).timestamp() * 1000)) in people
