"""export and import print a file for `apply`, and on stderr what it does not have."""

import json

import pytest


@pytest.fixture
def lab(bare_host):
    bare_host.set_up("""
        ip netns add c1
        mydockernet create web --subnet 10.1.0.0/24
        mydockernet create db --subnet 10.2.0.0/24 --internal
        mydockernet connect web,db c1
        mydockernet publish web c1 80
    """)
    return bare_host


EXPORTED = """\
networks:
  db:
    internal: true
    ipam:
      config:
        - subnet: 10.2.0.0/24
  web:
    ipam:
      config:
        - subnet: 10.1.0.0/24
containers:
  c1:
    networks:
      web: {ipv4_address: 10.1.0.2, ports: ["32768:80"]}
      db: {ipv4_address: 10.2.0.2}
"""


def test_export_prints_what_is_on_record_and_apply_plans_nothing_for_it(lab):
    done = lab.mydockernet("export")
    assert (done.stdout, done.stderr) == (EXPORTED, "")
    assert lab.sh("mydockernet export | mydockernet apply --dry-run --exit-code -").stdout == "#!/bin/sh\nset -e\n"


def test_what_is_exported_of_several_projects_is_theirs_still(bare_host):
    bare_host.sh("""
        cd /run
        for project in one two; do
            echo "networks: {$project: {}}" | mydockernet apply --project-name $project -
        done
        mydockernet export > both.yml
    """)
    assert "labels: {mydockernet.project: two}" in bare_host.sh("cat /run/both.yml").stdout
    assert bare_host.sh("mydockernet apply --dry-run /run/both.yml").stdout == "#!/bin/sh\nset -e\n"
    assert bare_host.sh("mydockernet apply --project-name three /run/both.yml", check=False).returncode == 4
    bare_host.sh("mydockernet down /run/both.yml")
    assert bare_host.mydockernet("list -q").stdout == ""


def test_export_prints_only_the_networks_that_are_named_and_json_on_request(lab):
    found = json.loads(lab.mydockernet("export db --format json").stdout)
    assert found == {
        "networks": {"db": {"internal": True, "ipam": {"config": [{"subnet": "10.2.0.0/24"}]}}},
        # Its first interface is on a network that is not here.
        "containers": {"c1": {"networks": {"db": {"ipv4_address": "10.2.0.2", "interface_name": "eth1"}}}},
    }


def test_what_is_exported_makes_the_same_of_nothing(lab):
    before = lab.snapshot()
    lab.sh("cd /run; mydockernet export > lab.yml; mydockernet remove --force web db; mydockernet apply lab.yml")
    assert lab.snapshot() == before
    assert lab.mydockernet("export").stdout == EXPORTED


def test_export_prints_nothing_if_a_network_is_unknown(lab):
    done = lab.mydockernet("export web nope", check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith('mydockernet: error: network "nope" not found\n')


def test_import_prints_a_file_and_names_what_has_no_equivalent(bare_host):
    script = "ip link add br0 type bridge\nip addr add 10.1.0.1/24 dev br0\ntc qdisc add dev br0 root netem\n"
    done = bare_host.run("mydockernet", "import", "shell", "-", stdin=script)
    assert done.stdout.startswith("networks:\n  br0:\n    masquerade: false\n")
    assert done.stderr == (
        "mydockernet: note: line 3: tc qdisc add dev br0 root netem: left out: it has no equivalent\n"
    )


def test_import_says_what_apply_will_refuse(bare_host):
    text = json.dumps([{"Name": "web", "IPAM": {"Config": [{"Subnet": "224.0.0.0/24"}]}}])
    done = bare_host.run("mydockernet", "import", "docker", "-", stdin=text)
    (note,) = done.stderr.splitlines()
    assert note.startswith(
        "mydockernet: note: apply will refuse networks.web.ipam.config[0].subnet: 224.0.0.0/24 includes"
    )


@pytest.mark.parametrize(
    ("words", "text", "code", "error"),
    [
        ("import docker /nowhere", "", 1, "cannot read /nowhere: No such file or directory"),
        ("import docker -", "[", 2, "stdin: the document is not JSON: "),
        ("import podman -", "7", 2, "stdin: the document is neither a JSON object nor an array of objects"),
        ("import helm -", "", 2, "argument docker|podman|cni|shell: invalid choice: 'helm'"),
    ],
)
def test_import_of_what_cannot_be_read_is_one_line(bare_host, words, text, code, error):
    done = bare_host.run("mydockernet", *words.split(), stdin=text, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.splitlines()[0].startswith(f"mydockernet: error: {error}")
