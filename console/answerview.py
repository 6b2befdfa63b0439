"""What the answer page says, as plain text values, and the templates that show them.

The frame is in the reader's language (`console/words/`), times are in the reader's zone with its name. Text from alerts is hostile: control
and direction characters are removed here, the templates escape everything, and no text is ever read as a template.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined

from console.views import AlertView, next_step
from console.words import PageWords
from tocsin.policy import oncall
from tocsin.policy.events import MONITORING, TIMER
from tocsin.policy.model import AlertStatus, Incident, PageKind, PageStatus, State
from tocsin.policy.rules import EMERGENCY_PERSON, Rules
from tocsin.runtime.text import clean, cut

ALERTS_SHOWN_MAX: Final = 10
LABELS_SHOWN_MAX: Final = 30
TOLD_SHOWN_MAX: Final = 20
TEXT_CHARACTERS_MAX: Final = 2_000
TITLE_CHARACTERS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Reader:
    """Whom the link was made for."""

    key: str
    name: str
    time_zone: str
    words: PageWords


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
    """Everything on the page; the first of the buttons is the big one."""

    id: str
    title: str
    severity: int
    severity_words: str
    state_words: str
    service: str
    since: str
    standing: str
    standing_kind: str
    hint: str
    buttons: Sequence[Button]
    others: Sequence[OtherLine]
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

    def answer(self, view: AnswerView, words: PageWords) -> str:
        """Return the answer page."""
        return self._templates.get_template("answer.html").render(view=view, words=words)

    def message(self, title: str, text: str, words: PageWords) -> str:
        """Return a page that says one thing."""
        return self._templates.get_template("message.html").render(title=title, text=text, words=words)

    def pointer(self, incident: str, external_url: str, words: PageWords) -> str:
        """Return the page that says how to read an incident."""
        return self._templates.get_template("pointer.html").render(incident=_shown(incident), external_url=external_url, words=words)


def _shown(text: str) -> str:
    return clean(text[:TEXT_CHARACTERS_MAX])


def answer_view(
    incident: Incident, others: Sequence[Incident], alerts: Sequence[AlertView], reader: Reader, now: int, rules: Rules
) -> AnswerView:
    """Return what the page says to its reader at `now` (ms UTC); `others` were paged together with the incident."""
    words, times = reader.words, _Times(reader, now)
    standing, kind, hint = _standing(incident, reader, rules, times)
    firing = [alert for alert in alerts if alert.status is AlertStatus.FIRING]
    shown = (firing or alerts)[:ALERTS_SHOWN_MAX]
    return AnswerView(
        id=incident.id,
        title=cut(_shown(incident.title), TITLE_CHARACTERS_MAX),
        severity=incident.severity,
        severity_words=words.severity(incident.severity),
        state_words=words.state(incident.state.value),
        service=_shown(incident.service),
        since=words.since(times.at(incident.opened_at), times.ago(incident.opened_at)),
        standing=standing,
        standing_kind=kind,
        hint=hint,
        buttons=_buttons(incident, others, reader, now),
        others=[_other_line(other, reader, rules, times) for other in others],
        reader=_shown(reader.name),
        text=_shown(incident.text),
        runbook=incident.plan.runbook if incident.plan.runbook.startswith(("https://", "http://")) else "",
        labels=[(_shown(name), _shown(value)) for name, value in sorted(incident.labels.items())[:LABELS_SHOWN_MAX]],
        alert_count=words.counts(incident.firing, incident.resolved),
        alerts=[_alert_line(alert, incident.labels, words, times) for alert in shown],
        alerts_left_out=incident.firing + incident.resolved - len(shown) if alerts else 0,
        told=_told(incident, rules, words, times),
        next_line=_next_line(incident, rules, words, times),
    )


class _Times:
    """Writes instants for the reader."""

    def __init__(self, reader: Reader, now: int) -> None:
        self._words = reader.words
        self._zone = ZoneInfo(reader.time_zone)
        self._now = now

    def at(self, at: int) -> str:
        """`03:45 KST`, with the date when it is another day."""
        there = self._local(at)
        return self._words.time(there, is_today=there.date() == self._local(self._now).date())

    def ago(self, at: int) -> str:
        """`18m ago`, to the minute."""
        return self._words.ago(max(0, self._now - at) // 60_000)

    def instant(self, text: str) -> str:
        """An RFC 3339 instant in the reader's zone."""
        return self.at(round(datetime.fromisoformat(text).timestamp() * 1000))

    def _local(self, at: int) -> datetime:
        return datetime.fromtimestamp(at / 1000, UTC).astimezone(self._zone)


