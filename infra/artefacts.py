"""The artefact of one function: `python -m infra.artefacts <LogicalId> <folder>`, called by functions/Makefile for sam.

An artefact holds the modules of functions/ that its handler can load (reach.py) and the dependencies that a list in the
service's folder names, at the versions and hashes of requirements/functions.txt: requirements-<module>.txt for handlers
of a module that has one, requirements.txt for the others. Nothing is resolved: what is needed is listed in full, so
nothing comes along unseen. boto3 is left to the Lambda runtime. Functions with the same list share their artefact.

Wheels are those of the interpreter that will run them: the host's for the embedded engine, Lambda's elsewhere.
"""

import fcntl
import hashlib
import importlib.util
import os
import py_compile
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from infra import stages
from infra.console import Failure
from infra.elf import drop_sections
from infra.reach import reachable
from infra.settings import ROOT, Settings, Target, host_python, load
from infra.template import calls_others, functions, handler_of

FUNCTIONS = ROOT / "functions"
PINS = ROOT / "requirements" / "functions.txt"
DEPENDENCIES = ROOT / "build" / "deps"
PACKAGES = ROOT / "build" / "packages"
# Amazon Linux 2023, glibc 2.34
LAMBDA_PYTHON = "3.13"
LAMBDA_PLATFORMS = {stages.X86: "x86_64-manylinux_2_34", stages.ARM: "aarch64-manylinux_2_34"}
CHALICE_KEPT = {"app.py", "__init__.py", "py.typed"}  # the rest is its command line
# other parts that no function needs: cffi's compiler (its backend is a file of its own), protobuf's description of
# itself and what it does in Python where its native library is missing, tables that zoneinfo does not read, what of
# cryptography nothing imports, msgspec's ways to TOML, YAML and schemas, of redis all but its connections
# (common/redis_server.py), all of zxcvbn but its list of passwords
TRIMMED = (
    "*.dist-info",
    "bin",
    "cffi",
    "cryptography/fernet.py",
    "cryptography/hazmat/asn1",
    "cryptography/hazmat/primitives/kdf",
    "cryptography/hazmat/primitives/twofactor",
    "cryptography/x509/ocsp.py",
    "google/api",
    "google/cloud",
    "google/gapic",
    "google/logging",
    "google/longrunning",
    "google/type",
    "google/protobuf/compiler",
    "google/protobuf/[!a]*_pb2.py",
    "google/protobuf/api_pb2.py",
    "google/protobuf/json_format.py",
    "google/protobuf/internal/*_benchmark.py",
    "google/protobuf/internal/containers.py",
    "google/protobuf/internal/decoder.py",
    "google/protobuf/internal/encoder.py",
    "google/protobuf/internal/extension_dict.py",
    "google/protobuf/internal/message_listener.py",
    "google/protobuf/internal/python_message.py",
    "google/protobuf/internal/testing_refleaks.py",
    "google/protobuf/internal/type_checkers.py",
    "google/protobuf/internal/wire_format.py",
    "google/protobuf/any.py",
    "google/protobuf/duration.py",
    "google/protobuf/proto*.py",
    "google/protobuf/service_reflection.py",
    "google/protobuf/testdata",
    "google/protobuf/text_format.py",
    "google/protobuf/timestamp.py",
    "google/protobuf/unknown_fields.py",
    "google/protobuf/util",
    "msgspec/_json_schema.py",
    "msgspec/inspect.py",
    "msgspec/toml.py",
    "msgspec/yaml.py",
    "redis/_parsers/commands.py",
    "redis/_parsers/helpers.py",
    "redis/asyncio",
    "redis/auth/idp.py",
    "redis/auth/token_manager.py",
    "redis/client.py",
    "redis/cluster.py",
    "redis/commands",
    "redis/crc.py",
    "redis/lock.py",
    "redis/ocsp.py",
    "redis/sentinel.py",
    "tzdata/zones",
    "tzdata/zoneinfo/*.tab",
    "tzdata/zoneinfo/*.zi",
    "tzdata/zoneinfo/leapseconds",
    "zxcvbn/[!f]*.py",
    "zxcvbn/feedback.py",
    "requirements.txt",
    ".lock",
    "**/__pycache__",
    "**/*.pyi",
)
# Beside the passwords, zxcvbn lists words and names, each list on a line of its own.
OTHER_LISTS = re.compile(r'^    "(?!passwords")\w+": .*\n', re.MULTILINE)
# redis imports its clients, three quarters of its size and half of its import, for everybody, and msgspec its ways to
# TOML, YAML and schemas; protobuf imports what it does in Python, half of its size, even where its native library does
# it.
IN_PYTHON = re.compile(r"^from .* import python_message\n", re.MULTILINE)
UNUSED_LINES = {
    "google/protobuf/descriptor_pool.py": IN_PYTHON,
    "google/protobuf/internal/builder.py": IN_PYTHON,
    "msgspec/__init__.py": re.compile(r"(?<=^from \. import )inspect, |, toml, yaml$", re.MULTILINE),
    "msgspec/json.py": re.compile(r"^from \._json_schema import .*\n", re.MULTILINE),
    "redis/__init__.py": re.compile(
        r"^from redis( import asyncio|\.client import|\.cluster import).*\n|^from redis\.sentinel import \([^)]*\)\n",
        re.MULTILINE,
    ),
    "redis/_parsers/__init__.py": re.compile(r"^from \.commands import.*\n", re.MULTILINE),
}
# Files that a service answers with: place in its folder → where it comes from, in the project or in a package.
ASSETS: dict[str, dict[str, tuple[str, str]]] = {
    "broker_service": {
        "assets/openapi.json": ("", "docs/openapi/openapi.json"),
        "assets/rapidoc.js": ("flask_openapi3_rapidoc", "templates/rapidoc/js/rapidoc-min.js"),
    }
}
# What a cold start imports goes as byte code in place of its source: that halves the import and
# costs half as much again of zipped size, where byte code beside the source would cost three times it. The rest is
# imported rarely, or costs little.
COMPILED = ("chalice", "cryptography", "jwt", "pynamodb", "redis")
# What a call to a gRPC server takes; 6 MB zipped, so only where one is called (docs/grpc.md).
GRPC_CHANNEL = FUNCTIONS / "common" / "rpc" / "grpc_channel.py"
GRPC = ("googleapis-common-protos", "grpcio", "grpcio-status", "typing-extensions")


