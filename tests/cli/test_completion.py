"""bash, zsh and fish complete verbs, options and the names on record; completions and manual pages are up to date."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from mydockernet.cli import main as cli
from tests.conftest import ROOT

COMPLETION, MAN = ROOT / "contrib/completion", ROOT / "contrib/man"

# What each shell offers for a line: one candidate per line of its output, in <> for zsh.
BASH = """
source $1/mydockernet
eval "COMP_WORDS=($2 \\"\\")"
[[ $2 == *' ' ]] || unset 'COMP_WORDS[-1]'
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_mydockernet 2>/dev/null
printf '<%s>\\n' "${COMPREPLY[@]}"
"""
# The terminal echoes what is typed: only what zsh prints has READY as one word.
ZSH = r"""
zmodload zsh/zpty
zpty z zsh -f -i
until_line() { local line; while zpty -r z line; do [[ $line == *$1* ]] && return; print -r -- $line; done }
zpty -w z "PROMPT=; fpath=($1 \$fpath); autoload -Uz compinit; compinit -D -u"
zpty -w z 'compadd() {
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return $?; fi
    typeset -a found; builtin compadd -A found "$@"; [[ -n $found ]] && print -rl -- "<"${^found}">"
    builtin compadd "$@" }'
zpty -w z 'bindkey "^I" complete-word; stop() { print; print END; exit }; zle -N stop; bindkey "^X" stop; print "REA"DY'
until_line READY > /dev/null
zpty -w -n z "$2"$'\t\x18'
until_line END
"""
FISH = """
source $argv[1]/mydockernet.fish
complete -C $argv[2] | string replace -r '(\\t.*)?$' '>' | string replace -r '^' '<'
true
"""
RUN = {"bash": ("bash", "-c", BASH, "-"), "zsh": ("zsh", "-f", "-c", ZSH, "-"), "fish": ("fish", "-N", "-c", FISH)}


@pytest.fixture(params=RUN)
def offered(request, host):
    """Returns what a shell offers for a line. zsh and fish are those of Debian 13: scripts/debian13."""
    if shutil.which(request.param) is None:
        reason = f"needs {request.param}: scripts/debian13 python3 -m pytest {__file__}"
        if os.environ.get("MYDOCKERNET_TEST_ENGINES") == "1":  # As .ci/run sets it there.
            pytest.fail(reason)
        pytest.skip(reason)

    def complete(line):
        printed = host.run(*RUN[request.param], COMPLETION, line, env={"TERM": "dumb"}).stdout
        return {*re.findall(r"<(\S+)>", printed)}

    return complete


def test_verbs_options_and_choices_are_completed(offered):
    assert offered("mydockernet rem") == {"remove"}
    assert offered("mydockernet publ") == {"publish"}
    assert {"--dry-run", "--driver"} <= offered("mydockernet create --dr")
    assert offered("mydockernet create --driver ") == {"bridge", "ptp", "macvlan", "ipvlan"}
    assert offered("mydockernet user-rules ") == {"add", "remove", "list"}
    assert "mtu=" in offered("mydockernet set web m")


def test_names_on_record_are_completed(offered, host):
    host.sh("for n in c1 c2; do ip netns add $n; done")
    host.set_up("mydockernet create web; mydockernet create blog; mydockernet connect web c1")
    assert offered("mydockernet rm ") == {"web", "blog"}
    assert offered("mydockernet rm web b") == {"blog"}
    assert offered("mydockernet inspect ") == {"web", "blog", "c1"}
    assert offered("mydockernet connect web ") == {"c1", "c2"}
    assert offered("mydockernet disconnect web c") == {"c1"}
    assert offered("mydockernet history show ") == {"1", "2", "3"}
    assert offered("mydockernet user-rules add ") == {"web", "blog"}
    assert offered("mydockernet set w") == offered("mydockernet stats w") == {"web", "web/c1"}
    assert {name.removeprefix("web,") for name in offered("mydockernet connect web,b")} == {"blog"}
    assert offered("mydockernet rm --state-dir /run/none ") == set()


def test_the_files_are_what_the_parser_gives(tmp_path):
    pytest.importorskip("shtab", reason="scripts/setup test installs shtab and argparse-manpage")
    subprocess.run([sys.executable, ROOT / "scripts/generate", tmp_path], check=True)
    for folder in (COMPLETION, MAN, ROOT / "contrib/schemas"):
        written = {path.name: path.read_text() for path in (tmp_path / folder.name).iterdir()}
        kept = {path.name: path.read_text() for path in folder.iterdir()}
        different = sorted(name for name in {*written, *kept} if written.get(name) != kept.get(name))
        assert not different, "run scripts/generate"


def test_each_verb_has_a_manual_page():
    assert {path.name for path in MAN.iterdir()} == {"mydockernet.1", *(f"mydockernet-{verb}.1" for verb in cli.VERBS)}


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not here")
def test_man_prints_the_pages_without_a_warning(tmp_path):
    (tmp_path / "man1").symlink_to(MAN)
    script = 'for page in man1/*; do man --warnings -E UTF-8 -l "$page" >/dev/null; done'
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env={**os.environ, "LC_ALL": "C.UTF-8"}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_manual_names_exit_codes_variables_and_files():
    text = (MAN / "mydockernet.1").read_text()
    for heading in ("EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLE", "SEE ALSO"):
        assert f".SH {heading}\n" in text
    for name in (*cli.VARIABLES, "/etc/mydockernet.conf", "/var/lib/mydockernet"):
        assert f".B {name}\n" in text
