"""The providers' accounts and secrets, as the rules give them to the channels."""

from __future__ import annotations

from notifier.answers import Answers
from notifier.channels import ChannelsConfig
from tocsin.policy.rules import Rules
from tocsin.runtime.service import Deps


def channels_config(rules: Rules, deps: Deps, answers: Answers | None) -> ChannelsConfig:
    """Return the accounts and secrets that the rules give the channels. Without `answers` they only send."""
    contacts = [contact for person in rules.people.values() for contact in person.contacts]
    secrets = {contact.to: contact.secret for contact in contacts if contact.secret}
    return ChannelsConfig(
        wall_clock=deps.clock.now_ms,
        send_limit_s=deps.settings.send_timeout_s,
        secrets=secrets,
        accounts=rules.accounts,
        answers=answers,
    )
