"""Contacts of Apprise, through the real library, against its own JSON service on a real socket."""

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncIterator

import pytest

from notifier.channels import Refused, Sent, Unreachable
from notifier.channels.apprise import NOT_INSTALLED, AppriseChannel
from tests.fakes.receiver import Answer, Receiver
from tests.notifier.pages import HOSTILE, PAGE, RESOLVED
from tocsin.runtime.contactaddress import contact_fault

# On Python 3.11 and 3.12 a part of Apprise warns that the standard library will lose a module.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

IMPORT_AND_SEND_S = 3.0
"""The first send of a process imports Apprise, half a second on a machine with nothing else to do."""


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(monotonic=lambda: 0.0) as receiver:
        yield receiver


@pytest.fixture
def channel() -> AppriseChannel:
    return AppriseChannel()


def contact(receiver: Receiver, path: str = "hidden-path") -> str:
    return f"apprise:json://kim:hidden-word@127.0.0.1:{receiver.port}/{path}"


async def test_a_page_goes_where_apprise_sends_it(receiver: Receiver, channel: AppriseChannel) -> None:
    assert await channel.send(contact(receiver), PAGE) == Sent(receipt=None)
    page = await receiver.page(1)
    assert "INC-42" in page.body["title"]
    assert page.body["type"] == "failure"
    assert page.body["message"].splitlines()[-2:] == [f"Take it: {PAGE.acknowledge_url}", f"Open: {PAGE.incident.url}"]
    await channel.send(contact(receiver), RESOLVED)
    assert (await receiver.page(2)).body["type"] == "success"


async def test_hostile_text_is_plain_text(receiver: Receiver, channel: AppriseChannel) -> None:
    assert isinstance(await channel.send(contact(receiver), HOSTILE), Sent)
    page = await receiver.page(1)
    assert "X-Evil" not in page.headers
    assert not set(page.body["title"] + page.body["message"]) & {"\r", "\x00", "\u202e", "\u2028"}


@pytest.mark.parametrize("status", [400, 403, 429, 500])
async def test_a_no_of_apprise_may_be_anything(receiver: Receiver, channel: AppriseChannel, status: int) -> None:
    receiver.answers.append(Answer(status=status))
    assert await channel.send(contact(receiver), PAGE) == Unreachable("Apprise (json) could not send it, or cannot tell", ambiguous=True)


async def test_a_redirect_is_not_followed(receiver: Receiver, channel: AppriseChannel) -> None:
    receiver.answers.append(Answer(status=307, headers={"Location": f"http://127.0.0.1:{receiver.port}/inside"}))
    assert isinstance(await channel.send(contact(receiver), PAGE), Unreachable)
    assert len(receiver.pages) == 1


@pytest.mark.parametrize("url", ["nosuchservice://hidden-word@host/", "json://", "gotify://"])
async def test_what_apprise_does_not_know_is_a_refusal(channel: AppriseChannel, url: str) -> None:
    outcome = await channel.send(f"apprise:{url}", PAGE)
    assert outcome == Refused(f"Apprise does not take this {url.partition(':')[0]} address")


async def test_a_hung_address_waits_for_itself_and_delays_no_other(receiver: Receiver) -> None:
    hung, held = contact(receiver, "hung"), asyncio.Event()
    receiver.answers.append(Answer(hold=held))
    slow = AppriseChannel(total_limit_s=IMPORT_AND_SEND_S)
    assert await slow.send(hung, PAGE) == Unreachable("Apprise (json) did not come back within 3 s", ambiguous=True)
    again = await slow.send(hung, PAGE)
    assert again == Unreachable("Apprise is still busy with an earlier page to this json address", ambiguous=False, retry_after_s=10.0)
    assert isinstance(await slow.send(contact(receiver, "other"), PAGE), Sent)
    assert {thread.daemon for thread in threading.enumerate() if thread.name == "apprise"} == {True}
    held.set()
    await _threads_end()
    assert isinstance(await slow.send(hung, PAGE), Sent)


async def _threads_end() -> None:
    """Their last act is to tell the loop, which hears of it in its next turn."""
    for thread in [thread for thread in threading.enumerate() if thread.name == "apprise"]:
        await asyncio.to_thread(thread.join, 10.0)
    await asyncio.sleep(0)


async def test_more_than_its_threads_is_told_so_at_once(receiver: Receiver) -> None:
    channel, held = AppriseChannel(threads_max=2, total_limit_s=IMPORT_AND_SEND_S), asyncio.Event()
    receiver.answers += [Answer(hold=held), Answer(hold=held)]
    async with asyncio.TaskGroup() as group:
        for path in ("one", "two"):
            group.create_task(channel.send(contact(receiver, path), PAGE))
    outcome = await channel.send(contact(receiver, "three"), PAGE)
    held.set()
    assert outcome == Unreachable("Apprise is busy with 2 pages, the most at once", ambiguous=False, retry_after_s=10.0)
    await _threads_end()
    assert isinstance(await channel.send(contact(receiver, "three"), PAGE), Sent)


async def test_no_secret_reaches_a_reason_or_a_log(receiver: Receiver, channel: AppriseChannel, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.answers.append(Answer(status=500))
    outcomes = [await channel.send(contact(receiver), PAGE)]
    await receiver.stop()
    outcomes += [await channel.send(to, PAGE) for to in (contact(receiver), "apprise:json://kim:hidden-word@[/", "apprise:hidden-word")]
    assert not [outcome for outcome in outcomes if isinstance(outcome, Sent)]
    assert "hidden" not in "".join(outcome.reason for outcome in outcomes if not isinstance(outcome, Sent))
    ours = [record for record in caplog.records if record.name != "aiohttp.access"]  # that is the receiver's
    assert not [record for record in ours if "hidden" in record.getMessage()]


async def test_without_the_extra_a_page_is_refused_and_the_rules_file_too(channel: AppriseChannel, monkeypatch: pytest.MonkeyPatch) -> None:
    assert contact_fault("apprise:json://host/", has_account=lambda _: False) is None
    monkeypatch.setitem(sys.modules, "apprise", None)  # what Python itself does with a package that must not be found
    assert await channel.send("apprise:json://host/", PAGE) == NOT_INSTALLED
    fault = contact_fault("apprise:json://host/", has_account=lambda _: False)
    assert fault is not None
    assert "pip install 'tocsin[apprise]'" in fault


def test_a_notifier_without_such_a_contact_never_imports_it() -> None:
    program = "import sys, notifier.channels as c; c.Channels(c.ChannelsConfig(wall_clock=lambda: 0)); print('apprise' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False"
