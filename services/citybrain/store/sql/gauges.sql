-- name: gauges
-- What Prometheus is told of the database: its clock, its size, and what waits for people.
select clock_timestamp() as now, pg_database_size(current_database()) as bytes,
       (select count(*) from dead_letter where requeued_at is null) as dead_letters,
       (select minutes_through from rollup_state) as areas,
       (select max(tick) from delivery where tick is not null and state = 'delivered') as delivered
