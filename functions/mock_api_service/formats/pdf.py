"""A bill as it would come on paper: PDF 1.4 (ISO 32000-1 describes it too), one page of text in the standard fonts.

Written by hand, because a page of text needs a catalogue, a page and a stream, and a library for it weighs megabytes.
The same bill gives the same bytes.
"""

from collections.abc import Iterator, Sequence

from functions.mock_api_service.formats.amounts import grouped
from functions.mock_api_service.model import AccountNumber, Bill, Utility

MEDIA_TYPE = "application/pdf"
PAGE = "[0 0 595 842]"  # A4, in points
RESOURCES = "<< /Font << /Title 5 0 R /Text 6 0 R >> >>"
LEFT, TOP, LEADING = 60, 770, 16
CLEAR_CHARS = 4
WIDTH = 44


def document(utility: Utility, account: AccountNumber, bill: Bill) -> bytes:
    content = _content(utility.label, list(_lines(account, bill)))
    return _file(
        [
            "<< /Type /Catalog /Pages 2 0 R >>",
            "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            f"<< /Type /Page /Parent 2 0 R /MediaBox {PAGE} /Contents 4 0 R /Resources {RESOURCES} >>",
            f"<< /Length {len(_bytes(content))} >>\nstream\n{content}\nendstream",
            "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
            "<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>",
            f"<< /Title ({_escaped(f'{utility.label} {bill.number}')}) >>",
        ]
    )


def _lines(account: AccountNumber, bill: Bill) -> Iterator[str]:
    yield f"Account           {'*' * (len(account) - CLEAR_CHARS)}{account[-CLEAR_CHARS:]}"
    yield f"Bill number       {bill.number}" + (f" (revision {bill.revision})" if bill.revision > 1 else "")
    yield f"Issued on         {bill.statement_date}"
    yield f"Period            {bill.period_start} to {bill.period_end}"
    if bill.due_date:
        yield f"Due on            {bill.due_date}"
    yield f"Tariff            {bill.tariff}"
    yield f"Usage             {bill.volume} {bill.unit}, meter {bill.meter}"
    yield ""
    for item in bill.line_items:
        yield f"{item.name:<{WIDTH}}{grouped(item.amount_minor):>12}"
    yield "-" * (WIDTH + 12)
    yield f"{f'Total, {bill.currency}':<{WIDTH}}{grouped(bill.amount_minor):>12}"


def _content(title: str, lines: Sequence[str]) -> str:
    """A content stream: the title, then a line below the other."""
    shown = "\n".join(f"({_escaped(line)}) '" for line in lines)
    return f"BT\n/Title 20 Tf\n{LEADING} TL\n{LEFT} {TOP} Td\n({_escaped(title)}) Tj\n/Text 10 Tf\nT*\n{shown}\nET"


def _file(objects: Sequence[str]) -> bytes:
    """Header, objects numbered from 1 (first the catalogue, last the info), cross-reference table, trailer."""
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")  # bytes over 127: says that the file is binary
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += _bytes(f"{number} 0 obj\n{body}\nendobj\n")
    entries = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size, table = len(objects) + 1, len(out)
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R /Info {size - 1} 0 R >>\nstartxref\n{table}\n%%EOF\n"
    return bytes(out + _bytes(f"xref\n0 {size}\n0000000000 65535 f \n{entries}{trailer}"))


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def _bytes(text: str) -> bytes:
    return text.encode("cp1252", errors="replace")
