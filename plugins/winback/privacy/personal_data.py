"""Where something of a person may stand in the warehouse, and what an erasure does to it there.

Every table is declared once: its rows are deleted, its rows stay and are of nobody afterwards, or
it holds nothing of a person. Of rows that stay, each column is named, so that a column that is
added has to be thought about; a test compares this with the database's own catalog. Views hold
nothing of their own. Files are in `erased_files.py`.
"""

from __future__ import annotations

import re

from winback.extract.feeds import FEEDS
from winback.extract.loading.erased_rows import is_about_people
from winback.extract.loading.raw_tables import pii_columns

# rows are deleted where one of these columns holds a key of the person
DELETED: dict[str, tuple[str, ...]] = {
    "ops.verdict": ("customer_key",),
    "ops.economics": ("customer_key",),
    "ops.warning": ("customer_key",),
    "ops.contact_preference": ("customer_key",),
    "ops.customer_merge": ("customer_key", "winner_key"),
    "ops.customer_rule": ("customer_key",),
    "ops.opt_in_request": ("customer_key",),
    "quarantine.unread_row": ("customer_key",),
}

# rows are deleted in a way of their own
DELETED_OTHERWISE = {
    "quarantine.rejected_row": "by the hash of the customer number, or by the order",
}

# rows stay; the first columns are emptied or become random, the others are of nobody then
UNLINKED: dict[str, tuple[str, str]] = {
    "ops.assignment": (
        "customer_key lapse_id occasion_date",
        "assignment_id campaign_id snapshot_id as_of occasion arm reason stratum customer_state"
        " window_starts_at window_ends_at window_days assigned_at erased_at recovered_at"
        " has_unsubscribed",
    ),
    "ops.outreach": (
        "customer_key address_hash lapse_id provider_message_id expected_profit_cents",
        "message_id campaign_id step channel snapshot_id as_of template state fence lease_until"
        " claimed_by reason resend_of is_lapse_open planned_at dispatching_at accepted_at"
        " settled_at claim_order is_pending is_cancelled is_dormant portion_day batch_id send_at"
        " likely_shape",
    ),
    "ops.event": (
        "detail opt_in_request_id",
        "event_id message_id kind occurred_at recorded_at",
    ),
    "ops.outreach_decision": (
        "reason",
        "decision_id campaign_id decision message_id resent_as decided_by decided_at",
    ),
    "ops.gate_result": (
        "examples",
        "gate_run_id table_name expectation column_name is_met observed n_unexpected why source"
        " gate_result_id expected not_judged can_be_accepted rows",
    ),
    "pii.webhook_inbox": ("body", "inbox_id received_at processed_at n_events problem"),
}

# kept on purpose; what each is for says its own comment in the database
KEPT: dict[str, str] = {
    "ops.suppression": (
        "suppression_id address_hash customer_key scope reason message_id suppressed_at renewed_at"
    ),
    "ops.erased_customer": "customer_key erasure_id quarantine_hashes",
    "pii.erased_order": "order_id",
    "pii.kept_proof": "proof_id address_hash proof keep_until",
}

