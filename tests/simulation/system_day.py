"""One day of one seed: the processes, what happens to them, what breaks in town, and the people who answer.

    report = live_through(seed, url)        # the same seed, the same report: its digest says so

Read `Life.run`: rules are published, the supervisors start their processes, the happenings of the day come at their times, then everything
that goes wrong is made to stop, and what is left has to come to rest.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter as Counts
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import structlog

from console import incidents
from console.problems import Refused
from correlator.service import Correlator
from ingest.identity import alert_key
from notifier.answers import Answers
from notifier.message import PageMessage
from notifier.service import Notifier
from tests.simulation.system_process import Counter, Door, Process, Role
from tests.simulation.system_providers import Manners, PretendChannels, Providers
from tests.simulation.system_referee import Referee
from tests.simulation.system_seam import Living, Network, Request, ServerLine, Weather
from tests.simulation.system_timeline import NOBODY, Circling, NothingToDo, SimulatedClock, Timeline
from tests.simulation.system_town import DAY_S, HOUR, SHARDS, Day, Happening, draw_day
from tests.simulation.system_verdict import judge
from tocsin.policy import events as ev
from tocsin.policy.model import Alert, AlertStatus, PageKind
from tocsin.policy.roster import Absence, Override
from tocsin.policy.rosterchange import RosterChange
from tocsin.policy.rules import Rules, group_key, shard_of_group
from tocsin.runtime.rulesfile import load_rules
from tocsin.runtime.service import HEARTBEAT_S, Deps
from tocsin.runtime.settings import Settings
from tocsin.store import keys
from tocsin.store.bell import RETRY_S, Message
from tocsin.store.connection import connect
from tocsin.store.keys import ShardKeys
from tocsin.store.store import Store, StoreAway
from tocsin.store.wire import Answer

T = TypeVar("T")

QUIET_BEFORE_A_LEAP_S = 1.3
"""So long after the last write every loop has looked, and counts that waited a second are written."""

REST_S = 240.0
TRIES_MAX = 8
ANSWERING = (PageKind.PAGE, PageKind.REOPENED, PageKind.REMINDER)
FAULTS_OF_OURS = frozenset(
    {"invariant_broken", "decision_failed", "page_not_composed", "channel_failed", "ticks_failed", "pages_unknown_to_their_incident"}
)
"""Log events that no weather excuses."""

POISON_EXCUSES = frozenset({"batch_failed", "entry_set_aside"})


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a seed."""

    seed: int
    days: float
    digest: str
    violations: tuple[str, ...]
    steps: Counts[str]
    faults: Counts[str]
    turns: int
    incidents: int
    pages: int
    worst_late_ms: int
    calm: bool


def live_through(seed: int, url: str, days: float = 1.0) -> Report:
    """Live through the day of a seed on the store at `url`, whose contents are thrown away."""
    life = Life(draw_day(seed, days), url)
    with asyncio.Runner(loop_factory=lambda: life.timeline) as runner:
        try:
            runner.run(life.run())
        except (Circling, NothingToDo) as error:
            life.referee.fault(f"the day does not end: {type(error).__name__}, steps {life.referee.steps.most_common(4)}")
            life.kill_all()
    asyncio.run(life.end())
    return life.report()


