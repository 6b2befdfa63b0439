"""The sms and tel contacts over a templated gateway, against a stand-in on a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from structlog.testing import capture_logs

from notifier.channels import Channels, ChannelsConfig
from notifier.channels.gateway import GatewayChannel
from notifier.channels.outcome import Refused, Sent, Unreachable
from notifier.rendering.sms import sms_text
from notifier.rendering.voice import voice_script
from tests.fakes.chatserver import Told
from tests.fakes.gateway import Gateway
from tests.notifier.pages import HOSTILE, NOW_MS, PAGE
from tocsin.policy.accounts import Accounts, GatewayAccount

TO = "sms:+821012345678"
SECRET = "very-secret-key"


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with Gateway() as server:
        yield server


def channel_for(account: GatewayAccount, name: str = "sms", limit_s: float = 5.0) -> GatewayChannel:
    return GatewayChannel(name, account, wall_clock=lambda: NOW_MS, total_limit_s=limit_s)


def json_account(gateway: Gateway, path: str = "v1/send", ok: str = "") -> GatewayAccount:
    body = '{"to": ["{digits}"], "text": "{text}", "id": "{page}", "from": "{from}"}'
    return GatewayAccount(f"{gateway.url}/{path}", headers={"X-Api-Key": SECRET}, body=body, sender="1588", ok=ok)


async def test_a_body_of_json_holds_the_text_as_a_string(gateway: Gateway) -> None:
    channel = channel_for(json_account(gateway))
    assert await channel.send(TO, PAGE) == Sent("HTTP 200", confirms=False)
    await channel.close()
    call = await gateway.call("send", 1)
    assert call.body["path"] == "v1/send"
    assert call.headers["Content-Type"] == "application/json"
    assert call.headers["X-Api-Key"] == SECRET
    assert json.loads(call.body["raw"]) == {"to": ["821012345678"], "text": sms_text(PAGE), "id": "INC-42.1.kim.0", "from": "1588"}


async def test_nobody_is_asked_to_reply_for_no_reply_would_arrive(gateway: Gateway) -> None:
    channel = channel_for(json_account(gateway))
    await channel.send(TO, PAGE)
    await channel.close()
    assert b"reply" not in (await gateway.call("send", 1)).body["raw"]


async def test_a_form_of_a_korean_gateway_is_in_its_charset_with_the_number_as_at_home() -> None:
    async with Gateway("euc-kr") as gateway:
        body = "key=" + SECRET + "&sender={from}&receiver={national}&msg={text}&testmode_yn=N"
        account = GatewayAccount(f"{gateway.url}/send/", body=body, sender="0215880000", ok='"code": 0', charset="euc-kr")
        channel = channel_for(account)
        page = replace(PAGE, locale="ko", incident=replace(PAGE.incident, title="오류율 38% & <b> 한도=5%"))
        assert isinstance(await channel.send(TO, page), Sent)
        await channel.close()
        form = dict((await gateway.call("send", 1)).body["form"])
    assert form == {"key": SECRET, "sender": "0215880000", "receiver": "01012345678", "msg": sms_text(page), "testmode_yn": "N"}
    assert len(form["msg"].encode("euc-kr", errors="replace")) <= 90


async def test_a_query_of_a_chinese_gateway_begins_the_text_with_the_signature(gateway: Gateway) -> None:
    url = f"{gateway.url}/sms/send?apikey={SECRET}&mobile={{national}}&text={{text}}"
    channel = channel_for(GatewayAccount(url, method="GET", prefix="【某某公司】", ok='"code": 0'))
    page = replace(PAGE, locale="zh")
    assert isinstance(await channel.send("sms:+8613800138000", page), Sent)
    await channel.close()
    call = await gateway.call("send", 1)
    assert call.body["method"] == "GET"
    query = dict(call.body["query"])
    assert query["mobile"] == "13800138000"
    assert query["text"] == sms_text(page, with_link=False, prefix="【某某公司】")
    assert "example.com" not in query["text"]


async def test_a_body_of_xml_holds_the_text_as_text(gateway: Gateway) -> None:
    account = GatewayAccount(f"{gateway.url}/", body='<?xml version="1.0"?><m to="{to}" id="{page}"><t>{text}</t></m>')
    channel = channel_for(account)
    await channel.send(TO, HOSTILE)
    await channel.close()
    root = ET.fromstring((await gateway.call("send", 1)).body["raw"].decode())
    assert root.attrib == {"to": "+821012345678", "id": HOSTILE.page_id}
    assert root.findtext("t") == sms_text(HOSTILE)
    assert [each.tag for each in root.iter()] == ["m", "t"]


@pytest.mark.parametrize("locale", ["en", "ko", "zh"])
async def test_hostile_words_add_no_parameter_anywhere(gateway: Gateway, locale: str) -> None:
    title = '"}, "to": ["999"] &to=999 {to} {from} %26to%3D999 \\" </t><t> #'
    page = replace(PAGE, locale=locale, incident=replace(PAGE.incident, service="", title=title))
    url = f"{gateway.url}/send?to={{to}}&text={{text}}"
    for account in (
        GatewayAccount(url, method="GET"),
        GatewayAccount(f"{gateway.url}/send", body="to={to}&text={text}"),
        GatewayAccount(f"{gateway.url}/send", body='{"to": "{to}", "text": "{text}"}'),
    ):
        channel = channel_for(account)
        assert isinstance(await channel.send(TO, page), Sent)
        await channel.close()
    query, form, body = [call.body for call in gateway.of("send")]
    wanted = {"to": "+821012345678", "text": sms_text(page)}
    assert dict(query["query"]) == dict(form["form"]) == json.loads(body["raw"]) == wanted
    assert len(query["query"]) == len(form["form"]) == 2
    assert "{to}" in wanted["text"], "a value is never read as a template"


async def test_a_call_is_given_what_is_to_be_said(gateway: Gateway) -> None:
    channel = channel_for(GatewayAccount(f"{gateway.url}/call", body='{"to": "{to}", "say": "{text}"}'), name="tel")
    assert isinstance(await channel.send("tel:+821012345678", PAGE), Sent)
    await channel.close()
    said = json.loads((await gateway.call("send", 1)).body["raw"])["say"]
    assert said == voice_script(PAGE).say
    assert "Press" not in said


async def test_200_without_the_text_that_means_taken_is_a_refusal(gateway: Gateway) -> None:
    channel = channel_for(json_account(gateway, ok='"code": 0'))
    gateway.told["send"].append(Told(body={"code": 17, "msg": f"no credit left for {SECRET}"}))
    outcome = await channel.send(TO, PAGE)
    assert outcome == Refused(f"127.0.0.1:{gateway.port} answered 200 without the text that means taken")
    assert isinstance(await channel.send(TO, PAGE), Sent)
    await channel.close()


async def test_a_country_whose_numbers_at_home_are_not_known_is_refused(gateway: Gateway) -> None:
    channel = channel_for(GatewayAccount(f"{gateway.url}/send?to={{national}}&text={{text}}", method="GET"))
    outcome = await channel.send("sms:+99912345678", PAGE)
    await channel.close()
    assert outcome == Refused("how numbers of this country are written at home is not known")
    assert not gateway.calls


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (Told(status=429, headers={"Retry-After": "9"}), Unreachable("answered 429", ambiguous=False, retry_after_s=9.0)),
        (Told(status=500), Unreachable("answered 500", ambiguous=True)),
        (Told(status=400, body={"why": SECRET}), Refused("answered 400")),
        (Told(status=302, headers={"Location": "http://127.0.0.1:9/"}), Refused("answered 302: redirects are not followed")),
    ],
)
async def test_the_status_says_whether_it_may_pass(gateway: Gateway, told: Told, expected: Unreachable | Refused) -> None:
    channel = channel_for(json_account(gateway))
    gateway.told["send"].append(told)
    outcome = await channel.send(TO, PAGE)
    await channel.close()
    assert outcome == replace(expected, reason=f"127.0.0.1:{gateway.port} {expected.reason}")


async def test_cut_slow_and_silent_answers_are_ambiguous_where_the_body_decides(gateway: Gateway) -> None:
    channel = channel_for(json_account(gateway, ok="code"), limit_s=0.3)
    gateway.told["send"] += [Told(cut=True), Told(stall=True), Told(hold=asyncio.Event()), Told(bytewise=True)]
    for _ in range(3):
        outcome = await channel.send(TO, PAGE)
        assert isinstance(outcome, Unreachable)
        assert outcome.ambiguous
    assert isinstance(await channel.send(TO, PAGE), Sent)
    await gateway.stop()
    down = await channel.send(TO, PAGE)
    assert isinstance(down, Unreachable)
    assert not down.ambiguous
    await channel.close()


async def test_secrets_are_in_no_reason_log_or_repr(gateway: Gateway) -> None:
    account = json_account(gateway, path=f"{SECRET}/send")
    channel = channel_for(account)
    gateway.told["send"].append(Told(status=403))
    with capture_logs() as logs:
        outcome = await channel.send(TO, PAGE)
    await channel.close()
    assert SECRET not in str(logs) + str(outcome) + repr(account) + repr(channel.__dict__)


async def test_the_rules_may_name_one_gateway_for_texts_and_one_for_calls(gateway: Gateway) -> None:
    texts, calls = json_account(gateway), GatewayAccount(f"{gateway.url}/call?to={{to}}&say={{text}}", method="GET")
    channels = Channels(ChannelsConfig(wall_clock=lambda: NOW_MS, accounts=Accounts(sms=texts, tel=calls)))
    for to in (TO, "tel:+821012345678"):
        channel = channels.for_contact(to)
        assert isinstance(channel, GatewayChannel)
        assert channel.name == to.partition(":")[0]
        assert isinstance(await channel.send(to, PAGE), Sent)
    assert "sms" not in channels.answering()
    await channels.close()
    assert [call.body["path"] for call in gateway.of("send")] == ["v1/send", "call"]
