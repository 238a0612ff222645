-- name: open
-- What is open now, by severity.
select count(*) filter (where severity = 'critical') as critical, count(*) filter (where severity = 'major') as major,
       count(*) filter (where severity = 'warning') as warning, count(*) filter (where severity = 'info') as info
  from v_alert
 where ended_at is null and state in ('firing', 'recovering') and <<area>> = any (path)

-- name: handling
-- Of what is open, how much somebody has taken in hand.
select count(*) filter (where handling = 'open') as open, count(*) filter (where handling = 'acknowledged') as acknowledged
  from v_alert
 where ended_at is null and state in ('firing', 'recovering') and <<area>> = any (path)

-- name: listed
-- What is open now, the worst and oldest first.
select a.alert_id::text as alert_id, <<said_severity>> as severity, a.title ->> '<<lang>>' as title, n.<<name>> as place, a.subject, a.started_at,
       extract(epoch from $__timeTo()::timestamptz - a.started_at)::float8 as open_s, <<said_handling>> as handling, a.summary ->> '<<lang>>' as summary
  from v_alert a left join v_area n on n.code = a.area and n.<<current>>
 where a.ended_at is null and a.state in ('firing', 'recovering') and <<area>> = any (a.path)
 order by array_position(array['critical', 'major', 'warning', 'info'], a.severity), a.started_at
 limit 100

-- name: begun
-- Alerts by when they began and how severe they are.
select date_bin(<<bucket>>, started_at, $__timeFrom()::timestamptz) as time, <<said_severity>> as metric, count(*)::float8 as value
  from v_alert
 where started_at >= $__timeFrom() and started_at < $__timeTo() and state <> 'pending' and <<area>> = any (path)
 group by 1, 2, severity
 order by 1, array_position(array['critical', 'major', 'warning', 'info'], severity)

-- name: rules
-- Which rules fired how often, and how long what they found lasted.
select title ->> '<<lang>>' as title, rule, count(*) as alerts, count(distinct subject) as assets,
       (percentile_cont(0.5) within group (order by extract(epoch from ended_at - started_at)))::float8 as median_s
  from v_alert
 where started_at >= $__timeFrom() and started_at < $__timeTo() and state <> 'pending' and <<area>> = any (path)
 group by 1, 2
 order by 3 desc, 2
 limit 50

-- name: log
-- What became of the alerts of the range, the newest first.
select l.at, <<said_severity>> as severity, a.title ->> '<<lang>>' as title, <<said_kind>> as kind, a.subject, l.by, l.comment, a.alert_id::text as alert_id
  from (select alert_id, severity, title, subject
          from v_alert
         where started_at >= $__timeFrom() and started_at < $__timeTo() and state <> 'pending' and <<area>> = any (path)
         order by started_at desc
         limit 200) a
  join v_alert_log l using (alert_id)
 order by l.at desc, l.entry desc
 limit 200

-- name: told
-- Webhooks of the range, by what became of them.
select count(*) filter (where state = 'delivered') as delivered, count(*) filter (where state = 'waiting') as waiting,
       count(*) filter (where state = 'gave_up') as gave_up
  from v_delivery
 where made_at >= $__timeFrom() and made_at < $__timeTo()

-- name: took
-- How long it took until a webhook was taken: half of them, and 95 of 100.
select (percentile_cont(0.5) within group (order by extract(epoch from ended_at - made_at)))::float8 as half,
       (percentile_cont(0.95) within group (order by extract(epoch from ended_at - made_at)))::float8 as most
  from v_delivery
 where state = 'delivered' and made_at >= $__timeFrom() and made_at < $__timeTo()
having count(*) > 0

-- name: deliveries
-- Webhooks by when they were made and what became of them.
select date_bin(<<bucket>>, made_at, $__timeFrom()::timestamptz) as time, <<said_state>> as metric, count(*)::float8 as value
  from v_delivery
 where made_at >= $__timeFrom() and made_at < $__timeTo()
 group by 1, 2
 order by 1, 2

-- name: endpoints
-- Receivers: how many webhooks they were sent, took, and were not given.
select endpoint, count(*) as webhooks, count(*) filter (where state = 'waiting') as waiting, count(*) filter (where state = 'gave_up') as gave_up,
       avg(attempts)::float8 as attempts, (array_agg(last_error order by made_at desc) filter (where last_error is not null))[1] as last_error
  from v_delivery
 where made_at >= $__timeFrom() and made_at < $__timeTo()
 group by endpoint
 order by gave_up desc, waiting desc, endpoint
 limit 100

-- name: annotation
-- Alerts as stretches in charts: from when the condition became true to when it ended.
select started_at as time, coalesce(ended_at, least(now(), $__timeTo()::timestamptz)) as timeend, summary ->> '<<lang>>' as text,
       severity || ',' || rule as tags
  from v_alert
 where started_at >= $__timeFrom() and started_at < $__timeTo() and state <> 'pending' and severity in ('major', 'critical')
   and <<area>> = any (path)
 order by started_at desc
 limit 100
