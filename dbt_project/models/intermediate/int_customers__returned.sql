-- Customers who came back after a silence that the six-month list would have shown.
select
    customer_key,
    max(purchase_date) as returned_on
from (
    select
        customer_key,
        purchase_date,
        {{ dbt.datediff(
            "lag(purchase_date) over (partition by customer_key order by purchase_date)",
            "purchase_date",
            "day"
        ) }} as gap_days
    from {{ ref('int_orders__daily') }}
) as gaps
where gap_days > {{ var('inactive_days') }}
group by customer_key
