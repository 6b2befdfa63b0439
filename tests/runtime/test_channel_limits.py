"""What the rules file says of channels without an account, and how much each takes when it says nothing."""

from __future__ import annotations

import pytest

from tocsin.policy.accounts import Accounts, Delivery, Limit
from tocsin.runtime.contactaddress import contact_fault
from tocsin.runtime.rulesfile import check_rules

RULES = """version: 1
people: {kim: {name: Kim, contacts: ['log:']}}
roles: {duty: {people: [kim]}}
ladders: {standard: {rungs: {1: {0s: duty}, 2: {0s: duty}, 3: {0s: duty}}, last_resort: [duty]}}
services: [{name: everything}]
channels: {%s}
"""


def accounts_of(channels: str) -> Accounts:
    rules, problems, _ = check_rules(RULES % channels, file_name="rules.yaml", environment={}, read_file=lambda _: "")
    assert rules is not None, problems
    return rules.accounts


def problems_of(channels: str) -> list[str]:
    return [str(problem) for problem in check_rules(RULES % channels, file_name="r", environment={}, read_file=lambda _: "")[1]]


def test_what_is_not_said_is_as_usual_for_the_channel() -> None:
    accounts = accounts_of("")
    assert accounts.delivery_of("dingtalk") == accounts.delivery_of("wecom") == Delivery(Limit(18, 60_000))
    assert accounts.delivery_of("feishu") == Delivery(Limit(5, 4_000))
    assert accounts.delivery_of("webhook") == accounts.delivery_of("nothing-we-know") == Delivery()
    assert accounts_of("dingtalk: {}").delivery_of("dingtalk") == accounts.delivery_of("dingtalk")


def test_the_rules_may_say_how_much_a_channel_takes() -> None:
    accounts = accounts_of("dingtalk: {limit: 10/1m}, ntfy: {limit: 1/5s}")
    assert accounts.delivery_of("dingtalk").limit == Limit(10, 60_000)
    assert accounts.delivery_of("ntfy").limit == Limit(1, 5_000)


@pytest.mark.parametrize("channel", ["webhook", "teams", "ntfy", "dingtalk", "wecom", "feishu", "apprise", "log"])
def test_a_receipt_that_never_comes_cannot_be_waited_for(channel: str) -> None:
    (problem,) = problems_of(f"{channel}: {{receipt_within: 2m}}")
    assert f"channels.{channel}.receipt_within" in problem
    assert "is only for sms and tel" in problem


def fault(address: str) -> str | None:
    return contact_fault(address, has_account=lambda _: True)


@pytest.mark.parametrize(
    "address",
    [
        "teams+https://prod-00.westus.logic.azure.com:443/workflows/1/invoke?sig=a%2Fb",
        "ntfy+https://ntfy.sh/kim-pages",
        "ntfy+https://user:word@ntfy.example.com/push/kim_pages/",
        "dingtalk+https://oapi.dingtalk.com/robot/send?access_token=1",
        "wecom+https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=1",
        "feishu+https://open.feishu.cn/open-apis/bot/v2/hook/1",
        "feishu+http://10.0.0.7:8080/hook/1",
        "apprise:json://10.0.0.7/",
    ],
)
def test_the_usual_addresses_are_right(address: str) -> None:
    assert fault(address) is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("ntfy+https://ntfy.sh", "does not end with a topic"),
        ("ntfy+https://ntfy.sh/", "does not end with a topic"),
        ("ntfy+https://ntfy.sh/what%20is%20this", "does not end with a topic"),
        ("dingtalk+https://oapi.dingtalk.com/robot/send", "has no access_token"),
        ("dingtalk+https://oapi.dingtalk.com/robot/send?access_token=", "has no access_token"),
        ("wecom+https://qyapi.weixin.qq.com/cgi-bin/webhook/send?token=hidden", "has no key"),
        ("feishu+https:///hook/hidden", "has no host"),
        ("teams+https://", "has no host"),
        ("apprise:", "not an Apprise URL"),
        ("apprise:gotify:hidden", "not an Apprise URL"),
        ("apprise:gotify://", "not an Apprise URL"),
    ],
)
def test_an_address_that_lost_a_part_is_named_without_repeating_it(address: str, expected: str) -> None:
    found = fault(address)
    assert found is not None
    assert expected in found
    assert "hidden" not in found
