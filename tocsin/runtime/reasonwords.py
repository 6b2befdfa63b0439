"""A decision in words: its reason, who, when, and the facts that it rested on, on one line.

    acknowledged by kim at 25m (until 55m)
    rung due at 30m (rung 30m, paged lee)

Owns the words for people who read tests, timelines and explanations in a terminal. Decides nothing and knows no rules: everything is read
off the decision. How an instant is written is the caller's business (`When`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from tocsin.policy.decision import Decision, Reason
from tocsin.policy.durations import format_duration
from tocsin.policy.events import MONITORING, NOTIFIER, TIMER
from tocsin.policy.ladder import find_page
from tocsin.policy.model import Incident, Page, PageKind
from tocsin.runtime.text import clean, cut

When = Callable[[int], str]
"""Writes an instant (ms UTC)."""

TEXT_LENGTH_MAX: Final = 80

_REASONS: Final[Mapping[str, str]] = {
    Reason.OPENED_BY_PERSON: "opened",
    Reason.RESOLVED_BY_ALERTS: "resolved by its alerts",
    Reason.RESOLVED_BY_PERSON: "resolved",
    Reason.REOPENED_BY_PERSON: "reopened",
    Reason.ALREADY_SO: "changed nothing",
}
"""Reasons that read better otherwise than as they are written."""

_UNSAID: Final = frozenset({"via", "attempt", "page", "level"})
_INSTANTS: Final = frozenset({"until", "asked_until", "clear_since"})
_MACHINES: Final = frozenset({MONITORING, TIMER, NOTIFIER, ""})

_FACTS: Final[Mapping[str, str]] = {
    "paged": "paged {}",
    "nobody_in": "nobody holds {}",
    "already_paged": "{} was paged before",
    "held_by": "held by {}",
    "kept_by": "kept by {}",
    "acknowledged_by": "{} has it",
    "cannot_be_paged": "{} cannot be paged",
    "because": "because of {}",
    "told": "told {}",
}


def decision_words(decision: Decision, when: When, *, at: int | None = None) -> str:
    """Say what was decided, by whom, when and why; `at` (ms UTC) for a decision that changed nothing, which is not stamped."""
    incident = decision.incident
    reason = _REASONS.get(decision.reason, decision.reason.replace("_", " "))
    actor = "" if decision.actor in _MACHINES else f" by {clean(decision.actor)}"
    facts = "; ".join(_facts(decision, when))
    return f"{reason}{actor} at {when(incident.changed_at if at is None else at)}" + (f" ({facts})" if facts else "")


def page_words(page: Page, incident: Incident) -> str:
    """Say to whom a page goes, as what, and for which rung."""
    what = "page" if page.kind is PageKind.PAGE else f"page of kind {page.kind}"
    role = f" as {clean(page.role)}" if page.role else ""
    after_ms = incident.rungs[page.rung].after_ms if page.rung is not None and page.rung < len(incident.rungs) else None
    rung = "" if after_ms is None else f" (rung {format_duration(after_ms)})"
    return f"{what} to {clean(page.person)}{role}{rung}"


def _facts(decision: Decision, when: When) -> Iterator[str]:
    inputs = decision.inputs
    incident = decision.incident
    page = inputs.get("page")
    if isinstance(page, str):
        found = find_page(incident, page) or (None if decision.before is None else find_page(decision.before, page))
        yield page if found is None else f"{page_words(found, incident)} over contact {found.contact + 1}"
    for name, value in inputs.items():
        if name == "rungs" and isinstance(value, Iterable):
            yield from (f"rung {_rung(incident, index)}" for index in value)
        elif name not in _UNSAID and value not in (None, "") and not (name.endswith("_ms") and value == 0):
            yield _fact(name, value, when)


def _rung(incident: Incident, index: int) -> str:
    return format_duration(incident.rungs[index].after_ms) if index < len(incident.rungs) else str(index)


def _fact(name: str, value: object, when: When) -> str:
    words = name.replace("_", " ")
    if value is True:
        return words
    if isinstance(value, int) and (name in _INSTANTS or name.endswith("_at")):
        return f"{words.removesuffix(' at')} {when(value)}"
    if isinstance(value, int) and name.endswith("_ms"):
        return f"{words.removesuffix(' ms')} {format_duration(value)}"
    if isinstance(value, Mapping):
        text = ", ".join(f"{clean(key)} {when(each) if isinstance(each, int) else clean(str(each))}" for key, each in value.items())
    elif isinstance(value, tuple | list):
        text = ", ".join(clean(str(each)) for each in value) or "nobody"
    else:
        text = cut(clean(str(value)), TEXT_LENGTH_MAX)
    return _FACTS[name].format(text) if name in _FACTS else f"{words} {text}"
