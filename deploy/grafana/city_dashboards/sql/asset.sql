-- name: metrics
-- What the asset has ever measured.
select metric as "__value", metric || ' · ' || unit as "__text"
  from v_series where subject = ${subject:sqlstring} group by 1, 2 order by 1

-- name: chart
-- What the asset measured, a line an area that it was seen in, broken where it was silent.
with point as (
  select w.start, w.area, w.value, w.min, w.max, lead(w.start) over (partition by w.area order by w.start) as following
    from v_window w
   where w.step = <<step>> and w.metric = ${metric:sqlstring} and w.subject = ${subject:sqlstring} and w.<<in_range>>
)
select p.start as time, a.<<name>> as metric, p.value
  from point p join v_area a on a.code = p.area and a.<<current>>
 union all
select p.start + <<pause>>, a.<<name>>, null
  from point p join v_area a on a.code = p.area and a.<<current>>
 where p.following - p.start > <<pause>>
 order by 1, 2

-- name: silences
-- When it was silent between two readings of the range, the longest first.
select start as begins, following as ends, extract(epoch from following - start)::float8 as silent_s
  from (select w.start, lead(w.start) over (order by w.start) as following
          from v_window w
         where w.step = <<step>> and w.metric = ${metric:sqlstring} and w.subject = ${subject:sqlstring} and w.<<in_range>>) point
 where following - start > <<pause>>
 order by silent_s desc
 limit 100

-- name: windows
-- The windows behind the chart, the newest first: what an auditor asks for.
select w.start, w.count, w.sum::float8 as sum, w.min::float8 as min, w.max::float8 as max, w.avg::float8 as avg, w.last::float8 as last,
       w.value::float8 as value, w.revision
  from v_window w
 where w.step = <<step>> and w.metric = ${metric:sqlstring} and w.subject = ${subject:sqlstring} and w.<<in_range>>
 order by w.start desc
 limit 200

-- name: state
-- The last event of each type that it sends.
select s.type, a.<<name>> as place, s.time, extract(epoch from $__timeTo()::timestamptz - s.time)::float8 as silent_s, s.data::text as data
  from v_asset s join v_area a on a.code = s.area and a.<<current>>
 where s.subject = ${subject:sqlstring}
 order by s.type

-- name: heard
-- When it was last heard, in milliseconds since 1970.
select extract(epoch from max(time))::float8 * 1000 as heard from v_asset where subject = ${subject:sqlstring} having count(*) > 0

-- name: alerts
-- Its alerts of the range.
select a.alert_id::text as alert_id, <<said_severity>> as severity, a.title ->> '<<lang>>' as title, <<said_state>> as state,
       a.started_at, a.ended_at, <<said_handling>> as handling
  from v_alert a
 where a.subject = ${subject:sqlstring} and a.started_at >= $__timeFrom() and a.started_at < $__timeTo() and a.state <> 'pending'
 order by a.started_at desc
 limit 100
