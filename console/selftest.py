"""Does paging work? Test pages that go the whole real way, and what would keep a page from being sent.

A test page is a page of an incident of severity 4 that resolves by itself: the same outbox, notifier and channel as any other.
"""

from __future__ import annotations

from typing import Final

from console.auth import Role
from console.bodies import TestPageBody
from console.endpoint import body_of
from console.incidents import open_new
from console.openapi import Call, Reply, Route, api
from console.problems import Refused, Unusable
from console.views import View
from tocsin.policy import events as ev
from tocsin.policy.incident import TEST_SOURCE
from tocsin.policy.model import Incident, PageStatus
from tocsin.store.durability import check_durability

SILENT_MS: Final = 20_000
"""A role that has not said for this long that it works counts as down."""


class TestPageView(View):
    """What came of a test page; `after_s` from the request until the provider had it."""

    id: str
    person: str
    contact: int
    channel: str
    status: PageStatus
    attempts: int
    reason: str
    receipt: str
    after_s: float | None


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


async def request_test_page(call: Call) -> Reply:
    """Page one contact of one person. The answer comes at once; ask again for what came of it."""
    body = body_of(call, TestPageBody)
    rules = call.desk.rules
    person = rules.people.get(body.person)
    if person is None:
        raise Unusable.field("person", "there is no person of this key in the rules")
    if body.contact >= len(person.contacts):
        raise Unusable.field("contact", f"the person has {len(person.contacts)} contacts, counted from 0")
    service = rules.services[-1].name
    title = f"Test page for {person.name}, asked for by {call.caller.name}"

    def opening(number: int) -> ev.Opening:
        return ev.TestRequested(number, f"test:{number}", service, title, body.person, body.contact, call.caller.name)

    decision = await open_new(call.desk, title, opening)
    return 201, _view(decision.incident, call)


async def show_test_page(call: Call) -> Reply:
    """What came of a test page."""
    text = call.request.match_info["id"].upper().removeprefix("INC-")
    incident = await call.desk.store.load(int(text)) if text.isdecimal() and len(text) <= 12 else None
    if incident is None or incident.source != TEST_SOURCE:
        raise Refused(404, "there is no such test page")
    return 200, _view(incident, call)


def _view(incident: Incident, call: Call) -> TestPageView:
    page = incident.pages[0]
    person = call.desk.rules.people.get(page.person)
    known = person is not None and page.contact < len(person.contacts)
    channel = person.contacts[page.contact].to.partition(":")[0] if person is not None and known else ""
    return TestPageView(
        id=incident.id,
        person=page.person,
        contact=page.contact,
        channel=channel,
        status=page.status,
        attempts=page.attempts,
        reason=page.reason,
        receipt=page.receipt,
        after_s=None if page.settled_at is None else (page.settled_at - incident.opened_at) / 1000,
    )


async def doctor(call: Call) -> Reply:
    """Look at the store's durability, and at which roles say that they work."""
    findings = [
        FindingView(name=f.name, ok=f.ok, severity=f.severity, what=f.what, consequence=f.consequence, remedy=f.remedy)
        for f in await check_durability(call.desk.store.client)
    ]
    beats = await call.desk.store.heartbeats()
    for role in ("ingest", "correlator", "notifier", "console"):
        silent_ms = call.now - beats.get(role, 0)
        ok = silent_ms <= SILENT_MS
        what = f"{role} said {silent_ms / 1000:.0f} s ago that it works" if role in beats else f"{role} has never said that it works"
        findings.append(
            FindingView(
                name=f"heartbeat-{role}",
                ok=ok,
                severity="fatal",
                what=what,
                consequence="" if ok else "alerts, pages or answers do not get through",
                remedy="" if ok else f"start it, or see what the log of {role} says",
            )
        )
    return 200, DoctorView(findings=findings)


SELF_TEST_ROUTES: Final[tuple[Route, ...]] = (
    api(
        "POST",
        "/api/v1/test-pages",
        request_test_page,
        "Send a test page",
        role=Role.AGENT,
        body=TestPageBody,
        returns={201: TestPageView},
    ),
    api("GET", "/api/v1/test-pages/{id}", show_test_page, "What came of a test page", role=Role.VIEWER, returns={200: TestPageView}),
    api("GET", "/api/v1/doctor", doctor, "What would keep a page from being sent", role=Role.ADMINISTRATOR, returns={200: DoctorView}),
)
