"""The read model: incidents and their history in SQLite, so that lists, filters and streams cost the store nothing.

Built from the history streams of the store alone and rebuildable from them at any time: what cannot be opened, or was laid out otherwise,
is deleted and built again. The cursor of each shard is kept in the transaction that applies its entries. Never on the paging path.

Every method here is synchronous, takes the lock and may be called from any thread; `reading.py` is the asynchronous side.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from tocsin.policy.model import Incident, PageStatus
from tocsin.store.codec import IncidentReader

SCHEMA_VERSION: Final = 3

_SCHEMA: Final = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE cursors (shard INTEGER PRIMARY KEY, entry TEXT NOT NULL, hash TEXT NOT NULL);
CREATE TABLE incidents (
    number INTEGER PRIMARY KEY, version INTEGER NOT NULL, state TEXT NOT NULL, severity INTEGER NOT NULL, service TEXT NOT NULL,
    opened_at INTEGER NOT NULL, searched TEXT NOT NULL
);
CREATE INDEX incidents_by_opening ON incidents (opened_at DESC, number DESC);
CREATE INDEX incidents_by_state ON incidents (state, severity);
CREATE TABLE documents (number INTEGER PRIMARY KEY, document BLOB NOT NULL);
CREATE TABLE history (
    id INTEGER PRIMARY KEY AUTOINCREMENT, incident INTEGER NOT NULL, version INTEGER NOT NULL, at INTEGER NOT NULL, event TEXT NOT NULL,
    reason TEXT NOT NULL, actor TEXT NOT NULL, state TEXT NOT NULL, inputs BLOB NOT NULL, entry TEXT NOT NULL
);
CREATE UNIQUE INDEX history_of_incident ON history (incident, version);
CREATE TABLE reached (person TEXT NOT NULL, contact INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (person, contact)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class ReadEntry:
    """An entry of a shard's history stream: its id, the chain's hash after it, its payload."""

    shard: int
    id: str
    payload: bytes
    hash: str


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one incident, in the order in which this read model heard of them (`id`). `at` in ms UTC."""

    id: int
    incident: int
    version: int
    at: int
    event: str
    reason: str
    actor: str
    state: str
    inputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Position:
    """Where a list goes on: behind this incident, newest first."""

    opened_at: int
    number: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which incidents to list; empty means all."""

    states: tuple[str, ...] = ()
    severities: tuple[int, ...] = ()
    service: str = ""
    text: str = ""
    after: Position | None = None
    limit: int = 50


class ReadModel:
    """The tables and the questions asked of them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._reader = IncidentReader()
        self._db = self._open()
        self.generation = self._about("generation")

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(sqlite3.DatabaseError):
            db = _connect(self._path)
            try:
                found = db.execute("SELECT value FROM about WHERE name = 'schema'").fetchone()
                if found == (str(SCHEMA_VERSION),):
                    return db
            except sqlite3.DatabaseError:
                pass
            db.close()
        return self._create()

    def _create(self) -> sqlite3.Connection:
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        db = _connect(self._path)
        db.executescript(_SCHEMA)
        about = [("schema", str(SCHEMA_VERSION)), ("generation", secrets.token_hex(4))]
        db.executemany("INSERT INTO about VALUES (?, ?)", about)
        return db

    def rebuild(self) -> None:
        """Forget everything: the store is another one than the read model was built from."""
        with self._lock:
            self._db.close()
            self._db = self._create()
            self.generation = self._about("generation")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _about(self, name: str) -> str:
        return str(self._db.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()[0])

    # --- building ------------------------------------------------------------------------------------------------------------------

    def cursors(self) -> dict[int, tuple[str, str]]:
        """Return, for each shard read from so far, the last entry's id and hash."""
        with self._lock:
            return {shard: (entry, digest) for shard, entry, digest in self._db.execute("SELECT shard, entry, hash FROM cursors")}

    def apply(self, entries: Sequence[ReadEntry]) -> int:
        """Take up history entries, of any shards, each shard's in order; return how many were new. All or nothing."""
        with self._lock, self._transaction():
            cursors: dict[int, str] = dict(self._db.execute("SELECT shard, entry FROM cursors"))
            fresh = [entry for entry in entries if _is_behind(cursors.get(entry.shard, "0-0"), entry.id)]
            changes = [(entry, orjson.loads(entry.payload)) for entry in fresh]
            documents = self._documents({change["incident"] for _, change in changes})
            rows = []
            for entry, change in changes:
                document = documents.setdefault(change["incident"], {})
                document |= change["changes"]
                columns = [change[name] for name in ("incident", "version", "at", "event", "reason", "actor")]
                rows.append((*columns, document.get("state", ""), orjson.dumps(change["inputs"]), entry.id))
            self._db.executemany(_INSERT_CHANGE, rows)
            # The first entry of an incident holds every field; one whose beginning was trimmed away cannot be shown.
            whole = [document for document in documents.values() if "number" in document]
            self._db.executemany("INSERT OR REPLACE INTO incidents VALUES (?,?,?,?,?,?,?)", map(_incident_row, whole))
            written = [(document["number"], orjson.dumps(document)) for document in whole]
            self._db.executemany("INSERT OR REPLACE INTO documents VALUES (?,?)", written)
            self._db.executemany(_REACHED, _reached(change["changes"] for _, change in changes))
            last = {entry.shard: (entry.shard, entry.id, entry.hash) for entry in fresh}
            self._db.executemany("INSERT OR REPLACE INTO cursors VALUES (?,?,?)", last.values())
        return len(fresh)

    def _documents(self, numbers: Iterable[int]) -> dict[int, dict[str, Any]]:
        found = {}
        for number in numbers:
            row = self._db.execute("SELECT document FROM documents WHERE number = ?", (number,)).fetchone()
            if row is not None:
                found[number] = orjson.loads(row[0])
        return found

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # --- asking --------------------------------------------------------------------------------------------------------------------

    def incidents(self, wanted: Wanted) -> list[Incident]:
        """Return incidents, the newest opening first."""
        where, values = _conditions(wanted)
        # The documents are apart, so that a search reads only the narrow rows.
        query = f"SELECT number FROM incidents {where} ORDER BY opened_at DESC, number DESC LIMIT ?"  # noqa: S608  no text of a caller
        with self._lock:
            numbers = self._db.execute(query, [*values, wanted.limit]).fetchall()
            rows = [self._db.execute("SELECT document FROM documents WHERE number = ?", number).fetchone() for number in numbers]
        return [self._reader.replay([{"changes": orjson.loads(document)}]) for (document,) in rows]

    def history(self, number: int, most: int) -> list[Change]:
        """Return the newest changes of an incident, oldest first."""
        query = f"SELECT {_CHANGE} FROM history WHERE incident = ? ORDER BY version DESC LIMIT ?"  # noqa: S608  ours
        with self._lock:
            rows = self._db.execute(query, (number, most)).fetchall()
        return [_change(row) for row in reversed(rows)]

    def entries(self, number: int, after: int, most: int) -> list[str]:
        """Return the ids that changes of an incident have in its shard's history stream: those behind a version, oldest first."""
        query = "SELECT entry FROM history WHERE incident = ? AND version > ? ORDER BY version LIMIT ?"
        with self._lock:
            return [entry for (entry,) in self._db.execute(query, (number, after, most))]

    def changes_after(self, change_id: int, most: int) -> list[Change]:
        """Return changes heard of after one, oldest first."""
        query = f"SELECT {_CHANGE} FROM history WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608  ours
        with self._lock:
            rows = self._db.execute(query, (change_id, most)).fetchall()
        return [_change(row) for row in rows]

    def last_change(self) -> int:
        """Return the id of the newest change, 0 when there is none."""
        with self._lock:
            return int(self._db.execute("SELECT coalesce(max(id), 0) FROM history").fetchone()[0])

    def reached(self) -> dict[tuple[str, int], int]:
        """Return when (ms UTC) a provider last took a page, by person and number of the contact."""
        with self._lock:
            return {(person, contact): at for person, contact, at in self._db.execute("SELECT person, contact, at FROM reached")}

    def counts(self) -> dict[tuple[str, int], int]:
        """Return how many incidents there are for each state and severity, the closed ones left out."""
        query = "SELECT state, severity, count(*) FROM incidents WHERE state <> 'closed' GROUP BY state, severity"
        with self._lock:
            return {(state, severity): count for state, severity, count in self._db.execute(query)}


