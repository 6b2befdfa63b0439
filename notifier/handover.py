"""Hand-over notices and warnings of gaps: who is told what about who is on call, and when.

A notice is a page of its own kind: an incident of severity 4 that is retried like any page and resolves by itself. What is due is read off
the same function as pages (`oncall.hand_overs_of`), at every look; nothing is planned ahead that a later override could make untrue. The
store remembers what was said: at most one notice for a hand-over as it stands, and a correction for whoever was told something else.

Also the numbers about who is on call: they are of the same reading.

Read `due_hand_overs` (pure) and `Handovers.tick`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from notifier.handoverwords import HandOverSaid, length_words, sentences_for, time_words
from tocsin.policy import oncall
from tocsin.policy.coverage import Finding, FindingKind, gaps
from tocsin.policy.events import NOTIFIER, PersonTold
from tocsin.policy.ladder import can_be_paged
from tocsin.policy.model import PageKind
from tocsin.policy.oncall import HandOver
from tocsin.policy.roster import Absence, Override
from tocsin.policy.rules import Rules
from tocsin.policy.schedules import Schedule
from tocsin.policy.wallclock import DAY_MS, HOUR_MS, MINUTE_MS
from tocsin.runtime import acting
from tocsin.runtime.service import Deps
from tocsin.store.roster import Notice
from tocsin.store.wire import StoreAway, StoreFull

LOOK_EVERY_S: Final = 10.0

LATE_MS: Final = HOUR_MS
"""So long after its time a notice is still made, by a notifier that was down; before the hand-over itself it always is."""

BEGUN_MS: Final = 10 * MINUTE_MS
"""So long after a hand-over its notice is made in any case: somebody may have taken a shift at once."""

GAPS_EVERY_S: Final = 900.0
GAPS_SOON_S: Final = 20.0
"""After a change of rules or roster the gaps are looked for again so soon: several changes are one look."""

WARNED_AHEAD_MS: Final = 7 * DAY_MS
COUNTED_AHEAD_MS: Final = 14 * DAY_MS
WARNED_PEOPLE_MAX: Final = 20

HANDOVER: Final = "handover"
GAP: Final = "gap"


@dataclass(frozen=True, slots=True)
class Due:
    """A notice to be made: its name, the people to be told, and what is remembered once they were.

    `hand_over` is None when an announced one does not take place: then `at` is when it was to be. `changed` are people who were told
    something else before.
    """

    name: str
    schedule: str
    at: int
    hand_over: HandOver | None
    people: tuple[str, ...]
    changed: frozenset[str]
    notice: Notice


def due_hand_overs(rules: Rules, now: int, made: Mapping[str, Notice]) -> list[Due]:
    """Return the notices that must be made now: what is due and was not said, and what was said and is no longer so."""
    found: list[Due] = []
    for schedule in rules.schedules.values():
        notice_ms = schedule.handover_notice_ms
        if notice_ms <= 0:
            continue
        ahead_at, behind_ms = now + notice_ms, max(LATE_MS - notice_ms, BEGUN_MS)
        for each in oncall.hand_overs_of(schedule, now - behind_ms, ahead_at + 1, rules):
            due = _due(each, made.get(f"{HANDOVER}:{schedule.name}:{each.at}"))
            if due is not None:
                found.append(due)
        found += _called_off(schedule, rules, now, made)
    return found


def _due(each: HandOver, before: Notice | None) -> Due | None:
    said = f"{each.before or ''}>{each.after or ''}"
    if before is not None and before.said == said:
        return None
    earlier = before.told if before is not None else ()
    people = tuple(dict.fromkeys(person for person in (each.after, each.before, *earlier) if person is not None))
    told = tuple(person for person in (each.after, each.before) if person is not None)
    notice = Notice(said, told, each.at + DAY_MS, 0 if before is None else before.times + 1)
    return Due(f"{HANDOVER}:{each.schedule}:{each.at}", each.schedule, each.at, each, people, frozenset(earlier), notice)


def _called_off(schedule: Schedule, rules: Rules, now: int, made: Mapping[str, Notice]) -> list[Due]:
    """Return what was announced, is still to come, and does not take place."""
    found: list[Due] = []
    for name, notice in made.items():
        kind, _, rest = name.partition(":")
        of, _, instant = rest.rpartition(":")
        if (kind, of) != (HANDOVER, schedule.name) or not notice.told or int(instant) <= now:
            continue
        if not oncall.hand_overs_of(schedule, int(instant), int(instant) + 1, rules):
            after = replace(notice, said="", told=(), times=notice.times + 1)
            found.append(Due(name, schedule.name, int(instant), None, notice.told, frozenset(notice.told), after))
    return found


class Handovers:
    """Makes the notices, for as long as the notifier runs. `tick` is one look."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._wake = asyncio.Event()
        self._look_for_gaps_at_s = 0.0

    def rules_swapped(self) -> None:
        """Rules or roster are other ones: look now."""
        self._look_for_gaps_at_s = min(self._look_for_gaps_at_s, self._deps.clock.monotonic() + GAPS_SOON_S)
        self._wake.set()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self._wake.clear()
            try:
                await self.tick(self._deps.clock.now_ms())
            except (StoreAway, StoreFull) as error:
                self._deps.log.warning("handover_notices_put_off", why=str(error))
            except Exception:  # top of a tick
                self._deps.metrics.ticks_failed.labels("handover").inc()
                self._deps.log.exception("handover_notices_failed")
                await self._deps.clock.wait(LOOK_EVERY_S, asyncio.Event())
            await self._deps.clock.wait(LOOK_EVERY_S, self._wake)

    async def tick(self, now: int) -> int:
        """Make what is due; return how many notices that was. Raises StoreAway."""
        rules = self._deps.rules.rules
        self._deps.metrics.oncall_people.clear()
        for role in rules.roles:
            self._deps.metrics.oncall_people.labels(role).set(len(oncall.holders(role, now, rules)))
        made = await self._deps.store.roster.notices()
        await self._deps.store.roster.forget([name for name, notice in made.items() if notice.forget_at <= now])
        count = 0
        for due in due_hand_overs(rules, now, made):
            count += await self._make(due, rules, now)
        if self._deps.clock.monotonic() >= self._look_for_gaps_at_s:
            self._look_for_gaps_at_s = self._deps.clock.monotonic() + GAPS_EVERY_S
            count += await self._warn_of_gaps(rules, now, made)
        return count

    # --- hand-overs ----------------------------------------------------------------------------------------------------------------

    async def _make(self, due: Due, rules: Rules, now: int) -> int:
        """Tell the people of a hand-over, those who read alike with one incident; then remember it.

        The grouping key lets the same notice be made once, also by a notifier that died before it could remember.
        """
        for (locale, zone), people in _alike(due.people, rules).items():
            for changed in (False, True):
                told = tuple(person for person in people if (person in due.changed) is changed)
                text, late = _words(due, rules, now, locale=locale, zone=zone, changed=changed)
                key = f"{due.name}:{due.notice.times}:{locale}:{zone}:{int(changed)}"
                if not await self._tell(key, told, PageKind.HANDOVER, text, late, rules):
                    return 0
        await self._deps.store.roster.remember(due.name, due.notice)
        self._deps.metrics.handover_notices.labels(HANDOVER).inc()
        at_ms = due.at - now
        self._deps.log.info("handover_told", schedule=due.schedule, in_s=at_ms // 1000, people=due.people, times=due.notice.times)
        return 1

    async def _tell(self, group_key: str, people: Sequence[str], kind: PageKind, title: str, more: str, rules: Rules) -> bool:
        """Tell people once; False when it must be tried again."""
        told = tuple(person for person in people if can_be_paged(person, rules))
        if not told:
            return True
        service = rules.services[-1].name
        said = f"{title} {more}".strip()

        def opening(number: int) -> PersonTold:
            return PersonTold(number, group_key, service, title, told, kind, said, NOTIFIER)

        return not isinstance(await acting.open_once(self._deps, group_key, opening), acting.Contended)

    # --- gaps ----------------------------------------------------------------------------------------------------------------------

    async def _warn_of_gaps(self, rules: Rules, now: int, made: Mapping[str, Notice]) -> int:
        """Warn of roles that nobody will hold: once for each gap, those on either side of it. Count what is wrong."""
        findings, gap_ms = await asyncio.to_thread(_look_ahead, rules, now)
        for kind in FindingKind:
            self._deps.metrics.oncall_findings.labels(kind.value).set(sum(each.kind is kind for each in findings))
        self._deps.metrics.oncall_gap_seconds.clear()
        for schedule, gap in gap_ms.items():
            self._deps.metrics.oncall_gap_seconds.labels(schedule).set(gap / 1000)
        count = 0
        for finding in findings:
            if finding.kind is FindingKind.EMPTY_ROLE and finding.from_at is not None and finding.to_at is not None:
                count += await self._warn_of(finding, finding.from_at, finding.to_at, findings, rules, now=now, made=made)
        return count

    async def _warn_of(
        self, finding: Finding, from_at: int, to_at: int, findings: Sequence[Finding], rules: Rules, *, now: int, made: Mapping[str, Notice]
    ) -> int:
        role = finding.where.removeprefix("roles.")
        name = f"{GAP}:{role}:{from_at}"
        under_way = from_at <= now
        if name in made or from_at > now + WARNED_AHEAD_MS:
            return 0
        if under_way and any(each.startswith(f"{GAP}:{role}:") for each in made):
            return 0  # warned of ahead, or when it was first seen
        people = _beside(role, from_at, to_at, rules)
        worse = [each.consequence for each in findings if each.kind is FindingKind.NOBODY_REACHED and _overlaps(each, from_at, to_at)]
        more = f"{worse[0]}." if worse else ""
        if not await self._tell(name, people, PageKind.NOTICE, f"{finding.consequence}.", more, rules):
            return 0
        await self._deps.store.roster.remember(name, Notice(finding.consequence, people, max(to_at, now) + DAY_MS))
        self._deps.metrics.handover_notices.labels(GAP).inc()
        self._deps.log.warning("gap_warned_of", role=role, in_s=(from_at - now) // 1000, people=people)
        return 1


def _look_ahead(rules: Rules, now: int) -> tuple[tuple[Finding, ...], dict[str, int]]:
    """Return what is wrong in the next days, and how long nobody is on duty in each schedule. Slow: not for the event loop."""
    to_at = now + COUNTED_AHEAD_MS
    gap_ms = {
        schedule.name: COUNTED_AHEAD_MS - sum(each.to_at - each.from_at for each in oncall.shifts(schedule, now, to_at, rules))
        for schedule in rules.schedules.values()
    }
    return gaps(rules, now, to_at), gap_ms


def _overlaps(finding: Finding, from_at: int, to_at: int) -> bool:
    return finding.from_at is None or finding.to_at is None or (finding.from_at < to_at and from_at < finding.to_at)


def _beside(role: str, from_at: int, to_at: int, rules: Rules) -> tuple[str, ...]:
    """Return who holds a role before and after a gap; where that is nobody, whoever may ever hold it."""
    sides = (*oncall.holders(role, from_at - 1, rules), *oncall.holders(role, to_at, rules))
    found = tuple(dict.fromkeys(person for person in sides if can_be_paged(person, rules)))
    if found:
        return found
    own = rules.roles[role]
    cases = own.by_time
    schedules = (*own.schedules, *(name for case in cases for name in case.schedules))
    turns = (person for name in schedules if name in rules.schedules for layer in rules.schedules[name].layers for person in layer.rotation)
    every = (*own.people, *(person for case in cases for person in case.people), *turns)
    return tuple(dict.fromkeys(person for person in every if can_be_paged(person, rules)))[:WARNED_PEOPLE_MAX]


def _alike(people: Iterable[str], rules: Rules) -> dict[tuple[str, str], list[str]]:
    """Group people by language and zone: those who read the same words at the same clock are told together."""
    found: dict[tuple[str, str], list[str]] = {}
    for key in people:
        person = rules.people.get(key)
        if person is not None:
            found.setdefault((person.locale, person.time_zone), []).append(key)
    return found


def _words(due: Due, rules: Rules, now: int, *, locale: str, zone: str, changed: bool) -> tuple[str, str]:
    """Return the sentence, and what is to be said of its lateness."""
    sentences = sentences_for(locale)
    time = time_words(due.at, zone, locale)
    if due.hand_over is None:
        duty = oncall.on_shift(rules.schedules[due.schedule], due.at, rules)
        return sentences.called_off(due.schedule, time, "" if duty is None else _name(duty.person, rules)), ""
    said = HandOverSaid(
        due.schedule, time, _name(due.hand_over.before, rules), _name(due.hand_over.after, rules), is_past=due.hand_over.at <= now
    )
    text = sentences.body(said)
    late_ms = now - max(due.at - rules.schedules[due.schedule].handover_notice_ms, _known_since(due, rules, now))
    is_late = late_ms >= 2 * MINUTE_MS and due.notice.times == 0
    late = sentences.body(replace(said, late=length_words(late_ms))).removeprefix(text).strip() if is_late else ""
    return (sentences.changed(text) if changed else text), late


def _known_since(due: Due, rules: Rules, now: int) -> int:
    """Return when somebody made the change that a hand-over comes from: its notice could not be made before.

    What is over may have been ended at that moment, which the roster does not tell apart from an end that was planned.
    """
    changes: list[Override | Absence] = [*rules.roster.overrides_of(due.schedule), *rules.roster.absences]
    known = [each.made_at for each in changes if due.at in (each.from_at, each.until_at)]
    ended = [each.until_at for each in changes if due.at == each.until_at <= now]
    return max(known + ended, default=0)


def _name(person: str | None, rules: Rules) -> str:
    if person is None:
        return ""
    found = rules.people.get(person)
    return person if found is None else found.name
