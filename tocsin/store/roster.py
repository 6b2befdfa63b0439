"""The roster in the store: what people have changed about who is on call, its versions and its history.

One small document for all, changed by compare-and-set; the same script appends to the history, whose entries are chained by hash, and
rings the bell. Owns the document's bytes. What a change means is in `tocsin/policy/rosterchange.py`, who may make it in the console.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha1
from typing import Final

import orjson
from pydantic import TypeAdapter

from tocsin.policy.roster import Roster
from tocsin.policy.rosterchange import RosterChange, changed
from tocsin.store import keys
from tocsin.store.wire import Script, Wire

VERSION: Final = 1
"""Of the document's shape; another one is not read."""

HISTORY_READ_MAX: Final = 500
"""History entries that are read at once."""

_ROSTER: Final = TypeAdapter(Roster)
_CHANGE: Final = TypeAdapter(RosterChange)


class UnknownRoster(ValueError):
    """The roster was written by another version of Tocsin."""


@dataclass(frozen=True, slots=True)
class RosterEntry:
    """One entry of the history: the change, the version that it made, and whether its hash continues the entry before."""

    id: str
    version: int
    change: RosterChange
    digest: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice that was made: what it said in short, to whom, how often it was made anew, and until when (ms UTC) it matters."""

    said: str
    told: tuple[str, ...]
    forget_at: int
    times: int = 0


_NOTICE: Final = TypeAdapter(Notice)


class RosterBook:
    """Reads and changes the roster."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._change = Script("change_roster")

    async def load(self) -> Roster:
        """Return the present roster, an empty one of version 0 when nobody has changed anything. Raises StoreAway, UnknownRoster."""
        version, document = await self._wire.call("HMGET", keys.ROSTER, "version", "document")
        if document is None:
            return Roster()
        shape, _, body = document.partition(b" ")
        if shape != b"%d" % VERSION:
            raise UnknownRoster(shape[:16].decode(errors="replace"))
        roster = _ROSTER.validate_json(body)
        assert roster.version == int(version), f"roster {roster.version} under version {int(version)}"
        return roster

    async def change(self, seen: Roster, change: RosterChange) -> Roster | None:
        """Write what a change makes of the roster that was seen; None when another change was faster. Raises RosterFull, StoreAway."""
        after = changed(seen, change)
        document = b"%d %b" % (VERSION, _ROSTER.dump_json(after))
        payload = orjson.dumps({"version": after.version, "change": _CHANGE.dump_python(change, mode="json")})
        names = [keys.ROSTER, keys.ROSTER_HISTORY]
        answer = await self._wire.run(self._change, names, [seen.version, document, payload, keys.CHANGES])
        return after if int(answer) else None

    async def history(self, most: int, *, before: str = "+") -> list[RosterEntry]:
        """Return up to `most` entries, the newest first, older than the entry `before` (its id)."""
        end = before if before == "+" else f"({before}"
        found = await self._wire.call("XREVRANGE", keys.ROSTER_HISTORY, end, "-", "COUNT", min(most, HISTORY_READ_MAX))
        return [_entry(entry_id.decode(), fields[1], fields[3].decode()) for entry_id, fields in found]

    async def broken_links(self) -> list[str]:
        """Return the ids of entries whose hash does not continue the one before: somebody has written past the script."""
        tip, after, broken = "", "-", list[str]()
        while found := await self._wire.call("XRANGE", keys.ROSTER_HISTORY, after, "+", "COUNT", HISTORY_READ_MAX):
            for entry_id, fields in found:
                wanted = sha1(tip.encode() + fields[1], usedforsecurity=False).hexdigest()
                if fields[3].decode() != wanted:
                    broken.append(entry_id.decode())
                tip = fields[3].decode()
            after = f"({found[-1][0].decode()}"
        return broken

    # --- what people were told ------------------------------------------------------------------------------------------------------

    async def notices(self) -> dict[str, Notice]:
        """Return every notice that is remembered, by its name: those of hand-overs and gaps near the present, so few."""
        found = await self._wire.call("HGETALL", keys.NOTICES)
        pairs = zip(found[::2], found[1::2], strict=True)
        return {name.decode(): _NOTICE.validate_json(value) for name, value in pairs}

    async def remember(self, name: str, notice: Notice) -> None:
        """Remember that a notice was made."""
        await self._wire.call("HSET", keys.NOTICES, name, _NOTICE.dump_json(notice))

    async def forget(self, names: Sequence[str]) -> None:
        """Forget notices whose time has come."""
        if names:
            await self._wire.call("HDEL", keys.NOTICES, *names)

    # --- calendar feeds -------------------------------------------------------------------------------------------------------------

    async def feed_generation(self, subject: str) -> int:
        """Return the generation whose address of a calendar feed is valid, from 0."""
        return int(await self._wire.call("HGET", keys.FEEDS, subject) or 0)

    async def rotate_feed(self, subject: str) -> int:
        """Make every address of a calendar feed that was given out invalid; return the new generation."""
        return int(await self._wire.call("HINCRBY", keys.FEEDS, subject, 1))


def _entry(entry_id: str, payload: bytes, digest: str) -> RosterEntry:
    found = orjson.loads(payload)
    return RosterEntry(entry_id, found["version"], _CHANGE.validate_python(found["change"]), digest)
