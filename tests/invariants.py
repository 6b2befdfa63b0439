"""What must always hold of a store, whoever wrote it: read with plain commands, compared with what the incidents say.

`broken(store)` is the oracle of every store and service test: an empty list is a healthy store. `keyspace` is everything there is, byte for
byte, to show that a refused write wrote nothing.
"""

from __future__ import annotations

from hashlib import sha1

import orjson

from tocsin.policy.ladder import agenda
from tocsin.policy.model import Incident, PageStatus, State
from tocsin.policy.rules import shard_of_number
from tocsin.store.codec import IncidentReader
from tocsin.store.store import Store
from tocsin.store.wire import Answer, Argument

HISTORY_MAX = 100_000


async def ask(store: Store, name: str, *arguments: Argument) -> Answer:
    """Send one command past everything that is ours."""
    return await store.client.execute_command(name.encode(), *arguments)  # type: ignore[no-untyped-call]


async def keyspace(store: Store) -> dict[str, str]:
    """Return every key with a digest of all that it holds, whatever the order in which the server keeps it."""
    found = {}
    for name in await ask(store, "KEYS", "*"):
        match await ask(store, "TYPE", name):
            case b"hash":
                pairs = await ask(store, "HGETALL", name)
                value: object = sorted(zip(pairs[::2], pairs[1::2], strict=True))
            case b"zset":
                value = await ask(store, "ZRANGE", name, 0, -1, "WITHSCORES")
            case b"stream":
                value = await ask(store, "XRANGE", name, "-", "+")
            case kind:
                assert kind == b"string", kind
                value = await ask(store, "GET", name)
        found[name.decode()] = sha1(repr(value).encode(), usedforsecurity=False).hexdigest()
    return found


async def scores(store: Store, key: str) -> dict[str, int]:
    """Return the members of a sorted set with their scores."""
    answer = await ask(store, "ZRANGE", key, 0, -1, "WITHSCORES")
    return {member.decode(): int(float(score)) for member, score in zip(answer[::2], answer[1::2], strict=True)}


async def fields(store: Store, key: str) -> dict[str, str]:
    """Return a hash."""
    answer = await ask(store, "HGETALL", key)
    return {name.decode(): value.decode() for name, value in zip(answer[::2], answer[1::2], strict=True)}


async def all_incidents(store: Store) -> dict[int, Incident]:
    """Return every incident of the store, by number."""
    return {i.number: i for shard in range(store.shards) async for batch in store.scan_incidents(shard) for i in batch}


async def broken(store: Store) -> list[str]:
    """Return what does not hold, in words; empty when all is well."""
    incidents = await all_incidents(store)
    found = [f"group {g} has {n} live incidents" for g, n in _live_per_group(incidents).items() if n > 1]
    for shard in range(store.shards):
        own = {n: i for n, i in incidents.items() if shard_of_number(n, store.shards) == shard}
        found += await _broken_work(store, shard, own) + await broken_history(store, shard, own)
        versions = await store.versions(shard)
        if versions != {n: i.version for n, i in own.items()}:
            found.append(f"shard {shard}: versions {versions}")
        _, seq = await store.cursor_and_seq(shard)
        if any((n - 1) // store.shards >= seq for n in own):
            found.append(f"shard {shard}: a number beyond the last one given")
        groups = await store.groups(shard)
        for group, number in groups.items():
            if number not in own or own[number].state is State.CLOSED or own[number].group_key != group:
                found.append(f"shard {shard}: group {group} is held by {number}")
        for incident in own.values():
            if incident.is_live and groups.get(incident.group_key) != incident.number:
                found.append(f"{incident.id} is live and does not hold its group")
    return found


def _live_per_group(incidents: dict[int, Incident]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for incident in incidents.values():
        if incident.is_live:
            counts[incident.group_key] = counts.get(incident.group_key, 0) + 1
    return counts


async def _broken_work(store: Store, shard: int, own: dict[int, Incident]) -> list[str]:
    """Timers and outbox hold what the incidents say; only what is claimed has another score."""
    at = store.at[shard]
    claims = await fields(store, at.claims)
    found = []
    wanted_timers = {str(n): i.due_at for n, i in own.items() if i.due_at is not None}
    wanted_pages = {p.id: p.due_at for i in own.values() for p in i.pages if p.status is PageStatus.PENDING}
    for what, key, wanted in (("timer", at.timers, wanted_timers), ("page", at.outbox, wanted_pages)):
        there = await scores(store, key)
        found += [f"shard {shard}: {what} {member} is missing" for member in wanted if member not in there]
        found += [f"shard {shard}: {what} {member} should not be there" for member in there if member not in wanted]
        for member, due_at in wanted.items():
            score = int(claims[member]) if member in claims else there.get(member)
            if member in there and score != due_at:
                found.append(f"shard {shard}: {what} {member} is due at {score}, not {due_at}")
    found += [
        f"shard {shard}: {member} is claimed and nobody waits for it" for member in claims if member not in wanted_timers | wanted_pages
    ]
    begun = await fields(store, at.begun)
    found += [f"shard {shard}: attempts of {page} are counted and nobody waits for it" for page in begun if page not in wanted_pages]
    for incident in own.values():
        planned = agenda(incident)
        if incident.due_at != (None if planned is None else planned[0]):
            found.append(f"{incident.id} is due at {incident.due_at}, not {planned}")
        if incident.state is State.OPEN and incident.severity < 4 and incident.suppressed is None and incident.due_at is None:
            found.append(f"{incident.id} is open and waits for nothing")
    return found


async def broken_history(store: Store, shard: int, own: dict[int, Incident]) -> list[str]:
    """Follow the hash chain, and replay every incident."""
    tip = b""
    entries: dict[int, list[dict[str, object]]] = {}
    found = []
    for entry_id, payload, digest in await store.read_history(shard, "0-0", HISTORY_MAX):
        if sha1(tip + payload, usedforsecurity=False).hexdigest().encode() != digest:
            found.append(f"shard {shard}: history entry {entry_id} is not what was written")
        tip = digest
        entry = orjson.loads(payload)
        entries.setdefault(entry["incident"], []).append(entry)
    if tip.decode() != (await fields(store, store.at[shard].meta)).get("tip", ""):
        found.append(f"shard {shard}: the history does not end at its tip")
    for number, told in entries.items():
        if [entry["version"] for entry in told] != list(range(1, len(told) + 1)):
            found.append(f"INC-{number}: versions {[entry['version'] for entry in told]}")
        elif number not in own or IncidentReader().replay(told) != own[number]:
            found.append(f"INC-{number} is not what its history adds up to")
    found += [f"INC-{number} has no history" for number in own if number not in entries]
    return found
