"""The bill on paper, read the way a reader does: from the end, by the cross-reference table."""

import re
from datetime import date

import pytest

from functions.mock_api_service.billing import adjusted, corrected, monthly
from functions.mock_api_service.formats import pdf
from functions.mock_api_service.model import AccountNumber, Adjustment, Bill, Utility
from functions.mock_api_service.utilities import FIBERNET, NORTHWIND_POWER

TODAY = date(2026, 3, 15)


def objects(document: bytes) -> dict[int, bytes]:
    """Every object by its number, found where the table says that it stands."""
    found = re.search(rb"startxref\n(\d+)\n%%EOF\n$", document)
    assert found
    table = document[int(found[1]) :]
    head = re.match(rb"xref\n0 (\d+)\n0000000000 65535 f \n", table)
    assert head
    entries = [table[head.end() + 20 * k :][:20] for k in range(int(head[1]) - 1)]
    bodies = {}
    for number, entry in enumerate(entries, 1):
        place = re.fullmatch(rb"(\d{10}) 00000 n \n", entry)
        assert place
        body = re.match(rb"(\d+) 0 obj\n(.*?)\nendobj\n", document[int(place[1]) :], re.DOTALL)
        assert body
        assert int(body[1]) == number
        bodies[number] = body[2]
    return bodies


def text_of(document: bytes) -> list[str]:
    """The lines that the page shows."""
    stream = re.fullmatch(rb"<< /Length (\d+) >>\nstream\n(.*)\nendstream", objects(document)[4], re.DOTALL)
    assert stream
    assert len(stream[2]) == int(stream[1])
    shown = re.findall(rb"\(((?:[^()\\]|\\.)*)\) (?:Tj|')", stream[2])
    return [re.sub(r"\\(.)", r"\1", line.decode("cp1252")) for line in shown]


@pytest.mark.parametrize("utility", [NORTHWIND_POWER, FIBERNET])
def test_it_says_what_the_bill_says(utility: Utility) -> None:
    account = AccountNumber(utility.account_example)
    bill = monthly(utility, account, TODAY)[0]

    lines = text_of(pdf.document(utility, account, bill))

    assert lines[0] == utility.label
    shown = dict(line.split(None, 1) for line in lines[1:] if line.startswith(("Account", "Period")))
    assert shown == {
        "Account": "*" * (len(account) - 4) + account[-4:],
        "Period": f"{bill.period_start} to {bill.period_end}",
    }
    assert f"Bill number       {bill.number}" in lines
    assert lines[-1].split() == ["Total,", bill.currency, f"{bill.amount_minor / 100:,.2f}"]
    for item in bill.line_items:
        assert next(line for line in lines if line.startswith(item.name)).endswith(f"{item.amount_minor / 100:,.2f}")


def test_the_account_is_masked_everywhere() -> None:
    account = AccountNumber("NP-10024817")

    document = pdf.document(NORTHWIND_POWER, account, monthly(NORTHWIND_POWER, account, TODAY)[0])

    assert account.encode() not in document


def test_a_later_revision_says_so() -> None:
    account = AccountNumber("NP-10024817")
    bill = corrected(NORTHWIND_POWER, account, TODAY)[5]

    assert f"Bill number       {bill.number} (revision 2)" in text_of(pdf.document(NORTHWIND_POWER, account, bill))


def test_the_same_bill_gives_the_same_bytes_and_another_gives_others() -> None:
    account = AccountNumber("NP-10024817")
    first, second = monthly(NORTHWIND_POWER, account, TODAY)[:2]

    def document(bill: Bill) -> bytes:
        return pdf.document(NORTHWIND_POWER, account, bill)

    [changed] = adjusted([first], {first.number: Adjustment(1, TODAY)})
    assert document(first) == document(first)
    assert len({document(first), document(second), document(changed)}) == 3


def test_it_has_a_catalogue_a_page_and_its_fonts() -> None:
    account = AccountNumber("NP-10024817")
    found = objects(pdf.document(NORTHWIND_POWER, account, monthly(NORTHWIND_POWER, account, TODAY)[0]))

    kinds = [re.search(rb"/Type /(\w+)", body) for body in found.values()]
    assert [kind[1].decode() for kind in kinds if kind] == ["Catalog", "Pages", "Page", "Font", "Font"]
