-- name: make_leases
-- A row for each, owned by nobody.
insert into lease (name, owner, fence, until)
select name, '00000000-0000-0000-0000-000000000000', 0, '-infinity' from unnest($1::text[]) as n (name) order by name
on conflict do nothing

-- name: take_leases
-- Become the one owner, or stay it; no row where another one is, or holds it in a transaction right now.
with free as materialized (
  select name from lease where name = any ($1::text[]) and (owner = $2 or until < now())
   order by name for update skip locked
)
update lease l
   set owner = $2, until = now() + $3::interval, fence = l.fence + (l.owner <> $2)::integer
  from free where l.name = free.name
returning l.name, l.fence

-- name: hold_leases
-- In the transaction of a pass: those that are still the owner's; nobody takes them over before the commit.
select l.name from lease l join unnest($1::text[], $3::bigint[]) as n (name, fence) on n.name = l.name and n.fence = l.fence
 where l.owner = $2
 order by l.name for update of l

-- name: give_leases
-- Stop being the owner, so that the next one need not wait.
update lease set until = '-infinity' where name = any ($1::text[]) and owner = $2
