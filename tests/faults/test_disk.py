"""A disk that is slow, fails, or is full, under the store of the running product (rows 7 to 9)."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.peers import Sender
from tests.e2e.product import CLOCK, ROLES, STORE, Product, pause, rules_text, until
from tests.fakes.receiver import Receiver
from tests.faults.aftermath import taken_once, until_whole
from tests.faults.figures import Figures
from tests.faults.shim import Shim

RUNGS = {1: ["0s"], 2: ["0s"], 3: ["0s"]}
COPIES_MAX = 3
FLAGS = ("--store.lease", "2s", "--notifier.send-timeout", "2s")

SLOW_SYNC_MS = 1_500
SLOW_ALERTS, SLOW_PER_S = 20, 10.0
ACKNOWLEDGE_MAX_S = 15.0
"""With 1.5 s a sync: two to be waited for, an answer that may come too late once, and what the machine adds."""

TMPFS_MB = 512
FILL_LEFT_BYTES = 64 * 1024
RESTARTS_SECONDS = 20.0


async def acknowledge(product: Product, incident_id: str, limit_s: float = 60.0) -> tuple[float, int]:
    """Acknowledge until it is answered; how long that took, and how many tries."""
    began, tries = CLOCK.monotonic(), 0

    async def answered() -> bool:
        nonlocal tries
        tries += 1
        try:
            return (await product.post(f"/api/v1/incidents/{incident_id}/acknowledge")).status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    await until(answered, f"{incident_id} is acknowledged", limit_s)
    return CLOCK.monotonic() - began, tries


@pytest.mark.faults_long
@pytest.mark.timeout(240)
async def test_a_disk_that_syncs_slowly_makes_answers_late_and_loses_nothing(
    data_dir: Path, receiver: Receiver, shim: Shim, figure: Figures
) -> None:
    async with Product(data_dir, rules_text(receiver, RUNGS), *FLAGS, environment=shim.environment()) as product:
        await product.fire("Before", severity="critical")
        page = await receiver.page(1)
        incident_id = page.body["incident"]["id"]
        shim.set(sync_delay_ms=SLOW_SYNC_MS)
        sender = Sender(f"{product.url('ingest')}/webhook/alertmanager")
        async with asyncio.TaskGroup() as group:
            group.create_task(sender.stream(SLOW_ALERTS, per_s=SLOW_PER_S))
            took_s, tries = await acknowledge(product, incident_id)
        shim.set(sync_delay_ms=0)
        incidents = await taken_once(product, {"Before", *sender.accepted})
        await receiver.wait_for(lambda pages: len({n["id"] for p in pages for n in named(p.body)}) == len(incidents), limit_s=60)
        await until_whole(product)
        assert (await product.incident(incident_id))["state"] == "acknowledged"
    figure(7, "alerts answered and missing", len(set(sender.accepted) - {i["labels"]["alertname"] for i in incidents}), at_most=0)
    figure(7, "acknowledgement", took_s, "s", at_most=ACKNOWLEDGE_MAX_S)
    figure(7, "tries of the acknowledgement", tries)
    figure(7, "alerts that were sent again", sender.retries)
    figure(7, "copies of a page", max(receiver.copies().values()), at_most=COPIES_MAX)


def named(body: object) -> list[dict[str, str]]:
    assert hasattr(body, "get")
    found: list[dict[str, str]] = body.get("incidents") or [body["incident"]]  # type: ignore[index]
    return found


async def test_a_disk_that_fails_a_sync_ends_the_store_and_nothing_that_was_answered_is_lost(
    data_dir: Path, receiver: Receiver, shim: Shim, figure: Figures
) -> None:
    async with Product(data_dir, rules_text(receiver, RUNGS), *FLAGS, environment=shim.environment()) as product:
        sender = Sender(f"{product.url('ingest')}/webhook/alertmanager")
        before = product.pid(STORE)
        async with asyncio.TaskGroup() as group:
            group.create_task(sender.stream(100, per_s=50.0))
            await sender.until_accepted(30)
            shim.set(sync_errno=errno.EIO)
            failed_s = CLOCK.monotonic()

            async def alarmed() -> bool:
                return " event=store_died " in product.log

            await until(alarmed, "the supervisor says that the store has died")
            alarm_s = CLOCK.monotonic() - failed_s
            await product.until_again(STORE, before or 0)
            back_s = CLOCK.monotonic() - failed_s
        incidents = await taken_once(product, sender.accepted)
        await until_whole(product)
    figure(8, "alerts answered and missing", len(sender.accepted) - len(incidents), at_most=0)
    figure(8, "until the log says that the store died", alarm_s, "s", at_most=5.0)
    figure(8, "until everything is ready again", back_s, "s", at_most=15.0)


@pytest.fixture
def small_disk(data_dir: Path) -> Iterator[Path]:
    """A file system of its own for `data_dir/data`: only root may make one."""
    directory = data_dir / "data"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MB}m,mode=700", "tocsin-fault", str(directory)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, timeout=10, check=False).returncode != 0:
        pytest.skip("a small file system cannot be mounted here: this fault cannot be made")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True, timeout=10)


def fill(directory: Path, name: str, leave: int) -> None:
    """Leave so many bytes free."""
    free = os.statvfs(directory)
    with (directory / name).open("wb") as file, suppress(OSError):  # the store writes beside us: then it is as full as can be
        os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_frsize - leave))


async def test_a_full_disk_refuses_alerts_and_acknowledgements_go_on(
    data_dir: Path, small_disk: Path, receiver: Receiver, figure: Figures
) -> None:
    async with Product(data_dir, rules_text(receiver, RUNGS), *FLAGS) as product:
        for number in range(5):
            await product.fire(f"Before{number}", severity="critical")
        await receiver.wait_for(lambda pages: len({n["id"] for p in pages for n in named(p.body)}) == 5)
        incidents = await taken_once(product, {f"Before{number}" for number in range(5)})
        roles = {role: product.pid(role) for role in ROLES}
        fill(small_disk, "filler", FILL_LEFT_BYTES)

        taken: set[str] = set()
        refused = 0
        began = CLOCK.monotonic()
        while CLOCK.monotonic() - began < RESTARTS_SECONDS and not refused:
            for _ in range(50):
                name = f"Storm{len(taken)}"
                event = {"labels": {"alertname": name, "severity": "info"}, "annotations": {"text": "x" * 8_000}}
                answer = await product.call("ingest", "POST", "/webhook/events", json=event)
                assert answer.status in (200, 503), answer.text
                if answer.status == 503:
                    refused += 1
                    await pause(0.2)
                else:
                    taken.add(name)
        acknowledged = 0
        for incident in incidents[:3]:
            await acknowledge(product, incident["id"])
            acknowledged += 1
        assert not (small_disk / "ballast").exists(), "the ballast was given up for them"

        (small_disk / "filler").unlink()
        await product.until_ready()
        found = await taken_once(product, {f"Before{number}" for number in range(5)} | taken)
        await until_whole(product)
        states = [(await product.incident(incident["id"]))["state"] for incident in incidents[:3]]
        assert states == ["acknowledged"] * 3
        assert {role: product.pid(role) for role in ROLES} == roles, "no role has died of it"
        figure(9, "alerts answered and missing", 5 + len(taken) - len(found), at_most=0)
        figure(9, "alerts refused with 503", refused, at_least=1)
        figure(9, "acknowledgements taken on the full disk", acknowledged, at_least=3)


@pytest.mark.faults_long
async def test_a_disk_that_stays_full_does_not_make_the_store_restart_in_a_fury(
    data_dir: Path, small_disk: Path, receiver: Receiver, figure: Figures
) -> None:
    """Ballast and all are used up, and alerts keep coming."""
    async with Product(data_dir, rules_text(receiver, RUNGS), *FLAGS) as product:
        await product.fire("Before", severity="critical")
        await receiver.page(1)
        fill(small_disk, "filler", FILL_LEFT_BYTES)
        taken = {"Before"}
        refills = 0
        began = CLOCK.monotonic()
        deaths: list[float] = []
        known = 0
        while CLOCK.monotonic() - began < 60.0:
            name = f"Storm{len(taken)}"
            event = {"labels": {"alertname": name, "severity": "info"}, "annotations": {"text": "x" * 8_000}}
            try:
                answer = await product.call("ingest", "POST", "/webhook/events", json=event)
                if answer.status == 200:
                    taken.add(name)
            except (aiohttp.ClientError, TimeoutError):
                pass
            if refills < 1 and not (small_disk / "ballast").exists():
                fill(small_disk, "second-filler", FILL_LEFT_BYTES // 4)
                refills += 1
            now_known = product.log.count(" event=store_died ")
            deaths += [CLOCK.monotonic() - began] * (now_known - known)
            known = now_known
            await pause(0.02)
        for name in ("filler", "second-filler"):
            (small_disk / name).unlink(missing_ok=True)
        await product.until_ready()
        await taken_once(product, taken)
        await until_whole(product)
    late = [at_s for at_s in deaths if at_s > 30.0]
    figure(9, "deaths of the store in a minute on a full disk", len(deaths))
    figure(9, "of them in the last 30 s", len(late), at_most=6)
