"""Turns the sections `people` and `emergency` of alert_rules.yaml into values of `tocsin.policy`: who can be paged, and how.

Owns the shapes of these sections and their checks. Works on a `RuleSource` as `rulebuild.py` does.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator

from tocsin.policy.rules import EMERGENCY_PERSON, Contact, Emergency, Person
from tocsin.runtime.channelbuild import has_account
from tocsin.runtime.contactaddress import SIGNED, contact_fault, scheme_of
from tocsin.runtime.rulebuild import RuleSource
from tocsin.runtime.ruleschema import Duration, Names, Shape, read_shape
from tocsin.runtime.yamltree import Path, shown

PERSON_KEY_LENGTH_MAX: Final = 64

_PERSON_KEY = re.compile(r"[a-z0-9][a-z0-9_-]*")


def _address_alone(value: object) -> object:
    return {"to": value} if isinstance(value, str) else value


class ContactEntry(Shape):
    to: str
    after: Duration = "0s"
    secret: str | None = None
    secret_file: str | None = None


ContactShape = Annotated[ContactEntry, BeforeValidator(_address_alone)]


class PersonShape(Shape):
    name: str | None = None
    locale: str = "en"
    time_zone: str = "UTC"
    contacts: list[ContactShape] = []


class EmergencyShape(Shape):
    after: Duration = "60s"
    to: Names = []


def build_people(source: RuleSource) -> dict[str, Person]:
    """Build everybody who can be paged."""
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
        people[name] = Person(name, shape.name or name, shape.locale, shape.time_zone, contacts)
    return people


def _contact(source: RuleSource, shape: ContactEntry, path: Path) -> Contact:
    secret = source.secret(shape.secret, shape.secret_file, path, "secret")
    fault = contact_fault(shape.to, has_account=lambda channel: has_account(source, channel))
    if fault is not None:
        source.document.add((*path, "to"), fault)
    elif secret is not None and scheme_of(shape.to) not in SIGNED:
        source.document.add((*path, "secret"), f"is only for {', '.join(SIGNED)}, expected no secret here")
    if secret == "":
        source.document.add((*path, "secret"), "is empty")
    return Contact(shape.to, source.duration_ms(shape.after, (*path, "after")), secret or "")


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
