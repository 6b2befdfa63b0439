"""The pager in memory against a slow one: the same alerts, people and time, one by one through a scan of everything there is.

`Slow` is `Shop` (the correlator's side, with the checks of a commit) and a clock that looks at every incident, page and alert for what is
due next. It stays apart from `Simulator` on purpose: what is compared must not share what is tested.
"""

from __future__ import annotations

import zlib
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.policy.world import HOUR, LADDER, MINUTE, NIGHT, PLAN, SECOND, UNTIL_SEVEN, Report, Shop, firing, make_rules, report
from tocsin.policy import events as ev
from tocsin.policy.fold import EXPIRED, LATE_NEWS_MS
from tocsin.policy.incident import Decision, Reason
from tocsin.policy.matchers import Matcher, MatchOp
from tocsin.policy.model import Alert, AlertStatus, Incident, Page, PageStatus, State
from tocsin.policy.rules import Contact, Rules, SeverityRule
from tocsin.policy.simulator import SILENCE_MS, Handed, Simulator, takes_all
from tocsin.store import codec

LEVELS = tuple(SeverityRule(level, (Matcher("severity", MatchOp.EQUAL, str(level)),)) for level in (1, 2, 4))
RECEIPT_MS = 2 * MINUTE
SHORT = replace(PLAN, close_after_ms=6 * HOUR)


def alert_of(one: Report) -> Alert:
    return codec.read_alert(one.key, one.record)


def moody(page: Page, incident: Incident, at: int) -> ev.Event:
    """A provider whose mood depends on the page and the attempt, so that two worlds meet the same one."""
    match zlib.crc32(f"{page.id}/{page.attempts}".encode()) % 8:
        case 0:
            return ev.PageRefused(page.id, "gone")
        case 1:
            return ev.PageUnreachable(page.id, "503", ambiguous=False)
        case 2:
            return ev.PageUnreachable(page.id, "no answer", ambiguous=True)
        case 3 if page.held_at is None:
            return ev.PageHeld(page.id, "limit", at + 3 * MINUTE)
        case 4:
            return ev.PageSent(page.id, "receipt", RECEIPT_MS)
        case _:
            return ev.PageSent(page.id)


class Slow:
    """A world without a heap: to find what is due next it looks at everything."""

    def __init__(self, rules: Rules) -> None:
        self.shop = Shop(rules, shards=1)
        self.shop.book.shards, self.shop.book.seq = 1, [0]
        self.handed: list[tuple[int, str]] = []
        self._looked: dict[str, int] = {}

    def advance(self, until: int) -> None:
        shop = self.shop
        while True:
            things = self._things()
            ends = self._ends()
            at = min([things[0][0]] if things else [], default=None)
            at = min((each for each in (at, min(ends.values(), default=None)) if each is not None), default=None)
            if at is None or at > until:
                break
            shop.now = max(shop.now, at)
            if things and things[0][0] <= shop.now:
                self._do(things[0][2], things[0][3])
            else:
                self._expire([key for end, key in sorted((end, key) for key, end in ends.items()) if end <= shop.now])
        shop.now = max(shop.now, until)

    def _things(self) -> list[tuple[int, int, int, str]]:
        """Everything that waits, as (when, timer before page, incident, page), the first one first."""
        found: list[tuple[int, int, int, str]] = []
        for incident in self.shop.incidents.values():
            if incident.due_at is not None:
                found.append((incident.due_at, 0, incident.number, ""))
            found += [(p.due_at, 1, incident.number, p.id) for p in incident.pages if p.status is PageStatus.PENDING]
        return sorted(found)

    def _do(self, number: int, page_id: str) -> None:
        shop = self.shop
        if not page_id:
            assert shop.happens(number, ev.TimerDue()).changed
            return
        incident = shop.incidents[number]
        page = next(p for p in incident.pages if p.id == page_id)
        event = moody(page, incident, shop.now)
        if isinstance(event, ev.PageSent):
            self.handed.append((shop.now, page_id))
        shop.happens(number, event)

    def _ends(self) -> dict[str, int]:
        """When each firing alert is to be looked at: at its end, and while it goes on firing a minute after each look."""
        refs = ((key, ref) for key, ref in self.shop.book.alerts.items() if ref.firing)
        return {key: max(ref.ends_at, self._looked.get(key, 0)) for key, ref in refs}

    def _expire(self, keys: list[str]) -> None:
        shop, over = self.shop, []
        for key in keys:
            self._looked[key] = shop.now + LATE_NEWS_MS
            ref = shop.book.alerts[key]
            alert = codec.read_alert(key, shop.records[ref.number][key])
            ended = alert._replace(status=AlertStatus.RESOLVED, ends_at=ref.ends_at)
            over.append(Report(key, codec.alert_record(ended, codec.alert_body(ended))))
        shop.commits(shop.folds(0, over, how=EXPIRED))


