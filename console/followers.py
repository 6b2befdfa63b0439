"""Who follows live: counted, limited, and let go when the console stops."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from console.problems import Refused


class Followers:
    """The open event streams of this console."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self.is_closing = False

    def __len__(self) -> int:
        return self._count

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place. Raises Refused (503) when there is none, or when the console stops."""
        if self.is_closing or self._count >= self._most:
            raise Refused(503, "too many follow live; ask again later")
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
