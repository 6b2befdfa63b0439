"""Webhooks that come twice, late and out of order, and roles told to stop while alerts stream in (rows 42 and 48)."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.peers import Sender, webhook_body
from tests.e2e.product import CLOCK, ROLES, Product, named_in, rules_text, until
from tests.fakes.receiver import Receiver
from tests.faults.aftermath import taken_once, until_whole
from tests.faults.figures import Figures

RUNGS = {1: ["0s", "1s"], 2: ["0s"], 3: ["0s"]}
ALERTS = 40
COPIES = 3
STOP_MAX_S = 15.0


def webhook(name: str, started: datetime, ended: datetime | None) -> dict[str, Any]:
    body = webhook_body({"alertname": name, "severity": "critical"})
    body["alerts"][0] |= {"startsAt": started.isoformat(), "status": "firing"}
    if ended is not None:
        body["alerts"][0] |= {"endsAt": ended.isoformat(), "status": "resolved"}
        body["status"] = "resolved"
    return body


async def test_webhooks_that_come_again_late_and_out_of_order_make_no_incident_more(
    data_dir: Path, receiver: Receiver, figure: Figures
) -> None:
    generator = random.Random(42)
    started = datetime.fromtimestamp(CLOCK.now_ms() / 1000, UTC) - timedelta(seconds=30)
    names = [f"Again{n}" for n in range(ALERTS)]
    first = [webhook(name, started, None) for name in names]
    first_over = [webhook(name, started, started + timedelta(seconds=5)) for name in names]
    second = [webhook(name, started + timedelta(seconds=10), None) for name in names]
    second_over = [webhook(name, started + timedelta(seconds=10), started + timedelta(seconds=20)) for name in names]
    async with Product(data_dir, rules_text(receiver, RUNGS)) as product:

        async def post(bodies: list[dict[str, Any]]) -> None:
            shuffled = bodies * COPIES
            generator.shuffle(shuffled)
            async with asyncio.TaskGroup() as group:
                for body in shuffled:
                    group.create_task(product.call("ingest", "POST", "/webhook/alertmanager", json=body))

        async def until_all(state: str) -> None:
            async def look() -> bool:
                return {incident["state"] for incident in await product.incidents()} == {state}

            await until(look, f"every incident is {state}")

        await post(first)
        await taken_once(product, names)
        await post(first_over)
        await until_all("resolved")
        await post(second)
        await until_all("open")
        await post(second_over)
        await until_all("resolved")
        await post(first + first_over + second_over)  # two episodes, then the first one again and all that is over
        await product.fire("Marker", severity="critical")
        incidents = await taken_once(product, {*names, "Marker"})
        reopened = sum(incident["state"] != "resolved" for incident in incidents if incident["labels"]["alertname"] != "Marker")
        await until_whole(product)
    figure(42, "webhooks", 7 * ALERTS * COPIES)
    figure(42, "extra incidents", len(incidents) - ALERTS - 1, at_most=0)
    figure(42, "incidents reopened by old news", reopened, at_most=0)
    figure(42, "copies of a page", max(receiver.copies().values()), at_most=1)


@pytest.mark.faults_long
async def test_every_role_stops_in_time_under_load_and_nothing_is_lost_or_doubled(
    data_dir: Path, receiver: Receiver, figure: Figures
) -> None:
    stopped_s: dict[str, float] = {}
    async with Product(data_dir, rules_text(receiver, RUNGS)) as product:
        sender = Sender(f"{product.url('ingest')}/webhook/alertmanager")
        async with asyncio.TaskGroup() as group:
            group.create_task(sender.stream(160, per_s=25.0))
            for number, role in enumerate(ROLES, start=1):
                await sender.until_accepted(number * 25)
                pid = product.pid(role)
                assert pid is not None
                began = CLOCK.monotonic()
                os.kill(pid, signal.SIGTERM)

                async def gone(role: str = role, pid: int = pid) -> bool:
                    return product.pid(role) != pid

                await until(gone, f"{role} has stopped", STOP_MAX_S + 5)
                stopped_s[role] = CLOCK.monotonic() - began
                await product.until_again(role, pid)
        incidents = await taken_once(product, sender.accepted)
        wanted = 2 * len(incidents)
        await receiver.wait_for(lambda pages: sum(len(named_in(page)) for page in pages) >= wanted, limit_s=30)
        await until_whole(product)
    told = Counter((incident, page.body["person"]) for page in receiver.pages for incident in named_in(page))
    figure(48, "longest stop of a role", max(stopped_s.values()), "s", at_most=STOP_MAX_S)
    figure(48, "pages of one rung beyond the first", sum(count - 1 for count in told.values()), at_most=0)
    figure(48, "alerts answered and missing", len(sender.accepted) - len(incidents), at_most=0)
