"""All settings of a process as one frozen value, from the command line and the environment.

Owns every flag, its variable, unit, default and reason, and every limit (named `..._max`). The flag `--web.read-timeout` is the variable
TOCSIN_WEB_READ_TIMEOUT; the command line wins. Durations are written as `15s`, sizes as `64MiB` or a number of bytes. What is said
about alerts and people is in alert_rules.yaml, not here.

Read `Settings` as the list of settings; `_KINDS` says how a text becomes a value and back.
"""

# ruff: noqa: RUF009 -- `_setting` returns the field itself, not a default

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, cast

from tocsin.policy.durations import DurationError, format_duration, parse_duration_ms
from tocsin.runtime import log
from tocsin.runtime.contactaddress import web_fault
from tocsin.runtime.yamltree import did_you_mean, shown

KIB: Final = 1_024
MIB: Final = 1_024 * KIB
SECRET_FILE_LENGTH_MAX: Final = 65_536

Kind: TypeAlias = Literal[
    "path", "directory", "address", "url", "store", "level", "format", "secret", "count", "bytes", "seconds", "milliseconds"
]


class SettingsInvalid(Exception):
    """A flag or a variable cannot be used; `problems` names each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Secret:
    """A text that shows as stars wherever it is printed; `reveal` returns it."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return log.STARS if self._text else "''"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("a secret is not pickled")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a role listens; port 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _setting(default: Any, flag: str, kind: Kind, reason: str, *, least: int = 0, most: int = 0, shown_in_repr: bool = True) -> Any:
    metadata = {"flag": flag, "kind": kind, "reason": reason, "least": least, "most": most}
    return dataclasses.field(default=default, metadata=metadata, repr=shown_in_repr)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting. `_s` are seconds, `_ms` milliseconds, `_bytes` bytes; what has no unit is a count."""

    # Where things are.
    config_file: Path | None = _setting(
        Path("alert_rules.yaml"), "config.file", "path", "The rules to check and publish; empty: follow what another process published."
    )
    storage_path: Path = _setting(
        Path("data"), "storage.path", "directory", "Embedded store, spool, read models; one directory to back up."
    )
    storage_url: str | None = _setting(
        None, "storage.url", "store", "A store of your own; empty: the embedded one. May hold a password.", shown_in_repr=False
    )
    ingest_address: Address = _setting(
        Address("127.0.0.1", 9095), "ingest.listen-address", "address", "Loopback, because without integration keys only it may push."
    )
    console_address: Address = _setting(
        Address("127.0.0.1", 9096), "console.listen-address", "address", "Loopback: put a proxy with TLS before it for phones."
    )
    correlator_address: Address = _setting(Address("127.0.0.1", 9097), "correlator.listen-address", "address", "Health and metrics.")
    notifier_address: Address = _setting(
        Address("127.0.0.1", 9098), "notifier.listen-address", "address", "Health, metrics, and what providers call back."
    )
    notifier_external_url: str = _setting(
        "", "notifier.external-url", "url", "What providers call back; empty: http:// and the notifier's address, which they cannot reach."
    )
    web_external_url: str = _setting(
        "", "web.external-url", "url", "Stands in the links of pages; empty: http:// and the console's address."
    )
    log_level: str = _setting("info", "log.level", "level", "One line per request or tick that did something.")
    log_format: str = _setting("logfmt", "log.format", "format", "logfmt reads well in a terminal, json in a log store.")
    admin_token: Secret = _setting(
        Secret(), "admin.token", "secret", "The first token of an administrator; empty: the first start makes one and says where it is."
    )
    # Of the client commands; not handed on to roles.
    url: str = _setting("http://127.0.0.1:9096", "url", "url", "The console that the client commands speak to.")
    token: Secret = _setting(Secret(), "token", "secret", "The token they show.")

    # What one body, alert and queue may hold. Alertmanager sends all alerts of a group in one body: 20,000 are some 10 MB.
    body_bytes_max: int = _setting(64 * MIB, "ingest.body-bytes-max", "bytes", "After decompression; more is refused with 413.", least=KIB)
    alerts_per_body_max: int = _setting(20_000, "ingest.alerts-per-body-max", "count", "More are refused with 413.", least=1)
    labels_per_alert_max: int = _setting(64, "ingest.labels-per-alert-max", "count", "An alert with more is refused alone.", least=1)
    label_name_bytes_max: int = _setting(
        128, "ingest.label-name-bytes-max", "bytes", "An alert with longer names is refused alone.", least=1
    )
    label_value_bytes_max: int = _setting(1_024, "ingest.label-value-bytes-max", "bytes", "A longer value is cut, with a mark.", least=16)
    annotation_bytes_max: int = _setting(8_192, "ingest.annotation-bytes-max", "bytes", "A longer text is cut, with a mark.", least=16)
    entry_bytes_max: int = _setting(
        65_536,
        "ingest.entry-bytes-max",
        "bytes",
        "Of one entry in the intake; bodies are split. 5 MB entries cost others 100 ms.",
        least=KIB,
    )
    backlog_entries_max: int = _setting(
        50_000,
        "ingest.backlog-entries-max",
        "count",
        "Waiting for the correlator, per shard; beyond it 503 until it is behind less.",
        least=1,
    )
    backlog_slow_entries: int = _setting(
        16, "ingest.backlog-slow-entries", "count", "From here on big bodies are answered later, so that small ones pass a storm.", least=1
    )
    bodies_at_once_max: int = _setting(
        8, "ingest.bodies-at-once-max", "count", "Big bodies read at once; each may take its whole size of memory.", least=1
    )
    read_timeout_s: float = _setting(15.0, "web.read-timeout", "seconds", "For headers and body: a silent client is let go.", least=1)
    resolve_timeout_ms: int = _setting(
        300_000, "ingest.resolve-timeout", "milliseconds", "An API v2 alert without endsAt is over after this; Alertmanager's own default.",
        least=1,
    )  # fmt: skip

    # The store and the work on it.
    shards: int = _setting(
        1,
        "store.shards",
        "count",
        "Parts that a cluster can hold apart; one is fastest on one server. Fixed once a store has data, because incidents live in one.",
        least=1,
        most=256,
    )
    lease_ms: int = _setting(
        15_000,
        "store.lease",
        "milliseconds",
        "A due incident that a process claimed and did not decide comes back after this; a process that starts takes it up at once.",
        least=1_000,
    )
    store_timeout_s: float = _setting(
        2.0, "store.timeout", "seconds", "One answer of the store; then 503, and the sender repeats.", least=1
    )
    connections_max: int = _setting(32, "store.connections-max", "count", "Of one role to the store; more commands wait a second.", least=2)
    tick_entries_max: int = _setting(512, "correlator.tick-entries-max", "count", "Intake entries read per shard and tick.", least=1)
    tick_timers_max: int = _setting(256, "notifier.tick-timers-max", "count", "Timers that are claimed per shard and tick.", least=1)
    tick_pages_max: int = _setting(256, "notifier.tick-pages-max", "count", "Pages that are claimed per shard and tick.", least=1)
    sends_at_once_max: int = _setting(64, "notifier.sends-at-once-max", "count", "Attempts under way in one notifier.", least=1)
    send_timeout_s: float = _setting(
        10.0, "notifier.send-timeout", "seconds", "One attempt over any channel; a claimed page is kept four times as long.", least=1
    )
    idle_s: float = _setting(0.2, "tick.idle", "seconds", "The longest rest of a loop that nothing wakes; bounds how late a rung is.")
    audit_every_s: float = _setting(60.0, "audit.every", "seconds", "How often the invariants are checked.", least=1)
    list_items_max: int = _setting(500, "console.list-items-max", "count", "Incidents in one answer; the rest follows by cursor.", least=1)
    event_streams_max: int = _setting(256, "console.event-streams-max", "count", "Browsers that follow live; more get 503.", least=1)
    drain_s: float = _setting(
        10.5, "drain.timeout", "seconds", "A stop waits this long for work under way, then 3 s for open requests; SIGKILL comes after 15 s."
    )

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str], overrides: Mapping[str, str] | None = None, *, read_file: Callable[[str], str] | None = None
    ) -> Settings:
        """Read all settings; `overrides` are flags without their dashes and win. Raises SettingsInvalid with every problem.

        A secret is also taken from the file that `<its variable>_FILE` names.
        """
        return _read(environ, overrides or {}, read_file or _read_secret_file)

    @classmethod
    def from_arguments(cls, arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
        """Read all settings from `--flag value` or `--flag=value` and the environment. Raises SettingsInvalid."""
        overrides, problems = _overrides(arguments)
        if problems:
            raise SettingsInvalid(tuple(problems))
        return cls.from_environment(environ, overrides)

    @property
    def external_url(self) -> str:
        """What links begin with, without a slash at the end."""
        return self.web_external_url.rstrip("/") or f"http://{self.console_address}"

    @property
    def callback_url(self) -> str:
        """What the addresses of callbacks begin with, without a slash at the end."""
        return self.notifier_external_url.rstrip("/") or f"http://{self.notifier_address}"

    def listen_address(self, role: str) -> tuple[str, int]:
        """Return host and port of a role's listener."""
        address = getattr(self, f"{role}_address")
        assert isinstance(address, Address), f"no role is called {role}"
        return address.host, address.port

    def role_environment(self) -> dict[str, str]:
        """Return the variables that give a child role these settings. They hold secrets: never log them."""
        return {
            _variable(field.metadata["flag"]): _text(field.metadata["kind"], getattr(self, field.name))
            for field in dataclasses.fields(self)
            if field.name not in _OF_CLIENTS
        }


