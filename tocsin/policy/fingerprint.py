"""Alertmanager's fingerprint of a label set, which people see.

It is 64 bits of a hash anyone can make collide, and it does not know who sent the alert: show it, link with it, never decide by it. The
identity of an alert inside is `ingest/identity.py`.

Empty labels are not dropped: a server treats `x=""` as no x, and the edge that reads a payload must have removed them.
"""

from collections.abc import Mapping

_FNV_OFFSET = 0xCBF29CE484222325
_FNV_PRIME = 0x100000001B3
_MASK = 0xFFFFFFFFFFFFFFFF

# The byte 0xFF occurs in no UTF-8 text, so it parts names and values without any length or escape.
_SEPARATOR = b"\xff"


def fingerprint(labels: Mapping[str, str]) -> str:
    """The 16 hexadecimal digits Prometheus and Alertmanager show for these labels: 64-bit FNV-1a.

    Name and value of each label, in the order of the names, each followed by 0xFF (reference/alertmanager.md 2.3).
    A byte at a time in Python: some 10 us for six labels, so compute it where it is shown.
    """
    digest = _FNV_OFFSET
    for name in sorted(labels):  # by code points, which is the order of the UTF-8 bytes
        for text in (name, labels[name]):
            for byte in text.encode("utf-8", "surrogatepass") + _SEPARATOR:
                digest = ((digest ^ byte) * _FNV_PRIME) & _MASK
    return f"{digest:016x}"
