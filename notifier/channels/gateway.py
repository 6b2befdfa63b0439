"""The `sms:` and `tel:` contacts over any provider that takes one HTTP request, written as a template in the rules.

Owns the call and what its answer means. What a template may say is in `tocsin/runtime/gatewaytemplate.py`. A gateway only sends: nobody
can answer over it and it gives no receipts, so the ladder goes on until somebody takes the incident by other means; the text holds the
link to do it.

Many gateways answer 200 with the fault in the body, so `ok` says what must stand there for a page to count as taken; without it the answer
is definite, a refusal, and the person's next contact is tried at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from notifier.channels.http import HttpAnswer, HttpSender, judged
from notifier.channels.outcome import Outcome, Refused, Sent, Unreachable
from notifier.message import PageMessage
from notifier.rendering.sms import sms_text
from notifier.rendering.voice import voice_script
from tocsin.policy.accounts import GatewayAccount
from tocsin.runtime import gatewaytemplate

NO_LINKS: Final = ("+86",)
"""Where text messages with links are not delivered."""


class GatewayChannel:
    """Sends over one account, as the channel of this name (`sms`, `tel`)."""

    def __init__(self, name: str, account: GatewayAccount, *, wall_clock: Callable[[], int], total_limit_s: float) -> None:
        self.name = name
        self._account = account
        self._sender = HttpSender(wall_clock=wall_clock, total_limit_s=total_limit_s)

    async def send(self, to: str, message: PageMessage) -> Outcome:
        account, number = self._account, to.partition(":")[2]
        try:
            values = gatewaytemplate.values_of(account, number, self._text(number, message), message.page_id)
        except ValueError as error:
            return Refused(str(error))
        headers = dict(account.headers)
        body = b""
        if account.body:
            body = gatewaytemplate.fill_body(account, values)
            headers = {name: value for name, value in headers.items() if name.lower() != "content-type"}
            headers["Content-Type"] = gatewaytemplate.content_type(account)
        url = gatewaytemplate.fill_url(account, values)
        answer = await self._sender.call(account.method, url, body=body, headers=headers, whole=bool(account.ok))
        return self._judge(answer)

    async def close(self) -> None:
        """Close kept connections; sends still under way fail as unreachable."""
        await self._sender.close()

    def _text(self, number: str, message: PageMessage) -> str:
        if self.name == "tel":
            return self._account.prefix + voice_script(message).say
        return sms_text(message, can_reply=False, with_link=not number.startswith(NO_LINKS), prefix=self._account.prefix)

    def _judge(self, answer: HttpAnswer | Refused | Unreachable) -> Outcome:
        outcome = judged(answer)
        if not isinstance(answer, HttpAnswer) or not isinstance(outcome, Sent):
            return outcome
        if self._account.ok not in answer.body.decode(self._account.charset, errors="replace"):
            return Refused(f"{answer.where} answered {answer.status} without the text that means taken")
        return Sent(outcome.receipt, confirms=False)
