"""More than anybody should send: a storm, a million label sets, thousands of silent connections (rows 39, 45, 46), a slow provider (35)."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.e2e.product import ANSWER_LIMIT_S, CLOCK, ROLES, Product, pause, rules_text, until
from tests.fakes.receiver import Receiver
from tests.faults.aftermath import until_whole
from tests.faults.figures import Figures
from tests.services.test_provider_faults import OneByteASecond

RUNGS = {1: ["0s"], 2: ["0s"], 3: ["0s"]}
LOADED = 3.0
"""How much longer an answer may take than the catalogue says, on a machine that runs other tests."""
ACKNOWLEDGE_P99_S, PAGE_P99_S, INTAKE_P99_S, SCRAPE_S = 0.2 * LOADED, 1.0 * LOADED, 0.2 * LOADED, 0.2 * LOADED
BODY = 100
GROUPS = 500
METRICS_BYTES_MAX = 1_000_000


def p99(waits: Sequence[float]) -> float:
    return sorted(waits)[math.ceil(len(waits) * 0.99) - 1]


def body(first: int, groups: int = GROUPS) -> bytes:
    """A hundred alerts that nobody has seen before."""
    alerts = [
        {"labels": {"alertname": f"Storm{n % groups}", "severity": "warning", "node": f"node-{n}", "instance": f"10.0.{n % 250}.1:9100"}}
        for n in range(first, first + BODY)
    ]
    return json.dumps(alerts).encode()


class Storm:
    """So many new alerts at a pace; a body that is refused is sent again."""

    def __init__(self, product: Product, count: int, per_s: float, *, groups: int = GROUPS) -> None:
        self.refused = 0
        self.bodies = 0
        self._product, self._count, self._per_s, self._groups = product, count, per_s, groups

    async def run(self, senders: int = 4) -> None:
        async with asyncio.TaskGroup() as group:
            for sender in range(senders):
                group.create_task(self._send(sender, senders))

    async def _send(self, sender: int, senders: int) -> None:
        began = CLOCK.monotonic()
        headers = {"Content-Type": "application/json"}
        for number, first in enumerate(range(sender * BODY, self._count, senders * BODY)):
            data = body(first, self._groups)
            while (await self._product.call("ingest", "POST", "/webhook/events", data=data, headers=headers)).status != 200:
                self.refused += 1
                await pause(1.0)
            self.bodies += 1
            ahead = number * senders * BODY / self._per_s - (CLOCK.monotonic() - began)
            if ahead > 0:
                await pause(ahead)


async def folded(product: Product, count: int, limit_s: float) -> None:
    """Return once the correlator has applied so many alerts."""

    async def look() -> bool:
        return await product.metric("correlator", "tocsin_alerts_folded_total") >= count

    await until(look, f"{count} alerts are folded", limit_s)


@pytest.mark.parametrize(
    ("count", "over_s"), [(3_000, 3.0), pytest.param(50_000, 60.0, marks=[pytest.mark.faults_long, pytest.mark.timeout(400)])]
)
async def test_beside_a_storm_pages_and_acknowledgements_stay_quick(
    data_dir: Path, receiver: Receiver, figure: Figures, count: int, over_s: float
) -> None:
    """Of severity 1 beside the storm: one a quarter of a second, paged to kim and acknowledged as soon as it is."""
    waits: list[float] = []
    pages: list[float] = []
    sev1 = 0
    # The storm pages another person, so that its pages and kim's are told apart.
    rules = json.loads(rules_text(receiver, RUNGS))
    rules["ladders"]["short"]["rungs"]["2"] = {"0s": "general-manager"}
    async with Product(data_dir, json.dumps(rules)) as product:
        await product.until_ready()
        storm = Storm(product, count, count / over_s)
        async with asyncio.TaskGroup() as group:
            storming = group.create_task(storm.run())
            while not storming.done():
                sev1 += 1
                sent_s = CLOCK.now_ms() / 1000
                await product.fire(f"Grave{sev1}", severity="critical")
                title = f"Grave{sev1} "
                await receiver.wait_for(lambda _, title=title: of_kim(receiver, title), limit_s=60)  # type: ignore[misc]
                page = of_kim(receiver, title)[0]
                pages.append(page.at_s - sent_s)
                since = CLOCK.monotonic()
                assert (await product.post(f"/api/v1/incidents/{page.body['incident']['id']}/acknowledge")).status == 200
                waits.append(CLOCK.monotonic() - since)
                await pause(0.25)
        await folded(product, count + sev1, 120)
        found = await product.incidents()
        lost = count + sev1 - sum(incident["alerts"]["firing"] for incident in found)
        await until_whole(product)
    figure(39, "alerts", count + sev1)
    figure(39, "alerts lost", lost, at_most=0)
    figure(39, "bodies refused with 503", storm.refused / (storm.refused + storm.bodies) * 100, "%", at_most=50.0)
    figure(39, "acknowledgement p99", p99(waits), "s", at_most=ACKNOWLEDGE_P99_S)
    figure(39, "page of severity 1 p99", p99(pages), "s", at_most=PAGE_P99_S)


def of_kim(receiver: Receiver, title: str):  # type: ignore[no-untyped-def]  # pages
    return [page for page in receiver.to("kim") if f"{page.body['incident']['title']} ".startswith(title)]


@pytest.mark.parametrize("count", [5_000, pytest.param(1_000_000, marks=[pytest.mark.faults_long, pytest.mark.timeout(900)])])
async def test_a_million_label_sets_do_not_swell_the_metrics(data_dir: Path, receiver: Receiver, figure: Figures, count: int) -> None:
    async with Product(data_dir, rules_text(receiver, RUNGS)) as product:
        await Storm(product, count, per_s=1e9, groups=1_000).run()
        await folded(product, count, 600)
        sizes, times = {}, {}
        for role in ROLES:
            since = CLOCK.monotonic()
            sizes[role] = len((await product.call(role, "GET", "/metrics")).body)
            times[role] = CLOCK.monotonic() - since
    figure(46, "label sets", count)
    figure(46, "longest /metrics", max(sizes.values()), "bytes", at_most=METRICS_BYTES_MAX)
    figure(46, "longest scrape", max(times.values()), "s", at_most=SCRAPE_S)


@pytest.mark.parametrize(
    ("connections", "timeout_s"), [(200, 2), pytest.param(2_000, 15, marks=[pytest.mark.faults_long, pytest.mark.timeout(180)])]
)
async def test_silent_and_dribbling_connections_are_closed_and_delay_nobody(
    data_dir: Path, receiver: Receiver, figure: Figures, connections: int, timeout_s: int
) -> None:
    """Half of them stop in the headers, half in the body; a quarter of each goes on with a byte a second."""
    waits: list[float] = []
    async with Product(data_dir, rules_text(receiver, RUNGS), "--web.read-timeout", f"{timeout_s}s") as product:
        began = CLOCK.monotonic()
        async with asyncio.TaskGroup() as group:
            loris = [group.create_task(slow_connection(product.ports["ingest"], n, timeout_s)) for n in range(connections)]
            while not all(one.done() for one in loris):
                since = CLOCK.monotonic()
                await product.fire(f"Beside{len(waits)}", severity="critical")
                waits.append(CLOCK.monotonic() - since)
                await pause(0.05)
        closed_s = [one.result() for one in loris]
        assert CLOCK.monotonic() - began < timeout_s + 30
        await product.until_ready()
        await until_whole(product)
    figure(45, "connections", connections)
    figure(45, "until the last was closed", max(closed_s), "s", at_most=timeout_s + 5.0)
    figure(45, "intake p99 beside them", p99(waits), "s", at_most=INTAKE_P99_S)


async def slow_connection(port: int, number: int, timeout_s: float) -> float:
    """How long it is let stand."""
    head = b"POST /webhook/events HTTP/1.1\r\nHost: x\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    since = CLOCK.monotonic()
    writer.write(head if number % 2 else head + b'Content-Type: application/json\r\nContent-Length: 10000\r\n\r\n{"labels"')
    dribbles = number % 4 < 2
    try:
        async with asyncio.timeout(timeout_s + 30):
            while not reader.at_eof():
                try:
                    async with asyncio.timeout(1.0):
                        await reader.read(4_096)
                except TimeoutError:
                    if dribbles:
                        writer.write(b"X")
    except ConnectionError:
        pass
    finally:
        writer.close()
    return CLOCK.monotonic() - since


@pytest.mark.faults_long
async def test_a_provider_that_answers_a_byte_a_second_delays_no_other(data_dir: Path, receiver: Receiver, figure: Figures) -> None:
    async with OneByteASecond() as dribbler:
        rules = json.loads(rules_text(receiver, RUNGS))
        rules["people"]["lee"]["contacts"] = [{"to": dribbler.contact("/lee")}]
        rules["ladders"]["short"]["rungs"]["2"] = {"0s": "customer-service-engineer"}
        async with Product(data_dir, json.dumps(rules)) as product:
            alone = [await page_wait(product, receiver, f"Alone{n}") for n in range(15)]
            for n in range(15):
                await product.fire(f"Dribbled{n}", severity="warning")
            async with asyncio.timeout(ANSWER_LIMIT_S):
                while not dribbler.requests:
                    await pause(0.05)
            beside = [await page_wait(product, receiver, f"Beside{n}") for n in range(15)]
    figure(35, "other pages p99 without it", p99(alone), "s")
    figure(35, "other pages p99 beside it", p99(beside), "s", at_most=max(alone) + 0.5)


async def page_wait(product: Product, receiver: Receiver, name: str) -> float:
    sent_s = CLOCK.now_ms() / 1000
    await product.fire(name, severity="critical")
    await receiver.wait_for(lambda _: of_kim(receiver, f"{name} "))
    return float(of_kim(receiver, f"{name} ")[0].at_s - sent_s)
