"""Delete many interfaces of the host at once, by their link group. Pure.

To delete one, the kernel waits until nothing uses it any more, some 16 ms; it waits once for all of a group.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from mydockernet.dialects.fact import GROUP_LEAVING, Fact, Observed, Step

# From so many interfaces on, the commands that put them into a group are worth while.
MANY = 4


def steps(goes: Sequence[Fact], seen: Observed) -> Iterator[Step]:
    """Yield the steps that delete facts, in their order; many interfaces, one after the other, as a group.

    An interface may change its group only if no rule that matches the group guards anything by it: a port of a bridge,
    and a bridge without ports that stay. The group must have no other interface.
    """
    names = {dev for fact in goes for netns, dev in fact.frees() if not netns}
    holding = {link.master for link in seen.links.values() if link.name not in names}
    free = all(link.group != GROUP_LEAVING or link.name in names for link in seen.links.values())

    def leaves(fact: Fact) -> bool:
        link = seen.links.get(fact.makes())
        return free and link is not None and (bool(link.master) or (link.kind == "bridge" and link.name not in holding))

    for together, group in groupby(goes, leaves):
        some = list(group)
        if together and len(some) >= MANY:
            yield from _as_group(some)
        else:
            yield from (step for fact in some for step in fact.undo(seen))


def _as_group(goes: Iterable[Fact]) -> Iterator[Step]:
    for fact in goes:
        why = f"Put {fact.makes()} into the link group {GROUP_LEAVING}, whose interfaces are deleted together."
        yield Step(why, ("ip", "link", "set", "dev", fact.makes(), "group", GROUP_LEAVING))
    why = "Delete all interfaces of this link group at once, which takes no longer than one. What they had goes, too."
    yield Step(why, ("ip", "link", "delete", "group", GROUP_LEAVING))
