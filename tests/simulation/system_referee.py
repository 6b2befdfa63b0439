"""The referee: sees every effect on the store and every call of a provider, in their one order, and says what must not be.

It keeps its own picture of the incidents, made of what commits have written, and judges with it: who may write (fences, versions), what may
begin (pages still wanted, nothing after an acknowledgement), what must come (timers and pages in time), and who is paged (by the slow
calendar of tests/policy/naive.py). It never asks the processes. What can only be said at the end of a day is in `system_verdict.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import orjson
from pydantic import TypeAdapter

from notifier.compose import TOGETHER
from notifier.message import PageMessage
from tests.policy import naive
from tests.simulation.policy_invariants import must_hold
from tests.simulation.system_providers import ARRIVES
from tests.simulation.system_seam import Living, Request
from tocsin.policy.decision import Decision, Reason
from tocsin.policy.model import Incident, Page, PageKind, PageStatus, State
from tocsin.policy.roster import Roster
from tocsin.policy.rules import Rules
from tocsin.store.codec import IncidentReader
from tocsin.store.wire import Answer

COPIES_MAX = 3
CALM_LATE_MS = 1_500
STORMY_LATE_MS = 76_000
"""Due, the lease of a timer (15 s) and of a page (40 s), a message before it in its lane (20 s), and a second."""

RULES_LAG_MS = 5_000
CALLING = (PageKind.PAGE, PageKind.REOPENED, PageKind.REMINDER)
FORCED = (Reason.PERSON_UNREACHED, Reason.PASSED_ON)
_ROSTER = TypeAdapter(Roster)


@dataclass(frozen=True, slots=True)
class Written:
    """What one commit says, read off its arguments."""

    shard: str
    fence: tuple[bytes, bytes]
    now: int
    cursor: tuple[bytes, bytes]
    expected: dict[int, int]
    documents: list[bytes]
    history: list[bytes]


def read_commit(request: Request) -> Written:
    """Take a commit's ARGV apart, as scripts/commit.lua does."""
    values = request.arguments
    lists: list[list[bytes]] = []
    at = 10
    while at < len(values) and len(lists) < 14:
        count = int(values[at])
        lists.append(values[at + 1 : at + 1 + count])
        at += 1 + count
    expected = {int(number): int(version) for number, version in zip(lists[0], lists[1], strict=True)}
    shard = request.names[0].decode().partition(":")[0]
    return Written(shard, (values[0], values[1]), int(values[2]), (values[3], values[4]), expected, lists[5][1::2], lists[13])


@dataclass(slots=True)
class Attempt:
    """One call of a provider for one page: what came of it, and whether the process got to write it down."""

    kind: str
    process: str
    recorded: bool = False


@dataclass(slots=True)
class Owed:
    """Something that must happen at an instant (ms UTC), known since another. What does not go together with others (reminders, word that
    it is over) goes to a contact one by one.
    """

    due_at: int
    since: int
    goes_together: bool = True


