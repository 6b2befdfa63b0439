"""Turns the severities, ladders and services of alert_rules.yaml into the values of `tocsin.policy`.

Owns the rules on rungs (increasing, roles that exist, none for severity 4), the ladder and the timings a service has when it names none,
and that there is a service for every alert. Works on a `RuleSource` like `rulebuild.py`, which has the readers for what all entries share.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tocsin.policy.durations import format_duration
from tocsin.policy.model import LOW, Ladder, Plan, Rung
from tocsin.policy.rules import GROUP_BY_ALL, Service, SeverityRule
from tocsin.runtime import ruleschema as shapes
from tocsin.runtime.contactaddress import web_fault
from tocsin.runtime.rulebuild import RuleSource
from tocsin.runtime.yamltree import Path, shown

STANDARD_LADDER: Final = "standard"
CATCH_ALL: Final = "everything-else"

ACKNOWLEDGED_FOR_MS: Final = (1_800_000, 3_600_000, 7_200_000)
"""How long an acknowledgement lasts by default: 30 min, 1 h, 2 h for severity 1, 2, 3; severity 4 as 3."""

_LEVELS: Final = ("1", "2", "3", "4")


def build_severities(source: RuleSource) -> tuple[SeverityRule, ...]:
    """Build the rules that give alerts a severity."""
    found: list[SeverityRule] = []
    entries = source.entries("severities")
    for index, value in entries:
        path: Path = ("severities", index)
        shape = shapes.read_shape(shapes.SeverityShape, value, source.document, path)
        if shape is None:
            continue
        if not shape.matchers and index != len(entries) - 1:
            source.warn(path, "matches every alert: the rules below it are never reached")
        found.append(SeverityRule(shape.level, source.matchers(shape.matchers, (*path, "matchers"))))
    return tuple(found)


def build_ladders(source: RuleSource) -> dict[str, Ladder]:
    """Build every ladder."""
    ladders: dict[str, Ladder] = {}
    for key, value in source.entries("ladders"):
        path: Path = ("ladders", key)
        name = str(key)
        source.check_name(name, path, at=source.document.key_place(path))
        shape = shapes.read_shape(shapes.LadderShape, value, source.document, path)
        if shape is None:
            continue
        rungs = _all_rungs(source, shape.rungs, (*path, "rungs"))
        ladders[name] = Ladder(
            name=name,
            until=shape.until,
            rungs=rungs,
            acknowledged_for_ms=_acknowledged_for(source, shape.acknowledged_for, (*path, "acknowledged_for")),
            remind_before_end_ms=source.duration_ms(shape.remind_before_end, (*path, "remind_before_end")),
            repeat_last_ms=_repeat_last(source, shape.repeat_last, (*path, "repeat_last")),
            last_resort=_last_resort(source, shape.last_resort, rungs, (*path, "last_resort")),
        )
        _check_reminder(source, ladders[name], path)
    return ladders


def _all_rungs(source: RuleSource, by_level: Mapping[str, Mapping[str, list[str]]], path: Path) -> tuple[tuple[Rung, ...], ...]:
    _check_levels(source, by_level, path)
    if by_level.get(str(LOW)):
        source.document.add(
            (*path, str(LOW)), f"severity {LOW} pages nobody and takes no rungs", at=source.document.key_place((*path, str(LOW)))
        )
    for level in _LEVELS[: LOW - 1]:
        if level not in by_level:
            source.warn(path, f"severity {level} has no rungs: its incidents page nobody (write {level}: {{}} if that is meant)")
    return tuple(() if int(level) == LOW else _rungs(source, by_level.get(level, {}), (*path, level)) for level in _LEVELS)


def _rungs(source: RuleSource, by_time: Mapping[str, list[str]], path: Path) -> tuple[Rung, ...]:
    rungs: list[Rung] = []
    for after, roles in by_time.items():
        rung_path = (*path, after)
        at = source.document.key_place(rung_path)
        problems_before = len(source.document.problems)
        after_ms = source.duration_ms(after, rung_path, at=at)
        if rungs and after_ms <= rungs[-1].after_ms and len(source.document.problems) == problems_before:
            message = f"{after} is not later than the rung before it ({format_duration(rungs[-1].after_ms)}), expected increasing times"
            source.document.add(rung_path, message, at=at)
        _check_roles(source, roles, rung_path)
        rungs.append(Rung(after_ms, tuple(dict.fromkeys(roles))))
    return tuple(rungs)


def _check_roles(source: RuleSource, roles: list[str], path: Path) -> None:
    if not roles:
        source.document.add(path, "is empty, expected a role or a list of roles")
    known = source.names("roles")
    for index, role in enumerate(roles):
        source.knows("role", role, known, (*path, index))


def _check_levels(source: RuleSource, by_level: Mapping[str, object], path: Path) -> None:
    for level in by_level:
        if level not in _LEVELS:
            each = (*path, level)
            source.document.add(each, f"{shown(level)} is not a severity, expected 1 to {LOW}", at=source.document.key_place(each))


def _acknowledged_for(source: RuleSource, by_level: Mapping[str, str], path: Path) -> tuple[int, ...]:
    _check_levels(source, by_level, path)
    found: list[int] = []
    for level in _LEVELS:
        text = by_level.get(level)
        if text is None:
            found.append(found[-1] if int(level) == LOW else ACKNOWLEDGED_FOR_MS[int(level) - 1])
            continue
        problems_before = len(source.document.problems)
        found.append(source.duration_ms(text, (*path, level)))
        if found[-1] == 0 and len(source.document.problems) == problems_before:
            source.document.add((*path, level), "an acknowledgement that lasts no time, expected a duration such as 30m")
    return tuple(found)


def _check_reminder(source: RuleSource, ladder: Ladder, path: Path) -> None:
    shortest_ms = min(ladder.acknowledged_for_ms)
    if 0 < shortest_ms <= ladder.remind_before_end_ms:
        before, shortest = format_duration(ladder.remind_before_end_ms), format_duration(shortest_ms)
        source.warn(
            (*path, "remind_before_end"),
            f"the reminder {before} before the end is never sent: an acknowledgement lasts {shortest} (0s: no reminder)",
        )


def _repeat_last(source: RuleSource, text: str, path: Path) -> int:
    problems_before = len(source.document.problems)
    repeat_ms = source.duration_ms(text, path)
    if repeat_ms == 0 and len(source.document.problems) == problems_before:
        source.warn(path, "after the last rung nobody is paged again, however long it takes")
    return repeat_ms


def _last_resort(source: RuleSource, given: list[str] | None, rungs: tuple[tuple[Rung, ...], ...], path: Path) -> tuple[str, ...]:
    if given is None:
        gravest = next((each for each in rungs if each), ())
        return gravest[-1].roles if gravest else ()
    _check_roles(source, given, path)
    return tuple(dict.fromkeys(given))


def build_services(source: RuleSource, ladders: Mapping[str, Ladder]) -> tuple[Service, ...]:
    """Build every service, and one for the alerts that no other takes when the file has none for them."""
    found: list[Service] = []
    entries = source.entries("services")
    names: dict[str, int] = {}
    catch_all: str | None = None
    for index, value in entries:
        path: Path = ("services", index)
        shape = shapes.read_shape(shapes.ServiceShape, value, source.document, path)
        if shape is None:
            continue
        source.check_name(shape.name, (*path, "name"))
        line, _ = source.document.place((*path, "name"))
        if names.setdefault(shape.name, line) != line:
            source.document.add((*path, "name"), f"duplicate name {shown(shape.name)}, first in line {names[shape.name]}")
        if catch_all is not None:
            source.warn(path, f"is never reached: {shown(catch_all)} above it takes every alert")
        elif not shape.matchers:
            catch_all = shape.name
        service = _service(source, shape, ladders, path)
        if service is not None:
            found.append(service)
    _check_dependencies(source)
    if catch_all is None and not source.document.problems:
        found += _catch_all(source, ladders, names)
    return tuple(found)


def _service(source: RuleSource, shape: shapes.ServiceShape, ladders: Mapping[str, Ladder], path: Path) -> Service | None:
    if shape.runbook:
        fault = web_fault(shape.runbook, what="a web address")
        if fault is not None:
            source.document.add((*path, "runbook"), fault)
    matchers = source.matchers(shape.matchers, (*path, "matchers"))
    group_by = _group_by(source, shape.group_by, (*path, "group_by"))
    times = {name: source.duration_ms(getattr(shape, name), (*path, name)) for name in _TIMES}
    ladder = _ladder_of(source, shape.ladder, ladders, path)
    if ladder is None:
        return None
    plan = Plan(
        ladder=ladder,
        wait_ms=times["wait"],
        settle_ms=times["settle"],
        resolve_after_ms=times["resolve_after"],
        reopen_within_ms=times["reopen_within"],
        close_after_ms=times["close_after"],
        runbook=shape.runbook,
    )
    return Service(shape.name, matchers, group_by, plan, tuple(shape.depends_on))


_TIMES: Final = ("wait", "settle", "resolve_after", "reopen_within", "close_after")


def _ladder_of(source: RuleSource, name: str | None, ladders: Mapping[str, Ladder], path: Path) -> Ladder | None:
    """Find a service's ladder; None, with a problem unless the ladder itself has one, when there is none."""
    known = source.names("ladders")
    if name is not None:
        return ladders.get(name) if source.knows("ladder", name, known, (*path, "ladder")) else None
    if len(known) == 1:
        return ladders.get(known[0])
    if STANDARD_LADDER not in known:
        few = f"there are {len(known)} ladders and none is called {STANDARD_LADDER}" if known else "the file has no ladders"
        source.document.add((*path, "ladder"), f"is missing: {few}")
    return ladders.get(STANDARD_LADDER)


