"""Alerts into incidents: repeats, pairs of senders, what comes late, twice, or never; rules that change underneath."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.policy.world import DUTY, HOUR, LADDER, MINUTE, NIGHT, PLAN, SECOND, Report, Shop, make_rules, report
from tocsin.policy import events as ev
from tocsin.policy.fold import common_labels
from tocsin.policy.incident import Reason
from tocsin.policy.matchers import Matcher, MatchOp
from tocsin.policy.model import AlertStatus, PageStatus, State
from tocsin.policy.rules import SeverityRule, group_key, shard_of_group, shard_of_number

RESOLVED = AlertStatus.RESOLVED
A, B = {"node": "a"}, {"node": "b"}
GRAVE = (SeverityRule(1, (Matcher("severity", MatchOp.EQUAL, "critical"),)),)


@pytest.fixture
def shop() -> Shop:
    return Shop()


def resolved(labels: dict[str, str], *, at: int, starts_at: int = NIGHT, name: str = "Disk") -> Report:
    return report(name, labels, status=RESOLVED, starts_at=starts_at, ends_at=at)


# --- opening and joining ---


def test_alerts_of_one_group_are_one_incident_and_of_two_groups_two(shop: Shop) -> None:
    shop.takes(report("Disk", A, summary="disk  full\non a"), report("Disk", B), report("Net", A))
    assert sorted((i.title, i.firing, dict(i.labels)) for i in shop.live()) == [
        ("Net", 1, {"alertname": "Net", "node": "a"}),
        ("disk full on a", 2, {"alertname": "Disk"}),
    ]


def test_a_later_alert_joins_and_pages_nobody(shop: Shop) -> None:
    shop.takes(report("Disk", A))
    shop.now += MINUTE
    shop.takes(report("Disk", B))
    [incident] = shop.live()
    assert (incident.firing, len(incident.pages)) == (2, 1)
    assert shop.decisions[-1].reason is Reason.ALERTS_JOINED


def test_a_batch_that_fires_and_clears_one_new_alert_opens_an_incident_that_wakes_nobody(shop: Shop) -> None:
    shop.takes(report("Disk", A), resolved(A, at=NIGHT + 1))
    [incident] = shop.live()
    assert (incident.firing, incident.resolved, incident.clear_since) == (0, 1, NIGHT)
    assert [d.reason for d in shop.decisions] == [Reason.OPENED, Reason.ALL_CLEAR]
    assert all(p.due_at > NIGHT + PLAN.resolve_after_ms for p in incident.pages)
    shop.now += PLAN.resolve_after_ms
    shop.timers()
    [incident] = shop.incidents.values()
    assert (incident.state, [p.status for p in incident.pages]) == (State.RESOLVED, [PageStatus.CANCELLED])


def test_a_batch_that_fires_clears_and_fires_is_firing(shop: Shop) -> None:
    shop.takes(report("Disk", A), resolved(A, at=NIGHT + 1), report("Disk", A, starts_at=NIGHT + 2))
    [incident] = shop.live()
    assert (incident.firing, incident.resolved, incident.clear_since) == (1, 0, None)


def test_the_worst_of_a_batch_is_the_severity_and_a_worse_one_raises_it() -> None:
    shop = Shop(make_rules(severities=GRAVE))
    shop.takes(report("Disk", A))
    assert shop.live()[0].severity == 3
    shop.takes(report("Disk", B | {"severity": "critical"}))
    assert (shop.live()[0].severity, shop.decisions[-1].reason) == (1, Reason.SEVERITY_RAISED)
    shop.takes(resolved(B | {"severity": "critical"}, at=NIGHT + 1))
    assert (shop.live()[0].severity, shop.decisions[-1].reason) == (3, Reason.SEVERITY_LOWERED)


def test_numbers_are_unique_over_shards_and_batches(shop: Shop) -> None:
    for start in range(0, 60, 20):
        shop.takes(*(report(f"Alert{n}", A) for n in range(start, start + 20)))
    assert len(shop.incidents) == 60  # `Shop` refuses a number that is used twice


# --- repeats and pairs ---


def test_repeats_write_nothing(shop: Shop) -> None:
    shop.takes(report("Disk", A), report("Disk", B))
    shard = shard_of_number(shop.live()[0].number, 2)
    for _ in range(3):
        folded = shop.folds(shard, [report("Disk", A), report("Disk", B)])
        assert folded.is_empty
        assert folded.counts == {"repeated": 2}


def test_two_senders_of_one_alert_are_one_alert_whatever_beginning_each_gives_it(shop: Shop) -> None:
    shop.takes(report("Disk", A, starts_at=NIGHT), report("Disk", A, starts_at=NIGHT - 7 * SECOND))
    version = shop.live()[0].version
    for _ in range(3):
        shop.takes(report("Disk", A, starts_at=NIGHT), report("Disk", A, starts_at=NIGHT - 7 * SECOND))
    [incident] = shop.live()
    assert (incident.firing, incident.version, len(incident.pages)) == (1, version, 1)


def test_the_same_labels_from_another_integration_are_another_alert(shop: Shop) -> None:
    shop.takes(report("Disk", A), report("Disk", A, integration="zabbix"))
    assert shop.live()[0].firing == 2


def test_other_annotations_change_the_record_and_not_the_incident(shop: Shop) -> None:
    one = report("Disk", A, summary="90%")
    shop.takes(one)
    version = shop.live()[0].version
    assert shop.takes(report("Disk", A, summary="91%")) == {"renewed": 1}
    incident, alert = shop.alert(one.key)
    assert (incident.version, alert.annotations["summary"]) == (version, "91%")


def test_the_end_of_an_alert_is_renewed_in_the_store_now_and_then(shop: Shop) -> None:
    one = report("Disk", A, ends_at=NIGHT + 4 * MINUTE)
    shop.takes(one)
    writes = 0
    for minute in range(1, 30):
        shop.now = NIGHT + minute * MINUTE
        shop.takes(report("Disk", A, ends_at=shop.now + 4 * MINUTE))
        _, alert = shop.alert(one.key)
        assert alert.ends_at > shop.now, "after a restart it must not count as expired"
        writes += alert.ends_at == shop.now + 4 * MINUTE
    assert 5 < writes < 30


def test_a_renewed_end_whose_commit_failed_is_written_by_the_next(shop: Shop) -> None:
    one = report("Disk", A, ends_at=NIGHT + 4 * MINUTE)
    shop.takes(one)
    shard = shard_of_number(shop.live()[0].number, 2)
    shop.now += 3 * MINUTE
    again = report("Disk", A, ends_at=shop.now + 4 * MINUTE)
    lost = shop.folds(shard, [again])
    folded = shop.folds(shard, [again])
    assert lost.records == folded.records
    shop.commits(folded)
    assert shop.alert(one.key)[1].ends_at == shop.now + 4 * MINUTE


def test_a_batch_that_was_not_committed_is_folded_again_to_the_same(shop: Shop) -> None:
    reports = [report("Disk", A), report("Disk", B), resolved(A, at=NIGHT + 1)]
    shop.post(*reports)
    for shard in range(2):
        first, second = shop.folds(shard, shop.queues.get(shard, [])), shop.folds(shard, shop.queues.get(shard, []))
        assert [d.incident for d in first.decisions] == [d.incident for d in second.decisions]
        assert (first.records, first.seq, first.counts) == (second.records, second.seq, second.counts)


# --- clearing ---


def test_alerts_close_one_by_one_and_never_by_absence(shop: Shop) -> None:
    shop.takes(report("Disk", A), report("Disk", B))
    shop.takes(resolved(A, at=NIGHT + 1))
    for _ in range(5):
        shop.takes(report("Disk", B))
    [incident] = shop.live()
    assert (incident.firing, incident.resolved, incident.clear_since) == (1, 1, None)


def test_a_resolved_for_an_unknown_alert_is_counted_and_pages_nobody(shop: Shop) -> None:
    assert shop.takes(resolved(A, at=NIGHT)) == {"resolved_unknown": 1}
    assert shop.incidents == {}


def test_a_resolved_that_comes_twice_is_a_repeat(shop: Shop) -> None:
    shop.takes(report("Disk", A), resolved(A, at=NIGHT + 1))
    assert shop.takes(resolved(A, at=NIGHT + 1)) == {"repeated": 1}
    assert shop.takes(resolved(A, at=NIGHT + 5)) == {"repeated": 1}


def test_a_resolved_of_an_older_episode_is_late(shop: Shop) -> None:
    shop.takes(report("Disk", A, starts_at=NIGHT))
    assert shop.takes(resolved(A, at=NIGHT - 1, starts_at=NIGHT - HOUR)) == {"late": 1}
    assert shop.live()[0].firing == 1


def test_a_firing_of_an_older_episode_just_after_it_cleared_is_late(shop: Shop) -> None:
    shop.takes(report("Disk", A, starts_at=NIGHT))
    shop.takes(resolved(A, at=NIGHT + 1, starts_at=NIGHT))
    assert shop.takes(report("Disk", A, starts_at=NIGHT - HOUR)) == {"late": 1}
    assert shop.live()[0].firing == 0


def test_a_stale_retry_of_the_same_episode_reopens_and_does_not_page_again(shop: Shop) -> None:
    shop.takes(report("Disk", A))
    shop.takes(resolved(A, at=NIGHT + 1))
    assert shop.takes(report("Disk", A)) == {"refired": 1}
    [incident] = shop.live()
    assert (incident.firing, len(incident.pages), incident.flaps) == (1, 1, 1)


# --- expiry ---


def test_an_alert_that_nobody_renews_expires_and_its_incident_resolves(shop: Shop) -> None:
    one = report("Disk", A, ends_at=NIGHT + 5 * MINUTE)
    shop.takes(one)
    shop.now += 5 * MINUTE - 1
    assert shop.expires() == []
    shop.now += 1
    assert shop.expires() == [one.key]
    assert shop.decisions[-1].inputs["how"] == "expired"
    shop.now += PLAN.resolve_after_ms
    shop.timers()
    assert shop.live() == []


def test_an_alert_that_is_renewed_does_not_expire(shop: Shop) -> None:
    for minute in range(20):
        shop.now = NIGHT + minute * MINUTE
        shop.takes(report("Disk", A, ends_at=shop.now + 2 * MINUTE))
        assert shop.expires() == []


def test_an_alert_expires_though_its_senders_clock_is_ahead(shop: Shop) -> None:
    shop.takes(report("Disk", A, starts_at=NIGHT + 10 * MINUTE, ends_at=NIGHT + 5 * MINUTE))
    shop.now += 5 * MINUTE
    shop.expires()
    assert shop.live()[0].firing == 0


def test_an_expiry_that_could_not_be_committed_comes_again(shop: Shop) -> None:
    shop.takes(report("Disk", A, ends_at=NIGHT + MINUTE))
    shop.now += MINUTE
    assert len(shop.book.expired(shop.now, 10)) == 1
    assert shop.book.expired(shop.now, 10) == []
    shop.now += MINUTE
    assert len(shop.book.expired(shop.now, 10)) == 1


# --- people and alerts ---


def test_resolved_by_a_person_while_it_fires_it_reopens_with_a_repeat_after_the_grace(shop: Shop) -> None:
    shop.takes(report("Disk", A))
    [number] = shop.incidents
    shop.happens(number, ev.Resolved("kim"))
    shop.now += PLAN.resolve_after_ms
    assert shop.takes(report("Disk", A)) == {"after_resolve": 1}
    shop.now += 1
    assert shop.takes(report("Disk", A)) == {"refired": 1}
    assert shop.incidents[number].state is State.OPEN
    assert shop.decisions[-1].reason is Reason.REOPENED_BY_ALERTS


def test_a_repeat_reopens_though_another_alert_of_the_incident_clears_in_the_same_batch(shop: Shop) -> None:
    shop.takes(report("Disk", A), report("Disk", B))
    [number] = shop.incidents
    shop.happens(number, ev.Resolved("kim"))
    shop.now += PLAN.resolve_after_ms + 1
    shop.takes(resolved(A, at=shop.now), report("Disk", B))
    assert shop.incidents[number].state is State.OPEN, "the next repeat may be four hours away"
    assert shop.incidents[number].firing == 1


def test_a_new_alert_reopens_at_once_what_a_person_resolved(shop: Shop) -> None:
    shop.takes(report("Disk", A))
    [number] = shop.incidents
    shop.happens(number, ev.Resolved("kim"))
    shop.now += SECOND
    shop.takes(report("Disk", B))
    assert shop.incidents[number].state is State.OPEN
    assert shop.incidents[number].firing == 2


def test_what_comes_back_too_late_to_reopen_is_a_new_incident(shop: Shop) -> None:
    shop.takes(report("Disk", A), report("Disk", B))
    [number] = shop.incidents
    shop.happens(number, ev.Resolved("kim"))
    shop.now += PLAN.reopen_within_ms + 1
    shop.takes(report("Disk", A))
    [live] = shop.live()
    assert live.number != number
    shop.takes(report("Disk", B))
    assert shop.live()[0].firing == 2


def test_a_clear_in_the_same_batch_does_not_keep_what_fires_with_an_incident_that_is_long_over(shop: Shop) -> None:
    shop.takes(report("Disk", A), report("Disk", B))
    [number] = shop.incidents
    shop.happens(number, ev.Resolved("kim"))
    shop.now += PLAN.reopen_within_ms + 1
    shop.takes(resolved(A, at=shop.now), report("Disk", B), report("Disk", {"node": "c"}))
    [live] = shop.live()
    assert (live.number != number, live.firing) == (True, 2)
    assert shop.incidents[number].state is State.RESOLVED


def test_an_alert_of_a_closed_incident_is_a_new_one(shop: Shop) -> None:
    shop.takes(report("Disk", A))
    [number] = shop.incidents
    shop.happens(number, ev.Resolved("kim"))
    shop.now += PLAN.close_after_ms
    shop.timers()
    assert shop.incidents[number].state is State.CLOSED
    assert shop.takes(report("Disk", A)) == {"joined": 1}
    assert len(shop.live()) == 1


def test_a_severity_that_the_rules_changed_while_a_person_had_it_resolved_is_counted_once() -> None:
    shop = Shop(make_rules())
    critical = A | {"severity": "critical"}
    shop.takes(report("Disk", critical))
    [number] = shop.incidents
    shop.happens(number, ev.Resolved("kim"))
    shop.rules = make_rules(severities=GRAVE)
    shop.now += PLAN.resolve_after_ms + 1
    shop.takes(report("Disk", critical))
    assert (shop.incidents[number].severity, shop.incidents[number].firing) == (1, 1)
    shop.takes(resolved(critical, at=shop.now))
    assert (shop.incidents[number].firing, shop.incidents[number].resolved) == (0, 1)


# --- counts that wait ---


def test_counts_may_wait_and_are_taken_up_later(shop: Shop) -> None:
    shop.takes(report("Disk", A))
    shop.takes(report("Disk", B), flush=False)
    [incident] = shop.live()
    assert incident.firing == 1
    assert len(shop.records[incident.number]) == 2, "the alert itself is written at once"
    shop.takes(report("Disk", {"node": "c"}))
    assert shop.live()[0].firing == 3
    assert shop.decisions[-1].inputs["joined"] == 2


def test_counts_that_waited_at_a_crash_are_found_again(shop: Shop) -> None:
    shop.takes(report("Disk", A))
    shop.takes(report("Disk", B), flush=False)
    shop.restarts()
    for shard in range(2):
        shop.commits(shop.folds(shard, []))
    assert shop.live()[0].firing == 2


def test_an_opening_a_raise_and_the_last_clear_never_wait() -> None:
    shop = Shop(make_rules(severities=GRAVE))
    shop.takes(report("Disk", A), flush=False)
    assert shop.live()[0].firing == 1
    shop.takes(report("Disk", B | {"severity": "critical"}), flush=False)
    assert shop.live()[0].severity == 1
    shop.takes(resolved(B | {"severity": "critical"}, at=NIGHT + 1), resolved(A, at=NIGHT + 1), flush=False)
    assert shop.live()[0].clear_since == NIGHT


@pytest.mark.parametrize("flush", [True, False])
def test_what_waited_does_not_reopen_what_a_person_resolved_meanwhile(shop: Shop, *, flush: bool) -> None:
    shop.takes(report("Disk", A))
    shop.takes(report("Disk", B), flush=False)
    [number] = shop.incidents
    shop.happens(number, ev.Resolved("kim"))
    shop.takes(resolved(A, at=NIGHT + 1), flush=flush)
    assert shop.incidents[number].state is State.RESOLVED
    assert (shop.incidents[number].firing, shop.incidents[number].resolved) == (1, 1)


# --- rules that change ---


def moved_labels() -> dict[str, str]:
    """Return labels whose group by node lies in another shard than their group by name."""
    for n in range(100):
        labels = {"alertname": "Disk", "node": f"n{n}"}
        by_name = group_key(make_rules().services[0], labels)
        by_node = group_key(make_rules(group_by=("node",)).services[0], labels)
        if shard_of_group(by_name, 2) != shard_of_group(by_node, 2):
            return labels
    raise AssertionError("no such labels")


def test_an_alert_that_new_rules_group_elsewhere_stays_with_its_incident(shop: Shop) -> None:
    labels = moved_labels()
    shop.takes(report("Disk", labels))
    [number] = shop.incidents
    shop.rules = make_rules(group_by=("node",))
    counts = shop.takes(resolved(labels, at=NIGHT + 1))
    assert counts == {"forwarded": 1, "cleared": 1}
    assert (shop.incidents[number].firing, len(shop.incidents)) == (0, 1)
    counts = shop.takes(report("Disk", labels, starts_at=NIGHT + 2))
    assert counts == {"forwarded": 1, "refired": 1}
    assert shop.incidents[number].firing == 1


def test_the_end_of_an_alert_in_another_shard_is_renewed_in_the_store_too(shop: Shop) -> None:
    labels = moved_labels()
    one = report("Disk", labels, ends_at=NIGHT + 4 * MINUTE)
    shop.takes(one)
    shop.rules = make_rules(group_by=("node",))
    shop.now += 3 * MINUTE
    shop.takes(report("Disk", labels, ends_at=shop.now + 4 * MINUTE))
    assert shop.alert(one.key)[1].ends_at == shop.now + 4 * MINUTE


def test_an_alert_of_another_shard_whose_incident_is_long_over_opens_one_where_the_rules_say(shop: Shop) -> None:
    labels = moved_labels()
    shop.takes(report("Disk", labels))
    [number] = shop.incidents
    shop.happens(number, ev.Resolved("kim"))
    shop.rules = make_rules(group_by=("node",))
    shop.now += PLAN.reopen_within_ms + 1
    shop.takes(report("Disk", labels))
    [live] = shop.live()
    assert live.group_key == group_key(shop.rules.services[0], labels)


def test_a_repeat_does_not_overtake_the_news_that_was_forwarded_before_it(shop: Shop) -> None:
    labels = moved_labels()
    one = report("Disk", labels)
    shop.takes(one)
    [number] = shop.incidents
    shop.rules = make_rules(group_by=("node",))
    shop.takes(resolved(labels, at=NIGHT + 1), one)
    assert shop.incidents[number].firing == 1, "the last word was that it fires, and the next may be hours away"


def test_a_group_does_not_open_in_two_shards_while_ingest_and_correlator_have_different_rules(shop: Shop) -> None:
    labels = moved_labels()
    shop.rules = make_rules(group_by=("node",))
    shop.post(report("Disk", labels))
    shop.rules = make_rules()
    assert shop.takes() == {"forwarded": 1, "joined": 1}
    [incident] = shop.live()
    assert shard_of_number(incident.number, 2) == shard_of_group(incident.group_key, 2)


def test_the_ladder_of_an_open_incident_is_the_one_it_opened_with() -> None:
    shop = Shop(make_rules())
    shop.takes(report("Disk", A))
    shop.rules = make_rules(ladder=replace(LADDER, rungs=((), (), (), ())), holders={DUTY: ("choi",)})
    shop.takes(report("Disk", B))
    assert shop.live()[0].plan.ladder == LADDER


# --- the book ---


def test_a_restarted_book_takes_repeats_as_repeats_and_goes_on_where_it_was(shop: Shop) -> None:
    shop.takes(report("Disk", A), report("Net", A))
    shop.takes(resolved(A, at=NIGHT + 1, name="Net"))
    shop.restarts()
    assert shop.takes(report("Disk", A), resolved(A, at=NIGHT + 1, name="Net")) == {"repeated": 2}
    shop.takes(report("Cpu", A))
    assert len(shop.incidents) == 3


@pytest.mark.parametrize("order", [1, -1])
def test_a_book_with_two_incidents_of_one_alert_knows_the_later_one_in_whatever_order_they_load(shop: Shop, order: int) -> None:
    one = report("Disk", A)
    shop.takes(one)
    [first] = shop.incidents
    shop.happens(first, ev.Resolved("kim"))
    shop.now += 2 * HOUR
    shop.takes(one)
    shop.incidents = dict(list(shop.incidents.items())[::order])
    shop.restarts()
    assert shop.book.alerts[one.key].number != first
    assert shop.takes(one) == {"repeated": 1}


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("before", range(3))
@pytest.mark.parametrize("live", [True, False])
def test_a_restart_leaves_an_alert_with_its_later_incident_whatever_the_numbers_of_two_shards(
    shop: Shop, order: int, before: int, *, live: bool
) -> None:
    labels = moved_labels()
    shop.takes(*(report(f"Other{n}", {}) for n in range(before)))
    one = report("Disk", labels, ends_at=NIGHT + 10 * HOUR)
    shop.takes(one)
    first = shop.book.alerts[one.key].number
    shop.happens(first, ev.Resolved("kim"))
    shop.rules = make_rules(group_by=("node",))
    shop.now += 2 * HOUR
    shop.takes(report("Disk", labels, ends_at=shop.now + 5 * MINUTE))
    owner = shop.book.alerts[one.key].number
    assert owner != first
    if not live:
        shop.happens(owner, ev.Resolved("kim"))
    shop.incidents = dict(list(shop.incidents.items())[::order])
    shop.restarts()
    assert shop.book.alerts[one.key].number == owner


def test_common_labels_are_those_that_all_alerts_share() -> None:
    first = {"a": "1", "b": "2"}
    assert common_labels(first, {"a": "1", "b": "2", "c": "3"}) is first
    assert common_labels(first, {"a": "1", "b": "3"}) == {"a": "1"}
