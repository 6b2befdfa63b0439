"""The rules in force in this process: read from the store, where one reload publishes them for every process.

A reload reads the file, checks it whole and publishes its text; this process and all others then follow the published version and swap it
whole. Text that is refused changes nothing. The roster (what people have changed about who is on call) is a part of the rules that the
file does not say: it has its own version in the store and is followed in the same way.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from tocsin.policy.roster import Roster
from tocsin.policy.rosterchange import entries
from tocsin.policy.rules import Rules
from tocsin.runtime.clock import Clock
from tocsin.runtime.metrics import Metrics
from tocsin.runtime.rulesfile import RulesInvalid, load_rules
from tocsin.store.store import Store


class NoRules(Exception):
    """No rules were ever published, and this process was given no file."""


class RulesInForce:
    """Holds the present rules; `rules` is swapped whole, so whoever reads it once per tick sees one version."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        log: FilteringBoundLogger,
        *,
        file: Path | None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._file = file
        self._environment = dict(os.environ if environment is None else environment)
        self._rules: Rules | None = None
        self._unpublished: Rules | None = None
        self._following = asyncio.Lock()
        self.on_swap: Callable[[Rules], None] = lambda _: None

    @property
    def rules(self) -> Rules:
        """The rules in force; `follow` or `reload` must have succeeded once."""
        assert self._rules is not None, "rules are asked for before they were loaded"
        return self._rules

    @property
    def known(self) -> Rules | None:
        """The rules in force, or what the file says while no store was reached yet; None when neither can be had."""
        if self._rules is not None or self._file is None:
            return self._rules
        if self._unpublished is None:
            try:
                text = self._file.read_text(encoding="utf-8")
                self._unpublished = load_rules(text, file_name=str(self._file), environment=self._environment, read_file=_read_file)
            except (RulesInvalid, OSError, UnicodeDecodeError):
                return None
        return self._unpublished

    async def start(self) -> None:
        """Publish the file, if there is one, and load what is in force.

        Raises RulesInvalid for a bad file, NoRules when there is nothing to load, StoreAway.
        """
        if self._file is not None:
            await self.reload()
        else:
            await self.follow()
        if self._rules is None:
            raise NoRules("no rules are published yet: start one role with --config.file")

    async def reload(self) -> None:
        """Read, check and publish the file, then follow. Raises RulesInvalid and OSError; then the old rules stay."""
        if self._file is None:
            await self.follow()
            return
        try:
            text = self._file.read_text(encoding="utf-8")
            load_rules(text, file_name=str(self._file), environment=self._environment, read_file=_read_file)
        except (RulesInvalid, OSError, UnicodeDecodeError) as error:
            self._metrics.config_last_reload_successful.set(0)
            self._log.error("rules_refused", file=str(self._file), problem=str(error))
            raise
        await self._store.publish_rules(text, str(self._file), self._clock.now_ms())
        await self.follow()

    async def follow(self) -> None:
        """Load the published rules and the roster unless they are in force here already; the text is read only when it is another one.

        Text that this process cannot use is refused and logged; then the old rules stay, with the present roster.
        """
        async with self._following:  # or one that began earlier and ended later would put back what it had read
            await self._follow()

    async def _follow(self) -> None:
        rules_version, roster_version = await self._store.versions_in_force()
        if rules_version is None:
            return
        before = self._rules
        rules = before
        if before is None or before.version != rules_version:
            rules = await self._load_published() or before
        if rules is None:
            return
        if before is None or before.roster.version != roster_version:
            rules = replace(rules, roster=await self._load_roster(roster_version))
        elif rules is not before:
            rules = replace(rules, roster=before.roster)
        if rules is before:
            return
        self._rules = rules
        if before is None or rules.version != before.version:
            self._metrics.config_last_reload_successful.set(1)
            self._metrics.config_rules_version.set(rules.version)
            self._log.info("rules_swapped", version=rules.version, services=len(rules.services), people=len(rules.people))
        if rules.roster.version != (0 if before is None else before.roster.version):
            self._log.info("roster_swapped", version=rules.roster.version, entries=entries(rules.roster))
        self.on_swap(rules)

    async def _load_published(self) -> Rules | None:
        """Return the published rules, None when this process cannot use them and has others. Raises RulesInvalid when it has none."""
        published = await self._store.published_rules()
        if published is None:
            return None
        try:
            return load_rules(
                published.text,
                file_name=published.file_name,
                environment=self._environment,
                read_file=_read_file,
                version=published.version,
            )
        except RulesInvalid as error:
            self._metrics.config_last_reload_successful.set(0)
            self._log.error("rules_refused", version=published.version, problem=str(error))
            if self._rules is None:
                raise
            return None

    async def _load_roster(self, version: int) -> Roster:
        """Return the present roster. One that this process cannot read must not keep it from paging by the rotations and what it knew."""
        try:
            return await self._store.roster.load()
        except ValueError as error:
            known = Roster() if self._rules is None else self._rules.roster
            self._log.error("roster_unusable", version=version, problem=type(error).__name__, consequence="the last known one counts")
            return replace(known, version=version)


def _read_file(name: str) -> str:
    return Path(name).read_text(encoding="utf-8")
