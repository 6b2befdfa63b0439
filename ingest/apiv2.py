"""Alertmanager's API v2, `POST /api/v2/alerts`: what Prometheus, vmalert, rulers and amtool send.

    [{"labels": {"alertname": "DiskFull", "instance": "db-1:9100"}, "annotations": {"summary": "Disk 97% full"},
      "startsAt": "2026-11-22T09:00:00.123Z", "endsAt": "2026-11-22T09:04:00.123Z", "generatorURL": "http://prom.example/graph"}]

An alert fires until `endsAt`, which the sender moves on with every repeat; one in the past resolves it. Without `endsAt` it is good for the
resolve timeout. Differences from Alertmanager: a start in the future is now, the good alerts of a body are kept when the answer is an error
of any kind, and a 200 means that they are on disk.
"""

from __future__ import annotations

import re
from typing import Final

from ingest.fields import Object, kind_of, shown
from ingest.identity import alert_key
from ingest.parsed import Source
from ingest.refused import NOT_A_URI, NOT_VALID, AlertRefused, BodyRefused
from tocsin.policy.model import Alert, AlertStatus

_FIRING, _RESOLVED = AlertStatus.FIRING, AlertStatus.RESOLVED

_WEB: Final = ("http://", "https://", "/")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def alerts_in(document: object) -> list[object]:
    """Return the alerts of a request, as they came; null is none. Raises BodyRefused."""
    if document is None:
        return []
    if type(document) is not list:
        raise BodyRefused(f"expected a list of alerts, got {kind_of(document)}")
    return document


def read_alert(item: Object, source: Source) -> Alert:
    """Return one alert of a request. Raises AlertRefused."""
    fields, now = source.fields, source.now_ms
    labels, full = fields.labels(item.get("labels"))
    starts_at, ends_at = fields.instant(item, "startsAt"), fields.instant(item, "endsAt")
    if ends_at is None:
        ends_at = now + source.resolve_timeout_ms
    elif starts_at is None:
        starts_at = ends_at
    elif ends_at < starts_at:
        raise AlertRefused("endsAt: must not be before startsAt", NOT_VALID)
    url = fields.text(item, "generatorURL")
    if url and not url.startswith(_WEB) and _SCHEME.match(url) is None:
        raise AlertRefused(f"generatorURL: expected a URI, got {shown(url)}", NOT_A_URI)
    return Alert(
        alert_key(source.integration.name, full),
        source.integration.name,
        _FIRING if ends_at > now else _RESOLVED,
        labels,
        fields.annotations(item.get("annotations")),
        now if starts_at is None or starts_at > now else starts_at,
        ends_at,
        url,
    )
