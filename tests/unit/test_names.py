"""The names by which containers reach each other: what their hosts file has, and the commands that keep it so."""

from ipaddress import ip_address

import pytest

from mydockernet import names, plan
from mydockernet.dialects import etc
from mydockernet.dialects.fact import File
from mydockernet.kernel.folding import fold
from mydockernet.model import DETACHED, Namespace
from mydockernet.plan import concern_of
from mydockernet.value import replace
from tests.unit.values import ON_FILES, Machine, containers, endpoint, intent, network

HEAD = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"


def steps(before, after, seen):
    concern = plan.difference(before, after).concern
    return plan.plan(plan.facts(before, concern), plan.facts(after, concern), seen)


def on_files(before, after, seen):
    return [" ".join(step.do) for step in steps(before, after, seen) if step.do[0] in ON_FILES]


def standing(*networks):
    machine = Machine(containers(*(f"c{n}" for n in range(1, 99))))
    machine.run(steps({}, intent(*networks), machine.seen))
    return machine.seen


WEB = network("web", "10.1.0.0/24", endpoint("c1", "10.1.0.2"))
DB = network("db", "10.2.0.0/24", endpoint("c1", "10.2.0.2", order=2, interface="eth1"))


def test_a_container_has_its_name_its_aliases_and_its_host_name_and_each_with_the_network_behind_it():
    box = endpoint("box", "10.1.0.2", aliases=("mail",), hostname="mx1", engine="podman", id="0123456789abcdef")
    assert names.hosts([network("web", "10.1.0.0/24", box)]) == (
        f"# mydockernet:web: rewritten when a container joins or leaves web\n{HEAD}10.1.0.1 host.mydockernet\n"
        "10.1.0.2 box mail mx1 0123456789ab box.web mail.web mx1.web 0123456789ab.web\n"
    )


def test_each_address_has_a_line():
    both = endpoint("c1", "10.1.0.2 fd00::2")
    assert names.hosts([network("web", "10.1.0.0/24", both)]).endswith("10.1.0.2 c1 c1.web\nfd00::2 c1 c1.web\n")


def test_the_gateway_of_others_is_not_the_host():
    lan = network("lan", "192.0.2.0/24", driver="macvlan", parent="eth0", mode="bridge")
    assert "host.mydockernet" not in names.hosts([lan])


def test_a_container_that_is_gone_has_no_name():
    gone = endpoint("c1", "10.1.0.2", namespace=Namespace("/run/netns/c1", DETACHED))
    assert "c1" not in names.hosts([network("web", "10.1.0.0/24", gone)])


def test_the_network_of_the_default_route_comes_first():
    """Of equal names, a program takes the first."""
    places = [(WEB, WEB.endpoints[0]), (DB, replace(DB.endpoints[0], gw_priority=1))]
    assert [net.name for net in names.in_order(places)] == ["db", "web"]
    assert names.folder(places) == "/run/mydockernet-etc/db,web"


def test_a_network_has_a_file_and_a_container_a_link_to_its_folder():
    empty = replace(WEB, endpoints=())
    assert on_files({}, intent(empty), Machine().seen) == [
        "install -D -m 0644 /dev/stdin /run/mydockernet-etc/web/hosts"
    ]
    assert on_files(intent(empty), intent(WEB), standing(empty)) == [
        "dd of=/run/mydockernet-etc/web/hosts status=none",
        "mkdir -p /etc/netns",
        "ln -s -f -n /run/mydockernet-etc/web /etc/netns/c1",
    ]
    assert on_files(intent(WEB), intent(empty), standing(WEB)) == [
        "rm -f /etc/netns/c1",
        "dd of=/run/mydockernet-etc/web/hosts status=none",
    ]
    assert on_files(intent(WEB), {}, standing(WEB)) == ["rm -f /etc/netns/c1", "rm -r -f /run/mydockernet-etc/web"]


def test_a_container_among_others_is_one_file_and_one_link():
    many = network("web", "10.1.0.0/24", *(endpoint(f"c{n}", f"10.1.0.{n}") for n in range(2, 99)))
    one_more = replace(many, endpoints=(*many.endpoints, endpoint("c1", "10.1.0.200")))
    assert on_files(intent(many), intent(one_more), standing(many)) == [
        "dd of=/run/mydockernet-etc/web/hosts status=none",
        "ln -s -f -n /run/mydockernet-etc/web /etc/netns/c1",
    ]


