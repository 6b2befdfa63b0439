"""What senders send: whatever becomes of a captured body on its way, it is answered, every alert of it is accepted or counted with a
reason, and what is accepted is read back from the store as it was.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example
from hypothesis import strategies as st

from console.views import alert_views
from ingest import alertmanager, apiv2, events
from ingest.document import read_document
from ingest.entries import EntryBuilder
from ingest.fields import FieldReader
from ingest.keys import DEFAULT
from ingest.parsed import Source, parse_alerts
from ingest.refused import BodyRefused
from notifier.words.instants import local
from tests.fuzz.budget import Budget, Property, answered
from tests.fuzz.mutations import Corpus, Sent, as_text, bodies, changed
from tests.ingest.conftest import Answered, Site, running_ingest
from tests.ingest.test_parsers import RULES
from tocsin.policy.model import Alert
from tocsin.runtime.settings import Settings
from tocsin.store.codec import alert_body, alert_record, read_alert
from tocsin.store.store import Store

CAPTURED = Path(__file__).parents[1] / "data/alertmanager"
NOW = 1_795_357_982_247
SETTINGS = Settings()
UNREADABLE = "TocsinUnreadableAlert"
EXAMPLES_PER_SITE = 15
REFUSED = {400, 413, 415, 422}


def captured_messages() -> list[Any]:
    found = [json.loads(file.read_text(encoding="utf-8")) for file in sorted((CAPTURED / "webhook-bodies").glob("[0-9]*.json"))]
    assert len(found) > 10
    return found


MESSAGES = captured_messages()
LISTS = [[{name: value for name, value in alert.items() if name != "status"} for alert in message["alerts"]] for message in MESSAGES]
EVENTS = [message["alerts"] for message in MESSAGES] + [MESSAGES[0]["alerts"][0]]
FORMATS = {
    "/webhook/alertmanager": (alertmanager, Corpus("messages of Alertmanager", MESSAGES)),
    "/api/v2/alerts": (apiv2, Corpus("lists of alerts", LISTS)),
    "/webhook/events": (events, Corpus("lists of events", EVENTS)),
}
paths = pytest.mark.parametrize("path", FORMATS)


def items_in(form: ModuleType, document: object) -> list[object] | None:
    """The alerts of a document, None when it is not of this format."""
    try:
        found: list[object] = form.alerts_in(document)
    except BodyRefused:
        return None
    return found


def is_json(document: object) -> bool:
    """Whether a document can be written as JSON at all: NaN and infinities are not, and are refused with the whole body."""
    try:
        json.dumps(document, allow_nan=False)
    except ValueError:
        return False
    return True


def kept(alerts: list[Alert]) -> None:
    """Everything is laid out for the store, and reads back as it was."""
    builder = EntryBuilder(RULES, shards=4, received_at=NOW, entry_bytes_max=SETTINGS.entry_bytes_max)
    builder.add(alerts)
    records = [entry[place] for _, entry in builder.entries for place in range(3, len(entry), 2)]
    assert len(records) + len(builder.too_big) == len(alerts)
    for alert in alerts:
        assert read_alert(alert.key, alert_record(alert, alert_body(alert))) == alert
        assert len(alert_views([alert])) == 1, "the console can show it"
        for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):
            local(alert.starts_at, zone)
            local(alert.ends_at, zone)


@paths
def test_every_alert_of_a_changed_body_is_kept_or_rejected_with_a_reason(path: str, budget: Budget) -> None:
    form, corpus = FORMATS[path]

    @example(sent=Sent(b'[{"labels":{"a":"b"},"startsAt":"0001-01-01T00:00:00-00:01"}]'))
    @example(sent=Sent(b'[{"labels":{"a":"b"},"startsAt":"00010101T000000+2359","endsAt":"9999-12-31T23:59:59-23:59"}]'))
    @example(sent=Sent(b'[{"labels":{"a":"\\ud800"}}]'))
    def holds(sent: Sent) -> None:
        raw = sent.raw
        try:
            document = read_document(gzip.decompress(raw) if sent.encoding == "gzip" else raw, values_max=100_000)
        except (BodyRefused, EOFError, gzip.BadGzipFile):
            return
        items = items_in(form, document)
        if items is None:
            return
        parsed = parse_alerts(items, Source(DEFAULT, NOW, 300_000, FieldReader(SETTINGS)), form.read_alert)
        assert len(parsed.alerts) + len(parsed.rejected) == len(items)
        assert all(one.reason.isprintable() and one.reason.startswith(f"alerts[{one.index}]") for one in parsed.rejected)
        kept(parsed.alerts)

    budget.spend(holds, sent=bodies(corpus).filter(lambda sent: sent.encoding != "deflate"))


async def sent_to(site: Site, path: str, sent: Sent) -> tuple[Answered, list[Alert], int]:
    """Post a body; return the answer, what it left in the intake, and how many alerts the metrics counted for it."""
    for at in site.deps.store.at:
        await site.deps.store.client.delete(at.intake)
    before = site.counted("default", "accepted") + site.counted("default", "rejected")
    answer = await site.post(path, sent.raw, {"Content-Encoding": sent.encoding} if sent.encoding else {})
    counted = site.counted("default", "accepted") + site.counted("default", "rejected") - before
    return answer, await site.stored(), round(counted)


def taken_or_refused(site: Site, path: str) -> Property:
    """No body is a fault of ours, and nothing of it is lost."""
    form, loop = FORMATS[path][0], asyncio.get_running_loop()

    def holds(sent: Sent) -> None:
        answer, stored, counted = answered(loop, sent_to(site, path, sent))
        assert answer.status == 200 or answer.status in REFUSED, answer.body
        told = [alert for alert in stored if alert.labels.get("alertname") == UNREADABLE]
        if answer.status == 200 and path != "/api/v2/alerts":
            accepted, rejected = answer.json["accepted"], answer.json["rejected"]
            assert counted == accepted + rejected
            assert len(stored) == accepted + bool(rejected)
            assert len(told) >= bool(rejected)
        elif answer.status in REFUSED:
            assert told or not sent.raw or sent.encoding
        if not sent.whole or answer.status in {413, 415} or (sent.encoding and path == "/api/v2/alerts"):
            return
        items = items_in(form, json.loads(as_text(sent.document)))
        assert items is None or counted in (len(items), 0 if answer.status == 400 else len(items))

    return holds


def only_the_bad_one_rejected(site: Site, path: str) -> Property:
    """Twenty good alerts and one gone wrong: the twenty are in the store, and all are counted."""
    loop = asyncio.get_running_loop()
    good = [{"status": "firing", "labels": {"alertname": "Good", "n": str(n)}, "startsAt": "2026-11-22T09:00:00Z"} for n in range(20)]

    def holds(alert: Any, at: int) -> None:
        alerts = [*good[:at], alert, *good[at:]]
        body = {"version": "4", "alerts": alerts} if path == "/webhook/alertmanager" else alerts
        answer, stored, counted = answered(loop, sent_to(site, path, Sent(as_text(body))))
        assert answer.status == 200 or (path == "/api/v2/alerts" and answer.status in {400, 422}), answer.body
        assert counted == len(alerts)
        arrived = [one.labels["n"] for one in stored if one.labels.get("alertname") == "Good" and "n" in one.labels]
        assert {str(n) for n in range(20)} <= set(arrived)

    return holds


@paths
async def test_no_body_is_a_fault_of_ours_and_nothing_of_it_is_lost(path: str, budget: Budget, store: Store, tmp_path: Path) -> None:
    for found in budget.rounds():
        async with running_ingest(store, tmp_path / "rules.yaml") as site:
            inputs = {"sent": bodies(FORMATS[path][1])}
            await budget.run_beside(found, taken_or_refused(site, path), inputs, examples=EXAMPLES_PER_SITE)


@paths
async def test_one_alert_gone_wrong_among_good_ones_spoils_none_of_them(path: str, budget: Budget, store: Store, tmp_path: Path) -> None:
    alerts = changed(Corpus("alerts", [alert for listed in EVENTS[:-1] for alert in listed]), changes_max=3).filter(is_json)
    for found in budget.rounds():
        async with running_ingest(store, tmp_path / "rules.yaml") as site:
            inputs = {"alert": alerts, "at": st.integers(0, 20)}
            await budget.run_beside(found, only_the_bad_one_rejected(site, path), inputs, examples=EXAMPLES_PER_SITE)
