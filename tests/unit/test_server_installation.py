"""The server installation, as far as it can be checked where no container engine runs."""

from __future__ import annotations

import base64
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.cli import cli_parser
from cryptography.fernet import Fernet
from dotenv import dotenv_values

from tests.conftest import PROJECT
from winback.sandbox import __main__ as sandbox
from winback.sandbox.signing import Signer
from winback.server import airflow_environment
from winback.server.instance import Instance
from winback.settings import PREFIX, Settings

COMPOSE = PROJECT / "docker-compose.yaml"
DOCKERFILE = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
GUIDE = (PROJECT / "docs" / "server-installation.md").read_text(encoding="utf-8")
TEXT = COMPOSE.read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
OURS = sorted(name for name, service in SERVICES.items() if service["image"] == "winback")
AIRFLOW = ("init", "api-server", "scheduler", "dag-processor", "worker")
# ${NAME:?what to do} and ${NAME:-default}
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?:(:[?-])([^}]*))?\}")
SECRET = re.compile(r"PASSWORD|SECRET|KEY|SALT")

PORTS = {"airflow": 1, "postgres": 2, "sandbox": 3}

# What differs on purpose from the environment that ./winback gives Airflow.
DIFFERENT = {
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    # inside the container; outside it is bound to 127.0.0.1
    "AIRFLOW__API__HOST": "0.0.0.0",  # noqa: S104
    # every container has a name of its own, which Docker resolves at once
    "AIRFLOW__CORE__HOSTNAME_CALLABLE": None,
}


def instructions(name: str) -> list[str]:
    """The arguments of every instruction of the Dockerfile with this name, lines joined."""
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE)
    return [
        line.split(maxsplit=1)[1] for line in joined.splitlines() if line.startswith(f"{name} ")
    ]


def image_environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for line in instructions("ENV") for pair in shlex.split(line))


