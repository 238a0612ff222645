-- name: make_topic
-- Give a topic its partitions, once.
insert into bus_partition (topic, partition)
select $1, n from generate_series(0, $2::integer - 1) as n
on conflict do nothing

-- name: ends
-- The next offset of every partition of a topic.
select partition, next_offset from bus_partition where topic = $1 order by partition

-- name: append
-- Take dense offsets under the rows' locks, which are held to the commit, so that they become visible in order.
with fresh as materialized (
  select * from unnest($2::smallint[], $3::integer[], $4::bytea[]) as f (partition, records, payload)
), locked as materialized (
  select p.partition from bus_partition p
   where p.topic = $1 and p.partition = any ($2::smallint[])
   order by p.partition
     for update
), taken as (
  update bus_partition p
     set next_offset = p.next_offset + f.records
    from fresh f join locked using (partition)
   where p.topic = $1 and p.partition = f.partition
  returning p.partition, p.next_offset - f.records as first_offset
), kept as (
  insert into bus_segment (topic, partition, first_offset, records, payload)
  select $1, partition, first_offset, records, payload from taken join fresh using (partition)
  returning 1
)
select count(*), pg_notify('citybrain_bus', $1) from kept

-- name: fetch
-- Segments from given offsets on, the one that holds the offset included, until about so many records a partition.
select partition, first_offset, payload
  from (select s.partition, s.first_offset, s.payload,
               sum(s.records) over (partition by s.partition order by s.first_offset) - s.records as before
          from unnest($2::smallint[], $3::bigint[]) as p (partition, position)
         cross join lateral (
               select partition, first_offset, records, payload from bus_segment
                where topic = $1 and partition = p.partition
                  and first_offset >= coalesce(
                        (select max(first_offset) from bus_segment
                          where topic = $1 and partition = p.partition and first_offset <= p.position), p.position)
                  and first_offset + records > p.position
                order by first_offset
                limit 2000) s) counted
 where before < $4
 order by partition, first_offset

-- name: trim
-- Forget segments that are older than a moment and behind every reader.
with behind as (
  select topic, partition, min(next_offset) as next_offset from bus_position where topic = $1 group by topic, partition
), gone as (
  delete from bus_segment s using behind b
   where s.topic = b.topic and s.partition = b.partition
     and s.first_offset + s.records <= b.next_offset and s.appended_at < $2
  returning s.records
)
select coalesce(sum(records), 0) from gone

-- name: stay_member
-- Be a member ($3) for a time ($4), and forget who has gone; all members in order.
with me as (
  insert into bus_member as m (topic, role, member, until) values ($1, $2, $3, now() + $4::interval)
  on conflict (topic, role, member) do update set until = excluded.until
  returning m.member
), gone as (
  delete from bus_member where topic = $1 and role = $2 and until <= now() and member <> $3
)
select member from bus_member where topic = $1 and role = $2 and until > now() and member <> $3
union all
select member from me
order by member

-- name: leave
-- Its partitions are the others' at once.
delete from bus_member where topic = $1 and role = $2 and member = $3
