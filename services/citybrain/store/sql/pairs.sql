-- name: add
-- Readings that need a partner; what comes back is new.
insert into paired_reading (metric, subject, chain, time, key, area, role, micros)
select f.metric, f.subject, f.chain, timestamptz 'epoch' + f.at * interval '1 microsecond', f.key, f.area, f.role, f.micros
  from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::bigint[])
       as f (metric, subject, chain, at, key, area, role, micros)
 order by f.metric collate "C", f.subject collate "C", f.chain collate "C", f.at, f.key collate "C"
on conflict do nothing

-- name: touched
-- The minutes that new readings change: their own, and that of the next reading of each chain.
select distinct t.metric, t.subject, t.area, date_trunc('minute', t.time) as start
  from (select metric, subject, chain, timestamptz 'epoch' + at * interval '1 microsecond' as time, key, area
          from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[])
                 as u (metric, subject, chain, at, key, area)) f
 cross join lateral (
       select f.metric, f.subject, f.area, f.time
       union all
       (select n.metric, n.subject, n.area, n.time from paired_reading n
         where n.metric = f.metric and n.subject = f.subject and n.chain = f.chain and (n.time, n.key) > (f.time, f.key)
         order by n.time, n.key limit 1)) t

-- name: derive
-- Make the touched minutes anew from their readings and each one's predecessor in its chain. Readings are looked up minute by
-- minute (`offset 0` keeps it so): before a new table has statistics the planner would join all readings of an asset with all of
-- its minutes.
with todo as materialized (
  select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::integer[], $6::integer[])
             as t (metric, subject, area, start, series, parent)
), reading as materialized (
  select t.series, t.start, t.parent, p.metric, p.subject, p.chain, p.time, p.key, p.reset as was_reset,
         p.role = 'register' and before.role = 'register' and p.micros < before.micros as reset,
         case p.role
           when 'direct' then p.micros
           when 'register' then case when p.micros >= before.micros then p.micros - before.micros end
           when 'ended' then case when before.role = 'started'
                                  then (extract(epoch from p.time - before.time) * 1000000)::bigint end
         end as micros
    from todo t
    left join lateral (
         select * from paired_reading p
          where p.subject = t.subject and p.metric = t.metric and p.area = t.area
            and p.time >= t.start and p.time < t.start + interval '1 minute'
         offset 0) p on true
    left join lateral (
         select b.role, b.micros, b.time from paired_reading b
          where b.metric = p.metric and b.subject = p.subject and b.chain = p.chain and (b.time, b.key) < (p.time, p.key)
          order by b.time desc, b.key desc limit 1) before on true
), flagged as (
  update paired_reading p set reset = coalesce(r.reset, false)
    from reading r
   where p.metric = r.metric and p.subject = r.subject and p.chain = r.chain and p.time = r.time and p.key = r.key
     and r.was_reset <> coalesce(r.reset, false)
  returning 1
), fresh as (
  select r.series, r.start, r.parent, count(r.micros) as count, coalesce(sum(r.micros), 0) as sum, min(r.micros) as min,
         max(r.micros) as max,
         max((lpad((extract(epoch from r.time) * 1000000)::bigint::text, 16, '0') || e'\x01' || r.key || e'\x01'
              || r.micros::text) collate "C") filter (where r.micros is not null) as latest
    from reading r
   group by r.series, r.start, r.parent
)
insert into metric_window_1m as w (series, start, parent, leaf, count, sum, min, max, latest, subjects)
select f.series, f.start, f.parent, true, f.count, f.sum, f.min, f.max, f.latest, 1 from fresh f
 where f.count > 0 or exists (select from metric_window_1m o where o.series = f.series and o.start = f.start and o.start >= $7 and o.start <= $8)
 order by f.start, f.series
on conflict (start, series) do update
   set count = excluded.count, sum = excluded.sum, min = excluded.min, max = excluded.max, latest = excluded.latest,
       revision = w.revision + 1
 where (w.count, w.sum, w.min, w.max, w.latest) is distinct from
       (excluded.count, excluded.sum, excluded.min, excluded.max, excluded.latest)
returning series, parent, start
