"""The faults below a process: our small C library, compiled where there is a compiler, and the hand that steers it.

Owns the library (`shim.c`), its control file and what it has recorded. Knows nothing of Tocsin; whoever starts a process gives it
`environment()`, or starts `wrapped(binary)` where only a binary can be named.

    shim = Shim(library, directory)
    async with Product(data_dir, rules, environment=shim.environment()) as product:
        shim.set(sync_delay_ms=1_500)
"""

from __future__ import annotations

import shlex
import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("shim.c")
COMPILERS: Final = ("cc", "gcc", "clang")
COMPILE_LIMIT_S: Final = 60.0
CONTROL: Final = struct.Struct("qqq")
SYNCED: Final = struct.Struct("qq")
STORE_PROGRAM: Final = "valkey"


def compiler() -> str | None:
    """Where a C compiler is, if there is one."""
    return next(filter(None, map(shutil.which, COMPILERS)), None)


def compile_shim(directory: Path) -> Path:
    """The library, compiled into `directory`. Raises CalledProcessError with what the compiler said."""
    found = compiler()
    assert found is not None, "no C compiler"
    library = directory / "shim.so"
    command = [found, "-shared", "-fPIC", "-O1", "-Wall", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMPILE_LIMIT_S)
    return library


class Shim:
    """One set of faults: every process that was given its environment obeys it."""

    def __init__(self, library: Path, directory: Path) -> None:
        self._library = library
        self._control = directory / "fault-control"
        self._sync_log = directory / "fault-syncs"
        self._directory = directory
        self._values = {"sync_delay_ms": 0, "sync_errno": 0, "clock_shift_s": 0}
        self.set()

    def set(self, **values: int) -> None:
        """Change some of `sync_delay_ms`, `sync_errno` (the next sync fails with it, once) and `clock_shift_s`."""
        assert values.keys() <= self._values.keys(), values
        self._values |= values
        with self._control.open("r+b" if self._control.exists() else "w+b") as file:
            file.write(CONTROL.pack(*self._values.values()))
        self._values["sync_errno"] = 0

    def environment(self) -> Mapping[str, str]:
        """What a process must be started with."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAULT_CONTROL": str(self._control),
            "FAULT_SYNC_LOG": str(self._sync_log),
            "FAULT_PROGRAM": STORE_PROGRAM,
        }

    def wrapped(self, binary: Path) -> Path:
        """A program that becomes `binary` under the shim, with the same process number."""
        script = self._directory / "valkey-under-shim"
        words = " ".join(f"{name}={shlex.quote(value)}" for name, value in self.environment().items())
        script.write_text(f'#!/bin/sh\nexec env {words} {shlex.quote(str(binary))} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
        return script

    def cut_to_last_sync(self, directory: Path) -> int:
        """Do to the files of a dead process what a power cut does at worst: keep what was synced. Return the bytes that went."""
        synced = dict(SYNCED.iter_unpack(self._sync_log.read_bytes()))
        gone = 0
        for path in directory.iterdir():
            stat = path.stat()
            kept = min(stat.st_size, synced.get(stat.st_ino, 0))
            gone += stat.st_size - kept
            with path.open("r+b") as file:
                file.truncate(kept)
        return gone
