"""Houses drawn from a seed: people, schedules, roles, ladders and services for a policy simulation, in zones whose clocks change.

Owns what a house is like; what happens in it is in `policy_world.py`. Everything is drawn from the `random.Random` that is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from random import Random

from tocsin.policy.hours import DayKind, Holidays, Hours, Span, Window
from tocsin.policy.matchers import Matcher, MatchOp
from tocsin.policy.model import Ladder, Plan, Rung
from tocsin.policy.roster import Absence, Override
from tocsin.policy.rotation import Every
from tocsin.policy.rules import Contact, Emergency, Person, Quiet, Rules, Service, ServiceTable, SeverityRule
from tocsin.policy.schedules import Layer, Role, RoleCase, Schedule
from tocsin.policy.wallclock import day_of, instant_of

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
DAY = 24 * HOUR

NAMES = ("kim", "park", "lee", "choi", "jeong", "han", "seo")
ROLES = ("duty-engineer", "customer-service-engineer", "technical-support-lead", "general-manager")
NOBODY, GHOSTS = "nobody", "ghosts"
SERVICES = ("payments", "search", "mail", "everything-else")

# Each with a day near which its clocks change, or the year does.
PLACES = (
    ("Asia/Seoul", date(2026, 2, 16)),
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("America/Santiago", date(2026, 9, 6)),
    ("Asia/Seoul", date(2026, 12, 31)),
)
CONTACTS = ("log:", "mailto:{}@example.com", "slack:{}", "sms:+1", "tel:+2", "webhook+https://example.com/{}")


@dataclass(frozen=True, slots=True)
class House:
    """The rules of a world, and the instant (ms UTC) at which it begins."""

    rules: Rules
    starts_at: int
    zone: str


def draw_house(rng: Random) -> House:
    """Draw a house."""
    zone, day = rng.choice(PLACES)
    first_day = day_of(day) - rng.randrange(1, 8)
    hours = _hours(rng, zone, first_day)
    people = {name: _person(rng, name, zone) for name in rng.sample(NAMES, rng.randint(4, len(NAMES)))}
    people["ghost"] = Person("ghost", "Ghost", "en", zone, ())
    schedules = {name: _schedule(rng, name, zone, hours, list(people)) for name in ("duty", "lead")}
    ladders = {name: _ladder(rng, name) for name in ("standard", "other")}
    services = tuple(_service(rng, name, list(ladders.values())) for name in SERVICES)
    rules = Rules(
        version=1,
        severities=tuple(SeverityRule(level, (Matcher("severity", MatchOp.EQUAL, str(level)),)) for level in (1, 2, 3, 4)),
        services=services,
        ladders=ladders,
        roles=_roles(rng, list(people), zone, hours),
        schedules=schedules,
        people=people,
        integrations=(),
        inhibit=(),
        emergency=Emergency(to=rng.choice([(), ("log:",), ("log:", "mailto:ops@example.com")])),
        hours={hours.name: hours},
        table=ServiceTable(services),
    )
    return House(rules, instant_of(first_day * DAY, zone) + rng.randrange(DAY), zone)


def change_roster(rng: Random, rules: Rules, now: int) -> Rules:
    """Return the rules with one more override or absence, from about now; what has been long ago goes."""
    roster = rules.roster
    begin = now + rng.randrange(-2 * HOUR, DAY)
    end = begin + rng.choice([HOUR, 8 * HOUR, DAY, 3 * DAY])
    person = rng.choice(list(rules.people))
    number = f"{roster.version}"
    overrides = tuple(each for each in roster.overrides if each.until_at > now - DAY)
    absences = tuple(each for each in roster.absences if each.until_at > now - DAY)
    if rng.random() < 0.5:
        replaces = rng.choice([None, rng.choice(list(rules.people))])
        overrides += (Override(number, rng.choice(list(rules.schedules)), person, begin, end, replaces, made_at=now),)
    else:
        absences += (Absence(number, person, begin, end, made_at=now),)
    return replace(rules, roster=replace(roster, version=roster.version + 1, overrides=overrides, absences=absences))


def change_rules(rng: Random, rules: Rules) -> Rules:
    """Return the rules as a reload might leave them: other ladders, groups, holders and contacts for what opens from now on."""
    ladders = {name: _ladder(rng, name) if rng.random() < 0.5 else ladder for name, ladder in rules.ladders.items()}
    services = tuple(_service(rng, service.name, list(ladders.values())) for service in rules.services)
    zone = next(iter(rules.schedules.values())).time_zone
    people = {key: _person(rng, key, zone) if person.contacts and rng.random() < 0.3 else person for key, person in rules.people.items()}
    roles = _roles(rng, list(people), zone, next(iter(rules.hours.values())))
    table = ServiceTable(services)
    return replace(rules, version=rules.version + 1, ladders=ladders, services=services, people=people, roles=roles, table=table)


def _hours(rng: Random, zone: str, first_day: int) -> Hours:
    days = [first_day + rng.randrange(30) for _ in range(4)]
    holidays = Holidays("XX", dict.fromkeys(days[:3], "holiday"), frozenset(days[3:]) - frozenset(days[:3]), 2026, 2027)
    return Hours("office", zone, (Window((0, 1, 2, 3, 4), (Span(9 * HOUR, 18 * HOUR),)),), holidays)


def _person(rng: Random, name: str, zone: str) -> Person:
    addresses = rng.sample(CONTACTS, rng.choice([1, 1, 2, 3]))
    contacts = tuple(
        _contact(rng, to.format(name), 0 if index == 0 else rng.choice([0, MINUTE, 5 * MINUTE])) for index, to in enumerate(addresses)
    )
    night = Window((), (Span(22 * HOUR, 31 * HOUR),))
    quiet = rng.choice([(), (), (), (Quiet(night, (3,)),), (Quiet(night, (2, 3)),)])
    own_zone = rng.choice([zone, zone, "America/Los_Angeles"])
    return Person(name, name.title(), "en", own_zone, contacts, quiet)


def _contact(rng: Random, to: str, after_ms: int) -> Contact:
    if rng.random() < 0.15:
        return Contact(to, after_ms, repeat_ms=rng.choice([MINUTE, 3 * MINUTE]), times=3)
    return Contact(to, after_ms)


def _schedule(rng: Random, name: str, zone: str, hours: Hours, people: list[str]) -> Schedule:
    restricts = (
        (),
        (),
        (Window((5, 6)),),
        (Window((), (Span(22 * HOUR, 30 * HOUR),)),),
        (Window(on=(DayKind.HOLIDAY, DayKind.NIGHT), hours=hours),),
    )
    layers = tuple(
        Layer(
            tuple(rng.sample(people, rng.randint(1, 3))),
            rng.choice([Every(hours=8), Every(hours=12), Every(hours=24), Every(hours=168)]),
            rng.choice(["2026-01-05T09:00", "2026-01-01T02:30", "2026-02-01T00:00"]),
            rng.choice([None, None, "Asia/Seoul"]),
            restrict=rng.choice(restricts) if index else rng.choice(restricts[:3]),
        )
        for index in range(rng.randint(1, 3))
    )
    return Schedule(name, zone, layers, hours=hours)


def _roles(rng: Random, people: list[str], zone: str, hours: Hours) -> dict[str, Role]:
    at_night = RoleCase(Window(on=(DayKind.NIGHT, DayKind.WEEKEND, DayKind.HOLIDAY), hours=hours), zone, (rng.choice(people),))
    at_work = RoleCase(Window((0, 1, 2, 3, 4), (Span(9 * HOUR, 18 * HOUR),)), zone, schedules=("lead",))
    shapes = (
        lambda name: Role(name, schedules=("duty",)),
        lambda name: Role(name, people=(rng.choice(people),)),
        lambda name: Role(name, people=tuple(rng.sample(people, 2))),
        lambda name: Role(name, people=(rng.choice(people),), schedules=("lead",)),
        lambda name: Role(name, by_time=(at_work, at_night)),
    )
    roles = {name: rng.choice(shapes)(name) for name in ROLES}
    return roles | {NOBODY: Role(NOBODY), GHOSTS: Role(GHOSTS, ("ghost", "stranger"))}


def _ladder(rng: Random, name: str) -> Ladder:
    def rungs() -> tuple[Rung, ...]:
        times = sorted(
            {rng.choice([0, 0, MINUTE, 5 * MINUTE]), *(rng.choice([10, 30, 60, 120, 240]) * MINUTE for _ in range(rng.randint(0, 3)))}
        )
        return tuple(Rung(after_ms, tuple(dict.fromkeys(rng.sample(every, rng.choice([1, 1, 1, 2]))))) for after_ms in times)

    every = [*ROLES, *ROLES, NOBODY, GHOSTS]
    return Ladder(
        name=name,
        until=rng.choice(["acknowledged", "acknowledged", "acknowledged", "resolved"]),
        rungs=(rungs(), rungs(), rungs() if rng.random() < 0.9 else (), ()),
        acknowledged_for_ms=rng.choice([(30 * MINUTE, HOUR, 2 * HOUR, 2 * HOUR), (4 * MINUTE, 4 * MINUTE, 4 * MINUTE, 4 * MINUTE)]),
        remind_before_end_ms=rng.choice([0, 5 * MINUTE]),
        repeat_last_ms=rng.choice([30 * MINUTE, HOUR, 2 * HOUR, 0]),
        last_resort=rng.choice([(), (ROLES[3],), (NOBODY,), (ROLES[3], GHOSTS)]),
    )


def _service(rng: Random, name: str, ladders: list[Ladder]) -> Service:
    plan = Plan(
        ladder=rng.choice(ladders),
        wait_ms=rng.choice([0, 0, 3 * MINUTE]),
        settle_ms=rng.choice([0, 2 * MINUTE]),
        resolve_after_ms=rng.choice([0, 5 * MINUTE, 5 * MINUTE, 20 * MINUTE]),
        reopen_within_ms=rng.choice([0, HOUR, HOUR, 6 * HOUR]),
        close_after_ms=rng.choice([HOUR, 6 * HOUR, 2 * DAY]),
    )
    matchers = (Matcher("team", MatchOp.EQUAL, name),) if name != SERVICES[-1] else ()
    group_by = rng.choice([("alertname",), ("alertname",), ("alertname", "node"), (), ("...",)])
    return Service(name, matchers, group_by, plan)
