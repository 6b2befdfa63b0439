"""Every key of the store: its name, Redis type and meaning. No other file spells a key.

Keys of a shard share the hash tag `{sNN}`, so one script may touch them all and a cluster keeps them together. Nothing needs two shards at
once. Keys that begin with `tocsin:` are global, small, and used one at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

RULES = "tocsin:rules"
"""Hash: `version`, `text`, `sha256`, `file_name`, `published_at`: the rules in force, as written (secrets unresolved)."""

TOKENS = "tocsin:tokens"
"""Hash: SHA-256 of an API token -> JSON of its name and role."""

SIGNING_KEY = "tocsin:signing-key"
"""String: the key that signs the answer links of pages."""

HEARTBEATS = "tocsin:heartbeats"
"""Hash: role -> ms UTC at which it last said that it works."""

LAYOUT = "tocsin:layout"
"""Hash: `schema` and `shards`, written once; a process with other values refuses to start."""

SENDS = "tocsin:sends"
"""Hash: hashed account or contact -> JSON of its last sends: what the notifier's limits must know after a restart."""

DEAD_LETTERS = "tocsin:dead-letters"
"""Stream: what could not be read, raw, with the reason."""

ROSTER = "tocsin:{roster}"
"""Hash: `version`, `document` (what people have changed about who is on call), `tip` (hash of its history)."""

ROSTER_HISTORY = "tocsin:{roster}:history"
"""Stream: one entry for each change of the roster, chained by hash; in the slot of the roster, because one script writes both."""

NOTICES = "tocsin:notices"
"""Hash: name of a hand-over or gap notice that was made -> JSON of what it said, to whom, and until when that matters."""

FEEDS = "tocsin:feeds"
"""Hash: subject of a calendar feed -> the generation of addresses that is valid."""

CHANGES = "tocsin:changes"
"""Channel: one JSON message for each commit and each new version of rules or roster. A lost message costs a second, never a page."""

INTAKE_BELL = "tocsin:intake"
"""Channel: rung when ingest has appended."""


@dataclass(frozen=True, slots=True)
class ShardKeys:
    """The keys of one shard."""

    shard: int

    def _key(self, name: str) -> str:
        return f"{{s{self.shard:02d}}}:{name}"

    @property
    def meta(self) -> str:
        """Hash: `cursor` (last intake entry applied), `seq` (last number given), `clock`, `tip` (history hash), `fence:<role>`."""
        return self._key("meta")

    @property
    def intake(self) -> str:
        """Stream: what ingest accepted and the correlator has not applied yet; trimmed only behind the cursor."""
        return self._key("intake")

    @property
    def incidents(self) -> str:
        """Hash: number -> incident document."""
        return self._key("incidents")

    @property
    def versions(self) -> str:
        """Hash: number -> version of the incident document."""
        return self._key("versions")

    @property
    def timers(self) -> str:
        """Sorted set: number -> ms UTC at which the incident is due, or until which its claim holds."""
        return self._key("timers")

    @property
    def outbox(self) -> str:
        """Sorted set: page id -> ms UTC at which its next attempt is due, or until which its claim holds."""
        return self._key("outbox")

    @property
    def begun(self) -> str:
        """Hash: page id -> attempts that were begun and whose outcome is not known to be 'not delivered'."""
        return self._key("begun")

    @property
    def claims(self) -> str:
        """Hash: claimed member of `timers` or `outbox` -> when it was due, so that a new holder can take up a dead one's work at once."""
        return self._key("claims")

    @property
    def history(self) -> str:
        """Stream: one entry for each change of an incident, chained by hash."""
        return self._key("history")

    @property
    def groups(self) -> str:
        """Hash: grouping key -> number of its newest incident that is not closed."""
        return self._key("groups")

    def alerts(self, number: int) -> str:
        """Hash: alert key -> alert record, for the alerts of one incident."""
        return self._key(f"alerts:{number}")
