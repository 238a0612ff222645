-- Keys of the API. A key's text is never stored, only its hash.

-- name: live_keys
-- Every key that lets somebody in now. Read by all front doors twice a second.
select key_id, name, role, source_prefix, hash
  from api_key
 where revoked_at is null and (expires_at is null or expires_at > now())
 order by name;

-- name: list_keys
-- Every key there ever was, for people.
select key_id, name, role, source_prefix, created_at, expires_at, revoked_at
  from api_key
 order by name;

-- name: create_key
-- One more key; nothing when the name is taken.
insert into api_key (key_id, name, role, source_prefix, hash, expires_at)
values ($1, $2, $3, $4, $5, $6)
on conflict (name) do nothing
returning key_id;

-- name: set_admin_key
-- The key of the settings. A revoked one stays revoked until the setting changes.
insert into api_key (key_id, name, role, hash)
values ($1, $2, 'admin', $3)
on conflict (name) do update
  set role = 'admin', source_prefix = null, hash = excluded.hash, created_at = now(), expires_at = null, revoked_at = null
  where api_key.hash <> excluded.hash;

-- name: find_key
-- By name or by id.
select key_id, name, role, source_prefix, created_at, expires_at, revoked_at
  from api_key
 where name = $1 or key_id::text = $1
 order by name = $1 desc
 limit 1;

-- name: revoke_key
-- From now on; the first revocation keeps its time.
update api_key
   set revoked_at = coalesce(revoked_at, now())
 where key_id = $1;

-- name: replace_secret
-- A live key gets another secret; nothing when it was revoked meanwhile.
update api_key
   set hash = $2
 where key_id = $1 and revoked_at is null
returning key_id;
