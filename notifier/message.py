"""What one page says: a page and its incidents, turned into JSON, one line, a mail.

Owns the words, their order and their limits. It reads nothing and sends nothing: the notifier builds a `PageMessage`
from incidents, a channel asks for the rendering it can carry. Read `PageMessage`, then `page_body`, `one_line` and
`facts`. The frame's words are in `notifier/words/`, one class per language; chat, text messages and speech are in
`notifier/rendering/`.

Titles, labels and names are written by strangers. Every piece of text passes through `clean`, is escaped by markupsafe
where it becomes HTML, and is only ever joined to ours: it is never read as a template or as a format string.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from markupsafe import Markup

from notifier.words import words_for
from notifier.words.instants import EPOCH, is_same_day
from tocsin.policy.durations import DurationError, parse_duration_ms
from tocsin.policy.incident import DRILL_TITLE
from tocsin.policy.model import PageKind, State
from tocsin.runtime.text import clean, cut

ONE_LINE_CHARACTERS_MAX = 160
SUBJECT_CHARACTERS_MAX = 120
SERVICE_CHARACTERS_MAX = 40
"""In lines and subjects, so that a long service leaves room for the title."""
TITLE_CHARACTERS_MAX = 300
LABELS_SHOWN_MAX = 30
INCIDENTS_SHOWN_MAX = 50
"""In mails; the JSON names all."""
LABEL_CHARACTERS_MAX = 200
SAID_LINES_MAX = 50
SAID_CHARACTERS_MAX = 500
"""In each line."""
NAME_CHARACTERS_MAX = 80
"""Of a person, a role."""
LATE_SHOWN_FROM_S = 5.0
"""Below this a page counts as on time for the reader; `late_by_s` in the JSON is always exact."""

_NOTICES = frozenset({"handover", "notice"})


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
class NextRung:
    """Who hears of it when nobody answers: keys of roles, names of those who hold them, and when (ms UTC)."""

    roles: tuple[str, ...]
    people: tuple[str, ...]
    due_at: int


@dataclass(frozen=True, slots=True)
class PageMessage:
    """Everything one page can say to one person.

    `incident` is the gravest. `others` holds all incidents, the gravest included, when several fell due together, and
    is empty otherwise. `told` are the names of who else was told, `next_rung` says who is next and when.
    `acknowledge_url` is a secret of its reader, and so is `token`, the last part of it, for a button's value.

    `pages` are the ids of all pages in it; `numbers` the incidents that an answer to it takes, the gravest first. `thread` is the receipt
    of the first page about this incident that this contact took, empty when this is the first; `edits` the receipt of the message that
    this one takes the place of (kind `update`). `holder` is the name of who has it, since `held_at` until `held_until` (ms UTC);
    `ended_by` the name of who resolved it at `ended_at`, empty when nobody is known. `said` is the text of a notice that is not about
    alerts (a hand-over). `written_at` is now.
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
    next_rung: NextRung | None
    acknowledge_url: str
    token: str = ""
    pages: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    thread: str = ""
    edits: str = ""
    holder: str = ""
    held_at: int | None = None
    held_until: int | None = None
    said: str = ""
    ended_at: int | None = None
    ended_by: str = ""
    written_at: int | None = None


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
        "rung": None if rung is None else {"after": rung.after, "role": clean(rung.role), "index": rung.index},
        "person": message.person,
        "late_by_s": round(message.late_by_s, 3),
        "text": one_line(message),
        "acknowledge_url": message.acknowledge_url,
    }
    return body


def one_line(message: PageMessage, characters_max: int = ONE_LINE_CHARACTERS_MAX) -> str:
    """One line: severity, number, service and title, since when in the reader's zone, and how late.

    Only the service and the title are cut, never the number.
    """
    words, incident = words_for(message.locale), message.incident
    if is_notice(message):
        return cut((begins(message) + _told_line(message)).strip(), characters_max)
    tail = words.comma + words.since(incident.state, words.short_time(incident.opened_at, message.time_zone))
    if len(message.others) > 1:
        tail += words.comma + words.and_more(len(message.others) - 1)
    if is_late(message):
        tail += words.comma + words.late(message.late_by_s)
    return _line(message, words.mark(incident.severity) + clean(incident.id) + " ", tail, characters_max)


