"""The package for Debian, in fresh roots of Debian 12 and 13: it installs, works, and leaves nothing behind.

.ci/run runs these: the root of Debian 12 takes a minute to make, and they need root.
"""

import os
import subprocess
import sys

import pytest

from tests.cli.test_readme import END, agrees, script_of, session
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(
    os.environ.get("MYDOCKERNET_TEST_ENGINES") != "1",
    reason="takes minutes: set MYDOCKERNET_TEST_ENGINES=1, as .ci/run",
)

# The file systems of a host, less what dpkg itself keeps, and what is kept of the commands below.
FILES = r"""
files() {
    find / -xdev \( -path /var/lib/dpkg -o -path /var/log -o -path /var/cache -o -path /mydockernet \) -prune \
        -o -printf '%y %m %p\n' | sort
}
"""

LIFE = (
    FILES
    + r"""
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec 3>&1 >&2  # What is asserted goes to 3.
cat > /tmp/it.deb
# On Debian 13, the same tree is installed in a venv, which is not in PATH now.
files > /tmp/before
dpkg -i /tmp/it.deb
echo == installed >&3
mydockernet --version >&3
find /usr/share/mydockernet -name '*.pyc' | grep -c cli/__pycache__/main >&3
stat -c %a /usr/libexec/mydockernet-firewalld >&3
test -L /etc/systemd/system/multi-user.target.wants/mydockernet.service && echo enabled >&3
test -e /etc/systemd/system/timers.target.wants/mydockernet.timer || echo no timer >&3
ls /usr/share/man/man1/mydockernet-create.1.gz /usr/share/bash-completion/completions/mydockernet >&3
grep -rl /usr/local/bin/mydockernet /usr/lib/systemd /usr/share/doc/mydockernet/contrib >&3 || :
echo == used >&3
ip netns add c1
mydockernet create web >&3
mydockernet connect web c1 --publish 8080:80 >&3
mydockernet ls --format '{{.Name}} {{.State}}' >&3
mydockernet check >&3
echo 'MYDOCKERNET_POOLS=10.77.0.0/16' >> /etc/mydockernet.conf
printf 'networks: {lab: {}}\n' > /tmp/lab.yml
mydockernet apply /tmp/lab.yml
mydockernet ls --format '{{.Name}} {{.Subnet}}' --filter name=lab >&3
echo '{"cniVersion": "1.1.0", "name": "pods", "type": "mydockernet"}' |
    CNI_COMMAND=STATUS CNI_PATH=/usr/lib/cni /usr/lib/cni/mydockernet && echo cni >&3
/usr/libexec/netavark/mydockernet info >&3
mydockernet engines status | wc -l >&3
script -qec 'mydockernet ls' /dev/null | grep -c '│ web ' >&3
mydockernet rm --force web lab >&3
echo == removed >&3
dpkg -r mydockernet
test -e /etc/mydockernet.conf && echo conf >&3
test -e /usr/share/mydockernet || echo no modules >&3
echo == purged >&3
dpkg --purge mydockernet 2>&1 | grep /var/lib/mydockernet >&3
files > /tmp/after
diff /tmp/before /tmp/after | grep '^[<>]' | cut -d ' ' -f 1,4 | grep -v '/var/lib/mydockernet/' >&3 || :
ip -brief link | wc -l >&3
"""
)

EXPECTED = """\
== installed
mydockernet 0.1.0
1
755
enabled
no timer
/usr/share/bash-completion/completions/mydockernet
/usr/share/man/man1/mydockernet-create.1.gz
== used
web
10.208.0.2
web up
lab 10.77.0.0/24
cni
{"version": "0.1.0", "api_version": "1.0.0"}
6
1
web
lab
== removed
conf
no modules
== purged
mydockernet: the record of networks stays in /var/lib/mydockernet; delete it if you no longer need it
> /var/lib/mydockernet
1
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deb")
    subprocess.run([sys.executable, ROOT / "scripts/package", "--to", folder, "deb"], check=True, capture_output=True)
    (file,) = folder.iterdir()
    return file


@pytest.mark.parametrize("release", ["12", "13"])
def test_the_package_installs_works_and_is_purged(package, release):
    words = [ROOT / "scripts/debian", release, "bash", "-euo", "pipefail", "-c", LIFE]
    with package.open() as file:
        done = subprocess.run(words, stdin=file, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == EXPECTED, done.stderr


@pytest.mark.parametrize("release", ["12", "13"])
def test_the_tutorial_runs_with_the_package(package, release):
    commands = session("docs/tutorial.md")
    script = "\n".join(["cat >/tmp/it.deb", "dpkg -i /tmp/it.deb >&2", "exec 2>&1", f"echo {END}", script_of(commands)])
    words = [ROOT / "scripts/debian", release, "env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "bash", "-c", script]
    with package.open() as file:
        done = subprocess.run(words, stdin=file, stdout=subprocess.PIPE, text=True)
    agrees(commands, done.stdout.partition(f"{END}\n")[2])


def test_the_package_is_the_same_each_time(package, tmp_path):
    command = [sys.executable, ROOT / "scripts/package", "--to", tmp_path, "deb"]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / package.name).read_bytes() == package.read_bytes()
