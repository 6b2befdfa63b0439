"""Whether a text names a time zone of the IANA database (the system's, else the `tzdata` package)."""

from __future__ import annotations

from zoneinfo import ZoneInfo, available_timezones

from tocsin.runtime.yamltree import did_you_mean, shown


def zone_fault(name: str) -> str | None:
    """Say why a name is no time zone, None when it is."""
    try:
        ZoneInfo(name)
    except (OSError, ValueError, LookupError):  # ZoneInfo reads files: a directory, a path upwards, no such zone
        meant = did_you_mean(name, available_timezones(), likeness=0.75)
        return f"unknown time zone {shown(name)}{meant or ','} expected one such as Asia/Seoul or UTC"
    return None
