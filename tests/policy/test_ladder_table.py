"""The table of alert_rules.yaml as it is shipped, cell by cell."""

import pytest

from tests.policy.world import HOUR, MINUTE, NIGHT, SECOND, Story, Told, shipped_rules
from tocsin.policy.events import Acknowledged, Resolved
from tocsin.policy.incident import Reason
from tocsin.policy.model import PageKind

RULES = shipped_rules()
DUTY_ON_THAT_NIGHT = "kim"  # kim and park take turns by the week from 5 January 2026, 09:00
PEOPLE = {
    "duty-engineer": DUTY_ON_THAT_NIGHT,
    "customer-service-engineer": "lee",
    "technical-support-lead": "choi",
    "general-manager": "jeong",
}
TABLE = {
    1: {0: "duty-engineer", 30 * MINUTE: "customer-service-engineer", HOUR: "technical-support-lead", 2 * HOUR: "general-manager"},
    2: {0: "duty-engineer", HOUR: "customer-service-engineer", 2 * HOUR: "technical-support-lead", 4 * HOUR: "general-manager"},
    3: {0: "duty-engineer", 2 * HOUR: "customer-service-engineer", 4 * HOUR: "technical-support-lead", 8 * HOUR: "general-manager"},
}
CELLS = [(severity, index, after, role) for severity, row in TABLE.items() for index, (after, role) in enumerate(row.items())]


@pytest.mark.parametrize(("severity", "index", "after", "role"), CELLS)
def test_a_rung_pages_its_role_on_its_millisecond_and_nobody_before(severity: int, index: int, after: int, role: str) -> None:
    story = Story(RULES)
    story.opens(severity)
    before = [PEOPLE[each] for each in TABLE[severity].values()][:index]
    story.until(NIGHT + after - 1)
    assert [t.person for t in story.told] == before
    story.until(NIGHT + after)
    assert story.told[index:] == [Told(NIGHT + after, PEOPLE[role], PageKind.PAGE, role)]


@pytest.mark.parametrize("severity", TABLE)
def test_the_ladder_does_not_drift_however_late_each_turn_comes(severity: int) -> None:
    story = Story(RULES)
    story.opens(severity)
    last = max(TABLE[severity])
    while story.incident.next_rung < len(TABLE[severity]):
        assert story.incident.due_at is not None
        story.sleep(max(0, story.incident.due_at - story.now) + 7 * SECOND)
    assert [p.rung_due_at - NIGHT for p in story.incident.pages] == list(TABLE[severity])
    assert story.now == NIGHT + last + 7 * SECOND


@pytest.mark.parametrize("severity", TABLE)
def test_the_last_rung_is_paged_again_every_half_hour_and_nobody_else_ever(severity: int) -> None:
    story = Story(RULES)
    story.opens(severity)
    end = max(TABLE[severity])
    story.until(NIGHT + end)
    assert [t.person for t in story.told] == [PEOPLE[role] for role in TABLE[severity].values()]
    story.until(NIGHT + end + 24 * HOUR)
    assert story.told[4:] == [Told(NIGHT + end + n * 30 * MINUTE, "jeong", PageKind.PAGE, "general-manager") for n in range(1, 49)]
    assert set(story.reasons[-80:]) == {Reason.LAST_RUNG_REPEATED, Reason.PAGE_SENT}


@pytest.mark.parametrize("severity", TABLE)
@pytest.mark.parametrize("rungs", [1, 2, 3, 4])
def test_an_acknowledgement_stops_the_ladder_on_every_rung(severity: int, rungs: int) -> None:
    story = Story(RULES)
    story.opens(severity)
    story.until(NIGHT + list(TABLE[severity])[rungs - 1])
    story.happens(Acknowledged(DUTY_ON_THAT_NIGHT))
    held_for = {1: 30 * MINUTE, 2: HOUR, 3: 2 * HOUR}[severity]
    assert story.incident.acknowledged_until == story.now + held_for
    story.after(held_for - 1)
    assert len([t for t in story.told if t.kind is PageKind.PAGE]) == rungs
    assert [t.person for t in story.told if t.kind is PageKind.REMINDER] == [DUTY_ON_THAT_NIGHT]


@pytest.mark.parametrize("severity", TABLE)
def test_resolving_ends_the_ladder_for_good(severity: int) -> None:
    story = Story(RULES)
    story.opens(severity)
    story.after(MINUTE)
    story.happens(Resolved(DUTY_ON_THAT_NIGHT))
    story.after(24 * HOUR)
    assert [t.person for t in story.told] == [DUTY_ON_THAT_NIGHT]


def test_severity_4_opens_an_incident_and_pages_nobody() -> None:
    story = Story(RULES)
    story.opens(4)
    story.after(48 * HOUR)
    assert story.told == []
    assert story.incident.due_at is None


def test_the_duty_changes_hands_while_the_ladder_climbs_and_the_page_follows_the_duty() -> None:
    monday = NIGHT + 6 * 24 * HOUR + 7 * HOUR  # 23 February 2026, 09:00 in Seoul
    story = Story(RULES, now=monday - 1)
    story.opens(1)
    story.after(0)
    assert [t.person for t in story.told] == ["kim"]
    other = Story(RULES, now=monday)
    other.opens(1)
    other.after(0)
    assert [t.person for t in other.told] == ["park"]
