"""Why a page waits: the queue of one account, that is one provider, one host or one robot.

A claimed page waits for one of these reasons, asked in this order (`_judge`, then `next`):

1. Its contact takes another message at this moment: it waits in its lane, and goes out together with what comes meanwhile.
2. Its contact has had enough (`ContactRule`): it is held until the contact's window allows, and bundled with what is held as well.
   Severity 1 takes along what is held. Retries, tests and changes of messages that are there are never held for this. A number that
   was called within the last minute (`CALLS_LIMIT`) is not called for severity 1 either.
3. The account's provider does not answer (`breaker.py`), or has asked for a pause: it is denied, so that the person's next contact
   is tried at once. One page every few seconds goes out all the same, as a probe, and so does every test. A pause of seconds is waited out.
4. The account's limit is used up, or all the sends that it may have under way are: it waits, the gravest first, then fairly between
   services (`fairline.py`). Whose turn under the limit is more than `WAIT_MAX_MS` away is held until then, and so is whoever has
   waited for half of the claim.

Held means: recorded with reason and instant (PageHeld), given back to the store, and forgotten here but for its place in the line. Denied
means: recorded as an attempt that failed (PageUnreachable). Nothing waits here longer than its claim. Pure but for the windows; `now` is an
argument everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from notifier.breaker import PROBE_EVERY_MS, Breaker
from notifier.channels import Outcome, Unreachable
from notifier.compose import TOGETHER, DuePage, urgency_of
from notifier.fairline import FairLine, Place
from notifier.limits import Window, Windows, in_words
from tocsin.policy.accounts import Limit
from tocsin.policy.delivery import HELD_MAX_MS, held_until_max
from tocsin.policy.durations import format_duration
from tocsin.policy.model import PageKind
from tocsin.runtime.contactaddress import channel_of

SENDS_AT_ONCE_MAX = 16
"""Sends under way over one account: a quarter of what a notifier does at once, so that a slow one leaves room for the others."""

WAIT_MAX_MS = 10_000
"""Longer than this no page is kept waiting for a limit: it is held."""

HELD_EARLY_MS = 2_000
"""A held page comes back so long before its turn, so that no place stays empty."""

REVIEWS = 5
"""How often within that time the turns of those that wait are reckoned anew: graver ones may have come before them."""

DENIED_MS = 60_000
"""When a denied page is tried again: late enough to count as failed (`ladder.FAILING_AFTER_MS`), so that the next contact comes at once."""

COMPANIONS_MS = 1_000
"""How long severity 1 waits at most for what was held for its contact to be claimed and go along: some milliseconds, as a rule."""

HELD_KEPT_MS = 30_000
"""How long after its turn a held page that does not come back (it was acknowledged) keeps its place in the line."""

BUNDLE_MS = 2 * 60_000
RINGING = ("sms", "tel")
RINGING_LIMIT = Limit(1, BUNDLE_MS)
"""Contacts that ring hear of severity 2 and below once in two minutes, of everything that fell due meanwhile."""

CALLED = ("tel",)
CALLS_LIMIT = Limit(1, 60_000)
"""Calls to one number begin so far apart, at severity 1 too: who is on the phone is busy for a second call, which then counts as failed."""

JOINS_MS = 2_000
"""What waits for a call waits so much longer, so that what rings again a minute after that call joins it."""

LINE_WORDS = f"calls to a number begin {format_duration(CALLS_LIMIT.per_ms)} apart at least; what waits goes out together"

FLOOD_LIMIT = Limit(20, BUNDLE_MS)
"""What any other person's contact gets in two minutes before severity 2 and below is bundled likewise, unless the person set a limit."""

PROGRAMS = ("webhook", "log")
"""Channels that programs read: without a limit of their own they get everything at once."""

ONE_ADDRESS = ("dingtalk", "wecom", "feishu", "apprise")
"""Channels whose account is the whole address: each robot has its own limit."""