@dataclass
class Referee:
    """The picture, the judgements, and the digest of all that happened."""

    now_ms: Callable[[], int]
    excused_ms: Callable[[int], int]
    ahead_ms: Callable[[], int]
    calm: bool
    rules: list[Rules]
    violations: list[str] = field(default_factory=list)
    incidents: dict[int, Incident] = field(default_factory=dict)
    entries: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    attempts: dict[str, list[Attempt]] = field(default_factory=dict)
    reached: dict[str, int] = field(default_factory=dict)
    worst_late_ms: int = 0
    emergencies: int = 0
    steps: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._reader = IncidentReader()
        self._digest = sha256()
        self._fences: dict[tuple[str, bytes], int] = {}
        self._cursors: dict[str, bytes] = {}
        self._born: dict[str, int] = {}
        self._acknowledged: dict[int, int] = {}
        self._begun: Counter[tuple[str, str]] = Counter()
        self._timers: dict[int, Owed] = {}
        self._pages: dict[str, Owed] = {}
        self._rosters = [(0, Roster())]

    def digest(self) -> str:
        """Return the hash of the schedule, of the histories and of what was handed over."""
        return self._digest.hexdigest()[:16]

    def fault(self, what: str) -> None:
        """Something that must not be."""
        if len(self.violations) < 20:
            self.violations.append(f"{self.now_ms()}: {what}")

    def _note(self, *parts: object) -> None:
        self._digest.update(repr(parts).encode())

    # --- effects on the store ----------------------------------------------------------------------------------------------------------

    def saw(self, process: Living, label: str, requests: Sequence[Request], answers: Sequence[Answer]) -> None:
        """One exchange has had its effect."""
        for request, answer in zip(requests, answers, strict=True):
            self.steps[request.name] += 1
            self._note(self.now_ms(), label, request.name)
            match request.name:
                case "commit":
                    self._committed(label, read_commit(request), answer)
                case "take_over" if int(answer) >= 0:
                    self._fences[request.names[0].decode().partition(":")[0], request.arguments[0]] = int(answer)
                case "claim" if answer[0] == b"OK":
                    self._must_hold_role(label, "claim", request.names[2], request.arguments)
                case "begin" if answer[0] == b"OK":
                    self._must_hold_role(label, "begin", request.names[2], request.arguments)
                    for page, count in zip(request.arguments[3:], answer[1:], strict=True):
                        if int(count):
                            self._begins(label, page.decode())
                case "change_roster" if int(answer):
                    self._rosters.append((self.now_ms(), _ROSTER.validate_json(request.arguments[1].partition(b" ")[2])))

    def _must_hold_role(self, label: str, what: str, meta: bytes, arguments: Sequence[bytes]) -> None:
        known = self._fences.get((meta.decode().partition(":")[0], arguments[0]))
        if known is not None and known != int(arguments[1]):
            self.fault(f"{label}: {what} under fence {int(arguments[1])} was taken, the newest is {known}")

    def _committed(self, label: str, written: Written, answer: Answer) -> None:
        if answer[0] != b"OK":
            return
        if written.fence[0]:
            self._must_hold_role(label, "commit", written.shard.encode(), written.fence)
        if written.cursor[1]:
            if written.cursor[0] != self._cursors.get(written.shard, b"0-0"):
                self.fault(f"{label}: the cursor of {written.shard} was moved from where it did not stand")
            self._cursors[written.shard] = written.cursor[1]
        for number, version in written.expected.items():
            known = self.incidents.get(number)
            if known is None or known.version != version:
                self.fault(f"{label}: INC-{number} was written from version {version}, it has {known and known.version}")
        fresh: dict[int, list[dict[str, Any]]] = {}
        for payload in written.history:
            self._digest.update(payload)
            entry = orjson.loads(payload)
            fresh.setdefault(entry["incident"], []).append(entry)
        for document in written.documents:
            after = self._reader.read(document)
            self._changed(after, fresh.pop(after.number, []))
        if fresh:
            self.fault(f"{label}: history of {sorted(fresh)} without a change")

    def _changed(self, after: Incident, entries: list[dict[str, Any]]) -> None:
        before = self.incidents.get(after.number)
        first = 1 if before is None else before.version + 1
        if [entry["version"] for entry in entries] != list(range(first, after.version + 1)):
            self.fault(f"{after.id}: version {after.version} after {first - 1} with history {[e['version'] for e in entries]}")
        if not all(entry["reason"] and entry["event"] and entry["actor"] for entry in entries):
            self.fault(f"{after.id}: a change without actor or cause")
        self.entries.setdefault(after.number, []).extend(entries)
        if len(entries) == 1:
            self._judge(before, after, entries[0])
        self._follow(before, after)
        self.incidents[after.number] = after
        for entry in entries:
            page = entry["inputs"].get("page", "")
            if entry["reason"] == Reason.PAGE_SENT:
                if not any(each.kind == "taken" for each in self.attempts.get(page, ())):
                    self.fault(f"{page} is recorded as sent, and no provider has said so")
                elif self.attempts[page][-1].kind == "taken":
                    self.attempts[page][-1].recorded = True

    def _judge(self, before: Incident | None, after: Incident, entry: dict[str, Any]) -> None:
        decision = Decision(before, after, Reason(entry["reason"]), entry["actor"], entry["event"], entry["inputs"])
        try:
            must_hold(decision)
        except AssertionError as error:
            self.fault(f"{after.id}: {error} ({entry['reason']})")
        if before is not None and before.state is State.OPEN and after.state is State.ACKNOWLEDGED:
            left = [p.id for p in after.pages if p.status is PageStatus.PENDING and p.kind in CALLING and p.id in self._born]
            if after.plan.ladder.until == "acknowledged" and left:
                self.fault(f"{after.id}: acknowledged, and {left} still wait")

    # --- what follows of a change ------------------------------------------------------------------------------------------------------

    def _follow(self, before: Incident | None, after: Incident) -> None:
        now = self.now_ms()
        if after.state is State.ACKNOWLEDGED and (before is None or before.state is not State.ACKNOWLEDGED):
            self._acknowledged[after.number] = after.version
        owed = self._timers.pop(after.number, None)
        if owed is not None:
            self._settle(f"the timer of {after.id}", owed)
        if after.due_at is not None:
            self._timers[after.number] = Owed(after.due_at, now)
        for page in after.pages:
            if page.id not in self._born:
                self._born[page.id] = after.version
                self._is_paged(page, after)
            known = self._pages.get(page.id)
            if page.status is PageStatus.PENDING:
                if known is None or known.due_at != page.due_at:
                    self._page_settled(page.id)
                    self._pages[page.id] = Owed(page.due_at, now, page.kind in TOGETHER)
            else:
                self._page_settled(page.id)

    def _page_settled(self, page_id: str) -> None:
        owed = self._pages.pop(page_id, None)
        if owed is not None:
            self._settle(f"page {page_id}", owed)

    def _settle(self, what: str, owed: Owed) -> None:
        late = self.now_ms() - max(owed.due_at, owed.since)
        if late <= 0:
            return
        if owed.goes_together:
            self.worst_late_ms = max(self.worst_late_ms, late - self.excused_ms(late))
        allowed = CALM_LATE_MS if self.calm and owed.goes_together else STORMY_LATE_MS
        if late > allowed and late - self.excused_ms(late) > allowed:
            self.fault(f"{what} was due at {max(owed.due_at, owed.since)} and came {late} ms late")

    def outstanding(self) -> None:
        """At the end: whatever is due and has not come is late as well."""
        for number, owed in self._timers.items():
            self._settle(f"the timer of INC-{number}, never acted upon,", owed)
        for page, owed in self._pages.items():
            self._settle(f"page {page}, never tried,", owed)

    def _is_paged(self, page: Page, after: Incident) -> None:
        """Whoever a rung pages holds its role at that moment, by the slow calendar (a new roster may take a moment to be known)."""
        if page.role != "duty" or page.rung is None:
            return
        at = after.changed_at
        schedule = self.rules[-1].schedules["primary"]
        in_force = [roster for _, roster in self._rosters[-1:]]
        in_force += [
            old for (_, old), (since, _) in zip(self._rosters, self._rosters[1:], strict=False) if self.now_ms() - since < RULES_LAG_MS
        ]
        holders = {naive.on_shift(schedule, at, roster) for roster in in_force}
        if page.person not in holders:
            self.fault(f"{page.id}: {page.person} was paged as duty at {at}, on shift was {sorted(map(str, holders))}")

    # --- pages -------------------------------------------------------------------------------------------------------------------------

    def _begins(self, label: str, page_id: str) -> None:
        self._begun[label, page_id] += 1
        number = int(page_id[4:].partition(".")[0])
        incident = self.incidents[number]
        page = next((p for p in incident.pages if p.id == page_id), None)
        if page is None or page.status is not PageStatus.PENDING:
            self.fault(f"{label}: {page_id} was begun and is {page and page.status}")
            return
        if page.due_at - self.ahead_ms() > self.now_ms():
            self.fault(f"{label}: {page_id} was begun at {self.now_ms()}, {page.due_at - self.now_ms()} ms before it was due")
        if page.kind not in CALLING:
            return
        old = self._born[page_id] < self._acknowledged.get(number, 0)
        if incident.state is State.ACKNOWLEDGED and old and incident.plan.ladder.until == "acknowledged":
            self.fault(f"{label}: {page_id} was begun after {incident.id} was acknowledged")
        if not incident.is_live:
            self.fault(f"{label}: {page_id} was begun and {incident.id} is {incident.state}")

    def handed(self, label: str, to: str, message: PageMessage, kind: str) -> None:
        """A provider is called: this is the instant at which it would ring."""
        self._note(self.now_ms(), label, to, message.pages or message.page_id, message.attempt, kind)
        self.steps["call of a provider"] += 1
        if message.kind is PageKind.EMERGENCY:
            self.emergencies += 1
            return
        for page_id in message.pages:
            attempts = self.attempts.setdefault(page_id, [])
            attempts.append(Attempt(kind, label))
            self.reached.setdefault(page_id, self.now_ms())
            self._page_settled(page_id)
            if not self._begun[label, page_id]:
                self.fault(f"{label}: {page_id} was handed over without having begun")
            self._begun[label, page_id] -= 1
            if sum(each.kind in ARRIVES for each in attempts) > COPIES_MAX:
                self.fault(f"{page_id}: more than {COPIES_MAX} copies: {[each.kind for each in attempts]}")
