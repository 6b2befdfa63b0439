"""A small house with a duty engineer, a lead and a manager; one incident in it (`Story`), and the correlator's side of it (`Shop`).

`Story` drives one incident on a manual clock and checks after every step what must always hold. Providers take every page at once unless
a test says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import orjson

from tests.simulation.policy_invariants import must_hold
from tocsin.policy.events import AlertsChanged, Event, OpenedByAlerts, OpenedByPerson, PageSent, TimerDue
from tocsin.policy.fold import EXPIRED, AlertBook, Fold, Folded
from tocsin.policy.hours import Span, Window
from tocsin.policy.incident import Decision, Reason, decide, open_incident, outbox_changes
from tocsin.policy.model import Alert, AlertStatus, Incident, Ladder, Page, PageKind, PageStatus, Plan, Rung, State
from tocsin.policy.rules import (
    Contact,
    Emergency,
    Person,
    Quiet,
    Rules,
    Service,
    ServiceTable,
    SeverityRule,
    group_key,
    shard_of_group,
    shard_of_number,
)
from tocsin.policy.schedules import Role
from tocsin.runtime.rulesfile import load_rules
from tocsin.store import codec

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
ZONE = "Asia/Seoul"
NIGHT = round(datetime.fromisoformat("2026-02-17T02:00:00+09:00").timestamp() * 1000)

DUTY, CSE, LEAD, MANAGER = "duty-engineer", "customer-service-engineer", "technical-support-lead", "general-manager"
STANDARD = (
    (Rung(0, (DUTY,)), Rung(30 * MINUTE, (CSE,)), Rung(HOUR, (LEAD,)), Rung(2 * HOUR, (MANAGER,))),
    (Rung(0, (DUTY,)), Rung(HOUR, (CSE,)), Rung(2 * HOUR, (LEAD,)), Rung(4 * HOUR, (MANAGER,))),
    (Rung(0, (DUTY,)), Rung(2 * HOUR, (CSE,)), Rung(4 * HOUR, (LEAD,)), Rung(8 * HOUR, (MANAGER,))),
    (),
)
LADDER = Ladder(
    name="standard",
    until="acknowledged",
    rungs=STANDARD,
    acknowledged_for_ms=(30 * MINUTE, HOUR, 2 * HOUR, 2 * HOUR),
    remind_before_end_ms=5 * MINUTE,
    repeat_last_ms=30 * MINUTE,
    last_resort=(MANAGER,),
)
PLAN = Plan(
    ladder=LADDER,
    wait_ms=0,
    settle_ms=2 * MINUTE,
    resolve_after_ms=5 * MINUTE,
    reopen_within_ms=HOUR,
    close_after_ms=5 * 24 * HOUR,
)
HOLDERS = {DUTY: ("kim",), CSE: ("lee",), LEAD: ("choi",), MANAGER: ("jeong",), "nobody": (), "ghost": ("ghost",)}
CONTACTS = {"kim": (0,), "park": (0, 5 * MINUTE), "lee": (0,), "choi": (0,), "jeong": (0,), "ghost": ()}


def make_rules(
    *,
    ladder: Ladder = LADDER,
    plan: Plan = PLAN,
    holders: Mapping[str, tuple[str, ...]] | None = None,
    contacts: Mapping[str, Sequence[int | Contact]] | None = None,
    quiet: Mapping[str, tuple[Quiet, ...]] | None = None,
    emergency: tuple[str, ...] = ("log:",),
    group_by: tuple[str, ...] = ("alertname",),
    severities: tuple[SeverityRule, ...] = (),
) -> Rules:
    """Return the house's rules, some of them changed: `holders` role -> people, `contacts` person -> contacts, or when each is tried."""
    services = (Service("web", (), group_by, replace(plan, ladder=ladder)),)
    ways: dict[str, Sequence[int | Contact]] = {**CONTACTS, **(contacts or {})}
    people = {p: tuple(way if isinstance(way, Contact) else Contact("log:", way) for way in each) for p, each in ways.items()}
    return Rules(
        version=1,
        severities=severities,
        services=services,
        ladders={ladder.name: ladder},
        roles={name: Role(name, who) for name, who in (HOLDERS | dict(holders or {})).items()},
        schedules={},
        people={p: Person(p, p.title(), "en", ZONE, each, (quiet or {}).get(p, ())) for p, each in people.items()},
        integrations=(),
        inhibit=(),
        emergency=Emergency(to=emergency),
        table=ServiceTable(services),
    )


