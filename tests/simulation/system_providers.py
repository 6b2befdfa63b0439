"""Providers that take pages, refuse them, say nothing, or take them and let the answer get lost; and the people at the other end.

A `PretendChannel` stands where the notifier's channels stand, under their names. What becomes of one call is drawn from the seed, or forced
by a trouble that a provider has for a while. What arrives is told to `town`, who may answer.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from notifier.answers import Answers
from notifier.channels import Answering, Channels, ChannelsConfig, Outcome, Refused, Sent, Unreachable
from notifier.message import PageMessage
from tests.simulation.system_process import Process
from tests.simulation.system_timeline import NOBODY, Timeline
from tocsin.runtime.contactaddress import channel_of

KINDS = ("taken", "refused", "not_there", "busy", "failed", "lost_answer", "silent", "taken_silently", "kill_before", "kill_after")
"""What may come of a call. Taken by the provider: taken, lost_answer, taken_silently, kill_after."""

ARRIVES = frozenset({"taken", "lost_answer", "taken_silently", "kill_after"})
AMBIGUOUS = frozenset({"failed", "lost_answer", "silent", "taken_silently"})


@dataclass(slots=True)
class Manners:
    """How likely what else than `taken` is, of one call; and troubles: address or channel -> kind, until an instant of the timeline."""

    odds: Mapping[str, float] = field(default_factory=dict)
    troubles: dict[str, tuple[str, float]] = field(default_factory=dict)


@dataclass(slots=True)
class Providers:
    """All of them. `handed` is told of every call as it arrives; `arrived` of what a person gets to see."""

    timeline: Timeline
    generator: random.Random
    manners: Manners
    handed: Callable[[Process, str, PageMessage, str], None]
    answered: Callable[[Process, PageMessage, str], None]
    arrived: Callable[[str, PageMessage, Answers | None], None]

    def draw(self, to: str) -> str:
        now = self.timeline.time()
        for name in (to, channel_of(to)):
            kind, until = self.manners.troubles.get(name, ("", 0.0))
            if now < until:
                return kind
        luck = self.generator.random()
        for kind, odds in self.manners.odds.items():
            if luck < odds:
                return kind
            luck -= odds
        return "taken"


class PretendChannel:
    """One kind of contact of one notifier process."""

    def __init__(self, name: str, providers: Providers, process: Process, config: ChannelsConfig) -> None:
        self.name = name
        self._providers = providers
        self._process = process
        self._config = config

    async def send(self, to: str, message: PageMessage) -> Outcome:
        """Hand the page over, within the channel's time limit."""
        providers = self._providers
        kind = providers.draw(to)
        there, back = 0.001 + 0.2 * providers.generator.random(), 0.001 + 0.1 * providers.generator.random()
        answer: asyncio.Future[Outcome] = providers.timeline.create_future()
        providers.timeline.call_later(there, self._arrive, to, message, kind, answer, back, context=NOBODY)
        try:
            async with asyncio.timeout(self._config.send_limit_s):
                outcome = await answer
        except TimeoutError:
            outcome = Unreachable("no answer", ambiguous=True)
        providers.answered(self._process, message, "ambiguous" if isinstance(outcome, Unreachable) and outcome.ambiguous else "definite")
        return outcome

    def _arrive(self, to: str, message: PageMessage, kind: str, answer: asyncio.Future[Outcome], back: float) -> None:
        providers = self._providers
        if self._process.dead:
            return
        providers.handed(self._process, to, message, kind)
        if kind == "kill_before":
            self._process.die()
        if kind in ARRIVES:
            providers.arrived(to, message, self._config.answers)
        if kind == "kill_after":
            self._process.die()
        outcome = self._outcome(kind, message)
        if outcome is not None:
            providers.timeline.call_later(back, _give, answer, outcome, context=NOBODY)

    def _outcome(self, kind: str, message: PageMessage) -> Outcome | None:
        match kind:
            case "taken":
                return Sent(f"receipt of {message.page_id}", confirms=self.name == "sms")
            case "refused":
                return Refused("unknown number")
            case "not_there":
                return Unreachable("connection refused", ambiguous=False)
            case "busy":
                return Unreachable("too many requests", ambiguous=False, retry_after_s=15.0)
            case "failed" | "lost_answer":
                return Unreachable("connection lost", ambiguous=True)
            case _:
                return None

    async def close(self) -> None:
        return


class PretendChannels(Channels):
    """The channels of one notifier process, all pretended."""

    def __init__(self, providers: Providers, process: Process, config: ChannelsConfig) -> None:
        self._pretended: dict[str, PretendChannel] = {}
        self._providers, self._process, self._config = providers, process, config

    def for_contact(self, to: str) -> PretendChannel:
        name = channel_of(to)
        if name not in self._pretended:
            self._pretended[name] = PretendChannel(name, self._providers, self._process, self._config)
        return self._pretended[name]

    def answering(self) -> Mapping[str, Answering]:
        return {}

    async def close(self) -> None:
        return


def _give(answer: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not answer.done():
        answer.set_result(outcome)
