"""A change in words: what it adds, changes and removes."""

from mydockernet import summary
from mydockernet.plan import difference
from mydockernet.value import replace
from tests.unit.values import endpoint, intent, mapping, network

C1 = endpoint("c1", "10.1.0.2", ports=(mapping(),))
WEB = network("web", "10.1.0.0/24", C1)


def lines(before, after):
    return [*summary.lines(difference(intent(*before), intent(*after)))]


def test_what_is_new_and_what_is_gone():
    assert lines([], [WEB]) == [
        "+ network web: bridge, 10.1.0.0/24",
        "+ container c1 on web: eth0, 10.1.0.2, 8080:80/tcp",
    ]
    assert lines([WEB], []) == ["- network web", "- container c1 on web"]


def test_what_changes_has_its_old_and_its_new_value():
    after = replace(
        WEB, internal=True, mtu=1400, labels=(("a", "b"), ("c", "")), endpoints=(replace(C1, aliases=("x", "y")),)
    )
    assert lines([WEB], [after]) == [
        "~ network web: internal: no → yes; mtu: none → 1400; labels: none → a=b, c=",
        "~ container c1 on web: aliases: none → x, y",
    ]


def test_what_follows_from_something_else_is_not_told():
    moved = endpoint("c1", "10.1.0.3", ports=(mapping(),), veth=C1.veth)
    assert lines([WEB], [replace(WEB, endpoints=(moved,))]) == ["~ container c1 on web: addresses: 10.1.0.2 → 10.1.0.3"]
    back = replace(C1, namespace=replace(C1.namespace, inode="4:99"))
    assert lines([WEB], [replace(WEB, endpoints=(back,))]) == ["~ container c1 on web: connected again"]
