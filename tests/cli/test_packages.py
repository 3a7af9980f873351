"""What scripts/package builds: the wheel and the sdist, and the one file that runs by itself."""

import re
import subprocess
import sys
import tarfile
import zipfile

import pytest

from mydockernet import __version__
from tests.conftest import ROOT

# What the copy of the tree on Debian 13 has beside the source.
OTHERS = {".venv", ".git", "dist", "build", ".ruff_cache", ".mypy_cache", ".pytest_cache", ".hypothesis", "__pycache__"}
ENGINES = ("cni", "netavark", "oci-hook")


def package(target, what):
    subprocess.run([sys.executable, ROOT / "scripts/package", "--to", target, what], check=True, capture_output=True)
    return target


def source(*folders):
    """The files of these folders of the tree."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file())
    paths = (path.relative_to(ROOT) for path in found)
    return {str(path) for path in paths if not OTHERS.intersection(path.parts) and path.suffix != ".pyc"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return package(tmp_path_factory.mktemp("wheel"), "wheel")


def test_the_sdist_has_the_whole_source(built):
    with tarfile.open(built / f"mydockernet-{__version__}.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert source("mydockernet", "contrib", "docs", "scripts", "tests") <= names
    assert {"LICENSE", "README.md", "CHANGELOG.md", "ARCHITECTURE.md", "setup.cfg", "pyproject.toml"} <= names
    assert not [name for name in names if name.endswith(".pyc") or OTHERS.intersection(name.split("/"))]


def test_the_wheel_has_programs_pages_completions_units_and_license(built):
    (file,) = built.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        names = {re.sub(r"^mydockernet-[\d.]+\.(data/(data/)?)?", "", name) for name in archive.namelist()}
    assert {name for name in names if name.startswith("mydockernet/")} == source("mydockernet")
    assert [name for name in names if re.fullmatch("dist-info/.*LICENSE", name)]
    programs = {f"scripts/{name}" for name in ("mydockernet", *(f"mydockernet-{e}" for e in ENGINES))}
    assert {name for name in names if name.startswith("scripts/")} == programs
    shared = {name.removeprefix("share/") for name in names if name.startswith("share/")}
    pages = {name.replace("contrib/man", "man/man1") for name in source("contrib/man")}
    assert pages == {name for name in shared if name.startswith("man/")}
    assert {name for name in shared if "site-functions" in name or "completions" in name} == {
        "bash-completion/completions/mydockernet",
        "zsh/site-functions/_mydockernet",
        "fish/vendor_completions.d/mydockernet.fish",
    }
    # Where the links in the pages of docs/ lead.
    elsewhere = tuple(f"contrib/{folder}/" for folder in ("man", "completion", "debian"))
    others = {name for name in source("contrib") if not name.startswith(elsewhere)}
    assert {f"doc/mydockernet/{name}" for name in (*others, *source("docs"), "README.md", "CHANGELOG.md")} <= shared


def test_the_wheel_installs_into_a_venv_and_runs(built, tmp_path, host):
    (file,) = built.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path], check=True)
    pip = [sys.executable, "-m", "pip", "--python", tmp_path / "bin/python", "install", "--quiet", "--no-index"]
    subprocess.run([*pip, "--no-deps", "--root-user-action=ignore", file], check=True)
    # What it depends on is that of the Python that runs the tests.
    (site,) = tmp_path.glob("lib/python*/site-packages")
    (site / "needed.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")))
    program = tmp_path / "bin/mydockernet"
    assert host.run(program, "--version").stdout == f"mydockernet {__version__}\n"
    assert host.run(program, "create", "web").stdout == "web\n"
    loaded = "import mydockernet; print(mydockernet.__file__)"
    assert host.run(tmp_path / "bin/python", "-c", loaded).stdout.startswith(str(tmp_path))
    assert (tmp_path / "share/man/man1/mydockernet.1").exists()
    assert "CNI mydockernet plugin" in host.run(tmp_path / "bin/mydockernet-cni").stderr


@pytest.fixture(scope="module")
def zipapp(tmp_path_factory):
    return package(tmp_path_factory.mktemp("zipapp"), "zipapp") / "mydockernet.pyz"


def test_the_zipapp_is_the_same_each_time(zipapp, tmp_path):
    assert (package(tmp_path, "zipapp") / "mydockernet.pyz").read_bytes() == zipapp.read_bytes()


def test_the_zipapp_has_bytecode_for_each_source(zipapp):
    with zipfile.ZipFile(zipapp) as archive:
        names = {*archive.namelist()}
        stored = {info.filename for info in archive.infolist() if info.compress_type == zipfile.ZIP_STORED}
    sources = {name for name in names if name.endswith(".py")}
    licenses = {f"licenses/{name}" for name in ("mydockernet", "sh", "rich", "PyYAML")}
    assert stored == {f"{name}c" for name in sources} == names - sources - licenses
    assert licenses <= names
    assert source("mydockernet") - {"mydockernet/py.typed"} <= sources
    assert {name.partition("/")[0].removesuffix(".py") for name in sources} == {
        *("mydockernet", "rich", "sh", "yaml", "__main__")
    }


def test_the_zipapp_needs_python_only_and_ignores_what_lies_around(zipapp, tmp_path, host):
    for name in ("sitecustomize", "sh", "rich", "argparse", "mydockernet"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)\n")
    script = f"cd {tmp_path}; ln -s {zipapp} net; ./net create web; ./net ls -q; ./net --version"
    printed = host.sh(script, env={"PYTHONPATH": str(tmp_path)}).stdout
    assert printed == f"web\nweb\nmydockernet {__version__}\n"
    files = "import sys; sys.path[:] = [p for p in sys.path if '-packages' not in p]; import runpy; "
    alone = f"{files}sys.argv[1:] = ['ls', '-q']; runpy.run_path({str(zipapp)!r}, run_name='__main__')"
    assert host.run(sys.executable, "-SEP", "-c", alone).stdout == "web\n"


def test_the_zipapp_has_tables_for_terminals_and_reads_yaml(zipapp, host):
    (host.root / "run/lab.yml").write_text("networks:\n  web:\n    internal: true\n")
    assert host.run(zipapp, "apply", "/run/lab.yml").stdout
    assert "│ web " in host.sh(f"script -qec '{zipapp} ls' /dev/null").stdout
    assert "web:" in host.run(zipapp, "export").stdout


def test_what_the_zipapp_leaves_behind_runs_by_itself(zipapp, host):
    """run forks, apply --confirm leaves a process, and engines install writes programs that know where the file is."""
    assert host.sh(f"{zipapp} create web; {zipapp} run web -- echo inside").stdout == "web\ninside\n"
    (host.root / "run/lab.yml").write_text("networks:\n  lab: {}\n")
    host.run(zipapp, "apply", "--confirm", "1", "/run/lab.yml")
    host.sh(f"for n in $(seq 200); do {zipapp} ls -q | grep -q lab || exit 0; sleep 0.1; done; exit 1")
    # The way to the file is written in full, wherever it was called from.
    host.sh(f"cd {zipapp.parent}; ./{zipapp.name} engines install --root /run/root")
    call = 'echo \'{"cniVersion": "1.1.0"}\' | CNI_COMMAND=VERSION /run/root/opt/cni/bin/mydockernet'
    assert '"supportedVersions"' in host.sh(call).stdout
    assert host.sh("/run/root/usr/local/libexec/netavark/mydockernet info").stdout.startswith('{"version"')
    assert "missing" not in host.run(zipapp, "engines", "status", "--root", "/run/root").stdout
