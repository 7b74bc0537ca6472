-- The one verdict on a customer and a channel; `asked_at` is the position in the arrays. Planning
-- asks it about every candidate, and the last check before a request asks it again about the
-- recipients of that request. Law, rule and test of each reason: docs/consent.md.
--
-- known_until is 00:00 of as_of in business time: facts from then on are not known yet. What our
-- own messages brought about (a bounce, an objection, a wish, a consent by a link) counts at once.
-- for_campaign '' asks for somebody's own contact person, or, with for_purpose, whether somebody
-- may be asked for the consent to that purpose; a campaign has a purpose of its own.
drop function if exists ops.eligibility;
create function ops.eligibility(
    customer_keys text[],
    last_purchases_at timestamptz[],
    for_campaign text,
    for_channel text,
    as_of date,
    known_until timestamptz,
    consent_unused_months int,
    contact_pause_days int,
    for_purpose text default 'marketing',
    -- ours, in small letters; null: whom a consent names is not compared
    advertisers text[] default null
)
returns table (
    asked_at bigint,
    customer_key text,
    address_hash text,
    is_eligible boolean,
    reasons text[],
    evidence jsonb,
    -- all customer numbers of the person
    members text[],
    -- what the ledger holds about the person, whatever became of it
    n_messages bigint,
    -- how to write to them
    locale text,
    -- what allows it, and since when
    ground text,
    since timestamptz
)
language sql
stable
parallel safe
-- a call is about many people, which the planner can not know: it shares dear calls alone
cost 1000000
as $$
with campaign as (
    select
        case
            when for_campaign = '' then for_purpose
            else coalesce(max(c.definition ->> 'purpose'), 'marketing')
        end as purpose,
        coalesce(bool_or((c.definition ->> 'is_remedy')::boolean), for_campaign = '') as is_remedy
    from ops.campaign as c
    where c.campaign_id = for_campaign
),

same_purpose as (
    select coalesce(array_agg(c.campaign_id), '{}') as campaign_ids
    from ops.campaign as c
    where coalesce(c.definition ->> 'purpose', 'marketing') = (select purpose from campaign)
),

allowed as (
    select country, kind, array_agg(ground) as grounds
    from ops.country_rule
    where channel = for_channel
    group by country, kind
),

unread as (
    -- mostly there are none, and nobody has to be looked up
    select exists (select 1 from quarantine.unread_row) as are_there
),

person as (
    -- what one of a person's customer numbers did or said counts for all of them
    select a.asked_at, a.customer_key, a.last_purchase_at,
        coalesce(person.members, array[a.customer_key]) as members
    from unnest(customer_keys, last_purchases_at)
        with ordinality as a (customer_key, last_purchase_at, asked_at)
    left join ops.person as person using (customer_key)
),

asked as (
    select person.*, known.*
    from person
    cross join lateral (
        select
            array_remove(array_agg(each.email_hash), null) as address_hashes,
            -- the row of this very customer, which a person's other numbers do not replace
            max(each.email_hash) filter (where own.is_it) as address_hash,
            max(each.address_from_sale_at) filter (where own.is_it) as address_from_sale_at,
            max(each.similar_goods_at) filter (where own.is_it) as similar_goods_at,
            max(each.opt_out_notice_at) filter (where own.is_it) as opt_out_notice_at,
            upper(max(each.country) filter (where own.is_it)) as country,
            max(each.locale) filter (where own.is_it) as locale,
            -- who is not known to be a business has the rights of a consumer
            coalesce(max(each.kind) filter (where own.is_it), 'consumer') as kind,
            -- which of the person's numbers says so
            min(each.customer_key) filter (where each.is_minor) as minor_key,
            min(each.customer_key) filter (where each.is_deceased) as deceased_key,
            min(each.customer_key) filter (where each.is_insolvent) as insolvent_key,
            max(each.objected_at) filter (where each.objected_at < known_until) as told_at
        from raw.customers as each
        cross join lateral (
            select each.customer_key = person.customer_key and each.deleted_at is null as is_it
        ) as own
        where each.customer_key = any(person.members)
    ) as known
),

customer as (
    select asked.*, coalesce(allowed.grounds, '{}') as grounds,
        greatest(asked.told_at, by_address.told_at) as objected_at
    from asked
    -- whoever else has, or had, one of these addresses
    cross join lateral (
        select max(other.objected_at) as told_at
        from raw.customers as other
        where other.email_hash = any(asked.address_hashes) and other.objected_at < known_until
    ) as by_address
    left join allowed on allowed.country = asked.country and allowed.kind = asked.kind
),