def _standing(incident: Incident, reader: Reader, rules: Rules, times: _Times) -> tuple[str, str, str]:
    """Return who has it, in one sentence, its kind (for the colour), and what follows from it."""
    words = reader.words
    match incident.state:
        case State.RESOLVED | State.CLOSED:
            ours = {TIMER: words.by_itself, MONITORING: words.by_monitoring}
            by = incident.resolved_by or MONITORING
            return (
                words.over(times.at(incident.resolved_at or incident.changed_at), ours.get(by) or _name(by, rules)),
                "good",
                words.nothing_left,
            )
        case State.OPEN:
            if incident.suppressed is not None:
                return words.suppressed(_shown(incident.suppressed)), "plain", words.nobody_paged
            if incident.clear_since is not None:
                return words.clear, "plain", words.resolves_itself
            if incident.snoozed_until is not None:
                return words.snoozed(times.at(incident.snoozed_until)), "plain", words.nobody_until
            return words.nobody, "open", ""
        case State.ACKNOWLEDGED:
            until = times.at(incident.acknowledged_until or incident.changed_at)
            if incident.acknowledged_by == reader.key:
                return words.yours(until), "good", words.asked_again
            holder = words.emergency if incident.acknowledged_by == EMERGENCY_PERSON else _name(incident.acknowledged_by or "", rules)
            since = times.at(incident.acknowledged_at or incident.changed_at)
            mine = words.assigned + words.gap if incident.assignee == reader.key else ""
            climbs = incident.plan.ladder.until == "resolved"
            return words.held(holder, since, until), "held", mine + (words.climbs_on if climbs else words.nobody_else)


def _buttons(incident: Incident, others: Sequence[Incident], reader: Reader, now: int) -> list[Button]:
    """Return what can be pressed, the big one first: all that nobody has yet, when there are others, then the gravest alone."""
    words, one = reader.words, _button(incident, reader, now)
    free = [each for each in (incident, *others) if each.state is State.OPEN]
    if len(free) > 1:
        alone = replace(one, words=words.take_only(incident.id)) if one is not None and incident.state is State.OPEN else one
        everything = Button("acknowledge_all", words.take_all(len(free)))
        return [everything] if alone is None else [everything, alone]
    if free and free[0] is not incident:
        return [Button("acknowledge_all", words.take_only(free[0].id)), *([one] if one is not None else [])]
    return [one] if one is not None else []


def _button(incident: Incident, reader: Reader, now: int) -> Button | None:
    """What `decide` would take from the reader now; None when there is nothing to press."""
    words = reader.words
    if incident.state is State.OPEN:
        return Button("acknowledge", words.take)
    if incident.state is not State.ACKNOWLEDGED:
        return None
    is_ending = (incident.acknowledged_until or now) - now <= incident.plan.ladder.remind_before_end_ms
    if incident.acknowledged_by == reader.key:
        return Button("acknowledge", words.keep) if is_ending else None
    if is_ending:
        return Button("acknowledge", words.take_now)
    return None if incident.assignee == reader.key else Button("assign", words.take_over)


def _other_line(incident: Incident, reader: Reader, rules: Rules, times: _Times) -> OtherLine:
    standing, _, _ = _standing(incident, reader, rules, times)
    title = cut(_shown(incident.title), TITLE_CHARACTERS_MAX)
    return OtherLine(incident.id, incident.severity, reader.words.severity(incident.severity), title, standing)


def _name(key: str, rules: Rules) -> str:
    person = rules.people.get(key)
    return _shown(person.name if person is not None and person.name else key)


def _alert_line(alert: AlertView, common: Mapping[str, str], words: PageWords, times: _Times) -> AlertLine:
    own = [f"{name}={value}" for name, value in sorted(alert.labels.items()) if common.get(name) != value]
    summary = alert.annotations.get("summary") or alert.annotations.get("description") or ""
    status = words.alert_state(alert.status.value)
    return AlertLine(times.instant(alert.starts_at), status, "  ".join(_shown(each) for each in own), _shown(summary))


def _told(incident: Incident, rules: Rules, words: PageWords, times: _Times) -> list[tuple[str, str]]:
    """List whom pages went to since the incident last opened, each person once, and what came of the newest page."""
    said: dict[str, str] = {}
    for page in incident.pages:
        if page.kind is PageKind.RESOLVED or page.status is PageStatus.CANCELLED:
            continue
        match page.status:
            case PageStatus.SENT:
                said[page.person] = words.told(times.at(page.settled_at or page.due_at))
            case PageStatus.FAILED:
                said.setdefault(page.person, words.unreached)
            case _:
                said.setdefault(page.person, words.being_told)
    names = {EMERGENCY_PERSON: words.emergency}
    return [(names.get(person) or _name(person, rules), outcome) for person, outcome in list(said.items())[:TOLD_SHOWN_MAX]]


def _next_line(incident: Incident, rules: Rules, words: PageWords, times: _Times) -> str:
    step = next_step(incident)
    if step is None:
        return ""
    roles, at = step
    people = _unique(_name(person, rules) for role in roles for person in oncall.holders(role, at, rules))
    return words.next_people(people, [_shown(role) for role in roles], times.at(at))


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
