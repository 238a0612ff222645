-- Heartbeats among the deliveries: rows with a tick. Made by notification, at most one that waits for each endpoint.

-- name: due
-- The last final tick, when no heartbeat has told of it and none was made within a time ($2) before now ($1).
select p.final_through
  from alert_progress p
 where p.final_through > coalesce((select max(tick) from delivery where tick is not null), '-infinity')
   and not exists (select from delivery where tick is not null and made_at between $1::timestamptz - $2::interval and $1)

-- name: forget
-- Those that the next one replaces: what waits or was given up, and what was delivered before the last that was. What is being
-- sent is left alone.
with gone as (
  delete from delivery where delivery_id = any (array(
    select delivery_id
      from delivery
     where tick is not null and (claimed_until is null or claimed_until <= now())
       and (state <> 'delivered' or tick < (select max(tick) from delivery where tick is not null and state = 'delivered'))
     order by delivery_id
       for update skip locked)) returning delivery_id
)
delete from attempt where delivery_id in (select delivery_id from gone)

-- name: put
-- One for each endpoint that is marked for it and takes something, else one that deliver takes without a post; how many.
with marked as (
  select endpoint_id, url <> '' as posted
    from endpoint
   where heartbeat and removed_at is null and disabled_at is null
), made as (
  insert into delivery (delivery_id, webhook_id, endpoint_id, type, body, tick, made_at, next_attempt_at)
  select f.id, 'msg_' || replace(f.id::text, '-', ''), f.endpoint_id, $1, $2, $3, $4, now()
    from (select gen_random_uuid() as id, endpoint_id
            from marked
           where posted or not exists (select from marked where posted)
           order by endpoint_id) f
  returning 1
)
select count(*) from made
