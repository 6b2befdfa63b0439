"""Whether an account's provider answers: after failures in a row its pages are not waited for, they go over the next contact.

Closed, everything passes. Open, nothing does but one probe (a real page) every few seconds, until a provider's answer, of whatever kind,
closes it.
"""

from __future__ import annotations

FAILURES_MAX = 5
"""So many attempts in a row without the provider taking or refusing anything open it."""

PROBE_EVERY_MS = 5_000


class Breaker:
    """The state of one account. All instants in ms UTC."""

    __slots__ = ("_probing", "failures", "probe_at")

    def __init__(self) -> None:
        self.failures = 0
        self.probe_at = 0
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether pages are answered at once."""
        return self.failures >= FAILURES_MAX

    def may_probe(self, now: int) -> bool:
        """Whether one page may go out although it is open."""
        return self.is_open and not self._probing and now >= self.probe_at

    def probe_begins(self) -> None:
        """One page goes out."""
        self._probing = True

    def answered(self) -> bool:
        """The provider took or refused a page; return whether that closes it."""
        was_open = self.is_open
        self.failures, self._probing = 0, False
        return was_open

    def failed(self, now: int) -> bool:
        """An attempt had no answer that counts; return whether that opens it."""
        was_open = self.is_open
        self.failures += 1
        self._probing = False
        self.probe_at = now + PROBE_EVERY_MS
        return self.is_open and not was_open

    def not_tried(self) -> None:
        """The probe was not wanted any more before it went out."""
        self._probing = False
