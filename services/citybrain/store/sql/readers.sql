-- name: holders
-- Roles that were given views, other than the owner: whoever could read them before a migration can after it.
select distinct r.rolname as name
  from pg_class v cross join aclexplode(v.relacl) a join pg_roles r on r.oid = a.grantee
 where v.relnamespace = 'public'::regnamespace and v.relkind = 'v' and v.relname like 'v\_%' and a.privilege_type = 'SELECT'
   and a.grantee <> v.relowner
 order by 1

-- name: role
-- Whether there is such a role on this server.
select exists (select from pg_roles where rolname = $1)

-- name: make
-- The statement that makes a role which may log in, given its password as the server keeps it.
select format('create role %I login password %L connection limit 20', $1::text, $2::text) as statement

-- name: give_password
-- The statement that gives a role another password.
select format('alter role %I login password %L', $1::text, $2::text) as statement

-- name: limits
-- The statements that keep a role of this database from harm: it reads, and no statement of it goes on for ever or takes more
-- than one processor. (Of rows that it would gather from several, TimescaleDB 2.28 expects one, and loops over all series for each.)
select format('alter role %I in database %I set %s', $1::text, current_database(), setting) as statement
  from unnest(array['default_transaction_read_only = on', 'statement_timeout = ''15s''', 'lock_timeout = ''2s''',
                    'idle_in_transaction_session_timeout = ''30s''', 'jit = off', 'max_parallel_workers_per_gather = 0']) as setting

-- name: doors
-- The statements that let a role into the database and its schema, where not everybody is.
select format('grant connect on database %I to %I', current_database(), $1::text) as statement
 where not has_database_privilege($1::text, current_database(), 'CONNECT')
union all
select format('grant usage on schema public to %I', $1::text) where not has_schema_privilege($1::text, 'public', 'USAGE')

-- name: grants
-- The statements that let a role read the views that it cannot read yet.
select format('grant select on %s to %I', v.oid::regclass, $1::text) as statement
  from pg_class v
 where v.relnamespace = 'public'::regnamespace and v.relkind = 'v' and v.relname like 'v\_%'
   and not has_table_privilege($1::text, v.oid, 'SELECT')

-- name: revokes
-- The statements that take it all back.
select format('revoke all on %s from %I', v.oid::regclass, $1::text) as statement
  from pg_class v where v.relnamespace = 'public'::regnamespace and v.relkind = 'v' and v.relname like 'v\_%'
union all
select format('revoke all on schema public from %I', $1::text)
union all
select format('revoke all on database %I from %I', current_database(), $1::text)
union all
select format('alter role %I in database %I reset all', $1::text, current_database())
union all
select format('drop role %I', $1::text)

-- name: too_much
-- What a role may do in this database beside reading views.
select c.oid::regclass::text as name
  from pg_class c
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'S') and not (c.relkind = 'v' and c.relname like 'v\_%')
   and (case when c.relkind = 'S' then has_sequence_privilege($1::text, c.oid, 'USAGE, SELECT, UPDATE')
             else has_table_privilege($1::text, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') end)
 order by 1
