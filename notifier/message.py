"""What one page says: a page and its incidents, turned into JSON, one line, a mail.

Owns the words, their order and their limits. It reads nothing and sends nothing: the notifier builds a `PageMessage`
from incidents, a channel asks for the rendering it can carry. Read `PageMessage`, then `page_body`, `one_line` and
`facts`; `English` at the end is the one place a translation replaces.

Titles, labels and names are written by strangers. Every piece of text passes through `clean`, is escaped by markupsafe
where it becomes HTML, and is only ever joined to ours: it is never read as a template or as a format string.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from markupsafe import Markup

from tocsin.policy.model import PageKind, State

ONE_LINE_CHARACTERS_MAX = 160
SUBJECT_CHARACTERS_MAX = 120
SERVICE_CHARACTERS_MAX = 40
"""In lines and subjects, so that a long service leaves room for the title."""
TITLE_CHARACTERS_MAX = 300
LABELS_SHOWN_MAX = 30
INCIDENTS_SHOWN_MAX = 50
"""In mails; the JSON names all."""
LABEL_CHARACTERS_MAX = 200
LATE_SHOWN_FROM_S = 5.0
"""Below this a page counts as on time for the reader; `late_by_s` in the JSON is always exact."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_JOINERS = "\u200c\u200d"  # written in Persian and in emoji, harmless without bidi marks


@dataclass(frozen=True, slots=True)
class IncidentView:
    """An incident as its reader sees it. `opened_at` in ms UTC."""

    id: str
    title: str
    severity: int
    service: str
    state: str
    opened_at: int
    firing: int
    resolved: int
    labels: Mapping[str, str]
    url: str
    runbook: str | None


@dataclass(frozen=True, slots=True)
class RungView:
    """The rung that asked for the page; `after` as the rules write it (`30m`)."""

    after: str
    role: str
    index: int


@dataclass(frozen=True, slots=True)
class PageMessage:
    """Everything one page can say to one person.

    `incident` is the gravest. `others` holds all incidents, the gravest included, when several fell due together, and
    is empty otherwise. `told` are the names of who else was told, `next_line` says who is next and when.
    `acknowledge_url` is a secret of its reader, and so is `token`, the last part of it, for a button's value.

    `numbers` are the incidents that an answer to it takes, the gravest first. `thread` is the receipt of the first page about this incident
    that this contact took, empty when this is the first; `edits` the receipt of the message that this one takes the place of (kind
    `update`). `holder` is the name of who has it, since `held_at` until `held_until` (ms UTC). `said` is the text of a notice that is not
    about alerts (a hand-over).
    """

    page_id: str
    kind: PageKind
    attempt: int
    incident: IncidentView
    others: tuple[IncidentView, ...]
    rung: RungView | None
    person: str
    person_name: str
    time_zone: str
    locale: str
    late_by_s: float
    told: tuple[str, ...]
    next_line: str | None
    acknowledge_url: str
    token: str = ""
    numbers: tuple[int, ...] = ()
    thread: str = ""
    edits: str = ""
    holder: str = ""
    held_at: int | None = None
    held_until: int | None = None
    said: str = ""


def page_body(message: PageMessage) -> dict[str, object]:
    """The JSON of CONTRACT.md, "A page as the webhook channel sends it"."""
    rung = message.rung
    body: dict[str, object] = {
        "version": 1,
        "page_id": message.page_id,
        "kind": message.kind.value,
        "attempt": message.attempt,
        "incident": _incident_body(message.incident),
    }
    if message.others:
        body["incidents"] = [_incident_body(incident) for incident in message.others]
    body |= {
        "rung": None if rung is None else {"after": rung.after, "role": rung.role, "index": rung.index},
        "person": message.person,
        "late_by_s": round(message.late_by_s, 3),
        "text": one_line(message),
        "acknowledge_url": message.acknowledge_url,
    }
    return body


