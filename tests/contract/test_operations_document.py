"""docs/operations.md against what it speaks of: alarms, tables and queues. Its commands: test_documents.py."""

import re
from typing import Any

import pytest

from infra import template
from infra.restore_rules import NEVER, RULES
from infra.settings import ROOT

TEXT = (ROOT / "docs/operations.md").read_text()
ROWS = re.findall(r'^\| <a id="(\w+)"></a>`(\w+)` \| (.+) \| (.+) \|$', TEXT, re.MULTILINE)
TEMPLATES = [template.TEMPLATE, *sorted((ROOT / "infra/templates").glob("*.yaml"))]


def resources(*kinds: str) -> dict[str, dict[str, Any]]:
    """Of these types, in all templates, by logical id."""
    return {
        name: resource
        for path in TEMPLATES
        for name, resource in template.read(path)["Resources"].items()
        if resource["Type"] in kinds
    }


def test_every_alarm_has_its_row_and_every_row_its_alarm() -> None:
    alarms = resources("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")

    assert sorted(name for _, name, *_ in ROWS) == sorted(alarms)


def test_a_row_is_found_under_the_name_of_its_alarm() -> None:
    assert [name for anchor, name, *_ in ROWS if anchor != name.lower()] == []


def test_a_row_says_what_it_means_and_what_to_do() -> None:
    assert [name for _, name, means, todo in ROWS if len(means) < 10 or len(todo) < 8] == []


@pytest.mark.parametrize("document", ["operations.md", "cost.md", "scaling.md"])
def test_every_link_leads_to_a_heading(document: str) -> None:
    text = (ROOT / "docs" / document).read_text()
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        named = (ROOT / "docs" / path).read_text() if path else text
        assert not anchor or anchor in anchors(named), target


def anchors(text: str) -> set[str]:
    """Of headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_what_is_said_of_tables_is_what_the_command_does() -> None:
    section = TEXT.partition("\n## Restore a table")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| (`\w+Table`(?:, `\w+Table`)*) \| (.+?) \|", section, re.MULTILINE))
    said = {table: what for tables, what in rows.items() for table in re.findall(r"`(\w+)`", tables)}

    assert {table for table, what in said.items() if what.startswith("never")} == set(NEVER) - {"MockTable"}
    assert {table for table, what in said.items() if not what.startswith("never")} == set(RULES)


def test_every_queue_that_is_named_can_be_redriven() -> None:
    redriven = {name for name, queue in resources("AWS::SQS::Queue").items() if "RedrivePolicy" in queue["Properties"]}

    assert set(re.findall(r"QUEUE=(\w+)", TEXT)) <= redriven
