"""What every test may ask for: a data directory of its own and the real programs tests talk to.

Whatever belongs to one part (a store, a clock, the people of a rules file) stands in the conftest.py of that part's
folder.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.faults.figures import Figures, recording

# The machine under test is shared: a slow example is not a failing one. What fails prints how to run it again.
settings.register_profile("tocsin", deadline=None, print_blob=True)
settings.load_profile("tocsin")

# Debian's name -> the names tried, upstream's own last.
PROGRAMS = {
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "prometheus-alertmanager": ("prometheus-alertmanager", "alertmanager"),
    "amtool": ("amtool",),
}


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A directory of this test only, gone afterwards; its path is short, because a Unix socket's may have 104 bytes."""
    directory = Path(tempfile.mkdtemp(prefix="tocsin-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def real_binary() -> Callable[[str], Path]:
    """`real_binary("promtool")` is where the program is; absent, it is a failure with CI=true, else a named skip."""
    return _find_program


def _find_program(name: str) -> Path:
    found = next(filter(None, map(shutil.which, PROGRAMS.get(name, (name,)))), None)
    if found is not None:
        return Path(found)
    reason = f"{name} is not on PATH"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, and CI must have it")
    pytest.skip(reason)


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figures:
    """`figure(row, name, value, at_most=...)` notes what a fault test measured, and fails beyond the bound."""
    return recording(record_property)
