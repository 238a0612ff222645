-- name: put
-- A new silence.
insert into silence (silence_id, matchers, begins, ends, until_resolved, made_by, why, made_at)
values ($1, $2::jsonb, $3, $4, $5, $6, $7, $8)

-- name: find
-- One silence.
select silence_id, matchers::text as matchers, begins, ends, until_resolved, made_by, why, made_at, ended_at
  from silence where silence_id = $1

-- name: page
-- Silences before a position, the newest first.
select silence_id, matchers::text as matchers, begins, ends, until_resolved, made_by, why, made_at, ended_at
  from silence where (made_at, silence_id) < ($1, $2) order by made_at desc, silence_id desc limit $3

-- name: active
-- Silences that hold at a moment.
select silence_id, matchers::text as matchers, begins, ends, until_resolved, made_by, why, made_at, ended_at
  from silence where ended_at is null and begins <= $1 and ends > $1 order by made_at, silence_id

-- name: end
-- End a silence, unless it has ended; whether there is such a silence.
update silence set ended_at = coalesce(ended_at, $2) where silence_id = $1 returning true

-- name: end_unneeded
-- End a silence "until resolved" when nothing that fires has these rule, subject, severity, area and labels (null: any).
update silence set ended_at = $2
 where silence_id = $1 and ended_at is null
   and not exists (select from alert a
                    where a.ended_at is null and a.state in ('firing', 'recovering')
                      and ($3::text is null or a.rule = $3) and ($4::text is null or a.subject = $4)
                      and ($5::text is null or a.severity = $5) and ($6::text is null or $6 = any (a.path))
                      and a.labels @> $7::jsonb)
returning true
