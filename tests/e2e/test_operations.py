"""The product as an operator knows it: stopped under load, reloaded, taken apart, and spoken to from the command line."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.e2e.peers import Sender
from tests.e2e.product import (
    ADMIN_TOKEN,
    PEOPLE,
    ROLES,
    START_LIMIT_S,
    Product,
    Program,
    named_in,
    paged,
    rules_text,
    tocsin_command,
    until,
)
from tests.fakes.receiver import Receiver
from tocsin.store.server import EmbeddedServer

RUNGS = {1: ("0s", "2s")}
STOP_MAX_S = 15.0
ALERTS, PER_S = 150, 50.0


# --- stopped under load ----------------------------------------------------------------------------------------------------------------


async def test_a_stop_under_load_takes_less_than_15_s_and_loses_and_doubles_nothing(data_dir: Path, receiver: Receiver) -> None:
    async with Product(data_dir, rules_text(receiver, {1: ("0s", "1s", "2s")})) as product:
        sender = Sender(f"{product.url('ingest')}/webhook/alertmanager")
        async with asyncio.TaskGroup() as group:
            group.create_task(sender.stream(ALERTS, per_s=PER_S))
            await sender.until_accepted(ALERTS // 3)
            code, took_s = await product.stop()
            assert code == 0
            assert took_s < STOP_MAX_S
            await product.start()
        wanted = ALERTS * 3
        pages = await receiver.wait_for(lambda pages: sum(len(named_in(page)) for page in pages) >= wanted, limit_s=30)
        incidents = await product.incidents()
    assert sender.retries > 0, "some came while nobody took them"
    assert Counter(incident["labels"]["alertname"] for incident in incidents) == Counter(list(sender.accepted))
    told = Counter((incident, page.body["person"]) for page in pages for incident in named_in(page))
    assert told == Counter({(incident["id"], person): 1 for incident in incidents for person in PEOPLE[:3]})
    assert set(receiver.copies().values()) == {1}


# --- reloaded --------------------------------------------------------------------------------------------------------------------------


async def _versions(product: Product) -> dict[str, int]:
    return {role: int(await product.metric(role, "tocsin_config_rules_version")) for role in ROLES}


async def _until_version(product: Product, version: int) -> None:
    async def look() -> bool:
        return await _versions(product) == dict.fromkeys(ROLES, version)

    await until(look, f"version {version} of the rules is in force in every role")


async def _reload(product: Product, role: str) -> tuple[int, str]:
    answer = await product.call(role, "POST", "/-/reload")
    return answer.status, answer.text


async def test_a_good_file_is_in_force_everywhere_and_a_bad_one_nowhere(data_dir: Path, receiver: Receiver) -> None:
    """By SIGHUP and by `/-/reload`; the incident on its ladder keeps the one it opened with."""
    good = rules_text(receiver, RUNGS)
    async with Product(data_dir, good) as product:
        await _until_version(product, 1)
        product.rules_file.write_text(good.replace(receiver.contact("/kim"), receiver.contact("/kims-new-telephone")))
        product.program.signal(signal.SIGHUP)
        await _until_version(product, 2)
        await product.fire("AfterTheHangup", severity="critical")
        assert (await receiver.page(1)).path == "/kims-new-telephone"

        lines = product.rules_file.read_text().splitlines()
        wrong = next(number for number, line in enumerate(lines, 1) if '"duty-engineer": {' in line)
        lines[wrong - 1] = lines[wrong - 1].replace('"duty-engineer"', '"duty-enginer"')
        product.rules_file.write_text("\n".join(lines))
        status, said = await _reload(product, "ingest")
        assert status == 400
        where = [line.split(": ")[0] for line in said.splitlines() if "duty-engin" in line]
        assert where, said
        assert all(place.startswith(f"{product.rules_file}:") and len(place.split(":")) == 3 for place in where), said
        assert where[0] in product.log, "the log says the same"
        assert await product.metric("ingest", "tocsin_config_last_reload_successful") == 0
        product.program.signal(signal.SIGHUP)

        async def refused_everywhere() -> bool:
            return not any([await product.metric(role, "tocsin_config_last_reload_successful") for role in ROLES])

        await until(refused_everywhere, "every role has refused the bad file")
        assert await _versions(product) == dict.fromkeys(ROLES, 2), "the old rules stay"
        await product.fire("WhileTheFileIsBad", severity="critical")
        await receiver.wait_for(lambda pages: any(page.body["incident"]["title"].startswith("WhileTheFileIsBad") for page in pages))

        product.rules_file.write_text(good)
        assert await _reload(product, "console") == (200, "OK\n")
        await _until_version(product, 3)
        for role in ROLES:
            assert await product.metric(role, "tocsin_config_last_reload_successful") == 1, role


async def test_an_alert_stays_with_its_incident_when_the_rules_would_group_it_elsewhere(data_dir: Path, receiver: Receiver) -> None:
    rules = rules_text(receiver, RUNGS)
    service = json.loads(rules)["services"][0]
    by_cluster = service | {"name": "databases", "matchers": ['team="databases"'], "group_by": ["cluster"]}
    labels = {"severity": "critical", "team": "databases", "cluster": "seoul-1"}
    async with Product(data_dir, rules) as product:
        await product.fire("ReplicaBehind", **labels)
        await receiver.page(1)
        [before] = await product.incidents()

        product.rules_file.write_text(rules_text(receiver, RUNGS, services=[by_cluster, service]))
        assert (await _reload(product, "correlator"))[0] == 200
        await _until_version(product, 2)
        await product.fire("ReplicaBehind", **labels)
        await product.fire("DiskFull", **labels)
        await receiver.wait_for(lambda pages: any(page.body["incident"]["service"] == "databases" for page in pages))
        moved = {incident["id"]: incident for incident in await product.incidents()}
        assert sorted(incident["service"] for incident in moved.values()) == ["databases", "everything-else"]
        stayed = moved[before["id"]]
        assert (stayed["service"], stayed["opened_at"], stayed["alerts"]["firing"]) == (before["service"], before["opened_at"], 1)

        await product.fire("ReplicaBehind", status="resolved", **labels)
        assert (await product.until_state(before["id"], "resolved"))["alert_counts"] == {"firing": 0, "resolved": 1}
        [other] = await product.incidents("&state=open")
        assert (other["service"], other["alerts"]) == ("databases", {"firing": 1, "resolved": 0})


# --- taken apart -----------------------------------------------------------------------------------------------------------------------


class Apart(Product):
    """The four roles started one by one with `python -m ROLE`, and nobody who starts them again; the store is the test's own."""

    store_url = ""

    def __init__(self, directory: Path, rules: str) -> None:
        super().__init__(directory, rules)
        self.roles: dict[str, Program] = {}

    def launch(self) -> None:
        for role in ROLES:
            self.launch_role(role)

    def launch_role(self, role: str) -> None:
        argv = [sys.executable, "-P", "-m", role, "--config.file", str(self.rules_file), "--storage.path", str(self.directory)]
        argv += ["--storage.url", self.store_url, *(f"--{name}.listen-address=127.0.0.1:{port}" for name, port in self.ports.items())]
        self.roles[role] = Program(argv, directory=self.directory, log=self.log_file, environment={"TOCSIN_ADMIN_TOKEN": ADMIN_TOKEN})

    @property
    def program(self) -> Program:
        return self.roles["console"]

    async def end_roles(self) -> None:
        for program in self.roles.values():
            await program.end()


