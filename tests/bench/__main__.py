"""`make bench`, or `python -m tests.bench`: artefact sizes, cold starts, what the front door costs, reads from the
cache, from the table and live, the refresh of an unchanged link and of a changed one, refreshes per second, a login, an
RPC over each transport and the import of a large file, beside their budgets.

Times are compared as ratios within this one run, with the contestants taking turns, because a time by itself says more
of the machine than of the code. A budget that is missed is marked; only a benchmark that cannot run ends with an error.
BENCH_ROUNDS sets the number of repetitions.
"""

import os
import sys
import tempfile
from pathlib import Path

from tests.bench import (
    cached_read,
    cold_start,
    file_import,
    front_door,
    history,
    live_read,
    login,
    refreshes,
    rpc,
    sizes,
    unchanged_refresh,
)
from tests.support import artefacts
from tests.support.redis_server import redis_server


def main() -> int:
    if not (artefacts.BUILT / "template.yaml").exists():
        artefacts.build_if_stale()
    rounds = int(os.environ.get("BENCH_ROUNDS") or 15)
    with tempfile.TemporaryDirectory() as scratch, redis_server() as cache_url:
        sizes.report()
        cold_start.report(Path(scratch), rounds)
        front_door.report(cache_url)
        cached_read.report(Path(scratch), cache_url, rounds)
        history.report(cache_url)
        live_read.report(cache_url)
        unchanged_refresh.report(cache_url)
        refreshes.report(cache_url)
        login.report()
        rpc.report(Path(scratch))
        file_import.report(rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
