"""The sections hours, schedules and roles of the rules file: what they mean, and what is said when they are wrong."""

import re
from datetime import date
from pathlib import Path

import pytest

from tocsin.policy.hours import DayKind, Span, Window, kind_at
from tocsin.policy.oncall import holders, on_shift
from tocsin.policy.rotation import Every
from tocsin.policy.rules import Rules
from tocsin.policy.wallclock import day_of, instant_of, wall_of
from tocsin.runtime.holidaydata import RegionUnknown, holidays_of
from tocsin.runtime.rulesfile import check_rules

HOUR = 3_600_000
HEAD = """version: 1
ladders: {only: {rungs: {1: {0s: duty}}}}
services: [{name: all, ladder: only}]
people: {kim: {contacts: ['log:']}, lee: {contacts: ['log:']}, park: {contacts: ['log:']}, choi: {contacts: ['log:']}}
"""
DUTY = "roles: {duty: {schedule: duty}}\n"
OFFICE = "hours: {seoul: {time_zone: Asia/Seoul, working: [{days: 'monday:friday', times: '09:00-18:00'}]}}\n"


def no_file(name: str) -> str:
    raise FileNotFoundError(name)


def check(text: str) -> tuple[Rules | None, list[str], list[str]]:
    rules, problems, warnings = check_rules(HEAD + text, file_name="r.yaml", environment={}, read_file=no_file)
    return rules, [str(each) for each in problems], [str(each) for each in warnings]


def load(text: str) -> Rules:
    rules, problems, _ = check(text)
    assert rules is not None, problems
    return rules


def layer(more: str) -> str:
    return DUTY + f"schedules: {{duty: {{time_zone: Asia/Seoul, layers: [{{rotation: [kim, lee], starts: 2026-01-05T09:00, {more}}}]}}}}\n"


def seoul(text: str) -> int:
    return instant_of(wall_of(text), "Asia/Seoul")


def on(rules: Rules, text: str) -> tuple[str, ...]:
    return holders("duty", seoul(text), rules)


@pytest.mark.parametrize(
    ("text", "every"),
    [
        ("12h", Every(hours=12)),
        ("1h", Every(hours=1)),
        ("1d", Every(hours=24)),
        ("1d12h", Every(hours=36)),
        ("2w", Every(hours=336)),
        ("1mo", Every(months=1)),
        ("12mo", Every(months=12)),
    ],
)
def test_a_turn_lasts_hours_days_weeks_or_months(text: str, every: Every) -> None:
    assert load(layer(f"every: {text}")).schedules["duty"].layers[0].every == every


def test_a_layer_may_have_a_zone_an_end_and_windows() -> None:
    rules = load(
        layer(
            "every: 1w, until: 2027-01-01T09:00, time_zone: Europe/Berlin, "
            "restrict: [{days: [mon, 'saturday:sunday'], times: ['22:00-06:00', '12:00-24:00']}, {weekdays: ['sunday:saturday']}]"
        )
    )
    (found,) = rules.schedules["duty"].layers
    assert (found.until, found.time_zone) == ("2027-01-01T09:00:00", "Europe/Berlin")
    assert found.restrict == (
        Window((0, 5, 6), (Span(22 * HOUR, 30 * HOUR), Span(12 * HOUR, 24 * HOUR))),
        Window(),  # all seven days restrict nothing
    )


def test_the_spelling_of_alertmanagers_time_intervals_is_understood() -> None:
    text = "every: 1w, restrict: [{weekdays: ['monday:friday'], times: [{start_time: '09:00', end_time: '17:00'}]}]"
    assert load(layer(text)).schedules["duty"].layers[0].restrict == (Window((0, 1, 2, 3, 4), (Span(9 * HOUR, 17 * HOUR),)),)


def test_one_window_may_stand_without_a_list() -> None:
    rules = load(layer("every: 1w, restrict: {days: 'friday:monday', times: '09:00-18:00'}"))
    assert rules.schedules["duty"].layers[0].restrict == (Window((0, 4, 5, 6), (Span(9 * HOUR, 18 * HOUR),)),)


