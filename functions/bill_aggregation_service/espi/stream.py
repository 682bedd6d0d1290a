"""A Green Button file as a stream of Atom entries, whatever its size; only the entry at hand is in memory.

Names are compared without prefix or namespace, because files differ in both. A document type declaration is refused
as soon as it begins, so there are no entities to expand and nothing to fetch; what is not well-formed stops expat.
"""

from collections.abc import Callable, Iterable, Iterator
from xml.parsers import expat

RESOURCES = frozenset(
    {
        "UsageSummary", "ElectricPowerUsageSummary", "UsagePoint", "MeterReading", "ReadingType", "IntervalBlock",
        "LocalTimeParameters", "TimeConfiguration",
    }
)  # fmt: skip
ROOTS = RESOURCES | {"feed", "entry"}
MAX_DEPTH = 64
MAX_ELEMENTS = 20_000
"""In one entry, without the readings that are dropped. A bill has some hundred."""
MAX_KEPT = 1_000_000
"""In the whole file. 20 MB of bills have half as many."""
MAX_NAMES = 1_000


class EspiError(ValueError):
    """The file as a whole cannot be read. `code` is stable: malformed_xml, dtd_refused, not_green_button, too_complex,
    too_many_bills."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Node:
    """An element within a resource. `text` is that of an element without children, without space around it."""

    __slots__ = ("children", "name", "text")

    def __init__(self, name: str, text: str = "") -> None:
        self.name = name
        self.text = text
        self.children: list[Node] | tuple[()] = ()  # most have none, and a file has half a million

    def add(self, child: "Node") -> None:
        if isinstance(self.children, list):
            self.children.append(child)
        else:
            self.children = [child]

    def forget_last(self) -> None:
        if isinstance(self.children, list):
            self.children.pop()

    def all(self, name: str) -> "Iterator[Node]":
        return (child for child in self.children if child.name == name)

    def first(self, name: str) -> "Node | None":
        return next(self.all(name), None)

    def value(self, name: str) -> str:
        """Text of the first such child that has any; empty when there is none."""
        return next((child.text for child in self.children if child.name == name and child.text), "")


class Entry:
    """An Atom entry with its ESPI resources; a resource that stands in no entry has one of its own."""

    __slots__ = ("feed_updated", "id", "related", "resources", "self_link", "up_link", "updated")

    def __init__(self) -> None:
        self.id = ""
        self.self_link = ""
        self.up_link = ""
        self.related: list[str] = []
        self.updated = ""
        self.feed_updated = ""
        self.resources: list[Node] = []


def entries(chunks: Iterable[bytes], drop: Callable[[Node], bool]) -> Iterator[Entry]:
    """The entries of a file that comes in pieces. `drop` says of an IntervalReading, once it is whole, whether it can
    be forgotten at once. Raises EspiError."""
    reader = _Reader(drop)
    began = False
    for chunk in chunks:
        piece = chunk if began else chunk.lstrip(b" \t\r\n")  # some files begin with an empty line, which XML forbids
        began = began or bool(piece)
        yield from reader.feed(piece)
    yield from reader.feed(b"", end=True)


class _Reader:
    def __init__(self, drop: Callable[[Node], bool]) -> None:
        self._drop = drop
        self._names: dict[str, str] = {}
        self._texts: list[str] = []
        self._depth = 0
        self._elements = 0
        self._kept = 0
        self._open: list[Node] = []
        self._entry: Entry | None = None
        self._entry_depth = 0
        self._feed_updated = ""
        self._finished: list[Entry] = []
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.ordered_attributes = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._texts.append
        parser.StartDoctypeDeclHandler = _refuse_dtd

    def feed(self, piece: bytes, *, end: bool = False) -> Iterator[Entry]:
        try:
            self._parser.Parse(piece, end)
        except EspiError:
            raise
        except expat.ExpatError as error:
            where = f"line {error.lineno}, column {error.offset}"
            raise EspiError("malformed_xml", f"The file is not well-formed XML: {where}.") from error
        except (LookupError, ValueError) as error:  # an encoding that does not exist
            raise EspiError("malformed_xml", "The file's encoding cannot be read.") from error
        yield from self._finished
        self._finished.clear()

    def _start(self, raw: str, attributes: list[str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise EspiError("too_complex", f"The file is nested deeper than {MAX_DEPTH} levels.")
        name = self._names.get(raw) or self._local(raw)
        self._texts.clear()
        if self._open:
            node = Node(name)
            self._open[-1].add(node)
            self._open.append(node)
            self._elements += 1
            if self._elements > MAX_ELEMENTS:
                raise _too_many()
        elif name in RESOURCES:
            self._open.append(Node(name))
            self._count()
        elif name == "entry":
            self._entry, self._entry_depth, self._elements = Entry(), self._depth, 0
        elif name == "link":
            self._link(attributes)
        if self._depth == 1 and name not in ROOTS:
            raise EspiError("not_green_button", "The file is no Green Button feed.")

    def _end(self, raw: str) -> None:
        self._depth -= 1
        if self._open:
            node = self._open.pop()
            if not node.children:
                node.text = "".join(self._texts).strip()
            if not self._open:
                self._close(node)
            elif node.name == "IntervalReading" and self._drop(node):
                self._open[-1].forget_last()
                self._elements -= 1 + sum(1 + len(child.children) for child in node.children)
            self._texts.clear()
            return
        text = "".join(self._texts).strip()
        self._texts.clear()
        name = self._names.get(raw) or self._local(raw)
        if name == "entry" and self._entry and self._depth + 1 == self._entry_depth:
            self._finish(self._entry)
            self._entry = None
        elif name == "id" and self._entry and self._depth == self._entry_depth:
            self._entry.id = text
        elif name == "updated":
            if self._entry is None:
                self._feed_updated = text
            elif self._depth == self._entry_depth:
                self._entry.updated = text

    def _close(self, resource: Node) -> None:
        entry = self._entry or Entry()
        entry.resources.append(resource)
        if self._entry is None:
            self._finish(entry)

    def _finish(self, entry: Entry) -> None:
        entry.feed_updated = self._feed_updated
        self._kept += self._elements
        self._elements = 0
        if self._kept > MAX_KEPT:
            raise EspiError("too_complex", f"The file has more than {MAX_KEPT} elements that may belong to bills.")
        self._finished.append(entry)

    def _link(self, attributes: list[str]) -> None:
        if self._entry is None:
            return
        found = {self._local(attributes[i]): attributes[i + 1] for i in range(0, len(attributes), 2)}
        href = found.get("href", "").strip()
        match found.get("rel"):
            case "self":
                self._entry.self_link = href
            case "up":
                self._entry.up_link = href
            case "related":
                self._count()
                self._entry.related.append(href)

    def _count(self) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise _too_many()

    def _local(self, raw: str) -> str:
        name = raw.rpartition(":")[2]
        if len(self._names) < MAX_NAMES:
            self._names[raw] = name
        return name


def _too_many() -> EspiError:
    return EspiError("too_complex", f"An entry of the file has more than {MAX_ELEMENTS} elements.")


def _refuse_dtd(*_: object) -> None:
    raise EspiError("dtd_refused", "The file has a document type declaration, which is refused.")