@asynccontextmanager
async def apart(directory: Path, rules: str) -> AsyncIterator[Apart]:
    server = EmbeddedServer(directory / "store")
    await server.start()
    product = Apart(directory, rules)
    product.store_url = server.url
    try:
        async with product:
            yield product
    finally:
        await product.end_roles()
        await server.stop()


async def test_an_acknowledgement_needs_neither_correlator_nor_notifier_and_nothing_is_paged_after_it(
    data_dir: Path, receiver: Receiver
) -> None:
    async with apart(data_dir, rules_text(receiver, RUNGS)) as product:
        await product.fire("Acknowledged", severity="critical")
        page = await receiver.page(1)
        incident_id = page.body["incident"]["id"]
        for role in ("correlator", "notifier"):
            product.roles[role].signal(signal.SIGKILL)
            assert await product.roles[role].ended() == -signal.SIGKILL
        answer = await product.post(f"/api/v1/incidents/{incident_id}/acknowledge")
        assert (answer.status, answer.json["state"]) == (200, "acknowledged")

        for role in ("correlator", "notifier"):
            product.launch_role(role)
        await product.until_ready(START_LIMIT_S)
        # An incident that opens now has its second rung later than the first one's: when that has been paged, silence is proven.
        await product.fire("OpenedLater", severity="critical")
        await receiver.wait_for(lambda pages: any(page.body["person"] == "lee" for page in pages))
        assert paged(receiver, incident_id) == ["kim"]
        assert (await product.incident(incident_id))["state"] == "acknowledged"
        assert Counter(page.body["incident"]["title"].split()[0] for page in receiver.pages) == {"Acknowledged": 1, "OpenedLater": 2}


# --- from the command line -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Done:
    """What became of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Terminal:
    """A person's terminal beside a running product."""

    product: Product
    environment: Mapping[str, str]

    async def run(self, *words: str, token: str | None = None, url: str | None = None) -> Done:
        environment = dict(self.environment)
        if token is not None:
            environment["TOCSIN_TOKEN"] = token
        if url is not None:
            environment["TOCSIN_URL"] = url
        return await asyncio.to_thread(_run, words, environment)


