"""Networks, endpoints and ports to test with, and a small kernel that carries out what a plan says."""

import ipaddress

from mydockernet.dialects import ebtables, iptables, nft_frames, nftables
from mydockernet.dialects.fact import Chain, File, Link, Lookup, Observed, OwnTable, Route, Rule
from mydockernet.model import Endpoint, Namespace, Network, PortMapping, PortRange, Subnet
from mydockernet.value import replace

BRIDGE_MAC = "02:6d:00:00:00:01"


def subnet(text="10.1.0.0/24"):
    network = ipaddress.ip_network(text)
    return Subnet(network, network.network_address + 1)


def network(name="web", text="10.1.0.0/24", *endpoints, **more):
    """A network; its text has a subnet, or one of each family."""
    has_bridge = more.get("driver", "bridge") == "bridge"
    bridge, mac = (more.pop("bridge", name), BRIDGE_MAC) if has_bridge else ("", None)
    subnets = more.pop("subnets", tuple(map(subnet, text.split())))
    return Network(name, bridge, subnets, endpoints=endpoints, **{"mac": mac, **more})


def endpoint(name="c1", address="10.1.0.2", **more):
    """An endpoint with an address, or one of each family."""
    addresses = tuple(map(ipaddress.ip_address, address.split()))
    packed = addresses[0].packed[-4:]
    return Endpoint(
        name,
        more.pop("namespace", Namespace(f"/run/netns/{name}", f"4:{sum(name.encode())}")),
        addresses,
        ":".join(f"{byte:02x}" for byte in (2, 0x42, *packed)),
        more.pop("interface", "eth0"),
        more.pop("veth", f"{name}-{packed[1]:02x}{packed[3]:02x}"),
        **more,
    )


def mapping(host=8080, inner=80, host_ip=None, protocol="tcp"):
    address = ipaddress.ip_address(host_ip) if host_ip else None
    return PortMapping(address, PortRange(host, host), PortRange(inner, inner), protocol)


def intent(*networks):
    return {net.name: net for net in networks}


ON_FILES = ("install", "dd", "rm", "ln", "mkdir")


