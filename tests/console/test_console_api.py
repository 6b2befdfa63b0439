"""The HTTP API: what people can see and do, what they may not, and what they are told then."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from openapi_spec_validator import OpenAPIV31SpecValidator

from console.readmodel import Change
from console.views import change_view, rfc3339
from tests.console.conftest import HOUR, MINUTE, START, Site, running_console
from tocsin.policy import events as ev
from tocsin.policy.fingerprint import fingerprint
from tocsin.policy.model import Incident, PageStatus
from tocsin.policy.rules import shard_of_number
from tocsin.store.connection import connect
from tocsin.store.server import EmbeddedServer
from tocsin.store.store import Store


def of(incident: Incident, act: str = "") -> str:
    return f"/api/v1/incidents/{incident.id}" + (f"/{act}" if act else "")


# --- seeing ------------------------------------------------------------------------------------------------------------------------


async def test_an_incident_is_shown_as_the_contract_says(site: Site) -> None:
    incident = await site.fire(title="Payment errors")
    (item,) = (await site.get("/api/v1/incidents")).json["items"]
    assert item == {
        "id": incident.id,
        "title": "Payment errors",
        "state": "open",
        "severity": 1,
        "service": "payments",
        "suppressed": None,
        "labels": {"alertname": "HighErrorRate", "severity": "critical", "team": "payments"},
        "alerts": {"firing": 1, "resolved": 0},
        "opened_at": "2026-02-16T17:55:00.000Z",
        "acknowledged_at": None,
        "acknowledged_by": None,
        "acknowledged_until": None,
        "resolved_at": None,
        "closed_at": None,
        "assignee": None,
        "ladder": {"name": "standard", "rung": 0, "next_at": "2026-02-16T18:25:00.000Z", "next_role": "customer-service-engineer"},
        "url": f"http://127.0.0.1:9096/i/{incident.id}",
        "version": 1,
    }


async def test_showing_an_incident_adds_alerts_history_and_pages(site: Site) -> None:
    incident = await site.fire(alerts=3)
    await site.happen(incident.number, ev.PageSent(f"{incident.id}.0.kim.0", receipt="42"))
    shown = (await site.get(of(incident))).json
    assert shown["alert_counts"] == {"firing": 3, "resolved": 0}
    assert [alert["labels"]["pod"] for alert in shown["alerts"]] == ["api-2", "api-1", "api-0"]
    assert shown["alerts"][0]["fingerprint"] == fingerprint(shown["alerts"][0]["labels"])
    assert [(change["version"], change["reason"], change["actor"]) for change in shown["history"]] == [
        (1, "opened", "monitoring"),
        (2, "page_sent", "notifier"),
    ]
    assert [(page["channel"], page["status"]) for page in shown["pages"]] == [("log", "sent"), ("mailto", "pending")]
    assert shown["runbook"] == "https://runbooks.example.com/payments"


async def test_no_address_of_a_contact_is_shown(site: Site) -> None:
    incident = await site.fire()
    site.clock.advance(30 * MINUTE)
    await site.happen(incident.number, ev.TimerDue())
    answer = await site.get(of(incident))
    assert [page["channel"] for page in answer.json["pages"]] == ["log", "mailto", "webhook+https"]
    assert "secret-path" not in answer.text


async def test_an_alarm_storm_shows_a_thousand_alerts_and_their_number(site: Site) -> None:
    incident = await site.fire(alerts=1_200)
    shown = (await site.get(of(incident))).json
    assert len(shown["alerts"]) == 1_000
    assert shown["alert_counts"]["firing"] == 1_200


async def test_an_incident_is_found_by_its_bare_number_too(site: Site) -> None:
    incident = await site.fire()
    assert (await site.get(f"/api/v1/incidents/{incident.number}")).json["id"] == incident.id


@pytest.mark.parametrize("name", ["INC-999", "999", "INC-", "x", "INC-1x", "INC-" + "9" * 40, "%00", "INC-%F0%9F%98%80"])
async def test_an_unknown_incident_is_not_found(site: Site, name: str) -> None:
    for answer in (await site.get(f"/api/v1/incidents/{name}"), await site.post(f"/api/v1/incidents/{name}/acknowledge")):
        assert answer.status == 404
        assert answer.headers["Content-Type"] == "application/problem+json"


# --- acting ------------------------------------------------------------------------------------------------------------------------


async def test_acknowledging_withdraws_the_unsent_pages_and_moves_the_timer(site: Site) -> None:
    kim = await site.token("kim", "agent")
    incident = await site.fire()
    shard = site.deps.store.at[shard_of_number(incident.number, site.deps.store.shards)]
    client: Any = site.deps.store.client
    assert await client.zcard(shard.outbox) == 2
    assert await client.zscore(shard.timers, incident.number) == START + 30 * MINUTE
    site.clock.advance(2 * MINUTE)
    answer = await site.post(of(incident, "acknowledge"), {"note": "on it"}, by=kim)
    assert answer.status == 200
    assert (answer.json["state"], answer.json["acknowledged_by"], answer.json["assignee"]) == ("acknowledged", "kim", "kim")
    assert answer.json["acknowledged_until"] == "2026-02-16T18:27:00.000Z"
    assert answer.json["ladder"]["next_at"] is None
    assert await client.zcard(shard.outbox) == 0
    assert await client.zscore(shard.timers, incident.number) == START + 27 * MINUTE
    assert {page.status for page in (await site.load(incident.number)).pages} == {PageStatus.CANCELLED}
    assert site.metric("tocsin_acknowledge_seconds_sum") == 120.0


async def test_acknowledging_a_thousand_times_at_once_is_one_entry(site: Site) -> None:
    kim = await site.token("kim", "agent")
    incident = await site.fire()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(site.post(of(incident, "acknowledge"), by=kim)) for _ in range(1_000)]
    answers = [task.result() for task in tasks]
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    history = (await site.get(of(incident))).json["history"]
    assert [change["reason"] for change in history] == ["opened", "acknowledged"]
    assert site.metric("tocsin_acknowledge_seconds_count") == 1


async def test_two_people_tap_at_once_and_one_has_it(site: Site) -> None:
    kim, lee = await site.token("kim", "agent"), await site.token("lee", "agent")
    incident = await site.fire()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(site.post(of(incident, "acknowledge"), by=by)) for by in (kim, lee)]
    holders = {task.result().json["acknowledged_by"] for task in tasks}
    assert len(holders) == 1


async def test_an_acknowledgement_may_say_for_how_long(site: Site) -> None:
    incident = await site.fire()
    answer = await site.post(of(incident, "acknowledge"), {"for": "1h30m"})
    assert answer.json["acknowledged_until"] == "2026-02-16T19:25:00.000Z"


async def test_an_incident_can_be_resolved_and_reopened(site: Site) -> None:
    incident = await site.fire()
    answer = await site.post(of(incident, "resolve"), {"note": "certificate replaced"})
    assert (answer.status, answer.json["state"], answer.json["resolved_at"]) == (200, "resolved", "2026-02-16T17:55:00.000Z")
    assert (await site.post(of(incident, "resolve"))).json["version"] == answer.json["version"]
    answer = await site.post(of(incident, "reopen"))
    assert (answer.json["state"], answer.json["resolved_at"]) == ("open", None)


async def test_a_resolved_incident_cannot_be_acknowledged(site: Site) -> None:
    incident = await site.fire()
    await site.post(of(incident, "resolve"))
    answer = await site.post(of(incident, "acknowledge"))
    assert (answer.status, answer.json["state"]) == (409, "resolved")
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_reopening_names_the_incident_that_holds_the_group_now(site: Site) -> None:
    first = await site.fire()
    await site.post(of(first, "resolve"))
    shard = shard_of_number(first.number, site.deps.store.shards)
    client: Any = site.deps.store.client
    await client.hset(site.deps.store.at[shard].groups, first.group_key, 57)
    answer = await site.post(of(first, "reopen"))
    assert (answer.status, answer.json["incident"], answer.json["state"]) == (409, "INC-57", "resolved")


async def test_snoozing_silences_it_for_a_while(site: Site) -> None:
    incident = await site.fire()
    answer = await site.post(of(incident, "snooze"), {"for": "2h"})
    assert (answer.status, answer.json["ladder"]["next_at"]) == (200, None)
    assert (await site.load(incident.number)).due_at == START + 2 * HOUR
    assert (await site.get(of(incident))).json["snoozed_until"] == "2026-02-16T19:55:00.000Z"


def test_the_instants_of_several_people_are_read_as_instants_too() -> None:
    change = Change(1, 1, 1, START, "OpenedByAlerts", "opened", "monitoring", "open", {"quiet_until": {"kim": START}, "paged": ["kim"]})
    assert change_view(change).inputs == {"quiet_until": {"kim": rfc3339(START)}, "paged": ["kim"]}


async def test_a_note_stands_in_the_history(site: Site) -> None:
    incident = await site.fire()
    answer = await site.post(of(incident, "note"), {"text": "고객 3명이 신고했습니다\nsee ticket", "public": True})
    assert answer.json["version"] == 2
    (_, change) = (await site.get(of(incident))).json["history"]
    assert change["inputs"] == {"text": "고객 3명이 신고했습니다\nsee ticket", "public": True, "via": "api"}


async def test_an_agent_takes_it_and_a_supervisor_gives_it_away(site: Site) -> None:
    kim, boss = await site.token("kim", "agent"), await site.token("boss", "supervisor")
    incident = await site.fire()
    assert (await site.post(of(incident, "assign"), {"to": "kim"}, by=kim)).json["assignee"] == "kim"
    assert (await site.post(of(incident, "assign"), {"to": "lee"}, by=kim)).status == 403
    assert (await site.post(of(incident, "assign"), {"to": "lee"}, by=boss)).json["assignee"] == "lee"
    assert any(page.person == "lee" for page in (await site.load(incident.number)).pages)
    answer = await site.post(of(incident, "assign"), {"to": "nobody"}, by=boss)
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "to")


async def test_a_supervisor_sets_the_severity(site: Site) -> None:
    boss = await site.token("boss", "supervisor")
    incident = await site.fire()
    answer = await site.post(of(incident, "severity"), {"level": 3, "reason": "one customer only"}, by=boss)
    assert (answer.json["severity"], answer.json["ladder"]["next_at"]) == (3, "2026-02-16T19:55:00.000Z")


async def test_an_incident_opened_by_hand_pages_the_ladder(site: Site) -> None:
    body = {"title": "전화 불통", "severity": 2, "service": "payments", "requester": "park@example.com", "text": "no dial tone"}
    answer = await site.post("/api/v1/incidents", body)
    assert answer.status == 201
    assert (answer.json["state"], answer.json["severity"], answer.json["title"]) == ("open", 2, "전화 불통")
    incident = await site.load(int(answer.json["id"].removeprefix("INC-")))
    assert [page.person for page in incident.pages] == ["kim", "kim"]
    assert incident.group_key == f"hand:{incident.number}"
    assert site.metric("tocsin_incidents_opened_total", severity="2") == 1


async def test_many_incidents_opened_at_once_have_numbers_of_their_own(site: Site) -> None:
    body = {"title": "one", "severity": 4, "service": "payments"}
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(site.post("/api/v1/incidents", body)) for _ in range(60)]
    answers = [task.result() for task in tasks]
    assert {answer.status for answer in answers} == {201}
    assert len({answer.json["id"] for answer in answers}) == 60


# --- bad input ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "body", "field"),
    [
        ("acknowledge", {"for": "soon SECRET"}, "for"),
        ("acknowledge", {"for": "0s"}, "for"),
        ("acknowledge", {"for": "31d"}, "for"),
        ("acknowledge", {"for": 5}, "for"),
        ("acknowledge", {"nonsense": "SECRET"}, "nonsense"),
        ("acknowledge", {"SECRET key": 1}, "?"),
        ("acknowledge", {"note": "x" * 10_001}, "note"),
        ("acknowledge", {"note": "bell \x07 SECRET"}, "note"),
        ("acknowledge", [], "body"),
        ("snooze", {}, "for"),
        ("note", {"text": ""}, "text"),
        ("note", {"text": "x", "public": "SECRET"}, "public"),
        ("severity", {"level": 5}, "level"),
        ("severity", {"level": True}, "level"),
        ("severity", {"level": "1"}, "level"),
        ("assign", {}, "to"),
    ],
)
async def test_a_bad_body_names_the_field_and_repeats_nothing(site: Site, act: str, body: object, field: str) -> None:
    incident = await site.fire()
    answer = await site.post(of(incident, act), body)
    assert answer.status == 422, answer.text
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert "SECRET" not in answer.text
    assert (await site.load(incident.number)).version == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"title": " "}, "title"),
        ({"title": "two\nlines"}, "title"),
        ({"title": "x" * 301}, "title"),
        ({"title": None}, "title"),
        ({"severity": 0}, "severity"),
        ({"service": "no such service"}, "service"),
    ],
)
async def test_what_cannot_be_opened_is_refused_by_field(site: Site, change: dict[str, object], field: str) -> None:
    answer = await site.post("/api/v1/incidents", {"title": "t", "severity": 1, "service": "payments"} | change)
    assert answer.status == 422
    assert [error["field"] for error in answer.json["errors"]] == [field]


@pytest.mark.parametrize("raw", [b"{", b"\xff\xfe", b'{"note": NaN}', b'{"note": "\\ud800"}', b"[" * 5_000, b"null", b'{"note": "a"} x'])
async def test_what_is_not_json_is_refused(site: Site, raw: bytes) -> None:
    incident = await site.fire()
    answer = await site.post(of(incident, "acknowledge"), data=raw)
    assert answer.status == 422, answer.text


async def test_a_huge_body_is_refused(site: Site) -> None:
    incident = await site.fire()
    assert (await site.post(of(incident, "note"), data=b" " * 70_000)).status == 413
    answer = await site.post(of(incident, "note"), data=b"not gzip", headers={"Content-Encoding": "gzip"})
    assert answer.status == 400


async def test_unknown_paths_and_methods_are_problems(site: Site) -> None:
    incident = await site.fire()
    for answer, status in (
        (await site.get("/api/v1/nothing"), 404),
        (await site.post(of(incident, "merge"), {"into": "INC-1"}), 404),
        (await site.request("DELETE", of(incident)), 405),
    ):
        assert (answer.status, answer.json["status"]) == (status, status)
        assert answer.headers["Content-Type"] == "application/problem+json"


# --- who may -----------------------------------------------------------------------------------------------------------------------

ROLES = ("viewer", "agent", "supervisor", "administrator")
NEEDS = [
    ("GET", "/api/v1/incidents", None, "viewer"),
    ("GET", "/api/v1/incidents/{id}", None, "viewer"),
    ("GET", "/api/v1/oncall", None, "viewer"),
    ("POST", "/api/v1/incidents", {"title": "t", "severity": 4, "service": "payments"}, "agent"),
    ("POST", "/api/v1/incidents/{id}/acknowledge", None, "agent"),
    ("POST", "/api/v1/incidents/{id}/snooze", {"for": "1h"}, "agent"),
    ("POST", "/api/v1/incidents/{id}/note", {"text": "x"}, "agent"),
    ("POST", "/api/v1/incidents/{id}/resolve", None, "agent"),
    ("POST", "/api/v1/incidents/{id}/reopen", None, "agent"),
    ("POST", "/api/v1/incidents/{id}/severity", {"level": 2}, "supervisor"),
    ("POST", "/api/v1/incidents/{id}/assign", {"to": "kim"}, "supervisor"),
    ("POST", "/api/v1/tokens", {"name": "ci", "role": "viewer"}, "administrator"),
]


async def test_each_role_may_do_what_its_row_says(site: Site) -> None:
    incident = await site.fire()
    tokens = {role: await site.token(f"{role}-token", role) for role in ROLES}
    for method, path, body, needed in NEEDS:
        for role in ROLES:
            path_of = path.replace("{id}", incident.id)
            options: dict[str, Any] = {} if body is None else {"json": body}
            answer = await site.request(method, path_of, by=tokens[role], **options)
            allowed = ROLES.index(role) >= ROLES.index(needed)
            assert (answer.status < 300) == allowed, (method, path, role, answer.text)
            assert allowed or answer.status == 403
        for by in (None, "wrong"):
            answer = await site.request(method, path.replace("{id}", incident.id), by=by)
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_token_is_shown_once_and_kept_as_its_hash(site: Site) -> None:
    token = await site.token("kim", "agent")
    client: Any = site.deps.store.client
    kept = await client.hgetall("tocsin:tokens")
    assert len(kept) == 1
    assert token.encode() not in b"".join([*kept, *kept.values()])


@pytest.mark.parametrize("name", ["monitoring", "notifier", "administrator", "", "a b", "x" * 65, "<script>"])
async def test_a_token_cannot_pretend_to_be_somebody_else(site: Site, name: str) -> None:
    answer = await site.post("/api/v1/tokens", {"name": name, "role": "agent"})
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "name")


async def test_without_a_store_there_is_a_503_that_says_to_try_again(data_dir: Path, tmp_path: Path) -> None:
    server = EmbeddedServer(data_dir, ballast_bytes=0)
    await server.start()
    store = Store(connect(server.url, max_connections=16), shards=4, origin="console")
    async with running_console(server, store, tmp_path) as site:
        incident = await site.fire()
        link = await site.link(incident, "kim")
        await server.stop()
        for answer in (
            await site.post(of(incident, "acknowledge")),
            await site.get(of(incident)),
            await site.get("/api/v1/incidents"),
            await site.get("/api/v1/incidents", by="some token"),
            await site.post(link, by=None),
        ):
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "1"
        await _until(site, is_ready=False)
        await server.start()
        assert (await site.post(of(incident, "acknowledge"))).json["version"] == 2
        await _until(site, is_ready=True)
    await store.close()
    await server.stop()


async def _until(site: Site, *, is_ready: bool) -> None:
    async with asyncio.timeout(20):
        while (await site.get("/-/ready", by=None)).status != (200 if is_ready else 503):
            site.clock.advance(2_000)


# --- on call, document -------------------------------------------------------------------------------------------------------------


async def test_on_call_says_who_holds_each_role(site: Site) -> None:
    answer = await site.get("/api/v1/oncall")
    assert answer.json["at"] == "2026-02-16T17:55:00.000Z"
    assert answer.json["roles"][0] == {"role": "duty-engineer", "schedule": None, "people": [{"person": "kim", "name": "김민수"}]}
    for text in ("2026-02-17T02:00:00+09:00", "2026-02-16T17:00:00Z"):
        assert (await site.get("/api/v1/oncall", params={"at": text})).json["at"] == "2026-02-16T17:00:00.000Z"
    assert (await site.get("/api/v1/oncall?at=2026-02-17T02:00:00+09:00")).status == 200


@pytest.mark.parametrize("at", ["0", "1771264500", "2026-02-17T02:00:00", "tomorrow", "2026-02-30T00:00:00Z", "9999-99-99T00:00:00Z", ""])
async def test_a_time_without_a_zone_is_refused(site: Site, at: str) -> None:
    answer = await site.get("/api/v1/oncall", params={"at": at})
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "at")


async def test_the_document_is_openapi_and_names_every_route(site: Site) -> None:
    document = (await site.get("/api/v1/openapi.json", by=None)).json
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()
    documented = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    app = web.Application()
    site.role.add_routes(app)
    assert documented == {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None}
