from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.policy.duties import DAILY, DAY, HOUR, MONTHLY, WEEKLY, at, rules_of, week_of
from tocsin.policy.hours import DayKind, Hours, Span, Window
from tocsin.policy.oncall import Cause, HandOver, Held, Shift, hand_overs_of, held, holders, on_shift, shift_at, shifts
from tocsin.policy.rotation import Every
from tocsin.policy.schedules import Layer, Role, RoleCase, Schedule

SEOUL = week_of("kim", "park")
RULES = rules_of(SEOUL)


def person_at(schedule: Schedule, moment: int) -> str | None:
    duty = on_shift(schedule, moment, rules_of(schedule))
    return None if duty is None else duty.person


def of(schedule: Schedule, from_at: int, to_at: int) -> list[tuple[str, int, int]]:
    return [(each.person, each.from_at, each.to_at) for each in shifts(schedule, from_at, to_at, rules_of(schedule))]


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
    assert person_at(SEOUL, at(local)) == person


def test_nobody_is_on_duty_before_the_first_layer_begins() -> None:
    assert on_shift(SEOUL, at("2026-01-05T09:00") - 1, RULES) is None
    rules = rules_of(SEOUL, roles=[Role("duty", schedules=("duty",))])
    assert holders("duty", at("2026-01-05T08:59"), rules) == ()


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
    schedule = week_of("kim", "park", zone=zone, starts=before.isoformat())
    begins, ends = at(before.isoformat(), zone), at(f"{day}T09:00", zone)
    assert (ends - begins) / HOUR == hours
    assert [person_at(schedule, moment) for moment in (begins - 1, begins, ends - 1, ends)] == [None, "kim", "kim", "park"]


def test_a_daily_turn_at_an_hour_that_the_clock_skips_begins_when_the_clock_has_passed_it() -> None:
    schedule = Schedule("duty", "Europe/Berlin", (Layer(("kim", "park"), DAILY, "2026-03-28T02:30:00"),))
    skipped = at("2026-03-29T03:00", "Europe/Berlin")
    assert (person_at(schedule, skipped - 1), person_at(schedule, skipped)) == ("kim", "park")


