-- name: append
-- Entries at the end of their alerts' logs, numbered on from `alert.sequence`, which moves along: whoever appends at the
-- same time waits for the other's commit, and no number is given twice.
with given as (
  select g.*, row_number() over (partition by g.alert_id order by g.ordinal) as place, count(*) over (partition by g.alert_id) as total
    from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::timestamptz[], $5::boolean[], $6::text[], $7::text[], $8::text[])
         with ordinality as g (alert_id, at, kind, tick, provisional, by, comment, detail, ordinal)
), locked as (
  select a.alert_id from alert a where a.alert_id = any ($1::uuid[]) order by a.alert_id for update
), moved as (
  update alert a set sequence = a.sequence + g.total
    from given g join locked using (alert_id)
   where a.alert_id = g.alert_id and g.place = 1
  returning a.alert_id, a.sequence - g.total as before
)
insert into alert_log (alert_id, entry, at, kind, tick, provisional, by, comment, detail)
select g.alert_id, m.before + g.place, g.at, g.kind, g.tick, g.provisional, g.by, g.comment, g.detail::jsonb
  from given g join moved m using (alert_id)
returning alert_id, entry
