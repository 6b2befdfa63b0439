"""`tocsin simulate` as a process: what it prints, and what it says of what it cannot use."""

import json
from pathlib import Path

import pytest

from bench.recording import recording
from tests.runtime.test_cli import ROOT, tocsin


def line(at: str, name: str, status: str = "firing") -> str:
    return json.dumps({"at": f"2026-02-16T{at}:00Z", "status": status, "labels": {"alertname": name, "severity": "critical"}})


@pytest.fixture
def alerts(data_dir: Path) -> Path:
    """Two alerts in one night, in Seoul."""
    file = data_dir / "alerts.jsonl"
    lines = [line("17:00", "Disk"), line("17:20", "Disk", "resolved"), line("18:00", "Net"), line("18:10", "Net", "resolved")]
    file.write_text("\n".join(lines) + "\n")
    return file


async def test_a_recording_says_who_would_have_been_paged(alerts: Path) -> None:
    ran = await tocsin("simulate", "--alerts", str(alerts), "--rules", "alert_rules.yaml")
    assert ran.code == 0, ran.err
    assert "4 reports -> 2 alerts -> 2 incidents -> 2 pages -> 2 interruptions: 50.0 % of the reports disturbed nobody" in ran.out
    assert "everything-else  2           0  0  0  2" in ran.out
    assert "kim     2      0    0        2      2      1       2            0          Asia/Seoul" in ran.out
    assert "longest night: kim, 2026-02-16, woken 2 times" in ran.out


async def test_the_same_for_programs_from_standard_input(alerts: Path) -> None:
    ran = await tocsin("simulate", "--alerts", "-", "--rules", "alert_rules.yaml", "-o", "json", stdin=alerts.read_bytes())
    found = json.loads(ran.out)
    assert (found["reports"], found["pages"], found["from"]) == (4, 2, "2026-02-16T17:00:00.000Z")
    assert found["incidents"] == [{"service": "everything-else", "severity": 1, "count": 2}]
    assert found["people"][0]["nights"] == {"2026-02-16": 2}


async def test_against_other_rules_the_difference_is_shown_for_each_person_and_night(alerts: Path, data_dir: Path) -> None:
    other = data_dir / "other.yaml"
    other.write_text(
        (ROOT / "alert_rules.yaml").read_text().replace('"critical|page|emergency|1"', '"page"').replace("wait: 0s", "wait: 15m")
    )
    ran = await tocsin("simulate", "--alerts", str(alerts), "--rules", str(other), "--against", "alert_rules.yaml")
    assert ran.code == 0, ran.err
    assert "incidents 2 -> 2 (+0), pages 2 -> 1 (-1), interruptions 2 -> 1 (-1)" in ran.out
    assert "milder: 2\n  2026-02-16 17:00 UTC  everything-else  severity 1 -> 3  Disk" in ran.out
    assert "1 night with more or fewer wake-ups:\n  kim, 2026-02-16: woken 2 -> 1" in ran.out
    again = await tocsin("simulate", "--alerts", str(alerts), "--rules", str(other), "--against", "alert_rules.yaml", "-o", "json")
    found = json.loads(again.out)["against"]
    assert [each["severity_before"] for each in found["milder"]] == [1, 1]
    assert found["nights"] == [{"person": "kim", "night": "2026-02-16", "woken_before": 2, "woken": 1}]


async def test_what_cannot_be_used_is_told(alerts: Path, data_dir: Path) -> None:
    with alerts.open("a") as file:
        file.write('{"at": "never"}\n')
    ran = await tocsin("simulate", "--alerts", str(alerts), "--rules", "alert_rules.yaml")
    assert (ran.code, ran.out) == (1, "")
    assert f"{alerts}:5: expected an alert (`labels`)" in ran.err
    assert (await tocsin("simulate", "--alerts", str(data_dir / "none"), "--rules", "alert_rules.yaml")).code == 3
    bad = data_dir / "bad.yaml"
    bad.write_text("version: 2\n")
    ran = await tocsin("simulate", "--alerts", str(alerts), "--rules", str(bad))
    assert ran.code == 4
    assert "bad.yaml:1:" in ran.err
    ran = await tocsin("simulate", "--alerts", str(alerts), "--rules", "alert_rules.yaml", "--answered-after", "soon")
    assert (ran.code, "--answered-after soon" in ran.err) == (2, True)


async def test_a_month_of_a_busy_site_folds_into_a_few_pages(data_dir: Path) -> None:
    file = data_dir / "month.jsonl"
    with file.open("w") as out:
        for count, each in enumerate(recording(500_000, seed=3)):
            if count == 5_000:
                break
            out.write(json.dumps(each) + "\n")
    ran = await tocsin("simulate", "--alerts", str(file), "--rules", "alert_rules.yaml", "--answered-after", "never", "-o", "json")
    found = json.loads(ran.out)
    assert found["reports"] == 5_000
    assert sum(each["count"] for each in found["incidents"]) < found["distinct_alerts"] < 5_000
    assert found["noise_removed_percent"] > 50
