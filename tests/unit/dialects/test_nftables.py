"""The table of mydockernet in nftables: what nft shows of it, and the commands that create and delete it."""

import json

import pytest

from mydockernet.dialects import nftables
from mydockernet.dialects.fact import Observed, OwnTable
from mydockernet.dialects.nftables import Chain, Element, Elements, Line, StrayElement, Table
from mydockernet.errors import Failed
from mydockernet.value import replace

HOOK = "type filter hook forward priority 0; policy accept;"
WHY = "drop everything else to a network"
TABLE = Table(
    (
        Chain("user", "Create a chain for the admin."),
        Chain("forward", "Create a chain.", HOOK, (Line("jump user", "ask"), Line("drop", WHY))),
    ),
    (
        Elements("behind4", "ifname . ipv4_addr", "Create a set.", counted=False),
        Elements("ports4", "inet_proto . inet_service : ipv4_addr . inet_service", "Create a map."),
    ),
)
# As nft 1.0.6 prints it.
SHOWN = {
    "nftables": [
        {"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}},
        {"table": {"family": "inet", "name": "mydockernet", "handle": 1}},
        {
            "set": {
                **{"family": "inet", "name": "behind4", "table": "mydockernet", "type": ["ifname", "ipv4_addr"]},
                **{"handle": 9, "flags": ["interval"]},
                "elem": [
                    {
                        "elem": {
                            "val": {"concat": ["web", {"prefix": {"addr": "10.1.0.0", "len": 24}}]},
                            "comment": "mydockernet:web",
                        }
                    },
                    {"concat": ["other", "10.9.0.1"]},
                ],
            }
        },
        {
            "map": {
                **{"family": "inet", "name": "ports4", "table": "mydockernet", "handle": 4, "flags": ["interval"]},
                **{"type": ["inet_proto", "inet_service"], "map": "ipv4_addr . inet_service"},
                "elem": [
                    [
                        {
                            "elem": {
                                "val": {"concat": ["tcp", {"range": [80, 89]}]},
                                "comment": "mydockernet:web",
                                "counter": {"packets": 2, "bytes": 120},
                            }
                        },
                        {"concat": ["10.1.0.2", 80]},
                    ]
                ],
            }
        },
        {"chain": {"family": "inet", "table": "mydockernet", "name": "user", "handle": 1}},
        {
            "chain": {
                **{"family": "inet", "table": "mydockernet", "name": "forward", "handle": 2, "type": "filter"},
                **{"hook": "forward", "prio": 0, "policy": "accept"},
            }
        },
        *(
            {
                "rule": {
                    **{"family": "inet", "table": "mydockernet", "chain": "forward", "handle": 9},
                    **{"comment": f"mydockernet:@shared: {why}", "expr": expr},
                }
            }
            for why, expr in (("ask", []), (WHY, [{"counter": {"packets": 1, "bytes": 60}}, {"drop": None}]))
        ),
    ]
}
SEEN = Observed(
    table=OwnTable(
        {"user": ("",), "forward": (HOOK, "mydockernet:@shared: ask", f"mydockernet:@shared: {WHY}")},
        {"behind4": "ifname . ipv4_addr", "ports4": "inet_proto . inet_service : ipv4_addr . inet_service"},
        {
            ("behind4", '"web" . 10.1.0.0/24'): ("", "mydockernet:web"),
            ("behind4", '"other" . 10.9.0.1'): ("", ""),
            ("ports4", "tcp . 80-89"): ("10.1.0.2 . 80", "mydockernet:web"),
        },
        {("ports4", "tcp . 80-89"): (2, 120), ("forward", "2"): (1, 60)},
    )
)
ELEMENT = Element("ports4", "tcp . 80-89", "web", "Publish it.", "10.1.0.2 . 80", (("conntrack", "-D", "-p", "udp"),))


def lines(steps):
    return [" ".join(step.do) for step in steps]


def changed(**parts):
    return replace(SEEN, table=replace(SEEN.table, **parts))


def test_what_nft_shows_is_read():
    assert nftables.read(json.dumps(SHOWN)) == SEEN.table
    assert TABLE.holds(SEEN)
    assert ELEMENT.holds(SEEN)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"nftables": [{"rule": {"chain": "x"}}]}', '{"nftables": [{"set": {}}]}']
)
def test_what_cannot_be_read_names_the_command(text):
    with pytest.raises(Failed, match="cannot parse the output of `nft -j list table inet mydockernet`"):
        nftables.read(text)


