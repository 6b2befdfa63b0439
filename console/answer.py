"""The page behind the link of a page: shows the incident, and takes the answer. No sign-in, no script.

GET and HEAD never act, because mail scanners and link previews fetch links; the button posts. The token in the path is the secret and
names the person who answers (`tocsin/runtime/links.py`). What the page says is in `answerview.py` and `pages/`, where text from alerts is
escaped.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qs, urlsplit

from aiohttp import hdrs, web

from console.answerview import Pages, Reader, answer_view
from console.endpoint import read_limited
from console.incidents import act
from console.openapi import Call, Reply, Route
from console.problems import Refused
from console.views import read_alerts
from console.words import PageWords, Why, words_for, words_for_browser
from tocsin.policy import events as ev
from tocsin.policy.model import Incident
from tocsin.policy.rules import EMERGENCY_PERSON
from tocsin.runtime.links import Link, LinkExpired, LinkInvalid, read_token

VIA: Final = "link"

ACKNOWLEDGE = "acknowledge"

FIELDS_MAX: Final = 20
"""Of a form; the page's own has one."""

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}

PAGES: Final = Pages()
"""The templates; they hold no state."""

_WORDS: Final = web.RequestKey("words", PageWords)
"""Of the reader, as soon as the link has said who that is."""


def page_response(status: int, html: str, headers: dict[str, str] | None = None) -> web.Response:
    """Return a page for people."""
    return web.Response(status=status, text=html, content_type="text/html", charset="utf-8", headers=HEADERS | (headers or {}))


class PageRefused(Refused):
    """The answer is a page that says why; `incident` is the number it says."""

    def __init__(self, status: int, why: Why, *, incident: str = "") -> None:
        super().__init__(status, why.name.lower().replace("_", " "), incident=incident or None)
        self.why = why


def refused_page(refused: Refused, request: web.Request) -> web.Response:
    """Return a refusal as a page, in the language of the link's reader, or else of the browser."""
    status, incident = refused.problem.status, refused.problem.incident or ""
    why = refused.why if isinstance(refused, PageRefused) else Why.AWAY if status == 503 else Why.FAILED
    words = request.get(_WORDS) or _browser_words(request)
    title, text = words.refused(why, incident)
    return page_response(status, PAGES.message(title, text, words), refused.headers)


def _browser_words(request: web.Request) -> PageWords:
    return words_for_browser(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""))


async def show(call: Call) -> Reply:
    """GET and HEAD: show, and change nothing."""
    link, reader = await _link(call)
    return page_response(200, await _page(call, link, reader))


async def answer(call: Call) -> Reply:
    """POST: the reader has it, or all that the page named. 409 when the state of none of them allows it."""
    link, reader = await _link(call)
    _require_own_form(call)
    numbers, event = await _asked(call, link, reader)
    refusals = [await _refusal(call, number, event) for number in numbers]
    return page_response(409 if all(refusals) else 200, await _page(call, link, reader))


async def _refusal(call: Call, number: int, event: ev.Event) -> bool:
    """Let the event happen; return whether the incident's state does not allow it."""
    try:
        await act(call.desk, number, event)
    except Refused as refused:
        if refused.problem.status != 409:
            raise
        return True
    return False


async def _link(call: Call) -> tuple[Link, Reader]:
    """Return the link and whom it was made for, whose language every page speaks from here on."""
    found = read_token(await call.desk.link_key.get(), call.request.match_info["token"], call.now)
    if isinstance(found, LinkInvalid):
        raise PageRefused(404, Why.NOT_A_LINK)
    link = found.link if isinstance(found, LinkExpired) else found
    person = call.desk.rules.people.get(link.person)
    words = call.request[_WORDS] = _browser_words(call.request) if person is None else words_for(person.locale)
    if isinstance(found, LinkExpired):
        raise PageRefused(410, Why.EXPIRED, incident=f"INC-{link.incident}")
    if person is not None:
        return link, Reader(person.key, person.name or person.key, person.time_zone, words)
    if link.person == EMERGENCY_PERSON:
        return link, Reader(EMERGENCY_PERSON, words.emergency, "UTC", words)
    raise PageRefused(410, Why.NO_PERSON)


