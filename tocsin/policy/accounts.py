"""The providers' accounts as the rules give them: addresses, keys, how much each takes and how soon it says that a page arrived.

Values only; what is done with them is the notifier's. Everything secret is kept out of `repr`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
    """A Twilio account and the number that it sends or calls from."""

    account_sid: str
    auth_token: str = field(repr=False)
    sender: str
    api_url: str = "https://api.twilio.com"


@dataclass(frozen=True, slots=True)
class GatewayAccount:
    """Any other provider of text messages or calls: one HTTP request, written as a template in the rules.

    `{to}`, `{text}`, `{from}`, `{page}` in `url` and `body` are replaced, encoded for where they stand. `ok` must occur in the answer's
    body for it to count as taken; empty: the status decides.
    """

    url: str = field(repr=False)
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: str = field(default="", repr=False)
    sender: str = ""
    ok: str = ""


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
        """Return how a channel's account is used."""
        return self.delivery.get(channel, _UNLIMITED)


_UNLIMITED = Delivery()
