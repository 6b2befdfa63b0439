"""The robots of DingTalk, against a stand-in that checks and limits as they do. For every web address: test_channel_http.py."""

from collections.abc import AsyncIterator

import pytest

from notifier.channels import Refused, Sent, Unreachable
from notifier.channels.dingtalk import DingtalkChannel
from tests.fakes.hooks import Dingtalk
from tests.notifier.pages import HOSTILE, NOW_MS, PAGE
from tocsin.policy.accounts import Accounts
from tocsin.runtime.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_MS)


@pytest.fixture
async def robot(clock: ManualClock) -> AsyncIterator[Dingtalk]:
    async with Dingtalk(wall_clock=clock.now_ms) as robot:
        yield robot


@pytest.fixture
async def channel(robot: Dingtalk, clock: ManualClock) -> AsyncIterator[DingtalkChannel]:
    channel = DingtalkChannel(wall_clock=clock.now_ms, secrets={robot.contact(): "SEC 열쇠+/="})
    yield channel
    await channel.close()


async def test_a_page_is_plain_text_that_calls_nobody(robot: Dingtalk, channel: DingtalkChannel) -> None:
    assert await channel.send(robot.contact(), PAGE) == Sent("code 0")
    body = robot.taken[0].body
    assert body["msgtype"] == "text"
    assert body["at"] == {"isAtAll": False}
    lines = body["text"]["content"].splitlines()
    assert "INC-42" in lines[0]
    assert lines[-1] == f"Take it: {PAGE.acknowledge_url}"


async def test_hostile_text_stays_on_its_line(robot: Dingtalk, channel: DingtalkChannel) -> None:
    await channel.send(robot.contact(), HOSTILE)
    content = robot.taken[0].body["text"]["content"]
    assert not set(content) & {"\r", "\x00", "\u202e", "\u2028"}
    assert "@all" not in content
    assert content.splitlines()[-1] == f"Take it: {PAGE.acknowledge_url}"


async def test_a_robot_with_a_secret_gets_a_signature_it_can_check(robot: Dingtalk, channel: DingtalkChannel) -> None:
    robot.secret = "SEC 열쇠+/="
    assert isinstance(await channel.send(robot.contact(), PAGE), Sent)
    robot.secret = "another"
    assert await channel.send(robot.contact(), PAGE) == Refused(
        f"{robot.where} answered 200, code 310000: the signature is not valid: secret or clock"
    )


async def test_a_robot_that_wants_a_keyword_says_so(robot: Dingtalk, channel: DingtalkChannel) -> None:
    robot.keyword = "INC-"
    assert isinstance(await channel.send(robot.contact(), PAGE), Sent)
    robot.keyword = "监控"
    assert await channel.send(robot.contact(), PAGE) == Refused(
        f"{robot.where} answered 200, code 310000: the robot wants a keyword that the text does not hold"
    )


@pytest.mark.parametrize(
    ("code", "words", "meaning"),
    [
        (310000, "ip 1.2.3.4 not in whitelist", ": our address is not on the robot's list"),
        (310000, "?", ": the robot's security settings refuse it"),
        (400102, "bot is stopped", ": the robot is stopped"),
        (400013, "", ": the group is no more"),
        (430101, "含有不安全的外链", ""),
        (123456, "hidden-token", ""),
    ],
)
async def test_any_other_code_is_a_refusal(robot: Dingtalk, channel: DingtalkChannel, code: int, words: str, meaning: str) -> None:
    robot.tell(body={"errcode": code, "errmsg": words})
    assert await channel.send(robot.contact(), PAGE) == Refused(f"{robot.where} answered 200, code {code}{meaning}")


async def test_a_token_that_is_not_valid_is_a_refusal(robot: Dingtalk, channel: DingtalkChannel) -> None:
    to = robot.contact().replace("hidden-token", "old-token")
    assert await channel.send(to, PAGE) == Refused(f"{robot.where} answered 200, code 300005: the robot's token is not valid")


async def test_over_its_limit_a_robot_is_left_alone_for_ten_minutes(robot: Dingtalk, channel: DingtalkChannel, clock: ManualClock) -> None:
    blocked = Unreachable(f"{robot.where} answered 200, code 130101: too many messages", ambiguous=False, retry_after_s=600.0)
    outcomes = [await channel.send(robot.contact(), PAGE) for _ in range(21)]
    assert outcomes == [Sent("code 0")] * 20 + [blocked]
    clock.advance(599_000)
    assert await channel.send(robot.contact(), PAGE) == blocked
    clock.advance(600_000)
    assert await channel.send(robot.contact(), PAGE) == Sent("code 0")


async def test_the_usual_limit_is_below_the_robots_own() -> None:
    limit = Accounts().delivery_of("dingtalk").limit
    assert limit is not None
    assert limit.count * 60_000 < Dingtalk.per_minute_max * limit.per_ms


@pytest.mark.parametrize(
    "body",
    [
        {"errcode": 410100, "errmsg": "发送速度太快而限流"},
        {"errcode": 90030, "errmsg": "webhook over limit"},
        {"errcode": 777, "errmsg": "Send Too Fast"},
        {"status": 1111, "wait": 5, "source": "x5", "punish": "deny", "uuid": "24ce"},
    ],
)
async def test_a_limit_is_known_by_its_code_its_words_or_its_punishment(
    robot: Dingtalk, channel: DingtalkChannel, body: dict[str, object]
) -> None:
    robot.tell(body=body)
    outcome = await channel.send(robot.contact(), PAGE)
    assert isinstance(outcome, Unreachable)
    assert (outcome.ambiguous, outcome.retry_after_s) == (False, 600.0)


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"", b"[0]", {"ok": True}, {"errcode": "0"}, {"errcode": True}, b"[" * 60_000])
async def test_an_answer_without_a_code_is_no_answer(robot: Dingtalk, channel: DingtalkChannel, body: object) -> None:
    robot.tell(body=body)
    assert await channel.send(robot.contact(), PAGE) == Unreachable(f"{robot.where} answered 200 without a result", ambiguous=True)


async def test_a_busy_system_may_have_delivered_it(robot: Dingtalk, channel: DingtalkChannel) -> None:
    robot.tell(body={"errcode": -1, "errmsg": "系统繁忙"})
    assert await channel.send(robot.contact(), PAGE) == Unreachable(f"{robot.where} answered 200, code -1", ambiguous=True)
