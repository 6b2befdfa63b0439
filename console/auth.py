"""Who calls, and what they may do: API tokens and the four roles, and the key of the links that need no token.

A token is shown once, when it is made; only its SHA-256 is kept, in the store. The first administrator's token comes from the settings. The
actor of what a token does is the token's name: a token called `kim` acts as the person `kim`.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

from console.problems import Refused
from console.turns import StoreTurns
from tocsin.policy import events as ev
from tocsin.policy.rules import EMERGENCY_PERSON
from tocsin.runtime.clock import Clock
from tocsin.store.store import Store

CACHE_S: Final = 5.0
"""How long a token that was found is believed without asking the store again."""

CACHE_MAX: Final = 1_000
TOKEN_CHARACTERS_MAX: Final = 512

ADMINISTRATOR: Final = "administrator"
"""The name of the token in the settings."""

RESERVED_NAMES: Final = frozenset({ev.MONITORING, ev.TIMER, ev.NOTIFIER, EMERGENCY_PERSON, ADMINISTRATOR})
"""Names that mean somebody else in the history."""


class Role(enum.StrEnum):
    """What a token may do; each may do what those before it may."""

    VIEWER = "viewer"
    AGENT = "agent"
    SUPERVISOR = "supervisor"
    ADMINISTRATOR = "administrator"

    def may(self, needed: Role) -> bool:
        """Whether this role suffices where `needed` is needed."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request."""

    name: str
    role: Role

    def must_be(self, needed: Role, what: str) -> None:
        """Raise Refused (403) unless the role suffices."""
        if not self.role.may(needed):
            raise Refused(403, f"{what} needs the role {needed}; this token has the role {self.role}")


class Tokens:
    """Finds the caller of a token, and makes new tokens."""

    def __init__(self, store: Store, turns: StoreTurns, clock: Clock, admin_token: str) -> None:
        self._store = store
        self._turns = turns
        self._clock = clock
        self._admin_sha256 = _sha256(admin_token) if admin_token else ""
        self._found: dict[str, tuple[float, Caller]] = {}

    async def caller(self, authorization: str | None) -> Caller:
        """Return who an Authorization header stands for. Raises Refused (401) and StoreAway."""
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not 0 < len(token) <= TOKEN_CHARACTERS_MAX:
            raise Refused(401, "send an API token: Authorization: Bearer TOKEN")
        digest = _sha256(token)
        if self._admin_sha256 and hmac.compare_digest(digest, self._admin_sha256):
            return Caller(ADMINISTRATOR, Role.ADMINISTRATOR)
        now_s = self._clock.monotonic()
        until_s, caller = self._found.get(digest, (0.0, None))
        if caller is not None and now_s < until_s:
            return caller
        caller = await self._look_up(digest)
        if len(self._found) >= CACHE_MAX:
            self._found.clear()
        self._found[digest] = (now_s + CACHE_S, caller)
        return caller

    async def _look_up(self, digest: str) -> Caller:
        async with self._turns.turn():
            record = await self._store.token(digest)
        if record is None:
            self._found.pop(digest, None)
            raise Refused(401, "this token is not known")
        return Caller(str(record["name"]), Role(str(record["role"])))

    async def make(self, name: str, role: Role, by: Caller, now: int) -> str:
        """Return a new token. Raises StoreAway."""
        token = f"tocsin_{secrets.token_urlsafe(32)}"
        record = {"name": name, "role": role, "created_at": now, "created_by": by.name}
        async with self._turns.turn():
            await self._store.put_token(_sha256(token), record)
        return token


class LinkKey:
    """The key that signs the answer links, asked of the store once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key = ""

    async def get(self) -> str:
        """Return the key. Raises StoreAway."""
        if not self._key:
            self._key = await self._store.signing_key()
        return self._key


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