def one_line(message: PageMessage) -> str:
    """At most 160 characters: severity, number, service and title, since when in the reader's zone, and how late.

    Only the service and the title are cut, never the number.
    """
    words, incident = words_for(message.locale), message.incident
    head = words.begins(message.kind, incident.state) + _number(incident) + " "
    tail = ", " + words.since(incident.state, words.short_time(incident.opened_at, message.time_zone))
    if len(message.others) > 1:
        tail += ", " + words.and_more(len(message.others) - 1)
    if _is_late(message):
        tail += ", " + words.late(message.late_by_s)
    what = _what(incident, room=ONE_LINE_CHARACTERS_MAX - len(head) - len(tail))
    return cut((head + what).rstrip() + tail, ONE_LINE_CHARACTERS_MAX)


def subject(message: PageMessage) -> str:
    """The subject of a mail: `[S1] payments: title (INC-42)`."""
    words, incident = words_for(message.locale), message.incident
    head = words.begins(message.kind, incident.state) + "[S" + str(incident.severity) + "] "
    tail = " (" + clean(incident.id) + ")"
    if len(message.others) > 1:
        tail += " " + words.and_more(len(message.others) - 1)
    what = _what(incident, room=SUBJECT_CHARACTERS_MAX - len(head) - len(tail))
    return (head + what).rstrip() + tail


def plain_text(message: PageMessage) -> str:
    """The text part of a mail; its first line is `one_line`, which is what a phone shows."""
    words = words_for(message.locale)
    lines = [one_line(message), ""]
    if message.acknowledge_url:
        lines += [words.acknowledge + ": " + clean(message.acknowledge_url), words.acknowledge_hint, ""]
    lines += [name + ": " + value for name, value in facts(message)]
    for title, rows in ((words.together, _together(message)), (words.labels, _labels(message))):
        if rows:
            lines += ["", title + ":", *("  " + name + ": " + value for name, value in rows)]
    lines += ["", words.page(clean(message.page_id), message.attempt)]
    return "\n".join(lines) + "\n"


def html(message: PageMessage) -> str:
    """The HTML part of a mail: the same facts in the same order, readable on a phone, nothing loaded from elsewhere."""
    words = words_for(message.locale)
    parts = [
        Markup('<!doctype html><html lang="%s"><head><meta charset="utf-8">') % words.lang,
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1"></head><body style="%s">') % _BODY,
        Markup('<p style="%s;border-color:%s">%s</p>') % (_LEAD, _COLOURS.get(message.incident.severity, _COLOURS[3]), one_line(message)),
    ]
    if _is_link(message.acknowledge_url):
        parts.append(
            Markup('<p><a style="%s" href="%s">%s</a></p><p style="color:#545c66">%s</p>')
            % (_BUTTON, message.acknowledge_url, words.acknowledge, words.acknowledge_hint)
        )
    parts.append(_table(facts(message)))
    for title, rows in ((words.together, _together(message)), (words.labels, _labels(message))):
        if rows:
            parts += [Markup("<h2 style='font-size:16px'>%s</h2>") % title, _table(rows)]
    parts.append(Markup('<p style="color:#545c66">%s</p>') % words.page(clean(message.page_id), message.attempt))
    return str(Markup("\n").join([*parts, Markup("</body></html>")])) + "\n"


def facts(message: PageMessage) -> tuple[tuple[str, str], ...]:
    """Name and value of all a reader needs, in the order of every channel: what, where, since when, who, what next."""
    words, incident, rung = words_for(message.locale), message.incident, message.rung
    rows = [
        (words.incident, words.severity(clean(incident.id), incident.severity, clean(incident.state))),
        (words.title, cut(clean(incident.title), TITLE_CHARACTERS_MAX)),
        (words.service, clean(incident.service)),
        (words.opened, words.long_time(incident.opened_at, message.time_zone)),
        (words.alerts, words.counts(incident.firing, incident.resolved)),
        (words.paged, words.person(clean(message.person_name or message.person), rung)),
    ]
    if _is_late(message):
        rows.append((words.lateness, words.late(message.late_by_s)))
    rows += [
        (name, clean(value) if _is_link(value) else cut(clean(value), TITLE_CHARACTERS_MAX))
        for name, value in (
            (words.also_told, ", ".join(message.told)),
            (words.next_step, message.next_line or ""),
            (words.runbook, incident.runbook or ""),
            (words.link, incident.url),
        )
        if value
    ]
    return tuple(rows)


