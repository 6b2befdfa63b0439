"""The one place where an incident changes: `open_incident` makes it, `decide` changes it.

Two rules hold this file together. Everything that changes an incident is decided here, for every writer: the correlator (alerts), the
notifier (timers; what came of pages, in `delivery.py`) and the console (people). And nothing here reads a clock or the outside: `now` and
`rules` are arguments, what follows (timer, pages, history) is read off the incident that comes out.

Read `TRANSITIONS` first: state and event give the function that decides. A pair that a person may try and the state does not allow is
REFUSED; one that can only be late news is IGNORED. Every decision has a named reason and the inputs that mattered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from tocsin.policy import delivery, ladder, quiet
from tocsin.policy import events as ev
from tocsin.policy.decision import Decision, Handler, OutboxChanges, Reason, Result, decided, outbox_changes
from tocsin.policy.ladder import Due
from tocsin.policy.model import LOW, Incident, PageKind, State, evolve
from tocsin.policy.rules import Rules

__all__ = ["TRANSITIONS", "Decision", "OutboxChanges", "Reason", "decide", "open_incident", "outbox_changes"]

TEST_LASTS_MS = 5 * 60_000
"""How long a test's page is tried, before it counts as clear and resolves as its service does."""

TEST_SOURCE = "test"
"""`source` of an incident that only tests a contact."""

DRILL_SOURCE = "drill"
"""`source` of an incident that only shows the ladder at work."""

DRILL_TITLE = "DRILL: "
"""How the title of a drill begins, so that nobody takes it for the real thing."""

DRILL_AFTER_LAST_RUNG_MS = 10 * 60_000
"""How long after its last rung a drill ends by itself."""

NOTICE_LASTS_MS = 3_600_000
"""How long a notice is tried, before it ends by itself."""


def decide(incident: Incident, event: ev.Event, now: int, rules: Rules) -> Decision:
    """Return what an event makes of an incident.

    `now` is ms UTC; an instant before the incident's last change counts as that change, so time never runs backwards for an incident.
    """
    now = max(now, incident.changed_at)
    handler = TRANSITIONS[incident.state, type(event)]
    after, reason, inputs = handler(incident, event, now, rules)
    if after is not incident and after.state is not State.CLOSED and _in_whose_hands(after) != _in_whose_hands(incident):
        after = delivery.update_edited(after, now, rules)
    return _finished(incident, after, reason, inputs, event, now, rules)


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
            return _finished(None, fresh, Reason.TEST_REQUESTED, inputs | {"paged": (person,), "contact": contact}, event, now, rules)
        case ev.PersonTold():
            fresh, told = _notice(fresh, event, now, rules)
            return _finished(None, fresh, Reason.PERSON_TOLD, inputs | told, event, now, rules)
        case ev.DrillRequested(severity=severity):
            reason = Reason.DRILL_REQUESTED
            fresh = _drill(fresh, severity, now)
        case _:
            assert_never(event)
    climbed = ladder.climb(fresh, now, rules)
    return _finished(None, climbed.incident, reason, {"severity": fresh.severity} | inputs | climbed.inputs(), event, now, rules)


def _finished(
    before: Incident | None, after: Incident, reason: Reason, inputs: Mapping[str, object], event: object, now: int, rules: Rules
) -> Decision:
    """Respect who wants quiet, and stamp."""
    after, held = quiet.hold(before, after, now, rules)
    return decided(before, after, reason, {**inputs, **held} if held else inputs, event, now)


def _notice(fresh: Incident, event: ev.PersonTold, now: int, rules: Rules) -> tuple[Incident, dict[str, object]]:
    """Page one contact of each person; the others wait until it fails (`ladder.fall_back`), which is their only turn."""
    assert event.kind in delivery.NOTICES, f"a person is not told by a page of kind {event.kind}"
    told = tuple(dict.fromkeys(person for person in event.people if ladder.can_be_paged(person, rules)))
    after = evolve(fresh, severity_pinned=True, source=event.kind.value, text=event.said, ends_at=now + NOTICE_LASTS_MS)
    after = ladder.page(after, told, now, rules, kind=event.kind)
    after = evolve(after, pages=tuple(replace(p, due_at=now if p.contact == 0 else now + NOTICE_LASTS_MS + 1) for p in after.pages))
    left_out = tuple(person for person in event.people if person not in told)
    inputs: dict[str, object] = {"paged": told}
    return after, inputs | ({"cannot_be_paged": left_out} if left_out else {})


