"""Text messages and calls through the whole path: a notifier on a real store, Twilio's stand-in, its signed requests to our listener.

kim's first contact is a phone, the second (5 minutes later) the usual webhook.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from notifier.channels.twilio import MEANINGS
from notifier.service import Notifier
from tests.fakes.proxy import Proxy
from tests.fakes.twilio import PUBLIC, TWIML_CHARACTERS_MAX, Created, Twilio
from tests.services.chats import opened
from tests.services.world import MINUTE, World
from tocsin.policy.events import Acknowledged
from tocsin.policy.model import Incident, PageStatus, State
from tocsin.runtime.listener import listen

SID, TOKEN = "AC" + "0" * 32, "very-secret-token"
KIM, LEE, STRANGER = "+821011110001", "+821011110002", "+821099999999"


@dataclass(slots=True)
class Phones:
    """A notifier that runs, and the people's phones."""

    world: World
    notifier: Notifier
    twilio: Twilio

    async def page(self, *names: str) -> list[Incident]:
        """Let incidents open, and everything that is due go out."""
        incidents = await opened(self.world, *names)
        await self.world.settle(self.notifier)
        return incidents

    async def state(self, number: int) -> tuple[State, str | None]:
        incident = await self.world.console.load(number)
        assert incident is not None
        return incident.state, incident.acknowledged_by

    async def first_page(self) -> PageStatus:
        return (await self.world.incident()).pages[0].status


def with_phones(scheme: str, provider: str) -> Callable[[str], str]:
    """The edit of the rules that makes phones of the first contacts of kim and lee."""

    def edit(rules: str) -> str:
        for person, number in (("kim", KIM), ("lee", LEE)):
            rules = re.sub(rf"'[^']*/{person}/1'", f"'{scheme}:{number}'", rules)
        return rules + f"channels: {{{scheme}: {provider}}}\n"

    return edit


@asynccontextmanager
async def phones(world: World, twilio: Twilio, scheme: str, url: str | None = None) -> AsyncIterator[Phones]:
    provider = f"{{provider: twilio, account_sid: {SID}, auth_token: {TOKEN}, from: '+15005550006', api_url: '{twilio.url}'}}"
    world.write_rules(edit=with_phones(scheme, provider))
    async with world.notifier("notifier", url, notifier_external_url=PUBLIC) as notifier:
        app = web.Application()
        notifier.add_routes(app)
        runner = await listen(app, "127.0.0.1", 0)
        twilio.callback_port = runner.addresses[0][1]
        try:
            yield Phones(world, notifier, twilio)
        finally:
            await runner.cleanup()


@pytest.fixture
async def twilio() -> AsyncIterator[Twilio]:
    async with Twilio(SID, TOKEN) as server:
        yield server


@pytest.fixture
async def sms(world: World, twilio: Twilio) -> AsyncIterator[Phones]:
    async with phones(world, twilio, "sms") as found:
        yield found


@pytest.fixture
async def tel(world: World, twilio: Twilio) -> AsyncIterator[Phones]:
    async with phones(world, twilio, "tel") as found:
        yield found


# --- text messages: replies ---------------------------------------------------------------------------------------------------------


async def test_replying_with_the_number_takes_the_incident_and_says_so(sms: Phones, twilio: Twilio) -> None:
    [incident] = await sms.page("A")
    message = await twilio.message(1)
    assert f"reply {incident.number}" in message.form["Body"]
    answer = await twilio.reply(KIM, f"{incident.number}")
    assert answer.status == 200
    assert "taken by Kim" in answer.message
    assert await sms.state(incident.number) == (State.ACKNOWLEDGED, "kim")


async def test_replying_twice_is_no_fault_and_changes_nothing(sms: Phones, twilio: Twilio) -> None:
    [incident] = await sms.page("A")
    for _ in range(2):
        answer = await twilio.reply(KIM, f"ack {incident.id}")
        assert "taken by Kim" in answer.message
    assert (await sms.world.incident()).acknowledged_by == "kim"


async def test_ok_alone_takes_the_one_incident_that_waits_for_its_writer(sms: Phones, twilio: Twilio) -> None:
    assert "Nothing of yours" in (await twilio.reply(KIM, "ok")).message
    [incident] = await sms.page("A")
    assert "Nothing of yours" in (await twilio.reply(LEE, "ok")).message, "nobody has paged lee"
    assert "taken by Kim" in (await twilio.reply(KIM, "OK!")).message
    assert await sms.state(incident.number) == (State.ACKNOWLEDGED, "kim")


