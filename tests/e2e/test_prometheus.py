"""A real Prometheus whose rule fires: a page, an answer, silence, and the end when the rule clears.

Both ways in: through a real Alertmanager and its webhook, and directly over API v2. What is pasted into their configurations is what
`tocsin serve` prints.
"""

import re
import subprocess
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.peers import Alertmanager, Prometheus
from tests.e2e.product import ADMIN_TOKEN, Product, named_in, paged, rules_text, until
from tests.fakes.receiver import ReceivedPage, Receiver

RUNGS = {1: ("0s", "2s", "1h")}
LABELS = {"severity": "critical", "cluster": "seoul-1"}
LIMIT_S = 30.0

Binary = Callable[[str], Path]


async def printed_for(product: Product, heading: str) -> str:
    """What the start says to paste into a file: the lines below its heading, moved to the left."""

    async def look() -> str | None:
        found = re.search(rf"^[^\n]*{re.escape(heading)}:\n((?:  .*\n)+)", product.log, re.MULTILINE)
        return None if found is None else textwrap.dedent(found[1])

    return await until(look, f"the start prints what goes into {heading}")


@asynccontextmanager
async def through_alertmanager(product: Product, directory: Path, real_binary: Binary) -> AsyncIterator[Prometheus]:
    """Prometheus -> Alertmanager -> the webhook, with the printed fragment; only its half minute between messages is a second here."""
    fragment = await printed_for(product, "alertmanager.yml")
    assert "group_interval: 30s" in fragment
    config = fragment.replace("group_interval: 30s", "group_interval: 1s")
    async with Alertmanager(directory / "alertmanager", real_binary("prometheus-alertmanager"), config) as alertmanager:
        to = f"alerting: {{alertmanagers: [{{api_version: v2, static_configs: [{{targets: ['127.0.0.1:{alertmanager.port}']}}]}}]}}"
        async with _prometheus(directory, real_binary, to) as prometheus:
            yield prometheus


@asynccontextmanager
async def directly(product: Product, directory: Path, real_binary: Binary) -> AsyncIterator[Prometheus]:
    """Prometheus -> API v2, with the printed fragment."""
    async with _prometheus(directory, real_binary, await printed_for(product, "prometheus.yml")) as prometheus:
        yield prometheus


def _prometheus(directory: Path, real_binary: Binary, alerting: str) -> Prometheus:
    return Prometheus(directory / "prometheus", real_binary("prometheus"), alerting=alerting, alertname="AlwaysFiring", labels=LABELS)


async def acknowledge_with_the_api(product: Product, page: ReceivedPage) -> str:
    answer = await product.post(f"/api/v1/incidents/{page.body['incident']['id']}/acknowledge", {"note": "on it"})
    assert answer.status == 200, answer.text
    assert answer.json["state"] == "acknowledged"
    return "administrator"


async def acknowledge_with_the_link(product: Product, page: ReceivedPage) -> str:
    """The link of the page: looking at it changes nothing, its button acts."""
    url, incident_id = page.body["acknowledge_url"], page.body["incident"]["id"]
    for method in ("HEAD", "GET"):
        assert (await product.request(method, url)).status == 200
    seen = await product.request("GET", url)
    assert incident_id in seen.text
    before = await product.incident(incident_id)
    assert (before["state"], before["acknowledged_at"]) == ("open", None)
    assert (await product.request("POST", url)).status == 200
    return "kim"


@pytest.mark.parametrize(
    ("way_in", "acknowledge"),
    [
        pytest.param(through_alertmanager, acknowledge_with_the_api, id="through-alertmanager"),
        pytest.param(directly, acknowledge_with_the_link, id="directly"),
    ],
)
async def test_a_firing_rule_pages_until_somebody_has_it_and_is_over_when_it_clears(
    way_in: Callable[[Product, Path, Binary], AbstractAsyncContextManager[Prometheus]],
    acknowledge: Callable[[Product, ReceivedPage], Awaitable[str]],
    data_dir: Path,
    receiver: Receiver,
    real_binary: Binary,
) -> None:
    async with Product(data_dir, rules_text(receiver, RUNGS)) as product, way_in(product, data_dir, real_binary) as prometheus:
        page = await receiver.page(1, LIMIT_S)
        _is_as_the_contract_says(page, product)
        incident_id = page.body["incident"]["id"]
        who = await acknowledge(product, page)

        await _until_a_later_rung(product, receiver)
        assert paged(receiver, incident_id) == ["kim"], "the ladder is silent"
        held = await product.incident(incident_id)
        assert (held["state"], held["acknowledged_by"], held["ladder"]["next_at"]) == ("acknowledged", who, None)
        assert [alert["status"] for alert in held["alerts"]] == ["firing"]

        await prometheus.clear()
        over = await product.until_state(incident_id, "resolved", LIMIT_S)
        assert (over["resolved_by"], over["alert_counts"]) == ("monitoring", {"firing": 0, "resolved": 1})
        told = await receiver.wait_for(lambda pages: any(page.body["kind"] == "resolved" for page in pages))
        assert [page.body["person"] for page in told if page.body["kind"] == "resolved" and incident_id in named_in(page)] == ["kim"]
        assert len(await product.incidents()) == 2, "the rule's incident, and the one of this test"


def _is_as_the_contract_says(page: ReceivedPage, product: Product) -> None:
    body = dict(page.body)
    incident = dict(body.pop("incident"))
    assert page.path == "/kim"
    assert page.key == body["page_id"] == f"{incident['id']}.0.kim.0"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", incident.pop("opened_at"))
    assert incident == {
        "id": incident["id"],
        "title": "AlwaysFiring is wrong",
        "severity": 1,
        "service": "everything-else",
        "state": "open",
        "alerts": {"firing": 1, "resolved": 0},
        "labels": {"alertname": "AlwaysFiring", **LABELS},
        "url": f"{product.url('console')}/i/{incident['id']}",
    }
    text, link, late_by_s = body.pop("text"), body.pop("acknowledge_url"), body.pop("late_by_s")
    assert body == {
        "version": 1,
        "page_id": page.key,
        "kind": "page",
        "attempt": 1,
        "rung": {"after": "0s", "role": "duty-engineer", "index": 0},
        "person": "kim",
    }
    assert len(text) <= 160
    assert "AlwaysFiring is wrong" in text
    assert link.startswith(f"{product.url('console')}/a/")
    assert 0 <= late_by_s < 1
    assert ADMIN_TOKEN not in page.raw.decode()


async def _until_a_later_rung(product: Product, receiver: Receiver) -> None:
    """Return when the second rung of an incident opened just now has been paged: every rung that fell due before has, too."""
    await product.fire("OpenedLater", severity="critical")
    await receiver.wait_for(
        lambda pages: any(page.body["person"] == "lee" and page.body["incident"]["title"].startswith("OpenedLater") for page in pages)
    )


async def test_alertmanager_accepts_what_the_start_prints(data_dir: Path, receiver: Receiver, real_binary: Binary) -> None:
    amtool, promtool = real_binary("amtool"), real_binary("promtool")
    async with Product(data_dir, rules_text(receiver, RUNGS)) as product:
        for program, file_name, command in ((amtool, "alertmanager.yml", "check-config"), (promtool, "prometheus.yml", "check config")):
            file = data_dir / file_name
            file.write_text(await printed_for(product, file_name), encoding="utf-8")
            checked = subprocess.run([program, *command.split(), file], capture_output=True, text=True, timeout=30, check=False)
            assert checked.returncode == 0, checked.stdout + checked.stderr
