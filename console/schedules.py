"""Reading who is on call: roles at an instant, schedules, and the final shifts of a part of a schedule.

Everything is read off the one function that pages use; nothing is kept. Long parts are computed in a thread.
"""

from __future__ import annotations

import asyncio
from typing import Final

from console import bodies, views
from console.auth import Role
from console.endpoint import query_of
from console.oncallbodies import SPAN_MS_MAX, ShiftsQuery, time_ms
from console.oncallviews import SchedulesView, ShiftsView, schedule_view, shifts_view
from console.openapi import Call, Reply, Route, api
from console.problems import Problem, Refused, Unusable
from console.views import OnCallView, rfc3339
from tocsin.policy.schedules import Schedule
from tocsin.policy.wallclock import DAY_MS

SHOWN_MS: Final = 14 * DAY_MS
"""What is shown of a schedule when the caller does not say."""


async def show_on_call(call: Call) -> Reply:
    """Who holds each role, by the same function that pages use."""
    at = query_of(call, bodies.OnCallQuery).at
    return 200, views.on_call_view(call.now if at is None else bodies.instant_ms(at), call.desk.rules)


async def list_schedules(call: Call) -> Reply:
    """Every schedule, with who is on duty now and next."""
    now, rules = call.now, call.desk.rules
    items = await asyncio.to_thread(lambda: [schedule_view(each, now, rules) for each in rules.schedules.values()])
    return 200, SchedulesView(at=rfc3339(now), items=items)


async def show_schedule(call: Call) -> Reply:
    """The final shifts of a part of a schedule, with their causes, and its gaps."""
    schedule = schedule_of(call)
    query = query_of(call, ShiftsQuery)
    if query.to is not None and query.until is not None:
        raise Unusable.field("to", "stands beside until; write one of them")
    from_at = _time("from", query.from_, schedule.time_zone, call.now)
    end = query.to or query.until
    to_at = from_at + SHOWN_MS if end is None else _time("to" if query.to else "until", end, schedule.time_zone, from_at)
    if to_at <= from_at:
        raise Unusable.field("to", "must be later than from")
    if to_at - from_at > SPAN_MS_MAX:
        raise Unusable.field("to", f"is more than {SPAN_MS_MAX // DAY_MS} days after from")
    return 200, await asyncio.to_thread(shifts_view, schedule, from_at, to_at, call.desk.rules)


def schedule_of(call: Call) -> Schedule:
    """Return the schedule that the path names. Raises Refused (404)."""
    found = call.desk.rules.schedules.get(call.request.match_info["name"])
    if found is None:
        raise Refused(404, "there is no schedule of this name in the rules")
    return found


def _time(field: str, text: str | None, zone: str, after: int) -> int:
    try:
        return after if text is None else time_ms(text, zone, after=after)
    except (ValueError, OverflowError):
        raise Unusable.field(field, "is not a time of the calendar") from None


SCHEDULE_ROUTES: Final[tuple[Route, ...]] = (
    api(
        "GET", "/api/v1/oncall", show_on_call, "Who holds each role", role=Role.VIEWER, query=bodies.OnCallQuery, returns={200: OnCallView}
    ),
    api("GET", "/api/v1/schedules", list_schedules, "List schedules", role=Role.VIEWER, returns={200: SchedulesView}),
    api(
        "GET",
        "/api/v1/schedules/{name}",
        show_schedule,
        "The shifts of a schedule",
        role=Role.VIEWER,
        query=ShiftsQuery,
        returns={200: ShiftsView, 404: Problem},
    ),
)
