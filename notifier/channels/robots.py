"""What the group robots of DingTalk, WeCom and Feishu have in common: text without markup, links, and a code in the answer that decides.

They answer 200 whatever happened, so a channel names its provider's codes in a `Codes` and leaves the judging to `judged_by_code`. The
provider's own words are never repeated: they may quote the address, which is the secret. What they mean is said in ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from notifier.channels.http import HttpAnswer, judged
from notifier.channels.outcome import Outcome, Refused, Sent, Unreachable
from notifier.message import PageMessage, is_link
from notifier.rendering.chat import Card, card

_LIMIT_WORDS = ("too fast", "too many", "freq", "rate limit", "ratelimit", "over limit", "限流", "频率", "太快")
"""In the provider's words for codes that we do not know: an unknown limit must not be taken for a refusal for good."""


@dataclass(frozen=True, slots=True)
class Codes:
    """How a body says what came of a message: 0 under one of `names` is delivered, any other code is one of these or a refusal.

    `limited` may pass after `pause_s`; `busy` is the provider's own fault and may have been delivered all the same. `known` says in our
    words what a refusal means, `hints` does so by a word in the provider's text where one code has several meanings.
    """

    names: tuple[str, ...]
    limited: frozenset[int]
    pause_s: float
    busy: frozenset[int] = frozenset({-1})
    known: Mapping[int, str] = field(default_factory=dict)
    hints: tuple[tuple[str, str], ...] = ()


def judged_by_code(answer: HttpAnswer | Refused | Unreachable, codes: Codes, receipt: str | None = None) -> Outcome:
    """What status and code say together. A 2xx without a code is no word of the provider's: it may have been delivered or not."""
    if not isinstance(answer, HttpAnswer):
        return answer
    body = answer.json() or {}
    code = _code(body, codes.names)
    if code is None:
        if answer.ok:
            return Unreachable(f"{answer.where} answered {answer.status} without a result", ambiguous=True)
        return judged(answer)
    reason = f"{answer.where} answered {answer.status}, code {code}"
    if code == 0:
        return Sent(receipt or "code 0") if answer.ok else judged(answer)
    words = " ".join(str(body.get(name, "")) for name in ("errmsg", "msg", "StatusMessage")).lower()
    if code in codes.limited or any(word in words for word in _LIMIT_WORDS):
        return Unreachable(reason + ": too many messages", ambiguous=False, retry_after_s=answer.pause_s or codes.pause_s)
    if code in codes.busy or answer.status >= 500:
        return Unreachable(reason, ambiguous=True, retry_after_s=answer.pause_s)
    meaning = next((ours for theirs, ours in codes.hints if theirs in words), codes.known.get(code, ""))
    return Refused(f"{reason}: {meaning}" if meaning else reason)


def plain_text(message: PageMessage, *, bytes_max: int) -> str:
    """A page as text without markup. Headline and answer link always stand; the lines between give way to the limit."""
    found = card(message)
    ends = [found.headline, *(name + ": " + url for name, url in links(message, found)[:1])]
    room = bytes_max - _length("\n".join(ends))
    between: list[str] = []
    for line in (found.state_line, *found.lines):
        if line and _length(line) < room:
            between.append(line)
            room -= _length(line) + 1
    return "\n".join([ends[0], *between, *ends[1:]]).encode(errors="replace")[:bytes_max].decode(errors="ignore")


def links(message: PageMessage, found: Card) -> list[tuple[str, str]]:
    """Word and address of what there is to press: to answer, while an answer is wanted, and to see the incident.

    The first is a secret of the person paged; whoever sees the message can answer for them.
    """
    offered = ((found.take, message.acknowledge_url), (found.open, message.incident.url))
    return [(word, url) for word, url in offered if word and is_link(url)]


def _code(body: Mapping[str, object], names: tuple[str, ...]) -> int | None:
    found = (body.get(name) for name in names)
    return next((code for code in found if isinstance(code, int) and not isinstance(code, bool)), None)


def _length(text: str) -> int:
    return len(text.encode(errors="replace"))
