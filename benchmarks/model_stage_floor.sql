-- The tables that the models make of orders and customers, as somebody writes them by hand who knows
-- that this shop has no other feeds: one session, more memory to sort in, no contracts, no tests, no
-- merged people. Same names, columns, types, rows and keys. {…} is filled in by model_stage.py.
set work_mem = '256MB';
set maintenance_work_mem = '256MB';
set synchronous_commit = off;
drop schema if exists floor cascade;
create schema floor;

create table floor.fct_orders as
select
    order_id, customer_key, ordered_at, (ordered_at at time zone 'UTC')::date as ordered_on,
    quantity, amount_cents, currency
from raw.orders
where ordered_at < '{as_of}' and (deleted_at is null or deleted_at >= '{as_of}');
create index on floor.fct_orders (customer_key);

create table floor.int_orders__daily as
select
    customer_key, (ordered_at at time zone 'UTC')::date as purchase_date, count(*) as n_orders,
    sum(quantity)::bigint as quantity, sum(amount_cents)::bigint as amount_cents,
    case when count(cost_cents) = count(*) then sum(cost_cents)::bigint end as cost_cents,
    max(ordered_at) as last_ordered_at
from raw.orders
where ordered_at < '{as_of}' and (deleted_at is null or deleted_at >= '{as_of}')
group by 1, 2;
create index on floor.int_orders__daily (customer_key);
analyze floor.int_orders__daily;

create table floor.int_customers__known as
select
    customer_key, locale, country, (registered_at at time zone 'UTC')::date as registered_on,
    1::bigint as n_records
from raw.customers
where registered_at < '{as_of}' and (deleted_at is null or deleted_at >= '{as_of}');
create index on floor.int_customers__known (customer_key);

create table floor.int_purchases__rhythm as
with numbered as (
    select
        customer_key, purchase_date, last_ordered_at, n_orders, quantity, amount_cents,
        (row_number() over w - 1)::int as n_gaps,
        first_value(purchase_date) over w as first_purchase_date,
        lag(purchase_date) over w as previous_purchase_date,
        lead(purchase_date) over w as next_purchase_date,
        (sum(n_orders) over w)::bigint as n_orders_so_far,
        (sum(amount_cents) over w)::bigint as turnover_so_far_cents,
        (sum(amount_cents) over (
            partition by customer_key order by purchase_date
            range between interval '364 days' preceding and current row
        ))::bigint as turnover_year_cents,
        ln(nullif(quantity, 0)::float8) as log_quantity
    from floor.int_orders__daily
    window w as (partition by customer_key order by purchase_date rows unbounded preceding)
), stocked as (
    select
        *, purchase_date - previous_purchase_date as gap_days,
        greatest(exp({quantity_elasticity} * coalesce((log_quantity - avg(log_quantity) over (
            partition by customer_key order by purchase_date rows unbounded preceding
        ))::numeric(12, 7), 0)), 0.0001)::numeric(12, 4) as stock_factor
    from numbered
), adjusted as (
    select
        *, stock_factor::float8 as stock,
        greatest(least(round(2 * ln(stock_factor::float8) / ln(2)), 6), -2)::int as stock_level,
        (gap_days / lag(stock_factor) over (
            partition by customer_key order by purchase_date
        ))::numeric(12, 2) as adjusted_gap_days
    from stocked
), summed as (
    select
        *,
        coalesce(sum(adjusted_gap_days) over w, 0)::numeric(14, 2) as gap_sum_days,
        ({rhythm_rate_days} + coalesce(sum(adjusted_gap_days) over w, 0))::float8 as pace
    from adjusted
    window w as (partition by customer_key order by purchase_date rows unbounded preceding)
), expected as (
    select
        summed.*,
        (pace * early * stock)::numeric(9, 2) as early_days,
        (pace * expected * stock)::numeric(9, 2) as expected_days,
        (pace * late * stock)::numeric(9, 2) as late_days,
        (case when summed.n_gaps = 0 then {inactive_days} else {lapse_multiplier} * usual_late * pace end
        )::numeric(9, 2) as usual_lapse_days
    from summed
    inner join ops.rhythm_quantile as quantiles
        on model_run_id = {rhythm_run_id} and summed.stock_level = quantiles.stock_level
            and least(summed.n_gaps, {most_gaps}) = quantiles.n_gaps
)
select
    customer_key, purchase_date, first_purchase_date, next_purchase_date, last_ordered_at,
    n_orders, quantity, amount_cents, n_orders_so_far, turnover_so_far_cents, turnover_year_cents,
    gap_days, n_gaps, gap_sum_days, stock_factor, early_days, expected_days, late_days, usual_lapse_days,
    (usual_lapse_days * greatest(stock_factor, 1))::numeric(9, 2) as lapse_after_days
