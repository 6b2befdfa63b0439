"""The ladder once more, slowly and plainly, from the words of DESIGN part 5: who must have been paged by when. The oracle of a simulation.

`Reference` follows one incident. Of each decision it believes the facts (who has it, whether it fires, its severity, which attempt failed)
and works out for itself which rung is due at which instant and whom it names; what it finds must be what was paged, no earlier, no later
and nobody else. Who holds a role is asked of the calendar, which has a reference of its own.

Sentences, as they are written there:
- The clock starts when the incident opens; delays count from the trigger, without drift; a rung waits for the settle window.
- A raise starts the new severity's clock at the raise; roles already paged are not paged again for the same rung. A lowered severity goes
  on by its own table from the opening.
- A rung that reaches nobody makes the next one due at once; behind the last one the last resort is paged, and if that is nobody, the
  emergency contacts.
- Past the end of an acknowledgement or a snooze the ladder goes on from where it stood: one rung that fell due meanwhile is paged now,
  several come with their own distances.
- After the last rung it is paged again, with the last resort, for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tocsin.policy import oncall
from tocsin.policy.incident import Decision, Reason
from tocsin.policy.model import Incident, Page, PageKind, State
from tocsin.policy.rules import EMERGENCY_PERSON, Rules

Asked = dict[str, tuple[int, str]]
"""Person -> (rung, role)."""

REOPENINGS = (Reason.REOPENED_BY_ALERTS, Reason.REOPENED_BY_PERSON)
CHANGES_OF_SEVERITY = (Reason.SEVERITY_RAISED, Reason.SEVERITY_LOWERED)
TIMERS_OF_THE_LADDER = (Reason.RUNG_DUE, Reason.RUNG_SKIPPED, Reason.NOBODY_TO_PAGE, Reason.LAST_RUNG_REPEATED)
ENDS_OF_A_HOLD = (Reason.ACKNOWLEDGEMENT_ENDED, Reason.SNOOZE_ENDED)


@dataclass
class Reference:
    """Where the ladder of one incident must stand."""

    clock_from: int
    foot_at: int
    not_before: int = 0
    begun: int = 0
    last_at: int | None = None
    paged: list[str] = field(default_factory=list)
    """Roles that were paged since the opening or reopening."""
    free_since: int = 0
    """Since when nothing holds the ladder: what fell due while it was held is done then."""
    spared: list[str] = field(default_factory=list)
    """Roles that a changed severity need not page again, each once."""

    @staticmethod
    def of(opening: Decision, rules: Rules) -> Reference:
        """Begin with the decision that opened the incident."""
        after = opening.incident
        reference = Reference(after.opened_at, after.opened_at)
        if opening.reason is Reason.OPENED and after.plan.wait_ms:
            reference.not_before = after.opened_at + after.plan.wait_ms
        wanted: Asked = {}
        if opening.reason in (Reason.OPENED, Reason.OPENED_BY_PERSON, Reason.DRILL_REQUESTED):
            wanted = reference._climb(after, after.opened_at, rules)
        _same(opening, wanted)
        return reference

    def due_at(self, incident: Incident) -> int | None:
        """Return when the next rung, or the last one again, must begin; None while the ladder is held or has none."""
        if not _climbs(incident) or not incident.rungs:
            return None
        if self.begun < len(incident.rungs):
            return max(self.clock_from + incident.rungs[self.begun].after_ms, self.not_before)
        repeat_ms = incident.plan.ladder.repeat_last_ms
        return None if self.last_at is None or not repeat_ms else self.last_at + repeat_ms

    def follow(self, decision: Decision, rules: Rules, *, overslept_ms: int) -> None:
        """Compare the next decision with what must have come of it; the pager slept for `overslept_ms` until this instant."""
        before, after, now = decision.before, decision.incident, decision.incident.changed_at
        assert before is not None
        due_at = self.due_at(before)
        assert due_at is None or max(due_at, self.free_since) >= now - overslept_ms, (
            f"4: {after.id}: a rung was due at {due_at}, and it is {now}"
        )
        if _climbs(after) and not _climbs(before):
            self.free_since = now
        wanted: Asked = {}
        reason = decision.reason
        if reason in TIMERS_OF_THE_LADDER and decision.event == "TimerDue":
            assert due_at is not None, f"6: {after.id}: the ladder is held, and a rung began"
            assert due_at <= now, f"6: {after.id}: a rung began at {now}, and is due at {due_at}"
            wanted = self._go(after, now, rules)
        elif reason in REOPENINGS:
            wanted = self._reopened(decision, now, rules)
        elif reason in CHANGES_OF_SEVERITY:
            wanted = self._changed_severity(before, after, now, rules)
        elif reason is Reason.FIRED_AGAIN and after.state is State.OPEN and _climbs(after):
            wanted = self._climb(after, now, rules)
        elif reason in ENDS_OF_A_HOLD or reason is Reason.PASSED_ON:
            wanted = self._goes_on(decision, now, rules)
        elif reason is Reason.PERSON_UNREACHED:
            wanted = self._unreached(decision, now, rules)
        _same(decision, wanted)

    # --- what happens ---

    def _reopened(self, decision: Decision, now: int, rules: Rules) -> Asked:
        """An alert that flaps is not paged at each flap: from the second time on it must fire through the settle window."""
        before, after = decision.before, decision.incident
        assert before is not None
        is_recent = now - (before.resolved_at or 0) < before.plan.reopen_within_ms
        settles = decision.reason is Reason.REOPENED_BY_ALERTS and before.flaps > 0 and is_recent
        self.clock_from = self.foot_at = now
        self.not_before = now + after.plan.settle_ms if settles else 0
        self.begun, self.last_at, self.paged, self.spared = 0, None, [], []
        if after.state is State.ACKNOWLEDGED or settles:
            return {}
        return self._climb(after, now, rules)

    def _changed_severity(self, before: Incident, after: Incident, now: int, rules: Rules) -> Asked:
        raised = after.severity < before.severity
        self.clock_from = now if raised else self.foot_at
        self.free_since = now
        self.begun = 0
        heard = _can_be_paged(before.acknowledged_by, rules) if before.state is State.ACKNOWLEDGED else before.snoozed_until is None
        self.spared = [] if raised and not heard else list(self.paged)
        if after.state is State.ACKNOWLEDGED or not _climbs(after):
            return {}
        return self._climb(after, now, rules)

    def _goes_on(self, decision: Decision, now: int, rules: Rules) -> Asked:
        """The ladder was held until `held_to`; which of the rungs that fell due meanwhile are still to page says whether it moves."""
        before, after = decision.before, decision.incident
        assert before is not None
        if not _climbs(after):
            return {}
        held_to = now
        if decision.reason is Reason.ACKNOWLEDGEMENT_ENDED:
            held_to = before.acknowledged_until or now
        elif decision.reason is Reason.SNOOZE_ENDED:
            held_to = before.snoozed_until or now
        spared, missed = list(self.spared), list[int]()
        for index in range(self.begun, len(after.rungs)):
            at = max(self.clock_from + after.rungs[index].after_ms, self.not_before)
            if at <= held_to and _without(after.rungs[index].roles, spared):
                missed.append(at)
        if len(missed) >= 2:
            self.clock_from += held_to - missed[0]
            self.not_before = 0
        if self.begun >= len(after.rungs) and after.rungs:
            return self._again(after, now, rules)
        return self._climb(after, now, rules, force=decision.reason is Reason.PASSED_ON)

    def _unreached(self, decision: Decision, now: int, rules: Rules) -> Asked:
        after = decision.incident
        if self.begun < len(after.rungs):
            return self._climb(after, now, rules, force=True)
        new = _new_pages(decision)
        asked: Asked = {p.person: (p.rung, p.role) for p in new if p.rung is not None}
        assert asked.keys() <= {EMERGENCY_PERSON}, "4: behind the last rung only the emergency contacts are left"
        return asked

    # --- who is asked ---

    def _go(self, after: Incident, now: int, rules: Rules) -> Asked:
        return self._climb(after, now, rules) if self.begun < len(after.rungs) else self._again(after, now, rules)

    def _climb(self, after: Incident, now: int, rules: Rules, *, force: bool = False) -> Asked:
        """Every rung whose time has come; a person is asked once, for the highest of them. `force`: the next one has its turn now."""
        asked: Asked = {}
        for index in range(self.begun, len(after.rungs)):
            rung = after.rungs[index]
            if max(self.clock_from + rung.after_ms, self.not_before) > now and not force:
                break
            roles = _without(rung.roles, self.spared)
            people = _holders(roles, index, now, rules)
            asked |= people
            if roles:
                force = not people
            held = [role for role in roles if _holders([role], index, now, rules)]
            self.paged += [role for role in held if role not in self.paged]
            self.begun, self.last_at = index + 1, now
        if force and self.begun >= len(after.rungs):
            last = max(len(after.rungs) - 1, 0)
            return _holders(after.plan.ladder.last_resort, last, now, rules) or _emergency(last, rules)
        return asked

    def _again(self, after: Incident, now: int, rules: Rules) -> Asked:
        last = len(after.rungs) - 1
        self.last_at = now
        people = _holders(after.plan.ladder.last_resort, last, now, rules) | _holders(after.rungs[last].roles, last, now, rules)
        return people or _emergency(last, rules)


def _climbs(incident: Incident) -> bool:
    """Whether nothing holds the ladder: nobody has it, it fires, nobody wants quiet."""
    open_ = incident.state is State.OPEN or (incident.state is State.ACKNOWLEDGED and incident.plan.ladder.until == "resolved")
    return open_ and incident.clear_since is None and incident.snoozed_until is None and incident.suppressed is None


def _without(roles: tuple[str, ...], spared: list[str]) -> list[str]:
    """Return the roles that are not spared; being spared counts once."""
    left = [role for role in roles if role not in spared]
    for role in roles:
        if role in spared:
            spared.remove(role)
    return left


def _can_be_paged(person: str | None, rules: Rules) -> bool:
    found = rules.people.get(person or "")
    return found is not None and bool(found.contacts)


def _holders(roles: list[str] | tuple[str, ...], rung: int, now: int, rules: Rules) -> Asked:
    found: Asked = {}
    for role in roles:
        for person in oncall.holders(role, now, rules):
            if _can_be_paged(person, rules):
                found.setdefault(person, (rung, role))
    return found


def _emergency(rung: int, rules: Rules) -> Asked:
    return {EMERGENCY_PERSON: (rung, EMERGENCY_PERSON)} if rules.emergency.to else {}


def _new_pages(decision: Decision) -> list[Page]:
    old = {p.id for p in decision.before.pages} if decision.before else set()
    return [p for p in decision.incident.pages if p.id not in old]


def _same(decision: Decision, wanted: Asked) -> None:
    """What was paged for a rung is what must have been."""
    asked = {p.person: (p.rung, p.role) for p in _new_pages(decision) if p.rung is not None and p.kind is not PageKind.UPDATE}
    assert asked == wanted, f"4: {decision.incident.id}, {decision.reason}: paged {asked}, and it should have been {wanted}"
