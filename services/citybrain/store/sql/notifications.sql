-- name: standing
-- Whether there is anything to do: intents to route, groups that are due, alerts that are held.
select exists (select from intent where routed_at is null) as intents,
       exists (select from notification_group where flush_at <= $1) as due,
       exists (select from notified where held is not null) as held

-- name: lag
-- Intents that nobody has routed, and groups whose flush is due.
select (select count(*) from intent where routed_at is null) + (select count(*) from notification_group where flush_at <= $1)

-- name: endpoints
-- Endpoints that are not removed; the one of heartbeats that go nowhere is nobody's.
select endpoint_id, name, is_default, disabled_at is null as works from endpoint where removed_at is null and url <> '' order by name

-- name: take_intents
-- The next intents to route; a row that another process works on is left to it.
select intent_no, alert_id, kind, sequence from intent where routed_at is null order by intent_no limit $1 for update skip locked

-- name: intents
-- Some intents.
select intent_no, alert_id, kind, sequence from intent where intent_no = any ($1::bigint[])

-- name: routed
-- These intents are in the hands of their groups.
update intent set routed_at = $2 where intent_no = any ($1::bigint[])

-- name: decide
-- What became of intents. One that is in several groups keeps the best: what was sent anywhere was sent.
update intent i set outcome = g.outcome, reason = g.reason::jsonb, decided_at = $4
  from (select * from unnest($1::bigint[], $2::text[], $3::text[]) as g (intent_no, outcome, reason) order by intent_no) g
 where i.intent_no = g.intent_no
   and (i.outcome is null
        or array_position(array['no_route', 'superseded', 'muted', 'inhibited', 'silenced', 'sent'], g.outcome)
         > array_position(array['no_route', 'superseded', 'muted', 'inhibited', 'silenced', 'sent'], i.outcome))

-- name: memberships
-- The groups that some alerts are in.
select group_key, alert_id from notified where alert_id = any ($1::uuid[])

-- name: put_groups
-- Groups that have something to tell: a new one after its wait, one that has told something after its interval.
insert into notification_group as n (group_key, rule_version, route, labels, plan, flush_at)
select * from unnest($1::text[], $2::integer[], $3::integer[], $4::jsonb[], $5::jsonb[], $6::timestamptz[]) as g
 order by 1
on conflict (group_key) do update
   set rule_version = excluded.rule_version, route = excluded.route, plan = excluded.plan,
       flush_at = least(n.flush_at,
                        case when n.flushed_at is null then excluded.flush_at
                             else greatest($7::timestamptz, n.flushed_at + (excluded.plan ->> 'group_interval_s')::float * interval '1 s')
                        end)

-- name: hurry_groups
-- The same for groups that there are, by key; one that waits for its first flush goes on waiting.
update notification_group
   set flush_at = least(flush_at, case when flushed_at is null then flush_at
                                       else greatest($2::timestamptz, flushed_at + (plan ->> 'group_interval_s')::float * interval '1 s')
                                  end)
 where group_key = any ($1::text[])

-- name: put_intents
-- Give intents to the groups of their alerts.
insert into notified as n (group_key, alert_id, state, intents)
select g.group_key, g.alert_id, 'waiting', array_agg(g.intent_no order by g.intent_no)
  from unnest($1::text[], $2::uuid[], $3::bigint[]) as g (group_key, alert_id, intent_no)
 group by 1, 2 order by 1, 2
on conflict (group_key, alert_id) do update set intents = n.intents || excluded.intents

-- name: held
-- Alerts that are held, and the plans of their groups.
select n.group_key, n.alert_id, g.plan::text as plan from notified n join notification_group g using (group_key)
 where n.held is not null order by n.group_key, n.alert_id

-- name: free
-- Nothing holds these any more.
update notified n set held = null
  from (select * from unnest($1::text[], $2::uuid[]) as g (group_key, alert_id)) g
 where n.group_key = g.group_key and n.alert_id = g.alert_id

-- name: due_groups
-- Groups whose flush is due, the longest due first; one that another process flushes is left to it.
select group_key, labels::text as labels, plan::text as plan from notification_group
 where flush_at <= $1 order by flush_at, group_key limit $2 for update skip locked

-- name: members
-- The alerts of some groups.
select group_key, alert_id, state, intents, intent_no, held, told_at, first_told_at, escalated
  from notified where group_key = any ($1::text[]) order by group_key, alert_id

-- name: change_members
-- Members after a flush.
update notified n
   set state = g.state, intents = '{}', intent_no = g.intent_no, held = g.held, told_at = g.told_at,
       first_told_at = g.first_told_at, escalated = g.escalated
  from unnest($1::text[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::smallint[])
       as g (group_key, alert_id, state, intent_no, held, told_at, first_told_at, escalated)
 where n.group_key = g.group_key and n.alert_id = g.alert_id

-- name: drop_members
-- Members that have left.
delete from notified n using (select * from unnest($1::text[], $2::uuid[]) as g (group_key, alert_id)) g
 where n.group_key = g.group_key and n.alert_id = g.alert_id

-- name: flushed
-- When groups are looked at next; one without members is done.
with next as (
  select * from unnest($1::text[], $2::timestamptz[]) as g (group_key, flush_at)
), done as (
  delete from notification_group n using next g
   where n.group_key = g.group_key and not exists (select from notified m where m.group_key = g.group_key)
  returning n.group_key
)
update notification_group n set flush_at = g.flush_at, flushed_at = $3
  from next g where n.group_key = g.group_key and n.group_key not in (select group_key from done)

-- name: put_deliveries
-- One webhook for each endpoint, to be sent from now on; those of a flush a microsecond apart, which is their order.
insert into delivery (delivery_id, webhook_id, endpoint_id, type, body, alert_ids, group_key, made_at, next_attempt_at)
select d.delivery_id, 'msg_' || replace(d.delivery_id::text, '-', ''), d.endpoint_id, d.type, d.body,
       (select coalesce(array_agg(i.id::uuid), '{}') from unnest(string_to_array(d.alert_ids, ' ')) as i (id)), d.group_key, d.at, d.at
  from (select f.*, $7::timestamptz + (f.n - 1) * interval '1 microsecond' as at
          from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::text[])
               with ordinality as f (delivery_id, endpoint_id, type, body, alert_ids, group_key, n)) d

-- name: escalated
-- How far alerts were escalated.
update alert a set escalated = greatest(a.escalated, g.level)
  from (select * from unnest($1::uuid[], $2::smallint[]) as g (alert_id, level) order by 1) g where a.alert_id = g.alert_id

-- name: put_told
-- Intents that notification made itself and has dealt with.
insert into intent (alert_id, kind, sequence, made_at, outcome, decided_at, routed_at)
select g.alert_id, $3, g.sequence, $4, 'sent', $4, $4 from unnest($1::uuid[], $2::integer[]) as g (alert_id, sequence)