async def test_ok_alone_is_asked_back_when_several_wait(sms: Phones, twilio: Twilio) -> None:
    first, second = await sms.page("A", "B")
    answer = await twilio.reply(KIM, "확인")
    assert first.id in answer.message
    assert second.id in answer.message
    assert {(await sms.state(each.number))[0] for each in (first, second)} == {State.OPEN}
    await twilio.reply(KIM, f"{first.number} {second.number}")
    assert {(await sms.state(each.number))[0] for each in (first, second)} == {State.ACKNOWLEDGED}


async def test_a_reply_that_is_not_understood_does_nothing_and_says_what_may_be_meant(sms: Phones, twilio: Twilio) -> None:
    [incident] = await sms.page("A")
    answer = await twilio.reply(KIM, f"who has {incident.number}?")
    assert incident.id in answer.message
    assert await sms.state(incident.number) == (State.OPEN, None)


async def test_resolve_with_the_number_resolves(sms: Phones, twilio: Twilio) -> None:
    [incident] = await sms.page("A")
    assert "resolved" in (await twilio.reply(KIM, f"resolve {incident.number}")).message
    assert (await sms.state(incident.number))[0] is State.RESOLVED
    assert "no such incident" in (await twilio.reply(KIM, "999999")).message


async def test_a_stranger_is_told_so_and_nothing_happens(sms: Phones, twilio: Twilio) -> None:
    [incident] = await sms.page("A")
    answer = await twilio.reply(STRANGER, f"{incident.number}")
    assert answer.status == 200
    assert "Nothing was changed" in answer.message
    assert await sms.state(incident.number) == (State.OPEN, None)


async def test_stop_is_twilios_matter_and_gets_no_answer_of_ours(sms: Phones, twilio: Twilio) -> None:
    await sms.page("A")
    assert (await twilio.reply(KIM, "STOP", OptOutType="STOP")).message == ""


async def test_who_replies_late_hears_who_has_it_and_takes_nothing_away(sms: Phones, twilio: Twilio) -> None:
    [incident] = await sms.page("A")
    await sms.world.act(incident.number, Acknowledged("lee"))
    assert "taken by Lee" in (await twilio.reply(KIM, f"{incident.number}")).message
    assert await sms.state(incident.number) == (State.ACKNOWLEDGED, "lee")


# --- text messages: receipts --------------------------------------------------------------------------------------------------------


async def test_a_receipt_ends_the_waiting_and_comes_in_any_order_any_number_of_times(sms: Phones, twilio: Twilio) -> None:
    await sms.page("A")
    message = await twilio.message(1)
    for status in ("sent", "delivered", "queued", "sent", "delivered"):
        assert (await twilio.status(message, status)).status == 204
    page = (await sms.world.incident()).pages[0]
    assert page.delivered_at is not None
    assert page.receipt_due_at is None
    await sms.world.advance(sms.notifier, 4 * MINUTE)
    assert sms.world.arrived() == [], "the second contact is due at five minutes and not before"


@pytest.mark.parametrize("status", ["undelivered", "failed"])
async def test_a_message_that_did_not_arrive_pages_the_next_contact_at_once(sms: Phones, twilio: Twilio, status: str) -> None:
    await sms.page("A")
    assert (await twilio.status(await twilio.message(1), status, ErrorCode="30003")).status == 204
    await sms.world.settle(sms.notifier)
    assert sms.world.arrived() == [("/kim/2", 0)]
    assert MEANINGS[30003] in (await sms.world.incident()).pages[0].reason


async def test_no_receipt_within_two_minutes_pages_the_next_contact(sms: Phones, twilio: Twilio) -> None:
    await sms.page("A")
    await twilio.message(1)
    await sms.world.advance(sms.notifier, 2 * MINUTE)
    assert sms.world.arrived() == [("/kim/2", 2)]


async def test_every_incident_of_a_bundle_gets_its_receipt(sms: Phones, twilio: Twilio) -> None:
    await sms.page("A", "B", "C")
    message = await twilio.message(1)
    assert (await twilio.status(message, "delivered")).status == 204
    assert all(incident.pages[0].delivered_at is not None for incident in await sms.world.incidents())


# --- who may call us ----------------------------------------------------------------------------------------------------------------


