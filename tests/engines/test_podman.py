"""What podman's users ask of networks, and get from those of the driver mydockernet."""

import json

import pytest

from tests.cli.test_readme import session, shown
from tests.engines.podman import NEEDS, OURS, PLUGINS, PodmanHost

pytestmark = pytest.mark.engine(*NEEDS)

SLEEP = "sleep 10000"
# No name of a network consists of hex digits: podman might take it for the beginning of another's random id.


@pytest.fixture
def host():
    made = PodmanHost()
    yield made
    made.close()


def ps(host):
    """The containers that mydockernet knows: NETWORK CONTAINER."""
    return sorted(host.run("mydockernet", "ps", "--format", "{{.Network}} {{.Name}}").stdout.splitlines())


def nothing_is_left(host):
    """Whether neither links nor rules nor a record of ours are left; those of other programs are still there."""
    seen = str(host.snapshot()).lower()
    assert "canary" in seen
    return "ydockernet" not in seen and not any("/networks/" in path for path in host.state())


# network create


def test_create_chooses_a_free_subnet_and_leaves_no_trace(host):
    before = host.everything()
    one, two = host.network("one"), host.network("two", "--ipv6")
    (subnet,) = one["subnets"]
    assert one["driver"] == "mydockernet"
    assert subnet["gateway"] == subnet["subnet"].replace(".0/24", ".1")
    assert not one["ipv6_enabled"]
    assert [":" in s["subnet"] for s in two["subnets"]] == [False, True]
    assert two["ipv6_enabled"]
    assert len({s["subnet"] for network in (one, two) for s in network["subnets"]}) == 3
    assert host.everything() == before


def test_create_avoids_the_subnets_of_podmans_other_networks(host):
    """Also of those that no container uses yet: neither the kernel nor the record has them."""
    chosen = host.network("one")["subnets"][0]["subnet"]
    host.podman("network rm one")
    host.podman(f"network create --subnet {chosen} theirs")
    assert host.network("one")["subnets"][0]["subnet"] != chosen
    said = host.refuses(f"network create {OURS} --subnet {chosen} over")
    assert f'{chosen} overlaps {chosen} of network "theirs"' in said
    assert "10.88.0.0/16" in host.refuses(f"network create {OURS} --subnet 10.88.7.0/24 over")
    assert "theirs" in host.refuses(f"network create {OURS} --interface-name podman1 over")


def test_podman_avoids_the_subnets_of_ours(host):
    host.network("ours", "--subnet 10.89.0.0/24")
    host.podman("network create theirs")
    theirs = json.loads(host.podman("network inspect theirs"))[0]
    assert theirs["subnets"][0]["subnet"] != "10.89.0.0/24"


def test_every_option_of_create_has_its_effect(host):
    created = host.network(
        "n1",
        "--subnet 10.5.0.0/24 --gateway 10.5.0.254 --ip-range 10.5.0.128/26 --subnet fd00:5::/64 --label a=b "
        "--interface-name n1br --route 10.9.0.0/16,10.5.0.7,50 --dns 192.0.2.53 -o mtu=1400 -o metric=77 "
        "-o isolate=true -o ip-masq=false",
    )
    host.start_container("c1", "--network n1", SLEEP)
    made = json.loads(host.run("mydockernet", "inspect", "n1").stdout)[0]
    assert made["Bridge"] == "n1br"
    assert (made["MTU"], made["Metric"], made["Masquerade"]) == (1400, 77, False)
    # netavark tells its plugins no labels: they are on podman's record alone.
    assert (created["labels"], made["Labels"]) == ({"a": "b"}, {})
    inside = host.sh("ip netns exec c1 ip -4 -o address show eth0; ip netns exec c1 ip route").stdout
    assert "inet 10.5.0.129/24" in inside
    assert "default via 10.5.0.254 dev eth0" in inside
    assert "metric 77" in inside
    assert "10.9.0.0/16 via 10.5.0.7 dev eth0" in inside
    assert "fd00:5::" in host.sh("ip netns exec c1 ip -6 route show default").stdout
    assert "nameserver 10.5.0.254" in host.podman("exec c1 cat /etc/resolv.conf")
    assert made["DNS"] == ["dnsmasq", "192.0.2.53"]
    assert host.status("c1")["n1"]["Gateway"] == "10.5.0.254"


