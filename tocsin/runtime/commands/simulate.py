"""`tocsin simulate`: recorded alerts through a rules file; who would have been paged when, and with `--against` what other rules change.

tocsin simulate --alerts november.jsonl --rules new.yaml --against alert_rules.yaml

Owns what is printed and the exit code. What a recording looks like is in `recorded.py`, what is counted in `tocsin/policy/backtest.py`.
Neither store nor network nor real time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tocsin.policy.backtest import Backtest, Differences, Load, Outcome, Seen, differences
from tocsin.policy.durations import DurationError, parse_duration_ms
from tocsin.policy.rules import Rules
from tocsin.policy.wallclock import date_of
from tocsin.runtime.client import ClientError, Misused, NotFound
from tocsin.runtime.commands.terminal import Form, clean, say, say_columns, say_json, warn
from tocsin.runtime.commands.test import StandIns
from tocsin.runtime.recorded import RecordedInvalid, Reported, read_recorded
from tocsin.runtime.rulesfile import RulesInvalid

EXIT_RULES_INVALID: Final = 4
STANDARD_INPUT: Final = "-"
RULES_DEFAULT: Final = "alert_rules.yaml"
NEVER: Final = "never"

LISTED_MAX: Final = 20
"""Incidents and nights of each kind that are printed for people; -o json has them all."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Asked:
    """What to simulate. `answered_after` and `go_on` are durations as the user wrote them."""

    alerts: str
    rules: str | None
    against: str | None
    answered_after: str
    go_on: str


class RulesUnusable(ClientError):
    """A rules file cannot be used; what is wrong has been said."""

    exit_code = EXIT_RULES_INVALID


def simulate(asked: Asked, form: Form) -> int:
    """Run a recording through one or two rules files and print what came of it. Raises ClientError."""
    answered_after_ms = None if asked.answered_after == NEVER else _duration(asked.answered_after, "--answered-after")
    go_on_ms = _duration(asked.go_on, "--go-on")
    file = asked.rules or os.environ.get("TOCSIN_CONFIG_FILE") or RULES_DEFAULT
    files = [file] if asked.against is None else [file, asked.against]
    rules = [_load(each) for each in files]
    tests = [Backtest(each, answered_after_ms=answered_after_ms) for each in rules]
    _run(asked.alerts, tests)
    outcomes = [test.finish(go_on_ms=go_on_ms) for test in tests]
    changed = differences(outcomes[1], outcomes[0]) if len(outcomes) > 1 else None
    if form is Form.JSON:
        _say_json(asked, files, outcomes, changed)
    else:
        _say_outcome(asked, file, outcomes[0], rules[0])
        if changed is not None:
            _say_differences(files[1], outcomes[1], outcomes[0], changed)
    return 0


def _run(name: str, tests: Sequence[Backtest]) -> None:
    shown = "stdin" if name == STANDARD_INPUT else name
    with ExitStack() as stack:
        try:
            lines = sys.stdin.buffer if name == STANDARD_INPUT else stack.enter_context(Path(name).open("rb"))
            for record in read_recorded(lines, clean(shown)):
                for test in tests:
                    if isinstance(record, Reported):
                        test.take(record.at, record.alerts)
                    else:
                        test.act(record.at, record.key, record.event)
        except RecordedInvalid as error:
            raise ClientError(str(error)) from error
        except OSError as error:
            raise NotFound(f"{clean(shown)} cannot be read ({error.strerror})") from error


def _load(name: str) -> Rules:
    stand_ins = StandIns(os.environ)
    try:
        return stand_ins.load(name)
    except RulesInvalid as error:
        for problem in error.problems:
            warn(clean(problem))
        raise RulesUnusable(f"{clean(name)} cannot be used") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RulesUnusable(f"{clean(name)} cannot be read ({getattr(error, 'strerror', None) or 'it is not UTF-8'})") from error


def _duration(text: str, option: str) -> int:
    try:
        return parse_duration_ms(text)
    except DurationError as error:
        raise Misused(f"{option} {clean(text)}: {error}") from error


# --- for people ------------------------------------------------------------------------------------------------------------------------


