"""The door to the kernel: it executes the steps of a plan, folded into batches, and observes the kernel."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from mydockernet import rulesets, variants
from mydockernet.dialects import conntrack, ebtables, firewalld, ip_json, iptables, nft_frames, nftables, ss, sysctl, tc
from mydockernet.dialects.fact import FORWARDING, Argv, Chain, Observed, Route, Rule, Step
from mydockernet.dialects.fact import inside as in_netns
from mydockernet.errors import CommandFailed, Failed, NotPermitted
from mydockernet.kernel import fan
from mydockernet.kernel.folding import Batch, fold
from mydockernet.kernel.handles import Handles
from mydockernet.kernel.proc import has_bus, has_systemd, in_use, is_here, legacy_tables, read_sysctls
from mydockernet.kernel.spawn import Command, Completed, Spawn, Together, spawn, together, where
from mydockernet.model import Namespace
from mydockernet.record import locks
from mydockernet.value import replace

FEW_SEARCHES = 4
FLOWS = "net/netfilter/nf_conntrack_count"
CAP_NET_ADMIN = 12  # capabilities(7)

# Characters: some thousands of addresses. A container that has more would slow every command.
MOST_OF_A_CONTAINER = 4_000_000

# The program whose presence shows that a firewall is installed.
FIREWALLS = {"iptables": "iptables-save", "nftables": nftables.NFT}

RIGHTS_HINT = "run it as root, preview it with --dry-run, or try it in a throw-away network with scripts/sandbox"


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def _raise(batch: Batch, done: Completed) -> NoReturn:
    """Raise CommandFailed for a batch, with the one command of it that failed, if that is known."""
    culprit = batch.at_fault(done.stderr)
    said = "\n".join(line for line in done.stderr.splitlines() if not line.startswith(("Command failed -:", "Try `")))
    raise CommandFailed(culprit.do if culprit else batch.argv, done.status, said)


class Kernel:
    """The real kernel, reached through a spawn function.

    `announce` is called with the argv of each step before it runs. `ran` are the steps that did, of those `planned`.
    """

    def __init__(
        self,
        spawn: Spawn = spawn,
        announce: Callable[[Argv], None] = lambda argv: None,
        together: Together = together,
    ) -> None:
        self._spawn_command = spawn
        self._together = together
        self._announce = announce
        self._handles = Handles()
        self.ran: list[Step] = []  # All steps that were run, for the history.
        self.planned = 0

    def hold(self, wanted: Iterable[Namespace]) -> None:
        """Open namespaces: until the lock is released, their paths refer to these, even if something replaces them.

        Commands are still shown, and reported in errors, with the path.
        """
        self._handles.hold(wanted)

    def _spawn(self, command: Command) -> Completed:
        if error := self._handles.refusal(command.argv, command.stdin):
            return Completed(1, "", str(error))
        lines = "-batch" in command.argv
        stdin = self._handles.through_lines(command.stdin) if lines else command.stdin
        return self._spawn_command(Command(self._handles.through(command.argv), stdin))

    def apply(self, steps: Sequence[Step], before_each: Callable[[], None] = lambda: None) -> None:
        """Run the steps in order.

        `before_each` is called before each batch; it may raise, so that nothing is interrupted half-way.
        Raises CommandFailed, which names the one command that failed.
        """
        self.planned = len(self.ran) + len(steps)
        for program, some in groupby(fold(steps), lambda batch: batch.argv[0]):
            group = list(some)
            if program == conntrack.CONNTRACK:
                group = self._with_flows(group)
            spaces = [batch.argv[1] for batch in group if fan.possible(Command(batch.argv, batch.stdin))]
            if len({*spaces}) >= fan.MANY and len(spaces) == len(group) and self.has(fan.PROGRAM):
                for turn in fan.rounds(spaces):
                    self._run_each([group[position] for position in turn], before_each)
            else:
                for batch in group:
                    self._run(batch, before_each)

    def _run(self, batch: Batch, before_each: Callable[[], None]) -> None:
        before_each()
        self._begin(batch)
        done = self._spawn(Command(batch.argv, batch.stdin))
        if done.status != 0 and not batch.steps[0].optional:
            _raise(batch, done)

    def _run_each(self, batches: Sequence[Batch], before_each: Callable[[], None]) -> None:
        """Run batches, each in a namespace of its own, at the same time. Raises CommandFailed."""
        before_each()
        for batch in batches:
            self._begin(batch)
        for done, batch in zip(self._spawn_each([Command(b.argv, b.stdin) for b in batches]), batches, strict=True):
            if done.status != 0 and not batch.steps[0].optional:
                _raise(batch, done)

    def _begin(self, batch: Batch) -> None:
        for step in batch.steps:
            self._announce(step.do)
        self.ran += batch.steps

    def _spawn_each(self, errands: Sequence[Command]) -> list[Completed]:
        """Run commands, each in a namespace of its own, at the same time. Returns the status of all, in their order."""
        refused = [self._handles.refusal(errand.argv, errand.stdin) for errand in errands]
        if any(refused):
            return [Completed(1, "", str(error or "another one was refused")) for error in refused]
        entered = [Command(self._handles.through(errand.argv), errand.stdin) for errand in errands]
        ended = [Completed(0, "", "")] * len(errands)
        with fan.commands(entered) as commands:
            for (command, positions), done in zip(commands, self._together([c for c, _ in commands]), strict=True):
                if done.status == 0:
                    continue
                if found := fan.culprit(command, done.stderr):
                    ended[positions[found[0]]] = Completed(1, "", found[1])
                elif entered[positions[0]].argv[2] != "sysctl":
                    ended[positions[0]] = Completed(1, "", done.stderr)
                else:  # Which one it was shows when they run again, one by one.
                    for position in positions:
                        ended[position] = self._spawn_command(entered[position])
        return ended

    def _with_flows(self, searches: list[Batch]) -> list[Batch]:
        """Return the commands that find flows to end. Each takes 16 ms, so one list of all flows replaces many."""
        if read_sysctls([FLOWS]).get(FLOWS) == "0":
            return []
        if len(searches) <= FEW_SEARCHES:
            return searches
        found: dict[Argv, str | None] = {}
        kept = []
        for batch in searches:
            every = conntrack.listing(batch.argv)
            if every not in found:
                listed = self._spawn(Command(every))
                found[every] = None if listed.status else listed.stdout
            text = found[every]
            if text is None or conntrack.may_find(batch.argv, text):
                kept.append(batch)
        return kept

    def observe(self) -> Observed:
        """Read the links and routes of the host, and which firewalls are installed.

        Raises CommandFailed, or Failed for output that cannot be parsed.
        """
        installed = tuple(name for name, program in FIREWALLS.items() if self.has(program))
        seen = replace(self._observe_links(""), conntrack=self.has(conntrack.CONNTRACK), firewalls=installed)
        return replace(seen, systemd=has_systemd())

    def observe_rules(self, seen: Observed, wanted: Iterable[str], lenient: bool = False) -> Observed:
        """Add the rules of some programs, which are iptables, ip6tables and nft, unless they are there already.

        With `lenient`, rules that this user may not read are assumed absent, and `unread` says so. A program that is
        not installed has none. Raises CommandFailed, or Failed for output that cannot be parsed.
        """
        for program in wanted:
            name = next(name for name, programs in rulesets.PROGRAMS.items() if program in programs)
            if program in seen.read or (seen.firewalls and name not in seen.firewalls):
                continue
            seen = replace(seen, read=seen.read | {program})
            if program == nftables.NFT:
                seen = self._observe_table(seen, lenient)
            elif program == iptables.PROGRAMS[4]:
                seen = self._observe_rules("", seen, (4,), lenient)
            elif seen.ipv6 and self.has(program):
                seen = self._observe_rules("", seen, (6,), lenient)
        return seen

    def observe_all_rules(self, seen: Observed, lenient: bool = False) -> Observed:
        """Add the rules of all firewalls that are installed, as observe_rules does."""
        names = seen.firewalls or ("iptables",)
        return self.observe_rules(seen, (program for name in names for program in rulesets.PROGRAMS[name]), lenient)

    def _observe_table(self, seen: Observed, lenient: bool) -> Observed:
        done = self._spawn(Command(nftables.READ))
        if done.status == 0:
            return replace(seen, table=nftables.read(done.stdout))
        failure = CommandFailed(nftables.READ, done.status, done.stderr)
        if nftables.ABSENT in done.stderr:
            return seen
        if not lenient:
            raise failure
        return replace(seen, unread=(*seen.unread, _short(failure)), blind=True)

    def observe_lookups6(self, seen: Observed, paths: Iterable[str], lenient: bool = False) -> Observed:
        """Add the routing rules for IPv6 of the namespaces at these paths that were observed."""
        inside, unread = dict(seen.inside), list(seen.unread)
        for path in sorted({*paths} & {*inside}):
            try:
                found = ip_json.read(self._read(in_netns(path, ip_json.READ_RULES_6)))
            except Failed as failure:
                if not lenient:
                    raise
                unread.append(_short(failure))
                continue
            inside[path] = replace(inside[path], lookups=inside[path].lookups | found.lookups)
        return replace(seen, inside=inside, unread=tuple(unread))

    def observe_bridged(self, seen: Observed) -> Observed:
        """Add the rules of nftables about bridged frames."""
        return replace(seen, bridged=nft_frames.read(self.try_read(nft_frames.READ)))

    def observe_zones(self, seen: Observed) -> Observed:
        """Add the zones of firewalld, if it runs on this host. Without a bus and its client, this takes no process.

        What cannot be read is noted in `unread`: firewalld itself may be what fails.
        """
        if not (has_bus() and self.has(firewalld.PROGRAM)):
            return seen
        said = [done.stdout for done in self._together([Command(argv) for argv in firewalld.READ])]
        if not is_here(firewalld.read_pid(said[0])):
            return seen
        zones = firewalld.read(*said[1:4])
        if zones is None:
            return replace(seen, unread=(*seen.unread, "the zones of firewalld, through busctl"))
        asked = firewalld.settings(*said[4:])
        shown = self._together([Command(argv) for _, argv in asked])
        texts = [(zone, done.stdout) for (zone, _), done in zip(asked, shown, strict=True)]
        return replace(seen, zones=firewalld.with_lasting(zones, texts))

    def forwards6(self) -> bool:
        """Return whether this host forwards IPv6."""
        return read_sysctls((FORWARDING[6],)).get(FORWARDING[6]) == "1"

    def observe_whole(self, seen: Observed, paths: Iterable[str]) -> Observed:
        """Add the rules and listening sockets of the host and of the namespaces at these paths."""
        seen = self.observe_sockets(self.observe_inside(seen, paths, lenient=True))
        inside, unread = dict(seen.inside), list(seen.unread)
        for path in {*paths} & {*inside}:
            try:
                sockets = ss.read_sockets(self._read(in_netns(path, ss.READ_SOCKETS)))
                families = tuple(family for family, program in iptables.PROGRAMS.items() if program in seen.read)
                inside[path] = replace(self._observe_rules(path, inside[path], families, lenient=True), sockets=sockets)
            except Failed as failure:
                unread.append(_short(failure))
        return replace(seen, inside=inside, unread=tuple(unread))

    def route(self, netns: str, destination: str, source: str = "", inward: str = "") -> Route | str:
        """Ask the kernel how it would route a packet: a local one, or one that arrives by the interface `inward`.

        Returns the error message of the kernel, such as `Network is unreachable`, if it would not.
        """
        done = self._spawn(Command(in_netns(netns, ip_json.ask_route(destination, source, inward))))
        if done.status != 0:
            return done.stderr.strip().removeprefix("RTNETLINK answers: ") or f"status {done.status}"
        return ip_json.read_route(done.stdout)

    def observe_inside(self, seen: Observed, paths: Iterable[str], lenient: bool = False) -> Observed:
        """Add the links, routes and lookups of the namespaces that exist at these paths."""
        inside, unread = dict(seen.inside), list(seen.unread)
        paths = list(paths)
        inside |= self._observe_many([path for path in dict.fromkeys(paths) if path not in inside])
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
            except Failed as failure:  # A container can make ip print anything.
                if not Path(path).exists():
                    continue  # It ended during the look.
                if not lenient:
                    raise
                unread.append(_short(failure))
        return replace(seen, inside=inside, unread=tuple(unread))

    def _observe_many(self, paths: Sequence[str]) -> dict[str, Observed]:
        """Read the links, routes and lookups of many namespaces by a few processes; those that fail are omitted."""
        paths = [path for path in paths if not (self._handles.broken(path) or self._handles.refused(path))]
        if len(paths) < fan.MANY or not self.has(fan.PROGRAM):
            return {}
        found: dict[str, Observed] = {}
        for start in range(0, len(paths), fan.AT_ONCE):
            some = paths[start : start + fan.AT_ONCE]
            asked = [Command(self._handles.through(in_netns(p, ip_json.READ)), ip_json.CONTAINER) for p in some]
            with fan.commands(asked) as commands:
                for (_, places), done in zip(commands, self._together([c for c, _ in commands]), strict=True):
                    if done.status == 0 and len(done.stdout) <= MOST_OF_A_CONTAINER:
                        seen = ip_json.read_each(done.stdout, len(places))
                        found |= dict(zip([some[place] for place in places], seen, strict=False))
        ipv6 = Path("/proc/sys/net/ipv6").exists()
        return {path: replace(seen, ipv6=ipv6) for path, seen in found.items()}

    def observe_sysctls(self, seen: Observed, wanted: Iterable[tuple[str, str]], lenient: bool = False) -> Observed:
        """Add the values of sysctls, given as (namespace, key). A key that does not exist gets no value.

        The host's are read from /proc/sys, those of a container by a process in its namespace.
        With `lenient`, a namespace that does not let them be read is treated as unread.
        """
        by_netns: dict[str, list[str]] = {}
        for netns, key in sorted(wanted):
            by_netns.setdefault(netns, []).append(key)
        seen = seen.with_sysctls(read_sysctls(by_netns.pop("", ())))
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
        """Add the rules of ebtables. With `lenient`, rules that this user may not read are noted in `unread`."""
        try:
            return replace(seen, frames=ebtables.read_frames(self._read(ebtables.READ_FRAMES)))
        except CommandFailed as failure:
            if not lenient:
                raise
            return replace(seen, unread=(*seen.unread, _short(failure)), frameless=True)

    def observe_rates(self, seen: Observed, paths: Iterable[str], lenient: bool = False) -> Observed:
        """Add the rates of the interfaces of the host, and of those namespaces at these paths that were observed."""
        inside, unread = dict(seen.inside), list(seen.unread)
        for path in sorted({*paths} & {"", *inside}):
            try:
                rates = tc.read(self._read(in_netns(path, tc.READ)))
            except Failed as failure:
                if not lenient:
                    raise
                unread.append(_short(failure))
                continue
            if path:
                inside[path] = replace(inside[path], rates=rates)
            else:
                seen = replace(seen, rates=rates)
        return replace(seen, inside=inside, unread=tuple(unread))

    def has(self, program: str) -> bool:
        """Return whether a program is on PATH."""
        return bool(where(program))

    def observe_sockets(self, seen: Observed, ports: Collection[int] | None = None) -> Observed:
        """Add the listening sockets of the host. ss is not run if only `ports` matter, and none of them is in use."""
        if ports is not None and not any(map(in_use, ports)):
            return seen
        return replace(seen, sockets=ss.read_sockets(self._read(ss.READ_SOCKETS)))

    def try_read(self, argv: Argv) -> str:
        """Return what a command prints, or an empty string if it fails or does not exist."""
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
        chains, policies = {**seen.chains, **chains}, {**seen.policies, **policies}
        blind = seen.blind or bool(unread)
        return replace(seen, chains=chains, policies=policies, unread=(*seen.unread, *unread), blind=blind)

    def _observe_other(self, seen: Observed, legacy: bool) -> Observed:
        """Add the rules of the variant of iptables that is not in use, if it has any."""
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
            raise Failed(f"`{' '.join(ip_json.READ)}` printed {len(text):,} characters in {netns}: too many to read")
        return replace(ip_json.read(text), ipv6=Path("/proc/sys/net/ipv6").exists())

    @contextlib.contextmanager
    def lock(self, timeout: float, shared: bool = False) -> Iterator[None]:
        """Hold the lock of this network namespace against other mydockernet processes, whatever their state directory.

        Several may hold it `shared`. Raises Locked after `timeout` seconds; NotPermitted or Failed if it cannot be
        opened.
        """
        handle = locks.open_for_this_network()
        try:
            locks.hold(handle, "of this network namespace", timeout, shared)
            yield
        finally:
            self._handles.release()
            os.close(handle)

    def may_change(self) -> bool:
        """Return whether this process may change the network."""
        effective = 0
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapEff:"):
                effective = int(line.split()[1], 16)
        return bool(effective >> CAP_NET_ADMIN & 1)

    def require_rights(self) -> None:
        """Raise Failed if this process may not change the network, before anything is tried."""
        if not self.may_change():
            raise Failed("changing the network requires root (CAP_NET_ADMIN)", hint=RIGHTS_HINT)

    def hand_over(self, argv: Argv) -> int:
        """Run a command with the terminal, streams and environment of this process; returns its exit status, as $?.

        Not through sh, which would stand between the command and its terminal. Signals are passed on to the command,
        and the kernel kills it if this process dies.
        """
        told = (signal.SIGTERM, signal.SIGHUP)
        # A signal that arrives before it can be passed on waits.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, (*told, signal.SIGINT))
        try:
            words = ("setpriv", "--pdeathsig", "KILL", *argv)
            # Python ignores these two; the command must not inherit that.
            deaf = (signal.SIGPIPE, signal.SIGXFSZ)
            process = os.posix_spawnp(words[0], words, os.environ, setsigmask=mask, setsigdef=deaf)
            before = [signal.signal(number, lambda number, _: os.kill(process, number)) for number in told]
            before.append(signal.signal(signal.SIGINT, lambda *_: None))  # The terminal sends it to both.
        except OSError as error:
            raise Failed(f"cannot run setpriv: {error.strerror}") from None
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


def _real_path(program: str) -> str:
    """Return the path of a program with symbolic links resolved, or an empty string."""
    found = where(program)
    return os.path.realpath(found) if found else ""


def _short(error: Failed) -> str:
    if not isinstance(error, CommandFailed):
        return str(error)
    said = error.stderr.splitlines()
    return f"{error.argv[0]}: {said[0] if said else error.status}"
