"""The environment of every process of an instance; Airflow gets no other configuration.

What Airflow does by these values was measured with 3.3.2. Light to import, because Airflow
calls `host_name` in each of its processes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from winback.server import postgres_server
from winback.server.instance import Instance, Mode, write_private
from winback.settings import PREFIX, PROJECT, Settings, settings

OWNER = "winback_owner"
BI = "winback_bi"
ADMIN = "admin"

_TUNING = {
    "AIRFLOW__CORE__PARALLELISM": "4",
    "AIRFLOW__API__WORKERS": "1",
    # the scheduler's pause is what every step of a short run waits for
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    # what ran when winback was stopped is taken up again this long after the next start
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    # on a busy machine the API may take longer than the 5 s that Airflow grants itself
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
    # a changed file is seen at once by its date; parsing unchanged ones takes a core for nothing
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
}
_FIXED = {
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__CORE__DEFAULT_TIMEZONE": "utc",
    "AIRFLOW__CORE__HOSTNAME_CALLABLE": f"{__name__}.host_name",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
    "AIRFLOW__API__HOST": "127.0.0.1",
    # the supervisor migrates; each process that checked again would start seconds later
    "AIRFLOW__DATABASE__CHECK_MIGRATIONS": "False",
    "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    # its own running commentary in the logs of tasks
    "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "great_expectations=WARNING",
    # The API reads the logs of tasks from the files beside it. For a running task it asks a log
    # server too, which two instances can not share: nobody listens here, so it goes on at once.
    "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": "1",
    "AIRFLOW__METRICS__STATSD_ON": "False",
    "SCARF_ANALYTICS": "false",
    "DO_NOT_TRACK": "1",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "False",
    "GX_ANALYTICS_ENABLED": "False",
    "TZ": "UTC",
    # Airflow renames its processes by writing over their environment, where `keeper.MARKER` stands
    "SPT_NOENV": "1",
    "PYTHONUNBUFFERED": "1",
}
_DEMO = {
    "WINBACK_REPLAY": "true",
    "WINBACK_DATASET": "cdnow",
    "WINBACK_BUSINESS_TIMEZONE": "UTC",
    "WINBACK_MAIL_TRANSPORT": "sandbox",
    "WINBACK_SCHEDULE_INGEST": "none",
    "WINBACK_SCHEDULE_OUTREACH": "none",
    "WINBACK_SCHEDULE_EVENTS": "none",
    "WINBACK_SCHEDULE_KPI": "none",
    "WINBACK_SCHEDULE_TRAINING": "none",
    # Months of mail leave within minutes, to addresses that never heard from us, and chance alone
    # decides what the sandbox's recipients do. docs/demo-data.md says so.
    "WINBACK_RAMP_UP_FIRST_PORTION": "1000000",
    "WINBACK_STOP_AT_SPAM_REPORT_PCT": "5",
    # fixed, so that the same people are drawn and the same figures come out everywhere
    "WINBACK_KEY": "made-up demo key, not a secret",
    "WINBACK_ASSIGNMENT_SALT": "winback",
}


def host_name() -> str:
    """The name under which Airflow's processes find each other; asking DNS may take seconds."""
    return "127.0.0.1"


def urls(ports: Mapping[str, int]) -> dict[str, str]:
    """The addresses of the web services."""
    return {name: f"http://127.0.0.1:{ports[name]}" for name in ("airflow", "sandbox")}


def uses_sandbox(mode: Mode) -> bool:
    """Whether mail goes to the sandbox; the demo never sends any elsewhere."""
    return mode == "demo" or settings().mail_transport == "sandbox"