def _say_outcome(asked: Asked, file: str, outcome: Outcome, rules: Rules) -> None:
    if outcome.from_at is None or outcome.to_at is None:
        say(f"{clean(asked.alerts)}: no alerts")
        return
    days = max(1, round((outcome.to_at - outcome.from_at) / 86_400_000))
    say(f"{clean(file)}: {_date_time(outcome.from_at)} to {_date_time(outcome.to_at)} UTC, {_count(days, 'day')}")
    counted = (
        _count(outcome.reports, "report"),
        _count(outcome.alerts, "alert"),
        _count(len(outcome.incidents), "incident"),
        _count(outcome.pages, "page"),
        _count(outcome.interruptions, "interruption"),
    )
    say(f"{' -> '.join(counted)}: {_noise(outcome):.1f} % of the reports disturbed nobody")
    answers = "nobody ever answers" if asked.answered_after == NEVER else f"whoever is paged answers after {clean(asked.answered_after)}"
    say(f"assumed: {answers}; what people did with a recorded incident is as recorded")
    say("")
    _say_services(outcome)
    say("")
    if not outcome.people:
        say("nobody is paged")
        return
    _say_people(outcome, rules)
    worst = outcome.longest_night()
    if worst is not None:
        person, night, count = worst
        say("")
        say(f"longest night: {clean(person)}, {date_of(night)}, woken {_count(count, 'time')}")


def _say_services(outcome: Outcome) -> None:
    counts = outcome.by_service()
    services = sorted({service for service, _ in counts})
    rows = [(clean(service), [counts.get((service, level), 0) for level in range(1, 5)]) for service in services]
    if len(rows) > 1:
        rows.append(("all", [sum(column) for column in zip(*(numbers for _, numbers in rows), strict=True)]))
    headings = ["SERVICE", "SEVERITY 1", "2", "3", "4", "INCIDENTS"]
    say_columns(headings, [[name, *map(str, numbers), str(sum(numbers))] for name, numbers in rows])


def _say_people(outcome: Outcome, rules: Rules) -> None:
    rows = []
    for person, load in sorted(outcome.people.items(), key=lambda each: -each[1].pages):
        worst = max(load.wakes.values(), default=0)
        zone = rules.people[person].time_zone if person in rules.people else "UTC"
        woken_nights = sum(1 for count in load.wakes.values() if count)
        numbers = [load.pages, load.day, load.weekend, load.night, load.woken, woken_nights, worst, load.reminders]
        rows.append([clean(person), *map(str, numbers), zone])
    say_columns(["PERSON", "PAGES", "DAY", "WEEKEND", "NIGHT", "WOKEN", "NIGHTS", "WORST NIGHT", "REMINDERS", "ZONE"], rows)


def _say_differences(against: str, before: Outcome, after: Outcome, changed: Differences) -> None:
    say("")
    say(f"against {clean(against)}:")
    totals = (
        ("incidents", len(before.incidents), len(after.incidents)),
        ("pages", before.pages, after.pages),
        ("interruptions", before.interruptions, after.interruptions),
    )
    say("  " + ", ".join(f"{name} {old:,} -> {new:,} ({new - old:+,})" for name, old, new in totals))
    rows = []
    for person in sorted(before.people.keys() | after.people.keys()):
        old, new = before.people.get(person, Load()), after.people.get(person, Load())
        pairs = ((old.pages, new.pages), (old.night, new.night), (old.weekend, new.weekend), (old.woken, new.woken))
        rows.append([clean(person), *(f"{a} -> {b}" if a != b else str(a) for a, b in pairs)])
    if rows:
        say_columns(["PERSON", "PAGES", "NIGHT", "WEEKEND", "WOKEN"], rows)
    _say_incidents("new incidents", [(seen, f"severity {seen.severity}") for seen in changed.new])
    _say_incidents("incidents gone", [(seen, f"severity {seen.severity}") for seen in changed.gone])
    _say_incidents("graver", [(new, f"severity {old.severity} -> {new.severity}") for old, new in changed.graver])
    _say_incidents("milder", [(new, f"severity {old.severity} -> {new.severity}") for old, new in changed.milder])
    _say_incidents("of another service", [(new, f"{old.service} -> {new.service}") for old, new in changed.moved])
    nights = sorted(changed.nights, key=lambda each: (-abs(each.after - each.before), each.night, each.person))
    if nights:
        say(f"{_count(len(nights), 'night')} with more or fewer wake-ups:")
    for each in nights[:LISTED_MAX]:
        say(f"  {clean(each.person)}, {date_of(each.night)}: woken {each.before} -> {each.after}")
    _say_more(len(nights))


