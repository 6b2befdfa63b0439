import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.policy import oncall
from tocsin.policy.rules import Emergency, Rules
from tocsin.runtime.rulesfile import Problem, RulesInvalid, check_rules, load_rules
from tocsin.runtime.yamltree import DEPTH_MAX, NODES_MAX, TEXT_LENGTH_MAX

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = (ROOT / "tests/data/rules/contract.yaml").read_text(encoding="utf-8")
SHIPPED = (ROOT / "alert_rules.yaml").read_text(encoding="utf-8")
SMALL = (ROOT / "tests/data/rules/small.yaml").read_text(encoding="utf-8")
KEY = "a key of the prometheus in Seoul"
ENVIRONMENT = {"KEY_PROMETHEUS_SEOUL": KEY}
MINUTE = 60_000
HOUR = 60 * MINUTE


def no_file(name: str) -> str:
    raise FileNotFoundError(2, "No such file or directory", name)


def check(
    text: str, environment: Mapping[str, str] = ENVIRONMENT, files: Mapping[str, str] | None = None
) -> tuple[Rules | None, list[str], list[str]]:
    def read_file(name: str) -> str:
        return (files or {}).get(name) or no_file(name)

    rules, problems, warnings = check_rules(text, file_name="r.yaml", environment=environment, read_file=read_file)
    return rules, [str(problem) for problem in problems], [str(warning) for warning in warnings]


def load(text: str, files: Mapping[str, str] | None = None) -> Rules:
    rules, problems, _ = check(text, files=files)
    assert rules is not None, problems
    return rules


def test_the_whole_example_of_the_contract_is_loaded() -> None:
    rules = load(CONTRACT)
    assert [rule.level for rule in rules.severities] == [1, 2]
    assert [service.name for service in rules.services] == ["payments", "database", "everything-else"]
    payments = rules.services[0]
    assert (payments.group_by, payments.depends_on) == (("alertname", "cluster"), ("database",))
    plan = payments.plan
    assert plan.runbook == "https://runbooks.example.com/payments"
    assert (plan.wait_ms, plan.settle_ms, plan.resolve_after_ms) == (0, 2 * MINUTE, 5 * MINUTE)
    assert (plan.reopen_within_ms, plan.close_after_ms) == (HOUR, 120 * HOUR)
    assert rules.roles["technical-support-lead"].people == ("lee",)
    assert rules.schedules["duty"].holidays == "KR"
    assert rules.people["kim"].name == "김민수"
    assert [(contact.to, contact.after_ms) for contact in rules.people["kim"].contacts] == [
        ("webhook+https://hooks.example.com/kim", 0),
        ("mailto:kim@example.com", 5 * MINUTE),
    ]
    assert rules.people["lee"].contacts[0].secret == "shared with lee"
    assert rules.accounts.mail is not None
    assert (rules.accounts.mail.smtp, rules.accounts.mail.sender) == ("smtp://mail.example.com:587", "tocsin@example.com")
    assert [(each.name, each.key_sha256, each.stale_after_ms) for each in rules.integrations] == [
        ("prometheus-seoul", hashlib.sha256(KEY.encode()).hexdigest(), 24 * HOUR)
    ]
    assert rules.inhibit[0].equal == ("node",)
    assert rules.emergency == Emergency(MINUTE, ("mailto:ops@example.com",))


@pytest.mark.parametrize("text", [CONTRACT, SHIPPED], ids=["contract", "shipped"])
def test_the_ladder_is_the_table_of_the_source_document(text: str) -> None:
    ladder = load(text).ladders["standard"]
    roles = ("duty-engineer", "customer-service-engineer", "technical-support-lead", "general-manager")
    minutes = ((0, 30, 60, 120), (0, 60, 120, 240), (0, 120, 240, 480))
    for rungs, times in zip(ladder.rungs, (*minutes, ()), strict=True):
        assert tuple((rung.after_ms, rung.roles) for rung in rungs) == tuple(
            (time * MINUTE, (role,)) for time, role in zip(times, roles, strict=False)
        )
    assert ladder.acknowledged_for_ms == (30 * MINUTE, 60 * MINUTE, 120 * MINUTE, 120 * MINUTE)
    assert (ladder.until, ladder.last_resort) == ("acknowledged", ("general-manager",))
    assert (ladder.remind_before_end_ms, ladder.repeat_last_ms) == (5 * MINUTE, 30 * MINUTE)


