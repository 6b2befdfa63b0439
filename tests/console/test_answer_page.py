"""The page behind the link of a page: it shows, and only the button acts."""

import re
from html.parser import HTMLParser

import pytest

from tests.console.conftest import HOUR, MINUTE, Site
from tests.faults.figures import Figures
from tocsin.policy import events as ev
from tocsin.policy.model import Incident, State


class Seen(HTMLParser):
    """What a browser would see: text, tags with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.buttons: list[tuple[str, str]] = []
        self._is_button = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._is_button = tag == "button"
        if self._is_button:
            self.buttons.append((dict(attrs)["value"] or "", ""))

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._is_button:
            self.buttons[-1] = (self.buttons[-1][0], self.buttons[-1][1] + data)

    def handle_endtag(self, tag: str) -> None:
        self._is_button = False

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    @property
    def button(self) -> str | None:
        return next((attributes["value"] for tag, attributes in self.tags if tag == "button"), None)


async def look(site: Site, link: str) -> Seen:
    answer = await site.get(link, by=None)
    assert answer.status == 200
    return Seen(answer.text)


async def told(site: Site, incident: Incident, person: str = "kim") -> None:
    await site.happen(incident.number, ev.PageSent(f"{incident.id}.0.{person}.0"))


async def test_the_page_shows_the_incident_in_the_readers_zone(site: Site) -> None:
    incident = await site.fire(title="결제 API 오류율 38%", alerts=3)
    await told(site, incident)
    site.clock.advance(10 * MINUTE)
    seen = await look(site, await site.link(incident, "kim"))
    for words in (
        incident.id,
        "▲ Severity 1",
        "결제 API 오류율 38%",
        "payments",
        "since 02:55 KST (10m ago)",
        "김민수 told at 02:55 KST",
        "Next 이서연 (customer service engineer) at 03:25 KST",
        "3 firing",
        "pod=api-2",
        "alert 2",
        "Nobody has it yet.",
        "as 김민수",
    ):
        assert words in seen.text
    assert ("a", "https://runbooks.example.com/payments") in [(tag, attributes.get("href")) for tag, attributes in seen.tags]
    assert seen.button == "acknowledge"


async def test_the_button_takes_it_for_the_person_of_the_link(site: Site) -> None:
    incident = await site.fire()
    link = await site.link(incident, "kim")
    answer = await site.post(link, by=None, data={"action": "acknowledge"}, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status == 200
    seen = Seen(answer.text)
    assert "You have it until 03:25 KST." in seen.text
    assert seen.button is None
    after = await site.load(incident.number)
    assert (after.state, after.acknowledged_by) == (State.ACKNOWLEDGED, "kim")
    history = (await site.get(f"/api/v1/incidents/{incident.id}")).json["history"]
    assert (history[-1]["actor"], history[-1]["inputs"]["via"]) == ("kim", "link")


async def test_a_program_may_post_without_any_form(site: Site) -> None:
    incident = await site.fire()
    answer = await site.request("POST", await site.link(incident, "kim"))
    assert answer.status == 200
    assert (await site.load(incident.number)).acknowledged_by == "kim"


async def test_a_page_of_several_incidents_takes_all_of_them_at_once(site: Site) -> None:
    first, second = await site.fire(), await site.fire("DiskFull", title="disk <b>full</b>")
    link = await site.link(first, "kim", second)
    seen = Seen((await site.get(link, by=None)).text)
    assert all(words in seen.text for words in ("Paged together with it", second.id, "disk <b>full</b>", "I have all 2"))
    answer = await site.post(link, by=None, data={"action": "acknowledge_all"}, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status == 200
    assert "I have all" not in answer.text
    assert {(await site.load(each.number)).acknowledged_by for each in (first, second)} == {"kim"}


async def test_the_big_button_of_several_takes_all_of_them_and_the_second_one(site: Site) -> None:
    first, second, third = await site.fire(), await site.fire("DiskFull"), await site.fire("Slow")
    link = await site.link(first, "kim", second, third)
    assert (await look(site, link)).buttons == [("acknowledge_all", "I have all 3"), ("acknowledge", f"I have only {first.id}")]
    await site.request("POST", link, data={"action": "acknowledge"})
    assert (await look(site, link)).buttons == [("acknowledge_all", "I have all 2")]
    await site.happen(second.number, ev.Resolved("lee"))
    assert (await look(site, link)).buttons == [("acknowledge_all", f"I have only {third.id}")]
    await site.request("POST", link, data={"action": "acknowledge_all"})
    assert (await look(site, link)).buttons == []
    assert (await site.load(third.number)).acknowledged_by == "kim"


async def test_of_several_incidents_the_gravest_can_be_taken_alone(site: Site) -> None:
    first, second = await site.fire(), await site.fire("DiskFull")
    link = await site.link(first, "kim", second)
    assert (await site.request("POST", link)).status == 200
    assert (await site.load(first.number)).state is State.ACKNOWLEDGED
    assert (await site.load(second.number)).state is State.OPEN


async def test_taking_all_passes_over_what_is_already_over(site: Site) -> None:
    first, second = await site.fire(), await site.fire("DiskFull")
    await site.happen(first.number, ev.Resolved("lee"))
    link = await site.link(first, "kim", second)
    assert (await site.request("POST", link, data={"action": "acknowledge_all"})).status == 200
    assert (await site.load(second.number)).acknowledged_by == "kim"
    await site.happen(second.number, ev.Resolved("lee"))
    assert (await site.request("POST", link, data={"action": "acknowledge_all"})).status == 409


async def test_answering_twice_is_the_same_answer(site: Site) -> None:
    incident = await site.fire()
    link = await site.link(incident, "kim")
    first, second = await site.request("POST", link), await site.request("POST", link)
    assert first.body == second.body
    assert (await site.load(incident.number)).version == 2


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {}),
        ("HEAD", {}),
        ("GET", {"Sec-Purpose": "prefetch;prerender"}),
        ("GET", {"Purpose": "prefetch", "X-Moz": "prefetch"}),
        ("GET", {"User-Agent": "Slackbot-LinkExpanding 1.0"}),
        ("OPTIONS", {}),
        ("PUT", {}),
    ],
)
async def test_looking_never_acts(site: Site, method: str, headers: dict[str, str], figure: Figures) -> None:
    incident = await site.fire()
    link = await site.link(incident, "kim")
    for path in (link, f"{link}?action=acknowledge"):
        answer = await site.request(method, path, headers=headers)
        assert answer.status == (200 if method in ("GET", "HEAD") else 405)
        assert method != "HEAD" or answer.body == b""
    figure(49, "changes by looking", (await site.load(incident.number)).version - 1, at_most=0)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
    ],
)
async def test_another_site_cannot_make_a_browser_answer(site: Site, headers: dict[str, str]) -> None:
    incident = await site.fire()
    answer = await site.request("POST", await site.link(incident, "kim"), headers=headers)
    assert answer.status == 403
    assert (await site.load(incident.number)).version == 1


@pytest.mark.parametrize("origin", ["null", "own", "external"])
async def test_the_form_works_over_plain_http_and_behind_a_proxy(site: Site, origin: str) -> None:
    incident = await site.fire()
    origins = {"null": "null", "own": site.url, "external": "http://127.0.0.1:9096"}
    answer = await site.request("POST", await site.link(incident, "kim"), headers={"Origin": origins[origin]})
    assert answer.status == 200


async def test_who_comes_late_sees_who_has_it_and_may_take_it_over(site: Site) -> None:
    incident = await site.fire()
    await site.request("POST", await site.link(incident, "kim"))
    site.clock.advance(3 * MINUTE)
    link = await site.link(incident, "jung")
    seen = await look(site, link)
    assert "김민수 took it at 18:55 CET and has it until 19:25 CET." in seen.text
    assert seen.button == "assign"
    answer = await site.request("POST", link, data={"action": "assign"})
    seen = Seen(answer.text)
    assert "You have it until 19:25 CET." in seen.text
    assert seen.button is None
    after = await site.load(incident.number)
    assert (after.assignee, after.acknowledged_by) == ("jung", "jung")
    await site.request("POST", link, data={"action": "assign"})
    assert (await site.load(incident.number)).version == after.version


async def test_pressing_the_button_of_an_old_page_does_not_take_it_from_its_holder(site: Site) -> None:
    incident = await site.fire()
    await site.request("POST", await site.link(incident, "kim"))
    answer = await site.request("POST", await site.link(incident, "jung"))
    assert answer.status == 200
    assert "김민수 took it" in Seen(answer.text).text
    assert (await site.load(incident.number)).acknowledged_by == "kim"


async def test_near_its_end_the_holder_can_keep_it_and_another_can_take_it(site: Site) -> None:
    incident = await site.fire()
    link = await site.link(incident, "kim")
    await site.request("POST", link)
    site.clock.advance(26 * MINUTE)
    assert (await look(site, link)).button == "acknowledge"
    other = await site.link(incident, "lee")
    assert (await look(site, other)).button == "acknowledge"
    assert "03:51 KST까지 담당하고 계십니다." in Seen((await site.request("POST", other)).text).text


async def test_after_it_is_resolved_the_page_says_so(site: Site) -> None:
    incident = await site.fire()
    link = await site.link(incident, "kim")
    site.clock.advance(6 * HOUR)
    await site.happen(incident.number, ev.Resolved("lee"))
    seen = await look(site, link)
    assert "Resolved at 08:55 KST by 이서연." in seen.text
    assert seen.button is None
    answer = await site.request("POST", link)
    assert answer.status == 409
    assert "Resolved at 08:55 KST by 이서연." in Seen(answer.text).text


async def test_the_date_is_said_when_it_is_another_day(site: Site) -> None:
    incident = await site.fire()
    link = await site.link(incident, "kim", hours=48)
    site.clock.advance(30 * HOUR)
    assert "since 2026-02-17 02:55 KST (1d6h ago)" in (await look(site, link)).text


async def test_an_expired_link_is_gone_and_says_so(site: Site) -> None:
    incident = await site.fire()
    link = await site.link(incident, "kim", hours=1)
    site.clock.advance(HOUR)
    for method in ("GET", "POST"):
        answer = await site.request(method, link)
        assert answer.status == 410
        assert answer.headers["Content-Type"].startswith("text/html")
        assert "This link has expired" in answer.text
        assert incident.title not in answer.text
    assert (await site.load(incident.number)).version == 1


@pytest.mark.parametrize("token", ["x", "2a.6a1f3c80.a2lt.AAAAAAAAAAAAAAAAAAAAAA", "%3Cscript%3E", "a" * 3_000])
async def test_a_forged_link_is_nothing(site: Site, token: str) -> None:
    await site.fire()
    for method in ("GET", "POST"):
        answer = await site.request(method, f"/a/{token}")
        assert answer.status == 404
        assert "This link is not valid" in answer.text


async def test_a_link_ends_with_the_person_leaving_the_rules(site: Site) -> None:
    incident = await site.fire()
    answer = await site.request("POST", await site.link(incident, "somebody"))
    assert answer.status == 410
    assert (await site.load(incident.number)).version == 1


async def test_the_page_forbids_scripts_frames_and_caches(site: Site) -> None:
    incident = await site.fire()
    link = await site.link(incident, "kim")
    for answer in (await site.get(link, by=None), await site.request("POST", link), await site.get("/a/x", by=None)):
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script" not in policy
        assert "unsafe" not in policy
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "noindex" in answer.headers["X-Robots-Tag"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert not [tag for tag, attributes in Seen(answer.text).tags if tag in ("script", "style", "img") or "style" in attributes]


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }} {% raw %} ${7*7} #{7*7}",
    "paid \u202etxt.exe\u2066 \u200f ends",
    "</title></h1><form action=//evil>",
    "\x00\x1b[31m\r\nSet-Cookie: a=b",
]


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_stays_text(site: Site, text: str) -> None:
    incident = await site.fire(title=text, evil=text)
    link = await site.link(incident, "kim")
    answer = await site.get(link, by=None)
    assert answer.status == 200
    seen = Seen(answer.text)
    assert [tag for tag, _ in seen.tags if tag in ("script", "img", "form")] == ["form"]
    assert len([tag for tag, _ in seen.tags if tag == "h1"]) == 1
    assert not set("\u202e\u2066\u200f\x00\x1b") & set(answer.text)
    if "{{" in text:
        assert "{{ 7 * 7 }}" in answer.text
    shown = (await site.get(f"/api/v1/incidents/{incident.id}")).json
    assert shown["title"] == text


async def test_the_url_of_an_incident_says_how_to_read_it(site: Site) -> None:
    answer = await site.get("/i/INC-42", by=None)
    assert answer.status == 200
    assert "/api/v1/incidents/INC-42" in Seen(answer.text).text.replace(" ", "")
    answer = await site.get("/i/%3Cscript%3E", by=None)
    assert "<script>" not in answer.text


async def test_the_style_is_served(site: Site) -> None:
    answer = await site.get("/static/answer.css", by=None)
    assert answer.headers["Content-Type"].startswith("text/css")
    assert "min-height: 56px" in answer.text
