"""The files by which engines find mydockernet: installed, told apart from what others wrote, and gone again."""

import json
import sys

import pytest

from mydockernet import engines
from tests.conftest import ROOT

ALL = [place for front in engines.FRONTS for place in engines.places(front)]


def run(host, words, **more):
    return host.mydockernet(f"engines {words} --root /run/r", **more)


def states(host):
    lines = run(host, "status").stdout.splitlines()[1:]
    return {path.removeprefix("/run/r"): state for _, path, state in map(str.split, lines)}


def test_what_is_installed_is_where_engines_look_and_goes_again(bare_host):
    everything = {place.path: "missing" for place in ALL}
    assert states(bare_host) == everything
    assert run(bare_host, "install").stdout.split() == [f"/run/r{path}" for path in everything]
    assert states(bare_host) == dict.fromkeys(everything, "installed")
    assert run(bare_host, "install").stdout == ""
    assert {*run(bare_host, "uninstall").stdout.split()} == {f"/run/r{path}" for path in everything}
    assert bare_host.sh("find /run/r -type f").stdout == ""
    assert run(bare_host, "uninstall").stdout == ""


def test_a_dry_run_is_a_script_that_does_the_same(bare_host):
    script = run(bare_host, "install netavark oci-hook --dry-run").stdout
    assert states(bare_host) == {place.path: "missing" for place in ALL}
    bare_host.run("sh", stdin=script)
    assert {state for path, state in states(bare_host).items() if "cni" not in path} == {"installed"}
    assert run(bare_host, "install oci-hook --dry-run --exit-code").returncode == 0
    assert run(bare_host, "install cni --dry-run --exit-code", check=False).returncode == 5


def test_what_an_admin_changed_stays_and_what_an_older_version_wrote_does_not(bare_host):
    run(bare_host, "install")
    conflist, plugin = "/run/r/etc/cni/net.d/90-mydockernet.conflist", "/run/r/opt/cni/bin/mydockernet"
    bare_host.sh(f"echo >>{conflist}; sed -i s/gc.disable/gc.collect/ {plugin}")
    assert states(bare_host)[conflist.removeprefix("/run/r")] == "changed"
    assert states(bare_host)[plugin.removeprefix("/run/r")] == "outdated"
    done = run(bare_host, "install")
    assert done.stdout == f"{plugin}\n"
    assert done.stderr == f"mydockernet: note: {conflist} has been changed: it stays as it is\n"
    assert run(bare_host, "uninstall").stderr == done.stderr
    assert bare_host.sh("find /run/r -type f").stdout == f"{conflist}\n"


def test_a_program_of_somebody_else_stays(bare_host):
    bare_host.sh("mkdir -p /run/r/opt/cni/bin; echo theirs >/run/r/opt/cni/bin/mydockernet")
    assert "has been changed" in run(bare_host, "install cni").stderr
    assert bare_host.sh("cat /run/r/opt/cni/bin/mydockernet").stdout == "theirs\n"


def test_a_plugin_runs_without_any_environment_and_without_the_modules_of_its_folder(bare_host):
    run(bare_host, "install oci-hook")
    hook = "/run/r/usr/local/libexec/mydockernet-oci-hook"
    bare_host.sh("for name in sh json mydockernet; do echo 'raise SystemExit(9)' >/run/r/$name.py; done")
    done = bare_host.sh(f"cd /run/r; echo '{{\"id\": 7}}' | env -i PYTHONPATH=/run/r {hook}", check=False)
    assert (done.returncode, done.stderr) == (2, "mydockernet: error: id: it must be a string\n")


@pytest.mark.parametrize("python", ["/usr/bin/python3", "/home/a b/python3", "/x" * 130])
def test_a_plugin_starts_python_whatever_its_path_is(python, tmp_path):
    text = engines._started(python, ["/lib"], "cni")
    assert text.startswith(f"#!{python} -SEP\n" if python == "/usr/bin/python3" else "#!/bin/sh\n")
    if python != "/usr/bin/python3":
        assert f"exec {python if ' ' not in python else repr(python)} -SEP -c" in text
    assert engines.MARK in text


def test_the_files_in_contrib_are_those_that_are_installed():
    assert (ROOT / "contrib/mydockernet-hook.json").read_text() == engines._json(engines.HOOKS_D)
    assert (ROOT / "contrib/90-mydockernet.conflist").read_text() == engines._json(engines.CONFLIST)
    assert json.loads(engines.places("cni")[1].text)["plugins"][0]["type"] == "mydockernet"


def test_what_is_no_file_stays(bare_host):
    plugin, hook = "/run/r/opt/cni/bin/mydockernet", "/run/r/usr/local/libexec/mydockernet-oci-hook"
    bare_host.sh(f"mkdir -p {plugin} {hook.rpartition('/')[0]}; mkfifo {hook}")
    assert {states(bare_host)[path.removeprefix("/run/r")] for path in (plugin, hook)} == {"changed"}
    for words in ("install", "uninstall"):
        assert f"{plugin} has been changed: it stays" in run(bare_host, words).stderr


def test_wrong_words_are_one_clear_line(bare_host):
    bare_host.fails("engines install foo", 2, 'FRONT: there is no front end "foo": use cni, netavark, oci-hook')
    bare_host.fails("engines install --root ''", 2, "--root: it is empty")
    bare_host.fails("engines destroy", 2, "invalid choice")
    bare_host.fails("engines install --root /proc/nowhere", 1, "cannot create directory")


def test_the_python_of_a_plugin_is_the_one_that_runs():
    assert engines.places("netavark")[0].text.startswith(f"#!{sys.executable} -SEP\n")
