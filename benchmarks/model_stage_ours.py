"""One build of a date as winback does it, in a process of its own: prints one JSON object with the
seconds it took and its peak memory. The other side is `model_stage_floor.sql`.

    python -m benchmarks.model_stage_ours AS_OF
"""

from __future__ import annotations

import json
import sys
import time
from datetime import date

from benchmarks.measuring import peak_mib
from winback.dbt_build import FAILED, PARTS, run_part


def main(as_of: date) -> None:
    """Builds and tells."""
    begin = time.perf_counter()
    for part in PARTS:
        # the data tests are left out, as the script has none
        nodes = run_part(["--quiet", "run"], part, as_of)
        failed = [name for name, (status, _) in nodes.items() if status in FAILED]
        if failed:
            raise RuntimeError(f"dbt could not build {', '.join(failed)}")
    seconds = time.perf_counter() - begin
    sys.stdout.write("\n" + json.dumps({"seconds": seconds, "peak_mib": peak_mib()}))


if __name__ == "__main__":
    main(date.fromisoformat(sys.argv[1]))
