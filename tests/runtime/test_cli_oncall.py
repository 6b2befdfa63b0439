"""`tocsin oncall`, `test-page` and `drill`: against the real product, and against a console that answers as told."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.product import ADMIN_TOKEN, CLOCK, Product, rules_text, until
from tests.fakes.console import Console, problem
from tests.fakes.receiver import Receiver
from tests.runtime.test_cli import LIMIT_S, ROOT, Ran, tocsin
from tocsin.policy.wallclock import wall_at

ZONE = "Asia/Seoul"
START: Any = datetime(1970, 1, 1, tzinfo=UTC)


def local(days: int, clock: str = "") -> str:
    """A day from today in Seoul, as somebody types it."""
    day = START + timedelta(milliseconds=wall_at(CLOCK.now_ms(), ZONE), days=days)
    return f"{day:%Y-%m-%d}T{clock}" if clock else f"{day:%Y-%m-%d}"


def rules(receiver: Receiver) -> str:
    """Kim has been on duty since the day before yesterday, Lee's week begins in five days."""
    layer = {"rotation": ["kim", "lee"], "every": "1w", "starts": local(-2, "00:00")}
    found = json.loads(rules_text(receiver, {1: ["0s", "1h"]}))
    found["roles"]["duty-engineer"] = {"schedule": "duty"}
    found["schedules"] = {"duty": {"time_zone": ZONE, "layers": [layer]}}
    for person in found["people"].values():
        person["time_zone"] = ZONE
    return json.dumps(found)


async def ask(product: Product, *words: str, token: str = ADMIN_TOKEN, stdin: bytes = b"") -> Ran:
    """Run a command against a running product."""
    return await tocsin(*words, stdin=stdin, TOCSIN_URL=product.url("console"), TOCSIN_TOKEN=token)


@pytest.fixture
async def console() -> AsyncIterator[Console]:
    async with Console() as running:
        yield running


async def test_a_team_changes_who_is_on_call_from_the_terminal(data_dir: Path) -> None:
    async with Receiver(lambda: 0.0) as receiver, Product(data_dir, rules(receiver)) as product:

        async def run(*words: str, token: str = ADMIN_TOKEN, stdin: bytes = b"") -> Ran:
            return await ask(product, *words, token=token, stdin=stdin)

        kim = (await run("token", "create", "--name", "kim", "--role", "agent")).out.strip()
        lee = (await run("token", "create", "--name", "lee", "--role", "agent")).out.strip()

        listed = await run("oncall", "list")
        assert listed.out.splitlines()[1].split()[:4] == ["duty", ZONE, "Kim", "(kim)"]

        covered = await run(
            *("oncall", "cover", "duty", "--person", "kim", "--by", "lee", "--from", local(1, "14:00"), "--until", local(1, "15:30")),
            *("--why", "the dentist"),
            token=kim,
        )
        assert covered.code == 0, covered.err
        assert covered.out.startswith("Lee is on duty ")
        assert covered.out.endswith(" 14:00-15:30 KST in place of Kim\n")
        entry = covered.err.split()[1].removesuffix(":")
        shifts = json.loads((await run("oncall", "list", "duty", "--to", local(3, "00:00"), "-o", "json")).out)["shifts"]
        assert [(shift["person"], shift["cause"]) for shift in shifts] == [("kim", "rotation"), ("lee", "cover"), ("kim", "rotation")]
        shown = await run("oncall", "list", "duty", "--to", local(3, "00:00"))
        assert "cover in place of kim" in shown.out
        at = await run("oncall", "now", "--at", f"{local(1, '14:30')}:00+09:00")
        assert "Lee (lee)" in at.out

        assert (await run("oncall", "override", "duty", "lee", "--from", "14:00", "--until", "15:00", token=kim)).code == 6
        same = await run("oncall", "override", "duty", "lee", "--from", local(1, "14:00"), "--until", local(1, "14:00"))
        assert (same.code, "until" in same.err) == (2, True)
        assert (await run("oncall", "list", "nothing")).code == 3
        assert (await run("oncall", "take", "duty", token=kim)).code == 2, "whose duty must be said"

        away = await run("oncall", "away", "20m", "--person", "kim", token=kim)
        assert "duty-engineer: Lee" in away.out
        assert "Lee" in (await run("oncall", "now")).out
        assert "Kim is there" in (await run("oncall", "back", "--person", "kim", token=kim)).out
        assert (await run("oncall", "back", "--person", "kim", token=kim)).out == "kim was not away\n"

        proposed = await run(
            *("oncall", "swap", "propose", "duty", "--person", "kim", "--at", local(2, "12:00")),
            *("--with", "lee", "--their-at", local(8, "12:00")),
            token=kim,
        )
        assert proposed.code == 0, proposed.err
        swap = proposed.out.split()[0]
        assert f"{swap}  nothing changes before Lee agreed" in proposed.out
        assert (await run("oncall", "swap", "agree", swap, "--person", "lee", token=kim)).code == 6
        assert (await run("oncall", "swap", "agree", swap, "--person", "lee", token=lee)).code == 0
        assert "nothing changes" not in (await run("oncall", "swap", "list")).out
        assert (await run("oncall", "swap", "decline", swap, token=lee)).code == 6

        day = local(20).replace("-", "")
        ics = f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:{day}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        leave = await run("oncall", "leave", "--ics", "-", "--person", "kim", token=kim, stdin=ics.encode())
        assert leave.code == 0, leave.err
        assert "1 added, 0 as before, 0 gone" in leave.out
        assert (await run("oncall", "leave", "--ics", "/nowhere", "--person", "kim")).code == 2
        broken = await run("oncall", "leave", "--ics", "-", "--person", "kim", stdin=b"BEGIN:VCALENDAR\nnonsense\n")
        assert (broken.code, "not an ICS calendar" in broken.err) == (2, True)

        changes = await run("oncall", "changes")
        assert entry in changes.out
        assert "kim is away (leave)" in changes.out
        undone = await run("oncall", "undo", entry, token=kim)
        assert undone.code == 0, undone.err
        assert (await run("oncall", "undo", entry)).code == 3
        other = await run("oncall", "undo", swap)
        assert (other.code, "swap decline" in other.err) == (2, True)

        history = (await run("oncall", "history")).out
        assert f"{entry}: " in history, "also of what was taken back it can be read what it was"
        for said in ("override made", "the dentist", "absence ended", "swap agreed", "leave imported", "override removed"):
            assert said in history, said
        address = (await run("oncall", "calendar", "--person", "kim", token=kim)).out.strip()
        assert address.endswith(".ics")

        tested = await run("test-page", "kim", "--all", "-o", "json")
        assert [page["status"] for page in json.loads(tested.out)] == ["sent"]


