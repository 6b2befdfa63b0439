"""While the store is away the pager is blind: the emergency contacts hear of it, and nobody else."""

from __future__ import annotations

from notifier.emergency import EmergencyWatch
from tests.fakes.proxy import Proxy
from tests.fakes.receiver import Answer
from tests.services.conftest import MakeWorld
from tests.services.world import MINUTE, quiet_log
from tocsin.runtime.inforce import RulesInForce
from tocsin.runtime.metrics import Metrics
from tocsin.runtime.service import Deps


async def test_a_store_away_for_a_minute_pages_the_emergency_contacts_and_again_later(world_at: MakeWorld, shared_url: str) -> None:
    async with world_at(shared_url) as world, Proxy(shared_url) as proxy:
        watch = EmergencyWatch(await world.deps("notifier", proxy.url))
        assert not await watch.tick()
        proxy.go_away()
        for _ in range(60):
            assert not await watch.tick()
            world.clock.advance(1_000)
        assert await watch.tick()
        [page] = world.receiver.pages
        assert (page.path, page.body["kind"], page.body["late_by_s"]) == ("/ops/1", "emergency", 60.0)
        assert "blind" in page.body["text"]
        world.clock.advance(29 * MINUTE)
        assert not await watch.tick()
        world.clock.advance(MINUTE)
        assert await watch.tick()
        proxy.come_back()
        assert not await watch.tick()
        world.clock.advance(MINUTE)
        assert not await watch.tick()
        assert len(world.receiver.pages) == 2


async def test_a_store_that_comes_and_goes_is_counted_from_its_last_answer(world_at: MakeWorld, shared_url: str) -> None:
    async with world_at(shared_url) as world, Proxy(shared_url) as proxy:
        watch = EmergencyWatch(await world.deps("notifier", proxy.url))
        for _ in range(5):
            proxy.go_away()
            assert not await watch.tick()
            world.clock.advance(50_000)
            assert not await watch.tick()
            proxy.come_back()
            assert not await watch.tick()
        assert not world.receiver.pages


async def test_an_emergency_page_that_nobody_took_is_tried_again_soon(world_at: MakeWorld, shared_url: str) -> None:
    async with world_at(shared_url) as world, Proxy(shared_url) as proxy:
        watch = EmergencyWatch(await world.deps("notifier", proxy.url))
        proxy.go_away()
        assert not await watch.tick()
        world.receiver.answers.append(Answer(status=503))
        world.clock.advance(MINUTE)
        assert await watch.tick()
        world.clock.advance(30_000)
        assert await watch.tick()
        assert len(world.receiver.copies()) == 1, "the same page, so that its receiver knows it again"


async def test_a_notifier_that_never_saw_its_store_pages_by_the_rules_file(world_at: MakeWorld, shared_url: str) -> None:
    async with world_at(shared_url) as world, Proxy(shared_url) as proxy:
        known = await world.deps("notifier")
        proxy.go_away()
        store = world.store("blind", proxy.url)
        rules = RulesInForce(store, world.clock, Metrics(), quiet_log(), file=world.rules_file)
        watch = EmergencyWatch(Deps(known.settings, world.clock, store, rules, Metrics(), quiet_log()))
        assert not await watch.tick()
        world.clock.advance(MINUTE)
        assert await watch.tick()
        assert world.arrived() == [("/ops/1", 1)]
