"""What /proc/net/dev says."""

import pytest

from mydockernet.dialects import net_dev
from mydockernet.dialects.net_dev import Traffic
from mydockernet.errors import Failed

# As Linux 6.1 prints it: eight numbers for what was received, eight for what was sent.
TEXT = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0   0
c1-5c1e5a: 3168       4    9    1    0     0          0         0     1006      13    8    2    0     0       0   0
"""


def test_bytes_packets_and_drops_are_read_in_both_directions():
    assert net_dev.read(TEXT) == {"lo": Traffic(), "c1-5c1e5a": Traffic(3168, 4, 1, 1006, 13, 2)}


def test_the_other_end_of_a_veth_pair_has_received_what_this_one_sent():
    assert net_dev.read(TEXT, other_ends=True)["c1-5c1e5a"] == Traffic(1006, 13, 2, 3168, 4, 1)


def test_several_namespaces_are_told_apart_only_if_each_has_answered():
    assert [len(each) for each in net_dev.read_each(TEXT * 3, 3)] == [2, 2, 2]
    assert net_dev.read_each(TEXT * 2, 3) == []
    assert net_dev.read_each("Inter-|\n eth0: x\n", 1) == []


@pytest.mark.parametrize("text", ["eth0: 1 2 3", "eth0: x x x x x x x x x x x x"])
def test_malformed_lines_are_an_error(text):
    with pytest.raises(Failed, match="cannot parse /proc/net/dev"):
        net_dev.read(text)


def test_traffic_adds_up():
    assert net_dev.total([]) == Traffic()
    assert net_dev.total([Traffic(1, 2, 3, 4, 5, 6), Traffic(10)]) == Traffic(11, 2, 3, 4, 5, 6)
