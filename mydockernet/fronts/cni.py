"""The CNI plugin (CNI specification 1.1.0): ADD, DEL, CHECK, GC, STATUS and VERSION.

    stdin, CNI_* → cni_config → attachments → actions.perform → cni_format → stdout

It replaces bridge, host-local, portmap, firewall and tuning, and delegates to no other plugin, so it needs no CNI_PATH.
The codes of its errors:

    1    the version of the configuration is unknown, or has no such command
    2    a key of the configuration is unknown or unsupported
    3    CHECK: the record has no such attachment
    4    the environment: a variable is missing or invalid
    5    a file, a directory or a permission
    6    stdin is not a JSON object
    7    the configuration is invalid, or names a network that does not exist
    8    CNI_NETNS is not a network namespace, or is that of the host
    11   another change is under way and takes too long, or a signal interrupted this one
    50   STATUS: ADD cannot succeed now
    100  a conflict: an address, port, subnet, name or interface is in use, or a network is full
    101  CHECK: the kernel or prevResult differs from the record
    999  a command failed, or an internal error
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from mydockernet import __version__, actions, attachments, context, documents, names, process, wishes
from mydockernet.attachments import Attachment
from mydockernet.context import Context
from mydockernet.documents import Fields
from mydockernet.errors import Invalid, MydockernetError, quoted
from mydockernet.fronts import cni_config, cni_format
from mydockernet.fronts.cni_config import Request
from mydockernet.fronts.cni_format import VERSIONS, CNIError
from mydockernet.kernel import namespaces
from mydockernet.model import Endpoint, Namespace
from mydockernet.plan import Scope
from mydockernet.validation import interface_problems, name_problems
from mydockernet.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

ENGINE = "cni"
CONTAINER_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
OWN_NAMESPACE = "/proc/self/ns/net"


class Call(Value):
    """A call of the plugin: its environment and its configuration."""

    environ: Mapping[str, str]
    config: Fields
    version: str

    @property
    def container(self) -> str:
        """The id that the runtime has for the container."""
        return self.environ["CNI_CONTAINERID"]

    @property
    def interface(self) -> str:
        """The name of the interface inside the container."""
        return self.environ["CNI_IFNAME"]

    @property
    def netns(self) -> str:
        """The path of the container's network namespace; empty if it is gone."""
        return self.environ.get("CNI_NETNS", "")

    @property
    def engine(self) -> str:
        """What the record calls the runtime. Several configurations may name one network, each with a list for GC."""
        return f"{ENGINE}:{self.config.text('name')}" if "network" in self.config else ENGINE

    @property
    def context(self) -> Context:
        """The record and the kernel."""
        words = ("cni", self.environ["CNI_COMMAND"], self.environ.get("CNI_CONTAINERID", ""))
        return context.from_environment(self.environ, attachments.LOCK_TIMEOUT, filter(None, words))


def program() -> NoReturn:
    """Run the plugin and end the process."""
    process.open_streams()
    code, text = main(os.environ, sys.stdin.buffer.read)
    process.leave(code, text)


def main(environ: Mapping[str, str], read: Callable[[], bytes]) -> tuple[int, str]:
    """Run the plugin; returns its exit status and what it prints to stdout. `read` returns stdin."""
    name = environ.get("CNI_COMMAND", "")
    if not name:
        versions = f"CNI protocol versions supported: {', '.join(VERSIONS)}"
        print(f"CNI mydockernet plugin v{__version__}\n{versions}", file=sys.stderr)
        return 0, ""
    version = cni_format.NEWEST
    try:
        command = _command(name, environ)
        try:
            config = documents.parse(read())
        except Invalid as error:
            raise cni_format.told(error, cni_format.UNDECODABLE, "cannot decode the network configuration") from None
        except OSError as error:
            raise CNIError(cni_format.IO, "cannot read the network configuration", str(error)) from None
        given = config.text("cniVersion", "0.1.0")
        if command.since:
            version = given if given in VERSIONS else version
            _require_version(name, command, given)
            _require_name(config)
        printed = command.run(Call(environ, config, version))
    except MydockernetError as failure:
        refusal = cni_format.told(failure)
    except CNIError as failure:
        refusal = failure
    except Exception as failure:
        if environ.get("MYDOCKERNET_TRACEBACK"):
            raise
        refusal = CNIError(cni_format.INTERNAL, "internal error", f"{type(failure).__name__}: {failure}")
    else:
        return 0, "" if printed is None else json.dumps(printed) + "\n"
    return 1, json.dumps(cni_format.error_object(refusal, version)) + "\n"


