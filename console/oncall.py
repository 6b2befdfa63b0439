"""Changing who is on call: overrides, absences, swaps, and the record of all changes.

Owns who may change what (an agent their own duty, a supervisor anybody's) and what is asked of a change before it counts. Every change is
load, decide, compare-and-set: of two at once, the second looks again. What has been is never changed: a span that has begun is ended, one
that begins in the past begins now.

Read `_changed` first, then the calls, then `ROSTER_ROUTES`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Final

from console import oncallbodies as bodies
from console import oncallviews as views
from console.auth import Role
from console.endpoint import body_of, query_of
from console.oncallviews import in_short, name_of, roles_say, span_words
from console.openapi import Call, Reply, Route, api
from console.problems import Problem, Refused, Unusable
from console.views import rfc3339
from tocsin.policy import oncall
from tocsin.policy.roster import Absence, AbsenceKind, Override, OverrideKind, Roster, Swap, Turn
from tocsin.policy.rosterchange import RosterChange, RosterFull, cut_short, ended_at
from tocsin.policy.rules import Rules
from tocsin.policy.schedules import Schedule
from tocsin.runtime.acting import DECIDED_AGAIN_MAX

ROSTER_LINE: Final = -1
"""The line (`console/turns.py`) in which those wait who would change the roster."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The rules before and after a change."""

    before: Rules
    after: Rules


async def change_roster(call: Call, make: Callable[[Roster], RosterChange | None]) -> Changed:
    """Let a change happen to the roster, durably; `make` returns None when it is so already.

    This process follows before it answers, so a caller reads its own change. Raises Refused (409 full, 503 contended), StoreAway.
    """
    store, rules = call.desk.store, call.desk.rules
    async with call.desk.turns.turn_at(ROSTER_LINE):
        for _ in range(DECIDED_AGAIN_MAX):
            seen = await store.roster.load()
            change = make(seen)
            if change is None:
                return Changed(replace(rules, roster=seen), replace(rules, roster=seen))
            try:
                after = await store.roster.change(seen, change)
            except RosterFull as error:
                raise Refused(409, f"{error}: take back what is no longer needed") from None
            if after is not None:
                call.desk.deps.log.info("roster_changed", version=after.version, act=change.act, actor=change.by)
                await call.desk.deps.rules.follow()
                return Changed(replace(rules, roster=seen), replace(rules, roster=after))
            call.desk.deps.metrics.commits_repeated.labels("roster").inc()
    raise Refused(503, "who is on call is changing too fast; try again")


def require_own(call: Call, people: Collection[str | None], what: str) -> None:
    """Raise Refused (403) unless it is the caller's own duty, or the caller is a supervisor."""
    if call.caller.name not in people:
        call.caller.must_be(Role.SUPERVISOR, what)


def require_person(field: str, person: str, rules: Rules) -> None:
    """Raise Unusable for somebody whom the rules do not name."""
    if person not in rules.people:
        raise Unusable.field(field, "there is no person of this key in the rules")


def _schedule(name: str, rules: Rules) -> Schedule:
    found = rules.schedules.get(name)
    if found is None:
        raise Unusable.field("schedule", "there is no schedule of this name in the rules")
    return found


def _id(call: Call) -> str:
    return call.request.match_info["id"].upper()


def _own_id(kind: str, seen: Roster) -> str:
    """Return an id that no entry has or ever had: every change makes a version."""
    return f"{kind}-{seen.version + 1}"


# --- overrides --------------------------------------------------------------------------------------------------------------------------


async def list_overrides(call: Call) -> Reply:
    """Overrides that are not over, by their beginning."""
    query, rules = query_of(call, bodies.OverridesQuery), call.desk.rules
    found = [
        each
        for each in rules.roster.overrides
        if (query.ended == "true" or each.until_at > call.now)
        and query.schedule in (None, each.schedule)
        and query.person in (None, each.person, each.replaces)
    ]
    found.sort(key=lambda each: (each.from_at, each.made_at))
    return 200, views.OverridesView(items=[views.override_view(each, rules) for each in found])


