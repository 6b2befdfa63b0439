"""Whose time counts when the clocks of two processes differ: the latest instant at which anybody has acted is everybody's present."""

from __future__ import annotations

from tests.services.world import MINUTE, NOW, World
from tocsin.runtime.service import latest_instant


async def test_who_is_behind_learns_the_time_from_what_others_have_done_or_said(world: World) -> None:
    assert await latest_instant(world.console) == 0
    await world.console.beat("ingest", NOW + MINUTE)
    assert await latest_instant(world.console) == NOW + MINUTE
    world.clock.advance(2 * MINUTE)
    correlator = await world.correlator()
    await world.report("A")
    await correlator.tick(world.clock.now_ms())
    assert await latest_instant(world.console) == NOW + 2 * MINUTE