def _add(call: Call) -> dict[str, Any]:
    request, previous = _request(call), _previous(call)
    where, namespace = call.context, _namespace(call)
    attachment = _attachment(request, call.interface, namespace, where)
    outcome = actions.perform(where, attachments.attach(call.engine, call.container, [attachment]))
    after = outcome.change.done({})
    endpoint = attachments.find(after, call.engine, call.container, request.network, call.interface)
    assert endpoint is not None
    network = after[request.network]
    servers = [str(address) for address in endpoint.dns or names.servers_of(network)]
    dns = {**({"nameservers": servers} if servers else {}), **request.dns}
    return cni_format.result(call.version, network, endpoint, call.netns, dns, previous.values)


def _del(call: Call) -> None:
    _refuse_own_namespace(call)
    name = cni_config.network_name(call.config)
    actions.perform(call.context, attachments.detach(call.engine, call.container, name, call.interface))


def _check(call: Call) -> None:
    request, previous = _request(call), _previous(call)
    if "prevResult" not in call.config:
        raise CNIError(cni_format.INVALID, "invalid network configuration", "prevResult is missing")
    namespace = _namespace(call)
    where = call.context
    endpoint = attachments.find(where.store.load(), call.engine, call.container, request.network, call.interface)
    if endpoint is None:
        message = f"no attachment of {quoted(call.interface)} of this container to network {quoted(request.network)}"
        raise CNIError(cni_format.UNKNOWN_CONTAINER, "unknown container", message)
    found = actions.audit(where, Scope((request.network,), where.store.realm))
    for error in found.errors:
        raise error
    differs = [
        *_differences(endpoint, namespace, previous, call.interface),
        *(str(drift) for drift in found.drifts if drift.container in ("", endpoint.name)),
    ]
    if differs:
        raise CNIError(cni_format.DRIFT, "the network differs from what was set up", "; ".join(differs))


def _differences(endpoint: Endpoint, namespace: Namespace, previous: Fields, interface: str) -> list[str]:
    """Return how the namespace and the result of ADD differ from the record."""
    differs = []
    if namespace.inode != endpoint.namespace.inode:
        differs.append(f"CNI_NETNS is another namespace than {endpoint.namespace.path} was")
    inside = [i for i in previous.objects("interfaces") if i.text("sandbox") and i.text("name") == interface]
    if not inside:
        differs.append(f"prevResult has no interface {quoted(interface)} of the container")
    elif all(i.text("mac") not in ("", endpoint.mac) for i in inside):
        differs.append(f"prevResult has another MAC address for {quoted(interface)} than {endpoint.mac}")
    there = {ip.text("address").partition("/")[0] for ip in previous.objects("ips")}
    lacking = [str(address) for address in endpoint.addresses if str(address) not in there]
    return [*differs, *(f"prevResult lacks the address {address}" for address in lacking)]


def _gc(call: Call) -> None:
    config = call.config
    key = next((key for key in ("cni.dev/valid-attachments", "cni.dev/attachments") if key in config), "")
    named = [(each.text("containerID"), each.text("ifname")) for each in config.objects(key)]
    config.check()
    if any("" in pair for pair in named):
        raise CNIError(cni_format.INVALID, "invalid network configuration", f"{key}: containerID and ifname are needed")
    actions.perform(call.context, attachments.retain(call.engine, cni_config.network_name(config), {*named}))


def _status(call: Call) -> None:
    where = call.context
    asked = _attachment(_request(call), None, Namespace(""), where)
    try:
        where.kernel.require_rights()
        intent = where.store.load()
        attachments.room(asked.network, asked.wish).move(intent, actions.observe(where.kernel, intent))
    except MydockernetError as error:
        raise cni_format.told(error, cni_format.UNAVAILABLE, "ADD cannot succeed now") from None


def _version(call: Call) -> dict[str, Any]:
    given = call.config.text("cniVersion")
    known = given if given in VERSIONS else cni_format.NEWEST
    return {"cniVersion": known, "supportedVersions": list(VERSIONS)}


class Command(Value):
    """A command: what runs it, the variables that it needs, and the first version of the format that has it."""

    run: Callable[[Call], dict[str, Any] | None]
    needs: tuple[str, ...] = ()
    since: str = ""


