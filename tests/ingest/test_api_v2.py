"""API v2 as Alertmanager 0.33.1 answers it: the recorded requests, and what is stored of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.conftest import Ingesting
from tocsin.policy.model import AlertStatus

PATH = "/api/v2/alerts"
VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "data/alertmanager/post-alerts.json").read_text())["cases"]
MINUTE_MS = 60_000


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["case"].replace(" ", "-"))
async def test_a_recorded_request_is_answered_as_by_alertmanager(vector: dict[str, Any], ingesting: Ingesting) -> None:
    expected = vector["0.33.1"]
    async with ingesting() as site:
        headers = {} if vector["content_type"] is None else {"Content-Type": vector["content_type"]}
        skipped = ["Content-Type"] if vector["content_type"] is None else []
        data = vector["body"].encode("latin-1")
        async with site.client.post(f"{site.url}{PATH}", data=data, headers=headers, skip_auto_headers=skipped) as answer:
            body = await answer.read()
            assert answer.status == expected["status"], body
            if answer.status == 200:
                assert body == b""
                assert "Content-Type" not in answer.headers
                return
            assert answer.headers["Content-Type"] == "application/json; charset=utf-8" or answer.content_type == "application/json"
    found, wanted = json.loads(body), json.loads(expected["body"])
    assert type(found) is type(wanted)
    if isinstance(wanted, dict):
        assert set(found) == {"code", "message"}
        assert found["code"] == wanted["code"]


async def test_good_alerts_are_kept_when_the_answer_is_an_error(ingesting: Ingesting) -> None:
    good: object = {"labels": {"a": "good"}}
    bad: list[object] = [{"labels": {}}, {"annotations": {}}, {"labels": {"a": 1}}, {"labels": {"b": "c"}, "startsAt": "x"}]
    async with ingesting() as site:
        for one in bad:
            assert (await site.post(PATH, [good, one])).status in (400, 422)
        stored = await site.stored()
        assert [alert.labels for alert in stored].count({"a": "good"}) == len(bad)
        assert site.counted("default", "accepted") == len(bad)
        assert site.counted("default", "rejected") == len(bad)


async def test_an_error_of_form_is_told_before_an_error_of_content(ingesting: Ingesting) -> None:
    async with ingesting() as site:
        answer = await site.post(PATH, [{"labels": {}}, {"labels": {"a": 1}}, {}])
        assert (answer.status, answer.json["code"]) == (400, 400)
        answer = await site.post(PATH, [{"labels": {}}, {}])
        assert (answer.status, answer.json["code"]) == (422, 602)
        answer = await site.post(
            PATH, [{"labels": {}}, {"labels": {"a": "b"}, "startsAt": "2026-01-02T00:00:00Z", "endsAt": "2026-01-01T00:00:00Z"}]
        )
        assert answer.status == 400
        assert answer.json.splitlines() == [
            "[0].labels: at least one label with a value is required",
            "[1].endsAt: must not be before startsAt",
        ]


async def test_an_alert_without_an_end_is_good_for_five_minutes(ingesting: Ingesting) -> None:
    async with ingesting() as site:
        before = site.deps.clock.now_ms()
        await site.post(PATH, [{"labels": {"a": "b"}, "startsAt": "0001-01-01T00:00:00.000Z", "endsAt": "0001-01-01T00:00:00.000Z"}])
        after = site.deps.clock.now_ms()
        (alert,) = await site.stored()
    assert alert.status is AlertStatus.FIRING
    assert before <= alert.starts_at <= after
    assert before + 5 * MINUTE_MS <= alert.ends_at <= after + 5 * MINUTE_MS


@pytest.mark.parametrize(("end", "status"), [("2020-01-01T00:00:00Z", "resolved"), ("2999-01-01T00:00:00Z", "firing")])
async def test_the_end_says_whether_it_fires(end: str, status: str, ingesting: Ingesting) -> None:
    async with ingesting() as site:
        await site.post(PATH, [{"labels": {"a": "b"}, "endsAt": end}])
        (alert,) = await site.stored()
        assert alert.status == status
        assert alert.starts_at <= site.deps.clock.now_ms(), "a start in the future is now"
        assert alert.starts_at == min(alert.ends_at, alert.starts_at)


async def test_empty_labels_are_no_labels_and_do_not_change_the_key(ingesting: Ingesting) -> None:
    async with ingesting() as site:
        await site.post(PATH, [{"labels": {"a": "b", "x": "", "y": None}}, {"labels": {"a": "b"}, "annotations": {"empty": ""}}])
        first, second = await site.stored()
    assert first.labels == second.labels == {"a": "b"}
    assert first.key == second.key
    assert second.annotations == {"empty": ""}


@pytest.mark.parametrize(
    ("value", "kept"), [(rb"\ud800x", "\ufffdx"), (b"\xffx", "\ufffdx"), (rb"\ud83d\ude42", "🙂"), ("서울".encode(), "서울")]
)
async def test_text_that_is_no_unicode_is_mended_as_go_does(value: bytes, kept: str, ingesting: Ingesting) -> None:
    async with ingesting() as site:
        answer = await site.post(PATH, b'[{"labels":{"a":"' + value + b'","a":"' + value + b'"}}] trailing {')
        assert answer.status == 200, answer.body
        (alert,) = await site.stored()
    assert alert.labels == {"a": kept}


@pytest.mark.parametrize(
    ("time", "ms"),
    [
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T00:00:01.9999999Z", 1999),
        ("1970-01-01T00:00:01.123456789Z", 1123),
        ("1970-01-01T09:00:00.5+09:00", 500),
        ("1970-01-01T00:00:01", 1000),
        ("1970-01-01", 0),
        ("1969-12-31T23:59:59.500Z", -500),
    ],
)
async def test_times_of_every_sender_are_read(time: str, ms: int, ingesting: Ingesting) -> None:
    async with ingesting() as site:
        assert (await site.post(PATH, [{"labels": {"a": "b"}, "startsAt": time}])).status == 200
        (alert,) = await site.stored()
    assert alert.starts_at == ms


async def test_nothing_but_post_is_answered_and_never_with_a_redirect(ingesting: Ingesting) -> None:
    async with ingesting() as site:
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            for path in (PATH, "/webhook/alertmanager", "/webhook/events"):
                async with site.client.request(method, f"{site.url}{path}", allow_redirects=False) as answer:
                    assert answer.status == 405
        assert (await site.post(f"{PATH}/", [{"labels": {"a": "b"}}])).status == 200
        assert (await site.post("/webhook/other", [])).status == 404


async def test_compressed_requests_are_refused_as_alertmanager_refuses_them(ingesting: Ingesting) -> None:
    async with ingesting() as site:
        answer = await site.post(PATH, b"\x1f\x8b\x08\x00", {"Content-Encoding": "gzip"})
        assert (answer.status, answer.json["code"]) == (400, 400)
