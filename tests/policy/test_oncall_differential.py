"""The calendar against the naive one, on random schedules around the days on which clocks change: every zone that changes, 2020 to 2035.

TOCSIN_SWEEP=N multiplies the number of examples.
"""

import itertools
import os
from dataclasses import dataclass
from datetime import UTC, date, datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.policy import naive
from tests.policy.duties import DAY, HOUR, PEOPLE, at, rules_of
from tocsin.policy.hours import DayKind, Holidays, Hours, Span, Window, kind_at
from tocsin.policy.oncall import hand_overs_of, on_shift, shifts
from tocsin.policy.roster import Absence, Override, Roster, Swap, Turn
from tocsin.policy.rotation import Every
from tocsin.policy.schedules import Layer, Schedule
from tocsin.policy.wallclock import MINUTE_MS, date_of, day_of, wall_at

SWEEP = int(os.environ.get("TOCSIN_SWEEP", "1"))
QUARTER = 15 * MINUTE_MS
SLOW = settings(max_examples=150 * SWEEP, suppress_health_check=list(HealthCheck), deadline=None)

quarters = st.integers(0, 95)
zones = st.sampled_from(sorted({zone for zone, _ in naive.changes()}))
people = st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=4).map(tuple)
everies = st.one_of(
    st.sampled_from([1, 2, 7, 8, 12, 24, 36, 48, 168]).map(lambda hours: Every(hours=hours)),
    st.sampled_from([1, 2, 12]).map(lambda months: Every(months=months)),
)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    begin = draw(quarters)
    return Span(begin * QUARTER, (begin + draw(st.integers(1, 96))) * QUARTER)


@st.composite
def hours(draw: st.DrawFn, zone: str, today: int) -> Hours:
    windows = st.builds(
        Window,
        st.lists(st.integers(0, 6), max_size=6, unique=True).map(tuple),
        st.lists(spans(), max_size=2).map(tuple),
    )
    days = st.frozensets(st.integers(today - 4, today + 4), max_size=3)
    free, worked = draw(days), draw(days)
    holidays = Holidays("XX", dict.fromkeys(free, "day"), worked - free, 2020, 2040)
    company = draw(days)
    return Hours("h", zone, tuple(draw(st.lists(windows, min_size=1, max_size=2))), holidays, company, draw(days) - company)


@st.composite
def windows(draw: st.DrawFn, zone: str, today: int) -> Window:
    return Window(
        tuple(draw(st.lists(st.integers(0, 6), max_size=6, unique=True))),
        tuple(draw(st.lists(spans(), max_size=2))),
        on := tuple(draw(st.lists(st.sampled_from(DayKind), max_size=3, unique=True))),
        draw(hours(zone, today)) if on else None,
    )


def wall_text(day: int, quarter: int) -> str:
    return f"{date_of(day).isoformat()}T{quarter // 4:02}:{quarter % 4 * 15:02}:00"


@st.composite
def layers(draw: st.DrawFn, zone: str, today: int) -> Layer:
    every = draw(everies)
    back = draw(st.integers(-2, 60 if every.hours and every.hours < 12 else 400))
    own = draw(st.one_of(st.none(), zones))
    until = draw(st.one_of(st.none(), st.integers(-1, 2)))
    return Layer(
        draw(people),
        every,
        wall_text(today - back, draw(quarters)),
        own,
        None if until is None else wall_text(today + until, draw(quarters)),
        tuple(draw(st.lists(windows(own or zone, today), max_size=2))),
    )


@dataclass(frozen=True)
class Case:
    schedule: Schedule
    roster: Roster
    begin: int
    end: int


@st.composite
def rosters(draw: st.DrawFn, begin: int) -> Roster:
    moments = st.integers(0, 4 * 72).map(lambda quarter: begin + quarter * QUARTER)
    lengths = st.integers(0, 4 * 30).map(lambda quarter: quarter * QUARTER)
    made = st.integers(0, 5)
    overrides, absences, swaps = [], [], []
    for number in range(draw(st.integers(0, 3))):
        since = draw(moments)
        who, whom = draw(st.sampled_from((*PEOPLE, "gone"))), draw(st.sampled_from((None, None, *PEOPLE)))
        overrides.append(Override(f"o{number}", "duty", who, since, since + draw(lengths), whom, made_at=draw(made)))
    for number in range(draw(st.integers(0, 3))):
        since = draw(moments)
        absences.append(Absence(f"a{number}", draw(st.sampled_from(PEOPLE)), since, since + draw(lengths), made_at=draw(made)))
    if draw(st.booleans()):
        one, two = draw(moments), draw(moments)
        first, second = Turn("kim", one, one + draw(lengths)), Turn("park", two, two + draw(lengths))
        agreed = draw(st.sampled_from([("kim",), ("kim", "park")]))
        swaps.append(Swap("s", "duty", first, second, "kim", agreed, made_at=0, agreed_at=draw(st.one_of(st.none(), made))))
    return Roster(1, tuple(overrides), tuple(absences), tuple(swaps))


