"""A page as Slack shows it: blocks, and the words for the phone's banner.

Owns the form and Slack's limits. All text is plain text and escaped, so that nothing foreign becomes a mention, a link or an emoji.

    header   what is broken                    (id `head`)
    section  since when, who else, who next    (id `body`)
    context  who has it                        (id `state`, absent while nobody does)
    actions  take it, resolve, open            (id `answer`)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from notifier.answers import Answers
from notifier.channels.buttons import Action, write_button
from notifier.message import PageMessage
from notifier.rendering.chat import Card
from tocsin.runtime.text import cut

HEADER_CHARACTERS_MAX: Final = 120
BODY_CHARACTERS_MAX: Final = 600
STATE_CHARACTERS_MAX: Final = 300
BANNER_CHARACTERS_MAX: Final = 150
BUTTON_CHARACTERS_MAX: Final = 75
"""Slack takes 150, 3,000, 2,000, 40,000 and 75; escaping may make five characters of one."""

STATE, ANSWER = "state", "answer"

Json = Mapping[str, object]
Block = dict[str, object]


def content(shown: Card, message: PageMessage, *, link: str, answers: Answers | None, private: bool) -> Block:
    """Return `text` and `blocks` of a message; in a private one the buttons say for whom it was."""
    person = message.person if private else ""
    buttons: list[Block] = []
    if answers is not None and message.numbers:
        if shown.take:
            buttons.append(button(shown.take, Action.TAKE, write_button(answers, Action.TAKE, message.numbers, person)))
        if shown.resolve:
            buttons.append(button(shown.resolve, Action.RESOLVE, write_button(answers, Action.RESOLVE, message.numbers, person)))
    if link and shown.open:
        buttons.append({"type": "button", "action_id": "open", "text": plain(shown.open, BUTTON_CHARACTERS_MAX), "url": link})
    blocks: list[Block] = [{"type": "header", "block_id": "head", "text": plain(shown.headline or "-", HEADER_CHARACTERS_MAX)}]
    if shown.lines:
        blocks.append({"type": "section", "block_id": "body", "text": plain("\n".join(shown.lines), BODY_CHARACTERS_MAX)})
    return {"text": escape(cut(shown.banner, BANNER_CHARACTERS_MAX)), "blocks": [*blocks, *tail(shown.state_line, buttons)]}


def words_only(shown: Card, *, link: str) -> Block:
    """Return the same without blocks, for a Slack that does not take them: a page must go out."""
    return {"text": escape("\n".join(part for part in (shown.banner, shown.state_line, link) if part))}


def changed(blocks: Sequence[Json], state: str, buttons: Sequence[Block]) -> list[Json]:
    """Return a message's blocks with another state and other buttons; its link stays."""
    kept = [block for block in blocks if block.get("block_id") not in {STATE, ANSWER}]
    links = [each for block in blocks if block.get("block_id") == ANSWER for each in elements(block) if "url" in each]
    return [*kept, *tail(state, [*buttons, *links])]


def elements(block: Json) -> list[Json]:
    """Return what stands in a block of several elements."""
    found = block.get("elements")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def tail(state: str, buttons: Sequence[Json]) -> list[Block]:
    """Return the blocks that change: who has it, and what can be done."""
    blocks: list[Block] = []
    if state:
        blocks.append({"type": "context", "block_id": STATE, "elements": [plain(state, STATE_CHARACTERS_MAX)]})
    if buttons:
        blocks.append({"type": "actions", "block_id": ANSWER, "elements": list(buttons)})
    return blocks


def button(label: str, action: Action, value: str) -> Block:
    """Return a button that comes back to us with its value."""
    found: Block = {"type": "button", "action_id": "resolve", "text": plain(label, BUTTON_CHARACTERS_MAX), "value": value}
    return found | {"action_id": "take", "style": "primary"} if action.takes else found


def plain(text: str, characters_max: int) -> Block:
    """Return a text object in which nothing means anything."""
    return {"type": "plain_text", "text": escape(cut(text, characters_max)), "emoji": False}


def escape(text: str) -> str:
    """Escape the three characters that mean something to Slack."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
