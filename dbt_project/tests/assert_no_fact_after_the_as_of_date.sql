-- Facts of the as-of date and later change nothing: none of them may be in a mart.
select order_id as fact
from {{ ref('fct_orders') }}
where ordered_on >= {{ as_of() }}
union all
select customer_key as fact
from {{ ref('dim_customers') }}
where registered_on >= {{ as_of() }}
