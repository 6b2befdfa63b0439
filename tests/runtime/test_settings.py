import dataclasses
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from tocsin.runtime.log import configure_logging, get_logger
from tocsin.runtime.settings import Address, Secret, Settings, SettingsInvalid, all_settings, unknown_variables


def problems_of(environ: dict[str, str], **overrides: str) -> tuple[str, ...]:
    with pytest.raises(SettingsInvalid) as caught:
        Settings.from_environment(environ, {flag.replace("__", "."): text for flag, text in overrides.items()})
    return caught.value.problems


def test_nothing_given_is_the_contract() -> None:
    settings = Settings.from_environment({})
    assert settings == Settings()
    assert (settings.config_file, settings.storage_path, settings.storage_url) == (Path("alert_rules.yaml"), Path("data"), None)
    assert [settings.listen_address(role)[1] for role in ("ingest", "console", "correlator", "notifier")] == [9095, 9096, 9097, 9098]
    assert settings.external_url == "http://127.0.0.1:9096"
    assert (settings.body_bytes_max, settings.alerts_per_body_max, settings.entry_bytes_max) == (64 * 1024 * 1024, 20_000, 65_536)


def test_the_command_line_wins_over_the_environment() -> None:
    environ = {"TOCSIN_STORAGE_PATH": "/srv/a", "TOCSIN_LOG_LEVEL": "debug"}
    settings = Settings.from_arguments(["--storage.path", "b", "--ingest.listen-address=:80"], environ)
    assert (settings.storage_path, settings.log_level) == (Path("b"), "debug")
    assert settings.ingest_address == Address("0.0.0.0", 80)


def test_addresses_of_both_families_are_read_and_written() -> None:
    for text in ("127.0.0.1:9095", "[::1]:9095", "localhost:0"):
        assert str(Settings.from_environment({"TOCSIN_INGEST_LISTEN_ADDRESS": text}).ingest_address) == text


def test_no_rules_file_means_to_follow_what_is_published() -> None:
    assert Settings.from_environment({"TOCSIN_CONFIG_FILE": ""}).config_file is None


def test_sizes_and_durations_carry_their_units() -> None:
    settings = Settings.from_arguments(["--ingest.body-bytes-max", "2MiB", "--web.read-timeout", "1m30s", "--store.lease", "20s"], {})
    assert (settings.body_bytes_max, settings.read_timeout_s, settings.lease_ms) == (2 * 1024 * 1024, 90.0, 20_000)


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("TOCSIN_INGEST_LISTEN_ADDRESS", "9095", "expected HOST:PORT"),
        ("TOCSIN_INGEST_LISTEN_ADDRESS", "h:70000", "expected HOST:PORT"),
        ("TOCSIN_LOG_LEVEL", "debg", 'did you mean "debug"?'),
        ("TOCSIN_LOG_FORMAT", "xml", "expected logfmt or json"),
        ("TOCSIN_WEB_READ_TIMEOUT", "15", "It has no unit"),
        ("TOCSIN_WEB_READ_TIMEOUT", "10ms", "expected at least 1"),
        ("TOCSIN_INGEST_BODY_BYTES_MAX", "64MB", "expected a size"),
        ("TOCSIN_STORE_SHARDS", "0", "expected 1 to 256"),
        ("TOCSIN_STORE_SHARDS", "four", "expected a whole number"),
        ("TOCSIN_STORAGE_URL", "http://user:canary@x", "expected redis://"),
        ("TOCSIN_STORAGE_PATH", "", "expected a directory"),
        ("TOCSIN_WEB_EXTERNAL_URL", "tocsin.example.com", "neither http nor https"),
    ],
)
def test_what_cannot_be_used_is_named_by_its_variable(variable: str, text: str, words: str) -> None:
    (problem,) = problems_of({variable: text})
    assert problem.startswith(f"{variable}: ")
    assert words in problem
    assert "canary" not in problem


def test_every_problem_is_reported_and_a_flag_is_named_as_it_was_written() -> None:
    problems = problems_of({"TOCSIN_LOG_LEVEL": "x"}, log__format="x", storage__pth="y")
    assert [problem.partition(",")[0].partition(":")[0] for problem in problems] == [
        'unknown flag "--storage.pth"',
        "TOCSIN_LOG_LEVEL",
        "--log.format",
    ]
    assert 'did you mean "--storage.path"?' in problems[0]


def test_arguments_that_are_no_flags_are_refused() -> None:
    with pytest.raises(SettingsInvalid, match="is no flag"):
        Settings.from_arguments(["ingest"], {})
    with pytest.raises(SettingsInvalid, match="has no value"):
        Settings.from_arguments(["--log.level"], {})


