"""A mailbox that anybody can write to: no mail in it holds up the reply behind it."""

from __future__ import annotations

import pytest

from notifier.channels.mailbox import ImapMailbox
from tests.fakes.imap import MailboxServer
from tests.fakes.smtp import MailServer
from tests.services.test_mail_replies import listening, looking, paged, reply
from tests.services.world import World

ODD_MAILS = [
    pytest.param(
        b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\n\xff\r\n", id="a multipart without parts"
    ),
    pytest.param(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\xff\xfe", id="a part cut off"),
    pytest.param(b"Subject: \xff\xfe\r\nContent-Type: text/plain; charset=nonsense\r\n\r\n\xff", id="no character set"),
    pytest.param(b"", id="nothing"),
    pytest.param(b"\0" * 100, id="zeros"),
]


@pytest.mark.parametrize("odd", ODD_MAILS)
async def test_no_mail_of_a_stranger_holds_up_the_reply_behind_it(world: World, odd: bytes) -> None:
    async with (
        MailServer() as outgoing,
        MailboxServer("tocsin", "hush") as server,
        listening(world, outgoing, "listen: '127.0.0.1:0'") as (notifier, channel),
        looking(ImapMailbox(server.url(), look_every_s=0.01, after_fault_s=0.01), channel),
    ):
        page = await paged(world, notifier, outgoing, "DiskFull")
        await server.deliver(odd)
        await server.deliver(reply(page, "<![x[ ack", html=True))
        await server.deliver(reply(page, "ack"))
        await server.seen(3)
        assert (await world.incident()).acknowledged_by == "kim"
