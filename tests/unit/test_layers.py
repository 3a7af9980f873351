"""Imports run one way, and the doors to other programs stay where they are."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "mydockernet"
SOURCES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name != "__init__.py"
}
LINES = 500

# The modules in the order of their imports: one may import only such as stand before it.
ORDER = [
    "errors",
    "messages",
    "digests",
    "process",
    "writing",
    "documents",
    "value",
    "static_routes",
    "rates",
    "defaults",
    "validation",
    "model",
    "record.locks",
    "record.network_json",
    "record.outline",
    "addressing",
    "dialects.fact",
    "ports",
    "dialects.dnsmasq",
    "choices",
    "dialects.ip",
    "dialects.ip_route",
    "dialects.ip_sublink",
    "dialects.ip_json",
    "dialects.ss",
    "dialects.net_dev",
    "dialects.ip_monitor",
    "dialects.nft_monitor",
    "dialects.conntrack",
    "dialects.iptables",
    "dialects.iptables_user",
    "dialects.ebtables",
    "dialects.nftables",
    "dialects.nft_frames",
    "dialects.firewalld",
    "dialects.sysctl",
    "dialects.tc",
    "dialects.etc",
    "rulesets.iptables",
    "rulesets.nftables",
    "variants",
    "inside",
    "parent",
    "drivers.bridge",
    "drivers.ptp",
    "drivers.macvlan",
    "drivers.ipvlan",
    "names",
    "sweep",
    "plan",
    "strangers",
    "summary",
    "cables",
    "drift",
    "kernel.load_sh",
    "kernel.namespaces",
    "kernel.handles",
    "kernel.proc",
    "kernel.spawn",
    "kernel.fan",
    "kernel.counters",
    "kernel.monitor",
    "kernel.become",
    "kernel.folding",
    "kernel.door",
    "kernel.trial",
    "dry_run",
    "record.store",
    "record.history",
    "context",
    "recording",
    "transitions",
    "user_rules",
    "creation",
    "option_keys",
    "wishes",
    "attachments",
    "fitting",
    "undoing",
    "declaration",
    "applying",
    "settings",
    "facing",
    "sequences",
    "actions",
    "plan_files",
    "running",
    "confirmation",
    "engines",
    "fronts.oci_hook",
    "fronts.podman_networks",
    "fronts.netavark",
    "fronts.cni_format",
    "fronts.cni_config",
    "fronts.cni",
    "fronts.yaml_tree",
    "fronts.manifest_keys",
    "fronts.manifest_fields",
    "fronts.manifest_words",
    "fronts.compose",
    "fronts.manifest_schema",
    "fronts.yaml_text",
    "fronts.manifest_format",
    "fronts.manifest_draft",
    "fronts.import_docker",
    "fronts.import_podman",
    "fronts.import_cni",
    "fronts.shell_lines",
    "fronts.import_shell",
    "fronts.manifest",
    "packets.packet",
    "packets.netfilter",
    "packets.nft_rules",
    "packets.nft",
    "packets.hooks",
    "packets.hops",
    "packets.host",
    "packets.walk",
    "packets.explain",
    "reports.selection",
    "reports.stats",
    "reports.events",
    "reports.metrics",
    "reports.taps",
    "reports.topology",
    "reports.topology_text",
    "reports.topology_svg",
    "reports.who",
    "reports.survey",
    "reports.doctor",
    "cli.views",
    "cli.json_schemas",
    "cli.template",
    "cli.options",
    "cli.progress",
    "cli.values",
    "cli.docker_options",
    "cli.change",
    "cli.applying",
    "cli.networks",
    "cli.listing",
    "cli.sight",
    "cli.publishing",
    "cli.containers",
    "cli.setting",
    "cli.user_rules",
    "cli.upkeep",
    "cli.past",
    "cli.watching",
    "cli.drawing",
    "cli.plans",
    "cli.questions",
    "cli.engines",
    "cli.exporting",
    "cli.main",
    "__main__",
]
OTHER_DIALECTS = (
    "dialects.ip_json dialects.ss dialects.conntrack dialects.iptables dialects.ebtables dialects.nftables "
    "dialects.nft_frames dialects.sysctl dialects.tc"
)
# Siblings: none of these knows another one of its line. What all dialects speak of is in dialects.fact.
SIBLINGS = (
    f"dialects.ip {OTHER_DIALECTS}",
    f"dialects.ip_route {OTHER_DIALECTS}",
    f"dialects.ip_sublink {OTHER_DIALECTS}",
    "drivers.bridge drivers.ptp drivers.macvlan drivers.ipvlan",
    "rulesets.iptables rulesets.nftables",
    "fronts.oci_hook fronts.netavark fronts.cni",
    "fronts.oci_hook fronts.podman_networks fronts.cni",
    "fronts.oci_hook fronts.podman_networks fronts.cni_config",
    "fronts.oci_hook fronts.podman_networks fronts.cni_format",
    "reports.stats reports.events reports.topology reports.who reports.survey reports.doctor",
    "cli.networks cli.listing cli.containers cli.setting cli.upkeep cli.plans cli.questions cli.engines cli.exporting",
)
# Who alone may import them; and only in functions, as they take long to load.
ONLY_FOR = {"sh": ["kernel.load_sh"], "rich": ["cli.views"], "yaml": ["fronts.yaml_tree"]}
# Commands are run by the kernel's spawn; hand_over gives one the terminal, and one goes on while a monitor reads it;
# `run` and `apply --confirm` leave a process.
RUNNERS = {
    "os.fork": "running confirmation",
    "os.posix_spawnp": "kernel.door kernel.monitor",
    **dict.fromkeys(("os.posix_spawn", "os.system", "os.popen", "os.forkpty", "pty.spawn"), ""),
    **{f"os.{kind}{suffix}": "" for kind in ("exec", "spawn") for suffix in ("l", "le", "lp", "lpe", "v", "ve", "vp")},
    "os.execvpe": "kernel.become",
}
UNWANTED = {"subprocess", "pty", "multiprocessing", "asyncio", "threading", "ctypes", "importlib"}


def imports(tree):
    """What is imported, in full, as in mydockernet.plan or os.path."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where they lead"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def tree(module):
    return ast.parse(SOURCES[module].read_text())


