"""Whatever happens in whatever order: an incident keeps its promises, and so does a small world of alerts and groups."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.policy.world import (
    CSE,
    DUTY,
    HOUR,
    LADDER,
    LEAD,
    MANAGER,
    MINUTE,
    PLAN,
    SECOND,
    Story,
    firing,
    make_rules,
)
from tocsin.policy import events as ev
from tocsin.policy.model import LOW, State

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
DUTIES = st.sampled_from([("kim",), ("park", "kim"), (), ("ghost",)])
HOLDERS = st.fixed_dictionaries({DUTY: DUTIES, CSE: st.sampled_from([("lee",), ("park",), ()]), LEAD: DUTIES, MANAGER: st.just(("jeong",))})


class OneIncident(RuleBasedStateMachine):
    """People, monitoring, time and providers do to one incident what they like."""

    story: Story

    @initialize(
        ladder=LADDERS,
        plan=PLANS,
        holders=HOLDERS,
        emergency=st.sampled_from([(), ("log:", "mailto:a@b")]),
        level=LEVELS,
        by_hand=st.booleans(),
    )
    def begin(self, ladder, plan, holders, emergency, level, by_hand) -> None:  # type: ignore[no-untyped-def]
        self.story = Story(make_rules(ladder=ladder, plan=plan, holders=holders, emergency=emergency))
        if by_hand:
            self.story.opens_by_hand(level)
        else:
            self.story.opens(level)

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

    @rule(level=LEVELS)
    def somebody_sets_the_severity(self, level: int) -> None:
        self.story.happens(ev.SeveritySet("lee", level))

    # --- providers ---

    @rule(data=st.data(), what=st.sampled_from(["sent", "refused", "away", "away later", "no answer"]))
    def something_comes_of_a_page(self, data: st.DataObject, what: str) -> None:
        """Of any page there ever was: late, twice, after it was withdrawn."""
        if not self.story.ids:
            return
        page_id = data.draw(st.sampled_from(sorted(self.story.ids)))
        event: ev.Event
        match what:
            case "sent":
                event = ev.PageSent(page_id, "receipt")
            case "refused":
                event = ev.PageRefused(page_id, "no such address")
            case _:
                event = ev.PageUnreachable(page_id, "503", what == "no answer", 2 * HOUR if what == "away later" else 0)
        self.story.happens(event)

    @rule(who=st.sampled_from(["kim", "park", "jeong"]))
    def a_provider_goes_down_or_comes_back(self, who: str) -> None:
        self.story.down ^= {who}

    def teardown(self) -> None:
        """However it went, somebody hears of it in the end, or it ends: left alone for two days, with the providers back."""
        if not hasattr(self, "story"):
            return
        story = self.story
        assert story.replayed() == story.incident, "the history adds up to the present"
        if all(d.incident.severity == LOW for d in story.decisions):
            assert not any(p.rung is not None for d in story.decisions for p in d.incident.pages), "severity 4 climbs no ladder"
        story.down.clear()
        somebody = any(story.rules.people[p].contacts for role in story.rules.roles.values() for p in role.people)
        told = len(story.told)
        story.after(48 * HOUR)
        incident = story.incident
        if incident.state is State.OPEN and incident.severity < LOW and somebody:
            assert len(story.told) > told, "an open incident that nobody has pages somebody within two days"
        assert incident.state is not State.ACKNOWLEDGED, "no acknowledgement lasts for ever"


# Replay is checked at the end of each run only: after every step it made the runs ten times as slow and found nothing more.
TestOneIncident = OneIncident.TestCase
TestOneIncident.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
