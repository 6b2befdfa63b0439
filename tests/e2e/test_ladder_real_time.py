"""The ladder of the source document once in real time, its half hours as seconds."""

import asyncio
from datetime import datetime
from pathlib import Path

from tests.e2e.product import PEOPLE, Product, named_in, rules_text
from tests.fakes.receiver import Receiver

LATE_MAX_S = 0.250
CLOCKS_S = 0.002
"""Instants are whole milliseconds on both sides."""

TABLE = {1: (0, 1, 2, 4), 2: (0, 2, 4, 8), 3: (0, 4, 8, 16)}
SEVERITIES = {"critical": 1, "warning": 2, "info": 3}


async def test_every_rung_of_the_three_severities_is_paged_within_250_ms_of_its_time(data_dir: Path, receiver: Receiver) -> None:
    rules = rules_text(receiver, {level: [f"{after}s" for after in afters] for level, afters in TABLE.items()})
    async with Product(data_dir, rules) as product:
        async with asyncio.TaskGroup() as group:
            for label in SEVERITIES:
                group.create_task(product.fire(f"Ladder-{label}", severity=label))
        due = len(TABLE) * len(PEOPLE)
        pages = await receiver.wait_for(lambda pages: sum(len(named_in(page)) for page in pages) >= due, limit_s=40)
        incidents = await product.incidents()

    late: dict[tuple[int, int], float] = {}
    for incident in incidents:
        level = SEVERITIES[incident["labels"]["severity"]]
        opened_s = datetime.fromisoformat(incident["opened_at"]).timestamp()
        own = [page for page in pages if incident["id"] in named_in(page)]
        assert [page.body["person"] for page in own] == list(PEOPLE), f"severity {level}: each person once, in the order of the rungs"
        late |= {(level, after): page.at_s - opened_s - after for after, page in zip(TABLE[level], own, strict=True)}
    assert len(late) == due
    print("late by, in ms:", {cell: round(seconds * 1000) for cell, seconds in late.items()})  # noqa: T201  shown when it fails
    assert {cell: s for cell, s in late.items() if not -CLOCKS_S <= s <= LATE_MAX_S} == {}
