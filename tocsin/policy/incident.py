"""The one place where an incident changes: `open_incident` makes it, `decide` changes it.

Two rules hold this file together. Everything that changes an incident is here, for every writer: the correlator (alerts), the notifier
(timers, what came of pages) and the console (people). And nothing here reads a clock or the outside: `now` and `rules` are arguments, what
follows (timer, pages, history) is read off the incident that comes out.

Read `TRANSITIONS` first: state and event give the function that decides. A pair that a person may try and the state does not allow is
REFUSED; one that can only be late news is IGNORED. Every decision has a named reason and the inputs that mattered.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import assert_never

from tocsin.policy import events as ev
from tocsin.policy import ladder
from tocsin.policy.ladder import AMBIGUOUS_MAX, Due
from tocsin.policy.model import LOW, Incident, Page, PageKind, PageStatus, State, evolve
from tocsin.policy.rules import EMERGENCY_PERSON, Rules

NOT_PURSUED = (PageKind.RESOLVED, PageKind.TEST)
"""Kinds that are given up after a few failures, without another contact."""

TEST_LASTS_MS = 5 * 60_000
"""How long a test's page is tried, before it counts as clear and resolves as its service does."""

TEST_SOURCE = "test"
"""`source` of an incident that only tests a contact."""


class Reason(enum.StrEnum):
    """Why an incident changed, or did not."""

    OPENED = "opened"
    OPENED_BY_PERSON = "opened_by_person"
    TEST_REQUESTED = "test_requested"
    ALERTS_JOINED = "alerts_joined"
    ALERTS_CLEARED = "alerts_cleared"
    ALL_CLEAR = "all_clear"
    FIRED_AGAIN = "fired_again"
    REOPENED_BY_ALERTS = "reopened_by_alerts"
    SEVERITY_RAISED = "severity_raised"
    SEVERITY_LOWERED = "severity_lowered"
    RUNG_DUE = "rung_due"
    RUNG_SKIPPED = "rung_skipped"
    NOBODY_TO_PAGE = "nobody_to_page"
    LAST_RUNG_REPEATED = "last_rung_repeated"
    REMINDED = "reminded"
    ACKNOWLEDGEMENT_ENDED = "acknowledgement_ended"
    SNOOZE_ENDED = "snooze_ended"
    RESOLVED_BY_ALERTS = "resolved_by_alerts"
    CLOSED = "closed"
    PAGE_SENT = "page_sent"
    PAGE_REFUSED = "page_refused"
    PAGE_RETRIED = "page_retried"
    PAGE_GIVEN_UP = "page_given_up"
    PERSON_UNREACHED = "person_unreached"
    ACKNOWLEDGED = "acknowledged"
    ACKNOWLEDGEMENT_EXTENDED = "acknowledgement_extended"
    RESOLVED_BY_PERSON = "resolved_by_person"
    REOPENED_BY_PERSON = "reopened_by_person"
    SNOOZED = "snoozed"
    ASSIGNED = "assigned"
    NOTED = "noted"
    ALREADY_SO = "already_so"
    IGNORED = "ignored"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Decision:
    """What an event makes of an incident. `incident` is `before` itself when nothing changes.

    The timer is `incident.due_at`; the pages to hand over or to withdraw are the difference between `before` and `incident`
    (`outbox_changes`).
    """

    before: Incident | None
    incident: Incident
    reason: Reason
    actor: str
    event: str
    inputs: Mapping[str, object]

    @property
    def changed(self) -> bool:
        """Whether there is anything to commit."""
        return self.incident is not self.before

    @property
    def refused(self) -> bool:
        """Whether the state does not allow what a person asked for."""
        return self.reason is Reason.REFUSED


@dataclass(frozen=True, slots=True)
class OutboxChanges:
    """Pages to put before the notifier (id -> when the next attempt may begin) and pages to withdraw."""

    due: Mapping[str, int]
    withdrawn: tuple[str, ...]


Result = tuple[Incident, Reason, Mapping[str, object]]
Handler = Callable[[Incident, ev.Event, int, Rules], Result]


def decide(incident: Incident, event: ev.Event, now: int, rules: Rules) -> Decision:
    """Return what an event makes of an incident.

    `now` is ms UTC; an instant before the incident's last change counts as that change, so time never runs backwards for an incident.
    """
    now = max(now, incident.changed_at)
    handler = TRANSITIONS[incident.state, type(event)]
    after, reason, inputs = handler(incident, event, now, rules)
    return _decision(incident, after, reason, inputs, event, now)


