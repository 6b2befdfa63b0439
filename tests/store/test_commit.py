"""A commit is all or nothing, on every kind of store and whatever happens between a request and its answer."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

from tests.fakes.proxy import Proxy
from tests.invariants import all_incidents, ask, fields, keyspace, scores
from tocsin.policy.events import Acknowledged, Noted, TimerDue
from tocsin.policy.incident import Decision, decide
from tocsin.policy.model import PageStatus
from tocsin.policy.rules import Rules
from tocsin.store.commit import Commit, Holder
from tocsin.store.connection import connect
from tocsin.store.server import EmbeddedServer
from tocsin.store.store import Committed, CursorMoved, Fenced, GroupTaken, SeqMoved, Stale, Store
from tocsin.store.wire import Script, StoreAway, StoreFull

SHARDS = 2
NOW = 1_800_000_000_000
Opening = Callable[..., Decision]
OwnStore = Callable[..., AbstractAsyncContextManager[tuple[EmbeddedServer, Store]]]


async def test_one_commit_writes_everything_that_a_decision_says(store: Store, opening: Opening) -> None:
    decision = opening(0)
    number, group = decision.incident.number, decision.incident.group_key
    [entry] = await appended(store, 1)
    alerts = {number: {"key": b"1 body"}}
    commit = Commit(0, NOW, [decision], alerts=alerts, cursor=("0-0", entry), seq=(0, 1), origin="test")
    assert await store.commit(commit) == Committed()

    assert await store.load(number) == decision.incident
    assert await store.load_alerts([number]) == [{"key": b"1 body"}]
    assert await store.cursor_and_seq(0) == (entry, 1)
    assert await store.groups(0) == {group: number}
    assert await scores(store, store.at[0].timers) == {str(number): decision.incident.due_at}
    assert await scores(store, store.at[0].outbox) == {f"INC-{number}.0.kim.0": NOW}
    assert await store.read_intake(["0-0", "0-0"], 10) == [[], []], "what is applied is trimmed"
    assert await store.clock_floor() == NOW


async def test_a_refused_commit_writes_nothing(store: Store, opening: Opening, rules: Rules) -> None:
    [first, second] = await appended(store, 2)
    [old, _] = await store.take_over("correlator")
    [holder, _] = await store.take_over("correlator")
    opened = opening(0)
    assert await store.commit(Commit(0, NOW, [opened], holder, cursor=("0-0", first), seq=(0, 1))) == Committed()
    acknowledged = decide(opened.incident, Acknowledged("kim"), NOW + 1, rules)
    assert await store.commit(Commit(0, NOW + 1, [acknowledged])) == Committed()
    stale = decide(opened.incident, Noted("lee", "late"), NOW + 2, rules)
    fresh, taken = opening(0, 1), opening(0, 1, group=opened.incident.group_key)
    alerts = {fresh.incident.number: {"key": b"1 body"}}

    def commit(decisions: list[Decision], *, by: Holder = holder, cursor: str = first, seq: int = 1) -> Commit:
        return Commit(
            0, NOW + 9, decisions, by, alerts=alerts, cursor=(cursor, second), seq=(seq, seq + 1), not_delivered=["INC-1.0.kim.0"]
        )

    before = await keyspace(store)
    assert await store.commit(commit([fresh, stale])) == Stale((opened.incident.number,))
    assert await store.commit(commit([fresh, acknowledged], cursor="0-0")) == CursorMoved(first)
    assert await store.commit(commit([fresh], seq=0)) == SeqMoved(1)
    assert await store.commit(commit([taken])) == GroupTaken((opened.incident.group_key,))
    with pytest.raises(Fenced):
        await store.commit(commit([fresh], by=old))
    assert await keyspace(store) == before

    assert await store.commit(commit([fresh])) == Committed(), "the same commit with nothing wrong is taken"


async def test_an_incident_that_was_never_written_cannot_be_changed(store: Store, opening: Opening, rules: Rules) -> None:
    unknown = decide(opening(0).incident, Acknowledged("kim"), NOW, rules)
    before = await keyspace(store)
    assert await store.commit(Commit(0, NOW, [unknown])) == Stale((unknown.incident.number,))
    assert await keyspace(store) == before


async def test_several_decisions_on_one_incident_are_one_change_with_every_entry(store: Store, opening: Opening, rules: Rules) -> None:
    opened = opening(1)
    noted = decide(opened.incident, Noted("kim", "x"), NOW + 1, rules)
    acknowledged = decide(noted.incident, Acknowledged("kim"), NOW + 2, rules)
    assert await store.commit(Commit(1, NOW + 2, [opened, noted, acknowledged], seq=(0, 1))) == Committed()
    assert await store.load(opened.incident.number) == acknowledged.incident
    assert len(await store.read_history(1, "0-0", 10)) == 3
    assert await scores(store, store.at[1].outbox) == {}, "the page was withdrawn before it was ever written"


async def test_an_incident_gives_its_group_up_only_while_it_holds_it(store: Store, opening: Opening, rules: Rules) -> None:
    """The newer incident of a group keeps it when the older one closes."""
    first = opening(0)
    resolved = replace(first.incident, state=type(first.incident.state).RESOLVED, resolved_at=NOW, pages=(), due_at=NOW, version=2)
    decisions = [first, replace(first, before=first.incident, incident=resolved)]
    assert await store.commit(Commit(0, NOW, decisions, seq=(0, 1))) == Committed()
    group = first.incident.group_key
    second = opening(0, 1, group=group)
    taken = Commit(0, NOW, [second], replaces={group: first.incident.number}, seq=(1, 2))
    assert await store.commit(taken) == Committed()
    closed = decide(resolved, TimerDue(), NOW + 30 * 86_400_000, rules)
    assert closed.incident.state == "closed"
    assert await store.commit(Commit(0, NOW, [closed])) == Committed()
    assert await store.groups(0) == {group: second.incident.number}
    resolved_entry = await store.read_history(0, "0-0", 10)
    assert len(resolved_entry) == 4


async def test_ten_thousand_incidents_fit_into_one_commit(store: Store, opening: Opening, rules: Rules) -> None:
    count = 10_000
    decisions = [opening(0, n) for n in range(count)]
    assert await store.commit(Commit(0, NOW, decisions, seq=(0, count))) == Committed()
    assert len(await scores(store, store.at[0].outbox)) == count

    before = await keyspace(store)
    wrong = [decide(replace(d.incident, version=7), Acknowledged("kim"), NOW, rules) for d in decisions]
    stale = await store.commit(Commit(0, NOW, wrong))
    assert isinstance(stale, Stale)
    assert len(stale.numbers) == count
    again = [opening(0, count + n, group=d.incident.group_key) for n, d in enumerate(decisions)]
    taken = await store.commit(Commit(0, NOW, again))
    assert isinstance(taken, GroupTaken)
    assert len(taken.group_keys) == count
    assert await keyspace(store) == before

    right = [decide(d.incident, Acknowledged("kim"), NOW, rules) for d in decisions]
    assert await store.commit(Commit(0, NOW, right)) == Committed()
    assert await scores(store, store.at[0].outbox) == {}


async def test_five_thousand_alerts_of_one_incident_fit_into_one_commit(store: Store, opening: Opening) -> None:
    decision = opening(0)
    records = {f"key-{n}": b"1 body" for n in range(5_000)}
    commit = Commit(0, NOW, [decision], alerts={decision.incident.number: records}, seq=(0, 1))
    assert await store.commit(commit) == Committed()
    assert await store.load_alerts([decision.incident.number]) == [records]


async def test_scripts_that_the_server_forgot_are_given_to_it_again(store: Store, opening: Opening, rules: Rules) -> None:
    generator = random.Random(20)
    holders = await store.take_over("notifier")
    incident = opening(0).incident
    await store.commit(Commit(0, NOW, [opening(0)], seq=(0, 1)))
    for n in range(60):
        if generator.random() < 0.3:
            await ask(store, "SCRIPT", "FLUSH")
        decision = decide(incident, Noted("kim", str(n)), NOW + n, rules)
        assert await store.commit(Commit(0, NOW + n, [decision])) == Committed()
        incident = decision.incident
        await store.claim_timers(0, holders[0], NOW, 1_000, 10)
        await store.begin_pages(0, holders[0], NOW, ["INC-1.0.kim.0"])
        await store.publish_rules(f"version: {n}", "rules.yaml", NOW)


async def test_a_lost_answer_leaves_a_whole_commit_that_cannot_be_made_twice(url: str, store: Store, opening: Opening) -> None:
    async with Proxy(url) as proxy:
        beside = Store(connect(proxy.url, max_connections=2), shards=SHARDS, origin="beside")
        await beside.ping()
        [entry] = await appended(store, 1)
        commit = Commit(0, NOW, [opening(0)], cursor=("0-0", entry), seq=(0, 1))
        # A server that does not know the script yet is asked twice: the first answer, NOSCRIPT, is not the one to lose.
        await store.commit(Commit(1, NOW, []))
        proxy.lose_answer(Script("commit").sha)
        with pytest.raises(StoreAway):
            await beside.commit(commit)
        assert proxy.answers_lost == 1
        before = await keyspace(store)
        assert await beside.commit(commit) == CursorMoved(entry)
        assert await keyspace(store) == before
        proxy.lose_request(Script("commit").sha)
        with pytest.raises(StoreAway):
            await beside.commit(Commit(0, NOW, [opening(0, 1)], seq=(1, 2)))
        assert await keyspace(store) == before
        await beside.close()


async def test_a_store_that_takes_no_writes_now_is_away(store: Store, opening: Opening) -> None:
    """One command or many, a script or not: "not now" is never taken for a fault of ours."""
    await ask(store, "CONFIG", "SET", "min-replicas-to-write", 1)
    try:
        with pytest.raises(StoreAway, match="NOREPLICAS") as caught:
            await store.append([(0, ["t", NOW, "key", b"1 a-secret-in-an-alert"])])
        assert "a-secret" not in str(caught.value)
        with pytest.raises(StoreAway, match="NOREPLICAS"):
            await store.commit(Commit(0, NOW, [opening(0)], seq=(0, 1)))
        with pytest.raises(StoreAway, match="NOREPLICAS"):
            await store.beat("ingest", NOW)
    finally:
        await ask(store, "CONFIG", "SET", "min-replicas-to-write", 0)


async def test_everything_answered_survives_a_kill_of_the_server(own_store: OwnStore, opening: Opening, rules: Rules) -> None:
    async with own_store() as (server, store):
        for n in range(5):
            decision = opening(0, n)
            assert await store.commit(Commit(0, NOW, [decision], seq=(n, n + 1))) == Committed()
            os.kill(server.pid, signal.SIGKILL)
            await server.wait()
            with pytest.raises(StoreAway):
                await store.load(decision.incident.number)
            await server.start()
            assert len(await all_incidents(store)) == n + 1
            assert await store.commit(Commit(0, NOW, [decide(decision.incident, Acknowledged("kim"), NOW, rules)])) == Committed()


async def test_a_full_store_refuses_alerts_and_nothing_else(own_store: OwnStore, opening: Opening, rules: Rules) -> None:
    async with own_store(8 * 1024 * 1024) as (_, store):
        [holder, _] = await store.take_over("notifier")
        opened = opening(0)
        assert await store.commit(Commit(0, NOW, [opened], seq=(0, 1))) == Committed()
        await fill(store)
        [claimed] = await store.claim_pages(0, holder, NOW, 45_000, 10)
        assert await store.begin_pages(0, holder, claimed.until, [claimed.member]) == [1]
        await store.forward([(1, ["t", NOW, "key", b"1 body"])])
        await store.set_aside("correlator", "cannot be read", b"raw", NOW)
        acknowledged = decide(opened.incident, Acknowledged("kim"), NOW, rules)
        assert await store.commit(Commit(0, NOW, [acknowledged])) == Committed()
        due_at = acknowledged.incident.due_at or 0
        assert await store.claim_timers(0, holder, due_at, 15_000, 10)
        due = decide(acknowledged.incident, TimerDue(), due_at, rules)
        assert any(page.status is PageStatus.PENDING for page in due.incident.pages)
        assert await store.commit(Commit(0, NOW, [due])) == Committed()
        assert await store.publish_rules("version: 1", "rules.yaml", NOW) == 1
        assert len(await store.take_over("notifier")) == SHARDS
        with pytest.raises(StoreFull):
            await store.append([(0, ["t", NOW, "key", b"x" * 100_000])])


async def test_a_document_that_cannot_be_read_hides_no_other(store: Store, opening: Opening) -> None:
    decisions = [opening(0, n) for n in range(3)]
    await store.commit(Commit(0, NOW, decisions, seq=(0, 3)))
    [holder, _] = await store.take_over("notifier")
    numbers = [d.incident.number for d in decisions]
    documents = await ask(store, "HMGET", store.at[0].incidents, *numbers)
    await ask(store, "HSET", store.at[0].incidents, numbers[0], b'{"v":99,"made":"by a newer version"}', numbers[1], documents[1][:-9])
    assert {i.number async for batch in store.scan_incidents(0) for i in batch} == {numbers[2]}
    assert [c.member for c in await store.claim_pages(0, holder, NOW, 1_000, 10)] == [f"INC-{numbers[2]}.0.kim.0"]
    with pytest.raises(ValueError, match="99"):
        await store.load(numbers[0])
    await ask(store, "HSET", store.at[0].incidents, numbers[0], documents[0], numbers[1], documents[1])
    assert len(await store.claim_pages(0, holder, NOW + 1_000, 1_000, 10)) == 3, "they come back with their claims"


async def fill(store: Store) -> None:
    """Append until the store refuses."""
    for _ in range(200):
        try:
            await store.append([(0, ["t", NOW, "key", b"x" * 100_000])])
        except StoreFull:
            return
    pytest.fail("the store is never full")


async def appended(store: Store, count: int) -> list[str]:
    for n in range(count):
        await store.append([(0, ["t", NOW, f"key-{n}", b"1 body"])])
    return [entry.id for entry in (await store.read_intake(["0-0", "0-0"], count))[0]]


async def test_numbering_and_history_continue_over_clients(url: str, store: Store, opening: Opening) -> None:
    """Two writers without a fence, as two consoles are: each number is given once."""
    other = Store(connect(url, max_connections=2), shards=SHARDS, origin="other")
    assert await store.commit(Commit(0, NOW, [opening(0)], seq=(0, 1))) == Committed()
    assert await other.commit(Commit(0, NOW, [opening(0)], seq=(0, 1))) == SeqMoved(1)
    assert await other.commit(Commit(0, NOW, [opening(0, 1)], seq=(1, 2))) == Committed()
    assert (await fields(store, store.at[0].meta))["seq"] == "2"
    await other.close()