-- materialized: each fact is looked up once, however often it is judged below
facts as materialized (
    select
        customer.asked_at,
        customer.customer_key,
        customer.address_hash,
        customer.locale,
        customer.minor_key,
        customer.deceased_key,
        customer.insolvent_key,
        customer.objected_at,
        customer.grounds,
        customer.address_from_sale_at,
        consent.consent_id,
        consent.granted_at,
        consent.confirmed_at,
        consent.given_at,
        consent.withdrawn_at,
        consent.withdrawn_elsewhere_at,
        consent.withdrawn_elsewhere_id,
        consent.is_express,
        consent.is_confirmed,
        consent.is_presumed,
        consent.is_for_address,
        consent.is_ours,
        suppressed.suppression_id,
        suppressed.last_at as suppressed_at,
        customer.members,
        sent.last_used_on,
        sent.last_sent_on,
        sent.n_messages,
        wish.is_wanted,
        wish.pause_days,
        by_person.is_wanted as is_by_contact_person,
        by_person.stated_at as by_person_stated_at,
        wish.stated_at as wish_stated_at,
        debt.dunned_payment_id,
        debt.disputed_payment_id,
        case when not (select is_remedy from campaign) then (
            select min(c.complaint_id) from raw.complaints as c
            where c.customer_key = any(customer.members)
                and c.deleted_at is null
                and c.opened_at < known_until
                and (c.resolved_at is null or c.resolved_at >= known_until)
        ) end as open_complaint_id,
        -- what an existing customer must be, all of it; an abandoned cart is no sale
        customer.address_from_sale_at < known_until
            and customer.similar_goods_at < known_until
            and customer.opt_out_notice_at < customer.address_from_sale_at + interval '1 day'
            and customer.objected_at is null
            and exists (
                select 1 from raw.orders as o
                where o.customer_key = any(customer.members)
                    and o.deleted_at is null
                    and o.ordered_at < customer.address_from_sale_at + interval '1 day'
            ) as is_existing_customer,
        -- what nobody could read may be that they took back, objected or died
        case when (select are_there from unread) then (
            select min(u.unread_row_id + 0) from quarantine.unread_row as u
            where u.customer_key = any(customer.members)
        ) end as unread_row_id,
        (
            select min(o.order_id) from raw.orders as o
            where o.customer_key = any(customer.members)
                and o.deleted_at is null
                and o.ordered_at < known_until
                and o.ordered_at > customer.last_purchase_at
        ) as later_order_id,
        (
            select min(other.assignment_id) from ops.assignment as other
            where other.customer_key = any(customer.members)
                and other.campaign_id <> for_campaign
                and other.arm = 'holdout'
                and other.as_of + other.window_days >= eligibility.as_of
        ) as holdout_assignment_id,
        least(sent.other_message_id, (
            select min(o.message_id::text)
            from ops.outreach as o
            where o.address_hash = any(customer.address_hashes)
                and o.campaign_id <> for_campaign
                and (
                    o.state not in ('cancelled', 'rejected', 'abandoned')
                    or o.accepted_at is not null
                )
                and o.as_of + contact_pause_days > eligibility.as_of
        )) as other_message_id
    from customer
    left join lateral (
        -- A withdrawal stands, whichever row tells it and whether or not the source still has it,
        -- until there is express consent that was asked for and confirmed after it: a request that
        -- nobody confirmed gives nothing, and takes nothing away. One that names somebody else (an
        -- older name of ours, perhaps) leaves an express consent to us, and no other ground.
        select best.*, case when is_taken_back then last_withdrawn_at end as withdrawn_at,
            case when is_taken_back then withdrawn[2] else given_id end as consent_id,
            withdrawn_elsewhere[2] as withdrawn_elsewhere_id
        from (
            -- Looked up for each: the planner took a join for one of two rows, and compared a
            -- thousand with a thousand.
            select given.*, fits.is_for_address, valid.is_express,
                max(given.taken_back_at) over () as last_withdrawn_at,
                max(given.taken_back_elsewhere_at) over () as withdrawn_elsewhere_at,
                -- which of them it was, without an order, which would sort for everybody
                max(case
                    when given.taken_back_at is not null then array[
                        to_char(given.taken_back_at at time zone 'UTC', 'YYYYMMDDHH24MISSUS'),
                        given.given_id
                    ]
                end) over () as withdrawn,
                max(case
                    when given.taken_back_elsewhere_at is not null then array[
                        to_char(
                            given.taken_back_elsewhere_at at time zone 'UTC', 'YYYYMMDDHH24MISSUS'
                        ),
                        given.given_id
                    ]
                end) over () as withdrawn_elsewhere
            from (
                select c.consent_id as given_id, c.customer_key as giver_key, c.granted_at,
                    c.confirmed_at, least(c.granted_at, c.confirmed_at) as given_at,
                    case when for_channel in ('email', 'ads') then c.email_hash end as email_hash,
                    case when c.withdrawn_at < known_until and ours.is_it then c.withdrawn_at end
                        as taken_back_at,
                    case
                        when c.withdrawn_at < known_until and not ours.is_it then c.withdrawn_at
                    end as taken_back_elsewhere_at,
                    coalesce(c.confirmed_at < known_until, false) as is_confirmed,
                    coalesce(c.ground, 'express') = 'presumed' as is_presumed,
                    c.deleted_at is null as is_there, ours.is_it as is_ours
                from raw.consents as c
                cross join lateral (
                    select coalesce(lower(btrim(c.advertiser)) = any(advertisers), true) as is_it
                ) as ours
                where c.customer_key = any(customer.members)
                    and (c.deleted_at is null or c.withdrawn_at < known_until)
                    and c.channel = for_channel
                    and coalesce(c.purpose, 'marketing') = (select purpose from campaign)
                    and c.granted_at < known_until
                union all
                select 'opt-in-' || r.request_id, r.customer_key, r.requested_at, r.confirmed_at,
                    r.requested_at, r.address_hash, null, null, true, false, true,
                    -- the name in the words, which may not be ours any more
                    coalesce(lower(btrim(told.advertiser)) = any(advertisers), true)
                from ops.opt_in_request as r
                inner join ops.consent_text as told using (text_version)
                where r.customer_key = any(customer.members)
                    and r.channel = for_channel
                    and r.purpose = (select purpose from campaign)
                    and r.confirmed_at is not null
            ) as given
            cross join lateral (
                select case
                    when not given.is_ours then false
                    when given.email_hash is not null
                        then coalesce(given.email_hash = customer.address_hash, false)
                    -- without an address it is for the one of the number that gave it
                    when for_channel not in ('email', 'ads')
                        or given.giver_key = customer.customer_key then true
                    else exists (
                        select 1 from raw.customers as giver
                        where giver.customer_key = given.giver_key
                            and giver.email_hash = customer.address_hash
                    )
                end as is_for_address
            ) as fits
            cross join lateral (
                select given.is_there and given.is_confirmed and not given.is_presumed
                    and fits.is_for_address as is_express
            ) as valid
            cross join lateral (
                -- asked for only where presumed consent can stand in for what has lapsed
                select valid.is_express and case
                    when 'presumed_consent' = any(customer.grounds) then ops.stayed_in_use(
                        customer.members, for_channel, (select campaign_ids from same_purpose),
                        given.confirmed_at::date, eligibility.as_of, consent_unused_months
                    )
                    else true
                end as is_first
            ) as rank
            order by rank.is_first desc, given.is_there desc, fits.is_for_address desc,
                given.is_presumed desc, given.given_at desc, given.given_id
            limit 1
        ) as best
        cross join lateral (
            select best.last_withdrawn_at is not null
                and not (best.is_express and best.given_at > best.last_withdrawn_at)
                as is_taken_back
        ) as judged
    ) as consent on true
    cross join lateral (
        select
            count(*) as n_messages,
            max(o.as_of) filter (
                where o.channel = for_channel and o.accepted_at is not null
                    and o.campaign_id = any((select campaign_ids from same_purpose)::text[])
            ) as last_used_on,
            max(o.as_of) filter (
                where o.channel = for_channel and (
                    o.state not in ('planned', 'claimed', 'cancelled', 'rejected', 'abandoned')
                    or o.accepted_at is not null
                )
            ) as last_sent_on,
            -- by whichever channel
            min(o.message_id::text) filter (
                where o.campaign_id <> for_campaign
                    and (
                        o.state not in ('cancelled', 'rejected', 'abandoned')
                        -- given up too early: it was taken after all
                        or o.accepted_at is not null
                    )
                    and o.as_of + contact_pause_days > eligibility.as_of
            ) as other_message_id
        from ops.outreach as o
        where o.customer_key = any(customer.members)
    ) as sent
    cross join lateral (
        -- an index each: an OR reads the whole table
        select max(dated.said_at) as last_at,
            -- of the newest; an aggregate with an order would sort for everybody
            -(max(array[extract(epoch from dated.said_at), -s.suppression_id]))[2]::bigint
                as suppression_id
        from (
            select by_address.* from ops.suppression as by_address
            where by_address.address_hash = any(customer.address_hashes)
                -- an address that died says nothing of the person's others
                and (
                    by_address.reason not in ('bounce', 'dropped')
                    or for_channel in ('email', 'ads')
                    and by_address.address_hash = customer.address_hash
                )
            union all
            select by_person.* from ops.suppression as by_person
            where by_person.scope = 'person' and by_person.customer_key = any(customer.members)
        ) as s
        cross join lateral (select coalesce(s.renewed_at, s.suppressed_at) as said_at) as dated
    ) as suppressed
    cross join lateral (
        select
            min(p.payment_id) filter (where p.n_reminders > 0) as dunned_payment_id,
            min(p.payment_id) filter (where p.is_disputed) as disputed_payment_id
        from raw.payments as p
        where p.customer_key = any(customer.members)
            and p.deleted_at is null
            and p.invoiced_at < known_until
            and (p.paid_at is null or p.paid_at >= known_until or p.is_disputed)
    ) as debt
    left join lateral (
        -- the newest counts, wherever it was said
        select said.* from (
            select w.stated_at, w.is_wanted and coalesce(w.max_per_month, 1) > 0 as is_wanted,
                ceil(30.0 / nullif(w.max_per_month, 0))::int as pause_days
            from raw.contact_preferences as w
            where w.customer_key = any(customer.members) and w.channel = for_channel
                and w.deleted_at is null and w.stated_at < known_until
            union all
            select w.stated_at, w.is_wanted, w.pause_days
            from ops.contact_preference as w
            where w.customer_key = any(customer.members) and w.channel = for_channel
        ) as said
        order by said.stated_at desc, said.is_wanted
        limit 1
    ) as wish on true
    left join lateral (
        -- only the page asks for it, so that nothing the shop tells takes it back
        select w.is_by_contact_person as is_wanted, w.stated_at
        from ops.contact_preference as w
        where w.customer_key = any(customer.members) and w.channel = for_channel
        order by w.stated_at desc, w.is_by_contact_person desc
        limit 1
    ) as by_person on true
),

