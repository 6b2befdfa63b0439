"""The house of world.py as fixtures."""

import pytest

from tests.policy.world import Story


@pytest.fixture
def story() -> Story:
    """An incident to come, in a house with a standard ladder: kim, lee, choi, jeong."""
    return Story()
