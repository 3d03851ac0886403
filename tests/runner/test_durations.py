"""Durations as people write them become seconds, or an error that says what was expected."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zslbench.errors import InputError
from zslbench.runner.durations import seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90), ("45s", 45), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1d", 86400), (" 1 H 30 m ", 5400),
        ("0.5s", 0.5), ("1.5h", 5400), ("1d2h3m4s", 93784),
    ],
)  # fmt: skip
def test_what_people_write_is_understood(text, seconds):
    """Numbers alone are seconds; units add up, in either case and with spaces."""
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", " ", "s", "h2", "2x", "1e3", "1h30", "5 5", "-3s", "+3s", "3,5s", "1.s", ".5s", "1:30", "inf", "nan", "٣s"],
)
def test_what_is_no_duration_is_refused(text):
    """Anything else is refused with what was expected; nothing is guessed."""
    with pytest.raises(InputError, match="expected one like 90, 45s, 30m, 2h or 1h30m"):
        seconds_of(text)


@pytest.mark.parametrize("text", ["0", "0s", "0h0m", "0.0000001s", "999999d", "9" * 400])
def test_what_no_clock_can_count_is_refused(text):
    """Nothing, next to nothing and for ever are no limits."""
    with pytest.raises(InputError, match="is not between a millisecond and 10,000 days"):
        seconds_of(text)


@given(st.text(alphabet="0123456789. smhdHx\n-", max_size=12) | st.text())
@example("9" * 5000)
@example("1\u00a0h")
def test_the_answer_is_a_positive_number_or_an_input_error(text):
    """Whatever is written, the answer is a number of seconds that a timer takes, or an InputError."""
    try:
        seconds = seconds_of(text)
    except InputError:
        return
    assert 0.001 <= seconds <= 864_000_000


@given(st.integers(0, 99), st.integers(0, 99), st.integers(1, 99))
def test_parts_add_up(hours, minutes, seconds):
    """Hours, minutes and seconds written one after the other are their sum."""
    assert seconds_of(f"{hours}h{minutes}m{seconds}s") == 3600 * hours + 60 * minutes + seconds
