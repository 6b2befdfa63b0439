"""What hostile and broken senders send. Whatever it is: a clear 4xx or 503, never another 5xx, and what was valid is kept."""

import base64
import gzip
import json
import zlib
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.faults.figures import Figures
from tests.ingest.conftest import WITH_KEYS, Ingesting, Site

EVENTS = "/webhook/events"
PATHS = ("/webhook/alertmanager", "/api/v2/alerts", EVENTS)
MB = 1_000_000


def alert(**labels: object) -> dict[str, Any]:
    return {"labels": {"alertname": "x", **labels}}


def deep(depth: int) -> bytes:
    return b'{"labels":{"a":"b"},"x":' + b"[" * depth + b"]" * depth + b"}"


NO_ALERTS: tuple[tuple[str, bytes], ...] = (
    ("empty", b""),
    ("text", b"hello"),
    ("html", b"<html>"),
    ("cut", b'[{"labels": {"a": "b"'),
    ("number", b"7"),
    ("string", b'"alerts"'),
    ("true", b"true"),
    ("nan", b'[{"labels": {"a": NaN}}]'),
    ("infinity", b'[{"labels": {"a": -Infinity}}]'),
    ("depth", deep(100_000)),
    ("depth-of-objects", b'{"a":' * 50_000),
    ("zeros", b"\0" * 1000),
    ("latin", b"\xff\xfe\xfd"),
    ("huge-number", b"[" + b"9" * 10_000 + b"]"),
)

ONE_BAD: tuple[tuple[str, object, str], ...] = (
    ("number", 7, "expected an object, got a number"),
    ("null", None, "expected an object, got null"),
    ("list", [], "expected an object, got a list"),
    ("labels-missing", {}, "labels: is required"),
    ("labels-list", {"labels": []}, "labels: expected an object, got a list"),
    ("labels-empty", {"labels": {}}, "labels: at least one label"),
    ("label-number", {"labels": {"severity": 3}}, "labels.severity: expected text, got a number"),
    ("label-object", {"labels": {"severity": {}}}, "labels.severity: expected text, got an object"),
    ("label-name-empty", {"labels": {"": "x"}}, "labels: a label has an empty name"),
    ("label-name-long", {"labels": {"n" * 129: "x"}}, "the name is longer than 128 bytes"),
    ("labels-many", {"labels": {f"l{i}": "x" for i in range(65)}}, "labels: 65 labels, 64 is the limit"),
    ("annotation-number", {"labels": {"a": "b"}, "annotations": {"n": 1}}, "annotations.n: expected text, got a number"),
    ("annotations-text", {"labels": {"a": "b"}, "annotations": "n"}, "annotations: expected an object, got text"),
    ("time-number", {"labels": {"a": "b"}, "startsAt": 7}, "startsAt: expected a time"),
    ("time-word", {"labels": {"a": "b"}, "startsAt": "yesterday"}, "got yesterday"),
    ("url-number", {"labels": {"a": "b"}, "generatorURL": 7}, "generatorURL: expected text, got a number"),
    ("name-hostile", {"labels": {"\u202e\n\x1b[31m": 7}}, "labels.\ufffd\ufffd\ufffd[31m: expected text"),
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in NO_ALERTS])
async def test_a_body_that_cannot_be_read_is_a_clear_4xx(path: str, body: bytes, ingesting: Ingesting) -> None:
    async with ingesting() as site:
        answer = await site.post(path, body)
        assert 400 <= answer.status < 500, answer.body
        assert json.loads(answer.body)
        assert [alert.labels["alertname"] for alert in await site.stored()] == (["TocsinUnreadableAlert"] if body else [])
        assert (await site.post(EVENTS, alert())).status == 200


@pytest.mark.parametrize(("bad", "named"), [pytest.param(bad, named, id=name) for name, bad, named in ONE_BAD])
async def test_one_bad_alert_does_not_spoil_the_others(bad: object, named: str, ingesting: Ingesting) -> None:
    async with ingesting() as site:
        answer = await site.post(EVENTS, [alert(n="1"), bad, alert(n="2")])
        assert answer.status == 200
        assert (answer.json["accepted"], answer.json["rejected"]) == (2, 1)
        assert answer.json["problems"][0].startswith("[1]")
        assert named in answer.json["problems"][0]
        assert {one.labels.get("n") for one in await site.stored()} == {"1", "2", None}


