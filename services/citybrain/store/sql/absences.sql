-- name: fallen
-- Assets of a type that spoke within a stretch and then not for so long, and of which that is not said yet. What follows a
-- reading is looked up by the index of subject and time.
with spoke as materialized (
  select e.subject, e.time from event e where e.type = $1 and e.time >= $2 and e.time <= $3 and e.subject is not null
), said as materialized (
  select subject from alert where rule = $5 and ended_at is null and subject is not null
)
select distinct s.subject
  from spoke s
 where s.subject not in (select subject from said)
   and coalesce((select n.time from event n where n.subject = s.subject and n.type = $1 and n.time > s.time order by n.time limit 1),
                'infinity') > s.time + $4::interval

-- name: ended
-- Assets that are said to be silent and have spoken since.
select n.rule, a.subject
  from unnest($1::text[], $2::text[]) as n (rule, type)
  join alert a on a.rule = n.rule and a.ended_at is null
  join asset_state s on s.subject = a.subject and s.type = n.type and s.time >= a.started_at

-- name: settling
-- Assets with alerts of a rule of which something is settled by a moment.
select distinct subject from alert
 where rule = $1 and provisional and subject is not null and coalesce(since, started_at) <= $2 and (ended_at is null or provisional)

-- name: readings
-- When assets spoke: the last time before a moment, and every time from then on, in order.
select n.subject, t.time
  from unnest($2::text[]) as n (subject)
 cross join lateral (
       (select time from event where subject = n.subject and type = $1 and time < $3 order by time desc limit 1)
       union all
       select time from event where subject = n.subject and type = $1 and time >= $3) t
 order by n.subject, t.time

-- name: states
-- Where assets are, and who spoke for them last.
select subject, area, split_part(latest, e'\x01', 2) as source from asset_state where type = $1 and subject = any ($2::text[])

-- name: silent
-- Alerts of rules that are about silence within a span, settled ones included.
select rule, area, source, fired_at, ended_at from alert
 where rule = any ($1::text[]) and subject is not null and state <> 'retracted' and (ended_at is null or ended_at > $2) and fired_at <= $3

-- name: armed
-- How many assets of a type have ever spoken, by source and area.
select split_part(latest, e'\x01', 2) as source, area, count(*) as assets from asset_state where type = $1 group by 1, 2
