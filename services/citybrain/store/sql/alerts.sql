-- name: scopes
-- Where rules stand for some scopes; all of theirs that are not simply inactive when $2 is null.
select rule, scope, history::text as history, settle_at
  from rule_scope where rule = any ($1::text[]) and ($2::text[] is null or scope = any ($2::text[]))

-- name: standing
-- The scopes for which a rule is not simply inactive.
select rule, scope from rule_scope where rule = any ($1::text[])

-- name: put_scopes
-- Keep where rules stand now.
insert into rule_scope (rule, scope, history, settle_at)
select n.rule, n.scope, n.history::json, n.settle_at from unnest($1::text[], $2::text[], $3::text[], $4::integer[]) as n (rule, scope, history, settle_at)
 order by n.rule collate "C", n.scope collate "C"
on conflict (rule, scope) do update set history = excluded.history, settle_at = excluded.settle_at

-- name: drop_scopes
-- These are simply inactive again.
delete from rule_scope r using unnest($1::text[], $2::text[]) as n (rule, scope) where r.rule = n.rule and r.scope = n.scope

-- name: drop_rules
-- Rules that are no longer there.
delete from rule_scope where rule = any ($1::text[])

-- name: rename_scopes
-- A rule carries its scopes over to its new name.
update rule_scope set rule = $2 where rule = $1

-- name: open_alerts
-- Alerts of rules that may still change, of some scopes or ($2 null) of all: live ones, and those that are not settled.
select {columns} from alert a
 where a.rule = any ($1::text[]) and ($2::text[] is null or a.scope = any ($2::text[])) and (a.ended_at is null or a.provisional)
 order by a.started_at, a.alert_id

-- name: rules_with_alerts
-- Rules that have live alerts or scopes that are not inactive.
select rule from alert where ended_at is null union select rule from rule_scope

-- name: by_id
-- Alerts by their ids, in the order of ids, locked.
select {columns} from alert a where a.alert_id = any ($1::uuid[]) order by a.alert_id for update

-- name: change
-- Write what changed of alerts; their ends first, so that a new episode may open in the same scope.
update alert a
   set rule = n.rule, rule_version = n.rule_version, severity = n.severity, state = n.state, provisional = n.provisional, area = n.area,
       path = n.path, labels = n.labels, title = n.title, summary = n.summary, threshold = n.threshold, value = n.value, peak = n.peak,
       evidence = n.evidence, started_at = n.started_at, since = n.since, fired_at = n.fired_at, recovering_at = n.recovering_at, ended_at = n.ended_at,
       late_by_s = n.late_by_s, changed_at = n.changed_at, handling = n.handling, handled_by = n.handled_by,
       handled_until = n.handled_until
  from jsonb_populate_recordset(null::alert, $1::jsonb) as n
 where a.alert_id = n.alert_id

-- name: open
-- New alerts.
insert into alert (alert_id, rule, scope, rule_version, severity, state, provisional, area, path, subject, source, labels, title, summary,
                   threshold, value, peak, evidence, started_at, since, fired_at, recovering_at, ended_at, late_by_s, opened_at,
                   changed_at)
select n.alert_id, n.rule, n.scope, n.rule_version, n.severity, n.state, n.provisional, n.area, n.path, n.subject, n.source, n.labels,
       n.title, n.summary, n.threshold, n.value, n.peak, n.evidence, n.started_at, n.since, n.fired_at, n.recovering_at, n.ended_at, n.late_by_s,
       n.opened_at, n.changed_at
  from jsonb_populate_recordset(null::alert, $1::jsonb) as n

-- name: forget
-- Pending alerts whose condition went away: they leave nothing.
with gone as (delete from alert where alert_id = any ($1::uuid[]) returning alert_id)
delete from alert_log l using gone g where l.alert_id = g.alert_id

-- name: intend
-- Somebody may want to hear of these transitions.
insert into intent (alert_id, kind, sequence, made_at)
select * from unnest($1::uuid[], $2::text[], $3::integer[], $4::timestamptz[])

-- name: commands
-- What people ask, in their order.
select command_no, alert_id, kind, by, comment, until, made_at from command where done_at is null order by command_no limit $1 for update

-- name: done
-- These were worked on.
update command set done_at = $2 where command_no = any ($1::bigint[])

-- name: expired
-- Acknowledgements that have run out.
select alert_id from alert where handling = 'acknowledged' and handled_until <= $1 and ended_at is null order by alert_id limit $2

-- name: last_events
-- The last events of assets, each in its window, of some types. `$1` numbers the windows.
select w.number, e.id, e.source, e.time
  from unnest($1::integer[], $2::text[], $3::timestamptz[], $4::timestamptz[]) as w (number, subject, begins, ends)
 cross join lateral (select id, time, (select name from source s where s.source_no = i.source_no) as source from event i
                      where subject = w.subject and time >= w.begins and time < w.ends and type = any ($5::text[])
                      order by time desc, id, source limit $6) e
 order by w.number, e.time desc, e.id, e.source

-- name: subjects_beneath
-- Some assets with readings in windows, of those that add to these series of areas; the first ones by name.
select distinct w.number, s.subject
  from unnest($1::integer[], $2::integer[], $3::timestamptz[], $4::timestamptz[]) as w (number, parent, begins, ends)
 cross join lateral (  -- window by window, whatever statistics there are
       select series from metric_window_1m
        where parent = w.parent and start >= w.begins and start < w.ends and leaf and count > 0
       offset 0) m
  join series s on s.series_no = m.series
 where s.subject is not null
 order by w.number, s.subject
