"""The languages of pages: which one a reader's locale means, and what roles and states are called in each.

Shared by what the notifier writes (`notifier/words/`) and the pages that the console shows (`console/words/`), so that a reader finds one
name for one thing. Everything else that a language says is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ENGLISH: Final = "en"
LANGUAGES: Final = (ENGLISH, "ko", "zh")

_STATES: Final[Mapping[str, Mapping[str, str]]] = {
    "ko": {"open": "미확인", "acknowledged": "담당 중", "resolved": "해결됨", "closed": "종료됨"},
    "zh": {"open": "未认领", "acknowledged": "已认领", "resolved": "已解决", "closed": "已关闭"},
}
_ROLES: Final[Mapping[str, Mapping[str, str]]] = {
    "ko": {
        "duty-engineer": "당직 엔지니어",
        "customer-service-engineer": "CS 엔지니어",
        "technical-support-lead": "기술지원팀장",
        "general-manager": "총괄(본부장)",
    },
    "zh": {
        "duty-engineer": "值班工程师",
        "customer-service-engineer": "客服工程师",
        "technical-support-lead": "技术支持主管",
        "general-manager": "总经理",
    },
}
"""Of the ladder that is shipped; other roles are called as the rules call them."""


def language_of(locale: str) -> str:
    """Return the language for a locale; English for one that there are no words for.

    Every Chinese locale gets Simplified Chinese, zh-TW and zh-Hant too: better than another language at night.
    """
    language = locale.strip().replace("_", "-").partition("-")[0].lower()
    return language if language in LANGUAGES else ENGLISH


def state_name(language: str, state: str) -> str:
    """Return what a state of an incident is called."""
    return _STATES.get(language, {}).get(state, state)


def role_name(language: str, key: str) -> str:
    """Return what a role is called."""
    return _ROLES.get(language, {}).get(key) or key.replace("-", " ")
