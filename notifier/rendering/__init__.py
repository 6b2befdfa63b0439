"""A page as each kind of channel can carry it: `chat` (cards), `sms` (one segment), `voice` (what a call says).

Pure: a `PageMessage` in, text out, in the words of the reader's language (`notifier/words/`). Mail and JSON are in `notifier/message.py`.
What is said to somebody who answered is in `answered`. Escaping for Slack, XML or HTML is the channel's.
"""

from notifier.rendering.answered import answered_line, answered_lines, stranger_line

__all__ = ["answered_line", "answered_lines", "stranger_line"]