def test_a_table_is_created_in_an_order_that_nft_takes():
    assert lines(TABLE.do(Observed())) == [
        "nft add table inet mydockernet",
        "nft add set inet mydockernet behind4 { type ifname . ipv4_addr; flags interval; }",
        "nft add map inet mydockernet ports4 "
        "{ type inet_proto . inet_service : ipv4_addr . inet_service; flags interval; counter; }",
        "nft add chain inet mydockernet user",
        f"nft add chain inet mydockernet forward {{ {HOOK} }}",
        'nft add rule inet mydockernet forward jump user comment "mydockernet:@shared: ask"',
        f'nft add rule inet mydockernet forward drop comment "mydockernet:@shared: {WHY}"',
    ]
    assert all(step.why.endswith(".") and step.why[0].isupper() for step in TABLE.do(Observed()))


RULES = SEEN.table.chains["forward"]


@pytest.mark.parametrize(
    "forward",
    [RULES[:2], (*RULES, ""), (RULES[0], RULES[2], RULES[1]), (HOOK.replace("accept", "drop"), *RULES[1:])],
    ids=["a rule is missing", "one of others", "another order", "another policy"],
)
def test_a_chain_that_has_changed_is_flushed_and_filled_again(forward):
    seen = changed(chains={**SEEN.table.chains, "forward": forward})
    assert not TABLE.holds(seen)
    (flush,) = [line for line in lines(TABLE.do(seen)) if "flush" in line]
    assert flush == "nft flush chain inet mydockernet forward"


def test_the_admins_rules_are_left_alone():
    seen = changed(chains={**SEEN.table.chains, "user": ("", "")})
    assert TABLE.holds(seen)
    left = lines(TABLE.undo(seen))
    assert not any("user" in line or "delete table" in line for line in left)
    assert left[-1] == "nft delete chain inet mydockernet forward"
    assert not any("set" in line or "map" in line for line in left)  # A rule of the admin may name one.
    assert lines(TABLE.undo(SEEN)) == ["nft delete table inet mydockernet"]


def test_a_table_of_another_program_is_not_taken_over():
    foreign = OwnTable({"x": ("",)}, {}, {})
    assert "of another program already exists" in TABLE.obstacle(replace(SEEN, table=foreign))
    older = changed(types={"behind4": "ipv4_addr"})
    assert "has sets of other types: another version created it" in TABLE.obstacle(older)
    assert TABLE.obstacle(SEEN) == TABLE.obstacle(Observed()) == ""


def test_an_element_has_the_mark_of_its_owner():
    seen = changed(elements={})
    assert lines(ELEMENT.do(seen)) == [
        'nft add element inet mydockernet ports4 { tcp . 80-89 comment "mydockernet:web" : 10.1.0.2 . 80 }'
    ]
    assert lines(ELEMENT.undo(SEEN)) == ["nft delete element inet mydockernet ports4 { tcp . 80-89 }"]


def test_another_value_of_the_same_key_is_deleted_first():
    seen = changed(elements={("ports4", "tcp . 80-89"): ("10.1.0.9 . 80", "mydockernet:web")})
    assert not ELEMENT.holds(seen)
    assert [line.split()[1] for line in lines(ELEMENT.do(seen))] == ["delete", "add"]


def test_flows_are_forgotten_where_conntrack_is_installed():
    seen = replace(changed(elements={}), conntrack=True)
    assert (
        lines(ELEMENT.do(seen))[1:] == lines(ELEMENT.undo(replace(SEEN, conntrack=True)))[1:] == ["conntrack -D -p udp"]
    )


def test_elements_with_a_mark_that_nobody_needs_are_found():
    found = [*nftables.strays(SEEN, [ELEMENT])]
    assert found == [StrayElement("behind4", '"web" . 10.1.0.0/24', "web")]
    assert lines(found[0].undo(SEEN)) == ['nft delete element inet mydockernet behind4 { "web" . 10.1.0.0/24 }']


def test_commands_become_one_transaction():
    commands = [step.do for step in TABLE.do(Observed())]
    assert all(map(nftables.foldable, commands))
    argv, text, owners = nftables.batch(commands)
    assert argv == ("nft", "-f", "-")
    assert text.splitlines()[0] == "add table inet mydockernet"
    assert owners == tuple(range(len(commands)))
    assert not nftables.foldable(("nft", "add table bridge mydockernet"))
