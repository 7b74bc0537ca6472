"""One load of the feed orders as winback does it, in a process of its own: prints one JSON object
with the seconds it took, its peak memory, and its counts. The other side is `extract_floor.py`.

    python -m benchmarks.extract_load DATASET
"""

from __future__ import annotations

import json
import sys
import time
from datetime import date
from pathlib import Path

from winback.extract.loading.load import load_feed
from winback.extract.loading.load_records import Batch
from winback.extract.mapping.dataset import read_dataset
from winback.settings import settings
from winback.warehouse import connection as warehouse

AS_OF = date(2026, 1, 1)


def main(dataset: str) -> None:
    """Loads and tells."""
    config = settings()
    mapping = read_dataset(config.sources, dataset, config.data).feeds["orders"]
    with warehouse.connect("loader") as connection:
        [(snapshot_id,)] = connection.execute(
            "insert into ops.snapshot (as_of, purpose, dataset) values (%s, 'live', %s)"
            " returning snapshot_id",
            (AS_OF, dataset),
        ).fetchall()
    batch = Batch(snapshot_id, dataset, config.as_of_at(AS_OF), config.business_timezone)
    begin = time.perf_counter()
    counts = load_feed(mapping, batch)
    seconds = time.perf_counter() - begin
    # ru_maxrss would count the process that started this one as well
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    told = {
        "seconds": seconds,
        "peak_mib": peak,
        "n_received": counts.n_received,
        "n_passed": counts.n_passed,
        "n_quarantined": counts.n_quarantined,
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
