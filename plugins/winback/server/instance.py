"""An installation on this machine: its folders, secrets and ports, and whether it runs.

A data folder holds two instances, the production one and the demo; one of them runs at a time.
Starting it is the supervisor's business.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import stat
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from winback.errors import ServerError
from winback.server import processes
from winback.settings import Settings, settings

Mode = Literal["production", "demo"]
PREFERRED_PORTS = {"airflow": 8080, "postgres": 5433, "sandbox": 8025}


@dataclass(frozen=True)
class Instance:
    """One of the two instances of a data folder.

    Args:
        home: Its own folder: that of the installation, or `demo` below it.
        mode: Which of the two it is.
    """

    home: Path
    mode: Mode

    @property
    def installation(self) -> Path:
        """The data folder that both instances share."""
        return self.home.parent if self.mode == "demo" else self.home

    @property
    def postgres(self) -> Path:
        """The cluster of the embedded PostgreSQL."""
        return self.home / "postgres"

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME."""
        return self.home / "airflow"

    @property
    def sandbox(self) -> Path:
        """What the sandbox mail service keeps."""
        return self.home / "sandbox"

    @property
    def logs(self) -> Path:
        """One log per service, and Airflow's task logs below `airflow`."""
        return self.home / "logs"

    @property
    def was_set_up(self) -> bool:
        """Whether it was ever started."""
        return (self.postgres / "PG_VERSION").exists() or self.postgres.is_symlink()

    def make_home(self) -> None:
        """Makes its folder where it is missing, closed to other users.

        One that was there before may be the user's own and serve more than winback: it stays as
        it is. Those that can only be winback's are closed late rather than never.
        """
        for folder in dict.fromkeys((self.installation, self.home)):
            folder.mkdir(mode=_home_mode(), parents=True, exist_ok=True)
            if folder in (Settings.home, self.installation / "demo"):
                _close(folder, _home_mode())

    def make_folders(self) -> None:
        """Makes the folders that are written to; nobody but its user can look into them."""
        self.make_home()
        for home, names in (
            (self.home, ("airflow", "dbt", "logs", "sandbox")),
            (self.installation, ("logs", "run")),
        ):
            for name in names:
                (home / name).mkdir(exist_ok=True)
                _close(home / name, 0o700)

    def keep_environment(self, extra: Mapping[str, str]) -> None:
        """Keeps what its processes were given besides, for commands that come after them."""
        write_private(self.home / "environment.json", json.dumps(dict(extra)))

    def kept_environment(self) -> dict[str, str]:
        """What its processes were given besides when it was last started."""
        try:
            kept: dict[str, str] = json.loads((self.home / "environment.json").read_text())
        except FileNotFoundError:
            return {}
        return kept

    def secrets(self) -> dict[str, str]:
        """Its keys and passwords, made when first asked for; only its user can read them."""
        path = self.home / "secrets.json"
        kept: dict[str, str] = {}
        if path.exists():
            try:
                kept = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise ServerError(
                    f"{path} is damaged: restore it, or the data below {self.home} is lost"
                ) from error
        missing = {name: make() for name, make in _SECRETS.items() if name not in kept}
        if missing:
            self.make_home()
            write_private(path, json.dumps(kept | missing, indent=2))
        return kept | missing


@dataclass(frozen=True)
class RunningState:
    """What the supervisor of a running instance tells other commands."""

    mode: Mode
    pid: int
    started: float
    ready: bool
    ports: dict[str, int]
    urls: dict[str, str]
    pids: dict[str, int]

    def say(self) -> str:
        """One clause that names the instance and where it is found."""
        what = "the demo" if self.mode == "demo" else "winback"
        where = f"at {self.urls['airflow']}" if self.ready else "and is still starting"
        return f"{what} runs already {where} (process {self.pid})"


def instance(mode: Mode) -> Instance:
    """The instance of this installation's data folder."""
    home = Path(os.path.abspath(settings().home))  # noqa: PTH100 - a link in it is the user's wish
    return Instance(home / "demo" if mode == "demo" else home, mode)