def _group_by(source: RuleSource, names: list[str], path: Path) -> tuple[str, ...]:
    if GROUP_BY_ALL in names and len(names) > 1:
        source.document.add(path, f"{GROUP_BY_ALL!r} means every label and stands alone, expected it or a list of labels")
    for index, name in enumerate(names):
        if not name or not name.isprintable():
            source.document.add((*path, index), "is not the name of a label")
    return tuple(dict.fromkeys(names))


def _check_dependencies(source: RuleSource) -> None:
    """What a service depends on is shown, and pages nobody: an unknown one is doubtful, not wrong."""
    entries = [(index, value) for index, value in source.entries("services") if isinstance(value, dict)]
    names = {value.get("name") for _, value in entries}
    for index, value in entries:
        depends_on = value.get("depends_on")
        for position, name in enumerate(depends_on if isinstance(depends_on, list) else []):
            if isinstance(name, str) and name not in names:
                source.warn(("services", index, "depends_on", position), f"no service is called {shown(name)}")


def _catch_all(source: RuleSource, ladders: Mapping[str, Ladder], names: Mapping[str, int]) -> list[Service]:
    path: Path = ("services",)
    if CATCH_ALL in names:
        message = f"no service takes the alerts that the others leave, and {CATCH_ALL} (line {names[CATCH_ALL]}) has matchers"
        source.document.add(path, f"{message}, expected a last service without matchers")
        return []
    service = _service(source, shapes.ServiceShape(name=CATCH_ALL), ladders, path)
    if service is not None:
        source.warn(path, f"no service takes the alerts that the others leave: {CATCH_ALL} with ladder {service.plan.ladder.name} is added")
    return [] if service is None else [service]


def roles_on(ladder: Ladder) -> tuple[str, ...]:
    """Return the roles that a ladder pages, each once."""
    rungs = [rung for each in ladder.rungs for rung in each]
    return tuple(dict.fromkeys([role for rung in rungs for role in rung.roles] + list(ladder.last_resort)))
