"""The bodies that real Alertmanagers sent, through the real intake."""

import json
from pathlib import Path

import pytest

from ingest.fields import read_instant
from tests.ingest.conftest import Ingesting
from tocsin.policy.model import AlertStatus

BODIES = Path(__file__).parents[1] / "data/alertmanager/webhook-bodies"
CAPTURED = sorted(path for path in BODIES.glob("*.json") if path.name != "index.json")
STALE_MS = 24 * 3_600_000
PATH = "/webhook/alertmanager"


def test_all_fourteen_captured_bodies_are_here() -> None:
    assert len(CAPTURED) == 14


@pytest.mark.parametrize("path", CAPTURED, ids=lambda path: path.stem)
async def test_a_captured_body_is_stored_alert_by_alert(path: Path, ingesting: Ingesting) -> None:
    body = path.read_bytes()
    sent = json.loads(body)["alerts"]
    async with ingesting() as site:
        before = site.deps.clock.now_ms()
        answer = await site.post(PATH, body)
        after = site.deps.clock.now_ms()
        assert (answer.status, answer.json) == (200, {"accepted": len(sent), "rejected": 0})
        stored = {json.dumps(alert.labels, sort_keys=True): alert for alert in await site.stored()}
    assert len(stored) == len(sent)
    for one in sent:
        alert = stored[json.dumps(one["labels"], sort_keys=True)]
        assert alert.status == one["status"]
        assert alert.annotations == one["annotations"]
        assert alert.generator_url == one["generatorURL"]
        assert alert.starts_at == min(read_instant(one["startsAt"]), alert.starts_at)
        assert alert.starts_at <= after
        if alert.status is AlertStatus.FIRING:
            assert before + STALE_MS <= alert.ends_at <= after + STALE_MS
        else:
            assert alert.ends_at == read_instant(one["endsAt"])


async def test_both_copies_of_a_pair_of_alertmanagers_are_one_alert(ingesting: Ingesting) -> None:
    async with ingesting() as site:
        for name in ("12-ha-duplicate-am2.json", "13-ha-duplicate-am1.json"):
            assert (await site.post(PATH, (BODIES / name).read_bytes())).status == 200
        first, second = await site.stored()
    assert first.key == second.key
    assert first.labels == second.labels


async def test_a_resolved_group_that_was_truncated_closes_only_what_it_lists(ingesting: Ingesting) -> None:
    body = json.loads((BODIES / "05-grouped-2-firing-1-resolved.json").read_bytes()) | {"status": "resolved", "truncatedAlerts": 5}
    async with ingesting() as site:
        assert (await site.post(PATH, body)).status == 200
        stored = await site.stored()
    assert sorted(alert.status for alert in stored) == ["firing", "firing", "resolved"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"version": "3"}, 'version: expected "4", got 3'),
        ({"version": 4}, 'version: expected "4", got a number'),
        ({"version": None}, 'version: expected "4", got none'),
        ({"alerts": "none"}, "alerts: expected a list, got text"),
    ],
)
async def test_another_shape_is_refused_by_name_and_becomes_an_incident(change: object, named: str, ingesting: Ingesting) -> None:
    body = json.loads(CAPTURED[0].read_bytes()) | change
    async with ingesting() as site:
        answer = await site.post(PATH, body)
        assert answer.status == 400
        assert named in answer.json["detail"]
        assert [alert.labels["alertname"] for alert in await site.stored()] == ["TocsinUnreadableAlert"]
        assert site.counted("default", "unreadable") == 1


async def test_fields_of_newer_versions_are_no_fault(ingesting: Ingesting) -> None:
    body = json.loads(CAPTURED[0].read_bytes()) | {"routeLabels": {"a": "b"}, "notification_reason": 7}
    body["alerts"][0]["silencedBy"] = [{}]
    async with ingesting() as site:
        assert (await site.post(PATH, body)).json == {"accepted": 1, "rejected": 0}


async def test_a_start_in_the_future_is_now(ingesting: Ingesting) -> None:
    body = json.loads(CAPTURED[0].read_bytes())
    body["alerts"][0]["startsAt"] = "2999-01-01T00:00:00+09:00"
    async with ingesting() as site:
        await site.post(PATH, body)
        (alert,) = await site.stored()
        assert alert.starts_at <= site.deps.clock.now_ms()


async def test_a_message_without_alerts_is_fine(ingesting: Ingesting) -> None:
    async with ingesting() as site:
        assert (await site.post(PATH, {"version": "4", "alerts": []})).json == {"accepted": 0, "rejected": 0}
        assert await site.stored() == []
