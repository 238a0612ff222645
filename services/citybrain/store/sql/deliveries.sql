-- Deliveries and their attempts. Written by deliver; `resend` and tests of an endpoint by the API and the commands.
-- Times are compared with the database's clock, so processes need not agree on theirs.

-- name: free_claims
-- What this owner ($1) has a claim on is free at once, but for those that it is sending ($2).
update delivery
   set claimed_until = null, claimed_by = null
 where state = 'waiting' and claimed_by = $1 and delivery_id <> all($2::uuid[]);

-- name: claim
-- Due deliveries for this owner ($1) for a time ($2): of each endpoint at most $3 at once, at most $4 of all, counting those
-- in flight ($5 endpoints, $6 how many). One at a time where a breaker was open; none of endpoints that take none. What goes
-- to endpoints that fail is sent last: it would hold up the others for nothing. What a group tells an endpoint is sent in
-- order, but for what waits to be tried again.
with receiving as (
  select e.endpoint_id, coalesce(f.flying, 0) as flying, h.open_until, h.failing_since is not null as failing,
         greatest(1, least($3::bigint, $4::bigint / count(*) over ())) as share
    from endpoint e
    left join endpoint_health h using (endpoint_id)
    left join unnest($5::uuid[], $6::integer[]) as f(endpoint_id, flying) using (endpoint_id)
   where e.disabled_at is null and e.removed_at is null and (h.open_until is null or h.open_until <= now())
), due as (
  select d.delivery_id
    from receiving r
   cross join lateral (
      select delivery_id, next_attempt_at
        from delivery w
       where endpoint_id = r.endpoint_id and state = 'waiting' and next_attempt_at <= now()
         and (claimed_until is null or claimed_until <= now())
         and not exists (
           select from delivery b
            where b.endpoint_id = w.endpoint_id and b.group_key = w.group_key and b.made_at < w.made_at
              and b.state = 'waiting' and b.next_attempt_at <= now()
         )
       order by next_attempt_at
       limit greatest(0, case when r.open_until is null then r.share else 1 end - r.flying)
         for update skip locked
   ) d
   order by d.next_attempt_at
   limit greatest(0, $4::bigint - (select coalesce(sum(flying), 0) from unnest($6::integer[]) as f(flying)))
), claimed as (
  update delivery d
     set claimed_until = now() + $2::interval, claimed_by = $1
    from due
   where d.delivery_id = due.delivery_id
  returning d.delivery_id, d.webhook_id, d.endpoint_id, d.type, d.body, d.attempts, d.schedule_from, d.next_attempt_at, d.tick
)
select c.delivery_id, c.webhook_id, c.endpoint_id, c.type, c.body, c.attempts, c.attempts - c.schedule_from as tried,
       now() - c.next_attempt_at as waited, c.tick, e.url, e.format, e.language,
       array(
         select s.secret
           from endpoint_secret s
          where s.endpoint_id = c.endpoint_id and (s.expires_at is null or s.expires_at > now())
          order by s.expires_at is null desc, s.made_at desc, s.secret
       ) as secrets
  from claimed c
  join endpoint e using (endpoint_id)
  join receiving r using (endpoint_id)
 order by r.failing, c.next_attempt_at, c.delivery_id;

-- name: add_health
-- Rows for endpoints that were never tried.
insert into endpoint_health (endpoint_id, window_from)
select endpoint_id, clock_timestamp() from unnest($1::uuid[]) as f(endpoint_id)
 order by endpoint_id
on conflict do nothing;

-- name: lock_health
-- The health of endpoints, held to the end of the transaction, and the time.
select endpoint_id, window_from, requests, failures, open_until, failing_since, last_success, last_failure, clock_timestamp() as at
  from endpoint_health
 where endpoint_id = any($1::uuid[])
 order by endpoint_id
   for update;

