"""Whether the store keeps what it has answered: the checks at start, and the cure of one server fault.

Owns the list of settings a paging store must have and what each costs when it is wrong; `tocsin doctor` and every
role's start show the same findings. Does not decide what follows: a role refuses to start on a fatal finding, and shows
a warning. `heal_truncated_log` is called after the checks and before the first write that is answered for.

Managed services forbid CONFIG: INFO still tells most of it, and the rest becomes a warning.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final, Literal

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

REDIS_MIN: Final = (7, 0)
"""Scripts that begin with `#!lua` exist from here on."""
VALKEY_TRUNCATION_FIXED: Final = (9, 1, 2)
"""Seen to keep later writes after a log was cut inside a script's block; https://github.com/valkey-io/valkey/pull/4342
(August 2026). Rewriting the log of an older but patched server is harmless."""
HEAL_LIMIT_S: Final = 600.0
HEAL_POLL_S: Final = 0.05

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked; `consequence` and `remedy` say what a wrong one costs and how to put it right."""

    name: str
    ok: bool
    severity: Literal["fatal", "warning"]
    what: str
    consequence: str
    remedy: str


class LogNotHealed(Exception):
    """The log could not be rewritten: writes answered from now on might be gone after the next restart."""


@dataclass(frozen=True, slots=True)
class _Server:
    """The server's name and version, and what it says about itself."""

    name: str
    version: tuple[int, ...]
    info: dict[str, Any]

    @property
    def title(self) -> str:
        return f"{self.name} {'.'.join(map(str, self.version))}"

    @property
    def forgets_after_truncation(self) -> bool:
        return self.name != "valkey" or self.version < VALKEY_TRUNCATION_FIXED


async def check_durability(client: Redis) -> list[Finding]:
    """Every check with its result, good ones included. Raises redis errors when the store cannot be reached."""
    server = await _ask(client)
    config, forbidden = await _ask_config(client)
    aof = config.get("appendonly") or {1: "yes", 0: "no"}.get(server.info.get("aof_enabled", -1), "unknown")
    policy = config.get("maxmemory-policy", str(server.info.get("maxmemory_policy", "unknown")))
    findings = [
        Finding(
            name="appendonly",
            ok=aof == "yes",
            severity="warning" if aof == "unknown" else "fatal",
            what=f"appendonly is {aof}",
            consequence="every incident and every pending page is lost when the store restarts",
            remedy="set appendonly yes in the store's configuration",
        ),
        _fsync_finding(config.get("appendfsync"), forbidden),
        Finding(
            name="maxmemory-policy",
            ok=policy == "noeviction",
            severity="warning" if policy == "unknown" else "fatal",
            what=f"maxmemory-policy is {policy}",
            consequence="a full store silently throws incidents and timers away",
            remedy="set maxmemory-policy noeviction",
        ),
    ]
    return [*findings, *_state_findings(server)]


def _fsync_finding(fsync: str | None, forbidden: str) -> Finding:
    known = fsync is not None
    return Finding(
        name="appendfsync",
        ok=fsync == "always",
        severity="fatal" if known else "warning",
        what=f"appendfsync is {fsync}" if known else f"appendfsync cannot be read: {forbidden}",
        consequence="alerts and acknowledgements that were answered can be lost with the power, or with the server",
        remedy="set appendfsync always" if known else "allow CONFIG GET for this user, or have the provider confirm fsync always",
    )


