-- name: tables
create table seed_leaf (series integer, parent integer, every integer, phase integer, base float8, swing float8, noise float8,
                        peak float8, weight bigint, most float8, quiet_from timestamptz, quiet_to timestamptz);
create table seed_area (series integer, parent integer, depth integer, mode smallint);

-- name: minutes
-- `weight`: of a ratio its capacity, 0 of another gauge or sum, -1 of a count, which has as many readings as its value says.
-- Bytewise `latest` is (microseconds, source, id, value). `offset 0` has a row's figures computed once, not wherever they are named.
insert into metric_window_1m (series, start, parent, leaf, count, sum, min, max, latest, part, weight, subjects)
select series, at, parent, true, case when weight < 0 then raw else 1 end, micros, micros, micros,
       epoch || e'000000\x01/seed\x01' || series || e'\x01' || micros, case when weight > 0 then raw * (weight / 1000000) end,
       case when weight > 0 then weight end, case when weight < 0 then 0 else 1 end
  from (select *, case when weight < 0 then raw * 1000000 else raw end as micros
          from (select l.series, t.at, t.epoch, l.parent, l.weight,
                       least(l.most, greatest(0, l.base + l.swing * t.damped * cos((t.hour - l.peak) * 0.2617993878)
                                                 + l.noise * (hashint8(t.epoch + l.series * 7919) % 1000) / 1000.0::float8)
                                     * case when l.weight < 0 then 1 else 1000000 end)::bigint as raw
                  from (select every, phase, at, epoch, (epoch / 3600.0 + 8)::float8 as hour,
                               case when (epoch / 86400 + 4) % 7 in (0, 6) then 0.65 else 1 end::float8 as damped
                          from (select every, phase, at, extract(epoch from at)::bigint as epoch
                                  from (select distinct every, phase, every * interval '1 minute' as pause from seed_leaf) beat
                                 cross join generate_series(date_bin(pause, $1, timestamptz '2000-01-01 00:00+00')
                                                            + phase * interval '1 minute', $2::timestamptz, pause) at
                                 where at >= $1 and at < $2 offset 0) moment offset 0) t
                  join seed_leaf l on l.every = t.every and l.phase = t.phase
                   and (t.at < l.quiet_from or t.at >= l.quiet_to or l.quiet_from is null) offset 0) figure offset 0) row
 where weight >= 0 or raw > 0

-- name: areas
-- Areas of a level from their children, as rollup's `area_rows` does. All assets are in grids, of depth 4.
insert into {table} (series, start, parent, leaf, count, sum, min, max, latest, part, weight, subjects)
select series, start, parent, false, sum(count), sum(sum), min(min), max(max), max(latest),
       case when mode = 3 then max(part) else sum(part) end, sum(weight), sum(subjects)
  from (select a.series, c.start, a.parent, a.mode, c.count, c.sum, c.min, c.max, c.latest, c.subjects,
               case when not c.leaf then c.part when a.mode = 0 then c.sum when a.mode = 4 then round(c.part / c.count, 6)
                    else round(c.sum / c.count, 6) end as part,
               case when c.leaf and a.mode = 4 then round(c.weight / c.count, 6) else c.weight end as weight
          from {table} c join seed_area a on a.series = c.parent and a.depth = $3
         where c.start >= $1 and c.start < $2 and c.leaf = ($3 = 4)) child
 group by series, start, parent, mode
 order by series, start

-- name: hours
-- Hours of assets from their minutes, as rollup's `leaf_rows` does.
insert into metric_window_1h (series, start, parent, leaf, count, sum, min, max, latest, part, weight, subjects)
select series, date_bin('1 hour', start, timestamptz '2000-01-01 00:00+00'), parent, true, sum(count), sum(sum), min(min), max(max),
       max(latest), sum(part), sum(weight), max(subjects)
  from metric_window_1m
 where leaf and start >= $1 and start < $2
 group by 1, 2, 3
 order by 1, 2

-- name: days
-- Days of assets from their hours: the zone is one of whole hours.
insert into metric_window_1d (series, start, parent, leaf, count, sum, min, max, latest, part, weight, subjects)
select series, date_trunc('day', start, $3), parent, true, sum(count), sum(sum), min(min), max(max), max(latest), sum(part),
       sum(weight), max(subjects)
  from metric_window_1h
 where leaf and start >= $1 and start < $2
 group by 1, 2, 3
 order by 1, 2

-- name: indexes
-- Keys and indexes of windows: how to drop them, and how to make them again.
select coalesce('alter table ' || c.conrelid::regclass || ' drop constraint ' || c.conname, 'drop index ' || i.indexrelid::regclass)
         as dropped,
       coalesce('alter table ' || c.conrelid::regclass || ' add constraint ' || c.conname || ' ' || pg_get_constraintdef(c.oid),
                replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ')) as made
  from pg_index i left join pg_constraint c on c.conindid = i.indexrelid and c.contype = 'p'
 where i.indrelid in ('metric_window_1m'::regclass, 'metric_window_1h'::regclass, 'metric_window_1d'::regclass)
 order by i.indrelid, c.conname nulls first
