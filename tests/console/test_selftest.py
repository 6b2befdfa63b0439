"""Test pages and the doctor, over the API."""

from tests.console.conftest import Site
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
