"""The notifier: claims what is due, lets `decide` say what that means, and hands pages to people.

`tick` is one turn: due timers first (they make pages), then due pages, into their lanes. It sleeps until the next due time, or until
somebody commits something.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass

from aiohttp import web

from notifier.accounts import channels_config
from notifier.answers import Answers
from notifier.auditor import Auditor
from notifier.channels import Channels, ChannelsConfig
from notifier.compose import DuePage
from notifier.emergency import EmergencyWatch
from notifier.gather import Gather
from notifier.handover import Handovers
from notifier.lanes import Lanes, Waiting, page_lease_ms
from notifier.listening import Listening
from notifier.sending import Sender
from tocsin.policy.events import Event, PageRefused, TimerDue
from tocsin.policy.incident import Decision, decide
from tocsin.policy.ladder import contact_of
from tocsin.policy.model import Incident, PageStatus
from tocsin.policy.rules import Rules, shard_of_number
from tocsin.runtime.service import Deps
from tocsin.store.bell import Changed, Message
from tocsin.store.commit import Commit, Holder
from tocsin.store.store import Committed, Fenced, Stale
from tocsin.store.wire import StoreAway, StoreFull

STORE_RETRY_S = 0.2
RECORD_S = 60.0
"""How long the outcome of an attempt is tried to be recorded; after that it counts as an attempt without an answer."""

RECORD_MAX = 256
"""Outcomes recorded in one commit of a shard."""

OVERDUE_MS = 10_000
LONGEST_SLEEP_S = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """An event of an incident's page. `not_delivered`: its begun attempt is known not to have arrived, so it counts as no copy."""

    number: int
    event: Event
    not_delivered: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """What one tick did."""

    timers: int
    pages: int


def build(deps: Deps) -> Notifier:
    """Make the role."""
    return Notifier(deps)


