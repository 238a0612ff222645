-- name: forget_identities
-- Forget identities seen before a moment, so many at a time, and remember how old the events were.
with gone as (
  delete from event_identity where ctid = any (array(select ctid from event_identity where seen < $1 limit $2)) returning time
), told as (
  update identity_horizon set forgotten_before = greatest(forgotten_before, (select max(time) + interval '1 microsecond' from gone))
   where exists (select from gone)
  returning 1
)
select (select count(*) from gone) as gone, (select count(*) from told) as told

-- name: forget_personal
-- Personal fields of events older than a moment.
delete from event_personal where time < $1

-- name: forget_paired
-- Paired readings of events older than a moment, but for those that a kept reading is compared with.
delete from paired_reading p
 where p.time < $1
   and coalesce((select n.time from paired_reading n
                  where n.metric = p.metric and n.subject = p.subject and n.chain = p.chain and (n.time, n.key) > (p.time, p.key)
                  order by n.time, n.key limit 1), '-infinity') < $1

-- name: forget_conflicts
-- Conflicts of events older than a moment.
delete from event_conflict where time < $1

-- name: forget_deliveries
-- Deliveries that ended before a moment, so many at a time, with their attempts.
with gone as (
  delete from delivery where delivery_id = any (array(
    select delivery_id from delivery where ended_at < $1 order by ended_at limit $2)) returning delivery_id
), tried as (
  delete from attempt where delivery_id in (select delivery_id from gone) returning 1
)
select count(*) from gone
