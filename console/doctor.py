"""What would keep a page from being sent, as far as the console can see: the store, the roles, and who is on call.

Gaps are of the same report as notices and metrics (`tocsin/policy/coverage.py`). Whether a contact works is known only from pages that a
provider took: the read model remembers the last one of each contact.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final

from console.auth import Role
from console.openapi import Call, Reply, Route, api
from console.views import View
from tocsin.policy.coverage import Finding, FindingKind, gaps
from tocsin.policy.rules import Rules
from tocsin.policy.wallclock import DAY_MS
from tocsin.store.durability import check_durability

SILENT_MS: Final = 20_000
"""A role that has not said for this long that it works counts as down."""

LOOKED_AHEAD_MS: Final = 14 * DAY_MS
TESTED_MS: Final = 90 * DAY_MS
"""A contact over which no page went for so long counts as untested."""

FINDINGS_MAX: Final = 100

_REMEDIES: Final[Mapping[FindingKind, str]] = {
    FindingKind.NOBODY_REACHED: "put somebody on duty (`tocsin oncall override`), or give the ladder another rung",
    FindingKind.EMPTY_ROLE: "put somebody on duty (`tocsin oncall override`), or change the schedule",
    FindingKind.NO_CONTACT: "give the person a contact in the rules",
    FindingKind.ROTATION_OF_ONE: "let a second person take turns",
    FindingKind.HOLIDAYS_MISSING: "name the days in `working_days` and `company_days` of the hours",
    FindingKind.HAND_OVER_MOVED: "hand over at another time, or leave it if it is meant",
}


class FindingView(View):
    """One thing that was looked at; `severity` says how bad it is when it is not `ok`."""

    name: str
    ok: bool
    severity: str
    what: str
    consequence: str
    remedy: str


class DoctorView(View):
    """Everything that the console can see."""

    findings: list[FindingView]


async def doctor(call: Call) -> Reply:
    """Look at the store's durability, at which roles say that they work, and at who is on call in the next fourteen days."""
    found = [
        FindingView(name=f.name, ok=f.ok, severity=f.severity, what=f.what, consequence=f.consequence, remedy=f.remedy)
        for f in await check_durability(call.desk.store.client)
    ]
    found += _roles(await call.desk.store.heartbeats(), call.now)
    rules, now = call.desk.rules, call.now
    found += _on_call(await asyncio.to_thread(gaps, rules, now, now + LOOKED_AHEAD_MS))
    await call.desk.reading.catch_up()
    found += _untested(rules, await call.desk.reading.reached(), now)
    return 200, DoctorView(findings=found)


def _roles(beats: Mapping[str, int], now: int) -> Iterator[FindingView]:
    for role in ("ingest", "correlator", "notifier", "console"):
        silent_ms = now - beats.get(role, 0)
        ok = silent_ms <= SILENT_MS
        what = f"{role} said {silent_ms / 1000:.0f} s ago that it works" if role in beats else f"{role} has never said that it works"
        yield FindingView(
            name=f"heartbeat-{role}",
            ok=ok,
            severity="fatal",
            what=what,
            consequence="" if ok else "alerts, pages or answers do not get through",
            remedy="" if ok else f"start it, or see what the log of {role} says",
        )


def _on_call(findings: tuple[Finding, ...]) -> Iterator[FindingView]:
    if not findings:
        what = "every ladder reaches somebody at once in the next 14 days"
        yield FindingView(name="on-call", ok=True, severity="warning", what=what, consequence="", remedy="")
    for each in findings[:FINDINGS_MAX]:
        yield FindingView(
            name=each.kind.value, ok=False, severity="warning", what=each.where, consequence=each.consequence, remedy=_REMEDIES[each.kind]
        )


def _untested(rules: Rules, reached: Mapping[tuple[str, int], int], now: int) -> Iterator[FindingView]:
    """Name people whom no page has reached over any contact for long, or ever."""
    never = "it is not known whether a page reaches them: the first real one will show"
    for person in list(rules.people.values())[:FINDINGS_MAX]:
        if not person.contacts:
            continue
        last = max((reached.get((person.key, number), 0) for number in range(len(person.contacts))), default=0)
        ok = last > now - TESTED_MS
        days = (now - last) // DAY_MS
        what = "has no contact over which a page ever went" if not last else f"was last sent a page {days} days ago"
        yield FindingView(
            name="contact-tested",
            ok=ok,
            severity="warning",
            what=f"{person.key} {what}",
            consequence="" if ok else never,
            remedy="" if ok else f"`tocsin test-page {person.key} --all`",
        )


DOCTOR_ROUTES: Final[tuple[Route, ...]] = (
    api("GET", "/api/v1/doctor", doctor, "What would keep a page from being sent", role=Role.ADMINISTRATOR, returns={200: DoctorView}),
)
