"""Overrides, absences and swaps: what people change, and what the calendar makes of it."""

from dataclasses import replace

import pytest

from tests.policy.duties import DAY, HOUR, at, rules_of, week_of
from tocsin.policy.oncall import Cause, Duty, holders, on_shift, shift_at, shifts
from tocsin.policy.roster import Absence, Override, OverrideKind, Roster, Swap, Turn
from tocsin.policy.schedules import Role, Schedule

MONDAY = at("2026-01-05T09:00")
DUTY = week_of("kim", "park", "lee")


def person_at(moment: int, *, roster: Roster, schedule: Schedule = DUTY) -> str | None:
    duty = on_shift(schedule, moment, rules_of(schedule, roster=roster))
    return None if duty is None else duty.person


def override(person: str, hours: int = 10, *, since: int = MONDAY + DAY, **more: object) -> Override:
    return replace(Override("o1", "duty", person, since, since + hours * HOUR), **more)  # type: ignore[arg-type]  # fields by name


def away(person: str, hours: int = 10, *, since: int = MONDAY + DAY, made_at: int = 0) -> Absence:
    return Absence(f"away-{person}", person, since, since + hours * HOUR, made_at=made_at)


def test_an_override_holds_from_its_start_until_before_its_end() -> None:
    roster = Roster(1, (override("choi"),))
    assert shifts(DUTY, MONDAY, MONDAY + 7 * DAY, rules_of(DUTY, roster=roster))[1].instead_of == ("kim",)
    moments = (MONDAY + DAY - 1, MONDAY + DAY, MONDAY + DAY + 10 * HOUR - 1, MONDAY + DAY + 10 * HOUR)
    assert [person_at(moment, roster=roster) for moment in moments] == ["kim", "choi", "choi", "kim"]


def test_F5_an_override_is_never_applied_to_the_result_of_another() -> None:
    roster = Roster(1, (override("park", replaces="kim", made_at=1), override("lee", id="o2", replaces="park", made_at=2)))
    assert person_at(MONDAY + DAY, roster=roster) == "park"


def test_the_newest_override_wins_and_of_equals_the_one_written_last() -> None:
    newest = override("park", made_at=5)
    assert person_at(MONDAY + DAY, roster=Roster(1, (newest, override("lee", id="o2", made_at=4)))) == "park"
    assert person_at(MONDAY + DAY, roster=Roster(1, (newest, override("lee", id="o2", made_at=5)))) == "lee"


def test_an_override_that_replaces_somebody_leaves_the_shifts_of_the_others() -> None:
    long = override("choi", 24 * 20, replaces="park")
    rules = rules_of(DUTY, roster=Roster(1, (long,)))
    assert [(each.person, each.cause) for each in shifts(DUTY, MONDAY, MONDAY + 21 * DAY, rules)] == [
        ("kim", Cause.ROTATION),
        ("choi", Cause.OVERRIDE),
        ("lee", Cause.ROTATION),
    ]


def test_an_override_over_several_turns_is_one_shift_that_names_all_whom_it_replaces() -> None:
    rules = rules_of(DUTY, roster=Roster(1, (override("choi", 24 * 10, kind=OverrideKind.TAKE),)))
    (_, taken, _) = shifts(DUTY, MONDAY, MONDAY + 14 * DAY, rules)
    assert (taken.person, taken.cause, taken.override, taken.instead_of) == ("choi", Cause.TAKE, "o1", ("kim", "park"))
    assert shift_at(DUTY, MONDAY + 8 * DAY, rules) == taken


def test_an_override_fills_a_gap() -> None:
    before = override("lee", since=MONDAY - DAY)
    assert on_shift(DUTY, MONDAY - DAY, rules_of(DUTY, roster=Roster(1, (before,)))) == Duty("lee", Cause.OVERRIDE, override="o1")
    assert person_at(MONDAY - DAY, roster=Roster(1, (replace(before, replaces="kim"),))) is None


def test_overrides_of_other_schedules_without_length_or_to_strangers_change_nothing() -> None:
    others = (override("lee", schedule="other"), override("lee", until_at=MONDAY + DAY), override("stranger"))
    assert person_at(MONDAY + DAY, roster=Roster(1, others)) == "kim"


def test_pages_go_straight_to_the_next_in_the_rotation_while_somebody_is_away() -> None:
    rules = rules_of(DUTY, roster=Roster(1, absences=(away("kim"),)))
    assert [(each.person, each.cause, each.instead_of) for each in shifts(DUTY, MONDAY, MONDAY + 7 * DAY, rules)] == [
        ("kim", Cause.ROTATION, ()),
        ("park", Cause.STAND_IN, ("kim",)),
        ("kim", Cause.ROTATION, ()),
    ]
    assert person_at(MONDAY + DAY, roster=Roster(1, absences=(away("kim"), away("park")))) == "lee"


