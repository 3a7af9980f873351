"""scripts/sandbox: what it says of itself, what it does in a fresh clone, and its prompt."""

import os
import pty
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture
def clone(tmp_path):
    """A clone that was never set up, with a stand-in for scripts/setup, which would install packages."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "mydockernet").mkdir()  # The package: a folder of the program's name.
    shutil.copy(ROOT / "scripts/sandbox", tmp_path / "scripts")
    setup = tmp_path / "scripts/setup"
    setup.write_text(
        "#!/bin/bash\nset -e\necho 'setup ran' >&2\nmkdir -p .venv/bin\n"
        "printf '#!/bin/sh\\necho it works: \"$@\"\\n' > .venv/bin/mydockernet\nchmod +x .venv/bin/mydockernet\n"
    )
    setup.chmod(0o755)
    return tmp_path


def path_without_mydockernet():
    folders = [*os.environ["PATH"].split(":"), "/usr/sbin", "/sbin"]
    return ":".join(folder for folder in folders if not (Path(folder) / "mydockernet").exists())


def sandbox(clone, *words, **options):
    return subprocess.run(
        ["scripts/sandbox", *words],
        cwd=clone,
        env={**os.environ, "PATH": path_without_mydockernet()},
        capture_output=True,
        text=True,
        **options,
    )


def test_a_fresh_clone_is_set_up_first(clone):
    done = sandbox(clone, "mydockernet", "ls")
    assert (done.returncode, done.stdout, done.stderr) == (0, "it works: ls\n", "setup ran\n")
    assert sandbox(clone, "mydockernet", "ls").stderr == ""


def test_a_set_up_that_fails_ends_it(clone):
    (clone / "scripts/setup").write_text("#!/bin/sh\necho 'setup: no network' >&2; exit 7\n")
    done = sandbox(clone, "mydockernet", "ls")
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "setup: no network\n")


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_help_is_its_own(clone, option):
    done = sandbox(clone, option)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: scripts/sandbox [COMMAND [ARGUMENT…]]\n")


def test_an_option_that_there_is_not_is_named(clone):
    done = sandbox(clone, "--nope", "ls")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "sandbox: unknown option: --nope\nhint: scripts/sandbox --help\n"


def test_the_prompt_says_that_it_is_a_sandbox():
    reader, writer = pty.openpty()
    with subprocess.Popen([ROOT / "scripts/sandbox"], stdin=writer, stdout=writer, stderr=writer, cwd="/") as shell:
        os.close(writer)
        said = ""
        while "# " not in said:
            said += os.read(reader, 1000).decode()
        os.write(reader, b"exit\n")
        shell.wait()
    os.close(reader)
    assert "(sandbox) /# " in said


def test_commands_on_stdin_are_run():
    done = subprocess.run([ROOT / "scripts/sandbox"], input="ip -brief link\n", capture_output=True, text=True)
    assert done.stdout.split()[0] == "lo"


def test_the_defaults_of_the_machine_do_not_reach_into_the_sandbox(host, tmp_path):
    """A state directory named there would be one of the machine."""
    script = f"""
cd {tmp_path}; cp -r /etc etc 2>/dev/null || :  # Not all of it can be read by everybody.
mount --bind etc /etc
echo MYDOCKERNET_STATE_DIR={tmp_path}/state > /etc/mydockernet.conf
unset MYDOCKERNET_CONFIG
{ROOT}/scripts/sandbox sh -c 'mydockernet create web; ls /var/lib/mydockernet/networks'
test ! -e state
"""
    assert host.sh(script).stdout == "web\nweb.json\n"
