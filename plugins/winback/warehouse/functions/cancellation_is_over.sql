-- Whether somebody who had cancelled is a customer again since: the cancellation was revoked, or
-- another contract began. A purchase ends every lapse and is the affair of ops.eligibility; what a
-- selection sees of all this are the models' states. Asked about messages that were planned before.
--
-- silent_until is the end of the day of the cancellation; facts from known_until on are not known.
drop function if exists ops.cancellation_is_over;
create function ops.cancellation_is_over(
    for_customer text, silent_until timestamptz, known_until timestamptz
)
returns boolean
language sql
stable
parallel safe
as $$
with winner as (
    select coalesce((
        select m.winner_key from ops.customer_merge as m
        where m.customer_key = for_customer and m.unmerged_at is null
    ), for_customer) as customer_key
),

-- by the indexes of the merges: ops.person is worked out for everybody
numbers as (
    select customer_key from winner
    union all
    select m.customer_key
    from ops.customer_merge as m
    inner join winner on m.winner_key = winner.customer_key
    where m.unmerged_at is null
)

select exists (
    select 1
    from raw.contracts as c
    inner join numbers on c.customer_key = numbers.customer_key
    where
        c.deleted_at is null
        and (
            -- perhaps on the very day
            c.revoked_at > silent_until - interval '1 day' and c.revoked_at < known_until
            or c.started_at > silent_until and c.started_at < known_until
        )
)
$$;
