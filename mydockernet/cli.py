"""Words of the command line → one action; its result → what is printed, and the exit code."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from mydockernet import (
    __version__,
    actions,
    addressing,
    model,
    namespaces,
    plan,
    ports,
    running,
    script,
    survey,
    transitions,
)
from mydockernet.actions import Context, Outcome
from mydockernet.drift import Drift
from mydockernet.errors import Invalid, MydockernetError, NotFound, command_line, printable
from mydockernet.facts import SHARED, Argv
from mydockernet.kernel import Kernel
from mydockernet.plan import Scope
from mydockernet.store import DEFAULT_FOLDER, JsonStore
from mydockernet.survey import Survey
from mydockernet.transitions import Connection, Transition, Wish

# Says, of what was done, what is printed: lines, or nothing for an empty one.
Result = Callable[[Outcome], str]

CHANGES_PENDING = DRIFTED = 5
# Never guessed: a hint may be typed without a second thought.
DESTRUCTIVE = {"remove", "rm", "prune", "disconnect", "unpublish"}

EXIT_CODES = """\
exit codes:
  0 done · 1 failed and rolled back · 2 wrong usage or invalid value · 3 no such network or container
  4 conflict · 5 check found drift, or --dry-run --exit-code has changes pending · 6 the lock is held
environment:
  MYDOCKERNET_STATE_DIR  where the record is kept (--state-dir)
  MYDOCKERNET_POOLS      where subnets are chosen from: CIDR[/PREFIXLEN],… (10.208.0.0/12)
"""


class _Parser(argparse.ArgumentParser):
    def __init__(self, **settings: Any) -> None:
        super().__init__(
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog=EXIT_CODES,
            **settings,
        )

    def error(self, message: str) -> NoReturn:
        raise Invalid(message, hint=f"{self.prog} --help")


@dataclass(frozen=True, slots=True)
class Verb:
    """A word of the command line: its help, its arguments, what it does with them."""

    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    changes: bool = True
    takes_command: bool = False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. A user never sees a traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(words)
        sys.stdout.flush()
        return code
    except MydockernetError as error:
        return _report(error)
    except KeyboardInterrupt:
        print("mydockernet: error: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader has had enough, as `head` has; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _report(MydockernetError(str(error)))
    except Exception as error:
        if os.environ.get("MYDOCKERNET_TRACEBACK"):
            raise
        what = f"this should not have happened: {type(error).__name__}: {error}"
        return _report(MydockernetError(what, hint="MYDOCKERNET_TRACEBACK=1 shows where; please tell us"))


def _run(words: list[str]) -> int:
    top = _Parser(
        prog="mydockernet",
        usage="mydockernet [network] VERB [options] …",
        description="Container networks for one Linux host, without a daemon.\n\nverbs:\n"
        + "\n".join(f"  {name:<12}{verb.help}" for name, verb in VERBS.items() if name not in ALIASES),
    )
    top.add_argument("--version", action="version", version=f"mydockernet {__version__}")
    _common(top)
    top.add_argument("verb", metavar="VERB")
    top.add_argument("rest", nargs=argparse.REMAINDER)
    if not words:
        top.print_help(sys.stderr)
        return Invalid.exit_code
    given = top.parse_args(words)
    if given.verb == "network" and given.rest:
        given.verb, *given.rest = given.rest
    verb = VERBS.get(given.verb)
    if verb is None:
        import difflib

        near = difflib.get_close_matches(given.verb, {*VERBS} - DESTRUCTIVE, n=1)
        raise Invalid(f"there is no verb {given.verb!r}", hint=f"mydockernet {near[0] if near else '--help'}")
    parser = _Parser(prog=f"mydockernet {given.verb}", description=verb.help)
    _common(parser, default=argparse.SUPPRESS)
    if verb.changes:
        _changing(parser)
    verb.arguments(parser)
    rest, given.command = given.rest, []
    if verb.takes_command and "--" in rest:
        cut = rest.index("--")
        rest, given.command = rest[:cut], rest[cut + 1 :]
    del given.verb, given.rest
    return verb.run(parser.parse_intermixed_args(rest, given))


def _common(parser: argparse.ArgumentParser, default: Any = None) -> None:
    folder = default or os.environ.get("MYDOCKERNET_STATE_DIR") or DEFAULT_FOLDER
    parser.add_argument("--state-dir", metavar="DIR", default=folder, help=f"the record ({DEFAULT_FOLDER})")
    parser.add_argument(
        "-v", "--verbose", action="store_true", default=default or False, help="show each command as it runs"
    )


def _changing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", "--dry-run", action="store_true", help="print the plan as a shell script; change nothing")
    parser.add_argument("--exit-code", action="store_true", help="with --dry-run: exit 5 if it is not empty")
    parser.add_argument(
        "--lock-timeout", type=_seconds, default=30.0, metavar="S", help="wait that long for another (30 s)"
    )
    parser.add_argument(
        "--format",
        metavar="json",
        choices=["json"],
        help="with --dry-run: the plan as a JSON array of {why, argv, stdin}",
    )


def _seconds(word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{word!r} is not a number of seconds")
    return seconds


def _context(args: argparse.Namespace) -> Context:
    def announce(argv: Argv) -> None:
        print("+", printable(command_line(argv)), file=sys.stderr, flush=True)

    kernel = Kernel(announce=announce) if args.verbose else Kernel()
    return Context(JsonStore(Path(args.state_dir)), kernel, getattr(args, "lock_timeout", 0.0))


def _change(args: argparse.Namespace, wanted: Iterable[tuple[Result, Transition]]) -> int:
    """Make changes one by one, or print the plan of all; the exit code is the first failure's."""
    wanted = list(wanted)
    context = _context(args)
    if _dry(args):
        return _print_plan(args, actions.preview(context, [transition for _, transition in wanted]))
    codes = []
    for result, transition in wanted:
        try:
            outcome = actions.perform(context, transition)
        except MydockernetError as error:
            codes.append(_report(error))
            continue
        _tell(outcome.notes)
        codes += [_report(error) for error in outcome.left]
        if line := result(outcome):
            print(printable(line, keep="\n"), flush=True)
    return next(iter(codes), 0)


