-- Whoever objected to advertising has objected for the address they had, too: before a load gives
-- the account another one, the objection is kept for the old one. With the owner's rights: the
-- loader may suppress nobody by itself.
create or replace function ops.objection_stays() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    -- the newest that either row tells
    told_at constant timestamptz := greatest(old.objected_at, new.objected_at);
begin
    if told_at <= now() and not exists (
        select 1 from ops.suppression as s
        where s.reason = 'objection' and s.address_hash = old.email_hash
            and s.customer_key = old.customer_key
            and coalesce(s.renewed_at, s.suppressed_at) >= told_at
    ) then
        insert into ops.suppression (address_hash, customer_key, scope, reason, suppressed_at)
        values (old.email_hash, old.customer_key, 'person', 'objection', told_at)
        on conflict do nothing;
    end if;
    return null;
end
$$;

create or replace trigger objection_stays after update of email_hash on raw.customers
for each row when (
    old.email_hash is not null
    and old.email_hash is distinct from new.email_hash
    and coalesce(old.objected_at, new.objected_at) is not null
)
execute function ops.objection_stays();