def headline(message: PageMessage, characters_max: int) -> str:
    """The line without times, for what is shown above them."""
    words, incident = words_for(message.locale), message.incident
    if is_notice(message):
        return cut((begins(message) + clean(incident.title)).strip(), characters_max)
    tail = words.comma + words.and_more(len(message.others) - 1) if len(message.others) > 1 else ""
    return _line(message, words.mark(incident.severity) + clean(incident.id) + " ", tail, characters_max)


def subject(message: PageMessage) -> str:
    """The subject of a mail: `[S1] payments: title (INC-42)`."""
    words, incident = words_for(message.locale), message.incident
    if is_notice(message):
        return cut((begins(message) + clean(incident.title)).strip(), SUBJECT_CHARACTERS_MAX)
    tail = " (" + clean(incident.id) + ")"
    if len(message.others) > 1:
        tail += " " + words.and_more(len(message.others) - 1)
    return _line(message, words.subject_mark(incident.severity), tail, SUBJECT_CHARACTERS_MAX)


def plain_text(message: PageMessage, *, can_reply: bool = False) -> str:
    """The text part of a mail; its first line is `one_line`, which is what a phone shows. `can_reply`: somebody reads what comes back."""
    words = words_for(message.locale)
    lead = _lead(message)
    lines = [lead, ""]
    if said := said_below(message, lead):
        lines += [*said, ""]
    if message.acknowledge_url and is_answerable(message):
        lines += [words.acknowledge + ": " + clean(message.acknowledge_url), *_hints(message, can_reply=can_reply), ""]
    if not is_notice(message):
        lines += [name + ": " + value for name, value in facts(message)]
        for title, rows in ((words.together, _together(message)), (words.labels, _labels(message))):
            if rows:
                lines += ["", title + ":", *("  " + name + ": " + value for name, value in rows)]
        lines.append("")
    lines.append(words.page(clean(message.page_id), message.attempt))
    return "\n".join(lines) + "\n"


def html(message: PageMessage, *, can_reply: bool = False) -> str:
    """The HTML part of a mail: the same facts in the same order, readable on a phone, nothing loaded from elsewhere."""
    words = words_for(message.locale)
    colour = _PLAIN_COLOUR if is_notice(message) else _COLOURS.get(message.incident.severity, _PLAIN_COLOUR)
    lead = _lead(message)
    parts = [
        Markup('<!doctype html><html lang="%s"><head><meta charset="utf-8">') % words.lang,
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1"></head><body style="%s%s">')
        % (_BODY, ";word-break:keep-all" if words.lang == "ko" else ""),  # else Korean breaks within words
        Markup('<p style="%s;border-color:%s">%s</p>') % (_LEAD, colour, lead),
    ]
    parts += [Markup("<p>%s</p>") % line for line in said_below(message, lead) if line]
    if is_answerable(message) and is_link(message.acknowledge_url):
        parts.append(Markup('<p><a style="%s" href="%s">%s</a></p>') % (_BUTTON, message.acknowledge_url, words.acknowledge))
        parts.append(Markup('<p style="%s">%s</p>') % (_GREY, " ".join(_hints(message, can_reply=can_reply))))
    if not is_notice(message):
        parts.append(_table(facts(message)))
        for title, rows in ((words.together, _together(message)), (words.labels, _labels(message))):
            if rows:
                parts.append(Markup('<h2 style="font-size:16px">%s</h2>') % title)
                parts += [Markup('<p style="%s"><span style="%s">%s:</span> %s</p>') % (_ROW, _GREY, name, value) for name, value in rows]
    parts.append(Markup('<p style="%s">%s</p>') % (_GREY, words.page(clean(message.page_id), message.attempt)))
    return str(Markup("\n").join([*parts, Markup("</body></html>")])) + "\n"


