"""What every request of the console works with: built once in `service.py` and handed down."""

from __future__ import annotations

from dataclasses import dataclass

from console.auth import LinkKey, Tokens
from console.feedcache import FeedCache
from console.followers import Followers
from console.reading import Reading
from console.turns import StoreTurns
from tocsin.policy.rules import Rules
from tocsin.runtime.clock import Clock
from tocsin.runtime.service import Deps
from tocsin.store.store import Store


@dataclass(frozen=True, slots=True)
class Desk:
    """Store, clock and rules of the role, and the parts built on them."""

    deps: Deps
    turns: StoreTurns
    tokens: Tokens
    reading: Reading
    followers: Followers
    link_key: LinkKey
    feeds: FeedCache

    @property
    def store(self) -> Store:
        """The system of record."""
        return self.deps.store

    @property
    def clock(self) -> Clock:
        """The role's clock."""
        return self.deps.clock

    @property
    def rules(self) -> Rules:
        """The rules in force now."""
        return self.deps.rules.rules

    @property
    def external_url(self) -> str:
        """What links begin with, without a slash at the end."""
        return self.deps.settings.external_url
