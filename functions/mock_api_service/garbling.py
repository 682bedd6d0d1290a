"""What comes out when a utility's software breaks while it answers: status 200 and a body that cannot be read."""

from collections.abc import Callable

import msgspec

from functions.common.http.app import Answer
from functions.mock_api_service.model import UtilityName

LOGIN_PAGE = (
    "<!DOCTYPE html><html><head><title>Clearwater</title></head><body><form>Session expired</form></body></html>"
)
COLUMNS_LEFT = 5


def answer(utility: UtilityName, body: object, headers: dict[str, str] | None = None, *, garbled: bool) -> Answer:
    """What the utility answers to a request for bills."""
    if not garbled:
        return Answer(body, headers=headers or {})
    text = body if isinstance(body, str) else msgspec.json.encode(body).decode()
    broken, other_headers = BREAKS[utility](text)
    return Answer(broken, headers={**(headers or {}), **other_headers})


def _cut_off(text: str) -> tuple[str, dict[str, str]]:
    return text[: len(text) // 2], {}


def _another_page(_text: str) -> tuple[str, dict[str, str]]:
    return LOGIN_PAGE, {"Content-Type": "text/html; charset=utf-8"}


def _short_rows(text: str) -> tuple[str, dict[str, str]]:
    """The first half is right; then a row with too few columns, and one whose quote never closes."""
    lines = text.splitlines(keepends=True)
    whole, row = lines[: len(lines) // 2], lines[-1]
    short = ",".join(row.split(",")[:COLUMNS_LEFT])
    return "".join(whole) + f"{short}\r\n" + row[: len(row) // 2].rstrip('",'), {}


BREAKS: dict[UtilityName, Callable[[str], tuple[str, dict[str, str]]]] = {
    UtilityName.ELECTRICITY: _cut_off,
    UtilityName.GAS: _cut_off,
    UtilityName.WATER: _another_page,
    UtilityName.INTERNET: _short_rows,
}
