-- name: span
-- The first and last minute that have readings.
select min(start) as first, max(start) as last from metric_window_1m where leaf and count > 0

-- name: leaf_rows
-- Hours or days of assets, among those that are stored for good, that are not what their finer rows give.
with bound as materialized (
  select * from unnest($1::timestamptz[], $2::timestamptz[]) as b (start, ends)
), fresh as (
  select w.series, b.start, sum(w.count) as count, sum(w.sum) as sum, min(w.min) as min, max(w.max) as max,
         max(w.latest) as latest, sum(w.part) as part, sum(w.weight) as weight
    from bound b join {finer} w on w.start >= b.start and w.start < b.ends
   where w.leaf and w.count > 0
   group by w.series, b.start
), stored as (
  select * from {table} where leaf and count > 0 and start = any ($1::timestamptz[])
)
select s.metric, s.area, s.subject, s.source, coalesce(f.start, t.start) as start, t.count as stored, f.count::bigint as computed
  from fresh f
  full join stored t on t.series = f.series and t.start = f.start
  join series s on s.series_no = coalesce(f.series, t.series)
 where (t.count, t.sum, t.min, t.max, t.latest, t.part, t.weight)
       is distinct from (f.count, f.sum, f.min, f.max, f.latest, f.part, f.weight)

-- name: area_rows
-- Rows of areas that are not what the rows whose parent they are give.
with fresh as (
  select c.parent as series, c.start, sum(c.count) as count, sum(c.sum) as sum, min(c.min) as min, max(c.max) as max,
         max(c.latest) as latest, sum(c.subjects) as subjects,
         case when m.mode = 3 then max(d.part) else sum(d.part) end as part, sum(d.weight) as weight
    from {table} c
    join series s on s.series_no = c.series
    join metric m on m.name = s.metric
   cross join lateral (
         select case when not c.leaf then c.part when m.mode = 0 then c.sum when m.mode = 4 then round(c.part / c.count, 6)
                     else round(c.sum / c.count, 6) end as part,
                case when c.leaf and m.mode = 4 then round(c.weight / c.count, 6) else c.weight end as weight) d
   where c.count > 0 and c.parent > 0 and c.start = any ($1::timestamptz[])
   group by c.parent, c.start, m.mode
), stored as (
  select * from {table} where not leaf and count > 0 and start = any ($1::timestamptz[])
)
select s.metric, s.area, s.subject, s.source, coalesce(f.start, t.start) as start, t.count as stored, f.count::bigint as computed
  from fresh f
  full join stored t on t.series = f.series and t.start = f.start
  join series s on s.series_no = coalesce(f.series, t.series)
 where (t.count, t.sum, t.min, t.max, t.latest, t.subjects, t.part, t.weight)
       is distinct from (f.count, f.sum, f.min, f.max, f.latest, f.subjects, f.part, f.weight)

-- name: minute_starts
-- The minutes of a stretch that have readings.
select distinct start from metric_window_1m where start >= $1 and start < $2

-- name: final_through
-- Hours and days that ended by this moment are stored.
select greatest(final_through, timestamptz '1900-01-01 00:00+00') from rollup_state

-- name: pending
-- Rows that rollup has not worked on yet.
select (select count(*) from dirty) + (select count(*) from dirty_later where due <= (select final_through from rollup_state))
