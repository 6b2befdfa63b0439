"""What the history says of pages: who was held, denied or tried again, and why."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from tests.invariants import HISTORY_MAX
from tests.services.world import World


@dataclass(frozen=True, slots=True)
class PageRecord:
    """One entry about a page. `until` is when it was to be looked at again (ms UTC), 0 when the entry says none."""

    incident: int
    at: int
    reason: str
    page: str
    why: str
    until: int


async def page_records(world: World, *reasons: str) -> list[PageRecord]:
    """Return what was recorded with one of these reasons, by incident and in order."""
    found = []
    for shard in range(world.shards):
        for _, payload, _ in await world.console.read_history(shard, "0-0", HISTORY_MAX):
            entry = orjson.loads(payload)
            if entry["reason"] in reasons:
                told = entry["inputs"]
                record = PageRecord(
                    entry["incident"], entry["at"], entry["reason"], told["page"], told.get("why", ""), told.get("until", 0)
                )
                found.append(record)
    return found
