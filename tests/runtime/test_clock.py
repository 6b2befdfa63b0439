import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.runtime.clock import HOLD_MS, STEP_MAX_MS, Jump, ManualClock, SystemClock

START_S = 1_790_000_000.0


class Machine:
    """A machine whose wall clock somebody sets."""

    def __init__(self, floor_ms: int = 0) -> None:
        self.wall_s = START_S
        self.monotonic_s = 1_000.0
        self.jumps: list[tuple[Jump, float]] = []
        self.clock = SystemClock(
            floor_ms,
            on_jump=lambda kind, seconds: self.jumps.append((kind, round(seconds, 3))),
            read_wall=lambda: self.wall_s,
            read_monotonic=lambda: self.monotonic_s,
        )

    def run(self, seconds: float) -> None:
        self.wall_s += seconds
        self.monotonic_s += seconds

    def set_wall(self, seconds: float) -> None:
        self.wall_s += seconds

    @property
    def passed_s(self) -> float:
        return self.clock.now_ms() / 1000 - START_S


def test_time_follows_the_wall_clock() -> None:
    machine = Machine()
    machine.run(3_600)
    machine.set_wall(0.5)
    assert machine.passed_s == pytest.approx(3_600.5)
    assert machine.jumps == []


def test_a_small_step_back_holds_time_still() -> None:
    machine = Machine()
    machine.set_wall(-20)
    assert machine.passed_s == 0
    machine.run(15)
    assert machine.passed_s == 0
    machine.run(10)
    assert machine.passed_s == pytest.approx(5)
    assert machine.jumps == []


def test_after_a_large_step_back_time_goes_on_by_progress_and_the_jump_is_told_once() -> None:
    machine = Machine()
    machine.set_wall(-3_600)
    for minute in range(1, 5):
        machine.run(60)
        assert machine.passed_s == pytest.approx(60 * minute)
    assert machine.jumps == [(Jump.BACK, 3_600)]


def test_a_wall_clock_that_is_put_right_is_believed_again() -> None:
    machine = Machine()
    machine.set_wall(-3_600)
    assert machine.passed_s == 0
    machine.run(60)
    machine.set_wall(3_610)
    assert machine.passed_s == pytest.approx(70)
    machine.set_wall(5)
    assert machine.passed_s == pytest.approx(75)


def test_a_jump_forwards_is_held_for_a_minute_and_then_believed() -> None:
    machine = Machine()
    machine.set_wall(7_200)
    assert machine.passed_s == 0
    machine.run(59)
    assert machine.passed_s == pytest.approx(59)
    machine.run(1)
    assert machine.passed_s == pytest.approx(7_260)
    machine.run(10)
    assert machine.passed_s == pytest.approx(7_270)
    assert machine.jumps == [(Jump.FORWARD, 7_200)]


def test_a_jump_forwards_that_is_taken_back_within_the_minute_changes_nothing() -> None:
    machine = Machine()
    machine.set_wall(7_200)
    machine.run(30)
    assert machine.passed_s == pytest.approx(30)
    machine.set_wall(-7_200)
    machine.run(30)
    assert machine.passed_s == pytest.approx(60)
    machine.run(60)
    assert machine.passed_s == pytest.approx(120)
    assert machine.jumps == [(Jump.FORWARD, 7_200)]


def test_each_further_jump_is_told() -> None:
    machine = Machine()
    for _ in range(2):
        machine.set_wall(-100)
        machine.clock.now_ms()
    machine.set_wall(300)
    machine.clock.now_ms()
    assert machine.jumps == [(Jump.BACK, 100), (Jump.BACK, 100), (Jump.FORWARD, 300)]


def test_a_small_step_forwards_is_believed_at_once() -> None:
    machine = Machine()
    machine.set_wall(29)
    assert machine.passed_s == pytest.approx(29)


def test_time_begins_at_the_floor_and_no_earlier() -> None:
    machine = Machine(floor_ms=round((START_S + 600) * 1000))
    assert machine.passed_s == pytest.approx(600)
    machine.run(10)
    assert machine.passed_s == pytest.approx(610)
    assert machine.jumps == [(Jump.BACK, 600)]


def test_a_floor_in_the_past_is_no_jump() -> None:
    machine = Machine(floor_ms=1)
    machine.run(1)
    assert machine.passed_s == pytest.approx(1)
    assert machine.jumps == []


def test_a_raised_floor_is_where_time_goes_on() -> None:
    machine = Machine()
    machine.clock.raise_floor(round((START_S + 10) * 1000))
    assert machine.passed_s == pytest.approx(10)
    machine.clock.raise_floor(0)
    machine.run(15)
    assert machine.passed_s == pytest.approx(15)


@given(st.lists(st.tuples(st.floats(0, 200), st.floats(-10_000, 10_000)), max_size=40))
def test_time_never_runs_backwards_and_runs_ahead_only_after_the_hold(moves: list[tuple[float, float]]) -> None:
    machine = Machine()
    before = machine.clock.now_ms()
    held_s = 0.0
    for run_s, step_s in moves:
        machine.run(run_s)
        machine.set_wall(step_s)
        now = machine.clock.now_ms()
        assert now >= before
        held_s += run_s
        if now - before > run_s * 1000 + STEP_MAX_MS + 1:
            assert held_s * 1000 >= HOLD_MS - 1
            held_s = 0.0
        before = now


async def test_waiting_ends_when_it_is_woken_or_the_time_is_over() -> None:
    clock = SystemClock()
    wake = asyncio.Event()
    await clock.wait(0.001, wake)
    await clock.wait(-1, wake)
    wake.set()
    async with asyncio.timeout(5):
        await clock.wait(3_600, wake)
    assert wake.is_set()


async def test_a_cancelled_wait_is_cancelled() -> None:
    for clock in (SystemClock(), ManualClock(0)):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(clock.wait(3_600, asyncio.Event()))
            await asyncio.sleep(0)
            task.cancel()
        assert task.cancelled()


async def test_a_manual_clock_stands_still_until_it_is_moved() -> None:
    clock = ManualClock(1_000)
    ended: list[str] = []

    async def wait(name: str, timeout_s: float, wake: asyncio.Event) -> None:
        await clock.wait(timeout_s, wake)
        ended.append(name)

    wake = asyncio.Event()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        first = group.create_task(wait("first", 1, asyncio.Event()))
        second = group.create_task(wait("second", 2, asyncio.Event()))
        woken = group.create_task(wait("woken", 3_600, wake))
        await clock.until_waiting(3)
        assert clock.next_due_ms == 2_000
        clock.advance(999)
        await asyncio.sleep(0)
        assert ended == []
        clock.advance(1)
        await first
        wake.set()
        await woken
        assert clock.waiting == 1
        clock.advance(1_000)
        await second
    assert ended == ["first", "woken", "second"]
    assert (clock.now_ms(), clock.monotonic(), clock.waiting) == (3_000, 2.0, 0)


async def test_a_wait_for_no_time_lets_others_run() -> None:
    clock = ManualClock(0)
    async with asyncio.TaskGroup() as group:
        other = group.create_task(asyncio.sleep(0))
        await clock.wait(0, asyncio.Event())
        await clock.wait(0, asyncio.Event())
        assert other.done()
