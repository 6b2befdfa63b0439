"""Two Alertmanagers that know each other, and deliver the same alert twice because the intake answers slowly."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.e2e.peers import Alertmanager
from tests.e2e.product import Product, free_ports, paged, pause, rules_text, until
from tests.fakes.receiver import Receiver

SLOW_S = 2.5
"""Longer than the peers wait for each other (1 s)."""

CONFIG = """
route: {{receiver: tocsin, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1s}}
receivers:
  - name: tocsin
    webhook_configs: [{{url: 'http://127.0.0.1:{port}/webhook/alertmanager', send_resolved: true, max_alerts: 0}}]
"""


class SlowWay:
    """Passes deliveries on at once and hands their answers back late. Records who was waiting for an answer when another came."""

    def __init__(self, upstream: str) -> None:
        self.port = 0
        self.delivered = 0
        self.senders: set[str] = set()
        self.overlapping = 0
        self._upstream = upstream
        self._waiting = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator["SlowWay"]:
        app = web.Application()
        async with aiohttp.ClientSession() as self._session:
            app.router.add_post("/{path:.*}", self._pass_on)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.port = runner.addresses[0][1]
            try:
                yield self
            finally:
                await runner.cleanup()

    async def _pass_on(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.overlapping += self._waiting > 0
        self._waiting += 1
        try:
            headers = {"Content-Type": request.headers["Content-Type"]}
            async with self._session.post(f"{self._upstream}{request.path}", data=body, headers=headers) as answer:
                said = await answer.read()
            self.delivered += 1
            self.senders.add((await request.json())["externalURL"])
            await pause(SLOW_S)
            return web.Response(status=answer.status, body=said)
        finally:
            self._waiting -= 1


async def test_two_alertmanagers_that_both_deliver_make_one_incident_and_one_page_per_rung(
    data_dir: Path, receiver: Receiver, real_binary: Callable[[str], Path]
) -> None:
    async with Product(data_dir, rules_text(receiver, {1: ("0s", "2s")})) as product, SlowWay(product.url("ingest")).open() as way:
        config = CONFIG.format(port=way.port)
        binary = real_binary("prometheus-alertmanager")
        ports = free_ports(2)
        peers = [
            Alertmanager(data_dir / f"peer-{number}", binary, config, cluster_port=port, peers=ports) for number, port in enumerate(ports)
        ]
        async with peers[0] as first, peers[1] as second:
            async with asyncio.TaskGroup() as group:
                for peer in (first, second):
                    group.create_task(peer.fire(alertname="DiskFull", severity="critical", cluster="seoul-1"))

            async def both_delivered() -> bool:
                return len(way.senders) == 2 and way.overlapping > 0

            await until(both_delivered, "both peers deliver, one while the other waits for its answer", limit_s=40)
            page = await receiver.page(2)
            incident_id = page.body["incident"]["id"]
            before = await _once_recorded(product, incident_id)

            more = way.delivered + 4
            await until(lambda: _reached(way, more), "four repeats more", limit_s=30)
            after = await product.incident(incident_id)
            assert after == before, "repeats change nothing, the version least of all"
            assert [incident["id"] for incident in await product.incidents()] == [incident_id]
            assert paged(receiver, incident_id) == ["kim", "lee"]
            assert len(receiver.pages) == 2


async def _reached(way: SlowWay, count: int) -> bool:
    return way.delivered >= count


async def _once_recorded(product: Product, incident_id: str) -> dict[str, object]:
    """The incident, once what came of its pages is in it."""

    async def look() -> dict[str, object] | None:
        incident = await product.incident(incident_id)
        return incident if {page["status"] for page in incident["pages"]} == {"sent"} else None

    return await until(look, "both pages are recorded as sent")
