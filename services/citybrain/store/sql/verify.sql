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

-- name: keep_events
-- Until the end of the transaction no month of raw events is forgotten.
lock table event in access share mode

-- name: events
-- What events of a stretch say, in the order of time (µs since 1970).
select (extract(epoch from e.time) * 1000000)::bigint as at, s.name as source, e.id, e.type, e.subject, e.area, e.data
  from event e join source s using (source_no)
 where e.time >= $1 and e.time < $2
 order by e.time

-- name: pairs
-- Readings that need a partner, from a moment on, in the order of time.
select metric, subject, chain, (extract(epoch from time) * 1000000)::bigint as at, key, area, role, micros, reset
  from paired_reading
 where time >= $1
 order by time

-- name: open_pairs
-- The last reading of each chain before a moment, where the next one needs it.
select metric, subject, chain, (extract(epoch from time) * 1000000)::bigint as at, key, role, micros
  from (select distinct on (metric, subject, chain) * from paired_reading
         where time < $1
         order by metric, subject, chain, time desc, key desc) p
 where role in ('register', 'started')

-- name: wrong_minutes
-- Minutes of assets, of a stretch, that are not those given.
with fresh as materialized (
  select metric, area, subject, source, timestamptz 'epoch' + at * interval '1 microsecond' as start, count, sum::numeric as sum,
         min, max, latest, part::numeric as part, weight::numeric as weight, subjects
    from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::text[], $10::bigint[],
                $11::bigint[], $12::text[], $13::text[], $14::text[], $15::integer[])
           as f (metric, area, subject, source, at, count, sum, min, max, latest, part, weight, subjects)
), stored as materialized (
  select s.metric, s.area, s.subject, s.source, w.start, w.count, w.sum, w.min, w.max, w.latest, w.part, w.weight, w.subjects
    from metric_window_1m w join series s on s.series_no = w.series
   where w.leaf and w.count > 0 and w.start >= $1 and w.start < $2
)
select coalesce(t.metric, f.metric) as metric, coalesce(t.area, f.area) as area, coalesce(t.subject, f.subject) as subject,
       coalesce(t.source, f.source) as source, coalesce(t.start, f.start) as start, t.count as stored, f.count as computed
  from fresh f
  full join stored t on t.start = f.start and t.metric = f.metric and t.area = f.area
   and coalesce(t.subject, '') = coalesce(f.subject, '') and coalesce(t.source, '') = coalesce(f.source, '')
 where (t.count, t.sum, t.min, t.max, t.latest, t.part, t.weight, t.subjects)
       is distinct from (f.count, f.sum, f.min, f.max, f.latest, f.part, f.weight, f.subjects)
 order by start, metric, area, subject, source
