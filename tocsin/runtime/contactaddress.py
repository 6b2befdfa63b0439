"""What is wrong with an address: of a contact (`webhook+https://...`, `mailto:...`, `log:`), a mail account, a runbook.

Owns the schemes and what each must hold. Does not send anything (the channels do) and never repeats an address, which may hold a password
or a token: a fault names the scheme at most.
"""

from __future__ import annotations

import re
from email.utils import parseaddr
from urllib.parse import SplitResult, unquote, urlsplit

from tocsin.runtime.yamltree import did_you_mean, shown

SCHEMES = ("log", "webhook+http", "webhook+https", "mailto")
"""What there is a channel for."""

SCHEMES_LATER = ("slack", "telegram", "teams+https", "ntfy+https", "sms", "tel", "dingtalk+https", "wecom+https", "feishu+https", "apprise")
"""What there will be a channel for."""

ADDRESS_LENGTH_MAX = 2_048
MAIL_LENGTH_MAX = 254
"""The longest mail address, RFC 5321 4.5.3.1.3 with its errata."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}):")
_MAIL = re.compile(r"[!-?A-~]{1,64}@[^\s@\"<>(),;:\\/?#\[\]]+", re.ASCII)


def scheme_of(address: str) -> str:
    """Return what stands before the colon, empty when there is none."""
    found = _SCHEME.match(address)
    return "" if found is None else found[1]


def contact_fault(address: str, *, has_mail: bool) -> str | None:
    """Say why a contact cannot be used, None when it can."""
    scheme = scheme_of(address)
    if not scheme:
        return f"the address has no scheme, expected one of {_available()}"
    if scheme in SCHEMES_LATER:
        return f"{scheme}: contacts are not available yet, expected one of {_available()}"
    if scheme not in SCHEMES:
        return f"unknown scheme {shown(scheme)}{did_you_mean(scheme, SCHEMES + SCHEMES_LATER) or ','} expected one of {_available()}"
    if len(address) > ADDRESS_LENGTH_MAX:
        return f"the address has {len(address)} characters, at most {ADDRESS_LENGTH_MAX} are taken"
    if scheme == "mailto":
        return _mailto_fault(address, has_mail=has_mail)
    return None if scheme == "log" else web_fault(address.removeprefix("webhook+"), what="a webhook address")


def web_fault(address: str, *, what: str) -> str | None:
    """Say why an address is not one of http or https, None when it is."""
    expected = f"expected {what} such as https://hooks.example.com/path"
    url = _split(address)
    if url is None or address != "".join(address.split()) or not address.isprintable():
        return f"this is not a web address, {expected}"
    if url.scheme not in ("http", "https"):
        return f"the scheme is neither http nor https, {expected}"
    if not url.hostname:
        return f"the address has no host, {expected}"
    return None


def smtp_fault(address: str) -> str | None:
    """Say why a mail server's address cannot be used, None when it can."""
    expected = "expected smtp://[user:password@]host[:port] or smtps://..."
    url = _split(address)
    if url is None or not address.isprintable():
        return f"this is not the address of a mail server, {expected}"
    if url.scheme not in ("smtp", "smtps"):
        return f"the scheme is neither smtp nor smtps, {expected}"
    return None if url.hostname else f"the address has no host, {expected}"


def sender_fault(sender: str) -> str | None:
    """Say why something cannot stand in From, None when it can: `tocsin@example.com` or `Tocsin <tocsin@example.com>`."""
    _, address = parseaddr(sender)
    good = sender.isprintable() and _is_mail(address) and address.isascii()
    return None if good else "this is not a mail address, expected one such as tocsin@example.com"


def _mailto_fault(address: str, *, has_mail: bool) -> str | None:
    if not _is_mail(unquote(address.partition(":")[2])):
        return "this is not a mail address, expected one such as mailto:kim@example.com"
    return None if has_mail else "a mailto: contact needs the account that sends: channels.mail is missing"


def _is_mail(address: str) -> bool:
    return len(address) <= MAIL_LENGTH_MAX and address.isprintable() and _MAIL.fullmatch(address) is not None and ".." not in address


def _split(address: str) -> SplitResult | None:
    """Split an address whose port, if any, is a port; None when that cannot be."""
    try:
        url = urlsplit(address)
        _ = url.port
    except ValueError:
        return None
    return url


def _available() -> str:
    return ", ".join(f"{scheme}:" for scheme in SCHEMES)
