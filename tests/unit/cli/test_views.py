"""Tables, as text."""

import re

import pytest

from mydockernet.cli import views

RECORD = {
    "Name": "web",
    "Subnet": "10.208.0.0/24",
    "Gateway": "10.208.0.1",
    "Driver": "bridge",
    "Containers": 12,
    "State": "drifted",
}


def table(width, trunc=True, name="web"):
    record = {"Name": name, "Subnet": "10.1.0.0/24", "Gateway": "", "Driver": "", "Containers": 0, "State": "up"}
    return views.list_table([record], width, trunc)


def test_a_table_for_a_pipe_is_plain_and_whole():
    name = "n" * 200
    header, row = table(None, name=name).splitlines()
    assert header.split()[0] == "NAME"
    assert row.split()[:2] == [name, "10.1.0.0/24"]
    assert "[bold]" in table(None, name="[bold]")


def uncolored(text):
    return re.sub(r"\x1b\[[\d;]*m", "", text)


@pytest.mark.parametrize("width", [66, 70, 80, 120])
@pytest.mark.parametrize("name", ["web", "n" * 42, "n" * 200])
def test_a_table_for_a_terminal_keeps_to_its_width_and_never_cuts_the_state(width, name):
    lines = uncolored(views.list_table([RECORD | {"Name": name}], width)).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) == 5
    assert lines[3].endswith("│ bridge │ 12         │ drifted │")
    assert ("…" in lines[3]) is (len(name) + 66 > width)


def test_a_table_is_not_truncated_where_that_is_not_wanted():
    name = "n" * 42
    lines = uncolored(views.list_table([RECORD | {"Name": name}], 80, trunc=False)).splitlines()
    assert max(map(len, lines)) <= 80
    assert "".join(line.split("│")[1].strip() for line in lines if "n" in line) == name
    assert any(line.endswith("│ bridge │ 12         │ drifted │") for line in lines)


def test_a_table_that_no_terminal_so_narrow_could_hold_has_no_borders():
    assert views.list_table([RECORD], 40) == views.list_table([RECORD], None)


RULE = {
    "Program": "iptables",
    "Owner": "web",
    "Table": "nat",
    "Chain": "POSTROUTING",
    "Number": 2,
    "Packets": 1,
    "Bytes": 60,
    "Rule": '-s 10.1.0.0/24 ! -o web -m comment --comment "mydockernet:web" -j MASQUERADE',
    "Why": "Masquerade what leaves web: it carries the host's address, as nobody outside has a route back.",
}


def test_rules_in_a_terminal_are_a_list_that_fits():
    jump = RULE | {"Packets": 0, "Why": "Odd \x1b[31m", "Rule": '-m comment --comment "mydockernet:web" -j ' + "x" * 90}
    assert views.rules_table([RULE, jump], 80) == (
        "nat/POSTROUTING/2  web  1 packet\n"
        "    -s 10.1.0.0/24 ! -o web -j MASQUERADE\n"
        "    Masquerade what leaves web: it carries the host's address, as nobody outside\n"
        "    has a route back.\n"
        "nat/POSTROUTING/2  web  0 packets\n"
        "    -j\n"
        f"    {'x' * 90}\n"
        "    Odd \\x1b[31m\n"
    )


def test_rules_in_a_pipe_are_one_line_each():
    header, row = views.rules_table([RULE], None).splitlines()
    assert header.split() == ["OWNER", "PROGRAM", "TABLE", "CHAIN", "NUMBER", "PACKETS", "RULE", "WHY"]
    assert RULE["Rule"] in row


def test_the_tables_of_inspect_fit_a_terminal():
    record = {"Name": "web", "ICC": True, "Rules": [RULE], "Containers": {}}
    lines = uncolored(views.inspect_tables(record, 60)).splitlines()
    assert max(map(len, lines)) <= 60
    assert any(line.startswith("│ nat/POSTROUTING/2  web  1 packet ") for line in lines)
    assert any(line.startswith("│     -s 10.1.0.0/24 ! -o web -j MASQUERADE ") for line in lines)