def test_a_container_on_two_networks_has_the_names_of_both():
    alone = replace(DB, endpoints=())
    assert on_files(intent(WEB, alone), intent(WEB, DB), standing(WEB, alone)) == [
        "dd of=/run/mydockernet-etc/db/hosts status=none",
        "install -D -m 0644 /dev/stdin /run/mydockernet-etc/web,db/hosts",
        "ln -s -f -n /run/mydockernet-etc/web,db /etc/netns/c1",
    ]
    other = replace(DB, endpoints=(*DB.endpoints, endpoint("c2", "10.2.0.3")))
    assert on_files(intent(WEB, DB), intent(WEB, other), standing(WEB, DB)) == [
        "dd of=/run/mydockernet-etc/db/hosts status=none",
        "dd of=/run/mydockernet-etc/web,db/hosts status=none",
        "ln -s -f -n /run/mydockernet-etc/db /etc/netns/c2",
    ]


def test_a_folder_stays_as_long_as_a_container_is_on_these_networks_alone():
    """Whoever joins a third network leaves it, though nothing changes on the first two."""
    second = endpoint("c2", "10.1.0.3"), endpoint("c2", "10.2.0.3", order=2, interface="eth1")
    third = network("third", "10.3.0.0/24")
    joined = replace(third, endpoints=(endpoint("c1", "10.3.0.2", order=3, interface="eth2"),))
    for others, left in ((((), ()), ["rm -r -f /run/mydockernet-etc/web,db"]), (([second[0]], [second[1]]), [])):
        web, db = (replace(net, endpoints=(*net.endpoints, *more)) for net, more in zip((WEB, DB), others, strict=True))
        commands = on_files(intent(web, db, third), intent(web, db, joined), standing(web, db, third))
        assert [command for command in commands if command.startswith("rm -r")] == left


@pytest.mark.parametrize("found", [File("other"), File("link", "/srv/etc"), File("read-only")])
def test_a_folder_of_the_admin_stays(found):
    seen = replace(Machine().seen, files={"/etc/netns": File("other"), "/etc/netns/c1": found})
    assert "/etc/netns" not in str(on_files({}, intent(WEB), seen))
    assert "/etc/netns" not in str(on_files(intent(WEB), {}, replace(standing(WEB), files=seen.files)))


def test_a_link_of_another_state_directory_stays():
    theirs = {"/etc/netns": File("other"), "/etc/netns/c1": File("link", "/run/mydockernet-etc/web@0123ab")}
    seen = replace(Machine().seen, files=theirs)
    assert "/etc/netns" not in str(on_files({}, intent(WEB), seen))


@pytest.mark.parametrize("path", ["/proc/4711/ns/net", "/srv/box", "/run/netns/deep/c1"])
def test_only_a_namespace_with_a_name_has_a_link(path):
    net = network("web", "10.1.0.0/24", endpoint("c1", "10.1.0.2", namespace=Namespace(path, "4:1")))
    assert "/etc/netns" not in str(on_files({}, intent(net), Machine().seen))


def test_nor_has_that_of_an_engine():
    net = network("web", "10.1.0.0/24", endpoint("c1", "10.1.0.2", engine="podman", id="0123"))
    assert "/etc/netns" not in str(on_files({}, intent(net), Machine().seen))


def test_the_way_back_rewrites_the_file_as_it_was():
    before, after = intent(replace(WEB, endpoints=())), intent(WEB)
    concern = concern_of(after.values())
    back = plan.back(plan.facts(before, concern), plan.facts(after, concern), standing(*before.values()))
    assert [step.stdin for step in back if step.do[0] == "dd"] == [names.hosts([*before.values()])]


def test_the_folder_of_a_container_on_many_networks_has_a_name_that_a_file_can_have():
    folders = {etc.folder_of(*(f"{'n' * 60}{number}" for number in range(count))) for count in range(1, 12)}
    assert len(folders) == 11
    assert max(len(path.rpartition("/")[2]) for path in folders) <= 255
    assert all(path.startswith(f"/run/mydockernet-etc/{'n' * 60}0") for path in folders)


