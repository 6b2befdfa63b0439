"""What would happen to an alert: each step in words, with its line of the file, and never anything else than what happens then."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.policy.duties import at
from tocsin.policy.explain import SERVICES_TRIED_MAX, About, Explanation, explain
from tocsin.policy.model import Alert, AlertStatus
from tocsin.policy.roster import Absence, Override, OverrideKind, Roster
from tocsin.policy.rules import Rules
from tocsin.policy.simulator import Simulator
from tocsin.runtime.rulesfile import load_rules

ROOT = Path(__file__).resolve().parents[2]
MINUTE = 60_000
HOUR = 60 * MINUTE
NIGHT = at("2026-02-17T02:00:00")

HOUSE = """\
version: 1
severities:
  - {level: 1, matchers: ['severity="critical"']}
  - {level: 2, matchers: ['severity=~"error|warning"']}
  - {level: 4, matchers: ['severity="info"']}
services:
  - {name: payments, matchers: ['team="payments"'], group_by: [alertname, cluster], wait: 10m}
  - {name: everything-else, group_by: [alertname]}
ladders:
  standard:
    rungs:
      1: {0s: duty, 30m: engineer, 1h: lead}
      2: {0s: duty, 1h: engineer}
      3: {0s: engineer}
    last_resort: [lead]
    repeat_last: 20m
roles:
  duty: {schedule: nights}
  engineer: [lee]
  lead: [choi]
schedules:
  nights:
    time_zone: Asia/Seoul
    layers:
      - {rotation: [kim, park], every: 1w, starts: 2026-01-05T09:00}
people:
  kim: {time_zone: Asia/Seoul, contacts: ['slack:U0123ABCD', {to: 'tel:+821012345678', after: 5m, limit: 2/15m}]}
  park: {time_zone: Asia/Seoul, contacts: ['log:'], quiet: [{times: '22:00-07:00', severities: [2, 3]}]}
  lee: {time_zone: Asia/Seoul, contacts: ['log:'], quiet: [{times: '22:00-07:00', severities: [2, 3]}]}
  choi: {contacts: ['log:']}
channels:
  slack: {token: xoxb-secret, signing_secret: secret}
  tel: {provider: http, url: 'https://voice.example.com/call?to={to}&text={text}'}
inhibit:
  - {source: ['alertname="NodeDown"'], target: ['severity="warning"'], equal: [node]}