def _state_findings(server: _Server) -> list[Finding]:
    write_status = str(server.info.get("aof_last_write_status", "unknown"))
    maxmemory = int(server.info.get("maxmemory", 0))
    return [
        Finding(
            name="maxmemory",
            ok=maxmemory > 0,
            severity="warning",
            what=f"maxmemory is {maxmemory or 'not set'}",
            consequence="a storm can use up the machine's memory until the kernel ends the store",
            remedy="set maxmemory to at most half of the machine's memory",
        ),
        Finding(
            name="aof_last_write_status",
            ok=write_status == "ok",
            severity="fatal",
            what=f"the last write to the append-only log: {write_status}",
            consequence="the store accepts no writes, or forgets them",
            remedy="make room on the store's disk and look at its log",
        ),
        Finding(
            name="version",
            ok=server.name == "valkey" or server.version >= REDIS_MIN,
            severity="fatal",
            what=f"the store is {server.title}",
            consequence="it cannot run the scripts that change incidents all or nothing",
            remedy="use Valkey 8 or later, or Redis 7.0 or later",
        ),
        Finding(
            name="truncated-log",
            ok=not server.forgets_after_truncation,
            severity="warning",
            what=f"{server.title} may go on writing behind a log that was cut off by a power failure",
            consequence="without the rewrite at the start, such writes are gone after the next restart",
            remedy=f"none needed while the log is rewritten at each start; or use Valkey "
            f"{'.'.join(map(str, VALKEY_TRUNCATION_FIXED))} or later",
        ),
    ]


async def heal_truncated_log(client: Redis, *, limit_s: float = HEAL_LIMIT_S) -> bool:
    """Have the log rewritten once in the life of a server that might lose writes behind a cut-off transaction.

    Return when that rewrite has finished (any rewrite since the server's start counts, whoever asked for it); True when
    this server needed one. Raises LogNotHealed when it failed or took longer than `limit_s`.
    """
    server = await _ask(client)
    if not server.forgets_after_truncation or server.info.get("aof_enabled") != 1:
        return False
    try:
        async with asyncio.timeout(limit_s):
            await _rewrite_once(client, server)
    except TimeoutError as error:
        raise LogNotHealed(f"the rewrite of the log had not finished after {limit_s:g} s") from error
    return True


async def _rewrite_once(client: Redis, server: _Server) -> None:
    info = server.info
    asked = False
    while not _rewritten(info):
        if not _rewriting(info):
            if asked:
                raise LogNotHealed(f"the rewrite of the log failed: {info.get('aof_last_bgrewrite_status')}")
            asked = True
            log.info("store_log_rewrite_started", server=server.title, run_id=info.get("run_id"))
            try:
                await client.bgrewriteaof()
            except ResponseError as error:
                if "already in progress" not in str(error):
                    raise LogNotHealed(f"the server refused to rewrite its log: {error}") from error
        await asyncio.sleep(HEAL_POLL_S)
        info = (await _ask(client)).info
        if info.get("run_id") != server.info.get("run_id"):
            raise LogNotHealed("the server restarted while its log was rewritten")
    log.info("store_log_rewritten", server=server.title, run_id=info.get("run_id"))


def _rewriting(info: dict[str, Any]) -> bool:
    return bool(info.get("aof_rewrite_in_progress") or info.get("aof_rewrite_scheduled"))


def _rewritten(info: dict[str, Any]) -> bool:
    """Whether a rewrite has succeeded since the server's start: the counter begins anew with every run id."""
    rewrites, status = info.get("aof_rewrites", 0), info.get("aof_last_bgrewrite_status")
    return rewrites > 0 and status == "ok" and not _rewriting(info)


async def _ask(client: Redis) -> _Server:
    info: dict[str, Any] = {}
    for section in ("server", "persistence", "memory"):
        info |= await client.info(section)
    name = str(info.get("server_name", "valkey" if "valkey_version" in info else "redis"))
    version = str(info.get(f"{name}_version", info.get("redis_version", "0")))
    return _Server(name, tuple(int(part) for part in version.split(".") if part.isdigit()), info)


async def _ask_config(client: Redis) -> tuple[dict[str, str], str]:
    """What CONFIG GET tells, and why it told nothing."""
    config: dict[str, str] = {}
    for name in ("appendonly", "appendfsync", "maxmemory-policy"):
        try:
            answer = await client.config_get(name)
            config |= {str(key): str(value) for key, value in answer.items()}
        except ResponseError as error:
            return {}, str(error)
    return config, "the server does not say"