def _run(words: Sequence[str], environment: Mapping[str, str]) -> Done:
    done = subprocess.run([*tocsin_command(), *words], env=dict(environment), capture_output=True, text=True, timeout=60, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


@pytest_asyncio.fixture
async def terminal(data_dir: Path, receiver: Receiver) -> AsyncIterator[Terminal]:
    async with Product(data_dir, rules_text(receiver, RUNGS)) as product:
        own = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        yield Terminal(product, own | {"TOCSIN_URL": product.url("console"), "TOCSIN_TOKEN": ADMIN_TOKEN, "LANG": "C.UTF-8"})


async def test_an_incident_is_worked_on_from_the_command_line(terminal: Terminal, receiver: Receiver) -> None:
    await terminal.product.fire("DiskFull", severity="critical")
    incident_id = (await receiver.page(1)).body["incident"]["id"]

    listed = await terminal.run("incident", "list")
    assert (listed.code, listed.err) == (0, "")
    assert [line.split()[:3] for line in listed.out.splitlines()] == [["ID", "SEV", "STATE"], [incident_id, "1", "open"]]
    made = await terminal.run("token", "create", "--name", "lee", "--role", "agent", "-o", "json")
    assert (made.code, made.json["name"]) == (0, "lee")
    token = made.json["token"]

    held = await terminal.run("incident", "ack", incident_id, "--note", "on it", token=token)
    assert (held.code, "acknowledged by lee" in held.out) == (0, True), held
    assert (await terminal.run("incident", "note", incident_id, "the disk is new", token=token)).code == 0
    again = await terminal.run("incident", "ack", incident_id.removeprefix("INC-"), token=token)
    assert again.code == 0, "acting twice is not an error"
    over = await terminal.run("incident", "resolve", incident_id, "-o", "json", token=token)
    assert (over.code, [incident["state"] for incident in over.json]) == (0, ["resolved"])

    shown = await terminal.run("incident", "show", incident_id, "-o", "json")
    history = [(entry["actor"], entry["reason"]) for entry in shown.json["history"]]
    assert [entry for entry in history if entry[0] == "lee"] == [("lee", "acknowledged"), ("lee", "noted"), ("lee", "resolved_by_person")]
    assert "the disk is new" in (await terminal.run("incident", "show", incident_id)).out


async def test_the_command_line_says_who_is_on_call_and_what_is_wrong(terminal: Terminal) -> None:
    on_call = await terminal.run("oncall", "now")
    assert on_call.code == 0
    assert [line.split()[0] for line in on_call.out.splitlines()[1:]] == [
        "duty-engineer",
        "customer-service-engineer",
        "technical-support-lead",
        "general-manager",
    ]
    product = terminal.product
    terminal.environment = dict(terminal.environment) | {
        "TOCSIN_CONFIG_FILE": str(product.rules_file),
        "TOCSIN_STORAGE_PATH": str(product.directory / "data"),
        **{f"TOCSIN_{role.upper()}_LISTEN_ADDRESS": f"127.0.0.1:{port}" for role, port in product.ports.items()},
    }
    healthy = await terminal.run("doctor", "-o", "json")
    wrong = [finding for finding in healthy.json if not finding["ok"] and finding["severity"] == "fatal"]
    assert (healthy.code, wrong) == (0, []), healthy
    assert {"ingest", "correlator", "notifier", "console", "rules"} <= {finding["name"] for finding in healthy.json}

    assert (await terminal.run("check", str(product.rules_file))).code == 0
    product.rules_file.write_text(product.rules_file.read_text().replace('"ladders"', '"laders"'))
    checked = await terminal.run("check", str(product.rules_file))
    assert checked.code == 4
    assert f"{product.rules_file}: FAILED" in checked.out
    assert "did you mean" in checked.out
    sick = await terminal.run("doctor", "-o", "json")
    assert (sick.code, [finding["name"] for finding in sick.json if not finding["ok"] and finding["severity"] == "fatal"]) == (7, ["rules"])


async def test_exit_codes_say_what_to_do(terminal: Terminal, receiver: Receiver) -> None:
    await terminal.product.fire("DiskFull", severity="critical")
    incident_id = (await receiver.page(1)).body["incident"]["id"]
    viewer = (await terminal.run("token", "create", "--name", "wall", "--role", "viewer")).out.strip()

    assert (await terminal.run("incident", "show", "INC-999999")).code == 3, "not found"
    assert (await terminal.run("incident", "show", incident_id, token=viewer)).code == 0
    refused = await terminal.run("incident", "ack", incident_id, token=viewer)
    assert (refused.code, refused.out) == (6, ""), "refused: a viewer only looks"
    assert (await terminal.run("incident", "list", token="no-token-of-ours")).code == 6
    gone = await terminal.run("incident", "list", url="http://127.0.0.1:1")
    assert (gone.code, gone.out) == (5, ""), "unreachable"
    assert "does not answer" in gone.err
    assert (await terminal.run("incident", "ack", incident_id, "--for", "soon")).code == 2, "usage"
    assert (await terminal.product.incident(incident_id))["state"] == "open"
