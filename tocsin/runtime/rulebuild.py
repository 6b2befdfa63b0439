"""Turns what alert_rules.yaml says, entry by entry, into the values of `tocsin.policy.rules`.

Owns the checks that need more than one entry or a reading of the text: names that must exist, durations, matchers, time zones, rotations,
addresses, secrets. Everything wrong is added to the document's problems, everything doubtful to `RuleSource.warnings`; with a problem the
whole is refused by the caller. Ladders and services are in `ladderbuild.py`, people in `peoplebuild.py`, schedules and roles in
`schedulebuild.py`, the providers' accounts in `channelbuild.py`, the order of the parts in `rulesfile.py`.

Names count as known when the file has them at all, so that one bad entry is not reported again by all that name it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from tocsin.policy.durations import DurationError, parse_duration_ms
from tocsin.policy.matchers import Matcher, MatcherError, parse_matcher
from tocsin.policy.rules import InhibitRule, Integration
from tocsin.runtime import ruleschema as shapes
from tocsin.runtime.regex import compile_regex
from tocsin.runtime.timezones import zone_fault
from tocsin.runtime.yamltree import Document, Path, Place, Plain, Problem, did_you_mean, shown

NAME_LENGTH_MAX: Final = 128
KEY_LENGTH_MIN: Final = 16
"""A shorter key is warned of: keys are guessed by machines."""


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

    def check_zone(self, name: str, path: Path) -> None:
        """A time zone must be one of the IANA database."""
        fault = zone_fault(name)
        if fault is not None:
            self.document.add(path, fault)

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
