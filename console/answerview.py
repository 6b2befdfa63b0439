"""What the answer page says, as plain text values, and the templates that show them.

Times are in the reader's zone with its name. Text from alerts is hostile: control and direction characters are removed here, the templates
escape everything, and no text is ever read as a template.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined

from console.views import AlertView, next_step
from tocsin.policy import oncall
from tocsin.policy.durations import format_duration
from tocsin.policy.events import MONITORING, TIMER
from tocsin.policy.model import AlertStatus, Incident, PageKind, PageStatus, State
from tocsin.policy.rules import EMERGENCY_PERSON, Rules
from tocsin.runtime.text import clean, cut

ALERTS_SHOWN_MAX: Final = 10
LABELS_SHOWN_MAX: Final = 30
TOLD_SHOWN_MAX: Final = 20
TEXT_CHARACTERS_MAX: Final = 2_000
TITLE_CHARACTERS_MAX: Final = 200

SEVERITY_WORDS: Final = {1: "▲ Severity 1", 2: "■ Severity 2", 3: "● Severity 3", 4: "○ Severity 4, low"}


@dataclass(frozen=True, slots=True)
class Reader:
    """Whom the link was made for."""

    key: str
    name: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class AlertLine:
    """An alert: since when, and the labels that it does not share with all others."""

    since: str
    status: str
    labels: str
    summary: str


@dataclass(frozen=True, slots=True)
class Button:
    """What the reader can do: the form's `action` and the words on it."""

    action: str
    words: str


@dataclass(frozen=True, slots=True)
class OtherLine:
    """An incident that was paged together with this one."""

    id: str
    severity: int
    severity_words: str
    title: str
    standing: str


@dataclass(frozen=True, slots=True)
class AnswerView:
    """Everything on the page."""

    id: str
    title: str
    severity: int
    severity_words: str
    state_words: str
    service: str
    since: str
    age: str
    standing: str
    standing_kind: str
    hint: str
    button: Button | None
    others: Sequence[OtherLine]
    all_button: Button | None
    reader: str
    text: str
    runbook: str
    labels: Sequence[tuple[str, str]]
    alert_count: str
    alerts: Sequence[AlertLine]
    alerts_left_out: int
    told: Sequence[tuple[str, str]]
    next_line: str


class Pages:
    """The templates and the style sheet, read once."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=PackageLoader("console", "pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self.style = files("console").joinpath("static", "answer.css").read_text(encoding="utf-8")
        # The address changes with the content, so that a browser never shows a new page with an old style.
        self._templates.globals["style_version"] = f"{zlib.crc32(self.style.encode()):x}"

    def answer(self, view: AnswerView) -> str:
        """Return the answer page."""
        return self._templates.get_template("answer.html").render(view=view)

    def message(self, title: str, text: str) -> str:
        """Return a page that says one thing."""
        return self._templates.get_template("message.html").render(title=title, text=text)

    def pointer(self, incident: str, external_url: str) -> str:
        """Return the page that says how to read an incident."""
        return self._templates.get_template("pointer.html").render(incident=_shown(incident), external_url=external_url)


def _shown(text: str) -> str:
    return clean(text[:TEXT_CHARACTERS_MAX])


def answer_view(
    incident: Incident, others: Sequence[Incident], alerts: Sequence[AlertView], reader: Reader, now: int, rules: Rules
) -> AnswerView:
    """Return what the page says to its reader at `now` (ms UTC); `others` were paged together with the incident."""
    times = _Times(reader.time_zone, now)
    standing, kind, hint = _standing(incident, reader, rules, times)
    firing = [alert for alert in alerts if alert.status is AlertStatus.FIRING]
    shown = (firing or alerts)[:ALERTS_SHOWN_MAX]
    return AnswerView(
        id=incident.id,
        title=cut(_shown(incident.title), TITLE_CHARACTERS_MAX),
        severity=incident.severity,
        severity_words=SEVERITY_WORDS[incident.severity],
        state_words="not acknowledged" if incident.state is State.OPEN else str(incident.state),
        service=_shown(incident.service),
        since=times.at(incident.opened_at),
        age=times.ago(incident.opened_at),
        standing=standing,
        standing_kind=kind,
        hint=hint,
        button=_button(incident, reader, now),
        others=[_other_line(other, reader, rules, times) for other in others],
        all_button=_all_button((incident, *others)),
        reader=_shown(reader.name),
        text=_shown(incident.text),
        runbook=incident.plan.runbook if incident.plan.runbook.startswith(("https://", "http://")) else "",
        labels=[(_shown(name), _shown(value)) for name, value in sorted(incident.labels.items())[:LABELS_SHOWN_MAX]],
        alert_count=_alert_count(incident),
        alerts=[_alert_line(alert, incident.labels, times) for alert in shown],
        alerts_left_out=incident.firing + incident.resolved - len(shown) if alerts else 0,
        told=_told(incident, rules, times),
        next_line=_next_line(incident, rules, times),
    )


class _Times:
    """Writes instants for the reader."""

    def __init__(self, zone: str, now: int) -> None:
        self._zone = ZoneInfo(zone)
        self._now = now

    def at(self, at: int) -> str:
        """`03:45 KST`, with the date when it is another day."""
        local, today = self._local(at), self._local(self._now)
        return local.strftime("%H:%M %Z" if local.date() == today.date() else "%Y-%m-%d %H:%M %Z")

    def ago(self, at: int) -> str:
        """`18m`, to the minute."""
        minutes_ms = max(0, self._now - at) // 60_000 * 60_000
        return f"{format_duration(minutes_ms)} ago" if minutes_ms else "just now"

    def instant(self, text: str) -> str:
        """An RFC 3339 instant in the reader's zone."""
        return self.at(round(datetime.fromisoformat(text).timestamp() * 1000))

    def _local(self, at: int) -> datetime:
        return datetime.fromtimestamp(at / 1000, UTC).astimezone(self._zone)


