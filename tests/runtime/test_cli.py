"""The command `tocsin` as a process: what it prints where, and its exit codes, when the console is strange or absent."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.console import Console, incident, problem

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 30.0


@dataclass(frozen=True)
class Ran:
    """What came of a command."""

    code: int
    out: str
    err: str


async def tocsin(*arguments: str, stdin: bytes = b"", cwd: Path = ROOT, **environment: str) -> Ran:
    """Run a command with nothing of this machine's Tocsin in its environment."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tocsin.runtime.cli",
        *arguments,
        cwd=cwd,
        env=clean | {"TZ": "Asia/Seoul", "PYTHONPATH": str(ROOT)} | environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(LIMIT_S):
        out, err = await process.communicate(stdin)
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


@pytest.fixture
async def console() -> AsyncIterator[Console]:
    async with Console() as running:
        yield running


async def test_the_version_is_printed_without_loading_what_it_does_not_need() -> None:
    code = "import sys; sys.argv = ['tocsin', '--version']; from tocsin.runtime.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    heavy = "print(sorted({'aiohttp', 'redis', 'structlog', 'ruamel'} & set(sys.modules)))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code + heavy, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert re.fullmatch(r"tocsin \d+\.\d+\.\d+\n\[\]\n", out.decode())


async def test_a_good_rules_file_is_a_success() -> None:
    ran = await tocsin("check", "alert_rules.yaml")
    assert ran.code == 0
    assert ran.out.startswith("alert_rules.yaml: SUCCESS: ")


async def test_a_bad_rules_file_is_told_by_line_and_column_and_the_good_one_beside_it_too() -> None:
    ran = await tocsin("check", "alert_rules.yaml", "-", stdin=b"version: 1\nsevices: []\n")
    assert ran.code == 4
    assert "alert_rules.yaml: SUCCESS" in ran.out
    assert "stdin: FAILED\n" in ran.out
    assert re.search(r"^stdin:2:1: sevices: .*services", ran.out, re.MULTILINE)


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "cannot be read"), (b"\xff\xfe", "is not UTF-8"), (b"", "the file is empty")],
    ids=["absent", "bytes", "empty"],
)
async def test_a_file_that_is_no_rules_file_fails(data_dir: Path, content: bytes | None, why: str) -> None:
    file = data_dir / "rules.yaml"
    if content is not None:
        file.write_bytes(content)
    ran = await tocsin("check", str(file), "-o", "json")
    [checked] = json.loads(ran.out)
    assert (ran.code, checked["ok"]) == (4, False)
    assert why in checked["problems"][0]["message"]


async def test_an_incident_list_is_columns_in_local_time_for_people(console: Console) -> None:
    console.answers["GET /api/v1/incidents"] = {"items": [incident(42, title="디스크 가득\x1b[2J\u202e찼음")], "next": None}
    ran = await tocsin("incident", "list", "--url", console.url, "--severity", "1,2", TOCSIN_TOKEN="t0ken")
    assert ran.code == 0
    assert ran.out.splitlines()[1].split() == [
        "INC-42",
        "1",
        "open",
        "2026-11-23",
        "02:00:00",
        "KST",
        "-",
        "payments",
        "디스크",
        "가득[2J찼음",
    ]
    assert console.asked[0].headers["Authorization"] == "Bearer t0ken"
    assert console.asked[0].query == {"state": "open,acknowledged", "severity": "1,2", "limit": "50"}


async def test_json_is_all_that_stands_on_standard_output(console: Console) -> None:
    answer: dict[str, object] = {"items": [], "next": None}
    console.answers["GET /api/v1/incidents"] = answer
    ran = await tocsin("incident", "list", "-o", "json", TOCSIN_URL=console.url)
    assert json.loads(ran.out) == answer
    assert not ran.err


async def test_several_are_acknowledged_and_each_is_reported(console: Console) -> None:
    held = incident(1, "acknowledged") | {"acknowledged_by": "kim", "acknowledged_until": "2026-11-22T17:30:00Z"}
    console.answers["POST /api/v1/incidents/INC-1/acknowledge"] = held
    console.answers["POST /api/v1/incidents/INC-3/acknowledge"] = held | {"id": "INC-3"}
    ran = await tocsin("incident", "ack", "inc-1", "2", "INC-3", "--for", "30m", "--note", "on it", TOCSIN_URL=console.url)
    assert ran.code == 3
    assert [line.split()[0] for line in ran.out.splitlines()] == ["INC-1", "INC-3"]
    assert "acknowledged by kim until 2026-11-23 02:30:00 KST" in ran.out
    assert ran.err == "tocsin: 2: there is no such incident\n"
    assert console.asked[0].body == {"for": "30m", "note": "on it"}


@pytest.mark.parametrize(("status", "code"), [(401, 6), (403, 6), (404, 3), (409, 6), (422, 2), (400, 2), (503, 5), (500, 1)])
async def test_exit_codes_say_who_must_act(console: Console, status: int, code: int) -> None:
    console.answers["POST /api/v1/incidents/INC-1/resolve"] = problem(status, "this is the reason")
    ran = await tocsin("incident", "resolve", "1", TOCSIN_URL=console.url)
    assert ran.code == code
    assert not ran.out
    assert len(ran.err.splitlines()) == 1
    assert "TOCSIN_TOKEN" in ran.err if status == 401 else "this is the reason" in ran.err