def mounts(service: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """Source, target and whether it is read only."""
    found = []
    for each in service.get("volumes", []):
        if isinstance(each, str):
            source, target, *mode = each.split(":")
            found.append((source, target, mode == ["ro"]))
        else:
            found.append((each["source"], each["target"], each.get("read_only", False)))
    return found


def pins(path: str) -> dict[str, str]:
    text = (PROJECT / path).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", text, re.MULTILINE))


def modules_started() -> set[str]:
    """Every module that a command, a health check or the image runs with `python -m`."""
    return set(re.findall(r"-m[\s,\"]+([a-z_.]+)", TEXT + DOCKERFILE.split("WORKDIR")[1])) | {
        command[command.index("-m") + 1]
        for service in SERVICES.values()
        if "-m" in (command := service.get("command", []))
    }


# The compose file


def test_the_compose_file_is_valid(tmp_path: Path) -> None:
    def check(path: Path) -> int:
        command = [sys.executable, "-m", "check_jsonschema"]
        command += ["--builtin-schema", "vendor.compose-spec", str(path)]
        return subprocess.run(command, capture_output=True, check=False).returncode

    assert check(COMPOSE) == 0
    broken = tmp_path / "docker-compose.yaml"
    broken.write_text(TEXT.replace("restart: unless-stopped", "restarts: unless-stopped"))
    assert check(broken) != 0


def test_it_runs_every_part_of_airflow_once() -> None:
    parts = {
        name: " ".join(SERVICES[name]["command"]).removeprefix("python -m airflow ")
        for name in AIRFLOW[1:]
    }
    assert parts == {
        "api-server": "api-server",
        "scheduler": "scheduler --skip-serve-logs",
        "dag-processor": "dag-processor",
        "worker": "celery worker --skip-serve-logs",
    }


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_refers_to_exists(name: str) -> None:
    service = SERVICES[name]
    declared = yaml.safe_load(TEXT)
    for needed, how in service.get("depends_on", {}).items():
        assert needed in SERVICES
        if how["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[needed]
        if how["condition"] == "service_completed_successfully":
            assert SERVICES[needed]["restart"] == "no"
    network = service.get("network_mode", "service:postgres")
    assert network.removeprefix("service:") in SERVICES
    assert set(service.get("secrets", [])) <= set(declared["secrets"])
    for source, target, _ in mounts(service):
        assert target.startswith("/")
        if source.startswith("./"):
            assert (PROJECT / source).is_dir()
        elif not source.startswith("${"):
            assert source in declared["volumes"]
    # a host name in an address is a service
    text = yaml.safe_dump(service.get("environment", {}))
    assert set(re.findall(r"(?:@|http://)([a-z-]+):\d", text)) <= set(SERVICES)


def test_every_volume_is_used() -> None:
    used = {source for service in SERVICES.values() for source, _, _ in mounts(service)}
    assert set(yaml.safe_load(TEXT)["volumes"]) == {name for name in used if name.isidentifier()}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_stays_up_and_says_how_it_does(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == ("no" if name == "init" else "unless-stopped")
    is_relay = service.get("command", [""])[0] == "socat"
    assert ("healthcheck" in service) is (name != "init" and not is_relay)


@pytest.mark.parametrize("name", OURS)
def test_a_container_of_ours_may_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "user" not in service, "the Dockerfile's user"
    folders = {target: is_read_only for _, target, is_read_only in mounts(service)}
    code = {target for target in folders if target.startswith(("/opt/", "/data"))}
    assert all(folders[target] for target in code)
    if name in AIRFLOW:
        assert code == {"/opt/winback/config", "/opt/winback/campaigns", "/data"}


def test_ports_are_bound_to_this_machine() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(str(port).startswith("127.0.0.1:") for port in ports)


def test_the_sandbox_is_optional_and_nothing_needs_it() -> None:
    optional = {name for name, service in SERVICES.items() if service.get("profiles")}
    assert optional == {name for name in SERVICES if name.startswith("sandbox")}
    assert all(SERVICES[name]["profiles"] == ["sandbox"] for name in optional)
    for name in set(SERVICES) - optional:
        assert not optional & set(SERVICES[name].get("depends_on", {}))


# The environment


def _uses() -> list[tuple[str, str, str]]:
    return [(name, how, rest) for name, how, rest in VARIABLE.findall(TEXT)]


def test_a_secret_has_no_default_and_its_absence_is_explained() -> None:
    secrets = {(name, how, rest) for name, how, rest in _uses() if SECRET.search(name)}
    assert len({name for name, _, _ in secrets}) >= 11
    for name, how, rest in secrets:
        assert how == ":?", name
        assert len(rest) > 20, name
    # no address or password is written out, either
    assert not re.search(r"://[^:/@\s]*:[^$@/\s][^@\s]*@", TEXT)
    assert not re.search(r"PASSWORD: (?!\$\{)", TEXT)


def test_a_variable_without_which_it_can_not_run_is_demanded() -> None:
    demanded = {name for name, how, _ in _uses() if how == ":?"}
    assert demanded >= {"WINBACK_MAIL_TRANSPORT", "WINBACK_PUBLIC_URL", "WINBACK_DATA_FOLDER"}
    # a bare ${NAME} would silently be empty
    assert all(how for _, how, _ in _uses())


def test_the_guide_explains_every_variable() -> None:
    explained = set(re.findall(r"^\| `([A-Z_]+)` \| .{15,}", GUIDE, re.MULTILINE))
    used = {name for name, _, _ in _uses()}
    used |= {secret["environment"] for secret in yaml.safe_load(TEXT)["secrets"].values()}
    assert explained == used | {"COMPOSE_PROFILES"}


def test_the_guides_command_makes_everything_that_is_needed(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing: apt install openssl")
    block = re.search(r"```bash\n(umask.*?)```", GUIDE, re.DOTALL)
    assert block
    subprocess.run(["bash", "-euo", "pipefail", "-c", block[1]], cwd=tmp_path, check=True)
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    made = {k: v or "" for k, v in dotenv_values(tmp_path / ".env", interpolate=False).items()}
    explained = set(re.findall(r"^\| `([A-Z_]+)` \|", GUIDE, re.MULTILINE))
    assert set(made) == explained
    assert all(made.values())
    Fernet(made["AIRFLOW_FERNET_KEY"])
    assert "tr '+/' '-_'" in block[1], "one key in four has neither by chance"
    assert len(made["AIRFLOW_JWT_SECRET"]) == 64
    signer = Signer(made["WINBACK_SANDBOX_SIGNING_KEY"].encode())
    assert made["WINBACK_SENDGRID_WEBHOOK_KEY"] == signer.public_key()
    assert base64.b64decode(made["WINBACK_SENDGRID_WEBHOOK_KEY"])
    for name, value in made.items():
        if name.endswith("PASSWORD"):
            assert value.isalnum(), "it becomes part of an address"
    secrets = [made[name] for name in made if name.endswith(("PASSWORD", "SECRET", "SALT"))]
    assert len(set(secrets)) == len(secrets)


def test_the_secrets_never_reach_the_repository_or_the_image() -> None:
    ignored = (PROJECT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert ".env" in ignored
    assert not any("ENV" in line and SECRET.search(line) for line in DOCKERFILE.splitlines())
    assert not instructions("ARG")


@pytest.mark.parametrize("name", AIRFLOW)
def test_airflow_is_told_what_the_winback_command_tells_it(name: str) -> None:
    here = image_environment() | SERVICES[name]["environment"]
    there = airflow_environment._FIXED | airflow_environment._TUNING
    assert set(DIFFERENT) <= set(there)
    for variable, value in (there | DIFFERENT).items():
        assert here.get(variable) == value, variable


def test_airflow_is_told_nothing_less_than_by_the_winback_command(tmp_path: Path) -> None:
    instance = Instance(tmp_path, "production")
    there = airflow_environment._airflow(instance, PORTS)
    there |= airflow_environment._winback(instance, PORTS)
    there |= airflow_environment._places(instance) | airflow_environment._mail(instance, PORTS)
    told: set[str] = set().union(*(SERVICES[name]["environment"] for name in AIRFLOW))
    missing = set(there) - told - set(image_environment())
    assert missing == set()


def test_paths_in_the_image_are_those_of_the_project(tmp_path: Path) -> None:
    (root,) = instructions("WORKDIR")
    environment = image_environment()
    instance = Instance(tmp_path, "production")
    ours = airflow_environment._airflow(instance, PORTS) | airflow_environment._places(instance)
    for name in (
        "PYTHONPATH",
        "AIRFLOW__CORE__DAGS_FOLDER",
        "AIRFLOW__CORE__PLUGINS_FOLDER",
    ):
        assert environment[name] == ours[name].replace(str(PROJECT), root)
    written = [environment["WINBACK_HOME"], environment["AIRFLOW__LOGGING__BASE_LOG_FOLDER"]]
    written += [environment["AIRFLOW_HOME"]]
    written += [environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]]
    for name in AIRFLOW:
        volumes = [target for source, target, _ in mounts(SERVICES[name]) if source.isidentifier()]
        for path in written:
            assert any(Path(path).is_relative_to(volume) for volume in volumes), path


@pytest.mark.parametrize("name", OURS)
def test_only_settings_that_exist_are_set(name: str) -> None:
    known = {f"{PREFIX}{field.name.upper()}" for field in fields(Settings)}
    told = set(image_environment()) | set(SERVICES[name].get("environment", {}))
    assert {variable for variable in told if variable.startswith(PREFIX)} <= known


def test_a_secret_goes_only_where_it_is_used() -> None:
    def told(secret: str) -> set[str]:
        return {
            name
            for name, service in SERVICES.items()
            if any(secret in str(value) for value in service.get("environment", {}).values())
        }

    assert told("${WINBACK_SENDGRID_API_KEY") == {"worker"}
    assert told("${WINBACK_SENDGRID_WEBHOOK_KEY") == {"api-server"}
    assert told("${POSTGRES_PASSWORD") == {"postgres", "init"}
    assert told("${AIRFLOW_ADMIN_PASSWORD") == {"init"}


# Commands


def test_every_module_that_is_started_exists() -> None:
    started = modules_started()
    assert {"airflow", "winback.server.databases", "winback.sandbox", "celery"} <= started
    for module in started - {"celery"}:
        assert importlib.util.find_spec(module), module
    assert "celery" in pins("requirements-server.txt")


@pytest.mark.parametrize("name", ["api-server", "scheduler", "dag-processor"])
def test_airflow_understands_the_command(name: str) -> None:
    arguments = SERVICES[name]["command"][3:]
    assert cli_parser.get_parser().parse_args(arguments).func


def test_the_sandbox_understands_its_command() -> None:
    arguments = SERVICES["sandbox"]["command"][3:]
    given = sandbox._parser().parse_args(arguments)
    secrets = {f"/run/secrets/{name}" for name in SERVICES["sandbox"]["secrets"]}
    assert {str(given.private_key), str(given.api_key_file)} == secrets
    assert any(given.data.is_relative_to(target) for _, target, _ in mounts(SERVICES["sandbox"]))


def test_the_shell_scripts_in_it_are_well_formed() -> None:
    scripts = [
        service["command"][-1]
        for service in SERVICES.values()
        if service.get("command", [""])[0] in ("sh", "bash")
    ]
    assert len(scripts) == 2
    for script in scripts:
        subprocess.run(["bash", "-n", "-c", script.replace("$$", "$")], check=True)
    python = re.search(r"<<'PYTHON'\n(.*?)^PYTHON$", SERVICES["init"]["command"][-1], re.S | re.M)
    assert python
    compile(python[1], "init", "exec")
    told = SERVICES["init"]["environment"].keys() | image_environment().keys()
    assert set(re.findall(r"environ\[\"(\w+)\"\]", python[1])) <= told
    for module, name in re.findall(r"\b(databases|instance)\.(\w+)\(", python[1]):
        assert hasattr(importlib.import_module(f"winback.server.{module}"), name)