def test_the_holidays_of_a_schedule_are_what_on_means_in_its_windows() -> None:
    rules = load(
        DUTY + "schedules:\n  duty:\n    time_zone: Asia/Seoul\n    holidays: KR\n    layers:\n"
        "      - {rotation: [kim, lee], every: 1w, starts: 2026-01-05T09:00}\n"
        "      - {rotation: [park, choi], every: 1d, starts: 2026-01-05T00:00, restrict: [{on: [night, weekend, holiday]}]}\n"
    )
    assert on(rules, "2026-02-13T10:00") == ("lee",)
    assert on(rules, "2026-02-13T20:00") == ("choi",)  # night
    assert on(rules, "2026-02-14T10:00") == ("park",)  # Saturday
    assert on(rules, "2026-02-17T10:00") == ("choi",)  # Seollal, a Tuesday
    duty = on_shift(rules.schedules["duty"], seoul("2026-02-17T10:00"), rules)
    assert duty is not None
    assert duty.layer == 1


def test_hours_have_holidays_company_days_and_worked_days() -> None:
    rules = load(
        DUTY.replace("{schedule: duty}", "[kim]") + "hours:\n  seoul:\n    time_zone: Asia/Seoul\n"
        "    working: [{days: 'monday:friday', times: '09:00-18:00'}]\n    holidays: KR\n"
        "    company_days: [2026-05-04]\n    working_days: [2026-02-14]\n"
    )
    expected = {
        "2026-02-13T10:00": DayKind.WORKING,
        "2026-02-13T18:00": DayKind.NIGHT,
        "2026-02-14T10:00": DayKind.WORKING,
        "2026-02-15T10:00": DayKind.WEEKEND,
        "2026-02-17T10:00": DayKind.HOLIDAY,
        "2026-05-04T10:00": DayKind.HOLIDAY,
    }
    assert {text: kind_at(rules.hours["seoul"], seoul(text)) for text in expected} == expected


def test_a_role_differs_by_working_hours_night_and_holiday() -> None:
    rules = load(
        OFFICE + "roles:\n  duty:\n    by_time:\n      - {on: working, hours: seoul, schedule: desk}\n"
        "      - {on: [night, weekend, holiday], people: [park, choi]}\n"
        "schedules: {desk: {time_zone: Asia/Seoul, layers: [{rotation: [kim, lee], every: 1d, starts: 2026-01-05T00:00}]}}\n"
    )
    assert on(rules, "2026-01-05T10:00") == ("kim",)
    assert on(rules, "2026-01-06T10:00") == ("lee",)
    assert on(rules, "2026-01-06T20:00") == ("park", "choi")
    assert on(rules, "2026-01-10T10:00") == ("park", "choi")


def test_a_role_may_be_several_schedules_and_the_rest_of_the_time_somebody_else() -> None:
    rules = load(
        OFFICE + "roles: {duty: {schedules: [one, two], by_time: [{days: sunday, people: [park]}, {people: choi}]}}\n"
        "schedules:\n  one: {time_zone: Asia/Seoul, layers: [{rotation: [kim, lee], every: 1d, starts: 2026-01-05T00:00}]}\n"
        "  two: {time_zone: Asia/Seoul, layers: [{rotation: [lee, kim], every: 1d, starts: 2026-01-05T00:00}]}\n"
    )
    assert on(rules, "2026-01-05T10:00") == ("kim", "lee", "choi")
    assert on(rules, "2026-01-11T10:00") == ("kim", "lee", "park")