@pytest.mark.parametrize(
    ("words", "driver"), [("", "bridge"), ("-o driver=ptp", "ptp"), ("-o driver=macvlan -o parent=up1", "macvlan")]
)
def test_the_driver_is_an_option(host, words, driver):
    host.network("n1", f"--subnet 10.5.0.0/24 {words}")
    host.start_container("c1", "--network n1", SLEEP)
    assert host.run("mydockernet", "ls", "--format", "{{.Name}} {{.Driver}}").stdout == f"n1 {driver}\n"
    assert host.status("c1")["n1"]["IPAddress"] == "10.5.0.2"
    host.podman("rm -f -t 0 c1")
    assert nothing_is_left(host)


def test_an_internal_network_leads_nowhere(host):
    host.network("i", "--internal --subnet 10.5.0.0/24")
    host.start_container("c1", "--network i -p 8080:80", SLEEP)
    host.start_container("c2", "--network i", SLEEP)
    host.listen("c2", 80)
    host.listen("c1", 80)
    host.listen("outside", 81)
    # .1 is the host's, also here.
    assert host.status("c1")["i"]["IPAddress"] == "10.5.0.2"
    assert host.ask("c1", "10.5.0.3", 80) == "c2 10.5.0.2"
    assert host.ask("c1", "192.0.2.2", 81) == "dropped"
    assert "c1" not in host.ask("outside", "192.0.2.1", 8080)


def test_without_a_default_route(host):
    host.network("n1", "--subnet 10.5.0.0/24 -o no_default_route=true")
    host.start_container("c1", "--network n1", SLEEP)
    assert "default" not in host.sh("ip netns exec c1 ip route").stdout


def test_ipam_driver_none_gives_no_addresses(host):
    host.network("n1", "--ipam-driver none")
    host.start_container("c1", "--network n1", SLEEP)
    host.start_container("c2", "--network n1", SLEEP)
    assert host.status("c1")["n1"]["IPAddress"] == ""
    assert host.sh("ip netns exec c1 ip -4 -o address show eth0").stdout == ""
    host.sh("ip -n c1 address add 10.5.0.1/24 dev eth0; ip -n c2 address add 10.5.0.2/24 dev eth0")
    host.listen("c2", 80)
    assert host.ask("c1", "10.5.0.2", 80) == "c2 10.5.0.1"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("--ipam-driver dhcp", "dhcp"),
        ("-o vlan=7", "vlan"),
        ("-o isolate=false", "isolate"),
        ("-o mtu=many", "mtu"),
        ("-o driver=nonsense", "nonsense"),
        ("--subnet 192.0.2.0/25", "192.0.2.0/24"),
        ("--route 10.9.0.0/16,192.0.2.2", "192.0.2.2"),
        ("--interface-name way-too-long-for-linux", "way-too-long-for-linux"),
        ("-o driver=ptp --interface-name br7", "ptp"),
    ],
)
def test_what_cannot_be_served_is_refused_in_words(host, words, why):
    before = host.everything()
    said = host.refuses(f"network create {OURS} {words} over")
    assert why in said
    assert "\n" not in said.strip()
    assert host.podman("network ls -q --filter driver=mydockernet") == ""
    assert host.everything() == before


# run


def test_a_network_exists_from_its_first_container_to_its_last(host):
    host.network("n1")
    assert nothing_is_left(host)
    host.start_container("c1", "--network n1")
    host.start_container("c2", "--network n1")
    assert ps(host) == ["n1 c1", "n1 c2"]
    host.podman("stop -t 0 c1")
    assert ps(host) == ["n1 c2"]
    host.podman("rm -f -t 0 c2")
    assert nothing_is_left(host)
    host.podman("start c1")
    assert ps(host) == ["n1 c1"]
    host.podman("rm -f -t 0 c1")
    assert nothing_is_left(host)


