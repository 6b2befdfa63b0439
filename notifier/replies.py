"""What a person wrote back: which incidents, and whether they take them or say that they are over.

Owns the words people answer with in our three languages. A reply is read strictly: a word that is not known makes the whole unclear,
because "who has 41?" must not take 41. Does not know who wrote it, nor what becomes of it.

    41            take INC-41              ack 41, INC-41, #41, 41 확인, 认领41       the same
    ok            take what is meant       resolve 41, 해결 41, 已解决 41             it is over
"""

from __future__ import annotations

import enum
import re
import unicodedata
from dataclasses import dataclass
from typing import Final

TEXT_CHARACTERS_MAX: Final = 1_000
"""More is no reply to a page."""
NUMBERS_MAX: Final = 20
DIGITS_MAX: Final = 12

_TOKEN: Final = re.compile(r"[0-9]+|[^\W\d_]+")
_TAKE: Final = (
    frozenset({"ack", "acked", "acknowledge", "acknowledged", "ok", "okay", "y", "yes", "take", "taken", "mine"})
    | {"확인", "확인함", "확인요", "확인했습니다", "확인합니다", "네", "예"}
    | {"认领", "認領", "确认", "確認", "收到", "好", "好的"}
)
_RESOLVE: Final = (
    frozenset({"resolve", "resolved", "fixed", "done"})
    | {"해결", "해결됨", "해결함", "해결했습니다", "해결완료", "완료"}
    | {"解决", "解決", "已解决", "已解決", "修复", "已修复"}
)
_FILLING: Final = frozenset(
    {"inc", "incident", "incidents", "please", "pls", "and", "it", "번", "인시던트", "장애", "号", "号故障", "故障"}
)


class Wish(enum.StrEnum):
    """What a reply asks for."""

    TAKE = "take"
    RESOLVE = "resolve"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply, read. `numbers` are the incidents it names, none when it names none."""

    wish: Wish
    numbers: tuple[int, ...] = ()


def read_reply(text: str) -> Reply:
    """Read a reply; a number alone takes it."""
    if len(text) > TEXT_CHARACTERS_MAX:
        return Reply(Wish.UNCLEAR)
    tokens: list[str] = _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())
    if any(len(token) > DIGITS_MAX for token in tokens if token[0].isdecimal()):
        return Reply(Wish.UNCLEAR)
    numbers = tuple(dict.fromkeys(int(token) for token in tokens if token[0].isdecimal()))
    words = [token for token in tokens if not token[0].isdecimal() and token not in _FILLING]
    wishes = {Wish.TAKE if word in _TAKE else Wish.RESOLVE if word in _RESOLVE else Wish.UNCLEAR for word in words}
    if Wish.UNCLEAR in wishes or len(wishes) > 1 or len(numbers) > NUMBERS_MAX or not (wishes or numbers):
        return Reply(Wish.UNCLEAR, numbers[:NUMBERS_MAX])
    return Reply(wishes.pop() if wishes else Wish.TAKE, numbers)
