"""What fault tests ask for: the library that makes faults below a process, and the pipeline in which they happen."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.product import CLOCK
from tests.fakes.receiver import Receiver
from tests.faults.shim import Shim, compile_shim, compiler
from tests.services.conftest import shared_url, world, world_at

__all__ = ["shared_url", "world", "world_at"]


@pytest.fixture(scope="session")
def shim_library() -> Iterator[Path]:
    if compiler() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no C compiler, and CI must have one")
        pytest.skip("no C compiler: this fault cannot be made")
    with tempfile.TemporaryDirectory(prefix="tocsin-shim-") as directory:
        yield compile_shim(Path(directory))


@pytest.fixture
def shim(shim_library: Path, data_dir: Path) -> Shim:
    """Faults of the disk and of the wall clock, none at first."""
    directory = data_dir / "faults"
    directory.mkdir()
    return Shim(shim_library, directory)


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Where pages arrive; `at_s` is the wall clock of the test, which no fault touches."""
    async with Receiver(lambda: CLOCK.now_ms() / 1000) as running:
        yield running