def test_the_rules_as_shipped_work_unedited_and_reach_somebody_on_every_rung() -> None:
    rules, problems, warnings = check(SHIPPED, environment={})
    assert rules is not None
    assert (problems, warnings) == ([], [])
    service = rules.service_of({"alertname": "anything"})
    for rungs in service.plan.ladder.rungs:
        for rung in rungs:
            people = [person for role in rung.roles for person in oncall.holders(role, 1_795_000_000_000, rules)]
            assert people
            assert all(rules.people[person].contacts[0].to == "log:" for person in people)


def test_a_file_with_nothing_but_what_is_needed_has_the_defaults() -> None:
    rules = load(SMALL)
    (service,) = rules.services
    assert (service.name, service.group_by, service.plan.ladder.name) == ("everything-else", ("alertname",), "only")
    ladder = service.plan.ladder
    assert ladder.acknowledged_for_ms == (30 * MINUTE, HOUR, 2 * HOUR, 2 * HOUR)
    assert (ladder.until, ladder.remind_before_end_ms, ladder.repeat_last_ms) == ("acknowledged", 5 * MINUTE, 30 * MINUTE)
    assert ladder.last_resort == ("b",)
    assert service.plan.settle_ms == 2 * MINUTE
    assert (rules.people["kim"].locale, rules.people["kim"].time_zone, rules.people["kim"].name) == ("en", "UTC", "kim")
    assert rules.emergency == Emergency()
    assert rules.severity_of({}) == 3


def test_secrets_come_from_files_without_their_last_line_break() -> None:
    text = SMALL + (
        "  lee: {contacts: [{to: 'webhook+http://h/', secret_file: lee}, {to: 'mailto:lee@example.com'}]}\n"
        "integrations: [{name: a, key_file: a}]\n"
        "channels: {mail: {smtp_file: smtp, from: 'Tocsin <t@example.com>'}}\n"
    )
    rules = load(text, files={"lee": "s3cret\n", "a": "0123456789abcdef\r\n", "smtp": "smtps://u:p@mail\n"})
    assert rules.people["lee"].contacts[0].secret == "s3cret"
    assert rules.integrations[0].key_sha256 == hashlib.sha256(b"0123456789abcdef").hexdigest()
    assert rules.accounts.mail is not None
    assert rules.accounts.mail.smtp == "smtps://u:p@mail"
    assert "s3cret" not in repr(rules)
    assert "u:p" not in repr(rules)


def test_a_reading_keeps_text_that_other_readers_turn_into_dates_and_truth() -> None:
    rules = load(SMALL + "  no: {name: 'on', locale: no, contacts: ['log:']}\n")
    assert rules.people["no"].locale == "no"


def test_a_dollar_is_escaped_by_another_and_a_regex_may_hold_one() -> None:
    rules = load(SMALL + "severities: [{level: 1, matchers: ['a=\"$${HOME}\"', 'b=~\"x${1}\"']}]\n")
    assert [matcher.value for matcher in rules.severities[0].matchers] == ["${HOME}", "x${1}"]


def test_an_anchor_is_written_once_and_used_twice() -> None:
    rules = load(
        SMALL.replace("{0s: a, 1h: b}", "&rungs {0s: a, 1h: b}", 1) + "  lee: {contacts: &lee ['log:']}\n  choi: {contacts: *lee}\n"
    )
    assert rules.people["choi"].contacts == rules.people["lee"].contacts


def after_small(text: str) -> str:
    return SMALL + text


def instead(old: str, new: str) -> str:
    assert old in SMALL
    return SMALL.replace(old, new, 1)