async def make_override(call: Call) -> Reply:
    """Put somebody on duty for a time. Doing it again is the same override again."""
    body, rules, now = body_of(call, bodies.OverrideBody), call.desk.rules, call.now
    schedule = _schedule(body.schedule, rules)
    require_person("person", body.person, rules)
    if body.replaces is not None:
        require_person("replaces", body.replaces, rules)
        if body.replaces == body.person:
            raise Unusable.field("replaces", "is the same as person")
    require_own(call, (body.person, body.replaces), "changing the duty of others")
    from_at = body.begins(schedule.time_zone, now)
    until_at = body.ends(schedule.time_zone, from_at)
    if until_at is None:
        until_at = _end_of_shift(schedule, from_at, rules)
    bodies.require_span(from_at, until_at, now)
    wanted = Override("", schedule.name, body.person, from_at, until_at, body.replaces, body.override_kind, body.why, call.caller.name, now)
    made: list[Override] = []

    def make(seen: Roster) -> RosterChange | None:
        same = _same_override(wanted, seen, now)
        made[:] = [same or replace(wanted, id=_own_id("OVR", seen))]
        return None if same else RosterChange("override_made", call.caller.name, now, body.why, overrides=tuple(made))

    result = await change_roster(call, make)
    return 201, await asyncio.to_thread(views.override_made, made[0], result.before, result.after, now)


def _end_of_shift(schedule: Schedule, at: int, rules: Rules) -> int:
    shift = oncall.shift_at(schedule, at, rules)
    if shift is None:
        raise Unusable.field("until", "must be given: nobody is on duty then, so there is no shift that ends")
    return shift.to_at


def _same_override(wanted: Override, seen: Roster, now: int) -> Override | None:
    """Return the override that says the same already, unless something newer stands against it."""
    for each in seen.overrides_of(wanted.schedule):
        if each.until_at <= wanted.from_at or each.from_at >= wanted.until_at:
            continue
        begun = max(each.from_at, now) == max(wanted.from_at, now)
        same = (each.person, each.replaces, each.until_at, each.kind) == (wanted.person, wanted.replaces, wanted.until_at, wanted.kind)
        stands = not any(
            absence.person == each.person
            and absence.made_at > each.made_at
            and absence.from_at < each.until_at
            and absence.until_at > each.from_at
            for absence in seen.absences
        )
        return each if begun and same and stands and each.kind is not OverrideKind.SWAP else None
    return None


async def remove_override(call: Call) -> Reply:
    """Take an override back; one that has begun ends now."""
    found = next((each for each in call.desk.rules.roster.overrides if each.id == _id(call)), None)
    if found is None:
        raise Refused(404, "there is no such override")
    require_own(call, (found.person, found.replaces, found.by), "changing the duty of others")
    result, ended = await _take_back(call, "override", found.id, lambda roster: roster.overrides)
    schedule = call.desk.rules.schedules.get(found.schedule)
    if schedule is None:
        return 200, _removed(found.id, ended, [])
    from_at = max(found.from_at, call.now)
    shifts = await asyncio.to_thread(oncall.shifts, schedule, from_at, found.until_at, result.after)
    said = [
        f"{name_of(each.person, result.after)} is on duty {span_words(each.from_at, each.to_at, schedule.time_zone, call.now)}"
        for each in shifts
    ]
    return 200, _removed(found.id, ended, in_short(said) or ["nobody is on duty then"])


def _removed(entry: str, ended: int | None, says: list[str]) -> views.Removed:
    return views.Removed(id=entry, ended_at=None if ended is None else rfc3339(ended), says=says)


async def _take_back(
    call: Call, what: str, entry: str, of: Callable[[Roster], tuple[Override, ...] | tuple[Absence, ...]]
) -> tuple[Changed, int | None]:
    """Remove what has not begun, end what has; return when it was ended. Raises Refused (404, 409)."""
    now = call.now
    ended: list[int | None] = [None]

    def make(seen: Roster) -> RosterChange:
        found = next((each for each in of(seen) if each.id == entry), None)
        if found is None:
            raise Refused(404, f"there is no such {what}")
        if found.until_at <= now:
            raise Refused(409, f"the {what} is over")
        cut = cut_short(found, now)
        ended[0] = None if cut is None else now
        act = f"{what}_ended" if cut else f"{what}_removed"
        overrides = (cut,) if isinstance(cut, Override) else ()
        absences = (cut,) if isinstance(cut, Absence) else ()
        return RosterChange(act, call.caller.name, now, "", overrides, absences, removed=() if cut else (entry,))

    return await change_roster(call, make), ended[0]


