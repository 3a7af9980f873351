"""The output of tc, and when a rate holds."""

import pytest

from mydockernet.dialects import tc
from mydockernet.dialects.fact import Link, Observed
from mydockernet.errors import Failed
from mydockernet.rates import Limit

# As iproute2 6.1 prints it, of an interface with a filter and one without.
SHOWN = """[{"kind":"noqueue","handle":"0:","dev":"lo","root":true,"refcnt":2,"options":{}},
{"kind":"tbf","handle":"8002:","dev":"v","root":true,"refcnt":3,"options":{"rate":1250000,"burst":32767,"lat":25000}},
{"kind":"tbf","handle":"8003:","dev":"w","parent":"1:1","options":{"rate":1}}]"""
SHAPER = tc.Shaper("v", Limit(10_000_000, 80_000), "Because.")


def seen(queue="tbf", rates=None):
    return Observed(links={"v": Link("v", queue=queue)}, rates=rates)


def test_the_rates_of_interfaces_are_read():
    assert tc.read(SHOWN) == {"v": 1_250_000}


@pytest.mark.parametrize("text", ["", "{", "[7]", '[{"kind":"tbf","root":true}]', '{"kind": 7}'])
def test_malformed_output_is_an_error(text):
    with pytest.raises(Failed, match="cannot parse the output of `tc -json qdisc show`"):
        tc.read(text)


def test_a_rate_holds_if_it_is_the_same_or_cannot_be_told():
    assert SHAPER.holds(seen())
    assert SHAPER.holds(seen(rates={"v": 1_250_000}))
    assert not SHAPER.holds(seen(rates={"v": 1_000_000}))
    assert not SHAPER.holds(seen(rates={}))
    assert not SHAPER.holds(seen(queue="noqueue"))
    assert not SHAPER.holds(Observed())


def test_it_is_set_in_one_command_whatever_is_there():
    words = "tc qdisc replace dev v root tbf rate 10000000bit burst 10000b latency 25ms"
    assert [" ".join(step.do) for step in SHAPER.do(seen())] == [words]
    assert [" ".join(step.do) for step in SHAPER.undo(seen())] == ["tc qdisc delete dev v root"]
