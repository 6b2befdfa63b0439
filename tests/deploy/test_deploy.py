"""What an operator deploys and reads: it can be used as it is, and it says what the code says."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.deploy.tables import PAGE, ROOT, RULES, metrics, metrics_table, put_in, settings_table
from tocsin.runtime.rulesfile import load_rules
from tocsin.runtime.settings import Settings, all_settings, unknown_variables
from tocsin.store.server_config import DURABLE

DEPLOY = ROOT / "deploy"
ROLES = ("ingest", "correlator", "notifier", "console")
LIMIT_S = 60
FindProgram = Callable[[str], Path]


def read_yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def run(program: Path, *arguments: str | Path) -> str:
    done = subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def compose() -> Any:
    return read_yaml(ROOT / "docker-compose.yml")


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


# --- Prometheus, Alertmanager, Grafana ---------------------------------------------------------------------------------------------


def test_prometheus_takes_its_files(real_binary: FindProgram) -> None:
    promtool = real_binary("promtool")
    run(promtool, "check", "config", DEPLOY / "prometheus/prometheus.yml")
    run(promtool, "check", "rules", RULES)
    run(promtool, "test", "rules", DEPLOY / "prometheus/tocsin.rules.test.yaml")


def test_alertmanager_takes_its_file(real_binary: FindProgram) -> None:
    assert "SUCCESS" in run(real_binary("amtool"), "check-config", DEPLOY / "alertmanager/alertmanager.yml")


def alarms() -> list[Any]:
    return [rule for group in read_yaml(RULES)["groups"] for rule in group["rules"] if "alert" in rule]


def anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_alarm_says_what_it_means_and_what_to_do(page: str) -> None:
    for alarm in alarms():
        assert alarm["labels"]["severity"] in {"critical", "warning"}
        assert alarm["labels"]["service"] == "tocsin"
        assert {"summary", "description", "runbook"} <= set(alarm["annotations"]), alarm["alert"]
        file, _, anchor = alarm["annotations"]["runbook"].partition("#")
        assert ROOT / file == PAGE
        assert anchor in anchors(page), f"{alarm['alert']}: docs/operations.md has no section {anchor}"
        assert f"`{alarm['alert']}`" in page, f"docs/operations.md does not speak of {alarm['alert']}"


def test_the_page_speaks_of_no_alarm_that_is_not_there(page: str) -> None:
    known = {alarm["alert"] for alarm in alarms()} | {"TocsinUnreadableAlert"}
    assert set(re.findall(r"`(Tocsin[A-Z]\w+)`", page)) <= known


def series_named_in(text: str) -> set[str]:
    return set(re.findall(r"\btocsin_[a-z_]+\b", text))


def test_alarms_and_dashboard_ask_for_metrics_that_exist() -> None:
    exposed = {series for metric in metrics() for series in metric.series}
    for path in (RULES, DEPLOY / "prometheus/tocsin.rules.test.yaml", DEPLOY / "grafana/tocsin.json"):
        assert series_named_in(path.read_text(encoding="utf-8")) <= exposed, path.name


def test_alarms_and_dashboard_use_labels_that_exist() -> None:
    labels = {label for metric in metrics() for label in metric.labels} | {"le", "job", "role", "instance", "alertname", "alertstate"}
    expressions = [rule["expr"] for group in read_yaml(RULES)["groups"] for rule in group["rules"]]
    expressions += [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]
    for expression in expressions:
        used = {label for found in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression) for label in re.split(r"[,\s]+", found)}
        used |= {label for found in re.findall(r"\btocsin_\w+\{([^}]*)\}", expression) for label in re.findall(r"(\w+)[!=]", found)}
        assert used <= labels, expression


def dashboard() -> Any:
    return json.loads((DEPLOY / "grafana/tocsin.json").read_text(encoding="utf-8"))


def test_the_dashboard_has_no_two_panels_in_one_place() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in dashboard()["panels"]}) == len(dashboard()["panels"])


def test_every_metric_is_on_the_dashboard() -> None:
    shown = series_named_in((DEPLOY / "grafana/tocsin.json").read_text(encoding="utf-8"))
    assert [metric.name for metric in metrics() if not shown & set(metric.series)] == []


# --- containers --------------------------------------------------------------------------------------------------------------------


def test_the_composition_has_the_store_the_four_roles_and_what_sends_alerts(compose: Any) -> None:
    assert set(compose["services"]) == {"valkey", *ROLES, "prometheus", "alertmanager"}
    for role in ROLES:
        assert compose["services"][role]["command"] == ["serve", role]


@pytest.mark.parametrize("name", ["valkey", *ROLES, "prometheus", "alertmanager"])
def test_every_container_is_watched_and_can_do_no_more_than_it_must(compose: Any, name: str) -> None:
    service = compose["services"][name]
    assert {"test", "interval", "timeout", "retries"} <= set(service["healthcheck"])
    assert service["restart"] == "unless-stopped"
    assert int(service["user"].partition(":")[0]) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    image = re.sub(r"\$\{\w+:-(.*)\}", r"\1", service["image"])
    assert re.search(r":[\w.-]*\d", image), f"{image} says no version"
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_what_must_last_is_on_volumes(compose: Any) -> None:
    mounts = {name: service.get("volumes", []) for name, service in compose["services"].items()}
    assert "valkey-data:/data" in mounts["valkey"]
    assert "console-data:/var/lib/tocsin" in mounts["console"]
    named = {mount.partition(":")[0] for each in mounts.values() for mount in each if not mount.startswith(".")}
    assert named == set(compose["volumes"])
    for mount in (mount for each in mounts.values() for mount in each if mount.startswith(".")):
        assert (ROOT / mount.partition(":")[0]).exists()
        assert mount.endswith(":ro")


def test_the_store_is_durable_and_alone_with_the_roles(compose: Any) -> None:
    store = compose["services"]["valkey"]
    told = dict(word.removeprefix("--").split(" ", 1) for word in store["command"][1:])
    expected = {name: value or '""' for name, value in DURABLE if name != "daemonize"}
    assert {name: told.get(name) for name in expected} == expected
    assert "maxmemory" in told
    assert store["networks"] == ["store"]
    assert compose["networks"]["store"]["internal"] is True
    assert {name for name, service in compose["services"].items() if "store" in service["networks"]} == {"valkey", *ROLES}


def test_the_containers_settings_are_settings(compose: Any) -> None:
    for role in ROLES:
        environment = {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for name, value in compose["services"][role]["environment"].items()}
        assert unknown_variables(environment) == ()
        settings = Settings.from_environment({name: value for name, value in environment.items() if not name.endswith("_FILE")})
        host, port = settings.listen_address(role)
        assert (host, f"http://127.0.0.1:{port}/-/healthy") == ("0.0.0.0", environment["HEALTH_URL"])


def test_the_containers_know_each_other_by_the_right_names_and_ports(compose: Any) -> None:
    prometheus = read_yaml(DEPLOY / "prometheus/prometheus.yml")
    [job] = prometheus["scrape_configs"]
    targets = {config["labels"]["role"]: config["targets"] for config in job["static_configs"]}
    assert job["job_name"] == "tocsin"
    assert targets == {role: [f"{role}:{Settings().listen_address(role)[1]}"] for role in ROLES}
    assert prometheus["alerting"]["alertmanagers"][0]["static_configs"] == [{"targets": ["alertmanager:9093"]}]
    receivers = read_yaml(DEPLOY / "alertmanager/alertmanager.yml")["receivers"]
    [webhook] = next(one for one in receivers if one["name"] == "tocsin")["webhook_configs"]
    assert webhook["url"] == "http://ingest:9095/webhook/alertmanager"
    assert webhook["send_resolved"] is True
    secret = Path(webhook["http_config"]["authorization"]["credentials_file"])
    assert all(secret.name in compose["services"][name]["secrets"] for name in (*ROLES, "alertmanager"))


def test_the_containers_rules_are_the_shipped_ones_with_a_key() -> None:
    path = DEPLOY / "compose/tocsin/alert_rules.yaml"
    ours, shipped = read_yaml(path), read_yaml(ROOT / "alert_rules.yaml")
    [integration] = ours.pop("integrations")
    assert ours == shipped
    assert integration["key_file"] == "/run/secrets/intake_key"
    rules = load_rules(
        path.read_text(encoding="utf-8"), file_name=path.name, environment={}, read_file=lambda _: "a key of 32 letters or even more"
    )
    assert [one.name for one in rules.integrations] == ["alertmanager"]


def test_the_image_is_locked_and_runs_as_nobody_in_particular() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^ARG BASE=python:3\.1[123]-slim", lines, flags=re.MULTILINE)
    assert "--require-hashes" in lines
    assert re.search(r"^USER [1-9]\d*:", lines, flags=re.MULTILINE)
    assert "\nHEALTHCHECK " in lines
    copied = [name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", lines, flags=re.MULTILINE) for name in line.split()]
    let_in = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(copied) == set(let_in)
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_the_keys_are_made_once_and_stay(data_dir: Path) -> None:
    script = data_dir / "make-secrets"
    script.write_bytes((DEPLOY / "compose/make-secrets").read_bytes())
    first = [_keys_made_by(script), _keys_made_by(script)]
    assert first[0] == first[1]
    assert all(re.fullmatch(r"[0-9a-f]{64}", key) for key in first[0].values())
    assert set(first[0]) == {"intake_key", "admin_token"}


def _keys_made_by(script: Path) -> dict[str, str]:
    run(Path("/bin/sh"), script)
    return {file.name: file.read_text(encoding="ascii") for file in (script.parent / "secrets").iterdir()}


def test_the_unit_ends_the_supervisor_first_and_gives_the_store_its_time() -> None:
    unit = (DEPLOY / "systemd/tocsin.service").read_text(encoding="utf-8")
    assert "\nKillMode=mixed\n" in unit
    assert "\nTimeoutStopSec=5min\n" in unit
    assert "\nExecReload=/bin/kill -HUP $MAINPID\n" in unit
    flags = re.findall(r"--(\S+)", re.findall(r"^ExecStart=(.*)$", unit, flags=re.MULTILINE)[0])
    assert {f"--{flag}" for flag in flags} <= {setting.flag for setting in all_settings()}


# --- pages -------------------------------------------------------------------------------------------------------------------------


def test_every_setting_and_metric_is_in_the_page_and_nothing_else(page: str) -> None:
    hint = "run `python -m tests.deploy.tables` to write the tables anew"
    assert put_in(page, "settings", settings_table()) == page, hint
    assert put_in(page, "metrics", metrics_table()) == page, hint


def test_the_page_names_settings_and_metrics_that_exist(page: str) -> None:
    flags = {setting.flag for setting in all_settings()}
    assert set(re.findall(r"`(--[a-z]+\.[a-z.-]+)", page)) <= flags
    variables = {setting.variable for setting in all_settings()}
    named = set(re.findall(r"\bTOCSIN_[A-Z_]+\b", page)) - {"TOCSIN_"}
    assert {name if name in variables else name.removesuffix("_FILE") for name in named} <= variables
    exposed = {series for metric in metrics() for series in (metric.name, *metric.series)}
    assert set(re.findall(r"`(tocsin_[a-z_]+)`", page)) <= exposed


def code_of(path: str) -> str:
    blocks = re.findall(r"^```.*?\n(.*?)^```", (ROOT / path).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return "\n".join(blocks) + "\n".join(re.findall(r"`([^`\n]+)`", (ROOT / path).read_text(encoding="utf-8")))


def known_commands() -> set[str]:
    """`check`, `incident list` ...: read off the command line itself."""
    from typer.main import get_command

    from tocsin.runtime.cli import app

    found: set[str] = set()
    for name, command in vars(get_command(app))["commands"].items():
        below = vars(command).get("commands", {})
        found |= {f"{name} {each}" for each in below} or {name}
    return found


@pytest.mark.parametrize("path", ["README.md", "docs/operations.md", "CONTRIBUTING.md", "deploy/systemd/tocsin.service"])
def test_the_commands_in_the_pages_exist(path: str) -> None:
    known = known_commands()
    code = code_of(path)
    for words in re.findall(r"(?:^|[\s/])tocsin ((?:serve|check|[a-z][a-z-]+)(?: [a-z-]+)?)", code, flags=re.MULTILINE):
        assert words in known or words.partition(" ")[0] in known, f"{path}: tocsin {words}"
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)\b", code)) <= targets


def test_the_readme_is_short_and_its_first_event_is_an_alert() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    [event] = re.findall(r"-d '(\{.*?\})'", text)
    assert json.loads(event)["labels"]["alertname"]


def test_the_pages_name_tests_that_exist() -> None:
    named = {name for path in (ROOT / "README.md", PAGE) for name in re.findall(r"`(test_[a-z_0-9]+)`", path.read_text(encoding="utf-8"))}
    there = {
        name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8"))
    }
    assert named <= there, named - there


def test_the_files_named_in_the_pages_exist() -> None:
    folders = ("ingest", "correlator", "notifier", "console", "tocsin", "tests", "docs", "deploy", "bench", "scripts")
    for path in (PAGE, ROOT / "CONTRIBUTING.md", *(ROOT / "docs/decisions").glob("*.md")):
        for span in re.findall(rf"`((?:{'|'.join(folders)})/[\w./-]*)(?:: \w+)?`", path.read_text(encoding="utf-8")):
            assert "NAME" in span or (ROOT / span).exists(), f"{path.name} names {span}"


def test_every_decision_has_its_three_parts() -> None:
    files = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [int(file.name[:4]) for file in files] == list(range(1, len(files) + 1))
    for file in files:
        headings = re.findall(r"^## (.+)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert headings[:3] == ["Context", "Choice", "Consequence"], file.name


def test_the_changelog_says_what_kind_of_change_each_line_is() -> None:
    lines = [line for line in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines() if line.startswith("- ")]
    assert lines
    assert [line for line in lines if not re.match(r"- (CHANGE|FEATURE|FIX): ", line)] == []
