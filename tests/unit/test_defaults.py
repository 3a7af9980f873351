"""The file of defaults: its form, what is wrong with it, and what wins over it."""

import pytest

from mydockernet import context, defaults, wishes
from mydockernet.errors import Failed, Invalid
from mydockernet.wishes import CreateWords


@pytest.fixture
def written(tmp_path):
    """Writes a file of defaults, and returns an environment that names it."""

    def write(text, **environ):
        path = tmp_path / "conf"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return {"MYDOCKERNET_CONFIG": str(path), **environ}

    return write


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("MYDOCKERNET_MTU=1400", "1400"),
        ("  MYDOCKERNET_MTU=1400 \r", "1400"),
        ('MYDOCKERNET_MTU="1400"', "1400"),
        ("MYDOCKERNET_MTU='1400'", "1400"),
        ("MYDOCKERNET_MTU=", ""),
        ("# MYDOCKERNET_MTU=1400", ""),
        ("MYDOCKERNET_POOLS=10.20.0.0/16/24,fd00:1::/48", ""),
        ("", ""),
    ],
)
def test_a_value_is_a_word_or_in_quotes(written, line, text):
    assert defaults.of("MYDOCKERNET_MTU", written(f"# defaults\n\n{line}\n")).text == text


def test_the_environment_wins_over_the_file(written):
    environ = written("MYDOCKERNET_MTU=1400\nMYDOCKERNET_FIREWALL=nftables\n", MYDOCKERNET_MTU="9000")
    assert defaults.of("MYDOCKERNET_MTU", environ) == defaults.Default("MYDOCKERNET_MTU", "9000")
    assert defaults.of("MYDOCKERNET_FIREWALL", environ).text == "nftables"


def test_an_empty_variable_of_the_environment_does_not_hide_the_file(written):
    assert defaults.of("MYDOCKERNET_MTU", written("MYDOCKERNET_MTU=1400\n", MYDOCKERNET_MTU="")).text == "1400"


def test_the_file_need_not_exist_unless_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(defaults, "FILE", str(tmp_path / "none"))
    assert defaults.of("MYDOCKERNET_MTU", {}).text == ""
    with pytest.raises(Failed, match=r"MYDOCKERNET_CONFIG: cannot read .*/none: No such file"):
        defaults.of("MYDOCKERNET_MTU", {"MYDOCKERNET_CONFIG": str(tmp_path / "none")})
    with pytest.raises(Failed, match=f"cannot read {tmp_path}: Is a directory"):
        defaults.of("MYDOCKERNET_MTU", {"MYDOCKERNET_CONFIG": str(tmp_path)})


WRONG = {
    "MYDOCKERNET_MUT=1400": "unknown key MYDOCKERNET_MUT: use MYDOCKERNET_STATE_DIR, ",
    "MYDOCKERNET_MTU": "MYDOCKERNET_MTU: invalid line: use KEY=VALUE",
    "mtu 1400": "mtu 1400: invalid line: use KEY=VALUE",
    "export MYDOCKERNET_MTU=1400": "invalid line",
    "MYDOCKERNET_MTU = 1400": "invalid line",
    # A shell and systemd read these differently.
    "MYDOCKERNET_MTU=1400 # small": "invalid value: quote it",
    "MYDOCKERNET_MTU=1400#small": "invalid value: quote it",
    "MYDOCKERNET_MTU=$MTU": "invalid value: quote it",
    'MYDOCKERNET_MTU="$MTU"': "invalid value: quote it",
    "MYDOCKERNET_STATE_DIR=~/x": "invalid value: quote it",
    "MYDOCKERNET_MTU='1400": "invalid value: quote it",
    "MYDOCKERNET_MTU=14'0'0": "invalid value: quote it",
    "MYDOCKERNET_MTU=14\x1b00": r"14\x1b00: invalid value",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_is_wrong_with_a_line_is_said_with_its_number(written, line):
    environ = written(f"#\n{line}\n")
    with pytest.raises(Invalid) as caught:
        defaults.of("MYDOCKERNET_MTU", environ)
    (message,) = caught.value.messages
    assert message.startswith(f"{environ['MYDOCKERNET_CONFIG']}:2: ")
    assert WRONG[line] in message


def test_all_wrong_lines_are_reported_at_once(written):
    with pytest.raises(Invalid) as caught:
        defaults.of("MYDOCKERNET_MTU", written("A=1\nMYDOCKERNET_MTU=1\nB\nMYDOCKERNET_MTU=2\n"))
    places = [message.split(": ")[0].rpartition(":")[2] for message in caught.value.messages]
    assert places == ["1", "3", "4"]
    assert caught.value.messages[2].endswith(": MYDOCKERNET_MTU is set twice, first in line 2")


@pytest.mark.parametrize(
    ("content", "problem"), [(b"\xff\n", "it is not UTF-8"), (b"#" * 70000, "it is larger than 64 KiB")]
)
def test_a_file_of_another_kind_is_refused(written, content, problem):
    with pytest.raises(Invalid, match=problem):
        defaults.of("MYDOCKERNET_MTU", written(content))


def test_the_state_directory_of_the_front_ends_is_that_of_the_file(written):
    found = context.from_environment(written("MYDOCKERNET_STATE_DIR=/srv/net\n"))
    assert str(found.store.folder) == "/srv/net"
    with pytest.raises(Invalid, match=":1: MYDOCKERNET_STATE_DIR: net is not an absolute path"):
        context.from_environment(written("MYDOCKERNET_STATE_DIR=net\n"))


@pytest.fixture
def wish(written, monkeypatch):
    """Writes a file of defaults, and returns the wish of a `create` with these words."""

    def read(text, **words):
        monkeypatch.setenv("MYDOCKERNET_CONFIG", written(text)["MYDOCKERNET_CONFIG"])
        return wishes.read_create(CreateWords(name="web", **words), "")

    return read


def test_create_has_the_pools_the_firewall_and_the_mtu_of_the_file(wish):
    found = wish("MYDOCKERNET_POOLS=10.20.0.0/16\nMYDOCKERNET_FIREWALL=nftables\nMYDOCKERNET_MTU=1400\n")
    assert [str(pool.block) for pool in found.pools] == ["10.20.0.0/16"]
    assert (found.usual_firewall, found.usual_mtu) == ("nftables", 1400)
    # Left open: a network that has another one is what `create --ignore` asks for.
    assert (found.firewall, found.mtu) == (None, None)


def test_all_wrong_values_are_reported_with_their_lines(wish):
    with pytest.raises(Invalid) as caught:
        wish("MYDOCKERNET_POOLS=x\nMYDOCKERNET_FIREWALL=pf\nMYDOCKERNET_MTU=9\n", mtu="many")
    assert [message.partition("/conf:")[2] or message for message in caught.value.messages] == [
        "--mtu: 'many' is not a number",
        '2: MYDOCKERNET_FIREWALL: "pf" is unknown: use iptables or nftables',
        "3: MYDOCKERNET_MTU: 9 is out of range: use 68 to 65535",
        "1: MYDOCKERNET_POOLS: x: 'x' does not appear to be an IPv4 or IPv6 network",
    ]
    with pytest.raises(Invalid, match="2: MYDOCKERNET_MTU: 'small' is not a number"):
        wish("\nMYDOCKERNET_MTU=small\n")