def facts(message: PageMessage) -> tuple[tuple[str, str], ...]:
    """Name and value of all a reader needs, in the order of every channel: what, where, since when, who, what next."""
    words, incident = words_for(message.locale), message.incident
    rows = [
        (words.incident, words.severity(clean(incident.id), incident.severity, clean(incident.state))),
        (words.title, cut(clean(incident.title), TITLE_CHARACTERS_MAX)),
        (words.service, cut(clean(incident.service), TITLE_CHARACTERS_MAX)),
        (words.opened, words.long_time(incident.opened_at, message.time_zone)),
        (words.alerts, words.counts(incident.firing, incident.resolved)),
        (words.paged, paged(message)),
    ]
    rows += [
        (name, clean(value) if is_link(value) else cut(clean(value), TITLE_CHARACTERS_MAX))
        for name, value in (
            (words.status, state_line(message)),
            (words.lateness, words.late(message.late_by_s) if is_late(message) else ""),
            (words.also_told, ", ".join(message.told)),
            (words.next_step, next_line(message)),
            (words.runbook, incident.runbook or ""),
            (words.link, incident.url),
        )
        if value
    ]
    return tuple(rows)


def begins(message: PageMessage) -> str:
    """What every line of this page begins with: that it is a drill, a reminder, a test ..."""
    words = words_for(message.locale)
    return (words.drill if is_drill(message) else "") + words.begins(message.kind.value, message.incident.state)


def what(message: PageMessage, incident: IncidentView) -> str:
    """Service and title, the service cut to leave room for the title; `DRILL` is said before the line, not twice."""
    service = cut(clean(incident.service), SERVICE_CHARACTERS_MAX)
    title = clean(incident.title)
    if is_drill(message):
        title = title.removeprefix(DRILL_TITLE)
    return service + ": " + title if service and title else service or title


