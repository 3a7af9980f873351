"""For each set of options, the whole dry run, and the rules that come of it, as read by a person and kept in golden/.

MYDOCKERNET_TEST_RENEW=1 writes them anew; then read what git diff shows.
"""

import itertools
import json
import os
import re
import shlex

import pytest

from tests.conftest import PROGRAMS, ROOT, STATE

SWITCHES = " ".join(f"net.bridge.bridge-nf-call-{program}=0" for program in ("iptables", "ip6tables"))
TWO = "ip netns add c1; ip netns add c2; "
WEB = TWO + "mydockernet create web --subnet 10.1.0.0/24; "
PTP = TWO + "mydockernet create web --driver ptp --subnet 10.1.0.0/24; "
LAN = "--driver macvlan --parent up1 --subnet 192.0.2.0/24 --gateway 192.0.2.2"
# The parent interface for those that need one.
PARENT = "ip link add up1 type veth peer name up2; ip link set up1 up; ip addr add 192.0.2.1/24 dev up1; "
GOLDEN = {
    "create": ("true", "create web --subnet 10.1.0.0/24"),
    "create-a-second": ("mydockernet create other --subnet 10.9.0.0/24", "create web --subnet 10.1.0.0/24"),
    "create-host-bits": ("true", "create web --subnet 192.168.10.7/24"),
    "create-internal": ("true", "create web --subnet 10.1.0.0/24 --internal"),
    "create-no-icc": ("true", "create web --subnet 10.1.0.0/24 --no-icc"),
    "create-no-masquerade": ("true", "create web --subnet 10.1.0.0/24 --no-masquerade"),
    "create-mtu-ranges": (
        "true",
        "create web --subnet 10.1.0.0/16 --mtu 1400 --ip-range 10.1.2.0/24 --reserve printer=10.1.2.9",
    ),
    "create-dual-stack": ("true", "create web --subnet 10.1.0.0/24 --subnet fd00:1::/64"),
    "create-ipv6-only": ("true", "create web --subnet fd00:1::/64 --no-masquerade6"),
    "create-dual-stack-no-icc": ("true", "create web --subnet 10.1.0.0/24 --subnet fd00:1::/64 --no-icc"),
    "create-two-subnets": ("true", "create web --subnet 10.1.0.0/24 --subnet 10.2.0.0/24"),
    "create-no-gateway": ("true", "create web --subnet 10.1.0.0/24 --no-gateway"),
    "create-no-subnet": ("true", "create web --no-subnet"),
    "connect-no-subnet": (TWO + "mydockernet create web --no-subnet", "connect web c1"),
    "connect": (WEB, "connect web c1"),
    "connect-published": (WEB, "connect web c1 --publish 8080:80 --publish 127.0.0.1:5000-5002:53-55/udp"),
    "create-routed": ("true", "create web --subnet 10.1.0.0/24 --gateway-mode routed"),
    "connect-routed": (
        TWO + "mydockernet create web --subnet 10.1.0.0/24 --subnet fd00:1::/64 --gateway-mode6 routed",
        "connect web c1 --publish 8080:80",
    ),
    "connect-published-for-some": (
        TWO + "mydockernet create web --subnet 10.1.0.0/24 --subnet fd00:1::/64",
        "connect web c1 --publish 8080:80 --from 192.0.2.0/24",
    ),
    "connect-rates": (WEB, "connect web c1 --rate-in 10mbit --rate-out 1.5mbit"),
    "connect-no-icc": (TWO + "mydockernet create web --subnet 10.1.0.0/24 --no-icc", "connect web c1"),
    "connect-internal": (TWO + "mydockernet create web --subnet 10.1.0.0/24 --internal", "connect web c1"),
    "connect-a-second": (WEB + "mydockernet create b --subnet 10.2.0.0/24; mydockernet connect b c1", "connect web c1"),
    "connect-dual-stack": (
        TWO + "mydockernet create web --subnet 10.1.0.0/24 --subnet fd00:1::/64",
        "connect web c1 --ip6 fd00:1::9 --publish 8080:80 --publish 0.0.0.0:81:81 --publish [::]:5000-5001:53-54/udp",
    ),
    "connect-dual-stack-no-icc": (
        TWO + "mydockernet create web --subnet 10.1.0.0/24 --subnet fd00:1::/64 --no-icc",
        "connect web c1",
    ),
    "connect-a-second-dual-stack": (
        TWO + "mydockernet create web --subnet 10.1.0.0/24 --subnet fd00:1::/64; "
        "mydockernet create b --subnet 10.2.0.0/24 --subnet fd00:2::/64; mydockernet connect b c1",
        "connect web c1",
    ),
    "connect-routes": (
        TWO + "mydockernet create b --subnet 10.2.0.0/24; mydockernet connect b c1;"
        "mydockernet create web --subnet 10.1.0.0/24 --metric 50 --route 10.9.0.0/16,10.1.0.9,5 "
        "--route 10.8.0.0/16,blackhole",
        "connect web c1",
    ),
    "connect-gw-priority": (
        WEB + "mydockernet create b --subnet 10.2.0.0/24; mydockernet connect b c1",
        "connect web c1 --gw-priority 1",
    ),
    "connect-two-networks": (WEB + "mydockernet create b --subnet 10.2.0.0/24", "connect b,web c1"),
    "run-two-networks": (
        "mydockernet create web --subnet 10.1.0.0/24; mydockernet create b --subnet 10.2.0.0/24",
        "run b,web --name job -- true",
    ),
    "disconnect": (WEB + "mydockernet connect web c1 -p 8080:80", "disconnect web c1"),
    "remove": (WEB + "mydockernet connect web c1 -p 8080:80", "remove --force web"),
    "create-ptp": ("true", "create web --driver ptp --subnet 10.1.0.0/24"),
    "create-ptp-internal-no-icc": ("true", "create web --driver ptp --subnet 10.1.0.0/24 --internal --no-icc"),
    "connect-ptp": (PTP, "connect web c1"),
    "create-ptp-dual-stack": ("true", "create web --driver ptp --subnet 10.1.0.0/24 --subnet fd00:1::/64"),
    "connect-ptp-dual-stack": (PTP.replace("/24", "/24 --subnet fd00:1::/64"), "connect web c1 -p 8080:80"),
    "connect-ptp-published": (PTP, "connect web c1 --publish 8080:80"),
    "connect-ptp-a-second": (PTP + "mydockernet create b; mydockernet connect b c1", "connect web c1"),
    "remove-ptp": (PTP + "mydockernet connect web c1 -p 8080:80", "remove --force web"),
    "create-macvlan": ("true", f"create lan {LAN}"),
    "create-macvlan-host-ip": ("true", f"create lan {LAN} --host-ip 192.0.2.9"),
    "connect-macvlan": (TWO + f"mydockernet create lan {LAN} --host-ip 192.0.2.9", "connect lan c1"),
    "remove-macvlan": (TWO + f"mydockernet create lan {LAN}; mydockernet connect lan c1", "remove --force lan"),
    "create-nftables": ("true", "create web --subnet 10.1.0.0/24 --firewall nftables"),
    "connect-nftables-published": (
        TWO + "mydockernet create web --subnet 10.1.0.0/24 --firewall nftables",
        "connect web c1 --publish 8080:80 --publish 127.0.0.1:5000-5002:53-55/udp",
    ),
    "run": (WEB, "run web --name job -p 8080:80 -- echo hello"),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_plan_and_its_rules_are_those_that_were_read(bare_host, name):
    setup, words = GOLDEN[name]
    # Whether this is on decides how ports are isolated.
    setup = PARENT * ("up1" in setup + words) + setup
    bare_host.set_up(f"sysctl -qw {SWITCHES} 2>/dev/null || true; {setup}")
    verb, *rest = words.split()
    script = bare_host.mydockernet([verb, "--dry-run", *rest]).stdout
    bare_host.run("sh", stdin=script)
    rules = ""
    for program in ("iptables-save", "ip6tables-save"):
        saved = bare_host.run(program).stdout
        lines = [re.sub(r" \[\d+:\d+\]$", "", line) for line in saved.splitlines() if not line.startswith("#")]
        rules += "".join(f"{line}\n" for line in (f"$ {program}", *lines) if lines)
    if "nftables" in name:
        what = "table inet mydockernet" if verb == "create" else "map inet mydockernet ports4"
        listed = re.sub(r"counter packets \d+ bytes \d+", "counter", bare_host.sh(f"nft list {what}").stdout)
        for name_of, number in (("dstnat", -100), ("srcnat", 100)):  # nft 1.1 prints them so.
            listed = listed.replace(f"priority {name_of} + 5;", f"priority {number + 5};")
        # Sets without elements would be most of it.
        listed = re.sub(r"\t(?:set|map) \w+ \{(?:(?!elements).)*?\n\t\}\n\n", "", listed, flags=re.DOTALL)
        rules += f"$ nft list {what}\n{listed}"
    script = re.sub(r'"inode": "[^"]+"', '"inode": "…"', re.sub(r"[0-9a-f]{64}", "…", script))
    text = f"$ mydockernet {verb} --dry-run {' '.join(rest)}\n{script}\n{rules}"
    path = ROOT / "tests/golden" / f"{name}.txt"
    if os.environ.get("MYDOCKERNET_TEST_RENEW"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


IPV6_ONLY = "--subnet fd00:1::/64"
SUBNETS = ("--subnet 10.1.0.0/24", f"--subnet 10.1.0.0/24 {IPV6_ONLY}")
OPTIONS = ("", "--internal", "--no-icc", "--port-security", "--no-masquerade", "--gateway-mode routed", "--no-gateway")
# A network that has all that is shared, so that the plans are about one network alone.
ANOTHER = f"""
sysctl -qw {SWITCHES} 2>/dev/null || true
ip link add lan0 type bridge
ip link set lan0 up
for c in c1 c9; do ip netns add $c; ip -n $c link set lo up; done
mydockernet create other --subnet 10.9.0.0/24 --subnet fd00:9::/64
mydockernet create four --subnet 10.8.0.0/24
mydockernet connect other c9 -p 9000:90
"""


@pytest.mark.long
@pytest.mark.half(1)
@pytest.mark.parametrize("driver", ["bridge", "ptp", "macvlan", "ipvlan"])
def test_each_combination_of_options_has_the_plan_and_the_rules_that_were_read(bare_host, driver):
    """Per driver one file: what is refused, the commands, and the network's own rules."""
    bare_host.set_up(ANOTHER)
    before = bare_host.snapshot(), bare_host.state()
    parent = " --parent lan0" if driver.endswith("vlan") else ""
    text = ""
    for subnets, option in (*itertools.product(SUBNETS, OPTIONS), (IPV6_ONLY, "")):
        create = " ".join(f"create web --driver {driver}{parent} {subnets} {option}".split())
        text += f"$ mydockernet {create}\n"
        refused = bare_host.mydockernet(create, check=False).stderr
        text += refused or plan(bare_host, "rm -f web", create)
        for ports in () if refused else (" --publish 80 --from 192.0.2.0/24", ""):
            text += f"$ mydockernet connect web c1{ports}\n"
            done = bare_host.mydockernet(f"connect web c1 --dry-run{ports}", check=False)
            text += done.stderr or plan(bare_host, "list -q", f"connect web c1{ports}", run=driver != "ipvlan")
            if not done.stderr:
                break  # Without ports, it is the same less what is about them.
        bare_host.mydockernet("rm -f web")
    assert (bare_host.snapshot(), bare_host.state()) == before
    path = ROOT / "tests/golden" / f"every-{driver}.txt"
    if os.environ.get("MYDOCKERNET_TEST_RENEW"):
        path.write_text(text)
    assert text == path.read_text()


def plan(host, first, words, run=True):
    """The commands of a verb as its dry run prints them, and the rules of the network that are there then."""
    host.mydockernet(first)
    steps = json.loads(host.mydockernet(f"{words} --dry-run --format json").stdout)
    commands = [step["argv"] for step in steps if not step["argv"][-1].startswith(str(STATE))]
    lines = [shlex.join(argv) for argv in commands if argv[0] in PROGRAMS]
    if run:
        host.mydockernet(words)
        for program in ("iptables-save", "ip6tables-save"):
            saved = [line for line in host.run(program).stdout.splitlines() if "mydockernet:web" in line]
            lines += (f"  {program}: {line}" for line in saved)
    return "".join(f"  {line}\n" for line in lines)
