import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tocsin.policy.fingerprint import fingerprint

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


@given(st.dictionaries(st.text(alphabet=st.characters()), st.text(alphabet=st.characters())))
@example({"a": "\ud800"})
def test_any_label_set_has_a_fingerprint(labels: dict[str, str]) -> None:
    assert re.fullmatch("[0-9a-f]{16}", fingerprint(labels))
