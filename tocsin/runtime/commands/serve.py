"""`tocsin serve [ROLE...]`: everything under one supervisor, or one role in this very process.

Owns the way from the command line to running processes: settings, the look at the rules before anything starts, the administrator's token,
the embedded store, the commands of the roles. `supervisor.py` keeps them alive, `first_steps.py` says what to do next.

The supervisor outlives everything else, so it stays light: the rules are checked in a short-lived process, and neither the web server nor
pydantic is imported here.
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tocsin.runtime.client import ADMIN_TOKEN_FILE
from tocsin.runtime.clock import Clock, SystemClock
from tocsin.runtime.commands.first_steps import first_steps, until_ready
from tocsin.runtime.commands.terminal import say, warn
from tocsin.runtime.log import configure_logging, get_logger
from tocsin.runtime.settings import Secret, Settings, SettingsInvalid, all_settings, unknown_variables
from tocsin.runtime.supervisor import STOP_LIMIT_S, CannotStart, Child, Supervisor

ROLES: Final = ("ingest", "correlator", "notifier", "console")
"""In the order in which they are asked to end."""

EXIT_FAILED, EXIT_USAGE, EXIT_RULES_INVALID = 1, 2, 4
CHECK_LIMIT_S: Final = 60.0
ADDRESS_POLL_S: Final = 0.2
PRIVATE: Final = frozenset({"TOCSIN_TOKEN", "TOCSIN_TOKEN_FILE", "TOCSIN_ADMIN_TOKEN_FILE"})
"""Variables that are not handed on: what they say is in the settings already, or is no business of a role."""


class CannotServe(Exception):
    """Nothing was started; `exit_code` says why."""

    def __init__(self, problem: str, exit_code: int = EXIT_FAILED) -> None:
        super().__init__(problem)
        self.exit_code = exit_code


def serve(arguments: Sequence[str]) -> int:
    """Run what `arguments` (roles and flags) name; return the exit code."""
    if {"--help", "-h"} & set(arguments):
        _say_help()
        return 0
    try:
        roles, settings = _read(arguments)
        if len(roles) == 1:
            _become(roles[0], settings)
        return _serve(roles or ROLES, settings, with_store=not roles)
    except CannotServe as error:
        for line in str(error).splitlines():
            warn(line)
        return error.exit_code


def _read(arguments: Sequence[str]) -> tuple[tuple[str, ...], Settings]:
    """Roles in their order, and the settings that the flags and the environment amount to."""
    wanted, flags = split_arguments(arguments)
    unknown = [name for name in wanted if name not in ROLES]
    if unknown:
        raise CannotServe(f"there is no role {unknown[0]!r}: roles are {', '.join(ROLES)}", EXIT_USAGE)
    try:
        settings = Settings.from_arguments(flags, os.environ)
    except SettingsInvalid as error:
        raise CannotServe(str(error), EXIT_USAGE) from error
    if len(set(wanted)) > 1 and settings.storage_url is None:
        raise CannotServe(
            "some roles without the others share a store: give --storage.url, or name no role to start everything", EXIT_USAGE
        )
    return tuple(name for name in ROLES if name in wanted), settings


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Bare words, and flags with their values (`--flag value` or `--flag=value`)."""
    words, flags = list[str](), list[str]()
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-"):
            words.append(argument)
            continue
        flags.append(argument)
        if "=" not in argument:
            flags.extend(value for value in [next(rest, None)] if value is not None)
    return words, flags


def _become(role: str, settings: Settings) -> None:
    """Do exactly what `python -m ROLE` does, in this process."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, role_command(role), _environment(settings))  # noqa: S606  no shell is the point


def role_command(role: str) -> list[str]:
    """The command of a role. -P: a folder `console` where the user stands must not be taken for ours."""
    return [sys.executable, "-P", "-m", role]


def _environment(settings: Settings) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in PRIVATE} | settings.role_environment()


def _serve(roles: Sequence[str], settings: Settings, *, with_store: bool) -> int:
    configure_logging(level=settings.log_level, fmt=settings.log_format, role="supervisor")
    log = get_logger()
    for name in unknown_variables(os.environ):
        log.warning("variable_unknown", variable=name)
    clock = SystemClock()
    _check_rules(settings)
    settings, token_file = _with_admin_token(settings)
    store = None
    if with_store and settings.storage_url is None:
        from tocsin.runtime.commands.embedded import EmbeddedStore  # noqa: PLC0415  the store's client takes 10 MB: only where it is used

        store = EmbeddedStore(settings.storage_path)

    async def children() -> list[Child]:
        await _wait_for_addresses(roles, settings, clock)
        served = settings if store is None else dataclasses.replace(settings, storage_url=store.url)
        return [_child(role, served) for role in roles]

    async def announce() -> None:
        await until_ready(roles, settings, log)
        say(first_steps(roles, settings, token_file))

    async def run() -> int:
        return await Supervisor(children, store=store, monotonic=clock.monotonic, log=log, when_started=announce).run()

    return asyncio.run(run())


def _child(role: str, settings: Settings) -> Child:
    """Only the console learns the administrator's token."""
    own = settings if role == "console" else dataclasses.replace(settings, admin_token=Secret())
    return Child(role, tuple(role_command(role)), _environment(own))