async def test_what_twilio_has_not_signed_does_nothing(sms: Phones, twilio: Twilio) -> None:
    [incident] = await sms.page("A")
    message = await twilio.message(1)
    inbound = f"{PUBLIC}/callbacks/sms/inbound"
    fields = {"From": KIM, "Body": str(incident.number)}
    assert (await twilio.post(inbound, fields, token="guessed")).status == 403
    assert (await twilio.post(inbound, fields, signed_url=inbound + "?x")).status == 403
    assert (await twilio.post(inbound + "?x=1", fields, signed_url=inbound)).status == 403
    undelivered = {"MessageSid": message.sid, "MessageStatus": "undelivered"}
    assert (await twilio.post(message.form["StatusCallback"], undelivered, token="guessed")).status == 403
    assert (await twilio.post(message.form["StatusCallback"][:-2] + "xx", undelivered)).status == 403, "signed by Twilio, not made by us"
    assert (await twilio.post(f"{PUBLIC}/callbacks/sms/nothing", fields)).status == 404
    assert (await twilio.post(inbound, {"Body": "x" * 70_000})).status == 413
    assert await sms.state(incident.number) == (State.OPEN, None)
    assert await sms.first_page() is PageStatus.SENT


async def test_the_port_in_the_signed_address_may_be_named_or_not(sms: Phones, twilio: Twilio) -> None:
    [incident] = await sms.page("A")
    inbound = f"{PUBLIC}/callbacks/sms/inbound"
    signed = inbound.replace("example.com", "example.com:443")
    assert (await twilio.post(inbound, {"From": KIM, "Body": str(incident.number)}, signed_url=signed)).status == 200
    assert await sms.state(incident.number) == (State.ACKNOWLEDGED, "kim")


async def test_without_a_public_address_a_page_goes_out_and_no_receipt_is_awaited(world: World, twilio: Twilio) -> None:
    async with phones(world, twilio, "sms") as sms:
        pass
    async with world.notifier() as notifier:
        await opened(world, "A")
        await world.settle(notifier)
        form = (await twilio.message(1)).form
        assert "StatusCallback" not in form
        assert "reply" not in form["Body"]
        assert sms.world is world
        await world.advance(notifier, 4 * MINUTE)
        assert world.arrived() == []


# --- calls --------------------------------------------------------------------------------------------------------------------------


async def answered_call(tel: Phones, *names: str) -> tuple[list[Incident], Created]:
    incidents = await tel.page(*names)
    return incidents, await tel.twilio.phone_call(1)


async def test_four_takes_and_six_resolves_and_both_are_said(tel: Phones, twilio: Twilio) -> None:
    [incident], call = await answered_call(tel, "A")
    assert "4 to take it" in call.said
    assert "6" not in call.said
    await twilio.press(call, "4")
    assert "taken by Kim" in call.said
    assert await tel.state(incident.number) == (State.ACKNOWLEDGED, "kim")
    assert (await tel.world.incident()).pages[0].delivered_at is not None
    await twilio.press(call, "6")
    assert (await tel.state(incident.number))[0] is State.RESOLVED
    assert call.gather is None


async def test_six_does_nothing_before_four_and_star_says_it_again(tel: Phones, twilio: Twilio) -> None:
    [incident], call = await answered_call(tel, "A")
    first = call.said
    for key in ("6", "*", "#", "9", ""):
        await twilio.press(call, key)
        assert call.said == first
    assert await tel.state(incident.number) == (State.OPEN, None)


async def test_four_takes_all_of_a_bundle(tel: Phones, twilio: Twilio) -> None:
    incidents, call = await answered_call(tel, "A", "B", "C")
    assert "4 to take all 3" in call.said
    await twilio.press(call, "4")
    assert [await tel.state(incident.number) for incident in incidents] == [(State.ACKNOWLEDGED, "kim")] * 3


async def test_who_presses_late_hears_who_has_it_and_is_not_asked_to_resolve(tel: Phones, twilio: Twilio) -> None:
    [incident], call = await answered_call(tel, "A")
    await tel.world.act(incident.number, Acknowledged("lee"))
    await twilio.press(call, "4")
    assert "taken by Lee" in call.said
    assert call.gather is None
    assert await tel.state(incident.number) == (State.ACKNOWLEDGED, "lee")


async def test_what_is_over_is_not_passed_on(tel: Phones, twilio: Twilio) -> None:
    _, call = await answered_call(tel, "A")
    await tel.world.report("A", firing=False)
    await (await tel.world.correlator()).tick(tel.world.clock.now_ms())
    await twilio.press(call, "5")
    assert "nobody else is paged" in call.said


async def test_five_pages_the_next_rung_now(tel: Phones, twilio: Twilio) -> None:
    [incident], call = await answered_call(tel, "A")
    assert "5 to pass it on" in call.said
    await twilio.press(call, "5")
    assert "passed on" in call.said
    assert call.gather is None
    await tel.world.settle(tel.notifier)
    assert (await twilio.phone_call(2)).form["To"] == LEE
    assert await tel.state(incident.number) == (State.OPEN, None)


