"""Answer links: who may answer what, until when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.runtime.links import Link, LinkExpired, LinkInvalid, make_token, read_token

KEY = "a key of the store"
NOW = 1_800_000_000_000
HOUR = 3_600_000


def test_a_link_says_who_may_answer_which_incident_until_when() -> None:
    token = make_token(KEY, incidents=[42], person="kim", expires_at=NOW + HOUR)
    assert read_token(KEY, token, NOW) == Link((42,), "kim", NOW + HOUR)


def test_a_token_is_short_and_needs_no_escape_in_an_address() -> None:
    token = make_token(KEY, incidents=[123_456], person="kim", expires_at=NOW + HOUR)
    assert len(token) < 50
    assert all(character.isalnum() or character in "-_." for character in token)


def test_a_link_ends_at_its_time() -> None:
    token = make_token(KEY, incidents=[42], person="kim", expires_at=NOW)
    assert read_token(KEY, token, NOW - 1) == Link((42,), "kim", NOW)
    assert read_token(KEY, token, NOW) == LinkExpired(Link((42,), "kim", NOW))


@pytest.mark.parametrize(
    "token", ["", ".", "...", "a.b.c.d", "2a.1.a2lt", "x" * 10_000, "\u2028", "2a.6a1f3c80.a2lt.AAAAAAAAAAAAAAAAAAAAAA"]
)
def test_what_we_did_not_sign_is_no_link(token: str) -> None:
    assert read_token(KEY, token, NOW) == LinkInvalid()


def test_a_link_of_another_store_is_no_link() -> None:
    token = make_token("another key", incidents=[42], person="kim", expires_at=NOW + HOUR)
    assert read_token(KEY, token, NOW) == LinkInvalid()


@given(st.integers(min_value=0, max_value=60), st.characters(codec="ascii"))
def test_no_character_of_a_link_can_be_changed(at: int, character: str) -> None:
    token = make_token(KEY, incidents=[42], person="kim", expires_at=NOW + HOUR)
    at %= len(token)
    changed = token[:at] + character + token[at + 1 :]
    found = read_token(KEY, changed, NOW)
    # The last character of base64 carries bits that mean nothing: the link it spells is the same one.
    assert found == LinkInvalid() or (found == Link((42,), "kim", NOW + HOUR) and (changed == token or at == len(token) - 1))


@given(st.text(max_size=60))
def test_any_name_of_a_person_survives(person: str) -> None:
    token = make_token(KEY, incidents=[1], person=person, expires_at=NOW + HOUR)
    assert read_token(KEY, token, NOW) == Link((1,), person, NOW + HOUR)
