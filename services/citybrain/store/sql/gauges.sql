-- name: gauges
-- What Prometheus is told of the database: its size, what waits for people, how far stages have come, how endpoints do. One that is
-- tried anew between two rests has not come back yet.
select pg_database_size(current_database()) as bytes,
       (select count(*) from dead_letter where requeued_at is null) as dead_letters,
       (select minutes_through from rollup_state) as areas,
       (select max(tick) from delivery where tick is not null and state = 'delivered') as delivered,
       n.works, n.left_alone, n.disabled
  from (select count(*) filter (where e.disabled_at is null and h.open_until is null) as works,
               count(*) filter (where e.disabled_at is null and h.open_until is not null) as left_alone,
               count(*) filter (where e.disabled_at is not null) as disabled
          from endpoint e left join endpoint_health h using (endpoint_id)
         where e.removed_at is null and e.url <> '') n
