"""When an incident's next step is due, and how a rung becomes pages.

Pure arithmetic on one incident: `agenda` says what is due when, `climb` pages the rungs that are due, `fall_back` reacts to a page that
does not arrive. Which of it happens is decided in `incident.py`.
"""

from __future__ import annotations

import enum
import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from tocsin.policy import oncall
from tocsin.policy.model import LOW, PAGES_KEPT_MAX, Incident, Page, PageKind, PageStatus, Rung, State, evolve
from tocsin.policy.rules import EMERGENCY_PERSON, Contact, Rules

AMBIGUOUS_MAX = 3
"""Attempts without a definite answer on one contact; then the contact is given up, because each may have been a copy."""

FAILING_AFTER = 3
"""Failed attempts after which the person's next contact is tried at once."""

FAILING_AFTER_MS = 60_000
"""Time without success after which the person's next contact is tried at once."""

BACKOFF_MAX_MS = 60_000

ABOUT_IT = (PageKind.PAGE, PageKind.REMINDER, PageKind.REOPENED)
"""Kinds that make a person wait for the end of it: who took one hears that it is over."""


class Due(enum.StrEnum):
    """What an incident's timer is set for."""

    RUNG = "rung"
    REPEAT = "repeat"
    REMIND = "remind"
    ACKNOWLEDGEMENT_END = "acknowledgement_end"
    SNOOZE_END = "snooze_end"
    RECEIPT = "receipt"
    END = "end"
    RESOLVE = "resolve"
    CLOSE = "close"


def agenda(incident: Incident) -> tuple[int, Due] | None:
    """Return the instant and the kind of the incident's next step, None when it waits for nothing.

    An incident whose alerts are all clear pages nobody: it waits to be resolved, or for the alerts to come back.
    """
    match incident.state:
        case State.CLOSED:
            return None
        case State.RESOLVED:
            return (incident.resolved_at or incident.changed_at) + incident.plan.close_after_ms, Due.CLOSE
        case State.OPEN | State.ACKNOWLEDGED:
            ends = [] if incident.ends_at is None else [(incident.ends_at, Due.END)]
            if incident.clear_since is not None:
                return min([(incident.clear_since + incident.plan.resolve_after_ms, Due.RESOLVE), *ends])
            if incident.suppressed is not None:
                return min(ends, default=None)
            return min(_steps(incident) + ends, default=None)


def _steps(incident: Incident) -> list[tuple[int, Due]]:
    steps = [(p.receipt_due_at, Due.RECEIPT) for p in incident.pages if p.receipt_due_at is not None]
    if incident.state is State.ACKNOWLEDGED:
        until = incident.acknowledged_until or incident.changed_at
        remind_before_ms = incident.plan.ladder.remind_before_end_ms
        if not incident.reminded and remind_before_ms > 0 and incident.severity != LOW:
            steps.append((until - remind_before_ms, Due.REMIND))
        steps.append((until, Due.ACKNOWLEDGEMENT_END))
        if incident.plan.ladder.until != "resolved":
            return steps
    if incident.snoozed_until is not None:
        return [*steps, (incident.snoozed_until, Due.SNOOZE_END)]
    rung = rung_due_at(incident, incident.next_rung)
    if rung is not None:
        steps.append((rung, Due.RUNG))
    elif incident.rungs and incident.last_rung_at is not None and incident.plan.ladder.repeat_last_ms > 0:
        steps.append((incident.last_rung_at + incident.plan.ladder.repeat_last_ms, Due.REPEAT))
    return steps


def rung_due_at(incident: Incident, index: int) -> int | None:
    """Return when a rung of the present severity is due: counted from the trigger, never before a settle window ends."""
    if index >= len(incident.rungs):
        return None
    return max(incident.triggered_at + incident.rungs[index].after_ms, incident.hold_until or 0)