def child_environment(
    instance: Instance, ports: Mapping[str, int], extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The whole environment of the instance's processes.

    Args:
        instance: Whose processes.
        ports: The port of every service.
        extra: What goes above everything else.
    """
    base = _inherited(instance.mode)
    ours = _FIXED | _airflow(instance, ports) | _places(instance) | _mail(instance, ports)
    preset = _TUNING | _winback(instance, ports)
    if instance.mode == "demo":
        return base | ours | preset | _DEMO | dict(extra or {})
    return preset | base | ours | dict(extra or {})


def write_airflow_files(instance: Instance) -> None:
    """Writes the two files Airflow insists on: an empty configuration and the passwords."""
    instance.airflow.mkdir(parents=True, exist_ok=True)
    write_private(
        instance.airflow / "airflow.cfg",
        "# Left empty: ./winback hands Airflow its configuration as environment variables.\n",
    )
    write_private(
        _passwords_file(instance), json.dumps({ADMIN: instance.secrets()["admin_password"]})
    )


def warehouse_url(instance: Instance, ports: Mapping[str, int], user: str) -> str:
    """The address of the embedded warehouse, as its owner or as the role of BI tools."""
    password = instance.secrets()["owner_password" if user == OWNER else "bi_password"]
    return postgres_server.url(ports["postgres"], "winback", user, password)


def _inherited(mode: Mode) -> dict[str, str]:
    foreign = ["PG", "AIRFLOW_HOME", "AIRFLOW_CONFIG", "PYTHONHOME", "VIRTUAL_ENV"]
    if mode == "demo":
        foreign += ["AIRFLOW_", PREFIX]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(tuple(foreign))}
    for name in ("no_proxy", "NO_PROXY"):
        hosts = [host for host in kept.get(name, "").split(",") if host]
        kept[name] = ",".join([*hosts, "127.0.0.1", "localhost"])
    return kept


def _places(instance: Instance) -> dict[str, str]:
    return {
        "PYTHONPATH": os.pathsep.join([str(PROJECT / "plugins"), str(PROJECT)]),
        "WINBACK_HOME": str(instance.home),
    }


def _airflow(instance: Instance, ports: Mapping[str, int]) -> dict[str, str]:
    secrets = instance.secrets()
    url = urls(ports)["airflow"]
    metadata = postgres_server.url(ports["postgres"], "airflow", OWNER, secrets["owner_password"])
    logs = instance.logs / "airflow"
    return {
        "AIRFLOW_HOME": str(instance.airflow),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__FERNET_KEY": secrets["fernet_key"],
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(_passwords_file(instance)),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__API__PORT": str(ports["airflow"]),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__SECRET_KEY": secrets["api_secret_key"],
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets["jwt_secret"],
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata.replace("://", "+psycopg2://", 1),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(logs),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(logs / "dag_processor"),
    }


def _winback(instance: Instance, ports: Mapping[str, int]) -> dict[str, str]:
    """What winback needs to know, where neither the user nor a settings file says otherwise."""
    secrets = instance.secrets()
    addresses = urls(ports)
    wanted = {
        "data": str(instance.installation / "data"),
        "key": secrets["key"],
        "bi_password": secrets["bi_password"],
        "public_url": addresses["airflow"],
    }
    environment = {
        f"{PREFIX}{name.upper()}": value
        for name, value in wanted.items()
        if instance.mode == "demo" or getattr(settings(), name) == getattr(Settings, name)
    }
    environment |= {
        "AIRFLOW_CONN_WINBACK_WAREHOUSE": warehouse_url(instance, ports, OWNER),
        "AIRFLOW_CONN_WINBACK_BI": warehouse_url(instance, ports, BI),
    }
    return environment


def _mail(instance: Instance, ports: Mapping[str, int]) -> dict[str, str]:
    if not uses_sandbox(instance.mode):
        return {}
    from winback.sandbox.signing import Signer

    secrets = instance.secrets()
    return {
        "WINBACK_SENDGRID_URL": urls(ports)["sandbox"],
        "WINBACK_SENDGRID_API_KEY": secrets["sandbox_api_key"],
        "WINBACK_SENDGRID_WEBHOOK_KEY": Signer(
            secrets["sandbox_signing_key"].encode()
        ).public_key(),
    }


def _passwords_file(instance: Instance) -> Path:
    return instance.airflow / "passwords.json"
