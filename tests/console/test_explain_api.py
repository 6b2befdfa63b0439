"""Explaining over the API: by the rules in force, word for word what the command line says of the same file."""

import json

import pytest

from tests.console.conftest import MINUTE, Site
from tests.runtime.test_cli import Ran, tocsin
from tocsin.policy import events as ev

AT = "2026-02-16T17:55:00Z"
LABELS = {"alertname": "Errors", "team": "payments", "severity": "critical"}
ASKED = "&".join(f"label={name}%3D{value}" for name, value in LABELS.items())


async def told(site: Site, *words: str) -> Ran:
    """Run `tocsin explain` against the console."""
    return await tocsin("explain", *words, TOCSIN_URL=site.url, TOCSIN_TOKEN="admin-token")


async def test_the_api_and_the_command_line_say_the_same_of_the_same_rules(site: Site) -> None:
    answer = await site.get(f"/api/v1/explain?at={AT}&{ASKED}")
    assert answer.status == 200, answer.text
    words = [f'{name}="{value}"' for name, value in LABELS.items()]
    file = str(site.deps.settings.config_file)
    by_file = await tocsin("explain", "--rules", file, "--at", AT, "-o", "json", *words)
    assert json.loads(by_file.out) == answer.json | {"rules_version": 0}
    by_server = await told(site, "--at", AT, "-o", "json", *words)
    assert json.loads(by_server.out) == answer.json
    in_words = await told(site, "--at", AT, *words)
    assert in_words.out == (await tocsin("explain", "--rules", file, "--at", AT, *words)).out
    assert "kim is named in duty-engineer" in in_words.out
    assert f"[{file}:" in in_words.out


async def test_without_an_instant_it_is_now_and_who_is_away_now_is_left_out(site: Site) -> None:
    explanation = (await site.get(f"/api/v1/explain?{ASKED}")).json
    assert explanation["at"] == "2026-02-16T17:55:00.000Z"
    assert [(rung["after"], rung["at"], rung["people"]) for rung in explanation["rungs"]] == [
        ("0s", "2026-02-16T17:55:00.000Z", ["kim"]),
        ("30m", "2026-02-16T18:25:00.000Z", ["lee"]),
        ("1h", "2026-02-16T18:55:00.000Z", ["jung"]),
    ]
    away = await site.post("/api/v1/absences", {"person": "kim", "for": "20m"})
    assert away.status in (200, 201), away.text
    gaps = [step["said"] for step in (await site.get(f"/api/v1/explain?{ASKED}")).json["steps"] if step["about"] == "gap"]
    assert any("kim is named in duty-engineer and away" in gap for gap in gaps)


async def test_no_address_of_a_contact_is_explained(site: Site) -> None:
    answer = await site.get(f"/api/v1/explain?{ASKED}")
    assert "secret-path" not in answer.text
    assert [page["channel"] for page in answer.json["pages"]][:3] == ["log", "mailto", "webhook+https"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "label"),
        ("label=alertname", "must be name=value"),
        ("label=%3Dx", "must be name=value"),
        ("label=a%3D1&label=a%3D2", "more than once"),
        ("label=a%3D1&at=tomorrow", "at"),
        ("label=a%3D1&at=9999-12-31T23:59:59Z", "is too far away"),
        ("label=a%3D1&at=0001-01-01T00:00:00Z", "is too far away"),
        ("label=a%3D1&at=2026-02-16T17:55:00Z&at=2026-02-16T17:55:00Z", "more than once"),
        ("label=a%3D1&colour=red", "colour"),
        ("&".join(f"label=l{number}%3D1" for number in range(65)), "label"),
        ("label=a%3D" + "x" * 5_000, "label"),
    ],
)
async def test_what_cannot_be_explained_is_refused_with_the_field(site: Site, query: str, words: str) -> None:
    answer = await site.get(f"/api/v1/explain?{query}")
    assert answer.status == 422, answer.text
    assert words in answer.json["detail"]


async def test_an_explanation_asks_for_a_token_and_a_viewer_may_have_it(site: Site) -> None:
    assert (await site.get(f"/api/v1/explain?{ASKED}", by=None)).status == 401
    viewer = await site.token("board", "viewer")
    assert (await site.get(f"/api/v1/explain?{ASKED}", by=viewer)).status == 200


async def test_a_label_is_a_repeatable_parameter_of_the_document(site: Site) -> None:
    document = (await site.get("/api/v1/openapi.json", by=None)).json
    parameters = {each["name"]: each for each in document["paths"]["/api/v1/explain"]["get"]["parameters"]}
    assert parameters["label"]["required"]
    assert parameters["label"]["schema"]["type"] == "array"


async def test_why_one_was_paged_and_another_was_not_is_told_with_the_entries_of_the_history(site: Site) -> None:
    incident = await site.fire()
    path = f"/api/v1/incidents/{incident.id}/explain"
    await site.happen(incident.number, ev.PageSent(f"{incident.id}.0.kim.0"))
    site.clock.advance(10 * MINUTE)
    await site.happen(incident.number, ev.Acknowledged("kim"))
    site.clock.advance(15 * MINUTE)
    kim = (await site.get(f"{path}?person=kim")).json
    assert kim["answer"].startswith(f"kim was paged about {incident.id} at 2026-02-17 02:55 Asia/Seoul because the incident opened")
    assert [(entry["version"], entry["reason"]) for entry in kim["quoted"]][:2] == [(1, "opened"), (2, "page_sent")]
    assert kim["quoted"][0]["inputs"]["paged"] == ["kim"]
    lee = (await site.get(f"{path}?person=lee")).json
    assert "was not paged: kim had acknowledged it, which held until 2026-02-17 03:35 Asia/Seoul" in lee["answer"]
    (quoted,) = lee["quoted"]
    assert (quoted["reason"], quoted["actor"], quoted["inputs"]["until"]) == ("acknowledged", "kim", "2026-02-16T18:35:00.000Z")


async def test_a_minute_can_be_asked_about_from_the_command_line(site: Site) -> None:
    incident = await site.fire()
    site.clock.advance(30 * MINUTE)
    await site.happen(incident.number, ev.TimerDue())
    early = await told(site, incident.id, "--at", "02:55")
    assert early.out.startswith(f"kim was paged about {incident.id} at 2026-02-16 17:55 UTC"), early.err
    late = await told(site, incident.id, "--at", "03:25", "--person", "lee")
    assert "because the rung fell due and nobody had answered" in late.out
    assert "history:" in late.out
    assert "rung_due" in late.out
    never = await told(site, incident.id, "--person", "jung", "-o", "json")
    assert json.loads(never.out)["answer"].startswith(f"jung was not paged about {incident.id}: rung 3")


async def test_an_unknown_incident_is_not_found_and_an_unknown_person_is_said_to_be(site: Site) -> None:
    assert (await site.get("/api/v1/incidents/INC-999/explain")).status == 404
    incident = await site.fire()
    answer = (await site.get(f"/api/v1/incidents/{incident.id}/explain?person=nobody")).json
    assert "there is nobody called nobody in the rules" in answer["answer"]
