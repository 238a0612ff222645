-- name: take_lease
-- Become the one owner, or stay it; no row when another one is.
insert into lease as l (name, owner, fence, until) values ($1, $2, 1, now() + $3::interval)
on conflict (name) do update
   set owner = excluded.owner, until = excluded.until, fence = l.fence + (l.owner <> excluded.owner)::integer
 where l.owner = excluded.owner or l.until < now()
returning fence

-- name: hold_lease
-- In the transaction of a pass: still the owner, and nobody takes over before the commit.
select fence from lease where name = $1 and owner = $2 and fence = $3 for update

-- name: give_lease
-- Stop being the owner, so that the next one need not wait.
delete from lease where name = $1 and owner = $2