# --- absences ---------------------------------------------------------------------------------------------------------------------------


async def list_absences(call: Call) -> Reply:
    """Absences that are not over, by their beginning."""
    query, rules = query_of(call, bodies.AbsencesQuery), call.desk.rules
    found = [
        each
        for each in rules.roster.absences
        if (query.ended == "true" or each.until_at > call.now) and query.person in (None, each.person)
    ]
    found.sort(key=lambda each: (each.from_at, each.made_at))
    return 200, views.AbsencesView(items=[views.absence_view(each, rules) for each in found])


async def make_absence(call: Call) -> Reply:
    """Somebody steps away: pages go straight to the next person. Doing it again with the same end is the same absence again."""
    body, rules, now = body_of(call, bodies.AbsenceBody), call.desk.rules, call.now
    require_person("person", body.person, rules)
    require_own(call, (body.person,), "changing the duty of others")
    zone = rules.people[body.person].time_zone
    from_at = body.begins(zone, now)
    until_at = body.ends(zone, from_at)
    if until_at is None:
        raise Unusable.field("until", "must be given, or `for`: nobody is away for ever")
    bodies.require_span(from_at, until_at, now)
    made: list[Absence] = []

    def make(seen: Roster) -> RosterChange | None:
        same = next((each for each in seen.absences if _same_absence(each, body.person, from_at, until_at, now)), None)
        new = Absence(_own_id("ABS", seen), body.person, from_at, until_at, body.why, call.caller.name, now)
        made[:] = [same or new]
        return None if same else RosterChange("absence_made", call.caller.name, now, body.why, absences=tuple(made))

    result = await change_roster(call, make)
    says = await asyncio.to_thread(absence_says, made[0], result, now)
    return 201, views.AbsenceMade(**views.absence_view(made[0], rules).model_dump(by_alias=False), says=says)


def _same_absence(each: Absence, person: str, from_at: int, until_at: int, now: int) -> bool:
    begun = max(each.from_at, now) == max(from_at, now)
    return each.person == person and each.until_at == until_at and begun and each.kind is AbsenceKind.AWAY


def absence_says(absence: Absence, result: Changed, now: int) -> list[str]:
    """Say what an absence means: who holds the roles instead."""
    zone = views.zone_of_person(absence.person, result.after)
    span = span_words(absence.from_at, absence.until_at, zone, now)
    without = replace(
        result.after, roster=replace(result.after.roster, absences=tuple(e for e in result.after.roster.absences if e.id != absence.id))
    )
    roles = roles_say(max(absence.from_at, now), absence.until_at, without, result.after, zone, now)
    return [f"{name_of(absence.person, result.after)} is away {span}", *roles]


async def remove_absence(call: Call) -> Reply:
    """Take an absence back; one that has begun ends now: the person is there again."""
    found = next((each for each in call.desk.rules.roster.absences if each.id == _id(call)), None)
    if found is None:
        raise Refused(404, "there is no such absence")
    require_own(call, (found.person, found.by), "changing the duty of others")
    result, ended = await _take_back(call, "absence", found.id, lambda roster: roster.absences)
    zone = views.zone_of_person(found.person, result.after)
    from_at = max(found.from_at, call.now)
    roles = await asyncio.to_thread(roles_say, from_at, found.until_at, result.before, result.after, zone, call.now)
    still = [e for e in result.after.roster.absences if e.person == found.person and e.from_at <= from_at < e.until_at]
    says = [f"{name_of(found.person, result.after)} is still away {span_words(e.from_at, e.until_at, zone, call.now)}" for e in still]
    return 200, _removed(found.id, ended, [*(says or [f"{name_of(found.person, result.after)} is there"]), *roles])


# --- swaps ------------------------------------------------------------------------------------------------------------------------------


async def list_swaps(call: Call) -> Reply:
    """Swaps that are not over."""
    rules, now = call.desk.rules, call.now
    found = [each for each in rules.roster.swaps if ended_at(each) > now]
    return 200, views.SwapsView(items=[views.swap_view(each, rules, now) for each in found])


