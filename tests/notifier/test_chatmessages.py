"""What a message about several incidents shows as they change one by one, and what a button carries."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from notifier.answers import Answered, Answers
from notifier.channels.buttons import Action, Button, parts, read_button, write_button
from notifier.channels.chatmessages import BUNDLES_MAX, CHANGED_AGAIN_MS, LARGE, Bundles
from notifier.message import PageMessage
from tests.notifier.chatpages import NOW_MS, PAGE, bundle, view
from tocsin.policy.model import State
from tocsin.runtime.service import Deps

ANSWERS = Answers(cast(Deps, None), "a key")  # signing asks for no dependency
NUMBERS = st.sets(st.integers(min_value=0, max_value=10**9), max_size=100)


def news(number: int, state: str = "acknowledged", holder: str = "Lee") -> PageMessage:
    return replace(PAGE, incident=view(number, state=state), numbers=(number,), holder=holder, held_at=NOW_MS)


class Watch:
    now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


def test_a_bundle_offers_what_is_still_open_until_nothing_is() -> None:
    bundles = Bundles(Watch())
    bundles.remember("m", bundle(1, 2, 3))
    first = bundles.now("m", news(1), several=True)
    assert first is not None
    assert first.numbers == (2, 3)
    assert first.holder == ""
    assert [each.id for each in first.others] == ["INC-2", "INC-3", "INC-1"]
    bundles.now("m", news(2), several=True)
    last = bundles.now("m", news(3), several=True)
    assert last is not None
    assert last.numbers == (1, 2, 3), "what is held can be resolved together"
    assert last.holder == "Lee"
    over = [bundles.now("m", news(number, "resolved"), several=True) for number in (1, 2, 3)][-1]
    assert over is not None
    assert over.numbers == () or over.incident.state == "resolved"


def test_what_shows_already_is_not_changed_again_and_what_was_not_shown_is() -> None:
    bundles = Bundles(Watch())
    bundles.remember("m", bundle(1, 2))
    assert bundles.now("m", news(1), several=True) is not None
    assert bundles.now("m", news(1), several=True) is None
    bundles.not_shown("m")
    assert bundles.now("m", news(1), several=True) is not None


def test_after_a_press_on_all_one_change_is_enough() -> None:
    bundles = Bundles(Watch())
    numbers = tuple(range(1, 41))
    bundles.remember("m", bundle(*numbers))
    bundles.answered("m", [Answered(f"INC-{number}", "done", State.ACKNOWLEDGED, "Lee") for number in numbers])
    changes = [bundles.now("m", news(number), several=True) for number in numbers]
    assert [change is not None for change in changes] == [True] + [False] * 39
    bundles.answered("forgotten", [])


def test_a_large_bundle_is_not_changed_too_often_while_something_is_open_and_its_end_is_always_shown() -> None:
    watch = Watch()
    bundles = Bundles(watch)
    numbers = tuple(range(1, LARGE + 3))
    bundles.remember("m", bundle(*numbers))
    changes = [bundles.now("m", news(number), several=True) is not None for number in numbers[:-1]]
    assert changes == [True] + [False] * LARGE
    watch.now_ms += CHANGED_AGAIN_MS
    assert bundles.now("m", news(1), several=True) is not None
    assert bundles.now("m", news(numbers[-1]), several=True) is not None


def test_the_eldest_bundles_are_forgotten() -> None:
    bundles = Bundles(Watch())
    for number in range(BUNDLES_MAX + 1):
        bundles.remember(str(number), bundle(1, 2))
    assert bundles.now("0", news(1), several=True) is None
    assert bundles.now("1", news(1), several=True) is not None


@given(NUMBERS.filter(bool), st.sampled_from(list(Action)), st.text(max_size=30).filter(lambda text: text.isprintable()))
def test_a_button_is_read_back_as_it_was_written(numbers: set[int], action: Action, person: str) -> None:
    value = write_button(ANSWERS, action, numbers, person)
    assert read_button(ANSWERS, value) == Button(action, tuple(sorted(numbers)), person)
    assert len(value) <= 2_000


@given(NUMBERS, st.integers(min_value=64, max_value=200))
def test_parts_name_every_incident_once_and_fit(numbers: set[int], bytes_max: int) -> None:
    found = parts(ANSWERS, sorted(numbers), bytes_max)
    assert [number for part in found for number in part] == sorted(numbers)
    for part in found:
        assert len(write_button(ANSWERS, Action.TAKE_ALL, part).encode()) <= bytes_max


@given(st.text(max_size=100))
def test_a_value_that_we_did_not_write_is_none(text: str) -> None:
    assert read_button(ANSWERS, text) is None
    assert read_button(ANSWERS, "!t1." + text) is None


@given(st.text(alphabet="!tTrR0123456789az -.é", max_size=20))
def test_what_else_is_signed_with_the_same_key_is_no_button_or_a_whole_one(text: str) -> None:
    found = read_button(ANSWERS, ANSWERS.sign(text))
    assert found is None or (text.startswith("!") and found.numbers)


def test_a_value_signed_with_another_key_is_none() -> None:
    other = Answers(cast(Deps, None), "another key")
    assert read_button(ANSWERS, write_button(other, Action.TAKE, (1,))) is None
