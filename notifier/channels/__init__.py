"""The ways to reach a person: which channel carries a contact's address.

Owns the registry. What a channel is and what a send comes to is in `outcome.py`, the channels are one file each. They
send and report; when to send, how often, and what comes after a refusal is the notifier's to decide. To add one: see
docs/channels.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from notifier.answers import Answers
from notifier.channels.apprise import AppriseChannel
from notifier.channels.dingtalk import DingtalkChannel
from notifier.channels.feishu import FeishuChannel
from notifier.channels.log import LogChannel
from notifier.channels.mail import MailChannel
from notifier.channels.ntfy import NtfyChannel
from notifier.channels.outcome import Answering, Channel, Outcome, Refused, Sent, Unreachable
from notifier.channels.phone import phone_channels
from notifier.channels.slack import SlackChannel
from notifier.channels.teams import TeamsChannel
from notifier.channels.telegram import TelegramChannel
from notifier.channels.webhook import WebhookChannel
from notifier.channels.wecom import WecomChannel
from tocsin.policy.accounts import Accounts

__all__ = ["Answering", "Channel", "Channels", "ChannelsConfig", "Outcome", "Refused", "Sent", "Unreachable"]


@dataclass(frozen=True, slots=True)
class ChannelsConfig:
    """What channels are made with.

    `wall_clock` gives ms UTC, for signatures and dates. `send_limit_s` is the longest that one attempt takes. `secrets` by the contact's
    whole address; empty: pages are not signed. A channel whose account is None refuses its contacts with that reason. `links_on_output`:
    whether the `log:` channel prints acknowledge links, which are secrets, on standard output; None: only when that is a terminal.
    `answers` None: channels only send, as for the emergency page.
    """

    wall_clock: Callable[[], int]
    send_limit_s: float = 10.0
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    accounts: Accounts = field(default_factory=Accounts)
    answers: Answers | None = None
    links_on_output: bool | None = None


class Channels:
    """All channels of one notifier, their connections kept between pages."""

    def __init__(self, config: ChannelsConfig) -> None:
        """Raises ValueError, naming the field, for an account that cannot be used."""
        accounts, limit_s = config.accounts, config.send_limit_s
        clock, secrets = config.wall_clock, config.secrets
        self._by_scheme: dict[str, Channel] = {
            "log": LogChannel(links=config.links_on_output),
            **_web(WebhookChannel(wall_clock=clock, secrets=secrets, total_limit_s=limit_s)),
            **_web(TeamsChannel(wall_clock=clock, total_limit_s=limit_s)),
            **_web(NtfyChannel(wall_clock=clock, secrets=secrets, total_limit_s=limit_s)),
            **_web(DingtalkChannel(wall_clock=clock, secrets=secrets, total_limit_s=limit_s)),
            **_web(WecomChannel(wall_clock=clock, total_limit_s=limit_s)),
            **_web(FeishuChannel(wall_clock=clock, secrets=secrets, total_limit_s=limit_s)),
            "apprise": AppriseChannel(total_limit_s=limit_s),
            "mailto": MailChannel(accounts.mail, wall_clock=config.wall_clock, total_limit_s=limit_s, answers=config.answers),
            "slack": SlackChannel(accounts.slack, wall_clock=clock, answers=config.answers, total_limit_s=limit_s),
            "telegram": TelegramChannel(accounts.telegram, wall_clock=config.wall_clock, answers=config.answers, total_limit_s=limit_s),
            **phone_channels(accounts, wall_clock=clock, total_limit_s=limit_s, answers=config.answers),
        }

    def for_contact(self, to: str) -> Channel | None:
        """The channel for an address, or None for a scheme that no channel carries."""
        return self._by_scheme.get(to.partition(":")[0].strip().lower())

    def answering(self) -> Mapping[str, Answering]:
        """The channels over which people also answer, by name."""
        return {channel.name: channel for channel in self._by_scheme.values() if isinstance(channel, Answering)}

    async def close(self) -> None:
        """Closes kept connections; sends still under way fail as unreachable."""
        for channel in dict.fromkeys(self._by_scheme.values()):
            await channel.close()


def _web(channel: Channel) -> dict[str, Channel]:
    """A channel whose contacts are web addresses, under its two schemes."""
    return {f"{channel.name}+http": channel, f"{channel.name}+https": channel}
