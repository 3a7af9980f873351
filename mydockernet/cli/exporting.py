"""The verbs that write files for `apply`: export, from the record; import, from the files of other programs."""

import argparse
import sys

from mydockernet.cli.options import example
from mydockernet.cli.values import name_of, read_file, store_of
from mydockernet.errors import Invalid, no_network, placed
from mydockernet.messages import report_all, tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mydockernet.fronts.manifest_format import Document

# More than any of the files has that are imported, in bytes.
SIZE_MAX = 8 * 1024 * 1024


def export_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `export`."""
    parser.add_argument("names", metavar="NETWORK", nargs="*", help="Network to write (default: all)")
    _format_argument(parser)
    example(parser, "mydockernet create web", "mydockernet export web")


def _format_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format", choices=("yaml", "json"), default="yaml", help="Format of the file: yaml (default) or json"
    )


def run_export(args: argparse.Namespace) -> int:
    """Run `export` and return the exit code."""
    from mydockernet.fronts import manifest_format

    networks, errors = store_of(args).load_each()
    names = list(dict.fromkeys(args.names)) or sorted(networks)
    unknown = [no_network(name) for name in names if name not in networks]
    # A file that is only a part of what was asked for would be taken for all of it.
    if unknown or (errors and not args.names):
        return report_all([*errors, *unknown])
    return _print(args, manifest_format.document(networks[name] for name in names))


def _print(args: argparse.Namespace, document: "Document") -> int:
    """Print a file, and its notes to stderr; returns the exit code."""
    from mydockernet.fronts import yaml_text

    tell(document.notes)
    sys.stdout.write((yaml_text.write_json if args.format == "json" else yaml_text.write)(document.tree))
    return 0


def import_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `import`."""
    parser.add_argument(
        "source",
        metavar="docker|podman|cni|shell",
        choices=("docker", "podman", "cni", "shell"),
        help="What the file is: the output of docker network inspect or podman network inspect, a file of podman or "
        "CNI, or a script of ip and iptables commands, which is read but not run",
    )
    parser.add_argument("file", metavar="FILE", help="File to read; - is stdin")
    _format_argument(parser)
    example(parser, """echo '[{"Name": "web", "Driver": "bridge"}]' | mydockernet import docker -""")


def run_import(args: argparse.Namespace) -> int:
    """Run `import` and return the exit code."""
    from mydockernet.fronts import manifest, yaml_text

    module = __import__(f"mydockernet.fronts.import_{args.source}", fromlist=["read"])
    raw = read_file(args.file, SIZE_MAX)
    try:
        document: Document = module.read(raw)
    except Invalid as error:
        raise placed(name_of(args.file), error) from None
    code = _print(args, document)
    try:
        if document.tree:
            manifest.read([(args.format, yaml_text.write(document.tree))], "")
    except Invalid as error:
        tell(f"apply will refuse {message.partition(': ')[2]}" for message in error.messages)
    return code