def _dry(args: argparse.Namespace) -> bool:
    """Whether it is a dry run. Raises Invalid for options that go with nothing else."""
    for option, given in (("--format", args.format), ("--exit-code", args.exit_code)):
        if given and not args.dry_run:
            raise Invalid(f"{option} goes with --dry-run")
    return bool(args.dry_run)


def _tell(notes: Iterable[str]) -> None:
    for note in notes:
        print(f"mydockernet: note: {printable(' '.join(note.split()))}", file=sys.stderr)


def _print_plan(args: argparse.Namespace, found: actions.Preview) -> int:
    _tell(found.notes)
    code = _report_all(found.errors)
    steps = script.whole(found.steps, found.record)
    if steps or not code:
        sys.stdout.write((script.as_json if args.format else script.text)(found.steps, found.record))
    return code or (CHANGES_PENDING if args.exit_code and steps else 0)


def _report(error: MydockernetError) -> int:
    for message in error.messages:
        line = printable(" ".join(message.split()))
        print(f"mydockernet: error: {line}", file=sys.stderr)
    if error.hint:
        print(f"hint: {printable(error.hint)}", file=sys.stderr)
    return error.exit_code


# create


def _create_arguments(parser: argparse.ArgumentParser) -> None:
    many: dict[str, Any] = {"action": "append", "default": []}
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("-d", "--driver", default="bridge", help="bridge")
    parser.add_argument("--subnet", metavar="CIDR", **many, help="its addresses; with host bits, its gateway too")
    parser.add_argument("--gateway", metavar="IP", **many, help="the host's address on it (the first one)")
    parser.add_argument("--ip-range", metavar="RANGE", **many, help="where to choose from: CIDR or FIRST-LAST")
    parser.add_argument("--reserve", metavar="[NAME=]IP", **many, help="an address that is never handed out")
    parser.add_argument("--ipv6", action="store_true", help="not built yet")
    parser.add_argument("--internal", action="store_true", help="nothing in from outside, nothing out")
    parser.add_argument("--no-icc", action="store_true", help="containers on it can't reach each other")
    parser.add_argument(
        "--port-security",
        action="store_true",
        help="Drop what a container sends from another MAC or IP address than its own; always on with --no-icc",
    )
    parser.add_argument("--no-masquerade", action="store_true", help="containers keep their addresses outside")
    parser.add_argument("--mtu", metavar="N", help=f"bytes a packet, {model.MTU_MIN} to {model.MTU_MAX}")
    parser.add_argument("--bridge-name", metavar="IF", help="the interface's name (the network's, where it fits)")
    parser.add_argument("--label", metavar="K[=V]", **many, help="a note for yourself and for --filter")
    parser.add_argument("--ignore", action="store_true", help="be content with an identical network")