def open_incident(event: ev.Opening, now: int, rules: Rules) -> Decision:
    """Return a new incident and its first rung's pages. The service must exist in `rules`."""
    service = rules.service_named(event.service)
    assert service is not None, f"no service {event.service}"
    plan = service.plan
    fresh = Incident(
        number=event.number,
        version=0,
        group_key=event.group_key,
        service=event.service,
        title=event.title,
        state=State.OPEN,
        severity=LOW,
        labels={},
        plan=plan,
        rules_version=rules.version,
        opened_at=now,
        changed_at=now,
        triggered_at=now,
    )
    inputs: dict[str, object] = {"service": service.name, "ladder": plan.ladder.name}
    match event:
        case ev.OpenedByAlerts(labels=labels, firing=firing):
            reason, hold_until = Reason.OPENED, now + plan.wait_ms if plan.wait_ms else None
            fresh = evolve(fresh, severity=_worst(firing), labels=labels, firing=sum(firing), hold_until=hold_until)
        case ev.OpenedByPerson(severity=severity, requester=requester, text=text):
            reason = Reason.OPENED_BY_PERSON
            fresh = evolve(fresh, severity=severity, severity_pinned=True, source="person", requester=requester, text=text)
        case ev.TestRequested(person=person, contact=contact):
            # Nothing fires: it is clear from the start, so it pages nobody else and resolves by itself.
            fresh = evolve(fresh, severity_pinned=True, source=TEST_SOURCE, clear_since=now + TEST_LASTS_MS)
            fresh = ladder.page(fresh, [person], now, rules, kind=PageKind.TEST)
            fresh = evolve(fresh, pages=tuple(replace(p, due_at=now) for p in fresh.pages if p.contact == contact))
            return _decision(None, fresh, Reason.TEST_REQUESTED, inputs | {"paged": (person,), "contact": contact}, event, now)
        case _:
            assert_never(event)
    climbed = ladder.climb(fresh, now, rules)
    return _decision(None, climbed.incident, reason, {"severity": fresh.severity} | inputs | _climb_inputs(climbed), event, now)


def outbox_changes(before: Incident | None, after: Incident) -> OutboxChanges:
    """Return which pages of an incident become due, at a new time or at all, and which are withdrawn or settled."""
    if before is not None and before.pages is after.pages:
        return OutboxChanges({}, ())
    old = {p.id: p.due_at for p in before.pages if p.status is PageStatus.PENDING} if before is not None else {}
    new = {p.id: p.due_at for p in after.pages if p.status is PageStatus.PENDING}
    due = {page_id: at for page_id, at in new.items() if old.get(page_id) != at}
    return OutboxChanges(due, tuple(page_id for page_id in old if page_id not in new))


def _decision(before: Incident | None, after: Incident, reason: Reason, inputs: Mapping[str, object], event: object, now: int) -> Decision:
    if after is not before:
        # Nobody has seen `after` yet, so it is stamped in place: a second copy of forty fields cost as much as the decision.
        found = ladder.agenda(after)
        object.__setattr__(after, "version", 1 if before is None else before.version + 1)
        object.__setattr__(after, "changed_at", now)
        object.__setattr__(after, "due_at", None if found is None else found[0])
    return Decision(before, after, reason, getattr(event, "actor", ""), type(event).__name__, inputs)


def _worst(firing: tuple[int, int, int, int]) -> int:
    return next((level for level, count in enumerate(firing, 1) if count), LOW)


def _climb_inputs(climbed: ladder.Climbed) -> dict[str, object]:
    found: dict[str, object] = {"rungs": climbed.rungs, "paged": climbed.people}
    if climbed.empty_roles:
        found["nobody_in"] = climbed.empty_roles
    if climbed.skipped_roles:
        found["already_paged"] = climbed.skipped_roles
    if climbed.last_resort:
        found["last_resort"] = True
    return found


# --- alerts ------------------------------------------------------------------------------------------------------------------------


