"""What the calls about who is on call answer, and the sentences that say what a change comes to.

Owns names and formats of these answers. Instants are RFC 3339 in UTC; sentences name local times with their zone, because people read them.
Who is on shift is asked of `tocsin/policy/oncall.py` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, Field

from console.views import Instant, View, rfc3339
from tocsin.policy import oncall
from tocsin.policy.oncall import Shift
from tocsin.policy.roster import Absence, Override, Swap, Turn
from tocsin.policy.rules import Rules
from tocsin.policy.schedules import Schedule
from tocsin.store.roster import RosterEntry

SENTENCES_MAX: Final = 20
"""Sentences in one answer; the last one says how many are left out."""

SAID_MS_MIN: Final = 1_000
"""What is shorter is not spoken of: it would begin and end at the same second."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class SpanView(View):
    """A span of time, half-open: it begins at `from` and is over at `until`."""

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)

    from_: Instant = Field(serialization_alias="from")
    until: Instant


class GapView(SpanView):
    """A span in which nobody is on duty."""


class ShiftView(SpanView):
    """Somebody is on duty, and why; `instead_of` are those whom the rotation named."""

    schedule: str
    person: str
    name: str
    cause: str
    layer: int | None
    override: str | None
    instead_of: list[str]


class ScheduleView(View):
    """A schedule: who takes turns in it, who is on duty now and who next."""

    name: str
    time_zone: str
    holidays: str
    people: list[str]
    now: ShiftView | None
    next: ShiftView | None


class SchedulesView(View):
    """All schedules of the rules."""

    at: Instant
    items: list[ScheduleView]


class ShiftsView(SpanView):
    """A part of a schedule: the final shifts, with everything that people have changed, and where nobody is on duty."""

    schedule: str
    time_zone: str
    shifts: list[ShiftView]
    gaps: list[GapView]


class OverrideView(SpanView):
    """An override: `replaces` limits it to the shifts of that person."""

    id: str
    schedule: str
    time_zone: str
    person: str
    replaces: str | None
    kind: str
    why: str
    by: str
    made_at: Instant


class OverrideMade(OverrideView):
    """An override as it was made: who is on duty in its time now, whom it took the place of, and what that means in words."""

    shifts: list[ShiftView]
    replaced: list[ShiftView]
    says: list[str]


class OverridesView(View):
    """Overrides, in the order of their beginning."""

    items: list[OverrideView]


class AbsenceView(SpanView):
    """Somebody is not there."""

    id: str
    person: str
    time_zone: str
    kind: str
    why: str
    by: str
    made_at: Instant


class AbsenceMade(AbsenceView):
    """An absence as it was made, and what it means for the roles."""

    says: list[str]


class AbsencesView(View):
    """Absences, in the order of their beginning."""

    items: list[AbsenceView]


class LeaveView(View):
    """What an imported calendar brought: absences that are new, that stayed as they were, and that are gone."""

    person: str
    calendar: str
    added: list[AbsenceView]
    kept: int
    removed: int
    ignored: list[str]
    says: list[str]


class TurnView(SpanView):
    """What one person gives away."""

    person: str


class SwapView(View):
    """A swap; it counts once both have agreed."""

    id: str
    schedule: str
    time_zone: str
    first: TurnView
    second: TurnView
    why: str
    by: str
    made_at: Instant
    agreed: list[str]
    counts: bool
    says: list[str]


class SwapsView(View):
    """Swaps that are proposed or agreed, and not over."""

    items: list[SwapView]


class Removed(View):
    """What was taken back; what had begun was ended, so that the past stays as it was."""

    id: str
    ended_at: Instant | None
    says: list[str]


class RosterChangeView(View):
    """One entry of the history: who changed what, when and why."""

    id: str
    version: int
    at: Instant
    by: str
    act: str
    why: str
    overrides: list[OverrideView]
    absences: list[AbsenceView]
    swaps: list[SwapView]
    removed: list[str]


class RosterHistoryView(View):
    """The newest changes first; `next` goes on behind the last."""

    items: list[RosterChangeView]
    next: str | None


class FeedView(View):
    """The address of a calendar; whoever knows it may read it."""

    subject: str
    url: str


# --- from values to views ---------------------------------------------------------------------------------------------------------------


def name_of(person: str, rules: Rules) -> str:
    """Return how a person is called; a key that the rules do not know stands for itself."""
    found = rules.people.get(person)
    return person if found is None else found.name


def zone_of_person(person: str, rules: Rules) -> str:
    """Return the zone that a person's times are read and written in."""
    found = rules.people.get(person)
    return "UTC" if found is None else found.time_zone


def zone_of_schedule(schedule: str, rules: Rules) -> str:
    """Return a schedule's zone; UTC for one that is no longer in the rules."""
    found = rules.schedules.get(schedule)
    return "UTC" if found is None else found.time_zone


