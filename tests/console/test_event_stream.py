"""Following live: every change once, in order, and again from where one stopped."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.console.conftest import Site, running_console
from tocsin.store.server import EmbeddedServer
from tocsin.store.store import Store

LIMIT_S = 20.0


class Stream:
    """A client that reads server-sent events."""

    def __init__(self, answer: aiohttp.ClientResponse, site: Site) -> None:
        self.answer = answer
        self._site = site
        self.last_id: str | None = None

    async def next(self) -> dict[str, Any]:
        """Return the data of the next event with its name; blocks without data only move the last id."""
        name, data = "message", ""
        async with asyncio.timeout(LIMIT_S):
            while True:
                line = (await self._line()).rstrip("\n")
                key, _, value = line.partition(": ")
                if key == "id":
                    self.last_id = value
                elif key == "event":
                    name = value
                elif key == "data":
                    data += value
                elif not line and data:
                    return {"event_name": name, **json.loads(data)}

    async def _line(self) -> str:
        # The console's own loop rests on the clock of the test between two looks.
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self.answer.content.readline())
            while not reading.done():
                self._site.clock.advance(250)
                await asyncio.wait([reading], timeout=0.02)
        line = reading.result()
        if not line:
            raise EOFError
        return line.decode()

    async def begun(self) -> None:
        """Return once the stream says where it stands."""
        while self.last_id is None:
            key, _, value = (await self._line()).rstrip("\n").partition(": ")
            if key == "id":
                self.last_id = value


@asynccontextmanager
async def following(site: Site, last_id: str | None = None) -> AsyncIterator[Stream]:
    headers = {"Authorization": f"Bearer {site.administrator}"} | ({"Last-Event-ID": last_id} if last_id else {})
    async with site.client.get(f"{site.url}/api/v1/events", headers=headers) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        yield Stream(answer, site)


async def test_changes_of_any_process_are_heard_in_order(site: Site) -> None:
    async with following(site) as stream:
        await stream.begun()
        incident = await site.fire()
        first = await stream.next()
        assert (first["incident"], first["version"], first["reason"], first["state"]) == (incident.id, 1, "opened", "open")
        await site.post(f"/api/v1/incidents/{incident.id}/acknowledge")
        second = await stream.next()
        assert (second["version"], second["event"], second["actor"]) == (2, "Acknowledged", "administrator")


async def test_a_client_that_comes_back_misses_nothing(site: Site) -> None:
    async with following(site) as stream:
        await stream.begun()
        stopped_at = stream.last_id
    incidents = [(await site.fire(f"while-away-{index}")).id for index in range(250)]
    heard: list[str] = []
    async with following(site, stopped_at) as stream:
        heard += [(await stream.next())["incident"] for _ in range(120)]
        stopped_at = stream.last_id
    async with following(site, stopped_at) as stream:
        heard += [(await stream.next())["incident"] for _ in range(130)]
    assert sorted(heard) == sorted(incidents)


async def test_an_id_of_another_read_model_means_to_start_anew(site: Site) -> None:
    await site.fire()
    for last_id in ("00000000-1", "nonsense", "x" * 300):
        async with following(site, last_id) as stream:
            assert (await stream.next())["event_name"] == "reset"


async def test_too_many_followers_are_refused_and_a_place_is_given_back(server: EmbeddedServer, store: Store, tmp_path: Path) -> None:
    async with running_console(server, store, tmp_path, event_streams_max=1) as site:
        async with following(site) as stream:
            await stream.begun()
            answer = await site.get("/api/v1/events")
            assert answer.status == 503
        async with asyncio.timeout(LIMIT_S):
            while len(site.role.desk.followers):
                site.clock.advance(15_000)
                await asyncio.sleep(0)
        async with following(site) as stream:
            await stream.begun()


async def test_a_stop_lets_the_followers_go(site: Site) -> None:
    async with following(site) as stream:
        await stream.begun()
        await site.role.drain()
        async with asyncio.timeout(LIMIT_S):
            await stream.answer.content.read()
    assert len(site.role.desk.followers) == 0
