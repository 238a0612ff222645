-- What Grafana shows. Who may read the views is no matter of a migration: roles belong to the server, see store/readers.py.

-- The rows of an asset or a source lie under its area, those of an area under the areas that it ever was part of, and those of
-- an area without one under themselves. Said here, a series is found by the index on (parent, start), as the API finds it.
-- With a literal `step` a statement opens one of the three tables, with bounds of `start` only its partitions in between.
create or replace view v_window as
  select x.step, r.metric, m.unit, r.area, r.subject, r.source, x.start, x.count,
         x.sum / 1000000 as sum, x.min / 1000000.0 as min, x.max / 1000000.0 as max,
         round(x.sum / x.count / 1000000, 6) as avg,
         split_part(x.latest, e'\x01', 4)::numeric / 1000000 as last,
         round(case when x.leaf then case when m.mode = 0 then x.sum else x.sum / x.count end
                    when m.mode = 2 then x.part / nullif(x.subjects, 0)
                    when m.mode = 4 then x.part * 1000000 / nullif(x.weight, 0)
                    else x.part end / 1000000, 6) as value,
         x.subjects, x.revision
    from series r
    join metric m on m.name = r.metric
    cross join lateral (
      select s.series_no as parent
        from series s
       where (r.subject is not null or r.source is not null)
         and s.metric = r.metric and s.area = r.area and s.subject is null and s.source is null
      union
      select s.series_no
        from area a join series s on s.metric = r.metric and s.area = a.parent and s.subject is null and s.source is null
       where r.subject is null and r.source is null and a.code = r.area
      union
      select -r.series_no where r.subject is null and r.source is null
    ) p
    join (select '1m' as step, * from metric_window_1m
          union all select '1h', * from metric_window_1h
          union all select '1d', * from metric_window_1d) x on x.parent = p.parent and x.series = r.series_no
   where x.count > 0;

-- With the middle of the outline, for maps.
create or replace view v_area as
  select code, level, parent, name_en, name_zh, valid_from, valid_to, geometry,
         (select (min((p ->> 0)::float8) + max((p ->> 0)::float8)) / 2
            from jsonb_path_query(geometry::jsonb, 'strict $.coordinates.** ? (@.type() == "array" && @[0].type() == "number")') p)
           as lon,
         (select (min((p ->> 1)::float8) + max((p ->> 1)::float8)) / 2
            from jsonb_path_query(geometry::jsonb, 'strict $.coordinates.** ? (@.type() == "array" && @[0].type() == "number")') p)
           as lat
    from area;

-- What has ever been measured where: a short list beside the long ones of `v_window`.
create view v_series as
  select r.metric, m.unit, m.kind, m.across, r.area, r.subject, r.source from series r join metric m on m.name = r.metric;

-- A chart marks the alerts of its stretch of time.
create index alert_started on alert (started_at);