from expected;
create index on floor.int_purchases__rhythm (customer_key);
analyze floor.int_purchases__rhythm;

create table floor.int_purchases__calendar as
with judged as (
    select customer_key, purchase_date
    from floor.int_purchases__rhythm
    where n_gaps > 0 and first_purchase_date <= purchase_date - (365 - {season_days})
        and (next_purchase_date is null
            or next_purchase_date - purchase_date > least(usual_lapse_days, 365 - {season_days}))
), compared as (
    select
        judged.*, judged.purchase_date - earlier.purchase_date as days_before,
        round((judged.purchase_date - earlier.purchase_date) / 365.25)::int as years_before
    from judged
    inner join floor.int_purchases__rhythm as earlier using (customer_key)
    where earlier.purchase_date <= judged.purchase_date
), seasons as (
    select
        customer_key, purchase_date, count(*) as n_purchases,
        count(*) filter (where abs(days_before - years_before * 365.25) <= {season_days})
            as n_in_season,
        count(distinct years_before) filter (
            where abs(days_before - years_before * 365.25) <= {season_days}
        ) as n_years
    from compared
    group by customer_key, purchase_date
)
select
    customer_key, purchase_date,
    case when n_purchases = n_years then 'yearly' else 'seasonal' end as kind,
    365 - {season_days} as due_from_days, 365 as due_days, 365 + {season_days} as due_until_days
from seasons
where n_years >= 2 and 100 * n_in_season >= {season_share_pct} * n_purchases;
create index on floor.int_purchases__calendar (customer_key);
analyze floor.int_purchases__calendar;

create view floor.expected as
select
    r.customer_key, r.purchase_date, r.first_purchase_date, r.next_purchase_date,
    r.last_ordered_at, r.n_orders_so_far, r.turnover_so_far_cents, r.turnover_year_cents, r.gap_days, r.n_gaps,
    r.gap_sum_days, r.stock_factor, c.kind as calendar_kind,
    coalesce(c.due_from_days, r.early_days)::numeric(9, 2) as early_days,
    coalesce(c.due_days, r.expected_days)::numeric(9, 2) as expected_days,
    coalesce(c.due_until_days, r.late_days)::numeric(9, 2) as late_days,
    coalesce(c.due_days, least(r.late_days, r.usual_lapse_days))::numeric(9, 2)
        as at_risk_after_days,
    least(c.due_until_days, r.usual_lapse_days)::numeric(9, 2) as usual_lapse_days,
    coalesce(c.due_until_days, r.lapse_after_days)::numeric(9, 2) as lapse_after_days
from floor.int_purchases__rhythm as r
left join floor.int_purchases__calendar as c using (customer_key, purchase_date);

create table floor.int_customers__rhythm as
with compared as (
    select
        customer_key,
        max(purchase_date) filter (where nth = 2) as second_newest_date,
        max(purchase_date) filter (where nth = 3) as third_newest_date,
        avg(amount_cents) filter (where nth <= 2)::numeric(24, 4) as recent_cents,
        avg(amount_cents) filter (where nth between 3 and 8)::numeric(24, 4) as earlier_cents
    from (
        select
            customer_key, purchase_date, amount_cents,
            row_number() over (partition by customer_key order by purchase_date desc) as nth
        from floor.int_purchases__rhythm
    ) as numbered
    where nth <= 8
    group by customer_key
)
select
    customer_key, first_purchase_date, purchase_date as last_purchase_date, last_ordered_at,
    n_orders_so_far as n_orders, turnover_so_far_cents as turnover_cents, n_gaps, gap_sum_days,
    stock_factor, calendar_kind, early_days, expected_days, late_days, usual_lapse_days,
    lapse_after_days, (n_gaps + 1)::bigint as n_purchases, compared.second_newest_date,
    compared.third_newest_date, compared.recent_cents, compared.earlier_cents
from floor.expected
inner join compared using (customer_key)
where next_purchase_date is null;
create index on floor.int_customers__rhythm (customer_key);
analyze floor.int_customers__rhythm;

