"""The command line: help, exit codes, one-line errors, and what it makes of answers."""

import subprocess
import sys
import threading
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from winback import __main__ as command
from winback import cli
from winback.developer_cli import pytest_arguments
from winback.errors import ServerError
from winback.server import instance as instances
from winback.server import log_files, readiness, triggered_run
from winback.server import warehouse_query as query
from winback.server.warehouse_query import Result

pytestmark = pytest.mark.timeout(60)
PROJECT = Path(__file__).resolve().parents[2]
COMMANDS = ("demo", "test", "bench", "up", "down", "status", "run", "sql", "explain", "logs")
GROUPS = ("sources", "gate", "outreach", "customers")


@pytest.fixture
def call(monkeypatch, tmp_path, capsys):
    """Calls the command line in this process; gives exit code, standard output and error."""
    monkeypatch.setenv("WINBACK_HOME", str(tmp_path / "home"))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["winback", *arguments])
        code = command.main()
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def fail_with(error):
    def fail(*_arguments, **_options):
        raise error

    return fail


def test_help_names_every_command_under_its_heading(call):
    code, out, _ = call("--help")
    assert code == 0
    for text in (*COMMANDS, *GROUPS, "Start here", "Daily work", "Look inside"):
        assert text in out


def test_the_two_first_commands_come_first(call):
    _, out, _ = call("--help")
    assert out.index("demo") < out.index("test") < out.index("Daily work")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(call, name):
    code, out, _ = call(name, "--help")
    assert code == 0
    assert f"./winback {name}" in out


@pytest.mark.parametrize(
    "name",
    ["preview", "test", "pause", "resume", "cancel", "status", "unknown", "resend", "abandon"],
)
def test_outreach_has_its_commands(call, name):
    code, out, _ = call("outreach", name, "--help")
    assert code == 0
    assert f"./winback outreach {name}" in out


@pytest.mark.parametrize("arguments", [["pause", "x"], ["resend", "7", "--reason", "x"]])
def test_a_decision_needs_its_reason_and_a_real_id(call, arguments):
    code, _, err = call("outreach", *arguments)
    assert code == 2
    assert "--reason" in err or "valid UUID" in err


@pytest.mark.parametrize(
    ("given", "passed_on"),
    [
        ([], ["-n", "logical", "--maxprocesses=4", "--dist=loadfile"]),
        (["-x"], ["-n", "logical", "--maxprocesses=4", "--dist=loadfile", "-x"]),
        (["tests/unit", "-k", "gate"], ["tests/unit", "-k", "gate"]),
        (["faults", "-k", "load"], ["tests/faults", "--long-faults", "--verbose", "-k", "load"]),
        (["tests/faults"], ["tests/faults"]),
    ],
)
def test_what_pytest_is_told(given, passed_on):
    assert pytest_arguments(given) == passed_on


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['winback', '--help']\n"
        "from winback.__main__ import main\n"
        "assert main() == 0\n"
        "heavy = {'airflow', 'pandas', 'psycopg', 'httpx', 'sqlalchemy', 'psutil'}\n"
        "sys.exit(heavy & set(sys.modules) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


def test_an_unknown_command_is_named(call):
    code, _, err = call("dmeo")
    assert code == 2
    assert "dmeo" in err


def test_an_error_of_ours_is_one_line_and_leaves_a_traceback(call, monkeypatch, tmp_path):
    monkeypatch.setattr(instances, "running", fail_with(ServerError("the disk\n is full: free it")))
    code, out, err = call("status")
    assert (code, out, err) == (1, "", "the disk is full: free it\n")
    log = (tmp_path / "home" / "logs" / "winback.log").read_text()
    assert "status" in log
    assert "Traceback" in log


def test_a_defect_is_one_line_that_names_the_log(call, monkeypatch, tmp_path):
    monkeypatch.setattr(instances, "running", fail_with(ZeroDivisionError("oh")))
    code, _, err = call("status")
    log = tmp_path / "home" / "logs" / "winback.log"
    assert code == 2
    assert err.count("\n") == 1
    assert str(log) in err
    assert "ZeroDivisionError: oh" in log.read_text()


def test_ctrl_c(call, monkeypatch):
    monkeypatch.setattr(instances, "running", fail_with(KeyboardInterrupt()))
    assert call("status")[0] == 130


def test_a_wrong_setting_is_an_error_of_ours(call, monkeypatch):
    monkeypatch.setenv("WINBACK_NONSENSE", "1")
    monkeypatch.setattr(command, "_log_file", lambda: Path("/dev/null"))
    code, _, err = call("status")
    assert code == 1
    assert err.count("\n") == 1
    assert "nonsense" in err


def test_the_query_never_reaches_the_log(call, monkeypatch, tmp_path):
    monkeypatch.setattr(query, "ask", fail_with(ServerError("no")))
    assert call("sql", "select 'jane@example.com'")[0] == 1
    assert "jane" not in (tmp_path / "home" / "logs" / "winback.log").read_text()


def test_nothing_runs(call):
    assert call("status")[0] == 3
    code, _, err = call("run", "winback_ingest")
    assert code == 1
    assert "./winback up" in err
    code, _, err = call("sql", "select 1")
    assert code == 1
    assert "./winback demo" in err
    code, out, _ = call("down")
    assert (code, out) == (0, "nothing runs here\n")


def test_a_date_is_read_strictly(call):
    code, _, err = call("run", "winback_ingest", "--as-of", "30.06.1998")
    assert code == 2
    assert "30.06.1998" in err


