"""The `mailto:` contact, against a real SMTP server."""

import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from email.headerregistry import Address
from pathlib import Path

import pytest

from notifier.channels import Channels, ChannelsConfig, Refused, Sent, Unreachable
from notifier.channels.mail import MailChannel, compose
from notifier.message import IncidentView, PageMessage, RungView, one_line
from tests.fakes.smtp import CUT, SILENCE, MailServer
from tocsin.policy.accounts import MailAccount
from tocsin.policy.model import PageKind

NOW_MS = 1_795_370_047_500
PAGE = PageMessage(
    page_id="INC-42.1.kim.1",
    kind=PageKind.PAGE,
    attempt=1,
    incident=IncidentView(
        id="INC-42",
        title="결제 오류 <b>38%</b>",
        severity=1,
        service="payments",
        state="open",
        opened_at=1_795_370_047_000,
        firing=3,
        resolved=0,
        labels={"cluster": "a"},
        url="https://tocsin.example.com/incidents/INC-42",
        runbook="https://runbooks.example.com/payments",
    ),
    others=(),
    rung=RungView(after="30m", role="customer-service-engineer", index=1),
    person="kim",
    person_name="김민수",
    time_zone="Asia/Seoul",
    locale="ko",
    late_by_s=0.0,
    told=("Park",),
    next_rung=None,
    acknowledge_url="https://tocsin.example.com/a/TOKEN",
)
FROM = "Tocsin <tocsin@example.com>"
TO = "mailto:kim@example.com"
SENDER = Address(display_name="Tocsin", addr_spec="tocsin@example.com")
KIM = Address(display_name="김민수", addr_spec="kim@example.com")


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with MailServer() as server:
        yield server


@pytest.fixture
def channel(server: MailServer) -> MailChannel:
    return MailChannel(MailAccount(smtp=server.url(), sender=FROM), wall_clock=lambda: NOW_MS)


