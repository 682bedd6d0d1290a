"""Code from functions/contracts/rpc/*.proto: `*_pb2.py` and its types, beside the contract."""

import subprocess
import sys
import tempfile
from pathlib import Path

from infra.console import Failure
from infra.settings import ROOT

CONTRACTS = Path("functions/contracts/rpc")


def generate(into: Path) -> None:
    """Writes the generated files at their places under the folder `into`."""
    sources = sorted(str(path.relative_to(ROOT)) for path in (ROOT / CONTRACTS).glob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        # by module: the installed script has an absolute path in it that a moved checkout breaks
        plugin = Path(scratch) / "protoc-gen-mypy"
        plugin.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "from mypy_protobuf.main import main; main()"\n')
        plugin.chmod(0o755)
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT}", f"--plugin=protoc-gen-mypy={plugin}"]
        command += [f"--python_out={into}", f"--mypy_out=quiet:{into}", *sources]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            raise Failure("protoc did not accept the contracts", "The lines above name the file and the reason.")
