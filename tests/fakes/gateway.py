"""A gateway for text messages and calls as many countries have them: one HTTP request, and 200 with the outcome in the body.

async with Gateway() as gateway:
    GatewayAccount(f"{gateway.url}/send?to={{national}}", ok='"code":0')
    gateway.told["send"].append(Told(body={"code": 17, "msg": "no credit"}))
    ...
    sent = (await gateway.call("send", 1)).body           # method, path, query, fields of a form, the raw body, headers
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from tests.fakes.chatserver import Call, ChatServer


class Gateway(ChatServer):
    """The server. `charset` is the one that its forms and queries are read in."""

    def __init__(self, charset: str = "utf-8") -> None:
        super().__init__()
        self.charset = charset

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def routes(self, app: web.Application) -> None:
        app.router.add_route("*", "/{path:.*}", self._receive)

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        kind = request.headers.get("Content-Type", "")
        query = request.rel_url.raw_query_string
        form = parse_qsl(raw.decode("ascii"), encoding=self.charset, strict_parsing=True) if "form-urlencoded" in kind else []
        body: dict[str, Any] = {
            "method": request.method,
            "path": request.match_info["path"],
            "query": parse_qsl(query, encoding=self.charset, strict_parsing=bool(query)),
            "form": form,
            "raw": raw,
        }
        return await self.answer(request, Call("send", body, request.headers), lambda: (200, {"code": 0, "msg": "ok", "sid": 4711}))