-- materialized: the reasons ask for the ground many times over
grounded as materialized (
    select facts.*,
        case
            when withdrawn_at is not null then null
            when is_express and (
                confirmed_at::date >= used_since or last_used_on >= used_since
                and ops.stayed_in_use(
                    members, for_channel, campaign_ids, confirmed_at::date, eligibility.as_of,
                    consent_unused_months
                )
            ) then 'consent'
            when withdrawn_elsewhere_at is not null then null
            when is_presumed and is_for_address and 'presumed_consent' = any(grounds) and (
                granted_at::date >= used_since or last_used_on >= used_since
                and ops.stayed_in_use(
                    members, for_channel, campaign_ids, granted_at::date, eligibility.as_of,
                    consent_unused_months
                )
            ) then 'presumed_consent'
            when is_existing_customer and for_channel = 'email'
                -- the rule is for offers; questions need a consent to be asked
                and (select purpose from campaign) = 'marketing'
                and 'existing_customer' = any(grounds)
                and (
                    address_from_sale_at::date >= used_since or last_used_on >= used_since
                    and ops.stayed_in_use(
                        members, for_channel, campaign_ids, address_from_sale_at::date,
                        eligibility.as_of, consent_unused_months
                    )
                ) then 'existing_customer'
            when 'until_objection' = any(grounds) then 'until_objection'
        end as ground
    from facts
    cross join (
        select campaign_ids,
            eligibility.as_of - make_interval(months => consent_unused_months) as used_since
        from same_purpose
    ) as limits
),

