"""Backtests: what a recording would have meant for people, and what other rules change."""

from collections.abc import Sequence
from dataclasses import replace

from tests.policy.world import HOUR, LADDER, MINUTE, NIGHT, PLAN, make_rules
from tocsin.policy.backtest import Backtest, NightChange, Outcome, differences
from tocsin.policy.events import Acknowledged
from tocsin.policy.matchers import Matcher, MatchOp
from tocsin.policy.model import Alert, AlertStatus
from tocsin.policy.rules import Rules, SeverityRule
from tocsin.policy.wallclock import date_of

FIRST = make_rules(severities=(SeverityRule(1, (Matcher("severity", MatchOp.EQUAL, "1"),)),))
EVENING = NIGHT - 10 * HOUR  # 16:00 on a Monday, in Seoul


def alert(name: str = "Disk", *, resolved: bool = False, severity: str = "1", node: str = "a") -> Alert:
    labels = {"alertname": name, "severity": severity, "node": node}
    return Alert(f"{name}/{node}", "seoul", AlertStatus.RESOLVED if resolved else AlertStatus.FIRING, labels, {}, 0, 0)


def outcome(
    reports: Sequence[tuple[int, Alert]], rules: Rules = FIRST, *, answered_after_ms: int | None = 5 * MINUTE, go_on_ms: int = 0
) -> Outcome:
    test = Backtest(rules, answered_after_ms=answered_after_ms)
    for at, each in reports:
        test.take(at, [each._replace(ends_at=at) if each.status is AlertStatus.RESOLVED else each._replace(starts_at=at)])
    return test.finish(go_on_ms=go_on_ms)


def test_whoever_is_paged_answers_and_nobody_else_hears_of_it() -> None:
    found = outcome([(NIGHT, alert()), (NIGHT + 25 * MINUTE, alert(resolved=True)), (NIGHT + HOUR, alert(resolved=True))])
    assert {person: (load.pages, load.night, load.woken) for person, load in found.people.items()} == {"kim": (1, 1, 1)}
    assert (found.reports, found.alerts, len(found.incidents), found.pages, found.interruptions) == (3, 1, 1, 1, 1)
    assert found.longest_night() == ("kim", found.people["kim"].wakes.copy().popitem()[0], 1)


def test_when_nobody_ever_answers_the_whole_ladder_hears_of_it() -> None:
    found = outcome([(NIGHT, alert())], answered_after_ms=None, go_on_ms=2 * HOUR)
    assert {person: load.pages for person, load in found.people.items()} == {"choi": 1, "jeong": 1, "kim": 1, "lee": 1}


def test_a_night_has_the_date_on_which_it_began_and_goes_until_seven() -> None:
    found = outcome([(EVENING + minutes * MINUTE, alert(f"A{minutes}")) for minutes in (0, 359, 360, 899, 900)], answered_after_ms=0)
    kim = found.people["kim"]
    assert (kim.day, kim.night, kim.weekend) == (3, 2, 0)
    assert {str(date_of(night)): count for night, count in kim.wakes.items()} == {"2026-02-16": 2}


def test_pages_of_one_minute_wake_once() -> None:
    found = outcome([(NIGHT + second * 1000, alert(f"A{second}")) for second in (0, 1, 59, 60)])
    kim = found.people["kim"]
    assert (kim.pages, kim.woken, found.interruptions) == (4, 2, 2)


def test_a_second_contact_and_a_reminder_are_not_pages_of_their_own() -> None:
    rules = make_rules(contacts={"kim": (0, MINUTE)}, severities=FIRST.severities)
    found = outcome([(NIGHT, alert())], rules, go_on_ms=31 * MINUTE)
    assert (found.people["kim"].pages, found.people["kim"].reminders) == (1, 1)


def test_what_is_recorded_of_people_happens_again() -> None:
    test = Backtest(FIRST, answered_after_ms=None)
    test.take(NIGHT, [alert()])
    test.act(NIGHT + 10 * MINUTE, "Disk/a", Acknowledged("kim", 3 * HOUR))
    test.act(NIGHT + 10 * MINUTE, "unknown", Acknowledged("kim"))
    assert test.finish(go_on_ms=2 * HOUR).people.keys() == {"kim"}


def test_an_alert_that_is_not_heard_of_again_clears_after_a_day() -> None:
    day = 24 * HOUR
    found = outcome([(NIGHT, alert()), (NIGHT + day + 2 * HOUR, alert("Other"))], replace(FIRST, severities=()))
    again = outcome([(NIGHT, alert()), (NIGHT + day + 2 * HOUR, alert())], replace(FIRST, severities=()))
    assert (len(found.incidents), len(again.incidents)) == (2, 2)


def test_other_rules_make_incidents_new_gone_graver_and_milder_and_change_nights() -> None:
    reports = [(NIGHT, alert()), (NIGHT + MINUTE, alert(node="b")), (NIGHT + 2 * MINUTE, alert("Slow", severity="2"))]
    before = outcome(reports)
    other = make_rules(
        group_by=("alertname", "node"),
        severities=(
            SeverityRule(1, (Matcher("severity", MatchOp.EQUAL, "2"),)),
            SeverityRule(2, (Matcher("severity", MatchOp.EQUAL, "1"),)),
        ),
    )
    after = outcome(reports, other)
    changed = differences(before, after)
    assert [(seen.opened_at, seen.opened_by) for seen in changed.new] == [(NIGHT + MINUTE, "Disk/b")]
    assert not changed.gone
    assert [(old.severity, new.severity) for old, new in changed.graver] == [(3, 1)]
    assert [(old.severity, new.severity) for old, new in changed.milder] == [(1, 2)]
    night = before.longest_night()
    assert night is not None
    assert changed.nights == (NightChange("kim", night[1], 2, 3),)
    assert [seen.opened_by for seen in differences(after, before).gone] == ["Disk/b"]


def test_no_alerts_are_no_outcome() -> None:
    found = Backtest(FIRST, answered_after_ms=0).finish()
    assert (found.from_at, found.reports, found.longest_night()) == (None, 0, None)


def test_a_ladder_that_waits_wakes_nobody_for_what_clears_by_itself() -> None:
    reports = [(NIGHT, alert()), (NIGHT + MINUTE, alert(resolved=True)), (NIGHT + HOUR, alert(resolved=True))]
    waiting = make_rules(plan=replace(PLAN, wait_ms=3 * MINUTE), ladder=LADDER, severities=FIRST.severities)
    assert (outcome(reports).pages, outcome(reports, waiting).pages) == (1, 0)
