"""The HTTP listener that every role has: health, readiness, metrics, reload, and the role's own routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from tocsin.runtime.metrics import Metrics
from tocsin.runtime.rulesfile import RulesInvalid
from tocsin.store.wire import StoreAway

SILENT_MAX_S = 15.0
"""How long a connection may take for the headers of a request; the library would wait for an hour."""

LINGER_S = 2.0
"""How long the rest of a body that was refused is still read, so that its sender can read the answer."""

SHUTDOWN_S = 3.0
"""How long open requests may go on once the listener closes."""


def add_health_routes(
    app: web.Application, *, metrics: Metrics, not_ready: Callable[[], str | None], reload: Callable[[], Awaitable[None]]
) -> None:
    """Add `/-/healthy`, `/-/ready`, `/-/reload` and `/metrics`."""

    metrics.ready.set_function(lambda: float(not_ready() is None))

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="OK\n")

    async def ready(_: web.Request) -> web.Response:
        why = not_ready()
        return web.Response(text="OK\n") if why is None else web.Response(status=503, text=f"{why}\n", headers={"Retry-After": "1"})

    async def reload_rules(_: web.Request) -> web.Response:
        try:
            await reload()
        except RulesInvalid as error:
            return web.Response(status=400, text=f"{error}\n")
        except OSError as error:
            return web.Response(status=400, text=f"{error.filename}: {error.strerror}\n")
        except UnicodeDecodeError:
            return web.Response(status=400, text="the rules file is not UTF-8 text\n")
        except StoreAway:
            return web.Response(status=503, text="the store does not answer\n", headers={"Retry-After": "1"})
        return web.Response(text="OK\n")

    app.router.add_get("/-/healthy", healthy)
    app.router.add_get("/-/ready", ready)
    app.router.add_post("/-/reload", reload_rules)
    app.router.add_get("/metrics", make_aiohttp_handler(registry=metrics.registry))


async def listen(app: web.Application, host: str, port: int, *, silent_max_s: float = SILENT_MAX_S) -> web.AppRunner:
    """Start serving; `await runner.cleanup()` ends it. A connection whose next request has not come whole up to its body
    `silent_max_s` after it was made, or after its last answer, is closed. Raises OSError when the address is taken.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=SHUTDOWN_S,
        keepalive_timeout=silent_max_s,
        lingering_time=LINGER_S,
    )
    await runner.setup()
    await web.TCPSite(runner, host, port, backlog=1024).start()
    return runner
