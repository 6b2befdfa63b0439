"""A page as a card: what Slack, Telegram, Teams, ntfy and the robots show, each in its own form.

Everything is plain text without line breaks; the channel escapes it and puts it where it belongs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from notifier.message import (
    PageMessage,
    facts,
    headline,
    is_answerable,
    is_late,
    is_link,
    is_notice,
    next_line,
    one_line,
    said_below,
    state_line,
    what,
)
from notifier.words import Words, words_for
from tocsin.policy.model import PageKind, State
from tocsin.runtime.text import clean, cut

HEADLINE_CHARACTERS_MAX: Final = 120
BANNER_CHARACTERS_MAX: Final = 150
LINES_CHARACTERS_MAX: Final = 600
LINE_CHARACTERS_MAX: Final = 120

_CALLS_ALL: Final = re.compile(r"@(?=channel|here|everyone|all|所有人)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Card:
    """What a card shows.

    `headline` what is broken; `banner` all of it in one line, for the phone's lock screen; `lines` (together at most 600 characters) since
    when, what fell due with it, who else was told, who is next, how late; `facts` name and value of everything. `state_line` is empty while
    nobody has it. `take`, `resolve` and `open` are the words on the buttons, empty where there is nothing to press. `open_url` is the
    answer page of this reader, a secret of theirs: where others can see the card, use `message.incident.url`.
    """

    headline: str
    banner: str
    lines: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    state_line: str
    take: str
    resolve: str
    open: str
    open_url: str


def card(message: PageMessage) -> Card:
    """The card of a page, or of the message that takes its place (kind `update`)."""
    words = words_for(message.locale)
    links = (message.acknowledge_url, message.incident.url)
    url = next((link for link in links if is_link(link)), "")
    return Card(
        headline=_calm(headline(message, HEADLINE_CHARACTERS_MAX)),
        banner=_calm(one_line(message, BANNER_CHARACTERS_MAX)),
        lines=_said(message) if is_notice(message) else _lines(message, words),
        facts=() if is_notice(message) else tuple((_calm(name), _calm(value)) for name, value in facts(message)),
        state_line="" if is_notice(message) else _calm(cut(state_line(message), LINE_CHARACTERS_MAX)),
        take=_take(message, words),
        resolve=_resolve(message, words),
        open=words.open if url else "",
        open_url=url,
    )


def _take(message: PageMessage, words: Words) -> str:
    """What is open can be taken; who holds it is asked whether they still do."""
    if not is_answerable(message):
        return ""
    if State.OPEN not in _states(message):
        return words.keep if message.kind is PageKind.REMINDER else ""
    return words.take_all(len(message.numbers)) if len(message.numbers) > 1 else words.take


def _resolve(message: PageMessage, words: Words) -> str:
    """What somebody holds can be resolved."""
    states = _states(message)
    return words.resolve if is_answerable(message) and State.ACKNOWLEDGED in states and State.OPEN not in states else ""


def _states(message: PageMessage) -> set[str]:
    return {incident.state for incident in message.others or (message.incident,)}


def _lines(message: PageMessage, words: Words) -> tuple[str, ...]:
    incident = message.incident
    length_s = 0 if message.written_at is None else (message.written_at - incident.opened_at) // 1000
    time = words.short_time(incident.opened_at, message.time_zone)
    if message.written_at is None:
        first = words.since(incident.state, time)
    else:
        first = words.standing(incident.state, length_s, time)
    rest = [
        words.also_told + ": " + ", ".join(clean(name) for name in message.told) if message.told else "",
        words.next_step + ": " + next_line(message) if message.next_rung else "",
        words.late(message.late_by_s) if is_late(message) else "",
    ]
    ours = [_calm(cut(line, LINE_CHARACTERS_MAX)) for line in (first, *rest) if line]
    room = LINES_CHARACTERS_MAX - sum(len(line) + 1 for line in ours)
    return (ours[0], *_others(message, words, room), *ours[1:])


def _others(message: PageMessage, words: Words, room: int) -> list[str]:
    """What fell due with it, as many as there is room for."""
    shown: list[str] = []
    others = message.others[1:]
    for index, incident in enumerate(others):
        line = _calm(cut(words.mark(incident.severity) + clean(incident.id) + " " + what(message, incident), LINE_CHARACTERS_MAX))
        more = words.and_more(len(others) - index)
        if room < len(line) + 1 + (len(more) + 1 if index + 1 < len(others) else 0):
            return [*shown, more]
        shown.append(line)
        room -= len(line) + 1
    return shown


def _said(message: PageMessage) -> tuple[str, ...]:
    shown: list[str] = []
    room = LINES_CHARACTERS_MAX
    for line in said_below(message, headline(message, HEADLINE_CHARACTERS_MAX)):
        if room <= 0:
            break
        if line:
            shown.append(_calm(cut(line, room)))
            room -= len(shown[-1]) + 1
    return tuple(shown)


def _calm(text: str) -> str:
    """No word that calls a whole channel: its @ becomes the wide one, which means nothing to any of them."""
    return _CALLS_ALL.sub("＠", text)