create table floor.dim_customers as
with scored as (
    select
        *,
        ntile(5) over (order by last_purchase_date, customer_key) as recency_score,
        ntile(5) over (order by n_purchases, turnover_cents, customer_key) as frequency_score,
        ntile(5) over (order by turnover_cents, customer_key) as monetary_score
    from floor.int_customers__rhythm
)
select
    coalesce(k.customer_key, s.customer_key) as customer_key, k.locale, k.country,
    least(k.registered_on, s.first_purchase_date) as registered_on, s.first_purchase_date,
    s.last_purchase_date, coalesce(k.n_records, 1) as n_records,
    coalesce(s.n_orders, 0) as n_orders, coalesce(s.n_purchases, 0) as n_purchases,
    coalesce(s.turnover_cents, 0) as turnover_cents,
    s.recency_score, s.frequency_score, s.monetary_score,
    case when monetary_score = 5 then 'high' when monetary_score >= 3 then 'medium'
        when monetary_score is not null then 'low' end as value_tier,
    case when s.n_purchases = 1 then 'one_time_buyer'
        when frequency_score = 5 and monetary_score = 5 then 'champion'
        when frequency_score >= 4 then 'loyal' when s.customer_key is not null then 'occasional'
    end as segment_before
from floor.int_customers__known as k
full join scored as s on k.customer_key = s.customer_key;
analyze floor.dim_customers;

create view floor.facts as
select customer_key, 'n_orders' as fact, n_orders::numeric(24, 4) as amount
from floor.int_customers__rhythm
union all
select customer_key, 'was_champion', (segment_before = 'champion')::int::numeric(24, 4)
from floor.dim_customers
where segment_before is not null
union all
select customer_key, 'margin_cents', sum(amount_cents - cost_cents)::numeric(24, 4)
from floor.int_orders__daily
group by customer_key
having count(cost_cents) = count(*);

create table floor.fct_customer_rules as
select
    facts.customer_key, '{as_of_date}'::date as as_of, rules.kind, rules.rule, rules.because
from ops.customer_rule as rules
inner join floor.facts as facts
    on rules.fact = facts.fact and coalesce(rules.at_least <= facts.amount, true)
    and coalesce(rules.below > facts.amount, true)
group by facts.customer_key, rules.kind, rules.rule, rules.because
having count(*) = (
    select count(*) from ops.customer_rule as all_of
    where all_of.kind = rules.kind and all_of.rule = rules.rule
);

create table floor.int_customers__signalled as
with silences as (
    select
        *, next_purchase_date + 1 as broken_on,
        purchase_date + floor(at_risk_after_days)::int + 1 as at_risk_on,
        purchase_date + floor(usual_lapse_days)::int + 1 as usually_lapsed_on,
        purchase_date + floor(lapse_after_days)::int + 1 as lapsed_on,
        purchase_date + floor(2 * lapse_after_days)::int + 1 as inactive_on
    from floor.expected
    where next_purchase_date is null
        or next_purchase_date - purchase_date > least(at_risk_after_days, usual_lapse_days)
), spans as (
    select customer_key, 'buyer' as signal, purchase_date + 1 as from_date, null::date as until_date
    from floor.int_purchases__rhythm
    where n_gaps = 0
    union all
    select silences.customer_key, span.*
    from silences
    cross join lateral (
        values
        ('past_usual_gap', at_risk_on, broken_on), ('silent', usually_lapsed_on, broken_on),
        ('long_silent', inactive_on, broken_on),
        (coalesce(calendar_kind, 'stocked_up'), usually_lapsed_on, least(lapsed_on, broken_on))
    ) as span
    union all
    select
        customer_key, 'returned', purchase_date + 1, purchase_date + {recovery_window_days} + 1
    from floor.int_purchases__rhythm
    where gap_days > {inactive_days}
)
select * from spans where until_date is null or from_date < until_date;