def runtime(settings: Settings) -> tuple[str, str]:
    """Version and platform of the interpreter that will run the artefact; platform "" is this machine."""
    if settings.target is Target.EMBEDDED:
        return host_python(), ""
    return LAMBDA_PYTHON, LAMBDA_PLATFORMS[stages.architecture(settings)]


def pinned(names: list[str], lock: str) -> str:
    """The part of a lock file, hashes included, for `names`. Raises Failure for a name that the lock does not have."""
    entries = {re.split(r"[=\[ ;]", block, maxsplit=1)[0]: block for block in re.split(r"\n(?=\S)", lock.strip())}
    unknown = [name for name in names if name not in entries]
    if unknown:
        raise Failure(
            f"requirements/functions.txt has no {', '.join(unknown)}",
            "Add it to requirements/functions.in and run: make lock",
        )
    return "\n".join(entries[name] for name in names) + "\n"


def requirements_of(handler: str) -> Path:
    """The list of what the artefact of `functions.<service>.<module>.<attribute>` holds."""
    _, service, *module, _ = handler.split(".")
    own = FUNCTIONS / service / f"requirements-{'-'.join(module)}.txt"
    return own if own.exists() else FUNCTIONS / service / "requirements.txt"


def names_in(requirements: Path) -> list[str]:
    lines = (line.split("#")[0].strip() for line in requirements.read_text().splitlines())
    return sorted({line for line in lines if line})


def dependencies(names: list[str], python: str, platform: str) -> Path:
    """The folder with the installed packages; installed once for each set of packages and interpreter."""
    requirements = pinned(names, PINS.read_text()) if names else ""
    recipe = f"{requirements}|{sys.version}|{platform}|{Path(__file__).read_text()}"
    target = DEPENDENCIES / f"py{python}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    with _one_maker(target) as made:
        if not made:
            _install(target, requirements, python, platform)
    return target


def _install(target: Path, requirements: str, python: str, platform: str) -> None:
    scratch = target.with_name(f"{target.name}.{os.getpid()}")
    scratch.mkdir(parents=True)
    listed = scratch / "requirements.txt"
    listed.write_text(requirements)
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--python", sys.executable, "--target", str(scratch), "--requirement", str(listed)]
    # uv links into its cache, and so into every virtual environment: writing to a linked file would break them all
    command += ["--link-mode", "copy"]
    if platform:
        command += ["--python-version", python, "--python-platform", platform, "--only-binary", ":all:"]
    if subprocess.run(command, check=False).returncode:
        shutil.rmtree(scratch)
        raise Failure(
            "uv could not install the dependencies", "Is the package registry within reach? Run the same again."
        )
    _trim(scratch)
    _compile_dependencies(scratch, python)
    scratch.rename(target)


@contextmanager
def _one_maker(target: Path) -> Iterator[bool]:
    """Functions are built at the same time, and some want the same folder: one makes it, the others wait. Whether it is
    there already."""
    if target.exists():
        yield True
        return
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / ".making").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield target.exists()


