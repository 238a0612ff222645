-- name: standing
-- How far alert has come, under which rules, and through which moment all minutes are complete.
select p.pass, p.final_through, p.rule_version, (select minutes_through from rollup_state) as minutes_through
  from alert_progress p

-- name: has_work
-- Whether a pass would find anything: batches, final ticks, other rules, commands, acknowledgements that ran out.
select exists (select from change c left join change_position p using (role, partition) where c.batch > coalesce(p.batch, -1))
    or exists (select from alert_progress p, rollup_state r
                where r.minutes_through is not null
                  and (p.final_through is distinct from r.minutes_through or p.rule_version is distinct from $1::integer))
    or exists (select from command where done_at is null)
    or exists (select from alert where handling = 'acknowledged' and handled_until <= $2 and ended_at is null)

-- name: silence_ended
-- Whether an asset that is said to be silent has spoken.
select exists (select from unnest($1::text[], $2::text[]) as n (rule, type)
                 join alert a on a.rule = n.rule and a.ended_at is null
                 join asset_state s on s.subject = a.subject and s.type = n.type and s.time >= a.started_at)

-- name: stored
-- How many events were ever stored.
select coalesce(sum(stored), 0)::bigint from bus_position where role = 'aggregate'

-- name: advance
-- Compare and swap: only the owner that read this pass may go on. No row: fenced.
update alert_progress set pass = pass + 1, final_through = $2, rule_version = $3 where pass = $1 returning pass

-- name: take
-- The batches that follow each writer's position, in their order: at most so many, as many as stay below a number of entries,
-- but at least one each.
select n.role, n.partition, n.batch, n.series, n.minutes, n.late_subject, n.late_type, n.late_minute
  from (select distinct role, partition from change) w
 cross join lateral (
       select c.*, sum(cardinality(c.series) + cardinality(c.late_subject)) over (order by c.batch)
                   - cardinality(c.series) - cardinality(c.late_subject) as before
         from (select * from change
                where role = w.role and partition = w.partition
                  and batch > coalesce((select p.batch from change_position p where p.role = w.role and p.partition = w.partition), -1)
                order by batch limit $1) c) n
 where n.before < $2
 order by n.role, n.partition, n.batch

-- name: taken
-- Keep the new positions; what lies behind them is not read again here (the stream forgets it a little later).
insert into change_position as p (role, partition, batch)
select * from unnest($1::text[], $2::smallint[], $3::bigint[])
on conflict (role, partition) do update set batch = greatest(p.batch, excluded.batch)

-- name: lag
-- Batches and commands that alert could work on now, and the moments of its last final tick and of the last complete minute.
select (select count(*) from change c left join change_position p using (role, partition) where c.batch > coalesce(p.batch, -1))
         + (select count(*) from command where done_at is null) as waiting,
       (select final_through from alert_progress) as final_through,
       (select minutes_through from rollup_state) as minutes_through

-- name: series
-- What numbered series are.
select series_no, metric, area, subject, source from series where series_no = any ($1::integer[])

-- name: series_of_subjects
-- All series of a metric whose subjects are these.
select series_no, metric, area, subject, source from series where metric = $1 and subject = any ($2::text[])

-- name: series_of_areas
-- The areas' own series of a metric.
select series_no, metric, area, subject, source from series
 where metric = $1 and area = any ($2::text[]) and subject is null and source is null

-- name: newest_minute
-- The last minute with a row.
select max(start) from metric_window_1m

-- name: modes
-- How the rows of metrics add up.
select name, mode from metric

-- name: moving
-- Series of some metrics with a row in one of these minutes (since 1970).
select distinct w.series
  from metric_window_1m w
 where w.start = any (array(select to_timestamp(m * 60.0) from unnest($1::integer[]) as m))
   and w.leaf = $2 and w.series in (select series_no from series where metric = any ($3::text[]))

-- name: in_span
-- Series of some metrics with a row in a stretch of minutes.
select distinct w.series
  from metric_window_1m w
 where w.start >= to_timestamp($1::integer * 60.0) and w.start < to_timestamp($2::integer * 60.0)
   and w.leaf = $3 and w.series in (select series_no from series where metric = any ($4::text[]))

-- name: every_series
-- All series of a metric, of assets or of areas.
select series_no from series
 where metric = $1 and case when $2 then subject is not null else subject is null and source is null end

-- name: minutes
-- The minutes of series, each in its own stretch. Sums go as text: they may be longer than 64 bits.
select s.scope as series, (extract(epoch from w.start) / 60)::integer as minute, w.count, w.sum::text as sum, w.min, w.max, w.latest,
       trunc(w.part * 1000000)::text as part, trunc(w.weight * 1000000)::text as weight, w.subjects, w.series as member
  from unnest($1::integer[], $2::integer[], $3::integer[], $4::integer[]) as s (scope, series, begins, ends)
 cross join lateral generate_series(s.begins, s.ends - 1) as m (minute)
 cross join lateral (  -- minute by minute, whatever statistics there are
       select * from metric_window_1m
        where start = to_timestamp(m.minute * 60.0) and series = s.series and count > 0
          and start >= to_timestamp($5::integer * 60.0) and start < to_timestamp($6::integer * 60.0)
       offset 0) w

-- name: many_minutes
-- The same for so many series that reading whole minutes is cheaper.
select s.scope as series, (extract(epoch from w.start) / 60)::integer as minute, w.count, w.sum::text as sum, w.min, w.max, w.latest,
       trunc(w.part * 1000000)::text as part, trunc(w.weight * 1000000)::text as weight, w.subjects, w.series as member
  from unnest($1::integer[], $2::integer[], $3::integer[], $4::integer[]) as s (scope, series, begins, ends)
  join metric_window_1m w on w.series = s.series
   and w.start >= to_timestamp(s.begins * 60.0) and w.start < to_timestamp(s.ends * 60.0)
 where w.start >= to_timestamp($5::integer * 60.0) and w.start < to_timestamp($6::integer * 60.0) and w.count > 0

-- name: leaf_minutes
-- Minutes of the assets beneath areas: $2 are the series that rows of assets add to, $1 the scopes they belong to.
select s.scope as series, (extract(epoch from w.start) / 60)::integer as minute, w.count, w.sum::text as sum, w.min, w.max, w.latest,
       trunc(w.part * 1000000)::text as part, trunc(w.weight * 1000000)::text as weight, w.subjects, w.series as member
  from unnest($1::integer[], $2::integer[], $3::integer[], $4::integer[]) as s (scope, parent, begins, ends)
 cross join lateral (  -- stretch by stretch, whatever statistics there are
       select * from metric_window_1m
        where parent = s.parent and start >= to_timestamp(s.begins * 60.0) and start < to_timestamp(s.ends * 60.0)
          and leaf and count > 0 and start >= to_timestamp($5::integer * 60.0) and start < to_timestamp($6::integer * 60.0)
       offset 0) w

-- name: gaps
-- Stretches without a heartbeat in any partition that touch a span.
select started_at, ended_at from pipeline_gap where ended_at > $1 and started_at < $2 order by started_at
