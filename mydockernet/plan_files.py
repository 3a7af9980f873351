"""Plan files: a plan as text to review, with the state of the world that it was made for, and back to a transition.

The commands are there for people. They are compared with what the planner says under the lock, and never run from the
file.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping

from mydockernet import documents, fitting, model
from mydockernet.actions import Preview
from mydockernet.context import Context
from mydockernet.dialects.fact import Observed, Step
from mydockernet.digests import sha256
from mydockernet.errors import Conflict, Invalid, MydockernetError, command_line, printable, quoted
from mydockernet.kernel import namespaces
from mydockernet.model import Endpoint, Intent, Network
from mydockernet.plan import Change, Scope, difference
from mydockernet.record import history
from mydockernet.record.history import Who
from mydockernet.record.network_json import network_from_json, network_to_json
from mydockernet.transitions import Transition
from mydockernet.value import Value, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mydockernet.documents import Fields

VERSION = 1
# Bytes. One of 100 networks with 500 containers has 2 million.
SIZE_MAX = 64 * 1024 * 1024
# How many commands that differ an error names.
NAMED = 5
AGAIN = "make a new plan with --save-plan"

Sides = Mapping[str, Network | None]


class PlanFile(Value):
    """A plan: the change that it makes to the record in `folder`, and its `commands`, each with its input and reason.

    `record` has the digest of each network on record at that time. A repair `mends` these networks, or all.
    """

    words: tuple[str, ...]
    when: str
    who: Who
    folder: str
    record: Mapping[str, str]
    before: Sides
    after: Sides
    mends: tuple[str, ...] | None
    commands: tuple[tuple[str, str, str], ...]


def of(found: Preview, context: Context) -> PlanFile:
    """Return the plan file of a preview without errors. Raises Conflict if a change was interrupted before."""
    if found.sides is None:
        raise Conflict(
            "an earlier change was interrupted, and a plan file cannot hold its rollback",
            hint="mydockernet repair rolls it back first",
        )
    before, after = found.sides
    change, user = difference(before, after), history.who(os.environ)
    return PlanFile(
        tuple(map(printable, context.words)),
        history.now(),
        replace(user, sudo_user=printable(user.sudo_user), host=printable(user.host)),
        str(context.store.folder.absolute()),
        {name: _digest(before[name]) for name in sorted(before)},
        change.before,
        change.after,
        None if found.mends is None else found.mends.names,
        tuple((*_told(step), step.why) for step in found.steps),
    )


def _told(step: Step) -> tuple[str, str]:
    return command_line(step.do) + (" || :" if step.optional else ""), step.stdin


def _digest(network: Network) -> str:
    return sha256(_json(network_to_json(network)).encode()).hexdigest()


def text(plan: PlanFile) -> str:
    """Return a plan file: JSON, with one network and one command per line."""
    commands = ({"command": c, **({"stdin": stdin} if stdin else {}), "why": why} for c, stdin, why in plan.commands)
    parts = {
        "version": str(VERSION),
        "words": _json(list(plan.words)),
        "when": _json(plan.when),
        "who": _json({"uid": plan.who.uid, "sudo_user": plan.who.sudo_user, "host": plan.who.host}),
        "state_dir": _json(plan.folder),
        "mends": _json(None if plan.mends is None else list(plan.mends)),
        "commands": _lines("[]", [_json(command) for command in commands]),
        "before": _lines("{}", _networks(plan.before)),
        "after": _lines("{}", _networks(plan.after)),
        "record": _lines("{}", [f"{_json(name)}: {_json(digest)}" for name, digest in plan.record.items()]),
    }
    return "{\n" + ",\n".join(f'  "{key}": {value}' for key, value in parts.items()) + "\n}\n"


def _networks(values: Sides) -> list[str]:
    return [f"{_json(n)}: {_json(None if net is None else network_to_json(net))}" for n, net in values.items()]


def _lines(brackets: str, items: Iterable[str]) -> str:
    inner = ",\n".join(f"    {item}" for item in items)
    return f"{brackets[0]}\n{inner}\n  {brackets[1]}" if inner else brackets


def _json(value: Any) -> str:
    """Return JSON, in which what a terminal should not receive is escaped."""
    written = json.dumps(value, ensure_ascii=False)
    return written if written.isprintable() else json.dumps(value)


def read(raw: bytes) -> PlanFile:
    """Read a plan file. Raises Invalid."""
    fields = documents.parse(raw, SIZE_MAX)
    if fields.number("version") != VERSION or "commands" not in fields:
        raise Invalid(f"it is not a plan file of version {VERSION}")
    who = fields.fields("who")
    commands = [(c.values.get("command"), c.values.get("stdin", ""), c.text("why")) for c in fields.objects("commands")]
    if not all(isinstance(word, str) for command in commands for word in command):
        raise Invalid("commands: each must have a command, and its input must be a string")
    plan = PlanFile(
        tuple(word for word in fields.values.get("words") or () if isinstance(word, str)),
        fields.text("when"),
        Who(who.number("uid") or 0, who.text("sudo_user"), who.text("host")),
        fields.text("state_dir"),
        dict(fields.pairs("record")),
        _sides(fields, "before"),
        _sides(fields, "after"),
        tuple(fields.texts("mends")) if "mends" in fields else None,
        tuple((str(command), str(stdin), why) for command, stdin, why in commands),
    )
    fields.check()
    if {*plan.before} != {*plan.after}:
        raise Invalid("before and after must be of the same networks")
    return plan


def _sides(fields: Fields, key: str) -> Sides:
    values: dict[str, Network | None] = {}
    inner = fields.fields(key)
    for name, raw in inner.values.items():
        if not _clean(raw):
            raise Invalid(f"{inner.place(name)}: it has characters that cannot be printed")
        try:
            network = None if raw is None else network_from_json(raw)
        except (KeyError, TypeError, ValueError, AttributeError, MydockernetError) as error:
            raise Invalid(f"{inner.place(name)}: it is not a network: {error!r}") from None
        if network and network.name != name:
            raise Invalid(f"{inner.place(name)}: it is network {quoted(network.name)}")
        if network and any(endpoint.namespace.own for endpoint in network.endpoints):
            raise Invalid(f"{inner.place(name)}: it has a container of `run`")
        values[name] = network
    return values


def _clean(raw: Any) -> bool:
    """Whether all strings of a JSON value can be printed."""
    if isinstance(raw, dict):
        return all(_clean(item) for pair in raw.items() for item in pair)
    if isinstance(raw, list):
        return all(map(_clean, raw))
    return not isinstance(raw, str) or raw.isprintable()


def transition(plan: PlanFile, context: Context) -> Transition:
    """Return the transition that a plan file has: exactly its commands, or none.

    Raises Conflict with all that has changed since: networks on record, what is taken, containers, commands.
    """
    realm, folder = context.store.realm, str(context.store.folder.absolute())
    if folder != plan.folder:
        raise Conflict(f"the plan was made for the state directory {plan.folder}", hint=f"--state-dir {plan.folder}")
    if wrong := [name for name, network in plan.after.items() if network and network.realm != realm]:
        raise Invalid(*(f"after.{name}: it belongs to another state directory" for name in wrong))
    had = {(network.name, endpoint) for network, endpoint in model.endpoints(plan.before.values())}
    new = [e for network, e in model.attached(plan.after.values()) if (network.name, e) not in had]

    def move(intent: Intent, seen: Observed) -> Intent:
        target = Change(plan.before, plan.after).done(intent)
        problems = [*_of_record(plan, intent)]
        problems += [*_of_containers(plan)] if not problems else []
        problems += fitting.misfits(intent, target, seen) if not problems else []
        if problems:
            raise Conflict(*problems, hint=AGAIN)
        return target

    ports = fitting.host_ports(new)
    return Transition(
        move,
        tuple(dict.fromkeys(endpoint.namespace for endpoint in new)),
        bool(ports),
        ports,
        None if plan.mends is None else Scope(plan.mends, realm),
        approve=lambda steps: _approve(plan, steps),
    )


def _of_record(plan: PlanFile, intent: Intent) -> Iterable[str]:
    since = "since the plan was made"
    for name in sorted({*plan.record, *intent}):
        if name not in intent:
            yield f"network {quoted(name)} has disappeared from the record {since}"
        elif name not in plan.record:
            yield f"network {quoted(name)} has appeared on the record {since}"
        elif _digest(intent[name]) != plan.record[name]:
            yield f"network {quoted(name)} has changed on the record {since}"
        elif name in plan.before and plan.before[name] != intent[name]:
            yield f"network {quoted(name)} is not on record as the plan says"
    for name, network in plan.before.items():
        if network and name not in plan.record:
            yield f"network {quoted(name)} is not on record as the plan says"


def _of_containers(plan: PlanFile) -> Iterable[str]:
    known = {(network.name, e.name): e.namespace for network, e in model.endpoints(plan.before.values())}
    for network, endpoint in model.attached(plan.after.values()):
        if known.get((network.name, endpoint.name)) == endpoint.namespace or namespaces.alive(endpoint.namespace):
            continue
        yield f"the namespace of container {quoted(endpoint.name)} {_fate(endpoint)}: {endpoint.namespace.path}"


def _fate(endpoint: Endpoint) -> str:
    return "is another one now" if namespaces.at(endpoint.namespace.path) else "is gone"


def _approve(plan: PlanFile, steps: Iterable[Step]) -> None:
    """Raise Conflict unless the planner says now what the plan file says."""
    now, then = [_told(step) for step in steps], [(command, stdin) for command, stdin, _ in plan.commands]
    if now == then:
        return
    more, fewer = Counter(now) - Counter(then), Counter(then) - Counter(now)
    problems = [
        *_named(more, "a command is needed now that the plan does not have"),
        *_named(fewer, "a command of the plan is not what is needed now"),
    ]
    raise Conflict(*(problems or ["the commands are needed in another order now"]), hint=AGAIN)


def _named(commands: Counter[tuple[str, str]], what: str) -> Iterable[str]:
    lines = [command for command, _ in commands.elements()]
    yield from (f"{what}: {line}" for line in lines[:NAMED])
    if len(lines) > NAMED:
        yield f"{what}: {len(lines) - NAMED} more"
