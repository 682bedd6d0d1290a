"""The document of a link's states says what the table says."""

from pathlib import Path

from functions.account_linking_service.states import LinkEvent, LinkState
from infra import docs, link_states
from infra.settings import ROOT


def rows(text: str) -> dict[str, list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| **")]
    cells = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines]
    return {first: rest for first, *rest in cells}


def test_the_document_is_up_to_date_and_made_by_make_docs(tmp_path: Path) -> None:
    link_states.generate(tmp_path)

    assert (ROOT / link_states.OUTPUT).read_text() == (tmp_path / link_states.OUTPUT).read_text()
    assert link_states.generate in docs.GENERATORS


def test_every_pair_has_its_cell(tmp_path: Path) -> None:
    link_states.generate(tmp_path)

    table = rows((tmp_path / link_states.OUTPUT).read_text())

    assert list(table) == list(LinkState)
    assert {len(cells) for cells in table.values()} == {len(LinkEvent)}
    assert table["PENDING"] == [
        "CONNECTING", "ACTIVE", "ACTION_REQUIRED", "·", "MFA_REQUIRED", "–", "CONNECTING", "REVOKED"
    ]  # fmt: skip
    assert set(table["REVOKED"]) == {"–"}


def test_the_diagram_shows_moves_alone(tmp_path: Path) -> None:
    link_states.generate(tmp_path)

    arrows = [line.strip() for line in (tmp_path / link_states.OUTPUT).read_text().splitlines() if "-->" in line]

    assert "MFA_REQUIRED --> CONNECTING: mfa_submitted, credentials_replaced" in arrows
    assert "ACTIVE --> STALE: failed" in arrows
    assert not [arrow for arrow in arrows if "REVOKED" in arrow]
