"""Read what interfaces inside containers have received and sent, by a few processes."""

from collections.abc import Sequence

from mydockernet.dialects import net_dev
from mydockernet.dialects.fact import inside as in_netns
from mydockernet.dialects.net_dev import Traffic
from mydockernet.kernel import fan
from mydockernet.kernel.handles import Handles
from mydockernet.kernel.spawn import Command, Together, together, where
from mydockernet.model import Namespace


def read_inside(namespaces: Sequence[Namespace], run: Together = together) -> dict[str, dict[str, Traffic]]:
    """Return the traffic of the interfaces in namespaces, by path; those that cannot be read are omitted."""
    handles = Handles()
    handles.hold(namespaces)
    found: dict[str, dict[str, Traffic]] = {}
    try:
        paths = [path for path in dict.fromkeys(n.path for n in namespaces) if not handles.refused(path)]
        for start in range(0, len(paths), fan.AT_ONCE):
            some = paths[start : start + fan.AT_ONCE]
            asked = [Command(handles.through(in_netns(path, net_dev.READ))) for path in some]
            for places, text in _read(asked, run):
                found |= dict(
                    zip([some[place] for place in places], net_dev.read_each(text, len(places)), strict=False)
                )
    finally:
        handles.release()
    return found


def _read(asked: Sequence[Command], run: Together) -> list[tuple[list[int], str]]:
    """Run commands, and return what they print, with the positions of those that printed it."""
    if len(asked) < fan.MANY or not where(fan.PROGRAM):
        return [([place], done.stdout) for place, done in enumerate(run(asked))]
    with fan.commands(asked) as commands:
        done = run([command for command, _ in commands])
    return [(places, each.stdout) for (_, places), each in zip(commands, done, strict=True)]
