"""Server-sent events: every change of every incident, in the order in which this console heard of it.

An event's id is `<generation>-<id>`: with it as Last-Event-ID a client goes on where it stopped. When the read model was built anew, or too
much happened meanwhile, it gets one event named `reset` and must fetch its lists again.

A follower pulls: it holds one batch at a time, whatever happens meanwhile, and is let go when it does not take it in time.
"""

from __future__ import annotations

import re
from typing import Final

from aiohttp_sse import EventSourceResponse

from console.openapi import Call, Reply
from console.reading import Reading
from console.views import change_event

HEARTBEAT_S: Final = 15.0
LOOK_EVERY_S: Final = 5.0
SEND_S: Final = 10.0
"""A follower that takes nothing for so long is let go; it comes back with Last-Event-ID."""

BATCH_MAX: Final = 100
BEHIND_MAX: Final = 10_000
"""A follower that comes back further behind than this starts anew."""

RETRY_MS: Final = 2_000


async def follow(call: Call) -> Reply:
    """Send changes until either side goes away."""
    reading, followers = call.desk.reading, call.desk.followers
    with followers.place():
        await reading.catch_up()
        last, is_new_start = await _start(reading, call.request.headers.get("Last-Event-ID"))
        stream = EventSourceResponse(ping_interval=HEARTBEAT_S, send_timeout=SEND_S, sep="\n")
        await stream.prepare(call.request)
        try:
            async with stream:
                await _greet(stream, f"{reading.model.generation}-{last}", is_new_start)
                await _send_changes(stream, call, last)
        except (ConnectionResetError, TimeoutError):
            call.desk.deps.log.debug("follower_left")
    return stream


async def _greet(stream: EventSourceResponse, event_id: str, is_new_start: bool) -> None:
    """Tell the client where it stands, so that it misses nothing even if it is cut off before the first change."""
    if is_new_start:
        await stream.send("{}", id=event_id, event="reset", retry=RETRY_MS)
    else:
        await stream.write(f"id: {event_id}\nretry: {RETRY_MS}\n\n".encode())


async def _start(reading: Reading, last_event_id: str | None) -> tuple[int, bool]:
    """Return the change behind which to begin, and whether the client must fetch its lists again."""
    newest = await reading.last_change()
    if last_event_id is None:
        return newest, False
    found = re.fullmatch(r"([0-9a-f]{8})-([0-9]{1,15})", last_event_id)
    if found is None or found[1] != reading.model.generation or not newest - BEHIND_MAX <= int(found[2]) <= newest:
        return newest, True
    return int(found[2]), False


async def _send_changes(stream: EventSourceResponse, call: Call, last: int) -> None:
    reading, followers = call.desk.reading, call.desk.followers
    generation = reading.model.generation
    while not followers.is_closing and call.request.transport is not None and stream.is_connected():
        news = reading.news()
        changes = await reading.changes_after(last, BATCH_MAX)
        if reading.model.generation != generation:
            return  # built anew: the client comes back and is told to start anew
        for change in changes:
            await stream.send(change_event(change).model_dump_json(), id=f"{generation}-{change.id}")
            last = change.id
        if not changes:
            await call.desk.clock.wait(LOOK_EVERY_S, news)  # now and then it is seen whether the client is still there
