"""Writes into jobs that died what they are answered as: links without a result when the job gave up have timed out.

`GET /jobs/{job_id}` works that out at each read, but what is stored goes on as if the job ran: a user's export shows
links without any result, and a result that comes hours late is still taken and turns a job that was told to have failed
into one that succeeded. `down` takes out exactly these results again.
"""

import time
from datetime import UTC, datetime

from functions.common.clock import parse_rfc3339
from functions.common.migration import Change, Item, MigrationContext

TIMED_OUT = "timed_out"
NO_BILLS = {"created": 0, "updated": 0, "unchanged": 0}


def up(ctx: MigrationContext) -> None:
    ctx.tables.back_fill(ctx.env["JOBS_TABLE"], close)


def close(item: Item) -> Change | None:
    if not item["sk"].startswith("job#") or item["expires_at"] <= time.time():
        return None  # the pointer to a job, or one that is deleted soon
    missing = [link_id for link_id in item["link_ids"] if link_id not in item["results"]]
    if not missing or parse_rfc3339(item["gives_up_at"]) > datetime.now(UTC):
        return None
    result = {"outcome": "failed", "error_code": TIMED_OUT, **NO_BILLS, "at": item["gives_up_at"]}
    return Change(put={"results": {**item["results"], **dict.fromkeys(missing, result)}})


def down(ctx: MigrationContext) -> None:
    ctx.tables.back_fill(ctx.env["JOBS_TABLE"], reopen)


def reopen(item: Item) -> Change | None:
    if not item["sk"].startswith("job#"):
        return None
    kept = {link_id: result for link_id, result in item["results"].items() if result["error_code"] != TIMED_OUT}
    return Change(put={"results": kept}) if kept != item["results"] else None
