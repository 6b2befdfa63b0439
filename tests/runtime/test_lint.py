"""What `tocsin check` warns of: each finding shown by a file that has it, and a file beside it that has not."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.policy.duties import at
from tocsin.policy.matchers import Matcher, matches_all, parse_matcher
from tocsin.runtime.matcherlogic import implies, is_empty, never_holds, values_of, words_of
from tocsin.runtime.regex import compile_regex
from tocsin.runtime.rulesfile import check_rules

ROOT = Path(__file__).resolve().parents[2]
NOW = at("2026-11-23T02:00:00")

HOUSE = """\
version: 1
severities:
  - {level: 1, matchers: ['severity=~"critical|page"']}
  - {level: 2, matchers: ['severity="warning"']}
services:
  - {name: payments, matchers: ['team="payments"']}
  - {name: database, matchers: ['team="database"', 'cluster=~"db-.*"']}
  - {name: everything-else}
ladders:
  standard:
    rungs:
      1: {0s: duty, 30m: engineer, 1h: lead}
      2: {0s: duty, 1h: engineer}
      3: {0s: duty}
roles:
  duty: {schedule: weekly}
  engineer: [lee]
  lead: [choi]
schedules:
  weekly:
    time_zone: Europe/Berlin
    layers:
      - {rotation: [kim, park], every: 1w, starts: 2026-01-05T09:00}
people:
  kim: {contacts: ['sms:+4930111111', 'log:']}
  park: {contacts: ['sms:+4930222222', 'log:']}
  lee: {contacts: ['log:']}
  choi: {contacts: ['log:']}
channels:
  sms: {provider: http, url: 'https://sms.example.com/send?to={to}&text={text}'}
