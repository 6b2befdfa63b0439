"""The history adds up to the present, and whoever touches it is found out."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.invariants import all_incidents, broken, broken_history
from tocsin.policy import events as ev
from tocsin.policy.incident import Decision, decide
from tocsin.policy.rules import Rules
from tocsin.store.commit import Commit
from tocsin.store.connection import connect
from tocsin.store.server import EmbeddedServer
from tocsin.store.store import Committed, Store

NOW = 1_800_000_000_000
MINUTE = 60_000
Opening = Callable[..., Decision]
OwnStore = Callable[..., AbstractAsyncContextManager[tuple[EmbeddedServer, Store]]]


def anything(generator: random.Random, pages: list[str]) -> ev.Event:
    page = generator.choice(pages)
    events: list[ev.Event] = [
        ev.AlertsChanged((generator.randrange(2), 0, generator.randrange(3), 0), 1, {"a": "b"}, joined=1),
        ev.TimerDue(),
        ev.PageSent(page, "receipt"),
        ev.PageRefused(page, "gone"),
        ev.PageUnreachable(page, "late", ambiguous=generator.random() < 0.5),
        ev.Acknowledged("kim", note="mine 김민수"),
        ev.Resolved("lee"),
        ev.Reopened("kim"),
        ev.Snoozed("kim", 10 * MINUTE),
        ev.Assigned("kim", "lee"),
        ev.Noted("lee", "words", public=True),
        ev.SeveritySet("kim", generator.randint(1, 4)),
    ]
    return generator.choice(events)


async def test_the_history_of_any_life_adds_up_to_the_present(store: Store, opening: Opening, rules: Rules) -> None:
    generator = random.Random(7)
    lives = {n: opening(n % 2, n // 2) for n in range(8)}
    for n, life in lives.items():
        assert await store.commit(Commit(n % 2, NOW, [life], seq=(n // 2, n // 2 + 1))) == Committed()
    present = {n: life.incident for n, life in lives.items()}
    now = NOW
    for _ in range(300):
        now += generator.randrange(20 * MINUTE)
        n = generator.randrange(8)
        before = present[n]
        decision = decide(before, anything(generator, [page.id for page in before.pages] or ["none"]), now, rules)
        if decision.changed:
            assert await store.commit(Commit(n % 2, now, [decision])) == Committed()
            present[n] = decision.incident
    assert await broken(store) == []
    assert await all_incidents(store) == {incident.number: incident for incident in present.values()}


@pytest.mark.parametrize(
    ("right", "wrong"), [(b'"reason":"acknowledged"', b'"reason":"acknowledgeb"'), (b'"actor":"kim"', b'"actor":"lee"')]
)
async def test_a_byte_changed_on_disk_is_found(
    own_store: OwnStore, data_dir: Path, opening: Opening, rules: Rules, right: bytes, wrong: bytes
) -> None:
    """The log of the server has no checksum: it loads without a word."""
    async with own_store() as (server, store):
        opened = opening(0)
        await store.commit(Commit(0, NOW, [opened, decide(opened.incident, ev.Acknowledged("kim"), NOW, rules)], seq=(0, 1)))
        await store.commit(Commit(0, NOW, [opening(0, 1)], seq=(1, 2)))
        assert await broken(store) == []
        await server.stop()
        changed = [path for path in (data_dir / "appendonlydir").iterdir() if right in path.read_bytes()]
        for path in changed:
            path.write_bytes(path.read_bytes().replace(right, wrong))
        assert changed
        await server.start()
        again = Store(connect(server.url, max_connections=2), shards=2)
        faults = await broken_history(again, 0, {n: i for n, i in (await all_incidents(again)).items() if n % 2})
        assert any("is not what was written" in fault for fault in faults)
        await again.close()
        await server.stop()
        for path in changed:
            path.write_bytes(path.read_bytes().replace(wrong, right))
        await server.start()
