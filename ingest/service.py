"""The ingest role: takes alerts over HTTP and answers when they are on disk.

Owns the walk of a request: may it push, its body, its alerts one by one, the entries, the write, the answer; and what becomes of an alert
that cannot be read. The formats are in `alertmanager.py`, `apiv2.py` and `events.py`, the group commit in `intake.py`.

Answers: 2xx when everything that was valid is on disk; 4xx only for what can never be valid; 503 with Retry-After for everything that may
work later. Never another 5xx, never 429, never a redirect: the senders give up on those, or lose the alert.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from prometheus_client import Counter

from ingest import alertmanager, apiv2, events
from ingest.answers import Answers, ApiV2Answers, WebhookAnswers
from ingest.bodies import BodyLate, BodyReader
from ingest.document import read_document
from ingest.entries import EntryBuilder
from ingest.fields import FieldReader
from ingest.intake import BacklogFull, Intake
from ingest.keys import Keyring
from ingest.parsed import EXCERPT_BYTES_MAX, ReadAlert, Rejected, Source, excerpt_of, parse_alerts
from ingest.refused import NOT_VALID, BodyRefused
from ingest.unreadable import LETTERS_PER_BODY_MAX, unreadable_alert
from tocsin.policy.rules import Integration, Rules
from tocsin.runtime.service import Deps, Role
from tocsin.store.bell import Message
from tocsin.store.store import StoreAway, StoreFull

HEAVY_BYTES: Final = 256 * 1024
"""A body larger than this is cleaned up after: with the next request, or after CLEAN_UP_S."""

CLEAN_UP_S: Final = 1.0

ALERTS_PER_TURN: Final = 500
"""Alerts read without letting other requests have a turn: some 5 ms."""

SMALL_BODY_ALERTS: Final = 5
"""A body with no more alerts is never held up."""

VALUES_PER_ALERT_MAX: Final = 100
"""JSON values that an alert of a big body may have on average."""

TELL_AGAIN_S: Final = 10.0
"""The log says that requests are refused this often, for each path and status; the metrics count every one."""


@dataclass(frozen=True, slots=True)
class Format:
    """What a sender speaks: where the alerts stand, how one is read, and how it is answered."""

    path: str
    alerts_in: Callable[[object], list[object]]
    read_alert: ReadAlert
    answers: Answers
    list_name: str


FORMATS: Final = (
    Format("/webhook/alertmanager", alertmanager.alerts_in, alertmanager.read_alert, WebhookAnswers(), "alerts"),
    Format("/api/v2/alerts", apiv2.alerts_in, apiv2.read_alert, ApiV2Answers(), ""),
    Format("/webhook/events", events.alerts_in, events.read_alert, WebhookAnswers(), ""),
)


class Ingest:
    """The role."""

    name = "ingest"

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._settings, self._clock, self._store, self._log = deps.settings, deps.clock, deps.store, deps.log
        self._metrics = deps.metrics
        self._intake = Intake(deps.store, deps.clock, deps.settings, deps.metrics, deps.log)
        self._bodies = BodyReader(deps.settings)
        self._rules: Rules | None = None
        self._keyring = Keyring(())
        self._stopped: str | None = "starting"
        self._counters: dict[tuple[str, str], Counter] = {}
        self._told_until: dict[tuple[str, int], float] = {}
        self._open = 0
        self._unclean = False
        self._all_answered = asyncio.Event()

    # --- the role ------------------------------------------------------------------------------------------------------------------

    def add_routes(self, app: web.Application) -> None:
        """Add the intake paths; with any other method they answer 405."""
        for form in FORMATS:
            handler = self._handler(form)
            app.router.add_post(form.path, handler)
            app.router.add_post(f"{form.path}/", handler)

    async def start(self) -> None:
        """Begin to take alerts."""
        self._follow_rules(self._deps.rules.rules)
        self._stopped = None
        if self._keyring.is_empty:
            self._log.warning(
                "intake_without_keys",
                consequence="only programs on this machine may push alerts",
                remedy="add `integrations` with keys to the rules",
            )

    def early_loops(self) -> Sequence[Callable[[], Coroutine[None, None, None]]]:
        """Return none: without the store nothing can be taken."""
        return ()

    def loops(self) -> Sequence[Callable[[], Coroutine[None, None, None]]]:
        """Return the group commit and the look at the backlog. That ingest lives, `run_role` tells the store."""
        return (self._intake.write_waiting, self._intake.watch_backlog)

    def on_change(self, message: Message) -> None:
        """Nothing here depends on incidents."""

    def on_gap(self) -> None:
        """Nothing here depends on messages."""

    def not_ready(self) -> str | None:
        """Return why alerts are refused now."""
        if self._stopped is not None:
            return self._stopped
        if self._intake.is_full:
            return "the correlator is too far behind"
        return self._intake.trouble

    async def drain(self) -> None:
        """Refuse new requests and return when those under way are answered."""
        self._stopped = "stopping"
        while self._open:
            self._all_answered.clear()
            await self._all_answered.wait()

    # --- a request -----------------------------------------------------------------------------------------------------------------

    def _handler(self, form: Format) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            self._clean_up()
            self._open += 1
            try:
                return await self._take(request, form)
            except BodyRefused as refused:
                return self._refuse(form, form.answers.refused(refused), why=str(refused))
            except BodyLate as late:
                response = form.answers.unavailable(str(late))
                response.force_close()
                return self._refuse(form, response, why=str(late))
            except BacklogFull as full:
                return self._refuse(form, form.answers.unavailable("the correlator is too far behind"), why=str(full))
            except StoreAway as away:
                return self._refuse(form, form.answers.unavailable("the store does not answer"), why=str(away))
            except StoreFull as full:
                return self._refuse(form, form.answers.unavailable("the store is full"), why=str(full))
            except Exception:  # top of a request
                self._metrics.ticks_failed.labels("ingest").inc()
                self._log.exception("request_failed", path=form.path)
                return self._refuse(form, form.answers.unavailable("an unexpected error"))
            finally:
                if _is_heavy(request):
                    self._unclean = True
                    asyncio.get_running_loop().call_later(CLEAN_UP_S, self._clean_up)
                self._open -= 1
                if not self._open:
                    self._all_answered.set()

        return handle

    def _clean_up(self) -> None:
        """Collect what a heavy request left: the collector runs seldom, and a refused body may hang in the traceback of its refusal."""
        if self._unclean:
            self._unclean = False
            gc.collect()

    async def _take(self, request: web.Request, form: Format) -> web.Response:
        if self._stopped is not None:
            return self._refuse(form, form.answers.unavailable(self._stopped), why=self._stopped)
        self._intake.require_room()
        rules = self._deps.rules.rules
        if rules is not self._rules:
            self._follow_rules(rules)
        integration = self._keyring.integration_of(request.headers, _peer(request))
        if integration is None:
            keyless = self._keyring.is_empty
            why = "no integration has a key yet: only programs on this machine may push" if keyless else "the key is missing or unknown"
            return self._refuse(form, form.answers.unauthorized(why), why=why, peer=_peer(request))
        body = b""
        try:
            form.answers.check(request)
            body = await self._bodies.read(request)
            return await self._store_alerts(body, form, integration, rules)
        except BodyRefused as refused:
            if body or refused.status == 413:
                await self._set_aside_body(body, refused, integration, rules)
            raise

    def _follow_rules(self, rules: Rules) -> None:
        self._rules = rules
        self._keyring = Keyring(rules.integrations)

    async def _store_alerts(self, body: bytes, form: Format, integration: Integration, rules: Rules) -> web.Response:
        """Read a body's alerts and return the answer once they are on disk. Raises BodyRefused, StoreAway, StoreFull, BacklogFull."""
        settings, now = self._settings, self._clock.now_ms()
        most = settings.alerts_per_body_max
        items = form.alerts_in(read_document(body, values_max=most * VALUES_PER_ALERT_MAX))
        if len(items) > most:
            raise BodyRefused(f"the body holds {len(items)} alerts, {most} is the limit", status=413)
        source = Source(integration, now, settings.resolve_timeout_ms, FieldReader(settings))
        builder = self._builder(rules, now)
        accepted, rejected = 0, []
        for first in range(0, len(items), ALERTS_PER_TURN):
            if first:
                await asyncio.sleep(0)
            part = items[first : first + ALERTS_PER_TURN]
            parsed = parse_alerts(part, source, form.read_alert, first=first, of=form.list_name)
            builder.add(parsed.alerts)
            accepted += len(parsed.alerts)
            rejected += parsed.rejected
        accepted -= len(builder.too_big)
        rejected += [Rejected(-1, "labels: do not fit an entry", excerpt_of(alert.labels), NOT_VALID) for alert in builder.too_big]
        if rejected:
            await self._set_aside(rejected, integration, builder, now)
        if builder.entries:
            await self._intake.append(builder.entries, hold_up=len(items) > SMALL_BODY_ALERTS)
        self._count(form, integration, accepted, rejected, source.fields.texts_cut + builder.cut)
        return form.answers.taken(accepted, rejected)

    def _builder(self, rules: Rules, now: int) -> EntryBuilder:
        return EntryBuilder(rules, shards=self._store.shards, received_at=now, entry_bytes_max=self._settings.entry_bytes_max)

    # --- what cannot be read -------------------------------------------------------------------------------------------------------

    async def _set_aside_body(self, body: bytes, refused: BodyRefused, integration: Integration, rules: Rules) -> None:
        """Keep the beginning of a body that is unreadable as a whole, and let people know. Raises StoreAway, StoreFull, BacklogFull."""
        now = self._clock.now_ms()
        builder = self._builder(rules, now)
        rejected = [Rejected(0, str(refused), body[:EXCERPT_BYTES_MAX], refused.code)]
        await self._set_aside(rejected, integration, builder, now)
        await self._intake.append(builder.entries, hold_up=False)
        self._metrics.alerts_received.labels(integration.name, "unreadable").inc()

    async def _set_aside(self, rejected: Sequence[Rejected], integration: Integration, builder: EntryBuilder, now: int) -> None:
        for letter in rejected[:LETTERS_PER_BODY_MAX]:
            await self._store.add_dead_letter(integration.name, letter.reason, letter.excerpt, now)
        self._metrics.dead_letters.labels(integration.name).inc(min(len(rejected), LETTERS_PER_BODY_MAX))
        builder.add([unreadable_alert(integration.name, rejected, now)])

    # --- what is told --------------------------------------------------------------------------------------------------------------

    def _count(self, form: Format, integration: Integration, accepted: int, rejected: Sequence[Rejected], cut: int) -> None:
        if accepted:
            self._received(integration.name, "accepted").inc(accepted)
        if rejected:
            self._received(integration.name, "rejected").inc(len(rejected))
            if self._may_tell(form.path, 200):
                self._log.warning("alerts_rejected", integration=integration.name, count=len(rejected), why=rejected[0].reason)
        if cut:
            self._metrics.labels_cut.inc(cut)
        self._log.debug("alerts_taken", path=form.path, integration=integration.name, accepted=accepted, rejected=len(rejected))

    def _received(self, integration: str, result: str) -> Counter:
        """Return the counter of a result; finding it by its labels costs more than counting."""
        found = self._counters.get((integration, result))
        if found is None:
            found = self._counters[integration, result] = self._metrics.alerts_received.labels(integration, result)
        return found

    def _refuse(self, form: Format, response: web.Response, **facts: object) -> web.Response:
        self._metrics.requests_refused.labels(form.path, str(response.status)).inc()
        if self._may_tell(form.path, response.status):
            self._log.warning("request_refused", path=form.path, status=response.status, **facts)
        return response

    def _may_tell(self, path: str, status: int) -> bool:
        """Whether it is time to write another line of this kind: a sender that is wrong is wrong many times a second."""
        now = self._clock.monotonic()
        if now < self._told_until.get((path, status), now):
            return False
        self._told_until[path, status] = now + TELL_AGAIN_S
        return True


def _is_heavy(request: web.Request) -> bool:
    """Whether a request may leave megabytes behind."""
    length = request.content_length
    return length is None or length > HEAVY_BYTES or "Content-Encoding" in request.headers


def _peer(request: web.Request) -> str | None:
    found = request.transport.get_extra_info("peername") if request.transport is not None else None
    return str(found[0]) if isinstance(found, tuple) else None


def build(deps: Deps) -> Role:
    """Return the role."""
    return Ingest(deps)
