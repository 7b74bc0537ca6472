-- Who bought or has a contract, and who has a state, are the same people: nobody gets lost between
-- the models.
select coalesce(customers.customer_key, states.customer_key) as customer_key
from (
    select customer_key
    from {{ ref('dim_customers') }}
    where n_orders > 0
    union
    select customer_key
    from {{ ref('int_contracts__spanned') }}
    where signal = 'contracted' and from_date <= {{ as_of() }}
) as customers
full outer join {{ ref('fct_customer_states') }} as states
    on customers.customer_key = states.customer_key
where
    customers.customer_key is null
    or states.customer_key is null