async def test_an_absent_console_is_one_line_that_says_what_to_look_at(console: Console) -> None:
    url = console.url
    await console.__aexit__()
    await console.__aenter__()  # the old port is free now
    ran = await tocsin("incident", "list", "--url", url)
    assert ran.code == 5
    assert len(ran.err.splitlines()) == 1
    assert "tocsin serve" in ran.err


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1:9096", "http://127.0.0.1:99999", ""])
async def test_an_address_that_is_none_is_a_usage_error(url: str) -> None:
    ran = await tocsin("incident", "list", f"--url={url}")
    assert ran.code == 2, ran.err


@pytest.mark.parametrize("arguments", [("incident", "ack"), ("nothing",), ("serve", "nobody"), ("serve", "--log.levle", "info")])
async def test_wrong_usage_is_exit_code_two(arguments: tuple[str, ...]) -> None:
    assert (await tocsin(*arguments)).code == 2


async def test_the_administrators_token_is_found_beside_the_data_of_a_console_on_this_machine(console: Console, data_dir: Path) -> None:
    (data_dir / "admin-token").write_text("from-the-file\n")
    console.answers["GET /api/v1/incidents"] = {"items": [], "next": None}
    await tocsin("incident", "list", TOCSIN_URL=console.url, TOCSIN_STORAGE_PATH=str(data_dir))
    await tocsin("incident", "list", TOCSIN_URL=console.url, TOCSIN_STORAGE_PATH=str(data_dir), TOCSIN_TOKEN="given")
    assert [asked.headers["Authorization"] for asked in console.asked] == ["Bearer from-the-file", "Bearer given"]


async def test_watching_takes_up_a_broken_stream_behind_the_last_event(console: Console) -> None:
    change = {"incident": "INC-1", "version": 2, "at": "2026-11-22T17:00:00Z", "event": "acknowledged", "reason": "acknowledged"}
    first = f": hello\n\nid: 7\ndata: {json.dumps(change | {'actor': 'kim', 'state': 'acknowledged'})}\n\n"
    console.streams += [first, f"id: 8\ndata: {json.dumps(change | {'version': 3})}\n\n"]
    ran = await tocsin("incident", "watch", "-o", "json", TOCSIN_URL=console.url)
    assert [json.loads(line)["version"] for line in ran.out.splitlines()] == [2, 3]
    assert [asked.headers.get("Last-Event-ID") for asked in console.asked] == [None, "7", "8"]
    assert ran.code == 6  # the stand-in refuses a third


@pytest.mark.parametrize(("status", "code"), [("sent", 0), ("failed", 1)])
async def test_a_test_page_is_awaited(console: Console, status: str, code: int) -> None:
    page = {"id": "INC-9", "person": "kim", "contact": 1, "channel": "mailto", "attempts": 1, "receipt": "", "after_s": 0.4}
    console.answers["POST /api/v1/test-pages"] = page | {"status": "pending", "reason": "", "after_s": None}
    console.answers["GET /api/v1/test-pages/INC-9"] = page | {"status": status, "reason": "550 no such mailbox"}
    ran = await tocsin("test-page", "kim", "--contact", "2", TOCSIN_URL=console.url)
    assert ran.code == code
    assert console.asked[0].body == {"person": "kim", "contact": 1}
    assert ran.out == "sent to kim over mailto after 0.4 s\n" if status == "sent" else "550 no such mailbox" in ran.err


async def test_the_doctor_names_consequence_and_remedy_and_ends_with_seven(console: Console, data_dir: Path) -> None:
    (data_dir / "admin-token").write_text("t\n")
    (data_dir / "admin-token").chmod(0o644)
    found = {"name": "appendfsync", "ok": False, "severity": "fatal", "what": "appendfsync is everysec"}
    console.answers["GET /api/v1/doctor"] = {"findings": [found | {"consequence": "alerts are lost", "remedy": "set appendfsync always"}]}
    nobody = {f"TOCSIN_{role}_LISTEN_ADDRESS": "127.0.0.1:1" for role in ("INGEST", "CORRELATOR", "NOTIFIER", "CONSOLE")}
    nobody |= {"TOCSIN_URL": console.url, "TOCSIN_STORAGE_PATH": str(data_dir)}
    ran = await tocsin("doctor", "-o", "json", stdin=b"", cwd=ROOT, **nobody)
    findings = {finding["name"]: finding for finding in json.loads(ran.out)}
    assert ran.code == 7
    assert findings["appendfsync"]["remedy"] == "set appendfsync always"
    assert {name for name, finding in findings.items() if finding["ok"]} >= {"rules", "clock"}
    wrong = {name for name, finding in findings.items() if not finding["ok"]}
    assert wrong >= {"ingest", "correlator", "notifier", "console", "admin-token", "external-url", "appendfsync"}
    assert all(finding["consequence"] and finding["remedy"] for finding in findings.values() if not finding["ok"])


async def test_nothing_is_started_with_rules_that_cannot_be_used(data_dir: Path) -> None:
    (data_dir / "bad.yaml").write_text("version: 2\n")
    ran = await tocsin("serve", "--config.file", "bad.yaml", "--storage.path", "d", cwd=data_dir)
    assert ran.code == 4
    assert "bad.yaml:1:" in ran.err
    assert not (data_dir / "d").exists()
