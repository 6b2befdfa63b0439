"""The accounts of text messages and calls in the rules: what they come to, and what `tocsin check` says of a wrong one, with its line."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tocsin.policy.accounts import Accounts, Delivery, GatewayAccount, Limit, TwilioAccount
from tocsin.runtime import gatewaytemplate
from tocsin.runtime.rulesfile import check_rules

SMALL = (Path(__file__).resolve().parents[2] / "tests/data/rules/small.yaml").read_text(encoding="utf-8")
LINES = SMALL.count("\n")
SID = "AC" + "0a" * 16
TWILIO = f"provider: twilio, account_sid: {SID}, auth_token: t, from: '+15005550006'"


def read(channel: str, entry: str, files: Mapping[str, str] | None = None) -> tuple[Accounts | None, list[str]]:
    """The accounts, and the problems from the line of the entry on (`3:` is its third line)."""
    text = SMALL + f"channels:\n  {channel}:\n" + "".join(f"    {line}\n" for line in entry.splitlines())

    def read_file(name: str) -> str:
        return dict(files or {})[name]

    rules, problems, _ = check_rules(text, file_name="r.yaml", environment={"GATEWAY_KEY": "k3y"}, read_file=read_file)
    found = []
    for problem in problems:
        _, line, _, rest = str(problem).split(":", 3)
        found.append(f"{int(line) - LINES - 2}: {rest.strip()}")
    return None if rules is None else rules.accounts, found


def gateway(url: str = "https://sms.example.kr/send", body: str = "to={to}&text={text}", **more: str) -> str:
    lines = [f"url: '{url}'", f"body: '{body}'", *(f"{key.rstrip('_')}: {value}" for key, value in more.items())]
    return "provider: http\n" + "\n".join(line for line in lines if line != "body: ''")


def test_an_account_at_twilio_awaits_receipts_unless_the_rules_say_otherwise() -> None:
    accounts, problems = read("sms", TWILIO.replace(", ", "\n"))
    assert not problems
    assert accounts is not None
    assert accounts.sms == TwilioAccount(SID, "t", "+15005550006")
    assert accounts.delivery_of("sms") == Delivery(receipt_within_ms=120_000)
    accounts, _ = read("tel", TWILIO.replace(", ", "\n") + "\nlimit: 10/1s")
    assert accounts is not None
    assert accounts.delivery_of("tel") == Delivery(Limit(10, 1_000), receipt_within_ms=90_000)
    accounts, _ = read("tel", TWILIO.replace(", ", "\n") + "\nreceipt_within: 0s")
    assert accounts is not None
    assert accounts.delivery_of("tel") == Delivery()


def test_a_gateway_awaits_no_receipt() -> None:
    accounts, problems = read("sms", gateway(url="https://sms.example.kr/send?key=${GATEWAY_KEY}", prefix="'[T]'", charset="euc-kr"))
    assert not problems
    assert accounts is not None
    assert accounts.sms == GatewayAccount("https://sms.example.kr/send?key=k3y", body="to={to}&text={text}", prefix="[T]", charset="euc-kr")
    assert accounts.delivery_of("sms") == Delivery()


@pytest.mark.parametrize(
    ("channel", "entry", "expected"),
    [
        ("sms", TWILIO.replace(SID, "AC1"), "is no account of Twilio, expected AC and 32 digits or letters a to f"),
        ("sms", TWILIO.replace("+15005550006", "0150"), "a name of at most 11 letters and digits, or a messaging service (MG...)"),
        ("tel", TWILIO.replace("+15005550006", "Tocsin"), "this is no international phone number, expected one as +821012345678"),
        ("sms", TWILIO.replace("twilio", "twillio"), "twillio"),
        ("sms", TWILIO.replace(", auth_token: t", ""), "auth_token: is missing, expected auth_token or auth_token_file"),
    ],
)
def test_a_wrong_account_at_twilio_is_named(channel: str, entry: str, expected: str) -> None:
    accounts, problems = read(channel, entry.replace(", ", "\n"))
    assert accounts is None
    assert any(expected in problem for problem in problems), problems


@pytest.mark.parametrize("sender", ["+15005550006", "Tocsin", "Ops 24", "MG" + "1" * 32])
def test_text_messages_may_come_from_a_number_a_name_or_a_service(sender: str) -> None:
    _, problems = read("sms", TWILIO.replace("+15005550006", sender).replace(", ", "\n"))
    assert not problems


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (gateway(body="to={to}&text={txt}"), "3: channels.sms.body: unknown placeholder {txt}, expected one of {to}, {digits}"),
        (gateway(url="https://sms.example.kr/{key}"), "2: channels.sms.url: unknown placeholder {key}"),
        (gateway(url="https://{to}.example.kr/"), "2: channels.sms.url: a placeholder stands in the host"),
        (gateway(body="text={text}"), "3: channels.sms.body: nowhere says who is meant"),
        (gateway(body="to={national}"), "3: channels.sms.body: nowhere says what happened"),
        (gateway(body="to={to}&text={text}&from={from}"), "channels.sms.from: is missing, and the template says {from}"),
        (gateway(method="GET"), "3: channels.sms.body: a GET request has no body"),
        (gateway(body='{"to": {to}, "text": "{text}"}'), "3: channels.sms.body: is no JSON once it is filled"),
        (gateway(body="<m to={to}>{text}</m>"), "3: channels.sms.body: is no XML once it is filled"),
        (gateway(charset="utf-99"), "4: channels.sms.charset: is no character encoding"),
        (gateway(charset="hex"), "4: channels.sms.charset: is no character encoding"),
        (gateway(headers='{"X-Key": "a\\nb"}'), "4: channels.sms.headers: a name or value is not one that a header can carry"),
        (gateway(url="ftp://sms.example.kr/"), "2: channels.sms.url: the scheme is neither http nor https"),
    ],
)
def test_a_wrong_template_is_refused_with_its_line(entry: str, expected: str) -> None:
    accounts, problems = read("sms", entry)
    assert accounts is None
    assert any(expected in problem for problem in problems), problems


def test_a_fault_in_a_file_names_the_key_of_the_file_and_never_its_secret() -> None:
    entry = "provider: http\nurl_file: u\nbody: 'x={to}{text}'"
    accounts, problems = read("sms", entry, files={"u": "https://sms.example.kr/s3cret/{what}"})
    assert accounts is None
    assert len(problems) == 1
    assert "channels.sms.url_file: unknown placeholder {what}" in problems[0]
    assert "s3cret" not in problems[0]


@pytest.mark.parametrize(
    ("to", "expected"),
    [("+821012345678", "01012345678"), ("+8613800138000", "13800138000"), ("+886912345678", "0912345678"), ("+15005550006", "5005550006")],
)
def test_a_number_is_written_as_at_home(to: str, expected: str) -> None:
    assert gatewaytemplate.national(to) == expected


def test_braces_of_json_are_no_placeholders() -> None:
    account = GatewayAccount("https://x/", body='{"a": {}, "b": {"to": "{to}", "text": "{text}"}}')
    assert list(gatewaytemplate.faults(account)) == []
    filled = gatewaytemplate.fill_body(account, gatewaytemplate.values_of(account, "+821012345678", 'a "b" {to}', "p"))
    assert filled == b'{"a": {}, "b": {"to": "+821012345678", "text": "a \\"b\\" {to}"}}'
