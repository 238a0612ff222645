-- When assets were heard of, from their windows; raw events are not read. `latest` begins with the microseconds of its event.

-- name: series_of
-- The series of assets, each with the one of its area, under which its minutes are found.
select r.subject, r.metric, r.series_no as series, p.series_no as parent
  from series r
  join series p on p.metric = r.metric and p.area = r.area and p.subject is null and p.source is null
 where r.subject = any ($1::text[])
 order by r.subject, r.series_no

-- name: hours
-- Stored hours with readings that overlap stretches, and the last before and the first behind each; `ends` of no stretch is
-- behind what is stored. By asset: the hour, and the first and the last of the latest readings of its series.
select a.asset, x.start, (min(left(x.latest, 16)))::bigint as high, (max(left(x.latest, 16)))::bigint as last
  from unnest($1::integer[], $2::integer[]) as a (asset, series)
 cross join unnest($3::timestamptz[], $4::timestamptz[]) as s (begins, ends)
 cross join lateral (
       (select start, latest from metric_window_1h
         where series = a.series and start < least(s.begins, $5::timestamptz) and count > 0 order by start desc limit 1)
       union all
       select start, latest from metric_window_1h
        where series = a.series and start >= s.begins and start < least(s.ends, $5) and count > 0
       union all
       (select start, latest from metric_window_1h
         where series = a.series and start >= s.ends and start < $5 and count > 0 order by start limit 1)
       ) x
 group by a.asset, x.start
 order by a.asset, x.start

-- name: minutes
-- Minutes with readings of assets' series in stretches. `first` where it is known: a minute of one reading.
select a.asset, m.start, (min(left(m.latest, 16)))::bigint as high, (max(left(m.latest, 16)))::bigint as last,
       max(m.count) = 1 as single
  from unnest($1::integer[], $2::integer[], $3::integer[], $4::timestamptz[], $5::timestamptz[])
         as a (asset, series, parent, begins, ends)
 cross join lateral (  -- stretch by stretch, whatever statistics there are
       select start, latest, count from metric_window_1m
        where parent = a.parent and series = a.series and start >= a.begins and start < a.ends and count > 0
       offset 0) m
 group by a.asset, m.start
 order by a.asset, m.start

-- name: first_of_minute
-- The first event of an asset in a minute that holds several: one look along the index by subject and time.
select a.asset, a.start, e.time
  from unnest($1::integer[], $2::text[], $3::text[], $4::timestamptz[]) as a (asset, subject, type, start)
 cross join lateral (
       select time from event where subject = a.subject and type = a.type and time >= a.start and time < a.start + interval '1 minute'
        order by time limit 1) e
