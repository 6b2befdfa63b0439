"""alert_rules.yaml, from its text to the one frozen `Rules`: whole or not at all.

    rules = load_rules(text, file_name="alert_rules.yaml", environment=os.environ, read_file=read_secret)

Owns the way through: text -> places and plain values (`yamltree.py`) -> shapes (`ruleschema.py`) -> the values of `tocsin.policy`
(`rulebuild.py` and the other `*build.py`, one for each part of the file). Every problem of a file is reported at once, each with its line
and column. Reads no file and no environment by itself: what `*_file` and `${NAME}` stand for comes from the caller. Publishing rules to the
store is the supervisor's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from tocsin.policy.coverage import never_reached
from tocsin.policy.rules import Places, Rules, ServiceTable
from tocsin.runtime import channelbuild, hoursbuild, ladderbuild, peoplebuild, rulebuild, ruleschema, schedulebuild
from tocsin.runtime.lint import lint
from tocsin.runtime.rulebuild import RuleSource
from tocsin.runtime.yamltree import Document, Plain, Problem, read_yaml, shown

__all__ = ["Problem", "RulesInvalid", "check_rules", "load_rules"]

FILE_VERSION = 1


class RulesInvalid(Exception):
    """The rules file cannot be used; `problems` says where and why, in the order of the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def load_rules(
    text: str,
    *,
    file_name: str,
    environment: Mapping[str, str],
    read_file: Callable[[str], str],
    version: int = 0,
) -> Rules:
    """Read and check a whole rules file; raises RulesInvalid with everything that is wrong in it.

    `read_file` returns the text of a file named by a `*_file` key, or raises OSError or UnicodeDecodeError.
    """
    rules, source = _read(text, file_name=file_name, environment=environment, read_file=read_file, version=version)
    problems = _problems(source)
    if problems:
        raise RulesInvalid(problems)
    return rules


def check_rules(
    text: str,
    *,
    file_name: str,
    environment: Mapping[str, str],
    read_file: Callable[[str], str],
    version: int = 0,
    now: int | None = None,
) -> tuple[Rules | None, tuple[Problem, ...], tuple[Problem, ...]]:
    """Return the rules, or None with what is wrong; and what works but may not be meant.

    With `now` (ms UTC) that includes what the calendar of the coming year brings.
    """
    rules, source = _read(text, file_name=file_name, environment=environment, read_file=read_file, version=version)
    problems = _problems(source)
    if not problems:
        lint(source, rules, now)
    return None if problems else rules, problems, tuple(sorted(set(source.warnings)))


def _read(
    text: str, *, file_name: str, environment: Mapping[str, str], read_file: Callable[[str], str], version: int
) -> tuple[Rules, RuleSource]:
    """Return the rules, which only count when the document of the source has no problems."""
    document = read_yaml(text, file=file_name, environment=environment)
    source = RuleSource(document, read_file)
    if not document.problems or isinstance(document.value, dict):
        _check_sections(document)
    return _build(source, version), source


def _problems(source: RuleSource) -> tuple[Problem, ...]:
    return tuple(sorted(set(source.document.problems)))


def _check_sections(document: Document) -> None:
    """Report unknown sections and those of the wrong kind; what is not as it should be is emptied, so that the rest can be checked."""
    value = document.value
    if not isinstance(value, dict):
        found = "the file is empty" if value is None else "the file is not a mapping"
        document.add((), f"{found}, expected {', '.join(ruleschema.SECTIONS)}", at=(1, 1))
        return
    for key, section in list(value.items()):
        if key not in ruleschema.SECTIONS:
            document.add((key,), ruleschema.unknown_key(key, ruleschema.SECTIONS), at=document.key_place((key,)))
        elif key == "version":
            _check_version(document, section)
        elif section is not None:
            kind = list if key in ruleschema.LIST_SECTIONS else dict
            if not isinstance(section, kind):
                document.add((key,), "expected a list" if kind is list else "expected a mapping (key: value)")
                value[key] = None


def _check_version(document: Document, version: Plain) -> None:
    if version != FILE_VERSION or isinstance(version, bool):
        document.add(("version",), f"expected {FILE_VERSION}, the version of this file format")


def _build(source: RuleSource, version: int) -> Rules:
    accounts = channelbuild.build_accounts(source)
    hours = hoursbuild.build_hours(source)
    people = peoplebuild.build_people(source, hours)
    schedules = schedulebuild.build_schedules(source, hours)
    roles = schedulebuild.build_roles(source, hours)
    severities = ladderbuild.build_severities(source)
    ladders = ladderbuild.build_ladders(source)
    integrations = rulebuild.build_integrations(source)
    inhibit = rulebuild.build_inhibit(source)
    emergency = peoplebuild.build_emergency(source)
    services = ladderbuild.build_services(source, ladders)
    rules = Rules(
        version=version,
        severities=severities,
        services=services,
        ladders=ladders,
        roles=roles,
        schedules=schedules,
        hours=hours,
        people=people,
        integrations=integrations,
        inhibit=inhibit,
        emergency=emergency,
        accounts=accounts,
        table=ServiceTable(services),
        places=_places(source.document),
    )
    _doubt(source, rules)
    return rules


def _places(document: Document) -> Places:
    """Keep the lines of what an explanation names: every entry, and what is deeper where rungs, turns and contacts stand."""
    nodes = {**document.value_nodes, **document.key_nodes}
    return Places(document.file, {path: node.line for path, node in nodes.items() if path and len(path) <= _KEPT_DEPTH.get(path[0], 2)})


_KEPT_DEPTH: Final[Mapping[str | int, int]] = {"ladders": 4, "roles": 4, "schedules": 4, "people": 4}


def _doubt(source: RuleSource, rules: Rules) -> None:
    """Warn of severities that reach nobody, and of people whom a ladder may want and cannot reach."""
    for finding in never_reached(rules):
        source.warn(("ladders", finding.ladder, "rungs", str(finding.severity)), finding.consequence)
    on_ladders = dict.fromkeys(role for ladder in rules.ladders.values() for role in ladderbuild.roles_on(ladder))
    roles = [rules.roles[name] for name in on_ladders if name in rules.roles]
    for person, role in schedulebuild.unreachable_people(rules.people, roles, rules.schedules).items():
        path = ("people", person)
        source.warn(path, f"has no contacts and may hold the role {shown(role)} of a ladder", at=source.document.key_place(path))
