"""What a channel is and what can come of a send. Apart from the registry so that a channel's file can import it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from notifier.message import PageMessage


@dataclass(frozen=True, slots=True)
class Sent:
    """Definite: the provider took it. `receipt` is the provider's own word for it, when it gave one."""

    receipt: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """Definite: it will never be taken this way. The next contact is tried at once."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Try again. `ambiguous`: it may have been delivered all the same, so the next attempt may be a second copy."""

    reason: str
    ambiguous: bool
    retry_after_s: float | None = None


Outcome = Sent | Refused | Unreachable


class Channel(Protocol):
    """The code that sends over one kind of contact. `name` is its metric label."""

    @property
    def name(self) -> str: ...

    async def send(self, to: str, message: PageMessage) -> Outcome:
        """Hands the page over within the channel's own time limit; never raises for a provider's fault.

        `to` is the contact's whole address.
        """
        ...
