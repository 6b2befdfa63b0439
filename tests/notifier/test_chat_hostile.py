"""Whatever a chat sends in, nothing of ours breaks: answers are read as foreign text, and what is not one of ours does nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.answers import Answers
from notifier.channels.chatmessages import Bundles
from notifier.channels.http import HttpAnswer
from notifier.channels.slack_answers import SlackAnswers
from notifier.channels.telegram_answers import TelegramAnswers
from tests.notifier.chatpages import NOW_MS
from tocsin.runtime.service import Deps

ANSWERS = Answers(cast(Deps, None), "a key")  # nothing here may reach the store
KEYS = st.sampled_from(
    [
        "update_id",
        "callback_query",
        "message",
        "from",
        "chat",
        "id",
        "data",
        "text",
        "message_id",
        "reply_to_message",
        "reply_markup",
        "inline_keyboard",
        "url",
        "type",
        "user",
        "channel",
        "ts",
        "blocks",
        "actions",
        "value",
        "block_id",
        "elements",
    ]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(["ack", "/start", "block_actions", "!t1.x"])
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=25)
OBJECTS = st.dictionaries(KEYS, JSON, max_size=8)


class Over(Exception):
    """The test has seen what it wanted."""


@settings(max_examples=300)
@given(st.lists(OBJECTS, max_size=4))
def test_no_update_of_telegrams_stops_the_listening(updates: list[dict[str, Any]]) -> None:
    bodies = [json.dumps({"ok": True, "result": updates}).encode()]

    async def call(method: str, payload: Mapping[str, object], limit_s: float) -> HttpAnswer:
        if method != "getUpdates":
            return HttpAnswer("telegram", 400, b"{}")
        if not bodies:
            raise Over
        return HttpAnswer("telegram", 200, bodies.pop())

    with pytest.raises(Over):
        asyncio.run(TelegramAnswers(call, ANSWERS, Bundles(lambda: NOW_MS)).listen())


@settings(max_examples=300)
@given(OBJECTS)
def test_no_payload_of_slacks_does_anything_that_we_did_not_sign(payload: dict[str, Any]) -> None:
    async def call(method: str, payload: Mapping[str, object], limit_s: float) -> HttpAnswer:
        raise AssertionError("nothing is to be shown")

    answers = SlackAnswers(call, ANSWERS, Bundles(lambda: NOW_MS), signing_secret="s", wall_clock=lambda: NOW_MS)
    assert asyncio.run(answers.act(payload)) is None