def running() -> tuple[Instance, RunningState] | None:
    """The instance that runs or starts now; None when none does."""
    try:
        content: dict[str, Any] = json.loads(_state_file().read_text(encoding="utf-8"))
        state = RunningState(**content)
    except (OSError, ValueError, TypeError):
        return None
    if not processes.is_alive(state.pid, state.started):
        return None
    return instance(state.mode), state


def current() -> Instance:
    """The instance that commands mean: the running one, else production if it was ever set up."""
    found = running()
    if found:
        return found[0]
    production = instance("production")
    return production if production.was_set_up else instance("demo")


def tell(
    mode: Mode,
    ports: Mapping[str, int],
    urls: Mapping[str, str],
    pids: Mapping[str, int] | None = None,
) -> None:
    """Writes down that this process runs an instance; it is ready once it has `pids`."""
    pid = os.getpid()
    started = processes.started_at(pid)
    if started is None:
        raise ServerError("/proc can not be read: mount it, winback finds its processes there")
    state = RunningState(
        mode, pid, started, pids is not None, dict(ports), dict(urls), dict(pids or {})
    )
    write_private(_state_file(), json.dumps(asdict(state), indent=2))


def forget() -> None:
    """Takes back what `tell` wrote."""
    _state_file().unlink(missing_ok=True)


@contextmanager
def only_one() -> Iterator[None]:
    """Keeps any other instance of this data folder from running meanwhile.

    Raises:
        ServerError: One runs already; the message says where.
    """
    path = _state_file().with_name("lock")
    try:
        instance("production").make_home()
        path.parent.mkdir(exist_ok=True)
        lock = path.open("a")
    except OSError as error:
        raise ServerError(
            f"the data folder {path.parent.parent} can not be written ({error.strerror}): "
            "set WINBACK_HOME to a folder of your own"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            found = running()
            said = found[1].say() if found else "another winback command is starting or stopping"
            raise ServerError(
                f"{said}: stop it with ./winback down, or wait for its end"
            ) from error
        yield


@contextmanager
def reserved_ports() -> Iterator[dict[str, int]]:
    """A free port of 127.0.0.1 for every service: the preferred one, or any other.

    Until the block ends, no other winback on this machine is given one of them.
    """
    chosen: dict[str, int] = {}
    refused: set[int] = set()
    with ExitStack() as claims:
        for name, preferred in PREFERRED_PORTS.items():
            while name not in chosen:
                port = processes.free_port(preferred, avoid=[*chosen.values(), *refused])
                claim = processes.reserve(port)
                if claim is None:
                    refused.add(port)
                else:
                    claims.enter_context(claim)
                    chosen[name] = port
        yield chosen


def write_private(path: Path, content: str) -> None:
    """Replaces a file in one step; nobody but its user may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.touch(mode=0o600)
    unfinished.write_text(content, encoding="utf-8")
    unfinished.replace(path)


def _home_mode() -> int:
    # as root PostgreSQL runs as nobody, who has to pass through on the way to its data
    return 0o711 if os.geteuid() == 0 else 0o700


def _close(folder: Path, mode: int) -> None:
    # what the user has closed further stays so, and what is not ours we may not change
    with suppress(PermissionError):
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) & mode)


def _state_file() -> Path:
    return instance("production").home / "run" / "state.json"


def _fernet_key() -> str:
    return urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _signing_key() -> str:
    from winback.sandbox.signing import new_private_key

    return new_private_key().decode()


def _secret() -> str:
    return secrets.token_hex(24)


_SECRETS = {
    "postgres_password": _secret,
    "owner_password": _secret,
    "bi_password": _secret,
    "key": _secret,
    "fernet_key": _fernet_key,
    "jwt_secret": lambda: secrets.token_hex(32),  # Airflow signs with HS512 and warns of less
    "api_secret_key": _secret,
    "admin_password": lambda: secrets.token_urlsafe(9),
    "sandbox_api_key": lambda: f"SG.sandbox.{secrets.token_hex(16)}",
    "sandbox_signing_key": _signing_key,
}
