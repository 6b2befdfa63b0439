"""Planted bugs: each a small change of the source that somebody might make, and who must find it.

Every mutant names a file, what stands there and what would stand there instead; text that is not there (any more) is an error, so that a
moved line is noticed. Hunters: the system simulation or the policy simulation within so many seeds, or one named test. How they are run is
in `mutants_run.py`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class System:
    """The system simulation, seeds from 0."""

    seeds_max: int


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy simulation, seeds from 0."""

    seeds_max: int


@dataclass(frozen=True, slots=True)
class Named:
    """One test."""

    test: str


Hunter = System | Policy | Named


@dataclass(frozen=True, slots=True)
class Mutant:
    """`changes` are (text that is there once, text in its place)."""

    name: str
    file: str
    changes: tuple[tuple[str, str], ...]
    hunter: Hunter


COMMIT, BEGIN, CLAIM, TAKE_OVER = (f"tocsin/store/scripts/{name}.lua" for name in ("commit", "begin", "claim", "take_over"))
INCIDENT, LADDER, DELIVERY = (f"tocsin/policy/{name}.py" for name in ("incident", "ladder", "delivery"))
CORRELATOR, SENDING, LANES = "correlator/service.py", "notifier/sending.py", "notifier/lanes.py"


def _one(name: str, file: str, there: str, instead: str, hunter: Hunter) -> Mutant:
    return Mutant(name, file, ((there, instead),), hunter)