def test_published_ports_are_reached_from_outside_and_from_the_host(host):
    host.network("n1", "--ipv6")
    ports = "8080:80 8080:80/udp 127.0.0.1:8081:80 127.0.0.1:8081:80/udp 9000-9002:90-92 9000-9002:90-92/udp"
    host.start_container("c1", f"--network n1 {' '.join(f'-p {port}' for port in ports.split())}", SLEEP)
    host.listen("c1", 80, 90, 91, 92)
    host.listen("c1", 80, address="::")
    gateway = host.status("c1")["n1"]["Gateway"]
    assert host.ask("outside", "192.0.2.1", 8080) == "c1 192.0.2.2"
    assert host.ask("outside", "2001:db8:1::1", 8080) == "c1 2001:db8:1::2"
    assert [host.ask("outside", "192.0.2.1", port) for port in (9000, 9001, 9002)] == ["c1 192.0.2.2"] * 3
    assert host.ask("outside", "192.0.2.1", 8081) == "refused"
    assert host.ask("", "127.0.0.1", 8080) == f"c1 {gateway}"
    assert host.ask("", "127.0.0.1", 8081) == f"c1 {gateway}"


def test_a_container_serves_what_its_own_process_listens_on(host):
    host.network("n1")
    host.start_container("c1", "--network n1 -p 8080:80")
    fetch = "curl -sS --retry 9 --retry-connrefused --retry-delay 1 --max-time 9"
    assert host.sh(f"ip netns exec outside {fetch} http://192.0.2.1:8080/hello").stdout == "hello\n"


def test_a_container_on_two_networks(host):
    """Each network is told of all the ports of the container; the first publishes them."""
    host.network("x", "--subnet 10.1.0.0/24")
    host.network("y", "--subnet 10.2.0.0/24 --subnet fd00:2::/64")
    host.start_container(
        "c1", "--network x --network y:interface_name=lan0 -p 8080:80 -p 8080:80/udp -p [2001:db8:1::1]:8082:80", SLEEP
    )
    host.start_container("c2", "--network y", SLEEP)
    host.listen("c1", 80)
    host.listen("c1", 80, address="::")
    host.listen("outside", 81)
    assert ps(host) == ["x c1", "y c1", "y c2"]
    assert host.ask("outside", "2001:db8:1::1", 8082)[0] == "c1 2001:db8:1::2"
    assert host.ask("outside", "192.0.2.1", 8080) == "c1 192.0.2.2"
    assert host.ask("c2", "10.2.0.2", 80) == "c1 10.2.0.3"
    assert host.ask("c2", "10.1.0.2", 80) == "dropped"
    assert host.ask("c1", "192.0.2.2", 81) == "outside 192.0.2.1"
    assert "lan0" in host.sh("ip -n c1 -o link").stdout
    host.podman("rm -f -t 0 c1 c2")
    assert nothing_is_left(host)


def test_a_container_on_a_network_of_podmans_own_as_well(host):
    """Whichever is first has its default route."""
    host.podman("network create --subnet 10.89.0.0/24 theirs")
    host.network("n1", "--subnet 10.5.0.0/24")
    host.network("z1", "--subnet 10.6.0.0/24")
    host.start_container("c1", "--network theirs --network n1 --network z1 -p 8080:80", SLEEP)
    host.start_container("c2", "--network n1", SLEEP)
    host.listen("c1", 80)
    host.listen("outside", 81)
    assert host.ask("c1", "192.0.2.2", 81) == "outside 192.0.2.1"
    assert host.ask("c2", "10.5.0.2", 80) == "c1 10.5.0.3"
    assert host.ask("outside", "192.0.2.1", 8080)[0] == "c1 192.0.2.2"
    assert host.mydockernet("check").stdout == ""
    host.podman("rm -f -t 0 c1 c2")
    assert nothing_is_left(host)