def _create(args: argparse.Namespace) -> int:
    return _change(args, [(lambda _: args.name, transitions.create(_wish(args), args.ignore))])


def _wish(args: argparse.Namespace) -> Wish:
    """Read the values of create's options. Raises Invalid with all that is wrong with them."""
    problems = [*model.name_problems(args.name), *model.driver_problems(args.driver)]
    if args.bridge_name is not None:
        problems += model.interface_problems(args.bridge_name)
    if args.ipv6:
        problems.append(f"--ipv6: {addressing.IPV6_LATER}")
    mtu = None
    if args.mtu is not None:
        try:
            mtu = int(args.mtu)
            problems += model.mtu_problems(mtu)
        except ValueError:
            problems.append(f"--mtu: {args.mtu!r} is not a number")
    labels = _labels(args.label, problems)
    subnets: tuple[model.Subnet, ...] = ()
    pools: tuple[addressing.Pool, ...] = addressing.DEFAULT_POOLS
    try:
        subnets = addressing.read_subnets(args.subnet, args.gateway, args.ip_range, args.reserve)
    except Invalid as error:
        problems += error.messages
    if named := os.environ.get("MYDOCKERNET_POOLS"):
        try:
            pools = addressing.read_pools(named)
        except Invalid as error:
            problems += error.messages
    if problems:
        raise Invalid(*problems)
    return Wish(
        name=args.name,
        driver=args.driver,
        subnets=subnets,
        internal=args.internal,
        icc=not args.no_icc,
        masquerade=not args.no_masquerade,
        mtu=mtu,
        bridge=args.bridge_name,
        labels=labels,
        pools=pools,
        realm=_context(args).store.realm,
        port_security=args.port_security,
    )


def _labels(words: Iterable[str], problems: list[str]) -> tuple[tuple[str, str], ...]:
    labels = {}
    for word in words:
        key, _, value = word.partition("=")
        problems += model.label_problems(key, value)
        labels[key] = value
    return tuple(sorted(labels.items()))


# remove, prune


def _remove_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="+")
    parser.add_argument("-f", "--force", action="store_true", help="even with containers on it")
    parser.add_argument("--ignore", action="store_true", help="be content where there is none")


def _remove(args: argparse.Namespace) -> int:
    names = dict.fromkeys(args.names)
    return _change(args, [(_names, transitions.remove(name, args.force, args.ignore)) for name in names])


def _names(outcome: Outcome) -> str:
    return "\n".join(outcome.change.after)


def _prune_arguments(parser: argparse.ArgumentParser) -> None:
    _filter_argument(parser)


def _prune(args: argparse.Namespace) -> int:
    wanted = _filters(args.filter)
    networks, errors = survey.names(_context(args))
    if errors:
        return _report_all(errors)
    unused = [network.name for network in networks if not network.endpoints and wanted(network)]
    return _change(args, [(_names, transitions.remove(name, ignore=True)) for name in unused])


# connect, disconnect, publish, unpublish, run


def _connect_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="NETWORK")
    parser.add_argument("container", metavar="CONTAINER", help="a name of ip netns, a pid, or a path")
    _endpoint_arguments(parser)


