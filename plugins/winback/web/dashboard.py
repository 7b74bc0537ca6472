"""The Win-back tab: where things stand, whom we wrote to, and what it brought.

Reads the marts as the role of the BI tools, so it can show nothing that they could not; and beside
them the ids of the messages that a person may have to decide about.
"""

from __future__ import annotations

import json
from datetime import date
from functools import cache
from typing import Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response
from psycopg.rows import dict_row

from winback.outreach import ramp_up
from winback.outreach.unknown_messages import (
    UnknownMessage,
    read_unknown,
    read_unknown_requests,
)
from winback.settings import settings
from winback.warehouse import connection as warehouse
from winback.web.pages import render

router = APIRouter()
# a row per day would soon fill the page; the older ones are in the row over all cohorts
NEWEST_COHORTS = 12
# the longest open ones; the command lists them all
N_UNKNOWN_SHOWN = 10
# everybody who has lapsed now, with what became of this lapse; a draw counts before an exclusion
_LAPSED = """
ranked as (
    select states.customer_key, states.state, coalesce(drawn.arm, 'in no campaign') as arm,
        drawn.excluded_because,
        row_number() over (
            partition by states.customer_key
            order by drawn.arm = 'excluded', drawn.assigned_on desc
        ) as position
    from marts.fct_customer_states as states
    left join marts.fct_candidates as drawn
        on drawn.customer_key = states.customer_key
        and drawn.occasion_date = states.last_purchase_date
    where states.is_lapsed
),

lapsed as (select * from ranked where position = 1)
"""


@router.get("/dashboard")
def dashboard(user: GetUserDep) -> HTMLResponse:
    """The page; asks for Airflow's login."""
    data = _read()
    charts = _charts(data) if data["today"] else {}
    unknown, n_requests, held = _of_the_ledger() if data["today"] else ([], 0, [])
    page = render(
        "dashboard.html",
        **data,
        charts={name: json.dumps(chart).replace("<", "\\u003c") for name, chart in charts.items()},
        held=held,
        unknown=unknown[:N_UNKNOWN_SHOWN],
        n_unknown=len(unknown),
        n_unknown_requests=n_requests,
        n_for_a_person=sum(each.is_for_a_person for each in unknown),
        is_replay=settings().replay,
        sandbox=settings().sendgrid_url if settings().mail_transport == "sandbox" else None,
    )
    return HTMLResponse(page, headers={"Cache-Control": "no-store"})


@router.get("/static/vega.js")
def vega() -> Response:
    """Vega, Vega-Lite and Vega-Embed as one file, so that no other host is asked."""
    return Response(
        _bundle(), media_type="text/javascript", headers={"Cache-Control": "max-age=86400"}
    )


@cache
def _bundle() -> str:
    import vl_convert

    # the snippet is what the bundle is built around; it hands the drawing function to the page
    return vl_convert.javascript_bundle("window.drawChart = vegaEmbed;")


def _charts(data: dict[str, Any]) -> dict[str, Any]:
    from winback.kpi import charts

    drawn = {"inactive": charts.inactive_over_time(data["days"])}
    if data["states"]:
        drawn["states"] = charts.candidates_by_state(data["states"])
    if any(row["incremental_pct"] is not None for row in data["cohorts"]):
        drawn["effect"] = charts.naive_beside_incremental(data["cohorts"])
    return drawn


def _of_the_ledger() -> tuple[list[UnknownMessage], int, list[dict[str, Any]]]:
    """Messages of unknown fate, how many opt-in requests share it, and the campaigns that do not
    send all they have planned."""
    # the web app's own role, which sees neither names nor addresses
    with warehouse.connect("webhook") as connection:
        waiting = ramp_up.read_held_back(connection, settings())
        rows = connection.execute(
            "select campaign_id, state, state_reason from ops.campaign order by campaign_id"
        ).fetchall()
        held = [
            {"name": name, "state": state, "reason": reason, "waiting": waiting.get(name)}
            for name, state, reason in rows
            if state in ("paused", "stopped") or (name in waiting and waiting[name].n_for_later)
        ]
        return read_unknown(connection), len(read_unknown_requests(connection)), held


def _read() -> dict[str, Any]:
    with warehouse.connect("bi") as connection, connection.cursor(row_factory=dict_row) as cursor:
        is_built = cursor.execute(
            "select to_regclass('marts.rpt_customers_daily') is not null as is_built"
        ).fetchone()
        if not is_built or not is_built["is_built"]:
            return {"today": None, "days": [], "cohorts": [], "states": [], "reasons": []}
        days = cursor.execute(
            "select as_of, n_customers, n_six_months, n_lapsed, n_returned, churn_pct"
            " from marts.rpt_customers_daily order by as_of"
        ).fetchall()
        as_of: date | None = days[-1]["as_of"] if days else None
        cohorts = cursor.execute(
            "select * from marts.rpt_kpi_daily where as_of = %s"
            " and segment in ('all', 'all_cohorts')"
            " order by segment desc, cohort desc, campaign_id limit %s",
            (as_of, NEWEST_COHORTS),
        ).fetchall()
        states = cursor.execute(
            f"with {_LAPSED}"  # noqa: S608 - a constant
            " select state, arm, count(*)::int as n from lapsed group by 1, 2"
        ).fetchall()
        reasons = cursor.execute(
            f"with {_LAPSED}"  # noqa: S608 - a constant
            " select replace(excluded_because, '_', ' ') as reason,"
            " count(*)::int as n from lapsed where arm = 'excluded'"
            " group by 1 order by 2 desc limit 8"
        ).fetchall()
    return {
        "today": days[-1] if days else None,
        "days": days,
        "cohorts": cohorts,
        "states": states,
        "reasons": reasons,
    }
