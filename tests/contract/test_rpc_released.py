"""Contracts keep what was released of them: buf lint and buf breaking (buf.yaml), and that these would notice."""

import shutil
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from infra import checks, protos
from infra.settings import ROOT, load

CONTRACTS = ROOT / protos.CONTRACTS


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The contracts and the rules, where a test may change them."""
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    shutil.copytree(CONTRACTS, tmp_path / protos.CONTRACTS, ignore=shutil.ignore_patterns("*.py*", "__pycache__"))
    return tmp_path


def change(copy: Path, name: str, old: str, new: str) -> None:
    path = copy / protos.CONTRACTS / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_contracts_are_well_formed_and_break_nothing_released() -> None:
    assert protos.findings() == ""


def test_a_copy_without_a_change_has_no_findings(copy: Path) -> None:
    assert protos.findings(copy) == ""


@pytest.mark.parametrize(
    ("name", "old", "new", "rule"),
    [
        ("users.proto", "string email = 2;", "reserved 2;", 'Previously present field "2" with name "email"'),
        ("users.proto", "string name = 3;", "int64 name = 3;", "changed type"),
        ("users.proto", "string name = 3;", "string full_name = 3;", "changed name"),
        ("users.proto", "string user_id = 1;", "string user_id = 99;", 'Previously present field "1"'),
        ("users.proto", "rpc GetUser(", "rpc FetchUser(", 'Previously present RPC "GetUser"'),
        ("users.proto", "MAIL_KIND_RESET_PASSWORD = 2;", "", "Previously present enum value"),
        ("users.proto", "package billing.users.v1;", "package billing.users.v2;", "package changed"),
        ("broker.proto", "repeated Event events = 1;", "Event events = 1;", "changed cardinality"),
    ],
)
def test_a_change_that_would_break_a_client_is_found(copy: Path, name: str, old: str, new: str, rule: str) -> None:
    change(copy, name, old, new)

    assert rule in protos.findings(copy)


def test_a_new_field_breaks_nobody(copy: Path) -> None:
    change(copy, "users.proto", "string user_id = 1;", "string user_id = 1; string of_tomorrow = 1000;")

    assert protos.findings(copy) == ""


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("string user_id = 1;", "string userId = 1;", "lower_snake_case"),
        ("MAIL_KIND_UNSPECIFIED = 0;", "MAIL_KIND_NONE = 0;", "_UNSPECIFIED"),
        ("// Who the household's members are.", "//", "non-empty comment"),
        ("  // The user's profile. NOT_FOUND when there is none.\n", "", "non-empty comment"),
    ],
)
def test_names_and_comments_are_held_to_the_rules(copy: Path, old: str, new: str, rule: str) -> None:
    if "household" in old:  # the whole comment of the service
        new = ""
        old = next(line for line in (copy / protos.CONTRACTS / "users.proto").read_text().splitlines() if old in line)
    change(copy, "users.proto", old, new)

    assert rule in protos.findings(copy)


def test_the_released_descriptors_are_a_plain_descriptor_set_of_all_contracts() -> None:
    released = FileDescriptorSet.FromString((ROOT / protos.RELEASED).read_bytes())

    names = {file.name for file in released.file}
    assert names <= {str(protos.CONTRACTS / path.name) for path in CONTRACTS.glob("*.proto")}
    assert {"Users", "Providers", "Accounts", "Credentials", "Bills", "Broker"} <= {
        service.name for file in released.file for service in file.service
    }


def test_lint_asks_buf(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def passes(name: str, _check: object) -> bool:
        asked.append(name)
        return True

    monkeypatch.setattr(checks, "_passes", passes)

    checks.lint(load())

    assert "buf" in asked