def _endpoint_arguments(parser: argparse.ArgumentParser) -> None:
    many: dict[str, Any] = {"action": "append", "default": []}
    parser.add_argument("--ip", metavar="IP", help="its address (the next free one)")
    parser.add_argument("--ip6", metavar="IP", help="not built yet")
    parser.add_argument("--mac", metavar="MAC", help="its MAC address (02:42 and the bytes of its IPv4 address)")
    parser.add_argument("--ifname", metavar="IF", help="the interface's name in it (eth0, or the first free ethN)")
    parser.add_argument(
        "-p", "--publish", metavar="SPEC", **many, help="[HOSTIP:]HOSTPORT[-…]:PORT[-…][/PROTOCOL], HOSTIP::PORT, PORT"
    )
    parser.add_argument("--label", metavar="K[=V]", **many, help="a note for yourself")
    parser.add_argument("--no-default-route", action="store_true", help="not its way to the outside")
    parser.add_argument("--name", metavar="NAME", help="what it is called here (as given)")


def _connect(args: argparse.Namespace) -> int:
    wish = _connection(args, args.name or "", model.Namespace(""))

    def result(outcome: Outcome) -> str:
        _tell_chosen(outcome, wish.publish)
        return _address(outcome)

    return _change(args, [(result, transitions.connect_word(args.network, wish, args.container))])


def _address(outcome: Outcome) -> str:
    """The first address of the endpoint that is new."""
    before = [(network.name, e) for network, e in plan.endpoints(outcome.change.before.values())]
    after = plan.endpoints(outcome.change.after.values())
    return next((str(e.addresses[0]) for network, e in after if (network.name, e) not in before), "")


def _connection(args: argparse.Namespace, name: str, namespace: model.Namespace) -> Connection:
    """Read the values of connect's options. Raises Invalid with all that is wrong with them."""
    problems: list[str] = []
    if args.ip6:
        problems.append(f"--ip6: {addressing.IPV6_LATER}")
    ip = None
    if args.ip is not None:
        try:
            ip = addressing.read_address(args.ip)
        except ValueError as error:
            problems.append(f"--ip: {error}")
    mac = args.mac.lower().replace("-", ":") if args.mac is not None else None
    if mac is not None:
        problems += model.mac_problems(mac)
    if args.ifname is not None:
        problems += model.interface_problems(args.ifname, "--ifname")
    if args.name is not None:
        problems += model.name_problems(args.name, "--name")
    labels = _labels(args.label, problems)
    publish: tuple[ports.PortWish, ...] = ()
    try:
        publish = ports.read_specs(args.publish, "--publish")
    except Invalid as error:
        problems += error.messages
    if problems:
        raise Invalid(*problems)
    return Connection(
        name=name,
        namespace=namespace,
        ip=ip,
        mac=mac,
        interface=args.ifname,
        publish=publish,
        labels=labels,
        default_route=not args.no_default_route,
    )


def _disconnect_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="NETWORK")
    parser.add_argument("container", metavar="CONTAINER", help="its name here, or what connect was told")
    parser.add_argument("-f", "--force", action="store_true", help="be content where it is not connected")


def _disconnect(args: argparse.Namespace) -> int:
    return _change(args, [(_nothing, transitions.disconnect(args.network, args.container, args.force))])


def _nothing(_: Outcome) -> str:
    return ""


def _publish_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="NETWORK")
    parser.add_argument("container", metavar="CONTAINER", help="its name here, or what connect was told")
    parser.add_argument(
        "specs", metavar="SPEC", nargs="+", help="[HOSTIP:]HOSTPORT[-…]:PORT[-…][/tcp|udp|sctp] or PORT"
    )


def _publish(args: argparse.Namespace) -> int:
    wishes = ports.read_specs(args.specs, "SPEC")

    def result(outcome: Outcome) -> str:
        """The host's side of each new mapping, ready to be asked: 0.0.0.0:8080."""
        _tell_chosen(outcome, wishes)
        return "\n".join(f"{mapping.host_ip or '0.0.0.0'}:{mapping.host_ports}" for mapping in _published(outcome))

    return _change(args, [(result, transitions.publish(args.network, args.container, wishes))])


