"""The request template of a gateway account: where its placeholders stand, what is wrong with it, and how it is filled.

Owns the placeholders, and that a value can never be more than a value: it is encoded for where it stands (a part of the URL, a form field,
a JSON string, XML text), so that the words of a stranger's alert cannot add a parameter. Does not send anything. Shared by `tocsin check`,
which reports the faults, and the channel, which fills the template for each page.

    url: https://sms.example.kr/send?to={national}        body: '{"to": "{digits}", "text": "{text}"}'

Only a name between braces is a placeholder, so the braces of JSON stay what they are.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import quote, quote_plus, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from tocsin.policy.accounts import GatewayAccount

PLACEHOLDERS: Final = ("to", "digits", "national", "text", "from", "page")
"""`to` +821012345678, `digits` 821012345678, `national` 01012345678, `text` what is said, `from` the sender, `page` the page's id."""

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
XML: Final = "application/xml"

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")

_TRUNK: Final = {"+82": "0", "+86": "", "+81": "0", "+886": "0", "+852": "", "+65": "", "+1": "", "+44": "0", "+49": "0", "+33": "0"}
"""What stands before a number at home in place of the country's code, for the countries whose gateways want it so."""

_SAMPLE: Final = {
    "to": "+821012345678",
    "digits": "821012345678",
    "national": "01012345678",
    "text": 'a "quoted" <word> & more',
    "from": "1588",
    "page": "INC-1.0.kim.0",
}


def values_of(account: GatewayAccount, to: str, text: str, page: str) -> Mapping[str, str]:
    """Return the values of a template for one page; `to` in E.164. Raises ValueError for a number that cannot be written at home."""
    values = {"to": to, "digits": to.removeprefix("+"), "text": text, "from": account.sender, "page": page}
    if "{national}" in account.url + account.body:
        values["national"] = national(to)
    return values


def national(to: str) -> str:
    """Return a number of E.164 as it is written at home. Raises ValueError for a country that is not in the table."""
    for code, trunk in _TRUNK.items():
        if to.startswith(code):
            return trunk + to.removeprefix(code)
    raise ValueError("how numbers of this country are written at home is not known")


def fill_url(account: GatewayAccount, values: Mapping[str, str]) -> str:
    """Return the address of the request."""
    return _fill(account.url, values, lambda value: quote(value, safe="", encoding=account.charset, errors="replace"))


def fill_body(account: GatewayAccount, values: Mapping[str, str]) -> bytes:
    """Return the body of the request, each value encoded as the body's type wants."""
    return _fill(account.body, values, _encoder(account)).encode(account.charset, errors="replace")


def content_type(account: GatewayAccount) -> str:
    """Return the type of the body: what the headers say, else what the body looks like."""
    given = next((value for name, value in account.headers.items() if name.lower() == "content-type"), "")
    if given:
        return given
    start = account.body.lstrip()[:1]
    return JSON if start in ("{", "[") else XML if start == "<" else FORM


def faults(account: GatewayAccount) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a template: the field (`url`, `body`, `headers`, `from`, `charset`, `ok`) and what is expected."""
    if not _is_charset(account.charset):
        yield "charset", "is no character encoding, expected one such as utf-8, euc-kr or gb18030"
        return
    found = False
    for field, text in (("url", account.url), ("body", account.body)):
        names = [match[1] for match in _PLACEHOLDER.finditer(text)]
        found = found or bool(names)
        for name in names:
            if name not in PLACEHOLDERS:
                known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
                yield field, f"unknown placeholder {{{name}}}, expected one of {known}"
    yield from _omitted(account)
    if found and _PLACEHOLDER.search(_authority(account.url)):
        yield "url", "a placeholder stands in the host, expected it in the path or the query"
    for name, value in account.headers.items():
        if not name.isascii() or not name.isprintable() or not value.isprintable() or not name or " " in name or ":" in name:
            yield "headers", "a name or value is not one that a header can carry"
    yield from _unreadable(account)


def _omitted(account: GatewayAccount) -> Iterator[tuple[str, str]]:
    whole = account.url + account.body
    if account.url and not any(f"{{{name}}}" in whole for name in ("to", "digits", "national")):
        yield "body" if account.body else "url", "nowhere says who is meant, expected {to}, {digits} or {national} in url or body"
    if account.url and "{text}" not in whole:
        yield "body" if account.body else "url", "nowhere says what happened, expected {text} in url or body"
    if "{from}" in whole and not account.sender:
        yield "from", "is missing, and the template says {from}"
    if account.method == "GET" and account.body:
        yield "body", "a GET request has no body, expected the placeholders in the url"


def _unreadable(account: GatewayAccount) -> Iterator[tuple[str, str]]:
    """A body of JSON or XML must be that once it is filled."""
    filled = _fill(account.body, _SAMPLE, _encoder(account))
    kind = content_type(account).lower()
    try:
        if "json" in kind:
            json.loads(filled)
        elif "xml" in kind:
            ET.fromstring(filled.strip())  # noqa: S314  the administrator's own text, and nothing is made of it
    except (ValueError, ET.ParseError):
        yield "body", f"is no {'JSON' if 'json' in kind else 'XML'} once it is filled: placeholders stand inside strings or text"


def _encoder(account: GatewayAccount) -> Callable[[str], str]:
    kind = content_type(account).lower()
    if "json" in kind:
        return lambda value: json.dumps(value, ensure_ascii=False)[1:-1]
    if "xml" in kind or "html" in kind:
        return lambda value: escape(value, {'"': "&quot;", "'": "&apos;"})
    if "form-urlencoded" in kind:
        return lambda value: quote_plus(value, encoding=account.charset, errors="replace")
    return str


def _fill(template: str, values: Mapping[str, str], encode: Callable[[str], str]) -> str:
    """One pass: what a value holds is never read as a placeholder."""
    return _PLACEHOLDER.sub(lambda match: encode(values[match[1]]) if match[1] in values else match[0], template)


def _authority(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


def _is_charset(name: str) -> bool:
    """Whether it is an encoding of text that HTTP can name; Python's own (`hex`, `idna`) are not."""
    try:
        codecs.lookup(name)
        return bool("a".encode(name) == b"a")
    except (LookupError, ValueError):
        return False
