"""Text of strangers is harmless in every rendering and in every language."""

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import fields, replace
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from notifier.answers import Answered
from notifier.message import IncidentView, NextRung, PageMessage, RungView, html, one_line, page_body, plain_text, subject
from notifier.rendering import answered_line, stranger_line
from notifier.rendering.chat import Card, card
from notifier.rendering.sms import segments, sms_text
from notifier.rendering.voice import FIRST_KEY_S, voice_script
from tocsin.policy.model import PageKind, State

OPENED_AT = 1_795_370_047_000
LINK = "https://tocsin.example.com/a/TOKEN"

TEMPERS = (
    "\r\nBcc: all@example.com\r\n\r\n",
    "\x1b[2J\x1b]0;x\x07",
    "\u202egnp.exe\u2066\u2069\u200f",
    "\ud800",
    "\udfff\ud83d",
    "<script>alert(1)</script>",
    "<!channel> <!here> <@U1> <https://evil.example|payroll>",
    "@channel @here @everyone @all @所有人",
    "=HYPERLINK(1) +1 -1 @SUM(1)",
    "{0.__class__} {{7*7}} ${x} %s %(x)s",
    "*bold* _x_ ~y~ `code` [a](javascript:alert(1))",
    "]]> &amp; &#x202e; \u2028\u2029\x00\x0b\x85",
    "a" * 3000,
    "가" * 3000,
    "e\u0301" * 500,
    "👩\u200d💻" * 200,
    "DRILL: ",
    '"onclick="alert(1)',
    "javascript:alert(1)",
)
foreign = st.lists(st.one_of(st.sampled_from(TEMPERS), st.text(max_size=60)), max_size=4).map("".join)


class Marks(HTMLParser):
    """The elements and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value or "" for name, value in attrs if name == "href"}


@st.composite
def pages(draw: st.DrawFn) -> PageMessage:
    """A page in which everything that strangers can write is hostile."""

    def incident() -> IncidentView:
        return IncidentView(
            id=f"INC-{draw(st.integers(1, 2**32))}",
            title=draw(foreign),
            severity=draw(st.integers(1, 4)),
            service=draw(foreign),
            state=draw(st.sampled_from(State)).value,
            opened_at=OPENED_AT,
            firing=3,
            resolved=1,
            labels=draw(st.dictionaries(foreign, foreign, max_size=2)),
            url=draw(st.sampled_from(["", "https://tocsin.example.com/i/INC-1"])),
            runbook=draw(st.one_of(st.none(), foreign, st.just("https://runbooks.example.com/x"))),
        )

    first = incident()
    return PageMessage(
        page_id="INC-1.1.kim.0",
        kind=draw(st.sampled_from(PageKind)),
        attempt=draw(st.integers(1, 3)),
        incident=first,
        others=(first, *(incident() for _ in range(2))) if draw(st.booleans()) else (),
        rung=draw(st.one_of(st.none(), st.builds(RungView, after=st.sampled_from(["0s", "30m", "soon"]), role=foreign, index=st.just(1)))),
        person="kim",
        person_name=draw(foreign),
        time_zone=draw(st.sampled_from(["Asia/Seoul", "Asia/Shanghai", "America/Sao_Paulo", "Mars/Olympus"])),
        locale=draw(st.sampled_from(["en", "ko", "zh"])),
        late_by_s=draw(st.sampled_from([0.0, 754.0])),
        told=tuple(draw(st.lists(foreign, max_size=2))),
        next_rung=draw(st.one_of(st.none(), st.builds(NextRung, st.tuples(foreign), st.tuples(foreign), st.just(OPENED_AT + 10**7)))),
        acknowledge_url=draw(st.sampled_from(["", LINK])),
        numbers=(1,),
        holder=draw(foreign),
        held_at=OPENED_AT,
        held_until=OPENED_AT + 10**6,
        said=draw(foreign),
        ended_by=draw(foreign),
        ended_at=OPENED_AT + 10**6,
        written_at=OPENED_AT + 10**6,
    )


def lines_of(message: PageMessage) -> Iterator[str]:
    """Everything that must be one harmless line."""
    yield one_line(message)
    yield subject(message)
    yield from plain_text(message, can_reply=True).split("\n")
    yield from html(message, can_reply=True).split("\n")
    shown = card(message)
    for field in fields(Card):
        value = getattr(shown, field.name)
        for each in value if isinstance(value, tuple) else (value,):
            yield from each if isinstance(each, tuple) else (each,)
    yield sms_text(message, can_reply=True)
    yield sms_text(message, can_reply=False, with_link=False)
    script = voice_script(message)
    yield from (script.say, script.keys)


def hidden(text: str) -> set[str]:
    return {character for character in text if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}


@given(pages())
def test_no_rendering_holds_what_cannot_be_seen(message: PageMessage) -> None:
    for line in lines_of(message):
        assert hidden(line) <= {"\u200c", "\u200d"}
        line.encode()
    json.dumps(page_body(message), ensure_ascii=False).encode()


@given(pages())
def test_no_text_becomes_markup_or_a_link(message: PageMessage) -> None:
    marks = Marks()
    marks.feed(html(message, can_reply=True))
    assert marks.elements <= {"html", "head", "meta", "body", "p", "span", "a", "h2", "table", "tr", "th", "td"}
    assert marks.attributes <= {"lang", "charset", "name", "content", "style", "href"}
    assert {link.partition(":")[0] for link in marks.links} <= {"https", "http"}


@given(pages())
def test_every_rendering_keeps_its_limits(message: PageMessage) -> None:
    shown = card(message)
    assert len(one_line(message)) <= 160
    assert len(subject(message)) <= 120
    assert len(shown.headline) <= 120
    assert len(shown.banner) <= 150
    assert len("\n".join(shown.lines)) <= 600
    assert segments(sms_text(message, can_reply=True)) == 1
    assert voice_script(message).said_s <= FIRST_KEY_S
    assert max(map(len, plain_text(message).split("\n"))) < 800


@given(pages())
def test_no_card_calls_a_whole_channel(message: PageMessage) -> None:
    assert not re.search("@(channel|here|everyone|all|所有人)", str(card(message)), re.IGNORECASE)


@given(pages())
def test_every_page_about_an_incident_names_it(message: PageMessage) -> None:
    if message.kind in {PageKind.HANDOVER, PageKind.NOTICE}:
        return
    for text in (one_line(message), subject(message), card(message).headline, sms_text(message, can_reply=True)):
        assert message.incident.id in text


@given(foreign, foreign, st.sampled_from(["en", "ko", "zh"]))
def test_what_is_said_to_who_answered_is_one_harmless_line(holder: str, address: str, locale: str) -> None:
    answered = Answered("INC-1", "done", State.ACKNOWLEDGED, holder, OPENED_AT)
    for text in (answered_line([answered, replace(answered, incident="INC-2")], locale, "Asia/Seoul"), stranger_line(address, locale)):
        assert hidden(text) <= {"\u200c", "\u200d"}
        assert len(text) < 300
        text.encode()