# What is written, and what is said of it.
WRONG = [
    (layer("every: 0h"), "schedules.duty.layers[0].every:", "a turn of 0 days, expected 1h"),
    (layer("every: 1h1d"), "every:", "is not how long a turn is"),
    (layer("every: 0mo"), "every:", "a turn of 0 months, expected 1mo to 120mo"),
    (layer("every: 1mo1d"), "every:", "is not how long a turn is"),
    (layer("every: 1w, until: 2026-01-05T09:00"), "layers[0].until:", "is not after the start"),
    (layer("every: 1w, until: tomorrow"), "layers[0].until:", "is not an end, expected the schedule's local date and time"),
    (layer("every: 1w, until: 2999-01-05T09:00"), "layers[0].until:", "expected a year from 1980 to 2199"),
    (layer("every: 1w, time_zone: Asia/Soul"), "layers[0].time_zone:", 'did you mean "Asia/Seoul"?'),
    (layer("every: 1w, restrict: {times: '09:00-09:00'}"), "restrict", "ends when it begins, so it is never: for the whole day write"),
    (layer("every: 1w, restrict: [{times: '09:00-24:30'}]"), "restrict[0].times", "is not a time of day, expected 09:00-18:00"),
    (layer("every: 1w, restrict: [{times: '24:00-06:00'}]"), "restrict[0].times", "is not a time of day"),
    (layer("every: 1w, restrict: [{days: 'monday:freitag'}]"), "restrict[0].days", "is no day of the week, expected monday to sunday"),
    (layer("every: 1w, restrict: [{days: monday, weekdays: friday}]"), "restrict[0].weekdays:", "expected one of them"),
    (layer("every: 1w, restrict: [{on: nigt}]") + OFFICE, "restrict[0].on", 'did you mean "night"?'),
    (layer("every: 1w, restrict: [{on: night}]"), "restrict[0].on:", "needs to know whose hours"),
    (layer("every: 1w, restrict: [{on: night, hours: soul}]") + OFFICE, "restrict[0].hours:", 'did you mean "seoul"?'),
    (layer("every: 1w, restrict: [{location: UTC}]"), "restrict[0].location:", 'unknown key "location"'),
    (layer("every: 1w").replace("layers", "holidays: KX, layers"), "duty.holidays:", 'no holidays of "KX" are known, expected a country'),
    (layer("every: 1w").replace("layers", "holidays: US-XX, layers"), "duty.holidays:", 'no holidays of "US-XX" are known'),
    (
        layer("every: 1w").replace("layers", "holidays: KR, hours: seoul, layers") + OFFICE,
        "duty.holidays:",
        "expected holidays in those hours",
    ),
    (layer("every: 1w") + OFFICE.replace("[{days: 'monday:friday', times: '09:00-18:00'}]", "[]"), "hours.seoul.working:", "is empty"),
    (layer("every: 1w") + OFFICE.replace("working:", "company_days: [2026-02-30], working:"), "company_days", "is no day of the calendar"),
    (
        layer("every: 1w") + OFFICE.replace("working:", "company_days: 2026-02-28, working_days: 2026-02-28, working:"),
        "hours.seoul.working_days",
        "is among company_days too",
    ),
    ("roles: {duty: {by_time: [{on: night}]}}\n" + OFFICE, "duty.by_time[0]:", "names nobody"),
    ("roles: {duty: {by_time: [{days: monday, people: kim}]}}\n", "duty.by_time[0]:", "has days or times of no known place"),
    ("roles: {duty: {by_time: [{on: night, people: kin}]}}\n" + OFFICE, "duty.by_time[0].people", 'did you mean "kim"?'),
    ("roles: {duty: {schedules: [day]}}\n", "roles.duty.schedules", 'unknown schedule "day"'),
    ("roles: {duty: {by_time: [{on: night, schedule: day}]}}\n" + OFFICE, "duty.by_time[0].schedule:", 'unknown schedule "day"'),
]


@pytest.mark.parametrize(("text", "where", "words"), WRONG, ids=[f"{where} {words}" for _, where, words in WRONG])
def test_F22_what_is_wrong_with_the_calendar_is_said_with_its_place(text: str, where: str, words: str) -> None:
    rules, problems, _ = check(text)
    assert rules is None
    assert len(problems) == 1, "\n".join(problems)
    assert where in problems[0]
    assert words in problems[0]


DOUBTFUL = [
    ("roles: {duty: [choi]}\n", "ladders.only.rungs.1: severity 1 on all would never reach anybody"),
    (layer("every: 1w").replace("layers", "holidays: KR, layers"), "is not used: no layer's `restrict` says `on`"),
    (layer("every: 1w").replace("[kim, lee]", "[kim]"), 'has one person only: "kim" is always on duty'),
    ("roles: {duty: {}}\n", "nobody holds this role: its rungs are passed over"),
    ("roles: {duty: {by_time: [{on: [working, night], people: kim}]}}\n" + OFFICE, "nobody holds this role on weekend, holiday"),
    ("roles: {duty: {by_time: [{people: kim}, {on: night, people: lee}]}}\n" + OFFICE, "never applies: the case before it always does"),
    (
        "roles: {duty: {by_time: [{on: night, schedule: d}, {people: kim}]}}\n"
        "schedules: {d: {time_zone: UTC, layers: [{rotation: [lee, choi], every: 1d, starts: 2026-01-05T09:00}]}}\n" + OFFICE,
        "has no contacts and may hold the role",
    ),
]


