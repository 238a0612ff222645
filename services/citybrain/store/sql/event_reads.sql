-- name: time_of
-- When an identity happened, unless it was forgotten.
select i.time from source s join event_identity i on i.source_no = s.source_no and i.id = $2 where s.name = $1

-- name: find_event
-- The stored event of an identity at its time: one partition is looked into.
select e.time, s.name as source, e.id, e.type, e.subject, e.area, e.given_area, e.data, e.extensions, e.flags, e.accepted_at
  from source s join event e on e.source_no = s.source_no and e.id = $2 and e.time = $3
 where s.name = $1

-- name: personal
-- What an event says about a person.
select p.data from event_personal p join source s using (source_no) where s.name = $1 and p.id = $2 and p.time = $3

-- name: conflicts_of
-- Other contents posted under an identity.
select c.seen, s.name as source, c.id, c.fingerprint, c.time, c.type, c.subject, c.area, c.data, c.accepted_at
  from event_conflict c join source s using (source_no) where s.name = $1 and c.id = $2 order by c.seen, c.fingerprint

-- name: conflicts
-- Other contents posted under known identities, newest first, from a position on.
select c.seen, s.name as source, c.id, c.fingerprint, c.time, c.type, c.subject, c.area, c.data, c.accepted_at
  from event_conflict c join source s using (source_no)
 where $1::timestamptz is null or (c.seen, s.name, c.id, c.fingerprint) < ($1, $2, $3, $4)
 order by c.seen desc, s.name desc, c.id desc, c.fingerprint desc limit $5

-- name: fed_minutes
-- Minutes with readings of an asset (or a source without one), among the metrics that an event may feed.
select r.metric, r.area, r.subject, r.source
  from series r
  join series a on a.metric = r.metric and a.area = r.area and a.subject is null and a.source is null
  join metric_window_1m w on w.parent = a.series_no and w.start = $5 and w.series = r.series_no and w.count > 0
 where r.metric = any ($1::text[]) and r.area = $2
   and (r.subject = $3 or ($3::text is null and r.subject is null and r.source = $4))
 order by r.metric

-- name: newest_minute
-- The last minute before a moment in which any metric had a reading; along the index.
select max(start) from metric_window_1m where start < $1

-- name: events_between
-- Events of a stretch of time, newest first, before a position.
select e.time, s.name as source, e.id, e.type, e.subject, e.area, e.given_area, e.data, e.extensions, e.flags, e.accepted_at
  from event e join source s using (source_no)
 where e.time >= $1 and e.time < $2 and (e.time, s.name, e.id) < ($3, $4, $5)
   and ($6::text is null or e.type = $6) and ($7::text is null or s.name = $7) and ($8::text[] is null or e.area = any ($8::text[]))
 order by e.time desc, s.name desc, e.id desc limit $9

-- name: events_of_subject
-- Events of one asset or case, newest first, before a position; along the index by subject and time.
select e.time, s.name as source, e.id, e.type, e.subject, e.area, e.given_area, e.data, e.extensions, e.flags, e.accepted_at
  from event e join source s using (source_no)
 where e.subject = $10 and e.time >= $1 and e.time < $2 and e.time <= $3 and (e.time, s.name, e.id) < ($3, $4, $5)
   and ($6::text is null or e.type = $6) and ($7::text is null or s.name = $7) and ($8::text[] is null or e.area = any ($8::text[]))
 order by e.time desc, s.name desc, e.id desc limit $9

-- name: every_event
-- All events, for the state dump.
select e.time, s.name as source, e.id, e.type, e.subject, e.area, e.given_area, e.data, e.flags
  from event e join source s using (source_no)
