-- name: add_sources
-- Number sources that are new; sorted, so that two writers never wait for each other in a circle.
insert into source (name) select name from unnest($1::text[]) as n (name) order by name collate "C" on conflict do nothing

-- name: find_sources
-- The numbers of known sources.
select name, source_no from source where name = any ($1::text[])

-- name: add_series
-- Number series that are new, sorted, each with the next number of its shard; these numbers.
insert into series (series_no, metric, area, subject, source) overriding system value
select nextval(pg_get_serial_sequence('series', 'series_no')) * $6::integer + shard, metric, area, subject, source
  from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::smallint[]) as n (metric, area, subject, source, shard)
 where not exists (select from series s where s.metric = n.metric and s.area = n.area
                      and coalesce(s.subject, '') = coalesce(n.subject, '') and coalesce(s.source, '') = coalesce(n.source, ''))
 order by metric collate "C", area collate "C", subject collate "C", source collate "C"
on conflict do nothing
returning series_no

-- name: find_series
-- The numbers of known series, in the order asked.
select s.series_no
  from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality as n (metric, area, subject, source, position)
  join series s on s.metric = n.metric and s.area = n.area
   and coalesce(s.subject, '') = coalesce(n.subject, '') and coalesce(s.source, '') = coalesce(n.source, '')
 order by n.position

-- name: name_series
-- What numbered series are.
select series_no, metric, area, subject, source from series where series_no = any ($1::integer[])

-- name: put_metrics
-- Bring the table of metrics to the declared ones.
insert into metric (name, unit, kind, across, mode)
select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::smallint[]) as m (name, unit, kind, across, mode)
 order by name
on conflict (name) do update set unit = excluded.unit, kind = excluded.kind, across = excluded.across, mode = excluded.mode
 where (metric.unit, metric.kind, metric.across, metric.mode)
       is distinct from (excluded.unit, excluded.kind, excluded.across, excluded.mode)