-- name: put_health
-- The health after attempts.
update endpoint_health h
   set window_from = f.window_from, requests = f.requests, failures = f.failures, open_until = f.open_until,
       failing_since = f.failing_since, last_success = f.last_success, last_failure = f.last_failure
  from unnest($1::uuid[], $2::timestamptz[], $3::integer[], $4::integer[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[],
              $8::timestamptz[])
       as f(endpoint_id, window_from, requests, failures, open_until, failing_since, last_success, last_failure)
 where h.endpoint_id = f.endpoint_id;

-- name: record
-- Attempts of deliveries that this owner ($1) still has a claim on, and what follows; the deliveries whose attempt counts.
with made as (
  select *
    from unnest($2::uuid[], $3::integer[], $4::timestamptz[], $5::integer[], $6::integer[], $7::text[], $8::bytea[], $9::text[],
                $10::interval[])
         as f(delivery_id, attempt, began_at, took_ms, status, error, answer, state, wait)
), changed as (
  update delivery d
     set attempts = m.attempt, state = m.state, last_error = m.error, claimed_until = null, claimed_by = null,
         next_attempt_at = coalesce(clock_timestamp() + m.wait, d.next_attempt_at),
         ended_at = case when m.state <> 'waiting' then clock_timestamp() end
    from made m
   where d.delivery_id = m.delivery_id and d.claimed_by = $1 and d.attempts = m.attempt - 1 and d.state = 'waiting'
  returning d.delivery_id
), kept as (
  insert into attempt (delivery_id, attempt, began_at, took_ms, status, error, answer)
  select delivery_id, attempt, began_at, took_ms, status, error, answer
    from made
    join changed using (delivery_id)
)
select delivery_id from changed;

-- name: disable
-- Endpoints that said that they are gone.
update endpoint
   set disabled_at = clock_timestamp(), disabled_why = $2
 where endpoint_id = any($1::uuid[]) and disabled_at is null;

-- name: cancel
-- Waiting deliveries of endpoints that take none, unless one is being sent.
update delivery d
   set state = 'cancelled', ended_at = clock_timestamp(), claimed_until = null, claimed_by = null,
       last_error = case when e.removed_at is null then 'the endpoint is disabled: ' || coalesce(e.disabled_why, '')
                         else 'the endpoint was removed' end
  from endpoint e
 where e.endpoint_id = d.endpoint_id and (e.disabled_at is not null or e.removed_at is not null)
   and d.state = 'waiting' and (d.claimed_until is null or d.claimed_until <= clock_timestamp());

-- name: bring_forward
-- Endpoints answer again: what waits for them comes soon, spread over a few seconds.
update delivery
   set next_attempt_at = clock_timestamp() + random() * $2::interval
 where endpoint_id = any($1::uuid[]) and state = 'waiting' and attempts > 0 and next_attempt_at > clock_timestamp() + $2::interval
   and claimed_by is null;

-- name: lag
-- Deliveries that could be sent now, and nobody has begun to. Heartbeats are measured by how far they have come.
select count(*)
  from endpoint e
  left join endpoint_health h using (endpoint_id)
  join delivery d using (endpoint_id)
 where e.disabled_at is null and e.removed_at is null and (h.open_until is null or h.open_until <= now())
   and d.state = 'waiting' and d.next_attempt_at <= now() and (d.claimed_until is null or d.claimed_until <= now())
   and d.tick is null;

-- name: put
-- One delivery, due now.
insert into delivery (delivery_id, webhook_id, endpoint_id, type, body, next_attempt_at)
values ($1, $2, $3, $4, $5, now());

-- name: resend
-- Once more, at once, and with a new schedule; a delivery that is being sent goes on.
update delivery d
   set state = 'waiting', next_attempt_at = now(), schedule_from = attempts, ended_at = null
  from endpoint e
 where d.delivery_id = $1 and e.endpoint_id = d.endpoint_id and e.disabled_at is null and e.removed_at is null
   and (d.claimed_until is null or d.claimed_until <= now() or d.state <> 'waiting')
returning d.delivery_id;

-- name: page
-- The newest first, after a position; endpoint by name or id. Heartbeats are listed for those alone who ask for their type.
select d.delivery_id, d.webhook_id, d.endpoint_id, e.name as endpoint, d.type, d.state, d.alert_ids, d.group_key, d.made_at, d.attempts,
       d.next_attempt_at, d.ended_at, d.last_error
  from delivery d
  join endpoint e using (endpoint_id)
 where (d.made_at, d.delivery_id) < ($1::timestamptz, $2::uuid)
   and ($3::text is null or e.name = $3 or e.endpoint_id::text = $3)
   and ($4::text is null or d.state = $4)
   and (d.type = $5::text or ($5 is null and d.tick is null))
   and ($6::uuid is null or d.alert_ids @> array[$6::uuid])
   and ($7::timestamptz is null or d.made_at >= $7)
 order by d.made_at desc, d.delivery_id desc
 limit $8;

-- name: of_alerts
-- What was sent about some alerts, the first first.
select d.delivery_id, d.webhook_id, d.endpoint_id, e.name as endpoint, d.type, d.state, d.alert_ids, d.group_key, d.made_at, d.attempts,
       d.next_attempt_at, d.ended_at, d.last_error
  from delivery d
  join endpoint e using (endpoint_id)
 where d.alert_ids && $1::uuid[]
 order by d.made_at, d.delivery_id
 limit $2;

-- name: one
-- A delivery with its body.
select d.delivery_id, d.webhook_id, d.endpoint_id, e.name as endpoint, d.type, d.state, d.alert_ids, d.group_key, d.made_at, d.attempts,
       d.next_attempt_at, d.ended_at, d.last_error, d.body, e.disabled_at is not null or e.removed_at is not null as closed
  from delivery d
  join endpoint e using (endpoint_id)
 where d.delivery_id = $1;

-- name: attempts
-- The attempts of some deliveries, in order.
select delivery_id, attempt, began_at, took_ms, status, error, answer
  from attempt
 where delivery_id = any($1::uuid[])
 order by delivery_id, attempt;