PER_HOST = ("webhook", "teams", "ntfy")
"""Channels whose account is scheme and host: what is slow there is slow for all its paths."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A claimed page; ours until `until` (ms UTC). `begun` counts attempts that may have arrived and were never recorded."""

    due: DuePage
    until: int
    begun: int = 0
    contact_limit: Limit | None = None

    @property
    def may_have_arrived(self) -> bool:
        """Whether its receiver may know the page already."""
        return self.begun > 0 or self.due.page.ambiguous > 0

    @property
    def may_share(self) -> bool:
        """Whether it may go in one message with others. A receiver may drop a second message with the same id, and what shares it."""
        return self.due.page.kind in TOGETHER and not self.may_have_arrived

    @property
    def takes_along(self) -> bool:
        """Whether what is held for its contact goes with it: severity 1, when it is said for the first time."""
        return self.urgency == 1 and self.may_share and self.due.page.attempts == 0

    @property
    def urgency(self) -> int:
        """Which goes first, from 1."""
        return urgency_of(self.due)

    def must_go(self, now: int) -> bool:
        """Whether it was held for as long as a page of severity 1 may be."""
        latest = held_until_max(self.due.incident, self.due.page, now)
        return latest is not None and latest <= now


@dataclass(slots=True)
class Lane:
    """One address of one account: a message at a time. `place` is where its next message stands while it is not being sent."""

    address: str
    account: AccountQueue
    waiting: dict[str, Waiting] = field(default_factory=dict)
    busy: bool = False
    place: Place | None = None

    def rule(self) -> ContactRule | None:
        """Return how much the contact takes, None when it takes everything."""
        own = next((w.contact_limit for w in self.waiting.values() if w.contact_limit is not None), None)
        return ContactRule.of(own, self.account.channel)


@dataclass(frozen=True, slots=True)
class ContactRule:
    """How much one contact takes: so many messages in a time, and beyond that severity 1 at most every `spacing_ms`.

    `own`: the person said so.
    """

    limit: Limit
    spacing_ms: int
    own: bool

    @classmethod
    def of(cls, own: Limit | None, channel: str) -> ContactRule | None:
        """Return the rule of a contact: its person's, or its channel's; None for none."""
        if own is not None:
            return cls(own, HELD_MAX_MS, own=True)
        if channel in PROGRAMS:
            return None
        return cls(RINGING_LIMIT if channel in RINGING else FLOOD_LIMIT, 0, own=False)

    def counts(self, waiting: Waiting) -> bool:
        """Whether a page counts, and may be held: first attempts, and without a limit of the person's own only what can be bundled."""
        page = waiting.due.page
        if page.attempts > 0 or waiting.begun > 0:
            return False
        return page.kind not in (PageKind.UPDATE, PageKind.TEST) if self.own else page.kind in TOGETHER

    def free_at(self, window: Window, pages: Iterable[Waiting], now: int) -> int:
        """Return when a message with these pages may go to the contact."""
        pages = list(pages)
        at = window.free_at(now)
        if window.last_at is not None and any(w.urgency == 1 for w in pages):
            at = min(at, window.last_at + self.spacing_ms)
        return at

    def words(self) -> str:
        """Say why."""
        return f"this contact takes {in_words(self.limit)}" + ("" if self.own else ", severity 1 excepted; what waits goes out together")


@dataclass(frozen=True, slots=True)
class Held:
    """Pages (incident number, id) to be recorded as held.

    `along` are such that are held already, with the instant they wait for: they are to come now, and `address` is who waits for them.
    """

    pages: tuple[tuple[int, str], ...]
    why: str
    until: int
    along: tuple[tuple[int, str, int], ...] = ()
    address: str = ""


@dataclass(frozen=True, slots=True)
class Denied:
    """Pages to be recorded as not reachable over this account now."""

    pages: tuple[DuePage, ...]
    why: str
    retry_after_ms: int


@dataclass(slots=True)
class _HeldMessage:
    place: Place
    until: int
    pages: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(slots=True)
class _Call:
    """Held pages that are to go along with a page that waits for them until `until`."""

    pages: set[str]
    until: int


def account_of(address: str) -> tuple[str, str, str]:
    """Return channel, key and name of the account that carries an address. The key may be secret, the name is not."""
    channel = channel_of(address)
    if channel in ONE_ADDRESS:
        return channel, address, channel
    if channel in PER_HOST:
        host = urlsplit(address).netloc.rpartition("@")[2].lower()
        return channel, f"{address.partition(':')[0].lower()}://{host}", f"{channel} {host}"
    return channel, channel, channel


