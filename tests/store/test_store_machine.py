"""The store against a model of dictionaries: any sequence of calls leaves both alike. A real server; the model is the specification."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.invariants import ask, broken, fields, scores
from tests.store.conftest import RULES, Places
from tocsin.policy import events as ev
from tocsin.policy.incident import Decision, decide, open_incident, outbox_changes
from tocsin.policy.model import Incident
from tocsin.policy.rules import Rules
from tocsin.runtime.rulesfile import load_rules
from tocsin.store.commit import Commit, Holder
from tocsin.store.connection import connect
from tocsin.store.store import Claimed, Committed, CursorMoved, Fenced, SeqMoved, Stale, Store

NOW = 1_800_000_000_000
LEASE = 15_000
T = TypeVar("T")

EVENTS = st.sampled_from(
    [
        ev.TimerDue(),
        ev.Acknowledged("kim"),
        ev.Acknowledged("lee", for_ms=3_600_000),
        ev.Noted("kim", "x"),
        ev.Resolved("kim"),
        ev.Reopened("lee"),
        ev.Snoozed("lee", 600_000),
        ev.Assigned("kim", "lee"),
        ev.AlertsChanged((1, 0, 0, 0), 0, {}, joined=1),
        ev.AlertsChanged((0, 0, 0, 0), 1, {}, cleared=1),
    ]
)


@dataclass
class Model:
    """What the store must hold, of one shard."""

    incidents: dict[int, Incident] = field(default_factory=dict)
    timers: dict[str, int] = field(default_factory=dict)
    outbox: dict[str, int] = field(default_factory=dict)
    claims: dict[str, int] = field(default_factory=dict)
    begun: dict[str, int] = field(default_factory=dict)
    intake: list[str] = field(default_factory=list)
    history: int = 0
    fence: int = 0
    cursor: str = "0-0"
    seq: int = 0

    def commit(self, decision: Decision, not_delivered: list[str]) -> None:
        after = decision.incident
        changes = outbox_changes(decision.before, after)
        self.incidents[after.number] = after
        self.history += 1
        self.claims.pop(str(after.number), None)
        if after.due_at is None:
            self.timers.pop(str(after.number), None)
        else:
            self.timers[str(after.number)] = after.due_at
        for page, due_at in changes.due.items():
            self.outbox[page] = due_at
            self.claims.pop(page, None)
        for page in changes.withdrawn:
            for there in (self.outbox, self.begun, self.claims):
                there.pop(page, None)
        for page in not_delivered:
            left = self.begun.pop(page, 0) - 1
            if left > 0:
                self.begun[page] = left

    def claim(self, what: dict[str, int], now: int, most: int) -> list[str]:
        due = sorted((score, member) for member, score in what.items() if score <= now)[:most]
        for score, member in due:
            self.claims.setdefault(member, score)
            what[member] = now + LEASE
        return [member for _, member in due]


class StoreMachine(RuleBasedStateMachine):
    """Every rule does one call and compares its answer; the invariant compares everything there is."""

    url: ClassVar[str]
    rules_in_force: ClassVar[Rules]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = Store(connect(self.url, max_connections=2), shards=1, origin="machine")
        self.model = Model()
        self.now = NOW
        self.holder = Holder("notifier", 0)
        self.claimed: list[Claimed] = []
        self.do(ask(self.store, "FLUSHALL"))

    def do(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(call)

    def teardown(self) -> None:
        assert self.do(broken(self.store)) == []
        self.do(self.store.close())
        self.runner.close()

    @rule(ms=st.integers(1, 45 * 60_000))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule(known=st.booleans())
    def open(self, known: bool) -> None:
        seq = self.model.seq if known else self.model.seq + 1
        opening = ev.OpenedByAlerts(seq + 1, f"g{seq}", "everything", "A", {}, (1, 0, 0, 0))
        decision = open_incident(opening, self.now, self.rules_in_force)
        result = self.do(self.store.commit(Commit(0, self.now, [decision], seq=(seq, seq + 1))))
        if known:
            assert result == Committed()
            self.model.commit(decision, [])
            self.model.seq += 1
        else:
            assert result == SeqMoved(self.model.seq)

    @precondition(lambda self: self.model.incidents)
    @rule(event=EVENTS, pick=st.integers(0, 99), stale=st.booleans())
    def change(self, event: ev.Event, pick: int, stale: bool) -> None:
        incident = self._picked(pick)
        decision = decide(incident, event, self.now, self.rules_in_force)
        if not decision.changed:
            return
        if stale:
            wrong = replace(decision, before=replace(incident, version=incident.version + 7))
            wrong = replace(wrong, incident=replace(decision.incident, version=incident.version + 8))
            assert self.do(self.store.commit(Commit(0, self.now, [wrong]))) == Stale((incident.number,))
            return
        assert self.do(self.store.commit(Commit(0, self.now, [decision]))) == Committed()
        self.model.commit(decision, [])

    @precondition(lambda self: self.model.incidents)
    @rule(pick=st.integers(0, 99), page=st.integers(0, 9), how=st.sampled_from(["sent", "refused", "unreachable", "ambiguous"]))
    def account_for_a_page(self, pick: int, page: int, how: str) -> None:
        incident = self._picked(pick)
        if not incident.pages:
            return
        name = incident.pages[page % len(incident.pages)].id
        outcomes: dict[str, ev.Event] = {
            "sent": ev.PageSent(name),
            "refused": ev.PageRefused(name, "gone"),
            "unreachable": ev.PageUnreachable(name, "away", ambiguous=False),
            "ambiguous": ev.PageUnreachable(name, "cut", ambiguous=True),
        }
        event = outcomes[how]
        decision = decide(incident, event, self.now, self.rules_in_force)
        if decision.changed:
            ids = [name] if how in ("refused", "unreachable") else []
            assert self.do(self.store.commit(Commit(0, self.now, [decision], not_delivered=ids))) == Committed()
            self.model.commit(decision, ids)

    @rule()
    def take_over(self) -> None:
        [self.holder] = self.do(self.store.take_over("notifier"))
        self.model.fence += 1
        assert self.holder.fence == self.model.fence
        for member, due_at in self.model.claims.items():
            there = self.model.outbox if member.startswith("INC") else self.model.timers
            if member in there:
                there[member] = due_at
        self.model.claims.clear()

    @rule(most=st.integers(1, 4), pages=st.booleans(), old=st.booleans())
    def claim(self, most: int, pages: bool, old: bool) -> None:
        call = self.store.claim_pages if pages else self.store.claim_timers
        holder = replace(self.holder, fence=self.model.fence - 1) if old else self.holder
        if holder.fence != self.model.fence or not self.model.fence:
            with pytest.raises(Fenced):
                self.do(call(0, holder, self.now, LEASE, most))
            return
        found = self.do(call(0, holder, self.now, LEASE, most))
        assert [c.member for c in found] == self.model.claim(self.model.outbox if pages else self.model.timers, self.now, most)
        assert all(c.incident == self.model.incidents[c.incident.number] for c in found)
        assert all(c.begun == self.model.begun.get(c.member, 0) for c in found)
        if pages:
            self.claimed += found

    @precondition(lambda self: self.claimed and self.model.fence)
    @rule(pick=st.integers(0, 99))
    def begin(self, pick: int) -> None:
        claim = self.claimed[pick % len(self.claimed)]
        ours = self.model.outbox.get(claim.member) == claim.until
        if ours:
            self.model.begun[claim.member] = self.model.begun.get(claim.member, 0) + 1
        expected = self.model.begun[claim.member] if ours else 0
        assert self.do(self.store.begin_pages(0, self.holder, claim.until, [claim.member])) == [expected]

    @rule()
    def append(self) -> None:
        key = f"k{len(self.model.intake)}.{self.now}"
        self.do(self.store.append([(0, ["t", self.now, key, b"1 1 x"])]))
        self.model.intake.append(key)

    @rule(most=st.integers(1, 3), right=st.booleans())
    def apply(self, most: int, right: bool) -> None:
        [entries] = self.do(self.store.read_intake([self.model.cursor], most))
        assert [entry.alerts[0][0] for entry in entries] == self.model.intake[:most]
        if not entries:
            return
        expected = self.model.cursor if right else "1-1"
        result = self.do(self.store.commit(Commit(0, self.now, [], cursor=(expected, entries[-1].id))))
        if right:
            assert result == Committed()
            self.model.cursor = entries[-1].id
            del self.model.intake[:most]
        else:
            assert result == CursorMoved(self.model.cursor)

    @invariant()
    def both_are_alike(self) -> None:
        at, model = self.store.at[0], self.model
        assert self.do(scores(self.store, at.timers)) == model.timers
        assert self.do(scores(self.store, at.outbox)) == model.outbox
        assert self.do(fields(self.store, at.claims)) == {member: str(due_at) for member, due_at in model.claims.items()}
        assert self.do(fields(self.store, at.begun)) == {page: str(count) for page, count in model.begun.items()}
        assert self.do(self.store.load_many(range(1, model.seq + 2))) == model.incidents
        assert self.do(self.store.cursor_and_seq(0)) == (model.cursor, model.seq)
        assert self.do(self.store.backlog()) == len(model.intake)
        assert len(self.do(self.store.read_history(0, "0-0", 10_000))) == model.history

    def _picked(self, pick: int) -> Incident:
        return list(self.model.incidents.values())[pick % len(self.model.incidents)]


@pytest.fixture
def machine(places: Places) -> type[StoreMachine]:
    StoreMachine.url = places.url("valkey")
    StoreMachine.rules_in_force = load_rules(RULES, file_name="rules.yaml", environment={}, read_file=str, version=1)
    return StoreMachine


def test_any_sequence_of_calls_leaves_store_and_model_alike(machine: type[StoreMachine]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=60, stateful_step_count=40, deadline=None))