@pytest.fixture
def certificate(real_binary: Callable[[str], Path], data_dir: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    cert, key = data_dir / "cert.pem", data_dir / "key.pem"
    command = [str(real_binary("openssl")), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-out", str(cert)]
    subprocess.run([*command, "-keyout", str(key)], check=True, capture_output=True, timeout=60)
    return cert, key


@pytest.fixture
async def tls_server(certificate: tuple[Path, Path]) -> AsyncIterator[MailServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    async with MailServer(tls_context=context, passwords={"tocsin@example.com": "p@ss/word"}) as server:
        yield server


async def test_a_page_arrives_as_a_mail_of_two_parts(server: MailServer, channel: MailChannel) -> None:
    assert await channel.send(TO, PAGE) == Sent(receipt="4F2A1")
    mail = await server.mail(1)
    assert (mail.sender, mail.recipients) == ("tocsin@example.com", ("kim@example.com",))
    parsed = mail.parsed()
    assert parsed["Subject"] == "[심각1] payments: 결제 오류 <b>38%</b> (INC-42)"
    assert parsed["From"] == FROM
    assert parsed["To"] == "김민수 <kim@example.com>"
    assert parsed["Date"] == "Sun, 22 Nov 2026 17:54:07 +0000"
    assert parsed["Auto-Submitted"] == "auto-generated"
    assert parsed["Importance"] == "high"
    plain, rich = parsed.get_body(("plain",)), parsed.get_body(("html",))
    assert plain is not None
    assert rich is not None
    assert plain.get_content().splitlines()[0] == one_line(PAGE)
    assert "결제 오류 &lt;b&gt;38%&lt;/b&gt;" in rich.get_content()
    assert 'href="https://tocsin.example.com/a/TOKEN"' in rich.get_content()


async def test_only_severity_1_is_of_high_importance(server: MailServer, channel: MailChannel) -> None:
    await channel.send(TO, replace(PAGE, incident=replace(PAGE.incident, severity=2)))
    assert (await server.mail(1)).parsed()["Importance"] is None


async def test_copies_share_a_message_id_and_pages_of_an_incident_a_thread() -> None:
    def ids(message: PageMessage) -> tuple[str, str]:
        mail = compose(message, sender=SENDER, recipient=KIM, now_ms=NOW_MS)
        assert mail["References"] == mail["In-Reply-To"]
        return mail["Message-ID"], mail["References"]

    first, thread = ids(PAGE)
    assert ids(replace(PAGE, attempt=2, late_by_s=99.0)) == (first, thread)
    reminder, same_thread = ids(replace(PAGE, page_id="INC-42.2.kim.1", kind=PageKind.REMINDER))
    assert reminder != first
    assert same_thread == thread
    reborn, other_thread = ids(replace(PAGE, incident=replace(PAGE.incident, opened_at=1)))
    assert reborn != first
    assert other_thread != thread


@pytest.mark.parametrize("domain", ["example.com", "of-a-department." * 4 + "of-a-company.example.co.kr"])
def test_the_headers_of_the_thread_are_never_folded_or_encoded(domain: str) -> None:
    sender = Address(addr_spec=f"tocsin@{domain}")
    raw = compose(PAGE, sender=sender, recipient=KIM, now_ms=NOW_MS).as_bytes()
    head = raw.partition(b"\r\n\r\n")[0].split(b"\r\n")
    for name in (b"Message-ID: <", b"In-Reply-To: <", b"References: <"):
        (line,) = [line for line in head if line.startswith(name)]
        assert line.endswith(b">")


async def test_hostile_text_adds_no_header(server: MailServer, channel: MailChannel) -> None:
    evil = "x\r\nBcc: all@example.com\r\n\r\nbody\u2028\x00"
    incident = replace(PAGE.incident, title=evil, service=evil, labels={evil: evil})
    message = replace(PAGE, incident=incident, person_name=evil, told=(evil,), page_id=evil)
    assert isinstance(await channel.send(TO, message), Sent)
    mail = await server.mail(1)
    assert mail.recipients == ("kim@example.com",)
    assert mail.parsed()["Bcc"] is None
    assert mail.parsed().is_multipart()


@pytest.mark.parametrize("answer", ["550 5.1.1 no such user", "554 5.7.1 not here", "552 5.2.2 mailbox full"])
async def test_a_permanent_refusal_is_one_for_good(server: MailServer, channel: MailChannel, answer: str) -> None:
    server.at_recipient.append(answer)
    server.after_data.append(answer)
    expected = Refused(f"127.0.0.1:{server.port} answered {answer}")
    assert await channel.send(TO, PAGE) == expected
    assert await channel.send(TO, PAGE) == expected


@pytest.mark.parametrize("answer", ["451 4.7.1 greylisted", "452 4.3.1 no room", "421 4.3.2 closing"])
async def test_a_passing_refusal_is_tried_again_and_not_ambiguous(server: MailServer, channel: MailChannel, answer: str) -> None:
    server.at_recipient.append(answer)
    server.after_data.append(answer)
    expected = Unreachable(f"127.0.0.1:{server.port} answered {answer}", ambiguous=False)
    assert await channel.send(TO, PAGE) == expected
    assert await channel.send(TO, PAGE) == expected


async def test_a_connection_lost_after_the_mail_left_is_ambiguous(server: MailServer, channel: MailChannel) -> None:
    server.after_data.append(CUT)
    outcome = await channel.send(TO, PAGE)
    assert isinstance(outcome, Unreachable)
    assert outcome.ambiguous
    assert len(server.mails) == 1


async def test_a_connection_lost_before_the_mail_left_is_not_ambiguous(server: MailServer, channel: MailChannel) -> None:
    server.at_recipient.append(CUT)
    outcome = await channel.send(TO, PAGE)
    assert isinstance(outcome, Unreachable)
    assert not outcome.ambiguous
    assert not server.mails


@pytest.mark.parametrize("in_data", [True, False])
async def test_a_server_that_falls_silent_is_left_in_time(server: MailServer, in_data: bool) -> None:
    account = MailAccount(smtp=server.url(), sender=FROM)
    channel = MailChannel(account, wall_clock=lambda: NOW_MS, total_limit_s=0.3)
    (server.after_data if in_data else server.at_recipient).append(SILENCE)
    outcome = await channel.send(TO, PAGE)
    assert outcome == Unreachable(f"no answer from 127.0.0.1:{server.port} within 0.3 s", ambiguous=in_data)


async def test_a_server_that_is_down_certainly_did_not_get_the_mail() -> None:
    async with MailServer() as server:
        account = MailAccount(smtp=server.url(), sender=FROM)
    outcome = await MailChannel(account, wall_clock=lambda: NOW_MS).send(TO, PAGE)
    assert isinstance(outcome, Unreachable)
    assert not outcome.ambiguous
    assert f"127.0.0.1:{server.port}" in outcome.reason


async def test_tls_is_used_when_offered_and_the_password_goes_through_it(tls_server: MailServer, certificate: tuple[Path, Path]) -> None:
    account = MailAccount(smtp=tls_server.url("tocsin%40example.com:p%40ss%2Fword"), sender=FROM)
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    channel = MailChannel(account, wall_clock=lambda: NOW_MS, tls_context=trusting)
    assert isinstance(await channel.send(TO, PAGE), Sent)
    mail = await tls_server.mail(1)
    assert mail.over_tls
    assert mail.user == "tocsin@example.com"


async def test_a_server_whose_certificate_nobody_vouches_for_gets_nothing(tls_server: MailServer) -> None:
    account = MailAccount(smtp=tls_server.url("tocsin%40example.com:p%40ss%2Fword"), sender=FROM)
    outcome = await MailChannel(account, wall_clock=lambda: NOW_MS).send(TO, PAGE)
    assert isinstance(outcome, Unreachable)
    assert not outcome.ambiguous
    assert not tls_server.logins
    assert not tls_server.mails


async def test_a_password_leaves_this_machine_over_tls_only() -> None:
    async with MailServer(passwords={"u": "hush"}) as server:
        here, elsewhere = [  # the same server, but 0.0.0.0 is no address of this machine's loopback
            await MailChannel(MailAccount(smtp=server.url("u:hush", host=host), sender=FROM), wall_clock=lambda: NOW_MS).send(TO, PAGE)
            for host in ("127.0.0.1", "0.0.0.0")
        ]
    assert isinstance(here, Sent)
    assert elsewhere == Refused(f"0.0.0.0:{server.port} offers no TLS and a password is not sent in the clear")
    assert server.logins == ["u"]


async def test_a_wrong_password_is_refused_and_not_repeated_in_the_reason(tls_server: MailServer, certificate: tuple[Path, Path]) -> None:
    account = MailAccount(smtp=tls_server.url("tocsin%40example.com:hush"), sender=FROM)
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    outcome = await MailChannel(account, wall_clock=lambda: NOW_MS, tls_context=trusting).send(TO, PAGE)
    assert isinstance(outcome, Refused)
    assert "535" in outcome.reason
    assert "hush" not in outcome.reason


@pytest.mark.parametrize("to", ["mailto:", "mailto:kim", "mailto:@x", "mailto:k%0d%0aRCPT@x.org", "mailto:a@b@c..d"])
async def test_an_address_that_is_none_is_refused(server: MailServer, channel: MailChannel, to: str) -> None:
    assert await channel.send(to, PAGE) == Refused("the contact is not a mail address we can send to")


async def test_a_domain_in_korean_is_sent_as_the_network_knows_it(server: MailServer, channel: MailChannel) -> None:
    assert isinstance(await channel.send("mailto:kim@예제.kr?subject=x", PAGE), Sent)
    assert (await server.mail(1)).recipients == ("kim@xn--2j5b21b.kr",)


async def test_without_an_account_a_mail_is_refused_with_the_reason() -> None:
    channel = Channels(ChannelsConfig(wall_clock=lambda: NOW_MS)).for_contact(TO)
    assert channel is not None
    assert await channel.send(TO, PAGE) == Refused("no mail account is set: channels.mail")


@pytest.mark.parametrize(
    ("smtp", "sender", "field"),
    [
        ("http://u:hush@h", FROM, "channels.mail.smtp"),
        ("smtp://u:hush@", FROM, "channels.mail.smtp"),
        ("smtp://u:hush@h:port", FROM, "channels.mail.smtp"),
        ("smtp://u:hush@[::1", FROM, "channels.mail.smtp"),
        ("smtp://u:hush@h", "Tocsin", "channels.mail.from"),
        ("smtp://u:hush@h", "", "channels.mail.from"),
        ("smtp://u:hush@h", "tocsin@예제.kr", "channels.mail.from"),
    ],
)
def test_an_account_that_cannot_work_is_said_at_the_start(smtp: str, sender: str, field: str) -> None:
    account = MailAccount(smtp=smtp, sender=sender)
    with pytest.raises(ValueError, match=field) as raised:
        MailChannel(account, wall_clock=lambda: NOW_MS)
    assert "hush" not in str(raised.value) + repr(account)
