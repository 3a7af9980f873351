"""What the program prints as JSON is what its schemas say: each call of a test is validated."""

import functools
import itertools
import json

from mydockernet.cli import main as cli
from mydockernet.cli.json_schemas import SCHEMAS, schema

# These print one document; the others print one per line.
WHOLE = ("inspect", "dry-run", "plan")
# Words of others, or of a file for apply: each has tests of its own.
OTHERS = ("export", "import", "cni", "netavark", "oci-hook")


@functools.cache
def validator(name):
    import jsonschema

    return jsonschema.Draft7Validator(schema(name))


def schema_of(argv):
    """The name of the schema of what a command line prints; None if it is no JSON, or that of another program."""
    verb = next((cli.ALIASES.get(word, word) for word in argv if word in cli.VERBS), None)
    formats = [after for word, after in itertools.pairwise(argv) if word in ("--format", "-f")]
    formats += [word.partition("=")[2] for word in argv if word.startswith("--format=")]
    if verb is None or "--" in argv or {"-h", "--help"}.intersection(argv) or verb in OTHERS:
        return None
    if "--save-plan" in argv:
        return "plan" if argv[argv.index("--save-plan") + 1] == "-" else None
    if formats[-1:] != ["json"]:
        return "inspect" if verb == "inspect" and not formats else None
    if {"-n", "--dry-run"}.intersection(argv):
        return "dry-run"
    return "history-show" if verb == "history" and "show" in argv else verb


def validate(argv, printed):
    """Fail if a command line printed JSON that is not as its schema says."""
    name = schema_of(argv)
    if name is None or not printed:
        return
    assert name in SCHEMAS, f"{name}: add a schema to mydockernet/cli/json_schemas.py"
    for document in [printed] if name in WHOLE else printed.splitlines():
        errors = [f"{error.json_path}: {error.message}" for error in validator(name).iter_errors(json.loads(document))]
        assert not errors, (argv, errors)