LAYER = "schedules: {d: {time_zone: UTC, layers: [{rotation: [kim, kim], every: 1w, starts: 2026-01-05T09:00}]}}\n"
# What is wrong (lines count from 1; the small file has 5 lines), where, and what is said of it.
WRONG: tuple[tuple[str, str, str], ...] = (
    # the text
    ("", "1:1:", "the file is empty, expected version, "),
    ("- 1", "1:1:", "the file is not a mapping"),
    ("a: [1\nb: 2", "2:2:", "not YAML: expected ',' or ']'"),
    ("a:\n\tb: 1", "2:1:", "a tab: lines are indented with spaces"),
    ("a: \x00", "1:4:", "the character U+0000 is not allowed here"),
    ("a: 1\nb: \x1b", "2:4:", "the character U+001B is not allowed here"),
    ("a: 1\n---\nb: 1", "2:1:", "a second document begins here"),
    ("%YAML 1.1\n---\na: 1", "2:1:", "expected 1.2"),
    ("people: !x {}", "1:9:", "tags such as !this"),
    ("people: *x", "1:9:", "the alias *x has no anchor"),
    ("people: &x [*x]", "1:13:", "stands inside of what it names"),
    ("people:\n  <<: {a: 1}", "2:3: people.<<:", "merge keys (<<) are not part of YAML 1.2"),
    ("people:\n  ? [a]\n  : 1", "2:5: people:", "a key is a list or a mapping"),
    ('people: {kim: {name: "\\ud800"}}', "1:22: people.kim.name:", "half of a surrogate pair"),
    ("a: " + "[" * (DEPTH_MAX + 1), f"1:{DEPTH_MAX + 3}:", f"more than {DEPTH_MAX} levels"),
    ("integrations: [{name: a, key: ${X}}]", "1:32:", "write '${NAME}' in quotes"),
    ("a: '" + "x" * TEXT_LENGTH_MAX + "'", "1:1:", f"at most {TEXT_LENGTH_MAX} are read"),
    # keys and kinds
    ("version: 2", "1:10: version:", "expected 1,"),
    (after_small("servces: []\n"), "6:1: servces:", 'unknown key "servces", did you mean "services"? expected one of version, severities'),
    (after_small("  kim: {}\n"), "6:3: people.kim:", 'duplicate key "kim", first written in line 5'),
    (after_small("services: {}\n"), "6:11: services:", "expected a list"),
    (after_small("severities: 5\n"), "6:13: severities:", "expected a list"),
    (after_small("schedules: []\n"), "6:12: schedules:", "expected a mapping"),
    (after_small("  lee: []\n"), "6:8: people.lee:", "expected a mapping (key: value), found a list"),
    (after_small("  lee: {name: 5}\n"), "6:15: people.lee.name:", "expected text, found a number: write it in quotes"),
    (after_small("  lee: {name: true}\n"), "6:15: people.lee.name:", "expected text, found true: write it in quotes"),
    (after_small("  lee: {contacts: [{to: 'log:', affter: 1m}]}\n"), "6:33: people.lee.contacts[0].affter:", 'did you mean "after"?'),
    (after_small("  lee: {contacts: [{after: 1m}]}\n"), "6:20: people.lee.contacts[0].to:", "is missing"),
    (after_small("services: [{matchers: []}]\n"), "6:12: services[0].name:", "is missing"),
    (after_small("services: [{name: a, matchers: {a: b}}]\n"), "6:32: services[0].matchers:", "expected a list, found a mapping"),
    (after_small("services: [{name: a, wait: }]\n"), "6:27: services[0].wait:", "expected text, found nothing"),
    (instead("{rungs:", "{until: acknowleged, rungs:"), "2:25: ladders.only.until:", 'did you mean "acknowledged"?'),
    # names
    (after_small("services: [{name: a, ladder: onli}]\n"), "6:30: services[0].ladder:", 'unknown ladder "onli", did you mean "only"?'),
    (instead("0s: a", "0s: engineer"), "2:34: ladders.only.rungs.1.0s:", 'unknown role "engineer": there is "a", "b"'),
    (instead("0s: a", "0s: [a, engineer]"), "2:38: ladders.only.rungs.1.0s[1]:", 'unknown role "engineer"'),
    (instead("{rungs:", "{last_resort: bb, rungs:"), "2:31: ladders.only.last_resort:", 'unknown role "bb", did you mean "b"?'),
    (instead("a: [kim]", "a: [kin]"), "3:13: roles.a[0]:", 'unknown person "kin", did you mean "kim"?'),
    (instead("a: [kim]", "a: {people: kin}"), "3:21: roles.a.people:", 'unknown person "kin"'),
    (instead("a: [kim]", "a: {schedule: duty}"), "3:23: roles.a.schedule:", 'unknown schedule "duty": none is defined'),
    (after_small(LAYER.replace("kim, kim", "kim, kin")), "6:59: schedules.d.layers[0].rotation[1]:", 'did you mean "kim"?'),
    (after_small("services: [{name: a}, {name: b}, {name: a}]\n").replace("{name: b}", "\n{name: b}"), "7:19:", "duplicate name"),
    (after_small("services: [{name: ' a'}]\n"), "6:19: services[0].name:", "is not a name"),
    (after_small("  Kim: {}\n"), "6:3: people.Kim:", '"Kim" is not a person\'s key'),
    (after_small("  -kim: {}\n"), "6:3: people.-kim:", "is not a person's key"),
    (after_small("  emergency: {}\n"), "6:3: people.emergency:", "stands for the emergency contacts"),
    (after_small("services: [{name: everything-else, matchers: [a=b]}]\n"), "6:11: services:", "expected a last service without matchers"),
    (instead("{only:", "{two: {rungs: {1: {}, 2: {}, 3: {}}}, one:") + "services: [{name: a}]\n",
     "6:12: services[0].ladder:", "there are 2 ladders and none is called standard"),
    ("services:\n  - {name: a}", "2:5: services[0].ladder:", "the file has no ladders"),
    # durations, rungs
    (after_small("services: [{name: a, wait: 5}]\n"), "6:28: services[0].wait:", '"5" is not a duration. It has no unit.'),
    (after_small("services: [{name: a, settle: 1x}]\n"), "6:30: services[0].settle:", "is not a duration"),
    (instead("1h: b", "1hour: b"), "2:37: ladders.only.rungs.1.1hour:", "is not a duration"),
    (instead("1h: b", "0s: b"), "2:37: ladders.only.rungs.1.0s:", "duplicate key"),
    (instead("0s: a, 1h: b", "1h: a, 60m: b"), "2:37: ladders.only.rungs.1.60m:", "60m is not later than the rung before it (1h)"),
    (instead("{1:", "{4: {0s: a}, 1:"), "2:26: ladders.only.rungs.4:", "severity 4 pages nobody"),
    (instead("{1:", "{5: {0s: a}, 1:"), "2:26: ladders.only.rungs.5:", '"5" is not a severity, expected 1 to 4'),
    (instead("{rungs:", "{acknowledged_for: {1: 0s}, rungs:"), "2:40: ladders.only.acknowledged_for.1:", "lasts no time"),
    (instead("{rungs:", "{acknowledged_for: {9: 1s}, rungs:"), "2:37: ladders.only.acknowledged_for.9:", "is not a severity"),
    (instead("0s: a", "0s: []"), "2:34: ladders.only.rungs.1.0s:", "is empty, expected a role"),
    (after_small("severities: [{level: 5, matchers: []}]\n"), "6:22: severities[0].level:", "expected 1 to 4, found 5"),
    (after_small("severities: [{level: bad, matchers: []}]\n"), "6:22: severities[0].level:", "expected a whole number, found text"),
    # matchers
    (after_small("severities: [{level: 1, matchers: ['a=b', 'c']}]\n"), "6:45: severities[0].matchers[1]:", "not a matcher"),
    (after_small("severities: [{level: 1, matchers: ['a=~\"x(\"']}]\n"), "6:40: severities[0].matchers[0]:", "is not a regular expression"),
    (after_small("services: [{name: a, matchers: '{a=b}'}]\n"), "6:32: services[0].matchers:", "without braces"),
    (after_small("inhibit: [{source: [], target: [a=b]}]\n"), "6:20: inhibit[0].source:", "would match every alert"),
    (after_small("services: [{name: a, group_by: [b, '...']}]\n"), "6:32: services[0].group_by:", "stands alone"),
    # schedules
    (after_small(LAYER.replace("UTC", "Asia/Seul")), "6:28: schedules.d.time_zone:", 'time zone "Asia/Seul", did you mean "Asia/Seoul"?'),
    (after_small(LAYER.replace("UTC", "Asia")), "6:28: schedules.d.time_zone:", 'unknown time zone "Asia"'),
    (after_small("  lee: {time_zone: Mars}\n"), "6:20: people.lee.time_zone:", 'unknown time zone "Mars"'),
    (after_small(LAYER.replace("1w", "1x")), "6:72: schedules.d.layers[0].every:", "expected hours, days, weeks or months"),
    (after_small(LAYER.replace("1w", "0d")), "6:72: schedules.d.layers[0].every:", "a turn of 0 days"),
    (after_small(LAYER.replace("05T09:00", "05")), "6:84: schedules.d.layers[0].starts:", "is not a start"),
    (after_small(LAYER.replace("09:00", "09:00Z")), "6:84: schedules.d.layers[0].starts:", "without a zone"),
    (after_small(LAYER.replace("-01-05T", "-02-30T")), "6:84: schedules.d.layers[0].starts:", "no day or time of the calendar"),
    (after_small(LAYER.replace("kim, kim", "")), "6:53: schedules.d.layers[0].rotation:", "is empty"),
    (after_small(LAYER.replace("every", "hours: 9-18, every")), "6:65: schedules.d.layers[0].hours:", "unknown key \"hours\""),
    (after_small(LAYER.replace("every", "evry: 1, every")), "6:65: schedules.d.layers[0].evry:", 'did you mean "every"?'),
    (after_small("schedules: {d: {time_zone: UTC, layers: []}}\n"), "6:41: schedules.d.layers:", "expected at least one layer"),
    # contacts
    (after_small("  lee: {contacts: ['kim@example.com']}\n"), "6:20: people.lee.contacts[0].to:", "the address has no scheme"),
    (after_small("  lee: {contacts: ['slack:#ops']}\n"), "6:20: people.lee.contacts[0].to:", "this is no id of a Slack member or channel"),
    (after_small("  lee: {contacts: [{to: 'sms:+82'}]}\n"), "6:25: people.lee.contacts[0].to:", "this is no international phone number"),
    (after_small("  lee: {contacts: [{to: 'webhok+https://x'}]}\n"), "6:25: people.lee.contacts[0].to:", 'did you mean "webhook+https"?'),
    (after_small("  lee: {contacts: ['webhook+https:///x']}\n"), "6:20: people.lee.contacts[0].to:", "the address has no host"),
    (after_small("  lee: {contacts: ['webhook+http://h:99999/']}\n"), "6:20: people.lee.contacts[0].to:", "this is not a web address"),
    (after_small("  lee: {contacts: ['mailto:lee@example.com']}\n"), "6:20: people.lee.contacts[0].to:", "channels.mail is missing"),
    (after_small("  lee: {contacts: ['mailto:lee']}\n"), "6:20: people.lee.contacts[0].to:", "this is not a mail address"),
    (after_small("  lee: {contacts: [{to: 'log:', secret: x}]}\n"), "6:41: people.lee.contacts[0].secret:", "is only for webhook"),
    (after_small("emergency: {to: ['pigeon:x']}\n"), "6:18: emergency.to[0]:", 'unknown scheme "pigeon"'),
    (after_small("channels: {slack: {}}\n"), "6:19: channels.slack.token:", "is missing, expected token or token_file"),
    (after_small("channels: {mail: {smtp: 'http://x', from: a@b}}\n"), "6:25: channels.mail.smtp:", "neither smtp nor smtps"),
    (
        after_small("channels: {mail: {smtp: 'smtp://x', from: a@b, imap: 'imaps://host'}}\n"),
        "6:54: channels.mail.imap:",
        "expected imaps://user:password@host",
    ),
    (after_small("channels: {mail: {smtp: 'smtp://x', from: a@b, listen: '2525'}}\n"), "6:56: channels.mail.listen:", "expected host:port"),
    (after_small("channels: {mail: {smtp: 'smtp://x', from: a}}\n"), "6:43: channels.mail.from:", "this is not a mail address"),
    (after_small("channels: {mail: {from: a@b}}\n"), "6:18: channels.mail.smtp:", "is missing, expected smtp or smtp_file"),
    (after_small("services: [{name: a, runbook: 'javascript:x'}]\n"), "6:31: services[0].runbook:", "neither http nor https"),
    # secrets
    (after_small("integrations: [{name: a, key: '${NO_SUCH}'}]\n"), "6:31: integrations[0].key:", "no variable NO_SUCH"),
    (after_small("integrations: [{name: a, key_file: gone}]\n"), "6:36: integrations[0].key_file:", "cannot be read: No such file"),
    (after_small("integrations: [{name: a}]\n"), "6:16: integrations[0].key:", "expected key or key_file"),
    (after_small("integrations: [{name: a, key: x, key_file: y}]\n"), "6:44: integrations[0].key_file:", "both key and key_file"),
    (after_small("integrations: [{name: a, key: ''}]\n"), "6:31: integrations[0].key:", "is empty"),
    (after_small("integrations:\n - {name: a, key: x}\n - {name: b, key: x}\n"), "8:19: integrations[1].key:", "is that of line 7"),
    (after_small("integrations:\n - {name: a, key: x}\n - {name: a, key: y}\n"), "8:11: integrations[1].name:", "duplicate name"),
)  # fmt: skip