def test_a_daily_turn_at_an_hour_that_comes_twice_begins_at_the_first_and_only_once() -> None:
    schedule = Schedule("duty", "Europe/Berlin", (Layer(("kim", "park"), DAILY, "2026-10-24T02:30:00"),))
    first, second = at("2026-10-25T02:30", "Europe/Berlin"), at("2026-10-25T02:30", "Europe/Berlin", fold=1)
    assert second - first == HOUR
    assert [person_at(schedule, moment) for moment in (first - 1, first, second - HOUR // 2, second - 1, second)] == ["kim", *["park"] * 4]


def test_turns_of_an_hour_follow_the_clock_and_skip_nobody_but_the_hour_that_is_not_there() -> None:
    people = ("kim", "park", "lee", "choi")
    spring = Schedule("duty", "Europe/Berlin", (Layer(people, Every(hours=1), "2026-03-29T00:00:00"),))
    begin = at("2026-03-29T00:00", "Europe/Berlin")
    hours = [(person, (since - begin) // HOUR, (until - begin) // HOUR) for person, since, until in of(spring, begin, begin + 4 * HOUR)]
    assert hours == [("kim", 0, 1), ("park", 1, 2), ("choi", 2, 3), ("kim", 3, 4)]
    autumn = Schedule("duty", "Europe/Berlin", (Layer(people, Every(hours=1), "2026-10-25T00:00:00"),))
    begin = at("2026-10-25T00:00", "Europe/Berlin")
    hours = [(person, (since - begin) // HOUR, (until - begin) // HOUR) for person, since, until in of(autumn, begin, begin + 5 * HOUR)]
    assert hours == [("kim", 0, 1), ("park", 1, 2), ("lee", 2, 4), ("choi", 4, 5)]


def test_a_later_layer_wins_from_its_start_until_its_end() -> None:
    late = Layer(("lee",), WEEKLY, "2026-02-02T09:00:00", until="2026-02-10T12:00:00")
    schedule = Schedule("duty", "Asia/Seoul", (*SEOUL.layers, late))
    begins, ends = at("2026-02-02T09:00"), at("2026-02-10T12:00")
    assert person_at(schedule, begins - 1) == person_at(SEOUL, begins - 1)
    assert {person_at(schedule, moment) for moment in range(begins, ends, 12 * HOUR)} == {"lee"}
    assert person_at(schedule, ends) == person_at(SEOUL, ends)
    assert [each.layer for each in shifts(schedule, begins - DAY, ends + DAY, RULES)] == [0, 1, 1, 0]


def test_F0_H1_a_monthly_rotation_on_the_31st_hands_over_on_the_last_day_of_short_months_and_on_the_31st_again() -> None:
    schedule = Schedule("duty", "Asia/Seoul", (Layer(("kim", "park", "lee"), MONTHLY, "2026-01-31T09:00:00"),))
    begins = ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31", "2026-06-30", "2026-07-31"]
    found = of(schedule, at("2026-01-31T09:00"), at("2026-07-31T10:00"))
    assert [(person, since) for person, since, _ in found] == [
        (("kim", "park", "lee")[turn % 3], at(f"{day}T09:00")) for turn, day in enumerate(begins)
    ]
    assert person_at(schedule, at("2028-02-29T08:59")) != person_at(schedule, at("2028-02-29T09:00"))


def test_F2_a_restricted_rotation_counts_its_turns_while_it_is_off() -> None:
    weekdays = Window(tuple(range(5)))
    schedule = Schedule("duty", "Asia/Seoul", (Layer(("kim", "park", "lee"), DAILY, "2026-01-05T00:00:00", restrict=(weekdays,)),))
    found = of(schedule, at("2026-01-05T00:00"), at("2026-01-13T00:00"))
    assert [person for person, _, _ in found] == ["kim", "park", "lee", "kim", "park", "park"]  # lee and kim had the weekend
    assert person_at(schedule, at("2026-01-10T12:00")) is None


def test_F8_F9_L1_a_window_past_midnight_belongs_to_the_day_it_starts_on_and_follows_the_clocks() -> None:
    night = Window((4,), (Span(22 * HOUR, 30 * HOUR),))  # friday 22:00-06:00
    schedule = Schedule("duty", "Europe/Berlin", (Layer(("kim",), WEEKLY, "2026-01-05T00:00:00", restrict=(night,)),))
    found = of(schedule, at("2026-03-20T00:00", "Europe/Berlin"), at("2026-04-04T12:00", "Europe/Berlin"))
    assert found == [
        ("kim", at(f"{day}T22:00", "Europe/Berlin"), at(f"{after}T06:00", "Europe/Berlin"))
        for day, after in (("2026-03-20", "2026-03-21"), ("2026-03-27", "2026-03-28"), ("2026-04-03", "2026-04-04"))
    ]
    spring = Window((5,), (Span(22 * HOUR, 30 * HOUR),))  # saturday night, in which the clocks change
    schedule = Schedule("duty", "Europe/Berlin", (Layer(("kim",), WEEKLY, "2026-01-05T00:00:00", restrict=(spring,)),))
    ((_, since, until),) = of(schedule, at("2026-03-28T12:00", "Europe/Berlin"), at("2026-03-30T00:00", "Europe/Berlin"))
    assert (until - since) // HOUR == 7


def test_a_layer_may_live_in_a_zone_of_its_own_and_the_sun_is_followed_without_a_seam() -> None:
    def day(person: str, zone: str, times: Span) -> Layer:
        return Layer((person,), DAILY, "2026-01-01T00:00:00", time_zone=zone, restrict=(Window((), (times,)),))

    layers = (
        day("kim", "Asia/Seoul", Span(9 * HOUR, 17 * HOUR)),
        day("lee", "Europe/London", Span(8 * HOUR, 16 * HOUR)),
        day("park", "America/Los_Angeles", Span(8 * HOUR, 16 * HOUR)),
    )
    schedule = Schedule("sun", "UTC", layers)
    winter = at("2026-01-12T00:00", "UTC")
    assert of(schedule, winter, winter + DAY) == [
        ("kim", winter, winter + 8 * HOUR),
        ("lee", winter + 8 * HOUR, winter + 16 * HOUR),
        ("park", winter + 16 * HOUR, winter + DAY),
    ]
    # Two weeks in which America has changed its clocks and Europe has not: the seam moves, and where they part company there is a gap.
    march = at("2026-03-12T00:00", "UTC")
    assert of(schedule, march, march + DAY)[1:] == [
        ("lee", march + 8 * HOUR, march + 15 * HOUR),
        ("park", march + 15 * HOUR, march + 23 * HOUR),
    ]


def test_a_turn_is_one_shift_and_the_next_turn_is_another_though_the_same_person_has_it() -> None:
    schedule = week_of("kim")
    begin = at("2026-01-05T09:00")
    assert of(schedule, begin + DAY, begin + 15 * DAY) == [
        ("kim", begin + DAY, begin + 7 * DAY),
        ("kim", begin + 7 * DAY, begin + 14 * DAY),
        ("kim", begin + 14 * DAY, begin + 15 * DAY),
    ]
    assert shifts(schedule, begin, begin, rules_of(schedule)) == ()


def test_the_whole_shift_is_found_from_any_instant_in_it() -> None:
    begin = at("2026-01-12T09:00")
    expected = Shift("duty", "park", begin, begin + 7 * DAY, Cause.ROTATION, 0)
    for moment in (begin, begin + 3 * DAY, begin + 7 * DAY - 1):
        assert shift_at(SEOUL, moment, RULES) == expected
    assert shift_at(SEOUL, at("2026-01-01T00:00"), RULES) is None


def test_F10_F4_M2_F3_hand_overs_shifts_and_pages_say_the_same() -> None:
    begin = at("2026-01-01T00:00")
    found = hand_overs_of(SEOUL, begin, begin + 30 * DAY, RULES)
    assert found[0] == HandOver("duty", at("2026-01-05T09:00"), None, "kim")
    for each in found:
        assert (person_at(SEOUL, each.at - 1), person_at(SEOUL, each.at)) == (each.before, each.after)
    assert [each.at for each in found] == [each.from_at for each in shifts(SEOUL, begin, begin + 30 * DAY, RULES)]
    weekdays = Schedule("duty", "Asia/Seoul", (Layer(("kim",), WEEKLY, "2026-01-05T00:00:00", restrict=(Window((0, 1, 2, 3, 4)),)),))
    rules = rules_of(weekdays)
    monday = at("2026-01-12T00:00")
    assert [(each.before, each.after) for each in hand_overs_of(weekdays, monday, monday + 7 * DAY, rules)] == [
        (None, "kim"),
        ("kim", None),
    ]
    assert hand_overs_of(weekdays, monday + DAY, monday + 2 * DAY, rules) == ()


def test_F5_F6_a_role_resolves_to_people_once_and_drops_whom_the_rules_do_not_name() -> None:
    roles = (
        Role("both", ("lee", "kim"), ("duty",)),
        Role("twice", (), ("duty", "duty")),
        Role("listed", ("lee", "lee", "gone")),
        Role("empty"),
    )
    rules = rules_of(SEOUL, roles=roles)
    moment = at("2026-01-06T00:00")
    assert holders("both", moment, rules) == ("lee", "kim")
    assert holders("both", at("2026-01-13T00:00"), rules) == ("lee", "kim", "park")
    assert holders("twice", moment, rules) == ("kim",)
    assert holders("listed", moment, rules) == ("lee",)
    assert holders("empty", moment, rules) == ()
    assert holders("unknown", moment, rules) == ()


def test_a_role_is_held_by_the_desk_in_working_hours_and_by_the_chain_at_all_other_times() -> None:
    hours = Hours("seoul", "Asia/Seoul", (Window((0, 1, 2, 3, 4), (Span(9 * HOUR, 18 * HOUR),)),))
    desk = RoleCase(Window(on=(DayKind.WORKING,), hours=hours), "Asia/Seoul", schedules=("duty",))
    chain = RoleCase(Window(on=(DayKind.NIGHT, DayKind.WEEKEND, DayKind.HOLIDAY), hours=hours), "Asia/Seoul", ("lee", "choi"))
    rules = rules_of(SEOUL, roles=[Role("support", by_time=(desk, chain))])
    monday = at("2026-01-05T00:00")
    assert held("support", monday, monday + 2 * DAY, rules) == (
        Held("support", ("lee", "choi"), monday, monday + 9 * HOUR),
        Held("support", ("kim",), monday + 9 * HOUR, monday + 18 * HOUR),
        Held("support", ("lee", "choi"), monday + 18 * HOUR, monday + 33 * HOUR),
        Held("support", ("kim",), monday + 33 * HOUR, monday + 42 * HOUR),
        Held("support", ("lee", "choi"), monday + 42 * HOUR, monday + 48 * HOUR),
    )
    assert held("support", monday, monday, rules) == ()
    assert held("unknown", monday, monday + DAY, rules) == (Held("unknown", (), monday, monday + DAY),)


@given(
    st.sampled_from(["Asia/Seoul", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "UTC"]),
    st.integers(1, 30),
    st.lists(st.sampled_from(["kim", "park", "lee"]), min_size=1, max_size=5),
    st.datetimes(datetime(2026, 1, 6), datetime(2060, 1, 1)),  # noqa: DTZ001  instants of UTC, made aware below
)
def test_once_begun_somebody_is_always_on_shift(zone: str, days: int, people: list[str], moment: datetime) -> None:
    schedule = Schedule("duty", zone, (Layer(tuple(people), Every(hours=24 * days), "2026-01-01T09:00:00"),))
    assert person_at(schedule, round(moment.replace(tzinfo=UTC).timestamp() * 1000)) in people
