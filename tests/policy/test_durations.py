import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tocsin.policy.durations import DURATION_MS_MAX, DurationError, format_duration, parse_duration_ms

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [
        ("0", 0),
        ("0s", 0),
        ("0y0ms", 0),
        ("500ms", 500),
        ("45s", 45 * SECOND_MS),
        ("30m", 30 * MINUTE_MS),
        ("90m", 90 * MINUTE_MS),
        ("1h30m", 90 * MINUTE_MS),
        ("007s", 7 * SECOND_MS),
        ("8h", 8 * HOUR_MS),
        ("1d", DAY_MS),
        ("2w", 14 * DAY_MS),
        ("1y", 365 * DAY_MS),
        (
            "1y2w3d4h5m6s7ms",
            365 * DAY_MS + 14 * DAY_MS + 3 * DAY_MS + 4 * HOUR_MS + 5 * MINUTE_MS + 6 * SECOND_MS + 7,
        ),
        ("5m7ms", 5 * MINUTE_MS + 7),
        ("9223372036854ms", DURATION_MS_MAX),
    ],
)
def test_a_duration_is_read_as_prometheus_reads_it(text: str, duration_ms: int) -> None:
    assert parse_duration_ms(text) == duration_ms


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("30 min", '"30 min" is not a duration. Write 30m, 1h or 1h30m.'),
        ("", '"" is not a duration. Write 30m, 1h or 1h30m.'),
        ("-5m", '"-5m" is not a duration. Write 30m, 1h or 1h30m.'),
        ("1.5h", '"1.5h" is not a duration. Write 30m, 1h or 1h30m.'),
        (" 5m", '" 5m" is not a duration. Write 30m, 1h or 1h30m.'),
        ("5m\n", '"5m?" is not a duration. Write 30m, 1h or 1h30m.'),
        ("٣m", '"٣m" is not a duration. Write 30m, 1h or 1h30m.'),
        ("30", '"30" is not a duration. It has no unit. Write 30s, 30m or 30h.'),
        (
            "30m1h",
            '"30m1h" is not a duration. Write each unit once, in the order y w d h m s ms, as in 1h30m.',
        ),
        ("1h1h", '"1h1h" is not a duration. Write each unit once, in the order y w d h m s ms, as in 1h30m.'),
        ("293y", '"293y" is too long a duration. Write at most 292y.'),
        ("9" * 100 + "s", f'"{"9" * 61}..." is not a duration. Write at most 64 characters.'),
    ],
)
def test_what_is_not_a_duration_is_refused_with_what_to_write(text: str, message: str) -> None:
    with pytest.raises(DurationError) as caught:
        parse_duration_ms(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [
        (0, "0s"),
        (7, "7ms"),
        (1_500, "1s500ms"),
        (90 * MINUTE_MS, "1h30m"),
        (90 * SECOND_MS, "1m30s"),
        (36 * HOUR_MS, "1d12h"),
        (7 * DAY_MS, "1w"),
        (90 * DAY_MS, "90d"),
        (365 * DAY_MS, "1y"),
        (366 * DAY_MS, "366d"),
        (-90 * MINUTE_MS, "-1h30m"),
    ],
)
def test_a_duration_is_written_as_prometheus_writes_it(duration_ms: int, text: str) -> None:
    assert format_duration(duration_ms) == text


@given(st.integers(0, DURATION_MS_MAX))
@example(DURATION_MS_MAX)
def test_a_written_duration_reads_back_as_the_same(duration_ms: int) -> None:
    assert parse_duration_ms(format_duration(duration_ms)) == duration_ms


def outcome(text: str) -> int | DurationError:
    try:
        return parse_duration_ms(text)
    except DurationError as error:
        return error


@given(st.one_of(st.text(), st.text(alphabet="0123456789ywdhms. -")))
@example("9" * 5_000)
@example("9" * 60 + "y")
def test_any_text_is_a_duration_or_a_named_error(text: str) -> None:
    found = outcome(text)
    if isinstance(found, DurationError):
        assert "Write" in str(found)
        assert str(found).isprintable()
    else:
        assert 0 <= found <= DURATION_MS_MAX
