"""`tocsin explain` as a process: what it understands, what it prints, and how it ends when it cannot."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.console import Console, incident, problem
from tests.runtime.test_cli import tocsin

SEOUL_NIGHT = "2026-11-23T02:00:00+09:00"


@pytest.fixture
async def console() -> AsyncIterator[Console]:
    async with Console() as running:
        yield running


async def test_the_shipped_rules_are_explained_without_a_server_in_plain_sentences() -> None:
    ran = await tocsin("explain", "--rules", "alert_rules.yaml", "--at", SEOUL_NIGHT, 'alertname="DBDown"', "severity=critical")
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0] == 'alertname="DBDown", severity="critical" at 2026-11-23 02:00:00 KST'
    assert lines[1] == "  severity 1, service everything-else, ladder standard, if nobody answers:"
    assert any(line.endswith('severity 1: severity=~"critical|page|emergency|1"  [alert_rules.yaml:15]') for line in lines)
    times = [line.strip() for line in lines if line.strip().endswith(" KST") and not line.startswith("alertname")]
    assert times == [f"2026-11-23 {clock}:00 KST" for clock in ("02:00", "02:30", "03:00", "04:00", "04:30")]
    assert not ran.err


async def test_a_time_without_a_zone_is_of_this_machine_and_without_a_time_it_is_now() -> None:
    ran = await tocsin("explain", "--rules", "alert_rules.yaml", "--at", "2026-11-23T02:00", "alertname=DBDown", "-o", "json")
    assert json.loads(ran.out)["at"] == "2026-11-22T17:00:00.000Z"
    assert json.loads((await tocsin("explain", "--rules", "alert_rules.yaml", "alertname=DBDown", "-o", "json")).out)["at"] > "2025"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (('severity=~"critical|page"',), "an alert has values, not patterns"),
        (('severity!="critical"',), "does not say which value the label has"),
        (("critical",), "is neither an incident nor a label"),
        (("a=1", "a=2"), "the label a is given twice"),
        (("a=",), "no label has a value"),
        (("a=1", "--at", "tomorrow"), "tomorrow is not a time like"),
        (("a=1", "--at", "9999-12-31T23:59:59Z"), "is not a time like"),
        (("a=1", "--person", "kim"), "--person asks about an incident"),
        (("INC-42", "--rules", "alert_rules.yaml"), "an incident is explained by the server"),
    ],
)
async def test_what_is_asked_wrongly_is_one_line_that_says_how_to_ask(words: tuple[str, ...], said: str) -> None:
    ran = await tocsin("explain", *words, TOCSIN_URL="http://127.0.0.1:9")
    assert ran.code == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert ran.out == ""


async def test_rules_that_cannot_be_used_are_refused_with_their_problems(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("version: 1\nladders: {a: {rungs: {1: {0s: nobody}}}}\n")
    ran = await tocsin("explain", "--rules", str(file), "a=1")
    assert ran.code == 4
    assert f'{file}:2:31: ladders.a.rungs.1.0s: unknown role "nobody"' in ran.err
    assert (await tocsin("explain", "--rules", str(tmp_path / "none.yaml"), "a=1")).code == 4


async def test_labels_and_instant_reach_the_server_as_they_were_written(console: Console) -> None:
    console.answers["GET /api/v1/explain"] = problem(422, "label: must be name=value")
    ran = await tocsin("explain", 'alertname="디스크 & co"', "--at", SEOUL_NIGHT, TOCSIN_URL=console.url)
    assert ran.code == 2
    assert console.asked[0].query == {"label": "alertname=디스크 & co", "at": SEOUL_NIGHT}


async def test_a_time_of_day_is_the_first_such_time_from_the_opening_on(console: Console) -> None:
    said = {"answer": "nobody\x1b[2J was paged", "steps": [], "quoted": []}
    console.answers["GET /api/v1/incidents/INC-42"] = incident(42) | {"opened_at": "2026-11-22T17:00:42.120Z"}  # 02:00 in Seoul
    console.answers["GET /api/v1/incidents/INC-42/explain"] = said
    for clock in ("02:00", "03:12", "01:30"):
        ran = await tocsin("explain", "42", "--at", clock, "--person", "lee", TOCSIN_URL=console.url)
        assert (ran.code, ran.out) == (0, "nobody[2J was paged\n\n")
    instants = [asked.query["at"] for asked in console.asked if "at" in asked.query]
    assert instants == ["2026-11-23T02:00:00+09:00", "2026-11-23T03:12:00+09:00", "2026-11-24T01:30:00+09:00"]
    assert console.asked[-1].query["person"] == "lee"
