"""A role that stops breathing (SIGSTOP), is replaced, and wakes up: the store refuses it, and nothing happens twice (rows 26 and 27)."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.e2e.product import CLOCK, START_LIMIT_S, Program, free_ports, pause, rules_text, until
from tests.e2e.test_operations import Apart, apart
from tests.fakes.receiver import Answer, Receiver
from tests.faults.aftermath import taken_once, until_whole
from tests.faults.figures import Figures

RUNGS = {1: ["0s", "2s"], 2: ["0s"], 3: ["0s"]}
TAKE_OVER_MAX_S = 10.0
"""The catalogue says 5 s from the start of the new process; starting Python on a busy machine is in it."""
NEWS_MAX = 300

frozen_for = pytest.mark.parametrize("frozen_s", [1.0, pytest.param(60.0, marks=[pytest.mark.faults_long, pytest.mark.timeout(240)])])


async def replace(product: Apart, role: str) -> tuple[Program, float]:
    """Freeze a role and start another one beside it; return the frozen one and when the other was started."""
    frozen = product.roles[role]
    frozen.signal(signal.SIGSTOP)
    [product.ports[role]] = free_ports(1)
    started_s = CLOCK.monotonic()
    product.launch_role(role)
    return frozen, started_s


async def wakes_up_and_ends(frozen: Program) -> None:
    frozen.signal(signal.SIGCONT)
    assert await frozen.ended() == 1, "it is told that it was replaced, and ends"


async def history_of(product: Apart, incident_id: str) -> list[tuple[str, str]]:
    return [(entry["at"], entry["reason"]) for entry in (await product.incident(incident_id))["history"]]


@pytest.mark.faults_long
@pytest.mark.timeout(240)
@pytest.mark.parametrize("frozen_s", [1.0, 60.0])
async def test_a_notifier_that_was_frozen_in_a_send_records_nothing_when_it_wakes_up(
    data_dir: Path, receiver: Receiver, figure: Figures, frozen_s: float
) -> None:
    async with apart(data_dir, rules_text(receiver, RUNGS)) as product:
        released = asyncio.Event()
        receiver.answers.append(Answer(status=410, hold=released))
        await product.fire("Frozen", severity="critical")
        page = await receiver.page(1)
        incident_id = page.body["incident"]["id"]
        frozen, _ = await replace(product, "notifier")
        try:
            await receiver.wait_for(lambda _: {"kim", "lee"} <= {p.body["person"] for p in receiver.pages[1:]}, limit_s=START_LIMIT_S)
            await pause(frozen_s)
            before = await history_of(product, incident_id)
            sent_before = len(receiver.pages)
            released.set()  # the refusal that it never saw arrives now
        finally:
            await wakes_up_and_ends(frozen)
        assert await history_of(product, incident_id) == before
        stale = len(await history_of(product, incident_id)) - len(before)
        late_sends = len(receiver.pages) - sent_before
        await until_whole(product, product.store_url)
    figure(26, "writes of the frozen one that were taken", stale, at_most=0)
    figure(26, "sends of the frozen one after it woke up", late_sends, at_most=1)
    figure(26, "copies of a page", max(receiver.copies().values()), at_most=2)


@frozen_for
async def test_a_correlator_that_was_frozen_opens_nothing_twice_when_it_wakes_up(
    data_dir: Path, receiver: Receiver, figure: Figures, frozen_s: float
) -> None:
    async with apart(data_dir, rules_text(receiver, RUNGS)) as product:
        names = [f"Before{number}" for number in range(5)]
        for name in names:
            await product.fire(name, severity="critical")
        frozen, started_s = await replace(product, "correlator")
        try:
            for number in range(20):
                names.append(f"While{number}")
                await product.fire(names[-1], severity="critical")

            async def all_open() -> bool:
                return len(await product.incidents()) >= len(names)

            await until(all_open, "the new correlator has folded everything", START_LIMIT_S)
            took_s = CLOCK.monotonic() - started_s
            await pause(frozen_s)
        finally:
            frozen.signal(signal.SIGCONT)
        # It hears that it was replaced when it has something to write and is not too late to read it.
        while frozen.exit_code is None and len(names) < NEWS_MAX:
            names.append(f"After{len(names)}")
            await product.fire(names[-1], severity="critical")
            await pause(0.05)
        await wakes_up_and_ends(frozen)
        incidents = await taken_once(product, names)
        await until_whole(product, product.store_url)
    figure(27, "incidents beyond one for each alert", len(incidents) - len(names), at_most=0)
    figure(27, "from the start of the next to everything folded", took_s, "s", at_most=TAKE_OVER_MAX_S)
