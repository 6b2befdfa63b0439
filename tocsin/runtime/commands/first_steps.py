"""What a person is told once everything runs: addresses, what to paste where, how to see a first page."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from structlog.typing import FilteringBoundLogger

from tocsin.runtime.client import DEFAULT_URL
from tocsin.runtime.settings import Settings

POLL_S: Final = 0.1
ANSWER_LIMIT_S: Final = 2.0
SLOW_POLLS: Final = 100
"""After so many polls a role that is not ready is named in the log."""
ANSWER_BYTES_MAX: Final = 4096
ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  an address to reach what listens everywhere

FIRST_EVENT: Final = '{"labels":{"alertname":"FirstPage","severity":"critical"},"annotations":{"summary":"Hello from Tocsin"}}'


async def until_ready(roles: Sequence[str], settings: Settings, log: FilteringBoundLogger) -> None:
    """Return when every role says that it can do its work, however long that takes."""
    for role in roles:
        host, port = reachable(settings, role)
        polls = 0
        while port and (why := await not_ready(host, port)) is not None:
            polls += 1
            if polls % SLOW_POLLS == 0:
                log.warning("role_awaited", role=role, why=why)
            await asyncio.sleep(POLL_S)


def reachable(settings: Settings, role: str) -> tuple[str, int]:
    """Host and port at which a role's listener is reached from this machine."""
    host, port = settings.listen_address(role)
    return ANYWHERE.get(host, host), port


async def not_ready(host: str, port: int) -> str | None:
    """None when `/-/ready` answers 200, else why not."""
    try:
        async with asyncio.timeout(ANSWER_LIMIT_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET /-/ready HTTP/1.0\r\nHost: {host}\r\n\r\n".encode("ascii"))
                answer = (await reader.read(ANSWER_BYTES_MAX)).decode("utf-8", errors="replace")
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        return f"does not answer ({getattr(error, 'strerror', None) or type(error).__name__})"
    head, _, body = answer.partition("\r\n\r\n")
    words = head.split(maxsplit=2)
    if len(words) > 1 and words[1] == "200":
        return None
    return body.strip().partition("\n")[0] or "answers without a reason"


def first_steps(roles: Sequence[str], settings: Settings, token_file: Path | None) -> str:
    """The whole text."""
    parts = [f"Tocsin is ready: {', '.join(f'{role} {_url(settings, role)}' for role in roles)}"]
    if token_file is not None and "console" in roles:
        parts.append(f"The administrator's token is in {token_file} (the commands below find it there).")
    if "ingest" in roles:
        parts += [_for_alertmanager(settings), _for_prometheus(settings)]
    if {"ingest", "correlator", "notifier"} <= set(roles):
        parts.append(_first_page(settings))
    return "\n" + "\n\n".join(parts) + "\n"


def _url(settings: Settings, role: str) -> str:
    host, port = reachable(settings, role)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _for_alertmanager(settings: Settings) -> str:
    # Reasons for these values: docs/operations.md. Grouping, waiting and repeating are Tocsin's, so Alertmanager only passes on.
    return f"""\
alertmanager.yml:
  route:
    receiver: tocsin
    group_by: ['...']
    group_wait: 0s
    group_interval: 30s
    repeat_interval: 5m
  receivers:
    - name: tocsin
      webhook_configs:
        - url: {_url(settings, "ingest")}/webhook/alertmanager
          send_resolved: true
          max_alerts: 0"""


def _for_prometheus(settings: Settings) -> str:
    host, port = reachable(settings, "ingest")
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"""\
or, without an Alertmanager, prometheus.yml:
  alerting:
    alertmanagers:
      - api_version: v2
        static_configs:
          - targets: ['{target}']"""


def _first_page(settings: Settings) -> str:
    return f"""\
Open a first incident; pages over log: contacts appear here:
  curl -H 'Content-Type: application/json' -d {shlex.quote(FIRST_EVENT)} {_url(settings, "ingest")}/webhook/events

See it, and answer it:
  {_client(settings, "incident list")}
  {_client(settings, "incident ack INC-...")}"""


def _client(settings: Settings, words: str) -> str:
    """A client command that works from where the person stands: with the way to this `tocsin`, to this console and its token."""
    before = []
    if settings.storage_path != Path("data"):
        before.append(f"TOCSIN_STORAGE_PATH={shlex.quote(str(settings.storage_path.absolute()))}")
    url = _url(settings, "console")
    if url != DEFAULT_URL:
        before.append(f"TOCSIN_URL={url}")
    return " ".join([*before, program(), words])


def program() -> str:
    """How this program was called, as far as that can be repeated from here."""
    called = Path(sys.argv[0])
    return shlex.quote(str(called)) if called.name == "tocsin" else "tocsin"
