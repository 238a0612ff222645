-- name: list
-- Dead letters, the newest first.
select dead_letter_no, role, topic, partition, record_offset, type, reason, seen, requeued_at, octet_length(value) as bytes
  from dead_letter
 where $1::boolean or requeued_at is null
 order by dead_letter_no desc
 limit $2

-- name: show
-- One dead letter with its bytes.
select dead_letter_no, role, topic, partition, record_offset, key, type, value, reason, seen, requeued_at
  from dead_letter where dead_letter_no = $1

-- name: waiting
-- The dead letters that were never put back.
select dead_letter_no from dead_letter where requeued_at is null order by dead_letter_no

-- name: requeued
-- A dead letter was put back.
update dead_letter set requeued_at = now() where dead_letter_no = $1
