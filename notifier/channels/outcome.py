"""What a channel is and what can come of a send. Apart from the registry so that a channel's file can import it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from aiohttp import web

from notifier.message import PageMessage


@dataclass(frozen=True, slots=True)
class Sent:
    """Definite: the provider took it. `receipt` is the provider's own name for it, when it gave one.

    The channel is given it again (`PageMessage.thread`, `.edits`) when a later page belongs to the same message or changes it. `confirms`:
    whether the provider will also say that it arrived; False where it cannot, so that nobody waits for that.
    """

    receipt: str | None
    confirms: bool = True


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


@runtime_checkable
class Answering(Protocol):
    """A channel over which people also answer. It is made with `notifier.answers.Answers`, through which every answer and receipt goes."""

    @property
    def name(self) -> str: ...

    async def listen(self) -> None:
        """Fetch answers for ever (long polling, a socket, a mailbox); returns at once when they come by `callback` or not at all.

        A fault of the provider is logged and waited out here; it is cancelled when the accounts change.
        """
        ...

    async def callback(self, request: web.Request) -> web.StreamResponse:
        """Take what the provider sends to `/callbacks/<channel's name>/...` on the notifier's listener; first of all check who sent it."""
        ...


class Channel(Protocol):
    """The code that sends over one kind of contact. `name` is its metric label."""

    @property
    def name(self) -> str: ...

    async def send(self, to: str, message: PageMessage) -> Outcome:
        """Hands the page over within the channel's own time limit; never raises for a provider's fault.

        `to` is the contact's whole address.
        """
        ...

    async def close(self) -> None:
        """Closes kept connections; sends still under way fail as unreachable."""
        ...
