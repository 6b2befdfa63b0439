"""Test pages and the doctor, over the API."""

from tests.console.conftest import HOUR, Site
from tocsin.policy import events as ev
from tocsin.policy.model import PageKind, State


async def test_a_test_page_waits_in_the_outbox_like_any_other(site: Site) -> None:
    answer = await site.post("/api/v1/test-pages", {"person": "kim", "contact": 1})
    assert answer.status == 201, answer.text
    assert answer.json["status"] == "pending"
    assert answer.json["channel"] == "mailto"
    incident = await site.load(int(answer.json["id"].removeprefix("INC-")))
    [page] = incident.pages
    assert (page.kind, page.person, page.contact, page.due_at) == (PageKind.TEST, "kim", 1, site.clock.now_ms())


async def test_a_test_page_tells_what_came_of_it(site: Site) -> None:
    asked = (await site.post("/api/v1/test-pages", {"person": "kim"})).json
    number = int(asked["id"].removeprefix("INC-"))
    incident = await site.load(number)
    site.clock.advance(400)
    await site.happen(number, ev.PageSent(incident.pages[0].id, "queued as 7"))
    told = (await site.get(f"/api/v1/test-pages/{asked['id']}")).json
    assert (told["status"], told["receipt"], told["after_s"]) == ("sent", "queued as 7", 0.4)


async def test_a_test_resolves_by_itself_and_tells_nobody(site: Site) -> None:
    asked = (await site.post("/api/v1/test-pages", {"person": "kim"})).json
    number = int(asked["id"].removeprefix("INC-"))
    incident = await site.happen(number, ev.PageSent((await site.load(number)).pages[0].id))
    assert incident.due_at is not None
    site.clock.advance(incident.due_at - site.clock.now_ms())
    after = await site.happen(number, ev.TimerDue())
    assert after.state is State.RESOLVED
    assert len(after.pages) == 1


async def test_a_test_page_names_what_is_wrong(site: Site) -> None:
    assert (await site.post("/api/v1/test-pages", {"person": "nobody"})).status == 422
    assert (await site.post("/api/v1/test-pages", {"person": "kim", "contact": 2})).status == 422
    assert (await site.get("/api/v1/test-pages/INC-999")).status == 404


async def test_the_doctor_looks_at_the_store_and_at_every_role(site: Site) -> None:
    await site.deps.store.beat("notifier", site.clock.now_ms())
    findings = {f["name"]: f for f in (await site.get("/api/v1/doctor")).json["findings"]}
    assert findings["appendfsync"]["ok"]
    assert findings["heartbeat-notifier"]["ok"]
    assert not findings["heartbeat-ingest"]["ok"]
    assert findings["heartbeat-ingest"]["consequence"]


# --- who is on call, and whether they can be reached -------------------------------------------------------------------------------


async def test_the_doctor_names_people_with_no_tested_contact_until_a_page_arrived(site: Site) -> None:
    async def tested() -> dict[str, bool]:
        findings = (await site.get("/api/v1/doctor")).json["findings"]
        return {f["what"].partition(" ")[0]: f["ok"] for f in findings if f["name"] == "contact-tested"}

    assert await tested() == {"kim": False, "lee": False, "jung": False}
    asked = (await site.post("/api/v1/test-pages", {"person": "kim", "contact": 1})).json
    number = int(asked["id"].removeprefix("INC-"))
    await site.happen(number, ev.PageSent((await site.load(number)).pages[0].id))
    assert await tested() == {"kim": True, "lee": False, "jung": False}
    site.clock.advance(91 * 24 * HOUR)
    assert not (await tested())["kim"], "contacts grow old"


async def test_the_doctor_says_what_follows_from_a_gap(site: Site) -> None:
    findings = (await site.get("/api/v1/doctor")).json["findings"]
    assert [f["what"] for f in findings if f["name"] == "on-call"] == ["every ladder reaches somebody at once in the next 14 days"]
    await site.post("/api/v1/absences", {"person": "jung", "for": "2h"})
    findings = (await site.get("/api/v1/doctor")).json["findings"]
    [empty] = [f for f in findings if f["name"] == "empty-role"]
    assert (empty["what"], empty["ok"], empty["severity"]) == ("roles.technical-support-lead", False, "warning")
    assert "nobody holds technical-support-lead" in empty["consequence"]
    assert empty["remedy"]


async def test_a_test_page_says_when_it_arrived_and_who_answered(site: Site) -> None:
    asked = (await site.post("/api/v1/test-pages", {"person": "kim"})).json
    assert asked["contacts"] == 2
    number = int(asked["id"].removeprefix("INC-"))
    page = (await site.load(number)).pages[0].id
    await site.happen(number, ev.PageSent(page, "7", receipt_within_ms=30_000))
    site.clock.advance(2_000)
    await site.happen(number, ev.PageDelivered(page))
    site.clock.advance(3_000)
    await site.happen(number, ev.Acknowledged("kim", via="link"))
    told = (await site.get(f"/api/v1/test-pages/{asked['id']}")).json
    assert (told["delivered_after_s"], told["answered_by"], told["answered_after_s"]) == (2.0, "kim", 5.0)


# --- drills ------------------------------------------------------------------------------------------------------------------------


async def test_a_drill_climbs_the_real_ladder_and_says_who_answered_after_how_long(site: Site) -> None:
    begun = await site.post("/api/v1/drills", {"service": "payments", "why": "before the holidays"})
    assert begun.status == 201, begun.text
    assert begun.json["title"] == "DRILL: before the holidays"
    assert [(page["person"], page["rung"], page["status"]) for page in begun.json["pages"]] == [
        ("kim", 0, "pending"),
        ("kim", 0, "pending"),
    ]
    number = int(begun.json["id"].removeprefix("INC-"))
    await site.happen(number, ev.PageSent((await site.load(number)).pages[0].id))
    site.clock.advance(90_000)
    await site.happen(number, ev.Acknowledged("kim"))
    shown = (await site.get(f"/api/v1/drills/{begun.json['id']}")).json
    assert (shown["answered_by"], shown["answered_name"], shown["answered_after_s"]) == ("kim", "김민수", 90.0)
    assert shown["pages"][0]["sent_after_s"] == 0.0
    for _ in range(2):
        ended = await site.post(f"/api/v1/drills/{begun.json['id']}/end")
        assert (ended.status, ended.json["state"]) == (200, "resolved")


async def test_a_drill_that_cannot_be_is_refused_by_its_field(site: Site) -> None:
    agent = await site.token("kim", "agent")
    assert (await site.post("/api/v1/drills", {"service": "payments"}, by=agent)).status == 403
    for body, field in (({"service": "nothing"}, "service"), ({"service": "payments", "severity": 4}, "severity")):
        answer = await site.post("/api/v1/drills", body)
        assert (answer.status, answer.json["errors"][0]["field"]) == (422, field)
    incident = await site.fire()
    assert (await site.get(f"/api/v1/drills/{incident.id}")).status == 404, "not a drill"
    assert (await site.post(f"/api/v1/drills/{incident.id}/end")).status == 404
