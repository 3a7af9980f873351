"""The dialect of files that programs in a container read in /etc, and of the links by which they find them.

Formats: hosts(5), resolv.conf(5), ip-netns(8). Containers on the same networks share a folder with these files. A file
is rewritten in place, because a container that has it mounted keeps its inode.
"""

from collections.abc import Iterable, Iterator, Sequence

from mydockernet.dialects import dnsmasq
from mydockernet.dialects.fact import Argv, Fact, File, Observed, Step
from mydockernet.digests import sha256

FOLDER = "/run/mydockernet-etc"
HOSTS, RESOLV = "hosts", "resolv.conf"
# Any user in a container reads them, whatever the umask of the command was that wrote them.
_MODE = "0644"
_WHY = {
    HOSTS: "List the names of containers and their addresses, in the format of /etc/hosts.",
    RESOLV: "List the name servers of these containers, in the format of /etc/resolv.conf.",
}
_NAME_MAX = 255  # Of a file, in characters: limits.h(0p).
# Where `ip netns exec NAME` looks for what it mounts over /etc.
_ETC_NETNS = "/etc/netns"


class Etc(Fact):
    """A folder with `hosts` and, if it is not empty, `resolv` as the text of resolv.conf.

    `served_for` is the owner of the network whose name server reads the hosts file; empty if there is none.
    """

    folder: str
    hosts: str
    resolv: str = ""
    served_for: str = ""

    @property
    def what(self) -> str:
        return f"names: {self.folder}"

    @property
    def difference(self) -> str:
        return f"missing or changed {self.what}"

    def files(self) -> tuple[str, ...]:
        return tuple(f"{self.folder}/{name}" for name in (HOSTS, RESOLV))

    def holds(self, seen: Observed) -> bool:
        return all(seen.files.get(path) == (File("text", text) if text else None) for path, text in self._wanted())

    def remains(self, seen: Observed) -> bool:
        return any(seen.files.get(path) for path in self.files())

    def do(self, seen: Observed) -> tuple[Step, ...]:
        steps = []
        for path, text in self._wanted():
            name, found = path.rpartition("/")[2], seen.files.get(path)
            if not text:
                steps += [Step(f"Delete {name}: no name server is left.", ("rm", "-f", path))] if found else []
            elif found is None:
                steps.append(Step(_WHY[name], ("install", "-D", "-m", _MODE, "/dev/stdin", path), stdin=text))
            elif found != File("text", text):
                why = f"{_WHY[name]} It is rewritten in place, as containers may have it mounted."
                steps.append(Step(why, ("dd", f"of={path}", "status=none"), stdin=text))
                steps += [dnsmasq.reload(self.served_for)] if self.served_for and name == HOSTS else []
        return tuple(steps)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (Step("Delete the files with the names.", ("rm", "-r", "-f", self.folder)),)

    def slot(self) -> str:
        return self.folder

    def _wanted(self) -> tuple[tuple[str, str], ...]:
        return tuple(zip(self.files(), (self.hosts, self.resolv), strict=True))


