"""Calls that come while one like them is under way are made together as the next one: one write to the store for many pages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tocsin.store.store import Fenced
from tocsin.store.wire import StoreAway

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class _Batch(Generic[T, R]):
    items: list[T] = field(default_factory=list)
    answers: list[R] = field(default_factory=list)
    error: Exception | None = None
    is_done: bool = False


class Gather(Generic[T, R]):
    """`call` takes items and returns an answer for each; it is never under way twice. `items_max` in one call."""

    def __init__(self, call: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, items_max: int) -> None:
        self._call = call
        self._items_max = items_max
        self._lock = asyncio.Lock()
        self._next: _Batch[T, R] = _Batch()

    async def __call__(self, items: Sequence[T]) -> list[R]:
        """Return the answers for these items. Raises what the call raised that held any of them."""
        if self._next.items and len(self._next.items) + len(items) > self._items_max:
            self._next = _Batch()
        batch = self._next
        first = len(batch.items)
        batch.items += items
        async with self._lock:
            if not batch.is_done:
                if batch is self._next:
                    self._next = _Batch()
                await self._make(batch)
        if batch.error is not None:
            raise batch.error
        return batch.answers[first : first + len(items)]

    async def _make(self, batch: _Batch[T, R]) -> None:
        try:
            batch.answers += await self._call(batch.items)
        except (StoreAway, Fenced) as error:  # each caller of the batch is told; anything else is a fault, and raised where it happens
            batch.error = error
        batch.is_done = True
