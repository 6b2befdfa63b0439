"""Recordings of alerts: our own lines, Alertmanager's messages, an incident as it is printed; and what is said of bad ones."""

import json

import pytest

from tocsin.policy import events as ev
from tocsin.policy.model import AlertStatus
from tocsin.runtime.recorded import Acted, Recorded, RecordedInvalid, Reported, read_recorded

TWO = 1_771_264_800_000  # 2026-02-16T18:00:00Z
MINUTE = 60_000


def read(*lines: object) -> list[Recorded]:
    return list(read_recorded([json.dumps(line).encode() + b"\n" for line in lines], "file"))


def told(records: list[Recorded]) -> list[tuple[float, str]]:
    """(minutes since two, status of the first alert)."""
    return [((each.at - TWO) / MINUTE, each.alerts[0].status.value) for each in records if isinstance(each, Reported)]


def test_a_line_of_our_own_is_an_alert_at_its_time() -> None:
    [record] = read({"at": "2026-02-17T03:00:00+09:00", "labels": {"alertname": "Disk", "x": ""}, "integration": "seoul"})
    assert isinstance(record, Reported)
    [alert] = record.alerts
    assert (record.at, alert.status, alert.labels, alert.integration) == (TWO, AlertStatus.FIRING, {"alertname": "Disk"}, "seoul")
    assert alert.ends_at == 0, "how long it is good for is the integration's"


def test_an_alert_with_a_beginning_and_an_end_fires_and_clears_in_its_turn() -> None:
    found = read(
        {"labels": {"alertname": "Disk"}, "startsAt": "2026-02-16T18:00:00Z", "endsAt": "2026-02-16T18:20:00Z"},
        {"labels": {"alertname": "Net"}, "startsAt": "2026-02-16T18:05:00Z", "endsAt": "2026-02-16T18:06:00Z", "status": "resolved"},
        {"at": "2026-02-16T18:30:00Z", "labels": {"alertname": "Cpu"}},
    )
    assert told(found) == [(0, "firing"), (5, "firing"), (6, "resolved"), (20, "resolved"), (30, "firing")]


def message(*alerts: dict[str, object], **more: object) -> dict[str, object]:
    return {"version": "4", "status": "firing", "alerts": list(alerts), **more}


FIRES: dict[str, object] = {
    "status": "firing",
    "labels": {"alertname": "Disk"},
    "startsAt": "2026-02-16T18:00:00Z",
    "endsAt": "0001-01-01T00:00:00Z",
}
CLEARS = FIRES | {"status": "resolved", "endsAt": "2026-02-16T18:10:00Z"}


def test_a_message_of_alertmanager_came_when_it_was_received() -> None:
    [record] = read(message(FIRES, CLEARS, at="2026-02-16T18:12:00Z"))
    assert isinstance(record, Reported)
    assert [(a.status, a.starts_at, a.ends_at) for a in record.alerts] == [("firing", TWO, 0), ("resolved", TWO, TWO + 10 * MINUTE)]
    assert record.at == TWO + 12 * MINUTE
    assert read({"at": "2026-02-16T18:12:00Z", "body": message(FIRES, CLEARS)}) == [record]


def test_a_message_without_a_time_came_with_the_newest_thing_it_tells_and_not_before_the_line_above() -> None:
    found = read(message(FIRES), message(CLEARS), message(FIRES | {"labels": {"alertname": "Net"}}))
    assert told(found) == [(0, "firing"), (10, "resolved"), (10, "firing")]


def test_an_incident_as_it_is_printed_is_its_alerts_and_what_people_did() -> None:
    incident = {
        "id": "INC-4",
        "opened_at": "2026-02-16T18:00:00.000Z",
        "alerts": [
            {"status": "resolved", "integration": "seoul", "labels": {"alertname": "Disk"}, "annotations": {},
             "starts_at": "2026-02-16T17:59:00.000Z", "ends_at": "2026-02-16T18:40:00.000Z"},
        ],
        "history": [
            {"at": "2026-02-16T18:00:00.000Z", "actor": "monitoring", "event": "OpenedByAlerts", "reason": "opened", "inputs": {}},
            {"at": "2026-02-16T18:07:00.000Z", "actor": "kim", "event": "Acknowledged", "reason": "acknowledged",
             "inputs": {"until": "2026-02-16T18:37:00.000Z"}},
        ],
    }  # fmt: skip
    lines = [line.encode() + b"\n" for line in json.dumps(incident, indent=2).splitlines()]
    found = list(read_recorded(lines, "file"))
    assert told(found) == [(0, "firing"), (40, "resolved")]
    acted = found[1]
    assert isinstance(acted, Acted)
    assert (acted.at, acted.event) == (TWO + 7 * MINUTE, ev.Acknowledged("kim", 30 * MINUTE))


def test_a_little_disorder_is_put_right() -> None:
    labels = {"alertname": "Disk"}
    found = read({"at": "2026-02-16T18:04:00Z", "labels": labels}, {"at": "2026-02-16T18:00:00Z", "labels": labels})
    assert [record.at for record in found] == [TWO + 4 * MINUTE] * 2


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("[1]", "file:2: item 1: expected a JSON object"),
        ("{", "file:2: is not JSON"),
        ("7", "file:2: expected a JSON object"),
        ('{"a": 1}', "file:2: expected an alert"),
        ('{"labels": {"a": "b"}}', "file:2: when was it received"),
        ('{"at": "yesterday", "labels": {"a": "b"}}', "file:2: at: expected a time such as"),
        ('{"at": "2026-02-16T18:00:00Z", "labels": {}}', "file:2: labels: at least one"),
        ('{"at": "2026-02-16T18:00:00Z", "labels": {"a": 1}}', "file:2: labels: expected an object whose values are text"),
        ('{"at": "2026-02-16T18:00:00Z", "labels": {"a": "b"}, "status": "odd"}', "file:2: status: expected firing or resolved"),
        ('{"at": "2026-02-16T18:00:00Z", "labels": {"a": "b"}, "integration": 1}', "file:2: integration: expected its name"),
        ('{"at": "2026-02-16T17:00:00Z", "labels": {"a": "b"}}', "file:2: .* is before .* sort the lines by time"),
        ('{"alerts": {}}', "file:2: alerts: expected a list"),
        ('{"alerts": [{"status": "firing", "labels": {"a": "b"}, "startsAt": 5e99}]}', r"file:2: alerts\[0\]: startsAt: expected a time"),
        ('{"alerts": [7]}', r"file:2: alerts\[0\]: expected an object"),
        ('{"body": 1}', "file:2: body: expected an Alertmanager message"),
        ('{"opened_at": "2026-02-16T18:00:00Z", "history": [], "alerts": []}', "file:2: it has no alerts"),
        ('{"opened_at": "2026-02-16T18:00:00Z", "history": [], "alerts": [1]}', r"file:2: alerts\[0\]: "),
    ],
)
def test_a_bad_line_is_told_by_its_number(line: str, why: str) -> None:
    good = b'{"at": "2026-02-16T18:00:00Z", "labels": {"a": "b"}}\n'
    with pytest.raises(RecordedInvalid, match=why):
        list(read_recorded([good, line.encode()], "file"))


def test_a_file_that_is_no_recording_says_what_was_expected() -> None:
    with pytest.raises(RecordedInvalid, match=r"file:1: is not JSON .* expected one JSON object in each line"):
        list(read_recorded([b"hello\n", b"world\n"], "file"))
    assert list(read_recorded([], "file")) == []
