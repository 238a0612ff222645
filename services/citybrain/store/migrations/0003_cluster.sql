-- Many processes and many years.

-- ---- members ------------------------------------------------------------------------------------------------------

-- Who reads a topic for a role on the Postgres bus, each until its time is over. It only spreads the work: positions are fenced.
create table bus_member (
  topic  text        not null collate "C",
  role   text        not null collate "C",
  member text        not null collate "C",
  until  timestamptz not null,
  primary key (topic, role, member)
);

-- ---- storage ------------------------------------------------------------------------------------------------------

-- Hours and days by years, as minutes are by months. With TimescaleDB the four become hypertables: store/timescale.py.
drop view v_window;

do $$
declare
  step text;
  year integer;
begin
  foreach step in array array['1h', '1d'] loop
    execute format('alter table metric_window_%s rename to metric_window_%s_before', step, step);
    execute format('alter index metric_window_%s_pkey rename to metric_window_%s_before_pkey', step, step);
    execute format('alter index metric_window_%s_parent rename to metric_window_%s_before_parent', step, step);
    execute format('create table metric_window_%s (like metric_window_1m including defaults, primary key (series, start))'
                   ' partition by range (start)', step);
    execute format('create index metric_window_%s_parent on metric_window_%s (parent, start)', step, step);
    for year in execute format($q$select distinct extract(year from start at time zone 'UTC') from metric_window_%s_before$q$, step)
    loop
      execute format('create table metric_window_%s_%s partition of metric_window_%s for values from (%L) to (%L)', step,
                     lpad(year::text, 4, '0'), step, make_timestamptz(year, 1, 1, 0, 0, 0, 'UTC'),
                     make_timestamptz(year + 1, 1, 1, 0, 0, 0, 'UTC'));
    end loop;
    execute format('insert into metric_window_%s select * from metric_window_%s_before', step, step);
    execute format('drop table metric_window_%s_before', step);
  end loop;
end $$;

create view v_window as
  select x.step, r.metric, m.unit, r.area, r.subject, r.source, x.start, x.count,
         x.sum / 1000000 as sum, x.min / 1000000.0 as min, x.max / 1000000.0 as max,
         round(x.sum / x.count / 1000000, 6) as avg,
         split_part(x.latest, e'\x01', 4)::numeric / 1000000 as last,
         round(case when x.leaf then case when m.mode = 0 then x.sum else x.sum / x.count end
                    when m.mode = 2 then x.part / nullif(x.subjects, 0)
                    when m.mode = 4 then x.part * 1000000 / nullif(x.weight, 0)
                    else x.part end / 1000000, 6) as value,
         x.subjects, x.revision
    from (select '1m' as step, * from metric_window_1m
          union all select '1h', * from metric_window_1h
          union all select '1d', * from metric_window_1d) x
    join series r on r.series_no = x.series
    join metric m on m.name = r.metric
   where x.count > 0;

-- Retention of deliveries goes by their end.
create index delivery_ended on delivery (ended_at) where ended_at is not null;
