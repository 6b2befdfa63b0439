"""Sending: one lane for each contact's address, so that a slow one delays nobody else.

A lane sends one message at a time. What falls due for its address meanwhile waits in it, and goes out together as the next message: one
page for a person, not one for each incident. Immediately before the provider is called the store is asked whether each page is still wanted
and still ours; what came of the call is recorded as the next event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from notifier.channels import Channels, Outcome, Refused, Sent, Unreachable
from notifier.compose import DuePage, compose, gravest_first, link_end
from notifier.message import PageMessage
from tocsin.policy.events import Event, PageRefused, PageSent, PageUnreachable
from tocsin.policy.ladder import AMBIGUOUS_MAX
from tocsin.policy.model import Page, PageKind
from tocsin.policy.rules import shard_of_number
from tocsin.runtime.links import make_token
from tocsin.runtime.service import Deps
from tocsin.runtime.settings import Settings
from tocsin.store.commit import Holder
from tocsin.store.wire import StoreAway

BUNDLE_MAX = 100
"""Incidents in one message; the rest follows in the next."""

TOGETHER = {PageKind.PAGE: "page", PageKind.REOPENED: "page"}

Record = Callable[[Sequence[tuple[int, Event]], Sequence[str]], Awaitable[None]]
"""Records events of pages (incident number, event), and which attempts are known not to have arrived."""


def page_lease_ms(settings: Settings) -> int:
    """Return how long a claimed page is ours: two messages before it in its lane, its own, and the record of it."""
    return round(settings.send_timeout_s * 4_000)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A claimed page in its lane; ours until `until` (ms UTC). `begun` counts attempts that may have arrived and were never recorded."""

    due: DuePage
    until: int
    begun: int = 0

    @property
    def may_have_arrived(self) -> bool:
        """Whether its receiver may know the page already."""
        return self.begun > 0 or self.due.page.ambiguous > 0


@dataclass(slots=True)
class _Lane:
    address: str
    waiting: dict[str, Waiting] = field(default_factory=dict)
    busy: bool = False


