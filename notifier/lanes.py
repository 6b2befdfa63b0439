"""Sending: a lane for each contact's address, a queue for each provider's account, and who goes next.

A lane sends one message at a time. What falls due for its address meanwhile waits in it and goes out together as the next message: one
page for a person, not one for each incident. Which lane may send now, and what becomes of pages that cannot go soon, is decided by their
account's queue: `accountqueue.py` lists every reason why a page waits. Here is what follows from it: sends begin, as many at once as the
settings allow, and what is held or denied is recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from notifier.accountqueue import WAIT_MAX_MS, AccountQueue, Denied, Held, Lane, Waiting, account_of
from notifier.channels import Channels, Outcome
from notifier.compose import DuePage, gravest_first, urgency_of
from notifier.limits import Windows
from notifier.sending import Record, Sender, may_have_arrived
from tocsin.policy.events import Event, PageHeld, PageUnreachable
from tocsin.policy.model import Page, PageStatus
from tocsin.runtime.service import Deps
from tocsin.runtime.settings import Settings
from tocsin.store.wire import StoreAway, StoreFull

__all__ = ["DuePage", "Lanes", "Waiting", "page_lease_ms"]

BUNDLE_MAX = 100
"""Incidents in one message; the rest follows in the next."""

LOOK_S = 10.0
"""How often it is looked whether anything may go, when nothing says so: everything that changes it does."""

KEEP_WINDOWS_S = 1.0
"""How often what the limits must know after a restart is written to the store: a kill forgets at most so much."""

CLAIMING_MAX_MS = 2_000
"""For how long an account with a limit waits until the tick has claimed all that is due, so that the gravest goes first."""


def page_lease_ms(settings: Settings) -> int:
    """Return how long a claimed page is ours: its wait in the queue, a message before it in its lane, its own, and the record of it."""
    return round(settings.send_timeout_s * 4_000)


class Lanes:
    """All lanes of one notifier. `add` is called by the tick; `run` sends until cancelled.

    `remembered` is what the limits of the last notifier knew.
    """

    def __init__(self, deps: Deps, sender: Sender, record: Record, remembered: Mapping[str, bytes] | None = None) -> None:
        self._deps = deps
        self._record = record
        self._sender = sender
        self._windows = Windows(deps.clock.now_ms(), remembered or {})
        self._lanes: dict[str, Lane] = {}
        self._accounts: dict[str, AccountQueue] = {}
        self._sends = 0
        self._records = 0
        self._sending: set[str] = set()
        self._claiming_since: int | None = None
        self._stopping = False
        self._wake = asyncio.Event()
        self._has_sent = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def under_way(self) -> int:
        """Pages that are being sent or recorded, and accounts that have something to do at this instant; not what waits for a later one."""
        now, more_due = self._deps.clock.now_ms(), self._more_due()
        busy = sum(account.has_work(now, more_due=more_due) for account in self._accounts.values())
        return self._sends + self._records + busy

    # --- what the tick brings ----------------------------------------------------------------------------------------------------------

    def add(self, address: str, waiting: Waiting) -> None:
        """Put a claimed page into the lane of its address; a page that is claimed again replaces its older claim.

        One that is being sent at this moment is left alone: what comes of that is recorded first, or its claim ends.
        """
        if waiting.due.page.id in self._sending or self._stopping:
            return
        lane = self._lanes.get(address)
        if lane is None:
            lane = self._lanes[address] = Lane(address, self._account(address))
        lane.waiting[waiting.due.page.id] = waiting
        lane.account.put(lane)
        self._wake.set()

    def more_is_due(self, more: bool) -> None:
        """The tick says whether it has left something unclaimed that is due."""
        if more and self._claiming_since is None:
            self._claiming_since = self._deps.clock.now_ms()
        elif not more and self._claiming_since is not None:
            self._claiming_since = None
            self._wake.set()

    def _more_due(self) -> bool:
        return self._claiming_since is not None and self._deps.clock.now_ms() - self._claiming_since < CLAIMING_MAX_MS

    def _account(self, address: str) -> AccountQueue:
        _, key, _ = account_of(address)
        found = self._accounts.get(key)
        if found is None:
            wait_max_ms = min(WAIT_MAX_MS, round(self._deps.settings.send_timeout_s * 1000))
            found = self._accounts[key] = AccountQueue(address, self._windows, wait_max_ms=wait_max_ms)
        return found

    # --- the loop ----------------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Send for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_windows())
            while True:
                self._wake.clear()
                now = self._deps.clock.now_ms()
                self._review(now, group)
                self._begin_sends(now, group)
                await self._deps.clock.wait(self._sleep_s(now), self._wake)

    async def finish(self) -> None:
        """Wait until what has begun is recorded; pages that only wait are left to their claims."""
        self._stopping = True
        for lane in list(self._lanes.values()):
            lane.waiting.clear()
            if not lane.busy:
                lane.account.remove(lane)
                del self._lanes[lane.address]
        await self._idle.wait()
        await self._write_windows()

    def _review(self, now: int, group: asyncio.TaskGroup) -> None:
        accounts, more_due = self._deps.rules.rules.accounts, self._more_due()
        for account in self._accounts.values():
            verdicts = account.review(now, accounts.delivery_of(account.channel).limit, more_due=more_due)
            if verdicts:
                self._records += 1
                self._idle.clear()
                group.create_task(self._record_verdicts(account, verdicts))
                self._lanes = {address: lane for address, lane in self._lanes.items() if lane.waiting or lane.busy}

    def _begin_sends(self, now: int, group: asyncio.TaskGroup) -> None:
        """Begin sends: first of the account whose next message is the gravest, then of the one that has the fewest under way."""
        more_due = self._more_due()
        able = [account for account in self._accounts.values() if account.may_send(now, more_due=more_due)]
        while able and self._sends < self._deps.settings.sends_at_once_max:
            account = min(able, key=lambda a: (place.urgency if (place := a.first()) else 0, a.sending))
            lane = account.next(now)
            self._has_sent.set()
            self._sends += 1
            self._idle.clear()
            group.create_task(self._serve(lane, now))
            if not account.may_send(now, more_due=more_due):
                able.remove(account)

    def _sleep_s(self, now: int) -> float:
        if self._sends >= self._deps.settings.sends_at_once_max:
            return LOOK_S
        looks = [at for account in self._accounts.values() if (at := account.next_at(now)) is not None]
        return min(max(0.001, (min(looks) - now) / 1000), LOOK_S) if looks else LOOK_S

    # --- one message -------------------------------------------------------------------------------------------------------------------

    async def _serve(self, lane: Lane, began_at: int) -> None:
        outcome: Outcome | None = None
        started = self._deps.clock.monotonic()
        try:
            outcome = await self._send_next(lane)
        finally:
            self._sends -= 1
            took_ms = (self._deps.clock.monotonic() - started) * 1000
            lane.account.done(lane, self._deps.clock.now_ms(), outcome, began_at=began_at, took_ms=took_ms)
            if not lane.waiting:
                self._lanes.pop(lane.address, None)
            self._rest()

    async def _send_next(self, lane: Lane) -> Outcome | None:
        """Send the lane's next message; None when none of it was wanted any more."""
        if not lane.waiting:
            return None  # `finish` has emptied it
        rule = lane.rule()
        bundle = _take(lane)
        ids = {w.due.page.id for w in bundle}
        self._sending |= ids
        try:
            ready = await self._sender.begin(bundle)
            if not ready:
                return None
            now = self._deps.clock.now_ms()
            windows = lane.account.windows_of(lane, rule, ready)
            for window in windows:
                window.take(now)
                self._has_sent.set()
            outcome = await self._sender.send(lane.address, [w.due for w in ready])
            for window in () if may_have_arrived(outcome) else windows:
                window.give_back(now)
            return outcome
        finally:
            self._sending -= ids

    def _rest(self) -> None:
        if self._sends == 0 and self._records == 0:
            self._idle.set()
        self._wake.set()

    # --- what cannot go soon -----------------------------------------------------------------------------------------------------------

    async def _record_verdicts(self, account: AccountQueue, verdicts: Sequence[Held | Denied]) -> None:
        try:
            events: list[tuple[int, Event]] = []
            for verdict in verdicts:
                match verdict:
                    case Held(pages, why, until, along, address):
                        events += [(number, PageHeld(page, why, until)) for number, page in pages]
                        coming = await self._still_held(along)
                        events += [(number, PageHeld(page, why, until)) for number, page in coming]
                        account.not_coming(address, {page for _, page, _ in along}.difference(page for _, page in coming))
                    case Denied(due, why, retry_after_ms):
                        events += [(d.incident.number, _unreachable(d.page, why, retry_after_ms)) for d in due]
            held = sum(isinstance(event, PageHeld) for _, event in events)
            self._deps.log.info("pages_put_back", account=account.name, held=held, denied=len(events) - held, why=verdicts[0].why)
            await self._record(events, [])
        finally:
            self._records -= 1
            self._rest()

    async def _still_held(self, along: Sequence[tuple[int, str, int]]) -> list[tuple[int, str]]:
        """Of pages that were held, return those that nobody has put off or withdrawn meanwhile."""
        if not along:
            return []
        try:
            loaded = await self._deps.store.load_many({number for number, _, _ in along})
        except StoreAway:
            return []  # they come when they would have come
        due = {p.id: p.due_at for incident in loaded.values() for p in incident.pages if p.status is PageStatus.PENDING}
        return [(number, page) for number, page, due_at in along if due.get(page) == due_at]

    # --- what outlives this notifier ---------------------------------------------------------------------------------------------------

    async def _keep_windows(self) -> None:
        while True:
            await self._has_sent.wait()
            self._has_sent.clear()
            await self._deps.clock.wait(KEEP_WINDOWS_S, asyncio.Event())
            await self._write_windows()

    async def _write_windows(self) -> None:
        notes = self._windows.notes(self._deps.clock.now_ms())
        if not notes:
            return
        try:
            await self._deps.store.note_sends(notes)
        except (StoreAway, StoreFull) as error:
            self._deps.log.warning("limits_not_kept", windows=len(notes), why=str(error))

    # --- the channels ------------------------------------------------------------------------------------------------------------------

    @property
    def channels(self) -> Channels:
        """The channels in force."""
        return self._sender.channels

    def replace_channels(self, channels: Channels) -> None:
        """Send over other accounts from now on; sends under way keep the channels they began with, which are closed after them."""
        self._sender.replace_channels(channels)
        self._wake.set()

    async def close(self) -> None:
        """Close every channel; sends still under way fail as unreachable."""
        await self._sender.close()


def _take(lane: Lane) -> list[Waiting]:
    """Take the most urgent waiting page, and with it those that may share its message.

    A page that may already have arrived goes alone.
    """
    order = gravest_first([w.due for w in lane.waiting.values()])
    first = min(order, key=urgency_of)
    together = [first]
    if lane.waiting[first.page.id].may_share:
        together += [d for d in order if d is not first and lane.waiting[d.page.id].may_share]
    return [lane.waiting.pop(d.page.id) for d in together[:BUNDLE_MAX]]


def _unreachable(page: Page, why: str, retry_after_ms: int) -> PageUnreachable:
    return PageUnreachable(page.id, why, ambiguous=False, retry_after_ms=retry_after_ms, attempt=page.attempts + 1)
