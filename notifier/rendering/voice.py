"""What a call says: what is broken in at most 12 seconds of slow speech, then the keys.

The incident's number is said digit by digit, abbreviations letter by letter; marks that a voice would stumble over become pauses. Keys 4
(take), 5 (pass on, where there is a next) and * (repeat) come first; 6 (resolve) is offered after 4, with `resolve_keys`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from notifier.message import PageMessage, is_answerable, is_drill, is_notice, said_lines, what
from notifier.words import Words, words_for
from tocsin.policy.model import State
from tocsin.runtime.text import clean

FIRST_KEY_S: Final = 12.0
"""Until the first key has been named (reference: on-call people hang up after that)."""

LENGTH_SAID_FROM_S: Final = 60
WHAT_S_MIN: Final = 3.0
"""For service and title, before the number is left out."""
TEXT_CHARACTERS_MAX: Final = 300

_SYLLABLE_S: Final = {"hangul": 0.2, "han": 0.24, "digit": 0.33, "latin": 0.075, "other": 0.2, "pause": 0.3, "percent": 0.6}
"""Slow speech: Korean 5 syllables a second, Chinese 4, English 150 words a minute; a digit that is said alone, a pause at a stop."""
_LETTER_S: Final = 0.28
_DIGITS_TOGETHER_MAX: Final = 2
_HELD: Final = "\u00a0"  # a space at which nothing is cut
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
    if is_answerable(message):
        first = words.say_take(max(len(message.numbers), len(message.others), 1))
        offered = [first, *([words.say_next] if message.next_rung is not None else []), words.say_repeat]
    else:
        first, offered = words.say_repeat, [words.say_repeat]
    keys = words.say_keys(offered)
    first_s = speech_s(keys[: keys.index(first) + len(first)])
    limit_s = FIRST_KEY_S - first_s
    say = _notice(message, words, limit_s) if is_notice(message) else _say(message, words, limit_s)
    return VoiceScript(words.voice, say, keys, round(speech_s(say) + first_s, 1), words.say_resolve if is_answerable(message) else "")


def speech_s(text: str) -> float:
    """How long a slow voice takes to say a text, in seconds; rather too long than too short."""
    alone = {match.start() for match in re.finditer(r"(?<![A-Za-z])[A-Za-z](?![A-Za-z])", text)}
    return sum(_LETTER_S if index in alone else _character_s(character) for index, character in enumerate(text))


def spoken(text: str) -> str:
    """Foreign text as a voice should say it: words, digits, and pauses, nothing else."""
    return _together(text).replace(_HELD, " ")


def _together(text: str) -> str:
    """As `spoken`; what must not be parted (the letters of an abbreviation) is held together."""
    parted = "".join(character if _is_said(character) else " " for character in clean(text)[:TEXT_CHARACTERS_MAX])
    parted = _WORD.sub(lambda found: f" {_letters(found[0])} ", _CAMEL.sub(" ", parted))
    parted = re.sub(rf"\d{{{_DIGITS_TOGETHER_MAX + 1},}}", lambda found: _HELD.join(found[0]), parted)
    return re.sub(" +", " ", re.sub(r"(?<!\d)[.,:]|[.,:](?!\d)", " ", parted)).strip()


def _say(message: PageMessage, words: Words, limit_s: float) -> str:
    """Severity, number, what, how long; how long it has been and the number are left out before the title becomes too short."""
    incident = message.incident
    several = len(message.others) > 1
    before = [
        words.say_drill if is_drill(message) else "",
        words.say_begins(message.kind.value, incident.state),
        words.say_several(len(message.others)) if several else "",
        words.say_severity(incident.severity),
    ]
    number = words.say_number(" ".join(character for character in clean(incident.id) if character.isdecimal()))
    length_s = 0 if message.written_at is None else (message.written_at - incident.opened_at) // 1000
    is_live = incident.state in {State.OPEN, State.ACKNOWLEDGED}
    length = words.say_length(length_s) if is_live and length_s >= LENGTH_SAID_FROM_S else ""
    service, _, title = what(message, incident).partition(": ")
    shown = words.comma.join(part for part in (_together(service), _together(title)) if part)
    whole_s = speech_s(shown)
    for parts, least_s in (([*before, number, length], whole_s), ([*before, number], min(whole_s, WHAT_S_MIN)), (before, 0.0)):
        room_s = limit_s - speech_s(_joined([*parts, words.stop]))
        if room_s >= least_s and not (several and number in parts):
            tail = [length] if length in parts else []
            return _joined([*(part for part in parts if part != length), _ended(_within(shown, room_s), words), *tail])
    return _joined(before)


def _notice(message: PageMessage, words: Words, limit_s: float) -> str:
    head = words.say_begins(message.kind.value, message.incident.state)
    said = _together(" ".join(said_lines(message)) or message.incident.title)
    return _joined([head, _ended(_within(said, limit_s - speech_s(head + words.stop)), words)])


def _joined(parts: Sequence[str]) -> str:
    return " ".join(part for part in parts if part).replace(_HELD, " ")


def _ended(text: str, words: Words) -> str:
    return text + words.stop if text else ""


def _within(text: str, limit_s: float) -> str:
    """The beginning of a text that can be said in so long: whole words; letters only where a word alone is too long, as in Chinese."""
    kept = ""
    for word in text.split(" "):
        longer = f"{kept} {word}" if kept else word
        if speech_s(longer) > limit_s:
            if not kept or unicodedata.east_asian_width(word[:1]) == "W":
                while longer and speech_s(longer) > limit_s:
                    longer = longer[:-1]
                kept = longer
            break
        kept = longer
    return kept.rstrip(" ,，" + _HELD)


def _letters(word: str) -> str:
    lower = word.lower()
    is_short = word.isupper() and 1 < len(word) <= 4 and not set(lower) & set("aeiouy")
    return _HELD.join(word.upper()) if lower in _ABBREVIATIONS or is_short else word


def _is_said(character: str) -> bool:
    if "\ufe00" <= character <= "\ufe0f":  # how the character before it is drawn
        return False
    return character in ".,:% " or unicodedata.category(character) in {"Lu", "Ll", "Lo", "Lm", "Lt", "Nd", "Mn", "Mc"}


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
