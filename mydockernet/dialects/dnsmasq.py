"""The dialect of `dnsmasq`: a server for the names of one network, and perhaps for its addresses (DHCP). dnsmasq(8).

It runs until it is killed, and is known by its pid file and its argv, as /proc shows it.
"""

from mydockernet.dialects.fact import Argv, Fact, Observed, Step

PROGRAM = "dnsmasq"
PORT = 53
# Only root can write there: nobody else can make mydockernet kill another process.
FOLDER = "/run/mydockernet"


class Server(Fact):
    """A dnsmasq with these options, besides those that every one of mydockernet has."""

    owner: str
    options: tuple[str, ...]
    why: str

    @property
    def what(self) -> str:
        return f"name server: {PROGRAM} for {self.owner}"

    @property
    def pid_file(self) -> str:
        """Where it writes its process identifier."""
        return pid_file(self.owner)

    @property
    def argv(self) -> Argv:
        """Its command."""
        return (PROGRAM, "--conf-file=/dev/null", "--no-hosts", f"--pid-file={self.pid_file}", *self.options)

    def servers(self) -> tuple[str, ...]:
        return (self.pid_file,)

    def holds(self, seen: Observed) -> bool:
        program, *options = seen.servers.get(self.pid_file) or ("",)
        return (program.rpartition("/")[2], *options) == self.argv  # It may have been started by its path.

    def remains(self, seen: Observed) -> bool:
        return self.pid_file in seen.servers

    def do(self, seen: Observed) -> tuple[Step, ...]:
        why = "Create the folder of its pid file. Only root can write there."
        start = (Step(why, ("mkdir", "-p", "-m", "0700", FOLDER)), self._start(seen))
        if not self.remains(seen):
            return start
        why = "Wait until it has ended: its addresses must be free."
        wait = Step(why, ("pidwait", "--pidfile", self.pid_file, "--exact", PROGRAM), optional=True)
        return (self._stop(), wait, *start)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        why = "Delete its pid file, which it cannot do itself, as it has given up the rights of root."
        return (self._stop(), Step(why, ("rm", "-f", self.pid_file, leases(self.owner))))

    def slot(self) -> str:
        return self.pid_file

    def _start(self, seen: Observed) -> Step:
        if not seen.systemd:
            return Step(self.why, self.argv)
        # Otherwise it would end with the session, or the service, that this process belongs to.
        unit = f"--unit={PROGRAM}-mydockernet-{self.owner.replace('@', '-')}"
        why = f"{self.why} It has a scope of systemd: it must not end with the session that it is started in."
        return Step(why, ("systemd-run", "--quiet", "--collect", "--scope", unit, "--", *self.argv))

    def _stop(self) -> Step:
        why = f"Stop the name server of {self.owner}."
        return Step(why, ("pkill", "--pidfile", self.pid_file, "--exact", PROGRAM), optional=True)


def pid_file(owner: str) -> str:
    """Return the pid file of the server of a network, by its owner, NAME or NAME@REALM."""
    return f"{FOLDER}/{PROGRAM}-{owner}.pid"


def leases(owner: str) -> str:
    """Return the file in which it keeps the addresses that it gave to those who asked by DHCP."""
    return f"{FOLDER}/{PROGRAM}-{owner}.leases"


def reload(owner: str) -> Step:
    """Return the step that makes a server read the names again. It may not run."""
    why = f"Let the name server of {owner} read its file again: it also forgets what it has cached."
    return Step(why, ("pkill", "--signal", "HUP", "--pidfile", pid_file(owner), "--exact", PROGRAM), optional=True)