def _published(outcome: Outcome) -> list[model.PortMapping]:
    """The new mappings."""
    change = outcome.change
    before = {(network.name, e.name): e.ports for network, e in plan.endpoints(change.before.values())}
    return [
        mapping
        for network, endpoint in plan.endpoints(change.after.values())
        for mapping in endpoint.ports
        if mapping not in before.get((network.name, endpoint.name), ())
    ]


def _tell_chosen(outcome: Outcome, wishes: Iterable[ports.PortWish]) -> None:
    """Say which ports of the host were chosen, where that was left open."""
    chosen = [
        m
        for m in _published(outcome)
        if any(
            wish.chooses and m.container_ports == wish.container_ports and m.protocol == wish.protocol
            for wish in wishes
        )
    ]
    _tell(f"published {line}" for line in ports.shown(chosen))


def _port_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="NETWORK")
    parser.add_argument("container", metavar="CONTAINER", help="its name here, or what connect was told")
    parser.add_argument("port", metavar="PORT[/PROTOCOL]", nargs="?", help="Print only where this port is published")


def _port(args: argparse.Namespace) -> int:
    inner = ports.read_inner(args.port) if args.port else None
    intent, errors = _context(args).store.load_each()
    if errors and args.network not in intent:
        return _report_all([*errors, transitions.no_network(args.network)])
    network = transitions.find_network(intent, args.network)
    endpoint = transitions.find_endpoint(network, args.container)
    lines = [*ports.shown(endpoint.ports, inner)]
    if inner and not lines:
        what = f"{inner[0]}/{inner[1]} is not published by {endpoint.name} on the network {network.name}"
        raise NotFound(what, hint=f"mydockernet port {network.name} {endpoint.name} shows what is")
    if endpoint.detached:
        _tell([f"{endpoint.name} is detached: its ports are kept for it, and nothing answers there now"])
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _unpublish(args: argparse.Namespace) -> int:
    wishes = ports.read_specs(args.specs, "SPEC")
    return _change(args, [(_nothing, transitions.unpublish(args.network, args.container, wishes))])


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="NETWORK")
    _endpoint_arguments(parser)
    parser.usage = "mydockernet run [options] NETWORK -- COMMAND…"


def _run_command(args: argparse.Namespace) -> int:
    if not args.command:
        raise Invalid("there is no command to run", hint="mydockernet run NETWORK -- COMMAND…")
    name = args.name or f"run-{os.getpid()}"
    wish = _connection(args, name, namespaces.own(name))
    context = _context(args)
    if _dry(args):
        return _print_plan(args, running.preview(context, args.network, wish, args.command))
    return running.run(context, args.network, wish, args.command)


# check, repair


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="*", help="a network (all)")
    parser.add_argument("--format", default="text", choices=["text", "json"], help="json: one object a line")
    parser.add_argument("--lock-timeout", type=_seconds, default=30.0, metavar="S", help="wait that long (30 s)")


def _check(args: argparse.Namespace) -> int:
    context = _context(args)
    found = actions.audit(context, Scope(tuple(args.names), context.store.realm))
    _tell(found.notes)
    sys.stdout.write(_drifts(found.drifts, args.format == "json"))
    return _report_all(found.errors) or (DRIFTED if found.drifts else 0)


def _drifts(drifts: Iterable[Drift], as_json: bool) -> str:
    if not as_json:
        return "".join(f"{printable(str(drift))}\n" for drift in drifts)
    from mydockernet import views

    return views.json_lines({"Network": d.owner, "State": d.state, "What": d.what} for d in drifts)


def _repair_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="*", help="a network (all)")


def _repair(args: argparse.Namespace) -> int:
    scope = Scope(tuple(args.names), _context(args).store.realm)
    return _change(args, [(_mended, transitions.repair(scope))])


def _mended(outcome: Outcome) -> str:
    return "\n".join(map(str, outcome.mended))


# rules, explain