def shift_view(shift: Shift, rules: Rules) -> ShiftView:
    """Return a shift."""
    return ShiftView(
        schedule=shift.schedule,
        person=shift.person,
        name=name_of(shift.person, rules),
        from_=rfc3339(shift.from_at),
        until=rfc3339(shift.to_at),
        cause=shift.cause.value,
        layer=shift.layer,
        override=shift.override,
        instead_of=list(shift.instead_of),
    )


def schedule_view(schedule: Schedule, at: int, rules: Rules) -> ScheduleView:
    """Return a schedule with the shift at an instant and the one behind it."""
    now = oncall.shift_at(schedule, at, rules)
    following = None if now is None else oncall.shift_at(schedule, now.to_at, rules)
    people = dict.fromkeys(person for layer in schedule.layers for person in layer.rotation)
    return ScheduleView(
        name=schedule.name,
        time_zone=schedule.time_zone,
        holidays=schedule.holidays,
        people=list(people),
        now=None if now is None else shift_view(now, rules),
        next=None if following is None else shift_view(following, rules),
    )


def shifts_view(schedule: Schedule, from_at: int, to_at: int, rules: Rules) -> ShiftsView:
    """Return a part of a schedule."""
    shifts = oncall.shifts(schedule, from_at, to_at, rules)
    gaps: list[GapView] = []
    free_at = from_at
    for shift in shifts:
        if shift.from_at > free_at:
            gaps.append(GapView(from_=rfc3339(free_at), until=rfc3339(shift.from_at)))
        free_at = shift.to_at
    if free_at < to_at:
        gaps.append(GapView(from_=rfc3339(free_at), until=rfc3339(to_at)))
    return ShiftsView(
        schedule=schedule.name,
        time_zone=schedule.time_zone,
        from_=rfc3339(from_at),
        until=rfc3339(to_at),
        shifts=[shift_view(shift, rules) for shift in shifts],
        gaps=gaps,
    )


def _override_facts(override: Override, rules: Rules) -> dict[str, Any]:
    return {
        "id": override.id,
        "schedule": override.schedule,
        "time_zone": zone_of_schedule(override.schedule, rules),
        "person": override.person,
        "replaces": override.replaces,
        "from_": rfc3339(override.from_at),
        "until": rfc3339(override.until_at),
        "kind": override.kind.value,
        "why": override.why,
        "by": override.by,
        "made_at": rfc3339(override.made_at),
    }


def override_view(override: Override, rules: Rules) -> OverrideView:
    """Return an override."""
    return OverrideView(**_override_facts(override, rules))


def override_made(override: Override, before: Rules, after: Rules, now: int) -> OverrideMade:
    """Return an override with what it changed."""
    schedule = after.schedules[override.schedule]
    shifts = oncall.shifts(schedule, override.from_at, override.until_at, after)
    replaced = oncall.shifts(schedule, override.from_at, override.until_at, before)
    return OverrideMade(
        **_override_facts(override, after),
        shifts=[shift_view(shift, after) for shift in shifts],
        replaced=[shift_view(shift, after) for shift in replaced if shift.person != override.person],
        says=_override_says(override, shifts, after, now),
    )


def absence_view(absence: Absence, rules: Rules) -> AbsenceView:
    """Return an absence."""
    return AbsenceView(
        id=absence.id,
        person=absence.person,
        time_zone=zone_of_person(absence.person, rules),
        from_=rfc3339(absence.from_at),
        until=rfc3339(absence.until_at),
        kind=absence.kind.value,
        why=absence.why,
        by=absence.by,
        made_at=rfc3339(absence.made_at),
    )


def swap_view(swap: Swap, rules: Rules, now: int) -> SwapView:
    """Return a swap."""
    return SwapView(
        id=swap.id,
        schedule=swap.schedule,
        time_zone=zone_of_schedule(swap.schedule, rules),
        first=_turn_view(swap.first),
        second=_turn_view(swap.second),
        why=swap.why,
        by=swap.proposed_by,
        made_at=rfc3339(swap.made_at),
        agreed=list(swap.agreed),
        counts=swap.counts,
        says=_swap_says(swap, rules, now),
    )


def _turn_view(turn: Turn) -> TurnView:
    return TurnView(person=turn.person, from_=rfc3339(turn.from_at), until=rfc3339(turn.until_at))


def change_view(entry: RosterEntry, rules: Rules, now: int) -> RosterChangeView:
    """Return one entry of the history."""
    change = entry.change
    return RosterChangeView(
        id=entry.id,
        version=entry.version,
        at=rfc3339(change.at),
        by=change.by,
        act=change.act,
        why=change.why,
        overrides=[override_view(each, rules) for each in change.overrides],
        absences=[absence_view(each, rules) for each in change.absences],
        swaps=[swap_view(each, rules, now) for each in change.swaps],
        removed=list(change.removed),
    )


# --- words ------------------------------------------------------------------------------------------------------------------------------


