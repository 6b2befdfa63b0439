"""Who is paged in these tests, and where the programs are that they talk to."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.e2e.product import CLOCK
from tests.fakes.receiver import Receiver


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Where pages arrive; `at_s` is the wall clock, so that it can be compared with an incident's times."""
    async with Receiver(lambda: CLOCK.now_ms() / 1000) as running:
        yield running
