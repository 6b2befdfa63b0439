"""Turns what alert_rules.yaml says, entry by entry, into the values of `tocsin.policy.rules`.

Owns the checks that need more than one entry or a reading of the text: names that must exist, durations, matchers, time zones, rotations,
addresses, secrets. Everything wrong is added to the document's problems, everything doubtful to `RuleSource.warnings`; with a problem the
whole is refused by the caller. Ladders and services are in `ladderbuild.py`, the order of the parts in `rulesfile.py`.

Names count as known when the file has them at all, so that one bad entry is not reported again by all that name it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from tocsin.policy.durations import DurationError, parse_duration_ms
from tocsin.policy.matchers import Matcher, MatcherError, parse_matcher
from tocsin.policy.rules import EMERGENCY_PERSON, Contact, Emergency, InhibitRule, Integration, Layer, MailAccount, Person, Role, Schedule
from tocsin.runtime import ruleschema as shapes
from tocsin.runtime.contactaddress import contact_fault, scheme_of, sender_fault, smtp_fault
from tocsin.runtime.regex import compile_regex
from tocsin.runtime.timezones import zone_fault
from tocsin.runtime.yamltree import Document, Path, Place, Plain, Problem, did_you_mean, shown

NAME_LENGTH_MAX: Final = 128
PERSON_KEY_LENGTH_MAX: Final = 64
ROTATION_DAYS_MAX: Final = 3_660
KEY_LENGTH_MIN: Final = 16
"""A shorter key is warned of: keys are guessed by machines."""

_PERSON_KEY = re.compile(r"[a-z0-9][a-z0-9_-]*")
_EVERY = re.compile(r"(?:([0-9]{1,4})w)?(?:([0-9]{1,4})d)?")
_STARTS = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?")
_ZONED = re.compile(r".*(?:Z|[+-][0-9]{2}:?[0-9]{2})", re.DOTALL)


@dataclass(slots=True)
class RuleSource:
    """A document being turned into rules: its entries, and what was found wrong (`document.problems`) or doubtful on the way."""

    document: Document
    read_file: Callable[[str], str]
    warnings: list[Problem] = field(default_factory=list)

    def section(self, name: str) -> Plain:
        """Return a section of the file; None when it is absent or holds nothing."""
        value = self.document.value
        return value.get(name) if isinstance(value, dict) else None

    def entries(self, name: str) -> list[tuple[str | int, Plain]]:
        """Return the entries of a section that is a list or a mapping."""
        section = self.section(name)
        if isinstance(section, dict):
            return list(section.items())
        return list(enumerate(section)) if isinstance(section, list) else []

    def names(self, section: str) -> tuple[str, ...]:
        """Return the names that a mapping section defines, whether its entries are right or not."""
        return tuple(str(key) for key, _ in self.entries(section))

    def warn(self, path: Path, message: str, *, at: Place | None = None) -> None:
        """Report something that works but may not be meant."""
        self.warnings.append(self.document.problem(path, message, at=at))

    def duration_ms(self, text: str, path: Path, *, at: Place | None = None) -> int:
        """Read a duration; 0 with a problem when it is none."""
        try:
            return parse_duration_ms(text)
        except DurationError as error:
            self.document.add(path, str(error), at=at)
            return 0

    def matchers(self, texts: Iterable[str], path: Path) -> tuple[Matcher, ...]:
        """Read a list of matchers."""
        found: list[Matcher] = []
        for index, text in enumerate(texts):
            each = (*path, index)
            try:
                found.append(parse_matcher(text, compile_regex))
            except MatcherError as error:
                self.document.add(each, f"not a matcher: {error.message}", at=self.document.place_inside(each, error.position))
        return tuple(found)

    def knows(self, kind: str, name: str, known: Iterable[str], path: Path) -> bool:
        """Whether a name is defined; a problem when it is not."""
        names = tuple(known)
        if name in names:
            return True
        few = (
            f": there is {', '.join(shown(each) for each in names[:8])}{' ...' if len(names) > 8 else ''}" if names else ": none is defined"
        )
        self.document.add(path, f"unknown {kind} {shown(name)}{did_you_mean(name, names) or few}")
        return False

    def check_name(self, name: str, path: Path, *, at: Place | None = None) -> None:
        """A name is shown, stored and compared: it has no surprises at its ends or inside."""
        if not name or name != name.strip() or not name.isprintable() or "|" in name or len(name) > NAME_LENGTH_MAX:
            message = (
                f"{shown(name)} is not a name, expected 1 to {NAME_LENGTH_MAX} printable characters without | and without blanks around"
            )
            self.document.add(path, message, at=at)

    def secret(self, text: str | None, file: str | None, path: Path, key: str) -> str | None:
        """Return a secret that is written here or in a file, which may end with a line break; None when neither is given."""
        if file is None:
            return text
        file_path = (*path, f"{key}_file")
        if text is not None:
            self.document.add(file_path, f"both {key} and {key}_file are given, expected one of them")
            return text
        try:
            return self.read_file(file).rstrip("\r\n")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is not UTF-8 text"
            self.document.add(file_path, f"the file cannot be read: {reason}")
            return None


def build_mail(source: RuleSource) -> MailAccount | None:
    """Build the account that sends mail."""
    value = source.section("channels")
    channels = None if value is None else shapes.read_shape(shapes.ChannelsShape, value, source.document, ("channels",))
    if channels is None or channels.mail is None:
        return None
    path: Path = ("channels", "mail")
    smtp = source.secret(channels.mail.smtp, channels.mail.smtp_file, path, "smtp")
    if smtp is None and channels.mail.smtp_file is None:
        source.document.add((*path, "smtp"), "is missing, expected smtp or smtp_file")
    fault = None if smtp is None else smtp_fault(smtp)
    if fault is not None:
        source.document.add((*path, "smtp" if channels.mail.smtp is not None else "smtp_file"), fault)
    fault = sender_fault(channels.mail.sender)
    if fault is not None:
        source.document.add((*path, "from"), fault)
    return MailAccount(smtp or "", channels.mail.sender)


def _has_mail(source: RuleSource) -> bool:
    channels = source.section("channels")
    return isinstance(channels, dict) and channels.get("mail") is not None


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
        shape = shapes.read_shape(shapes.PersonShape, value, source.document, path)
        if shape is None:
            continue
        _check_zone(source, shape.time_zone, (*path, "time_zone"))
        contacts = tuple(_contact(source, contact, (*path, "contacts", index)) for index, contact in enumerate(shape.contacts))
        people[name] = Person(name, shape.name or name, shape.locale, shape.time_zone, contacts)
    return people


def _contact(source: RuleSource, shape: shapes.ContactEntry, path: Path) -> Contact:
    secret = source.secret(shape.secret, shape.secret_file, path, "secret")
    fault = contact_fault(shape.to, has_mail=_has_mail(source))
    if fault is not None:
        source.document.add((*path, "to"), fault)
    elif secret is not None and not scheme_of(shape.to).startswith("webhook"):
        source.document.add((*path, "secret"), "only webhook contacts are signed, expected no secret here")
    if secret == "":
        source.document.add((*path, "secret"), "is empty")
    return Contact(shape.to, source.duration_ms(shape.after, (*path, "after")), secret or "")


def build_emergency(source: RuleSource) -> Emergency:
    """Build the contacts that are told when the store is away."""
    value = source.section("emergency")
    shape = None if value is None else shapes.read_shape(shapes.EmergencyShape, value, source.document, ("emergency",))
    if shape is None:
        return Emergency()
    for index, address in enumerate(shape.to):
        fault = contact_fault(address, has_mail=_has_mail(source))
        if fault is not None:
            source.document.add(("emergency", "to", index), fault)
    return Emergency(source.duration_ms(shape.after, ("emergency", "after")), tuple(shape.to))


def build_schedules(source: RuleSource) -> dict[str, Schedule]:
    """Build who takes turns."""
    schedules: dict[str, Schedule] = {}
    for key, value in source.entries("schedules"):
        path: Path = ("schedules", key)
        source.check_name(str(key), path, at=source.document.key_place(path))
        shape = shapes.read_shape(shapes.ScheduleShape, value, source.document, path)
        if shape is None:
            continue
        _check_zone(source, shape.time_zone, (*path, "time_zone"))
        if not shape.layers:
            source.document.add((*path, "layers"), "is empty, expected at least one layer")
        if shape.holidays:
            source.warn((*path, "holidays"), f"is not used: a rotation goes on through holidays ({shapes.CALENDAR_LATER})")
        layers = tuple(_layer(source, layer, (*path, "layers", index)) for index, layer in enumerate(shape.layers))
        schedules[str(key)] = Schedule(str(key), shape.time_zone, layers, shape.holidays)
    return schedules


def _layer(source: RuleSource, shape: shapes.LayerShape, path: Path) -> Layer:
    people = source.names("people")
    for index, person in enumerate(shape.rotation):
        source.knows("person", person, people, (*path, "rotation", index))
    if not shape.rotation:
        source.document.add((*path, "rotation"), "is empty, expected the people who take turns")
    elif len(set(shape.rotation)) == 1:
        source.warn((*path, "rotation"), f"has one person only: {shown(shape.rotation[0])} is always on duty")
    return Layer(
        tuple(shape.rotation), _every_days(source, shape.every, (*path, "every")), _starts(source, shape.starts, (*path, "starts"))
    )


def _every_days(source: RuleSource, text: str, path: Path) -> int:
    found = _EVERY.fullmatch(text)
    if not text or found is None:
        source.document.add(path, f"{shown(text)} is not whole days or weeks, expected 1d, 1w or 2w ({shapes.CALENDAR_LATER})")
        return 1
    days = 7 * int(found[1] or 0) + int(found[2] or 0)
    if not 1 <= days <= ROTATION_DAYS_MAX:
        source.document.add(path, f"a turn of {days} days, expected 1d to {ROTATION_DAYS_MAX}d")
        return 1
    return days


def _starts(source: RuleSource, text: str, path: Path) -> str:
    expected = "expected the schedule's local date and time, as in 2026-01-05T09:00"
    try:
        if _STARTS.fullmatch(text):
            return datetime.fromisoformat(text).isoformat()
    except ValueError:
        source.document.add(path, f"{shown(text)} is no day or time of the calendar, {expected}")
        return text
    zone = " without a zone" if _ZONED.fullmatch(text) and "T" in text else ""
    source.document.add(path, f"{shown(text)} is not a start, {expected}{zone}")
    return text


def _check_zone(source: RuleSource, name: str, path: Path) -> None:
    fault = zone_fault(name)
    if fault is not None:
        source.document.add(path, fault)


def build_roles(source: RuleSource) -> dict[str, Role]:
    """Build the duties that ladders name."""
    roles: dict[str, Role] = {}
    people, schedules = source.names("people"), source.names("schedules")
    for key, value in source.entries("roles"):
        path: Path = ("roles", key)
        source.check_name(str(key), path, at=source.document.key_place(path))
        shape = shapes.read_shape(shapes.RoleEntry, value, source.document, path)
        if shape is None:
            continue
        people_path = path if isinstance(value, list) else (*path, "people")
        for index, person in enumerate(shape.people):
            source.knows("person", person, people, (*people_path, index))
        if shape.schedule is not None:
            source.knows("schedule", shape.schedule, schedules, (*path, "schedule"))
        elif not shape.people:
            source.warn(path, "nobody holds this role: its rungs are passed over", at=source.document.key_place(path))
        roles[str(key)] = Role(str(key), tuple(shape.people), shape.schedule)
    return roles


def build_integrations(source: RuleSource) -> tuple[Integration, ...]:
    """Build the keyed sources of alerts; of a key only the SHA-256 is kept."""
    found: list[Integration] = []
    lines: dict[str, int] = {}
    names: set[str] = set()
    for index, value in source.entries("integrations"):
        path: Path = ("integrations", index)
        shape = shapes.read_shape(shapes.IntegrationShape, value, source.document, path)
        if shape is None:
            continue
        source.check_name(shape.name, (*path, "name"))
        if shape.name in names:
            source.document.add((*path, "name"), f"duplicate name {shown(shape.name)}")
        names.add(shape.name)
        key = source.secret(shape.key, shape.key_file, path, "key")
        if key is None:
            if shape.key_file is None:
                source.document.add((*path, "key"), "is missing, expected key or key_file")
            continue
        digest = hashlib.sha256(key.encode()).hexdigest()
        key_path = (*path, "key" if shape.key is not None else "key_file")
        line, _ = source.document.place(key_path)
        if not key.strip():
            source.document.add(key_path, "is empty")
        elif digest in lines:
            source.document.add(key_path, f"this key is that of line {lines[digest]}, expected one per integration")
        elif len(key) < KEY_LENGTH_MIN:
            source.warn(key_path, f"the key has {len(key)} characters: with fewer than {KEY_LENGTH_MIN} it can be guessed")
        lines.setdefault(digest, line)
        found.append(Integration(shape.name, digest, source.duration_ms(shape.stale_after, (*path, "stale_after"))))
    return tuple(found)


def build_inhibit(source: RuleSource) -> tuple[InhibitRule, ...]:
    """Build which alerts quieten which."""
    found: list[InhibitRule] = []
    for index, value in source.entries("inhibit"):
        path: Path = ("inhibit", index)
        shape = shapes.read_shape(shapes.InhibitShape, value, source.document, path)
        if shape is None:
            continue
        for side, texts in (("source", shape.source), ("target", shape.target)):
            if not texts:
                source.document.add((*path, side), "is empty and would match every alert, expected at least one matcher")
        sides = source.matchers(shape.source, (*path, "source")), source.matchers(shape.target, (*path, "target"))
        found.append(InhibitRule(*sides, tuple(shape.equal)))
        source.warn(path, "is checked and not acted on yet: its targets page all the same")
    return tuple(found)


def unreachable_people(people: Mapping[str, Person], roles: Iterable[Role], schedules: Mapping[str, Schedule]) -> dict[str, str]:
    """Map each person without contacts who may hold one of the roles to the name of that role."""
    found: dict[str, str] = {}
    for role in roles:
        schedule = schedules.get(role.schedule or "")
        turns = () if schedule is None else tuple(person for layer in schedule.layers for person in layer.rotation)
        for key in (*role.people, *turns):
            person = people.get(key)
            if person is not None and not person.contacts:
                found.setdefault(key, role.name)
    return found
