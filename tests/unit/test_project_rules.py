"""The rules of the house that a machine can check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow._shared.module_loading import find_path_from_directory
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.conftest import PROJECT
from winback.extract.feeds import FEEDS, Feed
from winback.extract.loading.raw_tables import raw_columns, raw_key

PLUGINS = PROJECT / "plugins"
PACKAGE = PLUGINS / "winback"
MODELS = PROJECT / "dbt_project" / "models"
LONGEST = {"dags": 80, "plugins": 300, "expectations": 300}
MODEL_LINES = 100
# a migration is written once and then never touched, so nothing is gained by cutting it up
EXEMPT = PACKAGE / "warehouse" / "migrations" / "versions"
# What no checkout has from us: made by tools, or somebody's data.
FOREIGN = {"target", "data", ".env", "__pycache__"}


def project_files(*suffixes: str) -> list[Path]:
    """The files of the project; without git, which may be missing or refuse to answer."""
    found = []
    for top in sorted(PROJECT.iterdir()):
        if top.name in FOREIGN or (top.name.startswith(".") and top.is_dir() and top.name != ".ci"):
            continue
        paths = sorted(top.rglob("*")) if top.is_dir() else [top]
        found += [
            path
            for path in paths
            if path.is_file() and not FOREIGN & set(path.relative_to(PROJECT).parts)
        ]
    return [path for path in found if not suffixes or path.suffix in suffixes]


def name_of(path: Path) -> str:
    return str(path.relative_to(PROJECT))


PYTHON = project_files(".py")
CODE = [path for path in PYTHON if path.relative_to(PROJECT).parts[0] in LONGEST]
SQL_MODELS = sorted(MODELS.rglob("*.sql"))


def test_the_files_are_found() -> None:
    """Otherwise every rule below would hold for want of files."""
    names = {name_of(path) for path in project_files()}
    assert {"winback", "pyproject.toml", "dags/winback_ingest.py", "docs/feeds.md"} <= names
    assert len(CODE) > 50
    assert len(SQL_MODELS) > 10
    assert not any(name.startswith((".venv", ".git/", ".winback")) for name in names)


# Modules


def test_airflow_imports_the_plugin_and_nothing_else() -> None:
    found = find_path_from_directory(PLUGINS, ".airflowignore", "glob")
    assert {str(Path(path).resolve()) for path in found} == {str(PACKAGE / "web" / "plugin.py")}


def test_without_the_ignore_file_airflow_would_import_more(tmp_path: Path) -> None:
    (tmp_path / "other.py").touch()
    assert list(find_path_from_directory(tmp_path, ".airflowignore", "glob"))


def test_no_module_is_named_after_a_library() -> None:
    """Airflow imports plugins by their bare name, and would put ours in the library's place."""
    libraries = {*packages_distributions(), *sys.stdlib_module_names}
    assert {"sendgrid", "airflow", "http"} <= libraries
    ours = {path.stem for path in PACKAGE.rglob("*.py") if not path.stem.startswith("__")}
    assert ours & libraries == set()


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_a_module_is_short(path: Path) -> None:
    if path.is_relative_to(EXEMPT):
        return
    n_lines = len(path.read_text(encoding="utf-8").splitlines())
    assert n_lines <= LONGEST[path.relative_to(PROJECT).parts[0]]


@pytest.mark.parametrize("path", SQL_MODELS, ids=lambda path: path.stem)
def test_a_model_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MODEL_LINES


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        name_of(path)
        for path in PYTHON
        if (text := path.read_text(encoding="utf-8")).strip()
        and not ast.get_docstring(ast.parse(text))
    ]
    assert silent == []


