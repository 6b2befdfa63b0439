"""The order in which messages go over one account: the gravest first, then fairly between services, then the oldest.

Between services of one severity it goes round: the one that was served longest ago is next, so that a noisy service delays another by one
message and not by all of its own. Pure; no clock.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping
from heapq import heapify, heappop, heappush, heapreplace
from typing import NamedTuple


class Place(NamedTuple):
    """Where a message stands: urgency (1 goes first), service, since when it is due (ms UTC), and the address it goes to."""

    urgency: int
    service: str
    due_at: int
    address: str


class FairLine:
    """Messages that wait, each at one place.

    For each urgency there are the services' messages in order, and a heap of (turn, first message, service) that says who is next. An entry
    of the heap may be old; it is then too early, never too late, and put right when it comes up.
    """

    def __init__(self) -> None:
        self._lines: dict[int, dict[str, list[tuple[int, str]]]] = {}
        self._heaps: dict[int, list[tuple[int, tuple[int, str], str]]] = {}
        self._counts: dict[int, int] = {}

    def __len__(self) -> int:
        return sum(self._counts.values())

    def __contains__(self, place: Place) -> bool:
        line = self._lines.get(place.urgency, {}).get(place.service, [])
        index = bisect_left(line, place[2:])
        return index < len(line) and line[index] == place[2:]

    def add(self, place: Place) -> None:
        """Stand at a place; once, however often it is said."""
        if place in self:
            return
        urgency, service, message = place.urgency, place.service, place[2:]
        line = self._lines.setdefault(urgency, {}).setdefault(service, [])
        insort(line, message)
        self._counts[urgency] = self._counts.get(urgency, 0) + 1
        if line[0] == message:
            heappush(self._heaps.setdefault(urgency, []), (0, message, service))

    def discard(self, place: Place) -> None:
        """Leave a place, if it is taken."""
        if place not in self:
            return
        services = self._lines[place.urgency]
        line = services[place.service]
        del line[bisect_left(line, place[2:])]
        self._counts[place.urgency] -= 1
        if not line:
            del services[place.service]
        if not services:
            del self._lines[place.urgency], self._counts[place.urgency], self._heaps[place.urgency]

    def first(self, served: Mapping[str, int]) -> Place | None:
        """Return who is next; `served` counts up when a service is served, so that the smallest was served longest ago."""
        if not self._lines:
            return None
        urgency = min(self._lines)
        services, heap = self._lines[urgency], self._heaps[urgency]
        while True:
            turn, message, service = heap[0]
            line = services.get(service)
            now = None if line is None else (served.get(service, 0), line[0], service)
            if now is None or now < (turn, message, service):
                heappop(heap)  # nobody there any more, or a newer entry says it
            elif now == (turn, message, service):
                return Place(urgency, service, *message)
            else:
                heapreplace(heap, now)

    def ranks(self, served: Mapping[str, int]) -> dict[Place, int]:
        """Return how many go before each, if nobody else comes."""
        found: dict[Place, int] = {}
        turns = max(served.values(), default=0)
        turn_of = dict(served)
        for urgency in sorted(self._lines):
            services = self._lines[urgency]
            waiting = [(turn_of.get(name, 0), line[0], name, 0) for name, line in services.items()]
            heapify(waiting)
            while waiting:
                _, message, name, index = waiting[0]
                found[Place(urgency, name, *message)] = len(found)
                turns += 1
                turn_of[name] = turns
                if index + 1 < len(services[name]):
                    heapreplace(waiting, (turns, services[name][index + 1], name, index + 1))
                else:
                    heappop(waiting)
        return found
