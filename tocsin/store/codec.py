"""Incidents, alerts and history as bytes. The dataclass is the definition; a version number stands in front of each document.

Reading accepts documents of this version only: an unknown version raises `UnknownVersion` and is left alone by its reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from operator import attrgetter
from typing import Any

import orjson
from pydantic import TypeAdapter

from tocsin.policy.incident import Decision
from tocsin.policy.model import Alert, AlertStatus, HistoryEntry, Incident, Page, PageKind, PageStatus, Plan, State

VERSION = 1

PLANS_MAX = 4_096
"""Plans kept encoded: one for each service and version of the rules in use."""

_INCIDENT = TypeAdapter(Incident)
_PLAN = TypeAdapter(Plan)
_FIELDS = tuple(field.name for field in fields(Incident))
_VALUES = attrgetter(*_FIELDS)
_STATUSES = {status.value: status for status in AlertStatus}
_STATES = {state.value: state for state in State}
_PAGE_KINDS = {kind.value: kind for kind in PageKind}
_PAGE_STATUSES = {status.value: status for status in PageStatus}


class UnknownVersion(ValueError):
    """The document was written by another version of Tocsin."""


class IncidentReader:
    """Reads incidents; equal plans become one object, since thousands of incidents share a ladder."""

    def __init__(self) -> None:
        self._plans: dict[bytes, Plan] = {}

    def read(self, document: bytes) -> Incident:
        """Return the incident of a document.

        Raises UnknownVersion, and another ValueError when the document is damaged.
        """
        version, length, rest = document.split(b" ", 2)
        if version != b"%d" % VERSION:
            raise UnknownVersion(version[:16].decode(errors="replace"))
        plan_end = int(length)
        values = orjson.loads(rest[plan_end:])
        values["plan"] = self._plan(rest[:plan_end])
        return _incident(values)

    def replay(self, entries: Iterable[Mapping[str, object]]) -> Incident:
        """Return the incident that history entries (oldest first, as `orjson.loads` gives them) add up to."""
        document: dict[str, object] = {}
        for entry in entries:
            changes = entry["changes"]
            assert isinstance(changes, dict)
            document |= changes
        document["plan"] = self._plan(orjson.dumps(document["plan"]))
        return _INCIDENT.validate_python(document)

    def _plan(self, encoded: bytes) -> Plan:
        plan = self._plans.get(encoded)
        if plan is None:
            if len(self._plans) >= PLANS_MAX:
                self._plans.clear()
            plan = self._plans[encoded] = _PLAN.validate_json(encoded)
        return plan


def _incident(values: dict[str, Any]) -> Incident:
    """Make the incident of a document of ours. Its shape is checked by its version; checking every field again would double the restart."""
    try:
        values["state"] = _STATES[values["state"]]
        values["told_roles"] = tuple(values["told_roles"])
        values["skip_roles"] = tuple(values["skip_roles"])
        for page in values["pages"]:
            page["kind"], page["status"] = _PAGE_KINDS[page["kind"]], _PAGE_STATUSES[page["status"]]
        values["pages"] = tuple([Page(**page) for page in values["pages"]])
        return Incident(**values)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not an incident: {type(error).__name__}: {error}") from error


def incident_document(incident: Incident) -> bytes:
    """Return the incident as the store keeps it: version, length of the plan, the plan, and everything else.

    The plan stands apart because thousands of incidents share one: its bytes are encoded and decoded once.
    """
    plan = _PLANS.of(incident.plan)
    values = dict(zip(_FIELDS, _VALUES(incident), strict=True))
    del values["plan"]
    return b"%d %d %b%b" % (VERSION, len(plan), plan, orjson.dumps(values))


class _PlanDocuments(dict[int, tuple[Plan, bytes]]):
    """Plans encoded once, by identity: hashing a plan costs as much as encoding it. The plan is kept, so its identity stays its own."""

    def of(self, plan: Plan) -> bytes:
        """Return the plan's JSON."""
        found = self.get(id(plan))
        if found is None:
            if len(self) >= PLANS_MAX:
                self.clear()
            found = self[id(plan)] = plan, orjson.dumps(plan)
        return found[1]


_PLANS = _PlanDocuments()


def history_entry(decision: Decision) -> HistoryEntry:
    """Return the record of a decision that changed an incident: its changes are the fields that differ."""
    before, after = decision.before, decision.incident
    new = _VALUES(after)
    if before is None:
        changes = dict(zip(_FIELDS, new, strict=True))
    else:
        changes = {name: value for name, value, old in zip(_FIELDS, new, _VALUES(before), strict=True) if value is not old and value != old}
    return HistoryEntry(
        incident=after.number,
        version=after.version,
        at=after.changed_at,
        actor=decision.actor,
        event=decision.event,
        reason=decision.reason,
        inputs=decision.inputs,
        changes=changes,
    )


def history_payload(decision: Decision) -> bytes:
    """Return the record of a decision as the history stream keeps it."""
    return orjson.dumps(history_entry(decision))


def alert_body(alert: Alert) -> bytes:
    """Return what two reports of one alert have in common while nothing changed: everything but its times."""
    return orjson.dumps(
        (alert.integration, alert.status, alert.labels, alert.annotations, alert.generator_url), option=orjson.OPT_SORT_KEYS
    )


def alert_record(alert: Alert, body: bytes) -> bytes:
    """Return the record of an alert: its times in front of its body.

    A repeat is recognised by the body without parsing it: senders move the end on with every report, two Prometheus servers give one alert
    two beginnings, and a report without a beginning is given the present.
    """
    return b"%d %d %b" % (alert.ends_at, alert.starts_at, body)


def split_alert_record(record: bytes) -> tuple[int, bytes]:
    """Return `ends_at` and the body of a record."""
    ends_at, _, body = record.split(b" ", 2)
    return int(ends_at), body


def read_alert(key: str, record: bytes) -> Alert:
    """Return the alert of a record."""
    ends_at, starts_at, body = record.split(b" ", 2)
    integration, status, labels, annotations, generator_url = orjson.loads(body)
    return Alert(key, integration, _STATUSES[status], labels, annotations, int(starts_at), int(ends_at), generator_url)
