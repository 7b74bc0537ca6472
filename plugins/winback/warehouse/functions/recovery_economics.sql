-- The rule CRC / CLV < 1 for one customer and one measure: the formula stands here, nowhere else.
--
-- p_holdout is the chance to come back untouched, p_treated that after the measure: by the lift so
-- many per cent more. CRC is what one customer costs who comes back because of the measure: all who
-- are written to cost the contact, and all who come back take the offer, also those who would have
-- come anyway. CLV is the margin of a customer given the return. Amounts are minor units.
--
-- finding: returns_more (CRC / CLV < 1), costs_more (from 1), nobody_more_returns (CRC is not
-- defined), no_value (the customer costs money once back), no_score (nothing is known: not judged).
drop function if exists ops.recovery_economics;
create function ops.recovery_economics(
    p_holdout numeric,
    clv_cents numeric,
    lift_pct numeric,
    contact_cents numeric,
    offer_cents numeric
)
returns table (
    p_treated numeric,
    cost_cents numeric,
    worth_cents numeric,
    profit_cents numeric,
    crc_cents numeric,
    ratio numeric,
    finding text
)
language sql
immutable
parallel safe
as $$
select
    chance.p_treated,
    round(expected.cost, 4),
    round(expected.worth, 4),
    round(expected.worth - expected.cost, 4),
    recovery.crc,
    recovery.ratio,
    case
        when p_holdout is null or clv_cents is null then 'no_score'
        when chance.p_treated <= p_holdout then 'nobody_more_returns'
        when clv_cents <= 0 then 'no_value'
        when recovery.ratio >= 1 then 'costs_more'
        else 'returns_more'
    end
from (
    select case when p_holdout is not null and clv_cents is not null then
        -- below 1, since nobody is sure to come; never below the chance that is there already
        least(round(p_holdout * (1 + lift_pct / 100), 9), greatest(p_holdout, 0.999999))
    end as p_treated
) as chance
cross join lateral (
    select
        contact_cents + chance.p_treated * offer_cents as cost,
        (chance.p_treated - p_holdout) * clv_cents as worth
) as expected
cross join lateral (
    select expected.cost / nullif(greatest(chance.p_treated - p_holdout, 0), 0) as crc
) as one
cross join lateral (
    select round(one.crc, 4) as crc, round(one.crc / nullif(greatest(clv_cents, 0), 0), 6) as ratio
) as recovery
$$;
