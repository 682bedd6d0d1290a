"""Importing a Green Button file of 20 MB: how fast it is read, beside expat parsing the same bytes, and at what memory.

Two files: one of bills (line items and all), and one of a meter's quarters of an hour, which is what most large files
are. Each contestant runs in a process of its own, so that its peak memory is its own; the file comes in pieces, as from
S3. `expat, no handler` only parses; `expat, empty handlers` is what any reader in Python pays at least; `import` also
plans what to write, against a table in memory.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from infra.settings import ROOT
from tests.bench.printing import table

MB = 1_000_000
SIZE = 20 * MB
START, DAY = 1_769_922_000, 86_400
CONTESTANTS = ("expat, no handler", "expat, empty handlers", "reader", "import")
CHILD = "from tests.bench.file_import import child; child()"


def report(rounds: int = 5) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, path in (("bills", bills_file(Path(scratch))), ("readings", readings_file(Path(scratch)))):
            size = path.stat().st_size / MB
            runs = {each: [run(each, path) for _ in range(max(rounds // 3, 1))] for each in CONTESTANTS}
            floor = median(took for took, _ in runs[CONTESTANTS[0]])
            for contestant, results in runs.items():
                took = median(seconds for seconds, _ in results)
                peak = max(megabytes for _, megabytes in results)
                rows.append([f"{name}: {contestant}", f"{size / took:.0f}", f"{took / floor:.1f}", f"{peak:.0f}"])
    head = ["20 MB of", "MB/s", "times the bare parse", "peak MB above the start"]
    table("Import of a Green Button file", head, rows)


def run(contestant: str, path: Path) -> tuple[float, float]:
    """Seconds, and megabytes of memory beyond what the process had before it began."""
    command = [sys.executable, "-c", CHILD, contestant, str(path)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    took, peak = json.loads(done.stdout.splitlines()[-1])
    return took, peak


def bills_file(folder: Path) -> Path:
    """Some 14 000 bills with four line items."""
    item = "<costAdditionalDetailLastPeriod><amount>{}</amount><note>Energy charge</note><itemKind>3</itemKind></costAdditionalDetailLastPeriod>"  # noqa: E501
    entry = (
        '<entry><id>urn:uuid:{n:012}</id>'
        '<link rel="self" href="/espi/1_1/resource/Subscription/5/UsagePoint/{p}/UsageSummary/B-{n:06}"/>'
        "<title>Bill</title><updated>2026-03-02T00:00:00Z</updated><content><UsageSummary><billingPeriod><duration>{d}</duration>"
        "<start>{s}</start></billingPeriod><billLastPeriod>{a}</billLastPeriod>{items}<currency>840</currency>"
        "<overallConsumptionLastPeriod><powerOfTenMultiplier>0</powerOfTenMultiplier><uom>72</uom><value>625716</value>"
        "</overallConsumptionLastPeriod><statusTimeStamp>{s}</statusTimeStamp><commodity>1</commodity></UsageSummary></content></entry>"
    )  # fmt: skip
    pieces, size, number = ['<feed xmlns="http://www.w3.org/2005/Atom">'], 0, 0
    while size < SIZE:
        items = "".join(item.format(1_000 * (number + 1)) for _ in range(4))
        start = START - 28 * DAY * (number % 600)
        pieces.append(entry.format(n=number, p=number // 600, d=28 * DAY, s=start, a=4_000 * (number + 1), items=items))
        size, number = size + len(pieces[-1]), number + 1
    return _written(folder / "bills.xml", pieces)


def readings_file(folder: Path) -> Path:
    reading = "<IntervalReading><cost>974</cost><timePeriod><duration>900</duration><start>{}</start></timePeriod><value>282</value></IntervalReading>"  # noqa: E501
    block = '<entry><link rel="self" href="/espi/1_1/resource/Subscription/5/UsagePoint/1/MeterReading/1/IntervalBlock/{}"/><content><IntervalBlock>{}</IntervalBlock></content></entry>'  # noqa: E501
    pieces, size, day = ['<feed xmlns="http://www.w3.org/2005/Atom">'], 0, 0
    while size < SIZE:
        pieces.append(block.format(day, "".join(reading.format(START + DAY * day + 900 * n) for n in range(96))))
        size, day = size + len(pieces[-1]), day + 1
    return _written(folder / "readings.xml", pieces)


def _written(path: Path, pieces: list[str]) -> Path:
    path.write_text("".join([*pieces, "</feed>"]))
    return path


def child() -> None:
    """In the contestant's own process: prints seconds and peak memory."""
    from tests.bench import file_import_runs

    print(json.dumps(file_import_runs.measured(sys.argv[1], Path(sys.argv[2]))))
