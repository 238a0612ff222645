-- name: one_at_a_time
-- Hold back others that put a rule set, to the end of the transaction.
select pg_advisory_xact_lock($1)

-- name: current
-- The rule set that was put last.
select version, sha256, files, made_by, loaded_at from rule_set order by version desc limit 1

-- name: current_version
-- Its number alone.
select max(version) from rule_set

-- name: of_version
-- One rule set.
select version, sha256, files, made_by, loaded_at from rule_set where version = $1

-- name: add
-- A rule set becomes the current one.
insert into rule_set (sha256, files, made_by) values ($1, $2::json, $3) returning version
