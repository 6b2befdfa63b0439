"""Turns the section `channels` of alert_rules.yaml into `tocsin.policy.accounts`: the providers' accounts.

Owns the shapes of this section and its checks. Every secret may also be in a file: `token` or `token_file`. A channel without an account of
its own (webhook, ntfy ...) may still say how much it takes: `limit: 20/1m`. Those that say what arrived, how long that may take:
`receipt_within: 2m`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeVar

from pydantic import Field

from tocsin.policy.accounts import (
    UNLIMITED,
    Accounts,
    Delivery,
    GatewayAccount,
    Limit,
    MailAccount,
    SlackAccount,
    TelegramAccount,
    TwilioAccount,
    default_delivery,
)
from tocsin.policy.durations import DurationError, parse_duration_ms
from tocsin.runtime import gatewaytemplate
from tocsin.runtime.contactaddress import imap_fault, listen_fault, phone_sender_fault, sender_fault, smtp_fault, web_fault
from tocsin.runtime.rulebuild import RuleSource
from tocsin.runtime.ruleschema import Duration, Shape, read_shape
from tocsin.runtime.yamltree import Path, Plain, shown

_LIMIT = re.compile(r"([0-9]{1,6})/(.+)")
_TWILIO_SID: Final = re.compile(r"AC[0-9a-fA-F]{32}")
LIMIT_EXPECTED: Final = "expected so many in a time, as in 10/1s or 20/1m"


class ChannelShape(Shape):
    """What every channel may say."""

    limit: str | None = None
    receipt_within: Duration | None = None


class MailShape(ChannelShape):
    smtp: str | None = None
    smtp_file: str | None = None
    sender: Annotated[str, Field(alias="from")]
    reply_to: str = ""
    imap: str | None = None
    imap_file: str | None = None
    listen: str = ""


class SlackShape(ChannelShape):
    token: str | None = None
    token_file: str | None = None
    app_token: str | None = None
    app_token_file: str | None = None
    signing_secret: str | None = None
    signing_secret_file: str | None = None
    api_url: str = "https://slack.com/api/"


class TelegramShape(ChannelShape):
    token: str | None = None
    token_file: str | None = None
    api_url: str = "https://api.telegram.org"


class TwilioShape(ChannelShape):
    provider: Literal["twilio"]
    account_sid: str
    auth_token: str | None = None
    auth_token_file: str | None = None
    sender: Annotated[str, Field(alias="from")]
    api_url: str = "https://api.twilio.com"


class GatewayShape(ChannelShape):
    provider: Literal["http"]
    url: str | None = None
    url_file: str | None = None
    method: Literal["GET", "POST", "PUT"] = "POST"
    headers: dict[str, str] = {}
    body: str | None = None
    body_file: str | None = None
    sender: Annotated[str, Field(alias="from")] = ""
    ok: str = ""
    prefix: str = ""
    charset: str = "utf-8"


class ProviderShape(Shape):
    """Only to say which providers there are."""

    provider: Literal["twilio", "http"]


WITH_ACCOUNTS: Final = ("mail", "slack", "telegram", "sms", "tel")
WITHOUT_ACCOUNTS: Final = ("log", "webhook", "teams", "ntfy", "dingtalk", "wecom", "feishu", "apprise")
WITH_RECEIPTS: Final = ("sms", "tel")
CHANNELS: Final = WITH_ACCOUNTS + WITHOUT_ACCOUNTS

S = TypeVar("S", bound=ChannelShape)


class _Section:
    """The section `channels` while it is read: collects how each channel's account is used."""

    def __init__(self, source: RuleSource) -> None:
        self.source = source
        self.delivery: dict[str, Delivery] = {}

    def read(self, shape: type[S], name: str, value: Plain, usual: Delivery | None = None) -> S | None:
        """Read one channel's entry, its limit and receipts too; what it leaves out of these is as `usual` (None: usual for the channel)."""
        path: Path = ("channels", name)
        found = read_shape(shape, {} if value is None else value, self.source.document, path)
        if found is not None:
            usual = usual or default_delivery(name)
            limit = usual.limit if found.limit is None else self._limit(found.limit, (*path, "limit"))
            within_ms = usual.receipt_within_ms
            if found.receipt_within is not None and name not in WITH_RECEIPTS:
                message = f"is only for {' and '.join(WITH_RECEIPTS)}, which say what arrived, expected none here"
                self.source.document.add((*path, "receipt_within"), message)
            elif found.receipt_within is not None:
                within_ms = self.source.duration_ms(found.receipt_within, (*path, "receipt_within"))
            self.delivery[name] = Delivery(limit, within_ms)
        return found

    def secret(self, shape: ChannelShape, name: str, key: str, *, required: bool = True) -> str:
        """Return a secret that is written in the entry or in a file; empty, with a problem when it is required, when there is none."""
        path: Path = ("channels", name)
        text, file = getattr(shape, key), getattr(shape, f"{key}_file")
        found = self.source.secret(text, file, path, key)
        if found is None and file is None and required:
            self.source.document.add((*path, key), f"is missing, expected {key} or {key}_file")
        elif found == "":
            self.source.document.add((*path, key if text is not None else f"{key}_file"), "is empty")
        return found or ""

    def check_web(self, text: str, path: Path) -> None:
        """An address of a provider must be one of the web."""
        fault = web_fault(text, what="a web address")
        if fault is not None:
            self.source.document.add(path, fault)

    def _limit(self, text: str | None, path: Path) -> Limit | None:
        if text is None:
            return None
        try:
            limit = parse_limit(text)
        except ValueError as error:
            self.source.document.add(path, str(error))
            return None
        return limit