def reads_environment(source: str) -> bool:
    """Whether a module gets at `os.environ` or `os.getenv`, under whatever name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv"):
            return True
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            names = {alias.name for alias in node.names}
            if names & {"environ", "environb", "getenv"}:
                return True
    return False


def test_only_the_settings_read_the_environment() -> None:
    """But for those who make the environment of another process or library."""
    readers = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if reads_environment(path.read_text(encoding="utf-8"))
    }
    assert "settings.py" in readers
    others = {name for name in readers if not name.startswith("server/")}
    # dbt reads its login from there and nowhere else
    assert others == {"settings.py", "dbt_build.py"}
    for path in [path for path in CODE if not path.is_relative_to(PLUGINS)]:
        assert not reads_environment(path.read_text(encoding="utf-8")), name_of(path)


@pytest.mark.parametrize(
    "source", ["import os\nos.environ", "from os import getenv", "import os as o\no.getenv('X')"]
)
def test_reading_the_environment_is_noticed(source: str) -> None:
    assert reads_environment(source)


# Tools


def wanted(path: Path) -> dict[str, str]:
    """The packages that a requirements file asks for, with their version specifiers."""
    lines = path.read_text(encoding="utf-8").splitlines()
    asked = [Requirement(line) for line in lines if line and not line.startswith(("#", "-c"))]
    return {canonicalize_name(each.name): str(each.specifier) for each in asked}


def locked(path: Path) -> dict[str, tuple[str, bool]]:
    """The pins of a lock: version, and whether the requirements file itself asked for it."""
    text = path.read_text(encoding="utf-8")
    pins = {}
    for block in re.split(r"^(?=[A-Za-z0-9._-]+(?:\[[^]]*\])?==)", text, flags=re.M)[1:]:
        pin = re.match(r"([\w.-]+)(?:\[[^]]*\])?==([^ ;\\\n]+)", block)
        assert pin
        assert "--hash=sha256:" in block, pin[1]
        name = canonicalize_name(pin[1])
        pins[name] = (pin[2], f"-r {path.with_suffix('.in').name}" in block)
    return pins


@pytest.mark.parametrize("path", sorted(PROJECT.glob("requirements*.in")), ids=name_of)
def test_a_lock_is_in_step_with_what_is_asked_for(path: Path) -> None:
    asked, pins = wanted(path), locked(path.with_suffix(".txt"))
    assert {name for name, (_, is_asked_for) in pins.items() if is_asked_for} == set(asked)
    for name, specifier in asked.items():
        assert pins[name][0] in SpecifierSet(specifier), name
    # the locks are installed together
    base = locked(PROJECT / "requirements.txt")
    for name in set(pins) & set(base):
        assert pins[name][0] == base[name][0], name


def test_a_commit_is_linted_as_ci_lints() -> None:
    text = (PROJECT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    (repository,) = yaml.safe_load(text)["repos"]
    assert repository["repo"] == "local"
    hooks = {re.sub(r" --\S+", "", hook["entry"]) for hook in repository["hooks"]}
    run = (PROJECT / ".ci" / "run").read_text(encoding="utf-8")
    linters = re.findall(r'^check ".*" (\.venv/bin/\S+(?: check| format| lint)?)', run, re.M)
    assert hooks == set(linters)
    dev = locked(PROJECT / "requirements-dev.txt")
    for linter in linters:
        assert linter.split()[0].removeprefix(".venv/bin/") in dev


def test_ci_is_a_script_that_runs_the_tests() -> None:
    script = PROJECT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "./winback test" in script.read_text(encoding="utf-8")
    subprocess.run(["bash", "-n", str(script)], check=True)


# dbt


@pytest.mark.parametrize("path", SQL_MODELS, ids=lambda path: path.stem)
def test_a_model_is_described_beside_it(path: Path) -> None:
    content = yaml.safe_load(path.with_suffix(".yml").read_text(encoding="utf-8"))
    (model,) = content["models"]
    assert model["name"] == path.stem
    assert len(model["description"]) > 20
    assert model["columns"]
    if path.is_relative_to(MODELS / "marts"):
        assert model.get("config", {}).get("contract", {}).get("enforced", True)
        for column in model["columns"]:
            assert column["data_type"], column["name"]
            assert column["description"], column["name"]


def test_no_description_has_lost_its_model() -> None:
    described = {path.stem for path in MODELS.rglob("*.yml") if not path.stem.startswith("_")}
    assert described == {path.stem for path in SQL_MODELS}


def test_the_marts_keep_a_contract() -> None:
    text = (MODELS.parent / "dbt_project.yml").read_text(encoding="utf-8")
    marts = yaml.safe_load(text)["models"]["winback"]["marts"]
    assert marts["+contract"] == {"enforced": True}
    settings = "".join(path.read_text(encoding="utf-8") for path in SQL_MODELS)
    assert not re.search(r"\bcontract\s*=", settings), "one model says otherwise"


def test_only_staging_touches_the_feeds() -> None:
    for path in SQL_MODELS:
        if "source('raw'" in path.read_text(encoding="utf-8").replace('"', "'"):
            assert path.is_relative_to(MODELS / "staging"), path.stem


def test_dbts_sources_are_the_feeds() -> None:
    text = (MODELS / "staging" / "_sources.yml").read_text(encoding="utf-8")
    sources = {source["name"]: source for source in yaml.safe_load(text)["sources"]}
    tables = {table["name"]: table for table in sources["raw"]["tables"]}
    assert list(tables) == list(FEEDS)
    for feed in FEEDS.values():
        described = [column["name"] for column in tables[feed.name]["columns"]]
        assert described == [name for name, _ in raw_columns(feed)], feed.name
        assert tables[feed.name]["description"] == feed.doc


# what a staging model calls a column that would be misunderstood among its own
RENAMED = {("consents", "source"): "given_at_source"}


@pytest.mark.parametrize("feed", FEEDS.values(), ids=list(FEEDS))
def test_a_staging_model_tests_what_its_feed_declares(feed: Feed) -> None:
    path = MODELS / "staging" / f"stg_{feed.name}.yml"
    [model] = yaml.safe_load(path.read_text(encoding="utf-8"))["models"]
    tested = {column["name"]: column.get("data_tests", []) for column in model["columns"]}
    key = raw_key(feed)
    for name, column in raw_columns(feed):
        tests = tested[RENAMED.get((feed.name, name), name)]
        assert ("not_null" in tests) == column.is_required, name
        assert ("unique" in tests) == (key == [name]), name
        values = [t["accepted_values"]["arguments"]["values"] for t in tests if isinstance(t, dict)]
        assert values == ([list(column.allowed)] if column.allowed else []), name
    combined = [
        t["unique_combination"]["arguments"]["columns"] for t in model.get("data_tests", [])
    ]
    assert combined == ([key] if len(key) > 1 else [])


# Gates


def gates() -> list[str]:
    return sorted(path.stem for path in (PROJECT / "expectations").glob("*.py"))


def expectations(gate: str) -> Iterator[Any]:
    for subject in import_module(f"expectations.{gate}").subjects(1, date(2025, 3, 1), ""):
        assert subject.expectations, subject.name
        yield from subject.expectations


@pytest.mark.parametrize("gate", gates())
def test_every_expectation_says_why_and_whence(gate: str) -> None:
    checked = list(expectations(gate))
    assert checked
    for expectation in checked:
        assert set(expectation.meta) == {"why", "source"}
        assert len(expectation.meta["why"]) > 20
        source = expectation.meta["source"].split(",")[0]
        assert source
        if "/" in source:
            assert (PROJECT / source).exists(), source


# Texts


# put together, so that this file does not break its own rule
MACHINE = re.compile(
    "|".join(("/" + "root/", "/" + "work/", "/" + r"home/[a-z]", r"\b[a-z]:" + r"\\users\\")), re.I
)
REGISTRY = re.compile(
    "|".join(
        (
            r"pypi\." + r"\w",
            "python" + "hosted",
            r"debian\." + "org",
            "npm" + r"js\.",
            "opt/" + "pypi",
        )
    ),
    re.I,
)


def texts() -> Iterator[tuple[Path, str]]:
    for path in project_files():
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = [
        f"{name_of(path)}: {match[0]}"
        for path, text in texts()
        for pattern in (MACHINE, REGISTRY)
        for match in pattern.finditer(text)
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    ["/" + "root/x", "cd /" + "work/main", "/" + "home/ann/x", "https://pypi" + ".org/simple"],
)
def test_a_machine_or_a_registry_is_noticed(text: str) -> None:
    assert MACHINE.search(text) or REGISTRY.search(text)


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings of a document."""
    headings = re.findall(r"^#+ +(.+?) *$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def broken_links(path: Path) -> list[str]:
    text = re.sub(r"```.*?```|`[^`]*`", "", path.read_text(encoding="utf-8"), flags=re.S)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (path.parent / target) if target else path
        is_there = file.exists() and (
            not anchor or anchor in anchors(file.read_text(encoding="utf-8"))
        )
        if not is_there:
            broken.append(link)
    return broken


@pytest.mark.parametrize("path", project_files(".md"), ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    assert broken_links(path) == []


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Two words\n[a](#two-words) [b](page.md) [c](gone.md) [d](#gone) <https://x>")
    assert broken_links(page) == ["gone.md", "#gone"]
