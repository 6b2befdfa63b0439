"""What becomes of alerts that came with a valid key and cannot be read: an alert that says so, and the raw bytes in the dead letters.

The alert's labels are the same every time, so a sender that repeats its mistake adds to one incident. It is over an hour after the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ingest.fields import cut_text
from ingest.identity import alert_key
from ingest.parsed import Rejected
from tocsin.policy.model import Alert, AlertStatus

ALERTNAME: Final = "TocsinUnreadableAlert"
SEVERITY: Final = "warning"
GOOD_FOR_MS: Final = 3_600_000

LETTERS_PER_BODY_MAX: Final = 20
"""Dead letters that one body may leave; the alert says how many there were in all."""

REASON_BYTES_MAX: Final = 1_024


def unreadable_alert(integration: str, rejected: Sequence[Rejected], now_ms: int) -> Alert:
    """Return the alert that stands for everything in one body that could not be read."""
    labels = {"alertname": ALERTNAME, "integration": integration, "severity": SEVERITY}
    annotations = {
        "summary": f"Alerts from {integration} cannot be read: they page nobody until their sender is put right",
        "description": cut_text(rejected[0].reason, REASON_BYTES_MAX),
        "count": str(len(rejected)),
        "excerpt": cut_text(rejected[0].excerpt.decode("utf-8", "replace"), REASON_BYTES_MAX),
    }
    key = alert_key(integration, labels)
    return Alert(key, integration, AlertStatus.FIRING, labels, annotations, now_ms, now_ms + GOOD_FOR_MS)