class Lanes:
    """All lanes of one notifier. `add` is called by the tick; `run` sends until cancelled."""

    def __init__(
        self,
        deps: Deps,
        channels: Channels,
        holders: Sequence[Holder],
        signing_key: str,
        record: Record,
        lose_claims: Callable[[], None],
    ) -> None:
        self._deps = deps
        self._lose_claims = lose_claims
        self._holders = holders
        self._signing_key = signing_key
        self._record = record
        self._lanes: dict[str, _Lane] = {}
        self._ready: asyncio.Queue[_Lane] = asyncio.Queue()
        self._under_way = 0
        self._sending: set[str] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._channels = channels
        self._users: dict[Channels, int] = {}

    @property
    def under_way(self) -> int:
        """Pages that are being sent or wait in a lane."""
        return self._under_way + sum(len(lane.waiting) for lane in self._lanes.values())

    def add(self, address: str, waiting: Waiting) -> None:
        """Put a claimed page into the lane of its address; a page that is claimed again replaces its older claim.

        One that is being sent at this moment is left alone: what comes of that is recorded first, or its claim ends.
        """
        if waiting.due.page.id in self._sending:
            return
        lane = self._lanes.setdefault(address, _Lane(address))
        lane.waiting[waiting.due.page.id] = waiting
        if not lane.busy:
            lane.busy = True
            self._ready.put_nowait(lane)

    async def run(self) -> None:
        """Serve lanes for ever, as many at once as the settings allow."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._deps.settings.sends_at_once_max):
                group.create_task(self._serve())

    async def finish(self) -> None:
        """Wait until what has begun is recorded; pages that only wait are left to their claims."""
        for lane in self._lanes.values():
            lane.waiting.clear()
        await self._idle.wait()

    async def _serve(self) -> None:
        while True:
            lane = await self._ready.get()
            self._under_way += 1
            self._idle.clear()
            try:
                if lane.waiting:  # `finish` may have emptied it
                    await self._send_next(lane)
            finally:
                self._under_way -= 1
                if self._under_way == 0:
                    self._idle.set()
            if lane.waiting:
                self._ready.put_nowait(lane)
            else:
                lane.busy = False
                self._lanes.pop(lane.address, None)

    async def _send_next(self, lane: _Lane) -> None:
        bundle = self._take(lane)
        now = self._deps.clock.now_ms()
        # A claim that ends before the longest send could: the page is left to be claimed again.
        held = [w for w in bundle if w.until - now > self._deps.settings.send_timeout_s * 1_500]
        begun = await self._begin(held)
        worn = [w for w, count in begun if count > AMBIGUOUS_MAX]
        if worn:
            why = f"{AMBIGUOUS_MAX} attempts without an answer"
            await self._record([(w.due.incident.number, PageRefused(w.due.page.id, why)) for w in worn], [])
        ready = [(w, count) for w, count in begun if 0 < count <= AMBIGUOUS_MAX]
        if ready:
            ids = {w.due.page.id for w, _ in ready}
            self._sending |= ids
            try:
                await self._send(lane.address, [w.due for w, _ in ready], now)
            finally:
                self._sending -= ids

    def _take(self, lane: _Lane) -> list[Waiting]:
        """Take the gravest waiting page, and with it those that may share its message.

        A page that may already have arrived goes alone: its receiver may drop a second message with the same id, and what shares it.
        """
        order = gravest_first([w.due for w in lane.waiting.values()])
        first = order[0]
        kind = TOGETHER.get(first.page.kind)
        together = [first]
        known = {w.due.page.id for w in lane.waiting.values() if w.may_have_arrived}
        if kind is not None and first.page.id not in known:
            together += [d for d in order[1:] if TOGETHER.get(d.page.kind) == kind and d.page.id not in known]
        return [lane.waiting.pop(d.page.id) for d in together[:BUNDLE_MAX]]

    async def _begin(self, bundle: Sequence[Waiting]) -> list[tuple[Waiting, int]]:
        by_claim: dict[tuple[int, int], list[Waiting]] = {}
        for waiting in bundle:
            shard = shard_of_number(waiting.due.incident.number, self._deps.store.shards)
            by_claim.setdefault((shard, waiting.until), []).append(waiting)
        result: list[tuple[Waiting, int]] = []
        for (shard, until), group in by_claim.items():
            try:
                counts = await self._deps.store.begin_pages(shard, self._holders[shard], until, [w.due.page.id for w in group])
            except StoreAway as error:
                # These are not sent: they are claimed anew once the store is back. Those that were begun go out.
                self._deps.log.warning("begin_failed", pages=len(group), why=str(error))
                self._lose_claims()
            else:
                result += zip(group, counts, strict=True)
        return result

    async def _send(self, address: str, due: list[DuePage], now: int) -> None:
        """Call the provider and record what came of it."""
        due = gravest_first(due)
        first = due[0]
        started = self._deps.clock.monotonic()
        name = "none"
        try:
            message = self._message(due, now)
        except Exception as error:  # top of a tick: an incident that cannot be told must not hold up the others
            self._deps.log.exception("page_not_composed", page=first.page.id, incidents=len(due))
            if len(due) > 1:
                for one in due:
                    await self._send(address, [one], now)
                return
            outcome: Outcome = Refused(f"the page cannot be written: {type(error).__name__}")
        else:
            name, outcome = await self._hand_over(address, message)
        self._observe(name, outcome, due, self._deps.clock.monotonic() - started)
        not_delivered = [] if _may_have_arrived(outcome) else [d.page.id for d in due]
        await self._record([(d.incident.number, _event(outcome, d.page)) for d in due], not_delivered)

    def _message(self, due: Sequence[DuePage], now: int) -> PageMessage:
        first = due[0]
        end = link_end(first.incident, now)
        token = make_token(self._signing_key, incidents=[d.incident.number for d in due], person=first.page.person, expires_at=end)
        url = self._deps.settings.external_url
        return compose(due, first.page.attempts + 1, now, self._deps.rules.rules, external_url=url, answer_token=token)

    async def _hand_over(self, address: str, message: PageMessage) -> tuple[str, Outcome]:
        """Call the channel; return its name and what came of it."""
        channels = self._channels
        channel = channels.for_contact(address)
        if channel is None:
            return "none", Refused(f"no channel for {address.partition(':')[0]}")
        self._users[channels] = self._users.get(channels, 0) + 1
        try:
            return channel.name, await channel.send(address, message)
        except Exception as error:  # top of a tick: a fault of one channel stops no other
            self._deps.log.exception("channel_failed", page=message.page_id, channel=channel.name)
            return channel.name, Unreachable(f"the channel failed: {type(error).__name__}", ambiguous=True)
        finally:
            self._users[channels] -= 1
            await self._close_replaced()

    @property
    def channels(self) -> Channels:
        """The channels in force."""
        return self._channels

    def replace_channels(self, channels: Channels) -> None:
        """Send over other accounts from now on; sends under way keep the channels they began with, which are closed after them."""
        self._users.setdefault(self._channels, 0)
        self._channels = channels

    async def close(self) -> None:
        """Close every channel; sends still under way fail as unreachable."""
        for channels in {*self._users, self._channels}:
            await channels.close()

    async def _close_replaced(self) -> None:
        replaced = [channels for channels, users in self._users.items() if users == 0 and channels is not self._channels]
        for channels in replaced:
            if self._users.pop(channels, None) == 0:
                await channels.close()

    def _observe(self, channel: str, outcome: Outcome, due: Sequence[DuePage], took_s: float) -> None:
        metrics = self._deps.metrics
        now = self._deps.clock.now_ms()
        result = type(outcome).__name__.lower()
        metrics.send_seconds.labels(channel).observe(took_s)
        for d in due:
            metrics.pages.labels(channel, d.page.kind.value, result).inc()
            if isinstance(outcome, Sent):
                if d.page.rung is not None:
                    metrics.rung_lateness_seconds.observe(max(0, now - d.page.rung_due_at) / 1000)
                if d.page.step == 0:
                    metrics.page_latency_seconds.observe(max(0, now - d.incident.opened_at) / 1000)
        why = {} if isinstance(outcome, Sent) else {"why": outcome.reason}
        self._deps.log.info("page_attempted", page=due[0].page.id, incidents=len(due), channel=channel, result=result, **why)


def _may_have_arrived(outcome: Outcome) -> bool:
    return isinstance(outcome, Sent) or (isinstance(outcome, Unreachable) and outcome.ambiguous)


def _event(outcome: Outcome, page: Page) -> Event:
    match outcome:
        case Sent(receipt):
            return PageSent(page.id, receipt or "")
        case Refused(reason):
            return PageRefused(page.id, reason)
        case Unreachable(reason, ambiguous, retry_after_s):
            return PageUnreachable(page.id, reason, ambiguous, round((retry_after_s or 0) * 1000), attempt=page.attempts + 1)
