"""What cannot be accepted, as exceptions that say why: one alert, or a whole body.

The codes are those of Alertmanager's API v2, whose answers differ by them; other formats only show the message.
"""

from __future__ import annotations

from typing import Final

MALFORMED: Final = 400
"""A field is not of its type: in API v2 the framework's answer 400."""

NOT_A_URI: Final = 601
NOT_THERE: Final = 602
"""A URL that is none, a field that is missing: in API v2 the framework's answer 422."""

NOT_VALID: Final = 0
"""Well formed, but not an alert: in API v2 the handler's answer 400."""


class AlertRefused(Exception):
    """One alert cannot be accepted. The message begins with the field; `code` is one of the constants of this module."""

    def __init__(self, reason: str, code: int = MALFORMED) -> None:
        super().__init__(reason)
        self.code = code


class BodyRefused(Exception):
    """Nothing of the body can be accepted, now or ever. `code` as in AlertRefused."""

    def __init__(self, reason: str, *, status: int = 400, code: int = MALFORMED) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
