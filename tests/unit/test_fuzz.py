"""Whatever other programs print, it is read, or refused with an error of ours; never anything else."""

import json
import os
import string
from ipaddress import ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from mydockernet import ports
from mydockernet.cli import template
from mydockernet.dialects import ip_json, iptables, ss, sysctl
from mydockernet.dialects.fact import Link, Observed, Route
from mydockernet.errors import MydockernetError
from mydockernet.packets import netfilter, nft_rules
from mydockernet.packets.packet import Packet
from mydockernet.reports import doctor, who
from mydockernet.value import replace
from tests.unit.values import endpoint, intent, mapping, network

ROUNDS = int(os.environ.get("MYDOCKERNET_TEST_ROUNDS", "1")) * 100
fuzz = settings(max_examples=ROUNDS)
NETWORKS = intent(network("web", "10.1.0.0/24", endpoint(ports=(mapping(),))))
SEEN = Observed(
    links={"web": Link("web", "bridge", "28004"), "eth0": Link("eth0")},
    routes=(Route(ip_network("0.0.0.0/0"), "192.0.2.1", "eth0", "default via 192.0.2.1 dev eth0"),),
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["ifname", "addr_info", "linkinfo", "info_slave_data", "dst", "type", "gateway", "flags", "mtu"]
            )
            | st.text(max_size=4),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
KNOWN = "-A -s -d -p -j -g -m ! --dport --comment --ctstate --src-group DROP ACCEPT FORWARD 10.0.0.0/8 tcp 0x1 - --"
WORD = st.sampled_from([*KNOWN.split(), '"a b"', "\\", '"']) | st.text(string.printable, max_size=6)
RULES = st.lists(WORD, max_size=12).map(lambda words: "-A FORWARD " + " ".join(words))
SAVED = st.lists(
    RULES
    | st.sampled_from(["*filter", "*nat", "COMMIT", ":FORWARD DROP [0:0]", ":X - [0:0]", "# x", "[1:2] -A X -j X"])
    | st.text(max_size=20),
    max_size=12,
).map("\n".join)


def refused_or_read(read, *arguments):
    try:
        return read(*arguments)
    except MydockernetError:
        return None


@fuzz
@given(JSON.map(json.dumps) | st.text(max_size=30))
def test_json_of_ip(text):
    refused_or_read(ip_json.read, text)
    refused_or_read(ip_json.read_route, text)


@fuzz
@given(st.text())
def test_lines_of_ss_and_sysctl(text):
    ss.read_sockets(text)
    sysctl.read(text)


@fuzz
@given(SAVED)
def test_rules_of_every_shape(text):
    found = refused_or_read(iptables.read_rules, 4, text)
    policies = iptables.read_policies(4, text)
    if found is not None:
        seen = Observed(chains=found, policies=policies)
        for local in (True, False):
            packet = Packet(ip_address("10.0.0.1"), ip_address("10.0.0.2"), "tcp", 80, "a", "b", local=local)
            netfilter.ask(seen, "filter", "FORWARD", packet)
        list(iptables.strays(seen, (), ()))
        list(doctor.diagnose(NETWORKS, replace(seen, other=seen, variant="iptables-legacy"), doctor.Host()))


NFT_WORDS = "match left right op payload protocol field meta key ct vmap data set prefix range elem jump target goto"
NFT_WORDS += " accept drop reject return dnat xt counter fib flags result concat addr map val"
NFT_KEYS = NFT_WORDS.split()
NFT = st.recursive(
    st.none() | st.integers() | st.sampled_from(["web", "@s", "10.0.0.0/8", "established", "c", "saddr"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NFT_KEYS), inner, max_size=3),
    max_leaves=15,
)
CHAIN = {"family": "inet", "table": "t", "name": "c"}


@fuzz
@given(st.lists(st.lists(NFT, max_size=4), max_size=4))
def test_rules_of_nft(rules):
    items = [{"chain": {**CHAIN, "hook": "forward", "prio": 0, "policy": "drop"}}]
    items += [{"rule": {**CHAIN, "chain": "c", "handle": 1, "expr": expr}} for expr in rules]
    text = json.dumps({"nftables": [*items, {"set": {**CHAIN, "name": "s", "elem": rules}}]})
    for finding in doctor.diagnose(NETWORKS, SEEN, doctor.Host(ruleset=nft_rules.read(text))):
        assert finding.what


@fuzz
@given(JSON.map(json.dumps))
def test_json_of_nft(text):
    list(doctor.diagnose(NETWORKS, SEEN, doctor.Host(ruleset=nft_rules.read(text))))


@fuzz
@given(st.text())
def test_words_of_a_user(text):
    refused_or_read(ports.read_specs, [text], "SPEC")
    who.owners(text, intent(network("web", "10.1.0.0/24", endpoint(ports=(mapping(),)))), Observed())


PARTS = '{{ }} . .Name $ $x := | ( ) , if range else end with index len json eq "a" 0 -1 {{end}} {{else}} {{.Name}} {{-'


@fuzz
@given(st.lists(st.sampled_from(PARTS.split()) | st.text(max_size=3), max_size=12).map(" ".join))
def test_templates(text):
    if render := refused_or_read(template.read, text):
        refused_or_read(render, [{"Name": "web", "Labels": {"a": "b"}}], None)