def test_connect_and_disconnect(host):
    host.network("x", "--subnet 10.1.0.0/24")
    host.network("y", "--subnet 10.2.0.0/24")
    host.start_container("c1", "--network x -p 8080:80 -p 8080:80/udp", SLEEP)
    host.podman("network connect --ip 10.2.0.77 --alias other y c1")
    assert ps(host) == ["x c1", "y c1"]
    assert host.status("c1")["y"]["IPAddress"] == "10.2.0.77"
    assert "10.2.0.77/24" in host.sh("ip -n c1 -o address show eth1").stdout
    host.listen("c1", 80, address="10.2.0.77")
    host.podman("network disconnect x c1")
    assert ps(host) == ["y c1"]
    # Its ports stay published, as on podman's own networks.
    assert host.ask("outside", "192.0.2.1", 8080) == "c1 192.0.2.2"
    assert host.run("ip", "link", "show", "x", check=False).returncode == 1
    host.podman("network connect x c1")
    assert ps(host) == ["x c1", "y c1"]
    # At this address only: else answers over udp leave by the network of the default route, which is now y.
    host.listen("c1", 80, address=host.status("c1")["x"]["IPAddress"])
    host.podman("network disconnect y c1")
    assert host.ask("outside", "192.0.2.1", 8080) == "c1 192.0.2.2"
    host.podman("rm -f -t 0 c1")
    assert nothing_is_left(host)


def test_addresses_and_the_mac_address_may_be_given(host):
    host.network("n1", "--subnet 10.5.0.0/24 --subnet fd00:5::/64")
    host.start_container("c1", "--network n1:ip=10.5.0.99,ip6=fd00:5::99,mac=02:aa:bb:cc:dd:ee", SLEEP)
    inside = host.sh("ip -n c1 -o address show eth0; ip -n c1 link show eth0").stdout
    assert all(text in inside for text in ("10.5.0.99/24", "fd00:5::99/64", "02:aa:bb:cc:dd:ee"))
    status = host.status("c1")["n1"]
    assert (status["IPAddress"], status["GlobalIPv6Address"]) == ("10.5.0.99", "fd00:5::99")
    assert (status["MacAddress"], status["IPPrefixLen"]) == ("02:aa:bb:cc:dd:ee", 24)


def test_reload_keeps_addresses_and_ports(host):
    host.network("n1", "--subnet 10.5.0.0/24")
    host.start_container("c1", "--network n1 -p 8080:80 -p 8080:80/udp", SLEEP)
    before = host.status("c1")
    host.sh("iptables -t nat -F; ip link del dev n1")
    host.podman("network reload c1")
    assert host.status("c1") == before
    host.listen("c1", 80)
    assert host.ask("outside", "192.0.2.1", 8080) == "c1 192.0.2.2"
    assert host.run("mydockernet", "check").stdout == ""


@pytest.mark.parametrize("names", ["busybox", "conmon busybox"])
def test_a_container_that_was_killed_starts_again(host, names):
    host.network("n1", "--subnet 10.5.0.0/24")
    host.start_container("c1", "--network n1 -p 8080:80 -p 8080:80/udp", SLEEP)
    for name in names.split():
        host.sh(f"pkill -9 -x {name}")
    host.sh("for i in $(seq 50); do pgrep -x podman || exit 0; sleep 0.1; done")
    host.podman("start c1")
    host.name_namespace("c1")
    host.listen("c1", 80)
    assert host.ask("outside", "192.0.2.1", 8080) == "c1 192.0.2.2"
    assert ps(host) == ["n1 c1"]
    assert host.run("mydockernet", "check").stdout == ""
    # podman may say first that no conmon could tell it how the container ended before.
    host.podman("rm -f -t 0 c1", check="conmon" not in names)
    host.podman("rm -f -t 0 -i c1")
    assert nothing_is_left(host)


def test_after_a_reboot(host):
    """The record has containers of which nothing is left."""
    host.network("n1", "--subnet 10.5.0.0/24")
    for name in ("c1", "c2", "c3"):
        host.start_container(name, "--network n1", SLEEP)
    again = host.reboot()
    try:
        assert again.podman("ps -q") == ""
        assert ps(again) == ["n1 c1", "n1 c2", "n1 c3"]
        again.podman("start c2")
        assert ps(again) == ["n1 c2"]
        again.podman("start c1")
        for name in ("c1", "c2"):
            again.name_namespace(name)
        again.listen("c1", 80)
        assert again.ask("c2", again.status("c1")["n1"]["IPAddress"], 80).startswith("c1 ")
        assert again.run("mydockernet", "check").stdout == ""
        again.podman("rm -f -t 0 c1 c2 c3")
        assert nothing_is_left(again)
    finally:
        again.close()


