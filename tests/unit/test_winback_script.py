"""The installer `winback`, against a Python that only writes down what it is asked to do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(60)
PROJECT = Path(__file__).resolve().parents[2]
TOOLS = (
    *("bash", "cat", "chmod", "cp", "cut", "dirname", "env", "flock", "grep", "head", "mkdir"),
    *("readlink", "rm", "sed", "sha256sum", "sleep", "tail"),
)
STUB = """#!/bin/bash
[[ ${1-} == -I || $* == *"config get"* ]] || echo "$*" >>"$STUB_LOG"
case "$*" in
    *version_info*) exit "${STUB_WRONG_VERSION:-0}" ;;
    *"import ensurepip"*) exit "${STUB_NO_ENSUREPIP:-0}" ;;
    "-m pip --python"*) exit "${STUB_NO_PIP:-0}" ;;
    "-m venv"*)
        mkdir -p "${!#}/bin" && cp "$0" "${!#}/bin/python"
        echo "#!${!#}/bin/python" >"${!#}/bin/pip"
        ;;
    "-m uv"*) sleep "${STUB_SECONDS:-0}"; echo "uv was here"; exit "${STUB_NO_UV:-0}" ;;
    "-m pip install"*"-r "*) echo "the index is down"; exit "${STUB_NO_INDEX:-0}" ;;
    "-m winback"*) printf '<%s>' "${@:3}"; echo " $PYTHONPATH" ;;
esac
"""


class Place:
    """A project in a path with a blank, and a PATH with the stub and the tools alone."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "my project"
        self.tools = folder / "bin"
        self.log = folder / "asked"
        self.project.mkdir()
        self.tools.mkdir()
        shutil.copy(PROJECT / "winback", self.project)
        (self.project / "requirements.txt").write_text("one==1\ntwo==2\n")
        (self.project / "requirements-dev.txt").write_text("three==3\n")
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, f"{tool} is missing here"
            (self.tools / tool).symlink_to(found)
        self.python = self.tools / "python3.11"
        self.python.write_text(STUB)
        self.python.chmod(0o755)

    def command(self, *arguments: str, script: Path | None = None, **stub: str) -> dict:
        environment = {"PATH": str(self.tools), "STUB_LOG": str(self.log)}
        environment |= {f"STUB_{name.upper()}": value for name, value in stub.items()}
        return {
            "args": [str(script or self.project / "winback"), *arguments],
            "env": environment,
            "cwd": "/",
            "text": True,
        }

    def run(self, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            **self.command(*arguments, **options), capture_output=True, check=False
        )

    def asked(self) -> list[str]:
        """What the stub was asked since the last call, without handing over to winback."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return [line for line in lines if not line.startswith("-m winback")]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_its_syntax_is_right_and_it_may_be_run():
    assert os.access(PROJECT / "winback", os.X_OK)
    subprocess.run(["bash", "-n", str(PROJECT / "winback")], check=True)


def test_installs_once_and_hands_over(place):
    first = place.run("sql", "select 1", "")
    assert first.returncode == 0
    assert first.stdout.startswith("<sql><select 1><>")
    assert first.stdout.split(" ", 2)[2].strip() == f"{place.project}/plugins:{place.project}"
    assert "installing 2 packages" in first.stderr
    asked = place.asked()
    assert any(line.startswith("-m venv") for line in asked)
    assert any("-m uv pip install" in line and "--require-hashes" in line for line in asked)
    assert "uv was here" in (place.project / ".venv" / "install.log").read_text()

    second = place.run("status")
    assert (second.returncode, second.stderr) == (0, "")
    assert place.asked() == []


def test_called_through_a_link(place, tmp_path):
    link = tmp_path / "elsewhere"
    link.symlink_to(place.project / "winback")
    assert place.run("status", script=link).stdout.startswith("<status>")


def test_tests_need_the_second_lock_too(place):
    place.run("status")
    place.asked()
    assert place.run("test", "-x").stdout.startswith("<test><-x>")
    installed = [line for line in place.asked() if line.startswith("-m uv")]
    assert len(installed) == 1
    assert "requirements-dev.txt" in installed[0]
    place.run("test")
    place.run("status")
    assert place.asked() == []


def test_a_changed_lock_installs_again(place):
    place.run("status")
    place.asked()
    (place.project / "requirements.txt").write_text("one==2\n")
    place.run("status")
    asked = place.asked()
    assert any(line.startswith("-m uv") for line in asked)
    assert not any(line.startswith("-m venv") for line in asked)


def test_pip_does_it_without_uv(place):
    run = place.run("status", no_uv="1")
    assert run.returncode == 0
    assert "installing with pip" in run.stderr
    assert any("-m pip install" in line and "-r " in line for line in place.asked())


def test_a_failed_installation_says_why_and_is_tried_again(place):
    run = place.run("status", no_uv="1", no_index="1")
    assert run.returncode == 1
    assert "check the network" in run.stderr
    assert "  | the index is down" in run.stderr
    assert run.stdout == ""
    assert place.run("status").stdout.startswith("<status>")


def test_a_moved_project_gets_a_new_venv(place, tmp_path):
    place.run("status")
    place.asked()
    moved = tmp_path / "moved here"
    place.project.rename(moved)
    assert place.run("status", script=moved / "winback").returncode == 0
    asked = place.asked()
    assert any(line.startswith("-m venv") and str(moved) in line for line in asked)
    assert any(line.startswith("-m uv") and str(moved) in line for line in asked)


def test_a_broken_python_gets_a_new_venv(place):
    place.run("status")
    place.asked()
    python = place.project / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3.11")
    assert place.run("status").returncode == 0
    assert any(line.startswith("-m venv") for line in place.asked())


def test_without_ensurepip_a_pip_outside_fills_in(place):
    assert place.run("status", no_ensurepip="1").returncode == 0
    asked = place.asked()
    assert any("-m venv --without-pip" in line for line in asked)
    assert any(line.startswith("-m pip --python") for line in asked)


def test_without_any_pip_it_names_the_package(place):
    run = place.run("status", no_ensurepip="1", no_pip="1")
    assert run.returncode == 1
    assert "apt install python3-venv" in run.stderr


def test_without_python_it_says_so(place):
    run = place.run("status", wrong_version="1")
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert "Python 3.11 is missing" in run.stderr


def test_two_at_once_install_once(place):
    command = place.command("status", seconds="2")
    both = [
        subprocess.Popen(**command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum(line.startswith("-m uv") for line in place.asked()) == 1
    assert sum("waiting for it" in text for text in said) == 1
