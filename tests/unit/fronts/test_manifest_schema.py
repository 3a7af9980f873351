"""The schema for editors says the same as the reader, and the file that is shipped is what the code makes."""

import jsonschema
import pytest
import yaml

from mydockernet.fronts import manifest_keys, manifest_schema
from tests.conftest import ROOT
from tests.unit.fronts import test_compose, test_manifest

SHIPPED = ROOT / "contrib" / "mydockernet.schema.json"
VALIDATOR = jsonschema.Draft7Validator(manifest_schema.schema())


def errors(text):
    return [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(text))]


def test_the_schema_that_is_shipped_is_up_to_date():
    """If it is not: python -c 'from mydockernet.fronts import manifest_schema as m; print(m.text(), end="")'."""
    assert SHIPPED.read_text() == manifest_schema.text()


def test_the_schema_is_a_schema():
    jsonschema.Draft7Validator.check_schema(manifest_schema.schema())


EXAMPLES = [
    test_manifest.EXAMPLE,
    *(text for name, text in vars(test_compose).items() if name.isupper() and isinstance(text, str)),
]
REFUSED = (test_compose.CUSTOM, test_compose.LINK_LOCAL, test_compose.IPAM_OPTIONS)


@pytest.mark.parametrize("text", [text for text in EXAMPLES if text not in REFUSED])
def test_the_schema_accepts_what_the_reader_does(text):
    assert errors(text) == []


@pytest.mark.parametrize("text", REFUSED)
def test_the_schema_refuses_what_the_reader_does(text):
    assert errors(text) != []


@pytest.mark.parametrize(
    "text", ["netwroks: {}", "networks: {a: {mtu: big}}", "containers: {a: {image: x}}", "services: {a: {imag: x}}"]
)
def test_the_schema_refuses_unknown_keys_and_wrong_types(text):
    assert len(errors(text)) == 1


def test_every_key_has_a_description():
    def keys(some):
        for key in some:
            yield key
            yield from keys(key.keys)

    assert all(key.help or key.refused for key in keys(manifest_keys.TOP))
