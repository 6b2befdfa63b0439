"""The robots of WeCom, against a stand-in that checks and limits as they do. For every web address: test_channel_http.py."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from notifier.channels import Refused, Sent, Unreachable
from notifier.channels.wecom import CONTENT_BYTES_MAX, WecomChannel
from notifier.message import PageMessage
from tests.fakes.hooks import Wecom
from tests.notifier.pages import HOSTILE, MANY, NOW_MS, PAGE
from tocsin.policy.accounts import Accounts


@pytest.fixture
async def robot() -> AsyncIterator[Wecom]:
    async with Wecom(wall_clock=lambda: NOW_MS) as robot:
        yield robot


@pytest.fixture
async def channel() -> AsyncIterator[WecomChannel]:
    channel = WecomChannel(wall_clock=lambda: NOW_MS)
    yield channel
    await channel.close()


async def test_a_page_is_plain_text_with_its_link_last(robot: Wecom, channel: WecomChannel) -> None:
    assert await channel.send(robot.contact(), PAGE) == Sent("code 0")
    body = robot.taken[0].body
    assert body == {"msgtype": "text", "text": {"content": body["text"]["content"], "mentioned_list": []}}
    lines = body["text"]["content"].splitlines()
    assert "INC-42" in lines[0]
    assert lines[-1] == f"Take it: {PAGE.acknowledge_url}"


@pytest.mark.parametrize("message", [HOSTILE, MANY, replace(HOSTILE, incident=replace(PAGE.incident, title="<@all>" * 60))])
async def test_whatever_it_holds_it_fits_and_calls_nobody(robot: Wecom, channel: WecomChannel, message: PageMessage) -> None:
    await channel.send(robot.contact(), message)
    content = robot.taken[0].body["text"]["content"]
    assert len(content.encode()) <= CONTENT_BYTES_MAX
    assert "<" not in content
    assert content.splitlines()[-1].endswith(PAGE.acknowledge_url)


@pytest.mark.parametrize(("code", "words"), [(45009, "api freq out of limit"), (45033, "concurrent"), (7, "API freq out of limit")])
async def test_over_its_limit_a_robot_is_left_alone_for_a_minute(robot: Wecom, channel: WecomChannel, code: int, words: str) -> None:
    robot.tell(body={"errcode": code, "errmsg": words})
    assert await channel.send(robot.contact(), PAGE) == Unreachable(
        f"{robot.where} answered 200, code {code}: too many messages", ambiguous=False, retry_after_s=60.0
    )


async def test_the_usual_limit_is_below_the_robots_own(robot: Wecom, channel: WecomChannel) -> None:
    limit = Accounts().delivery_of("wecom").limit
    assert limit is not None
    assert (limit.count < Wecom.per_minute_max, limit.per_ms) == (True, 60_000)
    outcomes = [await channel.send(robot.contact(), PAGE) for _ in range(limit.count)]
    assert outcomes == [Sent("code 0")] * limit.count


async def test_a_key_that_is_not_valid_is_a_refusal(robot: Wecom, channel: WecomChannel) -> None:
    to = robot.contact().replace("hidden-key", "old-key")
    assert await channel.send(to, PAGE) == Refused(
        f"{robot.where} answered 200, code 93000: the robot's key is not valid or the robot was removed"
    )


async def test_an_answer_without_a_code_is_no_answer(robot: Wecom, channel: WecomChannel) -> None:
    robot.tell(body=b"<html>log in</html>")
    assert await channel.send(robot.contact(), PAGE) == Unreachable(f"{robot.where} answered 200 without a result", ambiguous=True)
