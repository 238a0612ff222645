-- The first tables: the bus, what aggregate keeps, and what operators manage. Text compares bytewise (collation "C").

-- ---- bus: a topic is cut into partitions, a partition is a row of segments, a segment holds many records ----------

create table bus_partition (
  topic       text     not null,
  partition   smallint not null,
  next_offset bigint   not null default 0,
  primary key (topic, partition)
);

create table bus_segment (
  topic        text        not null,
  partition    smallint    not null,
  first_offset bigint      not null,
  records      integer     not null check (records > 0),
  appended_at  timestamptz not null default now(),
  payload      bytea       not null,
  primary key (topic, partition, first_offset)
);
alter table bus_segment alter column payload set storage external;  -- compressed by the bus already

-- Where a role stands in a partition, and the figures that move with it in one transaction.
create table bus_position (
  role           text        not null,
  topic          text        not null,
  partition      smallint    not null,
  next_offset    bigint      not null default 0,
  batch          bigint      not null default 0,
  watermark      timestamptz,
  last_heartbeat timestamptz,
  accepted       bigint      not null default 0,
  stored         bigint      not null default 0,
  repeated       bigint      not null default 0,
  conflicts      bigint      not null default 0,
  dead           bigint      not null default 0,
  moved_at       timestamptz not null default now(),
  primary key (role, topic, partition)
);

-- A stretch of a partition without a heartbeat: our own downtime, which is nobody's silence.
create table pipeline_gap (
  topic      text        not null,
  partition  smallint    not null,
  started_at timestamptz not null,
  ended_at   timestamptz not null,
  primary key (topic, partition, started_at)
);

create table dead_letter (
  dead_letter_no bigint generated always as identity primary key,
  role           text        not null,
  topic          text        not null,
  partition      smallint    not null,
  record_offset  bigint      not null,
  key            bytea       not null,
  type           text        not null,
  value          bytea       not null,
  reason         text        not null,
  seen           timestamptz not null default now(),
  requeued_at    timestamptz,
  unique (role, topic, partition, record_offset)
);

-- ---- events -------------------------------------------------------------------------------------------------------

create table source (
  source_no integer generated always as identity primary key,
  name      text collate "C" not null unique
);

create table event_identity (
  source_no   integer          not null,
  id          text collate "C" not null,
  time        timestamptz      not null,
  fingerprint bytea            not null,
  seen        timestamptz      not null,
  primary key (source_no, id)
);
create index event_identity_seen on event_identity using brin (seen);

-- One row: identities of events up to this event time may have been forgotten; older repeats are looked up in `event`.
create table identity_horizon (
  only_row         boolean primary key default true check (only_row),
  forgotten_before timestamptz
);
insert into identity_horizon default values;

create table event (
  time        timestamptz      not null,
  source_no   integer          not null,
  id          text collate "C" not null,
  type        text collate "C" not null,
  subject     text collate "C",
  area        text collate "C" not null,
  given_area  text collate "C",
  data        json             not null,
  extensions  json,
  flags       text[],
  fingerprint bytea            not null,
  accepted_at timestamptz      not null
) partition by range (time);
create index event_time on event using brin (time) with (pages_per_range = 16);
create index event_subject_time on event (subject, time);

create table event_personal (
  source_no integer          not null,
  id        text collate "C" not null,
  time      timestamptz      not null,
  data      json             not null,
  primary key (source_no, id, time)
);

create table event_conflict (
  source_no   integer          not null,
  id          text collate "C" not null,
  fingerprint bytea            not null,
  time        timestamptz      not null,
  type        text collate "C" not null,
  subject     text collate "C",
  area        text collate "C" not null,
  data        json             not null,
  accepted_at timestamptz      not null,
  seen        timestamptz      not null default now(),
  primary key (source_no, id, fingerprint)
);
create index event_conflict_seen on event_conflict (seen);

create table asset_state (
  subject    text collate "C" not null,
  type       text collate "C" not null,
  area       text collate "C" not null,
  time       timestamptz      not null,
  latest     text collate "C" not null,
  data       json             not null,
  primary key (subject, type)
) with (fillfactor = 50);  -- no index but its key: every reading of a meter updates its row, and a second index costs half as much again

-- Readings that mean something only beside their neighbours in time: registers of meters, starts and ends of parking.
create table paired_reading (
  metric  text collate "C" not null,
  subject text collate "C" not null,
  chain   text collate "C" not null,
  time    timestamptz      not null,
  key     text collate "C" not null,
  area    text collate "C" not null,
  role    text collate "C" not null,
  micros  bigint           not null,
  reset   boolean          not null default false,
  primary key (metric, subject, chain, time, key)
);
create index paired_reading_minute on paired_reading (subject, metric, time);

-- ---- windows ------------------------------------------------------------------------------------------------------

create table metric (
  name   text collate "C" primary key,
  unit   text     not null,
  kind   text     not null,
  across text     not null,
  mode   smallint not null  -- how a row adds up: aggregate/modes.py
);

