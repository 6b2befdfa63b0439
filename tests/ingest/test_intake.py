"""The group commit and what holds it up: big bodies, a correlator that is behind, a store that is full."""

import asyncio
import json
from typing import Any

from tests.ingest.conftest import Ingesting, Site, until

EVENTS = "/webhook/events"


def alerts(count: int, text: str = "") -> list[dict[str, Any]]:
    return [{"labels": {"alertname": f"a{n % 40}", "n": str(n)}, "annotations": {"text": text}} for n in range(count)]


async def catch_up(site: Site) -> None:
    """Do what the correlator does behind its cursor."""
    for at in site.deps.store.at:  # one by one: a cluster refuses keys of several slots
        await site.deps.store.client.delete(at.intake)


async def entry_sizes(site: Site) -> list[int]:
    found = []
    for at in site.deps.store.at:
        entries: Any = await site.deps.store.client.execute_command(b"XRANGE", at.intake, "-", "+")  # type: ignore[no-untyped-call]
        found += [sum(map(len, fields)) for _, fields in entries]
    return found


async def test_twenty_thousand_alerts_of_ten_megabytes_are_one_body(ingesting: Ingesting) -> None:
    body = json.dumps(alerts(20_000, "x" * 440)).encode()
    assert len(body) > 10_000_000
    async with ingesting(backlog_slow_entries=10_000) as site:
        assert (await site.post(EVENTS, body)).json == {"accepted": 20_000, "rejected": 0}
        sizes = await entry_sizes(site)
        assert max(sizes) <= 65_536
        assert len(sizes) < 250
        assert len({alert.key for alert in await site.stored()}) == 20_000


async def test_requests_of_one_moment_are_written_together(ingesting: Ingesting) -> None:
    async with ingesting() as site:
        await site.post(EVENTS, alerts(1))
        before = (await site.deps.store.client.info("commandstats"))["cmdstat_publish"]["calls"]
        async with asyncio.TaskGroup() as group:
            answers = [group.create_task(site.post(EVENTS, alerts(1))) for _ in range(100)]
        assert {answer.result().status for answer in answers} == {200}
        after = (await site.deps.store.client.info("commandstats"))["cmdstat_publish"]["calls"]
        assert after - before < 50, "each write rings once"
        assert len(await site.stored()) == 101


async def test_big_bodies_wait_for_the_correlator_and_small_ones_do_not(ingesting: Ingesting) -> None:
    async with ingesting(backlog_slow_entries=4) as site, asyncio.TaskGroup() as group:
        for _ in range(25):
            assert (await site.post(EVENTS, alerts(1))).status == 200
        big = group.create_task(site.post(EVENTS, alerts(6)))
        await site.until_stored(25 + 6)
        assert (await site.post(EVENTS, alerts(5))).status == 200
        assert not big.done()
        await catch_up(site)
        async with asyncio.timeout(2):
            assert (await big).status == 200
        assert (await site.post(EVENTS, alerts(6))).status == 200


async def test_far_behind_nothing_is_taken_until_the_correlator_has_caught_up(ingesting: Ingesting) -> None:
    async with ingesting(backlog_entries_max=4) as site:
        statuses = [(await site.post(EVENTS, alerts(1))).status for _ in range(10)]
        assert statuses == [200] * 5 + [503] * 5
        answer = await site.post(EVENTS, alerts(1))
        assert answer.headers["Retry-After"] == "1"
        assert len(await site.stored()) == 5
        assert site.role.not_ready() == "the correlator is too far behind"
        await catch_up(site)
        await site.until_ready()
        assert (await site.post(EVENTS, alerts(1))).status == 200


async def test_a_full_store_is_503_until_there_is_room(ingesting: Ingesting) -> None:
    async with ingesting() as site:
        client = site.deps.store.client
        before = (await client.config_get("maxmemory"))["maxmemory"] or "0"
        await client.config_set("maxmemory", "100kb")
        try:
            answer = await site.post("/api/v2/alerts", alerts(1))
            assert (answer.status, answer.json) == (503, {"code": 503, "message": "the store is full"})
            assert site.role.not_ready() == "the store is full"
        finally:
            await client.config_set("maxmemory", before)
        await site.until_ready()
        assert (await site.post("/api/v2/alerts", alerts(1))).status == 200


async def test_draining_answers_what_was_begun_and_refuses_what_comes(ingesting: Ingesting) -> None:
    async with ingesting(backlog_slow_entries=1) as site, asyncio.TaskGroup() as group:
        for _ in range(3):
            await site.post(EVENTS, alerts(1))
        begun = group.create_task(site.post(EVENTS, alerts(6)))
        await site.until_stored(9)
        drained = group.create_task(site.role.drain())
        await until(lambda: site.role.not_ready() is not None)
        assert (await site.post(EVENTS, alerts(1))).status == 503
        assert not drained.done()
        await catch_up(site)
        assert (await begun).status == 200
        await drained


async def test_alerts_that_belong_together_go_to_one_shard(ingesting: Ingesting) -> None:
    async with ingesting() as site:
        one = [{"labels": {"alertname": "down", "team": "payments", "cluster": "a", "n": str(n)}} for n in range(30)]
        await site.post(EVENTS, one)
        store = site.deps.store
        shards = await store.read_intake(["0-0"] * store.shards, 100)
        (entries,) = [entries for entries in shards if entries]
        (entry,) = entries
        assert len(entry.alerts) == 30
        assert entry.received_at <= site.deps.clock.now_ms()
