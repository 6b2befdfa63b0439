"""The words of the answer page in English."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from console.words.why import Why
from tocsin.policy.durations import format_duration
from tocsin.runtime.languages import role_name

_SEVERITIES: Final = {1: "▲ Severity 1", 2: "■ Severity 2", 3: "● Severity 3", 4: "○ Severity 4, low"}
_EXPIRED: Final = "This link has expired"
_REFUSED: Final = {
    Why.OTHER_SITE: (
        "This did not come from this page",
        "Open the link of your page again and press the button there. Nothing was changed.",
    ),
    Why.NOT_A_LINK: (
        "This link is not valid",
        "It may have been cut off. Open it from the page you received, or look there for the number.",
    ),
    Why.NO_PERSON: (_EXPIRED, "The person it was made for is no longer in the rules."),
    Why.NOT_KEPT: (_EXPIRED, "The incident is no longer kept."),
    Why.AWAY: (
        "The pager cannot answer right now",
        "The next ones are paged unless somebody answers. Try again in a moment: doing it twice does no harm.",
    ),
    Why.FAILED: ("That did not work", "Open the link of your page again and see what it says."),
}


class English:
    """English; also what readers of every language get that has no words here."""

    lang = "en"
    gap = " "
    reader = ("as ", "")
    nobody = "Nobody has it yet."
    asked_again = "You are asked again before that; then the ladder goes on."
    assigned = "It is in your name."
    climbs_on = "The ladder goes on until it is resolved."
    nobody_else = "Nobody else is paged until then."
    by_itself, by_monitoring = "itself", "monitoring"
    nothing_left = "There is nothing left to do."
    nobody_paged = "Nobody is paged for it."
    clear = "Its alerts are clear."
    resolves_itself = "It resolves by itself if they stay so."
    nobody_until = "Nobody is paged until then."
    take, keep, take_now, take_over = "I have it", "I still have it", "I have it now", "It is mine now"
    together, runbook, hears, next, alerts = "Paged together with it", "Open the runbook", "Who hears of it", "Next", "Alerts: "
    unreached, being_told, emergency = "could not be reached", "is being told", "emergency contacts"
    to_answer = "To answer it, open the link of the page you received."
    to_read = "To read it, ask with an API token:"

    def time(self, there: datetime, *, is_today: bool) -> str:
        """`03:45 KST`."""
        return there.strftime("%H:%M %Z" if is_today else "%Y-%m-%d %H:%M %Z")

    def ago(self, minutes: int) -> str:
        return f"{format_duration(minutes * 60_000)} ago" if minutes else "just now"

    def since(self, at: str, ago: str) -> str:
        return f"since {at} ({ago})"

    def severity(self, severity: int) -> str:
        return _SEVERITIES[severity]

    def state(self, state: str) -> str:
        return "not acknowledged" if state == "open" else state

    def yours(self, until: str) -> str:
        return f"You have it until {until}."

    def held(self, holder: str, since: str, until: str) -> str:
        return f"{holder} took it at {since} and has it until {until}."

    def over(self, at: str, by: str) -> str:
        return f"Resolved at {at} by {by}."

    def suppressed(self, reason: str) -> str:
        return f"Suppressed: {reason}."

    def snoozed(self, until: str) -> str:
        return f"Snoozed until {until}."

    def take_all(self, count: int) -> str:
        return f"I have all {count}"

    def take_only(self, number: str) -> str:
        return f"I have only {number}"

    def told(self, at: str) -> str:
        return f"told at {at}"

    def next_people(self, people: Sequence[str], roles: Sequence[str], at: str) -> str:
        return f"{', '.join(people) or 'nobody holds it'} ({', '.join(role_name(self.lang, role) for role in roles)}) at {at}"

    def counts(self, firing: int, resolved: int) -> str:
        return ", ".join(f"{count} {word}" for count, word in ((firing, "firing"), (resolved, "resolved")) if count) or "none"

    def alert_state(self, status: str) -> str:
        return status

    def more(self, count: int) -> str:
        return f"and {count} more"

    def refused(self, why: Why, incident: str) -> tuple[str, str]:
        return (_EXPIRED, f"It was for {incident}. A newer page has a newer link.") if why is Why.EXPIRED else _REFUSED[why]