async def propose_swap(call: Call) -> Reply:
    """Propose that two people take each other's turn. Whoever proposes and is one of them has agreed."""
    body, rules, now = body_of(call, bodies.SwapBody), call.desk.rules, call.now
    schedule = _schedule(body.schedule, rules)
    turns = [await asyncio.to_thread(_turn, each, schedule, rules, now, f"{name}.") for name, each in _turns(body)]
    first, second = turns
    if first.person == second.person:
        raise Unusable.field("second.person", "is the same as first.person")
    if first.from_at < second.until_at and second.from_at < first.until_at:
        raise Unusable.field("second.from", "overlaps the first turn: nobody can take both")
    require_own(call, (first.person, second.person), "changing the duty of others")
    agreed = tuple(each.person for each in turns if each.person == call.caller.name)
    made: list[Swap] = []

    def make(seen: Roster) -> RosterChange | None:
        same = next((each for each in seen.swaps if (each.schedule, each.first, each.second) == (schedule.name, first, second)), None)
        made[:] = [same or Swap(_own_id("SWP", seen), schedule.name, first, second, call.caller.name, agreed, body.why, now)]
        return None if same else RosterChange("swap_proposed", call.caller.name, now, body.why, swaps=tuple(made))

    result = await change_roster(call, make)
    return 201, views.swap_view(made[0], result.after, now)


def _turns(body: bodies.SwapBody) -> tuple[tuple[str, bodies.TurnBody], ...]:
    return ("first", body.first), ("second", body.second)


def _turn(body: bodies.TurnBody, schedule: Schedule, rules: Rules, now: int, prefix: str) -> Turn:
    """Return what a person gives away. Raises Unusable when the person is not on duty then."""
    require_person(f"{prefix}person", body.person, rules)
    if body.at is not None:
        if body.from_ is not None or body.until is not None or body.for_ is not None:
            raise Unusable.field(f"{prefix}at", "stands beside from or until; write one of them")
        at = bodies.time_ms(body.at, schedule.time_zone, after=now)
        shift = oncall.shift_at(schedule, at, rules)
        if shift is None or shift.person != body.person:
            raise Unusable.field(f"{prefix}at", "is no time at which this person is on duty")
        from_at, until_at = max(shift.from_at, now), shift.to_at
    else:
        from_at = body.begins(schedule.time_zone, now)
        end = body.ends(schedule.time_zone, from_at, prefix=prefix)
        if end is None:
            raise Unusable.field(f"{prefix}until", "must be given, or `at` for a whole shift")
        until_at = end
    bodies.require_span(from_at, until_at, now, prefix=prefix)
    if not any(shift.person == body.person for shift in oncall.shifts(schedule, from_at, until_at, rules)):
        raise Unusable.field(f"{prefix}person", "is not on duty in this time")
    return Turn(body.person, from_at, until_at)


async def agree_to_swap(call: Call) -> Reply:
    """One of the two agrees; when both have, the swap counts. A turn that has begun is swapped from now on."""
    person, now = body_of(call, bodies.AgreeBody).person, call.now
    require_own(call, (person,), "agreeing for somebody else")
    made: list[Swap] = []

    def make(seen: Roster) -> RosterChange | None:
        swap = _swap(seen, _id(call), now)
        if person not in (swap.first.person, swap.second.person):
            raise Unusable.field("person", "is not one of the two who would swap")
        if person in swap.agreed:
            made[:] = [swap]
            return None
        after = replace(swap, agreed=(*swap.agreed, person))
        if after.counts:
            after = replace(after, agreed_at=now, first=_from_now(after.first, now), second=_from_now(after.second, now))
        made[:] = [after]
        return RosterChange("swap_agreed", call.caller.name, now, "", swaps=(after,))

    result = await change_roster(call, make)
    return 200, views.swap_view(made[0], result.after, now)


def _swap(seen: Roster, name: str, now: int) -> Swap:
    found = next((each for each in seen.swaps if each.id == name), None)
    if found is None:
        raise Refused(404, "there is no such swap")
    if not found.counts and min(found.first.until_at, found.second.until_at) <= now:
        raise Refused(409, "one of the turns is over: nothing is left to swap for it")
    return found