def test_csv_goes_out_unfolded(call, monkeypatch):
    result = Result(["a"], [["x" * 300], [None]], "SELECT 2")
    monkeypatch.setattr(query, "ask", lambda _, **__: result)
    assert call("sql", "select", "--csv")[1] == "a\n" + "x" * 300 + '\n""\n'


def test_a_statement_without_rows_shows_the_servers_word(call, monkeypatch):
    monkeypatch.setattr(query, "ask", lambda _, **__: Result([], [], "SET"))
    assert call("sql", "set x = 1")[1] == "SET\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (Decimal("1E+3"), "1000"),
        (date(1998, 6, 30), "1998-06-30"),
        (datetime(1998, 6, 30, 12, tzinfo=UTC), "1998-06-30 12:00:00+00:00"),
        (b"\x01\xff", "01ff"),
        ("[red]ä[/red]", "[red]ä[/red]"),
    ],
)
def test_values_as_people_read_them(value, text):
    assert query.as_text(value) == text


def test_a_table_shows_nulls_and_no_markup():
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(query.as_table(Result(["n", "state"], [[1, "[red]lapsed"], [None, "x"]], "")))
    shown = console.export_text()
    assert "[red]lapsed" in shown
    assert "null" in shown


def test_csv_quotes_what_needs_it():
    assert query.as_csv(Result(["a", "b"], [[None, 'x,"y"']], "")) == 'a,b\n,"x,""y"""\n'


def test_the_error_of_a_task_is_its_own_line():
    log = [
        {"event": "hello"},
        {"event": "Task failed", "error_detail": [
            {"exc_type": "SourceError", "exc_value": "the file is gone: bring it back"},
            {"exc_type": "OSError", "exc_value": "[Errno 2]"},
        ]},
        {"event": "bye"},
    ]  # fmt: skip
    assert triggered_run.error_of(log) == "the file is gone: bring it back"
    log[1]["error_detail"][0]["exc_type"] = "KeyError"
    assert triggered_run.error_of(log) == "KeyError: the file is gone: bring it back"
    assert triggered_run.error_of(log[:1]) is None


class Api:
    """What Airflow answers."""

    def __init__(
        self, dags=(), import_errors=(), plugin_errors=(), heartbeat="2026-01-01T00:01:00Z"
    ):
        self._dags, self._errors = list(dags), list(import_errors)
        self._plugin_errors = list(plugin_errors)
        part = {
            "status": "healthy",
            "latest_scheduler_heartbeat": heartbeat,
            "latest_dag_processor_heartbeat": heartbeat,
        }
        self._health = {"scheduler": part, "dag_processor": part}

    def health(self):
        return self._health

    def dags(self):
        return self._dags

    def import_errors(self):
        return self._errors

    def plugin_import_errors(self):
        return self._plugin_errors


STARTED = datetime(2026, 1, 1, tzinfo=UTC)
LATER, EARLIER = "2026-01-01T00:01:00Z", "2025-12-31T00:00:00Z"


@pytest.fixture
def dags_folder(tmp_path):
    (tmp_path / "winback_x.py").write_text("from airflow.sdk import DAG")
    (tmp_path / "no_such_thing.py").write_text("x = 1")
    return tmp_path


def wait(api, folder, check=lambda: None):
    readiness.wait_until_ready(api, folder, STARTED, check, timeout=0.1)


def test_ready_when_every_dag_file_was_read(dags_folder):
    wait(Api([{"relative_fileloc": "winback_x.py", "last_parsed_time": LATER}]), dags_folder)


def test_a_dag_of_an_earlier_start_does_not_count(dags_folder):
    api = Api([{"relative_fileloc": "winback_x.py", "last_parsed_time": EARLIER}])
    with pytest.raises(ServerError, match=r"a DAG in dags/winback_x\.py"):
        wait(api, dags_folder)


def test_a_heartbeat_of_an_earlier_start_does_not_count(tmp_path):
    with pytest.raises(ServerError, match="waits for scheduler, dag_processor"):
        wait(Api(heartbeat=EARLIER), tmp_path)


def test_a_dag_file_that_can_not_be_imported_is_named(dags_folder):
    error = {"filename": "winback_x.py", "timestamp": LATER, "stack_trace": "…\nNameError: oh\n"}
    with pytest.raises(ServerError, match=r"dags/winback_x\.py can not be imported: NameError: oh"):
        wait(Api(import_errors=[error]), dags_folder)


def test_a_plugin_that_can_not_be_imported_is_named(tmp_path):
    error = {"source": "winback/web/plugin.py", "error": "ImportError: oh"}
    with pytest.raises(ServerError, match=r"web/plugin\.py can not be imported: ImportError: oh"):
        wait(Api(plugin_errors=[error]), tmp_path)


def test_a_process_that_dies_ends_the_waiting(dags_folder):
    with pytest.raises(ServerError, match="scheduler ended"):
        wait(Api(), dags_folder, fail_with(ServerError("scheduler ended")))


def test_an_unknown_log_names_the_known_ones():
    with pytest.raises(ServerError, match="scheduler, postgres"):
        log_files.choose({"scheduler": Path("a"), "postgres": Path("b")}, "skeduler")


def test_following_a_log_gives_whole_lines_from_now_on(tmp_path):
    log = tmp_path / "a.log"
    log.write_text("old\n")
    lines = log_files.follow({"a": log})

    def write(text):
        with log.open("a") as file:
            file.write(text)

    # the generator looks at the file when the first line is asked for
    threading.Timer(0.2, write, ["new\nhalf"]).start()
    assert next(lines) == ("a", "new")
    write(" whole\n")
    assert next(lines) == ("a", "half whole")


def test_the_commands_have_one_line_each():
    for each in cli.app.registered_commands:
        assert each.short_help
        assert "\n" not in each.short_help