def told(decision: Decision) -> tuple[object, ...]:
    return decision.incident.changed_at, decision.incident.number, decision.reason, decision.actor, dict(decision.inputs)


GRAVE = st.sampled_from(["1", "2", "3", "4"])
ALERTS = st.tuples(
    st.sampled_from(["Disk", "Net"]), st.sampled_from(["a", "b"]), GRAVE, st.sampled_from([*AlertStatus, AlertStatus.FIRING])
)
SPANS = st.sampled_from([1, SECOND, MINUTE, 4 * MINUTE, 5 * MINUTE, 31 * MINUTE, HOUR + MINUTE, 3 * HOUR, 7 * HOUR])
WAYS = {
    "kim": (Contact("slack:U1"), Contact("tel:1", 2 * MINUTE)),
    "lee": (Contact("tel:1", 0, repeat_ms=MINUTE, times=3),),
}


class TwoWorlds(RuleBasedStateMachine):
    """Whatever happens to both is the same in both: every decision in its order, every page, every incident."""

    def __init__(self) -> None:
        super().__init__()
        self.decisions: list[Decision] = []
        self.seen = 0

    @initialize(until=st.sampled_from(["acknowledged", "resolved"]), quiet=st.booleans())
    def begin(self, until: str, quiet: bool) -> None:
        ladder = replace(LADDER, until=until, repeat_last_ms=2 * HOUR)
        rules = make_rules(severities=LEVELS, contacts=WAYS, ladder=ladder, plan=SHORT, quiet={"kim": (UNTIL_SEVEN,)} if quiet else None)
        self.fast = Simulator(rules, NIGHT, provider=moody, observe=self.decisions.append)
        self.slow = Slow(rules)

    @rule(news=st.lists(ALERTS, min_size=1, max_size=4), good_for_ms=st.sampled_from([5 * MINUTE, 24 * HOUR]))
    def alerts_are_reported(self, news: list[tuple[str, str, str, AlertStatus]], good_for_ms: int) -> None:
        now = self.fast.now
        reports = [
            report(
                name,
                {"node": node, "severity": severity},
                status=status,
                starts_at=now,
                ends_at=now + (good_for_ms if status is AlertStatus.FIRING else 0),
            )
            for name, node, severity, status in news
        ]
        assert self.fast.report(map(alert_of, reports)) == self.slow.shop.takes(*reports)

    @rule(ms=SPANS)
    def time_passes(self, ms: int) -> None:
        until = self.fast.now + ms
        self.fast.advance(until)
        self.slow.advance(until)

    @precondition(lambda self: hasattr(self, "fast") and self.fast.incidents)
    @rule(
        data=st.data(),
        event=st.sampled_from(
            [
                ev.Acknowledged("kim"),
                ev.Acknowledged("lee", 10 * MINUTE),
                ev.Resolved("kim"),
                ev.Snoozed("kim", HOUR),
                ev.Assigned("kim", "choi"),
                ev.PassedOn("kim"),
                ev.SeveritySet("lee", 3),
                ev.Noted("lee", "hm"),
            ]
        ),
    )
    def a_person_acts(self, data: st.DataObject, event: ev.Event) -> None:
        number = data.draw(st.sampled_from(sorted(self.fast.incidents)))
        assert told(self.fast.act(number, event)) == told(self.slow.shop.happens(number, event))

    @rule(group_by=st.sampled_from([("alertname",), ("node",), ()]))
    def the_rules_change(self, group_by: tuple[str, ...]) -> None:
        self.fast.rules = self.slow.shop.rules = make_rules(severities=LEVELS, contacts=WAYS, plan=SHORT, group_by=group_by)

    @invariant()
    def both_worlds_are_the_same(self) -> None:
        if not hasattr(self, "fast"):
            return
        fast, shop = self.fast, self.slow.shop
        assert [told(each) for each in self.decisions[self.seen :]] == [told(each) for each in shop.decisions[self.seen :]]
        self.seen = len(self.decisions)
        assert [(each.at, each.page.id) for each in fast.handed] == self.slow.handed
        assert fast.incidents == {number: each for number, each in shop.incidents.items() if each.state is not State.CLOSED}
        assert fast.opened == len(shop.incidents)
        for number in fast.incidents:
            assert {alert.key for alert in fast.alerts_of(number)} == shop.records.get(number, {}).keys()


TestTwoWorlds = TwoWorlds.TestCase
TestTwoWorlds.settings = settings(max_examples=80, stateful_step_count=30)


# --- the order of what happens at one instant ------------------------------------------------------------------------------------------


def fires(name: str, *, good_for_ms: int = 24 * HOUR, at: int = NIGHT) -> Alert:
    return alert_of(report(name, {"severity": "1"}, starts_at=at, ends_at=at + good_for_ms))


