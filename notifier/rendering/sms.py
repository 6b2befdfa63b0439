"""A page as one segment of a text message, with how to take it.

A segment holds 160 characters of GSM-7, or 70 of UCS-2 when one character is not in GSM-7 (3GPP TS 23.038); Korean gateways count 90 bytes
of EUC-KR. Only service and title are cut: the number, the time and how to answer are always whole.

    S1 INC-2041 payments-api: error rate 38% (limit 5%) 02:54 KST. Ack: reply 2041 or p.example.co/k7Q2mX
    [심각1]INC-2041 결제API 오류율38% 02:54 확인:2041회신 p.example.co/k7Q2mX
    【一级】INC-2041 支付API错误率38% 02:54起 请登录认领,30分钟未认领将升级
"""

from __future__ import annotations

from typing import Final, Literal

from notifier.message import PageMessage, is_answerable, is_drill, is_link, is_notice, said_lines, what
from notifier.words import Words, words_for
from tocsin.runtime.text import clean, cut

GSM_CHARACTERS_MAX: Final = 160
UCS_CHARACTERS_MAX: Final = 70
WHAT_CHARACTERS_MIN: Final = 24
"""Of service and title, before what can be left out is left out. Wide characters count twice."""

NUMBERS_MAX: Final = 3
"""Of a bundle, that a reply is asked to name; beyond that only the gravest, the link takes all."""

_GSM: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_ESCAPED: Final = frozenset("\f^{}\\[~]|€")
_JOINED_GSM, _JOINED_UCS = 153, 67
_PLAINER: Final = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "..", "×": "x", "\u00a0": " "})


def sms_text(message: PageMessage, *, can_reply: bool = False, with_link: bool = True, prefix: str = "") -> str:
    """One segment. `can_reply`: a reply reaches us; `with_link`: links are let through (neither holds for numbers of +86).

    `prefix` is what a gateway wants at the beginning, a signature for example.
    """
    words = words_for(message.locale)
    if is_notice(message):
        title, said = message.incident.title, " ".join(said_lines(message))
        return _fitted(prefix + _begins(message, words), _plainer(clean(said or title)), "", words)
    incident = message.incident
    head = prefix + _begins(message, words) + words.sms_mark(incident.severity) + clean(incident.id) + " "
    shown = _plainer(what(message, incident))
    tails = [tail for tail in _tails(message, words, can_reply=can_reply, with_link=with_link) if _fits(head + tail, words)]
    for tail in tails:
        text = _fitted(head, shown, tail, words)
        if text.removeprefix(head).startswith(shown) or euc_kr_bytes(text) - euc_kr_bytes(head) - euc_kr_bytes(tail) >= WHAT_CHARACTERS_MIN:
            return text
    return _fitted(head, shown, tails[-1] if tails else "", words)


def segments(text: str) -> int:
    """How many segments a text takes: 160 or 70 in one, else 153 or 67 in each."""
    if encoding_of(text) == "GSM-7":
        costs, alone, joined = [2 if character in _GSM_ESCAPED else 1 for character in text], GSM_CHARACTERS_MAX, _JOINED_GSM
    else:
        costs, alone, joined = [2 if character > "\uffff" else 1 for character in text], UCS_CHARACTERS_MAX, _JOINED_UCS
    if sum(costs) <= alone:
        return 1
    count, used = 1, 0
    for cost in costs:  # no character is parted
        if used + cost > joined:
            count, used = count + 1, 0
        used += cost
    return count


def encoding_of(text: str) -> Literal["GSM-7", "UCS-2"]:
    """How a text travels."""
    return "GSM-7" if all(character in _GSM or character in _GSM_ESCAPED for character in text) else "UCS-2"


def euc_kr_bytes(text: str) -> int:
    """How long a Korean gateway takes it to be; what EUC-KR cannot say counts as two."""
    return sum(1 if character.isascii() else 2 for character in text)


def _begins(message: PageMessage, words: Words) -> str:
    return (words.drill if is_drill(message) else "") + words.sms_begins(message.kind.value, message.incident.state)


def _tails(message: PageMessage, words: Words, *, can_reply: bool, with_link: bool) -> list[str]:
    """What may follow the title, the fullest first."""
    incident = message.incident
    now = incident.opened_at if message.written_at is None else message.written_at
    base = words.sms_more(len(message.others) - 1) if len(message.others) > 1 else ""
    base += words.sms_time(incident.opened_at, now, message.time_zone)
    if not is_answerable(message):
        return [base, ""]
    known = [str(number) for number in message.numbers] or [clean(incident.id).rpartition("-")[2]]
    number = " ".join(known if len(known) <= NUMBERS_MAX else known[:1])
    links = [_bare(link) for link in (message.acknowledge_url, incident.url) if with_link and is_link(link)]
    ways = [words.sms_either(number, links[0])] if can_reply and links else []
    ways += [words.sms_reply(number)] if can_reply else [words.sms_link(link) for link in links]
    if not can_reply:
        ways.append(words.sms_sign_in)
    minutes = 0 if message.next_rung is None else (message.next_rung.due_at - now) // 60_000
    then = words.sms_next(minutes) if minutes > 0 else ""
    # A comma right after a link would become part of it.
    fuller = [base + way + (" " if any(link in way for link in links) else ",") + then for way in ways] if then else []
    return [*fuller, *(base + way for way in ways), ways[-1]]


def _fitted(head: str, shown: str, tail: str, words: Words) -> str:
    """The three parts, the middle one cut until they fit; the longest that does."""
    for size in range(min(len(shown), GSM_CHARACTERS_MAX), -1, -1):
        middle = cut(shown, size, mark="..")
        text = " ".join((head + middle + tail).split())
        if _fits(text, words):
            return text
    return cut(" ".join((head + tail).split()), UCS_CHARACTERS_MAX, mark="..")


def _fits(text: str, words: Words) -> bool:
    return segments(text) == 1 and (words.sms_bytes_max == 0 or euc_kr_bytes(text) <= words.sms_bytes_max)


def _plainer(text: str) -> str:
    """Typographic marks as GSM-7 has them: one of them would halve the room."""
    return text.translate(_PLAINER)


def _bare(link: str) -> str:
    return link.removeprefix("https://")
