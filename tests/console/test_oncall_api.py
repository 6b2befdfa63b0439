"""Who is on call, read and changed over the API: what people may do, what it comes to, and what is kept of it."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from icalendar import Calendar
from openapi_spec_validator import validate

from tests.console.conftest import HOUR, MINUTE, RULES, Site
from tocsin.policy import oncall

DAY = 24 * HOUR
# START is 02:55 in the night to Tuesday, 17 February 2026, in Seoul. Kim's week ends on Monday the 23rd at nine, Lee's begins.
SCHEDULES = """
schedules:
  duty:
    time_zone: Asia/Seoul
    layers:
      - {rotation: [kim, lee], every: 1w, starts: 2026-02-16T09:00}
  days:
    time_zone: Europe/Berlin
    layers:
      - {rotation: [jung], every: 1d, starts: 2026-01-01T00:00, restrict: [{times: '09:00-17:00'}]}
"""


@pytest.fixture
async def duty(site: Site) -> AsyncIterator[Site]:
    """A console whose duty engineer is taken in turns by kim and lee."""
    assert site.deps.settings.config_file is not None
    rules = RULES.replace("duty-engineer: {people: [kim]}", "duty-engineer: {schedule: duty}") + SCHEDULES
    site.deps.settings.config_file.write_text(rules)
    await site.deps.rules.reload()
    yield site
    assert await site.deps.store.roster.broken_links() == []


def at(text: str) -> str:
    """An instant as the API answers it, of a time in Seoul."""
    moment = datetime.fromisoformat(f"{text}+09:00").astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.000Z"


async def holder(site: Site, when: str | None = None, role: str = "duty-engineer") -> list[str]:
    answer = await site.get("/api/v1/oncall", params={} if when is None else {"at": f"{when}+09:00"})
    assert answer.status == 200, answer.text
    [found] = [each for each in answer.json["roles"] if each["role"] == role]
    return [person["person"] for person in found["people"]]


async def override(site: Site, by: str | None = "admin-token", **body: Any) -> Any:
    full = {"schedule": "duty", "person": "lee", "from": "2026-02-17T14:00", "until": "2026-02-17T15:30"} | body
    return await site.post("/api/v1/overrides", {name: value for name, value in full.items() if value is not None}, by=by)


# --- reading -----------------------------------------------------------------------------------------------------------------------


async def test_schedules_say_who_is_on_duty_now_and_who_next(duty: Site) -> None:
    answer = await duty.get("/api/v1/schedules")
    found = {item["name"]: item for item in answer.json["items"]}
    assert found["duty"]["now"]["person"] == "kim"
    assert found["duty"]["now"]["name"] == "김민수"
    assert (found["duty"]["next"]["person"], found["duty"]["next"]["from"]) == ("lee", at("2026-02-23T09:00:00"))
    assert found["days"]["now"] is None, "it is the evening in Berlin"


async def test_a_part_of_a_schedule_is_final_shifts_with_their_cause_and_gaps(duty: Site) -> None:
    assert (await override(duty, replaces="kim", kind="cover")).status == 201
    answer = await duty.get("/api/v1/schedules/duty", params={"from": "2026-02-17T12:00", "to": "2026-02-17T18:00"})
    assert answer.status == 200, answer.text
    assert [(s["person"], s["cause"], s["from"], s["until"]) for s in answer.json["shifts"]] == [
        ("kim", "rotation", at("2026-02-17T12:00:00"), at("2026-02-17T14:00:00")),
        ("lee", "cover", at("2026-02-17T14:00:00"), at("2026-02-17T15:30:00")),
        ("kim", "rotation", at("2026-02-17T15:30:00"), at("2026-02-17T18:00:00")),
    ]
    assert answer.json["shifts"][1]["instead_of"] == ["kim"]
    days = await duty.get("/api/v1/schedules/days", params={"from": "2026-02-17T00:00", "to": "2026-02-18T00:00"})
    assert len(days.json["shifts"]) == 1
    assert len(days.json["gaps"]) == 2, "before nine and after five"
    assert (await duty.get("/api/v1/schedules/none")).status == 404


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-02-30T00:00"}, "from"),
        ({"from": "2026-02-17T00:00", "to": "2026-02-17T00:00"}, "to"),
        ({"from": "2026-02-17T00:00", "to": "2029-02-17T00:00"}, "to"),
        ({"form": "2026-02-17T00:00"}, "form"),
    ],
)
async def test_a_part_that_cannot_be_is_refused_by_its_field(duty: Site, query: dict[str, str], field: str) -> None:
    answer = await duty.get("/api/v1/schedules/duty", params=query)
    assert answer.status == 422
    assert field in [error["field"] for error in answer.json["errors"]]


# --- overrides ---------------------------------------------------------------------------------------------------------------------


async def test_an_override_says_whom_it_replaces_when_and_what_it_comes_to(duty: Site) -> None:
    answer = await override(duty, why="the dentist")
    assert answer.status == 201, answer.text
    assert answer.json["says"] == ["이서연 is on duty 14:00-15:30 KST in place of 김민수"]
    assert [(shift["person"], shift["cause"]) for shift in answer.json["replaced"]] == [("kim", "rotation")]
    assert answer.json["time_zone"] == "Asia/Seoul"
    assert await holder(duty, "2026-02-17T13:59:59") == ["kim"]
    assert await holder(duty, "2026-02-17T14:00:00") == ["lee"]
    assert await holder(duty, "2026-02-17T15:29:59") == ["lee"]
    assert await holder(duty, "2026-02-17T15:30:00") == ["kim"]
    listed = await duty.get("/api/v1/overrides", params={"schedule": "duty"})
    assert [item["id"] for item in listed.json["items"]] == [answer.json["id"]]


async def test_F1_M4_a_typed_time_is_on_the_clock_of_the_schedule_and_an_instant_keeps_its_own_zone(duty: Site) -> None:
    typed = await override(duty)
    assert typed.json["from"] == at("2026-02-17T14:00:00")
    elsewhere = await override(duty, **{"from": "2026-02-17T06:00:00+01:00", "until": "2026-02-17T08:30:00Z"})
    assert (elsewhere.json["from"], elsewhere.json["until"]) == (at("2026-02-17T14:00:00"), at("2026-02-17T17:30:00"))
    of_day = await override(duty, **{"from": "23:00", "until": "01:00"})
    assert (of_day.json["from"], of_day.json["until"]) == (at("2026-02-17T23:00:00"), at("2026-02-18T01:00:00"))
    berlin = await override(duty, schedule="days", **{"from": "2026-03-29T02:30", "until": "2026-03-29T04:00"})
    assert berlin.json["from"] == "2026-03-29T01:00:00.000Z", "a time that the clock skips is the first one after it"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"until": "2026-02-17T14:00"}, "until"),
        ({"from": "14:00", "until": "14:00"}, "until"),
        ({"until": "2026-02-17T13:00"}, "until"),
        ({"from": "2026-02-10T14:00", "until": "2026-02-10T15:00"}, "until"),
        ({"until": "2028-02-17T13:00"}, "until"),
        ({"from": "2031-02-17T13:00", "until": "2031-02-18T13:00"}, "from"),
        ({"for": "1h"}, "for"),
        ({"from": "14 o'clock"}, "from"),
        ({"person": "nobody"}, "person"),
        ({"replaces": "nobody"}, "replaces"),
        ({"replaces": "lee"}, "replaces"),
        ({"schedule": "nothing"}, "schedule"),
        ({"kind": "swap"}, "kind"),
        ({"form": "x"}, "form"),
    ],
)
async def test_F22_an_override_that_cannot_be_is_refused_by_its_field(duty: Site, body: dict[str, str], field: str) -> None:
    answer = await override(duty, **body)
    assert answer.status == 422, answer.text
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert (await duty.deps.store.roster.load()).version == 0


async def test_a_field_that_is_left_out_is_named(duty: Site) -> None:
    answer = await duty.post("/api/v1/overrides", {"persn": "kim"})
    found = {each["field"]: each["detail"] for each in answer.json["errors"]}
    assert found == {"schedule": "must be given", "person": "must be given", "persn": "there is no such field"}


async def test_doing_it_again_is_the_same_override_again(duty: Site) -> None:
    first = await override(duty)
    again = await override(duty)
    assert (again.status, again.json["id"]) == (201, first.json["id"])
    assert (await duty.deps.store.roster.load()).version == 1
    other = await override(duty, person="jung")
    back = await override(duty)
    assert len({first.json["id"], other.json["id"], back.json["id"]}) == 3, "something newer stood against it, so it is made anew"
    assert await holder(duty, "2026-02-17T14:30:00") == ["lee"]


async def test_taking_a_shift_without_an_end_takes_the_rest_of_it(duty: Site) -> None:
    kim = await duty.token("lee", "agent")
    answer = await override(duty, by=kim, person="lee", kind="take", **{"from": None, "until": None})
    assert answer.status == 201, answer.text
    assert answer.json["until"] == at("2026-02-23T09:00:00")
    assert answer.json["kind"] == "take"
    assert await holder(duty) == ["lee"]


async def test_an_override_taken_back_before_it_begins_is_gone_and_later_ends_now(duty: Site) -> None:
    made = (await override(duty)).json["id"]
    gone = await duty.request("DELETE", f"/api/v1/overrides/{made}", by="admin-token")
    assert (gone.status, gone.json["ended_at"]) == (200, None)
    assert gone.json["says"] == ["김민수 is on duty 14:00-15:30 KST"]
    assert (await duty.request("DELETE", f"/api/v1/overrides/{made}", by="admin-token")).status == 404

    begun = (await override(duty, **{"from": None, "for": "2h", "until": None})).json
    duty.clock.advance(30 * MINUTE)
    ended = await duty.request("DELETE", f"/api/v1/overrides/{begun['id'].lower()}", by="admin-token")
    assert ended.status == 200
    assert await holder(duty) == ["kim"]
    assert await holder(duty, "2026-02-17T03:10:00") == ["lee"], "what has been stays as it was"
    over = await duty.request("DELETE", f"/api/v1/overrides/{begun['id']}", by="admin-token")
    assert over.status == 409


async def test_what_begins_in_the_past_begins_now(duty: Site) -> None:
    answer = await override(duty, **{"from": "2026-02-17T01:00", "until": "2026-02-17T04:00"})
    assert answer.json["from"] == at("2026-02-17T02:55:00")
    assert await holder(duty, "2026-02-17T01:30:00") == ["kim"]


async def test_an_override_that_fits_nobody_says_that_nothing_changes(duty: Site) -> None:
    answer = await override(duty, person="jung", replaces="lee")
    assert answer.json["says"] == ["this changes nothing now: 이서연 is not on duty then"]


async def test_a_cover_in_place_of_somebody_who_is_on_duty_by_an_override_says_why_it_changes_nothing(duty: Site) -> None:
    taken = (await override(duty, kind="take")).json["id"]
    answer = await override(duty, person="jung", replaces="lee", kind="cover")
    [said] = answer.json["says"]
    assert said.startswith(f"this changes nothing now: 이서연 is on duty then by {taken}, which stands")


# --- who may -----------------------------------------------------------------------------------------------------------------------


async def test_an_agent_changes_their_own_duty_and_a_supervisor_anybodys(duty: Site) -> None:
    kim, boss, viewer = await duty.token("kim", "agent"), await duty.token("boss", "supervisor"), await duty.token("tv", "viewer")
    assert (await override(duty, by=kim)).status == 403, "lee's duty, whoever is replaced"
    assert (await override(duty, by=kim, replaces="kim")).status == 201, "cover me"
    assert (await override(duty, by=kim, person="kim")).status == 201, "take it"
    assert (await override(duty, by=boss)).status == 201
    assert (await override(duty, by=viewer)).status == 403
    assert (await override(duty, by=None)).status == 401
    away = {"person": "lee", "for": "20m"}
    assert (await duty.post("/api/v1/absences", away, by=kim)).status == 403
    assert (await duty.post("/api/v1/absences", away, by=boss)).status == 201
    assert (await duty.get("/api/v1/roster/history", by=viewer)).status == 200


# --- absences ----------------------------------------------------------------------------------------------------------------------


async def test_stepping_away_for_twenty_minutes_sends_pages_to_the_next_at_once(duty: Site) -> None:
    kim = await duty.token("kim", "agent")
    answer = await duty.post("/api/v1/absences", {"person": "kim", "for": "20m", "why": "lunch"}, by=kim)
    assert answer.status == 201, answer.text
    assert answer.json["says"] == ["김민수 is away 02:55-03:15 KST", "duty-engineer: 이서연 02:55-03:15 KST in place of 김민수"]
    assert await holder(duty) == ["lee"]
    again = await duty.post("/api/v1/absences", {"person": "kim", "until": answer.json["until"]}, by=kim)
    assert again.json["id"] == answer.json["id"]
    duty.clock.advance(20 * MINUTE)
    assert await holder(duty) == ["kim"]


async def test_coming_back_ends_an_absence(duty: Site) -> None:
    made = (await duty.post("/api/v1/absences", {"person": "kim", "for": "2h"})).json
    duty.clock.advance(10 * MINUTE)
    back = await duty.request("DELETE", f"/api/v1/absences/{made['id']}", by="admin-token")
    assert back.status == 200
    assert back.json["says"][:2] == ["김민수 is there", "duty-engineer: 김민수 03:05-04:55 KST in place of 이서연"]
    assert await holder(duty) == ["kim"]
    assert (await duty.get("/api/v1/absences")).json["items"] == []
    assert len((await duty.get("/api/v1/absences", params={"ended": "true"})).json["items"]) == 1


async def test_whoever_stepped_away_twice_is_still_away_when_one_of_them_is_taken_back(duty: Site) -> None:
    await duty.post("/api/v1/absences", {"person": "kim", "for": "20m"})
    duty.clock.advance(400)
    again = (await duty.post("/api/v1/absences", {"person": "kim", "for": "20m"})).json
    assert again["says"] == ["김민수 is away 02:55-03:15 KST", "nothing changes for any role"], "part of a second is not worth a word"
    back = await duty.request("DELETE", f"/api/v1/absences/{again['id']}", by="admin-token")
    assert back.json["says"][0] == "김민수 is still away 02:55-03:15 KST"
    assert await holder(duty) == ["lee"]


async def test_an_absence_that_leaves_a_role_empty_says_so(duty: Site) -> None:
    answer = await duty.post("/api/v1/absences", {"person": "jung", "until": "2026-02-17T00:00"})
    assert any("technical-support-lead: nobody" in said and "next rung at once" in said for said in answer.json["says"])


async def test_an_absence_without_an_end_is_refused(duty: Site) -> None:
    answer = await duty.post("/api/v1/absences", {"person": "kim"})
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "until")


# --- swaps -------------------------------------------------------------------------------------------------------------------------


async def test_a_swap_counts_once_both_have_agreed_and_not_before(duty: Site) -> None:
    kim, lee, jung = await duty.token("kim", "agent"), await duty.token("lee", "agent"), await duty.token("jung", "agent")
    turns = {
        "first": {"person": "kim", "from": "2026-02-18T09:00", "until": "2026-02-19T09:00"},
        "second": {"person": "lee", "from": "2026-02-25T09:00", "until": "2026-02-26T09:00"},
    }
    assert (await duty.post("/api/v1/swaps", {"schedule": "duty", **turns}, by=jung)).status == 403
    proposed = await duty.post("/api/v1/swaps", {"schedule": "duty", **turns, "why": "a wedding"}, by=kim)
    assert proposed.status == 201, proposed.text
    assert (proposed.json["agreed"], proposed.json["counts"]) == (["kim"], False)
    assert proposed.json["says"][-1] == "nothing changes before 이서연 agreed"
    assert await holder(duty, "2026-02-18T12:00:00") == ["kim"]
    path = f"/api/v1/swaps/{proposed.json['id']}"
    assert (await duty.post(f"{path}/agree", {"person": "lee"}, by=kim)).status == 403
    assert (await duty.post(f"{path}/agree", {"person": "jung"}, by=jung)).status == 422
    agreed = await duty.post(f"{path}/agree", {"person": "lee"}, by=lee)
    assert (agreed.status, agreed.json["counts"]) == (200, True)
    assert await holder(duty, "2026-02-18T12:00:00") == ["lee"]
    assert await holder(duty, "2026-02-25T12:00:00") == ["kim"]
    assert (await duty.post(f"{path}/agree", {"person": "lee"}, by=lee)).status == 200, "acting twice is not an error"
    assert (await duty.post(f"{path}/decline", by=lee)).status == 409


async def test_a_whole_shift_is_swapped_by_a_time_in_it(duty: Site) -> None:
    body = {"schedule": "duty", "first": {"person": "kim", "at": "2026-02-20T12:00"}, "second": {"person": "lee", "at": "2026-02-25T12:00"}}
    proposed = (await duty.post("/api/v1/swaps", body)).json
    assert (proposed["first"]["from"], proposed["first"]["until"]) == (at("2026-02-17T02:55:00"), at("2026-02-23T09:00:00"))
    assert proposed["agreed"] == [], "the administrator is neither of them"
    assert (await duty.post("/api/v1/swaps", body)).json["id"] == proposed["id"]
    duty.clock.advance(2 * DAY)
    assert (await duty.post(f"/api/v1/swaps/{proposed['id']}/agree", {"person": "kim"})).status == 200
    agreed = await duty.post(f"/api/v1/swaps/{proposed['id']}/agree", {"person": "lee"})
    assert agreed.json["first"]["from"] == at("2026-02-19T02:55:00"), "what has been stays as it was"
    assert await holder(duty, "2026-02-18T12:00:00") == ["kim"]


async def test_a_declined_swap_is_gone(duty: Site) -> None:
    lee = await duty.token("lee", "agent")
    body = {"schedule": "duty", "first": {"person": "kim", "at": "2026-02-20T12:00"}, "second": {"person": "lee", "at": "2026-02-25T12:00"}}
    proposed = (await duty.post("/api/v1/swaps", body)).json
    assert (await duty.post(f"/api/v1/swaps/{proposed['id']}/decline", {"why": "no"}, by=lee)).status == 200
    assert (await duty.get("/api/v1/swaps")).json["items"] == []
    assert (await duty.post(f"/api/v1/swaps/{proposed['id']}/agree", {"person": "lee"}, by=lee)).status == 404


@pytest.mark.parametrize(
    ("first", "second", "field"),
    [
        ({"person": "lee", "at": "2026-02-20T12:00"}, {"person": "lee", "at": "2026-02-25T12:00"}, "first.at"),
        ({"person": "kim", "from": "2026-02-25T12:00", "for": "1h"}, {"person": "lee", "at": "2026-02-25T12:00"}, "first.person"),
        ({"person": "kim", "at": "2026-02-20T12:00"}, {"person": "kim", "at": "2026-03-05T12:00"}, "second.person"),
        ({"person": "kim", "at": "2026-02-20T12:00"}, {"person": "lee"}, "second.until"),
    ],
)
async def test_a_swap_of_what_nobody_has_is_refused_by_its_field(
    duty: Site, first: dict[str, str], second: dict[str, str], field: str
) -> None:
    answer = await duty.post("/api/v1/swaps", {"schedule": "duty", "first": first, "second": second})
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, field)


# --- the record --------------------------------------------------------------------------------------------------------------------


async def test_every_change_stands_in_the_history_with_who_and_why(duty: Site) -> None:
    kim = await duty.token("kim", "agent")
    await override(duty, by=kim, replaces="kim", why="the dentist")
    await duty.post("/api/v1/absences", {"person": "kim", "for": "1h", "why": "lunch"}, by=kim)
    newest = await duty.get("/api/v1/roster/history", params={"limit": "1"})
    assert [(item["act"], item["by"], item["why"]) for item in newest.json["items"]] == [("absence_made", "kim", "lunch")]
    older = await duty.get("/api/v1/roster/history", params={"cursor": newest.json["next"]})
    assert [(item["act"], item["why"], item["overrides"][0]["person"]) for item in older.json["items"]] == [
        ("override_made", "the dentist", "lee")
    ]
    assert older.json["next"] is None


async def test_many_who_change_at_once_all_get_their_change(duty: Site) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(override(duty, **{"from": f"2026-03-{day:02}T10:00", "until": f"2026-03-{day:02}T11:00"}))
            for day in range(1, 21)
        ]
    assert {task.result().status for task in tasks} == {201}
    roster = await duty.deps.store.roster.load()
    assert (roster.version, len({each.id for each in roster.overrides})) == (20, 20)


async def test_another_process_that_changed_it_meanwhile_is_not_overwritten(duty: Site) -> None:
    await override(duty)
    stale = duty.deps.rules.rules
    assert stale.roster.version == 1
    await override(duty, person="jung", **{"from": "2026-02-18T14:00", "until": "2026-02-18T15:30"})
    assert [each.person for each in (await duty.deps.store.roster.load()).overrides] == ["lee", "jung"]


async def test_the_api_document_is_still_valid(duty: Site) -> None:
    document = (await duty.get("/api/v1/openapi.json")).json
    validate(document)
    assert {"/api/v1/overrides", "/api/v1/absences/ics", "/api/v1/swaps/{id}/agree", "/ical/{token}.ics"} <= set(document["paths"])
    shift = document["components"]["schemas"]["ShiftView"]
    assert "from" in shift["properties"]


async def test_F10_the_api_and_the_function_that_pages_use_say_the_same(duty: Site) -> None:
    await override(duty, replaces="kim")
    await duty.post("/api/v1/absences", {"person": "lee", "from": "2026-02-17T15:00", "for": "2h"})
    answer = await duty.get("/api/v1/schedules/duty", params={"from": "2026-02-17T12:00", "to": "2026-03-17T12:00"})
    rules = duty.deps.rules.rules
    for shift in answer.json["shifts"]:
        instant = datetime.fromisoformat(shift["from"])
        assert oncall.holders("duty-engineer", round(instant.timestamp() * 1000), rules) == (shift["person"],)


# --- calendars -------------------------------------------------------------------------------------------------------------------------


async def feed(site: Site, **body: Any) -> str:
    answer = await site.post("/api/v1/calendars", body)
    assert answer.status == 201, answer.text
    return str(answer.json["url"]).removeprefix(site.deps.settings.external_url)


def starts(body: bytes) -> dict[str, datetime]:
    """The beginning of each event, by UID."""
    found = {str(event["UID"]): event.start for event in Calendar.from_ical(body).events}
    return {uid: start for uid, start in found.items() if isinstance(start, datetime)}


async def test_a_calendar_shows_the_shifts_that_pages_follow(duty: Site) -> None:
    made = (await override(duty)).json
    answer = await duty.get(await feed(duty, person="lee"), by=None)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/calendar; charset=utf-8")
    events = Calendar.from_ical(answer.body).events
    assert (events[0].start, events[0].end) == tuple(datetime.fromisoformat(made[name]) for name in ("from", "until"))
    assert events[1].start == datetime.fromisoformat("2026-02-23T00:00:00Z"), "Lee's week"
    rules = duty.deps.rules.rules
    for start in starts(answer.body).values():
        assert oncall.holders("duty-engineer", round(start.timestamp() * 1000), rules) == ("lee",)
    whole = Calendar.from_ical((await duty.get(await feed(duty, schedule="duty"), by=None)).body).events
    assert len(whole) > len(events)
    assert {str(event["SUMMARY"]) for event in whole} == {"김민수 (duty)", "이서연 (duty)"}


async def test_events_of_a_calendar_keep_their_uid_from_day_to_day_and_have_one_each(duty: Site) -> None:
    path = await feed(duty, schedule="days")
    first = starts((await duty.get(path, by=None)).body)
    duty.clock.advance(DAY + 3 * HOUR)
    second = starts((await duty.get(path, by=None)).body)
    assert len(first) > 200
    assert len(set(first.values())) == len(first)
    assert all(second[uid] == start for uid, start in first.items() if uid in second)
    assert len(set(first) - set(second)) <= 2
    assert {start.hour for start in first.values()} == {7, 8}, "nine in Berlin, in winter and in summer"


async def test_a_calendar_that_has_not_changed_is_not_sent_again(duty: Site) -> None:
    path = await feed(duty, person="kim")
    answer = await duty.get(path, by=None)
    assert answer.headers["Cache-Control"] == "private, max-age=300"
    again = await duty.get(path, by=None, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    await override(duty)
    assert (await duty.get(path, by=None, headers={"If-None-Match": answer.headers["ETag"]})).status == 200


async def test_an_address_that_was_turned_shows_nothing_any_more(duty: Site) -> None:
    kim = await duty.token("kim", "agent")
    old = await feed(duty, person="kim")
    assert await feed(duty, person="kim") == old, "asking again gives the same address"
    turned = await duty.post("/api/v1/calendars", {"person": "kim", "rotate": True}, by=kim)
    assert (await duty.get(old, by=None)).status == 404
    assert (await duty.get(turned.json["url"].removeprefix(duty.deps.settings.external_url), by=None)).status == 200
    assert (await duty.post("/api/v1/calendars", {"person": "lee"}, by=kim)).status == 403
    assert (await duty.post("/api/v1/calendars", {"schedule": "duty"}, by=kim)).status == 201
    assert (await duty.post("/api/v1/calendars", {"schedule": "duty", "rotate": True}, by=kim)).status == 403
    assert (await duty.post("/api/v1/calendars", {})).status == 422


async def test_an_address_that_was_not_signed_here_shows_nothing(duty: Site) -> None:
    path = await feed(duty, person="kim")
    link = (await duty.link(await duty.fire(), "kim")).removeprefix("/a/")
    for token in (path[len("/ical/") : -len(".ics")] + "x", "x", link, "a" * 500, "%00"):
        assert (await duty.get(f"/ical/{token}.ics", by=None)).status == 404, token


# --- leave -------------------------------------------------------------------------------------------------------------------------


def calendar(*events: str) -> bytes:
    bodies = "".join(f"BEGIN:VEVENT\r\nUID:{number}@example.com\r\n{event}\r\nEND:VEVENT\r\n" for number, event in enumerate(events))
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example//EN\r\n{bodies}END:VCALENDAR\r\n".encode()


async def leave(site: Site, *events: str, name: str = "work", person: str = "kim", by: str = "admin-token", raw: bytes = b"") -> Any:
    query = {"person": person, "calendar": name}
    return await site.request("POST", "/api/v1/absences/ics", by=by, params=query, data=io.BytesIO(raw or calendar(*events)))


WEEK = "DTSTART;VALUE=DATE:20260218\r\nDTEND;VALUE=DATE:20260221\r\nSUMMARY:Seollal"


async def test_leave_out_of_a_calendar_is_an_absence_on_the_persons_own_days(duty: Site) -> None:
    answer = await leave(duty, WEEK, "DTSTART:20260301T010000Z\r\nDURATION:PT2H", "DTSTART;VALUE=DATE:20250101\r\nSUMMARY:long ago")
    assert answer.status == 201, answer.text
    assert [(each["from"], each["until"], each["why"]) for each in answer.json["added"]] == [
        (at("2026-02-18T00:00:00"), at("2026-02-21T00:00:00"), "Seollal"),
        (at("2026-03-01T10:00:00"), at("2026-03-01T12:00:00"), ""),
    ]
    assert "duty-engineer: 이서연 Wed 2026-02-18 00:00 - Sat 2026-02-21 00:00 KST in place of 김민수" in answer.json["says"]
    assert await holder(duty, "2026-02-17T23:59:59") == ["kim"]
    assert await holder(duty, "2026-02-18T00:00:00") == ["lee"]


async def test_importing_a_calendar_again_replaces_what_it_brought_and_leaves_the_rest(duty: Site) -> None:
    await leave(duty, WEEK, "DTSTART;VALUE=DATE:20260310")
    await leave(duty, "DTSTART;VALUE=DATE:20260401", name="private")
    again = await leave(duty, WEEK, "DTSTART;VALUE=DATE:20260311")
    assert (len(again.json["added"]), again.json["kept"], again.json["removed"]) == (1, 1, 1)
    found = (await duty.get("/api/v1/absences", params={"person": "kim"})).json["items"]
    assert [each["from"] for each in found] == [at(f"2026-{day}T00:00:00") for day in ("02-18", "03-11", "04-01")]
    version = (await duty.deps.store.roster.load()).version
    same = await leave(duty, WEEK, "DTSTART;VALUE=DATE:20260311")
    assert same.json["says"] == ["nothing has changed"]
    assert (await duty.deps.store.roster.load()).version == version


async def test_leave_that_is_no_longer_in_the_calendar_is_said_to_be_over(duty: Site) -> None:
    await leave(duty, WEEK)
    answer = await leave(duty, "DTSTART;VALUE=DATE:20250101")
    assert answer.json["removed"] == 1
    assert answer.json["says"][:2] == [
        "김민수 is no longer away Wed 2026-02-18 00:00 - Sat 2026-02-21 00:00 KST",
        "duty-engineer: 김민수 Wed 2026-02-18 00:00 - Sat 2026-02-21 00:00 KST in place of 이서연",
    ]


async def test_an_override_given_to_somebody_on_leave_stands_when_the_calendar_comes_again(duty: Site) -> None:
    await leave(duty, WEEK)
    duty.clock.advance(MINUTE)
    await override(duty, person="kim", **{"from": "2026-02-19T10:00", "until": "2026-02-19T12:00"})
    duty.clock.advance(MINUTE)
    await leave(duty, WEEK)
    assert await holder(duty, "2026-02-19T11:00:00") == ["kim"]


async def test_repeated_leave_keeps_its_local_time_over_a_change_of_the_clocks(duty: Site) -> None:
    rule = "DTSTART;TZID=Europe/Berlin:20260323T090000\r\nDTEND;TZID=Europe/Berlin:20260323T110000\r\nRRULE:FREQ=WEEKLY;COUNT=2;BYDAY=MO"
    answer = await leave(duty, rule, person="jung")
    assert [each["from"] for each in answer.json["added"]] == ["2026-03-23T08:00:00.000Z", "2026-03-30T07:00:00.000Z"]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"not a calendar", "not an ICS calendar"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (calendar("SUMMARY:no start"), "line 4: the event has no DTSTART"),
        (calendar(WEEK, "DTSTART:20261399T000000Z"), "line 10: DTSTART is not a date"),
        (calendar("DTSTART;TZID=Nowhere/Land:20260301T100000"), "line 4: the zone of DTSTART is not known"),
        (calendar("DTSTART:20260301T100000Z\r\nDTEND:20260301T100000Z"), "line 4: the event ends when it begins"),
        (calendar("DTSTART;VALUE=DATE:20260301\r\nRRULE:FREQ=SECONDLY"), "FREQ must be"),
        (calendar("DTSTART;VALUE=DATE:20260301\r\nRRULE:FREQ=DAILY;INTERVAL=0"), "INTERVAL must be"),
        (calendar("DTSTART;VALUE=DATE:20260301\r\nRRULE:FREQ=DAILY"), "more than 300 absences"),
        (calendar("DTSTART;VALUE=DATE:20260301\r\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"), "RRULE with BYMONTH is not supported"),
        (calendar(*["DTSTART;VALUE=DATE:19900101\r\nRRULE:FREQ=DAILY;UNTIL=20250101"] * 3), "repeat more than 20000 times"),
        (calendar(*["DTSTART;VALUE=DATE:20250101"] * 1001), "more than 1000 events"),
        (calendar("DTSTART;VALUE=DATE:20260301\r\nDTEND;VALUE=DATE:20290301"), "longer than 366 days"),
    ],
)
async def test_a_calendar_that_cannot_be_used_as_a_whole_changes_nothing_and_names_the_line(duty: Site, raw: bytes, said: str) -> None:
    answer = await leave(duty, raw=raw)
    assert answer.status == 422, answer.text
    assert said in answer.json["detail"]
    assert (await duty.deps.store.roster.load()).version == 0


async def test_a_zone_that_a_file_describes_by_itself_is_not_computed(duty: Site) -> None:
    zone = "BEGIN:VTIMEZONE\r\nTZID:Trap\r\nBEGIN:STANDARD\r\nDTSTART:19000101T000000\r\nTZOFFSETFROM:+0900\r\nTZOFFSETTO:+0900\r\n"
    zone += "RRULE:FREQ=SECONDLY\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
    raw = calendar("DTSTART;TZID=Trap:20260301T100000").replace(b"BEGIN:VEVENT", zone.encode() + b"BEGIN:VEVENT", 1)
    answer = await leave(duty, raw=raw)
    assert "line 13: the zone of DTSTART is not known" in answer.json["detail"]


async def test_a_calendar_that_is_too_big_is_refused_before_it_is_read(duty: Site) -> None:
    assert (await leave(duty, raw=b"X" * 1_100_000)).status == 413
    kim = await duty.token("kim", "agent")
    assert (await leave(duty, WEEK, person="lee", by=kim)).status == 403


async def test_hostile_words_in_a_calendar_stay_harmless_words(duty: Site) -> None:
    answer = await leave(duty, "DTSTART;VALUE=DATE:20260301\r\nSUMMARY:a\\nBEGIN:VEVENT\\n\u202e<script>\x1b[2J")
    assert answer.status == 201, answer.text
    [added] = answer.json["added"]
    assert re.fullmatch(r"[\w :<>\[\]]+", added["why"]), added["why"]
