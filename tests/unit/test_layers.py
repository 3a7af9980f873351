"""Imports run one way, and the doors to other programs stay where they are."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "mydockernet"
SOURCES = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in sorted(PACKAGE.glob("**/*.py"))}

# Each module, and those that it may import: only such as stand above it.
MAY_IMPORT = {
    "__init__": "",
    # Values.
    "errors": "",
    "model": "errors",
    "addressing": "errors model",
    "facts": "model",
    "ports": "addressing errors facts model",
    # The dialects of programs.
    "links": "errors facts model",
    "sysctls": "facts",
    "ebtables": "errors facts model",
    "rules": "errors facts links model",
    "variants": "facts rules",
    # What follows from what.
    "plan": "ebtables errors facts links model rules sysctls",
    "drift": "facts links plan rules variants",
    "cables": "facts links plan",
    "script": "errors facts",
    # What lies outside: namespaces, files, the kernel.
    "locks": "errors",
    "namespaces": "errors model",
    "handles": "errors facts model namespaces",
    "store": "errors locks model",
    "kernel": "ebtables errors facts handles links locks model rules sysctls variants",
    # The verbs.
    "transitions": "addressing errors facts model namespaces plan ports",
    "actions": "cables drift ebtables errors facts kernel links model namespaces plan rules script store transitions "
    "variants",
    "running": "actions errors facts model transitions",
    "survey": "actions errors facts model namespaces plan rules",
    # A packet's way.
    "packets.__init__": "",
    "packets.packet": "facts model",
    "packets.netfilter": "facts packets.packet rules",
    "packets.nft": "ebtables facts packets.packet",
    "packets.hooks": "facts packets.netfilter packets.nft packets.packet",
    "packets.hops": "facts links model packets.hooks packets.netfilter packets.nft packets.packet rules",
    "packets.host": "facts model packets.hooks packets.hops packets.netfilter packets.nft packets.packet plan rules",
    "packets.walk": "ebtables facts model namespaces packets.hops packets.host packets.packet plan",
    "packets.explain": "actions addressing errors facts model namespaces packets.hooks packets.hops packets.host "
    "packets.nft packets.walk plan",
    "doctor": "actions errors facts kernel model packets.hooks packets.hops packets.netfilter packets.nft "
    "packets.packet plan rules",
    "who": "facts model plan rules",
    # What a user sees.
    "views": "doctor errors facts model packets.hops survey",
    "cli": "__init__ actions addressing doctor drift errors facts kernel model namespaces packets.explain packets.hops "
    "plan ports running script store survey transitions views who",
    "__main__": "cli",
}
# Who alone may import them; and only in functions, as they take long to load.
ONLY_FOR = {"sh": "kernel", "rich": "views", "mydockernet.views": "cli"}
# Commands are run by the kernel's spawn; hand_over gives one the terminal; `run` leaves a process that cleans up.
RUNNERS = {
    "os.posix_spawnp": "kernel",
    "os.fork": "running",
    **dict.fromkeys(("os.posix_spawn", "os.system", "os.popen", "os.forkpty", "pty.spawn"), ""),
    **{f"os.{kind}{suffix}": "" for kind in ("exec", "spawn") for suffix in ("l", "le", "lp", "lpe", "v", "ve", "vp")},
}
UNWANTED = {"subprocess", "pty", "multiprocessing", "asyncio", "threading", "ctypes", "importlib"}


def imports(tree):
    """What is imported, in full, as in mydockernet.plan or os.path."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where they lead"
            if node.module in ("mydockernet", "mydockernet.packets"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module


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
    return {name if name in SOURCES else "__init__" for name in names}


def test_the_table_has_every_module():
    unknown = ", ".join({*SOURCES} - {*MAY_IMPORT})
    assert not unknown, f"add {unknown} to MAY_IMPORT, with what it may import, below all that it does import"
    gone = ", ".join({*MAY_IMPORT} - {*SOURCES})
    assert not gone, f"take {gone} out of MAY_IMPORT"


@pytest.mark.parametrize("module", MAY_IMPORT)
def test_the_table_goes_one_way(module):
    above = [*MAY_IMPORT][: [*MAY_IMPORT].index(module)]
    assert {*MAY_IMPORT[module].split()} <= {*above}


@pytest.mark.parametrize("module", SOURCES)
def test_a_module_imports_only_what_the_table_has(module):
    assert own(module) <= {*MAY_IMPORT.get(module, "").split()}


@pytest.mark.parametrize("module", SOURCES)
def test_nothing_but_the_standard_library_sh_and_rich_is_imported(module):
    roots = {name.split(".")[0] for name in imports(tree(module))}
    assert roots <= {*sys.stdlib_module_names, "mydockernet", "sh", "rich"} - UNWANTED


@pytest.mark.parametrize(("guarded", "importer"), ONLY_FOR.items())
def test_what_is_slow_to_load_is_imported_by_one_module_and_in_functions(guarded, importer):
    def has(tree):
        return any(f"{name}.".startswith(f"{guarded}.") for name in imports(tree))

    assert [module for module in SOURCES if has(tree(module))] == [importer]
    assert not has(when_loaded(importer))


@pytest.mark.parametrize("module", SOURCES)
def test_programs_are_run_through_the_door_alone_and_never_through_a_shell(module):
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Attribute):
            assert RUNNERS.get(ast.unparse(node), module) == module, ast.unparse(node)
        if isinstance(node, ast.keyword):
            assert node.arg != "shell"
        if isinstance(node, ast.ImportFrom):
            assert node.module not in ("os", "pty"), "from os import …: a runner could hide in it"


@pytest.mark.parametrize("module", SOURCES)
def test_every_module_says_what_it_is_for(module):
    assert ast.get_docstring(tree(module))
