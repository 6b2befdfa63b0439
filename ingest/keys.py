"""Who may push: the key of a request, and the integration that it belongs to.

Only the SHA-256 of a key is known here. Without any integration in the rules, programs on this machine may push, and nobody else: no
browser (it sends `Origin`) and nothing that a proxy passes on.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode
from collections.abc import Mapping
from hashlib import sha256
from ipaddress import ip_address
from typing import Final

from tocsin.policy.rules import Integration

DEFAULT: Final = Integration("default", "")
"""Who pushes when no integration is configured."""

_PASSED_ON: Final = ("Origin", "Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


class Keyring:
    """The integrations of one version of the rules."""

    def __init__(self, integrations: tuple[Integration, ...]) -> None:
        self._by_digest = {integration.key_sha256: integration for integration in integrations}

    @property
    def is_empty(self) -> bool:
        """Whether nobody needs a key."""
        return not self._by_digest

    def integration_of(self, headers: Mapping[str, str], peer: str | None) -> Integration | None:
        """Return who sends a request, None when it may not push. `peer` is the address of the other end, None on a Unix socket."""
        if not self._by_digest:
            local = peer is None or is_loopback(peer)
            return DEFAULT if local and not any(name in headers for name in _PASSED_ON) else None
        key = shown_key(headers.get("Authorization", ""))
        if key is None:
            return None
        digest = sha256(key).hexdigest()
        found = self._by_digest.get(digest)
        return found if found is not None and hmac.compare_digest(found.key_sha256, digest) else None


def shown_key(authorization: str) -> bytes | None:
    """Return the key of an `Authorization` header, None when there is none: a bearer token, or the password of any user."""
    scheme, _, rest = authorization.partition(" ")
    rest = rest.strip()
    match scheme.lower():
        case "bearer":
            return rest.encode("utf-8", "surrogateescape") or None
        case "basic":
            try:
                _, _, password = b64decode(rest, validate=True).partition(b":")
            except (binascii.Error, ValueError):
                return None
            return password or None
        case _:
            return None


def is_loopback(peer: str) -> bool:
    """Whether an address is this machine's own."""
    if peer.startswith("127."):
        return True
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