def _local(at: int, zone: str) -> datetime:
    return (_EPOCH + timedelta(milliseconds=at)).astimezone(ZoneInfo(zone))


def span_words(from_at: int, until_at: int, zone: str, now: int) -> str:
    """Say a span on the clock of a zone: `14:00-15:30 KST`, with the day unless it is today's."""
    begins, ends = _local(from_at, zone), _local(until_at, zone)
    begin_day = "" if begins.date() == _local(now, zone).date() else f"{begins:%a %Y-%m-%d} "
    end_day = "" if ends.date() == begins.date() else f"{ends:%a %Y-%m-%d} "
    separator = " - " if end_day else "-"
    begin_zone = f" {begins.tzname()}" if begins.utcoffset() != ends.utcoffset() else ""
    return f"{begin_day}{_clock(begins)}{begin_zone}{separator}{end_day}{_clock(ends)} {ends.tzname()}"


def _clock(moment: datetime) -> str:
    return f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"


def in_short(sentences: Sequence[str]) -> list[str]:
    """Return at most `SENTENCES_MAX` of them; the last says what is left out."""
    if len(sentences) <= SENTENCES_MAX:
        return list(sentences)
    return [*sentences[: SENTENCES_MAX - 1], f"and {len(sentences) - SENTENCES_MAX + 1} more changes"]


def _override_says(override: Override, shifts: Sequence[Shift], rules: Rules, now: int) -> list[str]:
    person = name_of(override.person, rules)
    zone = zone_of_schedule(override.schedule, rules)
    said: list[str] = []
    for shift in shifts:
        if shift.override == override.id:
            others = ", ".join(name_of(each, rules) for each in shift.instead_of if each != shift.person)
            place = f" in place of {others}" if others else ""
            said.append(f"{person} is on duty {span_words(shift.from_at, shift.to_at, zone, now)}{place}")
    if not said:
        return [f"this changes nothing now{_why_nothing(override, shifts, rules)}"]
    return in_short(said)


def _why_nothing(override: Override, shifts: Sequence[Shift], rules: Rules) -> str:
    if override.replaces is None:
        return ""
    replaced = name_of(override.replaces, rules)
    by = next((shift.override for shift in shifts if shift.person == override.replaces and shift.override is not None), None)
    if by is None:
        return f": {replaced} is not on duty then"
    return f": {replaced} is on duty then by {by}, which stands; take that back, or make an override that replaces nobody"


def _swap_says(swap: Swap, rules: Rules, now: int) -> list[str]:
    zone = zone_of_schedule(swap.schedule, rules)
    verb = "is" if swap.counts else "would be"
    said: list[str] = []
    for person, turn in ((swap.second.person, swap.first), (swap.first.person, swap.second)):
        span = span_words(turn.from_at, turn.until_at, zone, now)
        said.append(f"{name_of(person, rules)} {verb} on duty {span} in place of {name_of(turn.person, rules)}")
    missing = [name_of(turn.person, rules) for turn in (swap.first, swap.second) if turn.person not in swap.agreed]
    return said if not missing else [*said, f"nothing changes before {' and '.join(missing)} agreed"]


def roles_say(from_at: int, until_at: int, before: Rules, after: Rules, zone: str, now: int) -> list[str]:
    """Say, role by role, who holds it in an interval where it is not who it was before."""
    said: list[str] = []
    for role in after.roles:
        for span_from, span_until, was, is_now in _differences(role, from_at, until_at, before, after):
            if span_until - span_from < SAID_MS_MIN:
                continue
            span = span_words(span_from, span_until, zone, now)
            gone = ", ".join(name_of(each, after) for each in was if each not in is_now)
            if is_now:
                place = f" in place of {gone}" if gone else ""
                said.append(f"{role}: {', '.join(name_of(each, after) for each in is_now)} {span}{place}")
            else:
                said.append(f"{role}: nobody {span}; its pages go to the next rung at once")
    return in_short(said) or ["nothing changes for any role"]


def _differences(
    role: str, from_at: int, until_at: int, before: Rules, after: Rules
) -> list[tuple[int, int, tuple[str, ...], tuple[str, ...]]]:
    """List (from, until, people before, people after) where they differ, neighbours that say the same joined."""
    was, is_now = oncall.held(role, from_at, until_at, before), oncall.held(role, from_at, until_at, after)
    points = sorted({each.from_at for each in (*was, *is_now)})
    found: list[tuple[int, int, tuple[str, ...], tuple[str, ...]]] = []
    for at, end in zip(points, [*points[1:], until_at], strict=True):
        old = next(each.people for each in was if each.from_at <= at < each.to_at)
        new = next(each.people for each in is_now if each.from_at <= at < each.to_at)
        if found and found[-1][1:] == (at, old, new):
            found[-1] = (found[-1][0], end, old, new)
        elif old != new:
            found.append((at, end, old, new))
    return found