-- a signal counts 16 to the power of its place, so that one sum tells all of them apart: of one kind
-- of purchase signals never more than 15 hold at a time
create table floor.int_customers__timeline as
with moves as (
    select
        customer_key, move.on_date,
        move.step * (1::bigint << (4 * array_position(array[
            'buyer', 'returned', 'past_usual_gap', 'silent', 'long_silent', 'seasonal', 'yearly',
            'stocked_up'
        ], signal) - 4)) as weight
    from floor.int_customers__signalled
    cross join lateral (values (from_date, 1), (until_date, -1)) as move (on_date, step)
    where move.on_date is not null
), standing as (
    select
        customer_key, on_date, sum(weight) over w as held, lead(on_date) over w as next_on
    from moves
    window w as (partition by customer_key order by on_date)
), named as (
    select
        customer_key, on_date, held,
        case when held::bigint & (15 << 12) = 0 then null
            when held::bigint & (15::bigint << 20) <> 0 then 'seasonal'
            when held::bigint & (15::bigint << 24) <> 0 then 'yearly'
            when held::bigint & (15::bigint << 28) <> 0 then 'stocked_up' end
            as not_lapsed_because
    from standing
    where held::bigint & 15 <> 0 and (next_on is null or on_date < next_on)
), told as (
    select
        customer_key, on_date, not_lapsed_because,
        held::bigint & (15 << 12) <> 0 and not_lapsed_because is null as is_lapsed,
        case when not_lapsed_because is not null then 'active'
            when held::bigint & (15 << 16) <> 0 then 'inactive'
            when held::bigint & (15 << 12) <> 0 then 'sleeping'
            when held::bigint & (15 << 4) <> 0 then 'returned'
            when held::bigint & (15 << 8) <> 0 then 'at_risk' else 'active' end as state
    from named
), compared as (
    select
        *, lag((state, is_lapsed, not_lapsed_because)) over w as before
    from told
    window w as (partition by customer_key order by on_date)
)
select
    customer_key, state, is_lapsed, not_lapsed_because, on_date as valid_from,
    lead(on_date) over (partition by customer_key order by on_date) as valid_until
from compared
where before is null or before is distinct from (state, is_lapsed, not_lapsed_because);
create index on floor.int_customers__timeline (customer_key);
analyze floor.int_customers__timeline;

create table floor.int_customers__standing as
select
    t.customer_key, t.state, t.is_lapsed, t.not_lapsed_because, t.valid_from as state_since,
    r.last_purchase_date, r.last_ordered_at, r.n_purchases,
    r.last_purchase_date + round(r.expected_days)::int as expected_next_purchase_date,
    r.last_purchase_date + round(r.early_days)::int as expected_next_purchase_from,
    r.last_purchase_date + round(r.late_days)::int as expected_next_purchase_until,
    r.expected_days as expected_gap_days, r.lapse_after_days
from floor.int_customers__timeline as t
inner join floor.int_customers__rhythm as r using (customer_key)
where t.valid_from <= '{as_of_date}' and coalesce('{as_of_date}' < t.valid_until, true);
create index on floor.int_customers__standing (customer_key);
analyze floor.int_customers__standing;

create view floor.fct_customer_states as
select
    customer_key, '{as_of_date}'::date as as_of, state, is_lapsed, not_lapsed_because, state_since,
    last_purchase_date, '{as_of_date}'::date - last_purchase_date as days_since_last_purchase,
    n_purchases, expected_next_purchase_date, expected_next_purchase_from,
    expected_next_purchase_until, expected_gap_days, lapse_after_days
from floor.int_customers__standing;

create view floor.fct_inactive_six_months as
select customer_key, as_of, last_purchase_date, days_since_last_purchase
from floor.fct_customer_states
where days_since_last_purchase > {inactive_days};

create view floor.int_candidates as
select
    md5(s.customer_key || '|last_purchase|' || s.last_purchase_date) as lapse_id,
    s.customer_key, '{as_of_date}'::date as as_of, 'last_purchase' as occasion,
    s.last_purchase_date as occasion_date, s.last_ordered_at,
    '{as_of_date}'::date - s.last_purchase_date as days_since_last_purchase, s.state,
    c.value_tier, c.segment_before, c.turnover_cents
from floor.int_customers__standing as s
inner join floor.dim_customers as c using (customer_key)
where s.is_lapsed;

create table floor.int_losses__dated as
with changes as (
    select
        customer_key, valid_from, is_lapsed,
        lag(is_lapsed) over w as was_lapsed
    from floor.int_customers__timeline
    where valid_from <= '{as_of_date}'
    window w as (partition by customer_key order by valid_from)
), turns as (
    select
        customer_key, valid_from, is_lapsed,
        lead(valid_from) over (partition by customer_key order by valid_from) as returned_on
    from changes
    where is_lapsed <> coalesce(was_lapsed, false)
)
select
    t.customer_key, t.valid_from as lost_on, true as is_lapsed, t.returned_on,
    e.purchase_date as last_purchase_date, e.expected_days, e.late_days,
    e.turnover_year_cents as turnover_cents
