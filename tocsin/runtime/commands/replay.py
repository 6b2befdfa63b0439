"""`tocsin replay INC-42`: the incident step by step from its history, and whether the steps add up to how it stands.

tocsin replay INC-42 --at 03:12        shows it as it was

Owns the reading back: entries laid over each other are the incident after each step. The words of a decision are in `reasonwords.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from tocsin.policy.decision import Decision, Reason
from tocsin.policy.durations import format_duration
from tocsin.policy.ladder import next_rung_words
from tocsin.policy.model import Incident, Page, PageStatus
from tocsin.runtime.client import ClientError, Console, Json, Misused, incident_path
from tocsin.runtime.commands.terminal import Form, clean, console_at, local_time, say, say_json, warn
from tocsin.runtime.reasonwords import decision_words, page_words
from tocsin.store.codec import IncidentReader

EXIT_DOES_NOT_ADD_UP: Final = 7

STEPS_MAX: Final = 100_000
"""Steps that are replayed; an incident of years has some thousands."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")

_SHOWN: Final = (
    "state",
    "severity",
    "firing",
    "resolved",
    "assignee",
    "acknowledged_by",
    "acknowledged_until",
    "snoozed_until",
    "suppressed",
    "clear_since",
    "reopened_at",
    "flaps",
    "triggered_at",
    "hold_until",
)
"""Fields whose change is printed, in this order; pages and the next rung are told in words."""


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of the history, and the incident before and after it."""

    entry: Json
    before: Incident | None
    after: Incident

    @property
    def decision(self) -> Decision | None:
        """The decision that the entry records; None for a reason of another version of Tocsin."""
        try:
            reason = Reason(self.entry["reason"])
        except ValueError:
            return None
        return Decision(self.before, self.after, reason, self.entry["actor"], self.entry["event"], self.entry["inputs"])


def replay(incident_id: str, at: str | None, url: str, form: Form) -> int:
    """Print the steps of an incident, or how it was at a time; 0, or 7 when the steps do not add up. Raises ClientError."""
    name, entries, present = _fetch(console_at(url), incident_id)
    steps = list(_laid(entries))
    problems = check(steps, present)
    if at is not None:
        shown = [step for step in steps if step.after.changed_at <= _instant(at, steps[0].after.opened_at)] if steps else []
        if not shown:
            raise Misused(f"at {clean(at)} there was no {clean(name)}: it opened at {_when(steps[0].after.opened_at) if steps else '?'}")
        _say_state(name, shown[-1], problems, form)
    elif form is Form.JSON:
        say_json({"id": name, "adds_up": not problems, "problems": problems, "steps": [_step_json(step) for step in steps]})
    else:
        _say_steps(name, steps, problems)
    return EXIT_DOES_NOT_ADD_UP if problems else 0


def _fetch(console: Console, incident_id: str) -> tuple[str, list[Json], Json]:
    """Return the id, all entries, and the incident as it stood when they were asked for last."""
    entries: list[Json] = []
    while True:
        after = str(entries[-1]["version"]) if entries else "0"
        answer = console.get(incident_path(incident_id, "steps"), {"after": after})
        entries += answer["items"]
        if answer["next"] is None:
            return str(answer["id"]), entries, answer["present"]
        if len(entries) >= STEPS_MAX or not answer["items"]:
            raise ClientError(f"{clean(incident_id)} has more than {STEPS_MAX} steps")


def _laid(entries: Sequence[Json]) -> Iterator[Step]:
    reader = IncidentReader()
    document: dict[str, object] = {}
    before: Incident | None = None
    for entry in entries:
        document |= entry["changes"]
        try:
            after = reader.replay([{"changes": document}])
        except (KeyError, ValueError) as error:
            raise ClientError(
                f"version {entry.get('version')} of its history cannot be read: its beginning is gone, or it is damaged"
            ) from error
        yield Step(entry, before, after)
        before = after


def check(steps: Sequence[Step], present: Json) -> list[str]:
    """Return, in words, what keeps the steps from adding up to the incident as it stands; empty when they do."""
    found: list[str] = []
    for expected, step in enumerate(steps, 1):
        if step.entry["version"] != expected or step.after.version != expected:
            return [f"step {expected} has version {step.entry['version']}: one is missing or there twice"]
        if step.before is not None and step.after.changed_at < step.before.changed_at:
            found.append(f"step {expected} is older than the one before it")
    version = present["version"]
    if not 0 < version <= len(steps):
        return [*found, f"it stands at version {version}, and its history ends at {len(steps)}"]
    replayed = orjson.loads(orjson.dumps(steps[version - 1].after))
    return found + [
        f"{name} is {_value(name, value)}, and the steps say {_value(name, replayed.get(name))}"
        for name, value in present.items()
        if replayed.get(name) != value
    ]


# --- for people ------------------------------------------------------------------------------------------------------------------------


def _say_steps(name: str, steps: Sequence[Step], problems: Sequence[str]) -> None:
    title = clean(steps[-1].after.title) if steps else ""
    say(f"{clean(name)}  {title}")
    for step in steps:
        decision = step.decision
        entry = step.entry
        words = f"{clean(entry['reason'])}" if decision is None else decision_words(decision, _clock)
        say(f"{step.entry['version']:>4}  {_when(step.after.changed_at)}  {words}")
        for line in changes_of(step):
            say(f"        {line}")
    _say_verdict(name, steps[-1].after if steps else None, len(steps), problems)


def _say_verdict(name: str, last: Incident | None, count: int, problems: Sequence[str]) -> None:
    if problems or last is None:
        warn(f"the {count} steps do NOT add up to {clean(name)} as it stands:")
        for problem in problems:
            warn(f"  {clean(problem)}")
    else:
        say(f"{count} step{'' if count == 1 else 's'} add up to {clean(name)} as it stands: {last.state}, severity {last.severity}")


def changes_of(step: Step) -> Iterator[str]:
    """Say what a step changed: fields, pages, and which rung is next."""
    before, after = step.before, step.after
    changed = []
    for name in _SHOWN:
        value = getattr(after, name)
        if before is None:
            if value not in (None, 0, False, "") and name != "triggered_at":
                changed.append(f"{name.replace('_', ' ')} {_value(name, value)}")
        elif value != getattr(before, name):
            changed.append(f"{name.replace('_', ' ')} {_value(name, getattr(before, name))} -> {_value(name, value)}")
    if changed:
        yield ", ".join(changed)
    old = {page.id: page for page in before.pages} if before is not None else {}
    for page in after.pages:
        known = old.get(page.id)
        if known is None:
            yield f"new: {page_words(page, after)} over contact {page.contact + 1}, {_page_state(page)}"
        elif known != page and (known.status, known.due_at, known.receipt_due_at) != (page.status, page.due_at, page.receipt_due_at):
            yield f"{page_words(page, after)} over contact {page.contact + 1}: {known.status} -> {_page_state(page)}"
    next_before = None if before is None else next_rung_words(before)
    following = next_rung_words(after)
    if following is not None and following != next_before:
        rung, due_at = following
        yield f"next rung: {clean(', '.join(rung.roles))} ({format_duration(rung.after_ms)}) at {_clock(due_at)}"
    elif following is None and next_before is not None:
        yield "the ladder is held, or at its end"


def _page_state(page: Page) -> str:
    why = f" ({clean(page.reason)})" if page.reason else ""
    if page.status is PageStatus.PENDING:
        return f"pending, at {_clock(page.due_at)}{why}"
    return f"{page.status}{why}"


def _say_state(name: str, step: Step, problems: Sequence[str], form: Form) -> None:
    after = step.after
    if form is Form.JSON:
        say_json({"id": name, "at": _rfc3339(after.changed_at), "version": after.version, "incident": orjson.loads(orjson.dumps(after))})
        return
    say(f"{clean(name)}  {clean(after.title)}: version {after.version}, since {_when(after.changed_at)}")
    for field in ("service", "opened_at", *_SHOWN, "resolved_at", "resolved_by", "closed_at", "due_at"):
        value = getattr(after, field)
        if value not in (None, "", False):
            say(f"  {field.replace('_', ' '):<20}{_value(field, value)}")
    following = next_rung_words(after)
    if following is not None:
        rung, due_at = following
        say(f"  {'next rung':<20}{clean(', '.join(rung.roles))} ({format_duration(rung.after_ms)}) at {_when(due_at)}")
    for page in after.pages:
        say(f"  {page_words(page, after)} over contact {page.contact + 1}: {_page_state(page)}")
    if problems:
        warn(f"its steps do not add up to how it stands now: `tocsin replay {clean(name)}` says why")


# --- values ----------------------------------------------------------------------------------------------------------------------------


def _value(name: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, int) and not isinstance(value, bool) and name.endswith(("_at", "_until", "_since")):
        return _clock(value)
    return clean(str(value))


def _step_json(step: Step) -> dict[str, Any]:
    decision = step.decision
    return {
        **step.entry,
        "at": _rfc3339(step.entry["at"]),
        "words": None if decision is None else decision_words(decision, _rfc3339),
        "changed": list(changes_of(step)),
    }


def _instant(text: str, opened_at: int) -> int:
    """Read a time; a mere time of day is of the day on which the incident opened, or of the next."""
    found = _CLOCK.fullmatch(text.strip())
    try:
        if found is None:
            return _ms(datetime.fromisoformat(text.strip().upper()).astimezone())
    except (ValueError, OverflowError):
        raise Misused(f"{clean(text)} is not a time like 03:12 or 2026-11-23T03:12:00+09:00") from None
    opened = (_EPOCH + timedelta(milliseconds=opened_at)).astimezone()
    is_exact = found[3] is not None
    moment = opened.replace(
        hour=int(found[1]), minute=int(found[2]), second=int(found[3] or 59), microsecond=999_000 if not is_exact else 0
    )
    if moment < opened:
        moment = (moment.replace(tzinfo=None) + timedelta(days=1)).astimezone()
    return _ms(moment)


def _ms(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _rfc3339(at: int) -> str:
    return (_EPOCH + timedelta(milliseconds=at)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _when(at: int) -> str:
    return local_time(_rfc3339(at))


def _clock(at: int) -> str:
    """`03:12:07` in the zone of this machine, with the date when that is not clear from its line: it never is for what is days away."""
    return f"{(_EPOCH + timedelta(milliseconds=at)).astimezone():%m-%d %H:%M:%S}"