@pytest.mark.parametrize(("text", "place", "words"), WRONG, ids=[words[:40] for _, _, words in WRONG])
def test_what_is_wrong_is_named_with_its_line_and_column(text: str, place: str, words: str) -> None:
    rules, problems, _ = check(text)
    assert rules is None
    assert any(problem.startswith(f"r.yaml:{place} ") and words in problem for problem in problems), "\n".join(problems)


def test_one_fault_is_reported_once() -> None:
    for text, _, _ in WRONG:
        _, problems, _ = check(text)
        assert len(problems) == 1, "\n".join(problems)


def test_every_problem_of_a_file_is_reported_in_its_order() -> None:
    text = instead("a: [kim]", "a: [kin]") + "servces: []\nservices: [{name: a, wait: 5, laddr: x}, {name: b, ladder: x}]\n"
    with pytest.raises(RulesInvalid) as caught:
        load_rules(text, file_name="r.yaml", environment={}, read_file=no_file)
    assert [(problem.line, problem.path) for problem in caught.value.problems] == [
        (3, "roles.a[0]"),
        (6, "servces"),
        (7, "services[0].laddr"),
        (7, "services[1].ladder"),
    ]


def test_a_problem_reads_as_file_line_column_path_and_words() -> None:
    assert str(Problem("rules.yaml", 7, 5, "ladders.x", "is missing")) == "rules.yaml:7:5: ladders.x: is missing"