def _rules_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="*", help="a network (all); what networks share is always shown")
    parser.add_argument("--format", default="table", metavar="table|json|TEMPLATE", help="as in {{.Owner}}\\t{{.Rule}}")


def _rules(args: argparse.Namespace) -> int:
    from mydockernet import views

    render = _template(args.format)
    found = _survey(args)
    known = {shown.network.name: shown.network.owner for shown in found.networks}
    unknown = [transitions.no_network(name) for name in args.names if name not in known]
    owners = {SHARED, *(known[name] for name in args.names if name in known)}
    records = [views.rule_record(rule) for rule in found.rules if not args.names or rule.owner in owners]
    if render is not None:
        sys.stdout.write("".join(map(render, records)))
    elif args.format == "json":
        sys.stdout.write(views.json_lines(records))
    else:
        sys.stdout.write(views.rules_table(records, _width()))
    return _report_all([*found.errors, *unknown])


def _explain_arguments(parser: argparse.ArgumentParser) -> None:
    ends = "a container, host, or an address"
    parser.add_argument("source", metavar="FROM", help=ends)
    parser.add_argument("target", metavar="TO[:PORT[/PROTOCOL]]", help=ends)
    parser.add_argument("--format", default="text", choices=["text", "json"], help="json: one object a line")


def _explain(args: argparse.Namespace) -> int:
    from mydockernet import views
    from mydockernet.packets import explain
    from mydockernet.packets.hops import STOPS

    found, unread = explain.answer(_context(args), args.source, args.target)
    _tell(f"can't be read: {why}; taken as absent" for why in unread)
    sys.stdout.write(views.json_lines(views.hop_records(found)) if args.format == "json" else views.hops(found))
    return DRIFTED if found[-1].state == STOPS else 0


# who, doctor


def _who_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words",
        metavar="WORD",
        nargs="+",
        help="an address, PORT[/PROTOCOL], an interface, a MAC, [TABLE/]CHAIN/NUMBER",
    )


def _who(args: argparse.Namespace) -> int:
    from mydockernet import who

    context = _context(args)
    intent, errors = context.store.load_each()
    seen = context.kernel.observe_sockets(context.kernel.observe(lenient=True))
    unknown = []
    for word in args.words:
        found = who.owners(word, intent, seen)
        sys.stdout.write("".join(printable(f"{word}: {owner}") + "\n" for owner in found))
        if not found:
            unknown.append(NotFound(f"{word!r} is nobody's here"))
    return _report_all([*errors, *unknown])


def _doctor_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", default="text", choices=["text", "json"], help="json: one object a line")


def _doctor(args: argparse.Namespace) -> int:
    from mydockernet import doctor, views

    found, unread, errors = doctor.examine(_context(args))
    _tell(f"can't be read: {why}; taken as absent" for why in unread)
    sys.stdout.write(views.json_lines(views.finding_records(found)) if args.format == "json" else views.findings(found))
    problems = any(finding.kind == doctor.PROBLEM for finding in found)
    return _report_all(errors) or (DRIFTED if problems else 0)


# list, inspect


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="the names alone")
    _filter_argument(parser)
    parser.add_argument("--format", default="table", metavar="table|json|TEMPLATE", help="as in {{.Name}}\\t{{.State}}")
    parser.add_argument("--no-trunc", action="store_true", help="cut nothing short in a terminal")


def _list(args: argparse.Namespace) -> int:
    from mydockernet import views

    wanted = _filters(args.filter)
    render = _template(args.format)
    if args.quiet:
        networks, errors = survey.names(_context(args))
        sys.stdout.write(views.network_values(filter(wanted, networks)))
    else:
        found = _survey(args)
        errors = found.errors
        records = [views.list_record(each) for each in found.networks if wanted(each.network)]
        if render is not None:
            sys.stdout.write("".join(map(render, records)))
        elif args.format == "json":
            sys.stdout.write(views.json_lines(records))
        else:
            sys.stdout.write(views.list_table(records, _width(), not args.no_trunc))
    return _report_all(errors)


def _inspect_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="+")
    parser.add_argument("-f", "--format", default="json", metavar="json|table|TEMPLATE", help="json")


