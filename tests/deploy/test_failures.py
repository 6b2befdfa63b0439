"""Failures of docs/operations.md that need the whole product: what it says happens, happens."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest_asyncio

from tests.e2e.product import CLOCK, ROLES, STORE, Product, paged, rules_text, until
from tests.fakes.receiver import Receiver
from tocsin.store.connection import connect

RUNGS = {1: ["0s", "7s"], 2: ["0s"], 3: ["0s"]}
"""The second rung is due after every role has told the store at least once that it works."""


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(lambda: CLOCK.now_ms() / 1000) as running:
        yield running


async def set_memory_max(product: Product, size: str) -> None:
    client = connect(f"unix://{product.directory}/data/store.sock", max_connections=1)
    try:
        await client.config_set("maxmemory", size)
    finally:
        await client.aclose()


async def the_incident(product: Product) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found = await product.incidents()
        return found[0] if found else None

    return await until(look, "an incident opens")


async def until_paged(receiver: Receiver, incident_id: str, people: list[str]) -> None:
    async def look() -> bool:
        return paged(receiver, incident_id) == people

    await until(look, f"{people} are paged for {incident_id}", limit_s=20)


async def test_a_full_store_refuses_alerts_while_the_ladder_and_answers_go_on(data_dir: Path, receiver: Receiver) -> None:
    async with Product(data_dir, rules_text(receiver, RUNGS)) as product:
        await product.fire("DiskFull", severity="critical")
        incident = await the_incident(product)
        await until_paged(receiver, incident["id"], ["kim"])
        before = {role: product.pid(role) for role in ROLES}
        await set_memory_max(product, "1mb")

        refused = await product.call("ingest", "POST", "/webhook/events", json={"labels": {"alertname": "Another"}})
        assert (refused.status, refused.json["detail"]) == (503, "the store is full")
        assert (await product.call("ingest", "GET", "/-/ready")).text == "the store is full\n"
        await until_paged(receiver, incident["id"], ["kim", "lee"])
        assert {role: product.pid(role) for role in ROLES} == before, "no role has died of it"

        killed = product.kill("notifier")

        async def notifier_is_back() -> bool:
            return product.pid("notifier") not in (None, killed) and await product.is_ready("notifier")

        await until(notifier_is_back, "the notifier starts on a full store")
        assert (await product.post(f"/api/v1/incidents/{incident['id']}/acknowledge")).status == 200

        await set_memory_max(product, "256mb")
        await product.until_ready()
        await product.fire("Another")


async def test_roles_wait_for_a_store_that_is_killed_while_they_work(data_dir: Path, receiver: Receiver) -> None:
    async with Product(data_dir, rules_text(receiver, RUNGS)) as product:
        before = {role: product.pid(role) for role in ROLES}
        names = [f"Storm{number}" for number in range(60)]
        for kill_at in (10, 30, 50):
            for name in names[kill_at - 10 : kill_at + 10]:
                await fire_until_taken(product, name)
                if name == names[kill_at]:
                    product.kill(STORE)

        async def all_opened() -> bool:
            return {incident["labels"]["alertname"] for incident in await product.incidents()} == set(names)

        await product.until_ready()
        await until(all_opened, "every alert that was taken is an incident")
        assert {role: product.pid(role) for role in ROLES} == before, "no role has died of it"


async def fire_until_taken(product: Product, name: str) -> None:
    event = {"labels": {"alertname": name, "severity": "warning"}}

    async def taken() -> bool:
        answer = await product.call("ingest", "POST", "/webhook/events", json=event)
        assert answer.status in (200, 503)
        return answer.status == 200

    await until(taken, f"{name} is taken", limit_s=20)


async def test_rules_that_are_not_text_are_refused_and_the_old_ones_stay(data_dir: Path, receiver: Receiver) -> None:
    async with Product(data_dir, rules_text(receiver, RUNGS)) as product:
        before = {role: product.pid(role) for role in ROLES}
        product.rules_file.write_bytes(b"version: 1\n# \xff\xfe\n")
        assert (await product.call("console", "POST", "/-/reload")).status == 400

        async def refused_by_all() -> bool:
            loaded = [await product.metric(role, "tocsin_config_last_reload_successful") for role in ROLES]
            return loaded == [0, 0, 0, 0]

        product.program.signal(signal.SIGHUP)
        await until(refused_by_all, "every role has refused the rules")
        assert {role: product.pid(role) for role in ROLES} == before
        await product.fire("DiskFull", severity="critical")
        incident = await the_incident(product)
        await until_paged(receiver, incident["id"], ["kim"])


async def test_a_second_correlator_shuts_the_first_one_out(data_dir: Path, receiver: Receiver) -> None:
    async with Product(data_dir, rules_text(receiver, RUNGS)) as product:
        await product.fire("DiskFull", severity="critical")
        incident = await the_incident(product)
        before = product.pid("correlator")
        client = connect(f"unix://{product.directory}/data/store.sock", max_connections=1)
        try:
            for shard in range(4):  # as take_over does
                await client.hincrby(f"{{s{shard:02d}}}:meta", "fence:correlator", 1)
        finally:
            await client.aclose()
        try:
            await product.fire("DiskFull", severity="critical", node="b")
        except aiohttp.ClientError as error:
            raise AssertionError("ingest does not depend on the correlator") from error

        async def is_another() -> bool:
            return product.pid("correlator") not in (None, before) and await product.is_ready("correlator")

        await until(is_another, "the one that was shut out ends and is started anew")
        assert " event=fenced " in product.log

        async def both() -> bool:
            detail = await product.incident(incident["id"])
            return bool(detail["alert_counts"]["firing"] == 2)

        await until(both, "the alert that waited is applied")