def when_loaded(module):
    """The tree less what is in functions: that is not run when the module is imported."""

    class Outside(ast.NodeTransformer):
        def visit_FunctionDef(self, node):
            return None

    return Outside().visit(tree(module))


def own(module):
    """The modules of ours that a module imports; a mere name in mydockernet is one of __init__."""
    names = [name.removeprefix("mydockernet.") for name in imports(tree(module)) if name.startswith("mydockernet.")]
    return {name for name in names if name in SOURCES}


def test_the_order_has_every_module():
    unknown = ", ".join({*SOURCES} - {*ORDER})
    assert not unknown, f"add {unknown} to ORDER, after all that it imports"
    gone = ", ".join({*ORDER} - {*SOURCES})
    assert not gone, f"take {gone} out of ORDER"
    assert len(ORDER) == len({*ORDER})


@pytest.mark.parametrize("module", SOURCES)
def test_a_module_imports_only_what_stands_before_it(module):
    assert own(module) <= {*ORDER[: ORDER.index(module)]}


@pytest.mark.parametrize("siblings", SIBLINGS)
def test_siblings_do_not_know_each_other(siblings):
    names = {*siblings.split()}
    assert {module: own(module) & names for module in names} == {module: set() for module in names}


@pytest.mark.parametrize("module", SOURCES)
def test_a_module_holds_one_idea(module):
    assert len(SOURCES[module].read_text().splitlines()) <= LINES


@pytest.mark.parametrize("module", SOURCES)
def test_nothing_but_the_standard_library_and_the_dependencies_is_imported(module):
    roots = {name.split(".")[0] for name in imports(tree(module))}
    # Python 3.12 has _sha2 instead of _sha256.
    assert roots <= {*sys.stdlib_module_names, "_sha2", "_sha256", "mydockernet", "sh", "rich", "yaml"} - UNWANTED


@pytest.mark.parametrize(("guarded", "importer"), ONLY_FOR.items())
def test_what_is_slow_to_load_is_imported_by_one_module_and_in_functions(guarded, importer):
    def has(tree):
        return any(f"{name}.".startswith(f"{guarded}.") for name in imports(tree))

    assert [module for module in SOURCES if has(tree(module))] == importer
    assert not any(has(when_loaded(module)) for module in importer)


@pytest.mark.parametrize("module", SOURCES)
def test_programs_are_run_through_the_door_alone_and_never_through_a_shell(module):
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Attribute):
            assert module in RUNNERS.get(ast.unparse(node), module).split(), ast.unparse(node)
        if isinstance(node, ast.keyword):
            assert node.arg != "shell"
        if isinstance(node, ast.ImportFrom):
            assert node.module not in ("os", "pty"), "from os import …: a runner could hide in it"


@pytest.mark.parametrize("module", SOURCES)
def test_every_module_says_what_it_is_for(module):
    assert ast.get_docstring(tree(module))
