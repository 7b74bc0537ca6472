-- What each role may do. Runs after every migration, so that new tables are covered.
revoke all on schema pii, ops, raw, quarantine, staging, intermediate, marts from public;
revoke create on schema public from public;

-- loader: writes what came from the sources, and what was learned while loading it
grant usage on schema raw, quarantine, ops, pii, marts, intermediate, staging to winback_loader;
grant select, insert, update, delete on all tables in schema raw, quarantine to winback_loader;
grant usage on all sequences in schema raw, quarantine, ops to winback_loader;
grant select on all tables in schema ops to winback_loader;
grant insert, update on ops.snapshot, ops.extract_run, ops.feed_status, ops.gate_run,
    ops.gate_result, ops.gate_measure, ops.source_column, ops.customer_merge, ops.mart_build
    to winback_loader;
grant select, insert on pii.erased_order to winback_loader;
grant execute on function ops.drop_expired_proof() to winback_loader;
grant insert on ops.model_run, ops.rhythm_quantile to winback_loader;
grant insert, delete on ops.customer_rule, ops.country_rule to winback_loader;
grant delete on ops.source_column to winback_loader;

-- transformer: dbt; reads facts and state, never a name or an address
grant usage on schema raw, ops to winback_transformer;
grant usage, create on schema staging, intermediate, marts to winback_transformer;
grant select on all tables in schema raw, ops to winback_transformer;
do $$
begin
    execute format('grant create on database %I to winback_transformer', current_database());
end
$$;

-- sender: plans, checks, renders, sends, records
grant usage on schema raw, ops, pii, staging, intermediate, marts, quarantine to winback_sender;
grant select on all tables in schema raw, ops to winback_sender;
grant select on quarantine.unread_row to winback_sender;
grant insert, update on ops.campaign, ops.outreach, ops.scheduled_batch, ops.ramp_up_day
    to winback_sender;
-- what was decided, told or measured is never changed afterwards
grant insert on ops.assignment, ops.verdict, ops.event, ops.suppression, ops.kpi_snapshot,
    ops.customer_count, ops.gate_acceptance, ops.warning_day, ops.warning, ops.economics_run,
    ops.economics, ops.outreach_decision, ops.delivery_tally, ops.audience_size to winback_sender;
grant insert on ops.consent_text, ops.opt_in_request to winback_sender;
grant update (state, reason, provider_message_id, settled_at) on ops.opt_in_request
    to winback_sender;
grant select on all tables in schema pii to winback_sender;
-- proof of the consents of erased people is for the owner alone, and for a court
revoke all on pii.kept_proof from winback_sender;
grant update on pii.webhook_inbox to winback_sender;
grant usage on all sequences in schema ops to winback_sender;

-- webhook: drops what arrives; an objection counts at once
grant usage on schema ops, pii to winback_webhook;
grant insert on pii.webhook_inbox to winback_webhook;
grant usage on all sequences in schema pii to winback_webhook;
grant select on ops.outreach, ops.suppression, ops.campaign, ops.ramp_up_day to winback_webhook;
grant insert on ops.suppression to winback_webhook;
grant update (state, reason, settled_at, fence) on ops.outreach to winback_webhook;
grant usage on all sequences in schema ops to winback_webhook;
-- the pages for consents and wishes
grant usage on schema raw to winback_webhook;
grant select on raw.contact_preferences to winback_webhook;
grant select on ops.person, ops.contact_preference, ops.opt_in_request, ops.consent_text
    to winback_webhook;
grant insert on ops.contact_preference to winback_webhook;
grant update (confirmed_at) on ops.opt_in_request to winback_webhook;

-- bi: the marts and nothing else
grant usage on schema marts to winback_bi;
grant select on all tables in schema marts to winback_bi;
alter default privileges for role winback_transformer in schema marts
    grant select on tables to winback_bi;
alter default privileges for role winback_transformer in schema staging, intermediate, marts
    grant select on tables to winback_sender, winback_loader;
grant select on all tables in schema staging, intermediate, marts to winback_sender,
    winback_loader;