def test_the_words_never_repeat_a_secret() -> None:
    secret = "canary-4711"
    environment = {"S": secret, "N": f"webhook+https://{secret}:bad/"}
    text = SMALL + (
        "  lee: {contacts: ['${N}', {to: '${S}'}, {to: 'log:', secret: '${S}'}]}\n"
        "channels: {mail: {smtp: 'http://u:${S}@x', from: '${S}'}}\n"
        "integrations: [{name: a, key: '${S}'}, {name: b, key: '${S}'}]\n"
    )
    _, problems, warnings = check(text, environment=environment)
    assert len(problems) >= 6
    assert secret not in "\n".join(problems + warnings)


DOUBTFUL: tuple[tuple[str, str, str], ...] = (
    (SMALL, "1:1: services:", "everything-else with ladder only is added"),
    (after_small("  lee: {}\n").replace("b: {people: [kim]}", "b: {people: [lee]}"), "6:3: people.lee:", "has no contacts"),
    (after_small(LAYER + "  \n").replace("b: {people: [kim]}", "b: {schedule: d}").replace("kim: {contacts: ['log:']}", "kim: {}"),
     "5:3: people.kim:", "has no contacts"),
    (instead("b: {people: [kim]}", "b: {}"), "3:19: roles.b:", "nobody holds this role"),
    (after_small(LAYER), "6:53: schedules.d.layers[0].rotation:", "has one person only"),
    (after_small(LAYER.replace("UTC", "UTC, holidays: KR")), "6:43: schedules.d.holidays:", "is not used"),
    (instead(" 3: {0s: a}", ""), "2:25: ladders.only.rungs:", "severity 3 has no rungs"),
    (instead("{rungs:", "{repeat_last: 0s, rungs:"), "2:31: ladders.only.repeat_last:", "nobody is paged again"),
    (after_small("services: [{name: a}, {name: b, matchers: [a=b]}]\n"), "6:23: services[1]:", "is never reached"),
    (after_small("severities: [{level: 1, matchers: []}, {level: 2, matchers: [a=b]}]\n"), "6:14: severities[0]:", "never reached"),
    (after_small("services: [{name: a, depends_on: [x]}]\n"), "6:35: services[0].depends_on[0]:", 'no service is called "x"'),
    (after_small("integrations: [{name: a, key: short}]\n"), "6:31: integrations[0].key:", "it can be guessed"),
)  # fmt: skip


