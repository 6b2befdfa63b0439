"""What must always hold of the pure core, each with its number and its sentence from the design: the oracle of tests and simulations.

`must_hold(decision)` asks what can be asked of one change of one incident; `Watch` what needs more than one: it is told of every decision,
every attempt at a provider and every report, and compares. Neither decides anything. Who must be paged by when is in `policy_reference.py`.

 1. Every alert that was taken belongs to exactly one incident.
 2. At most one live incident for a grouping key.
 3. Every open, unsuppressed incident has one timer; an acknowledgement has an end; what is closed has nothing.
 4. Every due rung is handed to a provider, and what is due is done: nothing waits behind its instant.
 5. Copies are bounded, and no send begins after an acknowledgement was answered.
 6. Rungs begin in order, never early.
 7. Every change has exactly one history entry, made of what was there; the history replays to the present.
 8. Numbers are unique and never used again.
10. Time never runs backwards for an incident.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

import orjson

from tocsin.policy.delivery import HELD_MAX_MS, NOT_PURSUED, URGENT
from tocsin.policy.fold import AlertBook
from tocsin.policy.incident import Decision, Reason
from tocsin.policy.ladder import AMBIGUOUS_MAX, agenda, contact_of, is_failing
from tocsin.policy.model import LOW, PAGES_KEPT_MAX, Alert, AlertStatus, Incident, Page, PageKind, PageStatus, State
from tocsin.policy.rules import Rules
from tocsin.store import codec

FAILURES = ("PageRefused", "PageUnreachable", "PageUndelivered")

LATE_MS = 60_000
"""How long after an alert cleared an older report of it is late news."""

PENDING_MAX = 60
"""Far more pages than the people of a house have contacts: what waits must not pile up."""


# --- one change of one incident ----------------------------------------------------------------------------------------------------


def must_hold(decision: Decision) -> None:
    """Assert what must hold of every incident after every change."""
    before, after = decision.before, decision.incident
    found = agenda(after)
    assert after.due_at == (None if found is None else found[0]), "3: the timer is what the incident waits for"
    assert after.version == (before.version + 1 if before else 1), "7: every change is one version"
    if before is not None:
        assert after.changed_at >= before.changed_at, "10: time never runs backwards"
        assert before.state is not State.CLOSED or (after.state is State.CLOSED and after.due_at is None), "3: closed is final"
    _waits_for_something(after)
    assert after.firing >= 0
    assert after.resolved >= 0
    assert after.next_rung <= len(after.rungs)
    if before is None or before.pages is not after.pages:
        assert len({p.id for p in after.pages}) == len(after.pages), "8: ids of pages are unique"
        _receipts_must_hold(after)
        _pages_must_hold(decision)


def _waits_for_something(after: Incident) -> None:
    match after.state:
        case State.OPEN:
            assert after.acknowledged_until is None
            if after.severity < LOW and after.rungs and after.plan.ladder.repeat_last_ms and after.suppressed is None:
                assert after.due_at is not None, "3: an open incident that nobody has must have a timer"
        case State.ACKNOWLEDGED:
            assert after.acknowledged_by is not None
            assert after.acknowledged_until is not None, "3: an acknowledgement must end"
            assert after.due_at is not None or after.suppressed is not None, "3: an acknowledgement must end"
        case State.RESOLVED:
            assert after.due_at is not None, "3: what is resolved waits to be closed"
            assert all(p.kind in (PageKind.RESOLVED, PageKind.UPDATE) for p in after.pages if p.status is PageStatus.PENDING)
        case State.CLOSED:
            assert after.due_at is None, "3: what is closed has nothing"
            assert not any(p.status is PageStatus.PENDING for p in after.pages), "3: what is closed has nothing"


def _pages_must_hold(decision: Decision) -> None:
    before, after = decision.before, decision.incident
    old = {p.id for p in before.pages} if before else set()
    new = [p for p in after.pages if p.id not in old]
    told = decision.reason in (Reason.PERSON_UNREACHED, Reason.PASSED_ON)
    forced = told or "nobody_in" in decision.inputs or "last_resort" in decision.inputs
    for page in new:
        assert page.due_at >= after.changed_at, "a page is never due before it was decided"
        assert page.rung_due_at <= after.changed_at, "6: no rung is early"
        if page.rung is not None and not forced:
            assert after.triggered_at + after.rungs[page.rung].after_ms <= after.changed_at, "6: no rung is early"
    assert len({(p.person, p.contact, p.step) for p in new}) == len(new), "5: one page per person and contact in one step"
    assert len(after.pages) <= PAGES_KEPT_MAX + PENDING_MAX, "what an incident keeps of its pages is bounded"
    assert all(p.ambiguous <= AMBIGUOUS_MAX for p in after.pages), "5: copies are bounded"


def _receipts_must_hold(after: Incident) -> None:
    awaited = [p.receipt_due_at for p in after.pages if p.receipt_due_at is not None]
    if awaited and after.is_live and after.clear_since is None and after.suppressed is None and after.snoozed_until is None:
        assert after.due_at is not None
        assert after.due_at <= min(awaited), "a receipt that does not come is missed"
    assert after.is_live or not awaited, "nobody waits for receipts of what is over"
    updates = [(p.person, p.contact, p.edits) for p in after.pages if p.kind is PageKind.UPDATE and p.status is PageStatus.PENDING]
    assert len(updates) == len(set(updates)), "a newer word on how it stands takes the place of an older one"
    for page in after.pages:
        assert page.receipt_due_at is None or (page.status is PageStatus.SENT and page.delivered_at is None)
        if after.severity == 1 and page.status is PageStatus.PENDING and page.held_until is not None and page.kind in URGENT:
            assert page.held_until <= (page.held_at or 0) + HELD_MAX_MS, "severity 1 is bundled, never held"


def _somebody_else_hears(decision: Decision) -> None:
    """A page that does not arrive brings the person's next contact forward; a rung that reaches nobody makes the next one due at once."""
    before, after, now = decision.before, decision.incident, decision.incident.changed_at
    page = next((p for p in after.pages if p.id == decision.inputs.get("page")), None)
    if before is None or page is None or page.kind in NOT_PURSUED or not (page.receipt_missed or is_failing(page, now)):
        return
    known = next(p for p in before.pages if p.id == page.id)
    if known.receipt_missed:
        return  # what follows from it was done when no receipt came
    step = [p for p in after.pages if p.step == page.step]
    untried = [p for p in step if p.person == page.person and p.status is PageStatus.PENDING and not p.attempts]
    if untried:
        assert min(p.due_at for p in untried) <= max(now, *(p.held_until or 0 for p in untried)), (
            f"4: {page.id} failed: the next contact waits"
        )
        return
    hopeful = any(
        (p.status is PageStatus.SENT and not p.receipt_missed) or (p.status is PageStatus.PENDING and not is_failing(p, now)) for p in step
    )
    is_last_word = page.rung is not None and max(p.rung or 0 for p in step) >= before.next_rung - 1
    if not hopeful and is_last_word and before.state is State.OPEN:
        assert decision.reason is Reason.PERSON_UNREACHED, f"4: the step of {page.id} reaches nobody, and nobody else hears of it"


