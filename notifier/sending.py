"""One message: the last question to the store, the call of the provider, and the record of what came of it.

`begin` asks, immediately before the provider is called, whether each page is still wanted and still ours. `send` composes, hands over and
records. When a message goes is not decided here (`accountqueue.py`, `lanes.py`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from notifier.accountqueue import Waiting
from notifier.channels import Channels, Outcome, Refused, Sent, Unreachable
from notifier.compose import DuePage, compose, gravest_first, link_end
from notifier.gather import Gather
from notifier.message import PageMessage
from tocsin.policy.events import Event, PageRefused, PageSent, PageUnreachable
from tocsin.policy.ladder import AMBIGUOUS_MAX
from tocsin.policy.model import Page
from tocsin.policy.rules import shard_of_number
from tocsin.runtime.links import make_token
from tocsin.runtime.service import Deps
from tocsin.store.commit import Holder
from tocsin.store.wire import StoreAway

BEGIN_PAGES_MAX = 500
"""Pages about which the store is asked at once."""

BEGUN_MAX = AMBIGUOUS_MAX
"""Attempts that may have arrived, crashes included; beyond them no other begins over this contact."""

Record = Callable[[Sequence[tuple[int, Event]], Sequence[str]], Awaitable[None]]
"""Records events of pages (incident number, event), and which attempts are known not to have arrived."""


class Sender:
    """Sends over the channels in force. `record` writes what came of it, `lose_claims` says that a claim may be lost."""

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
        self._channels = channels
        self._users: dict[Channels, int] = {}
        self._holders = holders
        self._signing_key = signing_key
        self._record = record
        self._lose_claims = lose_claims
        self._begins = [Gather(self._begin_in(shard), items_max=BEGIN_PAGES_MAX) for shard in range(deps.store.shards)]

    # --- the last question -----------------------------------------------------------------------------------------------------------

    async def begin(self, bundle: Sequence[Waiting]) -> list[Waiting]:
        """Return the pages that go out. Those that may have arrived too often already are recorded as refused."""
        # A claim that ends before the longest send could: the page is left to be claimed again.
        now, longest_ms = self._deps.clock.now_ms(), self._deps.settings.send_timeout_s * 1_500
        by_shard: dict[int, list[Waiting]] = {}
        for waiting in bundle:
            if waiting.until - now > longest_ms:
                by_shard.setdefault(shard_of_number(waiting.due.incident.number, self._deps.store.shards), []).append(waiting)
        ready: list[Waiting] = []
        worn: list[Waiting] = []
        for shard, group in by_shard.items():
            try:
                counts = await self._begins[shard]([(w.until, w.due.page.id) for w in group])
            except StoreAway as error:
                # These are not sent: they are claimed anew once the store is back. Those that were begun go out.
                self._deps.log.warning("begin_failed", pages=len(group), why=str(error))
                self._lose_claims()
                continue
            ready += [w for w, count in zip(group, counts, strict=True) if 0 < count <= BEGUN_MAX]
            worn += [w for w, count in zip(group, counts, strict=True) if count > BEGUN_MAX]
        if worn:
            why = f"{BEGUN_MAX} attempts without an answer"
            await self._record([(w.due.incident.number, PageRefused(w.due.page.id, why)) for w in worn], [])
        return ready

    def _begin_in(self, shard: int) -> Callable[[Sequence[tuple[int, str]]], Awaitable[Sequence[int]]]:
        async def begin(claims: Sequence[tuple[int, str]]) -> Sequence[int]:
            pages: dict[int, list[str]] = {}
            for until, page in claims:
                pages.setdefault(until, []).append(page)
            counts: dict[str, int] = {}
            for until, group in pages.items():
                counts |= zip(group, await self._deps.store.begin_pages(shard, self._holders[shard], until, group), strict=True)
            return [counts[page] for _, page in claims]

        return begin

    # --- the provider ----------------------------------------------------------------------------------------------------------------

    async def send(self, address: str, due: Sequence[DuePage]) -> Outcome:
        """Call the provider and record what came of it."""
        due = gravest_first(due)
        first = due[0]
        started = self._deps.clock.monotonic()
        name = "none"
        try:
            message = self._message(due)
        except Exception as error:  # top of a tick: an incident that cannot be told must not hold up the others
            self._deps.log.exception("page_not_composed", page=first.page.id, incidents=len(due))
            if len(due) > 1:
                return [await self.send(address, [one]) for one in due][-1]
            outcome: Outcome = Refused(f"the page cannot be written: {type(error).__name__}")
        else:
            name, outcome = await self._hand_over(address, message)
        self._observe(name, outcome, due, self._deps.clock.monotonic() - started)
        not_delivered = [] if may_have_arrived(outcome) else [d.page.id for d in due]
        within_ms = self._deps.rules.rules.accounts.delivery_of(name).receipt_within_ms
        await self._record([(d.incident.number, _event(outcome, d.page, within_ms)) for d in due], not_delivered)
        return outcome

    def _message(self, due: Sequence[DuePage]) -> PageMessage:
        first, now = due[0], self._deps.clock.now_ms()
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

    # --- the channels ----------------------------------------------------------------------------------------------------------------

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


def may_have_arrived(outcome: Outcome) -> bool:
    """Whether the next attempt could be a second copy."""
    return isinstance(outcome, Sent) or (isinstance(outcome, Unreachable) and outcome.ambiguous)


def _event(outcome: Outcome, page: Page, receipt_within_ms: int) -> Event:
    match outcome:
        case Sent(receipt, confirms):
            return PageSent(page.id, receipt or "", receipt_within_ms if confirms else 0)
        case Refused(reason):
            return PageRefused(page.id, reason)
        case Unreachable(reason, ambiguous, retry_after_s):
            return PageUnreachable(page.id, reason, ambiguous, round((retry_after_s or 0) * 1000), attempt=page.attempts + 1)
