"""Repair of an append-only log whose tail was damaged by a power cut.

Owns the judgement "only the tail is damaged" and the cut itself; `server` calls it when a start was refused. A cut-off
last record the server drops by itself; a tail of NUL bytes, which ext4 can leave, it refuses. What is repaired is the
newest `.incr.aof` alone, only while no complete record follows the damage, only after a copy was made, with the
server's own check tool (the same binary under another name). Damage in the middle is never cut: answered writes lie
behind it, and a person must choose.

A log file is a sequence of records such as `*2\\r\\n$6\\r\\nSELECT\\r\\n$1\\r\\n0\\r\\n`; a script's writes stand
between a `MULTI` and an `EXEC` record and count only as a whole.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MANIFEST: Final = "appendonlydir/appendonly.aof.manifest"
COPIES: Final = "damaged"
TAIL_MAX_BYTES: Final = 256 * 1024 * 1024
"""A longer damaged tail is not judged (it is read into memory) and left to a person."""
CHECK_TIMEOUT_S: Final = 600.0

_ANALYSED = re.compile(rb"size=(\d+), ok_up_to=(\d+)")
_ARRAY = re.compile(rb"\*([1-9]\d{0,8})\r\n")
_BULK = re.compile(rb"\$(\d{1,10})\r\n")


class LogDamaged(Exception):
    """The append-only log is damaged in a way that must not be repaired without a person."""


@dataclass(frozen=True, slots=True)
class TailRepair:
    """What was cut from which file, and where the copy of the whole file lies."""

    file: Path
    copy: Path
    bytes_cut: int


async def repair_damaged_tail(data_dir: Path, binary: Path) -> TailRepair | None:
    """Cut a damaged tail off the newest log file; None when that file is whole or missing.

    Raises LogDamaged when complete records follow the damage. The server must not be running.
    """
    log = _newest_log(data_dir)
    if log is None:
        return None
    code, report = await _check_tool(binary, log, fix=False)
    if code == 0:
        return None
    analysed = _ANALYSED.findall(report)
    if not analysed:
        raise LogDamaged(f"{log.name}: the check tool gave no analysis: {report[-200:].decode(errors='replace')}")
    size, ok_up_to = (int(number) for number in analysed[-1])
    if not await asyncio.to_thread(_only_tail_is_damaged, log, ok_up_to):
        raise LogDamaged(
            f"{log} is damaged at byte {ok_up_to} of {size}, and complete records follow: "
            "restore a backup, or decide by hand what may be lost"
        )
    copy = await asyncio.to_thread(_copy_aside, log, data_dir / COPIES)
    code, report = await _check_tool(binary, log, fix=True)
    if code != 0 or log.stat().st_size != ok_up_to:
        raise LogDamaged(f"{log.name}: the check tool could not cut it at byte {ok_up_to}; a copy is at {copy}")
    await asyncio.to_thread(_sync, log)
    return TailRepair(file=log, copy=copy, bytes_cut=size - ok_up_to)


def only_tail_is_damaged(rest: bytes) -> bool:
    """Whether `rest`, which begins where the log stops being readable, holds nothing that was surely answered.

    An unfinished transaction may stand before the damage; a complete record after it means damage in the middle.
    """
    at = 0
    record = _record_at(rest, 0)
    if record is not None and record.name != b"MULTI":
        return False
    while record is not None:
        if record.name == b"EXEC":
            return False
        at = record.end
        record = _record_at(rest, at)
    return all(_record_at(rest, found.start()) is None for found in _ARRAY.finditer(rest, at + 1))


@dataclass(frozen=True, slots=True)
class _Record:
    name: bytes
    end: int


def _record_at(data: bytes, at: int) -> _Record | None:
    array = _ARRAY.match(data, at)
    if array is None:
        return None
    at = array.end()
    name = b""
    for position in range(int(array[1])):
        bulk = _BULK.match(data, at)
        if bulk is None:
            return None
        begin, end = bulk.end(), bulk.end() + int(bulk[1])
        if data[end : end + 2] != b"\r\n":
            return None
        if position == 0:
            name = data[begin:end].upper()
        at = end + 2
    return _Record(name, at)


def _only_tail_is_damaged(log: Path, ok_up_to: int) -> bool:
    with log.open("rb") as file:
        file.seek(ok_up_to)
        rest = file.read(TAIL_MAX_BYTES + 1)
    return len(rest) <= TAIL_MAX_BYTES and only_tail_is_damaged(rest)


def _newest_log(data_dir: Path) -> Path | None:
    """The newest `.incr.aof` by the manifest, whose lines read `file NAME seq NUMBER type b|h|i`."""
    manifest = data_dir / MANIFEST
    if not manifest.is_file():
        return None
    newest: tuple[int, str] | None = None
    for line in manifest.read_text(encoding="utf-8", errors="replace").splitlines():
        words = shlex.split(line)
        entry = dict(zip(words[::2], words[1::2], strict=False))
        if entry.get("type") == "i" and entry.get("seq", "").isdigit() and "file" in entry:
            newest = max(newest or (0, ""), (int(entry["seq"]), entry["file"]))
    if newest is None:
        return None
    log = manifest.parent / newest[1]
    return log if log.is_file() else None


async def _check_tool(binary: Path, log: Path, *, fix: bool) -> tuple[int, bytes]:
    """Run the server binary as its own check tool: it looks at the name it was started under."""
    name = "redis-check-aof" if "redis" in binary.name else "valkey-check-aof"
    process = await asyncio.create_subprocess_exec(
        name,
        *(["--fix"] if fix else []),
        str(log),
        executable=str(binary),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(CHECK_TIMEOUT_S):
        report, _ = await process.communicate(b"y\n" if fix else b"")
        return await process.wait(), report


def _copy_aside(log: Path, directory: Path) -> Path:
    directory.mkdir(mode=0o700, exist_ok=True)
    number = sum(1 for _ in directory.iterdir()) + 1
    copy = directory / f"{log.name}.{number}"
    shutil.copy2(log, copy)
    _sync(copy)
    return copy


def _sync(file: Path) -> None:
    fd = os.open(file, os.O_RDWR)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
