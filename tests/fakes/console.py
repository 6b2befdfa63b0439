"""A console as the command line meets it: answers each request as told, in the console's own JSON, and remembers what was asked.

For what the real console does only when something is wrong. What it does otherwise is tested against the real one.

    async with Console() as console:
        console.answers["POST /api/v1/incidents/INC-1/resolve"] = problem(409, "the incident is closed")
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    what: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


def problem(status: int, detail: str) -> web.Response:
    """An `application/problem+json` answer."""
    body = json.dumps({"type": "about:blank", "title": "Problem", "status": status, "detail": detail})
    return web.Response(status=status, text=body, content_type="application/problem+json")


def incident(number: int, state: str = "open", title: str = "Disk full") -> dict[str, Any]:
    """An incident as lists and actions answer it."""
    return {
        "id": f"INC-{number}",
        "title": title,
        "state": state,
        "severity": 1,
        "service": "payments",
        "suppressed": None,
        "labels": {},
        "alerts": {"firing": 1, "resolved": 0},
        "opened_at": "2026-11-22T17:00:00Z",
        "acknowledged_at": None,
        "acknowledged_by": None,
        "acknowledged_until": None,
        "resolved_at": None,
        "closed_at": None,
        "assignee": None,
        "ladder": {"name": "standard", "rung": 0, "next_at": None, "next_role": None},
        "url": "http://127.0.0.1:9096/i/INC-1",
        "version": 1,
    }


class Console:
    """`answers` by "METHOD /path": JSON, or a Response made anew for each run; `streams` are the event streams, one for each opening."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.streams: list[str] = []
        self.asked: list[Asked] = []
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/api/v1/events", self._stream)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _remember(self, request: web.Request) -> str:
        what = f"{request.method} {request.path}"
        body = await request.json() if request.can_read_body else None
        self.asked.append(Asked(what, dict(request.query), dict(request.headers), body))
        return what

    async def _answer(self, request: web.Request) -> web.Response:
        what = await self._remember(request)
        answer = self.answers.get(what)
        if answer is None:
            return problem(404, "there is no such incident")
        return answer if isinstance(answer, web.Response) else web.json_response(answer)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        await self._remember(request)
        if not self.streams:
            return problem(403, "no more streams")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(self.streams.pop(0).encode())
        return response
