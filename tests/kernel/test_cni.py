"""The CNI plugin on a real kernel, called as runtimes call it: every command and version, and what may go wrong."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from mydockernet.fronts.cni_format import VERSIONS
from tests.conftest import ROOT
from tests.kernel.cni_client import Refused, Runtime
from tests.kernel.lab import HOST, INTERNAL, A, B
from tests.kernel.test_cni_client import CONFLIST as THEIRS
from tests.kernel.test_cni_client import PLUGINS
from tests.kernel.test_reachability import BOTH, matrix

OURS = "/run/cni/bin"
INSTALL = f"mkdir -p {OURS}; ln -s {ROOT}/.venv/bin/mydockernet-cni {OURS}/mydockernet"
CAPABILITIES = dict.fromkeys(("portMappings", "ips", "mac", "bandwidth", "dns", "aliases", "ipRanges"), True)
WEB = {"subnets": ["10.1.0.0/24"]}
# As people have it for bridge, host-local and portmap: only the type is another.
BRIDGE = {key: value for key, value in THEIRS["plugins"][0].items() if key != "type"}
PORTS = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]


def plugin(**keys):
    return {"type": "mydockernet", "capabilities": CAPABILITIES, **keys}


@pytest.fixture
def runtime(host):
    """Makes runtimes on a host that has the plugin and some namespaces."""
    host.sh(f"{INSTALL}; for n in c1 c2 c3; do ip netns add $n; ip -n $n link set lo up; done")

    def make(keys=WEB, version="1.1.0", name="web", plugins=None):
        conflist = {"cniVersion": version, "name": name, "plugins": plugins or [plugin(**keys)]}
        return Runtime(host, conflist, f"{OURS}:{PLUGINS}")

    return make


def refused(code, *texts):
    return pytest.raises(Refused, match=rf"^{code}: " + "".join(f"(?=.*{text})" for text in texts))


def drifts(host):
    return host.mydockernet("check", check=False).stdout


def addresses(host, netns, dev="eth0"):
    (link,) = json.loads(host.sh(f"ip -n {netns} -json address show dev {dev}").stdout)
    return {f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"] if a["scope"] == "global"}, link["address"]


def ask(runtime, command, config=None, env=None):
    """A call as it is: the exit status, and what is on stdout."""
    usual = {"CNI_CONTAINERID": "id1", "CNI_NETNS": "/run/netns/c1", "CNI_IFNAME": "eth0"}
    raw = config if isinstance(config, str) else json.dumps({"cniVersion": "1.1.0", "name": "web", **(config or WEB)})
    done = runtime.host.run(
        f"{OURS}/mydockernet", stdin=raw, env={**usual, "CNI_COMMAND": command, **(env or {})}, check=False
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else None


@pytest.mark.parametrize("version", VERSIONS)
def test_every_command_of_every_version(runtime, version):
    cni = runtime(BRIDGE, version)
    host = cni.host
    before = host.everything()
    result = cni.add("id1", "c1", args="K8S_POD_NAME=pod;IgnoreUnknown=1", portMappings=PORTS)
    assert result["cniVersion"] == version
    bridge, veth, inside = result["interfaces"]
    assert (bridge["name"], inside["name"], inside["sandbox"]) == ("theirs0", "eth0", "/run/netns/c1")
    assert veth["name"] in host.snapshot()["host"]["links"]
    (ip,) = result["ips"]
    assert addresses(host, "c1") == ({ip["address"]}, inside["mac"])
    assert (ip["address"], ip["gateway"], ip["interface"]) == ("10.77.0.2/24", "10.77.0.1", 2)
    assert ("version" in ip) == (version < "1.0.0")
    assert result["routes"] == [{"dst": "0.0.0.0/0", "gw": "10.77.0.1"}]
    assert json.loads(host.mydockernet("inspect web").stdout)[0]["Containers"]["pod"]
    assert drifts(host) == ""
    for command, since, act in (
        ("CHECK", "0.4.0", lambda: cni.check("id1")),
        ("STATUS", "1.1.0", cni.status),
        ("GC", "1.1.0", lambda: cni.collect(("id1", "eth0"))),
    ):
        if version >= since:
            act()
            assert drifts(host) == ""
        else:
            with refused(1, command):
                act()
    for _ in range(3):
        cni.delete("id1", netns="/run/netns/c1")
    assert host.everything() == before


def test_a_network_of_the_admin_stays(runtime):
    cni = runtime({"network": "lan"}, name="any")
    cni.host.mydockernet("create lan --subnet 10.5.0.0/24 --ipv6")
    before = cni.host.snapshot()
    result = cni.add("id1", "c1", ips=["10.5.0.9/24"], mac="02:00:00:00:00:09", aliases={"any": ["db"]})
    assert result["ips"][0]["address"] == "10.5.0.9/24"
    assert [route["dst"] for route in result["routes"]] == ["0.0.0.0/0", "::/0"]
    assert addresses(cni.host, "c1") == ({ip["address"] for ip in result["ips"]}, "02:00:00:00:00:09")
    assert json.loads(cni.host.mydockernet("inspect lan").stdout)[0]["Containers"]["id1"]["Aliases"] == ["db"]
    cni.check("id1")
    cni.delete("id1")
    assert cni.host.snapshot() == before
    cni.host.mydockernet("rm lan")


def test_every_capability(runtime):
    cni = runtime({"ipam": {"type": "host-local", "routes": [{"dst": "0.0.0.0/0"}]}, "isGateway": True})
    host = cni.host
    before = host.everything()
    result = cni.add(
        "id1",
        "c1",
        portMappings=[*PORTS, {**PORTS[0], "hostIP": "fd00::1"}],
        ips=["10.1.0.77/24"],
        mac="02:00:00:00:00:77",
        bandwidth={"ingressRate": 8000000, "ingressBurst": 800000, "egressRate": 4000000, "egressBurst": 800000},
        dns={"servers": ["10.1.0.1"], "searches": ["a.b"]},
        aliases=["db"],
        ipRanges=[[{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.50", "rangeEnd": "10.1.0.60"}]],
    )
    assert (result["ips"][0]["address"], result["interfaces"][-1]["mac"]) == ("10.1.0.77/24", "02:00:00:00:00:77")
    assert result["dns"] == {"nameservers": ["10.1.0.1"], "search": ["a.b"]}
    (found,) = json.loads(host.mydockernet("inspect web").stdout)
    one = found["Containers"]["id1"]
    # The container has no address of IPv6 that the second port could lead to.
    assert (one["Aliases"], one["DNS"], one["Ports"]) == (["db"], ["10.1.0.1"], ["8080:80/tcp"])
    assert "rate 8Mbit" in host.sh(f"tc qdisc show dev {result['interfaces'][1]['name']}").stdout
    assert "rate 4Mbit" in host.sh("tc -n c1 qdisc show dev eth0").stdout
    assert (
        cni.add(
            "id2",
            "c2",
            **{"ipRanges": [[{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.50", "rangeEnd": "10.1.0.60"}]]},
        )["ips"][0]["address"]
        == "10.1.0.50/24"
    )
    cni.check("id1")
    host.sh("tc -n c1 qdisc delete dev eth0 root")
    with refused(101, "rate"):
        cni.check("id1")
    cni.delete("id1")
    cni.delete("id2")
    assert host.everything() == before


def test_a_network_without_a_bridge_has_one_interface_less(runtime):
    cni = runtime({"driver": "ptp", "subnets": ["10.1.0.0/24", "fd00:1::/64"]})
    before = cni.host.everything()
    result = cni.add("id1", "c1")
    assert [i["name"] for i in result["interfaces"]][1:] == ["eth0"]
    assert {ip["interface"] for ip in result["ips"]} == {1}
    cni.check("id1")
    cni.delete("id1")
    lan = runtime({"driver": "macvlan", "master": "canary", "ipam": {"subnet": "203.0.113.0/24"}})
    result = lan.add("id1", "c1")
    assert [i["name"] for i in result["interfaces"]] == ["eth0"]
    lan.check("id1")
    lan.delete("id1")
    assert cni.host.everything() == before


def test_the_first_container_creates_the_network_and_the_last_removes_it(runtime):
    cni = runtime()
    before = cni.host.everything()
    cni.add("id1", "c1")
    cni.add("id2", "c2")
    cni.delete("id1")
    assert "web" in cni.host.snapshot()["host"]["links"]
    cni.check("id2")
    cni.delete("id2")
    assert cni.host.everything() == before
    other = runtime({"subnets": ["10.2.0.0/24"]})
    cni.add("id1", "c1")
    with refused(100, "other settings"):
        other.add("id2", "c2")
    with refused(50, "other settings"):
        other.status()


def test_prevresult_is_kept_and_added_to(runtime):
    """A chain: the loopback of the usual plugins, ours, and one of theirs that changes what ours made."""
    if shutil.which("tuning", path=PLUGINS) is None:
        pytest.skip("needs the CNI plugins: `scripts/setup beside` unpacks them")
    tuning = {"type": "tuning", "sysctl": {"net.ipv4.conf.eth0.arp_filter": "1"}}
    cni = runtime(version="1.0.0", plugins=[plugin(**WEB), tuning])
    before = cni.host.everything()
    result = cni.add("id1", "c1")
    assert result["ips"] == [{"interface": 2, "address": "10.1.0.2/24", "gateway": "10.1.0.1"}]
    cni.check("id1")
    cni.delete("id1")
    assert cni.host.everything() == before


def test_what_other_plugins_did_is_printed_again(runtime):
    cni = runtime()
    previous = {
        "cniVersion": "1.1.0",
        "interfaces": [{"name": "x", "sandbox": "/run/netns/c1", "socketPath": "/y"}],
        "ips": [{"address": "10.9.0.2/24", "interface": 0}],
        "routes": [{"dst": "10.8.0.0/16", "scope": 253}],
        "dns": {"domain": "a.b"},
    }
    code, said = ask(cni, "ADD", {**WEB, "prevResult": previous})
    assert code == 0
    assert said["interfaces"][0] == previous["interfaces"][0]
    assert [i["name"] for i in said["interfaces"]][1::2] == ["web", "eth0"]
    assert said["ips"] == [*previous["ips"], {"interface": 3, "address": "10.1.0.2/24", "gateway": "10.1.0.1"}]
    assert said["routes"] == [*previous["routes"], {"dst": "0.0.0.0/0", "gw": "10.1.0.1"}]
    assert said["dns"] == previous["dns"]
    assert ask(cni, "CHECK", {**WEB, "prevResult": said}) == (0, None)


# What is wrong, the commands that tell it, and the code of the error.
ALL = "ADD DEL CHECK GC STATUS"
SECOND = {"CNI_CONTAINERID": "id2", "CNI_NETNS": "/run/netns/c2"}
ERRORS = {
    "a version": (ALL, {"cniVersion": "0.2.0"}, {}, 1),
    "an unknown key": ("ADD CHECK STATUS", {**WEB, "foo": 1}, {}, 2),
    "an unsupported key": ("ADD CHECK STATUS", {**WEB, "vlan": 3}, {}, 2),
    "an unknown capability": ("ADD", {**WEB, "runtimeConfig": {"infinibandGUID": "x"}}, {}, 2),
    "no attachment": ("CHECK", {**WEB, "prevResult": {}}, SECOND, 3),
    "no id": ("ADD DEL CHECK", WEB, {"CNI_CONTAINERID": ""}, 4),
    "an id that is a path": ("ADD DEL CHECK", WEB, {"CNI_CONTAINERID": "../x"}, 4),
    "an interface with a slash": ("ADD DEL CHECK", WEB, {"CNI_IFNAME": "a/b"}, 4),
    "an interface that the kernel reserves": ("ADD DEL CHECK", WEB, {"CNI_IFNAME": "all"}, 4),
    "a long interface": ("ADD DEL CHECK", WEB, {"CNI_IFNAME": "a" * 16}, 4),
    "an unknown argument": ("ADD CHECK STATUS", WEB, {"CNI_ARGS": "FOO=1"}, 4),
    "a record that is a file": (
        "ADD DEL CHECK GC",
        {**WEB, "prevResult": {}},
        {"MYDOCKERNET_STATE_DIR": "/etc/passwd"},
        5,
    ),
    "no record to write": ("STATUS", WEB, {"MYDOCKERNET_STATE_DIR": "/etc/passwd"}, 50),
    "no JSON": (ALL, "{", {}, 6),
    "an array": (ALL, "[]", {}, 6),
    "deep JSON": (ALL, '{"a":' * 99999, {}, 6),
    "a huge number": (ALL, '{"mtu": ' + "9" * 9999 + "}", {}, 6),
    "no name": (ALL, {"name": ""}, {}, 7),
    "a name that is a path": (ALL, {"name": "../x"}, {}, 7),
    "a name with a NUL": (ALL, {"name": "a\0"}, {}, 7),
    "a type": ("ADD CHECK STATUS", {"subnets": "10.1.0.0/24"}, {}, 7),
    "a subnet": ("ADD STATUS", {"subnets": ["10.1.0.0/99"]}, {}, 7),
    "an MTU": ("ADD STATUS", {**WEB, "mtu": 10**15}, {}, 7),
    "no such network": ("ADD", {"network": "none"}, {}, 7),
    "no prevResult": ("CHECK", WEB, {}, 7),
    "a prevResult that is none": ("ADD CHECK", {**WEB, "prevResult": {"ips": [1]}}, {}, 7),
    "valid attachments that are none": ("GC", {**WEB, "cni.dev/valid-attachments": [{"ifname": 1}]}, {}, 7),
    "an address outside": ("ADD", {**WEB, "runtimeConfig": {"ips": ["10.9.0.1"]}}, SECOND, 7),
    "no namespace": ("ADD CHECK", {**WEB, "prevResult": {}}, {"CNI_NETNS": "/run/netns/none"}, 8),
    "a namespace of another kind": ("ADD CHECK", {**WEB, "prevResult": {}}, {"CNI_NETNS": "/proc/self/ns/mnt"}, 8),
    "a file": ("ADD CHECK", {**WEB, "prevResult": {}}, {"CNI_NETNS": "/etc/passwd"}, 8),
    "the host's own namespace": ("ADD DEL CHECK", {**WEB, "prevResult": {}}, {"CNI_NETNS": "/proc/self/ns/net"}, 8),
    "the host's own, allowed": (
        "ADD CHECK",
        {**WEB, "prevResult": {}},
        {"CNI_NETNS": "/proc/self/ns/net", "CNI_NETNS_OVERRIDE": "1"},
        8,
    ),
    "there already": ("ADD", WEB, {}, 100),
    "there already, by another interface": ("ADD", WEB, {"CNI_IFNAME": "eth1"}, 100),
    "an interface that is in use": ("ADD", WEB, {"CNI_CONTAINERID": "id2", "CNI_NETNS": "/run/netns/c3"}, 100),
    "an address that is in use": (
        "ADD",
        {**WEB, "runtimeConfig": {"ips": ["10.1.0.2"]}},
        SECOND,
        100,
    ),
    "a port that is in use": (
        "ADD",
        {**WEB, "runtimeConfig": {"portMappings": PORTS}},
        SECOND,
        100,
    ),
    "a subnet that is in use": ("ADD", {"name": "other", "subnets": ["203.0.113.0/25"]}, {}, 100),
    "a subnet that cannot be had": ("STATUS", {"name": "other", "subnets": ["203.0.113.0/25"]}, {}, 50),
    "no network to be on": ("STATUS", {"network": "none"}, {}, 50),
}


@pytest.mark.long
def test_the_code_of_each_error_and_nothing_changes(runtime):
    cni = runtime()
    cni.add("id1", "c1", portMappings=PORTS)
    cni.host.sh("ip -n c3 link add eth0 type bridge")
    before = cni.host.everything()
    wrong = {}
    for case, (commands, config, env, code) in ERRORS.items():
        for command in commands.split():
            status, said = ask(cni, command, config, env)
            if (status, (said or {}).get("code", 0)) != (int(code > 0), code):
                wrong[case, command] = said
            elif code:
                assert said.keys() == {"cniVersion", "code", "msg", "details"}
                assert said["msg"].isprintable()
                assert said["details"].isprintable()
                assert "--" not in said["details"]
    assert wrong == {}
    assert cni.host.everything() == before


def test_a_program_that_is_missing_or_fails(runtime):
    """STATUS says that ADD cannot succeed; ADD says which command failed."""
    cni = runtime()
    broken = cni.host.break_programs("echo 'no such luck' >&2; exit 9", "$n", ("iptables-restore", "iptables-save"))
    status, said = ask(cni, "STATUS", WEB, broken)
    assert (status, said["code"]) == (1, 50)
    assert "iptables" in said["details"]
    status, said = ask(cni, "ADD", WEB, broken)
    assert (status, said["code"]) == (1, 999)
    assert "failed with status 9: no such luck" in said["details"]


def test_without_rights(runtime):
    cni = runtime()
    drop = "exec setpriv --bounding-set=-net_admin --inh-caps=-net_admin -- "
    for command, code in (("ADD", 5), ("DEL", 5), ("GC", 5), ("STATUS", 50)):
        env = f"CNI_COMMAND={command} CNI_CONTAINERID=id1 CNI_NETNS=/run/netns/c1 CNI_IFNAME=eth0"
        config = json.dumps({"cniVersion": "1.1.0", "name": "web", **WEB})
        done = cni.host.sh(f"{env} {drop} {OURS}/mydockernet", stdin=config, check=False)
        assert json.loads(done.stdout)["code"] == code, done


def test_it_waits_for_a_change_that_is_under_way(runtime):
    cni = runtime()
    cni.host.mydockernet("create other")
    lock = cni.host.sh("ls /run/mydockernet/*.lock").stdout.strip()
    holder = cni.host.popen("flock", lock, "sh", "-c", "echo held; read x")
    assert holder.stdout.readline() == "held\n"
    with ThreadPoolExecutor() as pool:
        adding = pool.submit(cni.add, "id1", "c1")
        assert not adding.done()
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert adding.result()["ips"]
    holder.communicate()


def test_an_interrupted_add_leaves_nothing(runtime):
    cni = runtime()
    before = cni.host.everything()
    env = cni.host.break_programs("kill -TERM $PPID", 4)
    status, said = ask(cni, "ADD", WEB, env)
    assert (status, said["code"]) == (1, 11)
    assert cni.host.everything() == before


def test_del_of_what_is_gone(runtime):
    cni = runtime(BRIDGE)
    before = cni.host.everything()
    for name in ("c1", "c2", "c3"):
        cni.add(f"id-{name}", name, portMappings=[{**PORTS[0], "hostPort": 8080 + int(name[1])}])
    cni.host.sh("ip netns del c1; ip -n c2 link del eth0; ip netns del c3; ip netns add c3")
    cni.delete("id-c1", netns="")
    cni.delete("id-c1")
    cni.delete("id-c2")
    cni.conflist["plugins"][0].update(vlan=7, unknown=1, ipam="x")
    cni.delete("id-c3")
    cni.delete("id-c3")
    cni.delete("never")
    # None of the names matters: c1 is gone, and c3 is another one.
    after = cni.host.everything()
    assert (after[0]["host"], after[0]["rules"], after[1]) == (before[0]["host"], before[0]["rules"], before[1])
    assert {*after[0]["inside"]} == {"c2", "c3"}


def test_a_container_whose_namespace_died_can_be_attached_anew(runtime):
    """The runtime was killed, and starts the container again without a DEL."""
    cni = runtime()
    cni.add("id1", "c1", portMappings=PORTS)
    cni.host.sh("ip netns del c1; ip netns add c1")
    assert cni.add("id1", "c1", portMappings=PORTS)["ips"][0]["address"] == "10.1.0.2/24"
    cni.check("id1")


def test_check_tells_of_its_own_container_its_network_and_what_is_shared(runtime):
    cni = runtime()
    host = cni.host
    cni.add("id1", "c1", portMappings=PORTS)
    cni.add("id2", "c2")
    host.mydockernet("create other --subnet 10.2.0.0/24")
    host.mydockernet("connect other c3")
    for damage, text in (
        ("ip -n c1 address flush dev eth0", "10.1.0.2"),
        ("ip -n c1 route del default", "default"),
        ("ip -n c1 link set dev eth0 down", "eth0"),
        ("ip link set dev web down", "web"),
        ("iptables -t nat -F MYDOCKERNET-PORTS", "8080"),
        ("iptables -F FORWARD", "FORWARD"),
        ("iptables -t nat -F POSTROUTING", "MASQUERADE"),
        ("sysctl -qw net.ipv4.ip_forward=0", "ip_forward"),
        ("ip -n c1 link del eth0", "eth0"),
    ):
        host.sh(damage)
        with refused(101, text):
            cni.check("id1")
        host.mydockernet("repair")
        cni.check("id1")
    # What is wrong with other containers, and with other networks.
    host.sh("ip -n c2 address flush dev eth0; ip -n c3 link del eth0; ip link del other")
    assert "10.1.0.3" in drifts(host)
    cni.check("id1")
    host.sh("ip -n c2 link del eth0")
    cni.check("id1")
    with refused(101, "id2"):
        cni.check("id2")


def test_check_compares_prevresult_with_the_record(runtime):
    cni = runtime()
    result = cni.add("id1", "c1")
    netns, args, capabilities, _ = cni.kept["id1", "eth0"]
    for change, text in (
        ({"ips": []}, "prevResult lacks the address 10.1.0.2"),
        ({"ips": [{**result["ips"][0], "address": "10.1.0.9/24"}]}, "prevResult lacks the address 10.1.0.2"),
        ({"interfaces": []}, 'no interface "eth0"'),
        ({"interfaces": [{**result["interfaces"][2], "mac": "02:00:00:00:00:01"}]}, "another MAC address"),
    ):
        cni.kept["id1", "eth0"] = (netns, args, capabilities, {**result, **change})
        with refused(101, text):
            cni.check("id1")
    cni.kept["id1", "eth0"] = ("/run/netns/c2", args, capabilities, result)
    with refused(101, "CNI_NETNS is another namespace"):
        cni.check("id1")


def test_gc_removes_exactly_what_is_not_in_the_list(runtime):
    cni, other = runtime(), runtime({"subnets": ["10.2.0.0/24"]}, name="other")
    host = cni.host
    before = host.everything()
    host.sh("ip netns add hand")
    cni.add("id1", "c1")
    host.mydockernet("connect web hand")
    cni.add("id2", "c2", ifname="net7")
    cni.add("id3", "c3")
    other.add("id1", "c1", ifname="eth1")
    host.sh("ip netns del c3")
    cni.collect(("id2", "net7"), ("id1", "eth1"), ("never", "eth0"))
    names = {name: json.loads(host.mydockernet(f"inspect {name}").stdout)[0]["Containers"] for name in ("web", "other")}
    assert {name: {*containers} for name, containers in names.items()} == {"web": {"hand", "id2"}, "other": {"id1"}}
    assert addresses(host, "c1", "eth1")[0] == {"10.2.0.2/24"}
    cni.check("id2", "net7")
    cni.collect()
    cni.collect()
    other.collect()
    host.mydockernet("disconnect web hand")
    host.sh("ip netns del hand; ip netns add c3; ip -n c3 link set lo up")
    assert host.everything() == before


def test_gc_leaves_the_containers_of_other_configurations_of_the_same_network(runtime):
    one, two = runtime({"network": "lan"}, name="one"), runtime({"network": "lan"}, name="two")
    one.host.mydockernet("create lan --subnet 10.5.0.0/24")
    one.add("id1", "c1")
    two.add("id2", "c2")
    one.collect()
    containers = json.loads(one.host.mydockernet("inspect lan").stdout)[0]["Containers"]
    assert {name: container["Engine"] for name, container in containers.items()} == {"id2": "cni:two"}
    two.check("id2")
    two.delete("id2")
    one.host.mydockernet("rm lan")


def test_status_is_50_when_the_pool_is_exhausted(runtime):
    cni = runtime({"subnets": ["10.1.0.0/29"]})
    host = cni.host
    cni.status()
    assert "web" not in host.snapshot()["host"]["links"]
    for number in range(5):
        cni.status()
        host.sh(f"ip netns add n{number}")
        cni.add(f"id{number}", f"n{number}")
    with refused(50, "web.*is full: all 5 addresses"):
        cni.status()
    with refused(100, "web.*is full: all 5 addresses"):
        cni.add("id9", "c1")
    cni.delete("id3")
    cni.status()


@pytest.mark.parametrize("command", ["ADD", "second ADD", "DEL", "GC"])
def test_whichever_command_fails_all_is_as_before(runtime, command):
    cni = runtime(BRIDGE)
    host = cni.host
    config = {**BRIDGE, "runtimeConfig": {"portMappings": PORTS}}
    env = {"CNI_CONTAINERID": "id1"}
    if command != "ADD":
        assert ask(cni, "ADD", config, env)[0] == 0
    if command == "second ADD":
        config["runtimeConfig"] = {}
        env = {"CNI_CONTAINERID": "id2", "CNI_NETNS": "/run/netns/c2"}
    before = host.everything()
    for at in range(1, 100):
        broken = host.break_programs("echo 'no such luck' >&2; exit 9", at)
        status, said = ask(cni, command.split()[-1], config, {**env, **broken})
        if host.calls() < at:
            assert status == 0
            assert at > 4
            return
        assert (status, said["code"]) == (1, 999), said
        assert "no such luck" in said["details"]
        assert host.everything() == before


@pytest.mark.long
@pytest.mark.half(2)
def test_fifty_at_once(runtime):
    cni = runtime(BRIDGE)
    host = cni.host
    many = [f"n{number}" for number in range(50)]
    host.sh(f"for n in {' '.join(many)}; do ip netns add $n; ip -n $n link set lo up; done")
    before = host.everything()

    def add(name):
        ports = [{**PORTS[0], "hostPort": 9000 + int(name[1:])}]
        return cni.add(f"id-{name}", name, portMappings=ports)["ips"][0]["address"]

    with ThreadPoolExecutor(50) as pool:
        assert len({*pool.map(add, many)}) == 50
        assert drifts(host) == ""
        for name in many[::10]:
            cni.check(f"id-{name}")
        # Some are gone by the time of DEL, and their runtime says so twice.
        host.sh("ip netns del n7; ip -n n9 link del eth0")
        [*pool.map(lambda name: cni.delete(f"id-{name}"), (*many, *many[:10]))]
    host.sh("ip netns add n7; ip -n n7 link set lo up")
    assert host.everything() == before


def made_by_cni(host, driver):
    """The networks and containers of the tests of who reaches whom, attached by the plugin."""
    host.sh(INSTALL)

    def runtime(name, subnets, **keys):
        keys = plugin(driver=driver, subnets=subnets, **keys)
        return Runtime(host, {"cniVersion": "1.1.0", "name": name, "plugins": [keys]}, OURS)

    ports = [
        {"hostPort": port, "containerPort": 80, "protocol": protocol, "hostIP": address}
        for port, address in ((8080, ""), (8081, "127.0.0.1"))
        for protocol in ("tcp", "udp")
    ]
    a = runtime("a", [f"{A}.0/24", "fd00:1::/64"])
    a.add("id-a1", "a1", args="K8S_POD_NAME=a1", portMappings=ports)
    a.add("id-a2", "a2", args="K8S_POD_NAME=a2")
    runtime("b", [f"{B}.0/24", "fd00:2::/64"]).add("id-b1", "b1", args="K8S_POD_NAME=b1")
    internal = runtime("i", [f"{INTERNAL}.0/24", "fd00:3::/64"], internal=True)
    internal.add("id-i1", "i1", args="K8S_POD_NAME=i1")
    internal.add("id-i2", "i2", args="K8S_POD_NAME=i2")


@pytest.mark.parametrize("driver", ["bridge", "ptp"])
def test_who_reaches_whom(make_lab, driver):
    lab = make_lab(make=made_by_cni, driver=driver)
    assert matrix(lab) == BOTH
    lab.host.sh("for t in mangle nat filter; do iptables -t $t -F; ip6tables -t $t -F; done; nft flush ruleset")
    lab.host.mydockernet("repair")
    assert matrix(lab) == BOTH


def test_an_existing_configuration_works_once_its_type_is_another(make_lab):
    """As it was for bridge, host-local and portmap; a container and others of the same network reach its port."""

    def make(host, driver):
        host.sh(INSTALL)
        conflist = {"cniVersion": "0.4.0", "name": "theirs", "plugins": [plugin(**BRIDGE)]}
        runtime = Runtime(host, conflist, OURS)
        host.mydockernet("create i --internal --subnet 10.3.0.0/24 --subnet fd00:3::/64")
        host.mydockernet("connect i i1")
        runtime.add("id1", "a1", portMappings=PORTS)
        runtime.add("id2", "a2")
        made.append(runtime)

    made = []
    lab = make_lab(make=make)
    asked = {
        ("outside", HOST, 8080): "a1 192.0.2.2",
        ("a2", "10.77.0.2", 81): "a1 10.77.0.3",
        ("a1", HOST, 8080): "a1 10.77.0.1",
        ("", "127.0.0.1", 8080): "a1 10.77.0.1",
        ("a2", "192.0.2.2", 81): f"outside {HOST}",
    }
    tcp = [said if isinstance(said, str) else said[0] for said in lab.ask_at_once(asked)]
    assert tcp == [*asked.values()]
    made[0].delete("id1")
    assert lab.ask("outside", (HOST, 8080))[0] == "refused"
    made[0].delete("id2")
    lab.host.mydockernet("rm -f i")
    assert "ydockernet" not in str(lab.host.snapshot()).lower()