class Machine:
    """What a kernel shows after the commands of a plan; only of what mydockernet says, and only what it reads."""

    def __init__(self, seen=None):
        self.seen = seen or Observed(conntrack=False)

    def run(self, steps):
        for step in steps:
            if step.do[0] in ON_FILES:
                self.file(*step.do, text=step.stdin)
            else:
                self.one(step.do)
        return self.seen

    def file(self, program, *words, text):
        path, files = words[-1] if program != "dd" else words[0].removeprefix("of="), dict(self.seen.files)
        if program in ("install", "dd"):
            assert (path in files) == (program == "dd"), path
            files[path] = File("text", text)
        elif program == "ln":
            files[path] = File("link", words[-2])
        elif program == "mkdir":
            files[path] = File("other")
        else:
            files = {
                name: file for name, file in files.items() if name not in words and not name.startswith(f"{path}/")
            }
            servers = {name: argv for name, argv in self.seen.servers.items() if name not in words}
            self.seen = replace(self.seen, servers=servers)
        self.seen = replace(self.seen, files=files)

    def one(self, argv):
        netns = ""
        if argv[0] == "nsenter":
            netns, argv = argv[1].removeprefix("--net="), argv[2:]
        here = self.seen.at(netns)
        if argv[0] in ("dnsmasq", "systemd-run"):
            argv = argv[argv.index("dnsmasq") :]
            pid_file = next(word.partition("=")[2] for word in argv if word.startswith("--pid-file="))
            here = replace(here, servers={**here.servers, pid_file: tuple(argv)})
        elif argv[0] in ("pkill", "pidwait"):
            pid_file = argv[argv.index("--pidfile") + 1]
            here = replace(here, servers={**here.servers, pid_file: ()} if "HUP" not in argv else here.servers)
        elif argv[0] == "sysctl":
            key, _, value = argv[2].partition("=")
            here = here.with_sysctls({key.translate(str.maketrans("/.", "./")): value})
        elif argv[0] == "ip":
            here = self.ip(here, [word for word in argv[1:] if word not in ("-6", "nodad")])
        elif argv[0] == "ebtables":
            here = replace(here, frames=self.ebtables(dict(here.frames), argv[3:]))
        elif nftables.foldable(argv):
            here = replace(here, table=self.nftables(here.table, argv[1], argv[2], argv[5:]))
        elif argv[0] == "nft":
            here = replace(here, bridged=nft_frames.THERE if "{" in argv[1] else "")
        elif argv[0] in ("iptables", "ip6tables"):
            here = replace(here, chains=self.iptables(dict(here.chains), argv))
        else:
            raise AssertionError(argv)
        self.put(netns, here)

    def put(self, netns, here):
        self.seen = replace(self.seen, inside={**self.seen.inside, netns: here}) if netns else here

    def ip(self, here, words):
        match words:
            case ("link", "add", "dev", name, "group", group, "address", mac, "type", "bridge"):
                assert name not in here.links
                return self.with_link(here, Link(name, "bridge", group, mac=mac, mtu=1500))
            case ("link", "add", "dev", name, "group", group, "type", "veth", "peer", "name", peer, "netns", netns):
                assert name not in here.links
                far = self.seen.at(netns)
                assert peer not in far.links
                index = 1 + max(link.index for there in here.inside.values() for link in there.links.values())
                near = Link(name, "veth", group, mtu=1500, flags=frozenset({"bcast_flood"}), lower=str(index))
                self.seen = self.with_link(here, near)
                self.put(netns, self.with_link(far, Link(peer, "veth", master=f"@{name}", mtu=1500, index=index)))
                return self.seen
            case ("link", "add", "link", parent, "name", name, *more, "group", group, "type", kind, "mode", mode):
                options = dict(zip(more[::2], more[1::2], strict=True))
                lower = here.links[parent]
                link = Link(name, kind, group, mtu=1500, mac=options.get("address", ""), mode=mode, lower=parent)
                if "netns" not in options:
                    return self.with_link(here, link)
                link = replace(link, index=int(options["index"]), lower=str(lower.index))
                self.seen = here
                self.put(options["netns"], self.with_link(self.seen.at(options["netns"]), link))
                return self.seen
            case ("link", "delete", "group", group):
                for name in [name for name, link in here.links.items() if link.group == group]:
                    here = self.without_link(here, name)
                return here
            case ("link", "delete", "dev", name, *_):
                return self.without_link(here, name)
            case ("link", "set", "dev", name, "type", "bridge_slave", flag, state):
                flags = here.links[name].flags
                return self.change(here, name, flags=flags | {flag} if state == "on" else flags - {flag})
            case ("link", "set", "dev", name, ("up" | "down") as state):
                return self.change(here, name, up=state == "up")
            case ("link", "set", "dev", name, field, value):
                known = {"alias": "alias", "group": "group", "master": "master", "address": "mac", "mtu": "mtu"}
                return self.change(here, name, **{known[field]: int(value) if field == "mtu" else value})
            case ("address", "add", address, "dev", name):
                return self.change(here, name, addresses=here.links[name].addresses | {address})
            case ("address", "delete", address, "dev", name):
                left = here.links[name].addresses - {address}
                assert left != here.links[name].addresses
                # As the kernel does: with the last address of IPv4, its routes through the interface go.
                bare = ":" not in address and not any(":" not in other for other in left)
                kept = tuple(r for r in here.routes if not (bare and r.dev == name and r.family == 4))
                return self.change(replace(here, routes=kept), name, addresses=left)
            case ("link", "set", "dev", name, "nomaster"):
                return self.change(here, name, master="", flags=frozenset({"bcast_flood"}))
            case ("neighbor", "replace", address, "lladdr", mac, "dev", name, "nud", "permanent"):
                kept = frozenset(each for each in here.neighbors if each[:2] != (name, address))
                return replace(here, neighbors=kept | {(name, address, mac)})
            case ("neighbor", "delete", address, "dev", name):
                kept = frozenset(each for each in here.neighbors if each[:2] != (name, address))
                assert kept != here.neighbors
                return replace(here, neighbors=kept)
            case ("route", "add", *rest):
                route = self.route(rest)
                assert not route.dev or here.links[route.dev].up
                taken = {(r.destination, r.table, r.metric) for r in here.routes}
                assert (route.destination, route.table, route.metric) not in taken, words
                return replace(here, routes=(*here.routes, route))
            case ("route", "delete", *rest):
                route = self.route(rest)
                assert route in here.routes, (words, here.routes)
                return replace(here, routes=tuple(r for r in here.routes if r != route))
            case ("rule", verb, "from", source, "lookup", table, "priority", priority, "protocol", "28"):
                lookup = Lookup(int(priority), source, table)
                assert (lookup in here.lookups) == (verb == "delete")
                return replace(here, lookups=here.lookups ^ {lookup})
        raise AssertionError(words)

    @staticmethod
    def without_link(here, name):
        assert name in here.links
        kept = {
            n: replace(li, master="", flags=frozenset({"bcast_flood"})) if li.master == name else li
            for n, li in here.links.items()
        }
        inside = {
            path: replace(
                far,
                links={n: li for n, li in far.links.items() if li.master != f"@{name}"},
                routes=tuple(r for r in far.routes if r.dev not in far.links or far.links[r.dev].master != f"@{name}"),
            )
            for path, far in here.inside.items()
        }
        gone = {k: v for k, v in here.sysctls.items() if f"/{name}/" not in k}
        routes = tuple(r for r in here.routes if r.dev != name)
        kept = {n: li for n, li in kept.items() if n != name}
        here = replace(here, neighbors=frozenset(each for each in here.neighbors if each[0] != name))
        return replace(here, links=kept, inside=inside, sysctls=gone, routes=routes)

    @staticmethod
    def route(words):
        kind, words = ("unicast", words) if "/" in words[0] or words[0] == "default" else (words[0], words[1:])
        to, *rest = words
        known = dict(zip(rest[::2], rest[1::2], strict=True))
        assert {*known} <= {"via", "dev", "metric", "table", "protocol"}, words
        return Route(
            everywhere(known["via"]) if to == "default" else ipaddress.ip_network(to),
            known.get("via", ""),
            known.get("dev", ""),
            " ".join(words),
            kind,
            table=known.get("table", "main"),
            protocol=known.get("protocol", ""),
            metric=int(known.get("metric", 0)),
        )

    @staticmethod
    def with_link(here, link):
        return replace(here, links={**here.links, link.name: link})

    def change(self, here, name, **more):
        return self.with_link(here, replace(here.links[name], **more))

    @staticmethod
    def nftables(table, verb, what, words):
        """Like nft, refuses to create twice what must be there once, and to delete what is not there."""
        if what == "table":
            assert verb == "add" or table
            return (table or OwnTable({}, {}, {})) if verb == "add" else None
        chains, types, elements = dict(table.chains), dict(table.types), dict(table.elements)
        name, *rest = words
        if what == "chain":
            assert verb == "add" or name in chains
            hook = rest[0].strip("{ }") if rest else ""
            there = chains.pop(name, (hook,))
            if verb != "delete":
                chains[name] = there if verb == "add" else there[:1]
        elif what == "rule":
            assert verb == "add" and rest[-2] == "comment"
            chains[name] = (*chains[name], rest[-1].strip('"'))
        elif what in ("set", "map"):
            types[name] = rest[0].removeprefix("{ type ").partition(";")[0]
        else:
            assert name in types, words
            text = rest[0].strip("{ }")
            key, _, more = text.partition(' comment "')
            comment, _, value = more.partition('"')
            key, value = key.strip(), value.removeprefix(" : ")
            if verb == "delete":
                del elements[name, key]
            else:
                assert elements.setdefault((name, key), (value, comment)) == (value, comment)
        return OwnTable(chains, types, elements)

    @staticmethod
    def ebtables(frames, words):
        verb, chain, *words = words
        if verb == "-N":
            assert chain not in frames
            return {**frames, **ebtables.read_frames(f"*nat\n:{chain} {words[1]}")}
        if verb == "-F":
            return {**frames, chain: frames[chain][:1]}
        if verb == "-X":
            assert frames[chain][1:] == ()
            return {name: body for name, body in frames.items() if name != chain}
        policy, rule = ebtables.read_frames(f"*nat\n:{chain} ACCEPT\n-A {chain} {' '.join(words)}")[chain]
        body = frames.get(chain, (policy,))
        if verb == "-D":
            assert rule in body
            return {**frames, chain: tuple(r for r in body if r != rule)}
        return {**frames, chain: (body[0], rule, *body[1:]) if verb == "-I" else (*body, rule)}

    @staticmethod
    def iptables(chains, argv):
        program, _, table, verb, name, *words, wait = argv
        assert wait == "--wait"
        chain = Chain(6 if program == "ip6tables" else 4, table, name)
        if verb == "-N":
            assert chain not in chains
            return {**chains, chain: ()}
        if verb == "-X":
            assert chains[chain] == ()
            return {place: body for place, body in chains.items() if place != chain}
        body = list(chains.get(chain, ()))
        at = int(words.pop(0)) - 1 if verb == "-I" and words[0].isdigit() else 0
        comment = words[words.index("--comment") + 1]
        rule = Rule(iptables.read_spec(words), comment, " ".join(words))
        if verb == "-D":
            found = next(r for r in body if r.spec == rule.spec)
            body.remove(found)
        else:
            assert at <= len(body)
            body.insert(len(body) if verb == "-A" else at, rule)
        return {**chains, chain: tuple(body)}


def everywhere(via):
    return ipaddress.ip_network("::/0" if ":" in via else "0.0.0.0/0")


def containers(*names):
    """A host on which these containers are, with nothing but loopback in them."""
    return Observed(inside={f"/run/netns/{name}": Observed(links={"lo": Link("lo")}) for name in names})
