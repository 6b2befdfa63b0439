"""Lists and the read model they are made of: filters, pages that do not shift, reading one's own writes, building again."""

import asyncio
from pathlib import Path

import pytest

from tests.console.conftest import HOUR, MINUTE, START, Site, running_console
from tocsin.policy import events as ev
from tocsin.store.server import EmbeddedServer
from tocsin.store.store import Store


async def ids(site: Site, **params: str) -> list[str]:
    answer = await site.get("/api/v1/incidents", params=params)
    assert answer.status == 200, answer.text
    return [item["id"] for item in answer.json["items"]]


async def test_a_list_can_be_narrowed(site: Site) -> None:
    disk = await site.fire("DiskFull", title="디스크 82% node_7", team="infra", severity="warning")
    site.clock.advance(MINUTE)
    pay = await site.fire("HighErrorRate", title="Payment API errors 38%")
    site.clock.advance(MINUTE)
    cert = await site.fire("CertExpires", title="certificate", host="WWW.example.com")
    await site.post(f"/api/v1/incidents/{cert.id}/acknowledge")
    assert await ids(site) == [cert.id, pay.id, disk.id]
    assert await ids(site, state="open") == [pay.id, disk.id]
    assert await ids(site, state="acknowledged,resolved") == [cert.id]
    assert await ids(site, severity="1") == [cert.id, pay.id]
    assert await ids(site, severity="2,3") == [disk.id]
    assert await ids(site, service="everything-else") == [disk.id]
    assert await ids(site, service="everything-else", severity="1") == []
    assert await ids(site, q="payment api") == [pay.id]
    assert await ids(site, q="디스크") == [disk.id]
    assert await ids(site, q=disk.id.lower()) == [disk.id]
    assert await ids(site, q="host=www.EXAMPLE") == [cert.id]


@pytest.mark.parametrize(("text", "count"), [("38%", 1), ("%", 1), ("_7", 1), ("p_yment", 0), ("\\", 0), ("' OR 1=1 --", 0), ("  ", 2)])
async def test_searched_text_is_taken_literally(site: Site, text: str, count: int) -> None:
    await site.fire("A", title="node_7 is full")
    await site.fire("B", title="errors 38 of 100, which is 38%")
    assert len(await ids(site, q=text)) == count


async def test_pages_of_a_list_do_not_shift_when_incidents_open_meanwhile(site: Site) -> None:
    old = []
    for index in range(7):
        old.append((await site.fire(f"old-{index}")).id)
        site.clock.advance(1_000 * (index % 2))  # some at the same instant
    first = (await site.get("/api/v1/incidents?limit=3")).json
    seen = [item["id"] for item in first["items"]]
    cursor = first["next"]
    while cursor is not None:
        site.clock.advance(1_000)
        await site.fire(f"new-{cursor}")
        following = (await site.get("/api/v1/incidents", params={"limit": "3", "cursor": cursor})).json
        seen += [item["id"] for item in following["items"]]
        cursor = following["next"]
    assert sorted(seen) == sorted(old)


async def test_a_page_holds_no_more_than_the_setting_says(server: EmbeddedServer, store: Store, tmp_path: Path) -> None:
    async with running_console(server, store, tmp_path, list_items_max=2) as site:
        for index in range(3):
            await site.fire(f"a-{index}")
        answer = (await site.get("/api/v1/incidents?limit=100")).json
        assert len(answer["items"]) == 2
        assert answer["next"] is not None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=x", "limit"),
        ("state=shut", "state"),
        ("state=", "state"),
        ("severity=0", "severity"),
        ("severity=1,", "severity"),
        ("cursor=x", "cursor"),
        ("cursor=%F0%9F%98%80", "cursor"),
        ("sort=age", "sort"),
        ("q=" + "x" * 201, "q"),
    ],
)
async def test_a_bad_query_names_its_parameter(site: Site, query: str, field: str) -> None:
    answer = await site.get(f"/api/v1/incidents?{query}")
    assert answer.status == 422, answer.text
    assert [error["field"] for error in answer.json["errors"]] == [field]


async def test_a_parameter_given_twice_is_refused(site: Site) -> None:
    assert (await site.get("/api/v1/incidents?state=open&state=closed")).status == 422