def paged(message: PageMessage) -> str:
    """Who is paged, and as what."""
    words, rung = words_for(message.locale), message.rung
    name = _name(message.person_name or message.person)
    if rung is None:
        return words.person(name, "", None, 0)
    try:
        after_ms = parse_duration_ms(rung.after) if rung.after else 0
    except DurationError:
        after_ms = 0
    return words.person(name, _name(rung.role), rung.index, after_ms // 1000)


def next_line(message: PageMessage) -> str:
    """Who hears of it next and when, in the reader's zone; empty when nobody does."""
    rung = message.next_rung
    if rung is None:
        return ""
    roles, people = [_name(role) for role in rung.roles], [_name(name) for name in rung.people]
    return words_for(message.locale).next(roles, people, moment(message, rung.due_at))


def state_line(message: PageMessage) -> str:
    """Who has it, or that it is over; empty while nobody has it."""
    words = words_for(message.locale)
    if message.incident.state in {State.RESOLVED, State.CLOSED}:
        return words.ended(_name(message.ended_by), moment(message, message.ended_at))
    if message.incident.state != State.ACKNOWLEDGED or not message.holder:
        return ""
    return words.taken(_name(message.holder), moment(message, message.held_at), moment(message, message.held_until))


def moment(message: PageMessage, at: int | None) -> str:
    """An instant (ms UTC) for the reader, with the day when that is not the day of writing; empty for None."""
    words = words_for(message.locale)
    if at is None:
        return ""
    is_near = message.written_at is None or is_same_day(at, message.written_at, message.time_zone)
    return words.clock(at, message.time_zone) if is_near else words.short_time(at, message.time_zone)


def said_lines(message: PageMessage) -> list[str]:
    """The text of a notice, line by line."""
    return [cut(clean(line), SAID_CHARACTERS_MAX) for line in message.said.splitlines()[:SAID_LINES_MAX]]


def said_below(message: PageMessage, above: str) -> list[str]:
    """The text of a notice as it stands below a line; the title that it begins with is left out when that line says the whole of it."""
    lines, title = said_lines(message), clean(message.incident.title)
    if not lines or not title or not above.endswith(title) or not (lines[0] + " ").startswith(title + " "):
        return lines
    rest = lines[0].removeprefix(title).lstrip()
    return [rest, *lines[1:]] if rest else lines[1:]


def is_drill(message: PageMessage) -> bool:
    """Whether it is only an exercise: every title says so."""
    return all(incident.title.startswith(DRILL_TITLE) for incident in message.others or (message.incident,))


def is_notice(message: PageMessage) -> bool:
    """Whether it is not about alerts: there is nothing to take."""
    return message.kind.value in _NOTICES


def is_answerable(message: PageMessage) -> bool:
    """Whether there is something to take or to resolve, and something to do it with."""
    live = any(incident.state in {State.OPEN, State.ACKNOWLEDGED} for incident in message.others or (message.incident,))
    can = bool(message.acknowledge_url or message.token or message.numbers)
    return live and can and message.kind is not PageKind.EMERGENCY and not is_notice(message)


def is_late(message: PageMessage) -> bool:
    """Whether its reader must know that it should have come earlier."""
    return message.late_by_s >= LATE_SHOWN_FROM_S


def is_link(text: str) -> bool:
    """Whether it may stand where links are followed."""
    return text.startswith(("https://", "http://")) and text == clean(text) and " " not in text


def _line(message: PageMessage, number: str, tail: str, characters_max: int) -> str:
    head = begins(message) + number
    shown = cut(what(message, message.incident), max(characters_max - len(head) - len(tail), 0))
    return cut((head + shown).rstrip() + tail, characters_max)


def _name(text: str) -> str:
    return cut(clean(text), NAME_CHARACTERS_MAX)


def _lead(message: PageMessage) -> str:
    """What a mail begins with; the text of a notice follows it, and is not said twice."""
    return subject(message) if is_notice(message) and message.said else one_line(message)


def _told_line(message: PageMessage) -> str:
    title, said = clean(message.incident.title), clean(" ".join(said_lines(message)))
    return title if not said else said if said.startswith(title) else title + ": " + said


def _hints(message: PageMessage, *, can_reply: bool) -> list[str]:
    words = words_for(message.locale)
    return [words.acknowledge_hint(_name(message.person_name or message.person)), *([words.reply_hint()] if can_reply else [])]


def _incident_body(incident: IncidentView) -> dict[str, object]:
    return {
        "id": incident.id,
        "title": cut(clean(incident.title), TITLE_CHARACTERS_MAX),
        "severity": incident.severity,
        "service": clean(incident.service),
        "state": incident.state,
        "opened_at": (EPOCH + timedelta(milliseconds=incident.opened_at)).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "alerts": {"firing": incident.firing, "resolved": incident.resolved},
        "labels": {clean(name): clean(value) for name, value in incident.labels.items()},
        "url": incident.url,
    }


def _together(message: PageMessage) -> tuple[tuple[str, str], ...]:
    words = words_for(message.locale)
    rows = [
        (
            words.mark(incident.severity) + clean(incident.id),
            cut(what(message, incident), TITLE_CHARACTERS_MAX)
            + words.comma
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


def _table(rows: Sequence[tuple[str, str]]) -> Markup:
    """Our own names are short and stay whole; values break where they must."""
    cells = (
        Markup('<tr><th style="%s;white-space:nowrap;%s">%s</th><td style="%s">%s</td></tr>')
        % (_CELL, _GREY, name, _CELL, Markup('<a href="%s">%s</a>') % (value, value) if is_link(value) else value)
        for name, value in rows
    )
    return Markup('<table style="border-collapse:collapse">%s</table>') % Markup("\n").join(cells)


_BODY = "margin:16px;font:16px/1.5 system-ui,sans-serif;color:#15191e;background:#fff;overflow-wrap:anywhere"
_LEAD = "margin:0 0 16px;padding:8px 12px;border-left:6px solid;font-weight:600"
_BUTTON = "display:inline-block;padding:12px 24px;border-radius:6px;background:#0b57d0;color:#fff;text-decoration:none"
_CELL = "padding:2px 12px 2px 0;text-align:left;vertical-align:top;font-weight:400"
_PLAIN_COLOUR = "#0a569f"
_ROW = "margin:0 0 6px"
_GREY = "color:#545c66"
_COLOURS = {1: "#b3261e", 2: "#8a4300", 3: _PLAIN_COLOUR}
