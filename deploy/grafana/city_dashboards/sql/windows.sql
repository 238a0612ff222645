-- name: chart
-- A metric of the chosen area and of those below it. A row without a value ends a line where silence begins.
with shown as (
  select code, <<name>> as name from v_area where (code = <<area>> or parent = <<area>>) and <<current>>
), point as (
  select w.start, s.name, w.value, lead(w.start) over (partition by s.code order by w.start) as following
    from shown s join v_window w on w.area = s.code
   where w.step = <<step>> and w.metric = '<<metric>>' and w.subject is null and w.source is null and w.<<in_range>>
)
select start as time, name as metric, value from point
 union all
select start + <<pause>>, name, null from point where following - start > <<pause>>
 order by 1, 2

-- name: bars
-- How much of one or several metrics there was in the chosen area, in each hour, day or week.
select date_bin(<<bucket>>, w.start, $__timeFrom()::timestamptz) as time, n.name as metric, sum(w.value) as value
  from v_window w join (values <<named>>) n (metric, name) on n.metric = w.metric
 where w.step = <<step>> and w.metric in (<<metrics>>) and w.area = <<area>> and w.subject is null and w.source is null
   and w.<<in_range>>
 group by 1, 2
 order by 1, 2

-- name: bars_by_area
-- How much of a metric there was in each area one level below, in each hour, day or week.
select date_bin(<<bucket>>, w.start, $__timeFrom()::timestamptz) as time, a.<<name>> as metric, sum(w.value) as value
  from v_area a join v_window w on w.area = a.code
 where a.parent = <<area>> and a.<<current>>
   and w.step = <<step>> and w.metric = '<<metric>>' and w.subject is null and w.source is null and w.<<in_range>>
 group by a.code, 1, 2
 order by 1, 2

-- name: total
-- How much of a metric there was in the chosen area in the whole range; nothing when nothing was reported.
select sum(value) as value
  from v_window
 where step = <<step>> and metric = '<<metric>>' and area = <<area>> and subject is null and source is null and <<in_range>>
having count(*) > 0

-- name: now
-- The figure of the chosen area at the end of the range; nothing when it has been silent.
select value
  from v_window
 where step = '1m' and metric = '<<metric>>' and area = <<area>> and subject is null and source is null
   and start >= $__timeTo()::timestamptz - <<silent_after>> and start < $__timeTo()
 order by start desc
 limit 1

-- name: by_area
-- Totals of the areas one level below, side by side; null where nothing was reported.
with child as (select code, <<name>> as name from v_area where parent = <<area>> and <<current>>), total as (
  select w.area, w.metric, sum(w.value) as value
    from child c join v_window w on w.area = c.code
   where w.step = <<step>> and w.metric in (<<metrics>>) and w.subject is null and w.source is null and w.<<in_range>>
   group by w.area, w.metric
)
select c.name, <<totals>>
  from child c left join total t on t.area = c.code
 group by c.code, c.name
 order by c.code