def _alerts_changed(incident: Incident, event: ev.AlertsChanged, now: int, rules: Rules) -> Result:
    firing = sum(event.firing)
    inputs: dict[str, object] = {"firing": firing, "resolved": event.resolved}
    inputs |= {name: n for name in ("joined", "refired", "cleared") if (n := getattr(event, name))}
    if event.cleared:
        inputs["how"] = event.how
    after = evolve(incident, firing=firing, resolved=event.resolved, labels=event.labels)
    if firing == 0:
        if incident.clear_since is not None:
            return after, Reason.ALERTS_CLEARED, inputs
        return ladder.postpone_untried(evolve(after, clear_since=now), now), Reason.ALL_CLEAR, inputs
    reason = Reason.ALERTS_JOINED if event.joined or event.refired else Reason.ALERTS_CLEARED
    if incident.clear_since is not None:
        after = ladder.bring_back(evolve(after, clear_since=None, flaps=incident.flaps + 1), now, rules)
        reason = Reason.FIRED_AGAIN
    level = _worst(event.firing)
    # What a person set gives way only to alerts that fire anew: the others were there when it was set.
    if level != after.severity and (not after.severity_pinned or (level < after.severity and bool(event.joined or event.refired))):
        return _change_severity(after, level, now, rules, inputs)
    if reason is Reason.FIRED_AGAIN and after.state is State.OPEN and not _is_held(after):
        climbed = ladder.climb(after, now, rules)
        return climbed.incident, reason, inputs | _climb_inputs(climbed)
    return after, reason, inputs


def _alerts_after_resolve(incident: Incident, event: ev.AlertsChanged, now: int, rules: Rules) -> Result:
    firing = sum(event.firing)
    after = evolve(incident, firing=firing, resolved=event.resolved, labels=event.labels)
    inputs: dict[str, object] = {"firing": firing, "resolved": event.resolved}
    if firing == 0 or not (event.joined or event.refired):
        return after, Reason.ALERTS_CLEARED, inputs
    level = _worst(event.firing)
    if level < incident.severity or not incident.severity_pinned:
        after = evolve(after, severity=level)
    settled_ms = now - (incident.resolved_at or now)
    flapping = incident.flaps > 0 and settled_ms < incident.plan.reopen_within_ms
    return _reopen(after, now, rules, Reason.REOPENED_BY_ALERTS, inputs, settle=flapping)


def _change_severity(incident: Incident, level: int, now: int, rules: Rules, inputs: dict[str, object]) -> Result:
    """Raise: the new severity's clock starts now. Fall: the new table counts from the opening (or reopening).

    Who was paged is not paged again, unless the raise ends a snooze or finds a holder who cannot be paged: then nobody else would hear.
    """
    inputs |= {"from": incident.severity, "to": level}
    raised = level < incident.severity
    reason = Reason.SEVERITY_RAISED if raised else Reason.SEVERITY_LOWERED
    holder = incident.acknowledged_by
    is_held = incident.state is State.ACKNOWLEDGED
    is_heard = ladder.can_be_paged(holder, rules) if is_held else incident.snoozed_until is None
    after = evolve(
        incident,
        severity=level,
        triggered_at=now if raised else incident.reopened_at or incident.opened_at,
        next_rung=0,
        skip_roles=() if raised and not is_heard else incident.told_roles,
        snoozed_until=None if raised else incident.snoozed_until,
    )
    if is_held:
        if raised:
            for_ms = after.plan.ladder.acknowledged_for_ms[level - 1] if is_heard else 0
            until = min(incident.acknowledged_until or now, now + for_ms)
            after = evolve(after, acknowledged_until=until, reminded=_is_near_end(incident, until, now))
            if holder is not None and is_heard:
                after = ladder.page(after, [holder], now, rules, kind=PageKind.PAGE)
                inputs["paged"] = (holder,)
        return after, reason, inputs
    if _is_held(after) or after.clear_since is not None:
        return after, reason, inputs
    climbed = ladder.climb(after, now, rules)
    return climbed.incident, reason, inputs | _climb_inputs(climbed)


def _is_held(incident: Incident) -> bool:
    return incident.snoozed_until is not None or incident.suppressed is not None


def _is_near_end(incident: Incident, until: int, now: int) -> bool:
    """Whether an acknowledgement that is given now ends before a reminder of it would make sense."""
    return until - now <= incident.plan.ladder.remind_before_end_ms