_INSERT_CHANGE: Final = (
    "INSERT OR REPLACE INTO history (incident, version, at, event, reason, actor, state, inputs, entry) VALUES (?,?,?,?,?,?,?,?,?)"
)
_CHANGE: Final = "id, incident, version, at, event, reason, actor, state, inputs"


_REACHED: Final = "INSERT INTO reached VALUES (?,?,?) ON CONFLICT DO UPDATE SET at = max(at, excluded.at)"


def _reached(changes: Iterable[Mapping[str, Any]]) -> list[tuple[str, int, int]]:
    """Return (person, contact, when) of the pages in these changes that a provider took and did not lose."""
    found: dict[tuple[str, int], int] = {}
    for change in changes:
        for page in change.get("pages", ()):
            if page["status"] == PageStatus.SENT and page["settled_at"] is not None and not page.get("receipt_missed"):
                key = (page["person"], page["contact"])
                found[key] = max(found.get(key, 0), page["settled_at"])
    return [(person, contact, at) for (person, contact), at in found.items()]


def _change(row: Sequence[Any]) -> Change:
    change_id, incident, version, at, event, reason, actor, state, inputs = row
    return Change(change_id, incident, version, at, event, reason, actor, state, orjson.loads(inputs))


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    # Rebuildable: what a power cut takes is read from the store again, so nothing here waits for the disk.
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = OFF")
    except sqlite3.DatabaseError:
        db.close()  # not a database
        raise
    return db


def _is_behind(cursor: str, entry: str) -> bool:
    return _stream_order(cursor) < _stream_order(entry)


def _stream_order(entry: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry.partition("-")
    return int(milliseconds), int(sequence)


def _incident_row(document: Mapping[str, Any]) -> tuple[object, ...]:
    labels = document["labels"]
    searched = "\n".join([f"INC-{document['number']}", document["title"], *(f"{name}={value}" for name, value in labels.items())])
    return (
        document["number"],
        document["version"],
        document["state"],
        document["severity"],
        document["service"],
        document["opened_at"],
        searched.casefold(),
    )


def _conditions(wanted: Wanted) -> tuple[str, list[object]]:
    parts: list[str] = []
    values: list[object] = []
    if wanted.states:
        parts.append(f"state IN ({', '.join('?' * len(wanted.states))})")
        values += wanted.states
    if wanted.severities:
        parts.append(f"severity IN ({', '.join('?' * len(wanted.severities))})")
        values += wanted.severities
    if wanted.service:
        parts.append("service = ?")
        values.append(wanted.service)
    if wanted.text:
        parts.append("searched LIKE ? ESCAPE '\\'")
        literal = wanted.text.casefold().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        values.append(f"%{literal}%")
    if wanted.after is not None:
        parts.append("(opened_at, number) < (?, ?)")
        values += (wanted.after.opened_at, wanted.after.number)
    return (f"WHERE {' AND '.join(parts)}" if parts else ""), values