def _what_was_put_off_is_back(decision: Decision, rules: Rules) -> None:
    """It fires again: contacts that waited while nothing fired are tried when they would have been."""
    before, after = decision.before, decision.incident
    old = frozenset(p.id for p in before.pages) if before is not None else frozenset()
    for page in after.pages:
        if page.id not in old:
            continue
        contact = contact_of(page, rules)
        if page.status is PageStatus.PENDING and not page.attempts and page.held_until is None and contact is not None:
            at = max(after.changed_at, page.rung_due_at + contact.after_ms)
            assert page.due_at <= at or page.ring > 1, f"4: {page.id} still waits, though it fires again"


# --- a whole world -----------------------------------------------------------------------------------------------------------------


@dataclass
class _Known:
    """What is remembered of one incident: how it stood last, and since which change it is held by somebody."""

    incident: Incident
    held_since_step: int | None = None
    entries: list[Decision] | None = None


@dataclass
class Watch:
    """Compares what a world does with what it did before. `replay_every`: the history of each such incident is replayed when it ends."""

    replay_every: int = 7
    known: dict[int, _Known] = field(default_factory=dict)
    numbers: set[int] = field(default_factory=set)
    live: dict[str, int] = field(default_factory=dict)
    copies: dict[str, int] = field(default_factory=dict)
    checked: int = 0

    def decided(self, decision: Decision, now: int, rules: Rules) -> None:
        """Look at a change of an incident, at an instant (ms UTC) of the world."""
        must_hold(decision)
        if decision.event in FAILURES or decision.reason is Reason.RECEIPT_MISSING:
            _somebody_else_hears(decision)
        if decision.reason is Reason.FIRED_AGAIN:
            _what_was_put_off_is_back(decision, rules)
        self.checked += 1
        before, after = decision.before, decision.incident
        number = after.number
        assert after.changed_at <= now or (before is not None and after.changed_at == before.changed_at), "10: nothing is of tomorrow"
        if before is None:
            assert number not in self.numbers, f"8: the number {number} is used twice"
            self.numbers.add(number)
            known = self.known[number] = _Known(after, entries=[] if number % self.replay_every == 0 else None)
        else:
            known = self.known[number]
            assert known.incident is before, f"7: {after.id} was changed from what it no longer was"
            known.incident = after
        self._one_live_incident(after)
        self._who_has_it(known, before, after)
        if known.entries is not None:
            known.entries.append(decision)
        if after.state is State.CLOSED:
            self._replays(known)
            del self.known[number]
            for page in after.pages:
                self.copies.pop(page.id, None)

    def _one_live_incident(self, after: Incident) -> None:
        if after.is_live:
            holder = self.live.setdefault(after.group_key, after.number)
            assert holder == after.number, f"2: {after.id} and INC-{holder} are live in one group"
        elif self.live.get(after.group_key) == after.number:
            del self.live[after.group_key]

    def _who_has_it(self, known: _Known, before: Incident | None, after: Incident) -> None:
        """Remember the step up to which pages were made before somebody took it."""
        if after.state is not State.ACKNOWLEDGED:
            known.held_since_step = None
        elif before is None or before.state is not State.ACKNOWLEDGED:
            known.held_since_step = after.steps if before is None else before.steps

    def _replays(self, known: _Known) -> None:
        if known.entries is None:
            return
        assert [d.incident.version for d in known.entries] == list(range(1, len(known.entries) + 1)), "7: one entry for each change"
        told = [orjson.loads(codec.history_payload(d)) for d in known.entries]
        assert codec.IncidentReader().replay(told) == known.incident, f"7: {known.incident.id} is not what its history adds up to"

    # --- pages ---

    def begins(self, page: Page, incident: Incident, now: int) -> None:
        """Look at an attempt that begins: the incident as it is now, and the page in it."""
        known = self.known[incident.number]
        assert known.incident is incident, "5: the attempt begins from what it no longer is"
        assert page.status is PageStatus.PENDING, "5: only what is wanted is sent"
        assert page.due_at <= now, "6: no attempt is early"
        assert incident.state is not State.CLOSED, "5: what is closed sends nothing"
        if page.kind is PageKind.UPDATE:
            return
        if incident.state is State.RESOLVED:
            assert page.kind is PageKind.RESOLVED, "5: what is over only says so"
        if known.held_since_step is not None and incident.plan.ladder.until != "resolved" and page.kind in URGENT:
            assert page.step >= known.held_since_step, f"5: {page.id} begins after it was acknowledged"

    def may_have_arrived(self, page: Page) -> None:
        """Count a copy that a provider took, or may have taken."""
        self.copies[page.id] = copies = self.copies.get(page.id, 0) + 1
        assert copies <= AMBIGUOUS_MAX, f"5: {copies} copies of {page.id}"

    # --- alerts ---

    def reported(self, alerts: Iterable[Alert], book: AlertBook, now: int) -> None:
        """Look at where alerts that were just taken have ended up."""
        for alert in alerts:
            ref = book.alerts.get(alert.key)
            if ref is None:
                assert alert.status is AlertStatus.RESOLVED, "1: an alert that fires belongs to an incident"
                continue
            incident = book.incidents.get(ref.number)
            assert incident is not None, "1: an alert belongs to an incident that there is"
            if alert.status is AlertStatus.FIRING and ref.firing:
                is_late = now - (incident.resolved_at or 0) > incident.plan.resolve_after_ms
                assert incident.is_live or not is_late, "1: an alert that fires on is not left with what is over"

    def late_news(self, alerts: Sequence[Alert], book: AlertBook, now: int, report: Callable[[], object]) -> None:
        """Look at a report of alerts that have cleared a moment ago, from before their last beginning: it opens nothing again."""
        refs = [book.alerts.get(alert.key) for alert in alerts]
        before = {ref.number: book.incidents[ref.number] for ref in refs if ref is not None and ref.number in book.incidents}
        is_late = all(
            ref is not None and not ref.firing and alert.starts_at < ref.starts_at and now - ref.cleared_at < LATE_MS
            for alert, ref in zip(alerts, refs, strict=True)
        )
        report()
        if is_late:
            for number, incident in before.items():
                assert book.incidents[number] is incident, f"1: late news changed {incident.id}"

    # --- every quiet moment ---

    def quiet(self, book: AlertBook, now: int, *, unanswered: Collection[str]) -> None:
        """Look at the whole world when everything that was due has been done; `unanswered`: pages whose provider has not answered yet."""
        assert book.incidents.keys() == self.known.keys(), "7: what is kept is what was decided"
        firing: dict[int, int] = {}
        resolved: dict[int, int] = {}
        for key, ref in book.alerts.items():
            assert ref.number in book.incidents, f"1: {key} belongs to an incident that is gone"
            counts = firing if ref.firing else resolved
            counts[ref.number] = counts.get(ref.number, 0) + 1
        for number, known in self.known.items():
            incident = known.incident
            assert book.incidents[number] is incident, "7: the book knows the incident as it was decided"
            assert incident.due_at is None or incident.due_at > now, f"4: the timer of {incident.id} has been due since {incident.due_at}"
            for page in incident.pages:
                if page.status is PageStatus.PENDING and page.id not in unanswered:
                    assert page.due_at > now, f"4: {page.id} has been due since {page.due_at}"
            if incident.is_live and number not in book.deferred and incident.source == "alerts":
                assert incident.firing == firing.get(number, 0), f"1: {incident.id} counts {incident.firing}"
                assert incident.resolved == resolved.get(number, 0), f"1: {incident.id} counts {incident.resolved} resolved"
