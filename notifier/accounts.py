"""The providers' accounts and secrets, as the rules give them to the channels."""

from __future__ import annotations

from notifier.channels import ChannelsConfig, SmtpAccount
from tocsin.policy.rules import Rules
from tocsin.runtime.service import Deps


def channels_config(rules: Rules, deps: Deps) -> ChannelsConfig:
    """Return the accounts and secrets that the rules give the channels."""
    secrets = {contact.to: contact.secret for person in rules.people.values() for contact in person.contacts if contact.secret}
    mail = SmtpAccount(rules.mail.smtp, rules.mail.sender) if rules.mail is not None else None
    return ChannelsConfig(wall_clock=deps.clock.now_ms, send_limit_s=deps.settings.send_timeout_s, webhook_secrets=secrets, mail=mail)
