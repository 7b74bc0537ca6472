-- Who may leave, and what says so; goes to the account owner, and to the owner's manager where it may
-- be about the owner.
select
    customer_key,
    {{ as_of() }} as as_of,
    cast(count(*) as integer) as n_signs,
    {{ joined_text('in_words', '; ', 'since') }} as signs,
    max(case sign when 'contact_person' then 1 else 0 end) = 1 as is_about_contact_person,
    case
        when count(*) = 1 then 'low'
        when count(*) = 2 then 'medium'
        else 'high'
    end as severity,
    min(since) as since
from {{ ref('int_warning_signs__dated') }}
group by customer_key
