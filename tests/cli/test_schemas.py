"""Every output as JSON is as its schema says; tests/json_output.py validates those of all other tests as well."""

import json

import jsonschema
import pytest

from mydockernet.cli import json_schemas
from mydockernet.cli import main as cli
from tests import json_output
from tests.conftest import ROOT, Host

# A command for each schema, on a host with two networks, a container that is connected, and another one that is gone.
COMMANDS = {
    "list": "list --format json",
    "ps": "ps --format json",
    "inspect": "inspect web lan c1",
    "rules": "rules --format json",
    "check": "check --format json",
    "history": "history --format json",
    "history-show": "history show 4 --format json",
    "stats": "stats --no-stream --interval 0.01 --format json",
    "events": "events --since 1h --format json",
    "topology": "topology --format json",
    "explain": "explain c1 c2:81 --format json",
    "doctor": "doctor --format json",
    "dry-run": "remove --force web --dry-run --format json",
    "plan": "remove --force web --save-plan -",
}
NETWORKS = """
for name in c1 c2 c3; do ip netns add $name; done
ip link add dev wan type veth peer name wire
ip link set dev wan up
mydockernet create web --ipv6 --subnet 10.208.0.0/24 --label team=a --reserve printer=10.208.0.9 --metric 5 --mtu 1400
mydockernet create lan --driver macvlan --parent wan --subnet 10.5.0.0/24 --ip-range 10.5.0.128/25
mydockernet connect web c1 -p 8080:80 --from 10.0.0.0/8 --alias db --ingress-rate 10mbit --label a=b
mydockernet connect web c2
mydockernet connect lan c2
mydockernet connect web c3
ip netns del c3
iptables -F
"""


@pytest.fixture(scope="module")
def printed():
    """What each command prints."""
    host = Host()
    try:
        host.set_up(NETWORKS)
        ends = {name: words for name, words in COMMANDS.items() if name != "events"}
        found = {name: host.mydockernet(words, check=False).stdout for name, words in ends.items()}
        return {**found, "events": host.sh(f"mydockernet {COMMANDS['events']} | head -n 3").stdout}
    finally:
        host.close()


@pytest.mark.parametrize("name", json_schemas.SCHEMAS)
def test_an_output_is_what_its_schema_says(printed, name):
    assert json_output.schema_of(COMMANDS[name].split()) == name
    assert printed[name]
    json_output.validate(COMMANDS[name].split(), printed[name])


@pytest.mark.parametrize("name", json_schemas.SCHEMAS)
def test_a_schema_is_strict_and_has_a_version(name):
    schema = json.loads((ROOT / f"contrib/schemas/{name}.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    assert schema["$id"] == f"urn:mydockernet:{name}:1"
    for part in parts(schema):
        if "properties" in part:
            assert part["additionalProperties"] is False
            assert part["required"]


def parts(schema):
    """A schema and all the schemas in it."""
    if isinstance(schema, dict):
        yield schema
        schema = [*schema.values()]
    for part in schema if isinstance(schema, list) else ():
        yield from parts(part)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("list", {"More": 1}),
        ("list", {"Containers": "1"}),
        ("list", {"State": "sideways"}),
        ("ps", {"Addresses": None}),
        ("history", {"When": "today"}),
    ],
)
def test_an_output_that_differs_is_noticed(printed, name, change):
    first = printed[name].splitlines()[0]
    with pytest.raises(AssertionError, match=next(iter(change))):
        json_output.validate(COMMANDS[name].split(), json.dumps({**json.loads(first), **change}))


def test_a_verb_with_an_output_as_json_has_a_schema():
    """By their help: --format of a verb that is not about its plan."""
    verbs = cli.whole()._subparsers._group_actions[0].choices
    for verb, parser in verbs.items():
        forms = [action for action in parser._actions if "--format" in action.option_strings]
        if any(action.metavar != "json" for action in forms) and verb not in json_output.OTHERS:
            assert cli.ALIASES.get(verb, verb) in json_schemas.SCHEMAS, verb
