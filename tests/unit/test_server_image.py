"""The image of the server installation: what it is built from and what it holds."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

from tests.conftest import PROJECT
from tests.unit.test_server_installation import instructions, pins


def test_the_image_is_built_from_the_locks() -> None:
    assert instructions("FROM") == ["python:3.11-slim"]
    (install,) = [line for line in instructions("RUN") if "pip install" in line]
    assert "--require-hashes" in install
    for lock in ("requirements.txt", "requirements-server.txt"):
        assert f"-r /tmp/locks/{lock}" in install
        assert lock in " ".join(instructions("COPY"))
    user = instructions("USER")[-1]
    assert user not in ("root", "0")
    assert any("useradd --uid 10001 " in line and user in line for line in instructions("RUN"))


def test_the_image_holds_every_folder_that_the_code_reads() -> None:
    copied = {line.split()[0] for line in instructions("COPY")} - {"requirements.txt"}
    sources = "".join(p.read_text(encoding="utf-8") for p in (PROJECT / "plugins").rglob("*.py"))
    read = set(re.findall(r'PROJECT / "([\w.-]+)"', sources))
    read |= set(re.findall(r'import_module\(f?"(\w+)\.', sources)) - {"winback", "airflow"}
    assert {"dags", "plugins", "dbt_project", "config", "campaigns", "expectations"} <= read
    # made when it runs, and written by a developer's test
    assert read - copied == {".winback", "docs"}
    for name in copied:
        assert (PROJECT / name).exists()


def test_the_engine_is_given_what_the_image_copies_and_no_more() -> None:
    lines = (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]

    def is_sent(path: str) -> bool:
        sent = True
        for rule in rules:
            pattern = rule.removeprefix("!").removeprefix("**/")
            parts = Path(path).parts
            candidates = [*parts] if rule.startswith("**/") else []
            candidates += ["/".join(parts[: n + 1]) for n in range(len(parts))]
            if any(fnmatch.fnmatch(each, pattern) for each in candidates):
                sent = rule.startswith("!")
        return sent

    copied = [word for line in instructions("COPY") for word in line.split()[:-1]]
    for name in copied:
        assert is_sent(name), name
    for name in (".env", ".git", ".venv", ".winback", "data/orders.csv", "tests", "config/.env"):
        assert not is_sent(name), name
    assert not is_sent("plugins/winback/__pycache__/x.pyc")
    assert is_sent("plugins/winback/settings.py")


def test_the_two_locks_agree() -> None:
    base, server = pins("requirements.txt"), pins("requirements-server.txt")
    assert {"celery", "redis", "apache-airflow-providers-celery"} <= set(server)
    both = set(base) & set(server)
    assert len(both) > 20
    assert {name: server[name] for name in both} == {name: base[name] for name in both}
    major, minor = map(int, server["celery"].split(".")[:2])
    assert (major, minor) < (5, 7)
