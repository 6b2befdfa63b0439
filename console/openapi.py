"""The table of calls and the OpenAPI 3.1 document made of it.

A `Route` says everything about one call: who may make it, what it takes, what it answers. The server (`endpoint.py`) and the document both
read it, so they cannot disagree.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from console.auth import Caller, Role
from console.desk import Desk
from console.problems import PROBLEM_JSON, Problem, Refused, problem_response

Json = dict[str, Any]

_REF: Final = "#/components/schemas/{model}"


@dataclass(frozen=True, slots=True)
class Call:
    """One request, its caller known and its query and body read."""

    desk: Desk
    request: web.Request
    caller: Caller
    query: BaseModel | None
    body: BaseModel | None

    @property
    def now(self) -> int:
        """The instant, ms UTC."""
        return self.desk.clock.now_ms()


Reply = tuple[int, BaseModel] | web.StreamResponse
Handler = Callable[[Call], Awaitable[Reply]]


def _problem(refused: Refused, request: web.Request) -> web.Response:
    return problem_response(refused)


@dataclass(frozen=True, slots=True)
class Route:
    """One call. `role` None: no token is asked for. `returns` maps a status to the model of its JSON, or to another media type.

    `takes` is the media type of a body that the handler reads by itself. `refuse` makes the answer to what is refused: a problem, or a
    page for people.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    role: Role | None
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    returns: Mapping[int, type[BaseModel] | str] = field(default_factory=dict)
    refuse: Callable[[Refused, web.Request], web.StreamResponse] = _problem
    takes: str = ""


def api(
    method: str,
    path: str,
    handler: Handler,
    summary: str,
    *,
    role: Role | None,
    query: type[BaseModel] | None = None,
    body: type[BaseModel] | None = None,
    returns: Mapping[int, type[BaseModel] | str],
    takes: str = "",
) -> Route:
    """Return a route with the problems that every call of its kind may answer."""
    problems: list[int] = [503]
    if role is not None:
        problems += [401]
        problems += [403] if role is not Role.VIEWER else []
    if query is not None or body is not None:
        problems += [422]
    if body is not None or takes:
        problems += [400, 408, 413]
    if "{id}" in path:
        problems += [404]
    every: dict[int, type[BaseModel] | str] = dict.fromkeys(problems, Problem)
    return Route(method, path, handler, summary, role, query, body, every | dict(returns), takes=takes)


def document(routes: Sequence[Route], *, version: str, url: str) -> Json:
    """Return the OpenAPI 3.1 document of a table."""
    models = [(model, mode) for route in routes for model, mode in _models(route)]
    schemas, defs = models_json_schema(list(dict.fromkeys(models)), ref_template=_REF)
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tocsin", "version": version, "description": "Incidents, and who has them."},
        "servers": [{"url": url}],
        "paths": paths,
        "components": {
            "schemas": defs.get("$defs", {}),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _models(route: Route) -> list[tuple[type[BaseModel], Any]]:
    taken = [(model, "validation") for model in (route.query, route.body) if model is not None]
    return taken + [(model, "serialization") for model in route.returns.values() if not isinstance(model, str)]


def _operation(route: Route, schemas: Mapping[Any, Json]) -> Json:
    operation: Json = {
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_"),
        "summary": route.summary,
        "security": [] if route.role is None else [{"token": []}],
        "responses": {str(status): _answer(status, model, schemas) for status, model in sorted(route.returns.items())},
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in re.findall(r"{(\w+)}", route.path)
    ]
    if route.query is not None:
        parameters += _query_parameters(route.query)
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        content = {"application/json": {"schema": schemas[route.body, "validation"]}}
        operation["requestBody"] = {"required": is_body_required(route.body), "content": content}
    if route.takes:
        operation["requestBody"] = {"required": True, "content": {route.takes: {"schema": {"type": "string"}}}}
    if route.role is not None:
        operation["x-tocsin-role"] = route.role
    return operation


def _answer(status: int, model: type[BaseModel] | str, schemas: Mapping[Any, Json]) -> Json:
    if isinstance(model, str):
        content: Json = {model: {"schema": {"type": "object" if model == "application/json" else "string"}}}
    else:
        media_type = PROBLEM_JSON if model is Problem else "application/json"
        content = {media_type: {"schema": schemas[model, "serialization"]}}
    return {"description": HTTPStatus(status).phrase, "content": content}


def _query_parameters(model: type[BaseModel]) -> list[Json]:
    found = model.model_json_schema(ref_template=_REF)
    required = found.get("required", [])
    return [{"name": name, "in": "query", "required": name in required, "schema": schema} for name, schema in found["properties"].items()]


def is_body_required(model: type[BaseModel]) -> bool:
    """Whether an empty body says too little."""
    return any(info.is_required() for info in model.model_fields.values())
