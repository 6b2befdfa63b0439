"""The shape of alert_rules.yaml: which keys there are and what kind of value each takes.

Owns keys, kinds, defaults and the words for what has the wrong shape. Does not own meaning: whether names exist, durations can be read and
addresses can be reached is for `rulebuild.py`, which turns every shape into a value of `tocsin.policy` at once.

Shapes are checked entry by entry (`read_shape`), so that one misspelt key does not hide the problems of the other entries. Durations,
matchers, time zones and addresses are text here.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from tocsin.runtime.yamltree import Document, Path, Plain, did_you_mean, shown


def _text_of_number(value: object) -> object:
    """`0` is a duration; other numbers are told that their unit is missing."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _list_of_one(value: object) -> object:
    return [value] if isinstance(value, str) else value


Duration = Annotated[str, BeforeValidator(_text_of_number)]
Names = Annotated[list[str], BeforeValidator(_list_of_one)]


class Shape(BaseModel):
    """An entry of the file: strict in types, unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class SeverityShape(Shape):
    level: Annotated[int, Field(ge=1, le=4)]
    matchers: Names


class ServiceShape(Shape):
    name: str
    matchers: Names = []
    group_by: Names = ["alertname"]
    ladder: str | None = None
    runbook: str = ""
    depends_on: Names = []
    wait: Duration = "0s"
    settle: Duration = "2m"
    resolve_after: Duration = "5m"
    reopen_within: Duration = "1h"
    close_after: Duration = "5d"


class LadderShape(Shape):
    until: Literal["acknowledged", "resolved"] = "acknowledged"
    rungs: dict[str, dict[str, Names]]
    acknowledged_for: dict[str, Duration] = {}
    remind_before_end: Duration = "5m"
    repeat_last: Duration = "30m"
    last_resort: Names | None = None


class IntegrationShape(Shape):
    name: str
    key: str | None = None
    key_file: str | None = None
    stale_after: Duration = "24h"


class InhibitShape(Shape):
    source: Names
    target: Names
    equal: Names = []


LIST_SECTIONS = ("severities", "services", "integrations", "inhibit")
MAPPING_SECTIONS = ("ladders", "roles", "schedules", "hours", "people", "channels", "emergency")
SECTIONS = ("version", *LIST_SECTIONS, *MAPPING_SECTIONS)

S = TypeVar("S", bound=Shape)


def read_shape(shape: type[S], value: Plain, document: Document, path: Path) -> S | None:
    """Read one entry; None when its shape is wrong, with every fault reported to the document."""
    try:
        return _entry(shape, value)
    except ValidationError as error:
        for details in error.errors(include_url=False, include_context=True, include_input=True):
            _report(shape, details, document, path)
        return None


def _entry(shape: type[S], value: Plain) -> S:
    return shape.model_validate(value)


def _report(shape: type[Shape], details: ErrorDetails, document: Document, path: Path) -> None:
    loc = tuple(part for part in details["loc"] if part != "[key]")
    at_path: Path = (*path, *loc)
    if details["type"] == "extra_forbidden":
        owner = _shape_at(shape, loc[:-1])
        document.add(at_path, _unknown_key(str(loc[-1]), owner), at=document.key_place(at_path))
    elif details["type"] == "missing":
        document.add(at_path, "is missing", at=document.place(at_path[:-1]))
    else:
        document.add(at_path, _words(details))


def _unknown_key(key: str, owner: type[Shape] | None) -> str:
    known = [] if owner is None else [field.alias or name for name, field in owner.model_fields.items()]
    return unknown_key(key, known)


def unknown_key(key: str, known: typing.Iterable[str]) -> str:
    """Say that a key is unknown, which one may be meant, and which there are."""
    known = list(known)
    return f"unknown key {shown(key)}{did_you_mean(key, known) or ','} expected one of {', '.join(known)}"


def _shape_at(shape: type[Shape], loc: tuple[str | int, ...]) -> type[Shape] | None:
    """Find the shape of a part of an entry from the annotations of what is around it."""
    found: object = shape
    for part in loc:
        if isinstance(found, type) and issubclass(found, Shape):
            fields = {field.alias or name: field.annotation for name, field in found.model_fields.items()}
            found = _inner(fields.get(str(part)))
        elif typing.get_origin(found) in (list, dict):
            found = _inner(typing.get_args(found)[-1])
    return found if isinstance(found, type) and issubclass(found, Shape) else None


def _inner(annotation: object) -> object:
    while typing.get_origin(annotation) in (Annotated, types.UnionType, typing.Union):
        annotation = typing.get_args(annotation)[0]
    return annotation


_KINDS: Mapping[str, str] = {
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "list_type": "expected a list",
    "dict_type": "expected a mapping (key: value)",
    "model_type": "expected a mapping (key: value)",
}


def _words(details: ErrorDetails) -> str:
    """Say what is wrong without repeating a value, which may be a secret, unless it is one of few."""
    kind, value = details["type"], details["input"]
    if kind in _KINDS:
        advice = ": write it in quotes" if kind == "string_type" and isinstance(value, bool | int) else ""
        return f"{_KINDS[kind]}, found {_kind_of(value)}{advice}"
    context = details.get("ctx", {})
    if kind == "literal_error":
        expected = context["expected"]
        meant = did_you_mean(value, expected.replace("'", "").split(" or ")) if isinstance(value, str) else ""
        return f"expected {expected}, found {shown(value) if isinstance(value, str) else _kind_of(value)}{meant}"
    if kind in ("greater_than_equal", "less_than_equal"):
        return f"expected 1 to 4, found {value}"
    return details["msg"]


def _kind_of(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case int():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "a mapping"