def resume(incident: Incident, at: int) -> Incident:
    """Let the ladder go on from where it stood after it was held until `at` (an acknowledgement or a snooze ended).

    A single rung that fell due meanwhile is paged now and the later ones keep their time. If several fell due, they come one by one with
    their own distances, so that an hour of snooze does not wake everybody at once.
    """
    skip = list(incident.skip_roles)
    overdue: list[int] = []
    for index in range(incident.next_rung, len(incident.rungs)):
        due = rung_due_at(incident, index)
        # A rung whose roles were all paged already wakes nobody: it is not where the ladder stands.
        if due is not None and due <= at and _not_yet_paged(incident.rungs[index], skip):
            overdue.append(due)
    if len(overdue) < 2:
        return incident
    return evolve(incident, triggered_at=incident.triggered_at + at - overdue[0], hold_until=None)


@dataclass(frozen=True, slots=True)
class Climbed:
    """An incident after a climb, and what the record says of it."""

    incident: Incident
    rungs: tuple[int, ...] = ()
    people: tuple[str, ...] = ()
    empty_roles: tuple[str, ...] = ()
    skipped_roles: tuple[str, ...] = ()
    last_resort: bool = False

    def inputs(self) -> dict[str, object]:
        """Return what the record says."""
        found: dict[str, object] = {"rungs": self.rungs, "paged": self.people}
        if self.empty_roles:
            found["nobody_in"] = self.empty_roles
        if self.skipped_roles:
            found["already_paged"] = self.skipped_roles
        if self.last_resort:
            found["last_resort"] = True
        return found


def _not_yet_paged(rung: Rung, skip: list[str]) -> list[str]:
    """Return the rung's roles without those to skip; each of these is skipped once, and taken off `skip`."""
    fresh = [role for role in rung.roles if role not in skip]
    for role in rung.roles:
        if role in skip:
            skip.remove(role)
    return fresh


def climb(incident: Incident, now: int, rules: Rules, *, kind: PageKind = PageKind.PAGE, at_once: bool = False) -> Climbed:
    """Page every rung that is due; with `at_once` also the next one, whose turn had not come.

    After a pause several rungs may be due: each person is paged once, for the highest of the rungs that name the person. A rung that
    resolves to nobody makes the next one due at once, and one whose roles were all paged already passes that on; when none is left the
    last resort is paged, and if that is nobody too, the emergency contacts.
    """
    wanted: dict[str, tuple[int, str, int]] = {}
    rungs: list[int] = []
    empty: list[str] = []
    skipped: list[str] = []
    skip = list(incident.skip_roles)
    index = incident.next_rung
    force = at_once
    while (due := rung_due_at(incident, index)) is not None and (due <= now or force):
        rungs.append(index)
        roles = _not_yet_paged(incident.rungs[index], skip)
        skipped += [role for role in incident.rungs[index].roles if role not in roles]
        found = _people_of(roles, min(due, now), now, index, rules, empty)
        wanted.update(found)
        force = not found if roles else force
        index += 1
    last_resort = force and index >= len(incident.rungs)
    if last_resort:
        wanted = _last_resort(incident, now, rules)
    told = (*incident.told_roles, *(role for i in rungs for role in incident.rungs[i].roles if role not in skipped and role not in empty))
    after = evolve(incident, next_rung=index, told_roles=tuple(dict.fromkeys(told)), skip_roles=tuple(skip))
    if rungs:
        after = evolve(after, last_rung_at=now)
    after = page(after, wanted, now, rules, kind=kind)
    return Climbed(after, tuple(rungs), tuple(wanted), tuple(empty), tuple(skipped), last_resort)


def repeat_last(incident: Incident, now: int, rules: Rules) -> Climbed:
    """Page the last rung again, and the last resort with it: the ladder is exhausted and nobody has answered."""
    last = len(incident.rungs) - 1
    empty: list[str] = []
    due = min(now, (incident.last_rung_at or now) + incident.plan.ladder.repeat_last_ms)
    last_rung = _people_of(incident.rungs[last].roles, due, now, last, rules, empty)
    last_resort = _people_of(incident.plan.ladder.last_resort, now, now, last, rules, [])
    wanted = last_resort | last_rung or _emergency(last, now, rules)
    after = page(evolve(incident, last_rung_at=now), wanted, now, rules, kind=PageKind.PAGE)
    return Climbed(after, (last,), tuple(wanted), tuple(empty), (), last_resort=True)