def test_a_secret_comes_from_a_variable_or_from_a_file() -> None:
    assert Settings.from_environment({"TOCSIN_ADMIN_TOKEN": "a"}).admin_token.reveal() == "a"
    settings = Settings.from_environment({"TOCSIN_ADMIN_TOKEN_FILE": "f"}, read_file={"f": "b\n"}.__getitem__)
    assert settings.admin_token == Secret("b")


def test_a_secret_file_that_gives_none_is_named(data_dir: Path) -> None:
    empty = data_dir / "empty"
    empty.touch()
    assert "cannot be read" in problems_of({"TOCSIN_ADMIN_TOKEN_FILE": str(data_dir / "gone")})[0]
    assert problems_of({"TOCSIN_ADMIN_TOKEN_FILE": str(empty)}) == ("TOCSIN_ADMIN_TOKEN_FILE: the file is empty",)
    assert "is given as well" in problems_of({"TOCSIN_ADMIN_TOKEN_FILE": str(empty), "TOCSIN_ADMIN_TOKEN": "x"})[0]


def test_secrets_are_stars_wherever_settings_are_printed() -> None:
    settings = Settings.from_environment(
        {"TOCSIN_ADMIN_TOKEN": "canary", "TOCSIN_TOKEN": "canary", "TOCSIN_STORAGE_URL": "redis://:canary@h"}
    )
    assert "canary" not in f"{settings} {settings!r} {settings.admin_token}"
    assert "****" in repr(settings)


def test_a_child_role_has_the_same_settings_and_not_the_client_token() -> None:
    settings = Settings.from_arguments(
        ["--storage.url", "unix:///tmp/x.sock", "--log.format=json", "--config.file=", "--tick.idle", "50ms", "--token", "mine"], {}
    )
    environment = settings.role_environment()
    assert "mine" not in environment.values()
    assert Settings.from_environment(environment) == dataclasses.replace(settings, token=Secret())


@given(st.dictionaries(st.sampled_from([each.variable for each in all_settings()]), st.text(max_size=20)))
def test_any_environment_gives_settings_that_travel_or_problems(environ: dict[str, str]) -> None:
    try:
        settings = Settings.from_environment(environ)
    except SettingsInvalid:
        return
    again = Settings.from_environment(settings.role_environment() | {"TOCSIN_URL": settings.url})
    assert again == dataclasses.replace(settings, token=Secret())


def test_every_setting_has_a_flag_of_its_own_and_a_reason() -> None:
    words = all_settings()
    assert len({each.variable for each in words}) == len(words)
    assert all(each.reason.endswith(".") for each in words)


def test_a_misspelt_variable_is_found() -> None:
    environ = {"TOCSIN_STORAGE_PTH": "x", "TOCSIN_ADMIN_TOKEN_FILE": "x", "PATH": "x"}
    assert unknown_variables(environ) == ('TOCSIN_STORAGE_PTH, did you mean "TOCSIN_STORAGE_PATH"?',)


@pytest.fixture(params=["logfmt", "json"])
def lines(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What is logged; the process's own logging is put back by the fixture's end."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging(level="info", fmt=request.param, role="ingest", stream=stream)
    yield stream
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    structlog.reset_defaults()


def test_hostile_text_stays_on_one_line_of_plain_ascii(lines: io.StringIO) -> None:
    get_logger().info("alert_rejected", text='a "b"\nlevel=error\r\x1b[2J\u202e\u2028\ud800', integration="x y")
    line = lines.getvalue()
    assert line.count("\n") == 1
    assert line.rstrip("\n").isascii()
    assert line.rstrip("\n").isprintable()
    assert "ingest" in line
    if line.startswith("{"):
        assert json.loads(line)["text"].endswith("\u2028\ud800")


def test_no_secret_reaches_a_log(lines: io.StringIO) -> None:
    log = get_logger(api_token="canary")
    log.info("connected", url="redis://:canary@h/0", secret="canary", admin=Secret("canary"), key="canary", group_key="shown")
    assert "canary" not in lines.getvalue()
    assert "shown" in lines.getvalue()


def test_what_is_below_the_level_is_not_logged_and_libraries_log_in_the_same_form(lines: io.StringIO) -> None:
    get_logger().debug("not_shown")
    logging.getLogger("aiohttp").warning("bad \x1b request: %s", "x")
    (line,) = lines.getvalue().splitlines()
    assert "ingest" in line
    assert "aiohttp" in line
    assert "\x1b" not in line
