"""What is made of functions/contracts/rpc/*.proto: `*_pb2.py` and its types, beside the contract; the descriptors last
released; and buf's word on both (rules: buf.yaml)."""

import subprocess
import sys
import tempfile
from pathlib import Path

from infra.console import Failure
from infra.settings import ROOT

CONTRACTS = Path("functions/contracts/rpc")
RELEASED = Path("docs/rpc/released.binpb")
"""A google.protobuf.FileDescriptorSet: what clients may have been built from."""


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


def findings(root: Path = ROOT) -> str:
    """What buf says against the contracts under `root`: names, comments, what breaks the released ones; else ""."""
    return _buf(root, "lint") + _buf(root, "breaking", "--against", str(ROOT / RELEASED))


def release() -> None:
    """Takes the contracts as they are for released. Raises Failure, changing nothing, when buf refuses them."""
    (ROOT / RELEASED).parent.mkdir(parents=True, exist_ok=True)
    said = _buf(ROOT, "lint") or _buf(
        ROOT, "build", "--as-file-descriptor-set", "--exclude-source-info", "-o", RELEASED
    )
    if said:
        raise Failure(f"buf does not accept the contracts.\n{said}", "Mend what it names, then: make protos-release")


def _buf(root: Path, *arguments: str | Path) -> str:
    """The binary of the package buf-bin; it needs no network."""
    command = [Path(sys.executable).with_name("buf"), *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr or f"buf ended with {done.returncode}\n" if done.returncode else ""