@pytest.mark.parametrize(("text", "words"), DOUBTFUL, ids=[words for _, words in DOUBTFUL])
def test_what_is_doubtful_about_the_calendar_is_a_warning(text: str, words: str) -> None:
    head = HEAD.replace("choi: {contacts: ['log:']}", "choi: {}")
    rules, _, warnings = check_rules(head + text, file_name="r.yaml", environment={}, read_file=no_file)
    assert rules is not None
    assert [words in str(warning) for warning in warnings].count(True) == 1


def test_the_holidays_of_korea_have_substitute_days_and_korean_names() -> None:
    korea = holidays_of("KR")
    assert korea.days[day_of(date(2026, 2, 17))] == "설날"
    assert day_of(date(2026, 3, 2)) in korea.days  # in place of the Sunday before
    assert (korea.first_year, korea.last_year, korea.working, korea.incomplete_years) == (2020, 2040, frozenset(), ())


def test_the_working_weekends_of_china_are_known_and_the_years_not_yet_published_are_named() -> None:
    china = holidays_of("CN")
    assert {day_of(date(2026, 2, 14)), day_of(date(2026, 10, 10))} <= china.working
    assert all(year >= 2026 for year in china.incomplete_years)
    published = max(
        year for year in range(2020, 2041) if any(day_of(date(year, 1, 1)) <= day <= day_of(date(year, 12, 31)) for day in china.working)
    )
    assert china.incomplete_years == tuple(range(published + 1, 2041))


def test_the_parts_of_a_country_have_holidays_of_their_own() -> None:
    chavez = day_of(date(2026, 3, 31))
    assert chavez in holidays_of("US-CA").days
    assert chavez not in holidays_of("US").days
    assert holidays_of("US") is holidays_of("US")


@pytest.mark.parametrize("region", ["XX", "kr", "US-ZZ", "", "list_supported_countries", "US-"])
def test_a_region_that_is_none_is_refused(region: str) -> None:
    with pytest.raises(RegionUnknown):
        holidays_of(region)


def test_the_examples_for_users_can_be_used_as_they_stand() -> None:
    page = (Path(__file__).parents[2] / "docs/schedules.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    day_desk = "  day-desk: {time_zone: Asia/Seoul, layers: [{rotation: [kim, lee], every: 1w, starts: 2026-01-05T09:00}]}\n"
    head = HEAD.replace("choi:", "jeong: {contacts: ['log:']}, choi:").replace("0s: duty", "0s: duty-engineer")
    text = head + blocks[0] + day_desk + blocks[1] + blocks[2]
    rules, problems, _ = check_rules(text, file_name="r.yaml", environment={}, read_file=no_file)
    assert problems == ()
    assert rules is not None
    assert holders("support", seoul("2026-02-17T10:00"), rules) == ("kim", "lee")
    assert holders("duty-engineer", seoul("2026-02-17T10:00"), rules) == ("jeong",)  # 43 days on


def test_a_hand_over_is_announced_as_long_before_as_the_rules_say() -> None:
    text = layer("every: 1w").replace("time_zone: Asia/Seoul,", "time_zone: Asia/Seoul, handover_notice: 15m,", 1)
    assert load(text).schedules["duty"].handover_notice_ms == HOUR // 4
    assert load(layer("every: 1w")).schedules["duty"].handover_notice_ms == 0


@pytest.mark.parametrize(("notice", "said"), [("8d", "at most 7d"), ("soon", "is not a duration")])
def test_a_notice_that_cannot_be_is_refused_with_its_line(notice: str, said: str) -> None:
    text = layer("every: 1w").replace("time_zone: Asia/Seoul,", f"time_zone: Asia/Seoul, handover_notice: {notice},", 1)
    _, problems, _ = check(text)
    assert any("schedules.duty.handover_notice" in problem and said in problem for problem in problems), problems