def shipped_rules() -> Rules:
    """Return alert_rules.yaml as it is shipped."""
    path = Path(__file__).parents[2] / "alert_rules.yaml"

    def read_file(name: str) -> str:
        raise FileNotFoundError(name)

    return load_rules(path.read_text("utf-8"), file_name=path.name, environment={}, read_file=read_file)


def firing(severity: int, count: int = 1) -> tuple[int, int, int, int]:
    """Return the counts of `count` alerts of one severity."""
    one, two, three, four = (count if level == severity else 0 for level in range(1, 5))
    return one, two, three, four


UNTIL_SEVEN = Quiet(Window((), (Span(22 * HOUR, 31 * HOUR),)), (3,))
"""From ten in the evening until seven in the morning nothing of severity 3."""

QUIET = (0, 0, 0, 0)
"""Nothing fires."""


@dataclass(frozen=True, slots=True)
class Told:
    """A page that a provider took."""

    at: int
    person: str
    kind: PageKind = PageKind.PAGE
    role: str = ""


@dataclass
class Story:
    """One incident from its opening on."""

    rules: Rules = field(default_factory=make_rules)
    now: int = NIGHT
    decisions: list[Decision] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    outbox: dict[str, int] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    down: set[str] = field(default_factory=set)
    """People whose provider does not answer: their pages stay where they are."""

    @property
    def incident(self) -> Incident:
        return self.decisions[-1].incident

    def state(self) -> State:
        """Return where it stands; a call, because a type checker believes that an attribute stays what it was."""
        return self.incident.state

    @property
    def reasons(self) -> list[Reason]:
        return [d.reason for d in self.decisions]

    def opens(self, severity: int = 1, service: str | None = None) -> Decision:
        name = service or self.rules.services[-1].name
        counts = firing(severity)
        return self.keeps(
            open_incident(OpenedByAlerts(1, "group", name, "disk full", {"alertname": "DiskFull"}, counts), self.now, self.rules)
        )

    def opens_by_hand(self, severity: int = 1) -> Decision:
        event = OpenedByPerson(1, "hand:1", self.rules.services[-1].name, "it smells of smoke", severity, "lee")
        return self.keeps(open_incident(event, self.now, self.rules))

    def happens(self, event: Event) -> Decision:
        """Let an event happen now."""
        decision = decide(self.incident, event, self.now, self.rules)
        return self.keeps(decision) if decision.changed else decision

    def alerts(
        self, counts: tuple[int, int, int, int], *, resolved: int = 0, joined: int = 0, refired: int = 0, cleared: int = 0
    ) -> Decision:
        return self.happens(AlertsChanged(counts, resolved, self.incident.labels, joined, refired, cleared))

    def clears(self) -> Decision:
        return self.alerts(QUIET, resolved=1, cleared=1)

    def fires_again(self, severity: int = 1) -> Decision:
        return self.alerts(firing(severity), refired=1)

    def after(self, ms: int) -> Story:
        """Let time pass: every timer and every page on its millisecond."""
        return self.until(self.now + ms)

    def until(self, end: int) -> Story:
        while (at := self._next()) is not None and at <= end:
            self.now = max(self.now, at)
            self._step()
        self.now = end
        self._step_all()
        return self

    def sleep(self, ms: int) -> Story:
        """Let time pass while nobody works; then everything that is due, timers first."""
        self.now += ms
        self._step_all()
        return self

    def attempt(self, page: Page, event: Event) -> Decision:
        """Say what came of a page."""
        assert page.id in self.ids
        return self.happens(event)

    def pending(self, person: str | None = None) -> list[Page]:
        return [p for p in self.incident.pages if p.status is PageStatus.PENDING and person in (None, p.person)]

    def people_told(self, kind: PageKind = PageKind.PAGE) -> list[tuple[float, str]]:
        """Return (minutes since the night began, person) of what was taken."""
        return [((t.at - NIGHT) / MINUTE, t.person) for t in self.told if t.kind is kind]

    def _next(self) -> int | None:
        due = [] if self.incident.due_at is None else [self.incident.due_at]
        return min(due + [p.due_at for p in self._sendable()], default=None)

    def _sendable(self) -> list[Page]:
        return [p for p in self.pending() if p.person not in self.down]

    def _step_all(self) -> None:
        while (at := self._next()) is not None and at <= self.now:
            self._step()

    def page_of(self, person: str, contact: int = 0, kind: PageKind | None = None) -> Page:
        """Return the newest page to a contact."""
        found = [p for p in self.incident.pages if (p.person, p.contact) == (person, contact) and kind in (None, p.kind)]
        return found[-1]

    def _step(self) -> None:
        due_at = self.incident.due_at
        if due_at is not None and due_at <= self.now:
            assert self.happens(TimerDue()).changed, "a due timer must do something"
            return
        page = min((p for p in self._sendable() if p.due_at <= self.now), key=lambda p: p.due_at, default=None)
        if page is not None:
            self.told.append(Told(self.now, page.person, page.kind, page.role))
            self.happens(PageSent(page.id))

    def keeps(self, decision: Decision) -> Decision:
        """Keep a decision, after checking it."""
        if decision.changed:
            must_hold(decision)
            self._follow_outbox(decision)
            self.decisions.append(decision)
        return decision

    def _follow_outbox(self, decision: Decision) -> None:
        before = {p.id for p in decision.before.pages} if decision.before else set()
        new = {p.id for p in decision.incident.pages} - before
        assert not new & self.ids, "an id of a page is used twice"
        self.ids |= new
        changes = outbox_changes(decision.before, decision.incident)
        for page_id in changes.withdrawn:
            del self.outbox[page_id]
        self.outbox |= changes.due
        assert self.outbox == {p.id: p.due_at for p in decision.incident.pages if p.status is PageStatus.PENDING}

    def replayed(self) -> Incident:
        """Return what the history adds up to."""
        return codec.IncidentReader().replay([orjson.loads(codec.history_payload(d)) for d in self.decisions])


