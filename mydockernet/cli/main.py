"""The program: its verbs, each in a module of its own family, and what becomes of an error."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from mydockernet import __version__
from mydockernet.cli.messages import report
from mydockernet.cli.options import changing_options, common_options
from mydockernet.errors import Invalid, MydockernetError
from mydockernet.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

# Never guessed: a hint may be typed without a second thought.
DESTRUCTIVE = {"remove", "rm", "prune", "disconnect", "unpublish"}

EXIT_CODES = """\
exit codes:
  0 done · 1 failed and rolled back · 2 wrong usage or invalid value · 3 no such network or container
  4 conflict · 5 check found drift, or --dry-run --exit-code has changes pending · 6 the lock is held
environment:
  MYDOCKERNET_STATE_DIR  the state folder (--state-dir)
  MYDOCKERNET_POOLS      the pools of subnets: CIDR[/PREFIXLEN],… (default: 10.208.0.0/12)
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


class Verb(Value):
    """A word of the command line: the module that has its arguments and its run, loaded on use, and its help."""

    module: str
    help: str
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
        return report(error)
    except KeyboardInterrupt:
        print("mydockernet: error: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader has had enough, as `head` has; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return report(MydockernetError(str(error)))
    except Exception as error:
        if os.environ.get("MYDOCKERNET_TRACEBACK"):
            raise
        what = f"this should not have happened: {type(error).__name__}: {error}"
        return report(MydockernetError(what, hint="MYDOCKERNET_TRACEBACK=1 shows where; please tell us"))


def _run(words: list[str]) -> int:
    top = _Parser(
        prog="mydockernet",
        usage="mydockernet [network] VERB [options] …",
        description="Container networks for one Linux host, without a daemon.\n\nverbs:\n"
        + "\n".join(f"  {name:<12}{verb.help}" for name, verb in VERBS.items() if name not in ALIASES),
    )
    top.add_argument("-V", "--version", action="version", version=f"mydockernet {__version__}")
    common_options(top)
    for name, nargs in (("verb", None), ("rest", argparse.REMAINDER)):
        top.add_argument(name, nargs=nargs, help=argparse.SUPPRESS).required = False
    if not words:
        top.print_help(sys.stderr)
        return Invalid.exit_code
    given, unknown = top.parse_known_args(words)
    _refuse(unknown, top.prog)
    if given.verb is None:
        raise Invalid("no verb is given", hint="mydockernet --help")
    # As docker's fingers have it: `network ls`, `help ls`, `version`.
    if given.verb == "network":
        given.verb, *given.rest = given.rest or ["help"]
    if given.verb in ("help", "-h", "--help"):
        given.verb, given.rest = given.rest[0] if given.rest else "", ["--help"]
    if given.verb == "version":
        print(f"mydockernet {__version__}")
        return 0
    if not given.verb:
        top.print_help()
        return 0
    verb = VERBS.get(given.verb)
    if verb is None:
        import difflib

        near = difflib.get_close_matches(given.verb, {*VERBS} - DESTRUCTIVE, n=1)
        raise Invalid(f"there is no verb {given.verb!r}", hint=f"mydockernet {near[0] if near else '--help'}")
    parser = _Parser(prog=f"mydockernet {given.verb}", description=verb.help)
    common_options(parser, default=argparse.SUPPRESS)
    if verb.changes:
        changing_options(parser)
    name = ALIASES.get(given.verb, given.verb)
    room = __import__(f"mydockernet.cli.{verb.module}", fromlist=[name])
    getattr(room, f"{ARGUMENTS.get(name, name)}_arguments")(parser)
    rest, given.command = given.rest, []
    if verb.takes_command and not {"--", "-h", "--help"} & {*rest}:
        raise Invalid("the command must follow --", hint=f"mydockernet {name} NETWORK [options] -- COMMAND…")
    if verb.takes_command and "--" in rest:
        cut = rest.index("--")
        rest, given.command = rest[:cut], rest[cut + 1 :]
    del given.verb, given.rest
    given, unknown = parser.parse_known_intermixed_args(rest, given)
    _refuse(unknown, parser.prog)
    code: int = getattr(room, f"run_{name}")(given)
    return code


def _refuse(words: Sequence[str], prog: str) -> None:
    """Raise Invalid for words that no verb takes. Of the words behind an unknown option, any may be its value."""
    options = [word.partition("=")[0] for word in words if word.startswith("-")]
    if words:
        messages = [f"unknown option: {option}" for option in options] or [f"unexpected argument: {' '.join(words)}"]
        raise Invalid(*messages, hint=f"{prog} --help")


VERBS = {
    "create": Verb("networks", "Create a network and print its name"),
    "list": Verb("listing", "List networks", changes=False),
    "inspect": Verb("listing", "Show everything about a network, as JSON", changes=False),
    "remove": Verb("networks", "Remove networks"),
    "prune": Verb("networks", "Remove networks that no container is on, and print their names"),
    "connect": Verb("containers", "Connect a container to a network and print its address"),
    "disconnect": Verb("containers", "Disconnect a container from a network"),
    "publish": Verb("containers", "Publish host ports to a container, and print them"),
    "unpublish": Verb("containers", "Stop publishing ports"),
    "port": Verb("containers", "List the published ports of a container", changes=False),
    "run": Verb("containers", "Run a command in a network namespace of its own", takes_command=True),
    "check": Verb("upkeep", "Report what differs from the record, and exit with 5 if anything does", changes=False),
    "repair": Verb("upkeep", "Repair what differs from the record, and print what did"),
    "rules": Verb("listing", "List the rules, each with its owner, reason and counters", changes=False),
    "who": Verb("questions", "Tell what owns an address, a port, an interface or a rule", changes=False),
    "explain": Verb("questions", "Trace a packet and name the rule that drops it, with a fix", changes=False),
    "doctor": Verb("questions", "Check the host for common problems, with evidence and a fix", changes=False),
}
# Takes the same arguments as another one.
ARGUMENTS = {"unpublish": "publish"}
ALIASES = {"ls": "list", "rm": "remove"}
VERBS |= {alias: VERBS[name] for alias, name in ALIASES.items()}
