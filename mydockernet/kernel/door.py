"""The door to the kernel: runs steps, folded into batches, and observes. The only importer of sh."""

import contextlib
import os
import signal
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import ModuleType

from mydockernet import variants
from mydockernet.dialects import ebtables, ip, ip_json, iptables, proc_net, ss, sysctl
from mydockernet.dialects.fact import Argv, Chain, Observed, Route, Rule, Step
from mydockernet.dialects.fact import inside as in_netns
from mydockernet.errors import CommandFailed, Failed, NotPermitted
from mydockernet.kernel.handles import Handles
from mydockernet.kernel.load_sh import load_sh
from mydockernet.model import Namespace
from mydockernet.record import locks
from mydockernet.value import Value, replace

SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
NOT_FOUND = 127
CAP_NET_ADMIN = 12  # capabilities(7)

# Characters, some thousands of addresses: reading more would slow the verbs for everybody else.
MOST_OF_A_CONTAINER = 4_000_000

RIGHTS_HINT = "be root, or look with --dry-run, or try it in a throw-away network with scripts/sandbox"


class Command(Value):
    """A program with its arguments, and what it reads."""

    argv: Argv
    stdin: str = ""


class Completed(Value):
    """How a command ended: its exit status, negative for the signal that killed it, and its streams."""

    status: int
    stdout: str
    stderr: str


Spawn = Callable[[Command], Completed]


def environment() -> Mapping[str, str]:
    """What commands inherit: messages in English, and the folders where ip and iptables live on PATH."""
    path = [*filter(None, os.environ.get("PATH", "").split(os.pathsep))]
    return {
        **os.environ,
        "LC_ALL": "C",
        "PATH": os.pathsep.join([*path, *(s for s in SBIN if s not in path)]),
    }


def where(program: str) -> str:
    """The path of a program on PATH; empty where there is none. shutil has this too, and takes 2 ms to load."""
    paths = (Path(folder, program) for folder in environment()["PATH"].split(os.pathsep))
    return next((str(path) for path in paths if os.access(path, os.X_OK) and path.is_file()), "")


def spawn(command: Command) -> Completed:
    """Run a command through sh, in a session of its own: a ^C is ours to handle, not its."""
    sh = load_sh()

    env = dict(environment())
    program, *arguments = command.argv
    try:
        done = sh.Command(program, search_paths=env["PATH"].split(os.pathsep))(
            *arguments,
            _in=command.stdin,
            _env=env,
            _tty_in=False,
            _tty_out=False,
            _return_cmd=True,
            _new_session=True,
            _decode_errors="replace",
        )
    except sh.ErrorReturnCode as ended:  # Its sub-class for signals included: then the code is negative.
        return Completed(ended.exit_code, _text(ended.stdout), _text(ended.stderr))
    except sh.CommandNotFound:
        return Completed(NOT_FOUND, "", f"{program}: command not found")
    except (sh.ForkException, sh.TimeoutException) as error:
        raise Failed(f"can't run {program}: {error}") from None
    return Completed(done.exit_code, _text(done.stdout), _text(done.stderr))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


class Batch(Value):
    """Steps that run as one command. `lines` tells the step of each line of its input."""

    argv: Argv
    stdin: str
    lines: tuple[int, ...]
    steps: tuple[Step, ...]

    def at_fault(self, stderr: str) -> Step | None:
        """The step that a batch failed at, as far as what it said tells."""
        if len(self.steps) == 1:
            return self.steps[0]
        line = _failed_line(stderr)
        if line is not None and 0 < line <= len(self.lines):
            return self.steps[self.lines[line - 1]]
        return None


def _failed_line(stderr: str) -> int | None:
    """The line named by `Command failed -:3` of ip or `line 3 failed`, `at line: 3` of iptables-restore."""
    for word_before, word in zip(["", *stderr.split()], stderr.split(), strict=False):
        number = word.removeprefix("-:")
        if (word.startswith("-:") or word_before in ("line", "line:")) and number.rstrip(".:").isdecimal():
            return int(number.rstrip(".:"))
    return None


FOLDERS: tuple[ModuleType, ...] = (ip, iptables, sysctl, ebtables)


