"""Calendars for people's own programs: the shifts of a person or of a schedule as an ICS feed at an address that needs no sign-in.

The address is signed with a salt of its own and names its subject and a generation; turning the generation makes every address that was
given out invalid. Shifts are asked of the same function as pages, at every fetch; times are UTC, so every program shows them right over
every change of the clocks.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aiohttp import web
from itsdangerous import BadData, URLSafeSerializer

from console.auth import Role
from console.endpoint import body_of
from console.oncall import require_own, require_person
from console.oncallbodies import FeedBody
from console.oncallviews import FeedView, name_of
from console.openapi import Call, Reply, Route, api
from console.problems import Problem, Refused, Unusable
from tocsin.policy import oncall
from tocsin.policy.oncall import Cause, Shift
from tocsin.policy.rules import Rules
from tocsin.policy.schedules import Schedule
from tocsin.policy.wallclock import DAY_MS

BACK_MS: Final = 30 * DAY_MS
AHEAD_MS: Final = 180 * DAY_MS
EVENTS_MAX: Final = 5_000
CACHE_S: Final = 300
TOKEN_CHARACTERS_MAX: Final = 400

_SALT: Final = "tocsin.calendar-feed"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
PERSON: Final = "person"
SCHEDULE: Final = "schedule"


async def give_address(call: Call) -> Reply:
    """Give the address of a calendar: an agent that of their own shifts and of schedules, a supervisor anybody's."""
    body, rules = body_of(call, FeedBody), call.desk.rules
    if (body.person is None) == (body.schedule is None):
        raise Unusable.field("person", "or schedule must be given, one of the two")
    if body.person is not None:
        require_person("person", body.person, rules)
        require_own(call, (body.person,), "the calendar of somebody else")
        subject = f"{PERSON}:{body.person}"
    else:
        if body.schedule not in rules.schedules:
            raise Unusable.field("schedule", "there is no schedule of this name in the rules")
        if body.rotate:
            call.caller.must_be(Role.SUPERVISOR, "turning the address of a schedule's calendar")
        subject = f"{SCHEDULE}:{body.schedule}"
    book = call.desk.store.roster
    generation = await (book.rotate_feed(subject) if body.rotate else book.feed_generation(subject))
    if body.rotate:
        call.desk.deps.log.info("calendar_address_turned", subject=subject, actor=call.caller.name)
    token = str((await _serializer(call)).dumps([subject, generation]))
    return 201, FeedView(subject=subject, url=f"{call.desk.external_url}/ical/{token}.ics")


async def _serializer(call: Call) -> URLSafeSerializer:
    return URLSafeSerializer(
        await call.desk.link_key.get(), salt=_SALT, signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"}
    )


async def show_feed(call: Call) -> Reply:
    """The shifts from a month ago to half a year ahead."""
    subject = await _subject(call)
    today, rules = call.now - call.now % DAY_MS, call.desk.rules
    body = await call.desk.feeds.get((subject, today, rules.version, rules.roster.version), lambda: _feed(subject, today, rules))
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"Cache-Control": f"private, max-age={CACHE_S}", "ETag": tag, "X-Robots-Tag": "noindex", "Referrer-Policy": "no-referrer"}
    if tag in (call.request.headers.get("If-None-Match") or "").replace("W/", "").split(", "):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type="text/calendar", charset="utf-8", headers=headers)


async def _subject(call: Call) -> str:
    """Return what the address names. Raises Refused (404) for one that is not ours, or not valid any more: they look the same."""
    gone = Refused(404, "there is no such calendar; its address may have been turned")
    token = call.request.match_info["token"]
    if len(token) > TOKEN_CHARACTERS_MAX or not token.isascii():
        raise gone
    try:
        subject, generation = (await _serializer(call)).loads(token)
    except (BadData, ValueError, TypeError):
        raise gone from None
    kind, _, key = subject.partition(":")
    known = call.desk.rules.people if kind == PERSON else call.desk.rules.schedules
    async with call.desk.turns.turn():
        if key not in known or await call.desk.store.roster.feed_generation(subject) != generation:
            raise gone
    return str(subject)


def _schedules(kind: str, key: str, rules: Rules) -> list[Schedule]:
    """Return the schedules that a feed may show something of: for a person, those in which the person may be on duty."""
    if kind == SCHEDULE:
        return [rules.schedules[key]]
    return [
        schedule
        for schedule in rules.schedules.values()
        if any(key in layer.rotation for layer in schedule.layers)
        or any(override.person == key for override in rules.roster.overrides_of(schedule.name))
    ]


def _feed(subject: str, today: int, rules: Rules) -> bytes:
    """Return the feed. What began before its first day is left out, or its beginning, and so its UID, would move every day."""
    from icalendar import Calendar  # noqa: PLC0415  two hundred modules that a console without calendars never needs

    kind, _, key = subject.partition(":")
    found = [
        shift
        for schedule in _schedules(kind, key, rules)
        for shift in oncall.shifts(schedule, today - BACK_MS, today + AHEAD_MS, rules)
        if shift.from_at > today - BACK_MS and (kind == SCHEDULE or shift.person == key)
    ]
    found.sort(key=lambda shift: (shift.from_at, shift.schedule))
    calendar: Any = Calendar()
    calendar.add("prodid", "-//Tocsin//On call//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", f"On call: {name_of(key, rules) if kind == PERSON else key}")
    calendar.add("refresh-interval", timedelta(hours=1), parameters={"value": "DURATION"})
    calendar.add("x-published-ttl", "PT1H")
    for shift in found[:EVENTS_MAX]:
        calendar.add_component(_event(shift, kind, today, rules))
    body: bytes = calendar.to_ical()
    return body


def _event(shift: Shift, kind: str, today: int, rules: Rules) -> Any:
    from icalendar import Event  # noqa: PLC0415  as above

    event: Any = Event()
    name = name_of(shift.person, rules)
    event.add("uid", f"{hashlib.sha256(f'{shift.schedule}/{shift.from_at}'.encode()).hexdigest()[:24]}@tocsin")
    event.add("dtstamp", _moment(today))
    event.add("dtstart", _moment(shift.from_at))
    event.add("dtend", _moment(shift.to_at))
    event.add("summary", f"On call: {shift.schedule}" if kind == PERSON else f"{name} ({shift.schedule})")
    event.add("description", _description(shift, rules))
    event.add("categories", [shift.schedule])
    event.add("transp", "TRANSPARENT")
    return event


def _description(shift: Shift, rules: Rules) -> str:
    why = {Cause.ROTATION: "by the rotation", Cause.STAND_IN: "next in the rotation"}.get(shift.cause, f"by {shift.cause.value}")
    others = ", ".join(name_of(each, rules) for each in shift.instead_of)
    return f"{name_of(shift.person, rules)} is on duty for {shift.schedule}, {why}{f', in place of {others}' if others else ''}."


def _moment(at: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=at - at % 1_000)


CALENDAR_ROUTES: Final[tuple[Route, ...]] = (
    api(
        "POST",
        "/api/v1/calendars",
        give_address,
        "The address of a calendar",
        role=Role.AGENT,
        body=FeedBody,
        returns={201: FeedView},
    ),
    api(
        "GET",
        "/ical/{token}.ics",
        show_feed,
        "The shifts as a calendar",
        role=None,
        returns={200: "text/calendar", 404: Problem},
    ),
)
