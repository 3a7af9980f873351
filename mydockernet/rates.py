"""Limits on how much a container sends or receives. Pure."""

import re

from mydockernet.value import Value

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_WORD = re.compile(r"(\d{1,12}(?:\.\d{1,3})?)(?:([kmg]?)bit)?", re.ASCII | re.IGNORECASE)
# In bits. The bucket of tc-tbf(8) is a number of 32 bits, in bytes.
RATE_MAX, BURST_MAX = 10**12, 32 * 10**9
# tc-tbf(8): a bucket must hold more than one packet, and what arrives between two ticks of the timer.
BURST_MIN, TICKS = 32 * 1024 * 8, 100


class Limit(Value):
    """A rate in bits per second, and how many bits may pass at once before it counts."""

    rate: int
    burst: int

    def __str__(self) -> str:
        return _word(self.rate)


def read_limit(word: str) -> Limit:
    """Read RATE[,BURST], as in 10mbit or 1.5gbit,4mbit; without a unit, in bits. Raises ValueError."""
    first, comma, second = word.partition(",")
    rate = _bits(first, RATE_MAX)
    return Limit(rate, _bits(second, BURST_MAX) if comma else max(BURST_MIN, rate // TICKS))


def _bits(word: str, most: int) -> int:
    found = _WORD.fullmatch(word)
    bits = round(float(found[1]) * _UNITS[(found[2] or "").lower()]) if found else 0
    if not 8 <= bits <= most:
        raise ValueError(f"{word!r} is not a rate such as 10mbit, of 8bit to {_word(most)}")
    return bits


def _word(bits: int) -> str:
    """Return a number of bits as a user writes it: 1500000 is 1.5mbit."""
    for unit, size in (("g", 10**9), ("m", 10**6), ("k", 10**3)):
        if bits >= size and bits % (size // 1000) == 0:
            return f"{bits / size:.3f}".rstrip("0").rstrip(".") + f"{unit}bit"
    return f"{bits}bit"
