"""The steps select and outreach as a worker runs them, in a process of their own: prints one JSON
object with the seconds a step took and how many people it concerned.

    python -m benchmarks.outreach_steps select|outreach
"""

from __future__ import annotations

import json
import sys
import time

from benchmarks.outreach_people import AS_OF, CAMPAIGN
from winback.outreach.dispatch import outreach
from winback.select.selection import select
from winback.warehouse import connection as warehouse


def main(step: str) -> None:
    """Runs the step and tells."""
    with warehouse.connect("sender") as connection:
        [(snapshot_id,)] = connection.execute(
            "select snapshot_id from ops.newest_snapshot"
        ).fetchall()
    begin, cpu_begin = time.perf_counter(), time.process_time()
    if step == "select":
        [selected] = select(snapshot_id, AS_OF)
        n = selected.n_planned
    else:
        n = outreach(snapshot_id, AS_OF)[CAMPAIGN]["accepted"]
    told = {
        "seconds": time.perf_counter() - begin,
        "cpu_s": time.process_time() - cpu_begin,
        "n": n,
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
