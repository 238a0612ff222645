-- name: end_hung
-- Sessions of ours that have locked a position or a lease, and whose statement has begun long ago and waits for its client.
select pid, pg_terminate_backend(pid) as ended
  from pg_stat_activity a
 where datname = current_database() and usename = current_user and pid <> pg_backend_pid()
   and state = 'active' and wait_event_type = 'Client' and query_start < clock_timestamp() - $1::interval
   and exists (select 1 from pg_locks l
                where l.pid = a.pid and l.mode in ('RowShareLock', 'RowExclusiveLock')
                  and l.relation in ('bus_position'::regclass, 'lease'::regclass))
