"""The shape of a file of policy tests: which keys there are and what kind of value each takes.

Owns keys, kinds and defaults. Does not own meaning: times, names and which keys go together are for `policytestfile.py`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field

from tocsin.runtime.ruleschema import Duration, Shape

SOMEBODY: Final = "test"
"""Who sets a severity or assigns an incident when a test does not say who."""

Labels: TypeAlias = dict[str, str]
Number: TypeAlias = Duration  # `2` and `INC-2` are both text


class FileShape(Shape):
    rule_file: str
    tests: list[object]


class TestShape(Shape):
    __test__ = False  # not one of pytest's

    name: str
    start: str
    events: list[object] = Field(default_factory=list)
    expect: list[object] = Field(default_factory=list)
    pages_complete: bool = True
    until: Duration | None = None


class ByShape(Shape):
    by: str


class AcknowledgeShape(Shape):
    by: str
    for_: Duration | None = Field(default=None, alias="for")
    note: str = ""


class ResolvedShape(Shape):
    by: str
    note: str = ""


class NoteShape(Shape):
    by: str
    text: str = ""


class SnoozeShape(Shape):
    by: str
    for_: Duration = Field(alias="for")


class AssignShape(Shape):
    to: str
    by: str = SOMEBODY


class SeverityShape(Shape):
    level: Annotated[int, Field(ge=1, le=4)]
    by: str = SOMEBODY
    why: str = ""


class SpanShape(Shape):
    person: str
    from_: Duration | None = Field(default=None, alias="from")
    until: Duration | None = None
    for_: Duration | None = Field(default=None, alias="for")


class OverrideShape(SpanShape):
    schedule: str
    replaces: str | None = None


class AlertEvent(Shape):
    at: Duration
    fire: Labels | None = None
    resolve: Labels | None = None
    for_: Duration | None = Field(default=None, alias="for")


class PersonEvent(Shape):
    at: Duration
    acknowledge: AcknowledgeShape | None = None
    resolved: ResolvedShape | None = None
    note: NoteShape | None = None
    snooze: SnoozeShape | None = None
    assign: AssignShape | None = None
    severity: SeverityShape | None = None
    reopen: ByShape | None = None
    pass_on: ByShape | None = None
    incident: Number | None = None
    labels: Labels | None = None


class RosterEvent(Shape):
    at: Duration
    away: SpanShape | None = None
    override: OverrideShape | None = None


class PageShape(Shape):
    at: Duration
    page: str
    role: str | None = None
    kind: Literal["page", "reopened", "reminder", "resolved", "update"] | None = None
    contact: Number | None = None
    incident: Number | None = None


class SilenceShape(Shape):
    from_: Duration = Field(alias="from")
    to: Duration
    no_page: bool
    person: str | None = None


class CountsShape(Shape):
    open: int | None = None
    acknowledged: int | None = None
    resolved: int | None = None
    closed: int | None = None


class IncidentsShape(Shape):
    at: Duration
    incidents: CountsShape


class StateShape(Shape):
    at: Duration
    state: Literal["open", "acknowledged", "resolved", "closed"]
    incident: Number | None = None
    labels: Labels | None = None
    service: str | None = None
    severity: Annotated[int, Field(ge=1, le=4)] | None = None
    by: str | None = None


ALERT_EVENTS = ("fire", "resolve")
PERSON_EVENTS = ("acknowledge", "resolved", "note", "snooze", "assign", "severity", "reopen", "pass_on")
ROSTER_EVENTS = ("away", "override")
EVENTS = (*ALERT_EVENTS, *PERSON_EVENTS, *ROSTER_EVENTS)
EXPECTATIONS = ("page", "no_page", "incidents", "state")
