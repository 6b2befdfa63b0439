"""The client commands against the real product: from a first alert to its end, and what a person asks on the way."""

import json
from pathlib import Path

from tests.e2e.product import ADMIN_TOKEN, Product, rules_text
from tests.fakes.receiver import Receiver
from tests.runtime.test_cli import Ran, tocsin


async def test_a_person_follows_an_incident_from_the_terminal(data_dir: Path) -> None:
    services = [{"name": "everything-else", "ladder": "short", "group_by": ["alertname"]}]
    async with (
        Receiver(lambda: 0.0) as receiver,
        Product(data_dir, rules_text(receiver, {1: ["0s", "30m"]}, services=services)) as product,
    ):

        async def run(*words: str, token: str = ADMIN_TOKEN) -> Ran:
            return await tocsin(*words, TOCSIN_URL=product.url("console"), TOCSIN_TOKEN=token)

        await product.fire("DiskFull", severity="critical")
        await receiver.page(1)
        made = await run("token", "create", "--name", "kim", "--role", "agent")
        assert made.code == 0, made.err
        kim = made.out.strip()
        listed = json.loads((await run("incident", "list", "-o", "json", token=kim)).out)
        [number] = [incident["id"] for incident in listed["items"]]

        acknowledged = await run("incident", "ack", number, "--for", "1h", token=kim)
        assert acknowledged.out.startswith(f"{number}  severity 1  acknowledged by kim until ")
        assert (await run("incident", "note", number, "it is the log partition", token=kim)).code == 0
        assert (await run("incident", "severity", number, "2", token=kim)).code == 6, "an agent's token may not"
        assert (await run("incident", "severity", number, "2")).code == 0
        assert (await run("incident", "assign", number, "--to", "lee")).code == 0
        assert (await run("incident", "snooze", number, "--for", "10m", token=kim)).code == 0
        assert (await run("incident", "resolve", number, token=kim)).code == 0
        shown = await run("incident", "show", number, token=kim)
        assert shown.code == 0, shown.err
        assert {"alerts:", "pages:", "history:"} <= set(shown.out.split())
        assert "alertname=DiskFull" in shown.out
        replayed = await run("replay", number, token=kim)
        assert replayed.code == 0, replayed.err
        assert replayed.out.splitlines()[-1].endswith(f"steps add up to {number} as it stands: resolved, severity 2")
        recording = data_dir / "incident.json"
        recording.write_text((await run("incident", "show", number, "-o", "json")).out)
        simulated = await run("simulate", "--alerts", str(recording), "--rules", str(product.rules_file), "-o", "json")
        assert json.loads(simulated.out)["pages"] == 2, "the rung's, and lee's, to whom it was assigned"

        opened = await run("incident", "open", "Printer on fire", "--service", "everything-else", "--severity", "4")
        assert opened.code == 0, opened.err
        assert (await run("incident", "show", "4711")).code == 3
        assert (await run("incident", "list", token="nonsense")).code == 6
        assert (await run("token", "create", "--name", "lee", "--role", "agent", token=kim)).code == 6
        assert "duty-engineer" in (await run("oncall", "now")).out
        assert (await run("test-page", "kim")).out.startswith("sent to kim over webhook+http")
        assert (await run("test-page", "nobody")).code == 2


async def test_the_doctor_finds_nothing_wrong_with_a_healthy_product(data_dir: Path) -> None:
    async with Receiver(lambda: 0.0) as receiver, Product(data_dir, rules_text(receiver, {1: ["0s"]})) as product:
        environment = {f"TOCSIN_{role.upper()}_LISTEN_ADDRESS": f"127.0.0.1:{port}" for role, port in product.ports.items()}
        environment |= {"TOCSIN_STORAGE_PATH": str(data_dir / "data"), "TOCSIN_CONFIG_FILE": str(product.rules_file)}
        environment |= {"TOCSIN_URL": product.url("console"), "TOCSIN_TOKEN": ADMIN_TOKEN}
        ran = await tocsin("doctor", stdin=b"", cwd=data_dir, **environment)
        assert ran.code == 0, ran.out
        assert not any(line.startswith("FATAL") for line in ran.out.splitlines())
