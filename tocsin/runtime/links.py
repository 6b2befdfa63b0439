"""Answer links: `/a/<token>` in a page, signed so that whoever received the page may answer it, and nobody else.

A token names incidents, person and end; it holds no other data and is the same for every copy of a page. The notifier makes them, the
console reads them; both take the key from the store (`Store.signing_key`). It looks like `2a.6a1f3c80.a2lt.<22 characters of HMAC-SHA256>`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from itsdangerous import BadSignature, HMACAlgorithm, Signer
from itsdangerous.encoding import base64_decode, base64_encode
from itsdangerous.exc import BadData

TOKEN_CHARACTERS_MAX = 512

LINK_INCIDENTS_MAX = 20
"""Incidents that one link may take; a page that names more has a link to the gravest ones."""

_SALT = b"tocsin.answer-link"


@dataclass(frozen=True, slots=True)
class Link:
    """A link that may be used: `person` (a key of the rules) may answer these incidents, gravest first, until `expires_at` (ms UTC)."""

    incidents: tuple[int, ...]
    person: str
    expires_at: int

    @property
    def incident(self) -> int:
        """The number of the gravest."""
        return self.incidents[0]


@dataclass(frozen=True, slots=True)
class LinkExpired:
    """A link of ours whose time is over."""

    link: Link


@dataclass(frozen=True, slots=True)
class LinkInvalid:
    """Not a link that was signed with this key."""


class _HalfOfSha256(HMACAlgorithm):
    """HMAC-SHA256 cut to 128 bits: links stand in text messages, so each character counts."""

    def __init__(self) -> None:
        super().__init__(hashlib.sha256)

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return super().get_signature(key, value)[:16]


def make_token(key: str, *, incidents: Sequence[int], person: str, expires_at: int) -> str:
    """Return the token of a link to at most `LINK_INCIDENTS_MAX` incidents; `expires_at` (ms UTC) is rounded up to a second."""
    numbers = "-".join(f"{number:x}" for number in incidents[:LINK_INCIDENTS_MAX])
    person_part = base64_encode(person).decode()
    return _signer(key).sign(f"{numbers}.{-(-expires_at // 1000):x}.{person_part}").decode()


def read_token(key: str, token: str, now: int) -> Link | LinkExpired | LinkInvalid:
    """Return what a token allows at `now` (ms UTC)."""
    if len(token) > TOKEN_CHARACTERS_MAX or not token.isascii():
        return LinkInvalid()
    try:
        numbers, expires_s, person = _signer(key).unsign(token).decode().split(".")
        incidents = tuple(int(number, 16) for number in numbers.split("-"))
        link = Link(incidents, base64_decode(person).decode(), int(expires_s, 16) * 1000)
    except (BadSignature, BadData, ValueError):
        return LinkInvalid()
    return LinkExpired(link) if link.expires_at <= now else link


def _signer(key: str) -> Signer:
    return Signer(key, salt=_SALT, algorithm=_HalfOfSha256(), digest_method=hashlib.sha256)