@dataclass(frozen=True, slots=True)
class Report:
    """One alert as a sender reports it: the record that stands in the intake."""

    key: str
    record: bytes


def report(
    name: str,
    labels: Mapping[str, str],
    *,
    status: AlertStatus = AlertStatus.FIRING,
    starts_at: int = NIGHT,
    ends_at: int = NIGHT + 24 * HOUR,
    summary: str = "",
    integration: str = "prometheus",
) -> Report:
    """Return a report of an alert called `name` with these labels."""
    all_labels = {"alertname": name} | dict(labels)
    annotations = {"summary": summary} if summary else {}
    key = f"{integration}/{sorted(all_labels.items())}"
    alert = Alert(key, integration, status, all_labels, annotations, starts_at, ends_at)
    return Report(alert.key, codec.alert_record(alert, codec.alert_body(alert)))


@dataclass
class Shop:
    """The correlator's side: a book, and what a store would hold after its commits. Two shards, unless a test wants others."""

    rules: Rules = field(default_factory=make_rules)
    now: int = NIGHT
    shards: int = 2
    book: AlertBook = field(default_factory=lambda: AlertBook(2))
    incidents: dict[int, Incident] = field(default_factory=dict)
    records: dict[int, dict[str, bytes]] = field(default_factory=dict)
    queues: dict[int, list[Report]] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    seq: dict[int, int] = field(default_factory=dict)

    def post(self, *reports: Report) -> None:
        """Put reports into the streams of their shards, as ingest does."""
        for each in reports:
            labels = codec.read_alert(each.key, each.record).labels
            shard = shard_of_group(group_key(self.rules.service_of(labels), labels), self.shards)
            self.queues.setdefault(shard, []).append(each)

    def takes(self, *reports: Report, how: str = "reported", flush: bool = True) -> dict[str, int]:
        """Post reports and fold until no stream holds anything; return what they counted as."""
        self.post(*reports)
        counts: dict[str, int] = {}
        while any(self.queues.values()):
            for shard in range(self.shards):
                folded = self.folds(shard, self.queues.pop(shard, []), how=how, flush=flush)
                self.commits(folded)
                for name, count in folded.counts.items():
                    counts[name] = counts.get(name, 0) + count
        return counts

    def folds(self, shard: int, reports: list[Report], *, how: str = "reported", flush: bool = True) -> Folded:
        fold = Fold(self.book, shard, self.now, self.rules, codec.read_alert)
        for each in reports:
            ends_at, body = codec.split_alert_record(each.record)
            fold.take(each.key, ends_at, body, each.record, how)
        return fold.finish(flush=flush)

    def commits(self, folded: Folded) -> None:
        """Do what the commit script does, with its checks, and make the book follow."""
        for decision in folded.decisions:
            number, before = decision.incident.number, decision.before
            if before is None:
                self._may_open(decision, folded)
            else:
                assert self.incidents[number].version == before.version
            self._records_decision(decision)
        if folded.seq is not None:
            assert self.seq.get(folded.shard, 0) == folded.seq[0]
            self.seq[folded.shard] = folded.seq[1]
        for number, records in folded.records.items():
            assert shard_of_number(number, self.shards) == folded.shard, "nothing ever needs two shards"
            self.records.setdefault(number, {}).update(records)
        self.book.apply(folded)
        for shard, key, record in folded.foreign:
            assert shard != folded.shard
            self.queues.setdefault(shard, []).append(Report(key, record))

    def _may_open(self, decision: Decision, folded: Folded) -> None:
        number, group = decision.incident.number, decision.incident.group_key
        assert number not in self.incidents, "a number is used twice"
        assert shard_of_number(number, self.shards) == folded.shard == shard_of_group(group, self.shards)
        holders = [i.number for i in self.incidents.values() if i.group_key == group and i.state is not State.CLOSED]
        assert folded.replaces.get(group) == max(holders, default=None), "the group changes hands knowingly"

    def _records_decision(self, decision: Decision) -> None:
        must_hold(decision)
        self.incidents[decision.incident.number] = decision.incident
        self.decisions.append(decision)

    def happens(self, number: int, event: Event) -> Decision:
        """Let a person or a timer change an incident; the correlator hears of it."""
        decision = decide(self.incidents[number], event, self.now, self.rules)
        if decision.changed:
            self._records_decision(decision)
            self.book.learn(decision.incident)
            if decision.incident.state is State.CLOSED:
                self.book.forget(number, self.records.get(number, {}))
        return decision

    def timers(self) -> None:
        """Do everything that is due now."""
        for number in list(self.incidents):
            while (due_at := self.incidents[number].due_at) is not None and due_at <= self.now:
                assert self.happens(number, TimerDue()).changed

    def expires(self) -> list[str]:
        """Let alerts expire that nobody has renewed; return their keys."""
        due = self.book.expired(self.now, 1000)
        for key, ref in due:
            alert = codec.read_alert(key, self.records[ref.number][key])
            over = alert._replace(status=AlertStatus.RESOLVED, ends_at=ref.ends_at)
            one = Report(key, codec.alert_record(over, codec.alert_body(over)))
            self.commits(self.folds(shard_of_number(ref.number, self.shards), [one], how=EXPIRED))
        return [key for key, _ in due]

    def restarts(self) -> None:
        """Load a new book from what the store holds."""
        self.book = AlertBook(self.shards)
        for shard, seq in self.seq.items():
            self.book.seq[shard] = seq
        for incident in self.incidents.values():
            if incident.state is not State.CLOSED:
                held = self.records.get(incident.number, {})
                alerts = [(codec.read_alert(key, record), hash(codec.split_alert_record(record)[1])) for key, record in held.items()]
                self.book.load(incident, alerts, self.rules)

    def alert(self, key: str) -> tuple[Incident, Alert]:
        """Return an alert's incident and its last record."""
        number = self.book.alerts[key].number
        return self.incidents[number], codec.read_alert(key, self.records[number][key])

    def live(self) -> list[Incident]:
        return [incident for incident in self.incidents.values() if incident.is_live]
