"""Pages for the tests of channels: one as it usually is, one whose every word is meant ill, and one of many incidents."""

from dataclasses import replace

from notifier.message import IncidentView, NextRung, PageMessage, RungView
from tocsin.policy.model import PageKind

NOW_MS = 1_795_370_047_500
TOKEN = "answer-token-of-kim"

PAGE = PageMessage(
    page_id="INC-42.1.kim.0",
    kind=PageKind.PAGE,
    attempt=1,
    incident=IncidentView(
        id="INC-42",
        title="Error rate 38% (limit 5%)",
        severity=1,
        service="payments",
        state="open",
        opened_at=NOW_MS - 60_000,
        firing=3,
        resolved=0,
        labels={"cluster": "a"},
        url="https://tocsin.example.com/i/INC-42",
        runbook=None,
    ),
    others=(),
    rung=RungView(after="30m", role="customer-service-engineer", index=1),
    person="kim",
    person_name="Kim",
    time_zone="Asia/Seoul",
    locale="en",
    late_by_s=0.0,
    told=("Lee",),
    next_rung=NextRung(roles=("lead",), people=("Park",), due_at=NOW_MS + 1_800_000),
    acknowledge_url=f"https://tocsin.example.com/a/{TOKEN}",
    token=TOKEN,
    numbers=(42,),
    written_at=NOW_MS,
)

RESOLVED = replace(
    PAGE,
    kind=PageKind.RESOLVED,
    incident=replace(PAGE.incident, state="resolved", firing=0, resolved=3),
    ended_at=NOW_MS,
    next_rung=None,
)

EVIL = (
    '</div><script>alert(1)</script> <at user_id="all">all</at> <@all> <@U1> @channel @all @所有人 **bold** _i_ `c` '
    "[free](https://evil.example) "
    '![x](https://evil.example/p.png) {{DATE(now)}} \r\nX-Evil: 1\x00\u202e\u2028\ud800 "quoted" \\ ${HOME} {0} %s ' + "가" * 400
)

HOSTILE = replace(
    PAGE,
    incident=replace(PAGE.incident, title=EVIL, service=EVIL, labels={EVIL: EVIL, **{f"l{n}": EVIL for n in range(40)}}),
    person_name=EVIL,
    told=(EVIL,),
    next_rung=NextRung(roles=(EVIL,), people=(EVIL,), due_at=NOW_MS),
)

_MANY = tuple(replace(PAGE.incident, id=f"INC-{n}", title=f"disk {n} full") for n in range(42, 142))
MANY = replace(PAGE, incident=_MANY[0], others=_MANY, numbers=tuple(range(42, 142)))
