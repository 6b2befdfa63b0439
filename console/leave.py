"""Importing leave: an ICS calendar becomes absences of a person; importing it again replaces what it brought before.

What stayed the same keeps its place in the record: an override that was given to somebody on leave, knowing of the leave, must not end
because the same calendar came once more.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Final

from console.auth import Role
from console.endpoint import query_of, read_limited
from console.leavecalendar import BYTES_MAX, LeaveCalendar, LeaveInvalid, read_leave
from console.oncall import Changed, change_roster, require_own, require_person
from console.oncallbodies import LeaveQuery
from console.oncallviews import LeaveView, absence_view, in_short, name_of, roles_say, span_words, zone_of_person
from console.openapi import Call, Reply, Route, api
from console.problems import Problem, Unusable
from tocsin.policy.roster import Absence, AbsenceKind, Roster
from tocsin.policy.rosterchange import RosterChange
from tocsin.policy.wallclock import DAY_MS

AHEAD_MS: Final = 400 * DAY_MS
"""How far ahead leave is taken up; import the calendar again for what lies beyond."""

READ_S: Final = 10.0


async def import_leave(call: Call) -> Reply:
    """Take up the leave of a person out of an ICS calendar: all-day and timed events, from now to 400 days ahead."""
    query, rules, now = query_of(call, LeaveQuery), call.desk.rules, call.now
    require_person("person", query.person, rules)
    require_own(call, (query.person,), "changing the duty of others")
    raw = await read_limited(call.request, BYTES_MAX)
    try:
        async with asyncio.timeout(READ_S):
            calendar = await asyncio.to_thread(read_leave, raw, rules.people[query.person].time_zone, now, now + AHEAD_MS)
    except LeaveInvalid as error:
        raise Unusable.field("calendar", str(error)) from None
    except TimeoutError:
        raise Unusable.field("calendar", f"takes more than {READ_S:g} s to read; import a shorter one") from None
    prefix = f"LEAVE-{hashlib.sha256(f'{query.person}/{query.calendar}'.encode()).hexdigest()[:8].upper()}-"
    made: list[RosterChange] = []
    kept: list[Absence] = []

    def make(seen: Roster) -> RosterChange | None:
        kept[:], change = _difference(seen, calendar, prefix, query, call.caller.name, now)
        made[:] = [change]
        return change if change.absences or change.removed else None

    result = await change_roster(call, make)
    return 201, await asyncio.to_thread(_view, made[0], len(kept), calendar, query, result, now)


def _difference(
    seen: Roster, calendar: LeaveCalendar, prefix: str, query: LeaveQuery, by: str, now: int
) -> tuple[list[Absence], RosterChange]:
    """Return what stays, and the change that brings the rest: leave that has ended stays in the record as it was."""
    earlier = {each.id: each for each in seen.absences if each.id.startswith(prefix) and each.until_at > now}
    wanted = {(max(span.from_at, now), span.until_at): span for span in calendar.spans}
    kept = [each for each in earlier.values() if (max(each.from_at, now), each.until_at) in wanted]
    have = {(max(each.from_at, now), each.until_at) for each in kept}
    new = [
        Absence(f"{prefix}{seen.version + 1}-{number}", query.person, span.from_at, span.until_at, span.summary, by, now, AbsenceKind.LEAVE)
        for number, (key, span) in enumerate(sorted(wanted.items()), start=1)
        if key not in have
    ]
    gone = [each for each in earlier.values() if each not in kept]
    ended = [Absence(e.id, e.person, e.from_at, now, e.why, e.by, e.made_at, e.kind) for e in gone if e.from_at < now]
    removed = tuple(each.id for each in gone if each.from_at >= now)
    return kept, RosterChange("leave_imported", by, now, query.calendar, absences=(*new, *ended), removed=removed)


def _view(change: RosterChange, kept: int, calendar: LeaveCalendar, query: LeaveQuery, result: Changed, now: int) -> LeaveView:
    zone = zone_of_person(query.person, result.after)
    person = name_of(query.person, result.after)
    added = [each for each in change.absences if each.until_at > now]
    ended = {*change.removed, *(each.id for each in change.absences if each.until_at <= now)}
    gone = [each for each in result.before.roster.absences if each.id in ended]
    says = [f"{person} is away {span_words(each.from_at, each.until_at, zone, now)}" for each in added]
    says += [f"{person} is no longer away {span_words(max(each.from_at, now), each.until_at, zone, now)}" for each in gone]
    if says:
        begins, ends = min(each.from_at for each in (*added, *gone)), max(each.until_at for each in (*added, *gone))
        says = in_short(says) + roles_say(max(begins, now), ends, result.before, result.after, zone, now)
    return LeaveView(
        person=query.person,
        calendar=query.calendar,
        added=[absence_view(each, result.after) for each in added],
        kept=kept,
        removed=len(gone),
        ignored=list(calendar.ignored),
        says=says or ["nothing has changed"],
    )


LEAVE_ROUTES: Final[tuple[Route, ...]] = (
    api(
        "POST",
        "/api/v1/absences/ics",
        import_leave,
        "Import leave from an ICS calendar",
        role=Role.AGENT,
        query=LeaveQuery,
        returns={201: LeaveView, 409: Problem},
        takes="text/calendar",
    ),
)
