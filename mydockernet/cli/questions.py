"""The verbs that answer questions: explain, who, doctor."""

import argparse
import sys

from mydockernet.cli.options import example
from mydockernet.cli.values import context_of
from mydockernet.errors import NotFound, printable
from mydockernet.messages import DRIFTED, report_all, tell

TWO_CONTAINERS = (
    *("ip netns add c1", "ip netns add c2", "mydockernet create web"),
    *("mydockernet connect web c1", "mydockernet connect web c2"),
)


def explain_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `explain`."""
    ends = "Container, IP address, or the word host"
    parser.add_argument("source", metavar="FROM", help=ends)
    parser.add_argument("target", metavar="TO[:PORT[/PROTOCOL]]", help=ends)
    example(parser, *TWO_CONTAINERS, "mydockernet explain c1 c2")
    parser.add_argument(
        "--format",
        default="text",
        choices=["text", "json"],
        help="Output format; json prints one object per line (default: text)",
    )


def run_explain(args: argparse.Namespace) -> int:
    """Run `explain` and return the exit code."""
    from mydockernet.cli import views
    from mydockernet.packets import explain
    from mydockernet.packets.hops import STOPS

    found, unread = explain.answer(context_of(args), args.source, args.target)
    tell(f"cannot read everything: {why}; assumed absent" for why in unread)
    sys.stdout.write(views.json_lines(views.hop_records(found)) if args.format == "json" else views.hops(found))
    return DRIFTED if found[-1].state == STOPS else 0


def who_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `who`."""
    parser.add_argument(
        "words",
        metavar="WORD",
        nargs="+",
        help="IP address, PORT[/PROTOCOL], interface, MAC address, or rule as [ip6tables/][TABLE/]CHAIN/NUMBER or "
        "nft/CHAIN/NUMBER, or key of an element of nftables",
    )
    example(parser, "mydockernet create web --subnet 10.1.0.0/24", "mydockernet who 10.1.0.1 web FORWARD/1")


def run_who(args: argparse.Namespace) -> int:
    """Run `who` and return the exit code."""
    from mydockernet.reports import who

    context = context_of(args)
    intent, errors = context.store.load_each()
    seen = context.kernel.observe_all_rules(context.kernel.observe(), lenient=True)
    seen = context.kernel.observe_sockets(seen)
    unknown = []
    for word in args.words:
        found = who.owners(word, intent, seen)
        sys.stdout.write("".join(printable(f"{word}: {owner}") + "\n" for owner in found))
        if not found:
            unknown.append(NotFound(f"nothing here owns {word!r}"))
    return report_all([*errors, *unknown])


def doctor_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `doctor`."""
    example(parser, "mydockernet doctor")
    parser.add_argument(
        "--format",
        default="text",
        choices=["text", "json"],
        help="Output format; json prints one object per line (default: text)",
    )


def run_doctor(args: argparse.Namespace) -> int:
    """Run `doctor` and return the exit code."""
    from mydockernet.cli import views
    from mydockernet.reports import doctor

    found, unread, errors = doctor.examine(context_of(args))
    tell(f"cannot read everything: {why}; assumed absent" for why in unread)
    sys.stdout.write(views.json_lines(views.finding_records(found)) if args.format == "json" else views.findings(found))
    problems = any(finding.kind == doctor.PROBLEM for finding in found)
    return report_all(errors) or (DRIFTED if problems else 0)