ATTACHMENT = ("CNI_CONTAINERID", "CNI_IFNAME")
COMMANDS = {
    "ADD": Command(_add, (*ATTACHMENT, "CNI_NETNS"), "0.3.0"),
    "DEL": Command(_del, ATTACHMENT, "0.3.0"),
    "CHECK": Command(_check, (*ATTACHMENT, "CNI_NETNS"), "0.4.0"),
    "GC": Command(_gc, (), "1.1.0"),
    "STATUS": Command(_status, (), "1.1.0"),
    "VERSION": Command(_version),
}


def _command(name: str, environ: Mapping[str, str]) -> Command:
    """Return a command, if the environment has what it needs. Raises CNIError."""
    command = COMMANDS.get(name)
    if command is None:
        raise CNIError(cni_format.ENVIRONMENT, f"unknown CNI_COMMAND: {quoted(name)}")
    if missing := [variable for variable in command.needs if not environ.get(variable)]:
        raise CNIError(cni_format.ENVIRONMENT, f"required variables are missing: {', '.join(missing)}")
    if not command.needs:
        return command
    if not CONTAINER_ID.fullmatch(environ["CNI_CONTAINERID"]):
        what = f"{quoted(environ['CNI_CONTAINERID'])}: use a letter or digit, then letters, digits, _ . -"
        raise CNIError(cni_format.ENVIRONMENT, "invalid CNI_CONTAINERID", what)
    if problems := interface_problems(environ["CNI_IFNAME"], "CNI_IFNAME"):
        raise CNIError(cni_format.ENVIRONMENT, "invalid CNI_IFNAME", "; ".join(problems))
    return command


def _require_version(name: str, command: Command, version: str) -> None:
    if version not in VERSIONS:
        what = f"the configuration has {quoted(version)}, the plugin supports {', '.join(VERSIONS)}"
        raise CNIError(cni_format.INCOMPATIBLE, "incompatible CNI versions", what)
    if version < command.since:
        what = f"the configuration has {version}, {name} needs {command.since}"
        raise CNIError(cni_format.INCOMPATIBLE, f"the version of the configuration has no {name}", what)


def _require_name(config: Fields) -> None:
    """Raise Invalid if the configuration has no valid name, or if what every command reads has the wrong type."""
    name = config.text("name")
    config.text("network")
    config.check()
    if problems := name_problems(name, "name"):
        raise Invalid(*problems)


def _request(call: Call) -> Request:
    return cni_config.read(call.config, cni_config.read_args(call.environ.get("CNI_ARGS", "")))


def _attachment(request: Request, interface: str | None, namespace: Namespace, where: Context) -> Attachment:
    """Return what a request asks for. Raises Invalid with all that is wrong with its words."""
    request.connect.ifname = interface
    problems: list[str] = []
    wish = connection = None
    try:
        connection = wishes.read_connect(request.connect, request.connect.name or "", namespace)
    except Invalid as error:
        problems += error.messages
    try:
        wish = None if request.create is None else wishes.read_create(request.create, where.store.realm)
    except Invalid as error:
        problems += error.messages
    if problems or connection is None:
        raise Invalid(*problems)
    return Attachment(request.network, connection, wish)


def _namespace(call: Call) -> Namespace:
    """Return the namespace of the container. Raises CNIError."""
    _refuse_own_namespace(call)
    try:
        if not call.netns.startswith("/"):
            raise Invalid(f"CNI_NETNS: {quoted(call.netns)} is not an absolute path")
        return namespaces.find(call.netns)[1]
    except MydockernetError as error:
        raise cni_format.told(error, cni_format.NAMESPACE, "invalid network namespace") from None


def _refuse_own_namespace(call: Call) -> None:
    """Raise CNIError if the namespace is the plugin's own, unless the runtime allows it."""
    if call.environ.get("CNI_NETNS_OVERRIDE", "").lower() in ("1", "true"):
        return
    try:
        own = bool(call.netns) and Path(call.netns).samefile(OWN_NAMESPACE)
    except OSError:
        return
    if own:
        raise CNIError(cni_format.NAMESPACE, "invalid network namespace", "CNI_NETNS is that of the plugin itself")


def _previous(call: Call) -> Fields:
    """Return the result of the plugins before. Raises Invalid if it is not one."""
    previous = call.config.fields("prevResult")
    for key in ("interfaces", "ips", "routes"):
        previous.objects(key)
    previous.fields("dns")
    call.config.check()
    try:
        json.dumps(previous.values)
    except RecursionError:
        raise Invalid("prevResult cannot be printed again") from None
    return previous