def test_at_one_instant_timers_come_first_then_pages_then_alerts_that_end_then_the_caller() -> None:
    seen: list[tuple[int, Reason]] = []
    world = Simulator(make_rules(severities=LEVELS), NIGHT, observe=lambda each: seen.append((each.incident.number, each.reason)))
    world.report([fires("Disk")])
    world.report([fires("Net", good_for_ms=30 * MINUTE)])
    world.advance(NIGHT + 30 * MINUTE - 1)
    seen.clear()
    world.advance(NIGHT + 30 * MINUTE)
    world.act(1, ev.Acknowledged("kim"))
    assert seen == [
        (1, Reason.RUNG_DUE),
        (2, Reason.RUNG_DUE),
        (1, Reason.PAGE_SENT),
        (2, Reason.PAGE_SENT),
        (2, Reason.ALL_CLEAR),
        (1, Reason.ACKNOWLEDGED),
    ]


def test_what_the_caller_does_is_followed_when_time_is_next_looked_at_though_it_does_not_pass() -> None:
    world = Simulator(make_rules(severities=LEVELS), NIGHT)
    world.report([fires("Disk")])
    assert world.handed == []
    world.advance(NIGHT)
    assert [(each.at, each.page.person) for each in world.handed] == [(NIGHT, "kim")]


@pytest.mark.parametrize("clears_first", [True, False])
def test_an_alert_whose_sender_shortens_its_end_expires_at_the_new_end(clears_first: bool) -> None:
    """Found by the two worlds above: it was looked at only when the old end came."""
    decisions: list[Decision] = []
    world = Simulator(make_rules(), NIGHT, observe=decisions.append)
    world.report([fires("Disk")])
    shorter = fires("Disk", good_for_ms=5 * MINUTE)._replace(annotations={"value": "91"})
    cleared = shorter._replace(status=AlertStatus.RESOLVED, ends_at=NIGHT)
    world.report([cleared, shorter] if clears_first else [shorter])
    world.advance(NIGHT + 5 * MINUTE)
    assert decisions[-1].reason is Reason.ALL_CLEAR


def test_who_answers_before_time_is_looked_at_is_not_paged() -> None:
    world = Simulator(make_rules(severities=LEVELS), NIGHT)
    world.report([fires("Disk")])
    world.act(1, ev.Acknowledged("kim"))
    world.advance(NIGHT + 20 * MINUTE)
    assert world.handed == []


def test_time_never_goes_back() -> None:
    world = Simulator(make_rules(), NIGHT)
    world.advance(NIGHT - HOUR)
    assert world.now == NIGHT


def test_a_provider_that_says_nothing_is_asked_again_after_a_minute() -> None:
    asked: list[int] = []

    def deaf_at_first(page: Page, incident: Incident, at: int) -> ev.Event | None:
        asked.append(at - NIGHT)
        return None if len(asked) < 3 else takes_all(page, incident, at)

    world = Simulator(make_rules(severities=LEVELS), NIGHT, provider=deaf_at_first)
    world.report([fires("Disk")])
    world.advance(NIGHT + 10 * MINUTE)
    assert asked == [0, SILENCE_MS, 2 * SILENCE_MS]
    assert [each.at - NIGHT for each in world.handed] == [2 * SILENCE_MS]


def test_an_incident_that_no_alert_opens_has_the_next_number_and_a_ladder_of_its_own() -> None:
    world = Simulator(make_rules(severities=LEVELS), NIGHT)
    world.report([fires("Disk")])
    world.open(lambda number: ev.OpenedByPerson(number, f"hand:{number}", "web", "smoke", 1, "lee"))
    world.report([fires("Net")])
    world.advance(NIGHT + 30 * MINUTE)
    assert sorted(world.incidents) == [1, 2, 3]
    assert sorted((each.incident.number, each.page.person) for each in world.handed) == [
        (number, person) for number in (1, 2, 3) for person in ("kim", "lee")
    ]


def test_what_is_closed_is_forgotten_with_its_alerts_and_what_is_not_is_known_by_its_alert() -> None:
    world = Simulator(make_rules(severities=LEVELS), NIGHT)
    disk = fires("Disk", good_for_ms=MINUTE)
    world.report([disk])
    assert (world.incident_of(disk.key), world.incident_of("no such alert")) == (1, None)
    assert world.alerts_of(1) == [disk]
    world.advance(NIGHT + 6 * 24 * HOUR)
    assert (world.incidents, world.incident_of(disk.key), world.next_at()) == ({}, None, None)
    assert world.alerts_of(1) == []


def test_what_was_handed_over_names_the_page_and_the_incident_as_it_was_then() -> None:
    world = Simulator(make_rules(severities=LEVELS), NIGHT)
    world.report([fires("Disk")])
    world.advance(NIGHT)
    [handed] = world.handed
    assert isinstance(handed, Handed)
    assert (handed.incident.state, handed.incident.severity, handed.page.status) == (State.OPEN, 1, PageStatus.PENDING)
    assert firing(1) == (1, 0, 0, 0)