def _require_own_form(call: Call) -> None:
    """Refuse what another site makes a browser send.

    `Sec-Fetch-Site` decides where the browser sends it. Over plain HTTP it does not, and because of our Referrer-Policy the form's origin
    is `null` there; that is let through, since nobody can send it without knowing the token. Programs send neither.
    """
    headers = call.request.headers
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise PageRefused(403, Why.OTHER_SITE)
        return
    origin = headers.get(hdrs.ORIGIN)
    ours = (call.request.host, urlsplit(call.desk.external_url).netloc)
    if origin is not None and origin != "null" and _host_of(origin) not in ours:
        raise PageRefused(403, Why.OTHER_SITE)


def _host_of(origin: str) -> str | None:
    """Return host and port of an origin, None when it is no address."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


async def _asked(call: Call, link: Link, reader: Reader) -> tuple[tuple[int, ...], ev.Event]:
    """Return what is to happen to which incidents. Without a form (a program) the gravest, the page's `incident`, is taken."""
    try:
        form = parse_qs((await read_limited(call.request)).decode("utf-8", "replace"), max_num_fields=FIELDS_MAX)
    except ValueError:
        raise PageRefused(422, Why.FAILED) from None
    match form.get("action", [ACKNOWLEDGE]):
        case ["acknowledge"]:
            return (link.incident,), ev.Acknowledged(reader.key, via=VIA)
        case ["acknowledge_all"]:
            return link.incidents, ev.Acknowledged(reader.key, via=VIA)
        case ["assign"]:
            return (link.incident,), ev.Assigned(reader.key, to=reader.key, via=VIA)
        case _:
            raise PageRefused(422, Why.FAILED)


async def _page(call: Call, link: Link, reader: Reader) -> str:
    incident, others, records = await _load(call, link)
    alerts = await asyncio.to_thread(read_alerts, records)
    return PAGES.answer(answer_view(incident, others, alerts, reader, call.now, call.desk.rules), reader.words)


async def _load(call: Call, link: Link) -> tuple[Incident, tuple[Incident, ...], dict[str, bytes]]:
    """Load the gravest incident of a link, those that were paged with it, and its alerts."""
    async with call.desk.turns.turn():
        found = await call.desk.store.load_many(link.incidents)
        incident = found.get(link.incident)
        if incident is None:
            raise PageRefused(410, Why.NOT_KEPT)
        (records,) = await call.desk.store.load_alerts([link.incident])
    return incident, tuple(found[number] for number in link.incidents[1:] if number in found), records


async def show_incident(call: Call) -> Reply:
    """GET /i/{id}: where the `url` of an incident leads until there is a console of pages; says how to read it."""
    words = _browser_words(call.request)
    return page_response(200, PAGES.pointer(call.request.match_info["id"][:20], call.desk.external_url, words))


async def show_style(call: Call) -> Reply:
    """The one style sheet of these pages."""
    return web.Response(
        text=PAGES.style, content_type="text/css", headers={"Cache-Control": "max-age=3600", "X-Content-Type-Options": "nosniff"}
    )


def _page_route(method: str, path: str, handler: object, summary: str, *statuses: int) -> Route:
    returns = dict.fromkeys((*statuses, 503), "text/html")
    return Route(method, path, handler, summary, None, returns=returns, refuse=refused_page)  # type: ignore[arg-type]


ANSWER_ROUTES: Final[tuple[Route, ...]] = (
    _page_route("GET", "/a/{token}", show, "Show the incident of a page to its reader", 200, 404, 410),
    _page_route("HEAD", "/a/{token}", show, "The same without its body", 200, 404, 410),
    _page_route("POST", "/a/{token}", answer, "The reader has it", 200, 400, 403, 404, 408, 409, 410, 413, 422),
    _page_route("GET", "/i/{id}", show_incident, "How to read an incident", 200),
    replace(
        _page_route("GET", "/static/answer.css", show_style, "The style of the pages", 200), returns={200: "text/css", 503: "text/html"}
    ),
)
