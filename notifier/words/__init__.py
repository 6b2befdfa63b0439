"""The frame of every page in three languages: `words_for(locale)` gives the words of one.

Owns the choice of the language and `Words`, what every language must be able to say. One class per language in a file of its own. What an
incident says itself (title, labels, names) is never translated; a method that takes such text takes it clean and only joins it to ours.
Instants are ms UTC, `time_zone` is the reader's. How the words are put together is in `notifier/message.py` and `notifier/rendering/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from notifier.words.chinese import Chinese
from notifier.words.english import English
from notifier.words.korean import Korean
from tocsin.runtime.languages import language_of

__all__ = ["Words", "words_for"]


class Words(Protocol):
    """What a language can say. `lang` is for HTML, `voice` for speech; names in brackets are examples in English."""

    lang: str
    voice: str
    comma: str
    """Between parts of one line."""
    stop: str
    """At the end of a sentence."""
    drill: str
    """Before everything that is only an exercise."""

    # Names of facts.
    incident: str
    title: str
    service: str
    opened: str
    alerts: str
    paged: str
    status: str
    lateness: str
    also_told: str
    next_step: str
    runbook: str
    link: str
    together: str
    labels: str

    # Buttons; `acknowledge` stands where a link follows.
    acknowledge: str
    take: str
    keep: str
    resolve: str
    open: str

    def begins(self, kind: str, state: str) -> str:
        """What a line begins with, by the kind of the page."""

    def mark(self, severity: int) -> str:
        """The severity before a number, with what parts them ("S1 ")."""

    def subject_mark(self, severity: int) -> str:
        """The same at the beginning of a subject ("[S1] ")."""

    def state(self, state: str) -> str:
        """Where an incident stands."""

    def role(self, key: str) -> str:
        """A role by its key."""

    def take_all(self, count: int) -> str:
        """The button that takes several."""

    def acknowledge_hint(self, name: str) -> str:
        """How the link works, to its reader."""

    def reply_hint(self) -> str:
        """That a mail can be answered."""

    # Time.
    def clock(self, at: int, time_zone: str) -> str:
        """An instant of today ("02:54 KST")."""

    def short_time(self, at: int, time_zone: str) -> str:
        """With the day, for a late page may be read on the next."""

    def long_time(self, at: int, time_zone: str) -> str:
        """With year, seconds and the zone's whole name: short names alone are ambiguous (CST)."""

    def since(self, state: str, time: str) -> str:
        """Since when it has been so; what is over was opened then."""

    def standing(self, state: str, length_s: int, time: str) -> str:
        """How long it has been so, and since when."""

    def late(self, late_by_s: float) -> str:
        """How late the page is, in at most two units."""

    # Sentences.
    def and_more(self, count: int) -> str:
        """How many are not named."""

    def severity(self, number: str, severity: int, state: str) -> str:
        """The incident in one row."""

    def counts(self, firing: int, resolved: int) -> str:
        """How many alerts hold and how many are over."""

    def person(self, name: str, role: str, index: int | None, after_s: int) -> str:
        """Who is paged, and as what; `index` of the rung, None when no rung asked for it."""

    def next(self, roles: Sequence[str], people: Sequence[str], time: str) -> str:
        """Who hears of it next, and when; `roles` are keys."""

    def page(self, page_id: str, attempt: int) -> str:
        """The page's own name, the same on every copy, so that copies are known for what they are."""

    def taken(self, holder: str, since: str, until: str) -> str:
        """Who has it; `since` and `until` may be empty."""

    def ended(self, by: str, time: str) -> str:
        """That it is over; `by` and `time` may be empty."""

    # What an answer came to; `numbers` names one incident or several.
    def answered_taken(self, numbers: str, holder: str, until: str) -> str:
        """Who has them now."""

    def answered_state(self, numbers: str, state: str) -> str:
        """Where they stand now."""

    def answered_refused(self, numbers: str, state: str) -> str:
        """That nothing was changed, for they stand like this."""

    def answered_missing(self, numbers: str) -> str:
        """That there are none of these."""

    def answered_busy(self, numbers: str) -> str:
        """That it must be tried again."""

    def answered_stranger(self, address: str) -> str:
        """That nothing was changed, because nobody is known to answer from there."""

    def answered_passed_on(self, numbers: str) -> str:
        """That the next ones are paged now."""

    def answered_nobody_paged(self, numbers: str) -> str:
        """That nobody else is paged."""

    reply_nothing: str
    """To a reply without a number, when nothing waits for one."""

    def reply_which(self, numbers: Sequence[str]) -> str:
        """To a reply that does not say which is meant; `numbers` may be empty."""

    # Text messages: every character counts.
    sms_bytes_max: int
    """Of a message in EUC-KR, as Korean gateways count; 0: they do not."""
    sms_sign_in: str

    def sms_begins(self, kind: str, state: str) -> str:
        """What it begins with, by the kind of the page."""

    def sms_mark(self, severity: int) -> str:
        """The severity before a number."""

    def sms_time(self, at: int, now: int, time_zone: str) -> str:
        """Since when."""

    def sms_more(self, count: int) -> str:
        """How many others."""

    def sms_reply(self, number: str) -> str:
        """How to take it by replying."""

    def sms_link(self, link: str) -> str:
        """Where to take it."""

    def sms_either(self, number: str, link: str) -> str:
        """How to take it, by one or the other."""

    def sms_next(self, minutes: int) -> str:
        """When somebody else hears of it; empty where this is not said."""

    # Speech.
    def say_begins(self, kind: str, state: str) -> str:
        """What a call begins with, by the kind of the page."""

    say_drill: str

    def say_severity(self, severity: int) -> str:
        """A sentence."""

    def say_number(self, digits: str) -> str:
        """A sentence; the digits are parted by spaces."""

    def say_several(self, count: int) -> str:
        """That there are several, and that the gravest follows."""

    def say_length(self, length_s: int) -> str:
        """How long it has been open."""

    def say_take(self, count: int) -> str:
        """The first key: 4."""

    say_next: str
    """The key 5."""
    say_repeat: str
    say_resolve: str

    def say_keys(self, keys: Sequence[str]) -> str:
        """The keys as one sentence."""


_BY_LANGUAGE: Final[Mapping[str, Words]] = {"en": English(), "ko": Korean(), "zh": Chinese()}


def words_for(locale: str) -> Words:
    """The words for a reader's locale."""
    return _BY_LANGUAGE[language_of(locale)]