async def test_every_process_follows_a_change_within_a_second(data_dir: Path) -> None:
    async with Receiver(lambda: 0.0) as receiver, Product(data_dir, rules(receiver)) as product:
        made = await tocsin(
            *("oncall", "override", "duty", "lee", "--for", "2h"), TOCSIN_URL=product.url("console"), TOCSIN_TOKEN=ADMIN_TOKEN
        )
        assert made.code == 0, made.err
        await product.fire("DiskFull", severity="critical")
        page = await receiver.page(1)
        assert page.body["person"] == "lee", "the correlator knew it"


async def test_a_drill_is_followed_until_somebody_answers(data_dir: Path) -> None:
    async with Receiver(lambda: 0.0) as receiver, Product(data_dir, rules(receiver)) as product:

        async def answer() -> None:
            page = await receiver.page(1)
            assert page.body["incident"]["title"].startswith("DRILL: ")
            assert (await ask(product, "incident", "ack", page.body["incident"]["id"])).code == 0

        async with asyncio.TaskGroup() as group:
            drill = group.create_task(ask(product, "drill", "everything-else", "--why", "new phones"))
            group.create_task(answer())
        ran = drill.result()
        assert ran.code == 0, ran.err
        lines = ran.out.splitlines()
        assert "DRILL: new phones" in lines[0]
        assert any("paged: Kim (kim) as duty-engineer over webhook+http" in line for line in lines), ran.out
        assert "answered by administrator" in lines[-1]
        number = lines[0].split()[0]
        shown = json.loads((await ask(product, "incident", "show", number, "-o", "json")).out)
        assert (shown["state"], shown["source"]) == ("resolved", "drill")
        assert (await ask(product, "drill", "nothing")).code == 2
        assert (await ask(product, "drill")).code == 2


