-- Whether a consent, or a sale that gave an address, never went unused for longer than that many
-- months since it began: a message after such a pause does not bring back what had lapsed. While it
-- had not, whatever was sent for the purpose on the channel was sent by it.
create or replace function ops.stayed_in_use(
    members text[],
    for_channel text,
    campaign_ids text[],
    begun_on date,
    as_of date,
    unused_months int
)
returns boolean
language sql
stable
parallel safe
as $$
select not exists (
    select 1
    from (
        select used_on, lead(used_on, 1, stayed_in_use.as_of) over (order by used_on) as next_on
        from (
            select begun_on as used_on
            union all
            select o.as_of from ops.outreach as o
            where o.customer_key = any(members)
                and o.channel = for_channel
                and o.accepted_at is not null
                and o.campaign_id = any(campaign_ids)
                and o.as_of > begun_on
        ) as uses
    ) as pauses
    where used_on < next_on - make_interval(months => unused_months)
)
$$;