"""


def warned(text: str, now: int | None = NOW) -> list[str]:
    rules, problems, warnings = check_rules(text, file_name="house.yaml", environment={}, read_file=lambda name: name, now=now)
    assert rules is not None, problems
    return [str(warning) for warning in warnings]


def changed(*pairs: tuple[str, str]) -> str:
    text = HOUSE
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


def place(text: str, fragment: str) -> str:
    """Return LINE:COLUMN of a fragment of a file."""
    offset = text.index(fragment)
    return f"{text.count(chr(10), 0, offset) + 1}:{offset - text.rfind(chr(10), 0, offset)}"


CATCH_ALL = "  - {name: everything-else}"
SPARE = ("roles:\n", "  spare: {rungs: {1: {0s: duty}, 2: {}, 3: {}}}\nroles:\n")
OTHER = ("people:\n", "  other: {time_zone: UTC, layers: [{rotation: [kim, lee], every: 1w, starts: 2026-01-05T09:00}]}\npeople:\n")
OFFICE = ("schedules:\n", "hours:\n  office: {time_zone: UTC, working: {days: 'monday:friday', times: '09:00-18:00'}}\nschedules:\n")
PLANT = ("schedules:\n", "  plant: {time_zone: UTC, working: {days: 'monday:friday', times: '09:00-18:00'}}\nschedules:\n")
ANY_TEAM = (", 'cluster=~\"db-.*\"'", "")
MAIL = ("channels:\n", "channels:\n  mail: {smtp: 'smtp://mail.example.com:587', from: 'a@example.com'}\n")
EMERGENCY = ("channels:\n", "emergency: {to: ['mailto:ops@example.com']}\nchannels:\n")


def on_site(name: str) -> tuple[str, str]:
    return "time_zone: Europe/Berlin", f"time_zone: Europe/Berlin\n    hours: {name}"


def both(pattern: str) -> tuple[str, str]:
    return CATCH_ALL, f"  - {{name: both, matchers: ['team=~\"{pattern}\"']}}\n{CATCH_ALL}"


# what it says, the file, the fragment at which it says it, and a file like it of which it says nothing
FOUND: tuple[tuple[str, str, str, str], ...] = (
    ("can never match: severity=\"a\" and severity=\"b\" cannot both hold",
     changed(("'severity=\"warning\"'", "'severity=\"b\"', 'severity=\"a\"'")), "'severity=\"a\"'",
     changed(("'severity=\"warning\"'", "'severity=\"b\"', 'origin=\"a\"'"))),
    ("can never match: severity!=\"warning\" and severity=\"warning\" cannot both hold",
     changed(("'severity=\"warning\"'", "'severity=\"warning\"', 'severity!=\"warning\"'")), "'severity!=\"warning\"'",
     changed(("'severity=\"warning\"'", "'severity=\"warning\"', 'severity!=\"page\"'"))),
    ("cannot both hold",
     changed(("team=\"payments\"'", "team=\"payments\"', 'team=~\"shop|web\"'")), "'team=~\"shop|web\"'",
     changed(("team=\"payments\"'", "team=\"payments\"', 'team=~\"shop|payments\"'"))),
    ("matches no text at all",
     changed(("cluster=~\"db-.*\"", "cluster=~\"[^\\s\\S]\"")), "'cluster=~\"[^\\s\\S]\"'",
     changed(("cluster=~\"db-.*\"", "cluster=~\"[^\\s]+\""))),
    ("matches no text at all",
     changed(("cluster=~\"db-.*\"", "cluster=~\"db$x\"")), "'cluster=~\"db$x\"'",
     changed(("cluster=~\"db-.*\"", "cluster=~\"^db.*$\""))),
    ("excludes every text",
     changed(("cluster=~\"db-.*\"", "cluster!~\".*\"")), "'cluster!~\".*\"'",
     changed(("cluster=~\"db-.*\"", "cluster!~\".+\""))),
    ("is never reached: payments above it takes every such alert",
     changed(("'team=\"database\"'", "'team=\"payments\"'")), "{name: database",
     changed(("'team=\"payments\"'", "'team=\"payments\"', 'region=\"eu\"'"), ("'team=\"database\"'", "'team=\"payments\"'"))),
    ("is never reached: payments above it takes every such alert",
     changed(("'team=\"payments\"'", "'team=~\"database|payments\"'")), "{name: database",
     changed(("'team=\"payments\"'", "'team=~\"data|payments\"'"))),
    ("is never reached: payments and database above it takes every such alert",
     changed(ANY_TEAM, both("payments|database")), "{name: both", changed(ANY_TEAM, both("payments|web"))),
    ("is never reached: the rule of severity 1 above it takes every such alert",
     changed(("'severity=\"warning\"'", "'severity=\"page\"'")), "{level: 2", HOUSE),
    ("no service uses this ladder: its rungs are never reached",
     changed(SPARE), "spare", changed(SPARE, ("{name: payments,", "{name: payments, ladder: spare,"))),
    ("no rung and no last resort names this role",
     changed(("  lead: [choi]", "  lead: [choi]\n  cleaner: [choi]")), "cleaner", HOUSE),
    ("no role uses this schedule", changed(OTHER), "other", HOUSE),
    ("is on no role and in no schedule",
     changed(("  choi: {", "  jeong: {contacts: ['log:']}\n  choi: {")), "jeong",
     changed(("  choi: {", "  jeong: {contacts: ['log:']}\n  choi: {"), ("lead: [choi]", "lead: [choi, jeong]"))),
    ("nothing in the file names these hours",
     changed(OFFICE, PLANT, on_site("plant")), "office", changed(OFFICE, on_site("office"))),
    ("no contact uses this account", changed(MAIL), "mail: {smtp", changed(MAIL, EMERGENCY)),
    ("45m is so long that the rungs 0s and 30m of severity 1 are never reached one by one",
     changed(("{name: payments,", "{name: payments, wait: 45m,")), "45m", changed(("{name: payments,", "{name: payments, wait: 10m,"))),
    ("pages the same role as the rung before it",
     changed(("30m: engineer", "30m: duty")), "30m: duty", changed(("30m: engineer", "30m: [engineer, duty]"))),
    ("pages choi twice in a row: as engineer and as lead, and nobody else hears of it",
     changed(("engineer: [lee]", "engineer: [choi]"), ("  lee: {contacts: ['log:']}\n", "")), "1h: lead}",
     changed(("engineer: [lee]", "engineer: [lee, choi]"), ("lead: [choi]", "lead: [choi, kim]"))),
    ("pages kim twice in a row from 2026-11-23 08:00 UTC on: as duty and as engineer",
     changed(("engineer: [lee]", "engineer: [kim]"), ("  lee: {contacts: ['log:']}\n", "")), "30m: engineer",
     changed(("engineer: [lee]", "engineer: [kim, lee]"))),
    ("is contact 1 again",
     changed(("kim: {contacts: ['sms:+4930111111', 'log:']}", "kim: {contacts: ['sms:+4930111111', 'log:', 'sms:+4930111111']}")),
     "'sms:+4930111111']", HOUSE),
    ("is a contact of \"kim\" as well",
     changed(("'sms:+4930222222'", "'sms:+4930111111'")), "'sms:+4930111111', 'log:']}\n  lee", HOUSE),
    ("on 28 March at 02:30 (Europe/Berlin) is skipped by the clocks and happens at 03:00",
     changed(("starts: 2026-01-05T09:00", "starts: 2026-01-04T02:30")), "{rotation",
     changed(("starts: 2026-01-05T09:00", "starts: 2026-01-05T02:30"))),
    ("nobody holds duty from 1 December",
     changed(("starts: 2026-01-05T09:00", "starts: 2026-01-05T09:00, until: 2026-12-01T09:00")), "duty: {schedule",
     changed(("starts: 2026-01-05T09:00", "starts: 2026-01-05T09:00, until: 2027-12-01T09:00"))),
)  # fmt: skip


@pytest.mark.parametrize(("words", "text", "fragment", "silent"), FOUND, ids=[f"{i}-{each[0][:40]}" for i, each in enumerate(FOUND)])
def test_what_is_probably_not_meant_is_a_warning_at_its_place_and_only_there(words: str, text: str, fragment: str, silent: str) -> None:
    warnings = warned(text)
    found = [warning for warning in warnings if words in warning]
    assert len(found) == 1, "\n".join(warnings)
    assert found[0].startswith(f"house.yaml:{place(text, fragment)}: "), found[0]
    kept = [warning for warning in warned(silent) if words.partition(":")[0] in warning]
    assert kept == []


def test_a_file_with_nothing_doubtful_has_no_warnings() -> None:
    assert warned(HOUSE) == []


@pytest.mark.parametrize("day", range(0, 366, 30))
def test_the_shipped_rules_have_no_warning_on_any_day_of_the_year(day: int) -> None:
    assert warned((ROOT / "alert_rules.yaml").read_text(encoding="utf-8"), NOW + day * 86_400_000) == []


def test_without_a_date_nothing_is_said_that_depends_on_it() -> None:
    moved = changed(("starts: 2026-01-05T09:00", "starts: 2026-01-04T02:30"), ("engineer: [lee]", "engineer: [kim, lee]"))
    assert warned(moved, None) == []


def test_rooms_robots_and_the_log_may_be_shared() -> None:
    shared = "['log:', 'slack:C0123ABCD', 'webhook+https://hooks.example.com/all', 'telegram:-100123']"
    accounts = "channels:\n  slack: {token: xoxb-1, signing_secret: abc}\n  telegram: {token: '123:abc'}\n"
    text = changed(
        ("lee: {contacts: ['log:']}", f"lee: {{contacts: {shared}}}"), ("choi: {contacts: ['log:']}", f"choi: {{contacts: {shared}}}")
    )
    assert warned(text.replace("channels:\n", accounts)) == []


def test_hourly_turns_follow_the_clock_without_a_word() -> None:
    assert warned(changed(("every: 1w", "every: 1h"))) == []


def test_no_warning_repeats_an_address() -> None:
    for _, text, _, _ in FOUND:
        assert not re.search(r"\+4930|example\.com", "\n".join(warned(text)))


def test_a_thousand_services_are_compared_in_a_moment_and_all_of_them() -> None:
    many = "".join(f"  - {{name: s{number}, matchers: ['team=~\"a{number}|b{number}\"']}}\n" for number in range(1_000))
    text = changed(
        ("services:\n", f"services:\n{many}"),
        ("  - {name: everything-else}", "  - {name: late, matchers: ['team=\"b999\"']}\n  - {name: x}"),
    )
    (warning,) = warned(text)
    assert "is never reached: s999 above it" in warning


def test_more_rules_than_can_be_compared_are_said_not_to_have_been() -> None:
    many = "".join(f"  - {{name: s{number}, matchers: ['team=~\"a{number}.\"']}}\n" for number in range(400))
    (warning,) = warned(changed(("services:\n", f"services:\n{many}")))
    assert "too long to be compared whole" in warning


# --- what matchers imply ---------------------------------------------------------------------------------------------------------------

VALUES = st.sampled_from(["", "a", "b", "ab", "x-1"])
PATTERNS = st.sampled_from(
    ["", "a", "a|b", "a|", ".*", ".+", "^a$", "(a|b)", "a.*", "[ab]", "x-1|ab", "a\\|b", "[^\\s\\S]", "a$b", "b^a", "(?i)A"]
)
LISTS = st.lists(
    st.one_of(
        st.builds(lambda name, op, value: f'{name}{op}"{value}"', st.sampled_from("mn"), st.sampled_from(["=", "!="]), VALUES),
        st.builds(
            lambda name, op, value: f'{name}{op}"{value}"'.replace("\\", "\\\\"),
            st.sampled_from("mn"),
            st.sampled_from(["=~", "!~"]),
            PATTERNS,
        ),
    ),
    min_size=1,
    max_size=4,
).map(lambda texts: tuple(parse_matcher(text, compile_regex) for text in texts))
LABELS = st.fixed_dictionaries({"m": st.one_of(VALUES, st.text("ab|x-1A", max_size=4)), "n": VALUES})


@given(matchers=LISTS, labels=LABELS)
def test_a_list_that_is_said_never_to_hold_never_holds(matchers: tuple[Matcher, ...], labels: dict[str, str]) -> None:
    if never_holds(matchers) is not None:
        assert not matches_all(matchers, labels)


@given(later=LISTS, earlier=LISTS, labels=LABELS)
def test_what_a_list_is_said_to_imply_holds_wherever_it_does(
    later: tuple[Matcher, ...], earlier: tuple[Matcher, ...], labels: dict[str, str]
) -> None:
    if implies(later, earlier) and matches_all(later, labels):
        assert matches_all(earlier, labels)


@given(matchers=LISTS, labels=LABELS)
def test_the_values_of_a_label_are_all_that_it_can_have(matchers: tuple[Matcher, ...], labels: dict[str, str]) -> None:
    values = values_of(matchers, "m")
    if values is not None and matches_all(matchers, labels):
        assert labels["m"] in values


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("critical|page", {"critical", "page"}),
        ("^critical$", {"critical"}),
        ("(?:a|b)", {"a", "b"}),
        ("", {""}),
        ("db\\.example", {"db.example"}),
        ("a.b", None),
        ("a\\\\|b", None),
        ("a|b$", None),
        ("\\d", None),
    ],
)
def test_a_pattern_that_only_names_words_is_read_as_them(pattern: str, words: set[str] | None) -> None:
    assert words_of(pattern) == words


@pytest.mark.parametrize(
    "pattern", ["^a$", "a$|b", "\\$5", "a\\^b", "[$]a", "\\Qa$b\\E", "(?m)a$\\nb", "a?^b", "x$y?", "\\bfoo\\b", ".*", ""]
)
def test_a_pattern_that_some_text_matches_is_not_called_empty(pattern: str) -> None:
    assert not is_empty(pattern)


REST_OF_THE_DOCS = """
version: 1
services: [{name: everything-else}]
ladders:
  standard: {rungs: {1: {0s: duty-engineer, 30m: support, 1h: general-manager}, 2: {0s: duty-engineer}, 3: {0s: duty-engineer}}}
