-- Endpoints, their secrets and how they do. Written by the API and the commands, and from the profile's endpoints.yaml. The one
-- without a URL, where heartbeats go that no endpoint is marked for, is nobody's to see.

-- name: list
-- Those that are not removed, in the order of their making, which never changes, after a position.
select e.endpoint_id, e.name, e.url, e.format, e.is_default, e.language, e.heartbeat, e.made_by, e.made_at, e.disabled_at, e.disabled_why,
       h.requests, h.failures, h.open_until, h.failing_since, h.last_success, h.last_failure
  from endpoint e
  left join endpoint_health h using (endpoint_id)
 where e.removed_at is null and e.url <> '' and (e.made_at, e.endpoint_id) > ($1, $2)
 order by e.made_at, e.endpoint_id
 limit $3;

-- name: find
-- One that is not removed, by its name or its id.
select e.endpoint_id, e.name, e.url, e.format, e.is_default, e.language, e.heartbeat, e.made_by, e.made_at, e.disabled_at, e.disabled_why,
       h.requests, h.failures, h.open_until, h.failing_since, h.last_success, h.last_failure
  from endpoint e
  left join endpoint_health h using (endpoint_id)
 where e.removed_at is null and e.url <> '' and (e.endpoint_id::text = $1 or e.name = $1)
 order by e.endpoint_id::text = $1 desc
 limit 1;

-- name: find_by_name
-- One that is not removed.
select e.endpoint_id, e.name, e.url, e.format, e.is_default, e.language, e.heartbeat, e.made_by, e.made_at, e.disabled_at, e.disabled_why,
       h.requests, h.failures, h.open_until, h.failing_since, h.last_success, h.last_failure
  from endpoint e
  left join endpoint_health h using (endpoint_id)
 where e.removed_at is null and e.name = $1;

-- name: add
-- One more; nothing when the name is taken.
insert into endpoint (endpoint_id, name, url, format, is_default, language, heartbeat, made_by)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (name) where removed_at is null do nothing
returning endpoint_id;

-- name: lock_secrets
-- The one in use first; held to the end of the transaction.
select secret
  from endpoint_secret
 where endpoint_id = $1 and (expires_at is null or expires_at > now())
 order by expires_at is null desc, made_at desc
   for update;

-- name: retire_secrets
-- What is in use signs until then.
update endpoint_secret
   set expires_at = now() + $2::interval
 where endpoint_id = $1 and expires_at is null;

-- name: put_secret
-- The one in use from now on; one that was retired comes back.
insert into endpoint_secret (endpoint_id, secret)
values ($1, $2)
on conflict (endpoint_id, secret) do update set expires_at = null, made_at = now();

-- name: forget_secrets
-- Those that sign no more.
delete from endpoint_secret
 where endpoint_id = $1 and expires_at <= now();

-- name: change
-- All that may be changed.
update endpoint
   set name = $2, url = $3, format = $4, is_default = $5, language = $6, disabled_at = $7, disabled_why = $8, made_by = $9, heartbeat = $10
 where endpoint_id = $1 and removed_at is null
returning endpoint_id;

-- name: reset_health
-- An endpoint that is somewhere else, or was enabled again, begins anew.
delete from endpoint_health where endpoint_id = $1;

-- name: remove
-- It gets nothing any more; what was sent to it stays listed.
update endpoint
   set removed_at = now()
 where endpoint_id = $1 and removed_at is null
returning endpoint_id;

-- name: of_profile
-- Those that the profile has made, removed ones too, the newest of a name last.
select endpoint_id, name, removed_at
  from endpoint
 where made_by = 'profile'
 order by made_at, endpoint_id;

-- name: restore
-- A line that is back in the profile.
update endpoint set removed_at = null where endpoint_id = $1;

-- name: one_at_a_time
-- Profiles are taken up by one process after the other.
select pg_advisory_xact_lock(hashtext('citybrain endpoints'));
