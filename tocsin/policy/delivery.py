"""What comes of pages: taken, refused, held, arrived, not arrived; and what those who were paged see of it afterwards.

Owns the handlers of the events that the notifier reports, and the pages that only change a message that is there already (`update_edited`).
How a rung becomes pages is in `ladder.py`; who calls what is the table of `incident.py`.

A page counts as having reached its person when the provider took it, unless the provider then says that it did not arrive, or says nothing
within the time in which it should have: then the person's next contact is tried at once, as after a refusal.
"""

from __future__ import annotations

from dataclasses import replace

from tocsin.policy import events as ev
from tocsin.policy import ladder
from tocsin.policy.decision import Reason, Result
from tocsin.policy.ladder import AMBIGUOUS_MAX
from tocsin.policy.model import Incident, Page, PageKind, PageStatus, State, evolve
from tocsin.policy.rules import EMERGENCY_PERSON, Rules

NOT_PURSUED = (PageKind.RESOLVED, PageKind.TEST, PageKind.UPDATE)
"""Kinds that are given up after a few failures, without another contact."""

NOTICES = (PageKind.HANDOVER, PageKind.NOTICE)
"""Kinds that are not about alerts: one contact of each person is enough."""

NOT_EDITED = (PageKind.UPDATE, PageKind.RESOLVED, *NOTICES)
"""Kinds that stay as they were said, or are no messages."""

LATER_EDITED_MAX = 3
"""How many messages of one incident over one contact are changed beside the first: the newest. Older ones stay, and so do their buttons."""

URGENT = (PageKind.PAGE, PageKind.REOPENED, PageKind.REMINDER)
"""Kinds that at severity 1 nothing may hold for long."""

HELD_MAX_MS = 2 * 60_000
"""How long limits may hold a page of severity 1, all together: it is bundled with others, never held."""


def held_until_max(incident: Incident, page: Page, now: int) -> int | None:
    """Return until when (ms UTC) a page that is held now may be held at most, None when there is no bound. In the past: not at all."""
    if page.kind not in URGENT or (incident.severity > 1 and page.person != EMERGENCY_PERSON):
        return None
    return (now if page.held_at is None else page.held_at) + HELD_MAX_MS


# --- before and at the provider ----------------------------------------------------------------------------------------------------


def page_held(incident: Incident, event: ev.PageHeld, now: int, rules: Rules) -> Result:
    """A limit lets no page pass: later. At severity 1 two minutes are the most; then it is due, whatever the limit says."""
    page = ladder.find_page(incident, event.page_id)
    if page is None or page.status is not PageStatus.PENDING:
        return incident, Reason.IGNORED, {"page": event.page_id}
    latest = held_until_max(incident, page, now)
    until = max(now, event.until if latest is None else min(event.until, latest))
    held_at = now if page.held_at is None else page.held_at
    held_until = until if latest is None else min(until, latest)
    held = replace(page, due_at=until, held_at=held_at, held_until=held_until, reason=event.why)
    inputs: dict[str, object] = {"page": page.id, "why": event.why, "until": until}
    if until < event.until:
        inputs["asked_until"] = event.until
    return ladder.with_page(incident, held), Reason.PAGE_HELD, inputs


def page_sent(incident: Incident, event: ev.PageSent, now: int, rules: Rules) -> Result:
    """A provider took a page. One that was withdrawn while its send was under way did go out: the record says so."""
    page = ladder.find_page(incident, event.page_id)
    if page is not None and page.status is PageStatus.SENT and event.receipt and not page.receipt:
        # The provider said that it arrived before its own answer was recorded.
        return ladder.with_page(incident, replace(page, receipt=event.receipt)), Reason.PAGE_SENT, {"page": page.id}
    if page is None or page.status not in (PageStatus.PENDING, PageStatus.CANCELLED):
        return incident, Reason.IGNORED, {"page": event.page_id}
    awaited = event.receipt_within_ms > 0 and page.status is PageStatus.PENDING and incident.is_live and page.kind not in NOT_PURSUED
    sent = replace(
        page,
        status=PageStatus.SENT,
        attempts=page.attempts + 1,
        settled_at=now,
        reason="",  # why it had to wait or failed before is in the history
        receipt=event.receipt,
        receipt_due_at=now + event.receipt_within_ms if awaited else None,
    )
    inputs: dict[str, object] = {"page": page.id, "attempt": sent.attempts, "late_ms": max(0, now - page.due_at)}
    if sent.receipt_due_at is not None:
        inputs["receipt_due_at"] = sent.receipt_due_at
    return _went_out(incident, page, sent, now, rules), Reason.PAGE_SENT, inputs