"""
OTHERS = """
  park: {contacts: ['log:']}
  lee: {contacts: ['log:']}
  choi: {contacts: ['log:']}
  jeong: {contacts: ['log:']}
  han: {contacts: ['log:']}
  song: {contacts: ['log:']}
channels:
  slack: {token: xoxb-1, signing_secret: abc}
  sms: {provider: http, url: 'https://sms.example.com/send?to={to}&text={text}'}
  tel: {provider: http, url: 'https://voice.example.com/call?to={to}&text={text}'}
"""
DAY_DESK = "  day-desk: {time_zone: Asia/Seoul, layers: [{rotation: [han, song], every: 1w, starts: 2026-01-05T09:00}]}\n"


def documented(name: str, section: str) -> str:
    """Return the first example of a section in a page of the documents."""
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    return str(re.findall(rf"```yaml\n({section}:\n.*?)```", text, re.DOTALL)[0])


@pytest.mark.parametrize("day_desk", ["han, song", "choi, han"], ids=["others", "those who leave the night for the day"])
@pytest.mark.parametrize("day", range(0, 366, 61))
def test_the_examples_of_the_documents_have_no_warning_together(day: int, day_desk: str) -> None:
    desk = DAY_DESK.replace("han, song", day_desk)
    sections = documented("schedules.md", "schedules") + desk + documented("schedules.md", "hours") + documented("schedules.md", "roles")
    others = OTHERS if "song" in day_desk else re.sub(r"  song: .*\n", "", OTHERS)
    text = REST_OF_THE_DOCS + sections + documented("people.md", "people").rstrip() + others
    assert warned(text, NOW + day * 86_400_000) == []
