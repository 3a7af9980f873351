"""Templates and tables, as text."""

import re

import pytest

from mydockernet.cli import views
from mydockernet.errors import Invalid


def test_a_template_gives_fields_and_json():
    record = {"Name": "web", "Count": 2, "On": True, "Labels": {"a": "ü"}}
    assert views.template(r"{{.Name}}\t{{ .Count }}\n{{.On}} {{json .Labels}} {{.Labels}}")(record) == (
        'web\t2\ntrue {"a": "ü"} {"a": "ü"}\n'
    )
    assert views.template("{{json .}}")(record).startswith('{"Name": "web"')


@pytest.mark.parametrize("text", ["", "web", "{{Name}}", "{{.Name}", "{{.Name}} {{", "{{.Name | upper}}"])
def test_what_is_no_template_is_refused(text):
    with pytest.raises(Invalid, match="is neither table nor json"):
        views.template(text)


def test_a_field_that_there_is_not_is_named_with_those_there_are():
    with pytest.raises(Invalid, match="there is no field 'Nmae'; there are: Name"):
        views.template("{{.Nmae}}")({"Name": "web"})


def table(width, trunc=True, name="web"):
    record = {"Name": name, "Subnet": "10.1.0.0/24", "Gateway": "", "Driver": "", "Containers": 0, "State": "up"}
    return views.list_table([record], width, trunc)


def test_a_table_for_a_pipe_is_plain_and_whole():
    name = "n" * 200
    header, row = table(None, name=name).splitlines()
    assert header.split()[0] == "NAME"
    assert row.split()[:2] == [name, "10.1.0.0/24"]
    assert "[bold]" in table(None, name="[bold]")


def test_a_table_for_a_terminal_keeps_to_its_width():
    lines = re.sub(r"\x1b\[[\d;]*m", "", table(60, name="n" * 200)).splitlines()
    assert max(map(len, lines)) <= 60
    assert "…" in "".join(lines)
    assert "…" not in table(400, trunc=False, name="n" * 200)