from turns as t
inner join floor.expected as e
    on t.customer_key = e.customer_key and t.valid_from > e.purchase_date
    and coalesce(t.valid_from <= e.next_purchase_date, true)
where t.is_lapsed;
create index on floor.int_losses__dated (customer_key);
analyze floor.int_losses__dated;

create view floor.int_reasons__weighed as
select
    customer_key, lost_on, 'unknown' as reason, false as is_stated, 1::numeric(8, 3) as weight,
    1 as rank, 0 as n_sources, null::date as newest_on, 'nothing points to a reason' as evidence
from floor.int_losses__dated;

create table floor.fct_lapse_reasons as
select
    customer_key, 'unknown' as reason, false as is_own_fault, false as is_stated,
    1::numeric(8, 3) as weight, 1 as rank, 0 as n_sources,
    'nothing points to a reason' as evidence, 'nothing is known' as in_words_en,
    'es ist nichts bekannt' as in_words_de, false as is_fixed_since, null::date as fixed_on,
    null::text as fixed_what, 0 as priority, lost_on
from floor.int_losses__dated
where returned_on is null;

create table floor.rpt_win_loss as
select
    date_trunc('month', event.on_date)::date as month, 'unknown' as reason,
    false as is_own_fault, c.value_tier, 'not known' as category, 'not known' as product_id,
    null::text as product_name,
    (count(*) filter (where event.is_loss))::int as n_lost,
    (count(*) filter (where not event.is_loss))::int as n_returned,
    coalesce(sum(l.turnover_cents) filter (where event.is_loss), 0)::bigint as turnover_lost_cents,
    coalesce(sum(l.turnover_cents) filter (where not event.is_loss), 0)::bigint
        as turnover_returned_cents
from floor.int_losses__dated as l
inner join floor.dim_customers as c using (customer_key)
cross join lateral (values (l.lost_on, true), (l.returned_on, false)) as event (on_date, is_loss)
where event.on_date is not null
group by 1, c.value_tier;

create view floor.int_warning_signs__ordered as
with gaps as (
    select
        r.*, '{as_of_date}'::date - r.last_purchase_date as days_since,
        ((r.last_purchase_date - r.third_newest_date) / 2.0)::numeric(9, 2) as recent_gap_days,
        ((r.third_newest_date - r.first_purchase_date) * 1.0 / nullif(r.n_gaps - 2, 0)
        )::numeric(9, 2) as earlier_gap_days
    from floor.int_customers__rhythm as r
    inner join floor.int_customers__standing as s using (customer_key)
    where not s.is_lapsed
)
select
    customer_key, 'rarer_orders' as sign,
    case when days_since > late_days
        then 'orders every ' || round(expected_days)::int || ' days, now ' || days_since || ' without'
        else 'ordered every ' || round(earlier_gap_days)::int || ' days, lately every '
            || round(recent_gap_days)::int end as in_words,
    case when days_since > late_days then last_purchase_date + floor(late_days)::int + 1
        else last_purchase_date end as since
from gaps
where n_gaps > 0 and (days_since > late_days or (n_gaps >= 5 and calendar_kind is null
    and recent_gap_days >= {rarer_orders_factor} * earlier_gap_days))
union all
select
    customer_key, 'smaller_baskets',
    'the last two orders were ' || round(100 - 100.0 * recent_cents / earlier_cents)::int
    || ' % smaller than those before', second_newest_date
from gaps
where n_gaps >= 4 and earlier_cents > 0
    and recent_cents <= {smaller_baskets_factor} * earlier_cents;

create view floor.int_warning_signs__dated as
select * from floor.int_warning_signs__ordered;

create table floor.fct_warnings as
select
    customer_key, '{as_of_date}'::date as as_of, count(*)::int as n_signs,
    string_agg(in_words, '; ' order by since, in_words) as signs, false as is_about_contact_person,
    case count(*) when 1 then 'low' when 2 then 'medium' else 'high' end as severity,
    min(since) as since
from floor.int_warning_signs__dated
group by customer_key;