async def test_whoever_wrote_reads_what_was_written(site: Site) -> None:
    async def write_and_read(index: int) -> None:
        opened = await site.post("/api/v1/incidents", {"title": f"t{index}", "severity": 4, "service": "payments"})
        path = f"/api/v1/incidents/{opened.json['id']}"
        assert opened.json["id"] in await ids(site, q=f"t{index}")
        await site.post(f"{path}/note", {"text": "a note"})
        assert [change["reason"] for change in (await site.get(path)).json["history"]] == ["opened_by_person", "noted"]
        await site.post(f"{path}/resolve")
        assert opened.json["id"] in await ids(site, state="resolved")

    async with asyncio.TaskGroup() as group:
        for index in range(25):
            group.create_task(write_and_read(index))


async def test_the_read_model_outlives_a_restart_and_goes_on(server: EmbeddedServer, store: Store, tmp_path: Path) -> None:
    async with running_console(server, store, tmp_path) as site:
        incident = await site.fire()
        assert await ids(site) == [incident.id]
        generation = site.role.desk.reading.model.generation
    async with running_console(server, store, tmp_path) as site:
        await site.happen(incident.number, ev.Acknowledged("kim"))
        assert await ids(site, state="acknowledged") == [incident.id]
        assert site.role.desk.reading.model.generation == generation


async def test_the_gauge_is_right_after_a_restart_without_news(server: EmbeddedServer, store: Store, tmp_path: Path) -> None:
    async with running_console(server, store, tmp_path) as site:
        await site.fire()
        await ids(site)
    async with running_console(server, store, tmp_path) as site:
        await ids(site)
        assert site.metric("tocsin_incidents", state="open", severity="1") == 1


@pytest.mark.parametrize("damage", ["garbage", "other schema", "empty"])
async def test_a_damaged_read_model_is_built_again(server: EmbeddedServer, store: Store, tmp_path: Path, damage: str) -> None:
    async with running_console(server, store, tmp_path) as site:
        incident = await site.fire()
        assert await ids(site) == [incident.id]
        file = tmp_path / "console" / "readmodel.sqlite3"
        model = site.role.desk.reading.model
    if damage == "garbage":
        file.write_bytes(b"no database at all" * 1_000)
    elif damage == "empty":
        file.write_bytes(b"")
    else:
        _change_schema(file)
    async with running_console(server, store, tmp_path) as site:
        assert await ids(site) == [incident.id]
        assert site.role.desk.reading.model.generation != model.generation


def _change_schema(file: Path) -> None:
    import sqlite3

    db = sqlite3.connect(file)
    db.execute("UPDATE about SET value = '0' WHERE name = 'schema'")
    db.commit()
    db.close()


async def test_another_store_is_noticed_and_read_from_its_beginning(server: EmbeddedServer, store: Store, tmp_path: Path) -> None:
    async with running_console(server, store, tmp_path) as site:
        await site.fire("one")
        await site.fire("two")
        assert len(await ids(site)) == 2
    await store.client.flushall()
    await store.ensure_layout()
    async with running_console(server, store, tmp_path) as site:
        incident = await site.fire("three")
        assert await ids(site) == [incident.id]


async def test_the_gauge_counts_incidents_by_state_and_severity(site: Site) -> None:
    first = await site.fire("one")
    await site.fire("two")
    await site.post(f"/api/v1/incidents/{first.id}/acknowledge")
    await ids(site)
    assert site.metric("tocsin_incidents", state="open", severity="1") == 1
    assert site.metric("tocsin_incidents", state="acknowledged", severity="1") == 1
    assert site.metric("tocsin_incidents", state="open", severity="3") == 0


async def test_a_history_longer_than_a_batch_is_read_whole(site: Site) -> None:
    incident = await site.fire()
    for index in range(1_100):
        await site.happen(incident.number, ev.Noted("kim", f"note {index}"))
    history = (await site.get(f"/api/v1/incidents/{incident.id}")).json["history"]
    assert len(history) == 1_000
    assert history[-1]["version"] == 1_101


async def test_a_closed_incident_is_still_listed(site: Site) -> None:
    incident = await site.fire()
    await site.happen(incident.number, ev.Resolved("kim"))
    site.clock.advance(200 * HOUR)
    await site.happen(incident.number, ev.TimerDue())
    (item,) = (await site.get("/api/v1/incidents?state=closed")).json["items"]
    assert item["opened_at"] == "2026-02-16T17:55:00.000Z"
    assert item["closed_at"] is not None
    assert site.clock.now_ms() > START
