-- The one verdict on a customer and a channel; `asked_at` is the position in the arrays. Planning asks it about every candidate, and the last
-- check before a request asks it again about the recipients of that request.
--
-- known_until is 00:00 of as_of in business time: facts from then on are not known yet. What our own
-- messages brought about (a bounce, an objection by the unsubscribe link) counts at once.
drop function if exists ops.eligibility;
create function ops.eligibility(
    customer_keys text[],
    last_purchases_at timestamptz[],
    for_campaign text,
    for_channel text,
    as_of date,
    known_until timestamptz,
    consent_unused_months int,
    contact_pause_days int
)
returns table (
    asked_at bigint,
    customer_key text,
    address_hash text,
    is_eligible boolean,
    reasons text[],
    evidence jsonb
)
language sql
stable
as $$
with asked as (
    select a.asked_at, a.customer_key, a.last_purchase_at
    from unnest(customer_keys, last_purchases_at)
        with ordinality as a (customer_key, last_purchase_at, asked_at)
),

newest_consent as (
    -- a withdrawal of the same instant wins over a grant
    select c.*, row_number() over (
        partition by c.customer_key
        order by
            coalesce(case when c.withdrawn_at < known_until then c.withdrawn_at end, c.granted_at)
                desc,
            case when c.withdrawn_at < known_until then c.withdrawn_at end desc nulls last
    ) as newest
    from raw.consents as c
    where c.customer_key = any(customer_keys)
        and c.channel = for_channel
        and c.granted_at < known_until
),

facts as (
    select
        asked.asked_at,
        asked.customer_key,
        customers.email_hash as address_hash,
        consent.consent_id,
        consent.granted_at,
        consent.confirmed_at,
        case when consent.withdrawn_at < known_until then consent.withdrawn_at end as withdrawn_at,
        (
            select max(sent.as_of) from ops.outreach as sent
            where sent.customer_key = asked.customer_key and sent.channel = for_channel
                and sent.accepted_at is not null
        ) as last_used_on,
        (
            select min(s.suppression_id) from ops.suppression as s
            where s.address_hash = customers.email_hash
                or (s.scope = 'person' and s.customer_key = asked.customer_key)
        ) as suppression_id,
        (
            select min(o.order_id) from raw.orders as o
            where o.customer_key = asked.customer_key
                and o.ordered_at < known_until
                and o.ordered_at > asked.last_purchase_at
        ) as later_order_id,
        (
            select min(other.assignment_id) from ops.assignment as other
            where other.customer_key = asked.customer_key
                and other.campaign_id <> for_campaign
                and other.arm = 'holdout'
                and other.as_of + other.window_days >= eligibility.as_of
        ) as holdout_assignment_id,
        (
            select min(sent.message_id::text) from ops.outreach as sent
            where sent.campaign_id <> for_campaign
                and (
                    sent.customer_key = asked.customer_key
                    or sent.address_hash = customers.email_hash
                )
                and sent.state not in ('cancelled', 'rejected', 'abandoned')
                and sent.as_of + contact_pause_days > eligibility.as_of
        ) as other_message_id
    from asked
    left join raw.customers as customers using (customer_key)
    left join newest_consent as consent
        on consent.customer_key = asked.customer_key and consent.newest = 1
),

judged as (
    select
        facts.*,
        array_remove(array[
            case when address_hash is null then 'no_address' end,
            case when suppression_id is not null then 'suppressed' end,
            case when withdrawn_at is not null then 'consent_withdrawn' end,
            case when consent_id is null then 'consent_missing' end,
            case when consent_id is not null and withdrawn_at is null
                and (confirmed_at is null or confirmed_at >= known_until)
                then 'consent_unconfirmed' end,
            case when withdrawn_at is null and confirmed_at < known_until
                and greatest(confirmed_at::date, last_used_on)
                    < eligibility.as_of - make_interval(months => consent_unused_months)
                then 'consent_unused_too_long' end,
            case when later_order_id is not null then 'returned' end,
            case when holdout_assignment_id is not null then 'holdout_of_another_campaign' end,
            case when other_message_id is not null then 'contacted_by_another_campaign' end
        ], null) as reasons
    from facts
)

select
    judged.asked_at,
    judged.customer_key,
    judged.address_hash,
    cardinality(judged.reasons) = 0,
    judged.reasons,
    jsonb_strip_nulls(jsonb_build_object(
        'consent', consent_id,
        'suppression', suppression_id,
        'order', later_order_id,
        'holdout', holdout_assignment_id,
        'message', other_message_id
    ))
from judged
$$;
