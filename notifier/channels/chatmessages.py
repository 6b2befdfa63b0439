"""What chats have in common: what a message must look like when something has changed, and what strangers are told.

Owns the memory of messages that name several incidents: such a message is changed one incident at a time, and a chat does not tell us what
it shows. The memory is bounded and dies with the notifier; a message that is forgotten stays as it was sent, and its buttons go on working.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from notifier.message import IncidentView, PageMessage
from tocsin.policy.model import PageKind, State

BUNDLES_MAX: Final = 1_000
"""Messages of several incidents that are remembered; the eldest is forgotten."""


def names_several(message: PageMessage) -> bool:
    """Whether a message is about more than one incident."""
    return len(message.others) > 1


def stranger_line(address: str) -> str:
    """What somebody is told who answers and is nobody in the rules; whose language we do not know either."""
    return f"Nothing was changed: {address} is not a contact of exactly one person in the rules."


class Bundles:
    """The messages about several incidents that one channel has sent, by receipt."""

    def __init__(self) -> None:
        self._sent: OrderedDict[str, PageMessage] = OrderedDict()

    def remember(self, receipt: str, message: PageMessage) -> None:
        """Keep a message that was sent, if it is about several."""
        if names_several(message):
            self._sent[receipt] = message
            while len(self._sent) > BUNDLES_MAX:
                self._sent.popitem(last=False)

    def now(self, receipt: str, news: PageMessage, *, several: bool) -> PageMessage | None:
        """Return what a message must show after `news` of one of its incidents; None when it was about `several` and is forgotten.

        What is still open comes first and is what its button takes; once nothing is, the message shows who has it.
        """
        if not several:
            return replace(news, kind=PageKind.UPDATE, others=(), numbers=_numbers_of([news.incident], news.numbers))
        before = self._sent.get(receipt)
        if before is None:
            return None
        changed = [news.incident if view.id == news.incident.id else view for view in before.others]
        others = tuple(sorted(changed, key=_order))
        self._sent[receipt] = replace(before, others=others)
        wanted = [view for view in others if view.state == others[0].state]
        after = replace(before, kind=PageKind.UPDATE, incident=others[0], others=others, numbers=_numbers_of(wanted, before.numbers))
        if others[0].state == State.OPEN:
            return after
        return replace(after, holder=news.holder, held_at=news.held_at, held_until=news.held_until)


def _order(view: IncidentView) -> int:
    return {State.OPEN.value: 0, State.ACKNOWLEDGED.value: 1}.get(view.state, 2)


def _numbers_of(views: Iterable[IncidentView], numbers: Iterable[int]) -> tuple[int, ...]:
    wanted = {view.id for view in views}
    return tuple(number for number in numbers if f"INC-{number}" in wanted)