@st.composite
def cases(draw: st.DrawFn, *, changed: bool) -> Case:
    zone, change = draw(st.sampled_from(naive.changes()))
    begin = change // QUARTER * QUARTER - 36 * HOUR + draw(st.integers(-96, 96)) * QUARTER
    today = wall_at(change, zone) // DAY
    schedule = Schedule("duty", zone, tuple(draw(st.lists(layers(zone, today), min_size=1, max_size=3))))
    return Case(schedule, draw(rosters(begin)) if changed else Roster(), begin, begin + 72 * HOUR)


def compare(case: Case) -> None:
    rules = rules_of(case.schedule, roster=case.roster)
    known = Roster(1, tuple(each for each in case.roster.overrides if each.person != "gone"), case.roster.absences, case.roster.swaps)
    moments = range(case.begin, case.end, QUARTER)
    expected = [naive.on_shift(case.schedule, moment, known) for moment in moments]
    duties = [on_shift(case.schedule, moment, rules) for moment in moments]
    assert [None if duty is None else duty.person for duty in duties] == expected
    found = shifts(case.schedule, case.begin, case.end, rules)
    free_at = case.begin
    for shift in found:
        assert free_at <= shift.from_at < shift.to_at <= case.end, "in order, without overlap"
        assert naive.on_shift(case.schedule, shift.from_at, known) == naive.on_shift(case.schedule, shift.to_at - 1, known) == shift.person
        free_at = shift.to_at
    covered = {moment: shift.person for shift in found for moment in moments if shift.from_at <= moment < shift.to_at}
    assert [covered.get(moment) for moment in moments] == expected
    for each in hand_overs_of(case.schedule, case.begin, case.end, rules):
        around = naive.on_shift(case.schedule, each.at - 1, known), naive.on_shift(case.schedule, each.at, known)
        assert (each.before, each.after) == around


@SLOW
@given(cases(changed=False))
def test_F0_F2_F8_F9_H1_L1_random_layers_around_changes_of_the_clocks_are_as_counted_by_hand(case: Case) -> None:
    compare(case)


@SLOW
@given(cases(changed=True))
def test_F3_F4_F5_F6_F10_M2_random_overrides_absences_and_swaps_are_as_counted_by_hand(case: Case) -> None:
    compare(case)


@SLOW
@given(st.data())
def test_the_kind_of_an_instant_is_as_counted_by_hand(data: st.DataObject) -> None:
    zone, change = data.draw(st.sampled_from(naive.changes()))
    place = data.draw(hours(zone, wall_at(change, zone) // DAY))
    begin = change // QUARTER * QUARTER - 40 * HOUR
    for moment in range(begin, begin + 80 * HOUR, QUARTER):
        assert kind_at(place, moment) is naive.kind(place, moment), datetime.fromtimestamp(moment / 1000, UTC)


def test_F8_F9_L1_every_change_of_every_zone_is_as_counted_by_hand_for_a_usual_schedule() -> None:
    night, weekend = Window((0, 1, 2, 3, 4), (Span(18 * HOUR, 33 * HOUR),)), Window((5, 6), ())
    skipped = Window((), (Span(0, 2 * HOUR + 30 * MINUTE_MS),))
    step = 1 if SWEEP > 1 else 5
    for zone, change in naive.changes()[::step]:
        starts = wall_text(wall_at(change, zone) // DAY - 10, 10)
        layer = Layer(("kim", "park"), Every(hours=24), starts)
        after = Layer(("lee", "choi"), Every(hours=12), starts, restrict=(night, weekend))
        small = Layer(("kim", "lee", "park"), Every(hours=1), starts, restrict=(skipped,))
        begin = change // QUARTER * QUARTER - 8 * HOUR
        compare(Case(Schedule("duty", zone, (layer, after, small)), Roster(), begin, begin + 16 * HOUR))


def test_the_seams_of_ten_years_of_hourly_turns_leave_no_gap_and_no_overlap() -> None:
    schedule = Schedule("duty", "Europe/Berlin", (Layer(PEOPLE, Every(hours=1), "2026-01-01T00:00:00"),))
    begin, end = at("2026-01-01T00:00", "Europe/Berlin"), at("2036-01-01T00:00", "Europe/Berlin")
    found = shifts(schedule, begin, end, rules_of(schedule))
    assert (found[0].from_at, found[-1].to_at) == (begin, end)
    assert all(before.to_at == after.from_at for before, after in itertools.pairwise(found))
    days = day_of(date(2036, 1, 1)) - day_of(date(2026, 1, 1))
    assert len(found) == 24 * days - 10  # an hour is skipped in each spring; the one that comes twice in autumn is one turn
