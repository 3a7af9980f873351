"""What files for `apply` declare: networks, and the containers on them."""

from mydockernet.creation import Wish
from mydockernet.ports import PortWish
from mydockernet.transitions import Connection
from mydockernet.value import Value

# The label of everything that a project declares: `--prune` removes what has it and is no longer declared.
PROJECT = "mydockernet.project"


class DeclaredNetwork(Value):
    """A network as a file declares it, at `place`: FILE:LINE:COLUMN: KEY. Without a `wish`, it must exist already."""

    name: str
    wish: Wish | None = None
    place: str = ""


class DeclaredContainer(Value):
    """A container as a file declares it: the networks that it is on, in the order of their interfaces, and its ports.

    `word` names its namespace, as for `connect`: a name, a pid or a path; or `pidfile` has its pid. The namespace of
    the connections is empty. The first network that can publish one of the ports in `publish` does so; a connection has
    the ports that its network must publish.
    """

    name: str
    word: str = ""
    pidfile: str = ""
    connections: tuple[tuple[str, Connection], ...] = ()
    publish: tuple[PortWish, ...] = ()
    place: str = ""


class Declaration(Value):
    """All that some files declare together, and notes about it. An empty `project` labels nothing."""

    networks: tuple[DeclaredNetwork, ...] = ()
    containers: tuple[DeclaredContainer, ...] = ()
    project: str = ""
    notes: tuple[str, ...] = ()