async def test_one_bad_alert_among_500_becomes_an_incident_and_a_dead_letter(ingesting: Ingesting, figure: Figures) -> None:
    alerts: list[Any] = [{"status": "firing", **alert(n=str(n))} for n in range(500)]
    alerts[250] = {"status": "firing", "labels": {"alertname": ["secret payload"]}}
    async with ingesting(rules=WITH_KEYS) as site:
        answer = await site.post("/webhook/alertmanager", {"version": "4", "alerts": alerts}, {"Authorization": "Bearer key-of-seoul"})
        assert (answer.json["accepted"], answer.json["rejected"]) == (499, 1)
        assert answer.json["problems"] == ["alerts[250].labels.alertname: expected text, got a list"]
        stored = await site.stored()
        (told,) = [one for one in stored if one.labels["alertname"] == "TocsinUnreadableAlert"]
        assert len(stored) == 500
        assert told.labels == {"alertname": "TocsinUnreadableAlert", "integration": "seoul", "severity": "warning"}
        assert told.ends_at - told.starts_at == 3_600_000
        figure(43, "good alerts dropped", 499 - (len(stored) - 1), at_most=0)
        (letter,) = await site.letters()
        assert letter[b"integration"] == b"seoul"
        assert b"secret payload" in letter[b"raw"]
        assert (site.counted("seoul", "accepted"), site.counted("seoul", "rejected")) == (499, 1)


async def test_the_same_mistake_again_is_the_same_alert(ingesting: Ingesting) -> None:
    async with ingesting() as site:
        await site.post(EVENTS, [7])
        await site.post("/api/v2/alerts", b"no JSON")
        first, second = await site.stored()
    assert first.key == second.key


async def test_a_body_of_bad_alerts_leaves_a_bounded_number_of_letters(ingesting: Ingesting) -> None:
    async with ingesting() as site:
        answer = await site.post(EVENTS, [7] * 5000)
        assert (answer.json["accepted"], answer.json["rejected"], len(answer.json["problems"])) == (0, 5000, 20)
        assert len(await site.letters()) == 20
        (told,) = await site.stored()
    assert told.annotations["count"] == "5000"


async def test_long_texts_are_cut_with_a_mark_and_counted(ingesting: Ingesting) -> None:
    long = {"labels": {"alertname": "x", "path": "가" * 5000}, "annotations": {"text": "y" * 9000}}
    other = {"labels": {"alertname": "x", "path": "가" * 5001}}
    async with ingesting() as site:
        assert (await site.post(EVENTS, [long, other])).json == {"accepted": 2, "rejected": 0}
        first, second = await site.stored()
        assert site.deps.metrics.registry.get_sample_value("tocsin_labels_cut_total") == 3
    assert first.labels["path"].endswith("가…[cut]")
    assert len(first.labels["path"].encode()) <= 1024
    assert first.annotations["text"] == "y" * (8192 - 8) + "…[cut]"
    assert first.labels == second.labels
    assert first.key != second.key, "what differs only behind the cut is still two alerts"


async def test_an_alert_too_big_for_an_entry_loses_text_but_is_kept(ingesting: Ingesting) -> None:
    many = {**alert(), "annotations": {f"a{n}": "\x01" * 8000 for n in range(100)}}
    wide = {"labels": {f"{n}-{'m' * 100}": "v" * 1000 for n in range(64)}}
    huge = {"labels": {f"{n}" + "\x01" * 120: "\x02" * 1000 for n in range(64)}}
    async with ingesting() as site:
        answer = await site.post(EVENTS, [many, wide, huge, alert(n="good")])
        assert (answer.json["accepted"], answer.json["rejected"]) == (3, 1)
        names = [len(one.labels) for one in await site.stored()]
        assert sorted(names) == [1, 2, 3, 64]
        lengths = [await site.deps.store.client.memory_usage(at.intake, samples=0) or 0 for at in site.deps.store.at]
        assert max(lengths) < 4 * 65_536