class AccountQueue:
    """One account: who waits for it, and what lets the next one pass. `wait_max_ms` is at most `WAIT_MAX_MS` and what a claim allows."""

    def __init__(self, address: str, windows: Windows, *, wait_max_ms: int) -> None:
        self.channel, self.key, self.name = account_of(address)
        self.breaker = Breaker()
        self.sending = 0
        self._windows = windows
        self._wait_max_ms = wait_max_ms
        self._review_ms = wait_max_ms // REVIEWS
        self._window: Window | None = None
        self._paused_until = 0
        self._mean_ms = 0.0
        self._everyone = FairLine()
        self._ready = FairLine()
        self._lanes: dict[str, Lane] = {}
        self._fresh: dict[str, Lane] = {}
        self._held: dict[str, _HeldMessage] = {}
        self._calls: dict[str, _Call] = {}
        self._served: dict[str, int] = {}
        self._turns = 0
        self._reviewed_at = 0

    # --- who comes and goes ----------------------------------------------------------------------------------------------------------

    def put(self, lane: Lane) -> None:
        """A lane has pages that nobody has judged yet."""
        held = self._held.get(lane.address)
        if held is not None:
            for page in lane.waiting:
                held.pages.pop(page, None)
            if not held.pages:
                self._forget(lane.address)
        self.not_coming(lane.address, lane.waiting)
        self._lanes[lane.address] = self._fresh[lane.address] = lane

    def not_coming(self, address: str, pages: Iterable[str]) -> None:
        """Some pages do not go along with what waits for an address."""
        call = self._calls.get(address)
        if call is not None:
            call.pages.difference_update(pages)
            if not call.pages:
                del self._calls[address]
                if address in self._lanes:
                    self._fresh[address] = self._lanes[address]

    def remove(self, lane: Lane) -> None:
        """A lane has no pages any more."""
        self._leave(lane)
        self._lanes.pop(lane.address, None)
        self._fresh.pop(lane.address, None)
        self._calls.pop(lane.address, None)

    def done(self, lane: Lane, now: int, outcome: Outcome | None, *, began_at: int, took_ms: float) -> None:
        """A send has ended; None: nothing went out."""
        self.sending -= 1
        lane.busy = False
        if outcome is None:
            self.breaker.not_tried()
            if self._window is not None:
                self._window.give_back(began_at)
        else:
            self._mean_ms = took_ms if self._mean_ms == 0 else 0.8 * self._mean_ms + 0.2 * took_ms
            self._learn(outcome, now)
        if lane.waiting:
            self.put(lane)
        else:
            self.remove(lane)

    def _learn(self, outcome: Outcome, now: int) -> None:
        if not isinstance(outcome, Unreachable):
            self.breaker.answered()
        elif outcome.retry_after_s is not None:
            self.breaker.answered()  # who asks for a pause is there
            self._paused_until = max(self._paused_until, now + round(outcome.retry_after_s * 1000))
            self._fresh |= self._lanes
        elif self.breaker.failed(now):
            self._fresh |= self._lanes

    def _leave(self, lane: Lane) -> None:
        if lane.place is not None:
            self._ready.discard(lane.place)
            held = self._held.get(lane.address)
            if held is None or held.place != lane.place:
                self._everyone.discard(lane.place)
            lane.place = None

    def _forget(self, address: str) -> None:
        self._everyone.discard(self._held.pop(address).place)

    # --- who may not wait here -------------------------------------------------------------------------------------------------------

    def review(self, now: int, limit: Limit | None, *, more_due: bool) -> list[Held | Denied]:
        """Judge the lanes that are new or whose chances have changed; return what is to be recorded. `limit` is the account's.

        `more_due`: the tick has not yet claimed all that is due. Under a limit nobody's turn is known before.
        """
        self._window = None if limit is None else self._windows.of(f"account {self.key}", limit)
        if more_due and self._window is not None:
            return []
        if now - self._reviewed_at >= self._review_ms:
            self._reviewed_at = now
            self._fresh |= self._lanes
            for address in [address for address, held in self._held.items() if held.until + HELD_KEPT_MS < now]:
                self._forget(address)
        for address, call in list(self._calls.items()):
            if call.until <= now:
                self.not_coming(address, tuple(call.pages))
        fresh = [lane for lane in self._fresh.values() if lane.waiting and not lane.busy]
        self._fresh.clear()
        verdicts: list[Held | Denied] = []
        for lane in fresh:
            verdicts += self._beyond_contact(lane, now)
            self._stand(lane)
        ranks = self._ranks() if fresh else {}
        for lane in sorted(fresh, key=lambda lane: lane.place or _LAST, reverse=self.breaker.is_open):
            verdict = self._judge(lane, ranks, now) if lane.place is not None else None
            if verdict is not None:
                verdicts.append(verdict)
            if not lane.waiting:
                self._leave(lane)
                self._lanes.pop(lane.address, None)
        return verdicts

    def _stand(self, lane: Lane) -> None:
        """Take the place of the lane's most urgent page."""
        self._leave(lane)
        if lane.waiting:
            first = min((w.due for w in lane.waiting.values()), key=lambda d: (urgency_of(d), d.page.rung_due_at))
            lane.place = Place(urgency_of(first), first.incident.service, first.page.rung_due_at, lane.address)
            self._everyone.add(lane.place)

    def _beyond_contact(self, lane: Lane, now: int) -> list[Held | Denied]:
        rule = lane.rule()
        if rule is None:
            return []
        counted = [w for w in lane.waiting.values() if rule.counts(w)]
        if not counted or any(w.must_go(now) for w in counted):
            return []
        until, why = rule.free_at(self._contact_window(lane, rule), counted, now), rule.words()
        line = self._line(lane)
        line_free_at = now if line is None else line.free_at(now)
        if line_free_at > max(now, until - JOINS_MS):
            until, why = line_free_at + JOINS_MS, LINE_WORDS
        return [self._hold(lane, counted, why, until)] if until > now else []

    def windows_of(self, lane: Lane, rule: ContactRule | None, pages: Iterable[Waiting]) -> list[Window]:
        """Return in which of the contact's windows a message with these pages counts. Every call is one, whatever it says."""
        line = self._line(lane)
        found = [] if line is None else [line]
        if rule is not None and any(rule.counts(w) for w in pages):
            found.append(self._contact_window(lane, rule))
        return found

    def _contact_window(self, lane: Lane, rule: ContactRule) -> Window:
        return self._windows.of(f"contact {lane.address}", rule.limit, outlives=rule.own or self.channel in RINGING)

    def _line(self, lane: Lane) -> Window | None:
        """Return when the number was called; None for what is no call."""
        return self._windows.of(f"calls {lane.address}", CALLS_LIMIT) if self.channel in CALLED else None

    def _ranks(self) -> Mapping[Place, int]:
        """Return how many go before each that waits; nothing where nobody can have to wait for long."""
        longest_ms = self._turn(len(self._everyone), 0)
        return {} if longest_ms < self._wait_max_ms else self._everyone.ranks(self._served)

    def _judge(self, lane: Lane, ranks: Mapping[Place, int], now: int) -> Held | Denied | None:
        """Say what becomes of a lane's next message; None: it is ready when its turn comes."""
        assert lane.place is not None
        along = self._held.get(lane.address)
        if along is not None and along.until > now and any(w.takes_along for w in lane.waiting.values()):
            return self._call_along(lane, along, now)
        if lane.address in self._calls:
            return None
        may_try = (self.breaker.may_probe(now) and len(self._ready) == 0) or any(
            w.due.page.kind is PageKind.TEST for w in lane.waiting.values()
        )
        if self.breaker.is_open and not may_try:
            return self._deny(lane, f"{self.name} does not answer: {self.breaker.failures} attempts in a row failed", DENIED_MS)
        pause_ms = self._paused_until - now
        if pause_ms > self._wait_max_ms:
            return self._deny(lane, f"{self.name} asked for a pause of {format_duration(-(-pause_ms // 1000) * 1000)}", pause_ms)
        before = ranks.get(lane.place, 0)
        turn = self._turn(before, now)
        pages = list(lane.waiting.values())
        if min(w.until for w in pages) - now <= 2 * self._wait_max_ms:
            return self._hold(lane, pages, self._why(before), max(now, min(turn, now + self._wait_max_ms) - HELD_EARLY_MS))
        # Who was held already is not held again for a few others that came before it meanwhile.
        far_ms = self._wait_max_ms * (2 if any(w.due.page.held_at is not None for w in pages) else 1)
        if self._window is not None and turn - now > far_ms and not any(w.must_go(now) for w in pages):
            return self._hold(lane, pages, self._why(before), turn - HELD_EARLY_MS)
        self._ready.add(lane.place)
        return None

    def _turn(self, before: int, now: int) -> int:
        at = now if self._window is None else self._window.free_at(now, before)
        return max(at, now + round(before // SENDS_AT_ONCE_MAX * self._mean_ms))

    def _why(self, before: int) -> str:
        takes = f"{self._mean_ms / 1000:.1f} s for a message" if self._window is None else in_words(self._window.limit)
        return f"{self.name} takes {takes}; {before} before it"

    def _hold(self, lane: Lane, pages: list[Waiting], why: str, until: int) -> Held:
        first = min(pages, key=lambda w: (w.urgency, w.due.page.rung_due_at))
        place = Place(first.urgency, first.due.incident.service, first.due.page.rung_due_at, lane.address)
        held = self._held.get(lane.address)
        if held is None:
            held = self._held[lane.address] = _HeldMessage(place, until)
            self._everyone.add(place)
        held.until = max(held.until, until)
        found: list[tuple[int, str]] = []
        for waiting in pages:
            del lane.waiting[waiting.due.page.id]
            held.pages[waiting.due.page.id] = (waiting.due.incident.number, until)
            found.append((waiting.due.incident.number, waiting.due.page.id))
        return Held(tuple(found), why, until)

    def _call_along(self, lane: Lane, held: _HeldMessage, now: int) -> Held:
        """Severity 1 waits the moment that it takes to claim again what is held for its contact: they go out as one message."""
        self._forget(lane.address)
        self._calls[lane.address] = _Call(set(held.pages), now + COMPANIONS_MS)
        along = tuple((number, page, until) for page, (number, until) in held.pages.items())
        return Held((), "goes out together with severity 1, which nothing holds", now, along, lane.address)

    def _deny(self, lane: Lane, why: str, retry_after_ms: int) -> Denied:
        pages = tuple(w.due for w in lane.waiting.values())
        lane.waiting.clear()
        return Denied(pages, why, retry_after_ms)

    # --- whose turn it is ------------------------------------------------------------------------------------------------------------

    def may_send(self, now: int, *, more_due: bool) -> bool:
        """Whether a message that is ready may go at this instant. `more_due`: the tick has not yet claimed all that is due, and the places
        that a limit leaves belong to the gravest of all."""
        if self.sending >= SENDS_AT_ONCE_MAX or self._paused_until > now or not len(self._ready):
            return False
        return self._window is None or (not more_due and self._window.free_at(now) <= now)

    def first(self) -> Place | None:
        """Return who is next."""
        return self._ready.first(self._served)

    def next(self, now: int) -> Lane:
        """Begin the next message: return its lane. Only when `may_send`."""
        place = self._ready.first(self._served)
        assert place is not None
        lane = self._lanes[place.address]
        self._leave(lane)
        self._turns += 1
        self._served[place.service] = self._turns
        if self.breaker.is_open:
            self.breaker.probe_begins()
        lane.busy = True
        self.sending += 1
        if self._window is not None:
            self._window.take(now)
        return lane

    def has_work(self, now: int, *, more_due: bool) -> bool:
        """Whether there is anything to judge or to send at this instant."""
        return (bool(self._fresh) and not (more_due and self._window is not None)) or self.may_send(now, more_due=more_due)

    def next_at(self, now: int) -> int | None:
        """Return when to look again, None when nothing waits for time to pass."""
        calls = [call.until for call in self._calls.values()]
        if not len(self._ready):
            return min(calls, default=None)
        look_at = min([self._reviewed_at + self._review_ms, *calls])
        if self.sending >= SENDS_AT_ONCE_MAX:
            return look_at
        return min(look_at, max(self._paused_until, now + 1 if self._window is None else self._window.free_at(now)))


_LAST = Place(99, "", 0, "")

assert PROBE_EVERY_MS < DENIED_MS
