-- name: columns
-- What an alert shows.
a.alert_id, a.rule, a.severity, a.state, a.sequence, a.provisional, a.area, a.path, a.subject, a.source, a.labels::text as labels,
a.title::text as title, a.value::text as value, a.threshold, a.peak, a.started_at, a.fired_at, a.ended_at, a.late_by_s,
a.summary::text as summary, a.evidence::text as evidence, a.handling, a.handled_by, a.handled_until, a.opened_at

-- name: by_id
-- Some alerts.
select {columns} from alert a where a.alert_id = any ($1::uuid[])

-- name: firing
-- Alerts of some rules that fire.
select {columns} from alert a where a.ended_at is null and a.state in ('firing', 'recovering') and a.rule = any ($1::text[])

-- name: page
-- Alerts before a position, those that opened last first; that never changes, so pages are stable.
select {columns} from alert a
 where (a.opened_at, a.alert_id) < ($1, $2) and ($3::text is null or a.state = $3) and ($3::text is not null or a.state <> 'pending')
   and ($4::text is null or a.severity = $4) and ($5::text is null or $5 = any (a.path)) and ($6::text is null or a.rule = $6)
 order by a.opened_at desc, a.alert_id desc limit $7

-- name: about
-- Alerts of an asset, or of the areas that it lies in, whose evidence is a window that holds a moment; those that name an event first,
-- then the first first.
select {columns}, a.rule_version from alert a
 where (a.subject = $1 or (a.subject is null and a.area = any ($2::text[]))) and a.started_at >= $3::timestamptz
   and (a.evidence->'window'->>'start')::timestamptz <= $3 and (a.evidence->'window'->>'end')::timestamptz > $3
 order by coalesce(a.evidence->'events' ? $4, false) desc, a.started_at, a.alert_id

-- name: log
-- The log of an alert, the first entry first.
select entry, at, kind, tick, provisional, by, comment, detail::text as detail from alert_log where alert_id = $1 order by entry

-- name: known
-- Whether there is such an alert.
select true from alert where alert_id = $1

-- name: ask
-- Ask the alert role for something.
insert into command (alert_id, kind, by, comment, until, made_at) values ($1, $2, $3, $4, $5, $6) returning command_no
