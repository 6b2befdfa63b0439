"""Topics of ntfy, against a stand-in that takes what a server takes. What holds for every web address is in test_channel_http.py."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from notifier.channels import Refused, Sent, Unreachable
from notifier.channels.ntfy import NtfyChannel
from tests.fakes.hooks import Ntfy
from tests.notifier.pages import HOSTILE, MANY, NOW_MS, PAGE, RESOLVED
from tocsin.policy.model import PageKind


@pytest.fixture
async def server() -> AsyncIterator[Ntfy]:
    async with Ntfy(wall_clock=lambda: NOW_MS) as server:
        yield server


@pytest.fixture
async def channel(server: Ntfy) -> AsyncIterator[NtfyChannel]:
    channel = NtfyChannel(wall_clock=lambda: NOW_MS, secrets={server.contact(): "tk_1"})
    yield channel
    await channel.close()


async def test_a_page_has_a_title_a_text_and_a_button_that_posts(server: Ntfy, channel: NtfyChannel) -> None:
    assert await channel.send(server.contact(), PAGE) == Sent("id00000001")
    body = server.taken[0].body
    assert body["topic"] == "kim-pages"
    assert "INC-42" in body["title"]
    assert len(body["title"]) <= 60
    assert "KST" in body["message"]
    assert body["click"] == PAGE.acknowledge_url
    assert body["actions"][0] == {"action": "http", "label": "Take it", "url": PAGE.acknowledge_url, "method": "POST", "clear": True}
    assert "markdown" not in body


async def test_a_title_that_was_cut_is_whole_in_the_text(server: Ntfy, channel: NtfyChannel) -> None:
    title = "the disk of the second replica of the primary database is full to the last byte"
    await channel.send(server.contact(), replace(PAGE, incident=replace(PAGE.incident, title=title)))
    body = server.taken[0].body
    assert len(body["title"]) <= 60
    assert title in body["message"].splitlines()[0]


@pytest.mark.parametrize(
    ("severity", "kind", "priority"),
    [
        (1, PageKind.PAGE, 5),
        (2, PageKind.PAGE, 4),
        (3, PageKind.PAGE, 3),
        (4, PageKind.TEST, 3),
        (1, PageKind.REMINDER, 5),
        (1, PageKind.EMERGENCY, 5),
        (1, PageKind.RESOLVED, 3),
        (1, PageKind.NOTICE, 3),
        (1, PageKind.HANDOVER, 3),
    ],
)
async def test_only_what_is_grave_and_not_over_rings_loud(
    server: Ntfy, channel: NtfyChannel, severity: int, kind: PageKind, priority: int
) -> None:
    await channel.send(server.contact(), replace(PAGE, kind=kind, incident=replace(PAGE.incident, severity=severity)))
    assert server.taken[0].body["priority"] == priority


async def test_what_is_over_has_no_button_that_answers(server: Ntfy, channel: NtfyChannel) -> None:
    await channel.send(server.contact(), RESOLVED)
    body = server.taken[0].body
    assert body["tags"] == ["white_check_mark"]
    assert [action["action"] for action in body["actions"]] == ["view"]


async def test_several_incidents_are_taken_with_one_press(server: Ntfy, channel: NtfyChannel) -> None:
    await channel.send(server.contact(), MANY)
    assert server.taken[0].body["actions"][0]["label"] == "Take all 100"


async def test_hostile_text_stays_text(server: Ntfy, channel: NtfyChannel) -> None:
    await channel.send(server.contact(), HOSTILE)
    body = server.taken[0].body
    assert not set(body["message"] + body["title"]) & {"\r", "\x00", "\u202e", "\u2028"}
    assert {action["url"] for action in body["actions"]} == {PAGE.acknowledge_url}


async def test_a_secret_is_the_access_token(server: Ntfy, channel: NtfyChannel) -> None:
    server.secret = "tk_1"
    assert isinstance(await channel.send(server.contact(), PAGE), Sent)
    assert server.posts[0].headers["Authorization"] == "Bearer tk_1"
    server.secret = "tk_2"
    assert await channel.send(server.contact(), PAGE) == Refused(f"{server.where} answered 403")


async def test_name_and_password_in_the_address_are_used_unless_there_is_a_token(server: Ntfy) -> None:
    server.secret = "tk_1"
    to = server.contact().replace("http://", "http://kim:tk_1@")
    for secrets in ({}, {to: "tk_1"}):
        channel = NtfyChannel(wall_clock=lambda: NOW_MS, secrets=secrets)
        assert isinstance(await channel.send(to, PAGE), Sent)
        await channel.close()
    assert [post.headers["Authorization"].split()[0] for post in server.posts] == ["Basic", "Bearer"]


async def test_a_server_below_a_path_is_published_to_there(server: Ntfy, channel: NtfyChannel) -> None:
    await channel.send(server.contact().replace("/kim-pages", "/push/kim-pages/"), PAGE)
    assert (server.posts[0].path, server.posts[0].body["topic"]) == ("/push/", "kim-pages")


@pytest.mark.parametrize(("code", "pause_s"), [(42901, 10.0), (42908, 3600.0)])
async def test_a_limit_of_the_server_says_how_long(server: Ntfy, channel: NtfyChannel, code: int, pause_s: float) -> None:
    server.tell(status=429, body={"code": code, "http": 429, "error": "limit reached"})
    assert await channel.send(server.contact(), PAGE) == Unreachable(f"{server.where} answered 429", ambiguous=False, retry_after_s=pause_s)


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"", {"id": ""}, {"id": 7}])
async def test_a_200_that_is_not_of_ntfy_is_no_answer(server: Ntfy, channel: NtfyChannel, body: object) -> None:
    server.tell(body=body)
    assert await channel.send(server.contact(), PAGE) == Unreachable(f"{server.where} answered 200, but not as ntfy does", ambiguous=True)
