"""Calendar feeds as they were last made: programs of a whole company ask every few minutes, and the answer changes once a day.

A feed is kept under everything that it is made of; what nobody asked for lately goes first. One is made at a time, so a crowd of programs
costs the console one thread.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

KEPT_MAX: Final = 200


class FeedCache:
    """The newest feeds."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._making = asyncio.Lock()

    async def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """Return the feed of a key, made in a thread unless it is kept."""
        async with self._making:
            found = self._kept.pop(key, None)
            if found is None:
                found = await asyncio.to_thread(make)
            self._kept[key] = found
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
            return found