def _reopen(incident: Incident, now: int, rules: Rules, reason: Reason, inputs: dict[str, object], *, settle: bool) -> Result:
    """Open a resolved incident again: a holder whose acknowledgement still runs keeps it, otherwise the ladder starts from its foot.

    A holder who cannot be paged would not hear of it and does not keep it.

    `settle` holds the ladder for the settle window, because the last flap has just been paged.
    """
    after = ladder.cancel_pages(incident, now, "reopened")
    after = replace(
        after,
        resolved_at=None,
        resolved_by=None,
        clear_since=None,
        flaps=incident.flaps + 1,
        reopened_at=now,
        triggered_at=now,
        next_rung=0,
        last_rung_at=None,
        told_roles=(),
        skip_roles=(),
        snoozed_until=None,
        hold_until=now + incident.plan.settle_ms if settle else None,
    )
    holder = incident.acknowledged_by
    if holder is not None and (incident.acknowledged_until or 0) > now and ladder.can_be_paged(holder, rules):
        after = evolve(after, state=State.ACKNOWLEDGED)
        if not settle:
            after = ladder.page(after, [holder], now, rules, kind=PageKind.REOPENED)
            inputs["paged"] = (holder,)
        return after, reason, inputs | {"kept_by": holder}
    after = evolve(after, state=State.OPEN, acknowledged_at=None, acknowledged_by=None, acknowledged_until=None, reminded=False)
    if settle:
        return after, reason, inputs | {"settle_ms": incident.plan.settle_ms}
    climbed = ladder.climb(after, now, rules, kind=PageKind.REOPENED)
    return climbed.incident, reason, inputs | _climb_inputs(climbed)


# --- time --------------------------------------------------------------------------------------------------------------------------


def _timer_due(incident: Incident, event: ev.Event, now: int, rules: Rules) -> Result:
    """Do the one thing that is due; what else is due comes with the next timer, which is then already due."""
    found = ladder.agenda(incident)
    if found is None or found[0] > now:
        return incident, Reason.IGNORED, {"due_at": None if found is None else found[0]}
    at, due = found
    if due is Due.REMIND and now >= (incident.acknowledged_until or now):
        at, due = incident.acknowledged_until or now, Due.ACKNOWLEDGEMENT_END  # the reminder comes too late to be one
    match due:
        case Due.RUNG:
            climbed = ladder.climb(incident, now, rules)
            return climbed.incident, _climb_reason(climbed), _climb_inputs(climbed) | {"late_ms": now - at}
        case Due.REPEAT:
            climbed = ladder.repeat_last(incident, now, rules)
            reason = Reason.LAST_RUNG_REPEATED if climbed.people else Reason.NOBODY_TO_PAGE
            return climbed.incident, reason, _climb_inputs(climbed) | {"late_ms": now - at}
        case Due.REMIND:
            holder = incident.acknowledged_by
            after = evolve(incident, reminded=True)
            people = [holder] if holder is not None and ladder.can_be_paged(holder, rules) else []
            after = ladder.page(after, people, now, rules, kind=PageKind.REMINDER)
            return after, Reason.REMINDED, {"paged": tuple(people), "until": incident.acknowledged_until}
        case Due.ACKNOWLEDGEMENT_END:
            keep = {p.id for p in incident.pages if p.kind is not PageKind.REMINDER}
            after = ladder.cancel_pages(incident, now, "acknowledgement ended", keep=keep)
            after = evolve(after, state=State.OPEN, acknowledged_at=None, acknowledged_by=None, acknowledged_until=None, reminded=False)
            if after.snoozed_until is not None and after.snoozed_until <= at:
                after = evolve(after, snoozed_until=None)
            return _go_on(after, at, now, rules, Reason.ACKNOWLEDGEMENT_ENDED, {"held_by": incident.acknowledged_by})
        case Due.SNOOZE_END:
            return _go_on(evolve(incident, snoozed_until=None), at, now, rules, Reason.SNOOZE_ENDED, {})
        case Due.RESOLVE:
            return _resolve(incident, now, "monitoring", Reason.RESOLVED_BY_ALERTS, {"clear_since": incident.clear_since})
        case Due.CLOSE:
            after = ladder.cancel_pages(incident, now, "closed")
            return evolve(after, state=State.CLOSED, closed_at=now), Reason.CLOSED, {}


def _climb_reason(climbed: ladder.Climbed) -> Reason:
    if climbed.people:
        return Reason.RUNG_DUE
    return Reason.RUNG_SKIPPED if climbed.skipped_roles else Reason.NOBODY_TO_PAGE


