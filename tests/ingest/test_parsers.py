"""No input makes a parser fail: whatever comes is an alert, a rejection that says why, or a refused body."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import alertmanager, apiv2, events
from ingest.document import read_document
from ingest.entries import EntryBuilder
from ingest.fields import CUT_MARK, FieldReader, cut_text
from ingest.identity import alert_key
from ingest.keys import DEFAULT, is_loopback, shown_key
from ingest.parsed import Parsed, Source, parse_alerts
from ingest.refused import AlertRefused, BodyRefused
from tocsin.policy.model import Alert
from tocsin.policy.rules import Emergency, Rules, Service
from tocsin.runtime.settings import Settings
from tocsin.store.codec import alert_body, alert_record, read_alert

NOW = 1_795_357_982_247
FORMATS = (alertmanager, apiv2, events)
SMALL = Settings(label_value_bytes_max=32, annotation_bytes_max=64, label_name_bytes_max=16, labels_per_alert_max=4, entry_bytes_max=2048)
EVERYTHING = Service("everything-else", (), ("alertname",), None)  # type: ignore[arg-type]  # its plan is not asked for
RULES = Rules(1, (), (EVERYTHING,), {}, {}, {}, {}, (), (), Emergency())

texts = st.text(max_size=80) | st.sampled_from(
    ["", "firing", "resolved", "4", "0001-01-01T00:00:00Z", "2026-11-22T09:00:00.5+09:00", "9999-12-31"]
)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts
junk = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=8)
names = st.sampled_from(["alertname", "", "severity", "서비스", "n" * 20])
label_sets = st.dictionaries(names | texts, texts | junk, max_size=6)
fields = {"labels": label_sets | junk, "annotations": label_sets | junk, "status": texts | junk}
fields |= dict.fromkeys(("startsAt", "endsAt", "generatorURL"), texts | junk)
items = st.fixed_dictionaries({}, optional=fields) | junk
documents = (
    st.lists(items, max_size=4) | junk | st.fixed_dictionaries({"version": st.just("4"), "alerts": st.lists(items, max_size=4) | junk})
)


def parsed(form: Any, document: object, settings: Settings = SMALL) -> Parsed:
    try:
        found = form.alerts_in(document)
    except BodyRefused:
        return Parsed()
    source = Source(DEFAULT, NOW, 300_000, FieldReader(settings))
    result = parse_alerts(found, source, form.read_alert)
    assert len(result.alerts) + len(result.rejected) == len(found)
    return result


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.__name__)
@given(document=documents)
def test_every_json_value_is_read_or_rejected_with_a_reason(form: Any, document: object) -> None:
    result = parsed(form, document)
    for one in result.rejected:
        assert one.reason.startswith(f"alerts[{one.index}]")
        assert one.reason.isprintable()
        assert len(one.excerpt) <= 8192
    for alert in result.alerts:
        assert 1 <= len(alert.labels) <= SMALL.labels_per_alert_max
        assert all(name and value and len(value.encode()) <= 32 for name, value in alert.labels.items())
        assert all(len(text.encode()) <= 64 for text in alert.annotations.values())
        assert alert.starts_at <= NOW
    keep(result.alerts)


def keep(alerts: list[Alert]) -> None:
    """What was read fits its entries and is read back from the store's record as it was."""
    builder = EntryBuilder(RULES, shards=4, received_at=NOW, entry_bytes_max=SMALL.entry_bytes_max)
    builder.add(alerts)
    records = [entry[place] for _, entry in builder.entries for place in range(3, len(entry), 2)]
    assert len(records) + len(builder.too_big) == len(alerts)
    for _, entry in builder.entries:
        assert sum(len(str(part)) for part in entry) <= SMALL.entry_bytes_max
    for alert in alerts:
        record = alert_record(alert, alert_body(alert))
        assert read_alert(alert.key, record) == alert


@given(body=st.binary(max_size=200) | documents.map(lambda value: json.dumps(value).encode()))
def test_every_body_is_json_or_refused(body: bytes) -> None:
    try:
        document = read_document(body, values_max=1000)
    except BodyRefused:
        return
    for form in FORMATS:
        parsed(form, document)


@given(value=junk)
def test_the_tolerant_reading_agrees_with_the_quick_one(value: object) -> None:
    try:
        body = orjson.dumps(value)
    except (TypeError, orjson.JSONEncodeError):
        return  # lone surrogates and numbers beyond 64 bits cannot be sent this way
    assert read_document(body + b" trailing", values_max=1000) == read_document(body, values_max=1000)


@given(text=st.text(max_size=300), most=st.integers(16, 400))
def test_a_cut_text_keeps_its_limit_and_its_beginning(text: str, most: int) -> None:
    cut = cut_text(text, most)
    assert len(cut.encode()) <= most
    assert cut == text or (cut.endswith(CUT_MARK) and text.startswith(cut.removesuffix(CUT_MARK)))


@given(one=st.dictionaries(st.text(), st.text(), max_size=4), other=st.dictionaries(st.text(), st.text(), max_size=4))
def test_alerts_have_one_key_exactly_when_their_labels_agree(one: dict[str, str], other: dict[str, str]) -> None:
    assert (alert_key("a", one) == alert_key("a", other)) is (one == other)
    assert alert_key("a", one) == alert_key("a", dict(reversed(one.items())))
    assert alert_key("a", one) != alert_key("b", one)


def test_the_key_stays_the_same_from_release_to_release() -> None:
    assert alert_key("prometheus", {"cluster": "eu-1", "alertname": "DiskFull"}) == "6c6d5b0d9da7f9c71ca22fdc"


@given(text=st.text())
def test_no_header_or_address_breaks_the_keys(text: str) -> None:
    for header in (text, f"Bearer {text}", f"Basic {text}"):
        assert shown_key(header) is None or shown_key(header)
    assert is_loopback(text) in (True, False)


def test_loopback_is_known_in_all_its_forms() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1")))
    assert not any(map(is_loopback, ("10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", "0.0.0.0")))


@pytest.mark.parametrize(
    ("status", "end", "expected"),
    [
        (None, None, ("firing", NOW + DEFAULT.stale_after_ms)),
        (None, "2026-11-22T14:33:03Z", ("firing", 1_795_357_983_000)),
        (None, "2026-11-22T14:33:01Z", ("resolved", 1_795_357_981_000)),
        ("firing", "2026-11-22T14:33:01Z", ("firing", NOW + DEFAULT.stale_after_ms)),
        ("resolved", None, ("resolved", NOW)),
        ("resolved", "2999-01-01T00:00:00Z", ("resolved", NOW)),
    ],
)
def test_an_event_says_when_it_is_over(status: str | None, end: str | None, expected: tuple[str, int]) -> None:
    item: dict[str, Any] = {"labels": {"a": "b"}, "status": status, "endsAt": end}
    alert = events.read_alert(item, Source(DEFAULT, NOW, 300_000, FieldReader(Settings())))
    assert (alert.status, alert.ends_at) == expected


def test_a_message_names_the_field_of_the_alert_that_is_wrong() -> None:
    with pytest.raises(AlertRefused, match=r"^labels\.severity: expected text, got a number$"):
        apiv2.read_alert({"labels": {"severity": 3}}, Source(DEFAULT, NOW, 300_000, FieldReader(Settings())))
