-- name: open_positions
-- A row for every partition that a role reads, once.
insert into bus_position (role, topic, partition) select $1, $2, n from unnest($3::smallint[]) as n on conflict do nothing

-- name: positions
-- Where a role stands.
select partition, next_offset, watermark, last_heartbeat from bus_position
 where role = $1 and topic = $2 and partition = any ($3::smallint[])
 order by partition

-- name: move
-- Compare and swap: only the owner that read from here may go on. Fewer rows than asked for: fenced.
with wanted as materialized (
  select * from unnest($3::smallint[], $4::bigint[], $5::bigint[], $6::timestamptz[], $7::timestamptz[])
             as w (partition, expected, next_offset, watermark, heartbeat)
), locked as materialized (
  select p.partition from bus_position p
   where p.role = $1 and p.topic = $2 and p.partition = any ($3::smallint[])
   order by p.partition
     for update
)
update bus_position p
   set next_offset = w.next_offset, batch = p.batch + 1, moved_at = now(),
       watermark = greatest(p.watermark, w.watermark), last_heartbeat = greatest(p.last_heartbeat, w.heartbeat)
  from wanted w join locked using (partition)
 where p.role = $1 and p.topic = $2 and p.partition = w.partition and p.next_offset = w.expected
returning p.partition

-- name: finish
-- Add to the five figures, and say what changed under the number of the batch, which `move` has given.
with counted as (
  update bus_position
     set accepted = accepted + $4, stored = stored + $5, repeated = repeated + $6, conflicts = conflicts + $7, dead = dead + $8
   where role = $1 and topic = $2 and partition = $3
  returning batch
)
insert into change (role, partition, batch, series, minutes, late_subject, late_type, late_minute)
select $1, $3, batch, $9::text::integer[], $10::text::integer[], $11, $12, $13 from counted
 where $9::text <> '{}' or cardinality($11::text[]) > 0

-- name: add_gaps
-- Stretches without a heartbeat.
insert into pipeline_gap (topic, partition, started_at, ended_at)
select $1, * from unnest($2::smallint[], $3::timestamptz[], $4::timestamptz[]) on conflict do nothing

-- name: add_dead_letters
-- What could not be decoded, with its bytes.
insert into dead_letter (role, topic, partition, record_offset, key, type, value, reason)
select $1, $2, * from unnest($3::smallint[], $4::bigint[], $5::bytea[], $6::text[], $7::bytea[], $8::text[])
on conflict do nothing

-- name: add_identities
-- Identities in key order.
insert into event_identity (source_no, id, time, fingerprint, seen)
select i.source_no, i.id, timestamptz 'epoch' + i.at * interval '1 microsecond', decode(i.fingerprint, 'hex'), now()
  from unnest($1::text::integer[], $2::text::text[], $3::text::bigint[], $4::text::text[]) as i (source_no, id, at, fingerprint)
 order by i.source_no, i.id collate "C"
on conflict do nothing

-- name: find_identities
-- Those of the batch that an earlier transaction has put down, with the content that stands.
select i.source_no, i.id, encode(i.fingerprint, 'hex') as fingerprint
  from event_identity i
  join unnest($1::text::integer[], $2::text::text[]) as n (source_no, id) on n.source_no = i.source_no and n.id = i.id
 where i.xmin <> pg_current_xact_id()::xid

-- name: forgotten_before
-- Identities of events older than this, in µs since 1970, may have been forgotten.
select (extract(epoch from forgotten_before) * 1000000)::bigint from identity_horizon

-- name: find_old_events
-- Events of the same key (time, source, id) whose identities were forgotten: one by one along the index of subject and time, not
-- all events of these months.
select e.source_no, e.id, encode(e.fingerprint, 'hex') as fingerprint
  from (select source_no, id, timestamptz 'epoch' + at * interval '1 microsecond' as time, subject
          from unnest($1::integer[], $2::text[], $3::bigint[], $4::text[]) as n (source_no, id, at, subject)) n
 cross join lateral (
       select source_no, id, fingerprint, time from event where subject = n.subject and time = n.time
       union all
       select source_no, id, fingerprint, time from event where n.subject is null and subject is null and time = n.time) e
 where e.source_no = n.source_no and e.id = n.id
   and e.time >= timestamptz 'epoch' + $5::bigint * interval '1 microsecond'
   and e.time <= timestamptz 'epoch' + $6::bigint * interval '1 microsecond'

-- name: add_conflicts
-- Other content under a known identity, once for each content; what comes back is new.
insert into event_conflict (source_no, id, fingerprint, time, type, subject, area, data, accepted_at)
select c.source_no, c.id, decode(c.fingerprint, 'hex'), timestamptz 'epoch' + c.at * interval '1 microsecond', c.type,
       c.subject, c.area, c.data::json, timestamptz 'epoch' + c.accepted * interval '1 microsecond'
  from unnest($1::integer[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[],
              $9::bigint[]) as c (source_no, id, fingerprint, at, type, subject, area, data, accepted)
 order by source_no, id collate "C", fingerprint
on conflict do nothing
returning 1

-- name: add_minutes
-- Add readings to the minutes of assets.
insert into metric_window_1m as w (series, start, parent, leaf, count, sum, min, max, latest, part, weight, subjects)
select f.series, timestamptz 'epoch' + f.start * interval '1 microsecond', f.parent, true, f.count, f.sum::numeric, f.min, f.max, f.latest, f.part::numeric, f.weight::numeric,
       f.subjects
  from unnest($1::text::integer[], $2::text::integer[], $3::text::bigint[], $4::text::bigint[], $5::text::text[], $6::text::bigint[],
              $7::text::bigint[], $8::text::text[], $9::text::text[], $10::text::text[], $11::text::integer[])
       as f (series, parent, start, count, sum, min, max, latest, part, weight, subjects)
 order by f.start, f.series
on conflict (start, series) do update
   set count = w.count + excluded.count, sum = w.sum + excluded.sum, min = least(w.min, excluded.min),
       max = greatest(w.max, excluded.max), latest = greatest(w.latest, excluded.latest),
       part = w.part + excluded.part, weight = w.weight + excluded.weight, revision = w.revision + 1

-- name: put_assets
-- The latest state of assets: the greatest (time, source, id) wins, whatever the order of arrival.
insert into asset_state as a (subject, type, area, time, latest, data)
select f.subject, f.type, f.area, timestamptz 'epoch' + f.at * interval '1 microsecond', f.latest, f.data::json
  from unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::bigint[], $5::text::text[], $6::text::text[])
       as f (subject, type, area, at, latest, data)
 order by f.subject collate "C", f.type collate "C"
on conflict (subject, type) do update
   set area = excluded.area, time = excluded.time, latest = excluded.latest, data = excluded.data
 where excluded.latest > a.latest
