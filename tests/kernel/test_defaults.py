"""/etc/mydockernet.conf: networks are made as it says, unless the environment or an option says otherwise."""

import pytest


@pytest.fixture
def configured(host):
    """A host with a file of defaults, which MYDOCKERNET_CONFIG names."""

    def write(text):
        (host.root / "run/conf").write_text(text)
        host.env |= {"MYDOCKERNET_CONFIG": "/run/conf", "MYDOCKERNET_FIREWALL": ""}
        return host

    return write


def test_the_file_decides_where_neither_the_environment_nor_an_option_does(configured):
    host = configured(
        "MYDOCKERNET_STATE_DIR=/run/nets\nMYDOCKERNET_FIREWALL=nftables\n"
        "MYDOCKERNET_POOLS='10.77.0.0/16'\nMYDOCKERNET_MTU=1400\n"
    )
    host.mydockernet("create a")
    host.mydockernet("create b --mtu 1300", env={"MYDOCKERNET_POOLS": "10.78.0.0/16"})
    assert host.mydockernet("ls --format '{{.Name}} {{.Subnet}}'").stdout == "a 10.77.0.0/24\nb 10.78.0.0/24\n"
    assert [f"mtu {mtu} " in host.sh(f"ip link show {dev}").stdout for dev, mtu in (("a", 1400), ("b", 1300))] == [1, 1]
    assert "inet mydockernet" in host.sh("nft list tables").stdout
    assert (host.root / "run/nets/networks/a.json").exists()
    assert not (host.root / "var/lib/mydockernet").exists()
    # The options and the environment name another record.
    assert host.mydockernet("ls -q --state-dir /run/other").stdout == ""
    assert host.mydockernet("ls -q", env={"MYDOCKERNET_STATE_DIR": "/run/other"}).stdout == ""
    # An identical network is one that leaves open what the file decides.
    (host.root / "run/conf").write_text("MYDOCKERNET_STATE_DIR=/run/nets\nMYDOCKERNET_MTU=1200\n")
    host.mydockernet("create a --ignore")
    assert host.mydockernet("check").stdout == ""


def test_every_verb_refuses_a_file_with_a_wrong_line_and_help_does_not(configured):
    host = configured("# all of it:\nMYDOCKERNET_POOL=10.77.0.0/16\n")
    for words in ("ls", "create web", "check", "doctor"):
        host.fails(words, 2, "mydockernet: error: /run/conf:2: unknown key MYDOCKERNET_POOL: use ")
    assert host.mydockernet("create --help").stdout
    assert host.mydockernet("--version").stdout