def _trim(folder: Path) -> None:
    unneeded = [entry for pattern in TRIMMED for entry in folder.glob(pattern)]
    unneeded += [entry for entry in folder.glob("chalice/*") if entry.name not in CHALICE_KEPT]
    for entry in unneeded:
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)
    for library in folder.rglob("*.so"):
        drop_sections(library)
    for lists in folder.glob("zxcvbn/frequency_lists.py"):
        lists.write_text(OTHER_LISTS.sub("", lists.read_text()))
    for name, unused in UNUSED_LINES.items():
        for module in folder.glob(name):
            module.write_text(unused.sub("", module.read_text()))


def _compile_dependencies(folder: Path, python: str) -> None:
    """Only this interpreter's own byte code can be made; built on another version the artefact keeps the sources."""
    if python != host_python():
        return
    for package in COMPILED:
        if (folder / package).exists():
            _compile(folder / package, folder, in_place_of_source=True)


def _compile(folder: Path, root: Path, *, in_place_of_source: bool = False) -> None:
    """Byte code without docstrings, a tenth less to ship and to load, that is used without a look at the source
    (PEP 552), since an unpacked artefact never changes and its files' times mean nothing; paths are as in Lambda, so
    that a traceback names no folder of the building machine."""
    for source in folder.rglob("*.py"):
        beside = importlib.util.cache_from_source(str(source), optimization="")
        py_compile.compile(
            str(source),
            cfile=str(source.with_suffix(".pyc")) if in_place_of_source else beside,
            dfile=f"/var/task/{source.relative_to(root)}",
            doraise=True,
            optimize=2,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
        if in_place_of_source:
            source.unlink()


def build(logical_id: str, folder: Path, settings: Settings) -> None:
    """Fills `folder` with the artefact of a function."""
    listed, (python, platform) = requirements_of(handler_of(logical_id)), runtime(settings)
    names = names_in(listed)
    grpc = settings.with_grpcio and calls_others(logical_id)
    names += GRPC if grpc else ()
    for part in (dependencies(names, python, platform), own_package(listed, python, grpc=grpc)):
        shutil.copytree(part, folder, dirs_exist_ok=True, copy_function=_link)


def modules_of(listed: Path) -> list[Path]:
    """Files of functions/ that the handlers with this list of requirements can load."""
    handlers = [str(properties["Handler"]) for properties in functions().values()]
    sharing = [handler for handler in handlers if requirements_of(handler) == listed]
    return sorted({path for handler in sharing for path in reachable(handler)})


def own_package(listed: Path, python: str, *, grpc: bool = False) -> Path:
    """The folder with the project's own code for a list of requirements, compiled; made again when a source has
    changed."""
    service = listed.parent.name
    sources = {path.relative_to(FUNCTIONS): path for path in modules_of(listed) if grpc or path != GRPC_CHANNEL}
    sources |= {Path(service, place): path for place, path in assets(service).items()}
    digest = hashlib.sha256(f"{sys.version}|{python}|{Path(__file__).read_text()}".encode())
    for place, source in sources.items():
        digest.update(f"{place}|{source.stat().st_size}|".encode() + source.read_bytes())
    target = PACKAGES / f"{service}-{listed.stem}{'-grpc' if grpc else ''}" / digest.hexdigest()[:12]
    with _one_maker(target) as made:
        if not made:
            _put_together(target, sources, python)
    return target


def _put_together(target: Path, sources: Mapping[Path, Path], python: str) -> None:
    shutil.rmtree(target.parent, ignore_errors=True)
    scratch = target.with_name(f"{target.name}.{os.getpid()}")
    package = scratch / "functions"
    for place, source in sources.items():
        (package / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, package / place)
    if python == host_python():
        _compile(package, scratch)
    scratch.rename(target)


def assets(service: str) -> dict[str, Path]:
    """Place in the service's folder → the file that goes there."""
    return {place: _folder_of(package) / path for place, (package, path) in ASSETS.get(service, {}).items()}


def _folder_of(package: str) -> Path:
    """Of an installed package, which is not imported; without a name, of the project."""
    if not package:
        return ROOT
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise Failure(f"The package {package} is not installed", "It stands in requirements/dev.txt: run make again")
    return Path(spec.origin).parent


def _link(source: str, target: str) -> None:
    """Artefacts share their files; nothing writes to one in place (elf.py replaces, sam build unlinks)."""
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


if __name__ == "__main__":
    try:
        build(sys.argv[1], Path(sys.argv[2]), load())
    except Failure as failure:
        failure.show()
        sys.exit(1)
