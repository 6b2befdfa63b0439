"""What must stay below a limit, or out of sight, while everything runs."""

from pathlib import Path

from tests.e2e.product import ROLES, Product, rules_text, until
from tests.fakes.receiver import Answer, Receiver
from tests.faults.figures import Figures

MEMORY_MAX_MB = 300.0
RUNGS = {1: ("0s", "1s")}

# Each is made so that nothing else can contain it.
CONTACT_PATH, CONTACT_SECRET = "canary-contact-path-5d1f0c", "canary-contact-secret-77ab21"
KEY, ADMIN = "canary-integration-key-0b9c44", "canary-admin-token-e83d10"
CANARIES = (CONTACT_PATH, CONTACT_SECRET, KEY, ADMIN)

API_PATHS = ("incidents", "incidents/INC-{number}", "oncall", "doctor", "openapi.json")


async def test_all_processes_together_take_less_than_300_mb_when_idle(data_dir: Path, receiver: Receiver) -> None:
    async with Product(data_dir, rules_text(receiver, RUNGS)) as product:
        await product.fire("First", severity="critical")
        await receiver.page(2)
        memory = product.memory_mb()
    print(f"memory when idle: {sum(memory.values()):.0f} MB:", {name: f"{mb:.0f}" for name, mb in memory.items()})  # noqa: T201  a figure to see
    assert set(memory) == {*ROLES, "store", "supervisor"}
    assert sum(memory.values()) < MEMORY_MAX_MB


async def test_no_secret_is_in_a_log_a_metric_or_an_answer(data_dir: Path, receiver: Receiver, figure: Figures) -> None:
    contact = {"to": receiver.contact(f"/{CONTACT_PATH}"), "secret": CONTACT_SECRET}
    people = {person: {"name": person, "contacts": [contact]} for person in ("kim", "lee", "choi", "jeong")}
    rules = rules_text(receiver, RUNGS, people=people, integrations=[{"name": "canary", "key": KEY}])
    environment = {"TOCSIN_ADMIN_TOKEN": ADMIN, "TOCSIN_LOG_LEVEL": "debug"}
    async with Product(data_dir, rules, environment=environment) as product:
        product.token = ADMIN
        said = [await _push(product, key) for key in (KEY, KEY + "-wrong")]
        receiver.answers.append(Answer(status=503))  # tried again, with its reason in the log and the history
        await receiver.page(1)
        receiver.otherwise = Answer(status=404)  # refused for good
        page = await receiver.page(3)
        incident_id = page.body["incident"]["id"]
        await until(lambda: _is_recorded(product, incident_id), "the refusal is recorded")
        said += [await _bad_reload(product)]
        for path in API_PATHS:
            answer = await product.get(f"/api/v1/{path.format(number=incident_id.removeprefix('INC-'))}")
            said.append(str(answer))
        for role in ROLES:
            said += [(await product.call(role, "GET", path)).text for path in ("/metrics", "/-/ready", "/-/healthy")]
        for wrong in (f"{ADMIN}-wrong", KEY, ""):
            answers = await product.call("console", "GET", "/api/v1/incidents", headers={"Authorization": f"Bearer {wrong}"})
            assert answers.status == 401
            said.append(answers.text)
        said.append((await product.request("GET", page.body["acknowledge_url"])).text)
        said += [received.raw.decode() for received in receiver.pages]
        await product.stop()
        said += [product.log, (data_dir / "data" / "store.log").read_text() if (data_dir / "data" / "store.log").exists() else ""]
    shown = {canary: [text for text in said if canary in text] for canary in CANARIES}
    assert shown == {canary: [] for canary in CANARIES}
    figure(50, "hits", sum(map(len, shown.values())), at_most=0)
    assert "page_attempted" in product.log, "the log was there to be searched"


async def _push(product: Product, key: str) -> str:
    event = {"labels": {"alertname": "Canary", "severity": "critical"}}
    answer = await product.call("ingest", "POST", "/webhook/events", json=event, headers={"Authorization": f"Bearer {key}"})
    assert answer.status == (200 if key == KEY else 401)
    return answer.text


async def _is_recorded(product: Product, incident_id: str) -> bool:
    detail = await product.incident(incident_id)
    return any(page["status"] == "failed" for page in detail["pages"])


async def _bad_reload(product: Product) -> str:
    """A file that is wrong right beside its secrets."""
    text = product.rules_file.read_text().replace(f'"secret": "{CONTACT_SECRET}"', f'"secret": "{CONTACT_SECRET}", "sekret": "{KEY}"')
    product.rules_file.write_text(text.replace(f'"key": "{KEY}"', f'"key": ["{KEY}"]'))
    answer = await product.call("notifier", "POST", "/-/reload")
    assert answer.status == 400, answer.text
    return answer.text
