"""The entry point: find the verb, load the module of its family, run it, and report errors."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from mydockernet import __version__, defaults
from mydockernet.cli.options import changing_options, common_options, help_option
from mydockernet.errors import Invalid, MydockernetError
from mydockernet.messages import report
from mydockernet.process import leave, open_streams
from mydockernet.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

# Never suggested: a hint may be pasted without a second look.
DESTRUCTIVE = {"remove", "rm", "prune", "disconnect", "unpublish"}

VERSION = f"mydockernet {__version__}"
STATUSES = {
    0: "done",
    1: "failed and rolled back",
    2: "wrong usage or invalid value",
    3: "no such network or container",
    4: "conflict",
    5: "check found drift, explain or doctor found a problem, or --dry-run --exit-code found changes pending",
    6: "the lock is held",
}
VARIABLES = {
    "MYDOCKERNET_STATE_DIR": "default of --state-dir",
    "MYDOCKERNET_FIREWALL": "firewall of the first network: iptables or nftables (default: iptables, if installed)",
    "MYDOCKERNET_POOLS": "pools that subnets are chosen from: CIDR[/PREFIXLEN],… (default: 10.208.0.0/12)",
    "MYDOCKERNET_MTU": "default of --mtu",
    "MYDOCKERNET_CONFIG": f"file that has defaults of the others, as lines KEY=VALUE (default: {defaults.FILE})",
}
EXIT_CODES = "\n".join(
    (
        "exit codes:",
        *("  " + " · ".join(f"{n} {STATUSES[n]}" for n in line) for line in ((0, 1, 2, 3), (4, 5), (6,))),
        "environment:",
        *(f"  {name:<23}{text}" for name, text in VARIABLES.items()),
        "",
    )
)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Its base loads shutil for each parser, only to know how wide the terminal is: that takes 5 ms of every verb."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    """Return the width of the terminal, as shutil.get_terminal_size does."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):
        return 80


class _Parser(argparse.ArgumentParser):
    def __init__(self, helps: bool = True, **settings: Any) -> None:
        super().__init__(
            add_help=False,
            allow_abbrev=False,
            formatter_class=_Formatter,
            epilog=EXIT_CODES,
            **settings,
        )
        if helps:
            help_option(self)

    def error(self, message: str) -> NoReturn:
        raise Invalid(message, hint=f"{self.prog} --help")


class Verb(Value):
    """A verb: the module that declares its arguments and runs it, which is loaded on use, and its help.

    One that `takes_command` takes words of another program behind --, which it needs unless they are `optional`.
    The words of one that `takes_rule` are not options after the first two, an action and a name.

    Those that make changes have --dry-run, and --save-plan if it `saves` them. One that `takes_lines` reads more verbs.
    """

    module: str
    help: str
    changes: bool = True
    takes_command: bool = False
    optional: bool = False
    takes_rule: bool = False
    saves: bool = True
    takes_lines: bool = False