def _drill(fresh: Incident, severity: int, now: int) -> Incident:
    title = fresh.title if fresh.title.startswith(DRILL_TITLE) else DRILL_TITLE + fresh.title
    rungs = fresh.plan.ladder.rungs[severity - 1]
    ends_at = now + max((rung.after_ms for rung in rungs), default=0) + DRILL_AFTER_LAST_RUNG_MS
    return evolve(fresh, title=title, severity=severity, severity_pinned=True, source=DRILL_SOURCE, ends_at=ends_at)


def _in_whose_hands(incident: Incident) -> tuple[State, str | None]:
    return incident.state, incident.acknowledged_by


def _worst(firing: tuple[int, int, int, int]) -> int:
    return next((level for level, count in enumerate(firing, 1) if count), LOW)


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
        return climbed.incident, reason, inputs | climbed.inputs()
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
    if raised:
        after = ladder.release_held(after, now, rules)
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
    return climbed.incident, reason, inputs | climbed.inputs()


def _is_held(incident: Incident) -> bool:
    return incident.snoozed_until is not None or incident.suppressed is not None


def _let_go(incident: Incident) -> Incident:
    return evolve(incident, state=State.OPEN, acknowledged_at=None, acknowledged_by=None, acknowledged_until=None, reminded=False)


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
        ends_at=None if incident.ends_at is None else now + incident.ends_at - (incident.reopened_at or incident.opened_at),
    )
    holder = incident.acknowledged_by
    if holder is not None and (incident.acknowledged_until or 0) > now and ladder.can_be_paged(holder, rules):
        after = evolve(after, state=State.ACKNOWLEDGED)
        if not settle:
            after = ladder.page(after, [holder], now, rules, kind=PageKind.REOPENED)
            inputs["paged"] = (holder,)
        return after, reason, inputs | {"kept_by": holder}
    after = _let_go(after)
    if settle:
        return after, reason, inputs | {"settle_ms": incident.plan.settle_ms}
    climbed = ladder.climb(after, now, rules, kind=PageKind.REOPENED)
    return climbed.incident, reason, inputs | climbed.inputs()


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
            return climbed.incident, _climb_reason(climbed), climbed.inputs() | {"late_ms": now - at}
        case Due.REPEAT:
            climbed = ladder.repeat_last(incident, now, rules)
            reason = Reason.LAST_RUNG_REPEATED if climbed.people else Reason.NOBODY_TO_PAGE
            return climbed.incident, reason, climbed.inputs() | {"late_ms": now - at}
        case Due.REMIND:
            holder = incident.acknowledged_by
            after = evolve(incident, reminded=True)
            people = [holder] if holder is not None and ladder.can_be_paged(holder, rules) else []
            after = ladder.page(after, people, now, rules, kind=PageKind.REMINDER)
            return after, Reason.REMINDED, {"paged": tuple(people), "until": incident.acknowledged_until}
        case Due.ACKNOWLEDGEMENT_END:
            keep = {p.id for p in incident.pages if p.kind is not PageKind.REMINDER}
            after = _let_go(ladder.cancel_pages(incident, now, "acknowledgement ended", keep=keep))
            if after.snoozed_until is not None and after.snoozed_until <= at:
                after = evolve(after, snoozed_until=None)
            return _go_on(after, at, now, rules, Reason.ACKNOWLEDGEMENT_ENDED, {"held_by": incident.acknowledged_by})
        case Due.SNOOZE_END:
            return _go_on(evolve(incident, snoozed_until=None), at, now, rules, Reason.SNOOZE_ENDED, {})
        case Due.RECEIPT:
            return delivery.receipt_missing(incident, now, rules)
        case Due.END:
            return _resolve(incident, now, "timer", Reason.ENDED_BY_ITSELF, {"ends_at": at})
        case Due.RESOLVE:
            return _resolve(incident, now, "monitoring", Reason.RESOLVED_BY_ALERTS, {"clear_since": incident.clear_since})
        case Due.CLOSE:
            after = ladder.cancel_pages(incident, now, "closed", updates=True)
            return evolve(after, state=State.CLOSED, closed_at=now), Reason.CLOSED, {}


