"""From a request to its answer: the caller, query and body of a route, and every way in which it can go wrong.

Owns time limits and sizes of bodies, and turns refusals into problems. This is the top of a request: what nobody expected is logged here
and answered with 500.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar, get_origin

from aiohttp import web
from aiohttp.typedefs import Handler as WebHandler
from pydantic import BaseModel, ValidationError

from console.auth import Caller, Role
from console.desk import Desk
from console.openapi import Call, Reply, Route, is_body_required
from console.problems import Refused, Unusable, problem_response
from tocsin.store.store import StoreAway, StoreFull

BODY_BYTES_MAX: Final = 65_536
BODY_READ_S: Final = 10.0

NOBODY: Final = Caller("", Role.VIEWER)
"""The caller of a route that asks for no token."""

M = TypeVar("M", bound=BaseModel)

_NUMBER: Final = re.compile(r"(?:INC-)?([0-9]{1,12})", re.IGNORECASE)


def query_of(call: Call, model: type[M]) -> M:
    """Return the query as the model that the route names."""
    assert isinstance(call.query, model)
    return call.query


def body_of(call: Call, model: type[M]) -> M:
    """Return the body as the model that the route names."""
    assert isinstance(call.body, model)
    return call.body


def incident_number(call: Call) -> int:
    """Return the number of the incident that the path names, `INC-42` or `42`. Raises Refused (404)."""
    found = _NUMBER.fullmatch(call.request.match_info["id"])
    if found is None:
        raise Refused(404, "there is no such incident")
    return int(found[1])


def add_routes(app: web.Application, desk: Desk, routes: Sequence[Route], *, is_open: Callable[[], bool]) -> None:
    """Serve a table. While `is_open` says no, every call is answered 503."""
    app.middlewares.append(_problems_for_unknown_paths)
    for route in routes:
        app.router.add_route(route.method, route.path, _served(desk, route, is_open))


def _served(desk: Desk, route: Route, is_open: Callable[[], bool]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def serve(request: web.Request) -> web.StreamResponse:
        try:
            if not is_open():
                raise Refused(503, "the console is starting: the store does not answer yet")
            return _response(await route.handler(await _call(desk, route, request)))
        except Refused as refused:
            response = route.refuse(refused, request)
        except (StoreAway, StoreFull):
            response = route.refuse(
                Refused(503, "the store does not answer; what you sent may or may not have happened: send it again"), request
            )
        except sqlite3.Error as error:
            desk.deps.log.error("read_model_unusable", problem=str(error))
            response = route.refuse(Refused(503, "lists and history cannot be read now; paging goes on"), request)
        except web.HTTPException:
            raise
        except Exception:  # top of a request
            desk.deps.log.exception("request_failed", method=route.method, route=route.path)
            response = route.refuse(Refused(500, "this is a fault of ours; it has been logged"), request)
        desk.deps.metrics.requests_refused.labels(route.path, str(response.status)).inc()
        return response

    return serve


def _response(reply: Reply) -> web.StreamResponse:
    if isinstance(reply, web.StreamResponse):
        return reply
    status, model = reply
    body = model.model_dump_json().encode()
    return web.Response(status=status, body=body, content_type="application/json", headers={"Cache-Control": "no-store"})


async def _call(desk: Desk, route: Route, request: web.Request) -> Call:
    caller = NOBODY
    if route.role is not None:
        caller = await desk.tokens.caller(request.headers.get("Authorization"))
        caller.must_be(route.role, "this")
    query = None if route.query is None else _read_query(request, route.query)
    body = None if route.body is None else await _read_body(request, route.body)
    return Call(desk, request, caller, query, body)


def _read_query(request: web.Request, model: type[BaseModel]) -> BaseModel:
    """Read the parameters. One whose field is a list may come several times; a model with such a field has only texts and lists of them."""
    lists = {name for name, field in model.model_fields.items() if get_origin(field.annotation) is list}
    values: dict[str, str | list[str]] = {}
    for name in request.query:
        given = request.query.getall(name)
        if name not in lists and len(given) > 1:
            raise Refused(422, "a parameter of the query is given more than once")
        values[name] = list(given) if name in lists else given[0]
    try:
        return model.model_validate(values) if lists else model.model_validate_strings(values)
    except ValidationError as error:
        raise Unusable.by(error) from None


async def _read_body(request: web.Request, model: type[BaseModel]) -> BaseModel:
    raw = await read_limited(request)
    if not raw.strip() and not is_body_required(model):
        raw = b"{}"
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise Unusable.by(error) from None


async def read_limited(request: web.Request, most: int = BODY_BYTES_MAX) -> bytes:
    """Return a request's body. Raises Refused: 413 when it is too big, 408 when it does not come, 400 when it cannot be unpacked."""
    raw = bytearray()
    try:
        async with asyncio.timeout(BODY_READ_S):
            async for chunk in request.content.iter_chunked(16_384):
                raw += chunk
                if len(raw) > most:
                    raise Refused(413, f"a body may have {most} bytes")
    except TimeoutError:
        raise Refused(408, "the body did not come in time") from None
    except web.RequestPayloadError:
        raise Refused(400, "the body is not what its headers say") from None
    return bytes(raw)


@web.middleware
async def _problems_for_unknown_paths(request: web.Request, handler: WebHandler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        refused = Refused(405, "this path does not know the method")
        refused.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        return problem_response(refused)
    except web.HTTPNotFound:
        return problem_response(Refused(404, "there is nothing at this path"))