def parse_limit(text: str) -> Limit:
    """Read `10/1s`. Raises ValueError with what was expected."""
    found = _LIMIT.fullmatch(text)
    try:
        count, per_ms = (int(found[1]), parse_duration_ms(found[2])) if found is not None else (0, 0)
    except DurationError:
        count, per_ms = 0, 0
    if count < 1 or per_ms < 1:
        raise ValueError(f"{shown(text)} is not a limit, {LIMIT_EXPECTED}")
    return Limit(count, per_ms)


def build_accounts(source: RuleSource) -> Accounts:
    """Build the providers' accounts."""
    section = _Section(source)
    value = source.section("channels")
    entries: Mapping[str, Plain] = {str(key): each for key, each in value.items()} if isinstance(value, dict) else {}
    for name in entries:
        if name not in CHANNELS:
            source.knows("channel", name, CHANNELS, ("channels", name))
        elif name in WITHOUT_ACCOUNTS:
            section.read(ChannelShape, name, entries[name])
    return Accounts(
        mail=_mail(section, entries["mail"]) if "mail" in entries else None,
        slack=_slack(section, entries["slack"]) if "slack" in entries else None,
        telegram=_telegram(section, entries["telegram"]) if "telegram" in entries else None,
        sms=_phone(section, "sms", entries["sms"]) if "sms" in entries else None,
        tel=_phone(section, "tel", entries["tel"]) if "tel" in entries else None,
        delivery=section.delivery,
    )


def has_account(source: RuleSource, channel: str) -> bool:
    """Whether the file gives a channel an account, right or not."""
    channels = source.section("channels")
    return isinstance(channels, dict) and channels.get(channel) is not None


def _mail(section: _Section, value: Plain) -> MailAccount | None:
    shape = section.read(MailShape, "mail", value)
    if shape is None:
        return None
    path: Path = ("channels", "mail")
    add = section.source.document.add
    smtp = section.secret(shape, "mail", "smtp")
    fault = smtp_fault(smtp) if smtp else None
    if fault is not None:
        add((*path, "smtp" if shape.smtp is not None else "smtp_file"), fault)
    for key, address in (("from", shape.sender), ("reply_to", shape.reply_to)):
        fault = sender_fault(address) if address or key == "from" else None
        if fault is not None:
            add((*path, key), fault)
    imap = section.secret(shape, "mail", "imap", required=False)
    for key, text, fault_of in (("imap", imap, imap_fault), ("listen", shape.listen, listen_fault)):
        fault = fault_of(text) if text else None
        if fault is not None:
            add((*path, f"{key}_file" if getattr(shape, f"{key}_file", None) is not None else key), fault)
    return MailAccount(smtp, shape.sender, shape.reply_to, imap, shape.listen)


def _slack(section: _Section, value: Plain) -> SlackAccount | None:
    shape = section.read(SlackShape, "slack", value)
    if shape is None:
        return None
    section.check_web(shape.api_url, ("channels", "slack", "api_url"))
    return SlackAccount(
        section.secret(shape, "slack", "token"),
        section.secret(shape, "slack", "app_token", required=False),
        section.secret(shape, "slack", "signing_secret", required=False),
        shape.api_url,
    )


def _telegram(section: _Section, value: Plain) -> TelegramAccount | None:
    shape = section.read(TelegramShape, "telegram", value)
    if shape is None:
        return None
    section.check_web(shape.api_url, ("channels", "telegram", "api_url"))
    return TelegramAccount(section.secret(shape, "telegram", "token"), shape.api_url)


def _phone(section: _Section, name: str, value: Plain) -> TwilioAccount | GatewayAccount | None:
    provider = value.get("provider") if isinstance(value, dict) else None
    if provider == "twilio":
        return _twilio(section, name, value)
    if provider == "http":
        return _gateway(section, name, value)
    only = {"provider": provider} if isinstance(value, dict) and "provider" in value else {} if isinstance(value, dict) else value
    read_shape(ProviderShape, only, section.source.document, ("channels", name))
    return None


def _twilio(section: _Section, name: str, value: Plain) -> TwilioAccount | None:
    shape = section.read(TwilioShape, name, value)
    if shape is None:
        return None
    path: Path = ("channels", name)
    section.check_web(shape.api_url, (*path, "api_url"))
    if _TWILIO_SID.fullmatch(shape.account_sid) is None:
        section.source.document.add((*path, "account_sid"), "is no account of Twilio, expected AC and 32 digits or letters a to f")
    fault = phone_sender_fault(shape.sender, name)
    if fault is not None:
        section.source.document.add((*path, "from"), fault)
    return TwilioAccount(shape.account_sid, section.secret(shape, name, "auth_token"), shape.sender, shape.api_url)


def _gateway(section: _Section, name: str, value: Plain) -> GatewayAccount | None:
    shape = section.read(GatewayShape, name, value, UNLIMITED)  # a gateway gives no receipts
    if shape is None:
        return None
    path: Path = ("channels", name)
    url = section.secret(shape, name, "url")
    keys = {"url": "url" if shape.url is not None else "url_file", "body": "body" if shape.body is not None else "body_file"}
    if url:
        section.check_web(url, (*path, keys["url"]))
    body = section.secret(shape, name, "body", required=False)
    account = GatewayAccount(url, shape.method, shape.headers, body, shape.sender, shape.ok, shape.prefix, shape.charset)
    for field, fault in gatewaytemplate.faults(account):
        section.source.document.add((*path, keys.get(field, field)), fault)
    return account