def _climb_reason(climbed: ladder.Climbed) -> Reason:
    if climbed.people:
        return Reason.RUNG_DUE
    return Reason.RUNG_SKIPPED if climbed.skipped_roles else Reason.NOBODY_TO_PAGE


def _go_on(
    incident: Incident, at: int, now: int, rules: Rules, reason: Reason, inputs: dict[str, object], *, at_once: bool = False
) -> Result:
    if _is_held(incident):
        return incident, reason, inputs
    resumed = ladder.resume(incident, at)
    if ladder.rung_due_at(resumed, resumed.next_rung) is None and resumed.rungs:
        climbed = ladder.repeat_last(resumed, now, rules)
    else:
        climbed = ladder.climb(resumed, now, rules, at_once=at_once)
    return climbed.incident, reason, inputs | climbed.inputs()


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


def _pass_on(incident: Incident, event: ev.PassedOn, now: int, rules: Rules) -> Result:
    """The next rung now, and no more pages to who cannot. What another holds, or what has cleared, needs nobody else.

    A holder who passes it on lets it go. When the ladder is exhausted its last rung is paged again, with the last resort.
    """
    inputs: dict[str, object] = {"via": event.via}
    holder = incident.acknowledged_by
    if incident.state is State.ACKNOWLEDGED and holder != event.actor:
        return incident, Reason.ALREADY_SO, inputs | {"acknowledged_by": holder}
    if incident.clear_since is not None or incident.suppressed is not None:
        return incident, Reason.ALREADY_SO, inputs | {"clear_since": incident.clear_since, "suppressed": incident.suppressed}
    if not incident.rungs:
        return incident, Reason.NOBODY_TO_PAGE, inputs | {"severity": incident.severity}
    others = frozenset(p.id for p in incident.pages if p.person != event.actor and p.kind is not PageKind.REMINDER)
    after = ladder.cancel_pages(incident, now, f"passed on by {event.actor}", keep=others)
    assignee = None if after.assignee == event.actor else after.assignee
    after = evolve(_let_go(after), snoozed_until=None, assignee=assignee)
    return _go_on(after, now, now, rules, Reason.PASSED_ON, inputs, at_once=True)


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
    ev.PageSent: _row(delivery.page_sent, delivery.page_sent, delivery.page_sent, delivery.page_sent),
    ev.PageRefused: _row(delivery.page_refused, delivery.page_refused, delivery.page_refused, _ignored),
    ev.PageUnreachable: _row(delivery.page_unreachable, delivery.page_unreachable, delivery.page_unreachable, _ignored),
    ev.PageHeld: _row(delivery.page_held, delivery.page_held, delivery.page_held, _ignored),
    ev.PageDelivered: _row(delivery.page_delivered, delivery.page_delivered, _ignored, _ignored),
    ev.PageUndelivered: _row(delivery.page_undelivered, delivery.page_undelivered, delivery.page_undelivered, _ignored),
    ev.Acknowledged: _row(_acknowledge, _acknowledge, _refused, _refused),
    ev.Resolved: _row(_resolve_by_person, _resolve_by_person, _already_so, _refused),
    ev.Reopened: _row(_already_so, _already_so, _reopen_by_person, _refused),
    ev.Snoozed: _row(_snooze, _snooze, _refused, _refused),
    ev.Assigned: _row(_assign, _assign, _refused, _refused),
    ev.PassedOn: _row(_pass_on, _pass_on, _refused, _refused),
    ev.Noted: _row(_note, _note, _note, _note),
    ev.SeveritySet: _row(_set_severity, _set_severity, _refused, _refused),
}

TRANSITIONS: dict[tuple[State, type[ev.Event]], Handler] = {
    (state, event): handler for event, row in _ROWS.items() for state, handler in row.items()
}
"""What happens for every state and event; total, which a test checks."""