async def test_a_label_of_ten_megabytes_is_cut(ingesting: Ingesting) -> None:
    async with ingesting() as site:
        assert (await site.post(EVENTS, [alert(path="x" * 10 * MB), alert(n="good")])).json == {"accepted": 2, "rejected": 0}
        assert len(max(one.labels.get("path", "") for one in await site.stored())) == 1024 - 8 + len("…[cut]")


async def test_too_many_alerts_or_bytes_are_refused_as_a_whole_and_told(ingesting: Ingesting) -> None:
    async with ingesting(alerts_per_body_max=10, body_bytes_max=2 * MB) as site:
        assert (await site.post(EVENTS, [alert()] * 11)).status == 413
        assert (await site.post(EVENTS, b"[" + b" " * 3 * MB)).status == 413
        assert (await site.post(EVENTS, b"[" + b"0," * (MB // 2 + 100_000) + b"0]")).status == 413, "too many values to build"
        assert [one.labels["alertname"] for one in await site.stored()] == ["TocsinUnreadableAlert"] * 3


def packed(encoding: str, body: bytes) -> bytes:
    return gzip.compress(body) if encoding == "gzip" else zlib.compress(body)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_compressed_bodies_are_read(encoding: str, ingesting: Ingesting) -> None:
    body = json.dumps([alert(n=str(n)) for n in range(100)]).encode()
    async with ingesting() as site:
        answer = await site.post(EVENTS, packed(encoding, body), {"Content-Encoding": encoding})
        assert answer.json == {"accepted": 100, "rejected": 0}


@pytest.mark.parametrize("body", [b"\x1f\x8b\x08\x00", b"no gzip at all", gzip.compress(b"x" * 100_000)[:60]])
async def test_a_broken_gzip_body_is_400(body: bytes, ingesting: Ingesting) -> None:
    async with ingesting() as site:
        assert (await site.post(EVENTS, body, {"Content-Encoding": "gzip"})).status == 400


async def test_an_unknown_encoding_is_415(ingesting: Ingesting) -> None:
    async with ingesting() as site:
        for encoding in ("x-snappy", "x-gzip", "gzip, gzip"):
            assert (await site.post(EVENTS, b"x", {"Content-Encoding": encoding})).status == 415


async def keyed(site: Site, authorization: str | None) -> int:
    return (await site.post(EVENTS, alert(), {} if authorization is None else {"Authorization": authorization})).status


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def test_only_a_key_of_the_rules_may_push(ingesting: Ingesting) -> None:
    async with ingesting(rules=WITH_KEYS) as site:
        for good in ("Bearer key-of-seoul", "bearer key-of-busan", basic("anyone", "key-of-seoul"), basic("", "key-of-busan")):
            assert await keyed(site, good) == 200
        with capture_logs() as logged:
            for bad in (
                None,
                "Bearer",
                "Bearer wrong",
                "Bearer key-of-seoul2",
                basic("key-of-seoul", ""),
                "Basic !!",
                "key-of-seoul",
                "Bearer \xff",
            ):
                assert await keyed(site, bad) == 401
        assert "wrong" not in str(logged)
        stored = await site.stored()
        assert sorted(one.integration for one in stored) == ["busan", "busan", "seoul", "seoul"]
        assert len({one.key for one in stored}) == 2
        refused = {"path": EVENTS, "status": "401"}
        assert site.deps.metrics.registry.get_sample_value("tocsin_requests_refused_total", refused) == 8


async def test_without_keys_only_programs_on_this_machine_may_push(ingesting: Ingesting) -> None:
    async with ingesting() as site:
        assert await keyed(site, None) == 200
        for header in ("Origin", "X-Forwarded-For", "Forwarded"):
            assert (await site.post(EVENTS, alert(), {header: "http://example.com"})).status == 401
        (stored,) = await site.stored()
        assert stored.integration == "default"


async def test_a_key_is_good_as_soon_as_the_rules_have_it(ingesting: Ingesting) -> None:
    async with ingesting() as site:
        file = site.deps.settings.config_file
        assert file is not None
        file.write_text(WITH_KEYS)
        assert (await site.post("/-/reload", b"")).status == 200
        assert await keyed(site, None) == 401
        assert await keyed(site, "Bearer key-of-seoul") == 200
