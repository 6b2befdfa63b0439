"""Whose answer it is: links, buttons, replies and mails that were tampered with prove nothing, and reading them is never a fault."""

from __future__ import annotations

from typing import Final

from hypothesis import example
from hypothesis import strategies as st

from notifier.channels.buttons import Action, read_button, write_button
from notifier.channels.mail_replies import MailUnreadable, proof_ids, read_mail
from notifier.replies import Wish, read_reply
from tests.fuzz.budget import Budget
from tests.fuzz.wire import words
from tests.services.chats import answers_of
from tests.services.world import NOW, World
from tocsin.runtime.links import Link, LinkExpired, LinkInvalid, make_token, read_token

LINK_KEY: Final = "a key of the store's own"


def damaged(text: str) -> st.SearchStrategy[str]:
    """A text of ours with a character changed, left out or put in, or two of its parts swapped."""
    at, one = st.integers(0, len(text) - 1), st.sampled_from([*"!.-_=0aZ ~\0", "é", "\ud800"])
    return st.one_of(
        st.tuples(at, one).map(lambda found: text[: found[0]] + found[1] + text[found[0] + 1 :]),
        st.tuples(at, one).map(lambda found: text[: found[0]] + found[1] + text[found[0] :]),
        st.tuples(at, at).map(lambda found: text[: found[0]] + text[found[1] :]),
        st.permutations(text.split(".")).map(".".join),
        st.text(max_size=80),
    )


# --- what is signed by us -----------------------------------------------------------------------------------------------------------


def test_a_link_that_was_tampered_with_names_nobody_and_nothing_else(budget: Budget) -> None:
    token = make_token(LINK_KEY, incidents=[42, 7], person="kim", expires_at=NOW + 60_000)
    ours = read_token(LINK_KEY, token, NOW)
    assert isinstance(ours, Link)

    def holds(text: str, key: str, now: int) -> None:
        assert read_token(LINK_KEY, text, now) in (ours, LinkExpired(ours), LinkInvalid())
        assert read_token(key + "x", token, now) == LinkInvalid()

    budget.spend(holds, text=damaged(token), key=st.text(max_size=20), now=st.integers(0, 2 * NOW))


async def test_a_button_that_was_tampered_with_names_nobody_and_nothing_else(budget: Budget, world: World) -> None:
    answers = await answers_of(world)
    value = write_button(answers, Action.TAKE, [42, 43, 99], "kim")
    ours = read_button(answers, value)
    assert ours is not None

    def holds(text: str, signed: str) -> None:
        assert read_button(answers, text) in (ours, None)
        read_button(answers, answers.sign(signed))
        assert answers.unsign(answers.sign(signed)) == signed
        assert answers.unsign(text) in (None, value.rpartition(".")[0])

    signed_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30).map(lambda text: f"!{text}") | st.sampled_from(
        ["!t", "!t-", "!t-9", "!r0 ", "!tzz-zz x"]
    )
    budget.spend(holds, text=damaged(value), signed=signed_texts)


def test_any_reply_is_read_and_only_its_own_numbers_are_named(budget: Budget) -> None:
    @example(text="who has 41?")
    @example(text="٤١")
    @example(text="4" * 5_000)
    def holds(text: str) -> None:
        reply = read_reply(text)
        assert all(number >= 0 for number in reply.numbers)
        assert reply.wish is Wish.UNCLEAR or reply.numbers or text.strip()

    budget.spend(holds, text=st.text() | st.lists(words, max_size=6).map(" ".join))


# --- mail ---------------------------------------------------------------------------------------------------------------------------


MAIL: Final = (
    "From: Kim <kim@example.com>\r\nTo: ack@example.com\r\nSubject: Re: page\r\nMessage-ID: <r@example.com>\r\n"
    "In-Reply-To: {own}\r\nReferences: <x@y> {ids}\r\nMIME-Version: 1.0\r\n"
    "Content-Type: {kind}\r\nContent-Transfer-Encoding: {coding}\r\n\r\n{text}"
)
KINDS = [
    "text/plain",
    "text/plain; charset=utf-7",
    "text/plain; charset=nonsense",
    "text/html; charset=\0",
    "text/html",
    "multipart/mixed; boundary=b",
]
KINDS += [
    'multipart/alternative; boundary=""',
    "message/rfc822",
    "multipart/related",
    "text/plain; charset*=utf-8''%ff",
    "image/png",
    "/",
    ";",
    "text/html; charset=base64",
]
CODINGS: Final = ["7bit", "8bit", "base64", "quoted-printable", "x-uuencode", "nonsense", "", "base64; x=y"]
TEXTS = [
    "ack",
    "ok\n> quoted",
    "<p>ack</p>",
    "<![abc[x]]>ack",
    "<!",
    "<![if",
    "<!DOCTYPE [<!ENTITY a 'b'>]>",
    "&#xD800;ack",
    "&#99999999999;",
    "<" * 500,
    "=ED=A0=80",
    "YWNr",
    "%%%",
]
TEXTS += [
    "--b\r\nContent-Type: text/html\r\n\r\n<b>ack",
    "begin 644 x\r\n#86)C\r\n",
    "\x00",
    "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" * 40,
]


async def test_any_mail_is_read_and_takes_only_what_it_proves(budget: Budget, world: World) -> None:
    answers = await answers_of(world)
    ids = proof_ids(answers, "kim", [1, 2, 3], "5f2a9c01d3e4", "example.com")

    @example(raw=MAIL.format(own=ids[0], ids=" ".join(ids[1:]), kind="text/html", coding="7bit", text="<![abc[x]]>ack").encode())
    @example(
        raw=MAIL.format(
            own=ids[0],
            ids=ids[0],
            kind="multipart/mixed; boundary=b",
            coding="7bit",
            text="--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" * 400,
        ).encode()
    )
    def holds(raw: bytes) -> None:
        try:
            asked = read_mail(raw, answers)
        except MailUnreadable:
            return
        if asked is not None:
            assert asked.person.key == "kim"
            assert set(asked.numbers) <= {1, 2, 3}

    own = st.sampled_from(ids) | damaged(ids[0])
    more = st.sampled_from([" ".join(ids), ids[-1]]) | damaged(ids[-1])
    mails = st.builds(
        lambda own, ids, kind, coding, text: MAIL.format(own=own, ids=ids, kind=kind, coding=coding, text=text).encode(
            "utf-8", "surrogatepass"
        ),
        own,
        more,
        st.sampled_from(KINDS) | st.text(max_size=20),
        st.sampled_from(CODINGS),
        st.lists(st.sampled_from(TEXTS) | words, max_size=4).map("\n".join),
    )
    holed = st.tuples(mails, st.integers(0, 400), st.binary(max_size=4)).map(
        lambda found: found[0][: found[1]] + found[2] + found[0][found[1] :]
    )
    budget.spend(holds, raw=mails | holed | st.binary(max_size=200))
