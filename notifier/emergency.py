"""When the store is away: tells the emergency contacts that the pager is blind.

This is the one page that needs no store. The contacts come from the rules in memory or, before a store was reached, from the rules file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from notifier.accounts import channels_config
from notifier.channels import Channels, ChannelsConfig, Sent
from notifier.message import IncidentView, PageMessage
from tocsin.policy.model import PageKind
from tocsin.policy.rules import EMERGENCY_PERSON, Rules
from tocsin.runtime.service import Deps
from tocsin.store.wire import StoreAway

CHECK_S = 1.0
REPEAT_S = 30 * 60.0
RETRY_S = 30.0
"""When no contact took it, this is the pause before all are tried again."""

ANSWER_S = 3.0


class EmergencyWatch:
    """Pings the store every second, and pages when it has been away for as long as the rules say."""

    def __init__(self, deps: Deps, make_channels: Callable[[ChannelsConfig], Channels] = Channels) -> None:
        self._deps = deps
        self._make_channels = make_channels
        self._away_since: float | None = None
        self._away_since_ms = 0
        self._again_at = 0.0

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await self.tick()
            await self._deps.clock.wait(CHECK_S, asyncio.Event())

    async def tick(self) -> bool:
        """Look once; return whether the emergency contacts were paged."""
        now = self._deps.clock.monotonic()
        if await self._answers():
            if self._away_since is not None and self._again_at > 0:
                self._deps.log.warning("store_back", away_s=round(now - self._away_since, 1))
            self._away_since, self._again_at = None, 0.0
            return False
        if self._away_since is None:
            self._away_since, self._away_since_ms = now, self._deps.clock.now_ms()
        rules = self._deps.rules.known
        if rules is None or now - self._away_since < rules.emergency.after_ms / 1000 or now < self._again_at:
            return False
        reached = await self._page(rules, now - self._away_since)
        self._again_at = self._deps.clock.monotonic() + (REPEAT_S if reached else RETRY_S)
        return True

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._deps.store.ping()
        except (StoreAway, TimeoutError):
            self._deps.metrics.store_up.set(0)
            return False
        self._deps.metrics.store_up.set(1)
        return True

    async def _page(self, rules: Rules, away_s: float) -> bool:
        """Page every emergency contact; return whether one of them took it."""
        self._deps.log.error("pager_blind", away_s=round(away_s, 1), contacts=len(rules.emergency.to))
        channels = self._make_channels(channels_config(rules, self._deps, None))
        reached = False
        try:
            for index, to in enumerate(rules.emergency.to):
                channel = channels.for_contact(to)
                if channel is None:
                    continue
                outcome = await channel.send(to, self._message(index, away_s))
                self._deps.metrics.pages.labels(channel.name, PageKind.EMERGENCY.value, type(outcome).__name__.lower()).inc()
                reached = reached or isinstance(outcome, Sent)
        finally:
            await channels.close()
        return reached

    def _message(self, index: int, away_s: float) -> PageMessage:
        url = self._deps.settings.external_url
        incident = IncidentView(
            id="INC-0",
            title="The pager is blind: its store does not answer. Alerts are refused and nobody is paged until it is back.",
            severity=1,
            service="tocsin",
            state="open",
            opened_at=self._away_since_ms,
            firing=1,
            resolved=0,
            labels={},
            url=url,
            runbook=None,
        )
        return PageMessage(
            page_id=f"INC-0.{self._away_since_ms}.{EMERGENCY_PERSON}.{index}",
            kind=PageKind.EMERGENCY,
            attempt=1,
            incident=incident,
            others=(),
            rung=None,
            person=EMERGENCY_PERSON,
            person_name="operators",
            time_zone="UTC",
            locale="en",
            late_by_s=away_s,
            told=(),
            next_rung=None,
            acknowledge_url=url,
        )
