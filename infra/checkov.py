"""checkov on the templates: are they safe? In an environment of its own, because it pins what the others need newer.

What it must not find is in `.checkov.yaml`, or beside the resource in the template, each with its reason.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any  # a template is whatever YAML holds

from infra import template
from infra.console import Failure, step
from infra.settings import ROOT

HOME = ROOT / ".venv" / "checkov"
PYTHON = HOME / "bin" / "python"
STAMP = HOME / ".stamp"
REQUIREMENTS = ROOT / "requirements" / "checkov.txt"
OFFLINE = {"CKV_SKIP_PACKAGE_UPDATE_CHECK": "true", "CKV_GITHUB_CONFIG_FETCH_DATA": "false"}
# read along with the rest: a run that finds nothing wrong with it has checked nothing
BAD: dict[str, Any] = {
    "AWSTemplateFormatVersion": "2010-09-09",
    "Resources": {
        "PublicBucket": {"Type": "AWS::S3::Bucket", "Properties": {"AccessControl": "PublicRead"}},
        "Omnipotent": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []},
                "Policies": [
                    {
                        "PolicyName": "all",
                        "PolicyDocument": {
                            "Version": "2012-10-17",
                            "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
                        },
                    }
                ],
            },
        },
    },
}
MUST_FIND = {("CKV_AWS_20", "AWS::S3::Bucket.PublicBucket"), ("CKV_AWS_63", "AWS::IAM::Role.Omnipotent")}


def findings(templates: list[Path]) -> str:
    """What checkov has against these templates. SAM's is read as it is transformed: with the functions' roles."""
    _set_up()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "bad.json").write_text(json.dumps(BAD))
        for path in templates:
            plain = _plain(template.transformed(template.read(path)))
            (folder / f"{path.stem}.json").write_text(json.dumps(plain, default=str))
        return "\n".join(judged(_report(folder)))


def judged(report: dict[str, Any]) -> list[str]:
    """A line for each finding, and for whatever shows that not everything was checked."""
    failed = {(str(each["check_id"]), str(each["resource"])): each for each in report["results"]["failed_checks"]}
    lines = [f"checkov no longer sees {check} in {resource}" for check, resource in MUST_FIND - failed.keys()]
    if unread := report["summary"]["parsing_errors"]:
        lines.append(f"checkov cannot read {unread} of the templates")
    return lines + [
        f"{check} {resource} ({Path(each['file_path']).stem}): {each['check_name']} {each.get('guideline') or ''}"
        for (check, resource), each in failed.items()
        if each["file_path"] != "/bad.json"
    ]


def _plain(node: Any) -> Any:
    """`node` with the text of each Fn::Sub in its place: putting in what it names takes checkov most of its time."""
    if isinstance(node, dict):
        if node.keys() == {"Fn::Sub"}:
            text = node["Fn::Sub"]
            return text if isinstance(text, str) else text[0]
        return {name: _plain(value) for name, value in node.items()}
    return [_plain(each) for each in node] if isinstance(node, list) else node


def _report(folder: Path) -> dict[str, Any]:
    command = [str(PYTHON), str(HOME / "bin" / "checkov"), "--directory", str(folder), "--framework", "cloudformation"]
    command += ["--config-file", str(ROOT / ".checkov.yaml"), "--skip-download"]
    command += ["--quiet", "--output", "json"]
    done = subprocess.run(command, env=os.environ | OFFLINE, capture_output=True, text=True, check=False)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
        _ = report["results"]
    except (ValueError, KeyError, TypeError):
        raise Failure(f"checkov gave no report:\n{(done.stdout + done.stderr)[-2000:]}") from None
    return report


def _set_up() -> None:
    if STAMP.exists() and STAMP.stat().st_mtime >= REQUIREMENTS.stat().st_mtime:
        return
    uv = [sys.executable, "-m", "uv"]
    sync = [*uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(PYTHON), str(REQUIREMENTS)]
    with step("checkov's environment (the first time only)"):
        for command in ([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(HOME)], sync):
            if subprocess.run(command, check=False).returncode:
                raise Failure("checkov could not be installed: is the package registry within reach?")
        STAMP.touch()
