"""The button on a page of ntfy: the phone posts to the answer link, and the person has the incident, or all of them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from notifier.channels import Sent
from notifier.channels.ntfy import NtfyChannel
from tests.console.conftest import Site
from tests.fakes.hooks import Ntfy
from tests.notifier.pages import PAGE
from tocsin.policy.model import Incident, State


@pytest.fixture
async def phone() -> AsyncIterator[Ntfy]:
    async with Ntfy() as phone:
        yield phone


async def shown(site: Site, phone: Ntfy, *incidents: Incident) -> dict[str, Any]:
    """The button "Take it" of a page of these incidents to kim, as the phone gets it."""
    channel = NtfyChannel(wall_clock=site.clock.now_ms, secrets={})
    link = site.url + await site.link(incidents[0], "kim", *incidents[1:])
    numbers = tuple(incident.number for incident in incidents)
    assert isinstance(await channel.send(phone.contact(), replace(PAGE, acknowledge_url=link, numbers=numbers)), Sent)
    await channel.close()
    button: dict[str, Any] = phone.taken[-1].body["actions"][0]
    return button


async def press(site: Site, button: dict[str, Any], **headers: str) -> int:
    """What a phone does when the button is pressed: the request as the action says."""
    async with site.client.request(button["method"], button["url"], headers=headers, data=button.get("body", "")) as answer:
        return answer.status


async def test_a_press_on_the_phone_takes_the_incident_for_its_person(site: Site, phone: Ntfy) -> None:
    incident = await site.fire()
    button = await shown(site, phone, incident)
    assert (await site.load(incident.number)).state is State.OPEN
    for _ in range(2):
        assert await press(site, button) == 200
    taken = await site.load(incident.number)
    assert (taken.state, taken.acknowledged_by) == (State.ACKNOWLEDGED, "kim")


async def test_a_press_on_a_page_of_several_takes_them_all(site: Site, phone: Ntfy) -> None:
    incidents = [await site.fire(f"Disk{n}") for n in range(3)]
    button = await shown(site, phone, *incidents)
    assert button["label"] == "Take all 3"
    assert await press(site, button) == 200
    assert {(await site.load(incident.number)).acknowledged_by for incident in incidents} == {"kim"}


async def test_neither_a_look_nor_a_forged_link_nor_another_site_takes_anything(site: Site, phone: Ntfy) -> None:
    incident = await site.fire()
    button = await shown(site, phone, incident)
    for method in ("GET", "HEAD"):
        assert await press(site, button | {"method": method}) == 200
    assert await press(site, button | {"url": button["url"][:-2] + "xx"}) == 404
    assert await press(site, button, Origin="https://evil.example", **{"Sec-Fetch-Site": "cross-site"}) == 403
    assert (await site.load(incident.number)).state is State.OPEN


async def test_a_press_when_it_is_over_changes_nothing(site: Site, phone: Ntfy) -> None:
    incident = await site.fire()
    button = await shown(site, phone, incident)
    answer = await site.post(f"/api/v1/incidents/{incident.id}/resolve", {})
    assert answer.status == 200, answer.text
    assert await press(site, button) == 409
    assert (await site.load(incident.number)).state is State.RESOLVED