"""


def house(text: str = HOUSE, roster: Roster | None = None) -> Rules:
    rules = load_rules(text, file_name="house.yaml", environment={}, read_file=lambda name: name)
    return rules if roster is None else replace(rules, roster=roster)


RULES = house()


def asked(labels: Mapping[str, str], when: int = NIGHT, rules: Rules | None = None) -> Explanation:
    return explain(labels, when, rules or RULES)


def said(explanation: Explanation, *about: About) -> list[str]:
    return [f"{step.place.rpartition(':')[2]} {step.said}" for step in explanation.steps if step.about in (about or tuple(About))]


def line(text: str) -> str:
    return str(next(number for number, each in enumerate(HOUSE.splitlines(), 1) if text in each))


def test_the_severity_rules_are_told_up_to_the_one_that_matches_with_their_lines() -> None:
    steps = said(asked({"alertname": "Slow", "severity": "warning"}), About.SEVERITY)
    assert steps == [
        f'{line("level: 1")} not severity 1 by this rule: severity="critical" does not hold, severity is "warning"',
        f'{line("level: 2")} severity 2: severity=~"error|warning"',
    ]


def test_what_no_rule_matches_is_severity_3_and_the_absence_of_a_label_is_said() -> None:
    explanation = asked({"alertname": "Slow"})
    assert explanation.severity == 3
    steps = said(explanation, About.SEVERITY)
    assert steps[0].endswith("there is no label severity")
    assert steps[-1].endswith("severity 3: no rule of the severities matches")


def test_the_services_above_say_why_they_do_not_match() -> None:
    steps = said(asked({"alertname": "Slow", "team": "web"}), About.SERVICE)
    assert steps == [
        f'{line("name: payments")} not payments: team="payments" does not hold, team is "web"',
        f"{line('name: everything-else')} service everything-else: it takes what no service above it takes",
    ]


def test_a_long_list_of_services_is_counted_rather_than_told() -> None:
    many = "".join(f"  - {{name: s{number}, matchers: ['team=\"{number}\"']}}\n" for number in range(100))
    steps = asked({"alertname": "Slow"}, rules=house(HOUSE.replace("services:\n", "services:\n" + many))).steps
    tried = [step.said for step in steps if step.about is About.SERVICE]
    assert len(tried) == SERVICES_TRIED_MAX + 2
    assert tried[-2] == "nor any of 81 more services above it"


def test_the_group_names_the_labels_that_agree_and_those_that_are_not_there() -> None:
    explanation = asked({"alertname": "Slow", "team": "payments"})
    assert explanation.group == {"alertname": "Slow", "cluster": ""}
    assert said(explanation, About.GROUP)[0].endswith('that have alertname="Slow", no cluster')


def test_the_ladder_is_told_with_instants_people_contacts_and_why_each_holds_the_role() -> None:
    explanation = asked({"alertname": "Slow", "severity": "critical"}, at("2026-02-11T02:00:00"))
    assert [(rung.at - explanation.at, rung.people) for rung in explanation.rungs] == [
        (0, ("park",)),
        (30 * MINUTE, ("lee",)),
        (HOUR, ("choi",)),
    ]
    steps = said(explanation, About.RUNG, About.ROLE, About.PAGE, About.LAST_RESORT)
    assert steps[:3] == [
        f"{line('1: {0s')} rung 1, at once: duty",
        f"{line('rotation')} park has the turn in the schedule nights, until 2026-02-16 09:00 Asia/Seoul",
        f"{line('  park: ')} park: contact 1, log",
    ]
    assert f"{line('engineer: [lee]')} lee is named in engineer" in steps
    assert steps[-2:] == [
        f"{line('last_resort')} the ladder is exhausted: choi (last resort: lead), again every 20m",
        f"{line('  choi: ')} choi: contact 1, log",
    ]


def test_later_contacts_and_their_limits_are_told_without_an_address() -> None:
    explanation = asked({"alertname": "Slow", "severity": "critical"})
    pages = said(explanation, About.PAGE)
    assert f"{line('  kim: ')} kim: contact 1, slack" in pages
    assert any("kim: contact 2, tel, 5m later unless somebody has answered, which takes 2 in 15m" in page for page in pages)
    assert [(page.person, page.channel, page.limit) for page in explanation.pages[:2]] == [("kim", "slack", ""), ("kim", "tel", "2 in 15m")]
    everything = repr(explanation)
    assert "8210" not in everything
    assert "U0123ABCD" not in everything
    assert "secret" not in everything


def test_a_quiet_time_says_until_when_it_holds_a_page_and_never_holds_severity_1() -> None:
    explanation = asked({"alertname": "Slow", "severity": "warning"}, at("2026-02-11T02:00:00"))
    park = next(page for page in explanation.pages if page.person == "park")
    assert (park.held_until, park.held_why) == (at("2026-02-11T07:00:00"), "quiet time")
    assert any(
        "park: contact 1, log, held until 2026-02-11 07:00 Asia/Seoul (quiet time)" in page for page in said(explanation, About.PAGE)
    )
    gravest = asked({"alertname": "Slow", "severity": "critical"}, at("2026-02-11T02:00:00"))
    assert not any(page.held_until for page in gravest.pages)


def test_a_service_that_waits_moves_what_is_due_before() -> None:
    explanation = asked({"alertname": "Slow", "team": "payments", "severity": "critical"})
    assert [rung.at - NIGHT for rung in explanation.rungs] == [10 * MINUTE, 30 * MINUTE, HOUR]
    assert any("nobody is paged for the first 10m" in step for step in said(explanation, About.PLAN))


def test_severity_4_pages_nobody_and_says_so() -> None:
    explanation = asked({"alertname": "Slow", "severity": "info"})
    assert (explanation.rungs, explanation.pages) == ((), ())
    assert any("severity 4 opens an incident and pages nobody" in step for step in said(explanation))


def test_inhibitions_that_name_the_alert_are_told_as_not_acted_on() -> None:
    target = said(asked({"alertname": "Slow", "severity": "warning"}), About.INHIBITION)
    assert len(target) == 1
    assert target[0].startswith(
        f'{line("source:")} is named as what is quiet while an alert with alertname="NodeDown" and the same node fires'
    )
    assert target[0].endswith("read, not acted on, it pages all the same")
    assert "quietens alerts" in said(asked({"alertname": "NodeDown", "severity": "critical"}), About.INHIBITION)[0]
    assert said(asked({"alertname": "Slow", "severity": "critical"}), About.INHIBITION) == []


def test_an_empty_role_is_a_gap_and_the_next_rung_is_due_at_once() -> None:
    explanation = asked({"alertname": "Slow", "severity": "critical"}, rules=house(HOUSE.replace("engineer: [lee]", "engineer: []")))
    assert [rung.at - NIGHT for rung in explanation.rungs] == [0, 30 * MINUTE, 30 * MINUTE]
    gaps = said(explanation, About.GAP)
    assert f"{line('engineer: [lee]')} nobody holds engineer then" in gaps
    assert any("rung 2 reaches nobody" in gap for gap in gaps)
    assert any("now because the one before it reaches nobody" in step for step in said(explanation, About.RUNG))


def test_a_ladder_that_reaches_nobody_ends_at_the_emergency_contacts_and_is_told_once() -> None:
    nobody = (
        HOUSE.replace("duty: {schedule: nights}", "duty: []").replace("engineer: [lee]", "engineer: []").replace("lead: [choi]", "lead: []")
    )
    explanation = asked({"alertname": "Slow", "severity": "critical"}, rules=house(nobody + "emergency: {to: ['log:']}\n"))
    assert [rung.at - NIGHT for rung in explanation.rungs] == [0, 0, 0]
    assert [(page.at - NIGHT, page.person) for page in explanation.pages] == [(0, "emergency"), (20 * MINUTE, "emergency")]
    assert len(said(explanation, About.LAST_RESORT)) == 2
    without = asked({"alertname": "Slow", "severity": "critical"}, rules=house(nobody))
    assert without.pages == ()
    assert any("the ladder is exhausted and nobody is left to page, again every 20m" in gap for gap in said(without, About.GAP))


def test_who_has_no_contact_is_a_gap() -> None:
    rules = house(HOUSE.replace("choi: {contacts: ['log:']}", "choi: {}"))
    gaps = said(asked({"alertname": "Slow", "severity": "critical"}, rules=rules), About.GAP)
    assert any("choi has no contact and cannot be paged" in gap for gap in gaps)
    assert not any("choi is named in lead" in gap for gap in gaps)


def test_a_severity_without_rungs_is_said_to_page_nobody() -> None:
    rules = house(HOUSE.replace("3: {0s: engineer}", "3: {}"))
    told = said(asked({"alertname": "Slow"}, rules=rules))
    assert any("severity 3 has no rungs in the ladder standard: nobody is paged" in each for each in told)
    assert not any("climbs the ladder" in each for each in told)


def test_an_override_and_an_absence_are_told_with_who_made_them_and_why() -> None:
    roster = Roster(
        1,
        (Override("OVR-1", "nights", "choi", NIGHT - HOUR, NIGHT + HOUR, None, OverrideKind.COVER, "at a wedding", "kim"),),
        (Absence("ABS-1", "lee", NIGHT - HOUR, NIGHT + 5 * HOUR, "ill"),),
    )
    explanation = asked({"alertname": "Slow", "severity": "critical"}, rules=house(roster=roster))
    told = said(explanation, About.ROLE, About.GAP)
    assert any("choi covers the shift in the schedule nights" in step and "(OVR-1 by kim: at a wedding)" in step for step in told)
    assert any("kim would have the turn in nights and is replaced by choi" in step for step in told)
    assert any("lee is named in engineer and away: away until 2026-02-17 07:00 Asia/Seoul (ill)" in step for step in told)


def test_hostile_labels_are_only_ever_shortened_text() -> None:
    explanation = asked({"alertname": "x" * 10_000, "severity": '"{actor}\n\u202e'})
    assert max(len(step.said) for step in explanation.steps) < 600


LABELS = st.fixed_dictionaries(
    {"alertname": st.sampled_from(["Slow", "NodeDown"])},
    optional={"severity": st.sampled_from(["critical", "error", "warning", "info", "odd"]), "team": st.sampled_from(["payments", "web"])},
)


@given(labels=LABELS, when=st.integers(NIGHT, NIGHT + 30 * 24 * HOUR))
@pytest.mark.parametrize(
    "rules", [house(), load_rules((ROOT / "alert_rules.yaml").read_text(), file_name="a", environment={}, read_file=str)]
)
def test_an_explanation_says_what_the_simulator_does(rules: Rules, labels: dict[str, str], when: int) -> None:
    explanation = explain(labels, when, rules)
    world = Simulator(rules, when)
    world.report([Alert("a", "", AlertStatus.FIRING, labels, {}, when, when + 48 * HOUR)])
    last = max([rung.at for rung in explanation.rungs], default=when)
    world.advance(last)
    handed = [(each.at, each.page.person, each.page.contact) for each in world.handed]
    assert [(page.at, page.person, page.contact) for page in explanation.pages if page.at <= last] == handed
    (incident,) = world.incidents.values()
    assert (incident.severity, incident.service) == (explanation.severity, explanation.service)
    assert incident.next_rung == len(explanation.rungs) == len(incident.rungs)