class Life:
    """Everything of one day."""

    def __init__(self, day: Day, url: str) -> None:
        self.day = day
        self.url = url
        self.timeline = Timeline()
        self.timeline.may_leap_to = self._may_leap_to
        self.timeline.leaps = self._leapt
        self.server = ServerLine(url)
        self.generator = random.Random(f"{day.seed}/people")
        self.wall_offset_s = 0.0
        self.clock = SimulatedClock(read_wall=self.wall, read_monotonic=self.timeline.time)
        self.rules: list[Rules] = [load_rules(day.rules, file_name="town", environment={}, read_file=str, version=1)]
        self.referee = Referee(self.clock.now_ms, self.excused_ms, lambda: round(self._jumps_ms) + 5, day.calm, self.rules)
        weather = Weather() if day.calm else day.weather
        network_draw = random.Random(f"{day.seed}/network")
        self.network = Network(self.timeline, self.server, weather, network_draw, self._saw, self._rings)
        provider_draw = random.Random(f"{day.seed}/providers")
        self.providers = Providers(self.timeline, provider_draw, day.manners, self._handed, _ignore, self._arrives)
        self.settings = Settings.from_environment(
            {"TOCSIN_STORAGE_URL": url, "TOCSIN_STORE_SHARDS": str(SHARDS), "TOCSIN_TICK_IDLE": "1s", "TOCSIN_ADMIN_TOKEN": "simulated"}
        )
        self.running: dict[str, Process] = {}
        self.zombies: list[Process] = []
        self.lives: Counts[str] = Counts()
        self.over = False
        self.accepted: dict[str, Alert] = {}
        self.garbage = 0
        self._is_other = False
        self.answers: Answers | None = None
        self._outages: list[list[float]] = []
        self._jumps_ms = 0.0
        self._written_at = 0.0
        self._group: asyncio.TaskGroup | None = None
        self._doings: set[asyncio.Task[None]] = set()
        self._log = structlog.wrap_logger(None, processors=[self._logged])

    # --- the day -----------------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Live through it."""
        self.server.call(b"SET", keys.SIGNING_KEY.encode(), b"simulated")
        self.server.call(b"HSET", keys.LAYOUT.encode(), b"shards", str(SHARDS).encode(), b"schema", b"1")
        async with asyncio.TaskGroup() as group:
            self._group = group
            builds: dict[str, Callable[[Deps, Process], Role]] = {
                "ingest": lambda deps, _: Door(deps),
                "console": lambda deps, _: Counter(deps),
                "correlator": lambda deps, _: Correlator(deps),
                "notifier": lambda deps, process: Notifier(deps, partial(PretendChannels, self.providers, process)),
            }
            await self._publish(self.day.rules)
            supervisors = [group.create_task(self._keep_running(name, build)) for name, build in builds.items()]
            for happening in self.day.happenings:
                await self.timeline.pause(max(0.0, happening.at - self.timeline.time()))
                self._spawn(self._happens(happening))
            await self.timeline.pause(max(0.0, self.day.days * DAY_S - self.timeline.time()))
            await self._calm_down()
            self.kill_all()
            for supervisor in supervisors:
                supervisor.cancel()

    def kill_all(self) -> None:
        """Nobody acts any more."""
        for process in [*self.running.values(), *self.zombies]:
            process.die()

    async def _calm_down(self) -> None:
        """Nothing goes wrong any more, nobody does anything: what is due has to come."""
        self.over = True
        for task in self._doings:
            task.cancel()
        for process in [*self.running.values(), *self.zombies]:
            if process.frozen:
                self.timeline.thaw(process)
        self.network.weather = Weather()
        self.providers.manners = Manners()
        await self.timeline.pause(REST_S)
        while any(not process.ready for process in self.running.values()):
            await self.timeline.pause(1.0)
        await self.timeline.pause(REST_S)

    async def end(self) -> None:
        """Judge the day."""
        self.server.close()
        store = Store(connect(self.url, max_connections=4), shards=SHARDS, origin="referee")
        await judge(store, self.referee, self.accepted, self.garbage, self.clock.now_ms())
        await store.close()
        for what in self.timeline.faults:
            self.referee.fault(f"the loop: {what}")

    def report(self) -> Report:
        """Say what became of it."""
        referee = self.referee
        pages = sum(map(len, referee.attempts.values()))
        return Report(
            self.day.seed,
            self.day.days,
            referee.digest(),
            tuple(referee.violations),
            referee.steps,
            self.network.faults,
            self.timeline.turns,
            len(referee.incidents),
            pages,
            referee.worst_late_ms,
            self.day.calm,
        )

    def _spawn(self, doing: Coroutine[Any, Any, None]) -> None:
        """Let something happen in town, until the day is over."""
        assert self._group is not None
        task = self._group.create_task(doing, context=NOBODY.copy())
        self._doings.add(task)
        task.add_done_callback(self._doings.discard)

    # --- time --------------------------------------------------------------------------------------------------------------------------

    def wall(self) -> float:
        """Return what the wall clock says, seconds since the epoch."""
        return self.day.start_ms / 1000 + self.timeline.time() + self.wall_offset_s

    def _may_leap_to(self, now: float) -> float:
        """Return up to when nobody would find anything to do: nothing claimed, nothing in the intake, nothing written just now."""
        if now - self._written_at < QUIET_BEFORE_A_LEAP_S or self.network.weather.store_away:
            return 0.0
        notifier = self.running["notifier"]
        if not notifier.ready or notifier.dead or notifier.frozen or notifier.clock is None:
            return 0.0
        present_ms = notifier.clock.now_ms()
        if self.wall() * 1000 - present_ms > 1_000:
            return 0.0  # a jump is being held
        clocks = [process.clock.now_ms() for process in self.running.values() if process.ready and process.clock is not None]
        if max(clocks) - min(clocks) > 1_000:
            return now + HEARTBEAT_S  # who was restarted after a jump back is behind, until others have acted
        due_ms = self._next_due(present_ms)
        if due_ms <= present_ms:
            return 0.0
        return now + (due_ms - present_ms) / 1000

    def _leapt(self, seconds: float) -> None:
        """Heartbeats have gone on while nobody looked."""
        clock = self.running["notifier"].clock
        if clock is not None:
            self.server.call(b"HSET", keys.HEARTBEATS.encode(), b"ingest", str(clock.now_ms() + int(seconds * 1000)).encode())

    def _next_due(self, present_ms: int) -> int:
        commands: list[tuple[bytes, ...]] = []
        for shard in range(SHARDS):
            at = ShardKeys(shard)
            commands += [(b"HLEN", at.claims.encode()), (b"XLEN", at.intake.encode())]
            commands += [(b"ZRANGE", key.encode(), b"0", b"0", b"WITHSCORES") for key in (at.timers, at.outbox)]
        answers = self.server.call_many(commands)
        if any(answer for answer in answers if isinstance(answer, int)):
            return 0
        first = [int(float(answer[1])) for answer in answers if isinstance(answer, list) and answer]
        return min([*first, present_ms + 3_600_000])

    def excused_ms(self, span_ms: int) -> int:
        """Return how much of the last `span_ms` nobody could work: notifier or store away, frozen, or the clock put wrong."""
        now = self.timeline.time()
        begin = now - span_ms / 1000
        away = sum(max(0.0, min(end, now) - max(start, begin)) for start, end in self._outages)
        return round(away * 1000 + self._jumps_ms)

    # --- processes ---------------------------------------------------------------------------------------------------------------------

    async def _keep_running(self, name: str, build: Callable[[Deps, Process], Role]) -> None:
        while True:
            self.lives[name] += 1
            process = Process(name, self.lives[name], self.network, self.settings, self._log)
            self.running[name] = process
            assert self._group is not None
            outage = [self.timeline.time(), self.timeline.time() + 1e9]
            self._outages.append(outage)
            process.begin(self._group, build, self.wall)
            while not process.ready and not process.gone.is_set():
                await self.timeline.pause(0.05)
            outage[1] = self.timeline.time()
            await process.gone.wait()
            if process.fault not in ("", "fenced"):
                self.referee.fault(f"{process.label} ended by itself: {process.fault}")
            away = self.generator.uniform(0.2, 5.0)
            self._outages.append([self.timeline.time(), self.timeline.time() + away])
            await self.timeline.pause(away)

    def _saw(self, process: Living, requests: Sequence[Request], answers: Sequence[Answer]) -> None:
        assert isinstance(process, Process)
        if any(request.name in ("commit", "XADD", "append", "publish_rules", "change_roster") for request in requests):
            self._written_at = self.timeline.time()
        self.referee.saw(process, process.label, requests, answers)

    def _rings(self, message: Message) -> None:
        for process in [*self.running.values(), *self.zombies]:
            if self.network.generator.random() < self.network.weather.bell_lost:
                self.timeline.call_later(RETRY_S, process.misses, context=process.context)  # its connection was cut
                continue
            wait = 0.0001 + 0.004 * self.network.generator.random()
            self.timeline.call_later(wait, process.hears, message, context=process.context)

    def _logged(self, _logger: object, method: str, event: MutableMapping[str, Any]) -> str:
        name = event.get("event", "")
        if name in FAULTS_OF_OURS or (name in POISON_EXCUSES and not self.garbage):
            self.referee.fault(f"{event.get('role')}: logged {name} { ({k: v for k, v in event.items() if k not in ('event', 'role')}) }")
        raise structlog.DropEvent

    # --- what happens ------------------------------------------------------------------------------------------------------------------

    async def _happens(self, happening: Happening) -> None:
        facts: Mapping[str, Any] = happening.facts
        match happening.kind:
            case "episode":
                await self._episode(facts)
            case "storm":
                labels = [{"alertname": "Storm", "team": "web", "severity": "warning", "node": str(n)} for n in range(facts["alerts"])]
                for each in labels:
                    await self._report(self._alert(each, AlertStatus.FIRING, self.clock.now_ms(), HOUR * 30))
            case "garbage":
                await self._garbage()
            case "kill":
                self.running[facts["role"]].die()
            case "freeze":
                await self._freeze(self.running[facts["role"]], facts["for"], replaced=facts["replaced"])
            case "store_away":
                await self._store_away(facts["for"])
            case "jump":
                self.wall_offset_s += facts["seconds"]
                self._jumps_ms += max(0.0, facts["seconds"]) * 1000 + 62_000
            case "provider":
                self.providers.manners.troubles[facts["who"]] = (facts["how"], self.timeline.time() + facts["for"])
            case "rules":
                self._is_other = not self._is_other
                await self._publish(self.day.other_rules if self._is_other else self.day.rules)
            case "roster":
                await self._change_roster(facts)

    async def _freeze(self, process: Process, seconds: float, *, replaced: bool) -> None:
        if process.dead or process.frozen:
            return
        process.frozen = True
        self._outages.append([self.timeline.time(), self.timeline.time() + seconds])
        if replaced:
            self.zombies.append(process)
            process.gone.set()
        await self.timeline.pause(seconds)
        if not process.dead:
            self.timeline.thaw(process)

    async def _store_away(self, seconds: float) -> None:
        before, emergencies = self.referee.emergencies, seconds > 100
        self._outages.append([self.timeline.time(), self.timeline.time() + seconds + 3])
        since = self.timeline.time()
        self.network.weather.store_away = True
        await self.timeline.pause(seconds)
        self.network.weather.store_away = False
        undisturbed = not any(start < since + seconds and end > since and end - start < 1e8 for start, end in self._outages[:-1])
        trouble = any(until > since for _, until in self.providers.manners.troubles.values()) or self.providers.manners.odds
        if emergencies and undisturbed and not trouble and self.referee.emergencies == before and not self.over:
            self.referee.fault(f"the store was away for {seconds} s and nobody was told")

    async def _publish(self, text: str) -> None:
        version = len(self.rules) + 1
        rules = load_rules(text, file_name="town", environment={}, read_file=str, version=version)

        async def publish(deps: Deps) -> None:
            await deps.store.publish_rules(text, "town", deps.clock.now_ms())

        if "console" not in self.running:
            self._publish_first(text)
        else:
            self.rules.append(rules)
            await self._ask("console", lambda role: publish(role.deps))

    def _publish_first(self, text: str) -> None:
        fields = {"version": "1", "sha256": "", "text": text, "file_name": "town", "published_at": "0"}
        for name, value in fields.items():
            self.server.call(b"HSET", keys.RULES.encode(), name.encode(), value.encode())

    async def _change_roster(self, facts: Mapping[str, Any]) -> None:
        now = self.clock.now_ms()
        until = now + round(facts["for"] * 1000)
        if facts["absent"]:
            change = RosterChange("away", facts["person"], now, absences=(Absence(facts["id"], facts["person"], now, until, made_at=now),))
        else:
            override = Override(facts["id"], "primary", facts["person"], now, until, made_at=now)
            change = RosterChange("take", facts["person"], now, overrides=(override,))

        async def make(role: Any) -> None:
            book = role.deps.store.roster
            while await book.change(await book.load(), change) is None:
                pass

        await self._ask("console", make)

    # --- senders -----------------------------------------------------------------------------------------------------------------------

    def _alert(self, labels: Mapping[str, str], status: AlertStatus, starts_at: int, lasts_s: float) -> Alert:
        key = alert_key("prometheus", labels)
        ends_at = self.clock.now_ms() + (round(lasts_s * 1000) if status is AlertStatus.FIRING else 0)
        return Alert(key, "prometheus", status, labels, {"summary": labels["alertname"]}, starts_at, ends_at)

    async def _episode(self, facts: Mapping[str, Any]) -> None:
        """One fault: its alerts fire, perhaps flap, perhaps grow graver, and are over; or are never heard of again."""
        nodes = [
            {"alertname": facts["name"], "team": facts["team"], "severity": facts["severity"], "node": str(n)}
            for n in range(facts["nodes"])
        ]
        lasts = facts["lasts"] / (facts["flaps"] + 1)
        old: Alert | None = None
        for turn in range(facts["flaps"] + 1):
            starts_at = self.clock.now_ms()
            valid_s = 600.0 if facts["expires"] else 30 * HOUR
            for labels in nodes:
                old = await self._fires(labels, starts_at, valid_s, facts, old)
            if turn == 0 and facts["raises_to"] and facts["raises_to"] != facts["severity"]:
                await self.timeline.pause(lasts / 2)
                graver = {**nodes[0], "severity": facts["raises_to"], "node": "worse"}
                nodes.append(graver)
                await self._report(self._alert(graver, AlertStatus.FIRING, self.clock.now_ms(), valid_s))
            await self.timeline.pause(lasts)
            if facts["expires"]:
                return
            for labels in nodes:
                await self._report(self._alert(labels, AlertStatus.RESOLVED, starts_at, 0.0))
            await self.timeline.pause(self.generator.uniform(5.0, 900.0))

    async def _fires(self, labels: Mapping[str, str], starts_at: int, valid_s: float, facts: Mapping[str, Any], old: Alert | None) -> Alert:
        alert = self._alert(labels, AlertStatus.FIRING, starts_at, valid_s)
        await self._report(alert)
        if facts["twice"]:
            await self.timeline.pause(self.generator.uniform(0.0, 2.0))
            await self._report(alert)
        if facts["late"] and old is not None and old.key == alert.key:
            await self._report(old, is_news=False)  # an older report, overtaken on its way
        return alert

    async def _report(self, alert: Alert, *, is_news: bool = True) -> None:
        """Push as a sender does, until it is answered 2xx."""
        before = self.accepted.pop(alert.key, None)  # until it is answered: it may be there, or not
        for _ in range(TRIES_MAX):
            if await self._ask("ingest", lambda role: role.push([alert]), tries=1):
                if is_news or before is not None:
                    self.accepted[alert.key] = alert if is_news or before is None else before
                return
            await self.timeline.pause(self.generator.uniform(1.0, 20.0))

    async def _garbage(self) -> None:
        """An entry that nobody can read, as another version might write it."""
        rules = self.rules[0]
        labels = {"alertname": "Garbage", "team": "web"}
        shard = shard_of_group(group_key(rules.service_of(labels), labels), SHARDS)
        self.garbage += 1
        self.server.call(b"XADD", ShardKeys(shard).intake.encode(), b"*", b"t", b"1", b"key", b"no record")
        self._written_at = self.timeline.time()
        await asyncio.sleep(0)

    # --- people ------------------------------------------------------------------------------------------------------------------------

    def _handed(self, process: Process, to: str, message: PageMessage, kind: str) -> None:
        self.referee.handed(process.label, to, message, kind)

    def _arrives(self, to: str, message: PageMessage, answers: Answers | None) -> None:
        """Somebody's phone rings."""
        if self.over or message.kind is PageKind.EMERGENCY:
            return
        if to.startswith("sms:") and answers is not None and self.generator.random() < 0.8:
            self._spawn(self._receipt(message, answers))
        if message.kind in ANSWERING and self.generator.random() < self.day.diligence:
            self._spawn(self._answers(message))

    async def _receipt(self, message: PageMessage, answers: Answers) -> None:
        """The provider says later what became of a text message, perhaps twice."""
        await self.timeline.pause(self.generator.choice((1.0, 30.0, 89.9, 95.0)))
        failed = self.generator.random() < 0.15
        for page in message.pages:

            async def say(_role: object, page: str = page) -> None:
                await (answers.failed(page, "handset off") if failed else answers.arrived(page))

            await self._ask("notifier", say, tries=2)

    async def _answers(self, message: PageMessage) -> None:
        draw = self.generator
        await self.timeline.pause(draw.choice((0.01, 0.3, 20.0, 120.0, 600.0, 1700.0)) * draw.uniform(0.5, 1.5))
        numbers = [int(page[4:].partition(".")[0]) for page in message.pages]
        who = message.person
        deed = draw.choices(
            ("acknowledge", "twice", "resolve", "snooze", "pass_on", "note", "assign", "severity", "reopen"), (50, 10, 8, 6, 6, 5, 5, 4, 2)
        )[0]
        events: dict[str, list[ev.Event]] = {
            "acknowledge": [ev.Acknowledged(who)],
            "twice": [ev.Acknowledged(who), ev.Acknowledged(who)],
            "resolve": [ev.Resolved(who)],
            "snooze": [ev.Snoozed(who, draw.choice((300_000, 3_600_000)))],
            "pass_on": [ev.PassedOn(who)],
            "note": [ev.Noted(who, "looking")],
            "assign": [ev.Assigned(who, draw.choice(("kim", "lee", "choi")))],
            "severity": [ev.SeveritySet(who, draw.choice((1, 2, 3)))],
            "reopen": [ev.Resolved(who), ev.Reopened(who)],
        }
        for event in events[deed]:
            for number in numbers:
                await self._act(number, event)

    async def _act(self, number: int, event: ev.Event) -> None:
        """Act at the console; an answer of 200 is a promise, which the referee remembers."""

        async def act(role: Any) -> None:
            decision = await incidents.act(role.desk, number, event)
            if decision.changed:
                entries = self.referee.entries.get(number, [])
                version = decision.incident.version
                if len(entries) < version or entries[version - 1]["actor"] != event.actor:
                    self.referee.fault(f"INC-{number}: {type(event).__name__} of {event.actor} was answered and is not written")

        await self._ask("console", act)

    async def _ask(self, name: str, call: Callable[[Any], Awaitable[object]], tries: int = TRIES_MAX) -> bool:
        """Ask a process as a client does: a lost connection is asked again, which must do no harm. Return whether it was answered."""
        assert self._group is not None
        for attempt in range(tries):
            if attempt:
                await self.timeline.pause(self.generator.uniform(0.5, 5.0))
            process = self.running.get(name)
            if process is None or not process.ready or process.dead or process.role is None:
                continue
            task = self._group.create_task(_answered(call(process.role)), context=process.context)
            gone = self._group.create_task(_wait(process.gone))
            await asyncio.wait([task, gone], timeout=60.0, return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            if task.done() and not task.cancelled():
                if task.result() is not None:
                    return bool(task.result())
            else:
                task.cancel()
        return False


async def _answered(call: Awaitable[object]) -> bool | None:
    """True: it is done; False: it is refused for good; None: nobody knows."""
    try:
        await call
    except StoreAway:
        return None
    except Refused as error:
        return None if error.problem.status == 503 else False
    return True


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


def _ignore(_process: Process, _message: PageMessage, _kind: str) -> None:
    return
