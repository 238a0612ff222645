-- name: waiting
-- Sessions that have locked a position or a lease, and whose statement waits for its client: which one, and how far it has come.
select a.pid, a.query_start, coalesce(c.bytes_processed, 0) as bytes
  from pg_stat_activity a
  left join pg_stat_progress_copy c on c.pid = a.pid
 where a.datname = current_database() and a.pid <> pg_backend_pid() and pg_has_role(a.usesysid, 'USAGE')
   and a.state = 'active' and a.wait_event_type = 'Client'
   and exists (select 1 from pg_locks l
                where l.pid = a.pid and l.mode in ('RowShareLock', 'RowExclusiveLock')
                  and l.relation in (to_regclass('bus_position'), to_regclass('lease')))

-- name: end
-- End those that are still in these statements.
select a.pid, pg_terminate_backend(a.pid) as ended
  from pg_stat_activity a join unnest($1::integer[], $2::timestamptz[]) as h (pid, query_start) using (pid, query_start)
 where a.wait_event_type = 'Client'
