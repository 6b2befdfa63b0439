"""A robot and a topic through the whole path: a notifier on a real store, the rules' own addresses and secrets, the providers' stand-ins.

kim's first contact is the provider, the second (5 minutes later) the usual webhook.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from notifier.limits import SHORT_MS
from tests.fakes.hooks import Dingtalk, Feishu, Hook, Ntfy
from tests.services.world import World
from tocsin.policy.model import PageStatus


def first_of_kim(hook: Hook) -> Callable[[str], str]:
    """The edit of the rules that makes a provider kim's first contact, with its secret."""

    def edit(rules: str) -> str:
        return re.sub(r"\{to: '[^']*/kim/1'\}", f"{{to: '{hook.contact()}', secret: SEC1}}", rules)

    return edit


async def page(world: World, hook: Hook) -> None:
    """Let an incident open, and everything that is due go out."""
    world.write_rules(edit=first_of_kim(hook))
    correlator = await world.correlator()
    async with world.notifier() as notifier:
        await world.report("Disk")
        await correlator.tick(world.clock.now_ms())
        await world.advance(notifier, 2 * SHORT_MS, step_ms=SHORT_MS)  # a new notifier takes short limits for used up


@pytest.mark.parametrize("made", [Dingtalk, Feishu, Ntfy])
async def test_a_page_reaches_a_provider_signed_as_the_rules_say(world: World, made: type[Hook]) -> None:
    async with made(wall_clock=world.clock.now_ms, secret="SEC1") as hook:
        await page(world, hook)
        (post,) = hook.taken
    assert "/a/" in post.raw.decode()
    assert (await world.incident()).pages[0].status is PageStatus.SENT
    assert not world.receiver.pages


async def test_a_robot_that_refuses_brings_the_next_contact_at_once(world: World) -> None:
    async with Dingtalk(wall_clock=world.clock.now_ms, secret="another") as robot:
        await page(world, robot)
        assert len(robot.posts) == 1
    pages = (await world.incident()).pages
    assert [found.status for found in pages[:2]] == [PageStatus.FAILED, PageStatus.SENT]
    assert [received.path for received in world.receiver.pages] == ["/kim/2"]
    assert "signature" in str(pages[0])
    assert "hidden-token" not in str(pages[0])