def _go_on(incident: Incident, at: int, now: int, rules: Rules, reason: Reason, inputs: dict[str, object]) -> Result:
    if _is_held(incident):
        return incident, reason, inputs
    resumed = ladder.resume(incident, at)
    if ladder.rung_due_at(resumed, resumed.next_rung) is None and resumed.rungs:
        climbed = ladder.repeat_last(resumed, now, rules)
    else:
        climbed = ladder.climb(resumed, now, rules)
    return climbed.incident, reason, inputs | _climb_inputs(climbed)


def _resolve(incident: Incident, now: int, by: str, reason: Reason, inputs: dict[str, object]) -> Result:
    """Resolve, withdraw what was not sent, and tell those whose page went out (not the person who resolved it)."""
    after = ladder.cancel_pages(incident, now, "resolved")
    after = replace(
        after,
        state=State.RESOLVED,
        resolved_at=now,
        resolved_by=by,
        clear_since=None,
        snoozed_until=None,
        hold_until=None,
    )
    after, told = ladder.tell_resolved(after, by, now)
    return after, reason, inputs | {"told": told}


# --- pages -------------------------------------------------------------------------------------------------------------------------


def _find(incident: Incident, page_id: str) -> Page | None:
    return next((p for p in incident.pages if p.id == page_id), None)


def _page_sent(incident: Incident, event: ev.PageSent, now: int, rules: Rules) -> Result:
    page = _find(incident, event.page_id)
    if page is None or page.status not in (PageStatus.PENDING, PageStatus.CANCELLED):
        return incident, Reason.IGNORED, {"page": event.page_id}
    # A page that was withdrawn while its send was under way did go out: the record says so.
    sent = replace(page, status=PageStatus.SENT, attempts=page.attempts + 1, settled_at=now, receipt=event.receipt)
    inputs = {"page": page.id, "attempt": sent.attempts, "late_ms": max(0, now - page.due_at)}
    after = ladder.with_page(incident, sent)
    if incident.state is State.RESOLVED and page.status is PageStatus.CANCELLED:
        after, _ = ladder.tell_resolved(after, incident.resolved_by or "", now)
    return after, Reason.PAGE_SENT, inputs


def _page_refused(incident: Incident, event: ev.PageRefused, now: int, rules: Rules) -> Result:
    page = _find(incident, event.page_id)
    if page is None or page.status is not PageStatus.PENDING:
        return incident, Reason.IGNORED, {"page": event.page_id}
    failed = replace(page, status=PageStatus.FAILED, attempts=page.attempts + 1, settled_at=now, reason=event.why)
    inputs = {"page": page.id, "attempt": failed.attempts, "why": event.why}
    return _after_failure(ladder.with_page(incident, failed), failed, now, rules, Reason.PAGE_REFUSED, inputs)


def _page_unreachable(incident: Incident, event: ev.PageUnreachable, now: int, rules: Rules) -> Result:
    page = _find(incident, event.page_id)
    if page is None or page.status is not PageStatus.PENDING or 0 < event.attempt <= page.attempts:
        return incident, Reason.IGNORED, {"page": event.page_id}
    attempts, ambiguous = page.attempts + 1, page.ambiguous + event.ambiguous
    inputs = {"page": page.id, "attempt": attempts, "why": event.why, "ambiguous": event.ambiguous}
    give_up = ambiguous >= AMBIGUOUS_MAX or (page.kind in NOT_PURSUED and attempts >= ladder.FAILING_AFTER)
    if give_up:
        failed = replace(page, status=PageStatus.FAILED, attempts=attempts, ambiguous=ambiguous, settled_at=now, reason=event.why)
        return _after_failure(ladder.with_page(incident, failed), failed, now, rules, Reason.PAGE_GIVEN_UP, inputs)
    wait_ms = max(ladder.backoff_ms(page.id, attempts), event.retry_after_ms)
    again = replace(page, attempts=attempts, ambiguous=ambiguous, due_at=now + wait_ms, reason=event.why)
    after = ladder.with_page(incident, again)
    inputs["wait_ms"] = wait_ms
    if ladder.is_failing(again, now):
        return _after_failure(after, again, now, rules, Reason.PAGE_RETRIED, inputs)
    return after, Reason.PAGE_RETRIED, inputs


