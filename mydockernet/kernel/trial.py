"""Try a rule of iptables out, in a network namespace that exists only meanwhile."""

import os

from mydockernet.dialects import iptables
from mydockernet.dialects.fact import Argv, Chain
from mydockernet.errors import Invalid
from mydockernet.kernel.spawn import Command, spawn

JUMPS = ("-j", "--jump", "-g", "--goto")

# The shell does not parse the words of the rule. The chain that it jumps to may exist on the host only.
_SCRIPT = """
program=$1 target=$2; shift 2
if ! said=$("$program" -A FORWARD "$@" 2>&1); then
    if ! { "$program" -N "$target" && "$program" -A FORWARD "$@"; } 2>/dev/null; then
        printf '%s\\n' "$said" >&2
        exit 1
    fi
fi
exec "$program-save" -t filter
"""


def spell(family: int, words: Argv) -> tuple[Argv, ...]:
    """Return what iptables-save shows of a rule: the words of each rule that it becomes.

    Raises Invalid with what iptables says of one that it refuses.
    """
    jump = next((number for number, word in enumerate(words) if word in JUMPS), len(words))
    target = words[jump + 1 : jump + 2] or ("",)
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    argv = ("unshare", *user, "--net", "sh", "-c", _SCRIPT, "sh", iptables.PROGRAMS[family], *target, *words)
    done = spawn(Command(argv))
    if done.status != 0:
        said = [line for line in done.stderr.splitlines() if not line.startswith("Try `")]
        raise Invalid(f"RULE: {said[0] if said else 'iptables refuses it'}")
    found = iptables.read_rules(family, done.stdout).get(Chain(family, "filter", "FORWARD"), ())
    return tuple(iptables.words_of(rule.text) for rule in found)
