"""The providers' accounts as the rules give them: addresses, keys, how much each takes and how soon it says that a page arrived.

Values only; what is done with them is the notifier's. Everything secret is kept out of `repr`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` messages in any `per_ms` milliseconds."""

    count: int
    per_ms: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a channel's account is used: its limit (None: none), and how long its receipt may take (0: it gives none, or none is awaited)."""

    limit: Limit | None = None
    receipt_within_ms: int = 0


UNLIMITED: Final = Delivery()

DEFAULT_DELIVERY: Final[Mapping[str, Delivery]] = {
    # 20 a minute; beyond it the robot is blocked for ten minutes (open.dingtalk.com, custom robots; 130101 "exceed 20 times per minute").
    "dingtalk": Delivery(Limit(18, 60_000)),
    # 20 a minute (developer.work.weixin.qq.com/document/path/91770).
    "wecom": Delivery(Limit(18, 60_000)),
    # 100 a minute and 5 a second (open.feishu.cn, custom bots): 5 in 4 s is 75 a minute and keeps both.
    "feishu": Delivery(Limit(5, 4_000)),
    # 30 a second over all chats (core.telegram.org/bots/faq).
    "telegram": Delivery(Limit(25, 1_000)),
    # Through Twilio, whose receipts come within seconds; a gateway gives none, and its account says so.
    "sms": Delivery(receipt_within_ms=120_000),
    "tel": Delivery(receipt_within_ms=90_000),  # 30 s of ringing, the script twice, and a margin
}
"""What a channel's account takes when the rules do not say: below the provider's own limit, since what we hold we can still bundle. For the
robots an account is one robot, that is one address."""


@dataclass(frozen=True, slots=True)
class MailAccount:
    """The account that sends mail: an SMTP URL (with the password, so never shown) and the sender's address.

    Answers are read from the mailbox `imap` (imaps://user:password@host/INBOX), or taken by our own SMTP listener at `listen` (host:port).
    `reply_to` is where they are sent, the sender when empty.
    """

    smtp: str = field(repr=False)
    sender: str
    reply_to: str = ""
    imap: str = field(default="", repr=False)
    listen: str = ""


@dataclass(frozen=True, slots=True)
class SlackAccount:
    """A Slack app: its bot token, and for the buttons either an app token (Socket Mode) or a signing secret (signed requests)."""

    token: str = field(repr=False)
    app_token: str = field(default="", repr=False)
    signing_secret: str = field(default="", repr=False)
    api_url: str = "https://slack.com/api/"


@dataclass(frozen=True, slots=True)
class TelegramAccount:
    """A Telegram bot. Its answers are fetched by long polling, so nothing of ours need be reachable."""

    token: str = field(repr=False)
    api_url: str = "https://api.telegram.org"


@dataclass(frozen=True, slots=True)
class TwilioAccount:
    """A Twilio account and what it sends or calls from: a number, for text messages also a name or a messaging service (`MG...`)."""

    account_sid: str
    auth_token: str = field(repr=False)
    sender: str
    api_url: str = "https://api.twilio.com"


@dataclass(frozen=True, slots=True)
class GatewayAccount:
    """Any other provider of text messages or calls: one HTTP request, written as a template in the rules.

    `{to}`, `{text}`, `{from}`, `{page}` in `url` and `body` are replaced, encoded for where they stand (tocsin/runtime/gatewaytemplate.py).
    `ok` must occur in the answer's body for it to count as taken; empty: the status decides. `prefix` stands before every text (the
    registered signature that Chinese gateways want); `charset` is that of url, body and answer.
    """

    url: str = field(repr=False)
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: str = field(default="", repr=False)
    sender: str = ""
    ok: str = ""
    prefix: str = ""
    charset: str = "utf-8"


@dataclass(frozen=True, slots=True)
class Accounts:
    """Every account, None where the rules give none. `delivery` by the channel's name."""

    mail: MailAccount | None = None
    slack: SlackAccount | None = None
    telegram: TelegramAccount | None = None
    sms: TwilioAccount | GatewayAccount | None = None
    tel: TwilioAccount | GatewayAccount | None = None
    delivery: Mapping[str, Delivery] = field(default_factory=dict)

    def delivery_of(self, channel: str) -> Delivery:
        """Return how a channel's account is used: as the rules say, else as is usual for the channel."""
        return self.delivery.get(channel) or default_delivery(channel)


def default_delivery(channel: str) -> Delivery:
    """Return how a channel's account is used when the rules do not say."""
    return DEFAULT_DELIVERY.get(channel, UNLIMITED)