def test_repair_after_a_reboot_drops_the_containers_of_podman(host):
    """podman starts them in other namespaces, and asks again."""
    host.network("n1")
    host.start_container("c1", "--network n1", SLEEP)
    again = host.reboot()
    try:
        assert "c1" in again.mydockernet("repair").stdout
        assert nothing_is_left(again)
        again.podman("start c1")
        assert ps(again) == ["n1 c1"]
    finally:
        again.close()


def test_many_at_once(host):
    host.network("n1", "--subnet 10.5.0.0/24")
    host.network("n2", "--subnet 10.6.0.0/24 -o driver=ptp")
    many = 8
    run = f"podman run -d --name c$n --network n1 --network n2 -p 80$n:80 --rootfs {host.rootfs} busybox {SLEEP}"
    numbers = " ".join(map(str, range(10, 10 + many)))
    wait = "for job in $(jobs -p); do wait $job; done"
    host.sh(f"for n in {numbers}; do {run} & done; mydockernet create mine; {wait}")
    assert len(ps(host)) == 2 * many
    assert len({host.status(f"c{n}")["n1"]["IPAddress"] for n in range(10, 10 + many)}) == many
    assert host.mydockernet("check").stdout == ""
    host.sh(f"for n in {numbers}; do podman rm -f -t 0 c$n & done; mydockernet rm mine; {wait}")
    assert nothing_is_left(host)


def test_podman_system_reset_leaves_nothing(host):
    host.network("n1")
    host.network("n2", "-o driver=ptp --ipv6")
    host.start_container("c1", "--network n1 --network n2 -p 8080:80")
    host.start_container("c2", "--network n1")
    host.podman("system reset --force")
    assert nothing_is_left(host)


def test_a_network_that_podman_created_again_is_a_new_one(host):
    """Of the old one, the record has a container whose end nobody told."""
    host.network("n1", "--subnet 10.5.0.0/24")
    host.start_container("c1", "--network n1", SLEEP)
    again = host.reboot()
    try:
        again.podman("rm -f -t 0 c1")
        again.podman("network rm n1")
        again.network("n1", "--subnet 10.6.0.0/24")
        again.start_container("c1", "--network n1", SLEEP)
        assert again.status("c1")["n1"]["IPAddress"] == "10.6.0.2"
        assert "10.5.0" not in str(again.everything())
    finally:
        again.close()


# beside the command line


def test_what_the_documentation_shows_is_what_happens(host):
    host.mydockernet("engines uninstall netavark")
    # It shows an image, which would have to be fetched.
    image, folder = " busybox httpd", f" --rootfs {host.rootfs} busybox httpd"
    commands = session("docs/engines.md", " podman")
    shown(host, [(command.replace(image, folder), wanted) for command, wanted in commands])


def test_the_verbs_show_and_mend_podmans_containers(host):
    host.network("n1", "--subnet 10.5.0.0/24")
    host.start_container("web", "--network n1 -p 8080:80 -p 8080:80/udp", SLEEP)
    host.listen("web", 80)
    assert ps(host) == ["n1 web"]
    assert "web" in host.run("mydockernet", "who", "10.5.0.2").stdout
    assert "web" in host.run("mydockernet", "explain", "192.0.2.2", "192.0.2.1:8080").stdout
    host.sh("iptables -t nat -F; iptables -t mangle -F; ip -n web route flush default")
    assert host.ask("outside", "192.0.2.1", 8080) != "web 192.0.2.2"
    assert host.run("mydockernet", "check", check=False).returncode == 5
    host.run("mydockernet", "repair")
    assert host.run("mydockernet", "check").stdout == ""
    assert host.ask("outside", "192.0.2.1", 8080) == "web 192.0.2.2"


