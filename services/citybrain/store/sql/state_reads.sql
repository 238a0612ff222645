-- name: figures
-- The five figures of aggregate.
select coalesce(sum(accepted), 0)::bigint as accepted, coalesce(sum(stored), 0)::bigint as stored,
       coalesce(sum(repeated), 0)::bigint as repeated, coalesce(sum(conflicts), 0)::bigint as conflicts,
       coalesce(sum(dead), 0)::bigint as dead
  from bus_position where role = 'aggregate'

-- name: positions
-- Where aggregate stands in the partitions of a topic.
select partition, next_offset from bus_position where role = 'aggregate' and topic = $1

-- name: rollup_lag
-- Rows that rollup could work on now.
select (select count(*) from dirty) + (select count(*) from dirty_later where due <= $1) as rows
