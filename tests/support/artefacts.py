"""The artefacts that ship, where they stand, and what the Lambda runtime has beside them."""

import importlib.util
import io
import zipfile
from dataclasses import replace
from pathlib import Path

from infra import artefacts, build, template
from infra.settings import ROOT, Target, load

BUILT = ROOT / ".aws-sam" / "build"
INPUTS = (
    ROOT / "functions",
    ROOT / "requirements" / "functions.txt",
    ROOT / "infra" / "artefacts.py",
    ROOT / "template.yaml",
    ROOT / "docs" / "openapi" / "openapi.json",
)
# what the Lambda runtime brings: boto3 and what that needs
RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")


def functions() -> dict[str, str]:
    """Logical id → handler."""
    return {name: str(properties["Handler"]) for name, properties in template.functions().items()}


def build_if_stale() -> None:
    """As `make build` does it, when an artefact is missing or older than its sources."""
    with build.one_at_a_time():
        if stale():
            build.build(load())


def stale() -> bool:
    marks = [BUILT / "template.yaml", *(BUILT / name / "functions" for name in functions())]
    if not all(mark.exists() for mark in marks):
        return True
    built = (BUILT / "template.yaml").stat().st_mtime
    return any(path.stat().st_mtime > built for top in INPUTS for path in (top, *top.rglob("*")) if _counts(path))


def _counts(path: Path) -> bool:
    return path.is_file() and path.suffix != ".pyc" and path.name != "README.md"


def importable(name: str, scratch: Path) -> Path:
    """The function's artefact for this interpreter: the one that ships, unless that is for Lambda's."""
    settings = load()
    if settings.target is Target.EMBEDDED:
        return BUILT / name
    here = scratch / name
    if not here.exists():
        here.mkdir(parents=True)
        artefacts.build(name, here, replace(settings, target=Target.EMBEDDED))
    return here


def runtime(folder: Path, names: tuple[str, ...] = RUNTIME) -> Path:
    """`folder`, with links to these packages and modules of this environment."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(name)
        origin = Path(spec.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (folder / source.name).symlink_to(source)
    return folder


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def zipped_size(folder: Path) -> int:
    """In bytes, as SAM packs it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in files(folder):
            archive.write(folder / name, name)
    return len(stream.getvalue())
