"""Alerts as the entries of the intake streams: which shard each goes to, and how a body is split.

One entry for each body and shard, because what costs the store is commands, not bytes; a new one begins before it grows over its limit.
Its fields are `t`, the instant at which the body was taken, then alert key and record in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ingest.fields import cut_text
from tocsin.policy.model import Alert
from tocsin.policy.rules import Rules, group_key, shard_of_group
from tocsin.store.codec import alert_body, alert_record
from tocsin.store.wire import Argument

IntakeEntry = tuple[int, list[Argument]]
"""Shard and fields."""

PAIR_BYTES: Final = 64
"""What a pair costs beside its record: the key, lengths, `ends_at`."""

ANNOTATIONS_KEPT: Final = 16
ANNOTATION_KEPT_BYTES: Final = 512
VALUE_KEPT_BYTES: Final = 128
"""What is left of an alert that does not fit an entry as it is."""


class EntryBuilder:
    """Lays the alerts of one body out; `entries` is the result, `too_big` what fits no entry, `cut` how many were shortened to fit."""

    def __init__(self, rules: Rules, *, shards: int, received_at: int, entry_bytes_max: int) -> None:
        self._rules = rules
        self._shards = shards
        self._received_at = received_at
        self._bytes_max = entry_bytes_max
        self._open: dict[int, list[Argument]] = {}
        self._room = dict.fromkeys(range(shards), 0)
        self.entries: list[IntakeEntry] = []
        self.too_big: list[Alert] = []
        self.cut = 0

    def add(self, alerts: Sequence[Alert]) -> None:
        """Lay out some alerts, in their order."""
        service_of, shards, room = self._rules.service_of, self._shards, self._room
        for alert in alerts:
            body = alert_body(alert)
            if len(body) + 2 * PAIR_BYTES > self._bytes_max:
                shortened = self._shortened(alert)
                if shortened is None:
                    continue
                alert, body = shortened  # noqa: PLW2901  the same alert, shorter
            labels = alert.labels
            shard = 0 if shards == 1 else shard_of_group(group_key(service_of(labels), labels), shards)
            size = len(body) + PAIR_BYTES
            if size > room[shard]:
                self._begin(shard)
            room[shard] -= size
            self._open[shard] += (alert.key, alert_record(alert, body))

    def _begin(self, shard: int) -> None:
        fields: list[Argument] = ["t", self._received_at]
        self._open[shard] = fields
        self._room[shard] = self._bytes_max - PAIR_BYTES
        self.entries.append((shard, fields))

    def _shortened(self, alert: Alert) -> tuple[Alert, bytes] | None:
        """Return the alert with less text, so that it fits an entry; None, noted as too big, when its labels alone are too much."""
        some = {name: cut_text(text, ANNOTATION_KEPT_BYTES) for name, text in list(alert.annotations.items())[:ANNOTATIONS_KEPT]}
        url = cut_text(alert.generator_url, ANNOTATION_KEPT_BYTES)
        labels = {name: cut_text(value, VALUE_KEPT_BYTES) for name, value in alert.labels.items()}
        none = {"summary": "the annotations of this alert were too long to be kept"}
        for shorter in (
            alert._replace(annotations=some, generator_url=url),
            alert._replace(annotations=none, generator_url=""),
            alert._replace(annotations=none, generator_url="", labels=labels),
        ):
            body = alert_body(shorter)
            if len(body) + 2 * PAIR_BYTES <= self._bytes_max:
                self.cut += 1
                return shorter, body
        self.too_big.append(alert)
        return None