async def test_who_listens_and_hangs_up_has_the_page_and_has_not_taken_it(tel: Phones, twilio: Twilio) -> None:
    [incident], call = await answered_call(tel, "A")
    assert (await twilio.machine(call, "human")).status == 204
    assert (await twilio.end(call)).status == 204
    assert await tel.state(incident.number) == (State.OPEN, None)
    assert (await tel.world.incident()).pages[0].delivered_at is not None
    await tel.world.advance(tel.notifier, 4 * MINUTE)
    assert tel.world.arrived() == []


@pytest.mark.parametrize("answered_by", ["machine_start", "machine_end_beep", "fax"])
async def test_a_machine_that_answers_acknowledges_nothing_and_the_next_contact_is_paged(
    tel: Phones, twilio: Twilio, answered_by: str
) -> None:
    [incident], call = await answered_call(tel, "A")
    await twilio.machine(call, answered_by)
    await twilio.end(call)
    await tel.world.settle(tel.notifier)
    assert await tel.state(incident.number) == (State.OPEN, None)
    assert tel.world.arrived() == [("/kim/2", 0)]
    page = (await tel.world.incident()).pages[0]
    assert (page.status, page.delivered_at) == (PageStatus.FAILED, None), "that the call is over is not that somebody heard it"
    await twilio.press(call, "4")
    assert (await tel.world.incident()).pages[0].delivered_at is not None, "who presses a key was there after all"


@pytest.mark.parametrize("status", ["no-answer", "busy", "failed", "canceled"])
async def test_a_call_that_nobody_takes_pages_the_next_contact_at_once(tel: Phones, twilio: Twilio, status: str) -> None:
    _, call = await answered_call(tel, "A")
    await twilio.end(call, status)
    await tel.world.settle(tel.notifier)
    assert tel.world.arrived() == [("/kim/2", 0)]


async def test_a_call_of_which_nothing_is_heard_pages_the_next_contact_after_ninety_seconds(tel: Phones, twilio: Twilio) -> None:
    await answered_call(tel, "A")
    await tel.world.advance(tel.notifier, 90_000, step_ms=30_000)
    assert [path for path, _ in tel.world.arrived()] == ["/kim/2"]


async def test_a_forged_key_does_nothing(tel: Phones, twilio: Twilio) -> None:
    [incident], call = await answered_call(tel, "A")
    assert call.gather is not None
    url = call.gather.attrib["action"]
    fields = {"CallSid": call.sid, "Digits": "4"}
    assert (await twilio.post(url, fields, token="guessed")).status == 403
    assert (await twilio.post(url.replace("/key/", "/taken/"), {"Digits": "6"})).status == 403
    assert (await twilio.post(call.form["StatusCallback"].replace("/status/", "/key/"), fields)).status == 403
    assert await tel.state(incident.number) == (State.OPEN, None)


async def test_a_key_that_cannot_be_written_is_asked_for_again(world: World, twilio: Twilio, shared_url: str) -> None:
    async with Proxy(shared_url) as proxy, phones(world, twilio, "tel", proxy.url) as tel:
        [incident], call = await answered_call(tel, "A")
        proxy.go_away()
        await twilio.press(call, "4")
        assert "Please try again" in call.said
        assert (await twilio.end(call, "busy")).status == 503
        proxy.come_back()
        await twilio.press(call, "4")
        assert "taken by Kim" in call.said
        assert await tel.state(incident.number) == (State.ACKNOWLEDGED, "kim")


async def test_a_reply_that_cannot_be_written_says_so(world: World, twilio: Twilio, shared_url: str) -> None:
    async with Proxy(shared_url) as proxy, phones(world, twilio, "sms", proxy.url) as sms:
        [incident] = await sms.page("A")
        proxy.go_away()
        assert "Please try again" in (await twilio.reply(KIM, str(incident.number))).message
        assert "Please try again" in (await twilio.reply(KIM, "ok")).message
        assert (await twilio.status(await twilio.message(1), "delivered")).status == 503
        proxy.come_back()


async def test_the_longest_bundle_fits_into_a_call_and_a_callback(tel: Phones, twilio: Twilio) -> None:
    incidents, call = await answered_call(tel, *(f"{n} " + "아주 긴 이름의 서비스가 응답하지 않음 " * 5 for n in range(100)))
    assert len(call.form["Twiml"]) < TWIML_CHARACTERS_MAX
    await twilio.press(call, "4")
    assert {(await tel.state(incident.number)) for incident in incidents} == {(State.ACKNOWLEDGED, "kim")}


async def test_callbacks_say_nothing_of_people_to_who_reads_their_address(tel: Phones, twilio: Twilio) -> None:
    _, call = await answered_call(tel, "A")
    path = urlsplit(call.form["StatusCallback"]).path
    assert KIM not in path
    assert TOKEN not in path
