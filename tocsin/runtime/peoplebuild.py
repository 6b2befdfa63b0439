"""Turns the sections `people` and `emergency` of alert_rules.yaml into values of `tocsin.policy`: who can be paged, and how.

Owns the shapes of these sections and their checks. Works on a `RuleSource` as `rulebuild.py` does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BeforeValidator

from tocsin.policy.accounts import Limit
from tocsin.policy.durations import format_duration
from tocsin.policy.hours import Hours
from tocsin.policy.model import LOW
from tocsin.policy.quiet import QUIET_LONGEST_MS, quiet_until
from tocsin.policy.rules import EMERGENCY_PERSON, Contact, Emergency, Person, Quiet
from tocsin.runtime.channelbuild import has_account, parse_limit
from tocsin.runtime.contactaddress import SIGNED, contact_fault, scheme_of
from tocsin.runtime.hoursbuild import WindowShape, read_window
from tocsin.runtime.rulebuild import RuleSource
from tocsin.runtime.ruleschema import Duration, Names, Shape, read_shape
from tocsin.runtime.yamltree import Path, shown

PERSON_KEY_LENGTH_MAX: Final = 64

RINGS_MAX: Final = 20
"""So often at most a contact goes on ringing for one page."""

RING_APART_MS_MIN: Final = 60_000

_SOME_INSTANT: Final = 1_767_225_600_000
"""2026-01-01, from which a quiet time that never ends is looked for: it does not matter which."""

_PERSON_KEY = re.compile(r"[a-z0-9][a-z0-9_-]*")


def _address_alone(value: object) -> object:
    return {"to": value} if isinstance(value, str) else value


class ContactEntry(Shape):
    to: str
    after: Duration = "0s"
    secret: str | None = None
    secret_file: str | None = None
    limit: str | None = None
    repeat: Duration = "0s"
    times: int = 1


ContactShape = Annotated[ContactEntry, BeforeValidator(_address_alone)]


class QuietEntry(WindowShape):
    severities: list[int] = [3, LOW]


class PersonShape(Shape):
    name: str | None = None
    locale: str = "en"
    time_zone: str = "UTC"
    contacts: list[ContactShape] = []
    quiet: list[QuietEntry] = []


class EmergencyShape(Shape):
    after: Duration = "60s"
    to: Names = []


def build_people(source: RuleSource, hours: Mapping[str, Hours]) -> dict[str, Person]:
    """Build everybody who can be paged; `hours` are the places whose nights and holidays may be quiet."""
    people: dict[str, Person] = {}
    for key, value in source.entries("people"):
        path: Path = ("people", key)
        name = str(key)
        if not _PERSON_KEY.fullmatch(name) or len(name) > PERSON_KEY_LENGTH_MAX:
            message = (
                f"{shown(name)} is not a person's key, expected up to {PERSON_KEY_LENGTH_MAX} of a-z 0-9 _ - (the name goes into `name`)"
            )
            source.document.add(path, message, at=source.document.key_place(path))
        elif name == EMERGENCY_PERSON:
            message = f"{shown(name)} stands for the emergency contacts, expected another key"
            source.document.add(path, message, at=source.document.key_place(path))
        shape = read_shape(PersonShape, value, source.document, path)
        if shape is None:
            continue
        source.check_zone(shape.time_zone, (*path, "time_zone"))
        contacts = tuple(_contact(source, contact, (*path, "contacts", index)) for index, contact in enumerate(shape.contacts))
        quiet = tuple(_quiet(source, entry, (*path, "quiet", index), hours) for index, entry in enumerate(shape.quiet))
        people[name] = Person(name, shape.name or name, shape.locale, shape.time_zone, contacts, quiet)
        _must_end(source, people[name], (*path, "quiet"))
    return people


def _quiet(source: RuleSource, shape: QuietEntry, path: Path, hours: Mapping[str, Hours]) -> Quiet:
    window = read_window(source, shape, path, hours, None)
    if not shape.severities:
        source.document.add((*path, "severities"), f"is empty, expected some of 2 to {LOW}")
    for index, level in enumerate(shape.severities):
        if level == 1:
            source.document.add((*path, "severities", index), f"1 is never held back, expected some of 2 to {LOW}")
        elif not 1 < level <= LOW:
            source.document.add((*path, "severities", index), f"{level} is no severity, expected some of 2 to {LOW}")
    return Quiet(window, tuple(shape.severities))


def _must_end(source: RuleSource, person: Person, path: Path) -> None:
    """Who wants quiet always would never be paged: that is said by being in no role."""
    if not person.quiet or source.document.problems:
        return  # what cannot be read cannot be asked
    for level in range(2, LOW + 1):
        if quiet_until(person, level, _SOME_INSTANT) is None:
            longest = format_duration(QUIET_LONGEST_MS)
            source.document.add(path, f"is on for severity {level} all the time, expected times that end within {longest}")
            return


def _contact(source: RuleSource, shape: ContactEntry, path: Path) -> Contact:
    secret = source.secret(shape.secret, shape.secret_file, path, "secret")
    fault = contact_fault(shape.to, has_account=lambda channel: has_account(source, channel))
    if fault is not None:
        source.document.add((*path, "to"), fault)
    elif secret is not None and scheme_of(shape.to) not in SIGNED:
        source.document.add((*path, "secret"), f"is only for {', '.join(SIGNED)}, expected no secret here")
    if secret == "":
        source.document.add((*path, "secret"), "is empty")
    repeat_ms = source.duration_ms(shape.repeat, (*path, "repeat"))
    if not 1 <= shape.times <= RINGS_MAX:
        source.document.add((*path, "times"), f"{shape.times} times, expected 1 to {RINGS_MAX}")
    elif shape.times > 1 and repeat_ms < RING_APART_MS_MIN:
        wanted = format_duration(RING_APART_MS_MIN)
        source.document.add((*path, "repeat"), f"it is to ring {shape.times} times, expected how far apart, {wanted} at least")
    elif shape.times == 1 and repeat_ms > 0:
        source.document.add((*path, "times"), "is missing: how often is it to ring in all?")
    after_ms = source.duration_ms(shape.after, (*path, "after"))
    return Contact(shape.to, after_ms, secret or "", _limit(source, shape.limit, (*path, "limit")), repeat_ms, shape.times)


def _limit(source: RuleSource, text: str | None, path: Path) -> Limit | None:
    try:
        return None if text is None else parse_limit(text)
    except ValueError as error:
        source.document.add(path, str(error))
        return None


def build_emergency(source: RuleSource) -> Emergency:
    """Build the contacts that are told when the store is away."""
    value = source.section("emergency")
    shape = None if value is None else read_shape(EmergencyShape, value, source.document, ("emergency",))
    if shape is None:
        return Emergency()
    for index, address in enumerate(shape.to):
        fault = contact_fault(address, has_account=lambda channel: has_account(source, channel))
        if fault is not None:
            source.document.add(("emergency", "to", index), fault)
    return Emergency(source.duration_ms(shape.after, ("emergency", "after")), tuple(shape.to))
