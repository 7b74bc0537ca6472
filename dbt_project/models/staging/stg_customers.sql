select
    customer_key,
    email_hash,
    locale,
    country,
    kind,
    registered_at,
    {{ business_date('registered_at') }} as registered_on,
    is_minor,
    is_deceased,
    is_insolvent,
    case when {{ is_known('address_from_sale_at') }} then address_from_sale_at end
        as address_from_sale_at,
    case when {{ is_known('similar_goods_at') }} then similar_goods_at end as similar_goods_at,
    case when {{ is_known('opt_out_notice_at') }} then opt_out_notice_at end as opt_out_notice_at,
    case when {{ is_known('objected_at') }} then objected_at end as objected_at
from {{ source('raw', 'customers') }}
where {{ is_in_feed('registered_at') }}