def _went_out(incident: Incident, page: Page, sent: Page, now: int, rules: Rules) -> Incident:
    """A page is with its provider: say what has happened meanwhile to who reads it only now, and what comes after it."""
    after = ladder.with_page(incident, sent)
    if page.kind in NOTICES and incident.is_live:
        return _told(after, sent, now)
    if page.status is PageStatus.PENDING:
        return _ring_again(after, sent, now, rules)
    if page.status is PageStatus.CANCELLED:
        if incident.state is State.RESOLVED:
            after, _ = ladder.tell_resolved(after, incident.resolved_by or "", now)
        if incident.state is not State.CLOSED:
            after = update_edited(after, now, rules, only=page)
    return after


def page_refused(incident: Incident, event: ev.PageRefused, now: int, rules: Rules) -> Result:
    """A provider will never take it over this contact."""
    page = ladder.find_page(incident, event.page_id)
    if page is None or page.status is not PageStatus.PENDING:
        return incident, Reason.IGNORED, {"page": event.page_id}
    failed = replace(page, status=PageStatus.FAILED, attempts=page.attempts + 1, settled_at=now, reason=event.why)
    inputs = {"page": page.id, "attempt": failed.attempts, "why": event.why}
    return after_failure(ladder.with_page(incident, failed), failed, now, rules, Reason.PAGE_REFUSED, inputs)


def page_unreachable(incident: Incident, event: ev.PageUnreachable, now: int, rules: Rules) -> Result:
    """An attempt failed: again, with growing pauses, for as long as it is wanted, or given up when copies may pile up."""
    page = ladder.find_page(incident, event.page_id)
    if page is None or page.status is not PageStatus.PENDING or 0 < event.attempt <= page.attempts:
        return incident, Reason.IGNORED, {"page": event.page_id}
    attempts, ambiguous = page.attempts + 1, page.ambiguous + event.ambiguous
    inputs = {"page": page.id, "attempt": attempts, "why": event.why, "ambiguous": event.ambiguous}
    give_up = ambiguous >= AMBIGUOUS_MAX or (page.kind in NOT_PURSUED and attempts >= ladder.FAILING_AFTER)
    if give_up:
        failed = replace(page, status=PageStatus.FAILED, attempts=attempts, ambiguous=ambiguous, settled_at=now, reason=event.why)
        return after_failure(ladder.with_page(incident, failed), failed, now, rules, Reason.PAGE_GIVEN_UP, inputs)
    wait_ms = max(ladder.backoff_ms(page.id, attempts), event.retry_after_ms)
    again = replace(page, attempts=attempts, ambiguous=ambiguous, due_at=now + wait_ms, reason=event.why)
    after = ladder.with_page(incident, again)
    inputs["wait_ms"] = wait_ms
    if ladder.is_failing(again, now):
        return after_failure(after, again, now, rules, Reason.PAGE_RETRIED, inputs)
    return after, Reason.PAGE_RETRIED, inputs


# --- receipts ----------------------------------------------------------------------------------------------------------------------