_OF_CLIENTS: Final = frozenset({"url", "token"})


@dataclass(frozen=True, slots=True)
class SettingWords:
    """What there is to say about one setting: for `--help` and the documentation."""

    name: str
    flag: str
    variable: str
    default: str
    reason: str


def all_settings() -> tuple[SettingWords, ...]:
    """Describe every setting."""
    found = []
    for field in dataclasses.fields(Settings):
        flag, kind = field.metadata["flag"], field.metadata["kind"]
        found.append(SettingWords(field.name, f"--{flag}", _variable(flag), _text(kind, field.default), field.metadata["reason"]))
    return tuple(found)


def unknown_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return variables that begin with TOCSIN_ and are no setting, each with what may be meant; probably misspelt."""
    known = {_variable(field.metadata["flag"]) for field in dataclasses.fields(Settings)}
    known |= {f"{_variable(field.metadata['flag'])}_FILE" for field in dataclasses.fields(Settings) if field.metadata["kind"] == "secret"}
    return tuple(f"{name}{did_you_mean(name, known)}" for name in sorted(environ) if name.startswith("TOCSIN_") and name not in known)


def _variable(flag: str) -> str:
    return "TOCSIN_" + re.sub(r"[.-]", "_", flag).upper()


def _overrides(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    found: dict[str, str] = {}
    problems: list[str] = []
    rest = list(arguments)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        if not flag.startswith("--"):
            problems.append(f"{shown(flag)} is no flag, expected --name value")
        elif equals or rest:
            found[flag.removeprefix("--")] = value if equals else rest.pop(0)
        else:
            problems.append(f"{shown(flag)} has no value")
    return found, problems


def _read(environ: Mapping[str, str], overrides: Mapping[str, str], read_file: Callable[[str], str]) -> Settings:
    problems: list[str] = []
    values: dict[str, object] = {}
    given = {flag.removeprefix("--"): text for flag, text in overrides.items()}
    flags = [field.metadata["flag"] for field in dataclasses.fields(Settings)]
    problems += [
        f"unknown flag {shown('--' + flag)}{did_you_mean('--' + flag, ['--' + each for each in flags])}"
        for flag in given
        if flag not in flags
    ]
    for field in dataclasses.fields(Settings):
        flag, kind = field.metadata["flag"], field.metadata["kind"]
        variable = _variable(flag)
        try:
            if flag in given:
                name, text = f"--{flag}", given[flag]
            elif kind == "secret" and f"{variable}_FILE" in environ:
                name = f"{variable}_FILE"
                text = _secret_of(environ, variable, read_file)
            elif variable in environ:
                name, text = variable, environ[variable]
            else:
                continue
        except ValueError as error:
            problems.append(f"{variable}_FILE: {error}")
            continue
        try:
            values[field.name] = _bounded(_KINDS[cast("Kind", kind)][0](text), field)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise SettingsInvalid(tuple(problems))
    settings = Settings(**cast("dict[str, Any]", values))
    problems += _contradictions(settings)
    if problems:
        raise SettingsInvalid(tuple(problems))
    return settings


def _contradictions(settings: Settings) -> list[str]:
    problems = []
    if settings.label_value_bytes_max + settings.annotation_bytes_max > settings.entry_bytes_max:
        problems.append("--ingest.entry-bytes-max: is too small for a single label and annotation of the longest kind")
    return problems


def _secret_of(environ: Mapping[str, str], variable: str, read_file: Callable[[str], str]) -> str:
    if environ.get(variable):
        raise ValueError(f"{variable} is given as well, expected one of them")
    try:
        text = read_file(environ[f"{variable}_FILE"]).rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("the file is not UTF-8 text") from None
    except OSError as error:
        raise ValueError(f"the file cannot be read: {error.strerror}") from None
    if not text:
        raise ValueError("the file is empty")
    return text


def _read_secret_file(name: str) -> str:
    with Path(name).open(encoding="utf-8") as file:
        return file.read(SECRET_FILE_LENGTH_MAX)


def _bounded(value: object, field: dataclasses.Field[Any]) -> object:
    least, most = field.metadata["least"], field.metadata["most"]
    if isinstance(value, int | float) and (value < least or (most and value > most)):
        raise ValueError(f"expected {least} to {most}" if most else f"expected at least {least}")
    return value


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _directory(text: str) -> Path:
    if not text:
        raise ValueError("is empty, expected a directory")
    return Path(text)


_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.%]+)\]|(?P<host>[^\s:\[\]]*)):(?P<port>[0-9]{1,5})")


def _address(text: str) -> Address:
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > 65_535:
        raise ValueError("expected HOST:PORT, as in 127.0.0.1:9095")
    return Address(found["six"] or found["host"] or "0.0.0.0", int(found["port"]))  # noqa: S104  as Prometheus reads `:9095`


def _url(text: str) -> str:
    fault = web_fault(text, what="an address") if text else None
    if fault is not None:
        raise ValueError(fault)
    return text


def _store_url(text: str) -> str | None:
    if text and not text.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("expected redis://, rediss:// or unix://")
    return text or None


def _one_of(known: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"expected {' or '.join(known)}{did_you_mean(text, known)}")
        return text

    return read


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise ValueError("expected a whole number")
    return int(text)


_SIZES: Final = {"": 1, "B": 1, "KiB": KIB, "MiB": MIB, "GiB": KIB * MIB}


def _bytes(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,12})([A-Za-z]*)", text)
    if found is None or found[2] not in _SIZES:
        raise ValueError("expected a size such as 64MiB, 8KiB or 1024")
    return int(found[1]) * _SIZES[found[2]]


def _milliseconds(text: str) -> int:
    try:
        return parse_duration_ms(text)
    except DurationError as error:
        raise ValueError(str(error)) from None


def _seconds(text: str) -> float:
    return _milliseconds(text) / 1000


# For each kind: how its text is read (ValueError when it cannot be) and how it is written.
_KINDS: Final[Mapping[Kind, tuple[Callable[[str], object], Callable[[Any], str]]]] = {
    "path": (_path, lambda value: str(value or "")),
    "directory": (_directory, str),
    "address": (_address, str),
    "url": (_url, str),
    "store": (_store_url, lambda value: value or ""),
    "level": (_one_of(log.LEVELS), str),
    "format": (_one_of(log.FORMATS), str),
    "secret": (Secret, Secret.reveal),
    "count": (_count, str),
    "bytes": (_bytes, str),
    "seconds": (_seconds, lambda value: format_duration(round(value * 1000))),
    "milliseconds": (_milliseconds, format_duration),
}


def _text(kind: Kind, value: object) -> str:
    return _KINDS[kind][1](value)