def _people_of(roles: Iterable[str], due_at: int, now: int, index: int, rules: Rules, empty: list[str]) -> dict[str, tuple[int, str, int]]:
    """Map each person who holds one of the roles now, and can be paged at all, to (rung, role, due)."""
    found: dict[str, tuple[int, str, int]] = {}
    for role in roles:
        people = [person for person in oncall.holders(role, now, rules) if can_be_paged(person, rules)]
        if not people:
            empty.append(role)
        for person in people:
            found.setdefault(person, (index, role, due_at))
    return found


def _last_resort(incident: Incident, now: int, rules: Rules) -> dict[str, tuple[int, str, int]]:
    index = max(len(incident.rungs) - 1, 0)
    return _people_of(incident.plan.ladder.last_resort, now, now, index, rules, []) or _emergency(index, now, rules)


def _emergency(index: int, now: int, rules: Rules) -> dict[str, tuple[int, str, int]]:
    return {EMERGENCY_PERSON: (index, EMERGENCY_PERSON, now)} if rules.emergency.to else {}


def can_be_paged(person: str | None, rules: Rules) -> bool:
    """Whether this is a person with a contact: who acknowledges may also be a program, or have left the rules."""
    found = rules.people.get(person) if person is not None else None
    return found is not None and bool(found.contacts)


def page(
    incident: Incident,
    wanted: dict[str, tuple[int, str, int]] | Iterable[str],
    now: int,
    rules: Rules,
    *,
    kind: PageKind,
) -> Incident:
    """Add one step's pages: for every person (or person -> (rung, role, due)) one page per contact, each at its own `after`."""
    asked = wanted if isinstance(wanted, dict) else dict.fromkeys(wanted, (None, "", now))
    if not asked:
        return incident
    step = incident.steps
    pages = tuple(
        Page(
            id=f"{incident.id}.{step}.{person}.{index}",
            kind=kind,
            step=step,
            rung=rung,
            role=role,
            person=person,
            contact=index,
            rung_due_at=due_at,
            due_at=now + after_ms,
        )
        for person, (rung, role, due_at) in asked.items()
        for index, after_ms in enumerate(_contact_delays(person, rules))
    )
    return evolve(incident, steps=step + 1, pages=_in_place_of_older(trimmed(incident.pages), pages, now))


def _in_place_of_older(older: tuple[Page, ...], new: tuple[Page, ...], now: int) -> tuple[Page, ...]:
    """Join pages; a rung's page takes the place, and the turn, of one that still waits for the same contact: or they pile up for days.

    How long it was held goes with the turn, so that no row of pages is held for ever.
    """
    again = frozenset((p.person, p.contact) for p in new if p.rung is not None)
    waiting = {(p.person, p.contact): p for p in older if _rings(p) and (p.person, p.contact) in again}
    if not waiting:
        return older + new
    gone = frozenset(p.id for p in older if _rings(p) and (p.person, p.contact) in again)

    def in_turn(page: Page) -> Page:
        first = waiting.get((page.person, page.contact))
        if first is None:
            return page
        return replace(page, due_at=min(page.due_at, max(now, first.due_at)), held_at=first.held_at, held_until=first.held_until)

    return tuple(settled(p, now, "a later page takes its place") if p.id in gone else p for p in older) + tuple(in_turn(p) for p in new)


def _rings(page: Page) -> bool:
    """Whether a page waits to be heard: what only changes a message that is there is neither in the way nor in its place."""
    return page.status is PageStatus.PENDING and page.kind is not PageKind.UPDATE


def settled(page: Page, now: int, why: str) -> Page:
    """Return a page that nobody needs any more."""
    return replace(page, status=PageStatus.CANCELLED, settled_at=now, reason=why)


def _contact_delays(person: str, rules: Rules) -> tuple[int, ...]:
    if person == EMERGENCY_PERSON:
        return (0,) * len(rules.emergency.to)
    found = rules.people.get(person)
    return () if found is None else tuple(contact.after_ms for contact in found.contacts)


