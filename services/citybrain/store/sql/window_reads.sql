-- name: standing
-- How far time has come in every partition, and which hours and days are stored.
select (select case when bool_and(watermark is not null) then min(watermark) end from bus_position where role = 'aggregate')
         as watermark,
       (select greatest(final_through, timestamptz '1900-01-01 00:00+00') from rollup_state) as final_through

-- name: metric
-- A metric that has been reported.
select unit, mode from metric where name = $1

-- name: area_series
-- The numbers of areas' own series of a metric.
select area, series_no from series where metric = $1 and area = any ($2::text[]) and subject is null and source is null

-- name: subject_series
-- The numbers of an asset's series of a metric, one for each area that it was seen in.
select area, series_no from series where metric = $1 and subject = $2

-- name: reporting
-- Which of these assets have ever reported a metric.
select distinct subject from series where metric = $1 and subject = any ($2::text[])

-- name: stored
-- Windows of one step as they are stored. Sums go as text: numerics are slow to decode.
select start, count, sum::text as sum, min, max, latest, trunc(part * 1000000)::text as part,
       trunc(weight * 1000000)::text as weight, subjects, revision
  from {table}
 where parent = any ($1::integer[]) and series = any ($2::integer[]) and start >= $3 and start < $4 and count > 0
 order by start limit $5

-- name: open_windows
-- Hours or days that are not stored yet, from assets' hours before a moment and assets' minutes from then on. With a mode
-- the assets combine to what their area shows, else they are one asset's own series.
with piece as (
  select start, series, count, sum, min, max, latest, part, weight, subjects, revision from metric_window_1h
   where $8::boolean and leaf and parent = any ($1::integer[]) and ($2::integer[] is null or series = any ($2::integer[]))
     and start >= $3 and start < least($4::timestamptz, $5::timestamptz)
  union all
  select start, series, count, sum, min, max, latest, part, weight, subjects, revision from metric_window_1m
   where leaf and parent = any ($1::integer[]) and ($2::integer[] is null or series = any ($2::integer[]))
     and start >= greatest($3::timestamptz, $5::timestamptz) and start < $4
), leaf as (
  select case when $6::timestamptz[] is null then date_bin('1 hour', start, timestamptz '2000-01-01 00:00+00')
              else ($6::timestamptz[])[width_bucket(start, $6::timestamptz[])] end as start,
         series, sum(count)::bigint as count, sum(sum) as sum, min(min) as min, max(max) as max, max(latest) as latest,
         sum(part) as part, sum(weight) as weight, max(subjects) filter (where count > 0) as subjects, sum(revision) as revision
    from piece group by 1, 2
), contribution as (
  select start, count, sum, min, max, latest, subjects, revision,
         case when count = 0 then null
              when $7::smallint = 0 then sum
              when $7 = 4 then round(part / count, 6)
              else round(sum / count, 6) end as part,
         case when count > 0 and $7 = 4 then round(weight / count, 6) end as weight
    from leaf
)
select start, sum(count)::bigint as count, sum(sum)::text as sum, min(min) as min, max(max) as max, max(latest) as latest,
       trunc(case when $7 = 3 then max(part) else sum(part) end * 1000000)::text as part,
       trunc(sum(weight) * 1000000)::text as weight, coalesce(sum(subjects), 0) as subjects, sum(revision)::bigint as revision
  from contribution group by start having sum(count) > 0 order by start limit $9

-- name: last_minute
-- The last minute with a reading of anything.
select max(start) from metric_window_1m

-- name: every_stored
-- All windows of a table that start before a moment, with readings, for the state dump.
select w.start, w.leaf, r.metric, r.area, r.subject, r.source, m.mode, w.count, w.sum, w.min, w.max, w.latest,
       trunc(w.part * 1000000) as part, trunc(w.weight * 1000000) as weight, w.subjects
  from {table} w join series r on r.series_no = w.series join metric m on m.name = r.metric
 where w.count > 0 and w.start < $1

-- name: every_open_leaf
-- All hours or days of assets that are not stored yet, by start, with what each adds to its areas, for the state dump.
with piece as (
  select start, series, count, sum, min, max, latest, part, weight, subjects from metric_window_1h
   where $4::boolean and leaf and start >= $1 and start < $2::timestamptz
  union all
  select start, series, count, sum, min, max, latest, part, weight, subjects from metric_window_1m
   where leaf and start >= greatest($1, $2::timestamptz)
), leaf as (
  select case when $3::timestamptz[] is null then date_bin('1 hour', start, timestamptz '2000-01-01 00:00+00')
              else ($3::timestamptz[])[width_bucket(start, $3::timestamptz[])] end as start,
         series, sum(count)::bigint as count, sum(sum) as sum, min(min) as min, max(max) as max, max(latest) as latest,
         sum(part) as part, sum(weight) as weight, max(subjects) as subjects
    from piece where count > 0 group by 1, 2
)
select w.start, true as leaf, r.metric, r.area, r.subject, r.source, m.mode, w.count, w.sum, w.min, w.max, w.latest,
       trunc(case when m.mode = 0 then w.sum when m.mode = 4 then round(w.part / w.count, 6)
                  else round(w.sum / w.count, 6) end * 1000000) as part,
       trunc(case when m.mode = 4 then round(w.weight / w.count, 6) end * 1000000) as weight, w.subjects
  from leaf w join series r on r.series_no = w.series join metric m on m.name = r.metric
 order by w.start
