"""docs/apply.md has every key that the reader knows, with its option, and examples that it reads."""

import re

import jsonschema
import pytest
import yaml

from mydockernet.fronts import compose, import_shell, manifest, manifest_keys, manifest_schema, yaml_text
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "apply.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def rows(keys, outer=""):
    """A row of a table for each key: the key, the option that it stands for, and what it means."""
    for key in keys:
        name = f"{outer}{key.name}"
        option = f"`{key.option}`" if key.option.startswith("--") else ""
        values = f": {', '.join(f'`{value}`' for value in key.values)}" if key.values else ""
        yield f"| `{name}` | {option} | {f'not supported: {key.refused}' if key.refused else key.help}{values} |"
        if key.takes in (manifest_keys.MAP, manifest_keys.MAPS):
            yield from rows(key.keys, f"{name}{'[]' * (key.takes == manifest_keys.MAPS)}.")


TABLES = {
    "At the top": manifest_keys.TOP,
    "A network": manifest_keys.NETWORK,
    "A container": manifest_keys.CONTAINER,
    "A container on a network": manifest_keys.CONNECTION,
    "A port": manifest_keys.PORT,
    "A service": compose.SERVICE,
}


@pytest.mark.parametrize("title", TABLES)
def test_the_page_has_every_key_with_its_option(title):
    section = PAGE.partition(f"### {title}\n")[2].partition("\n#")[0]
    found = [line for line in section.splitlines() if line.startswith("| `")]
    assert found == [*rows(TABLES[title])], "\n".join(rows(TABLES[title]))


def test_the_examples_are_read_and_the_schema_accepts_them():
    assert len(EXAMPLES) == 3
    validator = jsonschema.Draft7Validator(manifest_schema.schema())
    for text in EXAMPLES:
        found = manifest.read([("/srv/shop/a.yml", text)], "", complete=False)
        assert found.networks
        assert not [*validator.iter_errors(yaml.safe_load(text))]


def test_the_errors_that_it_shows_are_those_that_there_are():
    wrong, said = re.search(r"```yaml-wrong\n(.*?)```.*?```text\n(.*?)```", PAGE, re.DOTALL).groups()
    with pytest.raises(manifest.Invalid) as caught:
        manifest.read([("shop.yml", wrong)], "")
    assert "".join(f"mydockernet: error: {message}\n" for message in caught.value.messages) == said


def test_the_script_that_it_shows_is_imported_as_it_shows():
    script, made = re.search(r"```sh-import\n(.*?)```.*?```yaml\n(.*?)```", PAGE, re.DOTALL).groups()
    assert yaml_text.write(import_shell.read(script.encode()).tree) == made