def test_networks_of_the_command_line_and_of_podman_are_apart(host):
    host.sh("ip netns add own")
    host.sh("mydockernet create mine --subnet 10.7.0.0/24; mydockernet connect mine own")
    assert '"mine"' in host.refuses(f"network create {OURS} --subnet 10.7.0.0/25 over")
    host.network("n1", "--subnet 10.5.0.0/24")
    host.start_container("c1", "--network n1", SLEEP)
    host.listen("own", 80)
    assert host.ask("c1", "10.7.0.2", 80) == "dropped"
    host.podman("rm -f -t 0 c1")
    assert ps(host) == ["mine own"]


def test_a_failing_setup_changes_nothing_and_says_why(host):
    host.network("n1", "--subnet 10.5.0.0/24")
    host.sh("ip link add dev taken type dummy 2>/dev/null || ip link add dev taken type bridge")
    host.sh("ip address add 10.5.0.1/24 dev taken; ip link set dev taken up")
    before = host.everything()
    said = host.refuses(f"run -d --name c1 --network n1 --rootfs {host.rootfs} busybox {SLEEP}")
    assert 'plugin "mydockernet" failed' in said
    assert "10.5.0.0/24 overlaps" in said
    assert host.everything() == before


DOCKER = "docker -H unix:///run/dk/sock"
DOCKERD = (
    "mkdir -p /run/dk; exec dockerd --data-root /run/dk/data --exec-root /run/dk/exec --pidfile /run/dk/pid "
    "-H unix:///run/dk/sock --group root --storage-driver vfs --default-ulimit nofile=1024:1024"
)
FETCH = "curl -sS --retry 9 --retry-connrefused --retry-delay 1 --max-time 9"


@pytest.mark.long
@pytest.mark.engine("dockerd", "docker")
def test_docker_beside_it_is_undisturbed(host):
    host.start("dockerd", DOCKERD, f"{DOCKER} version")
    host.sh(f"tar -C {host.rootfs} -c . | {DOCKER} import - busybox")
    host.sh(f"{DOCKER} run -d --name theirs -p 9090:80 busybox httpd -f -h /")
    docker = host.sh(f"{FETCH} http://192.0.2.1:9090/hello").stdout
    host.network("n1")
    host.start_container("c1", "--network n1 -p 8080:80")
    try:
        for port in (8080, 9090):
            assert host.sh(f"ip netns exec outside {FETCH} http://192.0.2.1:{port}/hello").stdout == docker == "hello\n"
        host.podman("rm -f -t 0 c1")
        assert nothing_is_left(host)
        assert host.sh(f"ip netns exec outside {FETCH} http://192.0.2.1:9090/hello").stdout == "hello\n"
    finally:
        host.sh(f"{DOCKER} rm -f theirs")
        host.stop("dockerd")


@pytest.mark.engine("netavark")
def test_netavark_by_itself(host):
    """As podman calls it. It cannot tear down without a namespace; the container's next one takes its place."""
    host.sh("ip netns add c9; ip netns add again; mkdir /run/nv")
    asked = {
        "container_id": "0123456789abcdef" * 4,
        "container_name": "c9",
        "port_mappings": [{"container_port": 80, "host_ip": "", "host_port": 7070, "protocol": "tcp", "range": 1}],
        "networks": {"n1": {"interface_name": "eth0", "static_ips": ["10.5.0.9"]}},
        "network_info": {"n1": host.network("n1", "--subnet 10.5.0.0/24")},
    }
    call = ("netavark", "--config", "/run/nv", "--plugin-directory", PLUGINS)
    answer = json.loads(host.run(*call, "setup", "/run/netns/c9", stdin=json.dumps(asked)).stdout)
    assert answer["n1"]["interfaces"]["eth0"]["subnets"] == [{"ipnet": "10.5.0.9/24", "gateway": "10.5.0.1"}]
    assert ps(host) == ["n1 c9"]
    host.sh("ip netns del c9")
    assert host.run(*call, "teardown", "/run/netns/c9", stdin=json.dumps(asked), check=False).returncode == 1
    assert json.loads(host.run(*call, "setup", "/run/netns/again", stdin=json.dumps(asked)).stdout) == answer
    assert ps(host) == ["n1 c9"]
    host.run(*call, "teardown", "/run/netns/again", stdin=json.dumps(asked))
    assert nothing_is_left(host)