@pytest.mark.parametrize(("text", "place", "words"), DOUBTFUL, ids=[words[:40] for _, _, words in DOUBTFUL])
def test_what_is_doubtful_is_a_warning_and_the_rules_hold(text: str, place: str, words: str) -> None:
    rules, problems, warnings = check(text)
    assert rules is not None, problems
    assert any(warning.startswith(f"r.yaml:{place} ") and words in warning for warning in warnings), "\n".join(warnings)


def test_aliases_that_multiply_are_refused() -> None:
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    text += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    _, problems, _ = check(text)
    assert f"more than {NODES_MAX} values" in problems[0]


PIECES = st.sampled_from([
    "version", "services", "ladders", "people", "roles", "rungs", "name", "kim", "a", ":", ": ", "- ", "\n", "\n  ", "\n    ", "{", "}",
    "[", "]", ", ", "'", '"', "&x ", "*x", "!", "|", ">", "#", "%", "0s", "1h", "1", "9" * 5000, "${A}", "${KEY_PROMETHEUS_SEOUL}", "log:",
    "<<", "?", "\t", "\ufeff", "\x85", "\ud800", "\x00", "\\", "~",
])  # fmt: skip


def refuses_or_loads(text: str) -> None:
    try:
        load_rules(text, file_name="r.yaml", environment=ENVIRONMENT, read_file=no_file)
    except RulesInvalid as error:
        refused = error
    else:
        return
    assert refused.problems
    assert all(problem.line >= 1 and problem.column >= 1 for problem in refused.problems)
    assert str(refused).encode()


@given(st.text(st.characters(), max_size=200))
def test_no_text_makes_anything_but_rules_or_problems(text: str) -> None:
    refuses_or_loads(text)


@given(st.lists(PIECES, max_size=40).map("".join))
def test_no_text_made_of_yaml_makes_anything_but_rules_or_problems(text: str) -> None:
    refuses_or_loads(text)


@given(st.sampled_from([SMALL, CONTRACT]), st.data())
def test_no_damage_to_a_good_file_makes_anything_but_rules_or_problems(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    until = data.draw(st.integers(at, min(len(text), at + 30)))
    refuses_or_loads(text[:at] + data.draw(PIECES | st.text(max_size=5)) + text[until:])


@pytest.mark.parametrize(
    "text", ['"\\U00110000"', "%YAML 1.99999999999999999999\n---\na", "a: !!int x", "a: 2026-99-99", "&a", "? a", "a: " + "[" * 5000]
)
def test_a_text_that_upsets_the_parser_is_a_problem(text: str) -> None:
    refuses_or_loads(text)
