-- name: progress
-- The moment that every partition has passed; up to where hours and days are stored, and minutes complete; and up to where the
-- shards that are not ours ($1) have come: null while one has not begun, or has yet to make what another handed on to it.
select (select case when bool_and(watermark is not null) then min(watermark) end from bus_position where role = 'aggregate')
         as watermark,
       greatest(final_through, timestamptz '1900-01-01 00:00+00') as final_through, minutes_through,
       others.minutes as others_minutes, others.final as others_final
  from rollup_state
 cross join (select case when bool_and(minutes_through is not null) then min(minutes_through) end as minutes,
                    case when bool_and(final_through is not null) then min(final_through) end as final
               from rollup_shard
              where shard <> all ($1::smallint[])
                and not exists (select from dirty where handed_on and series % $2::integer <> all ($1::smallint[]))
                and not exists (select from dirty_later where handed_on and series % $2::integer <> all ($1::smallint[]))) others

-- name: take_dirty
-- Take what is to be done now, each once.
with taken as (
  delete from dirty where ctid = any (array(select ctid from dirty where series % $3::integer = any ($2::smallint[]) limit $1))
  returning step, start, series, handed_on
)
select step, start, series, bool_or(handed_on) as handed_on, count(*) as rows from taken group by step, start, series

-- name: is_dirty
-- Whether anything is to be made now.
select exists (select from dirty)

-- name: hand_on
-- Rows that other shards have to make, because of what changed here.
insert into dirty (step, start, series, handed_on)
select $1, *, true from unnest($2::timestamptz[], $3::integer[])

-- name: put_later
-- Keep hours and days, once each, until they are due.
insert into dirty_later as l (step, start, series, handed_on, due)
select * from unnest($1::text[], $2::timestamptz[], $3::integer[], $4::boolean[], $5::timestamptz[])
           as d (step, start, series, handed_on, due)
 order by step, start, series
on conflict (step, start, series) do update set handed_on = true where excluded.handed_on and not l.handed_on

-- name: take_due
-- Take hours and days that ended by a moment; a day comes after its hours.
with taken as (
  delete from dirty_later where (step, start, series) in (
    select step, start, series from dirty_later
     where due <= $1 and series % $4::integer = any ($3::smallint[]) order by due, step desc limit $2)
  returning step, start, series, due
)
select step, start, series, due from taken

-- name: passed
-- Everything that ended by this moment is stored.
update rollup_state set final_through = greatest(final_through, $1)

-- name: shards_passed
-- Through which moment these shards have made their minutes ($2), and their hours and days ($3); null: as before.
update rollup_shard
   set minutes_through = greatest(minutes_through, $2), final_through = greatest(final_through, $3)
 where shard = any ($1::smallint[])
   and (minutes_through is distinct from greatest(minutes_through, $2) or final_through is distinct from greatest(final_through, $3))

-- name: tell
-- Say which minutes of areas changed, and that all minutes that ended by $1 (null: as before) are complete.
with told as (
  update rollup_state set minutes_through = greatest(minutes_through, $1::timestamptz), pass = pass + 1 returning pass
)
insert into change (role, partition, batch, series, minutes)
select 'rollup', 0, pass, $2, $3 from told where cardinality($2::integer[]) > 0

-- name: leaf_rows
-- Hours (days) of the assets of areas from their minutes (hours). Before $4 they are stored for good: a new row is a new
-- figure. From then on nobody has read them here: the revision is the sum of the parts, as it was read until now.
with todo as materialized (
  select * from unnest($1::integer[], $2::timestamptz[], $3::timestamptz[]) as t (parent, start, ends)
), fresh as (
  select w.series, t.start, t.parent, sum(w.count)::bigint as count, sum(w.sum) as sum, min(w.min) as min, max(w.max) as max,
         max(w.latest) as latest, sum(w.part) as part, sum(w.weight) as weight, max(w.subjects) as subjects,
         sum(w.revision)::integer as revision
    from todo t
   cross join lateral (  -- window by window: not all rows of an area with all of its windows
         select * from {finer} w
          where w.parent = t.parent and w.start >= t.start and w.start < t.ends and w.start >= $5 and w.start < $6 and w.leaf
         offset 0) w
   group by w.series, t.start, t.parent
)
insert into {table} as w (series, start, parent, leaf, count, sum, min, max, latest, part, weight, subjects, revision)
select series, start, parent, true, count, sum, min, max, latest, part, weight, subjects,
       case when start >= $4 then revision else 0 end
  from fresh
 order by series, start
