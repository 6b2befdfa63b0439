"""The HTTP API against its own document: whatever the document allows, and whatever it does not, is answered as the document says.

Schemathesis makes the requests of /api/v1/openapi.json and judges the answers; a real console on a real store answers them. An id or a
name made at random is nobody's, so half of them are replaced by those of something that is there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from tests.console.conftest import RULES, Site, running_console
from tests.console.test_oncall_api import SCHEDULES
from tests.fuzz.budget import Budget, Property
from tocsin.store.server import EmbeddedServer
from tocsin.store.store import Store

EXAMPLES_PER_SITE = 50
ANSWER_LIMIT_S = 10.0

TARGET_CHARACTERS_MAX: Final = 8_000
"""What aiohttp reads of a request's first line, about."""

ENDLESS: Final = ("GET", "/api/v1/events")
"""An answer that does not end; tests/console/test_event_stream.py reads it."""

CHECKS: Final[list[CheckFunction]] = [
    not_a_server_error,  # 503 too: the store is there all the time
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]

KNOWN: Final[Mapping[str, tuple[Any, ...]]] = {
    "person": ("kim", "lee", "jung", "nobody"),
    "to": ("kim", "lee", "administrator"),
    "replaces": ("kim", "lee"),
    "schedule": ("duty", "days", "none"),
    "service": ("payments", "everything-else"),
    "name": ("duty", "days", "kim"),
    "from": ("2026-02-17T14:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "14:00", "2026-03-29T02:30"),
    "until": ("2026-02-18T14:00", "9999-12-31T23:59", "24:00"),
    "at": ("2026-02-17T14:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59"),
    "for": ("1h", "1s", "30d", "31d", "0"),
    "title": ("Coffee machine on fire",),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A running console, what is there by path parameter, and the document's operations."""

    site: Site
    operations: tuple[Any, ...]
    ids: Mapping[str, tuple[str, ...]]


@asynccontextmanager
async def furnished(server: EmbeddedServer, store: Store, directory: Path) -> AsyncIterator[Place]:
    """A console with schedules, incidents in several states, and one of everything else that has an id."""
    await store.client.flushall()
    await store.ensure_layout()
    directory.mkdir(exist_ok=True)
    async with running_console(server, store, directory) as site:
        assert site.deps.settings.config_file is not None
        site.deps.settings.config_file.write_text(
            RULES.replace("duty-engineer: {people: [kim]}", "duty-engineer: {schedule: duty}") + SCHEDULES
        )
        await site.deps.rules.reload()
        held, loose = await site.fire("HighErrorRate", alerts=3), await site.fire("DiskFull", instance="db-1")
        await made(site, f"/api/v1/incidents/{held.id}/acknowledge", {}, status=200)
        turn = {"schedule": "duty", "person": "lee", "from": "2026-02-17T14:00", "until": "2026-02-17T15:30"}
        override = await made(site, "/api/v1/overrides", turn)
        absence = await made(site, "/api/v1/absences", {"person": "jung", "for": "2h"})
        swap = await made(site, "/api/v1/swaps", {"schedule": "duty", **SWAP})
        drill = await made(site, "/api/v1/drills", {"service": "payments"})
        page = await made(site, "/api/v1/test-pages", {"person": "kim"})
        feed = await made(site, "/api/v1/calendars", {"person": "kim"})
        links = [(await site.link(held, "kim", loose)), await site.link(loose, "lee", hours=-1)]
        ids = [
            held.id,
            loose.id,
            override["id"],
            absence["id"],
            swap["id"],
            drill["id"],
            page["id"],
            "INC-0",
            "999999999999",
        ]
        tokens = [link.removeprefix("/a/") for link in links] + [feed["url"].rpartition("/")[2].removesuffix(".ics")]
        schema = schemathesis.openapi.from_dict((await site.get("/api/v1/openapi.json")).json)
        found = list(schema.get_all_operations())
        operations = tuple(each.ok() for each in found if isinstance(each, Ok))
        assert len(operations) == len(found) > 30, "the document can be read as a whole"
        yield Place(site, operations, {"id": tuple(map(str, ids)), "token": tuple(tokens), "name": ("duty", "days")})


async def made(site: Site, path: str, body: object, *, status: int = 201) -> Any:
    answer = await site.post(path, body)
    assert answer.status == status, answer.text
    return answer.json


SWAP = {"first": {"person": "kim", "at": "2026-02-19T14:00"}, "second": {"person": "lee", "at": "2026-02-26T14:00"}}


def as_documented(place: Place, token: str | None) -> tuple[Property, dict[str, Any]]:
    """What is answered is what the document says, for a caller with this token."""
    session = requests.Session()
    headers = {"Authorization": f"Bearer {token}"} if token else {"Authorization": ""}
    operations = [each for each in place.operations if not (token and (each.method.upper(), each.path) == ENDLESS)]
    judged = CHECKS if token else [check for check in CHECKS if check is not checks.negative_data_rejection]

    def holds(data: st.DataObject) -> None:
        operation = data.draw(st.sampled_from(operations))
        mode = data.draw(st.sampled_from(list(GenerationMode)))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        if mode.is_positive and data.draw(st.booleans()):
            fill_in(data, case, place)
        response = case.call(base_url=place.site.url, session=session, headers=headers, timeout=ANSWER_LIMIT_S, allow_redirects=False)
        if response.status_code == 400 and len(response.request.url or "") > TARGET_CHARACTERS_MAX:
            return  # refused by the listener, before it is anybody's call
        if not token and operation.definition.raw["security"]:
            assert response.status_code == 401, f"{response.status_code}: {response.content[:500]!r}"
        excluded = [checks.negative_data_rejection] if response.status_code == 413 else []  # too big is refused, whatever it says
        case.validate_response(response, checks=judged, excluded_checks=excluded)

    return holds, {"data": st.data()}


def fill_in(data: st.DataObject, case: Any, place: Place) -> None:
    """Replace what nobody can guess by what is there."""
    for name in case.path_parameters or {}:
        if name in place.ids:
            case.path_parameters[name] = data.draw(st.sampled_from(place.ids[name]))
    for holder in (case.query, case.body):
        for name in list(holder) if isinstance(holder, dict) else ():
            if name in KNOWN and data.draw(st.booleans()):
                holder[name] = data.draw(st.sampled_from(KNOWN[name]))


async def test_every_call_is_answered_as_the_document_says(budget: Budget, server: EmbeddedServer, store: Store, tmp_path: Path) -> None:
    for found in budget.rounds():
        async with furnished(server, store, tmp_path / str(found)) as place:
            await budget.run_beside(found, *as_documented(place, place.site.administrator), examples=EXAMPLES_PER_SITE)


async def test_without_a_token_nothing_but_what_is_public_is_answered(
    budget: Budget, server: EmbeddedServer, store: Store, tmp_path: Path
) -> None:
    for found in budget.rounds():
        async with furnished(server, store, tmp_path / str(found)) as place:
            await budget.run_beside(found, *as_documented(place, None), examples=EXAMPLES_PER_SITE)


@pytest.mark.parametrize("cursor", ["0-0", "00-1", "01-1", "1-18446744073709551616", "99999999999999999999-0", "1-00"])
async def test_a_cursor_that_the_store_would_not_take_is_refused(cursor: str, server: EmbeddedServer, store: Store, tmp_path: Path) -> None:
    async with furnished(server, store, tmp_path / "site") as place:
        answer = await place.site.get("/api/v1/roster/history", params={"cursor": cursor})
        assert answer.status == 422
        newest = (await place.site.get("/api/v1/roster/history", params={"limit": 1})).json
        assert (await place.site.get("/api/v1/roster/history", params={"cursor": newest["next"]})).status == 200


async def test_the_document_describes_itself_as_an_object(server: EmbeddedServer, store: Store, tmp_path: Path) -> None:
    async with furnished(server, store, tmp_path / "site") as place:
        document = (await place.site.get("/api/v1/openapi.json")).json
    assert document["paths"]["/api/v1/openapi.json"]["get"]["responses"]["200"]["content"]["application/json"]["schema"] == {
        "type": "object"
    }
    assert {"400", "408", "413"} <= set(document["paths"]["/api/v1/incidents"]["post"]["responses"])
