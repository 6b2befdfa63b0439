"""Who is on call: the one function that answers pages, API and command line alike, so that they cannot disagree.

Wall-clock arithmetic happens here and nowhere else in the policy: a rotation hands over at a local time whatever the clocks do.
Today's calendar is a rotation by days or weeks; a richer one replaces `_on_shift` and nothing around it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from tocsin.policy.rules import Layer, Rules, Schedule


def holders(role: str, at: int, rules: Rules) -> tuple[str, ...]:
    """Return the people who hold a role at an instant (ms UTC), each once, in order; empty when nobody does or the role is unknown."""
    found = rules.roles.get(role)
    if found is None:
        return ()
    people = list(found.people)
    if found.schedule is not None:
        schedule = rules.schedules.get(found.schedule)
        if schedule is not None:
            person = on_shift(schedule, at)
            if person is not None:
                people.append(person)
    return tuple(dict.fromkeys(person for person in people if person in rules.people))


def on_shift(schedule: Schedule, at: int) -> str | None:
    """Return whose shift it is at an instant (ms UTC): the latest layer that has begun wins; None before every layer."""
    zone = ZoneInfo(schedule.time_zone)
    local = datetime.fromtimestamp(at / 1000, UTC).astimezone(zone).replace(tzinfo=None)
    for layer in reversed(schedule.layers):
        person = _on_shift(layer, local)
        if person is not None:
            return person
    return None


@lru_cache(maxsize=1024)
def _local(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _on_shift(layer: Layer, local: datetime) -> str | None:
    starts = _local(layer.starts)
    if local < starts or not layer.rotation:
        return None
    # Days are counted on the calendar, not by hours: a day with 23 or 25 hours is still one day.
    days = (local.date() - starts.date()).days
    if local.time() < starts.time():
        days -= 1
    return layer.rotation[(days // layer.every_days) % len(layer.rotation)]