async def test_interrupting_a_drill_ends_it(data_dir: Path) -> None:
    async with Receiver(lambda: 0.0) as receiver, Product(data_dir, rules(receiver)) as product:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
        mine = {"PYTHONPATH": str(ROOT), "TOCSIN_URL": product.url("console"), "TOCSIN_TOKEN": ADMIN_TOKEN}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tocsin.runtime.cli", "drill", "everything-else"),
            cwd=ROOT,
            env=clean | mine,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        page = await receiver.page(1)
        await interrupt(process)
        assert process.stdout is not None
        out = await process.stdout.read()
        assert process.returncode == 1
        assert "nobody answered" in out.decode()

        async def over() -> bool:
            shown = await ask(product, "incident", "show", page.body["incident"]["id"], "-o", "json")
            return bool(json.loads(shown.out)["state"] == "resolved")

        assert await until(over, "the end of the drill")
        again = await ask(product, "drill", "--end", page.body["incident"]["id"])
        assert again.code == 1, "nobody had answered"


async def interrupt(process: asyncio.subprocess.Process) -> None:
    """Press Ctrl-C, and again when nothing comes of it: Python 3.11 may lose a cancellation."""
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        with suppress(TimeoutError):
            async with asyncio.timeout(LIMIT_S):
                await process.wait()
                return
    pytest.fail("the drill goes on after three interrupts")


# --- a console that is strange -----------------------------------------------------------------------------------------------------


def page(**more: Any) -> dict[str, Any]:
    facts = {"id": "INC-9", "person": "kim", "contact": 0, "channel": "sms", "attempts": 1, "receipt": "", "reason": "", "contacts": 2}
    times = {"after_s": 0.4, "delivered_after_s": None, "awaits_receipt": False, "answered_by": None, "answered_after_s": None}
    return facts | times | {"status": "sent"} | more


async def test_a_test_page_reports_receipt_and_answer(console: Console) -> None:
    console.answers["POST /api/v1/test-pages"] = page(awaits_receipt=True)
    ran = await tocsin("test-page", "kim", TOCSIN_URL=console.url)
    assert ran.out == "sent to kim over sms after 0.4 s, not known yet whether it arrived\n"
    console.answers["GET /api/v1/test-pages/INC-9"] = page(delivered_after_s=2.0, answered_by="kim", answered_after_s=9.5)
    ran = await tocsin("test-page", "kim", "--wait", "1m", TOCSIN_URL=console.url)
    assert ran.out == "sent to kim over sms after 0.4 s, arrived after 2.0 s, answered by kim after 9.5 s\n"
    console.answers["GET /api/v1/test-pages/INC-9"] = page()
    ran = await tocsin("test-page", "kim", "--wait", "1s", TOCSIN_URL=console.url)
    assert ran.out == "sent to kim over sms after 0.4 s, not answered\n"


async def test_all_contacts_are_tested_one_after_the_other(console: Console) -> None:
    console.answers["POST /api/v1/test-pages"] = page(status="failed", reason="550 no such number")
    ran = await tocsin("test-page", "kim", "--all", TOCSIN_URL=console.url)
    assert ran.code == 1
    assert [asked.body for asked in console.asked] == [{"person": "kim", "contact": 0}, {"person": "kim", "contact": 1}]
    assert (await tocsin("test-page", "kim", "--all", "--contact", "2", TOCSIN_URL=console.url)).code == 2
    assert (await tocsin("test-page", "kim", "--wait", "1 hour", TOCSIN_URL=console.url)).code == 2


@pytest.mark.parametrize(("status", "code"), [(403, 6), (404, 3), (409, 6), (422, 2), (503, 5)])
async def test_what_the_console_refuses_is_one_line_and_a_code(console: Console, status: int, code: int) -> None:
    console.answers["POST /api/v1/overrides"] = problem(status, "until: must be later than from")
    ran = await tocsin("oncall", "take", "duty", "--person", "kim", TOCSIN_URL=console.url)
    assert (ran.code, ran.out) == (code, "")
    assert "must be later" in ran.err
    assert len(ran.err.splitlines()) == 1


async def test_shifts_are_shown_on_the_clock_of_their_schedule(console: Console) -> None:
    span = {"from": "2026-02-17T05:00:00.000Z", "until": "2026-02-17T06:30:00.000Z"}
    shift = {"person": "lee", "name": "Lee\x1b[2J", "cause": "cover", "instead_of": ["kim"], **span}
    console.answers["GET /api/v1/schedules/day desk"] = {"time_zone": "America/New_York", "shifts": [shift], "gaps": []}
    ran = await tocsin("oncall", "list", "day desk", TOCSIN_URL=console.url)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[1].split("  ") == [
        "Tue 2026-02-17 00:00 EST",
        "Tue 2026-02-17 01:30 EST",
        "Lee[2J (lee)",
        "cover in place of kim",
    ]
