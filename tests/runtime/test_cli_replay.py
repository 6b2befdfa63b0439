"""`tocsin replay`: an incident of the policy, step by step, from a console that says what we let it say."""

import json
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from tests.fakes.console import Console
from tests.policy.world import MINUTE, Story
from tests.runtime.test_cli import Ran, tocsin
from tocsin.policy import events as ev
from tocsin.store import codec


def told(story: Story) -> dict[str, Any]:
    """What the console answers about the incident of a story."""
    items = [orjson.loads(codec.history_payload(decision)) for decision in story.decisions]
    return {"id": "INC-1", "items": items, "next": None, "present": orjson.loads(orjson.dumps(story.incident))}


@pytest.fixture
async def console() -> AsyncIterator[Console]:
    async with Console() as running:
        yield running


@pytest.fixture
def story() -> Story:
    """At two in the night nobody answers for half an hour; then lee does, and it clears."""
    story = Story()
    story.opens()
    story.after(31 * MINUTE)
    story.happens(ev.Acknowledged("lee", note="on it"))
    story.after(5 * MINUTE)
    story.clears()
    story.after(5 * MINUTE)
    return story


async def run(console: Console, *words: str) -> Ran:
    return await tocsin("replay", "INC-1", *words, "--url", console.url, TOCSIN_TOKEN="t")


async def test_every_step_is_told_with_its_reason_and_what_it_changed(console: Console, story: Story) -> None:
    console.answers["GET /api/v1/incidents/INC-1/steps"] = told(story)
    ran = await run(console)
    assert ran.code == 0, ran.err
    lines = [line.strip() for line in ran.out.splitlines()]
    assert lines[0] == "INC-1  disk full"
    opened, changed, page, following = lines[1:5]
    assert opened.startswith("1  2026-02-17 02:00:00 KST  opened at 02-17 02:00:00 (severity 1; service web; ladder standard")
    assert changed == "state open, severity 1, firing 1"
    assert page == "new: page to kim as duty-engineer (rung 0s) over contact 1, pending, at 02-17 02:00:00"
    assert following == "next rung: customer-service-engineer (30m) at 02-17 02:30:00"
    assert "page to lee as customer-service-engineer (rung 30m) over contact 1: pending -> sent" in lines
    assert any(line.startswith("5  2026-02-17 02:31:00 KST  acknowledged by lee at 02-17 02:31:00 (until") for line in lines)
    assert any(line.startswith("state open -> acknowledged, assignee - -> lee") for line in lines)
    assert lines[-1] == f"{len(story.decisions)} steps add up to INC-1 as it stands: resolved, severity 1"


async def test_for_programs_each_step_has_its_entry_and_the_words(console: Console, story: Story) -> None:
    console.answers["GET /api/v1/incidents/INC-1/steps"] = told(story)
    found = json.loads((await run(console, "-o", "json")).out)
    assert (found["adds_up"], len(found["steps"])) == (True, len(story.decisions))
    assert found["steps"][0]["at"] == "2026-02-16T17:00:00.000Z"
    assert found["steps"][2]["words"].startswith("rung due at 2026-02-16T17:30:00.000Z (rung 30m; paged lee")


@pytest.mark.parametrize("at", ["02:30", "2026-02-17T02:30:59+09:00"])
async def test_at_a_time_it_is_shown_as_it_was(console: Console, story: Story, at: str) -> None:
    console.answers["GET /api/v1/incidents/INC-1/steps"] = told(story)
    ran = await run(console, "--at", at)
    assert ran.code == 0, ran.err
    assert ran.out.startswith("INC-1  disk full: version 4, since 2026-02-17 02:30:00 KST\n")
    assert "  next rung           technical-support-lead (1h) at 2026-02-17 03:00:00 KST\n" in ran.out
    assert "  page to lee as customer-service-engineer (rung 30m) over contact 1: sent\n" in ran.out
    as_json = json.loads((await run(console, "--at", at, "-o", "json")).out)
    assert (as_json["version"], as_json["incident"]["state"]) == (4, "open")


async def test_before_it_opened_there_was_nothing(console: Console, story: Story) -> None:
    console.answers["GET /api/v1/incidents/INC-1/steps"] = told(story)
    ran = await run(console, "--at", "2026-02-17T01:00:00+09:00")
    assert (ran.code, "there was no INC-1: it opened at 2026-02-17 02:00:00 KST" in ran.err) == (2, True)
    assert (await run(console, "--at", "noon")).code == 2


async def test_steps_that_do_not_add_up_are_told(console: Console, story: Story) -> None:
    answer = told(story)
    answer["present"]["severity"] = 2
    console.answers["GET /api/v1/incidents/INC-1/steps"] = answer
    ran = await run(console)
    assert ran.code == 7
    assert "do NOT add up" in ran.err
    assert "severity is 2, and the steps say 1" in ran.err


async def test_a_step_that_is_missing_is_told(console: Console, story: Story) -> None:
    answer = told(story)
    del answer["items"][3]
    console.answers["GET /api/v1/incidents/INC-1/steps"] = answer
    ran = await run(console)
    assert (ran.code, "step 4 has version 5: one is missing or there twice" in ran.err) == (7, True)


async def test_a_history_without_its_beginning_cannot_be_replayed(console: Console, story: Story) -> None:
    answer = told(story)
    del answer["items"][0]
    console.answers["GET /api/v1/incidents/INC-1/steps"] = answer
    ran = await run(console)
    assert (ran.code, "its beginning is gone, or it is damaged" in ran.err) == (1, True)
