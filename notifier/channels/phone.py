"""Which of the ways carries the `sms:` and the `tel:` contacts: what `channels.sms.provider` and `channels.tel.provider` say."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from notifier.answers import Answers
from notifier.channels.gateway import GatewayChannel
from notifier.channels.outcome import Channel
from notifier.channels.twilio_sms import TwilioSmsChannel
from notifier.channels.twilio_voice import TwilioVoiceChannel
from tocsin.policy.accounts import Accounts, GatewayAccount, TwilioAccount


def phone_channels(
    accounts: Accounts, *, wall_clock: Callable[[], int], total_limit_s: float, answers: Answers | None
) -> Mapping[str, Channel]:
    """Return the channels by scheme; none for what has no account."""
    found: dict[str, Channel] = {}
    match accounts.sms:
        case TwilioAccount() as account:
            found["sms"] = TwilioSmsChannel(account, wall_clock=wall_clock, total_limit_s=total_limit_s, answers=answers)
        case GatewayAccount() as gateway:
            found["sms"] = GatewayChannel("sms", gateway, wall_clock=wall_clock, total_limit_s=total_limit_s)
    match accounts.tel:
        case TwilioAccount() as account:
            found["tel"] = TwilioVoiceChannel(account, wall_clock=wall_clock, total_limit_s=total_limit_s, answers=answers)
        case GatewayAccount() as gateway:
            found["tel"] = GatewayChannel("tel", gateway, wall_clock=wall_clock, total_limit_s=total_limit_s)
    return found