def _inspect(args: argparse.Namespace) -> int:
    from mydockernet import views

    render = _template(args.format)
    found = _survey(args, inside=args.names)
    by_name = {each.network.name: each for each in found.networks}
    unknown = [transitions.no_network(name) for name in args.names if name not in by_name]
    records = [views.inspect_record(by_name[name]) for name in args.names if name in by_name]
    if render is not None:
        sys.stdout.write("".join(map(render, records)))
    elif args.format == "json":
        sys.stdout.write(views.json_array(records))
    else:
        sys.stdout.write("\n".join(views.inspect_tables(record, _width()) for record in records))
    # A broken file matters here only where it could be the one that was asked for.
    return _report_all([*found.errors, *unknown] if unknown else [])


def _survey(args: argparse.Namespace, inside: Sequence[str] = ()) -> Survey:
    found = survey.survey(_context(args), inside)
    _tell(found.notes)
    return found


def _report_all(errors: Iterable[MydockernetError]) -> int:
    return next(iter([_report(error) for error in errors]), 0)


def _template(text: str) -> Callable[[dict[str, Any]], str] | None:
    if text in ("json", "table"):
        return None
    from mydockernet import views

    return views.template(text)


def _width() -> int | None:
    if not sys.stdout.isatty():
        return None
    return os.get_terminal_size(sys.stdout.fileno()).columns or 80  # A terminal that does not know.


def _filter_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f",
        "--filter",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="name=, driver= or label=K[=V]",
    )


def _filters(words: Sequence[str]) -> Callable[[model.Network], bool]:
    """Networks that match every key given; of several values of one key, any. A name matches in part, as docker's."""
    problems = []
    wanted: dict[str, list[str]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if key not in ("name", "driver", "label") or not equals or not value:
            problems.append(f"--filter: {word!r} is not name=, driver= or label= with a value")
        wanted.setdefault(key, []).append(value)
    if problems:
        raise Invalid(*problems)

    def matches(network: model.Network) -> bool:
        labels = {form for key, value in network.labels for form in (key, f"{key}={value}")}
        return (
            ("name" not in wanted or any(part in network.name for part in wanted["name"]))
            and ("driver" not in wanted or network.driver in wanted["driver"])
            and set(wanted.get("label", ())) <= labels
        )

    return matches


VERBS = {
    "create": Verb("make a network; prints its name", _create_arguments, _create),
    "list": Verb("show the networks", _list_arguments, _list, changes=False),
    "inspect": Verb("show all of a network, as JSON", _inspect_arguments, _inspect, changes=False),
    "remove": Verb("take networks away", _remove_arguments, _remove),
    "prune": Verb("take away networks with no container; prints their names", _prune_arguments, _prune),
    "connect": Verb("put a container on a network; prints its address", _connect_arguments, _connect),
    "disconnect": Verb("take a container off a network", _disconnect_arguments, _disconnect),
    "publish": Verb("lead ports of the host to a container; prints them", _publish_arguments, _publish),
    "unpublish": Verb("end that", _publish_arguments, _unpublish),
    "port": Verb("List the published ports of a container", _port_arguments, _port, changes=False),
    "run": Verb("run a command in a namespace of its own", _run_arguments, _run_command, takes_command=True),
    "check": Verb("say what has drifted from the record; then exit 5", _check_arguments, _check, changes=False),
    "repair": Verb("make it true again; prints what was not", _repair_arguments, _repair),
    "rules": Verb("list the rules, each with its owner, reason and counters", _rules_arguments, _rules, changes=False),
    "who": Verb("say whose an address, a port, an interface or a rule is", _who_arguments, _who, changes=False),
    "explain": Verb(
        "trace a packet and name the rule that drops it, with a fix", _explain_arguments, _explain, changes=False
    ),
    "doctor": Verb(
        "check the host for common problems, with evidence and a fix", _doctor_arguments, _doctor, changes=False
    ),
}
ALIASES = {"ls": "list", "rm": "remove"}
VERBS |= {alias: VERBS[name] for alias, name in ALIASES.items()}
