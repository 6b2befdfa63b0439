"""What is wrong with an address: of a contact (`webhook+https://...`, `mailto:...`, `log:`), a mail account, a runbook.

Owns the schemes and what each must hold. Does not send anything (the channels do) and never repeats an address, which may hold a password
or a token: a fault names the scheme at most.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from email.utils import parseaddr
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from tocsin.runtime.yamltree import did_you_mean, shown

CHANNEL_OF = {
    "log": "log",
    "webhook+http": "webhook",
    "webhook+https": "webhook",
    "mailto": "mail",
    "slack": "slack",
    "telegram": "telegram",
    "teams+http": "teams",
    "teams+https": "teams",
    "ntfy+http": "ntfy",
    "ntfy+https": "ntfy",
    "sms": "sms",
    "tel": "tel",
    "dingtalk+http": "dingtalk",
    "dingtalk+https": "dingtalk",
    "wecom+http": "wecom",
    "wecom+https": "wecom",
    "feishu+http": "feishu",
    "feishu+https": "feishu",
    "apprise": "apprise",
}
"""Which channel carries a scheme. `+http` without TLS is for a provider on this machine or network."""

SCHEMES = tuple(CHANNEL_OF)

WITH_ACCOUNT = ("mail", "slack", "telegram", "sms", "tel")
"""Channels that need an account under `channels`."""

SIGNED = ("webhook+http", "webhook+https", "ntfy+http", "ntfy+https", "dingtalk+http", "dingtalk+https", "feishu+http", "feishu+https")
"""Contacts that may have a secret: pages over them are signed, or carry it as a token."""

ADDRESS_LENGTH_MAX = 2_048
MAIL_LENGTH_MAX = 254
"""The longest mail address, RFC 5321 4.5.3.1.3 with its errata."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}):")
_SLACK = re.compile(r"[UWCGD][A-Z0-9]{2,30}")
_TELEGRAM = re.compile(r"-?[0-9]{1,20}|@[A-Za-z][A-Za-z0-9_]{3,31}")
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_SENDER_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 _&+-]{1,11}|MG[0-9a-fA-F]{32}")
_APPRISE = re.compile(r"[A-Za-z][A-Za-z0-9]{1,29}://.")
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAIL = re.compile(r"[!-?A-~]{1,64}@[^\s@\"<>(),;:\\/?#\[\]]+", re.ASCII)


def scheme_of(address: str) -> str:
    """Return what stands before the colon, empty when there is none."""
    found = _SCHEME.match(address)
    return "" if found is None else found[1]


def channel_of(address: str) -> str:
    """Return the channel that carries an address, empty when none does."""
    return CHANNEL_OF.get(scheme_of(address), "")


def contact_fault(address: str, *, has_account: Callable[[str], bool]) -> str | None:
    """Say why a contact cannot be used, None when it can. `has_account`: whether the rules give a channel an account."""
    scheme = scheme_of(address)
    if not scheme:
        return f"the address has no scheme, expected one of {_available()}"
    channel = CHANNEL_OF.get(scheme)
    if channel is None:
        return f"unknown scheme {shown(scheme)}{did_you_mean(scheme, SCHEMES) or ','} expected one of {_available()}"
    if len(address) > ADDRESS_LENGTH_MAX:
        return f"the address has {len(address)} characters, at most {ADDRESS_LENGTH_MAX} are taken"
    fault = _fault(scheme, address)
    if fault is None and channel in WITH_ACCOUNT and not has_account(channel):
        return f"a {scheme}: contact needs the account that sends: channels.{channel} is missing"
    return fault


def _fault(scheme: str, address: str) -> str | None:
    rest = address.partition(":")[2]
    match scheme:
        case "log":
            return None
        case "mailto":
            return None if _is_mail(unquote(rest)) else "this is not a mail address, expected one such as mailto:kim@example.com"
        case "slack":
            return None if _SLACK.fullmatch(rest) else "this is no id of a Slack member or channel, expected one as slack:U024BE7LH"
        case "telegram":
            return None if _TELEGRAM.fullmatch(rest) else "this is not a Telegram chat, expected its number as in telegram:123456789"
        case "sms" | "tel":
            return None if _PHONE.fullmatch(rest) else f"this is no international phone number, expected one as {scheme}:+821012345678"
        case "apprise":
            return _apprise_fault(rest)
        case _:
            return _provider_fault(scheme.partition("+")[0], address.partition("+")[2])


def _apprise_fault(address: str) -> str | None:
    """Whether Apprise knows the service is only seen when it sends: to ask it takes a second for each start of each role."""
    if _APPRISE.match(address) is None:
        return "this is not an Apprise URL, expected one such as apprise:gotify://host/token"
    if importlib.util.find_spec("apprise") is None:
        return "this needs the extra `apprise`, which is not installed here: pip install 'tocsin[apprise]'"
    return None


def _provider_fault(channel: str, address: str) -> str | None:
    """Say what a provider's web address lacks: what is easily lost when it is copied."""
    fault = web_fault(address, what=f"a {channel} address")
    if fault is not None:
        return fault
    url = urlsplit(address)
    if channel == "ntfy" and not _TOPIC.fullmatch(url.path.rstrip("/").rpartition("/")[2]):
        return "the address does not end with a topic, expected one such as ntfy+https://ntfy.example.com/kim-pages"
    wanted = {"dingtalk": "access_token", "wecom": "key"}.get(channel)
    if wanted is not None and not parse_qs(url.query).get(wanted):
        return f"the address has no {wanted}, expected the robot's whole address with ?{wanted}=..."
    return None


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


def imap_fault(address: str) -> str | None:
    """Say why a mailbox cannot be used, None when it can."""
    expected = "expected imaps://user:password@host[:port]/FOLDER"
    url = _split(address)
    if url is None or not address.isprintable() or url.scheme not in ("imap", "imaps") or not url.hostname or not url.username:
        return f"this is not the address of a mailbox, {expected}"
    return None


def listen_fault(address: str) -> str | None:
    """Say why something is no address to listen at, None when it is."""
    host, _, port = address.rpartition(":")
    good = bool(host) and port.isdecimal() and int(port) <= 65_535
    return None if good else "this is no address to listen at, expected host:port as in 127.0.0.1:2525"


def sender_fault(sender: str) -> str | None:
    """Say why something cannot stand in From, None when it can: `tocsin@example.com` or `Tocsin <tocsin@example.com>`."""
    _, address = parseaddr(sender)
    good = sender.isprintable() and _is_mail(address) and address.isascii()
    return None if good else "this is not a mail address, expected one such as tocsin@example.com"


def phone_sender_fault(sender: str, scheme: str) -> str | None:
    """Say why Twilio cannot send from this, None when it can: a number; for text messages also a name or a messaging service."""
    if _PHONE.fullmatch(sender) or (scheme == "sms" and _SENDER_NAME.fullmatch(sender)):
        return None
    also = ", a name of at most 11 letters and digits, or a messaging service (MG...)" if scheme == "sms" else ""
    return f"this is no international phone number, expected one as +821012345678{also}"


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
