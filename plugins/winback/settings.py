"""Every setting of winback, in one frozen object; the only place that reads the environment.

First found wins: flag, `WINBACK_<NAME>`, `$WINBACK_HOME/settings.yaml`, `config/winback.yaml`,
the default below. An unknown name is an error. Secrets (keys, passwords) are settings as well,
but belong in the environment or in Airflow connections, never in `config/`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, time
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from winback import strict_yaml
from winback.errors import SettingsError
from winback.quiet_hours import QuietHours, is_every_run_quiet, read_quiet_hours

PROJECT = Path(__file__).resolve().parents[2]
PREFIX = "WINBACK_"
# of whatever is counted: more fits into no column
MOST = 1_000_000_000


def _setting(default: Any, doc: str) -> Any:
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True)
class Settings:
    """All settings, typed. Durations and shares carry their unit in the name."""

    home: Path = _setting(PROJECT / ".winback", "data folder of this installation")
    business_timezone: str = _setting("Europe/Berlin", "where a business day begins and ends")
    dataset: str = _setting("", "which dataset of the sources file feeds the warehouse")
    sources: Path = _setting(PROJECT / "config" / "sources.yaml", "feeds and their mapping")
    data: Path = _setting(
        PROJECT / ".winback" / "data", "`{data}` in the paths of the sources file"
    )
    campaigns: Path = _setting(PROJECT / "campaigns", "folder of campaign files")
    customer_rules: Path = _setting(
        PROJECT / "config" / "customer_rules.yaml", "who must be won back, and who is not wanted"
    )

    country_rules: Path = _setting(
        PROJECT / "config" / "country_rules.yaml", "what allows a message, by country and channel"
    )
    recipients: Path = _setting(
        PROJECT / "config" / "recipients.yaml", "who gets personal data, by which contract"
    )

    key: str = _setting("", "secret of every keyed hash: customers, addresses, unsubscribe links")
    assignment_salt: str = _setting("winback", "secret of the draw between treated and holdout")

    inactive_days: int = _setting(180, "one-time buyers lapse after this; the six-month list")
    most_returned_pct: float = _setting(10.0, "so many of the lapsed may come back by themselves")
    lapse_multiplier: float = _setting(
        1.75, "lapsed beyond this many late gaps, until enough is known to choose it by the above"
    )
    complaint_days: int = _setting(365, "a complaint nobody settled makes angry for so long")
    bad_review_days: int = _setting(180, "a review of 1 or 2 makes angry for so long")
    failed_delivery_days: int = _setting(60, "a delivery that never came makes angry for so long")
    season_days: int = _setting(30, "the same weeks of a year: so many days before and after")
    season_share_pct: int = _setting(80, "so many of the purchases must lie in those weeks")
    warning_language: str = _setting("en", "in which account owners are warned: `en` or `de`")
    farewell_days: int = _setting(60, "a later purchase refutes that somebody moved or is away")
    recovery_window_days: int = _setting(60, "a purchase this long after dispatch is a recovery")
    contact_pause_days: int = _setting(14, "after one campaign wrote, others keep quiet")
    advertisers: str = _setting("", "names that consents were given to, `;` between; empty: sender")
    consent_unused_months: int = _setting(24, "consent not used for this long counts as lapsed")

    consent_proof_years: int = _setting(
        5, "proof of an erased person's consent is kept for so long after its last use"
    )
    opt_in_valid_days: int = _setting(14, "the link that confirms a consent works for so long")
    opt_in_pause_days: int = _setting(90, "nobody is asked for the same consent again sooner")

    value_months: int = _setting(12, "how far ahead the value of a customer is counted")
    discount_pct: float = _setting(10.0, "by which a margin a year from now is worth less")
    usual_margin_pct: float = _setting(40.0, "margin of the amount paid, where no cost is known")
    backtest_dates: int = _setting(4, "dates of the past, a month apart, that judge a model")

    merge_plus_addresses: bool = _setting(
        False, "ada+shop@… and ada@… are one person; not every provider delivers them alike"
    )

    max_quarantined_pct: float = _setting(2.0, "more bad rows than this stop the run")
    max_candidates_pct: float = _setting(95.0, "a larger share of customers is a data fault")
    max_candidates_change_pct: float = _setting(50.0, "candidates, against the snapshot before")
    max_audience_rise_pct: float = _setting(50.0, "a campaign's audience, against its run before")
    max_state_change_points: float = _setting(10.0, "a state's share, against the one before")
    max_repeated_keys_pct: float = _setting(1.0, "rows of a load that repeat another one's key")
    max_unmatched_pct: float = _setting(2.0, "rows that point to nothing, as orders of nobody")
    max_null_rise_points: float = _setting(20.0, "a column's empty share, against the load before")
    min_received_pct: float = _setting(50.0, "a whole load's rows, against the load before")
    max_future_pct: float = _setting(0.1, "facts that lie in the future")
    min_usual_orders_pct: float = _setting(20.0, "a day's orders, of what that weekday usually has")
    max_usual_orders_pct: float = _setting(500.0, "a day's orders, of what that weekday has")
    orders_delay_days: int = _setting(0, "orders arrive this many days late; younger days wait")
    order_total_tolerance_pct: float = _setting(20.0, "lines may differ by this from their order")
    max_differing_totals_pct: float = _setting(5.0, "orders that differ from their lines by more")
    kept_gate_pages: int = _setting(200, "the newest pages of the gates in <home>/gates are kept")

    sender_name: str = _setting("", "the company that writes, as the law wants it named")
    sender_email: str = _setting("", "address that messages come from; answers go there")
    sender_postal_address: str = _setting("", "postal address in every message's footer")

    replay: bool = _setting(False, "pretend that as_of is today; demands the sandbox")
    mail_transport: str = _setting("sandbox", "`sandbox` or `sendgrid`")
    sendgrid_url: str = _setting("https://api.sendgrid.com", "host of the mail API (or the EU one)")
    sendgrid_api_key: str = _setting("", "the mail API's key")
    sendgrid_webhook_key: str = _setting(
        "", "public key of the signed event webhook, base64 DER; `old,new` while it changes"
    )
    send_validity_hours: int = _setting(24, "the real transport refuses an older as_of")
    send_batch_size: int = _setting(1000, "recipients per request: what one crash makes unknown")
    send_connections: int = _setting(2, "requests under way at once, each may become unknown")
    send_lease_seconds: int = _setting(120, "a claim older than this is taken over")
    send_timeout_seconds: int = _setting(30, "no answer from the mail API for this long: unknown")
    stop_at_bounce_pct: float = _setting(5.0, "a campaign stops when so many met a dead address")
    stop_at_spam_report_pct: float = _setting(0.1, "a campaign stops when so many report it")
    stop_after_messages: int = _setting(200, "fewer accepted ones count as so many")
    dormant_after_days: int = _setting(365, "an address nothing of ours reached for so long")
    ramp_up_first_portion: int = _setting(
        500, "dormant addresses written to on the first day; then twice as many each day"
    )
    public_url: str = _setting("http://127.0.0.1:8080", "where unsubscribe links point")
    sendgrid_unsubscribe_group: int = _setting(0, "the provider's unsubscribe group; 0: none")
    quiet_hours: str = _setting("20:00-08:00", "mail waits at the provider until these end")
    webhook_max_age_seconds: int = _setting(600, "an older signed event batch is refused")

    bi_password: str = _setting("", "password of the role `winback_bi` that BI tools log in with")

    schedule_ingest: str = _setting("0 4 * * *", "cron of winback_ingest, or `none`")
    schedule_training: str = _setting("0 2 * * 0", "cron of winback_training, or `none`")
    # three minutes before quiet hours reach the last ten, in which nothing can be taken back
    schedule_events: str = _setting("7-57/10 * * * *", "cron of winback_events, or `none`")
    schedule_outreach: str = _setting("10 8 * * *", "cron of what waited for it, or `none`")
    schedule_kpi: str = _setting("0 6 * * *", "cron of winback_kpi, or `none`")

    def __post_init__(self) -> None:
        if self.mail_transport not in ("sandbox", "sendgrid"):
            raise SettingsError(
                f"mail_transport is {self.mail_transport!r}: write `sandbox` or `sendgrid`"
            )
        if self.replay and self.mail_transport != "sandbox":
            raise SettingsError(
                "replay pretends that an old date is today and would mail real people: "
                "set mail_transport to `sandbox`, or replay to false"
            )
        if self.warning_language not in ("en", "de"):
            raise SettingsError(
                f"warning_language is {self.warning_language!r}: write `en` or `de`"
            )
        if not 1 <= self.send_batch_size <= 1000:
            raise SettingsError("send_batch_size must lie between 1 and 1000")
        if not 1 <= self.send_connections <= 32:
            raise SettingsError("send_connections must lie between 1 and 32")
        if self.sendgrid_unsubscribe_group < 0:
            raise SettingsError("sendgrid_unsubscribe_group is a number, or 0 for none")
        read_quiet_hours(self.quiet_hours, ZoneInfo("UTC"))
        for name in ("stop_at_bounce_pct", "stop_at_spam_report_pct"):
            if not 0 < getattr(self, name) <= 100:
                raise SettingsError(f"{name} must lie above 0 and not above 100")
        for name in (
            "send_timeout_seconds", "send_lease_seconds",
            "stop_after_messages", "dormant_after_days", "ramp_up_first_portion",
        ):  # fmt: skip
            if not 1 <= getattr(self, name) <= MOST:
                raise SettingsError(f"{name} must lie between 1 and {MOST}")

    def advertiser_names(self) -> list[str] | None:
        """Whom a consent may name to be ours, in small letters; None while nobody is named."""
        named = self.advertisers.split(";") if self.advertisers else [self.sender_name]
        names = [name.strip().lower() for name in named]
        return [name for name in names if name] or None

    def as_of_at(self, as_of: date) -> datetime:
        """The instant before which facts are known on `as_of`: its 00:00 in business time."""
        return datetime.combine(as_of, time(), ZoneInfo(self.business_timezone)).astimezone(UTC)

    def quiet(self) -> QuietHours | None:
        """When nobody is written to; a replay has no such hours, since its clock is not ours."""
        hours = read_quiet_hours(self.quiet_hours, ZoneInfo(self.business_timezone))
        return None if self.replay else hours

    def quiet_warning(self) -> str | None:
        """What to mend when no run of winback_outreach may send at once; None when one may."""
        quiet = self.quiet()
        crons = [cron for name in ("outreach", "ingest") if (cron := self.cron(name))]
        if quiet is None or not is_every_run_quiet(quiet, crons, datetime.now(UTC)):
            return None
        return (
            f"quiet_hours ({self.quiet_hours}) last through every run of winback_outreach"
            f" (schedule_outreach {self.schedule_outreach}, schedule_ingest"
            f" {self.schedule_ingest}): nothing is sent at once, and no more than ten requests a"
            " day; set schedule_outreach to a time after them"
        )

    def today(self) -> date:
        """The current business date."""
        return datetime.now(ZoneInfo(self.business_timezone)).date()

    def cron(self, dag: str) -> str | None:
        """The cron expression of a DAG (`ingest`, `outreach`, `kpi` …); None: off."""
        value: str = getattr(self, f"schedule_{dag}")
        return None if value == "none" else value


def load(
    flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """Reads the settings afresh.

    Args:
        flags: Values from the command line, by setting name; None values are ignored.
        environ: The environment; the process's own when left out.

    Raises:
        SettingsError: A name is unknown or a value has the wrong type.
    """
    environ = os.environ if environ is None else environ
    from_environment = {
        name[len(PREFIX) :].lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX)
    }
    from_flags = {name: value for name, value in (flags or {}).items() if value is not None}
    home = Path(from_flags.get("home") or from_environment.get("home") or PROJECT / ".winback")
    layers = [
        ("config/winback.yaml", _read_yaml(PROJECT / "config" / "winback.yaml")),
        (str(home / "settings.yaml"), _read_yaml(home / "settings.yaml")),
        ("the environment", from_environment),
        ("a flag", from_flags),
    ]
    known = {f.name: f for f in fields(Settings)}
    values: dict[str, Any] = {}
    for origin, layer in layers:
        for name, value in layer.items():
            if name not in known:
                raise SettingsError(
                    f"{origin} sets {name!r}, which is no setting; the settings are: "
                    f"{', '.join(known)}"
                )
            values[name] = _typed(name, value, str(known[name].type), origin)
    return Settings(**values)


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return load()


def connection_from_environment(conn_id: str) -> str | None:
    """The URL of an Airflow connection that stands in the environment (`AIRFLOW_CONN_<ID>`)."""
    return os.environ.get(f"AIRFLOW_CONN_{conn_id.upper()}")


def _read_yaml(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    try:
        content = strict_yaml.load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not valid YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"{path} must be a list of `name: value` lines")
    return content


def _typed(name: str, value: Any, kind: str, origin: str) -> Any:
    text = str(value).strip()
    try:
        if kind == "bool":
            return {"true": True, "false": False}[text.lower()]
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
    except (KeyError, ValueError) as error:
        raise SettingsError(f"{origin} sets {name} to {value!r}, which is no {kind}") from error
    if kind == "Path":
        if not text:
            raise SettingsError(f"{origin} sets {name} to nothing: write a folder, or unset it")
        path = Path(text).expanduser()
        return path if path.is_absolute() else PROJECT / path
    return text
