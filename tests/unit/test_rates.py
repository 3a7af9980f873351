"""Rates as tc(8) writes them."""

import pytest

from mydockernet.rates import Limit, read_limit


@pytest.mark.parametrize(
    ("word", "rate", "burst", "shown"),
    [
        ("10mbit", 10_000_000, 262_144, "10mbit"),
        ("1.5Mbit,64kbit", 1_500_000, 64_000, "1.5mbit"),
        ("40gbit", 40_000_000_000, 400_000_000, "40gbit"),
        ("9600", 9600, 262_144, "9.6kbit"),
        ("1234567", 1_234_567, 262_144, "1234.567kbit"),
        ("8", 8, 262_144, "8bit"),
        ("1000gbit,32gbit", 10**12, 32 * 10**9, "1000gbit"),
    ],
)
def test_a_rate_is_read_and_shown(word, rate, burst, shown):
    assert read_limit(word) == Limit(rate, burst)
    assert str(read_limit(word)) == shown
    assert read_limit(shown).rate == rate


@pytest.mark.parametrize(
    "word", ["", "x", "0", "7", "1001gbit", "10mbps", "10 mbit", "-1mbit", "1e3", "1mbit,", "1mbit,33gbit", "٣mbit"]
)
def test_what_is_no_rate_is_refused(word):
    with pytest.raises(ValueError, match="is not a rate such as 10mbit, of 8bit to "):
        read_limit(word)