on conflict (series, start) do update
   set count = excluded.count, sum = excluded.sum, min = excluded.min, max = excluded.max, latest = excluded.latest,
       part = excluded.part, weight = excluded.weight, revision = greatest(w.revision + 1, excluded.revision)
 where (w.count, w.sum, w.min, w.max, w.latest, w.part, w.weight) is distinct from
       (excluded.count, excluded.sum, excluded.min, excluded.max, excluded.latest, excluded.part, excluded.weight)
returning 1

-- name: area_rows
-- Rows of areas from the rows whose parent they are; what comes back has changed. Before $5 (null: always) a new row is a
-- new figure; from then on its revision is the sum of its parts, those that have lost their figure included.
with todo as materialized (
  select * from unnest($1::integer[], $2::timestamptz[], $3::integer[], $4::smallint[]) as t (series, start, parent, mode)
), fresh as (
  select t.series, t.start, t.parent, c.*
    from todo t
   cross join lateral (  -- row by row, by the index of parents: not all rows of these minutes with all that is to be made
         select coalesce(sum(c.count), 0)::bigint as count, coalesce(sum(c.sum), 0) as sum, min(c.min) as min, max(c.max) as max,
                max(c.latest) as latest, case when t.mode = 3 then max(c.part) else sum(c.part) end as part,
                sum(c.weight) as weight, coalesce(sum(c.subjects), 0)::integer as subjects,
                coalesce(sum(c.revision), 0)::integer as revision
           from (select c.count, c.sum, c.min, c.max, c.latest, c.revision,
                        case when c.count > 0 then c.subjects end as subjects,
                        case when not c.leaf then c.part
                             when t.mode = 0 then c.sum
                             when t.mode = 4 then round(c.part / nullif(c.count, 0), 6)
                             else round(c.sum / nullif(c.count, 0), 6) end as part,
                        case when c.leaf and t.mode = 4 then round(c.weight / nullif(c.count, 0), 6) else c.weight end as weight
                   from {table} c where c.parent = t.series and c.start = t.start and c.start >= $6 and c.start <= $7) c) c
)
insert into {table} as w (series, start, parent, leaf, count, sum, min, max, latest, part, weight, subjects, revision)
select f.series, f.start, f.parent, false, f.count, f.sum, f.min, f.max, f.latest, f.part, f.weight, f.subjects,
       case when f.start >= $5::timestamptz then f.revision else 0 end
  from fresh f
 where f.count > 0 or (f.start >= $5 and f.revision > 0)
    or exists (select from {table} o where o.series = f.series and o.start = f.start and o.start >= $6 and o.start <= $7)
 order by {order}
on conflict ({order}) do update
   set count = excluded.count, sum = excluded.sum, min = excluded.min, max = excluded.max, latest = excluded.latest,
       part = excluded.part, weight = excluded.weight, subjects = excluded.subjects, parent = excluded.parent,
       revision = greatest(w.revision + 1, excluded.revision)
 where (w.count, w.sum, w.min, w.max, w.latest, w.part, w.weight, w.subjects, w.parent) is distinct from
       (excluded.count, excluded.sum, excluded.min, excluded.max, excluded.latest, excluded.part, excluded.weight,
        excluded.subjects, excluded.parent)
returning series, start
