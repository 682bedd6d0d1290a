"""requirements/*.in → *.txt: pinned, hashed, one consistent set, the same for every Python and platform."""

import subprocess
import sys

from infra.console import Failure, step
from infra.settings import ROOT

FOLDER = ROOT / "requirements"
# dev holds everything, so it is resolved first and the others take its versions
SETS = ("dev", "functions", "redis", "bootstrap", "checkov")
ALONE = {"dev", "checkov"}  # checkov pins what the others need newer, and has an environment of its own
OPTIONS = ("--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate", "--no-header", "--quiet")
# no address of a package registry in the files: everyone's own answers
NO_ADDRESSES = ("--no-emit-index-url", "--no-emit-find-links")


def lock(*, upgrade: bool) -> None:
    """Writes the files. Keeps the versions that they have where they still fit, unless `upgrade`."""
    for name in SETS:
        command = [
            sys.executable,
            "-m",
            "uv",
            "pip",
            "compile",
            *OPTIONS,
            *NO_ADDRESSES,
            f"{name}.in",
            "-o",
            f"{name}.txt",
        ]
        if name not in ALONE:
            command += ["--constraints", "dev.txt"]
        if upgrade:
            command.append("--upgrade")
        with step(f"requirements/{name}.txt"):
            if subprocess.run(command, cwd=FOLDER, check=False).returncode:
                raise Failure(f"requirements/{name}.in has no solution", "The lines above say which versions disagree.")