MUTANTS: tuple[Mutant, ...] = (
    # --- the store --------------------------------------------------------------------------------------------------------------------
    _one("a commit under an old fence is taken", COMMIT, "if ARGV[1] ~= '' and meta[5] ~= ARGV[2] then", "if false then", System(40)),
    _one("a claim under an old fence is taken", CLAIM, "if holder ~= ARGV[2] then", "if false then", System(40)),
    _one(
        "begin does not ask whether the page is still wanted",
        BEGIN,
        "if score and tonumber(score) == tonumber(ARGV[3]) then",
        "if true then",
        System(20),
    ),
    _one("versions are not compared", COMMIT, "if versions[j] ~= ARGV[expected + i + j - 1] then", "if false then", System(20)),
    _one("the cursor is not compared", COMMIT, "if ARGV[4] ~= '' and (meta[1] or '0-0') ~= ARGV[4] then", "if false then", System(40)),
    _one("a number is used twice", COMMIT, "redis.call('HSET', KEYS[1], 'seq', ARGV[8])", "local _ = ARGV[8]", System(5)),
    _one("an ended timer stays", COMMIT, "wide('ZREM', KEYS[4], first, n)", "local _ = n", System(5)),
    _one("a withdrawn page stays in the outbox", COMMIT, "wide('ZREM', KEYS[5], first, n)", "local _ = n", System(5)),
    _one("a claim has no lease", CLAIM, "redis.call('ZADD', KEYS[1], ARGV[4], due[i])", "local _ = ARGV[4]", System(5)),
    _one(
        "a successor forgets what was claimed",
        TAKE_OVER,
        "redis.call('ZADD', set, 'XX', claims[i + 1], claims[i])",
        "local _ = set",
        System(40),
    ),
    _one(
        "everysec is good enough",
        "tocsin/store/durability.py",
        'ok=fsync == "always",',
        'ok=fsync in ("always", "everysec"),',
        Named("tests/store/test_durability.py"),
    ),
    Mutant(
        "a history entry is missing",
        "tocsin/store/commit.py",
        (
            (
                "[codec.history_payload(decision) for decision in commit.decisions],",
                "[codec.history_payload(d) for d in commit.decisions[:1]],",
            ),
        ),
        System(20),
    ),
    # --- ingest and correlator --------------------------------------------------------------------------------------------------------
    _one("2xx before the write", "ingest/intake.py", "        await written\n", "        await asyncio.sleep(0)\n", System(40)),
    _one(
        "the cursor moves before its effects",
        CORRELATOR,
        "            result = await self._store.commit(commit)\n        except StoreAway:",
        "            if cursor is not None:\n"
        "                await self._store.commit(Commit(shard, now, [], self._holders[shard], cursor=cursor, origin=self._store.origin))\n"
        "            result = await self._store.commit(\n"
        "                Commit(\n"
        "                    shard, now, folded.decisions, self._holders[shard], folded.records, folded.replaces,\n"
        "                    None, folded.seq, origin=self._store.origin,\n"
        "                )\n"
        "            )\n"
        "        except StoreAway:",
        System(40),
    ),
    _one("news of another shard is dropped", CORRELATOR, "        if folded.foreign:\n", "        if not folded:\n", System(40)),
    _one(
        "what cannot be read is dropped",
        CORRELATOR,
        '            await self._store.set_aside("correlator", f"{type(error).__name__}: {error}", raw, now)\n',
        "            del raw\n",
        System(20),
    ),
    _one(
        "a lost answer is not looked into",
        CORRELATOR,
        "                self._lost = True\n                return True\n",
        "                return True\n",
        System(40),
    ),
    # --- notifier ---------------------------------------------------------------------------------------------------------------------
    _one(
        "a page is recorded as sent before it is",
        SENDING,
        "            name, outcome = await self._hand_over(address, message)\n",
        "            await self._record([(d.incident.number, PageSent(d.page.id)) for d in due], [])\n"
        "            name, outcome = await self._hand_over(address, message)\n",
        System(5),
    ),
    _one(
        "pages go out without begin",
        LANES,
        "            ready = await self._sender.begin(bundle)\n",
        "            ready = list(bundle)\n",
        System(5),
    ),
    Mutant(
        "a lost answer counts as not delivered",
        SENDING,
        (
            ("isinstance(outcome, Sent) or (isinstance(outcome, Unreachable) and outcome.ambiguous)", "isinstance(outcome, Sent)"),
            ("PageUnreachable(page.id, reason, ambiguous, round", "PageUnreachable(page.id, reason, False, round"),
        ),
        System(40),
    ),
    _one("copies without bound", LADDER, "AMBIGUOUS_MAX = 3\n", "AMBIGUOUS_MAX = 300\n", System(40)),
    _one(
        "the notifier oversleeps",
        "notifier/service.py",
        "return min(max(0.001, (due - now) / 1000), LONGEST_SLEEP_S)",
        "return 30.0",
        System(5),
    ),
    # --- the incident -----------------------------------------------------------------------------------------------------------------
    _one("time runs backwards", INCIDENT, "    now = max(now, incident.changed_at)\n", "", Named("tests/policy/test_incident.py")),
    _one(
        "an acknowledgement withdraws no page",
        INCIDENT,
        "owed_pages(incident, event.actor))\n    after = replace(\n        after,\n",
        "owed_pages(incident, event.actor))\n    after = replace(\n        incident,\n",
        System(20),
    ),
    _one(
        "a resolution withdraws no page",
        INCIDENT,
        '    after = ladder.cancel_pages(incident, now, "resolved")\n',
        "    after = incident\n",
        System(20),
    ),
    _one(
        "a page takes the id of an older one",
        LADDER,
        "return evolve(incident, steps=step + 1, pages=_in_place",
        "return evolve(incident, steps=step, pages=_in_place",
        System(5),
    ),
    _one("an acknowledgement has no end", LADDER, "        steps.append((until, Due.ACKNOWLEDGEMENT_END))\n", "", Policy(3)),
    _one(
        "a raise goes on from the old rung",
        INCIDENT,
        "        next_rung=0,\n        skip_roles=() if raised",
        "        next_rung=incident.next_rung,\n        skip_roles=() if raised",
        Policy(5),
    ),
    _one(
        "a reopening loses its owner",
        INCIDENT,
        "    if holder is not None and (incident.acknowledged_until or 0) > now",
        "    if holder is None and (incident.acknowledged_until or 0) > now",
        Named("tests/policy/test_flaps.py"),
    ),
    _one(
        "the last rung is not repeated",
        LADDER,
        "        steps.append((incident.last_rung_at + incident.plan.ladder.repeat_last_ms, Due.REPEAT))\n",
        "        pass\n",
        System(20),
    ),
    _one("the last resort is forgotten", LADDER, "wanted = last_resort | last_rung or", "wanted = last_rung or", Policy(5)),
    _one("a rung that is nobody's stops the ladder", LADDER, "        force = not found if roles else force\n", "", Policy(5)),
    _one(
        "nobody waits for a receipt",
        DELIVERY,
        "receipt_due_at=now + event.receipt_within_ms if awaited else None",
        "receipt_due_at=None",
        Named("tests/policy/test_delivery.py"),
    ),
    _one(
        "a rung counts from the last change",
        LADDER,
        "return max(incident.triggered_at + incident",
        "return max(incident.changed_at + incident",
        System(20),
    ),
    _one(
        "a rung is a minute early",
        LADDER,
        "return max(incident.triggered_at + incident.rungs[index].after_ms",
        "return max(incident.triggered_at + incident.rungs[index].after_ms - 60_000",
        System(20),
    ),
    # --- the calendar -----------------------------------------------------------------------------------------------------------------
    _one(
        "a shift begins a millisecond late",
        "tocsin/policy/rotation.py",
        "turn_begins(starts, every, turn, zone) > at:",
        "turn_begins(starts, every, turn, zone) >= at:",
        Named("tests/policy/test_oncall.py"),
    ),
    _one(
        "an override lasts for ever",
        "tocsin/policy/roster.py",
        "self._newest_first.get(schedule, ()) if each.from_at <= at < each.until_at)",
        "self._newest_first.get(schedule, ()) if each.from_at <= at)",
        System(40),
    ),
)