NOTHING: dict[str, str] = {
    "ops.audience_size": (
        "audience_size_id campaign_id snapshot_id as_of n_people n_before needs_approval"
        " has_stopped judged_at"
    ),
    "ops.campaign": "campaign_id definition state state_reason updated_at",
    "ops.consent_text": ("text_version channel purpose language advertiser content first_used_at"),
    "ops.country_rule": "country channel kind ground law",
    "ops.customer_count": (
        "as_of revision n_customers n_six_months n_lapsed n_newly_inactive n_returned recorded_at"
    ),
    "ops.delivery_tally": ("tally_id campaign_id n_accepted n_bounced n_spam_reports sent_at"),
    "ops.economics_run": (
        "economics_run_id campaign_id snapshot_id as_of definition contact_cents offer_cents"
        " lift_pct lift_from lift_because n_judged n_not_judged cost_cents worth_cents is_worth_it"
        " is_overruled has_stopped judged_at"
    ),
    "ops.erased_count": "as_of n_customers n_six_months n_lapsed n_newly_inactive n_returned",
    "ops.erasure": "erasure_id erased_by erased_at n_rows files_done_at",
    "ops.extract_run": (
        "extract_run_id snapshot_id feed source n_received n_passed n_quarantined quarantined_pct"
        " newest_event_at started_at finished_at is_whole cursor_until mapping_fingerprint"
        " n_deleted n_erased"
    ),
    "ops.feed_status": (
        "feed is_present is_made_up source n_rows newest_event_at updated_at max_age_days"
    ),
    "ops.gate_acceptance": "gate_run_id accepted_by accepted_at reason",
    "ops.gate_measure": "snapshot_id about measure value n_rows n_of detail measured_at",
    "ops.gate_run": (
        "gate_run_id snapshot_id gate is_passed n_expectations n_failed decided_at accepted_as"
    ),
    "ops.kpi_snapshot": (
        "as_of campaign_id cohort segment revision is_window_closed n_candidates n_excluded"
        " n_holdout n_treated n_accepted n_delivered n_bounced n_unsubscribed n_unknown"
        " n_recovered_treated n_recovered_holdout naive_pct incremental_pct incremental_low_pct"
        " incremental_high_pct reading recorded_at"
    ),
    "ops.mart_build": (
        "mart_build_id schema_suffix as_of newest_snapshot_id added_to_build_id stage_fingerprint"
        " model_fingerprint started_at completed_at"
    ),
    "ops.model_run": ("model_run_id model as_of parameters metrics is_in_use because fitted_at"),
    "ops.ramp_up_day": "day portion n_taken was_stopped begun_at",
    "ops.rhythm_quantile": "model_run_id n_gaps early expected late stock_level usual_late",
    "ops.scheduled_batch": (
        "batch_id campaign_id as_of send_at created_at cancel_asked_at question_left_at"
        " cancelled_at problem"
    ),
    "ops.schema_version": "version_num",
    "ops.snapshot": "snapshot_id as_of purpose dataset created_at completed_at",
    "ops.source_column": ("feed source column_name column_type first_seen_at last_seen_at"),
    "ops.warning_day": "as_of n_watched n_warned recorded_at",
    "raw.improvements": (
        "improvement_id reason product_id category description fixed_at snapshot_id deleted_at"
    ),
    "raw.products": (
        "product_id name category brand price_cents cost_cents currency listed_at discontinued_at"
        " snapshot_id deleted_at"
    ),
    "intermediate.int_evidence__described": "evidence_kind is_stated weight in_words why",
    "intermediate.int_reasons__described": "reason is_own_fault in_words_en in_words_de",
    "intermediate.int_states__dated": "as_of",
    "marts.rpt_external_campaigns": (
        "as_of campaign_type n_campaigns n_assigned n_open n_responded response_pct"
    ),
    "marts.rpt_win_loss": (
        "month reason is_own_fault value_tier category product_id product_name n_lost n_returned"
        " turnover_lost_cents turnover_returned_cents"
    ),
}

_OF_A_DATE = re.compile(r"^(staging|intermediate|marts)_asof_\d{8}\.")


def undeclared(table: str, columns: list[str]) -> str | None:
    """What nobody declared about a table; None when an erasure knows all of it.

    Args:
        table: Its name with schema, as the catalog has it.
        columns: All of its columns.
    """
    table = _OF_A_DATE.sub(r"\1.", table)
    schema, name = table.split(".")
    feed = FEEDS.get(name)
    is_deleted = (
        (schema == "raw" and feed is not None and is_about_people(feed))
        or (schema == "pii" and feed is not None and bool(pii_columns(feed)))
        or (schema in ("staging", "intermediate", "marts") and "customer_key" in columns)
        or table in DELETED_OTHERWISE
    )
    if is_deleted:
        return None
    if table in DELETED:
        missing = set(DELETED[table]) - set(columns)
        return f"{table} has no column {', '.join(sorted(missing))}" if missing else None
    known = " ".join(UNLINKED.get(table, (NOTHING.get(table, KEPT.get(table, "")),)))
    if not known:
        return f"{table} is declared nowhere"
    differing = set(columns) ^ set(known.split())
    return f"{table}: {', '.join(sorted(differing))}" if differing else None