def test_when_all_are_away_nobody_holds_the_role_and_the_ladder_goes_on() -> None:
    roster = Roster(1, absences=(away("kim"), away("park"), away("lee")))
    rules = rules_of(DUTY, roles=[Role("duty", schedules=("duty",))], roster=roster)
    assert holders("duty", MONDAY + DAY, rules) == ()
    assert holders("duty", MONDAY + 2 * DAY, rules) == ("kim",)


def test_a_layer_whose_people_are_all_away_leaves_it_to_the_layer_below() -> None:
    above = replace(week_of("choi").layers[0])
    schedule = Schedule("duty", "Asia/Seoul", (*DUTY.layers, above))
    assert person_at(MONDAY + DAY, roster=Roster(1), schedule=schedule) == "choi"
    assert person_at(MONDAY + DAY, roster=Roster(1, absences=(away("choi"),)), schedule=schedule) == "kim"


def test_of_a_list_of_people_those_who_are_there_are_paged() -> None:
    rules = rules_of(roles=[Role("leads", ("lee", "choi"))], roster=Roster(1, absences=(away("lee"),)))
    assert holders("leads", MONDAY + DAY, rules) == ("choi",)
    assert holders("leads", MONDAY, rules) == ("lee", "choi")


@pytest.mark.parametrize(("override_at", "absence_at", "person"), [(5, 4, "choi"), (5, 5, "choi"), (4, 5, "park")])
def test_an_override_to_somebody_who_is_away_stands_when_it_was_made_later(override_at: int, absence_at: int, person: str) -> None:
    roster = Roster(1, (override("choi", made_at=override_at),), (away("choi", made_at=absence_at),))
    assert person_at(MONDAY + DAY, roster=roster) == person


def test_who_gave_a_shift_away_is_paged_last_when_the_cover_is_away() -> None:
    two = week_of("kim", "park")
    cover = override("choi", replaces="kim", kind=OverrideKind.COVER, made_at=1)
    assert person_at(MONDAY + DAY, roster=Roster(1, (cover,), (away("choi", made_at=2),)), schedule=two) == "park"
    gone = (away("choi", made_at=2), away("park", made_at=2))
    assert person_at(MONDAY + DAY, roster=Roster(1, (cover,), gone), schedule=two) == "kim"


def test_an_older_override_holds_again_when_the_person_of_the_newer_is_away() -> None:
    roster = Roster(1, (override("lee", made_at=1), override("choi", id="o2", made_at=2)), (away("choi", made_at=3),))
    assert person_at(MONDAY + DAY, roster=roster) == "lee"


def test_who_stands_in_can_be_covered_too() -> None:
    roster = Roster(1, (override("choi", replaces="park"),), (away("kim"),))
    assert person_at(MONDAY + DAY, roster=roster) == "choi"


def test_a_swap_counts_when_both_have_agreed_and_turns_both_shifts_around() -> None:
    proposal = Swap("s1", "duty", Turn("kim", MONDAY, MONDAY + 7 * DAY), Turn("park", MONDAY + 7 * DAY, MONDAY + 14 * DAY), "kim", ("kim",))
    moments = (MONDAY, MONDAY + 7 * DAY, MONDAY + 14 * DAY)
    assert [person_at(moment, roster=Roster(1, swaps=(proposal,))) for moment in moments] == ["kim", "park", "lee"]
    agreed = replace(proposal, agreed=("kim", "park"), agreed_at=7)
    assert [person_at(moment, roster=Roster(1, swaps=(agreed,))) for moment in moments] == ["park", "kim", "lee"]
    duty = on_shift(DUTY, MONDAY, rules_of(DUTY, roster=Roster(1, swaps=(agreed,))))
    assert duty == Duty("park", Cause.SWAP, 0, 0, "s1/1", "kim")
    later = override("choi", since=MONDAY, made_at=8)
    assert person_at(MONDAY, roster=Roster(1, (later,), swaps=(agreed,))) == "choi"
    assert person_at(MONDAY, roster=Roster(1, (replace(later, made_at=6),), swaps=(agreed,))) == "park"


def test_an_agreement_of_strangers_does_not_make_a_swap_count() -> None:
    swap = Swap("s1", "duty", Turn("kim", MONDAY, MONDAY + DAY), Turn("park", MONDAY + DAY, MONDAY + 2 * DAY), "lee", ("lee", "kim"))
    assert swap.overrides() == ()
