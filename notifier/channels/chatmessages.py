"""What chats have in common: what a message must look like when something has changed, and what strangers are told.

Owns the memory of messages that name several incidents: such a message is changed one incident at a time, and a chat does not tell us what
it shows. The memory is bounded and dies with the notifier; a message that is forgotten stays as it was sent, and its buttons go on working.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from notifier.answers import Answered
from notifier.channels.outcome import Outcome, Sent
from notifier.message import IncidentView, PageMessage
from tocsin.policy.model import PageKind, State

BUNDLES_MAX: Final = 1_000
"""Messages of several incidents that are remembered; the eldest is forgotten."""
LARGE: Final = 10
CHANGED_AGAIN_MS: Final = 5_000
"""A message about more than ten is not changed more often while something of it is open: chats slow down who changes much."""


def names_several(message: PageMessage) -> bool:
    """Whether a message is about more than one incident."""
    return len(message.others) > 1


def stranger_line(address: str) -> str:
    """What somebody is told who answers and is nobody in the rules; whose language we do not know either."""
    return f"Nothing was changed: {address} is not a contact of exactly one person in the rules."


@dataclass(slots=True)
class _Bundle:
    """A message about several incidents: as it would be written now, and what it was last changed to show."""

    page: PageMessage
    shown: tuple[object, ...] = ()
    changed_at: int = 0


class Bundles:
    """The messages about several incidents that one channel has sent, by receipt. `wall_clock` in ms UTC."""

    def __init__(self, wall_clock: Callable[[], int]) -> None:
        self._wall_clock = wall_clock
        self._sent: OrderedDict[str, _Bundle] = OrderedDict()

    def remember(self, receipt: str, message: PageMessage) -> None:
        """Keep a message that was sent, if it is about several."""
        if names_several(message):
            self._sent[receipt] = _Bundle(message)
            while len(self._sent) > BUNDLES_MAX:
                self._sent.popitem(last=False)

    def answered(self, receipt: str, answered: Iterable[Answered]) -> None:
        """Know what a press on this message has come to, before the pages that say so arrive one by one."""
        bundle = self._sent.get(receipt)
        if bundle is not None:
            states = {each.incident: each.state.value for each in answered if each.state is not None}
            views = tuple(replace(view, state=states.get(view.id, view.state)) for view in bundle.page.others)
            bundle.page = replace(bundle.page, others=views)

    def not_shown(self, receipt: str) -> None:
        """Know that the last change did not reach the chat, so that it is tried again."""
        bundle = self._sent.get(receipt)
        if bundle is not None:
            bundle.shown, bundle.changed_at = (), 0

    async def change(self, receipt: str, news: PageMessage, edit: Callable[[PageMessage], Awaitable[Outcome]], *, several: bool) -> Outcome:
        """Let a message show what it must after `news` of one of its incidents. `edit` is not called when it may stay as it is."""
        shown = self.now(receipt, news, several=several)
        outcome = Sent(receipt, confirms=False) if shown is None else await edit(shown)
        if isinstance(outcome, Sent):
            return Sent(receipt, confirms=False)
        self.not_shown(receipt)
        return outcome

    def now(self, receipt: str, news: PageMessage, *, several: bool) -> PageMessage | None:
        """Return what a message must show after `news` of one of its incidents, None when it may stay as it is.

        A bundle shows first what is still open, which is what its button takes; once nothing is, who has it. It stays as it is when it is
        forgotten, when nothing changes, and when it is large, was changed a moment ago and something is still open.
        """
        if not several:
            return replace(news, kind=PageKind.UPDATE, others=(), numbers=_numbers_of([news.incident], news.numbers))
        bundle = self._sent.get(receipt)
        if bundle is None:
            return None
        before = bundle.page
        others = tuple(sorted((news.incident if view.id == news.incident.id else view for view in before.others), key=_order))
        bundle.page = replace(before, others=others)
        is_open = others[0].state == State.OPEN
        shown = (is_open or news.holder, *((view.id, view.state) for view in others))
        now = self._wall_clock()
        too_soon = is_open and len(others) > LARGE and now - bundle.changed_at < CHANGED_AGAIN_MS
        if too_soon or shown == bundle.shown:
            return None
        bundle.shown, bundle.changed_at = shown, now
        wanted = [view for view in others if view.state == others[0].state]
        after = replace(before, kind=PageKind.UPDATE, incident=others[0], others=others, numbers=_numbers_of(wanted, before.numbers))
        return after if is_open else replace(after, holder=news.holder, held_at=news.held_at, held_until=news.held_until)


def _order(view: IncidentView) -> int:
    return {State.OPEN.value: 0, State.ACKNOWLEDGED.value: 1}.get(view.state, 2)


def _numbers_of(views: Iterable[IncidentView], numbers: Iterable[int]) -> tuple[int, ...]:
    wanted = {view.id for view in views}
    return tuple(number for number in numbers if f"INC-{number}" in wanted)
