"""A reply to a page's mail takes what the page names: over our own SMTP listener and out of a mailbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY

import aiosmtplib
import pytest

from notifier.channels.mail import MailChannel
from notifier.channels.mailbox import MAIL_BYTES_MAX, ImapMailbox
from notifier.service import Notifier
from tests.fakes.imap import MailboxServer
from tests.fakes.smtp import MailServer, ReceivedMail
from tests.services.world import World, until
from tocsin.policy.model import State

KIM = "Kim <kim@example.com>"


def mail_rules(text: str, outgoing: MailServer, way_in: str) -> str:
    """Kim has mail alone, in Korean time and English words."""
    account = f"channels: {{mail: {{smtp: '{outgoing.url()}', from: tocsin@example.com, reply_to: ack@example.com, {way_in}}}}}\n"
    start = text.index("  kim:")
    return account.join(["", text[:start] + "  kim: {name: Kim, contacts: ['mailto:kim@example.com']}" + text[text.index("\n", start) :]])


@asynccontextmanager
async def listening(world: World, outgoing: MailServer, way_in: str) -> AsyncIterator[tuple[Notifier, MailChannel]]:
    """A notifier that sends mail and takes replies."""
    world.write_rules(edit=lambda text: mail_rules(text, outgoing, way_in))
    async with world.notifier() as notifier, asyncio.TaskGroup() as group:
        channel = notifier.lanes.channels.for_contact("mailto:kim@example.com")
        assert isinstance(channel, MailChannel)
        listen = group.create_task(channel.listen())
        try:
            yield notifier, channel
        finally:
            listen.cancel()


async def paged(world: World, notifier: Notifier, outgoing: MailServer, *names: str) -> ReceivedMail:
    correlator = await world.correlator()
    for name in names:
        await world.report(name)
    await correlator.tick(world.clock.now_ms())
    await world.settle(notifier)
    return await outgoing.mail(1)


def reply(page: ReceivedMail, text: str, *, html: bool = False, sender: str = KIM, headers: Mapping[str, str] | None = None) -> bytes:
    """What a mail program makes of a reply: our ids in its headers, our text quoted below."""
    asked = page.parsed()
    mail = EmailMessage(policy=SMTP_POLICY)
    mail["From"], mail["To"], mail["Subject"] = sender, asked["Reply-To"], f"Re: {asked['Subject']}"
    mail["Message-ID"] = "<reply@example.com>"
    mail["In-Reply-To"] = asked["Message-ID"]
    mail["References"] = f"{asked['References']} {asked['Message-ID']}"
    for name, value in (headers or {}).items():
        mail[name] = value
    quoted = "\n".join(f"> {line}" for line in asked.get_body(("plain",)).get_content().splitlines())  # type: ignore[union-attr]
    if html:
        mail.set_content(
            f"<html><head><style>p {{}}</style></head><body><p>{text}</p><blockquote>{quoted}</blockquote></body></html>", "html"
        )
    else:
        mail.set_content(f"{text}\n\nOn Mon, Tocsin <ack@example.com> wrote:\n{quoted}\n")
    return mail.as_bytes()


async def hand_in(channel: MailChannel, raw: bytes, to: str = "ack@example.com") -> str:
    """Hand a mail to our listener as a mail server does; return its answer."""
    assert channel.listener is not None
    listener = channel.listener
    await until(lambda: listener.port)
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=listener.port, start_tls=False) as client:
        try:
            await client.mail("kim@example.com")
            await client.rcpt(to)
            return str((await client.data(raw)).code)
        except aiosmtplib.SMTPResponseException as error:
            return str(error.code)


@pytest.mark.parametrize("text", ["ack", "Ack\n\n-- \nKim", "확인", "认领", "INC-1", "OK please"])
async def test_a_reply_of_ack_takes_it_and_is_told_so(world: World, text: str) -> None:
    async with MailServer() as outgoing, listening(world, outgoing, "listen: '127.0.0.1:0'") as (notifier, channel):
        page = await paged(world, notifier, outgoing, "DiskFull")
        body = page.parsed().get_body(("plain",))
        assert body is not None
        assert "reply to this mail with the word ack" in body.get_content()
        text = text.replace("INC-1", f"INC-{(await world.incident()).number}")
        assert await hand_in(channel, reply(page, text)) == "250"
        after = await world.incident()
        assert (after.state, after.acknowledged_by) == (State.ACKNOWLEDGED, "kim")
        told = (await outgoing.mail(2)).parsed()
        assert (told["To"], told["Auto-Submitted"]) == (KIM, "auto-replied")
        assert f"INC-{after.number}" in told["Subject"]
        version = after.version
        assert await hand_in(channel, reply(page, text)) == "250"
        assert (await world.incident()).version == version


async def test_a_reply_written_as_html_counts_and_one_from_another_address_of_the_reader_too(world: World) -> None:
    async with MailServer() as outgoing, listening(world, outgoing, "listen: '127.0.0.1:0'") as (notifier, channel):
        page = await paged(world, notifier, outgoing, "DiskFull")
        assert await hand_in(channel, reply(page, "ack", html=True, sender="kim.private@example.net")) == "250"
        assert (await world.incident()).acknowledged_by == "kim"


async def test_resolve_resolves_and_other_words_only_get_an_answer(world: World) -> None:
    async with MailServer() as outgoing, listening(world, outgoing, "listen: '127.0.0.1:0'") as (notifier, channel):
        page = await paged(world, notifier, outgoing, "DiskFull")
        before = (await world.incident()).version
        for text in ("who has this?", "INC-999", "> ack"):
            assert await hand_in(channel, reply(page, text)) == "250"
        assert (await world.incident()).version == before
        assert f"INC-{(await world.incident()).number}" in (await outgoing.mail(2)).parsed()["Subject"]
        assert await hand_in(channel, reply(page, "resolve")) == "250"
        assert (await world.incident()).state is State.RESOLVED


@pytest.mark.parametrize(
    "headers",
    [{"Auto-Submitted": "auto-replied"}, {"Precedence": "bulk"}, {"X-Autoreply": "yes"}, {"List-Id": "<ops.example.com>"}],
    ids=["vacation", "bulk", "autoreply", "list"],
)
async def test_what_runs_by_itself_never_answers(world: World, headers: dict[str, str]) -> None:
    async with MailServer() as outgoing, listening(world, outgoing, "listen: '127.0.0.1:0'") as (notifier, channel):
        page = await paged(world, notifier, outgoing, "DiskFull")
        assert await hand_in(channel, reply(page, "ack", headers=headers)) == "250"
        assert (await world.incident()).state is State.OPEN
        assert len(outgoing.mails) == 1


async def test_a_mail_without_our_proof_changes_nothing_whoever_it_says_it_is_from(world: World) -> None:
    async with MailServer() as outgoing, listening(world, outgoing, "listen: '127.0.0.1:0'") as (notifier, channel):
        page = await paged(world, notifier, outgoing, "DiskFull")
        genuine = reply(page, "ack")
        message_id = page.parsed()["Message-ID"]
        mark, numbers, proof = message_id.strip("<>").partition("@")[0].split(".")
        forged = proof[:-1] + ("A" if proof[-1] != "A" else "B")
        for raw in (
            genuine.replace(proof.encode(), forged.encode()),
            genuine.replace(f"{mark}.{numbers}.".encode(), f"{mark}.{int(numbers, 16) + 1:x}.".encode()),
            b"From: kim@example.com\r\nTo: ack@example.com\r\n\r\nack\r\n",
            b"",
            b"\xff\x00 not a mail",
        ):
            assert await hand_in(channel, raw) == "250"
        assert (await world.incident()).state is State.OPEN
        assert await hand_in(channel, genuine, to="root@example.com") == "550"


async def test_a_reply_to_a_page_of_several_takes_all_of_them(world: World) -> None:
    async with MailServer() as outgoing, listening(world, outgoing, "listen: '127.0.0.1:0'") as (notifier, channel):
        page = await paged(world, notifier, outgoing, *(f"Disk{n}" for n in range(6)))
        assert all(len(word) <= 76 for word in page.parsed()["References"].split())
        assert b"=?" not in next(line for line in page.raw.splitlines() if line.startswith(b"References"))
        assert await hand_in(channel, reply(page, "ack")) == "250"
        assert {incident.acknowledged_by for incident in await world.incidents()} == {"kim"}


@pytest.mark.parametrize("idles", [True, False])
async def test_replies_are_fetched_out_of_a_mailbox(world: World, idles: bool) -> None:
    async with (
        MailServer() as outgoing,
        MailboxServer("tocsin@example.com", "p@ss/word", idles=idles) as server,
        listening(world, outgoing, f"imap: '{server.url()}'") as (notifier, channel),
        looking(ImapMailbox(server.url(), look_every_s=0.01), channel),
    ):
        page = await paged(world, notifier, outgoing, "DiskFull")
        await server.deliver(b"From: spam@example.com\r\n\r\nbuy\r\n")
        await server.deliver(reply(page, "ack") + b"x" * 2 * MAIL_BYTES_MAX)
        await server.seen(2)
        assert (await world.incident()).acknowledged_by == "kim"
        assert server.longest_fetched == MAIL_BYTES_MAX


async def test_a_mailbox_that_goes_away_is_opened_again(world: World) -> None:
    async with (
        MailServer() as outgoing,
        MailboxServer("tocsin", "hush") as server,
        listening(world, outgoing, "listen: '127.0.0.1:0'") as (notifier, channel),
        looking(ImapMailbox(server.url(), after_fault_s=0.01), channel),
    ):
        page = await paged(world, notifier, outgoing, "DiskFull")
        await until(lambda: server.logins == 1)
        server.cut_next = True
        await server.deliver(reply(page, "ack"))
        await server.seen(1)
        assert server.logins == 2
        assert (await world.incident()).acknowledged_by == "kim"


@asynccontextmanager
async def looking(mailbox: ImapMailbox, channel: MailChannel) -> AsyncIterator[None]:
    """A mailbox whose mails go where the channel's own would."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(mailbox.run(channel.take_in))
        try:
            yield
        finally:
            task.cancel()
