"""Claimed work is one process's for a while, and nobody's who has been replaced."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.invariants import ask, fields, keyspace, scores
from tocsin.policy.events import Acknowledged, PageRefused, PageUnreachable
from tocsin.policy.incident import Decision, decide
from tocsin.policy.rules import Rules
from tocsin.store.commit import Commit
from tocsin.store.store import Committed, Fenced, LayoutMismatch, Store

NOW = 1_800_000_000_000
LEASE = 15_000
Opening = Callable[..., Decision]


async def opened(store: Store, opening: Opening, count: int = 1) -> list[Decision]:
    decisions = [opening(0, n) for n in range(count)]
    assert await store.commit(Commit(0, NOW, decisions, seq=(0, count))) == Committed()
    return decisions


async def test_what_is_due_is_claimed_once_and_comes_back_when_the_claim_ends(store: Store, opening: Opening) -> None:
    await opened(store, opening, 3)
    [holder, _] = await store.take_over("notifier")
    assert await store.claim_pages(0, holder, NOW - 1, LEASE, 10) == []
    first = await store.claim_pages(0, holder, NOW, LEASE, 2)
    rest = await store.claim_pages(0, holder, NOW, LEASE, 10)
    assert sorted(c.member for c in first + rest) == [f"INC-{n}.0.kim.0" for n in (1, 3, 5)]
    assert {c.until for c in first + rest} == {NOW + LEASE}
    assert {c.incident.number for c in first} | {c.incident.number for c in rest} == {1, 3, 5}
    assert await store.claim_pages(0, holder, NOW + LEASE - 1, LEASE, 10) == []
    again = await store.claim_pages(0, holder, NOW + LEASE, LEASE, 10)
    assert len(again) == 3
    assert await store.next_due() == NOW + 2 * LEASE


async def test_a_page_begins_only_under_its_present_claim(store: Store, opening: Opening, rules: Rules) -> None:
    [decision] = await opened(store, opening)
    [holder, _] = await store.take_over("notifier")
    [old] = await store.claim_pages(0, holder, NOW, LEASE, 10)
    [new] = await store.claim_pages(0, holder, NOW + LEASE, LEASE, 10)
    page = new.member
    assert await store.begin_pages(0, holder, old.until, [page]) == [0]
    assert await store.begin_pages(0, holder, new.until, [page, "INC-9.0.kim.0"]) == [1, 0]
    assert await store.begin_pages(0, holder, new.until, [page]) == [2]
    [third] = await store.claim_pages(0, holder, new.until, LEASE, 10)
    assert third.begun == 2, "whoever claims it next knows that it may have arrived"
    acknowledged = decide(decision.incident, Acknowledged("lee"), NOW, rules)
    assert await store.commit(Commit(0, NOW, [acknowledged])) == Committed()
    assert await store.begin_pages(0, holder, third.until, [page]) == [0]
    assert await fields(store, store.at[0].begun) == {}


async def test_whoever_is_replaced_can_neither_claim_nor_begin(store: Store, opening: Opening) -> None:
    await opened(store, opening)
    [old, _] = await store.take_over("notifier")
    [claim] = await store.claim_pages(0, old, NOW, LEASE, 10)
    [new, _] = await store.take_over("notifier")
    before = await keyspace(store)
    with pytest.raises(Fenced):
        await store.claim_pages(0, old, NOW, LEASE, 10)
    with pytest.raises(Fenced):
        await store.claim_timers(0, old, NOW, LEASE, 10)
    with pytest.raises(Fenced):
        await store.begin_pages(0, old, claim.until, [claim.member])
    assert await keyspace(store) == before
    assert new.fence == old.fence + 1


async def test_a_take_over_makes_what_was_claimed_due_as_it_was(store: Store, opening: Opening) -> None:
    decisions = await opened(store, opening, 2)
    [old, _] = await store.take_over("notifier")
    due_at = decisions[0].incident.due_at or 0
    before = [await scores(store, key) for key in (store.at[0].timers, store.at[0].outbox)]
    await store.claim_pages(0, old, NOW, LEASE, 10)
    await store.claim_pages(0, old, NOW + LEASE, LEASE, 10)
    await store.claim_timers(0, old, due_at, LEASE, 10)
    await store.take_over("correlator")
    assert [await scores(store, key) for key in (store.at[0].timers, store.at[0].outbox)] != before
    await store.take_over("notifier")
    assert [await scores(store, key) for key in (store.at[0].timers, store.at[0].outbox)] == before
    assert await fields(store, store.at[0].claims) == {}


async def test_lost_claims_are_taken_up_again_by_their_holder_and_by_nobody_who_was_replaced(store: Store, opening: Opening) -> None:
    await opened(store, opening, 2)
    old = await store.take_over("notifier")
    before = await scores(store, store.at[0].outbox)
    await store.claim_pages(0, old[0], NOW, LEASE, 10)
    await store.take_up_claims(old)
    assert await scores(store, store.at[0].outbox) == before
    assert len(await store.claim_pages(0, old[0], NOW, LEASE, 10)) == 2, "the holder is the same as before"
    new = await store.take_over("notifier")
    await store.claim_pages(0, new[0], NOW, LEASE, 10)
    there = await keyspace(store)
    with pytest.raises(Fenced):
        await store.take_up_claims(old)
    assert await keyspace(store) == there


async def test_a_commit_by_somebody_else_ends_the_claim_on_its_timer(store: Store, opening: Opening, rules: Rules) -> None:
    [decision] = await opened(store, opening)
    [holder, _] = await store.take_over("notifier")
    due_at = decision.incident.due_at or 0
    await store.claim_timers(0, holder, due_at, LEASE, 10)
    acknowledged = decide(decision.incident, Acknowledged("lee"), due_at, rules)
    await store.commit(Commit(0, due_at, [acknowledged]))
    await store.take_over("notifier")
    assert await scores(store, store.at[0].timers) == {"1": acknowledged.incident.due_at}


async def test_an_attempt_that_did_not_arrive_leaves_the_count_of_those_that_may_have(store: Store, opening: Opening, rules: Rules) -> None:
    [decision] = await opened(store, opening)
    [holder, _] = await store.take_over("notifier")
    incident = decision.incident
    page = incident.pages[0].id
    for n, now in enumerate((NOW, NOW + LEASE), 1):
        [claim] = await store.claim_pages(0, holder, now, LEASE, 10)
        assert await store.begin_pages(0, holder, claim.until, [page]) == [n], "begun and never accounted for"
    [claim] = await store.claim_pages(0, holder, NOW + 2 * LEASE, LEASE, 10)
    assert await store.begin_pages(0, holder, claim.until, [page]) == [3]
    failed = decide(incident, PageUnreachable(page, "refused the connection", ambiguous=False, attempt=1), NOW + 2 * LEASE, rules)
    await store.commit(Commit(0, NOW, [failed], not_delivered=[page]))
    assert await fields(store, store.at[0].begun) == {page: "2"}
    refused = decide(failed.incident, PageRefused(page, "gone"), NOW + 3 * LEASE, rules)
    await store.commit(Commit(0, NOW, [refused], not_delivered=[page]))
    assert await fields(store, store.at[0].begun) == {}


async def test_what_is_missing_is_put_back_and_what_is_there_stays(store: Store, opening: Opening) -> None:
    [decision, other] = await opened(store, opening, 2)
    at = store.at[0]
    due_at, page = decision.incident.due_at or 0, decision.incident.pages[0].id
    await ask(store, "ZREM", at.timers, 1)
    await ask(store, "ZREM", at.outbox, page)
    pages = [page, other.incident.pages[0].id]
    assert await store.missing(0, timers=[1, 3], pages=pages) == ([1], [page])
    await store.mend(0, timers={1: due_at, 3: 5}, pages=dict.fromkeys(pages, NOW))
    assert await store.missing(0, timers=[1, 3], pages=pages) == ([], [])
    assert (await scores(store, at.timers))["3"] == other.incident.due_at
    assert await store.overdue(due_at) == 2
    assert await store.overdue(due_at - 1) == 0


async def test_a_store_of_another_layout_is_refused(store: Store) -> None:
    other = Store(store.client, shards=store.shards + 1)
    try:
        with pytest.raises(LayoutMismatch, match="3 shards"):
            await other.ensure_layout()
    finally:
        await other.close()


async def test_equal_rules_keep_their_version(store: Store) -> None:
    assert await store.published_rules() is None
    assert [await store.publish_rules(text, "a.yaml", NOW) for text in ("one", "one", "two", "one")] == [1, 1, 2, 3]
    published = await store.published_rules()
    assert published is not None
    assert (published.version, published.text, published.file_name) == (3, "one", "a.yaml")


async def test_entries_are_read_behind_the_cursor_in_their_order(store: Store) -> None:
    lengths = await store.append([(shard, ["t", NOW + n, f"k{n}", b"1 1 x"]) for n in range(6) for shard in (0, 1)])
    assert lengths == {0: 6, 1: 6}
    [first, second] = await store.read_intake(["0-0", "0-0"], 4)
    assert [[key for key, _ in entry.alerts] for entry in first] == [[f"k{n}"] for n in range(4)]
    [rest, none] = await store.read_intake([first[-1].id, second[-1].id], 1)
    assert [entry.received_at for entry in rest] == [NOW + 4]
    assert len(none) == 1
    assert await store.backlog() == 12
    assert await store.commit(Commit(0, NOW, [], cursor=("0-0", first[2].id))) == Committed()
    [left, _] = await store.read_intake([first[2].id, "0-0"], 10)
    assert [entry.received_at for entry in left] == [NOW + 3, NOW + 4, NOW + 5], "not one more is trimmed, though all came at once"
