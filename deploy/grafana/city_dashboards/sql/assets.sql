-- name: silence
-- Assets of types that report at intervals: how many there are, how many are silent at the end of the range.
with recursive <<below>>
select count(*) filter (where s.time < $__timeTo()::timestamptz - <<silent_after>>) as silent, count(*) as assets
  from v_asset s join below b on b.code = s.area
 where s.type in (<<types>>)
having count(*) > 0

-- name: heard
-- When anything of these types was last heard, in milliseconds since 1970.
with recursive <<below>>
select extract(epoch from max(s.time))::float8 * 1000 as heard
  from v_asset s join below b on b.code = s.area
 where s.type in (<<types>>)
having count(*) > 0

-- name: car_parks
-- Every car park: full ones first, then the silent ones, whose last figure is not told as today's.
with recursive <<below>>, lot as (
  select s.subject, s.area, s.time, extract(epoch from $__timeTo()::timestamptz - s.time)::float8 as silent_s,
         (s.data ->> 'occupied')::float8 as occupied, (s.data ->> 'capacity')::float8 as capacity
    from v_asset s join below b on b.code = s.area
   where s.type = 'parking.occupancy'
)
select l.subject, a.<<name>> as place, case when l.silent_s <= <<silent_s>> then l.occupied / nullif(l.capacity, 0) end as share,
       case when l.silent_s <= <<silent_s>> then l.occupied end as occupied, l.capacity, l.silent_s, 'parking.occupied_ratio' as measured
  from lot l join v_area a on a.code = l.area and a.<<current>>
 order by share desc nulls last, l.silent_s desc, l.subject
 limit 200

-- name: meters
-- Meters and sensors of the chosen media, those that have been silent for longest first.
with recursive <<below>>
select s.subject, a.<<name>> as place, s.data ->> 'medium' as medium, s.data ->> 'quantity' as quantity,
       case when s.time >= $__timeTo()::timestamptz - <<silent_after>> then (s.data ->> 'value')::float8 end as value,
       s.data ->> 'unit' as unit, extract(epoch from $__timeTo()::timestamptz - s.time)::float8 as silent_s,
       (s.data ->> 'medium') || '.' || case s.data ->> 'quantity' when 'register' then 'consumption' else s.data ->> 'quantity' end
         as measured
  from v_asset s join below b on b.code = s.area join v_area a on a.code = s.area and a.<<current>>
 where s.type = 'utility.reading' and ${medium:sqlstring} in ('-', s.data ->> 'medium')
 order by silent_s desc, s.subject
 limit 200

-- name: bins
-- The fullest bins, with how long ago they said so.
with recursive <<below>>
select s.subject, a.<<name>> as place, (s.data ->> 'level_percent')::float8 as level,
       extract(epoch from $__timeTo()::timestamptz - s.time)::float8 as silent_s, 'bin.level' as measured
  from v_asset s join below b on b.code = s.area join v_area a on a.code = s.area and a.<<current>>
 where s.type = 'bin.level'
 order by level desc, s.subject
 limit 100

-- name: batteries
-- Devices with the least charge.
with recursive <<below>>
select s.subject, a.<<name>> as place, (s.data ->> 'percent')::float8 as charge,
       extract(epoch from $__timeTo()::timestamptz - s.time)::float8 as silent_s, 'device.battery' as measured
  from v_asset s join below b on b.code = s.area join v_area a on a.code = s.area and a.<<current>>
 where s.type = 'device.battery'
 order by charge, s.subject
 limit 100

-- name: facilities
-- How facilities say they are.
with recursive <<below>>
select s.data ->> 'state' as state, count(*) as facilities,
       extract(epoch from $__timeTo()::timestamptz - max(s.time))::float8 as silent_s
  from v_asset s join below b on b.code = s.area
 where s.type = 'facility.status'
 group by 1
 order by 2 desc, 1