def page_delivered(incident: Incident, event: ev.PageDelivered, now: int, rules: Rules) -> Result:
    """It arrived: nothing is awaited any more. A provider may say so before our record of the attempt, or twice."""
    page = ladder.find_page(incident, event.page_id)
    if page is None or page.delivered_at is not None or (page.status is PageStatus.FAILED and not event.corrects):
        return incident, Reason.IGNORED, {"page": event.page_id}
    arrived = replace(page, delivered_at=now, receipt=page.receipt or event.receipt, receipt_due_at=None, receipt_missed=False)
    if page.status is not PageStatus.SENT:
        arrived = replace(arrived, status=PageStatus.SENT, attempts=max(1, page.attempts), settled_at=now, reason="")
    inputs = {"page": page.id, "after_ms": now - (page.settled_at or now)}
    return _went_out(incident, page, arrived, now, rules), Reason.PAGE_DELIVERED, inputs


def page_undelivered(incident: Incident, event: ev.PageUndelivered, now: int, rules: Rules) -> Result:
    """It did not arrive, says the provider that took it: the next contact at once. What has arrived stays so."""
    page = ladder.find_page(incident, event.page_id)
    if page is None or page.delivered_at is not None or page.status not in (PageStatus.PENDING, PageStatus.SENT):
        return incident, Reason.IGNORED, {"page": event.page_id}
    attempts = page.attempts if page.status is PageStatus.SENT else page.attempts + 1
    failed = replace(page, status=PageStatus.FAILED, attempts=attempts, settled_at=now, reason=event.why, receipt_due_at=None)
    inputs: dict[str, object] = {"page": page.id, "why": event.why}
    after = ladder.with_page(incident, failed)
    if page.receipt_missed:
        return after, Reason.PAGE_UNDELIVERED, inputs  # what follows from it was done when no receipt came
    return after_failure(after, failed, now, rules, Reason.PAGE_UNDELIVERED, inputs)


def receipt_missing(incident: Incident, now: int, rules: Rules) -> Result:
    """The provider was to say by now that a page arrived, and has not: the next contact at once. It may still arrive."""
    page = min((p for p in incident.pages if p.receipt_due_at is not None), key=lambda p: p.receipt_due_at or 0)
    missed = replace(page, receipt_due_at=None, receipt_missed=True)
    inputs: dict[str, object] = {"page": page.id, "sent_at": page.settled_at}
    return after_failure(ladder.with_page(incident, missed), missed, now, rules, Reason.RECEIPT_MISSING, inputs)


def _told(incident: Incident, page: Page, now: int) -> Incident:
    """Who has been told needs no other contact; when all have been, the notice ends."""
    if page.receipt_due_at is not None:
        return incident
    pages = tuple(
        ladder.settled(p, now, "told") if p.status is PageStatus.PENDING and p.person == page.person else p for p in incident.pages
    )
    reached = {p.person for p in pages if ladder.has_reached(p)}
    everybody = reached >= {p.person for p in pages}
    return evolve(incident, pages=pages, ends_at=now if everybody else incident.ends_at)


def _ring_again(incident: Incident, page: Page, now: int, rules: Rules) -> Incident:
    """A contact that goes on ringing does so while nobody has answered: its next ring waits like any page, and is withdrawn like any."""
    contact = ladder.contact_of(page, rules)
    is_wanted = page.kind in (PageKind.PAGE, PageKind.REOPENED) and incident.state is State.OPEN and incident.clear_since is None
    if contact is None or not is_wanted or page.ring >= contact.times:
        return incident
    again = Page(
        id=f"{incident.id}.{incident.steps}.{page.person}.{page.contact}",
        kind=page.kind,
        step=incident.steps,
        rung=None,
        role=page.role,
        person=page.person,
        contact=page.contact,
        rung_due_at=now,
        due_at=now + contact.repeat_ms,
        ring=page.ring + 1,
    )
    return evolve(incident, steps=incident.steps + 1, pages=(*ladder.trimmed(incident.pages), again))


# --- what follows ------------------------------------------------------------------------------------------------------------------


