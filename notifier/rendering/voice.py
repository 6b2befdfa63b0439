"""What a call says: what is broken in at most 12 seconds of slow speech, then the keys.

The incident's number is said digit by digit, abbreviations letter by letter; marks that a voice would stumble over become pauses. Keys 4
(take), 5 (pass on, where there is a next) and * (repeat) come first; 6 (resolve) is offered after 4, with `resolve_keys`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from notifier.message import PageMessage, is_answerable, is_drill, is_notice, said_lines, what
from notifier.words import Words, words_for
from tocsin.policy.model import State
from tocsin.runtime.text import clean

FIRST_KEY_S: Final = 12.0
"""Until the first key has been named (reference: on-call people hang up after that)."""

LENGTH_SAID_FROM_S: Final = 60

_SYLLABLE_S: Final = {"hangul": 0.23, "han": 0.27, "digit": 0.38, "latin": 0.085, "other": 0.2, "pause": 0.35, "percent": 0.6}
"""Slow speech: Korean 4.3 syllables a second, Chinese 3.7, English 140 words a minute. A letter of an abbreviation takes 0.3 s."""
_LETTER_S: Final = 0.3
_DIGITS_TOGETHER_MAX: Final = 2
_ABBREVIATIONS: Final = frozenset(
    {"api", "cdn", "cpu", "crm", "csv", "db", "dns", "erp", "etl", "ftp", "gpu", "grpc", "http", "https", "iam", "id", "imap", "io", "iot"}
    | {"ip", "jvm", "k8s", "kms", "lb", "ldap", "mq", "nfs", "oom", "os", "pdf", "rds", "rpc", "s3", "sdk", "sla", "slo", "sms", "smtp"}
    | {"sql", "ssd", "ssh", "ssl", "sso", "tcp", "tls", "ttl", "udp", "ui", "uri", "url", "usb", "vm", "vpc", "vpn", "waf", "xml"}
)
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD: Final = re.compile(r"[A-Za-z]+[0-9]?[A-Za-z]*")


@dataclass(frozen=True, slots=True)
class VoiceScript:
    """`say` what is broken, then `keys`; `language` for the provider's voice (`ko-KR`).

    `said_s` is the estimate of the time until the first key has been named. `resolve_keys` is what may be offered once it is taken. `keys`
    without a 4 means that there is nothing to take.
    """

    language: str
    say: str
    keys: str
    said_s: float
    resolve_keys: str


def voice_script(message: PageMessage) -> VoiceScript:
    """The script of a call."""
    words = words_for(message.locale)
    takes = is_answerable(message)
    count = max(len(message.numbers), len(message.others), 1)
    first = words.say_take(count) if takes else ""
    passes = [words.say_next] if takes and message.next_rung is not None else []
    keys = words.say_keys([first, *passes, words.say_repeat] if takes else [words.say_repeat])
    rest_s = FIRST_KEY_S - speech_s(words.say_keys([first] if takes else [words.say_repeat]))
    say = _notice(message, words, rest_s) if is_notice(message) else _say(message, words, rest_s)
    return VoiceScript(words.voice, say, keys, round(FIRST_KEY_S - rest_s + speech_s(say), 1), words.say_resolve if takes else "")


def speech_s(text: str) -> float:
    """How long a slow voice takes to say a text, in seconds; rather too long than too short."""
    alone = {match.start() for match in re.finditer(r"(?<![A-Za-z])[A-Za-z](?![A-Za-z])", text)}
    return sum(_LETTER_S if index in alone else _character_s(character) for index, character in enumerate(text))


def spoken(text: str) -> str:
    """Foreign text as a voice should say it: words, digits, and pauses, nothing else."""
    parted = "".join(character if _is_said(character) else " " for character in clean(text))
    parted = _CAMEL.sub(" ", parted)
    parted = _WORD.sub(lambda found: _letters(found[0]), parted)
    parted = re.sub(rf"\d{{{_DIGITS_TOGETHER_MAX + 1},}}", lambda found: " ".join(found[0]), parted)
    return " ".join(re.sub(r"(?<!\d)[.,](?!\d)|[.,](?=\D|$)", " ", parted).split())


def _say(message: PageMessage, words: Words, limit_s: float) -> str:
    incident = message.incident
    digits = " ".join(character for character in clean(incident.id) if character.isdecimal())
    before = [
        words.say_drill if is_drill(message) else "",
        words.say_begins(message.kind.value, incident.state),
        words.say_several(len(message.others)) if len(message.others) > 1 else "",
        words.say_severity(incident.severity),
        words.say_number(digits),
    ]
    length_s = 0 if message.written_at is None else (message.written_at - incident.opened_at) // 1000
    is_open = incident.state in {State.OPEN, State.ACKNOWLEDGED}
    after = words.say_length(length_s) if is_open and length_s >= LENGTH_SAID_FROM_S else ""
    head = " ".join(part for part in before if part)
    service, _, title = what(message, incident).partition(": ")
    shown = ", ".join(part for part in (spoken(service), spoken(title)) if part)
    room_s = limit_s - speech_s(f"{head} . {after}")
    if room_s < 3.0 and after:
        after, room_s = "", limit_s - speech_s(head + " . ")
    shown = _within(shown, room_s)
    return " ".join(part for part in (head, shown + "." if shown else "", after) if part)


def _notice(message: PageMessage, words: Words, limit_s: float) -> str:
    head = words.say_begins(message.kind.value, message.incident.state)
    said = spoken(" ".join(said_lines(message)) or message.incident.title)
    shown = _within(said, limit_s - speech_s(head + " . "))
    return " ".join(part for part in (head, shown + "." if shown else "") if part)


def _within(text: str, limit_s: float) -> str:
    """The beginning of a text that can be said in so long; whole words where there are spaces."""
    if speech_s(text) <= limit_s:
        return text
    end, used_s = 0, 0.0
    for end, character in enumerate(text):
        used_s += _LETTER_S if _is_latin(character) and not _is_latin(text[end + 1 : end + 2]) else _character_s(character)
        if used_s > limit_s:
            break
    shown = text[:end]
    return (shown.rpartition(" ")[0] if text[end : end + 1] != " " and " " in shown else shown).rstrip(" ,.")


def _letters(word: str) -> str:
    lower = word.lower()
    is_short = word.isupper() and 1 < len(word) <= 4 and not set(lower) & set("aeiouy")
    return " ".join(word.upper()) if lower in _ABBREVIATIONS or is_short else word


def _is_said(character: str) -> bool:
    return character in ".,% " or unicodedata.category(character) in {"Lu", "Ll", "Lo", "Lm", "Lt", "Nd", "Mn", "Mc"}


def _is_latin(text: str) -> bool:
    return text.isascii() and text.isalpha()


def _character_s(character: str) -> float:
    if character in ".,!?。，、！？：:;；":
        return _SYLLABLE_S["pause"]
    if character.isspace():
        return 0.0
    if character.isdecimal():
        return _SYLLABLE_S["digit"]
    if character == "%":
        return _SYLLABLE_S["percent"]
    if "\uac00" <= character <= "\ud7a3":
        return _SYLLABLE_S["hangul"]
    if _is_latin(character):
        return _SYLLABLE_S["latin"]
    return _SYLLABLE_S["han"] if unicodedata.east_asian_width(character) in {"W", "F"} else _SYLLABLE_S["other"]