def _after_failure(incident: Incident, page: Page, now: int, rules: Rules, reason: Reason, inputs: dict[str, object]) -> Result:
    """The person's next contact at once; when the whole step reaches nobody, the next rung at once."""
    if page.kind in NOT_PURSUED:
        return incident, reason, inputs
    after, nobody = ladder.fall_back(incident, page, now)
    highest = max((p.rung for p in after.pages if p.step == page.step and p.rung is not None), default=-1)
    if not nobody or page.rung is None or after.state is not State.OPEN or highest < after.next_rung - 1:
        return after, reason, inputs
    if ladder.rung_due_at(after, after.next_rung) is None:
        return _last_hope(after, page, now, rules, inputs)
    climbed = ladder.climb(after, now, rules, at_once=True)
    return climbed.incident, Reason.PERSON_UNREACHED, inputs | _climb_inputs(climbed)


def _last_hope(incident: Incident, page: Page, now: int, rules: Rules, inputs: dict[str, object]) -> Result:
    """The ladder is exhausted and its last step reaches nobody: the emergency contacts, once in a step; the repeat goes on by its timer."""
    step = {p.person for p in incident.pages if p.step >= page.step}
    if EMERGENCY_PERSON in step or not rules.emergency.to:
        return incident, Reason.PERSON_UNREACHED, inputs | {"paged": ()}
    wanted: dict[str, tuple[int | None, str, int]] = {EMERGENCY_PERSON: (page.rung, EMERGENCY_PERSON, now)}
    after = ladder.page(incident, wanted, now, rules, kind=PageKind.PAGE)
    return after, Reason.PERSON_UNREACHED, inputs | {"paged": tuple(wanted)}


# --- people ------------------------------------------------------------------------------------------------------------------------


def _acknowledge(incident: Incident, event: ev.Acknowledged, now: int, rules: Rules) -> Result:
    until = now + (event.for_ms if event.for_ms is not None else incident.plan.ladder.acknowledged_for_ms[incident.severity - 1])
    inputs: dict[str, object] = {"until": until, "via": event.via} | ({"note": event.note} if event.note else {})
    if incident.state is State.ACKNOWLEDGED:
        return _extend(incident, event, until, now, inputs)
    after = ladder.cancel_pages(incident, now, f"acknowledged by {event.actor}", keep=ladder.owed_pages(incident, event.actor))
    after = replace(
        after,
        state=State.ACKNOWLEDGED,
        acknowledged_at=now,
        acknowledged_by=event.actor,
        acknowledged_until=until,
        reminded=_is_near_end(incident, until, now),
        snoozed_until=None,
        assignee=event.actor,
    )
    return after, Reason.ACKNOWLEDGED, inputs


def _extend(incident: Incident, event: ev.Acknowledged, until: int, now: int, inputs: dict[str, object]) -> Result:
    """Acting twice is the same answer again; near the end, or with a time of its own, it moves the end."""
    end = incident.acknowledged_until or now
    ending = end - now <= incident.plan.ladder.remind_before_end_ms
    asked = event.for_ms is not None and event.actor == incident.acknowledged_by and abs(until - end) >= 60_000
    if not (asked or (ending and until > end)):
        return incident, Reason.ALREADY_SO, {"acknowledged_by": incident.acknowledged_by}
    after = ladder.cancel_pages(incident, now, f"acknowledged by {event.actor}", keep=ladder.owed_pages(incident, event.actor))
    reminded = _is_near_end(incident, until, now)
    after = evolve(after, acknowledged_by=event.actor, acknowledged_until=until, reminded=reminded, assignee=event.actor)
    return after, Reason.ACKNOWLEDGEMENT_EXTENDED, inputs


def _resolve_by_person(incident: Incident, event: ev.Resolved, now: int, rules: Rules) -> Result:
    inputs: dict[str, object] = {"via": event.via, "firing": incident.firing} | ({"note": event.note} if event.note else {})
    return _resolve(incident, now, event.actor, Reason.RESOLVED_BY_PERSON, inputs)


def _reopen_by_person(incident: Incident, event: ev.Reopened, now: int, rules: Rules) -> Result:
    inputs: dict[str, object] = {"via": event.via}
    if event.note:
        inputs["note"] = event.note
    return _reopen(incident, now, rules, Reason.REOPENED_BY_PERSON, inputs, settle=False)


