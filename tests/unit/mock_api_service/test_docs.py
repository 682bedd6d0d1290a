"""docs/sandbox.md states the utilities' facts a second time, for people: the same ones."""

from pathlib import Path

from functions.mock_api_service import refusals
from functions.mock_api_service.formats import bbps, csv_statement
from functions.mock_api_service.model import Scenario
from functions.mock_api_service.service import CODE_GRANT
from functions.mock_api_service.signing_in import CHALLENGE_LIFETIME, CODE, CODE_METHODS, TRUST_LIFETIME
from functions.mock_api_service.utilities import UTILITIES

DOCS = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text()
ROWS = [
    [cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in DOCS.splitlines() if line[:1] == "|"
]


def rows(name: str, width: int) -> list[list[str]]:
    return [row for row in ROWS if row[0] == name and len(row) == width]


def test_the_facts_of_each_utility() -> None:
    for utility in UTILITIES.values():
        [[_, provider_id, label, service_type, _, _, currency, zone, _]] = rows(utility.name, 9)
        assert (provider_id, label, service_type) == (utility.provider_id, utility.label, utility.name)
        assert (currency, zone) == (utility.currency, utility.time_zone)


def test_what_each_utility_needs() -> None:
    for utility in UTILITIES.values():
        [[_, name, _, regex, shortest, longest, example]] = rows(utility.name, 7)
        assert (name, regex, example) == ("account_number", utility.account_format, utility.account_example)
        assert int(shortest) <= len(example) <= int(longest)


def test_every_scenario_is_described_with_what_must_come_of_it() -> None:
    described = {row[0]: row for row in ROWS if len(row) == 3 and row[0] in set(Scenario)}

    assert set(described) == set(Scenario)
    assert all(cell for row in described.values() for cell in row)


def test_the_words_on_the_wire() -> None:
    assert ",".join(f'"{name}"' for name in csv_statement.HEADER) in DOCS
    assert bbps.BILLER_ID in DOCS
    assert f'"name": "{bbps.ACCOUNT_PARAM}"' in DOCS


def test_the_words_of_a_code() -> None:
    asked = {row[0]: row[1] for row in ROWS if len(row) == 4 and row[0] in UTILITIES}
    for utility, methods in CODE_METHODS.items():
        assert ",".join(methods) in asked[utility].replace('"', "").replace(", ", ",")
        assert str(int(CHALLENGE_LIFETIME.total_seconds())) in asked[utility]
    assert CODE_GRANT in DOCS
    assert f"The code is always `{CODE}`" in DOCS
    assert f"trusts that login for {TRUST_LIFETIME.days} virtual days" in DOCS


def test_the_words_of_every_refusal() -> None:
    for word in {*refusals.OAUTH_ERRORS.values(), *refusals.BILLER_CODES.values(), *refusals.CODE_LINES.values()}:
        assert word in DOCS, word
    for seconds in refusals.RETRY_AFTER_SECONDS.values():
        assert f"`Retry-After: {seconds}`" in DOCS