-- A series is a metric of an area (no subject, no source), of an asset there (subject), or of a source without a subject.
create table series (
  series_no integer generated always as identity primary key,
  metric    text collate "C" not null,
  area      text collate "C" not null,
  subject   text collate "C",
  source    text collate "C"
);
create unique index series_key on series (metric, area, coalesce(subject, ''), coalesce(source, ''));
create index series_subject on series (subject) where subject is not null;
create index series_area on series (area, metric);

-- Values are integers: millionths of the metric's unit. `latest` orders bytewise as (event time, source, id) and ends in
-- the value. A row of an asset (leaf) is fed by events or its finer rows; a row of an area by the rows whose `parent` it is.
-- part and weight: of a leaf of a ratio the sums of numerators and weights; of an area what its subjects add up to.
create table metric_window_1m (
  series   integer          not null,
  start    timestamptz      not null,
  parent   integer          not null,
  leaf     boolean          not null,
  count    bigint           not null,
  sum      numeric          not null,
  min      bigint,
  max      bigint,
  latest   text collate "C",
  part     numeric,
  weight   numeric,
  subjects integer          not null,
  revision integer          not null default 0
) partition by range (start);
create unique index metric_window_1m_key on metric_window_1m (start, series);
create index metric_window_1m_parent on metric_window_1m (parent, start);

create table metric_window_1h (like metric_window_1m including defaults, primary key (series, start));
create index metric_window_1h_parent on metric_window_1h (parent, start);
create table metric_window_1d (like metric_window_1m including defaults, primary key (series, start));
create index metric_window_1d_parent on metric_window_1d (parent, start);

-- What rollup has to do: rows of areas (and, for hours and days, the assets in them) whose readings changed.
create table dirty (
  step   text        not null,
  start  timestamptz not null,
  series integer     not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

-- The same for hours and days, once each, with the moment from which they are worked on.
create table dirty_later (
  step   text        not null,
  start  timestamptz not null,
  series integer     not null,
  due    timestamptz not null,
  primary key (step, start, series)
);
create index dirty_later_due on dirty_later (due);

-- One row: hours and days that ended by `final_through` are stored; later ones are computed when read.
create table rollup_state (
  only_row      boolean primary key default true check (only_row),
  final_through timestamptz not null default '-infinity'
);
insert into rollup_state default values;

create table lease (
  name  text        primary key,
  owner uuid        not null,
  fence bigint      not null,
  until timestamptz not null
);

-- ---- profile and access -------------------------------------------------------------------------------------------

create table profile (
  profile_no integer generated always as identity primary key,
  version    text        not null,
  loaded_at  timestamptz not null default now()
);

create table profile_file (
  profile_no integer not null references profile,
  name       text    not null,
  content    bytea   not null,
  primary key (profile_no, name)
);

create table area (
  code       text collate "C" not null,
  level      text             not null,
  parent     text collate "C",
  name_en    text             not null,
  name_zh    text             not null,
  valid_from timestamptz      not null default '-infinity',
  valid_to   timestamptz      not null default 'infinity',
  geometry   json             not null,
  primary key (code, valid_from)
);

create table api_key (
  key_id        uuid        primary key,
  name          text        not null unique,
  role          text        not null check (role in ('ingest', 'viewer', 'operator', 'admin')),
  source_prefix text,
  hash          bytea       not null unique,
  created_at    timestamptz not null default now(),
  expires_at    timestamptz,
  revoked_at    timestamptz
);

-- ---- views that Grafana and analysts may read ---------------------------------------------------------------------

create view v_area as
  select code, level, parent, name_en, name_zh, valid_from, valid_to, geometry from area;

create view v_event as
  select e.time, s.name as source, e.id, e.type, e.subject, e.area, e.data::jsonb as data, e.extensions::jsonb as extensions,
         e.flags, e.accepted_at
    from event e join source s using (source_no);

create view v_asset as
  select subject, type, area, time, data::jsonb as data from asset_state;

create view v_window as
  select x.step, r.metric, m.unit, r.area, r.subject, r.source, x.start, x.count,
         x.sum / 1000000 as sum, x.min / 1000000.0 as min, x.max / 1000000.0 as max,
         round(x.sum / x.count / 1000000, 6) as avg,
         split_part(x.latest, e'\x01', 4)::numeric / 1000000 as last,
         round(case when x.leaf then case when m.mode = 0 then x.sum else x.sum / x.count end
                    when m.mode = 2 then x.part / nullif(x.subjects, 0)
                    when m.mode = 4 then x.part * 1000000 / nullif(x.weight, 0)
                    else x.part end / 1000000, 6) as value,
         x.subjects, x.revision
    from (select '1m' as step, * from metric_window_1m
          union all select '1h', * from metric_window_1h
          union all select '1d', * from metric_window_1d) x
    join series r on r.series_no = x.series
    join metric m on m.name = r.metric
   where x.count > 0;
