"""Settings: who wins, what is refused, when a business day begins."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import yaml

from winback.errors import SettingsError
from winback.settings import PROJECT, Settings, connection_from_environment, load


def write(home: Path, text: str) -> dict[str, str]:
    (home / "settings.yaml").write_text(text)
    return {"WINBACK_HOME": str(home)}


def test_first_found_wins(tmp_path: Path) -> None:
    environ = write(tmp_path, "inactive_days: 200\ndataset: shop\n")
    configured = yaml.safe_load((PROJECT / "config" / "winback.yaml").read_text())
    assert load(environ={}).sender_name == configured["sender_name"] != ""
    assert load(environ=environ).dataset == "shop"
    environ["WINBACK_DATASET"] = "other"
    assert load(environ=environ).dataset == "other"
    chosen = load({"dataset": "flag", "inactive_days": None}, environ)
    assert (chosen.dataset, chosen.inactive_days) == ("flag", 200)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inactive_dais: 1\n", "sets 'inactive_dais', which is no setting"),
        ("inactive_days: many\n", "sets inactive_days to 'many', which is no int"),
        ("replay: perhaps\n", "which is no bool"),
        ("- replay\n", "must be a list of `name: value` lines"),
        ("replay: [\n", "is not valid YAML"),
    ],
)
def test_a_wrong_settings_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=r"settings\.yaml") as error:
        load(environ=write(tmp_path, text))
    assert message in str(error.value)


def test_an_unknown_variable_is_an_error() -> None:
    with pytest.raises(SettingsError, match="environment sets 'inactive_dais'"):
        load(environ={"WINBACK_INACTIVE_DAIS": "1"})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mail_transport": "smtp"}, "write `sandbox` or `sendgrid`"),
        ({"mail_transport": "sendgrid", "replay": True}, "would mail real people"),
        ({"send_batch_size": 1001}, "between 1 and 1000"),
        ({"send_batch_size": 0}, "between 1 and 1000"),
        ({"stop_at_bounce_pct": 0}, "stop_at_bounce_pct must lie above 0 and not above 100"),
        ({"stop_at_spam_report_pct": 101}, "stop_at_spam_report_pct must lie above 0"),
        ({"send_timeout_seconds": 0}, "send_timeout_seconds must lie between 1 and 1000000000"),
        ({"send_lease_seconds": 0}, "send_lease_seconds must lie between 1 and 1000000000"),
        ({"stop_after_messages": 0}, "stop_after_messages must lie between 1 and 1000000000"),
        ({"ramp_up_first_portion": 0}, "ramp_up_first_portion must lie between 1"),
        ({"warning_language": "fr"}, "warning_language is 'fr': write `en` or `de`"),
        ({"dormant_after_days": 0}, "dormant_after_days must lie between 1"),
    ],
)
def test_dangerous_settings_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings(**values)  # type: ignore[arg-type]


def test_relative_paths_belong_to_the_project(tmp_path: Path) -> None:
    assert load({"campaigns": "campaigns"}, {}).campaigns == PROJECT / "campaigns"
    assert load({"campaigns": str(tmp_path)}, {}).campaigns == tmp_path


@pytest.mark.parametrize(
    ("zone", "as_of", "expected"),
    [
        ("Europe/Berlin", date(2024, 7, 1), datetime(2024, 6, 30, 22, tzinfo=UTC)),
        ("Europe/Berlin", date(2024, 1, 1), datetime(2023, 12, 31, 23, tzinfo=UTC)),
        ("UTC", date(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_business_day_begins_at_its_own_midnight(
    zone: str, as_of: date, expected: datetime
) -> None:
    assert Settings(business_timezone=zone).as_of_at(as_of) == expected


def test_a_schedule_can_be_switched_off() -> None:
    assert Settings(schedule_kpi="none").cron("kpi") is None
    assert Settings(schedule_kpi="1 2 * * *").cron("kpi") == "1 2 * * *"


def test_connections_come_from_airflows_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", "postgresql://x")
    assert connection_from_environment("shop") == "postgresql://x"
    assert connection_from_environment("other") is None


def test_an_empty_folder_is_not_the_project(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="sets home to nothing: write a folder, or unset it"):
        load(environ={"WINBACK_HOME": ""})


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, None),
        ({"sender_name": "Example Shop"}, ["example shop"]),
        ({"sender_name": "Rope; Soap"}, ["rope; soap"]),
        ({"sender_name": "x", "advertisers": " Example Ltd; EXAMPLE Shop ;"},
         ["example ltd", "example shop"]),
    ],
)  # fmt: skip
def test_whom_a_consent_may_name(given: dict[str, str], names: list[str] | None) -> None:
    assert Settings(**given).advertiser_names() == names
