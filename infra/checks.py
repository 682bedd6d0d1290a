"""Static checks, formatting, and the benchmarks: programs run on the sources."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from infra import build, checkov, docs, protos, template
from infra.console import Failure, say, step
from infra.settings import ROOT, Settings


def lint(settings: Settings) -> None:
    """Runs every check, also after one has failed. Raises Failure that names those that did."""
    (settings.run_dir / "sam").mkdir(parents=True, exist_ok=True)
    checks: dict[str, Callable[[], str]] = {
        "ruff check": lambda: _output("ruff", "check", "--quiet", "."),
        "ruff format": lambda: _output("ruff", "format", "--check", "--quiet", "."),
        "mypy": lambda: _output("mypy"),
        "sam validate --lint": lambda: _sam_validate(settings),
        "cfn-lint, every rule": lambda: _cfn_lint(template.all_templates()),
        "checkov": lambda: checkov.findings(template.all_templates()),
        "buf": protos.findings,
        "generated files": _stale,
    }
    failed = [name for name, check in checks.items() if not _passes(name, check)]
    if failed:
        raise Failure(f"{', '.join(failed)}: see above", "make format mends layout; make protos docs, generated files.")


def _passes(name: str, check: Callable[[], str]) -> bool:
    with step(name):
        findings = check()
    if findings:
        say(findings)
    return not findings


def _output(module: str, *arguments: str) -> str:
    """What the program says when it finds something; "" when it does not."""
    return _ran([sys.executable, "-m", module, *arguments])


def _ran(command: list[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip() or f"ended with {done.returncode}" if done.returncode else ""


def _sam_validate(settings: Settings) -> str:
    command = build.sam("validate", "--lint", "--region", settings.region)
    env = build.sam_environment(settings)
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip() if done.returncode else ""


def _cfn_lint(templates: list[Path]) -> str:
    """Also what `sam validate` leaves out: informational and experimental rules (.cfnlintrc.yaml), nested templates."""
    program = "import sys; from cfnlint.runner import main; sys.exit(main())"  # it cannot be run as a module
    return _ran([sys.executable, "-c", program, "--format", "parseable", "--template", *map(str, templates)])


def _stale() -> str:
    """The generated files that differ from what their sources give."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        protos.generate(fresh)
        docs.generate(fresh)
        made = [path.relative_to(fresh) for path in sorted(fresh.rglob("*")) if path.is_file()]
        stale = [str(name) for name in made if _bytes(ROOT / name) != _bytes(fresh / name)]
    return "\n".join(f"{name} is not what its source gives" for name in stale)


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def format_sources() -> None:
    """Layout and what ruff can mend by itself."""
    for arguments in (["check", "--fix-only", "--quiet", "."], ["format", "."]):
        if subprocess.run([sys.executable, "-m", "ruff", *arguments], cwd=ROOT, check=False).returncode:
            raise Failure("ruff could not format the sources", "The lines above name the file and the reason.")


def bench(settings: Settings) -> None:
    """Builds the artefacts and runs the benchmarks on them. Raises Failure when a budget is exceeded."""
    with build.one_at_a_time():
        build.build(settings)
        command = [sys.executable, "-m", "tests.bench"]
        if subprocess.run(command, cwd=ROOT, env=settings.environment(), check=False).returncode:
            raise Failure("A budget is exceeded, or a benchmark could not run: see above.")