def clean(text: str) -> str:
    """One line: no control, bidi or other invisible characters, no halves of surrogate pairs, single spaces."""
    return " ".join("".join(character for character in text if _is_shown(character)).split())


def cut(text: str, characters_max: int) -> str:
    """The text, or its beginning and an ellipsis; a letter keeps its accents and an emoji what it is joined to."""
    if len(text) <= characters_max:
        return text
    end = max(characters_max - 1, 0)
    while end > 0 and (unicodedata.category(text[end]).startswith("M") or "\u200d" in text[end - 1 : end + 1]):
        end -= 1
    return (text[:end].rstrip() + "…")[:characters_max]


def _is_shown(character: str) -> bool:
    """Whether it prints or parts words; line and paragraph separators count as white space, as str.split has it."""
    return character.isspace() or character in _JOINERS or unicodedata.category(character) not in {"Cc", "Cf", "Cs"}


def _incident_body(incident: IncidentView) -> dict[str, object]:
    return {
        "id": incident.id,
        "title": cut(clean(incident.title), TITLE_CHARACTERS_MAX),
        "severity": incident.severity,
        "service": clean(incident.service),
        "state": incident.state,
        "opened_at": _instant(incident.opened_at).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "alerts": {"firing": incident.firing, "resolved": incident.resolved},
        "labels": {clean(name): clean(value) for name, value in incident.labels.items()},
        "url": incident.url,
    }


def _number(incident: IncidentView) -> str:
    return "S" + str(incident.severity) + " " + clean(incident.id)


def _what(incident: IncidentView, *, room: int) -> str:
    service = cut(clean(incident.service), SERVICE_CHARACTERS_MAX)
    title = clean(incident.title)
    return cut(service + ": " + title if service and title else service or title, max(room, 0))


def _is_late(message: PageMessage) -> bool:
    return message.late_by_s >= LATE_SHOWN_FROM_S


def _together(message: PageMessage) -> tuple[tuple[str, str], ...]:
    words = words_for(message.locale)
    rows = [
        (
            _number(incident),
            _what(incident, room=TITLE_CHARACTERS_MAX)
            + ", "
            + words.since(incident.state, words.short_time(incident.opened_at, message.time_zone))
            + (" " + clean(incident.url) if incident.url else ""),
        )
        for incident in message.others[:INCIDENTS_SHOWN_MAX]
    ]
    if len(message.others) > INCIDENTS_SHOWN_MAX:
        rows.append(("…", words.and_more(len(message.others) - INCIDENTS_SHOWN_MAX)))
    return tuple(rows)


def _labels(message: PageMessage) -> tuple[tuple[str, str], ...]:
    labels = sorted(message.incident.labels.items())
    rows = [(cut(clean(name), LABEL_CHARACTERS_MAX), cut(clean(value), LABEL_CHARACTERS_MAX)) for name, value in labels[:LABELS_SHOWN_MAX]]
    if len(labels) > LABELS_SHOWN_MAX:
        rows.append(("…", words_for(message.locale).and_more(len(labels) - LABELS_SHOWN_MAX)))
    return tuple(rows)


def _is_link(text: str) -> bool:
    return text.startswith(("https://", "http://")) and text == clean(text)


def _table(rows: Sequence[tuple[str, str]]) -> Markup:
    cells = (
        Markup('<tr><th style="%s">%s</th><td style="%s">%s</td></tr>')
        % (_CELL, name, _CELL, Markup('<a href="%s">%s</a>') % (value, value) if _is_link(value) else value)
        for name, value in rows
    )
    return Markup('<table style="border-collapse:collapse">%s</table>') % Markup("\n").join(cells)


_BODY = "margin:16px;font:16px/1.5 system-ui,sans-serif;color:#15191e;background:#fff;overflow-wrap:anywhere"
_LEAD = "margin:0 0 16px;padding:8px 12px;border-left:6px solid;font-weight:600"
_BUTTON = "display:inline-block;padding:12px 24px;border-radius:6px;background:#0b57d0;color:#fff;text-decoration:none"
_CELL = "padding:2px 12px 2px 0;text-align:left;vertical-align:top;font-weight:400"
_COLOURS = {1: "#b3261e", 2: "#8a4300", 3: "#0a569f"}