def contact_of(page: Page, rules: Rules) -> Contact | None:
    """Return the contact that a page goes to under the present rules, None when it is gone."""
    if page.person == EMERGENCY_PERSON:
        return Contact(rules.emergency.to[page.contact]) if page.contact < len(rules.emergency.to) else None
    person = rules.people.get(page.person)
    return person.contacts[page.contact] if person is not None and page.contact < len(person.contacts) else None


def trimmed(pages: tuple[Page, ...]) -> tuple[Page, ...]:
    """Drop the oldest settled pages beyond `PAGES_KEPT_MAX`, but for each contact's first with a receipt: later ones refer to it."""
    done = [p for p in pages if p.status is not PageStatus.PENDING]
    if len(done) <= PAGES_KEPT_MAX:
        return pages
    first: dict[tuple[str, int], str] = {}
    for p in done:
        if p.receipt and p.kind is not PageKind.UPDATE:
            first.setdefault((p.person, p.contact), p.id)
    drop = frozenset(p.id for p in done[: len(done) - PAGES_KEPT_MAX]).difference(first.values())
    return tuple(p for p in pages if p.id not in drop)


def cancel_pages(incident: Incident, now: int, why: str, *, keep: Collection[str] = (), updates: bool = False) -> Incident:
    """Nobody needs the unsent pages any more, nor to know of the sent ones whether they arrived, but for those to keep.

    Pages that only change a message wake nobody and stay, unless `updates` says that they go too.
    """

    def over(page: Page) -> bool:
        unsent = page.status is PageStatus.PENDING and (updates or page.kind is not PageKind.UPDATE)
        return (unsent or page.receipt_due_at is not None) and page.id not in keep

    if not any(over(p) for p in incident.pages):
        return incident
    return evolve(
        incident,
        pages=tuple(
            p if not over(p) else replace(p, receipt_due_at=None) if p.status is PageStatus.SENT else settled(p, now, why)
            for p in incident.pages
        ),
    )


def owed_pages(incident: Incident, actor: str) -> frozenset[str]:
    """Return the pages that an acknowledgement leaves: those of a ladder until resolved to people whom their rung has not reached yet."""
    if incident.plan.ladder.until != "resolved":
        return frozenset()
    reached = {(p.step, p.person) for p in incident.pages if has_reached(p)} | {(p.step, actor) for p in incident.pages}
    return frozenset(p.id for p in incident.pages if p.rung is not None and (p.step, p.person) not in reached)


def has_reached(page: Page) -> bool:
    """Whether a page counts as heard: taken, and its arrival neither awaited nor in doubt."""
    return page.status is PageStatus.SENT and page.receipt_due_at is None and not page.receipt_missed


def postpone_untried(incident: Incident, now: int) -> Incident:
    """While nothing fires, contacts whose turn has not come wait until it is known whether it is over.

    That includes the pages of this instant: what fired and cleared in one batch wakes nobody.
    """
    until = now + incident.plan.resolve_after_ms + 1
    pages = tuple(
        replace(p, due_at=max(p.due_at, until)) if p.status is PageStatus.PENDING and p.due_at >= now and not p.attempts else p
        for p in incident.pages
    )
    return evolve(incident, pages=pages)


def release_held(incident: Incident, now: int, rules: Rules) -> Incident:
    """It has become graver: pages that were held are tried when they would have been; whoever holds them must decide it anew."""
    if not any(_is_on_hold(p) for p in incident.pages):
        return incident

    def released(held: Page) -> Page:
        free = replace(held, held_at=None, held_until=None)
        if incident.clear_since is not None:
            return free  # while nothing fires it goes on waiting, as `postpone_untried` says
        return replace(free, due_at=max(now, held.rung_due_at + _contact_delay(held, rules)))

    return evolve(incident, pages=tuple(released(p) if _is_on_hold(p) else p for p in incident.pages))


def _is_on_hold(page: Page) -> bool:
    return page.status is PageStatus.PENDING and page.held_until is not None


