"""The ways to reach a person: which channel carries a contact's address.

Owns the registry. What a channel is and what a send comes to is in `outcome.py`, the channels are one file each. They
send and report; when to send, how often, and what comes after a refusal is the notifier's to decide. To add one: a file
here, a line in `Channels`, its scheme in the rules' list of contacts, a stand-in provider in tests/fakes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from notifier.channels.log import LogChannel
from notifier.channels.mail import MailChannel, SmtpAccount
from notifier.channels.outcome import Channel, Outcome, Refused, Sent, Unreachable
from notifier.channels.webhook import WebhookChannel

__all__ = ["Channel", "Channels", "ChannelsConfig", "Outcome", "Refused", "Sent", "SmtpAccount", "Unreachable"]


@dataclass(frozen=True, slots=True)
class ChannelsConfig:
    """Accounts and secrets of the channels.

    `wall_clock` gives ms UTC, for signatures and dates. `send_limit_s` is the longest that one attempt takes. `webhook_secrets` by the
    contact's whole address; empty: pages are not signed. `mail` None: `mailto:` contacts are refused with that reason. `links_on_output`:
    whether the `log:` channel prints acknowledge links, which are secrets, on standard output; None: only when that is a terminal.
    """

    wall_clock: Callable[[], int]
    send_limit_s: float = 10.0
    webhook_secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    mail: SmtpAccount | None = None
    links_on_output: bool | None = None


class Channels:
    """All channels of one notifier, their connections kept between pages."""

    def __init__(self, config: ChannelsConfig) -> None:
        """Raises ValueError, naming the field, for an account that cannot be used."""
        self._webhook = WebhookChannel(wall_clock=config.wall_clock, secrets=config.webhook_secrets, total_limit_s=config.send_limit_s)
        self._by_scheme: dict[str, Channel] = {
            "log": LogChannel(links=config.links_on_output),
            "webhook+http": self._webhook,
            "webhook+https": self._webhook,
            "mailto": MailChannel(config.mail, wall_clock=config.wall_clock, total_limit_s=config.send_limit_s),
        }

    def for_contact(self, to: str) -> Channel | None:
        """The channel for an address, or None for a scheme that no channel carries."""
        return self._by_scheme.get(to.partition(":")[0].strip().lower())

    async def close(self) -> None:
        """Closes kept connections; sends still under way fail as unreachable."""
        await self._webhook.close()