def _instant(at: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=at)


def _local(at: int, time_zone: str) -> tuple[datetime, str]:
    """The instant on the reader's wall clock and the zone's short name; UTC for an unknown zone: a page must go out."""
    zone: tzinfo
    try:
        zone = ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError):
        zone = UTC
    local = _instant(at).astimezone(zone)
    name = local.tzname() or "UTC"
    return local, "UTC" + name if name[0] in "+-" else name  # many zones have only an offset for a name


class English:
    """The words of a page in English. A translation is a class with the same names, added to `words_for`."""

    lang = "en"
    incident, title, service, opened, alerts, paged = "Incident", "Title", "Service", "Since", "Alerts", "Paged"
    lateness, also_told, next_step, runbook, link = "Late", "Also told", "Next", "Runbook", "Open"
    together, labels, acknowledge = "Fell due together", "Labels", "Acknowledge"
    acknowledge_hint = "The link only shows the incident; the button there acknowledges it."
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

    def begins(self, kind: PageKind, state: str) -> str:
        """What the line begins with, by the kind of the page."""
        if kind is PageKind.REMINDER and state == State.ACKNOWLEDGED:
            return "Still on it? "
        return {
            PageKind.PAGE: "",
            PageKind.REMINDER: "Still: ",
            PageKind.REOPENED: "Reopened: ",
            PageKind.RESOLVED: "Resolved: ",
            PageKind.TEST: "Test: ",
            PageKind.EMERGENCY: "EMERGENCY: ",
        }[kind]

    def since(self, state: str, time: str) -> str:
        """Since when it has been so; what is over was opened then."""
        return ("opened " if state in {State.RESOLVED, State.CLOSED} else "since ") + time

    def short_time(self, at: int, time_zone: str) -> str:
        """`23 Nov 02:54 KST`; with the day, for a late page may be read on the next."""
        local, zone = _local(at, time_zone)
        return f"{local.day} {self.months[local.month - 1]} {local:%H:%M} {zone}"

    def long_time(self, at: int, time_zone: str) -> str:
        """`Mon 23 Nov 2026 02:54:07 KST (Asia/Seoul)`: short zone names alone are ambiguous (CST)."""
        local, zone = _local(at, time_zone)
        day = f"{self.days[local.weekday()]} {local.day} {self.months[local.month - 1]} {local.year}"
        place = f" ({local.tzinfo})" if str(local.tzinfo) != zone else ""
        return f"{day} {local:%H:%M:%S} {zone}{place}"

    def late(self, late_by_s: float) -> str:
        """`12 min late`, in at most two units."""
        minutes, seconds = divmod(int(late_by_s), 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        units = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
        first = next(index for index, (count, _) in enumerate(units) if count or index == len(units) - 1)
        shown = [f"{count} {unit}" for count, unit in units[first : first + 2] if count]
        return " ".join(shown if first < 2 else shown[:1]) + " late"  # from an hour on, two units

    def and_more(self, count: int) -> str:
        """How many are not named."""
        return f"and {count} more"

    def severity(self, number: str, severity: int, state: str) -> str:
        """The incident in one row."""
        return number + ", severity " + str(severity) + (", " + state if state else "")

    def counts(self, firing: int, resolved: int) -> str:
        """How many alerts hold and how many are over."""
        return f"{firing} firing, {resolved} resolved"

    def person(self, name: str, rung: RungView | None) -> str:
        """Who is paged, and as what."""
        if rung is None:
            return name
        after = "at once" if rung.after in {"", "0s"} else "after " + clean(rung.after)
        return name + " as " + clean(rung.role) + ", rung " + str(rung.index + 1) + " of the ladder (" + after + ")"

    def page(self, page_id: str, attempt: int) -> str:
        """The page's own name, the same on every copy, so that copies are known for what they are."""
        return "Page " + page_id + (", attempt " + str(attempt) + " of the same page" if attempt > 1 else "")


_ENGLISH = English()


def words_for(locale: str) -> English:
    """The words for a reader's locale: English, until there is a second language."""
    return _ENGLISH
