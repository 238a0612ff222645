-- name: is_partitioned
-- Whether the tables that grow are cut by PostgreSQL itself; else they are hypertables.
select relkind = 'p' from pg_class where oid = 'event'::regclass

-- name: event_months
-- The beginnings of the months whose raw events are kept.
select make_timestamptz(substr(c.relname, 7, 4)::integer, substr(c.relname, 12, 2)::integer, 1, 0, 0, 0, 'UTC') as month
  from pg_inherits i join pg_class c on c.oid = i.inhrelid
 where i.inhparent = 'event'::regclass and c.relname ~ '^event_\d{4}_\d{2}$'
 order by month

-- name: event_chunks
-- The chunks of raw events.
select format('%I.%I', chunk_schema, chunk_name) as name, range_start, range_end from timescaledb_information.chunks
 where format('%I.%I', hypertable_schema, hypertable_name)::regclass = 'event'::regclass
 order by range_start

-- name: drop_chunks
-- Drop the chunks of raw events that ended by a moment.
select drop_chunks('event'::regclass, older_than => $1::timestamptz)
