"""What comes in over the wire as somebody's answer: callbacks, presses, updates and the answer page, most of it nobody's.

Two things hold of every request: it is no fault of ours, and nobody has an incident whose proof was not theirs.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import pytest
from aiohttp import web
from hypothesis import example
from hypothesis import strategies as st

from notifier.channels.buttons import Action, write_button
from notifier.channels.slack import SlackChannel
from notifier.channels.telegram import TelegramChannel
from tests.console.conftest import Site, running_console
from tests.fakes.slack import Slack
from tests.fakes.telegram import Telegram
from tests.fakes.twilio import PUBLIC, Twilio, sign
from tests.fuzz.budget import Budget, Property, answered
from tests.fuzz.mutations import Corpus, as_text, changed
from tests.fuzz.wire import header_bytes, status_of, target_bytes, words
from tests.services.chats import answers_of, opened, with_contacts
from tests.services.test_phone_answers import KIM, SID, STRANGER, TOKEN, phones
from tests.services.world import NOW, World
from tocsin.policy.accounts import SlackAccount, TelegramAccount
from tocsin.policy.model import Incident
from tocsin.runtime.listener import listen
from tocsin.store.server import EmbeddedServer
from tocsin.store.store import Store

SLACK_SECRET: Final = "sign-very-secret"
EXAMPLES_PER_ROUND: Final = 25

Form = list[tuple[str, str]]
forms: st.SearchStrategy[Form] = st.lists(
    st.tuples(
        st.sampled_from(
            ["From", "Body", "Digits", "MessageStatus", "ErrorCode", "CallStatus", "AnsweredBy", "OptOutType", "action", "payload"]
        ),
        words | st.sampled_from([KIM, STRANGER, "delivered", "failed", "completed", "machine_start", "9" * 5_000, "acknowledge", "{}"]),
    ),
    max_size=6,
) | st.just([(f"f{number}", "x") for number in range(250)])
form_bodies = forms.map(lambda form: urlencode(form, errors="replace").encode()) | st.binary(max_size=60) | st.just(b"\xff=%ff&%=%&&==")


async def held_by(world: World, incident: Incident) -> str | None:
    found = await world.console.load(incident.number)
    assert found is not None
    return found.acknowledged_by or found.resolved_by


# --- the phone ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["sms", "tel"])
async def test_no_callback_that_the_provider_did_not_sign_does_anything(scheme: str, budget: Budget, world: World) -> None:
    async with Twilio(SID, TOKEN) as twilio, phones(world, twilio, scheme) as found:
        [incident] = await found.page("A")
        created = await (twilio.message(1) if scheme == "sms" else twilio.phone_call(1))
        about = created.form["StatusCallback"].removeprefix(PUBLIC)
        loop = asyncio.get_running_loop()

        @example(
            target=b"/callbacks/" + scheme.encode() + b"/\xff",
            signature=b"\xff",
            body=urlencode([(f"f{n}", "x") for n in range(250)]).encode(),
        )
        def holds(target: bytes, signature: bytes, body: bytes) -> None:
            headers = {"X-Twilio-Signature": signature, "Content-Type": b"application/x-www-form-urlencoded"}
            status = answered(loop, status_of(twilio.callback_port, "POST", target, headers, body))
            assert status < 500
            assert status not in {200, 204}
            assert answered(loop, held_by(world, incident)) is None

        places = st.sampled_from([f"/callbacks/{scheme}/inbound", f"/callbacks/{scheme}/key/", about, f"/callbacks/{scheme}/"]).map(
            str.encode
        )
        targets = st.tuples(places, target_bytes | st.just(b"")).map(b"".join)
        await spend_beside(budget, holds, target=targets, signature=header_bytes, body=form_bodies)


@pytest.mark.parametrize("scheme", ["sms", "tel"])
async def test_whatever_the_provider_signs_is_no_fault_of_ours_and_only_the_paged_person_takes_it(
    scheme: str, budget: Budget, world: World
) -> None:
    async with Twilio(SID, TOKEN) as twilio, phones(world, twilio, scheme) as found:
        incidents = await found.page("A", "B")
        created = await (twilio.message(1) if scheme == "sms" else twilio.phone_call(1))
        urls = [value for name, value in created.form.items() if name.endswith("Callback")]
        urls += [f"{PUBLIC}/callbacks/{scheme}/inbound", f"{PUBLIC}/callbacks/{scheme}/status"]
        urls += [created.gather.attrib["action"]] if created.gather is not None else []
        loop = asyncio.get_running_loop()

        @example(url=urls[0], form=[("MessageStatus", "failed"), ("ErrorCode", "9" * 5_000)])
        @example(url=urls[0], form=[(f"f{number}", "x") for number in range(250)])
        def holds(url: str, form: Form) -> None:
            fields = {name: value.encode("utf-8", "replace").decode() for name, value in form}
            headers = {"X-Twilio-Signature": sign(TOKEN, url, fields).encode(), "Content-Type": b"application/x-www-form-urlencoded"}
            target = url.removeprefix(PUBLIC).encode()
            status = answered(loop, status_of(twilio.callback_port, "POST", target, headers, urlencode(fields).encode()))
            assert status < 500
            holders = {answered(loop, held_by(world, incident)) for incident in incidents}
            assert holders <= {None, "kim"}

        await spend_beside(budget, holds, url=st.sampled_from(urls), form=forms)


async def spend_beside(budget: Budget, holds: Property, **inputs: st.SearchStrategy[Any]) -> None:
    for found in budget.rounds():
        await budget.run_beside(found, holds, inputs, examples=EXAMPLES_PER_ROUND)


# --- Slack and Telegram -------------------------------------------------------------------------------------------------------------


def slack_press(value: str, by: str, channel: str = "C9") -> dict[str, Any]:
    message = {"ts": "1503435956.000247", "text": "a page", "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "x"}}]}
    press = {"action_id": "take", "value": value, "type": "button"}
    return {"type": "block_actions", "user": {"id": by}, "channel": {"id": channel}, "message": message, "actions": [press]}


async def test_whatever_slack_says_that_a_stranger_pressed_takes_nothing(budget: Budget, world: World) -> None:
    world.write_rules(edit=with_contacts("slack: {token: 'xoxb-x'}", kim="slack:U100"))
    async with Slack("xoxb-x", signing_secret=SLACK_SECRET) as slack:
        [incident] = await opened(world, "A")
        answers = await answers_of(world)
        account = SlackAccount("xoxb-x", "", SLACK_SECRET, slack.api_url)
        channel = SlackChannel(account, wall_clock=lambda: NOW, answers=answers, pause_s=0.05)
        app = web.Application()
        app.router.add_route("*", "/callbacks/slack", channel.callback)
        runner = await listen(app, "127.0.0.1", 0)
        value = write_button(answers, Action.TAKE, [incident.number], "kim")
        presses = [slack_press(value, "U666"), slack_press(value, "U666", "D300"), slack_press("!t1", "U100")]
        try:
            await spend_beside(budget, slack_takes(world, incident, runner.addresses[0][1]), **slack_inputs(Corpus("presses", presses)))
        finally:
            await runner.cleanup()
            await channel.close()


def slack_inputs(presses: Corpus) -> dict[str, st.SearchStrategy[Any]]:
    payloads = changed(presses).map(as_text) | st.binary(max_size=30) | st.just(b"[" * 5_000) | st.just(b"9" * 5_000)
    stamps = st.sampled_from([str(NOW // 1000).encode(), b"0", b"9" * 12]) | header_bytes
    return {"payload": payloads, "stamp": stamps, "honest": st.integers(0, 9).map(bool), "forged": header_bytes}


def slack_takes(world: World, incident: Incident, port: int) -> Property:
    loop = asyncio.get_running_loop()

    def holds(payload: bytes, stamp: bytes, honest: bool, forged: bytes) -> None:
        body = b"payload=" + quote(payload).encode()
        signed = hmac.new(SLACK_SECRET.encode(), b"v0:" + stamp + b":" + body, hashlib.sha256).hexdigest()
        headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": b"v0=" + signed.encode() if honest else forged}
        status = answered(loop, status_of(port, "POST", b"/callbacks/slack", headers, body))
        assert status < 500
        assert answered(loop, held_by(world, incident)) is None

    return holds


async def test_whatever_telegram_says_is_heard_and_a_stranger_takes_nothing(budget: Budget, world: World) -> None:
    world.write_rules(edit=with_contacts("telegram: {token: '123:x'}", kim="telegram:7"))
    async with Telegram("123:x") as telegram:
        [incident] = await opened(world, "A")
        answers = await answers_of(world)
        telegram.people |= {7: "Kim", 66: "Mallory"}
        channel = TelegramChannel(TelegramAccount("123:x", telegram.url), wall_clock=lambda: NOW, answers=answers, poll_s=5.0, pause_s=0.05)
        value = write_button(answers, Action.TAKE, [incident.number])
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(channel.listen())
            inputs = {"update": changed(Corpus("updates", telegram_updates(value)))}
            await spend_beside(budget, telegram_takes(world, incident, telegram), **inputs)
            listening.cancel()
        await channel.close()


def telegram_updates(value: str) -> list[dict[str, Any]]:
    keyboard = {"inline_keyboard": [[{"text": "Take it", "callback_data": value}], [{"text": "Open", "url": "https://a.example/x"}]]}
    page = {"message_id": 5, "from": {"id": 999}, "chat": {"id": 66}, "date": 1, "text": "a page", "reply_markup": keyboard}
    stranger = {"id": 66, "first_name": "Mallory"}
    return [
        {"callback_query": {"id": "q1", "from": stranger, "message": page, "data": value}},
        {"message": {"message_id": 9, "from": stranger, "chat": {"id": 66}, "date": 1, "text": "ack 1", "reply_to_message": page}},
        {"callback_query": {"id": "q1", "from": {"id": 7}, "message": page, "data": "!t1"}},
        {"message": {"message_id": 9, "from": stranger, "chat": {"id": 66}, "date": 1, "text": "/start"}},
    ]


def telegram_takes(world: World, incident: Incident, telegram: Telegram) -> Property:
    loop = asyncio.get_running_loop()

    async def heard(update: Mapping[str, Any]) -> None:
        await telegram.update(dict(update))
        await telegram.until(lambda: not telegram.updates)

    def holds(update: Any) -> None:
        if not isinstance(update, dict):
            return
        try:
            known = json.loads(json.dumps(update, allow_nan=False))
        except ValueError:
            return  # an answer that is no JSON is another matter: it is asked for again
        answered(loop, heard(known))
        assert answered(loop, held_by(world, incident)) is None

    return holds


# --- the answer page ----------------------------------------------------------------------------------------------------------------


async def test_nothing_sent_to_the_answer_page_is_a_fault_and_only_its_link_takes_the_incident(
    budget: Budget, server: EmbeddedServer, store: Store, tmp_path: Path
) -> None:
    headers = {name: header_bytes | st.none() for name in ("Origin", "Sec-Fetch-Site", "Content-Type", "Content-Encoding", "Cookie")}
    inputs = {
        "ours": st.booleans(),
        "more": target_bytes,
        "headers": st.fixed_dictionaries(headers),
        "body": form_bodies,
        "method": st.sampled_from(["POST", "POST", "GET", "HEAD", "PUT"]),
    }
    for found in budget.rounds():
        async with running_console(server, store, tmp_path) as site:
            incident = await site.fire(f"Round{found}")
            token = (await site.link(incident, "kim")).encode()
            await budget.run_beside(found, page_answers(site, incident, token), inputs, examples=EXAMPLES_PER_ROUND)


def page_answers(site: Site, incident: Incident, link: bytes) -> Property:
    loop, port = asyncio.get_running_loop(), urlsplit(site.url).port or 0

    async def holder() -> str | None:
        return (await site.load(incident.number)).acknowledged_by

    @example(ours=True, more=b"", headers={"Origin": b"http://["}, body=b"", method="POST")
    @example(ours=True, more=b"", headers={}, body=urlencode([(f"f{n}", "x") for n in range(30)]).encode(), method="POST")
    @example(ours=False, more=b"\xff", headers={"Origin": b"\xff"}, body=b"", method="GET")
    def holds(ours: bool, more: bytes, headers: Mapping[str, bytes | None], body: bytes, method: str) -> None:
        target = link if ours else b"/a/" + (more or b"x")
        before = answered(loop, holder())
        status = answered(
            loop, status_of(port, method, target, {name: value for name, value in headers.items() if value is not None}, body)
        )
        assert status < 500
        after = answered(loop, holder())
        assert after == before or (ours and method == "POST" and status == 200 and after == "kim")

    return holds
