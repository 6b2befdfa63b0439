r"""The webhook of Alertmanager, payload version "4".

    {"receiver": "team-x\\.pager", "status": "firing", "alerts": [
        {"status": "firing", "labels": {"alertname": "DiskFull", "instance": "db-1:9100", "severity": "critical"},
         "annotations": {"summary": "Disk 97% full"}, "startsAt": "2026-11-22T09:00:00.123456789+09:00", "endsAt": "0001-01-01T00:00:00Z",
         "generatorURL": "http://prom.example/graph?g0.expr=x", "fingerprint": "e3d172ab34719612"}],
     "groupLabels": {"alertname": "DiskFull"}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am.example:9093",
     "version": "4", "groupKey": "{}:{alertname=\"DiskFull\"}", "truncatedAlerts": 0}

Only what stands in `alerts` counts, alert by alert. The group's `status` can say resolved while alerts fire (`truncatedAlerts`), a group's
list leaves out what is silenced, and `externalURL` differs between the peers of a pair: none of them is read. Fields we do not know are
newer versions; another shape is a template of the operator's, which we cannot guess.

A resolved message may never come, so a firing alert is good for the integration's `stale_after` and every repeat renews it.
"""

from __future__ import annotations

from ingest.fields import Object, kind_of, shown
from ingest.identity import alert_key
from ingest.parsed import Source
from ingest.refused import AlertRefused, BodyRefused
from tocsin.policy.model import Alert, AlertStatus

VERSION = "4"

_FIRING, _RESOLVED = AlertStatus.FIRING, AlertStatus.RESOLVED


def alerts_in(document: object) -> list[object]:
    """Return the alerts of a message, as they came. Raises BodyRefused when it is not such a message."""
    if type(document) is not dict:
        raise BodyRefused(f"expected an Alertmanager message, got {kind_of(document)}")
    version = document.get("version")
    if version != VERSION:
        got = "none" if version is None else shown(version) if type(version) is str else kind_of(version)
        raise BodyRefused(f'version: expected "{VERSION}", got {got}; a `payload:` template in Alertmanager must be removed')
    found = document.get("alerts")
    if found is None and "alerts" in document:
        return []
    if type(found) is not list:
        raise BodyRefused(f"alerts: expected a list, got {kind_of(found)}")
    return found


def read_alert(item: Object, source: Source) -> Alert:
    """Return one alert of a message. Raises AlertRefused."""
    fields, now = source.fields, source.now_ms
    labels, full = fields.labels(item.get("labels"))
    starts_at = fields.instant(item, "startsAt")
    status = item.get("status")
    if status == "firing":
        status, ends_at = _FIRING, now + source.integration.stale_after_ms
    elif status == "resolved":
        status, ends_at = _RESOLVED, fields.instant(item, "endsAt") or now
    else:
        raise AlertRefused(f"status: expected firing or resolved, got {shown(status) if type(status) is str else kind_of(status)}")
    return Alert(
        alert_key(source.integration.name, full),
        source.integration.name,
        status,
        labels,
        fields.annotations(item.get("annotations")),
        now if starts_at is None or starts_at > now else starts_at,
        ends_at,
        fields.text(item, "generatorURL"),
    )
