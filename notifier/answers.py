"""Answers that come over a channel: who gave them, what they do to the incidents, and what the person is told.

Every button, reply and key press ends here, and from here in the same `decide` as the API and the answer page. A channel proves who
answered (a signature, an address that only one person has, a signed token) and hands over numbers, person and how it came.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from itsdangerous import BadData, Signer

from tocsin.policy.events import Acknowledged, Event, PageDelivered, PageUndelivered, PassedOn, Resolved
from tocsin.policy.incident import Decision
from tocsin.policy.model import Incident, PageKind, PageStatus, State
from tocsin.policy.rules import EMERGENCY_PERSON, Person
from tocsin.runtime import acting
from tocsin.runtime.service import Deps

CALLBACKS = "/callbacks"
"""Where providers send what people answered and what became of a message, on the notifier's listener."""

LOOKED_THROUGH_MAX = 5_000
"""Incidents that are read to find the one that an answer without a number means; with more, the number is asked for."""

_SALT = b"tocsin.callback"

_PAGE_ID = re.compile(r"INC-([0-9]{1,15})\.[0-9]+\.")


@dataclass(frozen=True, slots=True)
class Answered:
    """What an answer came to, for one incident.

    `done`: it is so now; `already`: it was so; `refused`: its state does not allow it; `missing`: there is no such incident; `busy`: try
    again. `holder` is the name of who has it, `until` the end of that (ms UTC).
    """

    incident: str
    outcome: Literal["done", "already", "refused", "missing", "busy"]
    state: State | None = None
    holder: str = ""
    until: int | None = None


def _waits_for(incident: Incident, person: str) -> bool:
    kinds = {page.kind for page in incident.pages if page.person == person and page.status is PageStatus.SENT}
    if incident.state is State.ACKNOWLEDGED:
        return incident.acknowledged_by == person and PageKind.REMINDER in kinds
    return incident.state is State.OPEN and bool(kinds - {PageKind.UPDATE})


class Answers:
    """What a channel may do with an answer. One for the life of a notifier; rules are read anew each time."""

    def __init__(self, deps: Deps, signing_key: str) -> None:
        self._deps = deps
        self._signing_key = signing_key
        self._signer = Signer(signing_key, salt=_SALT)

    # --- who ----------------------------------------------------------------------------------------------------------------------

    def person(self, key: str) -> Person | None:
        """Return the person of a key of the rules."""
        return self._deps.rules.rules.people.get(key)

    def person_at(self, address: str) -> str | None:
        """Return the key of the one person who has this contact (its whole address), None when nobody or more than one has it."""
        wanted = address.lower()
        found = [key for key, person in self._deps.rules.rules.people.items() if any(c.to.lower() == wanted for c in person.contacts)]
        return found[0] if len(found) == 1 else None

    def people(self) -> tuple[Person, ...]:
        """Return everybody whom the rules name."""
        return tuple(self._deps.rules.rules.people.values())

    async def waiting_for(self, person: str) -> tuple[int, ...] | None:
        """Return the open incidents that this person was paged about and nobody has, and those that the person holds and was asked about.

        For an answer that names none. None when too many are open to look through. Raises StoreAway.
        """
        store = self._deps.store
        numbers = [number for shard in range(store.shards) for number in (await store.groups(shard)).values()]
        if len(numbers) > LOOKED_THROUGH_MAX:
            return None
        found = (await store.load_many(numbers)).values()
        return tuple(sorted(incident.number for incident in found if _waits_for(incident, person)))

    # --- what they do --------------------------------------------------------------------------------------------------------------

    async def take(self, numbers: Sequence[int], person: str, via: str) -> tuple[Answered, ...]:
        """A person has these incidents. Raises StoreAway, after some of them perhaps: doing it again is no error."""
        return tuple([await self._act(number, Acknowledged(person, via=via)) for number in numbers])

    async def resolve(self, numbers: Sequence[int], person: str, via: str) -> tuple[Answered, ...]:
        """A person says that these incidents are over. Raises StoreAway."""
        return tuple([await self._act(number, Resolved(person, via=via)) for number in numbers])

    async def pass_on(self, numbers: Sequence[int], person: str, via: str) -> tuple[Answered, ...]:
        """A person cannot: the next rung of each of these incidents is paged now. Raises StoreAway.

        `already` when another has it, or there is nobody to pass it on to.
        """
        return tuple([await self._act(number, PassedOn(person, via=via)) for number in numbers])

    async def _act(self, number: int, event: Event) -> Answered:
        name = f"INC-{number}"
        match await acting.act(self._deps, number, event):
            case Decision() as decision:
                after = decision.incident
                outcome: Literal["done", "already"] = "done" if decision.changed else "already"
                return Answered(name, outcome, after.state, self.name_of(after.acknowledged_by), after.acknowledged_until)
            case acting.NotAllowed(state):
                return Answered(name, "refused", state)
            case acting.Missing():
                return Answered(name, "missing")
            case acting.Contended():
                return Answered(name, "busy")

    def name_of(self, key: str | None) -> str:
        """Return how a person is called; a key that the rules do not know stands for itself."""
        if key is None:
            return ""
        person = self.person(key)
        return "emergency contact" if key == EMERGENCY_PERSON else key if person is None else person.name

    # --- receipts ------------------------------------------------------------------------------------------------------------------

    async def arrived(self, page_id: str, receipt: str = "", *, corrects: bool = True) -> None:
        """The provider says that a page arrived; late and repeated words change nothing. Raises StoreAway: let it say so again.

        `corrects` a word that it did not arrive.
        """
        await self._came(page_id, PageDelivered(page_id, receipt, corrects=corrects))

    async def failed(self, page_id: str, why: str) -> None:
        """The provider took a page and says now that it did not arrive: the next contact at once. Raises StoreAway."""
        await self._came(page_id, PageUndelivered(page_id, why))

    async def _came(self, page_id: str, event: PageDelivered | PageUndelivered) -> None:
        found = _PAGE_ID.match(page_id)
        if found is None:
            self._deps.log.warning("receipt_of_no_page", page=page_id[:64])
            return
        match await acting.act(self._deps, int(found[1]), event):
            case acting.Contended():
                # A receipt that is not recorded counts as missing: somebody is paged once too often, not once too little.
                self._deps.log.error("receipt_not_recorded", page=page_id)
            case acting.Missing():
                self._deps.log.warning("receipt_of_no_page", page=page_id[:64])
            case _:
                pass

    # --- callbacks -----------------------------------------------------------------------------------------------------------------

    def callback_url(self, path: str) -> str:
        """Return the public address of a callback: `path` begins with the channel's name."""
        return f"{self._deps.settings.callback_url}{CALLBACKS}/{path}"

    def sign(self, text: str) -> str:
        """Return a text with our signature, to stand in a callback's address: what comes back with it was made by us."""
        return self._signer.sign(text).decode()

    def proof(self, text: str) -> str:
        """Return 16 characters that only we can make for a text: 96 bits of an HMAC, for where there is no room for `sign`."""
        digest = hmac.new(self._signing_key.encode(), _SALT + b"\0" + text.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:12]).decode()

    def unsign(self, signed: str) -> str | None:
        """Return the text of `sign`, None when it was not made by us."""
        try:
            return self._signer.unsign(signed).decode()
        except (BadData, ValueError):
            return None