judged as (
    select
        grounded.*,
        array_remove(array[
            case when address_hash is null and for_channel in ('email', 'ads')
                then 'no_address' end,
            -- only new express consent for the address lifts either, and only while it is a ground
            case when suppression_id is not null
                and not coalesce(ground = 'consent' and given_at > suppressed_at, false)
                then 'suppressed' end,
            case when objected_at is not null
                and not coalesce(ground = 'consent' and given_at > objected_at, false)
                then 'objected' end,
            case when withdrawn_at is not null
                or ground is null and withdrawn_elsewhere_at is not null
                then 'consent_withdrawn' end,
            case when ground is null and consent_id is null then 'consent_missing' end,
            case when ground is null and withdrawn_at is null and is_ours and not is_for_address
                then 'consent_for_another_address' end,
            case when ground is null and withdrawn_at is null and not is_ours
                then 'consent_for_another_advertiser' end,
            case when ground is null and withdrawn_at is null and is_for_address
                and is_presumed and not 'presumed_consent' = any(grounds)
                then 'consent_missing' end,
            case when ground is null and withdrawn_at is null and is_for_address
                and not is_presumed and not is_confirmed
                then 'consent_unconfirmed' end,
            case when ground is null and withdrawn_at is null and is_for_address
                and case when is_presumed then 'presumed_consent' = any(grounds)
                    else is_confirmed end
                then 'consent_unused_too_long' end,
            case when not is_wanted then 'channel_not_wanted' end,
            case when last_sent_on + pause_days > eligibility.as_of
                then 'contacted_too_recently' end,
            case when is_by_contact_person and for_campaign <> '' and for_channel <> 'phone'
                then 'contact_person_only' end,
            case when unread_row_id is not null then 'record_unreadable' end,
            case when minor_key is not null then 'minor' end,
            case when deceased_key is not null then 'deceased' end,
            case when insolvent_key is not null then 'insolvent' end,
            case when dunned_payment_id is not null then 'in_dunning' end,
            case when disputed_payment_id is not null then 'in_dispute' end,
            case when open_complaint_id is not null then 'open_complaint' end,
            case when later_order_id is not null then 'returned' end,
            case when holdout_assignment_id is not null then 'holdout_of_another_campaign' end,
            case when other_message_id is not null then 'contacted_by_another_campaign' end
        ], null) as reasons
    from grounded
)

