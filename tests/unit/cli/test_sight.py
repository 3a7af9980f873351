"""What the verbs that look print for people."""

from mydockernet.cli import sight
from mydockernet.dialects.net_dev import Traffic
from mydockernet.reports.events import Event
from mydockernet.reports.stats import Row

WHEN = "2026-11-26T10:00:00Z"


def test_an_event_is_a_line_with_a_few_networks_and_no_control_characters():
    line = sight.event_line(Event(WHEN, ("a", "b", "c", "d", "e"), "", "interface \x1b[1m is down"))
    assert line.split("  ")[:2] == [WHEN, "a,b,c,2 more"]
    assert line.endswith("  interface \\x1b[1m is down\n")
    assert sight.event_line(Event(WHEN, (), "nft (7)", "x")).split() == [WHEN, "-", "nft", "(7)", "x"]


def test_a_table_of_stats_has_notes_only_if_there_are_any():
    row = Row("web", "c1", "v1", Traffic(1500, 2, 3, 4, 5, 6), (8000, 0))
    header, line = sight.stats_table([row], None).splitlines()
    assert header.split() == ["NAME", "RECEIVED/S", "SENT/S", "RECEIVED", "SENT", "PACKETS", "DROPPED"]
    assert line.split("  ")[0] == "web/c1"
    assert " ".join(line.split()[1:]) == "8.00kbit/s 0bit/s 1.50kB 4B 2 / 5 3 / 6"
    header, _, line = sight.stats_table([row, Row("web", "c2", "v2", None, None, "detached")], None).splitlines()
    assert header.endswith("NOTE")
    assert line.split() == ["web/c2", "-", "-", "-", "-", "-", "-", "detached"]
