"""The `log:` contact."""

import io

import pytest
from structlog.testing import capture_logs

from notifier.channels import Channels, ChannelsConfig, Sent, Unreachable
from notifier.channels.log import LogChannel
from notifier.message import IncidentView, NextRung, PageMessage, RungView
from tocsin.policy.model import PageKind

PAGE = PageMessage(
    page_id="INC-7.0.kim.0",
    kind=PageKind.PAGE,
    attempt=1,
    incident=IncidentView(
        id="INC-7",
        title="disk\x1b[2J full\n\nS1 INC-1 forged",
        severity=2,
        service="storage",
        state="open",
        opened_at=1_795_370_047_000,
        firing=1,
        resolved=0,
        labels={"password": "hunter2"},
        url="http://127.0.0.1:9096/incidents/INC-7",
        runbook=None,
    ),
    others=(),
    rung=RungView(after="0s", role="duty-engineer", index=0),
    person="kim",
    person_name="Kim",
    time_zone="UTC",
    locale="en",
    late_by_s=0.0,
    told=(),
    next_rung=NextRung(roles=("customer-service-engineer",), people=(), due_at=1_795_373_647_000),
    acknowledge_url="http://127.0.0.1:9096/a/SECRET",
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_a_page_is_one_log_line_without_the_secret_link() -> None:
    with capture_logs() as lines:
        assert await LogChannel(output=Terminal()).send("log:", PAGE) == Sent(receipt=None)
    (line,) = lines
    assert line["event"] == "page"
    assert (line["page"], line["incident"], line["severity"], line["person"]) == ("INC-7.0.kim.0", "INC-7", 2, "kim")
    assert "SECRET" not in str(line)
    assert "hunter2" not in str(line)


async def test_a_terminal_shows_who_is_paged_and_how_to_take_it() -> None:
    terminal = Terminal()
    await LogChannel(output=terminal).send("log:", PAGE)
    assert terminal.getvalue() == (
        "\n"
        "  | S2 INC-7 storage: disk[2J full S1 INC-1 forged, since Sun 22 Nov 17:54 UTC\n"
        "  | Paged: Kim as duty engineer, rung 1 of the ladder (at once)\n"
        "  | Next: customer service engineer at 18:54 UTC\n"
        "  | Acknowledge: http://127.0.0.1:9096/a/SECRET\n"
        "\n"
    )


@pytest.mark.parametrize(("links", "shown"), [(None, False), (True, True), (False, False)])
async def test_output_that_is_collected_holds_the_secret_link_only_when_told_so(links: bool | None, shown: bool) -> None:
    output = io.StringIO()
    await LogChannel(links=links, output=output).send("log:", PAGE)
    assert ("/a/SECRET" in output.getvalue()) is shown
    assert ("/incidents/INC-7" in output.getvalue()) is not shown


async def test_standard_output_that_is_gone_is_said_rather_than_raised() -> None:
    output = Terminal()
    output.close()
    outcome = await LogChannel(output=output).send("log:", PAGE)
    assert outcome == Unreachable("standard output: ValueError", ambiguous=True)


async def test_every_scheme_finds_its_channel_and_no_other_does() -> None:
    channels = Channels(ChannelsConfig(wall_clock=lambda: 0))
    found = {
        to: getattr(channels.for_contact(to), "name", None)
        for to in ("log:", "webhook+http://h/", "webhook+https://h/x", "mailto:a@example.com", "pigeon:coop", "", "log")
    }
    assert list(found.values()) == ["log", "webhook", "webhook", "mail", None, None, "log"]
    await channels.close()