def test_name_servers_are_those_of_the_container_or_else_of_its_first_network_that_has_any():
    both = replace(WEB, dns=(ip_address("9.9.9.9"),)), replace(DB, dns=(ip_address("1.1.1.1"),))
    texts = {path: file.text for path, file in standing(*both).files.items() if path.endswith("resolv.conf")}
    assert texts == {
        "/run/mydockernet-etc/db/resolv.conf": "nameserver 1.1.1.1\n",
        "/run/mydockernet-etc/web/resolv.conf": "nameserver 9.9.9.9\n",
        "/run/mydockernet-etc/web,db/resolv.conf": "nameserver 9.9.9.9\n",
    }
    own = replace(WEB, endpoints=(replace(WEB.endpoints[0], dns=(ip_address("fd00::53"),)),))
    files = standing(own).files
    assert files["/run/mydockernet-etc/web:c1/resolv.conf"].text == "nameserver fd00::53\n"
    assert files["/etc/netns/c1"].text == "/run/mydockernet-etc/web:c1"
    assert on_files(intent(own), {}, standing(own))[1:] == [
        "rm -r -f /run/mydockernet-etc/web:c1",
        "rm -r -f /run/mydockernet-etc/web",
    ]


def test_a_name_server_that_goes_takes_its_file_along():
    dns = replace(WEB, dns=(ip_address("9.9.9.9"),))
    assert on_files(intent(dns), intent(WEB), standing(dns)) == ["rm -f /run/mydockernet-etc/web/resolv.conf"]


def test_a_repair_finds_what_no_network_needs():
    other = {
        "/run/mydockernet-etc/old/hosts": File("text", ""),
        "/etc/netns/c9": File("link", "/run/mydockernet-etc/old"),
    }
    theirs = {"/etc/netns/c8": File("link", "/srv/etc"), "/etc/netns/c7": File("other")}
    seen = standing(WEB)
    seen = replace(seen, files={**seen.files, **other, **theirs})
    found = etc.strays(seen, plan.facts(intent(WEB), concern_of([WEB])))
    assert {(stray.owner, stray.path) for stray in found} == {
        ("old", "/run/mydockernet-etc/old"),
        ("old", "/etc/netns/c9"),
    }


@pytest.mark.parametrize("lost", [None, File("text", "10.1.0.9 c1\n")])
def test_a_file_that_was_changed_is_drift(lost):
    seen = standing(WEB)
    path = "/run/mydockernet-etc/web/hosts"
    files = {name: file for name, file in seen.files.items() if name != path} | ({path: lost} if lost else {})
    places = plan.facts_by_owner(intent(WEB))
    differ = [
        (place, fact.difference)
        for place, facts in places.items()
        for fact in facts
        if not fact.holds(replace(seen, files=files))
    ]
    assert differ == [(("web", ""), "missing or changed names: /run/mydockernet-etc/web")]


SERVER = (
    "dnsmasq --conf-file=/dev/null --no-hosts --pid-file=/run/mydockernet/dnsmasq-web.pid --bind-dynamic "
    "--listen-address=10.1.0.1 --listen-address=fd00:1::1 --addn-hosts=/run/mydockernet-etc/web/hosts --local=/web/ "
    "--domain-needed --bogus-priv"
)
STOP = "pkill --pidfile /run/mydockernet/dnsmasq-web.pid --exact dnsmasq"
SERVED = network("web", "10.1.0.0/24 fd00:1::/64", resolver="dnsmasq")


def about_server(before, after, seen):
    found = [" ".join(step.do) for step in steps(before, after, seen)]
    return [command for command in found if "dnsmasq" in command]


def test_a_name_server_starts_last_and_stops_first():
    assert about_server({}, intent(SERVED), Machine().seen) == [SERVER]
    there = standing(SERVED)
    assert there.servers == {"/run/mydockernet/dnsmasq-web.pid": tuple(SERVER.split())}
    first, *_ = steps(intent(SERVED), {}, there)
    assert " ".join(first.do) == STOP


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        ({"internal": True}, " --no-resolv"),
        ({"dns": (ip_address("9.9.9.9"),)}, " --no-resolv --server=9.9.9.9"),
        ({"internal": True, "dns": (ip_address("9.9.9.9"),)}, " --no-resolv"),
    ],
)
def test_other_names_are_asked_for_where_the_network_leads(changes, end):
    assert about_server({}, intent(replace(SERVED, **changes)), Machine().seen) == [SERVER + end]


