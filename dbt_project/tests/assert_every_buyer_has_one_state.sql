-- Buyers and states are the same people: nobody gets lost between the models.
select coalesce(customers.customer_key, states.customer_key) as customer_key
from (
    select customer_key
    from {{ ref('dim_customers') }}
    where n_orders > 0
) as customers
full outer join {{ ref('fct_customer_states') }} as states
    on customers.customer_key = states.customer_key
where
    customers.customer_key is null
    or states.customer_key is null
