"""The services of a compose file, as containers; and its variables.

https://github.com/compose-spec/compose-spec: 05-services.md, 06-networks.md, 12-interpolation.md. Keys of a service
that have nothing to do with networks are ignored; unknown ones are errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from mydockernet.errors import quoted
from mydockernet.fronts import manifest_keys
from mydockernet.fronts.manifest_fields import Section
from mydockernet.fronts.manifest_keys import Key
from mydockernet.fronts.yaml_tree import LIST, MAP, STDIN, TEXT, Node
from mydockernet.value import replace

DEFAULT = "default"
# Networks of docker that a service can only join through an external network of this name.
BUILT_IN = ("host", "none")
# Keys of a service that say how it is connected.
SERVICE = (
    Key("container_name", manifest_keys.TEXT, "Name of the container, if it is not the key", "--name"),
    *(key for key in manifest_keys.CONTAINER if key.name in ("networks", "ports", "hostname", "dns")),
    Key("network_mode", manifest_keys.TEXT, "A service that has one is no container of mydockernet"),
    Key("mac_address", manifest_keys.TEXT, "MAC address on the first of its networks", "--mac"),
    Key("extends", manifest_keys.MAP, "", refused="write what it inherits into the service itself"),
)
# Those of them that it has once for all of its networks.
SHARED = tuple(key for key in manifest_keys.SHARED if key in SERVICE)
# compose-spec.json, definitions.service: all others, which say nothing about networks.
IGNORED = (
    *("annotations", "attach", "blkio_config", "build", "cap_add", "cap_drop", "cgroup", "cgroup_parent"),
    *("command", "configs", "cpu_count", "cpu_percent", "cpu_period", "cpu_quota", "cpu_rt_period"),
    *("cpu_rt_runtime", "cpu_shares", "cpus", "cpuset", "credential_spec", "depends_on", "deploy"),
    *("develop", "device_cgroup_rules", "devices", "dns_opt", "dns_search", "domainname", "entrypoint"),
    *("env_file", "environment", "expose", "external_links", "extra_hosts", "gpus", "group_add"),
    *("healthcheck", "image", "init", "ipc", "isolation", "label_file", "labels", "links", "logging"),
    *("mem_limit", "mem_reservation", "mem_swappiness", "memswap_limit", "models", "oom_kill_disable"),
    *("oom_score_adj", "pid", "pids_limit", "platform", "post_start", "pre_stop", "privileged"),
    *("profiles", "provider", "pull_policy", "pull_refresh_after", "read_only", "restart", "runtime"),
    *("scale", "secrets", "security_opt", "shm_size", "stdin_open", "stop_grace_period", "stop_signal"),
    *("storage_opt", "sysctls", "tmpfs", "tty", "ulimits", "use_api_socket", "user", "userns_mode", "uts"),
    *("volumes", "volumes_from", "working_dir"),
)
# All keys that a service can have.
ALL = (*SERVICE, *(Key(name, manifest_keys.MAP, "Accepted and ignored") for name in IGNORED))
MODES = re.compile(r"host|none|service:.+|container:.+")

_BRACED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-+?])(.*))?", re.DOTALL)
# How deeply variables may be nested in each other.
DEPTH_MAX = 10
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def project_of(file: str) -> str:
    """Return the name of a project that has none: that of the directory of its file, as compose makes one of it.

    Empty for stdin, and if nothing is left of it.
    """
    if file == STDIN:
        return ""
    return re.sub(r"[^a-z0-9_-]", "", Path(file).absolute().parent.name.lower()).lstrip("_-")


def expanded(root: Node, environ: Mapping[str, str], problems: list[str]) -> Node:
    """Return a document with the variables in the values that concern networks replaced. Notes what is wrong."""
    entries = []
    for key, value in root.entries:
        if key.text == "services" and value.kind == MAP:
            services = [(name, _some(service, environ, problems)) for name, service in value.entries]
            entries.append((key, replace(value, entries=tuple(services))))
        elif key.text in ("name", "networks"):
            entries.append((key, _all(value, environ, problems)))
        else:
            entries.append((key, value))
    return replace(root, entries=tuple(entries))


def _some(node: Node, environ: Mapping[str, str], problems: list[str]) -> Node:
    if node.kind != MAP:
        return node
    used = {key.name for key in SERVICE}
    entries = ((k, _all(value, environ, problems) if k.text in used else value) for k, value in node.entries)
    return replace(node, entries=tuple(entries))


def _all(node: Node, environ: Mapping[str, str], problems: list[str]) -> Node:
    if node.kind == LIST:
        return replace(node, items=tuple(_all(item, environ, problems) for item in node.items))
    if node.kind == MAP:
        return replace(node, entries=tuple((key, _all(value, environ, problems)) for key, value in node.entries))
    if "$" not in node.text:
        return node
    try:
        return replace(node, text=substituted(node.text, environ))
    except ValueError as error:
        problems.append(f"{node.at}: {error}")
        return replace(node, text="", plain=True)


def substituted(text: str, environ: Mapping[str, str], depth: int = 0) -> str:
    """Return a text with its variables: $NAME, ${NAME}, with :- - :? ? :+ + as in compose; $$ is one dollar.

    Raises ValueError, also if they are nested too deeply.
    """
    if depth > DEPTH_MAX:
        raise ValueError(f"variables are nested more than {DEPTH_MAX} levels deep")
    done = []
    position = 0
    while (start := text.find("$", position)) >= 0:
        done.append(text[position:start])
        after = text[start + 1 : start + 2]
        if after == "$":
            done.append("$")
            position = start + 2
        elif after == "{":
            end = _closing(text, start + 2)
            done.append(_braced(text[start + 2 : end], environ, depth + 1))
            position = end + 1
        elif name := _PLAIN.match(text, start + 1):
            done.append(environ.get(name[0], ""))
            position = name.end()
        else:
            raise ValueError(f"{quoted(text)}: $ begins a variable: write $$ for a dollar")
    return "".join((*done, text[position:]))


def _closing(text: str, start: int) -> int:
    depth = 0
    for position in range(start, len(text)):
        if text[position] == "}":
            if not depth:
                return position
            depth -= 1
        depth += text.startswith("${", position)
    raise ValueError(f"{quoted(text)}: ${{ is not closed")


def _braced(text: str, environ: Mapping[str, str], depth: int) -> str:
    found = _BRACED.fullmatch(text)
    if found is None:
        raise ValueError(f"{quoted('${' + text + '}')} is not a variable")
    name, operator, rest = found[1], found[2] or "", found[3] or ""
    value = environ.get(name)
    given = bool(value) if operator.startswith(":") else value is not None
    if operator.endswith("+"):
        return substituted(rest, environ, depth) if given else ""
    if given or not operator:
        return value or ""
    if operator.endswith("?"):
        raise ValueError(f"the variable {name} is not set: {substituted(rest, environ, depth)}".removesuffix(": "))
    return substituted(rest, environ, depth)


def is_connected(service: Section) -> bool:
    """Whether a service has a network namespace of its own, with networks. Notes what is wrong with network_mode."""
    if "network_mode" not in service:
        return True
    mode = service.text("network_mode")
    if "networks" in service:
        service.refuse("network_mode", "a service has either networks or network_mode")
    elif not MODES.fullmatch(mode):
        service.refuse("network_mode", f"{quoted(mode)} is no network of mydockernet: name it in networks")
    return False


def uses_default(service: Section) -> bool:
    """Whether a service is on DEFAULT because it names no networks."""
    if "networks" not in service:
        return True
    node = service.values["networks"]
    return node.kind != TEXT and not (node.entries or node.items)
