"""How much goes in a time: sliding windows, one for each account and each contact that has a limit.

A window remembers the instants of its last sends, as many as its limit counts, so that no span of the limit's length ever holds more. Owns
the windows and what of them outlives a notifier (docs/decisions/0020): long ones are written to the store once a second, short ones count
as used up at the start. What happens to a page that a window does not let pass is said in `accountqueue.py`.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping

import orjson

from tocsin.policy.accounts import Limit
from tocsin.policy.durations import format_duration

SHORT_MS = 10_000
"""Windows up to this long are not written down: after a restart they count as used up, which costs at most this."""

NOTED_PARTS = 60
"""A window is written as this many parts of its length, each dated at its latest send: never too early."""

IDLE_WINDOWS_MAX = 20_000
"""Windows kept in memory; beyond it those that hold nothing any more are forgotten."""

_UNITS = {1_000: "second", 60_000: "minute", 3_600_000: "hour"}


def in_words(limit: Limit) -> str:
    """Return a limit as the history says it: `10 a second`, `5 in 15m`."""
    unit = _UNITS.get(limit.per_ms)
    return f"{limit.count} {'an' if unit == 'hour' else 'a'} {unit}" if unit else f"{limit.count} in {format_duration(limit.per_ms)}"


class Window:
    """At most `limit.count` sends in any `limit.per_ms`. All instants in ms UTC."""

    __slots__ = ("_sent", "changed", "limit")

    def __init__(self, limit: Limit, sent: Iterable[int] = ()) -> None:
        self.limit = limit
        self.changed = False
        self._sent: deque[int] = deque(sorted(sent), maxlen=limit.count)

    @property
    def last_at(self) -> int | None:
        """When the last send was."""
        return self._sent[-1] if self._sent else None

    def free_at(self, now: int, ahead: int = 0) -> int:
        """Return when a send may begin that has `ahead` others before it."""
        rounds, place = divmod(ahead, self.limit.count)
        earlier = len(self._sent) - self.limit.count + place
        at = self._sent[earlier] + self.limit.per_ms if earlier >= 0 else now
        return max(now, at) + rounds * self.limit.per_ms

    def take(self, now: int) -> None:
        """A send begins."""
        self._sent.append(now)
        self.changed = True

    def give_back(self, at: int) -> None:
        """The send that began at `at` did not take place."""
        if at in self._sent:
            self._sent.remove(at)
            self.changed = True

    def under(self, limit: Limit) -> Window:
        """Return the window for a changed limit."""
        return self if limit == self.limit else Window(limit, self._sent)

    def is_empty(self, now: int) -> bool:
        """Whether it lets everything pass that its limit counts."""
        return not self._sent or self._sent[-1] + self.limit.per_ms <= now

    def note(self, now: int) -> bytes:
        """Return what is kept of it: [[instant, sends], ...]."""
        part_ms = max(1, self.limit.per_ms // NOTED_PARTS)
        parts: dict[int, list[int]] = {}
        for at in self._sent:
            if at + self.limit.per_ms > now:
                part = parts.setdefault(at // part_ms, [at, 0])
                part[0], part[1] = at, part[1] + 1
        return orjson.dumps(list(parts.values()))


class Windows:
    """Every window of one notifier, by the name of its account or contact.

    `remembered` is what the last notifier wrote; names are hashed there, since addresses are secrets.
    """

    def __init__(self, started_at: int, remembered: Mapping[str, bytes]) -> None:
        self._started_at = started_at
        self._remembered = dict(remembered)
        self._windows: dict[str, Window] = {}
        self._noted: set[str] = set()

    def of(self, name: str, limit: Limit, *, outlives: bool = True) -> Window:
        """Return the window of a name under its present limit. `outlives`: whether a restart must know of it."""
        found = self._windows.get(name)
        if found is None:
            found = Window(limit, self._before_start(name, limit) if outlives else ())
        window = self._windows[name] = found.under(limit)
        if outlives and limit.per_ms > SHORT_MS:
            self._noted.add(name)
        return window

    def notes(self, now: int) -> dict[str, bytes]:
        """Return what has changed since the last call, by hashed name; empty bytes for a window that holds nothing any more."""
        found = {_hashed(name): self._windows[name].note(now) for name in self._noted if self._windows[name].changed}
        for name in self._noted:
            self._windows[name].changed = False
        gone = [key for key, note in self._remembered.items() if not _instants(note)]
        for name in [name for name in self._noted if self._windows[name].is_empty(now)]:
            self._noted.discard(name)
            gone.append(_hashed(name))
        for key in gone:
            self._remembered.pop(key, None)
        if len(self._windows) > IDLE_WINDOWS_MAX:
            self._windows = {name: window for name, window in self._windows.items() if not window.is_empty(now)}
        return found | dict.fromkeys(gone, b"")

    def _before_start(self, name: str, limit: Limit) -> Iterable[int]:
        if limit.per_ms <= SHORT_MS:
            return [self._started_at] * limit.count
        return _instants(self._remembered.get(_hashed(name), b""))


def _instants(note: bytes) -> list[int]:
    """Read a note; one that cannot be read is none."""
    try:
        parts = orjson.loads(note) if note else []
        return [int(at) for at, count in parts for _ in range(int(count))]
    except (ValueError, TypeError):
        return []


def _hashed(name: str) -> str:
    return hashlib.sha256(name.encode(errors="replace")).hexdigest()[:24]