def _from_now(turn: Turn, now: int) -> Turn:
    return turn._replace(from_at=max(turn.from_at, now))


async def decline_swap(call: Call) -> Reply:
    """Either of the two, or who proposed it, does not want it: it is gone. What both have agreed to stands."""
    why, now = body_of(call, bodies.WhyBody).why, call.now
    found = next((each for each in call.desk.rules.roster.swaps if each.id == _id(call)), None)
    if found is None:
        raise Refused(404, "there is no such swap")
    require_own(call, (found.first.person, found.second.person, found.proposed_by), "changing the duty of others")

    def make(seen: Roster) -> RosterChange | None:
        swap = next((each for each in seen.swaps if each.id == found.id), None)
        if swap is None:
            raise Refused(404, "there is no such swap")
        if swap.counts:
            raise Refused(409, "both have agreed already; propose a swap back, or make an override")
        return RosterChange("swap_declined", call.caller.name, now, why, removed=(swap.id,))

    await change_roster(call, make)
    return 200, _removed(found.id, None, ["the swap is declined; everybody keeps their own turn"])


# --- the record -------------------------------------------------------------------------------------------------------------------------


async def show_history(call: Call) -> Reply:
    """Every change, the newest first: who, what, when and why."""
    query = query_of(call, bodies.RosterHistoryQuery)
    async with call.desk.turns.turn():
        found = await call.desk.store.roster.history(query.limit + 1, before=query.cursor or "+")
    shown = found[: query.limit]
    items = [views.change_view(entry, call.desk.rules, call.now) for entry in shown]
    return 200, views.RosterHistoryView(items=items, next=shown[-1].id if len(found) > query.limit else None)


_CONFLICT: Final = {409: Problem}

ROSTER_ROUTES: Final[tuple[Route, ...]] = (
    api(
        "GET",
        "/api/v1/overrides",
        list_overrides,
        "List overrides",
        role=Role.VIEWER,
        query=bodies.OverridesQuery,
        returns={200: views.OverridesView},
    ),
    api(
        "POST",
        "/api/v1/overrides",
        make_override,
        "Put somebody on duty for a time",
        role=Role.AGENT,
        body=bodies.OverrideBody,
        returns={201: views.OverrideMade, **_CONFLICT},
    ),
    api(
        "DELETE",
        "/api/v1/overrides/{id}",
        remove_override,
        "Take an override back",
        role=Role.AGENT,
        returns={200: views.Removed, **_CONFLICT},
    ),
    api(
        "GET",
        "/api/v1/absences",
        list_absences,
        "List absences",
        role=Role.VIEWER,
        query=bodies.AbsencesQuery,
        returns={200: views.AbsencesView},
    ),
    api(
        "POST",
        "/api/v1/absences",
        make_absence,
        "Step away",
        role=Role.AGENT,
        body=bodies.AbsenceBody,
        returns={201: views.AbsenceMade, **_CONFLICT},
    ),
    api("DELETE", "/api/v1/absences/{id}", remove_absence, "Be there again", role=Role.AGENT, returns={200: views.Removed, **_CONFLICT}),
    api("GET", "/api/v1/swaps", list_swaps, "List swaps", role=Role.VIEWER, returns={200: views.SwapsView}),
    api(
        "POST",
        "/api/v1/swaps",
        propose_swap,
        "Propose a swap",
        role=Role.AGENT,
        body=bodies.SwapBody,
        returns={201: views.SwapView, **_CONFLICT},
    ),
    api(
        "POST",
        "/api/v1/swaps/{id}/agree",
        agree_to_swap,
        "Agree to a swap",
        role=Role.AGENT,
        body=bodies.AgreeBody,
        returns={200: views.SwapView, **_CONFLICT},
    ),
    api(
        "POST",
        "/api/v1/swaps/{id}/decline",
        decline_swap,
        "Decline a swap",
        role=Role.AGENT,
        body=bodies.WhyBody,
        returns={200: views.Removed, **_CONFLICT},
    ),
    api(
        "GET",
        "/api/v1/roster/history",
        show_history,
        "Who changed who is on call",
        role=Role.VIEWER,
        query=bodies.RosterHistoryQuery,
        returns={200: views.RosterHistoryView},
    ),
)
