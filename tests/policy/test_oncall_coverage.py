"""Where nobody would be reached, and the words for it."""

from dataclasses import replace
from datetime import date

from tests.policy.duties import DAY, HOUR, WEEKLY, at, rules_of, week_of
from tests.policy.world import LADDER, PLAN
from tocsin.policy.coverage import Finding, FindingKind, NeverReached, Reach, gaps, never_reached, reaches
from tocsin.policy.hours import DayKind, Holidays, Hours, Span, Window
from tocsin.policy.model import Ladder, Rung
from tocsin.policy.roster import Absence, Roster
from tocsin.policy.rotation import Every
from tocsin.policy.rules import Contact, Rules, Service
from tocsin.policy.schedules import Layer, Role, RoleCase, Schedule
from tocsin.policy.wallclock import day_of

MINUTE = 60_000
BEGIN = at("2026-02-16T00:00")
END = BEGIN + 7 * DAY
DUTY = week_of("kim", "park")
OFFICE = Hours("seoul", "Asia/Seoul", (Window((0, 1, 2, 3, 4), (Span(9 * HOUR, 18 * HOUR),)),))
WORKDAYS = Schedule("duty", "Asia/Seoul", (Layer(("kim", "park"), WEEKLY, "2026-01-05T09:00:00", restrict=(Window((0, 1, 2, 3, 4)),)),))


def ladder(*rungs: Rung, last_resort: tuple[str, ...] = ()) -> Ladder:
    return replace(LADDER, rungs=(rungs, (), (), ()), last_resort=last_resort)


def serving(rules: Rules, climbed: Ladder, *names: str) -> Rules:
    services = tuple(Service(name, (), ("alertname",), replace(PLAN, ladder=climbed)) for name in names or ("payments",))
    return replace(rules, services=services, ladders={climbed.name: climbed})


def of_kind(found: tuple[Finding, ...], kind: FindingKind) -> list[Finding]:
    return [each for each in found if each.kind is kind]


def test_a_calendar_without_gaps_has_no_findings() -> None:
    rules = serving(rules_of(DUTY, roles=[Role("duty", schedules=("duty",))]), ladder(Rung(0, ("duty",))))
    assert gaps(rules, BEGIN, END) == ()


def test_a_rung_that_reaches_nobody_hands_on_at_once_so_only_its_role_is_named() -> None:
    roles = [Role("duty", schedules=("duty",)), Role("lead", ("lee", "choi"))]
    rules = serving(rules_of(WORKDAYS, roles=roles), ladder(Rung(0, ("duty",)), Rung(HOUR, ("lead",))))
    (found,) = gaps(rules, BEGIN, END)
    assert (found.kind, found.where) == (FindingKind.EMPTY_ROLE, "roles.duty")
    assert (found.from_at, found.to_at) == (at("2026-02-21T00:00"), END)
    weekend = "from 21 February 00:00 to 23 February 00:00 (Asia/Seoul)"
    assert found.consequence == f"nobody holds duty {weekend}: its rungs are passed over and the next is paged at once"


def test_a_severity_that_reaches_somebody_late_is_said_with_how_late() -> None:
    roles = [Role("duty", ("kim",)), Role("lead", ("lee",))]
    rules = serving(rules_of(roles=roles), ladder(Rung(0, ("duty",)), Rung(HOUR, ("lead",))))
    slow = replace(rules.people["kim"], contacts=(Contact("log:", 90 * MINUTE),))
    found = gaps(replace(rules, people={**rules.people, "kim": slow}), BEGIN, END)
    assert [(each.kind, each.where, each.consequence) for each in found] == [
        (FindingKind.NOBODY_REACHED, "ladders.standard.rungs.1", "severity 1 on payments at any time would reach nobody before 1h")
    ]


def test_a_severity_that_reaches_nobody_on_one_day_is_said_with_the_day() -> None:
    seollal = Holidays("KR", {day_of(date(2026, 2, 17)): "설날"}, frozenset(), 2020, 2040)
    hours = replace(OFFICE, holidays=seollal)
    case = RoleCase(Window(on=(DayKind.WORKING, DayKind.NIGHT, DayKind.WEEKEND), hours=hours), "Asia/Seoul", ("kim", "lee"))
    rules = serving(
        rules_of(roles=[Role("duty", by_time=(case,))], hours=[hours]), ladder(Rung(0, ("duty",))), "payments", "web", "db", "x"
    )
    found = gaps(rules, BEGIN, END)
    assert found[0] == Finding(
        FindingKind.NOBODY_REACHED,
        "ladders.standard.rungs.1",
        "severity 1 on payments, web, db and 1 more on 17 February would reach nobody",
        at("2026-02-17T00:00"),
        at("2026-02-18T00:00"),
    )
    assert [each.kind for each in found[1:]] == [FindingKind.EMPTY_ROLE]


def test_a_ladder_is_looked_at_with_each_rung_at_its_own_time() -> None:
    night = Schedule("duty", "UTC", (Layer(("kim", "lee"), WEEKLY, "2026-01-05T00:00:00", restrict=(Window((), (Span(0, 12 * HOUR),)),)),))
    rules = rules_of(night, roles=[Role("duty", schedules=("duty",)), Role("boss", ("choi",))])
    day = at("2026-02-16T00:00", "UTC")
    again = ladder(Rung(0, ("duty",)), Rung(13 * HOUR, ("duty",)), last_resort=("boss",))
    assert reaches(again, 1, day, day + DAY, rules, cut_off=frozenset()) == (
        Reach(day, day + 12 * HOUR, 0),
        Reach(day + 12 * HOUR, day + DAY, 0, last_resort=True),  # the second rung is due at once, when nobody is there either
    )
    assert reaches(again, 2, day, day + DAY, rules, cut_off=frozenset()) == ()
    late = ladder(Rung(6 * HOUR, ("duty",)))
    assert reaches(late, 1, day, day + DAY, rules, cut_off=frozenset()) == (
        Reach(day, day + 6 * HOUR, 6 * HOUR),
        Reach(day + 6 * HOUR, day + 18 * HOUR, None),
        Reach(day + 18 * HOUR, day + DAY, 6 * HOUR),
    )


