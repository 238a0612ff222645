-- name: lock
-- One numbers at a time: numbers become visible in their order.
select pg_advisory_xact_lock(1937011301)

-- name: publish
-- Number what was committed meanwhile; how many.
with taken as (
  delete from stream_waiting where waiting_no = any (array(select waiting_no from stream_waiting order by waiting_no limit $1))
  returning waiting_no, alert_id, entry
), put as (
  insert into stream (alert_id, entry) select alert_id, entry from taken order by waiting_no returning 1
)
select count(*) from put

-- name: heads
-- The last numbers of the stream and of rollup's passes.
select coalesce((select max(stream_no) from stream), 0) as alert, coalesce((select pass from rollup_state), 0) as window

-- name: begins
-- Up to which numbers each is gone.
select coalesce((select min(stream_no) - 1 from stream), 0) as alert,
       coalesce((select forgotten from change_position where role = 'rollup' and partition = 0), 0) as window

-- name: entries
-- Entries between two numbers, the first excluded, in their order.
select s.stream_no, s.alert_id, l.entry, l.at, l.kind, l.tick, l.provisional, l.by, l.comment, l.detail::text as detail
  from stream s join alert_log l on l.alert_id = s.alert_id and l.entry = s.entry
 where s.stream_no > $1 and s.stream_no <= $2 order by s.stream_no limit $3

-- name: passes
-- Which minutes of areas passes of rollup changed, between two of them, the first excluded, in their order.
select batch, series, minutes from change
 where role = 'rollup' and partition = 0 and batch > $1 and batch <= $2 order by batch limit $3

-- name: forget
-- Numbers given before a moment, save the last one.
delete from stream where at < $1 and stream_no < (select max(stream_no) from stream)

-- name: forget_changes
-- What alert took before a moment.
with gone as (
  delete from change c using change_position p
   where c.role = p.role and c.partition = p.partition and c.batch <= p.batch and c.made_at < $1
  returning c.role, c.partition, c.batch
)
update change_position p set forgotten = g.batch
  from (select role, partition, max(batch) as batch from gone group by role, partition) g
 where g.role = p.role and g.partition = p.partition
