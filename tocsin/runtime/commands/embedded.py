"""The embedded store as the supervisor keeps it: started, healed before anyone writes, its failures in one word."""

from __future__ import annotations

from pathlib import Path

from tocsin.runtime.supervisor import CannotStart
from tocsin.store.connection import connect
from tocsin.store.durability import LogNotHealed, heal_truncated_log
from tocsin.store.log_repair import LogDamaged
from tocsin.store.server import EmbeddedServer, StartFailed
from tocsin.store.server_config import BinaryMissing
from tocsin.store.server_directory import DirectoryInUse, SocketPathTooLong
from tocsin.store.wire import StoreAway, answering

START_FAILURES = (StartFailed, LogDamaged, BinaryMissing, DirectoryInUse, SocketPathTooLong, OSError)


class EmbeddedStore:
    """A server on `path`; `url` is where it listens, once started."""

    def __init__(self, path: Path) -> None:
        self._server = EmbeddedServer(path)

    @property
    def url(self) -> str:
        """Where clients connect; the same after each restart."""
        return self._server.url

    async def start(self) -> None:
        """Start the server (from the main thread: its life is tied to it) and heal its log. Raises CannotStart."""
        try:
            await self._server.start()
        except START_FAILURES as error:
            raise CannotStart(str(error)) from error
        try:
            await self._heal()
        except (StoreAway, LogNotHealed) as error:
            await self._server.stop()  # it would take writes that it forgets; or it has died already
            raise CannotStart(f"the store's log could not be healed: {error}") from error

    async def wait(self) -> int | None:
        """Return the exit code once the server has died."""
        return await self._server.wait()

    async def stop(self) -> None:
        """End the server and wait until everything is on disk."""
        await self._server.stop()

    async def _heal(self) -> None:
        client = connect(self._server.url, max_connections=1)
        try:
            with answering():
                await heal_truncated_log(client)
        finally:
            await client.aclose()
