-- Rules, alerts, notification, delivery. Text compares bytewise (collation "C"). Ticks are whole minutes of event time.

-- ---- what changed: from aggregate and rollup to alert -------------------------------------------------------------

-- One row a batch: minutes of series that changed (parallel arrays, minutes since 1970), and assets that spoke in minutes
-- which were final already (parallel arrays). A partition's batches become visible in their order; a reader keeps one
-- position for each (role, partition).
create table change (
  role         text        not null,  -- aggregate or rollup
  partition    smallint    not null,
  batch        bigint      not null,
  made_at      timestamptz not null default clock_timestamp(),
  series       integer[]   not null,
  minutes      integer[]   not null,
  late_subject text[]      not null default '{}',
  late_type    text[]      not null default '{}',
  late_minute  integer[]   not null default '{}',
  primary key (role, partition, batch)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

create table change_position (
  role      text     not null,
  partition smallint not null,
  batch     bigint   not null,
  primary key (role, partition)
);

-- Minutes of assets and areas that ended by `minutes_through` are complete as of the watermark that rollup saw.
alter table rollup_state add column minutes_through timestamptz, add column pass bigint not null default 0;

-- ---- rules --------------------------------------------------------------------------------------------------------

create table rule_set (
  version   integer generated always as identity primary key,
  sha256    bytea       not null,
  files     json        not null,  -- {name: text} of rules/*.yaml
  made_by   text        not null,
  loaded_at timestamptz not null default now()
);

-- One row: the compare-and-swap of alert. A pass that finds another number than it read has been fenced.
create table alert_progress (
  only_row      boolean primary key default true check (only_row),
  pass          bigint  not null default 0,
  final_through timestamptz,              -- the last tick that was evaluated as final
  rule_version  integer
);
insert into alert_progress default values;

-- Where a rule stands for a scope that is not simply inactive. `history`: states from the last settled tick on, oldest
-- first, as [[tick, state, since, fired], …] with ticks as minutes since 1970; the last is the state at the last final tick.
create table rule_scope (
  rule      text collate "C" not null,
  scope     text collate "C" not null,
  history   json             not null,
  settle_at integer,                      -- the next tick whose passing (by lateness) settles something
  primary key (rule, scope)
);

-- ---- alerts -------------------------------------------------------------------------------------------------------

create table alert (
  alert_id        uuid             primary key,
  rule            text collate "C" not null,
  scope           text collate "C" not null,  -- 'subject:lot-1', 'street:610602003', 'source:/x'
  rule_version    integer          not null,
  severity        text             not null check (severity in ('info', 'warning', 'major', 'critical')),
  state           text             not null check (state in ('pending', 'firing', 'recovering', 'resolved', 'retracted')),
  provisional     boolean          not null default true,
  sequence        integer          not null default 0,  -- of its log
  area            text collate "C" not null,
  path            text[]           not null,            -- the area and those above it, finest first
  subject         text collate "C",
  source          text collate "C",
  labels          jsonb            not null default '{}',
  title           jsonb            not null,            -- {en, zh}
  summary         jsonb            not null,            -- {en, zh}
  threshold       text             not null,
  value           jsonb            not null default '{}',  -- columns of the window that fired
  peak            numeric,
  evidence        jsonb            not null default '{}',  -- {window: {start, end}, events: [ids]}
  started_at      timestamptz      not null,  -- the tick at which the condition became true
  since           timestamptz,                -- the tick of its last transition that was logged
  fired_at        timestamptz,
  recovering_at   timestamptz,
  ended_at        timestamptz,
  late_by_s       integer,
  opened_at       timestamptz      not null,  -- wall clock
  changed_at      timestamptz      not null,
  handling        text             not null default 'open' check (handling in ('open', 'acknowledged', 'closed')),
  handled_by      text,
  handled_until   timestamptz,
  escalated       smallint         not null default 0
);
create unique index alert_live on alert (rule, scope) where ended_at is null;
create index alert_scope on alert (rule, scope, started_at);
create index alert_open on alert (rule, scope) where ended_at is null or provisional;
create index alert_changed on alert (changed_at desc, alert_id);
create index alert_opened on alert (opened_at desc, alert_id desc);
create index alert_subject on alert (subject, started_at) where subject is not null;

-- Append-only. `tick` is the tick of a transition; entries that are not provisional are a function of the events alone.
create table alert_log (
  alert_id    uuid        not null,
  entry       integer     not null,
  at          timestamptz not null,       -- wall clock
  kind        text        not null,       -- pending, firing, recovering, resolved, retracted, revised, rule_changed, rule_removed,
                                          -- acknowledged, unacknowledged, commented, closed, acknowledgement_expired, escalated, notified, not_notified
  tick        timestamptz,
  provisional boolean     not null default false,
  by          text,
  comment     text,
  detail      jsonb       not null default '{}',
  primary key (alert_id, entry)
);

-- What people ask of an alert; done by the alert role.
create table command (
  command_no bigint generated always as identity primary key,
  alert_id   uuid        not null,
  kind       text        not null check (kind in ('acknowledge', 'unacknowledge', 'comment', 'close')),
  by         text        not null,
  comment    text,
  until      timestamptz,
  made_at    timestamptz not null default now(),
  done_at    timestamptz
);
create index command_open on command (command_no) where done_at is null;

create table silence (
  silence_id     uuid        primary key,
  matchers       jsonb       not null,   -- {name: value}; names: rule, subject, severity, area, state of labels
  begins         timestamptz not null,
  ends           timestamptz not null,
  until_resolved boolean     not null default false,
  made_by        text        not null,
  why            text        not null,
  made_at        timestamptz not null default now(),
  ended_at       timestamptz             -- deleted, or ended with the alert
);

-- ---- notification -------------------------------------------------------------------------------------------------

-- One row a transition that somebody may want to hear of, in the transition's transaction.
create table intent (
  intent_no  bigint generated always as identity primary key,
  alert_id   uuid        not null,
  kind       text        not null check (kind in ('firing', 'updated', 'resolved', 'escalated')),
  sequence   integer     not null,       -- of the alert's log
  made_at    timestamptz not null,
  outcome    text,                       -- null: waiting; sent, no_route, silenced, inhibited, muted, superseded
  reason     jsonb       not null default '{}',
  decided_at timestamptz,
  routed_at  timestamptz                 -- when notification took it; its groups (`notified.intents`) have it from then on
);
create index intent_waiting on intent (intent_no) where routed_at is null;
create index intent_alert on intent (alert_id);

-- Alerts that are told together: those of one route with equal `group_by` values.
create table notification_group (
  group_key   text collate "C" primary key,
  rule_version integer       not null,
  route       integer        not null,   -- its index in the rule set; -1: endpoints marked default
  labels      jsonb          not null,   -- the group_by values
  plan        jsonb          not null,   -- of its route: {to, group_interval_s, repeat_interval_s, escalate: [{after_s, to}]}
  flush_at    timestamptz,               -- next flush; null: nothing to tell
  flushed_at  timestamptz
);
create index notification_group_flush on notification_group (flush_at) where flush_at is not null;

-- What a group has last told of an alert.
create table notified (
  group_key text collate "C" not null,
  alert_id  uuid             not null,
  state     text             not null,   -- firing: told, and not its end; waiting: not told yet
  intents   bigint[]         not null default '{}',  -- not dealt with in this group yet
  intent_no bigint,                      -- the firing that it waits with
  held      text,                        -- why it was not told: silenced, inhibited, muted, no_route; told when that ends
  told_at   timestamptz,
  first_told_at timestamptz,
  escalated smallint         not null default 0,
  primary key (group_key, alert_id)
);
create index notified_alert on notified (alert_id);
create index notified_held on notified (alert_id) where held is not null;

-- ---- delivery -----------------------------------------------------------------------------------------------------

create table endpoint (
  endpoint_id   uuid        primary key,
  name          text        not null,         -- unique among those that are not removed
  url           text        not null,
  format        text        not null check (format in ('citybrain', 'wecom', 'dingtalk', 'feishu')),
  is_default    boolean     not null default false,
  language      text        not null default 'zh',
  made_by       text        not null,     -- 'profile' for those of endpoints.yaml
  made_at       timestamptz not null default now(),
  disabled_at   timestamptz,
  disabled_why  text,
  removed_at    timestamptz
);
create unique index endpoint_name on endpoint (name) where removed_at is null;

create table endpoint_secret (
  endpoint_id uuid        not null references endpoint,
  secret      text        not null,       -- whsec_…
  made_at     timestamptz not null default now(),
  expires_at  timestamptz,                -- null: the one in use; otherwise until then both sign
  primary key (endpoint_id, secret)
);

create table delivery (
  delivery_id     uuid        primary key,
  webhook_id      text        not null unique,  -- of all its attempts
  endpoint_id     uuid        not null,
  type            text        not null,         -- alert.firing, alert.updated, alert.resolved, alert.escalated, endpoint.test
  body            bytea       not null,         -- made once: the bytes that are signed
  alert_ids       uuid[]      not null default '{}',
  group_key       text,
  made_at         timestamptz not null default now(),
  state           text        not null default 'waiting' check (state in ('waiting', 'delivered', 'gave_up', 'cancelled')),
  attempts        integer     not null default 0,
  schedule_from   integer     not null default 0,  -- attempts made before its schedule began: a resend begins it anew
  next_attempt_at timestamptz not null default now(),
  claimed_until   timestamptz,                  -- a process is sending it
  claimed_by      uuid,
  ended_at        timestamptz,
  last_error      text
);
create index delivery_due on delivery (endpoint_id, next_attempt_at) where state = 'waiting';
create index delivery_order on delivery (endpoint_id, group_key, made_at) where state = 'waiting';
create index delivery_made on delivery (made_at, delivery_id);
create index delivery_endpoint on delivery (endpoint_id, made_at);

create table attempt (
  delivery_id uuid        not null,
  attempt     integer     not null,
  began_at    timestamptz not null,
  took_ms     integer     not null,
  status      integer,                          -- null: no answer
  error       text,
  answer      bytea,                            -- its first 20 KB
  primary key (delivery_id, attempt)
);

create table endpoint_health (
  endpoint_id   uuid        primary key,
  window_from   timestamptz not null,           -- of the counts
  requests      integer     not null default 0,
  failures      integer     not null default 0,
  open_until    timestamptz,                    -- the breaker: nothing is sent before; then one attempt at a time, until one succeeds
  failing_since timestamptz,                    -- the first failure after the last success
  last_success  timestamptz,
  last_failure  timestamptz
);

-- ---- views --------------------------------------------------------------------------------------------------------

create view v_alert as
  select alert_id, rule, severity, state, provisional, area, path, subject, source, labels, title, summary, threshold, value, peak,
         started_at, fired_at, ended_at, late_by_s, handling, handled_by, handled_until, opened_at, changed_at
    from alert;

create view v_alert_log as
  select l.alert_id, a.rule, l.entry, l.at, l.kind, l.tick, l.provisional, l.by, l.comment, l.detail
    from alert_log l join alert a using (alert_id);

create view v_delivery as
  select d.delivery_id, d.webhook_id, e.name as endpoint, d.type, d.alert_ids, d.made_at, d.state, d.attempts, d.next_attempt_at, d.ended_at,
         d.last_error
    from delivery d join endpoint e using (endpoint_id);
