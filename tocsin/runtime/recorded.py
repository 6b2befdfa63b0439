"""Recorded alerts, read line by line: what a monitoring system said, with the times at which it said so.

    {"at": "2026-11-22T02:00:00+09:00", "integration": "seoul", "status": "firing", "labels": {"alertname": "DiskFull"}, "annotations": {}}
    {"labels": {"alertname": "DiskFull"}, "startsAt": "2026-11-22T02:00:00Z", "endsAt": "2026-11-22T02:20:00Z"}
    {"at": "2026-11-22T02:00:07Z", "version": "4", "alerts": [{"status": "firing", "labels": {...}, "startsAt": "...", "endsAt": "..."}]}
    {"at": "2026-11-22T02:00:07Z", "body": {"version": "4", "alerts": [...]}}

Owns the formats and the messages that name a line. Three kinds of line, told apart by what stands in them: an alert (`labels`), a message
as Alertmanager posts it to a webhook (`alerts`), and an incident as `tocsin incident show -o json` prints it (`history`), which may be a
file of its own. `at` is when it was received. An alert without it is received at `startsAt` and clears at `endsAt`; a message without it is
received when the newest thing that it tells had happened, and no earlier than the line before it.

Lines stand in the order of time; a few minutes of disorder, as two senders have it, are put right. Nothing is held in memory but what ends
later than it was told.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import orjson

from tocsin.policy import events as ev
from tocsin.policy.model import Alert, AlertStatus

DISORDER_MAX_MS: Final = 5 * 60_000
"""How much older than the line before it a line may be: it then counts as received with that."""

WHOLE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Size of a file that is one JSON document over several lines, as incidents are printed."""

LABELS_MAX: Final = 512

UNNAMED: Final = "recorded"
"""The integration of alerts that name none."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT_MAX: Final = 2_932_895 * 86_400_000
"""9999-12-30, which every zone's calendar can show: "for ever" at -12:00 would be the year 10000."""
_FIRING, _RESOLVED = AlertStatus.FIRING, AlertStatus.RESOLVED


class RecordedInvalid(ValueError):
    """A recording cannot be read; the text says file, line and what was expected."""


@dataclass(frozen=True, slots=True)
class Reported:
    """Alerts that were reported together, at an instant (ms UTC). `ends_at` 0 of one that fires: it was not said."""

    at: int
    alerts: list[Alert]


@dataclass(frozen=True, slots=True)
class Acted:
    """What a person did, at an instant (ms UTC), about the incident of an alert."""

    at: int
    key: str
    event: ev.Event


Recorded = Reported | Acted


class _Wrong(ValueError):
    """A line is not as it should be."""


def read_recorded(lines: Iterable[bytes], name: str) -> Iterator[Recorded]:
    """Yield what a recording says, in the order of time. Raises RecordedInvalid."""
    later: list[tuple[int, int, Reported]] = []
    last_at, count = 0, 0
    for where, document in _documents(lines, name):
        try:
            found = _read(document, last_at)
        except _Wrong as wrong:
            raise RecordedInvalid(f"{name}:{where}: {wrong}") from None
        for record, is_exact in found:
            if is_exact and record.at < last_at - DISORDER_MAX_MS:
                late, last = _shown(record.at), _shown(last_at)
                raise RecordedInvalid(f"{name}:{where}: {late} is before {last}, which stands above it: sort the lines by time")
            at = max(record.at, last_at)
            while later and later[0][0] <= at:
                yield heapq.heappop(later)[2]
            last_at = at
            yield record if record.at == at else _at(record, at)
        ends = _end_of(document, found)
        if ends is not None:
            count += 1
            heapq.heappush(later, (ends.at, count, ends))
    while later:
        yield heapq.heappop(later)[2]


def _at(record: Recorded, at: int) -> Recorded:
    return Reported(at, record.alerts) if isinstance(record, Reported) else Acted(at, record.key, record.event)


def _end_of(document: Any, found: list[tuple[Recorded, bool]]) -> Reported | None:
    """Return the end of an alert that was told together with its beginning."""
    if "at" in document or "labels" not in document or not document.get("endsAt"):
        return None
    [(record, _)] = found
    assert isinstance(record, Reported)
    [alert] = record.alerts
    ends_at = _instant(document, "endsAt")
    if alert.status is not _FIRING or ends_at is None:
        return None
    return Reported(ends_at, [alert._replace(status=_RESOLVED, ends_at=ends_at)])


# --- lines -----------------------------------------------------------------------------------------------------------------------------


