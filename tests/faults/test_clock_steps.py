"""The wall clock of store and roles jumps by an hour while a ladder is climbed (rows 30 and 31). The shim shifts it, for all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.product import Product, rules_text
from tests.fakes.receiver import Receiver
from tests.faults.aftermath import until_whole
from tests.faults.figures import Figures
from tests.faults.shim import Shim

HOUR_S = 3_600
HOLD_S = 60
DUE_S = (0, 6)
LATE_MAX_S = 60.0
FORWARD = {1: ["0s", "6s", "30m", "2h"]}
BACK = {1: ["0s", "3s", "5s"]}


@pytest.mark.faults_long
@pytest.mark.timeout(240)
async def test_a_clock_an_hour_ahead_is_held_for_a_minute_and_then_each_person_is_paged_once(
    data_dir: Path, receiver: Receiver, shim: Shim, figure: Figures
) -> None:
    async with Product(data_dir, rules_text(receiver, FORWARD), environment=shim.environment()) as product:
        await product.fire("Jump", severity="critical")
        first = await receiver.page(1)
        shim.set(clock_shift_s=HOUR_S)
        pages = await receiver.wait_for(lambda pages: any(page.body["person"] == "choi" for page in pages), limit_s=HOLD_S + 60)
        choi = next(page for page in pages if page.body["person"] == "choi")
        in_hold = [page for page in pages if page.at_s - first.at_s < HOLD_S and page is not choi]
        assert [page.body["person"] for page in in_hold] == ["kim", "lee"], "what is due by true time, and nothing else"
        assert abs(in_hold[1].at_s - first.at_s - DUE_S[1]) < 2.0
        await product.fire("Later", severity="critical")
        await receiver.wait_for(lambda pages: any(page.body["incident"]["title"].startswith("Later") for page in pages))
        after = [page.body["person"] for page in receiver.pages if page.body["incident"]["title"].startswith("Jump")]
        assert after == ["kim", "lee", "choi"], "the rung of two hours is not due yet"
        assert await product.metric("notifier", "tocsin_clock_jumps_total") >= 1
        await until_whole(product)
    figure(30, "pages within the hold beyond those due", len(in_hold) - len(DUE_S), at_most=0)
    figure(30, "until the jump is believed", choi.at_s - first.at_s, "s", at_least=HOLD_S - 1, at_most=HOLD_S + 10)
    figure(30, "pages of one rung", max(receiver.copies().values()), at_most=1)


async def test_a_clock_an_hour_behind_delays_no_rung(data_dir: Path, receiver: Receiver, shim: Shim, figure: Figures) -> None:
    async with Product(data_dir, rules_text(receiver, BACK), environment=shim.environment()) as product:
        await product.fire("Jump", severity="critical")
        first = await receiver.page(1)
        shim.set(clock_shift_s=-HOUR_S)
        pages = await receiver.wait_for(lambda pages: len(pages) >= 3, limit_s=LATE_MAX_S)
        late_s = [page.at_s - first.at_s - due_s for page, due_s in zip(pages, (0, 3, 5), strict=True)]
        await product.fire("Later", severity="critical")
        await receiver.page(4)
        assert (await product.post(f"/api/v1/incidents/{first.body['incident']['id']}/acknowledge")).status == 200
        await until_whole(product)
    assert min(late_s) > -0.5, "never before its time"
    figure(31, "latest rung", max(late_s), "s late", at_most=LATE_MAX_S)
