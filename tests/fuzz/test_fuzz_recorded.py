"""Recorded alerts, as `tocsin simulate` takes them: any recording is read in the order of time, or refused by its line."""

from __future__ import annotations

import json
from typing import Final

from hypothesis import example
from hypothesis import strategies as st

from tests.fuzz.budget import Budget
from tests.fuzz.mutations import Corpus, as_text, changed
from tocsin.runtime.recorded import RecordedInvalid, read_recorded

ALERT: Final = {
    "labels": {"alertname": "DBDown", "severity": "critical"},
    "startsAt": "2026-02-17T02:00:00Z",
    "endsAt": "2026-02-17T03:00:00Z",
}
RECORDED: Final = [
    ALERT,
    {"at": "2026-02-17T02:00:00Z", "status": "firing", **ALERT},
    {"receivedAt": "2026-02-17T02:00:00Z", "version": "4", "alerts": [{"status": "firing", **ALERT}], "groupKey": "{}", "status": "firing"},
    {
        "id": "INC-1",
        "alerts": [ALERT],
        "history": [{"version": 1, "at": "2026-02-17T02:00:00Z", "event": "acknowledged", "actor": "kim", "inputs": {}}],
    },
]


def test_any_recording_is_read_or_refused_by_its_line(budget: Budget) -> None:
    @example(lines=[json.dumps({**ALERT, "startsAt": "9999-12-31T23:59:59-12:00"}).encode(), json.dumps(ALERT).encode()])
    @example(lines=[json.dumps({**ALERT, "endsAt": "0001-01-02T00:00:00+14:00"}).encode()])
    @example(lines=[b"[" * 5_000])
    def holds(lines: list[bytes]) -> None:
        try:
            found = list(read_recorded(lines, "r.jsonl"))
        except RecordedInvalid as refused:
            where = str(refused)
        else:
            assert [record.at for record in found] == sorted(record.at for record in found)
            return
        assert where.startswith("r.jsonl:")
        assert where.isprintable()

    line = changed(Corpus("lines of a recording", RECORDED)).map(as_text) | st.binary(max_size=20)
    budget.spend(holds, lines=st.lists(line, max_size=5))
