"""What people may say of themselves in the rules file: limits, contacts that go on ringing, times at which they want quiet."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.policy.accounts import Limit
from tocsin.policy.hours import DayKind, Span
from tocsin.policy.rules import Person
from tocsin.runtime.rulesfile import check_rules

SMALL = (Path(__file__).resolve().parents[2] / "tests/data/rules/small.yaml").read_text(encoding="utf-8")
MINUTE = 60_000
HOUR = 60 * MINUTE
SEOUL = "hours: {seoul: {time_zone: Asia/Seoul, working: [{days: 'monday:friday', times: '09:00-18:00'}], holidays: KR}}\n"


def no_file(name: str) -> str:
    raise FileNotFoundError(name)


def lee(entry: str, rest: str = "") -> tuple[Person | None, list[str]]:
    text = SMALL + f"  lee: {entry}\n" + rest
    rules, problems, _ = check_rules(text, file_name="r.yaml", environment={}, read_file=no_file)
    return None if rules is None else rules.people["lee"], [str(problem) for problem in problems]


def test_a_person_may_want_quiet_at_night_for_what_is_mild() -> None:
    person, problems = lee("{time_zone: Asia/Seoul, quiet: [{times: '22:00-07:00', days: 'sunday:thursday'}]}")
    assert person is not None, problems
    [quiet] = person.quiet
    assert quiet.severities == (3, 4)
    assert quiet.window.times == (Span(22 * HOUR, 31 * HOUR),)
    assert quiet.window.days == (0, 1, 2, 3, 6)


def test_a_person_may_want_quiet_while_a_place_does_not_work() -> None:
    person, problems = lee("{quiet: [{on: [night, weekend, holiday], hours: seoul, severities: [2, 3]}]}", SEOUL)
    assert person is not None, problems
    [quiet] = person.quiet
    assert quiet.severities == (2, 3)
    assert quiet.window.on == (DayKind.NIGHT, DayKind.WEEKEND, DayKind.HOLIDAY)
    assert quiet.window.hours is not None


def test_a_contact_may_have_a_limit_and_go_on_ringing() -> None:
    person, problems = lee("{contacts: [{to: 'log:', limit: 5/15m}, {to: 'log:', repeat: 3m, times: 5}, 'log:']}")
    assert person is not None, problems
    limited, ringing, plain = person.contacts
    assert limited.limit == Limit(5, 15 * MINUTE)
    assert (ringing.repeat_ms, ringing.times) == (3 * MINUTE, 5)
    assert (plain.limit, plain.repeat_ms, plain.times) == (None, 0, 1)


WRONG = [
    ("{quiet: [{times: '22:00-07:00', severities: [1]}]}", "people.lee.quiet[0].severities[0]:", "1 is never held back"),
    ("{quiet: [{times: '22:00-07:00', severities: [5]}]}", "people.lee.quiet[0].severities[0]:", "5 is no severity"),
    ("{quiet: [{times: '22:00-07:00', severities: []}]}", "people.lee.quiet[0].severities:", "is empty"),
    ("{quiet: [{times: '22:00-22:00'}]}", "people.lee.quiet[0].times:", "ends when it begins"),
    ("{quiet: [{times: 'at night'}]}", "people.lee.quiet[0].times:", "is not a time of day"),
    ("{quiet: [{on: night}]}", "people.lee.quiet[0].on:", "needs to know whose hours"),
    ("{quiet: [{severities: [3]}]}", "people.lee.quiet:", "is on for severity 3 all the time"),
    ("{quiet: [{times: '00:00-12:00'}, {times: '12:00-24:00'}]}", "people.lee.quiet:", "expected times that end within 2w"),
    ("{quiet: [{time: '22:00-07:00'}]}", "people.lee.quiet[0].time:", 'did you mean "times"'),
    ("{contacts: [{to: 'log:', limit: many}]}", "people.lee.contacts[0].limit:", "expected so many in a time, as in 10/1s"),
    ("{contacts: [{to: 'log:', limit: 0/1m}]}", "people.lee.contacts[0].limit:", "is not a limit"),
    ("{contacts: [{to: 'log:', times: 5}]}", "people.lee.contacts[0].repeat:", "expected how far apart, 1m at least"),
    ("{contacts: [{to: 'log:', times: 5, repeat: 1s}]}", "people.lee.contacts[0].repeat:", "expected how far apart, 1m at least"),
    ("{contacts: [{to: 'log:', times: 99, repeat: 1m}]}", "people.lee.contacts[0].times:", "99 times, expected 1 to 20"),
    ("{contacts: [{to: 'log:', times: 0}]}", "people.lee.contacts[0].times:", "0 times, expected 1 to 20"),
    ("{contacts: [{to: 'log:', repeat: 3m}]}", "people.lee.contacts[0].times:", "how often is it to ring in all?"),
]


@pytest.mark.parametrize(("entry", "where", "what"), WRONG, ids=[where + what for _, where, what in WRONG])
def test_what_is_wrong_is_named_with_its_place(entry: str, where: str, what: str) -> None:
    person, problems = lee(entry)
    assert person is None
    [problem] = problems
    assert where in problem
    assert what in problem
