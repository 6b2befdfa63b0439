"""Checks, every minute, what must always hold of the incidents in the store; mends what it can and says so loudly.

A finding is a bug of ours. The auditor is slow on purpose: it reads the store in small batches and never blocks paging.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tocsin.policy.ladder import agenda
from tocsin.policy.model import Incident, PageStatus
from tocsin.runtime.service import Deps
from tocsin.store.wire import StoreAway, StoreFull

BATCH = 500
PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken invariant of one incident."""

    invariant: str
    incident: int
    what: str


class Auditor:
    """`audit` looks at every incident once."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def run(self) -> None:
        """Audit for ever, at the pace of the settings."""
        while True:
            await self._deps.clock.wait(self._deps.settings.audit_every_s, asyncio.Event())
            try:
                await self.audit()
            except (StoreAway, StoreFull) as error:
                self._deps.log.warning("audit_put_off", why=str(error))

    async def audit(self) -> list[Finding]:
        """Look at every incident, mend, report; return what was found."""
        found: list[Finding] = []
        for shard in range(self._deps.store.shards):
            async for incidents in self._deps.store.scan_incidents(shard, count=BATCH):
                found += await self._audit_batch(shard, incidents)
                await self._deps.clock.wait(PAUSE_S, asyncio.Event())
        for finding in found:
            self._deps.metrics.auditor_findings.labels(finding.invariant).inc()
            self._deps.log.error("invariant_broken", invariant=finding.invariant, incident=finding.incident, what=finding.what)
        return found

    async def _audit_batch(self, shard: int, incidents: list[Incident]) -> list[Finding]:
        found = [finding for incident in incidents if (finding := _wrong_due_at(incident)) is not None]
        suspects = await self._suspects(shard, incidents)
        if not suspects:
            return found
        # Between reading an incident and looking for its timer it may have moved on: only one that has not changed since is a finding.
        again = await self._deps.store.load_many([i.number for i in suspects])
        still = await self._suspects(shard, [i for i in again.values() if i.version == {s.number: s.version for s in suspects}[i.number]])
        timers, pages = await self._missing(shard, still)
        await self._deps.store.mend(shard, timers=timers, pages=pages)
        found += [Finding("timer", number, "an incident that waits had no timer") for number in timers]
        return found + [Finding("outbox", int(p[4:].partition(".")[0]), f"page {p} was pending but not in the outbox") for p in pages]

    async def _suspects(self, shard: int, incidents: list[Incident]) -> list[Incident]:
        timers, pages = await self._missing(shard, incidents)
        return [i for i in incidents if i.number in timers or any(p.id in pages for p in i.pages)]

    async def _missing(self, shard: int, incidents: list[Incident]) -> tuple[dict[int, int], dict[str, int]]:
        timers = {i.number: i.due_at for i in incidents if i.due_at is not None}
        pages = {p.id: p.due_at for i in incidents for p in i.pages if p.status is PageStatus.PENDING}
        without_timer, not_in_outbox = await self._deps.store.missing(shard, timers=list(timers), pages=list(pages))
        return {n: timers[n] for n in without_timer}, {p: pages[p] for p in not_in_outbox}


def _wrong_due_at(incident: Incident) -> Finding | None:
    try:
        planned = agenda(incident)
    except Exception as error:  # top of a tick: one damaged incident must not hide what is wrong with the others
        return Finding("decidable", incident.number, f"cannot be decided: {type(error).__name__}")
    if incident.due_at == (None if planned is None else planned[0]):
        return None
    return Finding("due_at", incident.number, f"due_at is {incident.due_at}")