def after_failure(incident: Incident, page: Page, now: int, rules: Rules, reason: Reason, inputs: dict[str, object]) -> Result:
    """The person's next contact at once; when the whole step reaches nobody, the next rung at once."""
    if page.kind in NOT_PURSUED:
        return incident, reason, inputs
    after, nobody = ladder.fall_back(incident, page, now)
    highest = max((p.rung for p in after.pages if p.step == page.step and p.rung is not None), default=-1)
    if not nobody or page.rung is None or after.state is not State.OPEN or highest < after.next_rung - 1:
        return after, reason, inputs
    inputs["because"] = reason.value
    if ladder.rung_due_at(after, after.next_rung) is None:
        return _last_hope(after, page, now, rules, inputs)
    climbed = ladder.climb(after, now, rules, at_once=True)
    return climbed.incident, Reason.PERSON_UNREACHED, inputs | climbed.inputs()


def _last_hope(incident: Incident, page: Page, now: int, rules: Rules, inputs: dict[str, object]) -> Result:
    """The ladder is exhausted and its last step reaches nobody: the emergency contacts, once in a step; the repeat goes on by its timer."""
    step = {p.person for p in incident.pages if p.step >= page.step}
    if EMERGENCY_PERSON in step or not rules.emergency.to:
        return incident, Reason.PERSON_UNREACHED, inputs | {"paged": ()}
    wanted: dict[str, tuple[int | None, str, int]] = {EMERGENCY_PERSON: (page.rung, EMERGENCY_PERSON, now)}
    after = ladder.page(incident, wanted, now, rules, kind=PageKind.PAGE)
    return after, Reason.PERSON_UNREACHED, inputs | {"paged": tuple(wanted)}


def update_edited(incident: Incident, now: int, rules: Rules, *, only: Page | None = None) -> Incident:
    """Let the messages that are edited in place say how it stands now: one page for each of them, with `edits`.

    It takes the place of an older one that was not sent. With `only`, the message of that page alone, or the one that it changed. A notice
    stays as it was said, and so does a closing note.
    """
    messages = _messages(incident, rules)
    if only is None:
        shown = [message for each in messages.values() for message in each[:1] + each[1:][-LATER_EDITED_MAX:]]
    else:
        shown = [m for m in messages.get((only.person, only.contact), []) if m.id == (only.edits or only.id)]
    if not shown:
        return incident
    edited, contacts = {m.id for m in shown}, set(messages) if only is None else set()
    older = frozenset(
        p.id
        for p in incident.pages
        if p.kind is PageKind.UPDATE and p.status is PageStatus.PENDING and (p.edits in edited or (p.person, p.contact) in contacts)
    )
    pages = tuple(ladder.settled(p, now, "a later one takes its place") if p.id in older else p for p in incident.pages)
    updates: list[Page] = []
    for m in shown:
        step = incident.steps + sum((u.person, u.contact) == (m.person, m.contact) for u in updates)  # one page of a contact in each step
        page_id = f"{incident.id}.{step}.{m.person}.{m.contact}"
        updates.append(Page(page_id, PageKind.UPDATE, step, None, "", m.person, m.contact, now, now, edits=m.id))
    return evolve(incident, steps=max(u.step for u in updates) + 1, pages=(*ladder.trimmed(pages), *updates))


def _messages(incident: Incident, rules: Rules) -> dict[tuple[str, int], list[Page]]:
    """Return, for each contact whose messages are edited, the pages that went out as messages of their own, the first one first."""
    found: dict[tuple[str, int], list[Page]] = {}
    receipts: set[tuple[str, int, str]] = set()
    for page in incident.pages:
        if page.status is not PageStatus.SENT or page.kind in NOT_EDITED:
            continue
        contact, message = ladder.contact_of(page, rules), (page.person, page.contact, page.receipt)
        if contact is None or not contact.is_edited or (page.receipt and message in receipts):
            continue
        receipts.add(message)
        found.setdefault((page.person, page.contact), []).append(page)
    return found