class NetnsFolder(Fact):
    """The folder in which ip-netns(8) looks. It stays: an admin may have files there, too."""

    @property
    def what(self) -> str:
        return f"folder: {_ETC_NETNS}"

    def files(self) -> tuple[str, ...]:
        return (_ETC_NETNS,)

    def holds(self, seen: Observed) -> bool:
        return _ETC_NETNS in seen.files

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return (Step("Create the folder in which `ip netns exec` looks.", ("mkdir", "-p", _ETC_NETNS)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return ()


class EtcNetns(Fact):
    """The link by which ip-netns(8) finds the folder of a namespace. A folder that the admin has there stays."""

    name: str
    folder: str

    @property
    def what(self) -> str:
        return f"link: {self._path} to {self.folder}"

    def files(self) -> tuple[str, ...]:
        return (self._path,)

    def holds(self, seen: Observed) -> bool:
        found = seen.files.get(self._path)
        return found == File("link", self.folder) or not (found is None or self._ours(found))

    def remains(self, seen: Observed) -> bool:
        found = seen.files.get(self._path)
        return found is not None and self._ours(found)

    def do(self, seen: Observed) -> tuple[Step, ...]:
        why = f"Let `ip netns exec {self.name}` mount the files of this folder over those in /etc."
        return (Step(why, ("ln", "-s", "-f", "-n", self.folder, self._path)),)

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (Step(f"Delete the link for `ip netns exec {self.name}`.", ("rm", "-f", self._path)),)

    def slot(self) -> str:
        return self._path

    @property
    def _path(self) -> str:
        return f"{_ETC_NETNS}/{self.name}"

    def _ours(self, found: File) -> bool:
        """Whether what was found is a link of this state directory."""
        ours = found.kind == "link" and found.text.startswith(f"{FOLDER}/")
        return ours and _realm(found.text) == _realm(self.folder)


class Stray(Fact):
    """A folder or a link that no network needs: its path, and the owner of the first network that it was for."""

    path: str
    owner: str

    @property
    def what(self) -> str:
        return f"names: {self.path}"

    def holds(self, seen: Observed) -> bool:
        return True  # It was found by observation.

    def do(self, seen: Observed) -> tuple[Step, ...]:
        return ()

    def undo(self, seen: Observed) -> tuple[Step, ...]:
        return (Step("Delete names that no network needs.", ("rm", "-r", "-f", self.path)),)


def strays(seen: Observed, known: Iterable[Fact]) -> Iterator[Stray]:
    """Yield what was found of mydockernet's in its folder and in that of ip-netns(8), and belongs to no known fact."""
    kept = {path for fact in known for path in fact.files()}
    for path, found in seen.files.items():
        folder, _, name = path.rpartition("/")
        if folder == _ETC_NETNS and found.kind == "link" and found.text.startswith(f"{FOLDER}/") and path not in kept:
            yield Stray(path, _first_owner(found.text))
        elif name == HOSTS and folder.startswith(f"{FOLDER}/") and path not in kept:
            yield Stray(folder, _first_owner(folder))


def places() -> tuple[tuple[str, str], ...]:
    """Return where to look for strays: folders, each with a pattern for what is in it."""
    return ((FOLDER, f"*/{HOSTS}"), (_ETC_NETNS, "*"))


def kind(argv: Argv) -> Argv:
    """Return what commands must have in common for `batch`: the program and its options."""
    return tuple(word for word in argv if word[0] != "/")


def foldable(argv: Argv) -> bool:
    """Whether `batch` can combine a command with others of its kind: one that deletes, or one that links."""
    return argv[0] in ("rm", "ln")


def batch(commands: Sequence[Argv]) -> tuple[Argv, str, tuple[int, ...]]:
    """Combine commands of one kind into one: its argv, its input, and no lines. xargs(1) starts an ln for each link."""
    start = kind(commands[0])
    words = [word for argv in commands for word in argv[len(start) :]]
    if start[0] == "rm":
        return (*start, *words), "", ()
    return ("xargs", "-0", "-n", "2", *start), "\0".join(words), ()


def folder_of(*owners: str, container: str = "") -> str:
    """Return the folder of the containers on the networks of these owners, NAME or NAME@REALM, in this order.

    It may be that of one `container`. A name that is too long for a file ends in a hash instead.
    """
    name = ",".join(owners) + (f":{container}" if container else "")
    return f"{FOLDER}/{name if len(name) <= _NAME_MAX else f'{owners[0]},{sha256(name.encode()).hexdigest()[:12]}'}"


def _first_owner(folder: str) -> str:
    return folder.removeprefix(f"{FOLDER}/").partition(",")[0].partition(":")[0]


def _realm(folder: str) -> str:
    return _first_owner(folder).partition("@")[2]
