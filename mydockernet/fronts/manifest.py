"""Read the files of `apply`: the networks and containers that they declare together. docs/apply.md has the format.

Knows neither the kernel nor the record.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from mydockernet import validation
from mydockernet.declaration import Declaration, DeclaredContainer, DeclaredNetwork
from mydockernet.errors import Invalid, printable, quoted
from mydockernet.fronts import compose, manifest_keys, manifest_words, yaml_tree
from mydockernet.fronts.manifest_fields import Section, Word, near
from mydockernet.fronts.yaml_tree import LIST, MAP, STDIN, TEXT, Node
from mydockernet.kernel import namespaces
from mydockernet.transitions import Connection
from mydockernet.value import EMPTY, replace

_PROJECT = re.compile("[a-z0-9][a-z0-9_-]*")


def read(
    sources: Sequence[tuple[str, str]],
    realm: str,
    project: str | None = None,
    *,
    prefix: bool = False,
    containers: Mapping[str, str] = EMPTY,
    complete: bool = True,
    environ: Mapping[str, str] | None = None,
) -> Declaration:
    """Return what files declare together. A source is the name of a file, or STDIN, and its text.

    `project` overrides `name:`; with `prefix`, networks are called PROJECT_KEY, as those of a compose file always are.
    `containers` has the namespaces that are given on the command line, by the names of containers or services. Unless
    it must be `complete`, a service needs none. Variables of compose files come from `environ`, by default that of this
    process. Raises Invalid with everything that is wrong with all files, each as FILE:LINE:COLUMN: KEY: what is wrong.
    """
    reading = _Reading(realm, containers, complete)
    files = [*reading.open(sources, os.environ if environ is None else environ)]
    reading.name_project(files, project, prefix)
    for file in files:
        reading.networks_of(file)
    for file in files:
        reading.containers_of(file)
        reading.services_of(file)
    reading.refuse_unused()
    if reading.problems:
        raise Invalid(*sorted(dict.fromkeys(reading.problems), key=lambda text: _position(text, sources)))
    return Declaration(
        tuple(reading.by_name.values()), tuple(reading.containers.values()), reading.project, tuple(reading.notes)
    )


class _File:
    """A file while it is read: its name, and its keys."""

    def __init__(self, name: str, top: Section) -> None:
        self.name = name
        self.top = top
        self.scoped = "services" in top


class _Reading:
    """What all files declare together, while they are read."""

    def __init__(self, realm: str, given: Mapping[str, str], complete: bool) -> None:
        self.realm = realm
        self.given = given
        self.complete = complete
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.project = ""
        # By their keys, as containers refer to them.
        self.networks: dict[str, DeclaredNetwork] = {}
        self.by_name: dict[str, DeclaredNetwork] = {}
        self.containers: dict[str, DeclaredContainer] = {}
        self.built_in: set[str] = set()
        self.refused: set[str] = set()
        self.named: set[str] = set()

    def open(self, sources: Iterable[tuple[str, str]], environ: Mapping[str, str]) -> Iterator[_File]:
        """Yield the files that are well-formed."""
        for name, text in sources:
            try:
                root = yaml_tree.read(name, text)
            except Invalid as error:
                self.problems += error.messages
                continue
            if root.kind == MAP and any(key.text == "services" for key, _ in root.entries):
                root = compose.expanded(root, environ, self.problems)
            top = Section(root, "", root.at, self.problems)
            if root.kind != MAP and root.null:
                top.say(root.at, "", "the file declares nothing")
            top.refuse_unknown(manifest_keys.TOP)
            yield _File(name, top)

    def name_project(self, files: Sequence[_File], project: str | None, prefix: bool) -> None:
        """Find the name of the project, and which files have networks that are called PROJECT_KEY."""
        first: Word | None = None
        for file in files:
            word = file.top.word("name")
            if word and first and word.text != first.text and project is None:
                file.top.refuse("name", f"{quoted(word.text)} contradicts {quoted(first.text)} at {first.at}")
            first = first or word
        for file in files:
            file.scoped = file.scoped or prefix
        scoped = next((file for file in files if file.scoped), None)
        if project is not None:
            self.project, where = project, "--project-name"
        elif first:
            self.project, where = first.text, first.place
        elif scoped:
            self.project, where = compose.project_of(scoped.name), f"{scoped.top.at}: name"
            if not self.project:
                what = "stdin has no" if scoped.name == STDIN else "the directory of the file gives no valid"
                self.problems.append(f"{where}: it is missing, and {what} name: add it, or use --project-name")
                return
        if self.project or first or project is not None:
            self._check_project(where)

    def _check_project(self, where: str) -> None:
        if not _PROJECT.fullmatch(self.project):
            rule = "use small letters, digits, - and _, with a letter or digit first"
            self.problems.append(f"{where}: invalid project name {quoted(self.project)}: {rule}")

    def networks_of(self, file: _File) -> None:
        """Read the networks of a file."""
        holder = file.top.section("networks", names=True)
        for key, section in holder.members():
            at = holder.keys[key].at
            if known := self.networks.get(key):
                section.say(at, section.path, f"it is declared twice, first at {_place(known.place)}")
                continue
            before = len(self.problems)
            network = self._network(file, key, section)
            if network is None:
                if len(self.problems) > before:
                    self.refused.add(key)
                continue
            twin = self.by_name.setdefault(network.name, replace(network, place=f"{at}: {section.path}"))
            if twin.place != f"{at}: {section.path}" and (twin.wish or network.wish):
                section.say(at, section.path, f"{quoted(network.name)} is declared twice, first at {twin.place}")
            self.networks[key] = replace(network, place=f"{at}: {section.path}")

    def _network(self, file: _File, key: str, section: Section) -> DeclaredNetwork | None:
        """Return a network, or None if something is wrong with it, which is noted, or if it is one of docker's own."""
        name = section.text("name")
        if "external" in section and section.values["external"].kind == MAP:
            section.refuse("external", "write external: true, and name: beside it")
            return None
        external = section.switch("external")
        if external:
            for other in section:
                if other not in ("external", "name"):
                    section.refuse_key(other, "an external network is left as it is: only name may be given")
            if file.scoped and (name or key) in compose.BUILT_IN:
                self.built_in.add(key)
                return None
            name = name or key
            problems = validation.name_problems(name)
            path = section.path_of("name") if "name" in section else section.path
            for problem in problems:
                section.say(section.at_of("name"), path, problem.partition(": ")[2])
            return None if problems else DeclaredNetwork(name)
        name = name or (f"{self.project}_{key}" if file.scoped else key)
        wish = manifest_words.network(section, name, self.realm)
        return DeclaredNetwork(name, wish) if wish else None

    def containers_of(self, file: _File) -> None:
        """Read the containers of a file."""
        holder = file.top.section("containers", names=True)
        for key, section in holder.members():
            section.refuse_unknown(manifest_keys.CONTAINER)
            word, pidfile = self._namespace(key, section)
            if compose.uses_default(section):
                section.say(holder.keys[key].at, section.path, "it is on no network: name them in networks")
            connections = self._connections(section, self._nodes(section), key, manifest_keys.SHARED)
            self._add(key, holder, section, word, pidfile, connections)

    def _namespace(self, key: str, section: Section) -> tuple[str, str]:
        """Return the word and the pidfile by which the namespace of a container is found."""
        self.named.add(key)
        given = [name for name in ("netns", "pid", "path", "pidfile") if name in section]
        if len(given) > 1:
            section.refuse(given[1], f"a container has one namespace, but {given[0]} is given as well")
        pid, pidfile = section.number("pid"), section.text("pidfile")
        netns, path = section.text("netns") or key, section.text("path")
        if "/" in netns:
            section.refuse("netns", f"{quoted(netns)} is no name: a path stands in path")
        if path and "/" not in path:
            section.refuse("path", f"{quoted(path)} is no path: a name stands in netns")
        if word := self.given.get(key, ""):
            return word, ""
        if pid and self.complete:
            self.notes.append(f"container {quoted(key)} is process {pid.text}, which is another one after a restart")
        if pid or path or pidfile:
            return (pid.text if pid else path), pidfile
        # A name of digits only could be a pid as well.
        return (str(namespaces.NAMED / netns) if netns.isdecimal() else netns), ""

    def services_of(self, file: _File) -> None:
        """Read the services of a compose file."""
        holder = file.top.section("services", names=True)
        for key, section in holder.members():
            self.named.add(key)
            section.refuse_unknown(compose.ALL)
            if not compose.is_connected(section):
                continue
            nodes = self._nodes(section)
            if compose.uses_default(section):
                nodes = [(Node(TEXT, section.at, compose.DEFAULT), None)]
            known = {*self.networks, *self.refused, *self.built_in}
            if compose.DEFAULT not in known and any(name.text == compose.DEFAULT for name, _ in nodes):
                self._add_default(holder, key)
            if nodes and all(name.text in self.built_in for name, _ in nodes):
                continue
            name = section.text("container_name") or key
            word = self.given.get(key, "")
            if self.complete and not word:
                hint = f"give --container {key}=NETNS, or a pid or a path of its namespace"
                section.say(holder.keys[key].at, section.path, f"which namespace it has is not known: {hint}")
            connections = self._connections(section, nodes, name, compose.SHARED, section.word("mac_address"))
            if name != key and not validation.host_problems(key, ""):
                # Other services know it by the name of the service.
                connections = tuple(
                    (network, replace(each, aliases=tuple(dict.fromkeys((key, *each.aliases)))))
                    for network, each in connections
                )
            self._add(name, holder, section, word, "", connections, key)

    def _add_default(self, holder: Section, key: str) -> None:
        """Add the network of services that name none."""
        path = f"networks.{compose.DEFAULT}"
        section = Section(Node(MAP, holder.keys[key].at), path, holder.keys[key].at, self.problems)
        name = f"{self.project}_{compose.DEFAULT}"
        if wish := manifest_words.network(section, name, self.realm):
            self.networks[compose.DEFAULT] = DeclaredNetwork(name, wish, section.place)
            self.by_name.setdefault(name, self.networks[compose.DEFAULT])

    def _add(
        self,
        name: str,
        holder: Section,
        section: Section,
        word: str,
        pidfile: str,
        connections: tuple[tuple[str, Connection], ...],
        key: str = "",
    ) -> None:
        """Add a container, unless there is one of this name already."""
        at = holder.keys[key or name].at
        if known := self.containers.get(name):
            section.say(at, section.path, f"it is declared twice, first at {_place(known.place)}")
            return
        for problem in validation.name_problems(name):
            section.say(at, section.path, problem.partition(": ")[2])
        publish = manifest_words.publish(section, "ports")
        place = f"{at}: {section.path}"
        self.containers[name] = DeclaredContainer(name, word, pidfile, connections, publish, place)

    def _nodes(self, section: Section) -> list[tuple[Node, Node | None]]:
        """Return the names of the networks that a container is on, with the keys of each, if they have any."""
        node = section.values["networks"] if "networks" in section else Node(LIST, section.at)
        return [*node.entries] or [(item, None) for item in node.items]

    def _connections(
        self,
        section: Section,
        nodes: Sequence[tuple[Node, Node | None]],
        container: str,
        shared: Iterable[manifest_keys.Key],
        mac: Word | None = None,
    ) -> tuple[tuple[str, Connection], ...]:
        """Return the connections of a container to its networks, in their order."""
        path = section.path_of("networks")
        if "networks" in section and section.values["networks"].kind == TEXT:
            section.refuse("networks", "it must be a list of networks, or a map")
        found: list[tuple[int, str, Connection]] = []
        mac = (
            section.word("mac_address") if "mac_address" not in {key.name for key in manifest_keys.CONTAINER} else None
        )
        seen: dict[str, Node] = {}
        for n, (name, node) in enumerate(nodes):
            inner = f"{path}.{printable(name.text)}" if node else f"{path}[{n}]"
            if name.kind != TEXT:
                section.say(name.at, inner, "it must be the name of a network")
                continue
            network = self.networks.get(name.text)
            real = network.name if network else name.text
            if real in seen:
                section.say(name.at, inner, f"{quoted(real)} is named twice, first at {seen[real].at}")
                continue
            seen[real] = name
            keys = Section(node or Node(MAP, name.at), inner, name.at, self.problems)
            connection = manifest_words.connection(keys, container, section, shared)
            if network is None and name.text not in self.refused:
                self._unknown_network(section, name, inner)
            if network and connection:
                priority = keys.number("priority")
                found.append((-int(priority.text) if priority else 0, network.name, connection))
        found.sort(key=lambda entry: entry[0])
        connections = [(network, connection) for _, network, connection in found]
        if mac and connections:
            network_name, first = connections[0]
            mac_text = mac.text.lower().replace("-", ":")
            for problem in validation.mac_problems(mac_text):
                section.refuse("mac_address", problem.partition(": ")[2])
            connections[0] = (network_name, replace(first, mac=first.mac or mac_text))
        return tuple(connections)

    def _unknown_network(self, section: Section, name: Node, path: str) -> None:
        if name.text in self.built_in:
            section.say(name.at, path, "a container on the host's network, or on none, is on no other")
            return
        known = [*self.networks, *self.refused]
        like = near(name.text, known).partition(" (known:")[0] if known else ""
        declare = "" if like else ": declare it in networks, with external: true if it exists already"
        section.say(name.at, path, f"there is no network {quoted(name.text)}{like}{declare}")

    def refuse_unused(self) -> None:
        """Note the names of --container that nothing is called by."""
        for name in self.given:
            if name not in self.named:
                known = f"the files have {', '.join(sorted(self.named))}" if self.named else "the files have none"
                self.problems.append(f"--container: there is no container or service {quoted(name)}: {known}")


def _position(problem: str, sources: Sequence[tuple[str, str]]) -> tuple[int, int, int]:
    """Return where a problem stands: the number of its file, line and column. Those of the command line come first."""
    for n, (file, _) in enumerate(sources):
        if found := re.match(rf"{re.escape(yaml_tree.shown(file))}:(\d+):(\d+): ", problem):
            return n, int(found[1]), int(found[2])
    return -1, 0, 0


def _place(place: str) -> str:
    """Return FILE:LINE:COLUMN of a place."""
    return place.rpartition(": ")[0]
