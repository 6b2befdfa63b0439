"""The steps of an incident over the API: they are the history itself, and add up to what stands in the store."""

from tests.console.conftest import MINUTE, Site
from tocsin.policy import events as ev
from tocsin.store import codec


async def test_the_steps_of_an_incident_add_up_to_it(site: Site) -> None:
    incident = await site.fire()
    site.clock.advance(60)
    await site.post(f"/api/v1/incidents/{incident.id}/acknowledge", {"for": "1h"})
    await site.happen(incident.number, ev.PageSent(incident.pages[0].id))
    answer = await site.get(f"/api/v1/incidents/{incident.id}/steps")
    assert answer.status == 200, answer.text
    items = answer.json["items"]
    assert [item["version"] for item in items] == [1, 2, 3]
    assert (items[1]["actor"], items[1]["event"], items[1]["at"]) == ("administrator", "Acknowledged", site.clock.now_ms())
    stands = await site.load(incident.number)
    assert codec.IncidentReader().replay(items) == stands
    assert answer.json["present"]["acknowledged_until"] == stands.acknowledged_until == site.clock.now_ms() + 60 * MINUTE
    assert answer.json["next"] is None


async def test_many_steps_come_in_parts(site: Site) -> None:
    incident = await site.fire()
    for number in range(205):
        await site.happen(incident.number, ev.Noted("kim", f"note {number}"))
    first = (await site.get(f"/api/v1/incidents/{incident.id}/steps")).json
    assert (len(first["items"]), first["next"], first["present"]["version"]) == (200, 200, 206)
    second = (await site.get(f"/api/v1/incidents/{incident.id}/steps?after=200")).json
    assert [item["version"] for item in second["items"]] == list(range(201, 207))
    assert second["next"] is None
    assert codec.IncidentReader().replay([*first["items"], *second["items"]]) == await site.load(incident.number)


async def test_what_is_not_there_has_no_steps(site: Site) -> None:
    assert (await site.get("/api/v1/incidents/INC-4711/steps")).status == 404
    assert (await site.get("/api/v1/incidents/INC-1/steps?after=x")).status == 422
    assert (await site.get("/api/v1/incidents/INC-1/steps", by=None)).status == 401