def bring_back(incident: Incident, now: int, rules: Rules) -> Incident:
    """It fires again: postponed contacts are tried when they would have been, `after` their rung."""
    pages = tuple(
        replace(p, due_at=min(p.due_at, max(now, p.held_until or 0, p.rung_due_at + _contact_delay(p, rules))))
        if p.status is PageStatus.PENDING and p.due_at > now and not p.attempts
        else p
        for p in incident.pages
    )
    return evolve(incident, pages=pages)


def _contact_delay(page: Page, rules: Rules) -> int:
    delays = _contact_delays(page.person, rules)
    return delays[page.contact] if page.contact < len(delays) else 0


def tell_resolved(incident: Incident, by: str, now: int) -> tuple[Incident, tuple[str, ...]]:
    """Tell those whose page went out that it is over, each once, and not the person who resolved it."""
    told: dict[str, Page] = {}
    for page in incident.pages:
        if page.kind is PageKind.RESOLVED and page.status is not PageStatus.CANCELLED:
            told.pop(page.person, None)
        elif page.kind in ABOUT_IT and page.status is PageStatus.SENT and page.person != by:
            told.setdefault(page.person, page)
    if not told:
        return incident, ()
    step = incident.steps
    notes = tuple(
        Page(f"{incident.id}.{step}.{p.person}.{p.contact}", PageKind.RESOLVED, step, None, "", p.person, p.contact, now, now)
        for p in told.values()
    )
    return evolve(incident, steps=step + 1, pages=incident.pages + notes), tuple(told)


def find_page(incident: Incident, page_id: str) -> Page | None:
    """Return a page by its id; it may have been trimmed."""
    return next((p for p in incident.pages if p.id == page_id), None)


def with_page(incident: Incident, changed: Page) -> Incident:
    """Put a page in the place of the one with its id."""
    return evolve(incident, pages=tuple(changed if p.id == changed.id else p for p in incident.pages))


def backoff_ms(page_id: str, attempts: int) -> int:
    """Return how long to wait before the next attempt: doubling from one second to a minute, spread by a quarter.

    The spread comes from the page's id, so that the same history gives the same instants.
    """
    base = min(1_000 << min(attempts - 1, 10), BACKOFF_MAX_MS)
    return base - base * (zlib.crc32(f"{page_id}/{attempts}".encode()) % 256) // 1024


def is_failing(page: Page, now: int) -> bool:
    """Whether a page has been tried so often or so long in vain that somebody else must hear of it."""
    if page.status is PageStatus.FAILED:
        return True
    # A provider may ask for a long pause: what will not be tried within the time has failed as well.
    return page.attempts >= FAILING_AFTER or (page.attempts > 0 and max(now, page.due_at) - page.rung_due_at >= FAILING_AFTER_MS)


def fall_back(incident: Incident, failing: Page, now: int) -> tuple[Incident, bool]:
    """Bring the person's next contact forward; return the incident and whether the whole step reaches nobody.

    The step reaches nobody when no page of it was sent (and, where that is awaited, has arrived) and none is left that might still be.
    """
    step = [p for p in incident.pages if p.step == failing.step]
    untried = [p for p in step if p.person == failing.person and p.status is PageStatus.PENDING and p.attempts == 0]
    if untried:
        first = min(untried, key=lambda p: p.contact)
        at = max(now, first.held_until or 0)
        if first.due_at > at:
            incident = with_page(incident, replace(first, due_at=at))
        return incident, False
    hopeful = any(
        (p.status is PageStatus.SENT and not p.receipt_missed) or (p.status is PageStatus.PENDING and not is_failing(p, now)) for p in step
    )
    return incident, not hopeful


def next_rung_words(incident: Incident) -> tuple[Rung, int] | None:
    """Return the next rung that will be paged and when, None when the ladder is held or exhausted."""
    found = agenda(incident)
    due = rung_due_at(incident, incident.next_rung)
    if found is None or found[1] is not Due.RUNG or due is None:
        return None
    return incident.rungs[incident.next_rung], due
