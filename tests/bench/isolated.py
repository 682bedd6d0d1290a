"""Runs a handler as a cold start does: a fresh interpreter that has the artefact and what the Lambda runtime brings."""

import compileall
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import py_compile
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from infra.settings import ROOT

# what Lambda's own bootstrap has loaded when the handler's import begins is not counted
CHILD = """
import importlib, json, logging, os, sys, time, traceback
paths, module, attribute, event = json.loads(sys.argv[1])
sys.path[:0] = paths
began = time.perf_counter()
handler = getattr(importlib.import_module(module), attribute)
imported = time.perf_counter()
answer = handler(event, None) if event else None
ended = time.perf_counter()
print()
print(json.dumps([imported - began, ended - began, answer]))
"""


@dataclass(frozen=True)
class Contestant:
    name: str
    folders: tuple[Path, ...]
    handler: str
    environment: Mapping[str, str]
    event: Mapping[str, object] | None = None


@dataclass(frozen=True)
class Run:
    """Seconds: of the import, until the first answer, and of the whole process."""

    imported: float
    answered: float
    process: float
    answer: Mapping[str, object] | None


def run(contestant: Contestant) -> Run:
    """Raises RuntimeError when the handler cannot be imported or called."""
    module, _, attribute = contestant.handler.rpartition(".")
    arguments = json.dumps([[str(folder) for folder in contestant.folders], module, attribute, contestant.event])
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", CHILD, arguments],
        env=dict(contestant.environment), capture_output=True, text=True, check=False,
    )  # fmt: skip
    process = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{contestant.name}: {done.stderr}")
    imported, answered, answer = json.loads(done.stdout.splitlines()[-1])
    return Run(imported, answered, process, answer)


def race(contestants: Sequence[Contestant], rounds: int) -> dict[str, list[Run]]:
    """All runs of each. In every round all take one turn, in another order, so that a busy moment hits nobody alone."""
    runs: dict[str, list[Run]] = {contestant.name: [] for contestant in contestants}
    order = list(contestants)
    for contestant in order:
        run(contestant)  # for the file system's cache
    for _ in range(rounds):
        random.shuffle(order)
        for contestant in order:
            runs[contestant.name].append(run(contestant))
    return runs


def milliseconds(values: Sequence[float]) -> str:
    return f"{median(values) * 1000:.0f} ({min(values) * 1000:.0f})"


def ratio(values: Sequence[float], others: Sequence[float]) -> float:
    """Median of what each round gives: the runs of a round were close in time."""
    return median(value / other for value, other in zip(values, others, strict=True))


def compiled_site(names: Sequence[str]) -> Path:
    """A folder with these packages of this environment, compiled; made once for their versions."""
    owners = importlib.metadata.packages_distributions()
    versions = [f"{name} {importlib.metadata.version(owners[name][0])}" for name in names]
    key = hashlib.sha256(f"{sys.version}{versions}".encode()).hexdigest()[:12]
    folder = ROOT / "build" / "bench" / key
    if folder.exists():
        return folder
    scratch = folder.with_name(f"{key}.{os.getpid()}")
    scratch.mkdir(parents=True)
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise RuntimeError(f"{name} is not installed: run make bench")
        origin = Path(spec.origin)
        if origin.name == "__init__.py":
            shutil.copytree(origin.parent, scratch / name, ignore=shutil.ignore_patterns("__pycache__", "tests"))
        else:
            shutil.copy2(origin, scratch)
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(scratch, quiet=2, workers=0, invalidation_mode=mode)
    scratch.rename(folder)
    return folder
