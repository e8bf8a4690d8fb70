"""Lengths of time and moments, as people read and write them."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.clock import (
    exact_duration,
    format_duration,
    parse_duration,
    timestamp,
    whole_days,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90.0),
        ("250ms", 0.25),
        ("3m", 180.0),
        ("1.5h", 5400.0),
        ("20h", 72000.0),
        ("2d", 172800.0),
        ("0", 0.0),
        ("0.0", 0.0),
        ("0d", 0.0),
        (" 20 h ", 72000.0),
    ],
)
def test_a_length_of_time_is_a_number_with_a_unit_that_0_alone_may_lack(
    text: str, seconds: float
) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "h", "-1s", "+1s", "1e3", "1,5h", ".5h", "5.h", "1h30m", "3 weeks", "3M",
             "inf", "nan", "1\n2"],
)  # fmt: skip
def test_what_is_no_length_of_time_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="is not a length of time: write 30s, 3m, 20h or 2d"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["1", "90", "1.5", "0.5", " 3 ", "1000000"])
def test_without_a_unit_it_is_refused_with_what_it_may_have_meant(text: str) -> None:
    number = text.strip()
    with pytest.raises(ValueError, match=f"has no unit: write {number}s, {number}m, {number}h or"):
        parse_duration(text)


def test_no_length_of_time_is_infinite() -> None:
    with pytest.raises(ValueError, match="length of time"):
        parse_duration("9" * 400 + "d")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.4, "0s"),
        (4, "4s"),
        (59.4, "59s"),
        (59.6, "1m 00s"),
        (200, "3m 20s"),
        (3599.4, "59m 59s"),
        (3599.6, "1h 00m"),
        (3900, "1h 05m"),
        (3959, "1h 05m"),
        (90_000, "25h 00m"),
        (172_799, "47h 59m"),
        (172_800, "2d 00h"),
        (2160 * 3600 + 7000, "90d 01h"),
        (-5, "0s"),
    ],
)
def test_a_length_of_time_is_shown_in_the_two_largest_units_that_matter(
    seconds: float, text: str
) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    "text", ["0s", "90s", "250ms", "30s", "3m", "90m", "1h", "20h", "36h", "1d", "45d", "90d"]
)
def test_the_value_of_an_option_is_shown_as_a_person_writes_it_and_read_back(text: str) -> None:
    shown = exact_duration(parse_duration(text))
    assert parse_duration(shown) == parse_duration(text)
    assert shown == {"90s": "90s", "250ms": "0.25s"}.get(text, text)
    assert exact_duration(parse_duration("2160h")) == "90d"


@given(st.integers(0, 10**7), st.sampled_from([0.001, 0.25, 1.0, 60.0, 3600.0, 86400.0]))
def test_whatever_it_is_it_is_read_back(count: int, unit_s: float) -> None:
    assert parse_duration(exact_duration(count * unit_s)) == pytest.approx(count * unit_s)


@given(st.floats(0, 10**8))
def test_what_is_shown_is_never_further_off_than_its_smallest_unit(seconds: float) -> None:
    shown = sum(map(parse_duration, format_duration(seconds).split()))
    allowed = 0.5 if round(seconds) < 3600 else 60.0 if round(seconds) < 172_800 else 3600.0
    assert abs(shown - seconds) <= allowed


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000.25, "2023-11-14T22:13:20.250Z"),
        (1_764_000_000.9999, "2025-11-24T16:00:00.999Z"),
    ],
)
def test_a_moment_is_written_in_utc_to_the_millisecond(at: float, text: str) -> None:
    assert timestamp(at) == text


@given(st.floats(0, 4e9), st.floats(0, 4e9))
def test_moments_sort_as_text_as_they_do_in_time_and_can_be_read_back(
    one: float, other: float
) -> None:
    texts = sorted([timestamp(one), timestamp(other)])
    assert texts == [timestamp(min(one, other)), timestamp(max(one, other))]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", timestamp(one))
    back = datetime.fromisoformat(timestamp(one))
    assert back.tzinfo == UTC
    assert abs(back.timestamp() - one) <= 0.00101


@pytest.mark.parametrize(("days", "whole"), [(0.9, 0), (1.0, 1), (7.6, 7), (-0.1, 0), (400.2, 400)])
def test_a_day_counts_once_it_has_passed_wholly(days: float, whole: int) -> None:
    assert whole_days(days * 86_400) == whole