def _standing(incident: Incident, reader: Reader, rules: Rules, times: _Times) -> tuple[str, str, str]:
    """Return who has it, in one sentence, its kind (for the colour), and what follows from it."""
    match incident.state:
        case State.RESOLVED | State.CLOSED:
            at = times.at(incident.resolved_at or incident.changed_at)
            by = "itself" if incident.resolved_by == TIMER else _name(incident.resolved_by or MONITORING, rules)
            return f"Resolved at {at} by {by}.", "good", "There is nothing left to do."
        case State.OPEN:
            if incident.suppressed is not None:
                return f"Suppressed: {_shown(incident.suppressed)}.", "plain", "Nobody is paged for it."
            if incident.clear_since is not None:
                return "Its alerts are clear.", "plain", "It resolves by itself if they stay so."
            if incident.snoozed_until is not None:
                return f"Snoozed until {times.at(incident.snoozed_until)}.", "plain", "Nobody is paged until then."
            return "Nobody has it yet.", "open", ""
        case State.ACKNOWLEDGED:
            until = times.at(incident.acknowledged_until or incident.changed_at)
            if incident.acknowledged_by == reader.key:
                return f"You have it until {until}.", "good", "You are asked again before that; then the ladder goes on."
            holder = _name(incident.acknowledged_by or "", rules)
            since = times.at(incident.acknowledged_at or incident.changed_at)
            mine = "It is in your name. " if incident.assignee == reader.key else ""
            climbs = incident.plan.ladder.until == "resolved"
            others = "The ladder goes on until it is resolved." if climbs else "Nobody else is paged until then."
            return f"{holder} took it at {since} and has it until {until}.", "held", f"{mine}{others}"


def _button(incident: Incident, reader: Reader, now: int) -> Button | None:
    """What `decide` would take from the reader now; None when there is nothing to press."""
    if incident.state is State.OPEN:
        return Button("acknowledge", "I have it")
    if incident.state is not State.ACKNOWLEDGED:
        return None
    is_ending = (incident.acknowledged_until or now) - now <= incident.plan.ladder.remind_before_end_ms
    if incident.acknowledged_by == reader.key:
        return Button("acknowledge", "I still have it") if is_ending else None
    if is_ending:
        return Button("acknowledge", "I have it now")
    return None if incident.assignee == reader.key else Button("assign", "It is mine now")


def _all_button(incidents: Sequence[Incident]) -> Button | None:
    """One button for all that nobody has yet, when there are several."""
    free = sum(incident.state is State.OPEN for incident in incidents)
    return Button("acknowledge_all", f"I have all {free}") if free > 1 else None


def _other_line(incident: Incident, reader: Reader, rules: Rules, times: _Times) -> OtherLine:
    standing, _, _ = _standing(incident, reader, rules, times)
    return OtherLine(
        incident.id, incident.severity, SEVERITY_WORDS[incident.severity], cut(_shown(incident.title), TITLE_CHARACTERS_MAX), standing
    )


def _name(key: str, rules: Rules) -> str:
    person = rules.people.get(key)
    return _shown(person.name if person is not None and person.name else key)


def _alert_count(incident: Incident) -> str:
    parts = [f"{count} {word}" for count, word in ((incident.firing, "firing"), (incident.resolved, "resolved")) if count]
    return ", ".join(parts) or "none"


def _alert_line(alert: AlertView, common: Mapping[str, str], times: _Times) -> AlertLine:
    own = [f"{name}={value}" for name, value in sorted(alert.labels.items()) if common.get(name) != value]
    summary = alert.annotations.get("summary") or alert.annotations.get("description") or ""
    return AlertLine(times.instant(alert.starts_at), alert.status, "  ".join(_shown(each) for each in own), _shown(summary))


def _told(incident: Incident, rules: Rules, times: _Times) -> list[tuple[str, str]]:
    """List whom pages went to since the incident last opened, each person once, and what came of the newest page."""
    said: dict[str, str] = {}
    for page in incident.pages:
        if page.kind is PageKind.RESOLVED or page.status is PageStatus.CANCELLED:
            continue
        match page.status:
            case PageStatus.SENT:
                said[page.person] = f"told at {times.at(page.settled_at or page.due_at)}"
            case PageStatus.FAILED:
                said.setdefault(page.person, "could not be reached")
            case _:
                said.setdefault(page.person, "is being told")
    names = {EMERGENCY_PERSON: "emergency contacts"}
    return [(names.get(person) or _name(person, rules), words) for person, words in list(said.items())[:TOLD_SHOWN_MAX]]


def _next_line(incident: Incident, rules: Rules, times: _Times) -> str:
    step = next_step(incident)
    if step is None:
        return ""
    roles, at = step
    people = _unique(_name(person, rules) for role in roles for person in oncall.holders(role, at, rules))
    return f"{', '.join(people) or 'nobody holds it'} ({_shown(', '.join(roles))}) at {times.at(at)}"


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
