"""The steps of an incident, as its history has them: what `tocsin replay` lays over each other to see whether they add up.

Owns one route. The entries are read from the store itself, which is the record; the read model only knows where they stand.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import orjson
from pydantic import Field

from console import bodies
from console.auth import Role
from console.endpoint import incident_number, query_of
from console.openapi import Call, Reply, Route, api
from console.problems import Refused
from console.views import View
from tocsin.policy.rules import shard_of_number

STEPS_MAX: Final = 200
"""Steps of one answer: each may hold every page of the incident."""


class StepsQuery(bodies.Sent):
    """Behind which version."""

    after: Annotated[int, Field(ge=0, lt=2**53, strict=False)] = 0


class StepsView(View):
    """Steps of an incident, oldest first, and the incident as it stands.

    Both are as the history has them: `changes` are the fields that changed, instants in them and in `inputs` are milliseconds since the
    epoch. `next` is the version behind which more steps follow.
    """

    id: str
    items: list[dict[str, Any]]
    next: int | None
    present: dict[str, Any]


async def show_steps(call: Call) -> Reply:
    """Read the incident before its steps: what happens between shows as steps behind it, never as steps that are missing."""
    number = incident_number(call)
    after = query_of(call, StepsQuery).after
    async with call.desk.turns.turn():
        incident = await call.desk.store.load(number)
    if incident is None:
        raise Refused(404, "there is no such incident")
    await call.desk.reading.catch_up()
    ids = await call.desk.reading.entries(number, after, STEPS_MAX + 1)
    async with call.desk.turns.turn():
        payloads = await call.desk.store.read_history_entries(shard_of_number(number, call.desk.store.shards), ids[:STEPS_MAX])
    items = [orjson.loads(payload) for payload in payloads]
    more = len(ids) > STEPS_MAX and items
    present = orjson.loads(orjson.dumps(incident))
    return 200, StepsView(id=incident.id, items=items, next=items[-1]["version"] if more else None, present=present)


STEPS_ROUTES: Final[tuple[Route, ...]] = (
    api(
        "GET",
        "/api/v1/incidents/{id}/steps",
        show_steps,
        "The steps of an incident, with everything that changed",
        role=Role.VIEWER,
        query=StepsQuery,
        returns={200: StepsView},
    ),
)
