"""Metrics in the text format of Prometheus."""

import re

from mydockernet.dialects.net_dev import Traffic
from mydockernet.model import DETACHED, AddressRange, Namespace, PortMapping, PortRange
from mydockernet.reports import metrics
from mydockernet.reports.metrics import Metric
from mydockernet.value import replace
from tests.unit.values import endpoint, intent, mapping, network

AWAY = endpoint("away", "10.1.0.9", namespace=Namespace("/run/netns/away", DETACHED))
RANGE = PortMapping(None, PortRange(9000, 9009), PortRange(9000, 9009), "udp")
WEB = network("web", "10.1.0.0/24 fd00:1::/64", endpoint(ports=(mapping(), RANGE)), endpoint("c2", "10.1.0.3"), AWAY)
DB = network("db", "10.2.0.0/24", realm="12ab9f")
NETWORKS = intent(WEB, DB)
SAMPLE = {("web", "c1"): Traffic(1, 2, 3, 4, 5, 6), ("web", "c2"): None}
# A line is a comment, or a name, labels with escaped values, and a number.
LINE = re.compile(r'# (?:HELP|TYPE) .+|[a-z_0-9]+(?:\{(?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)+\})? \d+')


def everything():
    found = [*metrics.of_networks(NETWORKS, {"/run/netns/c1"}, broken=1), *metrics.of_traffic(SAMPLE)]
    return metrics.text([*found, metrics.of_drift(NETWORKS, {"db@12ab9f"}), metrics.of_last_change(7)]).splitlines()


def test_the_text_is_valid_sorted_and_has_nothing_twice():
    lines = everything()
    assert all(LINE.fullmatch(line) for line in lines), lines
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert names == sorted({*names})
    samples = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
    assert len(samples) == len({*samples})
    # Each metric stands together: its help, its type, its values.
    for number, line in enumerate(lines):
        if line.startswith("# TYPE"):
            name = line.split()[2]
            assert lines[number - 1].startswith(f"# HELP {name} ")
            assert re.match(rf"{name}[ {{]", lines[number + 1])


def test_what_the_record_tells_is_counted():
    lines = everything()
    for line in (
        'mydockernet_network_info{network="web",driver="bridge",bridge="web",firewall="iptables"} 1',
        'mydockernet_network_containers{network="web",state="up"} 1',
        'mydockernet_network_containers{network="web",state="gone"} 1',
        'mydockernet_network_containers{network="web",state="detached"} 1',
        'mydockernet_container_published_ports{network="web",container="c1"} 11',
        'mydockernet_subnet_addresses{network="web",subnet="10.1.0.0/24"} 253',
        'mydockernet_subnet_addresses_used{network="web",subnet="10.1.0.0/24"} 3',
        'mydockernet_subnet_addresses_used{network="web",subnet="fd00:1::/64"} 0',
        "mydockernet_unreadable_networks 1",
        "mydockernet_last_change_timestamp_seconds 7",
    ):
        assert line in lines


def test_a_range_to_choose_from_is_the_pool():
    (subnet,) = DB.subnets
    first = subnet.network.network_address
    few = replace(DB, subnets=(replace(subnet, ranges=(AddressRange(first + 10, first + 19),)),))
    lines = metrics.text(metrics.of_networks(intent(few), (), 0))
    assert 'mydockernet_subnet_addresses{network="db",subnet="10.2.0.0/24"} 10\n' in lines


def test_traffic_that_could_not_be_read_is_left_out():
    lines = [line for line in everything() if "c2" in line]
    assert lines == ['mydockernet_container_published_ports{network="web",container="c2"} 0']
    labels = '{network="web",container="c1"}'
    wanted = ("receive_bytes", "receive_packets", "receive_dropped", "transmit_bytes", "transmit_packets")
    for number, name in enumerate((*wanted, "transmit_dropped"), 1):
        assert f"mydockernet_container_{name}_total{labels} {number}" in everything()


def test_drift_is_0_or_1_for_each_network_and_what_they_share():
    assert [line for line in everything() if line.startswith("mydockernet_drift")] == [
        'mydockernet_drift{network="@shared"} 0',
        'mydockernet_drift{network="db"} 1',
        'mydockernet_drift{network="web"} 0',
    ]
    assert metrics.text([metrics.of_drift({}, ())]) == ""


def test_values_of_labels_and_helps_are_escaped():
    wild = Metric("m", "gauge", "a\\b\nc", {(("l", 'a\\b\n"c"'),): 1})
    assert metrics.text([wild]) == '# HELP m a\\\\b\\nc\n# TYPE m gauge\nm{l="a\\\\b\\n\\"c\\""} 1\n'
