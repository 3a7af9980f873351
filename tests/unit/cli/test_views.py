"""Tables, as text."""

import re

from mydockernet.cli import views


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