def program() -> NoReturn:
    """Run the command line and end the process."""
    open_streams()
    leave(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code. A user never sees a traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(words)
        sys.stdout.flush()
        return code
    except MydockernetError as error:
        return report(error)
    except KeyboardInterrupt:
        print("mydockernet: error: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader has closed the pipe, as `head` does; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return report(MydockernetError(str(error)))
    except Exception as error:
        if os.environ.get("MYDOCKERNET_TRACEBACK"):
            raise
        what = f"internal error: {type(error).__name__}: {error}"
        return report(MydockernetError(what, hint="please report it, with the output of MYDOCKERNET_TRACEBACK=1"))


def _run(words: list[str]) -> int:
    top = _top(
        "\n\nverbs:\n"
        + "\n".join(f"  {name:<12}{verb.help}" for name, verb in VERBS.items() if name not in ALIASES)
        + "\n\n'mydockernet VERB --help' has the options of a verb, and an example."
    )
    for name, nargs in (("verb", None), ("rest", argparse.REMAINDER)):
        top.add_argument(name, nargs=nargs, help=argparse.SUPPRESS).required = False
    if not words:
        top.print_help(sys.stderr)
        return Invalid.exit_code
    given, unknown = top.parse_known_args(words, argparse.Namespace(typed=tuple(words)))
    # As docker's users type it: `network ls`, `help ls`, `version`.
    if given.verb == "network" and not unknown:
        again, given.verb, given.rest = given.rest or ["help"], None, []
        given, unknown = top.parse_known_args(again, given)
    _refuse(unknown, top.prog)
    if given.verb is None:
        raise Invalid("no verb is given", hint="mydockernet --help")
    if given.verb == "version":
        print(VERSION)
        return 0
    if given.verb == "help":
        given.verb, given.rest = given.rest[0] if given.rest else "help", ["--help"]
    if given.verb in ("help", "network"):
        top.print_help()
        return 0
    verb = VERBS.get(given.verb)
    if verb is None:
        import difflib

        near = difflib.get_close_matches(given.verb, {*VERBS} - DESTRUCTIVE, n=1)
        raise Invalid(f"there is no verb {given.verb!r}", hint=f"mydockernet {near[0] if near else '--help'}")
    parser = _Parser(prog=f"mydockernet {given.verb}", description=verb.help)
    run = _declare_all(given.verb, parser)
    name = given.verb
    rest, given.command = given.rest, []
    if verb.takes_command and not verb.optional and not {"--", "-h", "--help"} & {*rest}:
        raise Invalid(
            "-- is missing: the command must follow --", hint=f"mydockernet {name} NETWORK [options] -- COMMAND…"
        )
    if verb.takes_command and "--" in rest:
        cut = rest.index("--")
        rest, given.command = rest[:cut], rest[cut + 1 :]
    if verb.takes_rule and (actions := [n for n, word in enumerate(rest) if word in ("add", "remove")]):
        rest, given.command = rest[: actions[0] + 2], rest[actions[0] + 2 :]
        given.command = given.command[given.command[:1] == ["--"] :]
    del given.verb, given.rest
    given, unknown = parser.parse_known_intermixed_args(rest, given)
    _refuse(unknown, parser.prog)
    if verb.takes_lines:
        given.read_line = _line_reader(given)
    return run(given)


def whole() -> argparse.ArgumentParser:
    """Return the parser of the whole command line, from which completion and manual pages are generated."""
    top = _top()
    verbs = top.add_subparsers(metavar="VERB", dest="verb", parser_class=_Parser)
    for name, verb in VERBS.items():
        _declare_all(name, verbs.add_parser(name, prog=f"mydockernet {name}", description=verb.help, help=verb.help))
    return top


def _top(more: str = "") -> _Parser:
    """Return the parser of what stands before the verb."""
    top = _Parser(
        prog="mydockernet",
        usage="mydockernet [network] VERB [options] …",
        description=f"Container networks for one Linux host, without a daemon.{more}",
    )
    top.add_argument("-V", "--version", action="version", version=VERSION, help="Print the version and exit")
    common_options(top)
    return top


def _declare_all(word: str, parser: _Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments of a verb and those of every verb, and return the function that runs it."""
    common_options(parser, default=argparse.SUPPRESS)
    verb = VERBS[word]
    if verb.changes:
        changing_options(parser, verb.saves)
    return _declare(word, parser)


def _declare(word: str, parser: _Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments of a verb, and return the function that runs it."""
    name = ALIASES.get(word, word).replace("-", "_")
    room = __import__(f"mydockernet.cli.{VERBS[word].module}", fromlist=[name])
    getattr(room, f"{name}_arguments")(parser)
    run: Callable[[argparse.Namespace], int] = getattr(room, f"run_{name}")
    return run


def _line_reader(shared: argparse.Namespace) -> Callable[[str, Sequence[str]], tuple[Any, argparse.Namespace]]:
    """Return a function that reads a verb and its words: what runs it, and its arguments. It raises Invalid.

    The options of every verb are those that are `shared`.
    """
    known: dict[str, tuple[Any, _Parser]] = {}

    def read(word: str, words: Sequence[str]) -> tuple[Any, argparse.Namespace]:
        if word not in known:
            parser = _Parser(helps=False, prog=f"mydockernet {word}", description=VERBS[word].help)
            known[word] = _declare(word, parser), parser
        run, parser = known[word]
        given, unknown = parser.parse_known_intermixed_args(words, argparse.Namespace(**vars(shared)))
        _refuse(unknown, parser.prog)
        return run, given

    return read


def _refuse(words: Sequence[str], prog: str) -> None:
    """Raise Invalid for words that no verb takes. Of the words behind an unknown option, any may be its value."""
    options = [word.partition("=")[0] for word in words if word.startswith("-")]
    if words:
        messages = [f"unknown option: {option}" for option in options] or [f"unexpected argument: {' '.join(words)}"]
        raise Invalid(*messages, hint=f"{prog} --help")


VERBS = {
    "create": Verb("networks", "Create a network and print its name"),
    "list": Verb("listing", "List networks", changes=False),
    "ps": Verb("listing", "List containers with their networks, addresses and ports", changes=False),
    "inspect": Verb("listing", "Show everything about a network, as JSON", changes=False),
    "remove": Verb("networks", "Remove networks"),
    "prune": Verb("networks", "Remove all networks without containers, and print their names"),
    "connect": Verb("containers", "Connect a container to networks and print its addresses"),
    "disconnect": Verb("containers", "Disconnect a container from networks"),
    "publish": Verb("publishing", "Publish host ports to a container"),
    "unpublish": Verb("publishing", "Stop publishing ports"),
    "port": Verb("publishing", "List the published ports of a container", changes=False),
    "run": Verb("containers", "Run a command in a new network namespace on networks", takes_command=True, saves=False),
    "migrate": Verb("setting", "Move the rules of all networks to another firewall"),
    "set": Verb("setting", "Change values of a network, or of a container on it, that is in use"),
    "apply": Verb("applying", "Make networks and containers what files declare, all at once"),
    "confirm": Verb("applying", "Confirm what apply --confirm made, which is rolled back otherwise", changes=False),
    "down": Verb("applying", "Remove what files declare, all at once"),
    "export": Verb("exporting", "Write networks and their containers as a file for apply", changes=False),
    "import": Verb(
        "exporting", "Turn networks of docker, podman, CNI or a script into a file for apply", changes=False
    ),
    "check": Verb("upkeep", "Report drift: what in the kernel differs from the record", changes=False),
    "repair": Verb("upkeep", "Repair drift and print what was repaired"),
    "history": Verb("past", "List the changes that were made, or show one with its commands", changes=False),
    "undo": Verb("past", "Undo a change: go back to the values before it"),
    "apply-plan": Verb("plans", "Make the change of a plan file, or refuse if anything has changed since", saves=False),
    "batch": Verb("plans", "Make the changes of many command lines together: all of them or none", takes_lines=True),
    "user-rules": Verb("user_rules", "Add, remove or list rules of the admin that are kept on record", takes_rule=True),
    "stats": Verb("watching", "Show how much networks and containers receive and send, live", changes=False),
    "events": Verb("watching", "Print what changes, as it changes, and who changed it", changes=False),
    "capture": Verb(
        "watching",
        "Run tcpdump where the packets of a network or a container pass",
        False,
        takes_command=True,
        optional=True,
    ),
    "topology": Verb("drawing", "Draw networks, containers and published ports, and who reaches whom", changes=False),
    "metrics": Verb("drawing", "Print metrics of networks and containers for Prometheus", changes=False),
    "rules": Verb("listing", "List iptables rules with their owner, counters and reason", changes=False),
    "who": Verb("questions", "Show what owns an address, a port, an interface or a rule", changes=False),
    "explain": Verb("questions", "Trace a packet and name the rule that drops it, with a fix", changes=False),
    "doctor": Verb("questions", "Check the host for common problems, and suggest fixes", changes=False),
    "engines": Verb("engines", "Install the plugins by which container engines use mydockernet", saves=False),
    "cni": Verb("engines", "Run the command that CNI_COMMAND names, for a container", changes=False),
    "netavark": Verb("engines", "Answer podman's netavark: create, setup, teardown, info", changes=False),
    "oci-hook": Verb("engines", "Connect the container whose state a runtime writes to stdin", changes=False),
}
ALIASES = {"ls": "list", "rm": "remove"}
VERBS |= {alias: VERBS[name] for alias, name in ALIASES.items()}