def test_people_who_cannot_be_reached_and_rotations_of_one_are_named() -> None:
    rules = serving(rules_of(week_of("kim"), roles=[Role("duty", ("park",), ("duty",))]), ladder(Rung(0, ("duty",))))
    found = gaps(rules, BEGIN, END, unreachable=("kim", "lee"))
    assert [(each.kind, each.where) for each in found] == [
        (FindingKind.NO_CONTACT, "people.kim"),
        (FindingKind.ROTATION_OF_ONE, "schedules.duty.layers[0]"),
    ]
    assert found[0].consequence == "kim may hold duty and cannot be reached: a page to kim reaches nobody"
    everybody = gaps(rules, BEGIN, END, unreachable=("kim", "park"))
    assert everybody[0].consequence == "severity 1 on payments at any time would reach nobody"
    assert everybody[1].consequence.startswith("only park and kim, who cannot be reached, holds duty at any time")


def test_a_severity_that_never_reaches_anybody_is_seen_without_a_clock() -> None:
    rules = serving(rules_of(DUTY, roles=[Role("duty", schedules=("duty",)), Role("empty")]), ladder(Rung(0, ("empty", "duty"))))
    assert never_reached(rules) == ()
    mute = {key: replace(person, contacts=()) for key, person in rules.people.items()}
    words = "severity 1 on payments would never reach anybody: no role of it is held by people with contacts"
    assert never_reached(replace(rules, people=mute)) == (NeverReached("standard", 1, words),)


def test_an_absence_that_empties_a_role_is_found_before_it_begins() -> None:
    gone = Absence("a1", "kim", at("2026-02-18T09:00"), at("2026-02-18T10:00"))
    rules = serving(rules_of(roles=[Role("duty", ("kim",))], roster=Roster(1, absences=(gone,))), ladder(Rung(0, ("duty",))))
    found = of_kind(gaps(rules, BEGIN, END), FindingKind.NOBODY_REACHED)
    words = "severity 1 on payments on 18 February from 00:00 to 01:00 (UTC) would reach nobody"  # no schedule, so no zone of its own
    assert [each.consequence for each in found] == [words]


def test_what_happens_every_night_is_one_finding_that_says_how_often() -> None:
    days = Schedule(
        "duty", "Asia/Seoul", (Layer(("kim", "lee"), WEEKLY, "2026-01-05T09:00:00", restrict=(Window((), (Span(0, 18 * HOUR),)),)),)
    )
    rules = serving(rules_of(days, roles=[Role("duty", schedules=("duty",))]), ladder(Rung(0, ("duty",))))
    (ladders, role) = gaps(rules, BEGIN, END)
    assert (ladders.times, role.times) == (7, 7)
    assert (
        ladders.consequence
        == "severity 1 on payments on 16 February from 18:00 to 24:00 (Asia/Seoul) would reach nobody (and 6 more times)"
    )


def test_exchange_days_that_are_not_published_are_named_two_months_before_the_year() -> None:
    china = Hours("shanghai", "Asia/Shanghai", OFFICE.working, Holidays("CN", {}, frozenset(), 2020, 2027, (2027,)))
    rules = rules_of(hours=[china])
    assert gaps(rules, at("2026-10-01T00:00"), at("2026-10-08T00:00")) == ()
    (found,) = gaps(rules, at("2026-11-20T00:00"), at("2026-11-27T00:00"))
    assert (found.kind, found.where, found.from_at) == (
        FindingKind.HOLIDAYS_MISSING,
        "hours.shanghai",
        at("2027-01-01T00:00", "Asia/Shanghai"),
    )
    assert "works in exchange for holidays in 2027 are not known" in found.consequence
    (found,) = gaps(rules, at("2028-02-01T00:00"), at("2028-02-08T00:00"))
    assert found.consequence == "no holidays of CN are known for 2028: they count as working days"


def test_hand_overs_that_the_clocks_move_are_named() -> None:
    schedule = Schedule("duty", "Europe/Berlin", (Layer(("kim", "lee"), Every(hours=24), "2026-01-05T02:30:00"),))
    rules = rules_of(schedule)
    (spring,) = gaps(rules, at("2026-03-27T00:00"), at("2026-04-02T00:00"))
    assert spring.consequence == "the hand-over of duty on 29 March at 02:30 (Europe/Berlin) is skipped by the clocks and happens at 03:00"
    assert spring.from_at == at("2026-03-29T03:00", "Europe/Berlin")
    (autumn,) = gaps(rules, at("2026-10-23T00:00"), at("2026-10-28T00:00"))
    assert autumn.consequence.endswith("at 02:30 (Europe/Berlin) comes twice and happens at the first of the two")
    assert autumn.from_at == at("2026-10-25T02:30", "Europe/Berlin")
    assert gaps(rules, at("2026-06-01T00:00"), at("2026-06-30T00:00")) == ()
