-- Whoever objected to advertising, to the shop or by a message of ours (a suppression of the
-- person, which counts at once), and whoever else has the address. Nobody of them is scored, and
-- no model learns from them. Only a newer express consent to advertising by us lifts it, unless one
-- was taken back after it.
with told_by as (
    select
        customer_key,
        email_hash as address_hash,
        objected_at
    from {{ ref('stg_customers__objected') }}
    union all
    select
        customer_key,
        address_hash,
        coalesce(renewed_at, suppressed_at) as objected_at
    from {{ source('ops', 'suppression') }}
    where scope = 'person'
),

said as (
    select
        customer_key,
        objected_at
    from told_by
    union all
    select
        customers.customer_key,
        told_by.objected_at
    from told_by
    inner join {{ ref('stg_customers') }} as customers
        on told_by.address_hash = customers.email_hash
),

objections as (
    select
        coalesce(merged.person_key, said.customer_key) as customer_key,
        max(said.objected_at) as objected_at
    from said
    left join {{ ref('int_customers__merged') }} as merged
        on said.customer_key = merged.customer_key
    group by coalesce(merged.person_key, said.customer_key)
),

told as (
    select
        customer_key,
        channel,
        least(granted_at, confirmed_at) as granted_at,
        null as withdrawn_at
    from {{ ref('stg_consents') }}
    where
        coalesce(purpose, 'marketing') = 'marketing'
        and coalesce(ground, 'express') = 'express'
        and confirmed_at is not null
        and {{ is_by_us('advertiser') }}
    union all
    select
        customer_key,
        channel,
        null as granted_at,
        withdrawn_at
    from {{ ref('stg_consents__withdrawn') }}
    where coalesce(purpose, 'marketing') = 'marketing'
    union all
    select
        requests.customer_key,
        requests.channel,
        requests.requested_at as granted_at,
        null as withdrawn_at
    from {{ source('ops', 'opt_in_request') }} as requests
    left join {{ source('ops', 'consent_text') }} as texts
        on requests.text_version = texts.text_version
    where
        requests.confirmed_at is not null and requests.purpose = 'marketing'
        and {{ is_by_us('texts.advertiser') }}
),

consents as (
    select
        coalesce(merged.person_key, told.customer_key) as customer_key,
        max(told.granted_at) as granted_at,
        max(told.withdrawn_at) as withdrawn_at
    from told
    left join {{ ref('int_customers__merged') }} as merged
        on told.customer_key = merged.customer_key
    group by coalesce(merged.person_key, told.customer_key), told.channel
)

select
    customer_key,
    objected_at
from objections
where not exists (
    select 1
    from consents
    where
        objections.customer_key = consents.customer_key
        and consents.granted_at > objections.objected_at
        and (consents.withdrawn_at is null or consents.granted_at > consents.withdrawn_at)
)
