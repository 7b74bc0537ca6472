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
with person as (
    -- what one of a person's customer numbers did or said counts for all of them
    select a.asked_at, a.customer_key, a.last_purchase_at,
        coalesce(person.members, array[a.customer_key]) as members
    from unnest(customer_keys, last_purchases_at)
        with ordinality as a (customer_key, last_purchase_at, asked_at)
    left join ops.person as person using (customer_key)
),

asked as (
    select person.*, array(
        select each.email_hash from raw.customers as each
        where each.customer_key = any(person.members) and each.email_hash is not null
    ) as address_hashes
    from person
),

member as (
    select asked.asked_at, unnest(asked.members) as customer_key from asked
),

newest_consent as (
    -- a withdrawal of the same instant wins over a grant
    select c.*, member.asked_at, row_number() over (
        partition by member.asked_at
        order by
            coalesce(case when c.withdrawn_at < known_until then c.withdrawn_at end, c.granted_at)
                desc,
            case when c.withdrawn_at < known_until then c.withdrawn_at end desc nulls last
    ) as newest
    from member
    inner join raw.consents as c using (customer_key)
    where c.deleted_at is null
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
            where sent.customer_key = any(asked.members) and sent.channel = for_channel
                and sent.accepted_at is not null
        ) as last_used_on,
        (
            select min(s.suppression_id) from ops.suppression as s
            where s.address_hash = any(asked.address_hashes)
                or (s.scope = 'person' and s.customer_key = any(asked.members))
        ) as suppression_id,
        (
            select min(o.order_id) from raw.orders as o
            where o.customer_key = any(asked.members)
                and o.deleted_at is null
                and o.ordered_at < known_until
                and o.ordered_at > asked.last_purchase_at
        ) as later_order_id,
        (
            select min(other.assignment_id) from ops.assignment as other
            where other.customer_key = any(asked.members)
                and other.campaign_id <> for_campaign
                and other.arm = 'holdout'
                and other.as_of + other.window_days >= eligibility.as_of
        ) as holdout_assignment_id,
        (
            select min(sent.message_id::text) from ops.outreach as sent
            where sent.campaign_id <> for_campaign
                and (
                    sent.customer_key = any(asked.members)
                    or sent.address_hash = any(asked.address_hashes)
                )
                and sent.state not in ('cancelled', 'rejected', 'abandoned')
                and sent.as_of + contact_pause_days > eligibility.as_of
        ) as other_message_id
    from asked
    left join raw.customers as customers
        on customers.customer_key = asked.customer_key and customers.deleted_at is null
    left join newest_consent as consent
        on consent.asked_at = asked.asked_at and consent.newest = 1
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