def _say_incidents(what: str, found: Sequence[tuple[Seen, str]]) -> None:
    if not found:
        return
    say(f"{what}: {len(found):,}")
    for seen, how in found[:LISTED_MAX]:
        say(f"  {_date_time(seen.opened_at)} UTC  {clean(seen.service)}  {clean(how)}  {clean(seen.title)}")
    _say_more(len(found))


def _say_more(count: int) -> None:
    if count > LISTED_MAX:
        say(f"  ... and {count - LISTED_MAX:,} more (-o json has them all)")


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _noise(outcome: Outcome) -> float:
    return 100 * (1 - outcome.interruptions / outcome.reports) if outcome.reports else 0.0


def _date_time(at: int) -> str:
    return f"{_EPOCH + timedelta(milliseconds=at):%Y-%m-%d %H:%M}"


# --- for programs ----------------------------------------------------------------------------------------------------------------------


def _say_json(asked: Asked, files: Sequence[str], outcomes: Sequence[Outcome], changed: Differences | None) -> None:
    found: dict[str, Any] = {"alerts": asked.alerts, "rules": files[0], **_outcome(outcomes[0])}
    if changed is not None:
        found["against"] = {
            "rules": files[1],
            **_outcome(outcomes[1]),
            "new": [_seen(seen) for seen in changed.new],
            "gone": [_seen(seen) for seen in changed.gone],
            "graver": [{**_seen(new), "severity_before": old.severity} for old, new in changed.graver],
            "milder": [{**_seen(new), "severity_before": old.severity} for old, new in changed.milder],
            "moved": [{**_seen(new), "service_before": old.service} for old, new in changed.moved],
            "nights": [
                {"person": each.person, "night": str(date_of(each.night)), "woken_before": each.before, "woken": each.after}
                for each in changed.nights
            ],
        }
    say_json(found)


def _outcome(outcome: Outcome) -> dict[str, Any]:
    worst = outcome.longest_night()
    return {
        "from": None if outcome.from_at is None else _rfc3339(outcome.from_at),
        "to": None if outcome.to_at is None else _rfc3339(outcome.to_at),
        "reports": outcome.reports,
        "distinct_alerts": outcome.alerts,
        "incidents": [
            {"service": service, "severity": severity, "count": count}
            for (service, severity), count in sorted(outcome.by_service().items())
        ],
        "pages": outcome.pages,
        "interruptions": outcome.interruptions,
        "noise_removed_percent": round(_noise(outcome), 2),
        "people": _people(outcome.people),
        "longest_night": None if worst is None else {"person": worst[0], "night": str(date_of(worst[1])), "woken": worst[2]},
    }


def _people(people: Mapping[str, Load]) -> list[dict[str, Any]]:
    return [
        {
            "person": person,
            "pages": load.pages,
            "day": load.day,
            "weekend": load.weekend,
            "night": load.night,
            "interruptions": load.minutes,
            "woken": load.woken,
            "reminders": load.reminders,
            "nights": _nights(load.wakes.items()),
        }
        for person, load in people.items()
    ]


def _nights(wakes: Iterable[tuple[int, int]]) -> dict[str, int]:
    return {str(date_of(night)): count for night, count in sorted(wakes) if count}


def _seen(seen: Seen) -> dict[str, Any]:
    return {
        "opened_at": _rfc3339(seen.opened_at),
        "title": seen.title,
        "service": seen.service,
        "severity": seen.severity,
        "pages": seen.pages,
    }


def _rfc3339(at: int) -> str:
    return (_EPOCH + timedelta(milliseconds=at)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