select
    judged.asked_at,
    judged.customer_key,
    judged.address_hash,
    cardinality(judged.reasons) = 0,
    judged.reasons,
    -- most have nothing but what allows it
    case
        when cardinality(judged.reasons) = 0 then allowed.evidence
        else allowed.evidence || jsonb_strip_nulls(jsonb_build_object(
            'suppression', case
                when 'suppressed' = any(judged.reasons) then suppression_id
            end,
            'objected', case when 'objected' = any(judged.reasons) then objected_at end,
            'withdrawn', case
                when 'consent_withdrawn' = any(judged.reasons)
                    then coalesce(withdrawn_at, withdrawn_elsewhere_at)
            end,
            'wish', case
                when judged.reasons && array['channel_not_wanted', 'contacted_too_recently']
                    then wish_stated_at
                when 'contact_person_only' = any(judged.reasons) then by_person_stated_at
            end,
            'last_sent', case
                when 'contacted_too_recently' = any(judged.reasons) then last_sent_on
            end,
            'unread_row', unread_row_id,
            'minor', minor_key,
            'deceased', deceased_key,
            'insolvent', insolvent_key,
            'payment', coalesce(dunned_payment_id, disputed_payment_id),
            'disputed_payment', case
                when disputed_payment_id <> dunned_payment_id then disputed_payment_id
            end,
            'complaint', open_complaint_id,
            'order', later_order_id,
            'holdout', holdout_assignment_id,
            'message', other_message_id
        ))
    end,
    judged.members,
    judged.n_messages,
    judged.locale,
    judged.ground,
    allowed.since
from judged
cross join lateral (
    select case ground
        when 'existing_customer' then address_from_sale_at
        when 'until_objection' then null
        else granted_at
    end as since
) as dated
cross join lateral (
    select dated.since, jsonb_strip_nulls(jsonb_build_object(
        'ground', ground,
        'since', dated.since,
        'consent', case
            when ground in ('consent', 'presumed_consent') or withdrawn_at is not null
                then consent_id
            when ground is null then coalesce(withdrawn_elsewhere_id, consent_id)
        end
    )) as evidence
) as allowed
$$;
