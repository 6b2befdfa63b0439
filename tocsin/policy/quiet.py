"""When a person wants no page: pages of the severities that the person chose wait until the window ends.

Owns that one question and its effect on an incident's pages (`hold`, applied to every decision, so that no way of making a page gets round
it). Severity 1 is never held, and neither is what the person asked for (a test), what wakes nobody, or word of a duty that begins.
"""

from __future__ import annotations

from dataclasses import replace

from tocsin.policy.hours import is_open, window_edges
from tocsin.policy.model import Incident, Page, PageKind, PageStatus, evolve
from tocsin.policy.rules import Person, Rules
from tocsin.policy.wallclock import DAY_MS

QUIET_LONGEST_MS = 14 * DAY_MS
"""A quiet time that has not ended by then is none: the rules file says so when it is loaded, and the page goes out."""

QUIETED = (PageKind.PAGE, PageKind.REOPENED, PageKind.REMINDER, PageKind.RESOLVED)


def quiet_until(person: Person, severity: int, at: int) -> int | None:
    """Return when (ms UTC) a person's quiet time ends that is on at an instant.

    `at` itself when there is none; None when it does not end within `QUIET_LONGEST_MS`.
    """
    windows = [quiet.window for quiet in person.quiet if severity in quiet.severities and severity > 1]
    zone = person.time_zone

    def is_quiet(instant: int) -> bool:
        return any(is_open(window, zone, instant) for window in windows)

    if not is_quiet(at):
        return at
    edges = {edge for window in windows for edge in window_edges(window, zone, at, at + QUIET_LONGEST_MS)}
    return next((edge for edge in sorted(edges) if edge > at and not is_quiet(edge)), None)


def not_before(person: Person, severity: int, at: int) -> int:
    """Return the first instant from `at` on at which the person may be paged."""
    end = quiet_until(person, severity, at)
    return at if end is None else end


def hold(before: Incident | None, after: Incident, now: int, rules: Rules) -> tuple[Incident, dict[str, object]]:
    """Put off the unsent pages that fall into the quiet time of their person; return what the record says of those that now wait longer.

    A person's contacts keep their distances. A rung whose people are all quiet has been paged all the same: the next keeps its time.
    """
    if before is not None and before.pages is after.pages and before.severity == after.severity:
        return after, {}
    begins: dict[tuple[int, str], int] = {}
    held: dict[str, Page] = {}
    for page in after.pages:
        person = rules.people.get(page.person)
        if page.status is not PageStatus.PENDING or page.kind not in QUIETED or person is None or not person.quiet:
            continue
        begin = begins.setdefault((page.step, page.person), page.due_at)
        end = not_before(person, after.severity, page.due_at)
        if end > page.due_at:
            own_turn = max(end, not_before(person, after.severity, begin) + page.due_at - begin)
            due_at = not_before(person, after.severity, own_turn)
            held[page.id] = replace(page, due_at=due_at, held_at=page.held_at or now, held_until=end, reason="quiet time")
    if not held:
        return after, {}
    until: dict[str, int] = {}
    for page in held.values():
        until[page.person] = min(page.due_at, until.get(page.person, page.due_at))
    old = frozenset(p.id for p in before.pages) if before is not None else frozenset()
    paged = {p.person for p in after.pages if p.id not in old and p.kind in QUIETED and p.status is PageStatus.PENDING}
    inputs: dict[str, object] = {"quiet_until": until}
    if paged and paged <= until.keys():
        inputs["everybody_quiet"] = True
    return evolve(after, pages=tuple(held.get(p.id, p) for p in after.pages)), inputs