def _check_rules(settings: Settings) -> None:
    """Have the rules checked in a process that ends: what the check needs would otherwise stay in memory for years."""
    if settings.config_file is None:
        return
    command = [sys.executable, "-P", "-m", "tocsin.runtime.cli", "check", "--", str(settings.config_file)]
    try:
        checked = subprocess.run(command, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL, timeout=CHECK_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise CannotServe(f"{settings.config_file}: the check had not ended after {CHECK_LIMIT_S:g} s") from error
    if checked.returncode == EXIT_RULES_INVALID:
        advice = f"write the rules to {settings.config_file}, or name a good file with --config.file"
        raise CannotServe(f"{checked.stdout.rstrip()}\n{advice}", EXIT_RULES_INVALID)
    if checked.returncode != 0:
        raise CannotServe(f"{settings.config_file}: the check failed with exit code {checked.returncode}\n{checked.stdout.rstrip()}")
    for line in checked.stdout.splitlines()[1:]:
        warn(line)


async def _wait_for_addresses(roles: Sequence[str], settings: Settings, clock: Clock) -> None:
    """Refuse addresses that somebody else has; roles of a supervisor that was killed give theirs back within 15 s."""
    give_up_s = clock.monotonic() + STOP_LIMIT_S
    told = False
    for role in roles:
        while (problem := _address_problem(role, settings)) is not None:
            if problem.errno != errno.EADDRINUSE or clock.monotonic() >= give_up_s:
                host, port = settings.listen_address(role)
                why = f"{host}:{port} cannot be used ({os.strerror(problem.errno or 0)})"
                raise CannotStart(f"{why}: end what listens there, or choose another --{role}.listen-address")
            if not told:
                warn(f"an address is in use: waiting up to {STOP_LIMIT_S:g} s for an earlier {role} to end")
                told = True
            await asyncio.sleep(ADDRESS_POLL_S)


def _address_problem(role: str, settings: Settings) -> OSError | None:
    host, port = settings.listen_address(role)
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, port), family=family):
            return None
    except OSError as error:
        return error


def _with_admin_token(settings: Settings) -> tuple[Settings, Path | None]:
    """The settings with an administrator's token: the given one, else the one of an earlier start, else a new one; and its file."""
    try:
        settings.storage_path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if settings.admin_token:
            return settings, None
        file = settings.storage_path.absolute() / ADMIN_TOKEN_FILE
        token = admin_token(file)
    except OSError as error:
        raise CannotServe(f"{error.filename}: {error.strerror}: choose another --storage.path, or put its permissions right") from error
    return dataclasses.replace(settings, admin_token=Secret(token)), file


def admin_token(file: Path) -> str:
    """The token in `file`; a new one is written first, whole or not at all, when there is none."""
    try:
        token = file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        token = ""
    if token:
        return token
    token = secrets.token_urlsafe(32)
    draft = file.with_name(f"{file.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:
        out.write(f"{token}\n")
    draft.replace(file)
    return token


def _say_help() -> None:
    say("Usage: tocsin serve [ROLE...] [--FLAG VALUE...]\n")
    say(f"Runs Tocsin. Roles are {', '.join(ROLES)}; without a role all of them run,")
    say("and the embedded store too unless --storage.url is given. One role runs as `python -m ROLE` does.\n")
    say("Flags, each also as the variable named; the command line wins:")
    for setting in all_settings():
        if setting.name in {"url", "token"}:
            continue
        default = f" [{setting.default}]" if setting.default else ""
        say(f"  {setting.flag}  {setting.variable}{default}\n      {setting.reason}")
