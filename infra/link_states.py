"""Writes docs/link-states.md: the life cycle of a linked account, from the table that the code goes by."""

from collections.abc import Iterable
from pathlib import Path

from functions.account_linking_service.states import MEANING, TRANSITIONS, LinkEvent, LinkState

OUTPUT = Path("docs/link-states.md")
STAYS, REFUSED = "·", "–"
HEAD = f"""# The states of a linked account

Made by `make docs` from `functions/account_linking_service/states.py`; not to be edited here.

Each move is one conditional write, which carries its event `account.state_changed.v1` and its line in the link's
history (`GET /accounts/{{link_id}}` shows the last 20). Rows are states, columns are what happens; `{STAYS}` it stays
as it is, `{REFUSED}` that cannot happen: the caller gets 409, or 404 for an account that was unlinked.
"""


def generate(into: Path) -> None:
    """Writes the document at its place under the folder `into`."""
    path = into / OUTPUT
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([HEAD, *_table(), "", *_diagram(), "", *_words(LinkState), "", *_words(LinkEvent), ""]))


def _table() -> Iterable[str]:
    yield f"| | {' | '.join(LinkEvent)} |"
    yield "|" + "---|" * (len(LinkEvent) + 1)
    for state in LinkState:
        yield f"| **{state}** | {' | '.join(_cell(state, event) for event in LinkEvent)} |"


def _cell(state: LinkState, event: LinkEvent) -> str:
    after = TRANSITIONS[state, event]
    return REFUSED if after is None else STAYS if after is state else after.value


def _diagram() -> Iterable[str]:
    """Moves alone; of the same two states in one arrow. Unlinking, which every live state knows, is left out."""
    arrows: dict[tuple[LinkState, LinkState], list[str]] = {}
    for (before, event), after in TRANSITIONS.items():
        if after is not None and after is not before and event is not LinkEvent.UNLINKED:
            arrows.setdefault((before, after), []).append(event)
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {LinkState.PENDING}"
    for (before, after), events in arrows.items():
        yield f"    {before} --> {after}: {', '.join(events)}"
    yield "```"


def _words(kind: type[LinkState] | type[LinkEvent]) -> Iterable[str]:
    yield f"| {'state' if kind is LinkState else 'event'} | what it means |"
    yield "|---|---|"
    for one in kind:
        yield f"| {one} | {MEANING[one]} |"