def test_a_change_of_its_options_starts_it_again():
    wait = STOP.replace("pkill", "pidwait")
    other = replace(SERVED, dns=(ip_address("9.9.9.9"),))
    started = f"{SERVER} --no-resolv --server=9.9.9.9"
    assert about_server(intent(SERVED), intent(other), standing(SERVED)) == [STOP, wait, started]


def test_it_reads_the_names_again_when_they_change():
    joined = replace(SERVED, endpoints=(endpoint("c1", "10.1.0.2 fd00:1::2"),))
    reload = "pkill --signal HUP --pidfile /run/mydockernet/dnsmasq-web.pid --exact dnsmasq"
    assert about_server(intent(SERVED), intent(joined), standing(SERVED)) == [reload]


def test_where_systemd_runs_it_has_a_scope():
    systemd = replace(Machine().seen, systemd=True)
    scope = "systemd-run --quiet --collect --scope --unit=dnsmasq-mydockernet-web-0123ab -- "
    (command,) = about_server({}, intent(replace(SERVED, realm="0123ab")), systemd)
    assert command.startswith(f"{scope}dnsmasq ")


def test_it_holds_if_it_was_started_by_its_path_and_not_if_it_is_another_program():
    fact = next(fact for fact in plan.facts(intent(SERVED), concern_of([SERVED])) if fact.servers())
    for path, holds in (("/usr/sbin/dnsmasq", True), ("/usr/sbin/other", False)):
        seen = replace(Machine().seen, servers={fact.pid_file: (path, *fact.argv[1:])})
        assert fact.holds(seen) == holds
    gone = replace(Machine().seen, servers={fact.pid_file: ()})
    assert (fact.holds(gone), fact.remains(gone)) == (False, True)


@pytest.mark.parametrize("bridge", [True, False])
def test_no_port_takes_its_place_and_the_host_lets_questions_in(bridge):
    served = SERVED if bridge else replace(SERVED, driver="ptp", bridge="", mac=None)
    found = [" ".join(step.do) for step in steps({}, intent(served), Machine().seen)]
    tagged = "-m comment --comment mydockernet:web"
    at = "-i web" if bridge else "-m devgroup --src-group 28004"
    for program, gateway in (("iptables", "10.1.0.1"), ("ip6tables", "fd00:1::1")):
        question = [f"-d {gateway} -p {protocol} --dport 53 {tagged}" for protocol in ("udp", "tcp")]
        assert [command for command in found if command.startswith(f"{program} ") and "--dport 53" in command] == [
            f"{program} -t {where} {rule} --wait"
            for words in question
            for where, rule in (
                ("filter -I INPUT", f"{at} {words} -j ACCEPT"),
                ("nat -I MYDOCKERNET-PORTS", f"{words} -j RETURN"),
            )
        ]


def test_in_nftables_its_address_is_an_element():
    found = [" ".join(step.do) for step in steps({}, intent(replace(SERVED, firewall="nftables")), Machine().seen)]
    assert [command.partition("inet mydockernet ")[2] for command in found if " names" in command and "add" in command][
        -2:
    ] == ['names4 { 10.1.0.1 comment "mydockernet:web" }', 'names6 { fd00:1::1 comment "mydockernet:web" }']


def test_many_links_and_deletions_are_one_command_each():
    names_of_many = [f"c{number}" for number in range(1, 9)]
    many = network("web", "10.1.0.0/24", *(endpoint(name, f"10.1.0.{n}") for n, name in enumerate(names_of_many, 2)))
    there = standing(many)
    links = [step for step in steps({}, intent(many), Machine(containers(*names_of_many)).seen) if step.do[0] == "ln"]
    (batch,) = fold(links)
    assert " ".join(batch.argv) == "xargs -0 -n 2 ln -s -f -n"
    assert batch.stdin.split("\0")[:4] == [*links[0].do[-2:], *links[1].do[-2:]]
    deletions = [step for step in steps(intent(many), {}, there) if step.do[0] == "rm"]
    assert [" ".join(batch.argv) for batch in fold(deletions)] == [
        f"rm -f {' '.join(f'/etc/netns/{name}' for name in reversed(names_of_many))}",
        "rm -r -f /run/mydockernet-etc/web",
    ]