def fold(steps: Iterable[Step]) -> Iterator[Batch]:
    """Join neighbors of one dialect, program and namespace into one command each; the order stays."""

    def kind(step: Step) -> tuple[int, str, Argv]:
        prefix, argv = _split(step.do)
        index = next((i for i, folder in enumerate(FOLDERS) if folder.foldable(argv) and not step.optional), -1)
        return index, argv[0] if index >= 0 else "", prefix

    for (index, _, prefix), group in groupby(steps, kind):
        neighbors = tuple(group)
        if index < 0 or len(neighbors) == 1:
            yield from (Batch(step.do, "", (), (step,)) for step in neighbors)
        else:
            argv, text, lines = FOLDERS[index].batch([_split(step.do)[1] for step in neighbors])
            yield Batch((*prefix, *argv), text, lines, neighbors)


def _split(argv: Argv) -> tuple[Argv, Argv]:
    """A command's `nsenter --net=PATH`, if it has one, and the rest."""
    return (argv[:2], argv[2:]) if argv[0] == "nsenter" else ((), argv)


class Kernel:
    """The real kernel, reached through a spawn function.

    `before_each` is called before each command that changes something; it may raise, and nothing is cut in two.
    `announce` is told each step's argv as it runs.
    """

    def __init__(self, spawn: Spawn = spawn, announce: Callable[[Argv], None] = lambda argv: None) -> None:
        self._spawn_command = spawn
        self._announce = announce
        self._handles = Handles()

    def hold(self, wanted: Iterable[Namespace]) -> None:
        """Open namespaces; from now on, until the lock is given back, their paths mean these and no others.

        What is shown of a command, and told of one that failed, has the path.
        """
        self._handles.hold(wanted)

    def _spawn(self, command: Command) -> Completed:
        if error := self._handles.refusal(command.argv, command.stdin):
            return Completed(1, "", str(error))
        lines = "-batch" in command.argv
        stdin = self._handles.through_lines(command.stdin) if lines else command.stdin
        return self._spawn_command(Command(self._handles.through(command.argv), stdin))

    def apply(self, steps: Sequence[Step], before_each: Callable[[], None] = lambda: None) -> None:
        """Run the steps in order. Raises CommandFailed, naming the one command at fault."""
        for batch in fold(steps):
            before_each()
            for step in batch.steps:
                self._announce(step.do)
            done = self._spawn(Command(batch.argv, batch.stdin))
            if done.status != 0 and not batch.steps[0].optional:
                culprit = batch.at_fault(done.stderr)
                said = "\n".join(
                    line for line in done.stderr.splitlines() if not line.startswith(("Command failed -:", "Try `"))
                )
                raise CommandFailed(culprit.do if culprit else batch.argv, done.status, said)

    def observe(self, families: Iterable[int] = (4,), lenient: bool = False) -> Observed:
        """What the kernel shows of links, routes and rules.

        With `lenient`, rules that may not be read are taken as absent, and `unread` says so.
        Raises CommandFailed, or Failed for output that can't be read.
        """
        conntrack = self.has("conntrack")
        return self._observe_rules("", replace(self._observe_links(""), conntrack=conntrack), families, lenient)

    def observe_whole(self, seen: Observed, paths: Iterable[str]) -> Observed:
        """The same observation, with the rules and listening sockets too of the host and of these namespaces."""
        seen = self.observe_sockets(self.observe_inside(seen, paths, lenient=True))
        inside, unread = dict(seen.inside), list(seen.unread)
        for path in {*paths} & {*inside}:
            try:
                sockets = ss.read_sockets(self._read(in_netns(path, ss.READ_SOCKETS)))
                inside[path] = replace(self._observe_rules(path, inside[path], (4,), lenient=True), sockets=sockets)
            except Failed as failure:
                unread.append(_short(failure))
        return replace(seen, inside=inside, unread=tuple(unread))

    def route(self, netns: str, destination: str, source: str = "", inward: str = "") -> Route | str:
        """Which way the kernel would send a packet, that it made itself or that came in by `inward`.

        Where it would not, what it says to that, as in `Network is unreachable`.
        """
        done = self._spawn(Command(in_netns(netns, ip_json.ask_route(destination, source, inward))))
        if done.status != 0:
            return done.stderr.strip().removeprefix("RTNETLINK answers: ") or f"status {done.status}"
        return ip_json.read_route(done.stdout)

    def observe_inside(self, seen: Observed, paths: Iterable[str], lenient: bool = False) -> Observed:
        """The same observation, with the links and routes in the namespaces at these paths, where they are there."""
        inside, unread = dict(seen.inside), list(seen.unread)
        for path in paths:
            if path in inside or not Path(path).exists():
                continue
            if self._handles.broken(path):
                inside[path] = Observed()
                continue
            if error := self._handles.refused(path):
                if isinstance(error, NotPermitted):
                    if not lenient:
                        raise error
                    unread.append(str(error))
                continue
            try:
                inside[path] = self._observe_links(path)
            except Failed as failure:  # It may have printed what can't be read.
                if not Path(path).exists():
                    continue  # It ended while it was looked at.
                if not lenient:
                    raise
                unread.append(_short(failure))
        return replace(seen, inside=inside, unread=tuple(unread))

    def observe_sysctls(self, seen: Observed, wanted: Iterable[tuple[str, str]], lenient: bool = False) -> Observed:
        """The same observation, with the values of sysctls (namespace, key); no value where there is no such key.

        The host's are read from /proc/sys, those of a container by a process in its namespace.
        With `lenient`, a namespace where they can't be read counts as one that could not be looked into.
        """
        by_netns: dict[str, list[str]] = {}
        for netns, key in sorted(wanted):
            by_netns.setdefault(netns, []).append(key)
        seen = seen.with_sysctls(sysctl.read_files(by_netns.pop("", ())))
        inside, unread = dict(seen.inside), list(seen.unread)
        for netns, keys in by_netns.items():
            there = inside.get(netns)
            if there is None or self._handles.broken(netns):
                continue
            keys = [key for key in keys if not sysctl.interface(key) or sysctl.interface(key) in there.links]
            if not keys:
                continue
            try:
                values = sysctl.read(self._read(in_netns(netns, sysctl.read_command(keys))))
            except CommandFailed as failure:
                if not lenient:
                    raise
                unread.append(_short(failure))
                del inside[netns]
                continue
            inside[netns] = there.with_sysctls(values)
        return replace(seen, inside=inside, unread=tuple(unread))

    def observe_frames(self, seen: Observed, lenient: bool = False) -> Observed:
        """The same observation, with the rules of ebtables; with `lenient`, those that may not be read are `unread`."""
        try:
            return replace(seen, frames=ebtables.read_frames(self._read(ebtables.READ_FRAMES)))
        except CommandFailed as failure:
            if not lenient:
                raise
            return replace(seen, unread=(*seen.unread, _short(failure)), frameless=True)

    def has(self, program: str) -> bool:
        """Whether a program is on PATH."""
        return bool(where(program))

    def observe_sockets(self, seen: Observed, ports: Collection[int] | None = None) -> Observed:
        """The same observation, with the sockets of the host that listen.

        Where only these `ports` are asked for and none of them is in use, they come without their programs' names,
        which takes no process.
        """
        listening = proc_net.read_listening()
        if ports is None or listening is None or any(socket.port in ports for socket in listening):
            listening = ss.read_sockets(self._read(ss.READ_SOCKETS))
        return replace(seen, sockets=listening)

    def try_read(self, argv: Argv) -> str:
        """What a command prints; nothing, where it fails or is not there."""
        done = self._spawn(Command(argv))
        return done.stdout if done.status == 0 else ""

    def _observe_rules(self, netns: str, seen: Observed, families: Iterable[int], lenient: bool) -> Observed:
        chains: dict[Chain, tuple[Rule, ...]] = {}
        policies: dict[Chain, str] = {}
        unread: list[str] = []
        for family in families:
            try:
                text = self._read(in_netns(netns, (f"{iptables.PROGRAMS[family]}-save", "--counters")))
            except CommandFailed as error:
                if not lenient:
                    raise
                unread.append(_short(error))
                continue
            chains |= iptables.read_rules(family, text)
            policies |= iptables.read_policies(family, text)
            if family == 4 and not netns:
                seen = self._observe_other(seen, variants.is_legacy(text, _real_path("iptables-save")))
        return replace(seen, chains=chains, policies=policies, unread=(*seen.unread, *unread), blind=bool(unread))

    def _observe_other(self, seen: Observed, legacy: bool) -> Observed:
        """The same observation, with the rules of the other variant of iptables than ours, where it has any."""
        variant = variants.NFT if legacy else variants.LEGACY
        save = f"{variant}-save"
        if (not legacy and not legacy_tables()) or not _real_path(save):
            return seen
        text = self.try_read((save, "--counters"))
        chains, policies = iptables.read_rules(4, text), iptables.read_policies(4, text)
        if not any(chains.values()) and set(policies.values()) <= {"ACCEPT"}:
            return seen
        return replace(seen, other=Observed(chains=chains, policies=policies), variant=variant)

    def _observe_links(self, netns: str) -> Observed:
        text = self._read(in_netns(netns, ip_json.READ), ip_json.CONTAINER if netns else ip_json.HOST)
        if netns and len(text) > MOST_OF_A_CONTAINER:  # More than an honest one has.
            raise Failed(f"`{' '.join(ip_json.READ)}` prints {len(text):,} characters in {netns}: too many to read")
        return replace(ip_json.read(text), ipv6=Path("/proc/sys/net/ipv6").exists())

    @contextlib.contextmanager
    def lock(self, timeout: float, shared: bool = False) -> Iterator[None]:
        """Keep other mydockernets, of other state folders too, from this network namespace.

        Raises Locked after `timeout` seconds, NotPermitted or Failed where the lock can't be opened. Readers among
        themselves may be several (`shared`).
        """
        handle = locks.open_for_this_network()
        try:
            locks.hold(handle, "of this network namespace", timeout, shared)
            yield
        finally:
            self._handles.release()
            os.close(handle)

    def may_change(self) -> bool:
        """Whether this process may change the network."""
        effective = 0
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapEff:"):
                effective = int(line.split()[1], 16)
        return bool(effective >> CAP_NET_ADMIN & 1)

    def require_rights(self) -> None:
        """Raise Failed where this process may not change the network, before anything is tried."""
        if not self.may_change():
            raise Failed("changing the network takes the right CAP_NET_ADMIN, which you lack", hint=RIGHTS_HINT)

    def hand_over(self, argv: Argv) -> int:
        """Run a command with our own terminal, streams and environment; returns its exit status as a shell has it.

        Not through sh, which would stand between the command and its terminal. Signals go on to the command; it is
        killed when we are.
        """
        told = (signal.SIGTERM, signal.SIGHUP)
        # One that comes before we can pass it on waits until we can.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, (*told, signal.SIGINT))
        try:
            words = ("setpriv", "--pdeathsig", "KILL", *argv)
            # Python ignores two signals; the command is not to inherit that.
            deaf = (signal.SIGPIPE, signal.SIGXFSZ)
            process = os.posix_spawnp(words[0], words, os.environ, setsigmask=mask, setsigdef=deaf)
            before = [signal.signal(number, lambda number, _: os.kill(process, number)) for number in told]
            before.append(signal.signal(signal.SIGINT, lambda *_: None))  # A terminal sends it to both of us.
        except OSError as error:
            raise Failed(f"can't run setpriv: {error.strerror}") from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            _, status = os.waitpid(process, 0)
        finally:
            for number, handler in zip((*told, signal.SIGINT), before, strict=True):
                signal.signal(number, handler)
        code = os.waitstatus_to_exitcode(status)
        return 128 - code if code < 0 else code

    def _read(self, argv: Argv, stdin: str = "") -> str:
        done = self._spawn(Command(argv, stdin))
        if done.status != 0:
            raise CommandFailed(argv, done.status, done.stderr)
        return done.stdout


def legacy_tables() -> str:
    """The tables that the legacy variant of iptables has in this network namespace; root alone may read that."""
    try:
        return Path("/proc/self/net/ip_tables_names").read_text()
    except OSError:
        return ""


def _real_path(program: str) -> str:
    """Where a program is, links followed; empty where it is not."""
    found = where(program)
    return os.path.realpath(found) if found else ""


def _short(error: Failed) -> str:
    if not isinstance(error, CommandFailed):
        return str(error)
    said = error.stderr.splitlines()
    return f"{error.argv[0]}: {said[0] if said else error.status}"
