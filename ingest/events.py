"""Our own JSON, `POST /webhook/events`: one alert, or a list of them.

    {"labels": {"alertname": "BackupFailed", "host": "nas-1", "severity": "error"}, "annotations": {"summary": "Nightly backup failed"},
     "status": "firing", "startsAt": "2026-11-22T02:00:00+09:00", "endsAt": "2026-11-23T02:00:00+09:00"}

Only `labels` is required. A firing alert is good until `endsAt`, without it for the integration's `stale_after`; a resolved one ended at
`endsAt`, without it now. Without `status` it fires, unless `endsAt` has passed.
"""

from __future__ import annotations

from ingest.fields import Object, kind_of, shown
from ingest.identity import alert_key
from ingest.parsed import Source
from ingest.refused import AlertRefused, BodyRefused
from tocsin.policy.model import Alert, AlertStatus


def alerts_in(document: object) -> list[object]:
    """Return the alerts of a body, as they came. Raises BodyRefused."""
    if type(document) is dict:
        return [document]
    if type(document) is not list:
        raise BodyRefused(f"expected an alert or a list of alerts, got {kind_of(document)}")
    return document


def read_alert(item: Object, source: Source) -> Alert:
    """Return one alert of a body. Raises AlertRefused."""
    fields, now = source.fields, source.now_ms
    labels, full = fields.labels(item.get("labels"))
    starts_at, ends_at = fields.instant(item, "startsAt"), fields.instant(item, "endsAt")
    status = _status(item.get("status"), ends_at, now)
    if status is AlertStatus.RESOLVED:
        ends_at = now if ends_at is None else min(ends_at, now)
    elif ends_at is None or ends_at <= now:  # it says that it fires: an end in the past is a clock that goes wrong
        ends_at = now + source.integration.stale_after_ms
    return Alert(
        alert_key(source.integration.name, full),
        source.integration.name,
        status,
        labels,
        fields.annotations(item.get("annotations")),
        now if starts_at is None else min(starts_at, now),
        ends_at,
        fields.text(item, "generatorURL"),
    )


def _status(found: object, ends_at: int | None, now: int) -> AlertStatus:
    if found is None:
        return AlertStatus.FIRING if ends_at is None or ends_at > now else AlertStatus.RESOLVED
    if found == "firing":
        return AlertStatus.FIRING
    if found == "resolved":
        return AlertStatus.RESOLVED
    raise AlertRefused(f"status: expected firing or resolved, got {shown(found) if type(found) is str else kind_of(found)}")