def _documents(lines: Iterable[bytes], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (line, JSON object); a file that is one document over several lines has its items numbered."""
    numbered = ((number, line) for number, line in enumerate(lines, 1) if not line.isspace())
    is_first = True
    for number, line in numbered:
        try:
            document = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            if not is_first:
                raise RecordedInvalid(f"{name}:{number}: is not JSON ({error})") from None
            yield from _whole(line, numbered, name)
            return
        is_first = False
        if type(document) is dict:
            yield str(number), document
        elif type(document) is list:
            yield from _items(document, name, f"{number}")
        else:
            raise RecordedInvalid(f"{name}:{number}: expected a JSON object")


def _whole(first: bytes, numbered: Iterable[tuple[int, bytes]], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    parts, size = [first], len(first)
    for _, line in numbered:
        parts.append(line)
        size += len(line)
        if size > WHOLE_BYTES_MAX:
            raise RecordedInvalid(f"{name}:1: is not JSON; expected one JSON object in each line")
    try:
        document = orjson.loads(b"".join(parts))
    except orjson.JSONDecodeError as error:
        raise RecordedInvalid(f"{name}:1: is not JSON ({error}); expected one JSON object in each line") from None
    yield from _items(document if type(document) is list else [document], name, "1")


def _items(items: list[Any], name: str, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for index, item in enumerate(items, 1):
        if type(item) is not dict:
            raise RecordedInvalid(f"{name}:{where}: item {index}: expected a JSON object")
        yield f"{where}: item {index}" if len(items) > 1 else where, item


def _read(document: dict[str, Any], last_at: int) -> list[tuple[Recorded, bool]]:
    """Return what a line says; with each, whether its instant is exact or only the earliest that it can have been."""
    if "history" in document and "opened_at" in document:
        return [(record, True) for record in _read_incident(document)]
    if "body" in document:
        body = document["body"]
        if type(body) is not dict or "alerts" not in body:
            raise _Wrong("body: expected an Alertmanager message, with `alerts` in it")
        document = {**body, **({"at": document["at"]} if "at" in document else {})}
    if "alerts" in document:
        return [_read_message(document, last_at)]
    if "labels" in document:
        return [(_read_alert_line(document), True)]
    raise _Wrong("expected an alert (`labels`), an Alertmanager message (`alerts`) or an incident (`history`)")


def _read_alert_line(document: dict[str, Any]) -> Reported:
    at, starts_at, ends_at = (_instant(document, name) for name in ("at", "startsAt", "endsAt"))
    received_at = starts_at if at is None else at
    if received_at is None:
        raise _Wrong("when was it received? expected `at` (or `startsAt`) with a time such as 2026-11-22T09:00:00Z")
    status = _status(document, _FIRING if at is None or ends_at is None or ends_at > at else _RESOLVED)
    if at is None and starts_at is not None and ends_at is not None:
        status = _FIRING  # the end follows by itself
    alert = _alert(document, status, min(starts_at or received_at, received_at), ends_at, received_at, _integration(document))
    return Reported(received_at, [alert])


def _read_message(document: dict[str, Any], last_at: int) -> tuple[Reported, bool]:
    """Read an Alertmanager message: alert by alert, as ingest does."""
    items = document["alerts"]
    if type(items) is not list:
        raise _Wrong("alerts: expected a list")
    integration = _integration(document)
    at = _instant(document, "at")
    read: list[tuple[dict[str, Any], AlertStatus, int | None, int | None]] = []
    for index, item in enumerate(items):
        try:
            if type(item) is not dict:
                raise _Wrong("expected an object")
            status = _status(item, None)
            read.append((item, status, _instant(item, "startsAt"), _instant(item, "endsAt")))
        except _Wrong as wrong:
            raise _Wrong(f"alerts[{index}]: {wrong}") from None
    received_at = at
    if received_at is None:
        told = [ends_at if status is _RESOLVED else starts_at for _, status, starts_at, ends_at in read]
        received_at = max((each for each in told if each is not None), default=last_at)
        if not received_at:
            raise _Wrong("when was it received? expected `at`, or `startsAt` and `endsAt` in its alerts")
    alerts: list[Alert] = []
    for index, (item, status, starts_at, ends_at) in enumerate(read):
        try:
            begin = min(starts_at or received_at, received_at)
            # What fires is good for the integration's `stale_after`, whatever end Alertmanager gives it: as ingest has it.
            end = ends_at if status is _RESOLVED else None
            alerts.append(_alert(item, status, begin, end, received_at, integration))
        except _Wrong as wrong:
            raise _Wrong(f"alerts[{index}]: {wrong}") from None
    return Reported(received_at, alerts), at is not None


def _alert(item: Mapping[str, Any], status: AlertStatus, starts_at: int, ends_at: int | None, at: int, integration: str) -> Alert:
    labels = _texts(item, "labels")
    if not labels:
        raise _Wrong("labels: at least one label with a value is required")
    if len(labels) > LABELS_MAX:
        raise _Wrong(f"labels: {len(labels)} labels, {LABELS_MAX} is the limit")
    if status is _RESOLVED:
        end = at if ends_at is None else min(ends_at, at)
    else:
        end = ends_at if ends_at is not None and ends_at > at else 0
    key = integration + orjson.dumps(labels, option=orjson.OPT_SORT_KEYS).decode()
    return Alert(key, integration, status, labels, _texts(item, "annotations"), starts_at, end)


# --- an incident -----------------------------------------------------------------------------------------------------------------------


def _read_incident(document: dict[str, Any]) -> list[Recorded]:
    """Read an incident: its alerts from their last beginning, no earlier than it opened, to their end, and what people did."""
    opened_at = _instant(document, "opened_at")
    items, history = document.get("alerts"), document["history"]
    if opened_at is None or type(items) is not list or type(history) is not list:
        raise _Wrong("expected an incident as `tocsin incident show -o json` prints it")
    found: list[Recorded] = []
    first_key = ""
    for index, item in enumerate(items):
        try:
            starts_at, ends_at = _instant(item, "starts_at"), _instant(item, "ends_at")
            begin = max(opened_at, starts_at or opened_at)
            alert = _alert(item, _FIRING, begin, None, begin, _integration(item))
            found.append(Reported(begin, [alert]))
            if _status(item, None) is _RESOLVED and ends_at is not None:
                end = max(begin, ends_at)
                found.append(Reported(end, [alert._replace(status=_RESOLVED, ends_at=end)]))
            first_key = first_key if first_key and begin > opened_at else alert.key
        except (_Wrong, AttributeError) as wrong:
            raise _Wrong(f"alerts[{index}]: {wrong}") from None
    if not first_key:
        raise _Wrong("it has no alerts: somebody opened it by hand, and a recording of alerts cannot show it again")
    for index, entry in enumerate(history):
        try:
            at = _instant(entry, "at")
            event = None if at is None else _event_of(entry, at)
        except (_Wrong, AttributeError) as wrong:
            raise _Wrong(f"history[{index}]: {wrong}") from None
        if event is not None and at is not None:
            found.append(Acted(at, first_key, event))
    return sorted(found, key=lambda record: (record.at, isinstance(record, Acted)))


def _event_of(entry: Mapping[str, Any], at: int) -> ev.Event | None:
    """Return what a person did, None for an entry that follows by itself."""
    actor, inputs = str(entry.get("actor") or "somebody"), entry.get("inputs") or {}
    until = _instant(inputs, "until")
    for_ms = None if until is None else max(0, until - at)
    match entry.get("event"):
        case "Acknowledged":
            return ev.Acknowledged(actor, for_ms)
        case "Resolved":
            return ev.Resolved(actor)
        case "Reopened":
            return ev.Reopened(actor)
        case "Snoozed" if for_ms is not None:
            return ev.Snoozed(actor, for_ms)
        case "Assigned" if inputs.get("to"):
            return ev.Assigned(actor, str(inputs["to"]))
        case "PassedOn":
            return ev.PassedOn(actor)
        case "SeveritySet" if inputs.get("to") in (1, 2, 3, 4):
            return ev.SeveritySet(actor, inputs["to"])
        case _:
            return None


# --- fields ----------------------------------------------------------------------------------------------------------------------------


def _status(item: Mapping[str, Any], default: AlertStatus | None) -> AlertStatus:
    match item.get("status"):
        case "firing":
            return _FIRING
        case "resolved":
            return _RESOLVED
        case None if default is not None:
            return default
        case _:
            raise _Wrong("status: expected firing or resolved")


def _integration(item: Mapping[str, Any]) -> str:
    found = item.get("integration", UNNAMED)
    if type(found) is not str or not found:
        raise _Wrong("integration: expected its name")
    return found


def _texts(item: Mapping[str, Any], name: str) -> dict[str, str]:
    found = item.get(name)
    if found is None:
        return {}
    if type(found) is not dict or not all(type(value) is str for value in found.values()):
        raise _Wrong(f"{name}: expected an object whose values are text")
    return found if "" not in found.values() else {label: value for label, value in found.items() if value}


def _instant(item: Mapping[str, Any], name: str) -> int | None:
    """Return an instant (ms UTC) of RFC 3339 text or seconds since the epoch; None when it is missing, empty or Go's zero time."""
    found = item.get(name)
    if found is None or found == "":
        return None
    if isinstance(found, int | float) and not isinstance(found, bool) and 0 <= found < 1e11:
        return round(found * 1000)
    if type(found) is str:
        if found.startswith("0001-"):
            return None
        try:
            return _read_instant(found)
        except ValueError:
            pass
    raise _Wrong(f"{name}: expected a time such as 2026-11-22T09:00:00Z")


@lru_cache(maxsize=65_536)
def _read_instant(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    return min((since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000, _INSTANT_MAX)


def _shown(at: int) -> str:
    return (_EPOCH + timedelta(milliseconds=at)).isoformat(timespec="seconds")
