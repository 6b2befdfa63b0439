"""Compares what a policy test expects with what happened, and says why it is otherwise.

Owns what counts as a page (`pages_of`), which page fulfils which expectation, near misses, and the words of a failure. A failure names the
decision that made the page, or that kept it from being made: everything is read off the record of `policytestrun.py`.

Read `verdict` first. Pages of kind page and reopened are the ones that must all be expected (`pages_complete`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tocsin.policy import ladder
from tocsin.policy.durations import format_duration
from tocsin.policy.model import Incident, PageKind, State
from tocsin.policy.oncall import holders
from tocsin.policy.simulator import Handed
from tocsin.runtime.policytestrun import LIVE, Failure, NoSuchIncident, Record
from tocsin.runtime.policytests import CountsExpected, PageExpected, PolicyTest, SilenceExpected, StateExpected
from tocsin.runtime.reasonwords import decision_words, page_words
from tocsin.runtime.text import clean

COUNTED: Final = (PageKind.PAGE, PageKind.REOPENED)
"""Kinds of which every page must be expected."""

RINGING: Final = (*COUNTED, PageKind.REMINDER)
"""Kinds that `no_page` means, and `page:` without a kind."""

NEAR_MS: Final = 60 * 60_000
"""How far away another page to the same person is still worth naming."""


@dataclass(slots=True)
class Paged:
    """A person was paged: one step of one incident, over one contact or more; `first` is the first that was handed over."""

    first: Handed
    hands: list[Handed]

    @property
    def at(self) -> int:
        """When the first contact was handed over (ms UTC)."""
        return self.first.at

    @property
    def person(self) -> str:
        """Who was paged."""
        return self.first.page.person


def pages_of(handed: Iterable[Handed]) -> list[Paged]:
    """Group what was handed over by incident, step and person. A contact that goes on ringing rings for the same page."""
    found: dict[tuple[int, int, str], Paged] = {}
    last: dict[tuple[int, str], Paged] = {}
    for each in handed:
        page, number = each.page, each.incident.number
        key = (number, page.step, page.person)
        paged = last.get((number, page.person)) if page.ring > 1 else found.get(key)
        if paged is None:
            paged = found[key] = last[number, page.person] = Paged(each, [])
        paged.hands.append(each)
    return list(found.values())


def verdict(record: Record) -> tuple[Failure, ...]:
    """Return everything that is not as the test says, in the order of time."""
    if record.is_cut_short:
        return tuple(record.failures)
    judge = _Judge(record)
    return tuple(sorted(judge.failures(), key=lambda failure: failure.at))


class _Judge:
    def __init__(self, record: Record) -> None:
        self._record = record
        self._test: PolicyTest = record.test
        self._pages = pages_of(record.handed)
        self._named: set[int] = set()
        """Pages (their index) that were expected, or that a failure names already."""
        self._found = list(record.failures)

    def failures(self) -> list[Failure]:
        expected = self._test.expected
        missing = self._match([each for each in expected if isinstance(each, PageExpected)])
        for page in missing:
            self._fail(page.at, page, f"expected {_wanted(page)}; {self._instead(page)}")
        for each in expected:
            match each:
                case SilenceExpected():
                    self._silence(each)
                case CountsExpected():
                    self._counts(each)
                case StateExpected():
                    self._state(each)
        if self._test.pages_complete:
            self._complete()
        return self._found

    def _fail(self, at: int, expected: object, message: str) -> None:
        place = getattr(expected, "place", self._test.place)
        self._found.append(Failure(at, place, message))

    # --- pages ---

    def _match(self, wanted: Sequence[PageExpected]) -> list[PageExpected]:
        """Let each expectation have a page of its own; return those that get none."""
        by_contact = [each for each in wanted if each.contact is not None or each.channel is not None]
        missing = self._assign([each for each in wanted if each not in by_contact], lambda paged: [paged.first])
        return missing + self._assign(by_contact, lambda paged: paged.hands)

    def _assign(self, wanted: Sequence[PageExpected], hands: Callable[[Paged], list[Handed]]) -> list[PageExpected]:
        offers: dict[tuple[int, str], list[tuple[int, Handed]]] = {}
        for index, paged in enumerate(self._pages):
            for hand in hands(paged):
                offers.setdefault((hand.at, hand.page.person), []).append((index, hand))
        rows: dict[tuple[int, str], list[PageExpected]] = {}
        for each in wanted:
            rows.setdefault((each.at, each.person), []).append(each)
        missing: list[PageExpected] = []
        for key, row in rows.items():
            given = offers.get(key, [])
            taken = _most(row, given, self._fulfils)
            missing += [each for position, each in enumerate(row) if position not in taken.values()]
            self._named |= {given[offer][0] for offer in taken if given[offer][1] is self._pages[given[offer][0]].first}
        return missing

    def _fulfils(self, handed: Handed, wanted: PageExpected) -> bool:
        """Whether a page is what is expected; instant and person are known to agree."""
        page = handed.page
        return (
            _is_kind(handed, wanted)
            and wanted.role in (None, page.role)
            and wanted.number in (None, handed.incident.number)
            and wanted.contact in (None, page.contact)
            and wanted.channel in (None, self._channel(handed))
        )

    def _channel(self, handed: Handed) -> str:
        contact = ladder.contact_of(handed.page, self._record.rules_at(handed.at))
        return "" if contact is None else contact.to.partition(":")[0]

    def _instead(self, wanted: PageExpected) -> str:
        """Say what came in place of a page: a near miss, or nothing, and why."""
        near = self._near(wanted)
        if near is None:
            return f"got none: {self._why_none(wanted)}"
        index, how = near
        self._named.add(index)
        return f"{how}: {self._cause(self._pages[index].first)}"

    def _near(self, wanted: PageExpected) -> tuple[int, str] | None:
        pages = [(index, paged) for index, paged in enumerate(self._pages) if index not in self._named]
        mine = [(index, paged) for index, paged in pages if paged.person == wanted.person]
        for index, paged in mine:
            if paged.at == wanted.at:
                return (
                    index,
                    f"got a {page_words(paged.first.page, paged.first.incident)}{_over(paged, wanted)} of {paged.first.incident.id}",
                )
        for index, paged in pages:
            if paged.at == wanted.at and paged.first.page.kind in RINGING and wanted.role in (None, paged.first.page.role):
                return index, f"got a {page_words(paged.first.page, paged.first.incident)}"
        late = [(abs(paged.at - wanted.at), index, paged) for index, paged in mine if _is_kind(paged.first, wanted)]
        if not late or min(late, key=lambda each: each[0])[0] > NEAR_MS:
            return None
        off_ms, index, paged = min(late, key=lambda each: each[0])
        words = f"{format_duration(off_ms)} {'later' if paged.at > wanted.at else 'earlier'}, at {self._record.when(paged.at)}"
        return index, f"paged {words}"

    def _cause(self, handed: Handed) -> str:
        """Say which decision made a page."""
        made = self._record.made.get(handed.page.id)
        return "nobody knows why" if made is None else decision_words(made, self._record.when)

    def _complete(self) -> None:
        for index, paged in enumerate(self._pages):
            if index not in self._named and paged.first.page.kind in COUNTED:
                words = page_words(paged.first.page, paged.first.incident)
                self._fail(paged.at, None, f"got a {words} that is not expected: {self._cause(paged.first)}")

    def _silence(self, wanted: SilenceExpected) -> None:
        when = self._record.when
        who = "no page" if wanted.person is None else f"no page to {wanted.person}"
        said = f"expected {who} from {when(wanted.from_at)} to {when(wanted.to_at)}"
        for index, paged in enumerate(self._pages):
            ringing = [each for each in paged.hands if each.page.kind in RINGING and wanted.from_at <= each.at < wanted.to_at]
            if not ringing or wanted.person not in (None, paged.person):
                continue
            each = ringing[0]
            if each is paged.first:
                self._named.add(index)
            self._fail(each.at, wanted, f"{said}; got a {page_words(each.page, each.incident)} at {when(each.at)}: {self._cause(each)}")

    # --- why there is no page ---

    def _why_none(self, wanted: PageExpected) -> str:
        record, at = self._record, wanted.at
        rules = record.rules_at(at)
        said: list[str] = []
        if wanted.role is not None and wanted.role in rules.roles and wanted.person not in (held := holders(wanted.role, at, rules)):
            said.append(f"{wanted.role} is held by {', '.join(held) or 'nobody'} then")
        known = [each for each in record.incidents_at(at) if wanted.number in (None, each.number)]
        live = [each for each in known if each.state in LIVE] or known[-1:]
        said += [self._standing(incident, wanted.person, at) for incident in live[:3]]
        return "; ".join(said if live else [*said, "no incident had opened"])

    def _standing(self, incident: Incident, person: str, at: int) -> str:
        """Say in which state an incident stood at an instant, so that it paged nobody."""
        when = self._record.when
        held = [page.held_until for page in incident.pages if page.person == person and (page.held_until or 0) > at]
        if held:
            return f"{incident.id}: the page to {person} is held until {when(min(filter(None, held)))} (quiet time)"
        match incident.state:
            case State.ACKNOWLEDGED:
                given, until = when(incident.acknowledged_at or at), when(incident.acknowledged_until or at)
                return f"{incident.id} acknowledged by {clean(incident.acknowledged_by or '')} at {given} (until {until})"
            case State.RESOLVED | State.CLOSED:
                return f"{incident.id} resolved by {clean(incident.resolved_by or '')} at {when(incident.resolved_at or at)}"
            case State.OPEN if incident.snoozed_until is not None:
                return f"{incident.id} snoozed until {when(incident.snoozed_until)}"
            case State.OPEN if incident.clear_since is not None:
                return f"{incident.id} clear since {when(incident.clear_since)}, which pages nobody"
        last = self._record.last_decision(incident.number, at)
        words = "" if last is None else f", {decision_words(last, when)}"
        coming = ladder.next_rung_words(incident)
        next_ = f", next {', '.join(coming[0].roles)} at {when(coming[1])}" if coming is not None else ""
        return f"{incident.id} open with severity {incident.severity}{words}{next_}"

    # --- incidents ---

    def _counts(self, wanted: CountsExpected) -> None:
        incidents = self._record.incidents_at(wanted.at)
        found = {state: sum(each.state is state for each in incidents) for state in wanted.counts}
        if found == wanted.counts:
            return
        said, got = (", ".join(f"{state} {count}" for state, count in each.items()) for each in (wanted.counts, found))
        why = "; ".join(self._last(each, wanted.at) for each in incidents[-3:]) or "no incident had opened"
        self._fail(wanted.at, wanted, f"expected incidents {said}; got {got}: {why}")

    def _state(self, wanted: StateExpected) -> None:
        said = f"expected {wanted.state}"
        try:
            incident = self._record.one(wanted.target, wanted.at)
        except NoSuchIncident as error:
            self._fail(wanted.at, wanted, f"{said}: {error}")
            return
        wrong: list[tuple[str, str]] = []
        if incident.state is not wanted.state:
            wrong.append((wanted.state, incident.state))
        if wanted.severity not in (None, incident.severity):
            wrong.append((f"severity {wanted.severity}", f"severity {incident.severity}"))
        holder = incident.resolved_by if incident.state in (State.RESOLVED, State.CLOSED) else incident.acknowledged_by
        if wanted.by not in (None, holder):
            wrong.append((f"by {wanted.by}", f"by {clean(holder or 'nobody')}"))
        if wrong:
            said, got = (", ".join(each) for each in zip(*wrong, strict=True))
            self._fail(wanted.at, wanted, f"expected {said}; got {got}: {self._last(incident, wanted.at)}")

    def _last(self, incident: Incident, at: int) -> str:
        """Name an incident with the decision that brought it into the state in which it was."""
        decisions = self._record.of_incident[incident.number]
        turns = [
            each
            for each in decisions
            if each.incident.changed_at <= at and (each.before is None or each.before.state != each.incident.state)
        ]
        return f"{incident.id} {decision_words(turns[-1], self._record.when)}"


def _wanted(page: PageExpected) -> str:
    kind = "a page" if page.kind in (None, PageKind.PAGE) else f"a page of kind {page.kind}"
    role = "" if page.role is None else f" as {page.role}"
    contact = f" over contact {page.contact + 1}" if page.contact is not None else f" over {page.channel}" if page.channel else ""
    return f"{kind} to {page.person}{role}{contact}" + ("" if page.number is None else f" for INC-{page.number}")


def _over(paged: Paged, wanted: PageExpected) -> str:
    return f" over contact {paged.first.page.contact + 1}" if wanted.contact is not None or wanted.channel is not None else ""


def _is_kind(handed: Handed, wanted: PageExpected) -> bool:
    return handed.page.kind in RINGING if wanted.kind is None else handed.page.kind is wanted.kind


def _most(
    wanted: Sequence[PageExpected], given: Sequence[tuple[int, Handed]], fulfils: Callable[[Handed, PageExpected], bool]
) -> dict[int, int]:
    """Pair offers with expectations so that most expectations have one of their own: offer -> expectation (augmenting paths)."""
    taken: dict[int, int] = {}

    def place(row: int, tried: set[int]) -> bool:
        for offer, (_, handed) in enumerate(given):
            if offer not in tried and fulfils(handed, wanted[row]):
                tried.add(offer)
                if offer not in taken or place(taken[offer], tried):
                    taken[offer] = row
                    return True
        return False

    for row in range(len(wanted)):
        place(row, set())
    return taken
