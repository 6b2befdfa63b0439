"""Answers by mail: what a reply says, which page it answers, and who may have written it.

Our mails carry proofs in their Message-ID and References, which mail programs copy into what is replied: the numbers of the incidents and
half an HMAC over them and the person who was written to. Nobody else can make one, so From, which anybody can write, need not be believed;
who has the mail may answer it, as with its link. What runs by itself (out of office, bounces, lists) never answers.

    <5f2a9c01d3e4.2a.Zk3f0aQ-9xWbT1Cd@example.com>       the Message-ID of a page about INC-42
    <i.2a-2b-31.q1_Xz8TtA0mN4bPe@example.com>            in References: it names three incidents
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from html.parser import HTMLParser
from typing import Final

from notifier.answers import Answers
from notifier.rendering.answered import answered_line
from notifier.replies import Reply, Wish, read_reply
from notifier.words import words_for
from tocsin.policy.rules import Person

VIA: Final = "mail"

NUMBERS_CHARACTERS_MAX: Final = 18
"""In one id: longer ones would be folded in the middle by mail programs that keep to 78 characters."""

IDS_MAX: Final = 50
"""Ids of a reply that are looked at; a long thread has as many as mails."""

_ID: Final = re.compile(r"<([0-9a-z]{1,12})\.([0-9a-f]{1,12}(?:-[0-9a-f]{1,12})*)\.([A-Za-z0-9_-]{16})@")
_QUOTE_BEGINS: Final = re.compile(
    r"(?:>|-{2,}|_{5,}|\|)|.*(?:wrote|작성|写道|寫道)\s*[:：]\s*$|(?:From|보낸 ?사람|发件人)\s*[:：]", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a mail asks for: these incidents, by this person (a key of the rules)."""

    person: Person
    numbers: tuple[int, ...]
    reply: Reply


def proof_ids(answers: Answers, person: str, numbers: Sequence[int], mark: str, domain: str) -> tuple[str, ...]:
    """Return the Message-ID of a page to a person (the gravest incident's), and the ids for References that name all of them."""
    first = _proof_id(answers, person, numbers[:1], mark, domain)
    if len(numbers) < 2:
        return (first,)
    parts: list[list[int]] = [[]]
    for number in numbers:
        if len(_joined([*parts[-1], number])) > NUMBERS_CHARACTERS_MAX:
            parts.append([])
        parts[-1].append(number)
    return (first, *(_proof_id(answers, person, part, "i", domain) for part in parts))


def _proof_id(answers: Answers, person: str, numbers: Sequence[int], mark: str, domain: str) -> str:
    joined = _joined(numbers)
    return f"<{mark}.{joined}.{_proof(answers, joined, person)}@{domain}>"


def _joined(numbers: Sequence[int]) -> str:
    return "-".join(f"{number:x}" for number in numbers)


def _proof(answers: Answers, numbers: str, person: str) -> str:
    return answers.proof(f"mail\0{numbers}\0{person}")


class MailUnreadable(Exception):
    """The mail is so odd that the email package fails on it."""


# What the standard library's readers of mail and HTML raise on odd ones (seen: AssertionError on `<![x[`, RecursionError on nested parts).
_READER_FAULTS = (ValueError, LookupError, MessageError, AttributeError, TypeError, AssertionError, RecursionError)


def read_mail(raw: bytes, answers: Answers) -> Asked | None:
    """Read a mail; None when nobody asks for anything: it is not an answer to a page of ours, or no person wrote it.

    Raises MailUnreadable.
    """
    try:
        return _read(raw, answers)
    except _READER_FAULTS as error:
        raise MailUnreadable(type(error).__name__) from error


def _read(raw: bytes, answers: Answers) -> Asked | None:
    mail = message_from_bytes(raw, policy=SMTP_POLICY)
    assert isinstance(mail, EmailMessage)
    if _runs_by_itself(mail):
        return None
    named = _named(mail, answers)
    if named is None:
        return None
    person, numbers = named
    reply = read_reply(first_line(mail))
    if reply.numbers and not set(reply.numbers) <= set(numbers):
        reply = Reply(Wish.UNCLEAR)
    return Asked(person, reply.numbers or numbers, reply)


async def answer_mail(raw: bytes, answers: Answers) -> tuple[Asked, str] | None:
    """Do what a mail asks for; return it with the line to tell its writer, None when there is nothing to do.

    Raises StoreAway, MailUnreadable.
    """
    asked = read_mail(raw, answers)
    if asked is None:
        return None
    person = asked.person
    match asked.reply.wish:
        case Wish.TAKE:
            answered = await answers.take(asked.numbers, person.key, VIA)
        case Wish.RESOLVE:
            answered = await answers.resolve(asked.numbers, person.key, VIA)
        case _:
            return asked, words_for(person.locale).reply_which([f"INC-{number}" for number in asked.numbers])
    return asked, answered_line(answered, person.locale, person.time_zone)


def _runs_by_itself(mail: EmailMessage) -> bool:
    """Whether a program sent it: RFC 3834 and what older ones write."""
    submitted = str(mail.get("Auto-Submitted", "no")).partition(";")[0].strip().lower()
    precedence = str(mail.get("Precedence", "")).strip().lower()
    return (
        submitted != "no"
        or precedence in ("bulk", "junk", "list", "auto_reply")
        or any(name in mail for name in ("X-Autoreply", "X-Autorespond", "X-Auto-Response-From", "List-Id"))
        or mail.get_content_type() == "multipart/report"
    )


def _named(mail: EmailMessage, answers: Answers) -> tuple[Person, tuple[int, ...]] | None:
    """Return the person and the incidents that the mail's ids prove, the gravest first; None when they prove nothing."""
    text = " ".join(str(mail.get(header, "")) for header in ("In-Reply-To", "References"))
    proven: Person | None = None
    numbers: dict[int, None] = {}
    for _, joined, proof in _ID.findall(text)[:IDS_MAX]:
        people = answers.people() if proven is None else (proven,)
        person = next((p for p in people if _matches(_proof(answers, joined, p.key), proof)), None)
        if person is not None:
            proven = person
            numbers |= dict.fromkeys(int(number, 16) for number in joined.split("-"))
    return None if proven is None else (proven, tuple(numbers))


def _matches(expected: str, found: str) -> bool:
    return hmac.compare_digest(expected.encode(), found.encode())


def first_line(mail: EmailMessage) -> str:
    """Return the first line that was written above what is quoted, empty when there is none."""
    for line in _text(mail).splitlines():
        stripped = line.strip()
        if stripped:
            return "" if _QUOTE_BEGINS.match(stripped) else stripped
    return ""


def _text(mail: EmailMessage) -> str:
    part = mail.get_body(("plain", "html"))
    if part is None:
        return ""
    try:
        text = str(part.get_content())
    except (LookupError, ValueError):  # an unknown character set
        payload = part.get_payload(decode=True)
        text = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
    return _without_tags(text) if part.get_content_type() == "text/html" else text


class _Visible(HTMLParser):
    """Collects what a reader of HTML sees, a line for each block."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("style", "script", "head", "title"):
            self._hidden += 1
        elif tag in ("br", "p", "div", "li", "tr", "blockquote"):
            self.parts.append("\n> " if tag == "blockquote" else "\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "script", "head", "title"):
            self._hidden = max(0, self._hidden - 1)
        elif tag in ("p", "div", "li", "tr"):
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def _without_tags(html: str) -> str:
    visible = _Visible()
    visible.feed(html)
    return "".join(visible.parts)
