"""What is left of the whole product after a fault, read past everything that could hide it.

`until_whole` is the oracle of every test here that runs the product: all that must hold of a store (`tests.invariants.broken`), looked at
until a moment at which nothing is between two steps. `taken_once` compares what senders were answered with the incidents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from tests.e2e.product import Product, until
from tests.invariants import broken
from tocsin.store.connection import connect
from tocsin.store.store import Store
from tocsin.store.wire import StoreAway

WHOLE_LIMIT_S = 30.0


def store_url(product: Product) -> str:
    return f"unix://{Path(product.directory)}/data/store.sock"


async def until_whole(product: Product, url: str | None = None) -> None:
    """Return once nothing is broken; at the limit the test fails with what is."""
    store = Store(connect(url or store_url(product), max_connections=2), shards=1, origin="test")
    faults: list[str] = ["not looked at yet"]

    async def look() -> bool:
        nonlocal faults
        try:
            faults = await broken(store)
        except StoreAway as away:
            faults = [str(away)]
        return not faults

    try:
        await until(look, "the store is whole", WHOLE_LIMIT_S)
    except AssertionError:
        raise AssertionError(f"broken: {faults[:5]}") from None
    finally:
        await store.close()


async def taken_once(product: Product, names: Collection[str]) -> list[dict[str, Any]]:
    """The incidents, once every alert that was taken is in one; each must be in exactly one, and nothing else may be there."""

    async def look() -> list[dict[str, Any]] | None:
        found = await product.incidents()
        return found if len(found) >= len(names) else None

    incidents = await until(look, f"{len(names)} incidents", WHOLE_LIMIT_S)
    assert Counter(incident["labels"]["alertname"] for incident in incidents) == Counter(list(names))
    return incidents