def _snooze(incident: Incident, event: ev.Snoozed, now: int, rules: Rules) -> Result:
    until = now + event.for_ms
    inputs: dict[str, object] = {"until": until, "via": event.via}
    if incident.state is State.ACKNOWLEDGED:
        # A ladder until resolved goes on while it is acknowledged, so it is held as well.
        snoozed = until if incident.plan.ladder.until == "resolved" else None
        after = evolve(incident, acknowledged_until=until, reminded=_is_near_end(incident, until, now), snoozed_until=snoozed)
        return after, Reason.SNOOZED, inputs
    after = ladder.cancel_pages(incident, now, f"snoozed by {event.actor}")
    return evolve(after, snoozed_until=until), Reason.SNOOZED, inputs


def _assign(incident: Incident, event: ev.Assigned, now: int, rules: Rules) -> Result:
    if incident.assignee == event.to:
        return incident, Reason.ALREADY_SO, {"assignee": event.to}
    after = evolve(incident, assignee=event.to)
    if incident.state is State.ACKNOWLEDGED and event.to == event.actor:
        # Who takes it over is who is reminded and, at a reopening, asked.
        after = evolve(after, acknowledged_by=event.actor)
    if event.to in rules.people and event.to != event.actor:
        after = ladder.page(after, [event.to], now, rules, kind=PageKind.PAGE)
    return after, Reason.ASSIGNED, {"to": event.to, "via": event.via}


def _note(incident: Incident, event: ev.Noted, now: int, rules: Rules) -> Result:
    return evolve(incident), Reason.NOTED, {"text": event.text, "public": event.public, "via": event.via}


def _set_severity(incident: Incident, event: ev.SeveritySet, now: int, rules: Rules) -> Result:
    if event.level == incident.severity:
        return incident, Reason.ALREADY_SO, {"severity": incident.severity}
    inputs: dict[str, object] = {"via": event.via}
    if event.why:
        inputs["why"] = event.why
    return _change_severity(evolve(incident, severity_pinned=True), event.level, now, rules, inputs)


# --- the table ---------------------------------------------------------------------------------------------------------------------


def _already_so(incident: Incident, event: ev.Event, now: int, rules: Rules) -> Result:
    return incident, Reason.ALREADY_SO, {"state": incident.state}


def _ignored(incident: Incident, event: ev.Event, now: int, rules: Rules) -> Result:
    return incident, Reason.IGNORED, {"state": incident.state}


def _refused(incident: Incident, event: ev.Event, now: int, rules: Rules) -> Result:
    return incident, Reason.REFUSED, {"state": incident.state}


def _row(open_: object, acknowledged: object, resolved: object, closed: object) -> dict[State, Handler]:
    return dict(zip(State, (open_, acknowledged, resolved, closed), strict=True))  # type: ignore[arg-type]


_ROWS: dict[type[ev.Event], dict[State, Handler]] = {
    # event                 open                acknowledged        resolved               closed
    ev.AlertsChanged: _row(_alerts_changed, _alerts_changed, _alerts_after_resolve, _ignored),
    ev.TimerDue: _row(_timer_due, _timer_due, _timer_due, _ignored),
    ev.PageSent: _row(_page_sent, _page_sent, _page_sent, _page_sent),
    ev.PageRefused: _row(_page_refused, _page_refused, _page_refused, _ignored),
    ev.PageUnreachable: _row(_page_unreachable, _page_unreachable, _page_unreachable, _ignored),
    ev.Acknowledged: _row(_acknowledge, _acknowledge, _refused, _refused),
    ev.Resolved: _row(_resolve_by_person, _resolve_by_person, _already_so, _refused),
    ev.Reopened: _row(_already_so, _already_so, _reopen_by_person, _refused),
    ev.Snoozed: _row(_snooze, _snooze, _refused, _refused),
    ev.Assigned: _row(_assign, _assign, _refused, _refused),
    ev.Noted: _row(_note, _note, _note, _note),
    ev.SeveritySet: _row(_set_severity, _set_severity, _refused, _refused),
}

TRANSITIONS: dict[tuple[State, type[ev.Event]], Handler] = {
    (state, event): handler for event, row in _ROWS.items() for state, handler in row.items()
}
"""What happens for every state and event; total, which a test checks."""
