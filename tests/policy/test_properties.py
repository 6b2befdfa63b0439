"""Whatever happens in whatever order: an incident keeps its promises, and so does a small world of alerts and groups."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.policy.world import (
    CSE,
    DUTY,
    HOUR,
    LADDER,
    LEAD,
    MANAGER,
    MINUTE,
    NIGHT,
    PLAN,
    SECOND,
    UNTIL_SEVEN,
    Report,
    Shop,
    Story,
    firing,
    make_rules,
    report,
)
from tocsin.policy import events as ev
from tocsin.policy.hours import Window
from tocsin.policy.incident import open_incident
from tocsin.policy.matchers import Matcher, MatchOp
from tocsin.policy.model import LOW, AlertStatus, PageKind, State
from tocsin.policy.rules import Contact, Quiet, SeverityRule

PEOPLE = st.sampled_from(["kim", "park", "lee", "choi", "jeong", "stranger"])
LEVELS = st.integers(1, 4)
SPANS = st.sampled_from([0, 1, SECOND, 30 * SECOND, MINUTE, 4 * MINUTE, 5 * MINUTE, 6 * MINUTE, 20 * MINUTE, 31 * MINUTE, HOUR, 3 * HOUR])
LADDERS = st.builds(
    lambda until, repeat, remind, last: replace(LADDER, until=until, repeat_last_ms=repeat, remind_before_end_ms=remind, last_resort=last),
    st.sampled_from(["acknowledged", "resolved"]),
    st.sampled_from([MINUTE, 30 * MINUTE]),
    st.sampled_from([0, 5 * MINUTE]),
    st.sampled_from([(), (MANAGER,), ("nobody",)]),
)
PLANS = st.builds(
    lambda wait, settle, after: replace(PLAN, wait_ms=wait, settle_ms=settle, resolve_after_ms=after),
    st.sampled_from([0, 3 * MINUTE]),
    st.sampled_from([0, 2 * MINUTE]),
    st.sampled_from([0, 5 * MINUTE, 50 * MINUTE]),
)
WAYS = st.fixed_dictionaries(
    {
        "kim": st.sampled_from([(Contact("slack:U1"), Contact("tel:1", 5 * MINUTE)), (Contact("tel:1", 0, repeat_ms=MINUTE, times=3),)]),
        "lee": st.sampled_from([(Contact("log:"),), (Contact("telegram:7"), Contact("sms:7", 0))]),
    }
)
QUIET_PEOPLE = st.dictionaries(
    st.sampled_from(["kim", "lee", "jeong"]),
    st.sampled_from([(UNTIL_SEVEN,), (Quiet(UNTIL_SEVEN.window, (1, 2, 3, 4)),), (Quiet(Window(), (2, 3)),)]),
    max_size=2,
)
DUTIES = st.sampled_from([("kim",), ("park", "kim"), (), ("ghost",)])
HOLDERS = st.fixed_dictionaries({DUTY: DUTIES, CSE: st.sampled_from([("lee",), ("park",), ()]), LEAD: DUTIES, MANAGER: st.just(("jeong",))})


FAILURES = ("refused", "away", "away later", "no answer")


class OneIncident(RuleBasedStateMachine):
    """People, monitoring, time and providers do to one incident what they like."""

    story: Story

    @initialize(
        ladder=LADDERS,
        plan=PLANS,
        holders=HOLDERS,
        emergency=st.sampled_from([(), ("log:", "mailto:a@b")]),
        level=LEVELS,
        how=st.sampled_from(["alerts", "alerts", "hand", "drill", "notice"]),
        ways=WAYS,
        quiet=QUIET_PEOPLE,
    )
    def begin(self, ladder, plan, holders, emergency, level, how, ways, quiet) -> None:  # type: ignore[no-untyped-def]
        rules = make_rules(ladder=ladder, plan=plan, holders=holders, emergency=emergency, contacts=ways, quiet=quiet)
        self.story = Story(rules)
        match how:
            case "alerts":
                self.story.opens(level)
            case "hand":
                self.story.opens_by_hand(level)
            case "drill":
                self.story.keeps(open_incident(ev.DrillRequested(1, "drill:1", "web", "fire", level, "lee"), NIGHT, rules))
            case _:
                told = ev.PersonTold(1, "notice:1", "web", "duty", ("kim", "park"), PageKind.NOTICE, "a gap", "tocsin")
                self.story.keeps(open_incident(told, NIGHT, rules))

    # --- time ---

    @rule(ms=SPANS)
    def time_passes(self, ms: int) -> None:
        self.story.after(ms)

    @rule(ms=SPANS)
    def all_of_us_sleep(self, ms: int) -> None:
        self.story.sleep(ms)

    @rule(ms=SPANS)
    def time_passes_and_nobody_looks(self, ms: int) -> None:
        self.story.now += ms

    @precondition(lambda self: self.story.incident.due_at is not None)
    @rule()
    def the_timer_comes(self) -> None:
        due_at = self.story.incident.due_at
        assert due_at is not None
        if due_at - self.story.now <= 24 * HOUR:
            self.story.now = max(self.story.now, due_at)
        self.story.happens(ev.TimerDue())

    @rule(ms=st.integers(0, HOUR))
    def a_clock_is_behind(self, ms: int) -> None:
        story = self.story
        now, story.now = story.now, story.now - ms
        story.happens(ev.Noted("kim", "a slow clock"))
        story.now = now

    # --- monitoring ---

    @rule(level=LEVELS, count=st.integers(1, 3))
    def alerts_fire(self, level: int, count: int) -> None:
        if self.story.incident.state is not State.CLOSED:
            self.story.alerts(firing(level, count), resolved=1, joined=1)

    @rule(level=LEVELS)
    def some_alerts_clear(self, level: int) -> None:
        if self.story.incident.firing > 0:
            self.story.alerts(firing(level), resolved=2, cleared=1)

    @rule()
    def all_alerts_clear(self) -> None:
        if self.story.incident.firing > 0:
            self.story.clears()

    # --- people ---

    @rule(who=PEOPLE, for_ms=st.none() | SPANS)
    def somebody_acknowledges(self, who: str, for_ms: int | None) -> None:
        self.story.happens(ev.Acknowledged(who, for_ms))

    @rule(who=PEOPLE)
    def somebody_resolves(self, who: str) -> None:
        self.story.happens(ev.Resolved(who))

    @rule(who=PEOPLE)
    def somebody_reopens(self, who: str) -> None:
        self.story.happens(ev.Reopened(who))

    @rule(who=PEOPLE, ms=SPANS)
    def somebody_snoozes(self, who: str, ms: int) -> None:
        self.story.happens(ev.Snoozed(who, ms))

    @rule(who=PEOPLE, to=PEOPLE)
    def somebody_assigns(self, who: str, to: str) -> None:
        self.story.happens(ev.Assigned(who, to))

    @rule(who=PEOPLE)
    def somebody_passes_it_on(self, who: str) -> None:
        self.story.happens(ev.PassedOn(who))

    @rule(level=LEVELS)
    def somebody_sets_the_severity(self, level: int) -> None:
        self.story.happens(ev.SeveritySet("lee", level))

    # --- providers ---

    @rule(data=st.data(), what=st.sampled_from(["sent", "sent, receipt to come", "arrived", "lost", "held", *FAILURES]))
    def something_comes_of_a_page(self, data: st.DataObject, what: str) -> None:
        """Of any page there ever was: late, twice, after it was withdrawn."""
        if not self.story.ids:
            return
        page_id = data.draw(st.sampled_from(sorted(self.story.ids)))
        event: ev.Event
        match what:
            case "sent":
                event = ev.PageSent(page_id, "receipt")
            case "sent, receipt to come":
                event = ev.PageSent(page_id, "receipt", MINUTE)
            case "arrived":
                event = ev.PageDelivered(page_id, "receipt")
            case "lost":
                event = ev.PageUndelivered(page_id, "handset off")
            case "held":
                event = ev.PageHeld(page_id, "limit", self.story.now + HOUR)
            case "refused":
                event = ev.PageRefused(page_id, "no such address")
            case _:
                event = ev.PageUnreachable(page_id, "503", what == "no answer", 2 * HOUR if what == "away later" else 0)
        self.story.happens(event)

    @precondition(lambda self: self.story.pending())
    @rule(data=st.data())
    def a_page_is_taken_and_its_receipt_is_to_come(self, data: st.DataObject) -> None:
        page = data.draw(st.sampled_from(self.story.pending()))
        self.story.happens(ev.PageSent(page.id, "", MINUTE))

    @rule(who=st.sampled_from(["kim", "park", "jeong"]))
    def a_provider_goes_down_or_comes_back(self, who: str) -> None:
        self.story.down ^= {who}

    @invariant()
    def severity_1_waits_for_nobody_to_wake_up(self) -> None:
        if hasattr(self, "story") and self.story.incident.severity == 1:
            for page in self.story.pending():
                assert page.reason != "quiet time" or page.held_until is None or page.kind is PageKind.UPDATE

    def teardown(self) -> None:
        """However it went, somebody hears of it in the end, or it ends: left alone for half a day, with the providers back."""
        if not hasattr(self, "story"):
            return
        story = self.story
        assert story.replayed() == story.incident, "the history adds up to the present"
        if all(d.incident.severity == LOW for d in story.decisions):
            assert not any(p.rung is not None for d in story.decisions for p in d.incident.pages), "severity 4 climbs no ladder"
        story.down.clear()
        somebody = any(story.rules.people[p].contacts for role in story.rules.roles.values() for p in role.people)
        told = len(story.told)
        story.after(12 * HOUR)
        incident = story.incident
        if incident.state is State.OPEN and incident.severity < LOW and somebody:
            assert len(story.told) > told, "an open incident that nobody has pages somebody within half a day"
        assert incident.state is not State.ACKNOWLEDGED, "no acknowledgement lasts for ever"


# Few alerts, so that what happens happens to the same ones.
ALERTS = st.sampled_from([("Disk", "a", ""), ("Disk", "b", ""), ("Disk", "c", "critical"), ("Net", "a", "")])
GRAVE = (SeverityRule(1, (Matcher("severity", MatchOp.EQUAL, "critical"),)),)
SOON = st.sampled_from([0, SECOND, MINUTE, 4 * MINUTE, 6 * MINUTE, 20 * MINUTE, HOUR + MINUTE, 3 * HOUR])


class SmallWorld(RuleBasedStateMachine):
    """Alerts, groups, two shards, people, rules that change, restarts. The model is: which alerts were last said to fire, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.shop = Shop(make_rules(severities=GRAVE))
        self.fires: dict[str, int] = {}
        self.labels: dict[str, dict[str, str]] = {}
        self.ends: dict[str, int] = {}

    def _one(self, alert: tuple[str, str, str], status: AlertStatus, good_for_ms: int) -> Report:
        name, node, severity = alert
        labels = {"node": node} | ({"severity": severity} if severity else {})
        now = self.shop.now
        ends_at = now + good_for_ms if status is AlertStatus.FIRING else now
        one = report(name, labels, status=status, starts_at=now, ends_at=ends_at)
        self.labels[one.key] = {"alertname": name} | labels
        if status is AlertStatus.FIRING:
            self.fires[one.key] = now
            self.ends[one.key] = max(self.ends.get(one.key, 0), ends_at)
        else:
            self.fires.pop(one.key, None)
            self.ends.pop(one.key, None)
        return one

    @rule(
        news=st.lists(st.tuples(ALERTS, st.sampled_from([*AlertStatus, AlertStatus.FIRING])), min_size=1, max_size=6),
        good_for_ms=st.sampled_from([5 * MINUTE, 24 * HOUR]),
        flush=st.booleans(),
    )
    def alerts_are_reported(self, news: list[tuple[tuple[str, str, str], AlertStatus]], good_for_ms: int, flush: bool) -> None:
        self.shop.takes(*(self._one(alert, status, good_for_ms) for alert, status in news), flush=flush)

    @rule()
    def every_sender_repeats_what_fires(self) -> None:
        again = [(labels["alertname"], labels["node"], labels.get("severity", "")) for key in self.fires if (labels := self.labels[key])]
        self.shop.takes(*[self._one(alert, AlertStatus.FIRING, 24 * HOUR) for alert in again])

    @rule(ms=SOON)
    def time_passes(self, ms: int) -> None:
        self.shop.now += ms
        self.shop.timers()
        for key in self.shop.expires():
            self.fires.pop(key, None)

    @rule()
    def the_correlator_restarts(self) -> None:
        self.shop.restarts()

    @rule(group_by=st.sampled_from([("alertname",), ("node",), ("...",), ()]))
    def the_rules_change(self, group_by: tuple[str, ...]) -> None:
        self.shop.rules = make_rules(severities=GRAVE, group_by=group_by)

    @precondition(lambda self: self.shop.incidents)
    @rule(data=st.data(), what=st.sampled_from(["acknowledge", "resolve", "resolve", "resolve", "reopen", "snooze", "lower"]))
    def a_person_acts(self, data: st.DataObject, what: str) -> None:
        number = data.draw(st.sampled_from(sorted(self.shop.incidents)))
        incident = self.shop.incidents[number]
        event: ev.Event
        match what:
            case "acknowledge":
                event = ev.Acknowledged("kim")
            case "resolve":
                event = ev.Resolved("kim")
            case "reopen":
                # The store refuses it once another incident has the group, and its alerts go there after `reopen_within`.
                if self.shop.book.groups.get(incident.group_key) != number or self.shop.now - (incident.resolved_at or 0) > HOUR:
                    return
                event = ev.Reopened("kim")
            case "snooze":
                event = ev.Snoozed("kim", HOUR)
            case _:
                event = ev.SeveritySet("kim", 3)
        self.shop.happens(number, event)

    @invariant()
    def a_group_has_at_most_one_live_incident(self) -> None:
        groups = [incident.group_key for incident in self.shop.live()]
        assert len(groups) == len(set(groups))

    @invariant()
    def every_alert_that_fires_has_a_live_incident_or_a_person_who_has_just_resolved_it(self) -> None:
        for key, said_at in self.fires.items():
            incident, alert = self.shop.alert(key)
            assert alert.status is AlertStatus.FIRING
            assert incident.is_live or said_at <= (incident.resolved_at or 0) + incident.plan.resolve_after_ms, "its next repeat reopens it"
            assert incident.labels.items() <= self.labels[key].items() or incident.number in self.shop.book.deferred

    @invariant()
    def the_counts_of_an_incident_are_those_of_its_alerts(self) -> None:
        for incident in self.shop.live():
            if incident.number not in self.shop.book.deferred:
                mine = [key for key, ref in self.shop.book.alerts.items() if ref.number == incident.number]
                assert incident.firing == sum(key in self.fires for key in mine)
                assert incident.resolved == len(mine) - incident.firing

    @invariant()
    def nothing_that_fires_at_severity_1_is_treated_as_less_unless_a_person_said_so(self) -> None:
        for key in self.fires:
            incident, _ = self.shop.alert(key)
            if incident.is_live and "severity" in self.labels[key] and not incident.severity_pinned:
                assert incident.severity == 1

    def teardown(self) -> None:
        """What still fires is found again by its next repeat, and what waited is taken up."""
        self.shop.now += 6 * MINUTE
        self.shop.timers()
        self.every_sender_repeats_what_fires()
        for shard in range(self.shop.shards):
            self.shop.commits(self.shop.folds(shard, []))
        assert all(self.shop.alert(key)[0].is_live for key in self.fires)
        self.the_counts_of_an_incident_are_those_of_its_alerts()
        assert not self.shop.book.deferred


TestOneIncident = OneIncident.TestCase
TestOneIncident.settings = settings(max_examples=60, stateful_step_count=40)
TestSmallWorld = SmallWorld.TestCase
TestSmallWorld.settings = settings(max_examples=100, stateful_step_count=30)
