import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tocsin.policy.fingerprint import alert_key, fingerprint

DATA = Path(__file__).parents[1] / "data/alertmanager"
VECTORS = json.loads((DATA / "fingerprints.json").read_text(encoding="utf-8"))
WORKED = [
    ({}, "cbf29ce484222325"),
    ({"é": "1", "z": "2", "alertname": "u3", "🙂": "🙂"}, "012641b92276106b"),
]

label_sets = st.dictionaries(st.text(max_size=6), st.text(max_size=6), max_size=6)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["fingerprint"])
def test_the_fingerprint_is_the_one_every_alertmanager_prints(vector: dict[str, Any]) -> None:
    assert fingerprint(vector["labels"]) == vector["fingerprint"]


@pytest.mark.parametrize(("labels", "expected"), WORKED)
def test_the_fingerprint_sorts_names_by_their_bytes(labels: dict[str, str], expected: str) -> None:
    assert fingerprint(labels) == expected


@pytest.mark.parametrize("path", sorted((DATA / "webhook-bodies").glob("[0-9]*.json")), ids=lambda path: path.stem)
def test_the_fingerprint_agrees_with_every_recorded_webhook(path: Path) -> None:
    body = json.loads(path.read_text(encoding="utf-8"))
    assert body["alerts"]
    for alert in body["alerts"]:
        assert fingerprint(alert["labels"]) == alert["fingerprint"]


@given(label_sets)
def test_the_order_of_labels_does_not_matter(labels: dict[str, str]) -> None:
    turned = dict(reversed(labels.items()))
    assert fingerprint(turned) == fingerprint(labels)
    assert alert_key("prometheus", turned) == alert_key("prometheus", labels)


@given(st.dictionaries(st.text(alphabet=st.characters()), st.text(alphabet=st.characters())), st.text())
@example({"a": "\ud800"}, "\udfff")
def test_any_label_set_has_both_names(labels: dict[str, str], integration: str) -> None:
    assert re.fullmatch("[0-9a-f]{16}", fingerprint(labels))
    assert re.fullmatch("[0-9a-f]{24}", alert_key(integration, labels))


@given(label_sets, label_sets)
@example({"a": "bc"}, {"ab": "c"})
@example({"a": "b\x00c"}, {"a": "b", "c": ""})
@example({"a": "b\xffc\xffd"}, {"a": "b", "c": "d"})
@example({"a": ""}, {})
def test_the_alert_key_differs_when_any_label_does(one: dict[str, str], other: dict[str, str]) -> None:
    assume(one != other)
    assert alert_key("prometheus", one) != alert_key("prometheus", other)


@given(label_sets.filter(bool), st.data())
def test_the_alert_key_differs_when_one_value_moves(labels: dict[str, str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(labels)))
    value = data.draw(st.text(max_size=6).filter(lambda text: text != labels[name]))
    assert alert_key("prometheus", labels | {name: value}) != alert_key("prometheus", labels)


@given(st.text(), st.text(), label_sets)
def test_the_alert_key_differs_between_integrations(one: str, other: str, labels: dict[str, str]) -> None:
    assume(one != other)
    assert alert_key(one, labels) != alert_key(other, labels)


def test_a_label_cannot_pass_for_the_integration() -> None:
    assert alert_key("a", {"b": "c"}) != alert_key("", {"a": "b", "c": ""})
    assert alert_key("a\xff", {}) != alert_key("a", {"": ""})


def test_the_alert_key_stays_the_same_from_release_to_release() -> None:
    # It is stored: a change here would make every open alert a new one.
    assert alert_key("prometheus", {"alertname": "DiskFull", "cluster": "eu-1"}) == "047f08e217d6bd96bd28a41f"
