"""The bots of Feishu, against a stand-in that checks and limits as they do. What holds for every web address is in test_channel_http.py."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from notifier.channels import Refused, Sent, Unreachable
from notifier.channels.feishu import FeishuChannel
from tests.fakes.hooks import Feishu
from tests.notifier.pages import HOSTILE, NOW_MS, PAGE, RESOLVED
from tocsin.policy.accounts import Accounts
from tocsin.runtime.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_MS)


@pytest.fixture
async def bot(clock: ManualClock) -> AsyncIterator[Feishu]:
    async with Feishu(wall_clock=clock.now_ms) as bot:
        yield bot


@pytest.fixture
async def channel(bot: Feishu, clock: ManualClock) -> AsyncIterator[FeishuChannel]:
    channel = FeishuChannel(wall_clock=clock.now_ms, secrets={bot.contact(): "열쇠"})
    yield channel
    await channel.close()


async def test_a_page_is_a_card_with_links_for_buttons(bot: Feishu, channel: FeishuChannel) -> None:
    assert await channel.send(bot.contact(), PAGE) == Sent("code 0")
    card = bot.taken[0].body["card"]
    assert card["header"]["template"] == "red"
    assert "INC-42" in card["header"]["title"]["content"]
    (buttons,) = [element["actions"] for element in card["elements"] if element["tag"] == "action"]
    assert [button["url"] for button in buttons] == [PAGE.acknowledge_url, PAGE.incident.url]
    assert buttons[0]["text"]["content"] == "Take it"


async def test_what_is_over_is_green_and_only_opens(bot: Feishu, channel: FeishuChannel) -> None:
    await channel.send(bot.contact(), RESOLVED)
    card = bot.taken[0].body["card"]
    assert card["header"]["template"] == "green"
    assert [button["url"] for button in card["elements"][-1]["actions"]] == [PAGE.incident.url]


async def test_no_text_of_a_stranger_stands_where_markup_is_read(bot: Feishu, channel: FeishuChannel) -> None:
    await channel.send(bot.contact(), HOSTILE)
    tags = [tag for tag, text in _texts(bot.taken[0].body["card"]) if "evil" in text or "<" in text]
    assert tags
    assert set(tags) == {"plain_text"}


def _texts(value: Any) -> list[tuple[str, str]]:
    """Every text of a card with the tag of the element that it stands in."""
    if isinstance(value, dict):
        found = [(value.get("tag", ""), text) for text in value.values() if isinstance(text, str)]
        return found + [each for inner in value.values() for each in _texts(inner)]
    return [each for inner in value for each in _texts(inner)] if isinstance(value, list) else []


async def test_a_bot_with_a_secret_gets_a_signature_it_can_check(bot: Feishu, channel: FeishuChannel) -> None:
    bot.secret = "열쇠"
    assert isinstance(await channel.send(bot.contact(), PAGE), Sent)
    bot.secret = "another"
    assert await channel.send(bot.contact(), PAGE) == Refused(
        f"{bot.where} answered 200, code 19021: the signature is not valid: secret or clock"
    )


async def test_a_bot_that_wants_a_keyword_says_so(bot: Feishu, channel: FeishuChannel) -> None:
    bot.keyword = "监控"
    assert await channel.send(bot.contact(), PAGE) == Refused(
        f"{bot.where} answered 200, code 19024: the bot wants a keyword that the text does not hold"
    )


async def test_an_address_that_is_not_valid_is_a_refusal(bot: Feishu, channel: FeishuChannel) -> None:
    to = bot.contact().replace("hidden-token", "old-token")
    assert await channel.send(to, PAGE) == Refused(f"{bot.where} answered 400, code 19001: the bot's address is not valid")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"code": 11232, "data": {}, "msg": "frequency limited psm[lark.oapi.app_platform_runtime]appID[1500]"}),
        (400, {"code": 99991400, "msg": "request trigger frequency limit"}),
        (400, {"code": 9499, "msg": "too many request"}),
        (429, {"StatusCode": 11232, "StatusMessage": "rate limit"}),
    ],
)
async def test_over_its_limit_a_bot_is_left_alone_for_a_minute(
    bot: Feishu, channel: FeishuChannel, status: int, body: dict[str, object]
) -> None:
    bot.tell(status=status, body=body)
    outcome = await channel.send(bot.contact(), PAGE)
    assert isinstance(outcome, Unreachable)
    assert (outcome.ambiguous, outcome.retry_after_s) == (False, 60.0)


async def test_the_usual_limit_is_below_the_bots_own(bot: Feishu, channel: FeishuChannel, clock: ManualClock) -> None:
    limit = Accounts().delivery_of("feishu").limit
    assert limit is not None
    for _ in range(40):  # bursts of the whole limit, for more than two minutes
        outcomes = [await channel.send(bot.contact(), PAGE) for _ in range(limit.count)]
        assert outcomes == [Sent("code 0")] * limit.count
        clock.advance(limit.per_ms)


async def test_the_older_form_of_its_answer_is_understood(bot: Feishu, channel: FeishuChannel) -> None:
    bot.tell(body={"Extra": None, "StatusCode": 0, "StatusMessage": "success"})
    assert await channel.send(bot.contact(), PAGE) == Sent("code 0")


async def test_a_code_of_success_does_not_outdo_a_status_of_failure(bot: Feishu, channel: FeishuChannel) -> None:
    bot.tell(status=502, body={"code": 0})
    assert await channel.send(bot.contact(), PAGE) == Unreachable(f"{bot.where} answered 502", ambiguous=True)
