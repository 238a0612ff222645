-- name: cities
-- The city of the profile.
select code as "__value", <<name>> as "__text" from v_area where level = 'city' and <<current>> order by code

-- name: level
-- Areas of a level within the one chosen above it; the first choice is all of them.
select "__value", "__text"
  from (select '-' as "__value", '<<all>>' as "__text", 0 as place
        union all
        select code, <<name>>, 1 from v_area where level = '<<level>>' and parent = ${<<above>>:sqlstring} and <<current>>) choice
 order by place, "__value"

-- name: chosen
-- The finest area that is chosen.
select coalesce(nullif(${grid:sqlstring}, '-'), nullif(${community:sqlstring}, '-'), nullif(${street:sqlstring}, '-'),
                nullif(${district:sqlstring}, '-'), ${city:sqlstring}) as "__value"

-- name: below
-- The areas one level below the chosen one (a unit grid: itself): what is open, what is silent, how full, where on the map.
-- The columns of levels are where a link leads.
with recursive child as (
  select code, level, <<name>> as name, lon, lat
    from v_area
   where (parent = <<area>> or (code = <<area>> and level = 'grid')) and <<current>>
), beneath (child, code) as (
  select code, code from child union select b.child, a.code from v_area a join beneath b on a.parent = b.code
), open as (
  select c.code, count(*) as alerts, count(*) filter (where a.severity in ('major', 'critical')) as severe
    from v_alert a cross join unnest(a.path) p (code) join child c on c.code = p.code
   where a.ended_at is null and a.state in ('firing', 'recovering')
   group by c.code
), asset as (
  select b.child as code, count(*) as assets,
         count(*) filter (where s.time < $__timeTo()::timestamptz - <<silent_after>>) as silent
    from beneath b join v_asset s on s.area = b.code
   where s.type in ('parking.occupancy', 'utility.reading')
   group by b.child
)
select c.name, c.code, coalesce(o.alerts, 0) as alerts, coalesce(o.severe, 0) as severe, coalesce(s.silent, 0) as silent,
       coalesce(s.assets, 0) as assets, w.value as share, c.lat as latitude, c.lon as longitude,
       case when c.level = 'district' then c.code else ${district:sqlstring} end as district,
       case when c.level = 'street' then c.code else ${street:sqlstring} end as street,
       case when c.level = 'community' then c.code else ${community:sqlstring} end as community,
       case when c.level = 'grid' then c.code else ${grid:sqlstring} end as grid
  from child c
  left join open o using (code)
  left join asset s using (code)
  left join lateral (
    select value from v_window
     where step = '1m' and metric = 'parking.occupied_ratio' and area = c.code and subject is null and source is null
       and start >= $__timeTo()::timestamptz - <<silent_after>> and start < $__timeTo()
     order by start desc limit 1) w on true
 order by severe desc, alerts desc, c.code
