-- name: silences
-- Pauses longer than allowed between an asset's readings that overlap a stretch; those before the first reading (no
-- `before`) and after the last one (no `after`) whatever their length. Works along the index by subject and time.
select a.subject, a.type, s.before, s.after
  from unnest($1::text[], $2::text[], $3::interval[]) as a (subject, type, longest)
 cross join lateral (
       select lag(time) over (order by time nulls last) as before, time as after
         from (select null::timestamptz as time
               union all
               (select time from event where subject = a.subject and type = a.type and time <= $4 order by time desc limit 1)
               union all
               select time from event where subject = a.subject and type = a.type and time > $4 and time < $5
               union all
               (select time from event where subject = a.subject and type = a.type and time >= $5 order by time limit 1)) t
       ) s
 where (s.after is null or s.after > $4) and (s.before is null or s.before < $5)
   and (s.before is null or s.after is null or s.after - s.before > a.longest)
 order by a.subject, a.type, s.before nulls first

-- name: asset_page
-- Latest states in order of (subject, type), from a position on.
select subject, type, area, time, data from asset_state
 where (subject, type) > ($1, $2) and ($3::text[] is null or area = any ($3::text[])) and ($4::text is null or type = $4)
 order by subject, type limit $5

-- name: asset_states
-- The latest states of one asset.
select subject, type, area, time, data from asset_state where subject = $1 order by type

-- name: asset_known
-- Which of these (subject, type) have a state.
select subject, type from asset_state
 where (subject, type) in (select * from unnest($1::text[], $2::text[]))

-- name: every_asset
-- All latest states, for the state dump.
select subject, type, area, time, latest, data from asset_state
