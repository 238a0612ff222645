-- name: event_months
-- The beginnings of the months whose raw events are kept.
select make_timestamptz(substr(c.relname, 7, 4)::integer, substr(c.relname, 12, 2)::integer, 1, 0, 0, 0, 'UTC') as month
  from pg_inherits i join pg_class c on c.oid = i.inhrelid
 where i.inhparent = 'event'::regclass and c.relname ~ '^event_\d{4}_\d{2}$'
 order by month
