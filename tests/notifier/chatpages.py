"""A page and what may become of it, for the tests of the channels of chats."""

from __future__ import annotations

from dataclasses import replace

from notifier.message import IncidentView, PageMessage, RungView
from tocsin.policy.model import PageKind

NOW_MS = 1_795_370_047_500
LINK = "https://tocsin.example.com/a/TOKEN"

HOSTILE = "<!channel> @here <@U1|x> & *b* _i_ `c` [x](http://evil.example) :fire:\n\n» \u202eevil\x00 <b>bold</b> {0} %s"


def view(number: int = 42, *, state: str = "open", severity: int = 1, title: str = "Errors 38%") -> IncidentView:
    return IncidentView(
        id=f"INC-{number}",
        title=title,
        severity=severity,
        service="payments",
        state=state,
        opened_at=NOW_MS - 500,
        firing=3,
        resolved=0,
        labels={"cluster": "a"},
        url=f"https://tocsin.example.com/i/INC-{number}",
        runbook=None,
    )


PAGE = PageMessage(
    page_id="INC-42.1.kim.0",
    kind=PageKind.PAGE,
    attempt=1,
    incident=view(),
    others=(),
    rung=RungView(after="30m", role="customer-service-engineer", index=1),
    person="kim",
    person_name="Kim",
    time_zone="Asia/Seoul",
    locale="en",
    late_by_s=0.0,
    told=(),
    next_rung=None,
    acknowledge_url=LINK,
    token="TOKEN",
    numbers=(42,),
)


def taken(page: PageMessage, receipt: str, *, holder: str = "Lee") -> PageMessage:
    """The page of kind update that says that somebody has it."""
    held = replace(page.incident, state="acknowledged")
    return replace(page, kind=PageKind.UPDATE, incident=held, edits=receipt, holder=holder, held_at=NOW_MS, held_until=NOW_MS + 1_800_000)


def bundle(*numbers: int) -> PageMessage:
    """One page about several incidents."""
    views = tuple(view(number) for number in numbers)
    return replace(PAGE, incident=views[0], others=views, numbers=numbers)
