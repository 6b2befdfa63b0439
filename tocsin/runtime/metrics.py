"""Every metric of Tocsin, as one object that is passed to the roles.

Names, units and labels are listed in docs/operations.md. No label ever holds text that comes from an alert.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

_FAST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LATE_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0)
_PEOPLE_S = (15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0)


class Metrics:
    """The metrics of one process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.alerts_received = self._counter("alerts_received", "Alerts that arrived.", "integration", "result")
        self.requests_refused = self._counter("requests_refused", "Requests that were refused, by status.", "path", "status")
        self.dead_letters = self._counter("dead_letters", "Alerts that could not be read and were set aside.", "integration")
        self.labels_cut = self._counter("labels_cut", "Label and annotation values cut to their limit.")
        self.intake_lag_seconds = self._gauge("intake_lag_seconds", "Age of the newest alert that the correlator has applied, when it did.")
        self.intake_backlog = self._gauge("intake_backlog_entries", "Intake entries that wait for the correlator.")
        self.alerts_folded = self._counter("alerts_folded", "Alerts the correlator has applied.", "result")
        self.incidents = self._gauge("incidents", "Incidents that are not closed.", "state", "severity")
        self.incidents_opened = self._counter("incidents_opened", "Incidents opened.", "severity")
        self.pages = self._counter("pages", "Attempts to hand a page over.", "channel", "kind", "result")
        self.page_latency_seconds = self._histogram("page_latency_seconds", "Incident opened to first page handed over.", _FAST_S)
        self.rung_lateness_seconds = self._histogram("rung_lateness_seconds", "Rung due to its pages handed over.", _LATE_S)
        self.acknowledge_seconds = self._histogram("acknowledge_seconds", "Incident opened to acknowledged.", _PEOPLE_S)
        self.send_seconds = self._histogram("send_seconds", "Time a provider took for one page.", _FAST_S, "channel")
        self.timers_overdue = self._gauge("timers_overdue", "Timers due for more than ten seconds that nobody has claimed.")
        self.auditor_findings = self._counter("auditor_findings", "Broken invariants that the auditor found.", "invariant")
        self.commits_repeated = self._counter("commits_repeated", "Commits that were decided again, because something had changed.", "why")
        self.clock_jumps = self._counter("clock_jumps", "Jumps of the wall clock that were held.", "kind")
        self.ticks_failed = self._counter("ticks_failed", "Ticks that ended with an unexpected error.", "role")
        self.config_last_reload_successful = self._gauge("config_last_reload_successful", "1 when the last load of the rules succeeded.")
        self.config_rules_version = self._gauge("config_rules_version", "Version of the rules in force.")
        self.store_up = self._gauge("store_up", "1 while the store answers.")
        self.oncall_people = self._gauge("oncall_people", "People who hold a role (`duty`) now.", "duty")
        self.oncall_gap_seconds = self._gauge("oncall_gap_seconds", "Time of the next 14 days in which nobody is on duty.", "schedule")
        self.oncall_findings = self._gauge("oncall_findings", "What is wrong with who is on call in the next 14 days.", "kind")
        self.handover_notices = self._counter("handover_notices", "Notices of hand-overs and gaps that were made.", "kind")
        self.ready = self._gauge("ready", "1 while the role can do its work, as /-/ready says.")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, namespace="tocsin", registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, namespace="tocsin", registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, text, labels, namespace="tocsin", buckets=buckets, registry=self.registry)
