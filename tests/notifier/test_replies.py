"""What people write back, and what it is taken for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.replies import NUMBERS_MAX, Reply, Wish, read_reply


@pytest.mark.parametrize(
    "text", ["41", "ack 41", "INC-41", "#41", "ACK INC-41.", " 41 확인", "41번 확인했습니다", "认领 41", "认领41", "ack ４１", "take 41"]
)
def test_a_number_alone_or_with_a_word_of_taking_takes_it(text: str) -> None:
    assert read_reply(text) == Reply(Wish.TAKE, (41,))


@pytest.mark.parametrize("text", ["ok", "OK!", "확인", "네.", "认领", "收到", "Yes", "ack"])
def test_a_word_of_taking_alone_names_no_incident(text: str) -> None:
    assert read_reply(text) == Reply(Wish.TAKE)


@pytest.mark.parametrize("text", ["resolve 41", "resolved INC-41", "해결 41", "41 해결됨", "已解决 41", "解决41", "done 41"])
def test_a_word_of_the_end_resolves(text: str) -> None:
    assert read_reply(text) == Reply(Wish.RESOLVE, (41,))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "?!",
        "who has 41?",
        "not 41",
        "no",
        "41 해결 안 됨",
        "해결안됨 41",
        "没解决 41",
        "ack 41 resolve",
        "call me",
        "x" * 5_000,
        "don't ack 41",
    ],
)
def test_what_is_not_understood_whole_does_nothing(text: str) -> None:
    assert read_reply(text).wish is Wish.UNCLEAR


def test_several_numbers_are_several_incidents_up_to_a_limit() -> None:
    assert read_reply("41, 42 and 43 ok") == Reply(Wish.TAKE, (41, 42, 43))
    assert read_reply(" ".join(str(n) for n in range(NUMBERS_MAX + 1))).wish is Wish.UNCLEAR
    assert read_reply("ack " + "9" * 40).wish is Wish.UNCLEAR, "longer than any number of ours"


@given(st.text(max_size=200))
def test_no_text_is_too_strange_to_be_read(text: str) -> None:
    assert len(read_reply(text).numbers) <= NUMBERS_MAX
