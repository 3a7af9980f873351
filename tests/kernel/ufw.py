"""A real ufw in the host of a test, with folders of its own: on PATH, or unpacked by `scripts/setup beside`."""

import os
import shutil

import pytest

from tests.conftest import ROOT

BESIDE = ROOT / ".venv/beside"
FOLDER = "run/ufw"


def found():
    """Where ufw is."""
    return shutil.which("ufw", path=os.pathsep.join([f"{BESIDE}/usr/sbin", os.environ["PATH"], "/usr/sbin"]))


needs_ufw = pytest.mark.skipif(found() is None, reason="`scripts/setup beside` unpacks ufw")


class Ufw:
    """ufw on a host: with its usual rules, and not enabled."""

    def __init__(self, host):
        self.host = host
        root = host.root / FOLDER
        for path in ("etc/ufw", "etc/default/ufw", "lib/ufw", "usr/share/ufw"):
            there = BESIDE / path if (BESIDE / path).exists() else f"/{path}"
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (host.root / "proc/self/root" / str(there).lstrip("/")).is_dir() else shutil.copy
            copy(there, root / path)
        for path in (root / "usr/share/ufw").iterdir():
            if path.suffix in (".rules", ".init", ".conf"):
                shutil.copy(path, root / "etc/ufw")
        host.env["PATH"] = f"/{FOLDER}/bin:{host.env['PATH']}"
        (root / "bin").mkdir()
        modules = BESIDE / "usr/lib/python3/dist-packages"
        wrapper = root / "bin/ufw"
        folders = f"--rootdir=/{FOLDER} --datadir=/{FOLDER}"
        wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={modules} exec /usr/bin/python3 {found()} {folders} "$@"\n')
        wrapper.chmod(0o755)

    def __call__(self, words):
        """Run ufw, which must succeed."""
        return self.host.run("ufw", *words.split()).stdout
