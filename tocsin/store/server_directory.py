"""The data directory of the embedded server, beside the log the server itself keeps there.

Owns these files of it: `launcher.lock` (held by the launcher alone: one launcher per directory), `server.lock`
(inherited by the server and its rewrite children: while it is held, something may still write here), `server.json`
(which process serves where, so that an orphan is found again), `server.log`, `store.sock` and `ballast` (space to give
back when the disk is full). The locks are flocks: they end with the processes that hold them, however these end.

Starts and ends no process; `server` does.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import orjson

SOCKET_PATH_MAX_BYTES: Final = 107 if sys.platform == "linux" else 103
LOG_MAX_BYTES: Final = 8 * 1024 * 1024
"""At a start a longer server.log becomes server.log.1; the server writes about a kilobyte per rewrite."""
BALLAST_FREE_FACTOR: Final = 4
"""The ballast is laid down only while this many times its size stays free."""
FREE_MIN_BYTES: Final = 16 * 1024 * 1024
"""With less free space at a start the ballast is given up before the server has to fail."""


class DirectoryInUse(Exception):
    """Another launcher, or a server it left, uses the data directory."""


class SocketPathTooLong(Exception):
    """Neither the data directory nor the temporary directory has a path short enough for a Unix socket."""


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """Which process serves the directory, and where."""

    pid: int
    started: str
    url: str
    socket_dir: str | None
    dies_with_launcher: bool


class ServerDirectory:
    """One data directory; created with mode 0700 when it is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._launcher_lock: int | None = None

    def hold(self) -> None:
        """Become the directory's only launcher, until `release`; raises DirectoryInUse naming the holder's pid."""
        if self._launcher_lock is not None:
            return
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self.path / "launcher.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _try_lock(fd):
            holder = os.read(fd, 32).decode("ascii", errors="replace").strip() or "unknown"
            os.close(fd)
            raise DirectoryInUse(
                f"data directory {self.path} is in use by the launcher with pid {holder}: stop that one, or choose another --storage.path"
            )
        self._launcher_lock = fd
        try:
            os.ftruncate(fd, 0)
            os.write(fd, f"{os.getpid()}\n".encode("ascii"))
        except OSError as error:  # the lock holds without the pid, and the ballast is given up only later
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise

    def release(self) -> None:
        """Let another launcher have the directory."""
        if self._launcher_lock is not None:
            os.close(self._launcher_lock)
            self._launcher_lock = None

    def try_server_lock(self) -> int | None:
        """A descriptor for the server to inherit, or None while an earlier server (or its child) lives."""
        fd = os.open(self.path / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if _try_lock(fd):
            return fd
        os.close(fd)
        return None

    def read_record(self) -> ServerRecord | None:
        """The last server's record; None when there is none or it cannot be read."""
        try:
            return ServerRecord(**orjson.loads((self.path / "server.json").read_bytes()))
        except (FileNotFoundError, orjson.JSONDecodeError, TypeError):
            return None

    def write_record(self, record: ServerRecord) -> None:
        """Replace the record whole."""
        draft = self.path / "server.json.new"
        draft.write_bytes(orjson.dumps(asdict(record)))
        draft.replace(self.path / "server.json")

    def forget_record(self) -> None:
        """After a clean stop: remove the record, and the private socket directory if there was one."""
        record = self.read_record()
        (self.path / "server.json").unlink(missing_ok=True)
        if record is not None:
            _remove_socket_dir(record)

    def choose_socket(self) -> tuple[Path, Path | None]:
        """Where the server listens, and the private directory made for it when our own path is too long."""
        here = self.path / "store.sock"
        if len(os.fsencode(here)) <= SOCKET_PATH_MAX_BYTES:
            return here, None
        record = self.read_record()
        if record is not None and record.socket_dir is not None:  # left by a crash
            earlier = Path(record.socket_dir)
            if _is_private(earlier):  # clients look for the server where it was
                return earlier / "store.sock", earlier
            _remove_socket_dir(record)
        private = Path(tempfile.mkdtemp(prefix="tocsin-"))  # mode 0700
        if len(os.fsencode(private / "store.sock")) > SOCKET_PATH_MAX_BYTES:
            private.rmdir()
            raise SocketPathTooLong(f"{here} and {private} are both too long for a Unix socket: set TMPDIR to /tmp")
        return private / "store.sock", private

    def open_log(self) -> int:
        """The server's log for appending."""
        log = self.path / "server.log"
        if log.exists() and log.stat().st_size > LOG_MAX_BYTES:
            log.replace(self.path / "server.log.1")
        return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def log_since(self, offset: int, *, bytes_max: int = 4000) -> str:
        """The end of what the server wrote since `offset`."""
        with (self.path / "server.log").open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(offset, end - bytes_max))
            return log.read().decode("utf-8", errors="replace")

    def lay_ballast(self, size: int) -> bool:
        """Reserve `size` bytes to give back when the disk is full; False when they are not to be had now."""
        ballast = self.path / "ballast"
        if size == 0 or not hasattr(os, "posix_fallocate"):
            return False
        if ballast.exists():
            return True
        if shutil.disk_usage(self.path).free < size * BALLAST_FREE_FACTOR:
            return False
        fd = os.open(ballast, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, size)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EOPNOTSUPP, errno.EINVAL, errno.EDQUOT):
                raise
            ballast.unlink()
            return False
        finally:
            os.close(fd)
        return True

    def drop_ballast(self) -> bool:
        """Give the reserved bytes back; False when there were none."""
        try:
            (self.path / "ballast").unlink()
        except FileNotFoundError:
            return False
        return True

    def nearly_full(self) -> bool:
        """Whether the server could hardly write anything now."""
        return shutil.disk_usage(self.path).free < FREE_MIN_BYTES


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_private(directory: Path) -> bool:
    """Whether it is a directory that nobody but us could have put there or can enter."""
    try:
        found = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & 0o077


def _remove_socket_dir(record: ServerRecord) -> None:
    if record.socket_dir is None:
        return
    try:  # it may be somebody else's by now: take away no more than we made
        (Path(record.socket_dir) / "store.sock").unlink(missing_ok=True)
        Path(record.socket_dir).rmdir()
    except OSError:
        pass