class Notifier:
    """The role. `tick` is one turn of its loop."""

    name = "notifier"

    def __init__(self, deps: Deps, make_channels: Callable[[ChannelsConfig], Channels] = Channels) -> None:
        self._deps = deps
        self._store = deps.store
        self._make_channels = make_channels
        self._holders: tuple[Holder, ...] = ()
        self._claims_lost = False
        self._lanes: Lanes | None = None
        self._answers: Answers | None = None
        self._listening = Listening(deps, lambda: {} if self._lanes is None else self._lanes.channels.answering())
        self._wake = asyncio.Event()
        self._draining = False
        self._recording = [Gather(self._record_in(shard), items_max=RECORD_MAX) for shard in range(deps.store.shards)]
        self._auditor = Auditor(deps)
        self._emergency = EmergencyWatch(deps, make_channels)
        self._handovers = Handovers(deps)
        self._channels_of = 0  # the version of the rules that the channels were made of

    @property
    def lanes(self) -> Lanes:
        """The lanes; they exist once the role has started."""
        assert self._lanes is not None, "the notifier has not started"
        return self._lanes

    # --- what every role has -------------------------------------------------------------------------------------------------------

    def add_routes(self, app: web.Application) -> None:
        """Add where providers call back."""
        self._listening.add_routes(app)

    async def start(self) -> None:
        """Take over every shard; what the last holder had claimed is due again."""
        self._holders = await self._store.take_over(self.name)
        key = await self._store.signing_key()
        self._answers = Answers(self._deps, key)
        channels = self._make_channels(channels_config(self._deps.rules.rules, self._deps, self._answers))
        remembered = await self._store.noted_sends()
        sender = Sender(self._deps, channels, self._holders, key, self.record, self._lose_claims)
        self._lanes = Lanes(self._deps, sender, self.record, remembered)
        self._channels_of = self._deps.rules.rules.version
        self._deps.rules.on_swap = self._rules_swapped

    def early_loops(self) -> Sequence[Callable[[], Coroutine[None, None, None]]]:
        """What must run even while there is no store."""
        return (self._emergency.run,)

    def loops(self) -> Sequence[Callable[[], Coroutine[None, None, None]]]:
        """Claiming, sending, listening for answers, auditing."""
        return (self._run, self.lanes.run, self._listening.run, self._auditor.run, self._handovers.run, self._watch_overdue)

    def on_change(self, message: Message) -> None:
        """A commit may have set a timer or put a page before us."""
        if isinstance(message, Changed) and message.origin != self._store.origin:
            self._wake.set()

    def on_gap(self) -> None:
        """Look now."""
        self._wake.set()

    def not_ready(self) -> str | None:
        """Ready once the shards are taken over."""
        return "taking over" if self._lanes is None else None

    async def drain(self) -> None:
        """Stop claiming; finish and record the sends that have begun."""
        self._draining = True
        self._wake.set()
        await self.lanes.finish()
        await self.lanes.close()

    def _rules_swapped(self, rules: Rules) -> None:
        """Follow the accounts of new rules. Sends under way keep the channels they began with. A new roster changes no account."""
        if rules.version != self._channels_of:
            self._channels_of = rules.version
            self.lanes.replace_channels(self._make_channels(channels_config(rules, self._deps, self._answers)))
            self._listening.channels_changed()
        self._handovers.rules_swapped()
        self._wake.set()

    # --- the loop ------------------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while not self._draining:
            self._wake.clear()
            now = self._deps.clock.now_ms()
            try:
                if self._claims_lost:
                    await self._take_claims_up_again()
                done = await self.tick(now)
                sleep_s = 0.0 if done.timers or done.pages else await self._time_to_next(now)
            except StoreAway as error:
                self._deps.log.warning("store_away", why=str(error))
                self._claims_lost = True
                await self._deps.clock.wait(STORE_RETRY_S, asyncio.Event())
                continue
            if sleep_s > 0:
                await self._deps.clock.wait(sleep_s, self._wake)

    def _lose_claims(self) -> None:
        self._claims_lost = True
        self._wake.set()

    async def _take_claims_up_again(self) -> None:
        """The store went away while something was claimed: let it be due now and not when its claim ends.

        Under our own fence: a new one would refuse what our lanes are recording at this moment, and whoever has replaced us meanwhile.
        """
        self._claims_lost = False
        try:
            await self._store.take_up_claims(self._holders)
        except StoreAway:
            self._claims_lost = True
            raise

    async def _time_to_next(self, now: int) -> float:
        due = await self._store.next_due()
        if due is None:
            return LONGEST_SLEEP_S
        return min(max(0.001, (due - now) / 1000), LONGEST_SLEEP_S)

    async def tick(self, now: int) -> Tick:
        """Claim and decide due timers, then claim due pages and put them into their lanes, all at once: a person gets one message."""
        timers = [await self._timers(shard, now) for shard in range(self._store.shards)]
        ready: list[tuple[str, Waiting]] = []
        try:
            pages = [await self._pages(shard, now, ready) for shard in range(self._store.shards)]
            self.lanes.more_is_due(max(pages, default=0) >= self._deps.settings.tick_pages_max)
        finally:
            for address, waiting in ready:
                self.lanes.add(address, waiting)
        return Tick(sum(timers), sum(pages))

    async def _timers(self, shard: int, now: int) -> int:
        settings = self._deps.settings
        claimed = await self._store.claim_timers(shard, self._holders[shard], now, settings.lease_ms, settings.tick_timers_max)
        if claimed:
            await self._decide_or_leave(shard, [(c.incident, TimerDue()) for c in claimed], now)
        return len(claimed)

    async def _pages(self, shard: int, now: int, ready: list[tuple[str, Waiting]]) -> int:
        most = self._deps.settings.tick_pages_max
        claimed = await self._store.claim_pages(shard, self._holders[shard], now, page_lease_ms(self._deps.settings), most)
        gone: list[tuple[Incident, Event]] = []
        unknown: list[str] = []
        for claim in claimed:
            page = next((p for p in claim.incident.pages if p.id == claim.member and p.status is PageStatus.PENDING), None)
            if page is None:
                unknown.append(claim.member)
                continue
            contact = contact_of(page, self._deps.rules.rules)
            if contact is None:
                gone.append((claim.incident, PageRefused(page.id, "the contact is no longer in the rules")))
            else:
                ready.append((contact.to, Waiting(DuePage(page, claim.incident), claim.until, claim.begun, contact.limit)))
        if gone:
            await self._decide_or_leave(shard, gone, now)
        if unknown:
            self._deps.log.error("pages_unknown_to_their_incident", pages=unknown)
            await self._store.drop_pages(shard, unknown)
        return len(claimed)

    # --- decide and commit ---------------------------------------------------------------------------------------------------------

    async def record(self, events: Sequence[tuple[int, Event]], not_delivered: Sequence[str]) -> None:
        """Record what came of attempts; tried for a minute while the store is away. A cancelled notifier still records.

        What is reported while a shard's record is being written is written together, as the next one.
        """
        lost = frozenset(not_delivered)
        by_shard: dict[int, list[Outcome]] = {}
        for number, event in events:
            page = getattr(event, "page_id", "")
            shard = shard_of_number(number, self._store.shards)
            by_shard.setdefault(shard, []).append(Outcome(number, event, page if page in lost else ""))
        for shard, outcomes in by_shard.items():
            for first in range(0, len(outcomes), RECORD_MAX):
                await asyncio.shield(self._recording[shard](outcomes[first : first + RECORD_MAX]))
        self._wake.set()

    def _record_in(self, shard: int) -> Callable[[Sequence[Outcome]], Awaitable[Sequence[None]]]:
        async def record(outcomes: Sequence[Outcome]) -> Sequence[None]:
            await self._record_until_done(shard, outcomes)
            return [None] * len(outcomes)

        return record

    async def _record_until_done(self, shard: int, outcomes: Sequence[Outcome]) -> None:
        end = self._deps.clock.monotonic() + RECORD_S
        not_delivered = [outcome.not_delivered for outcome in outcomes if outcome.not_delivered]
        while True:
            try:
                loaded = await self._store.load_many({outcome.number for outcome in outcomes})
                pairs = [(loaded[outcome.number], outcome.event) for outcome in outcomes if outcome.number in loaded]
                await self._decide_or_leave(shard, pairs, self._deps.clock.now_ms(), not_delivered)
                return
            except StoreAway as error:
                if self._deps.clock.monotonic() > end:
                    self._deps.log.error("outcome_not_recorded", shard=shard, pages=len(outcomes), why=str(error))
                    return
                await self._deps.clock.wait(STORE_RETRY_S, asyncio.Event())

    async def _decide_or_leave(
        self, shard: int, pairs: Sequence[tuple[Incident, Event]], now: int, not_delivered: Sequence[str] = ()
    ) -> None:
        """Decide and commit; an incident that cannot be decided is left to its claim, loudly, and stops no other."""
        try:
            await self._decide_all(shard, pairs, now, not_delivered)
        except (StoreAway, StoreFull, Fenced):
            raise
        except Exception:  # top of a tick
            self._deps.metrics.ticks_failed.labels(self.name).inc()
            self._deps.log.exception("decision_failed", shard=shard, incidents=[incident.id for incident, _ in pairs][:10])
            if len(pairs) > 1:
                for pair in pairs:
                    await self._decide_or_leave(shard, [pair], now, not_delivered)

    async def _decide_all(self, shard: int, pairs: Sequence[tuple[Incident, Event]], now: int, not_delivered: Sequence[str] = ()) -> None:
        """Decide one event for each incident and commit them together; incidents that changed meanwhile are loaded and decided again."""
        left = list(pairs)
        while left:
            decisions = self._decide_each(left, now)
            decided = {decision.incident.id for decision in decisions}
            ids = [page for page in not_delivered if page.partition(".")[0] in decided]
            if not decisions:
                return
            commit = Commit(shard, now, decisions, self._holders[shard], not_delivered=ids, origin=self._store.origin)
            result = await self._store.commit(commit)
            if isinstance(result, Committed):
                return
            if not isinstance(result, Stale):
                raise AssertionError(f"the notifier moves neither cursor nor numbers nor groups in use: {result}")
            self._deps.metrics.commits_repeated.labels("stale").inc()
            loaded = await self._store.load_many(result.numbers)
            left = [(loaded.get(incident.number, incident), event) for incident, event in left]
            now = self._deps.clock.now_ms()

    def _decide_each(self, pairs: Sequence[tuple[Incident, Event]], now: int) -> list[Decision]:
        """Decide in order; several events of one incident build on each other."""
        rules = self._deps.rules.rules
        latest: dict[int, Incident] = {}
        decisions: list[Decision] = []
        for incident, event in pairs:
            decision = decide(latest.get(incident.number, incident), event, now, rules)
            if decision.changed:
                latest[incident.number] = decision.incident
                decisions.append(decision)
        return decisions

    async def _watch_overdue(self) -> None:
        while True:
            try:
                overdue = await self._store.overdue(self._deps.clock.now_ms() - OVERDUE_MS)
                self._deps.metrics.timers_overdue.set(overdue)
            except StoreAway:
                self._deps.metrics.store_up.set(0)
            await self._deps.clock.wait(5.0, asyncio.Event())
